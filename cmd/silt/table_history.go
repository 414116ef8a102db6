package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"github.com/siltlake/silt/internal/delta"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
	"github.com/siltlake/silt/internal/term"
)

type historyCmd struct {
	tableFlag `set:"tableConfig=Take the store's options from this pipeline file."`
	Limit     int `short:"n" name:"limit" default:"20" placeholder:"N" help:"At most so many versions (${default}); 0 is all."`
	outputFlag
}

// Validate is called by kong after the flags were read.
func (c *historyCmd) Validate() error {
	if err := checkLimit(c.Limit); err != nil {
		return err
	}
	return c.check("silt table history")
}

// checkLimit checks the flag of lists that can be cut short.
func checkLimit(n int) error {
	if n < 0 {
		return problem.New(problem.Usage, "--limit is %d; want 0 or more", n)
	}
	return nil
}

// Run lists the versions that the table's log still has, the newest first.
func (c *historyCmd) Run(a *app) error {
	path, table, err := a.table(c.Path, c.Config, c.Set)
	if err != nil {
		return err
	}
	ctx, stop := a.interruptible("stopping")
	defer stop()
	commits, err := a.engine.history(ctx, path, c.Limit, table)
	if err != nil {
		return err
	}
	versions := make([]tableVersion, len(commits))
	for i, commit := range commits {
		versions[i] = versionFrom(commit)
	}
	if c.Output.Machine() {
		return term.WriteList(a.out, c.Output, versions)
	}
	list := term.NewTable(term.Column{Name: "version", Right: true}, term.Column{Name: "time"}, term.Column{Name: "operation"},
		term.Column{Name: "rows", Right: true}, term.Column{Name: "files", Right: true}, term.Column{Name: "batch", Right: true},
		term.Column{Name: "engine"})
	for _, v := range versions {
		list.Row(v.cells()...)
	}
	return list.Write(a.out, "")
}

// A tableVersion is one row of Spark's DESCRIBE HISTORY, with what the commit added and removed, and silt's own record of its batch.
type tableVersion struct {
	Version             int64           `json:"version"`
	Timestamp           *string         `json:"timestamp"` // UTC; null if the commit does not say
	Operation           string          `json:"operation"`
	OperationParameters json.RawMessage `json:"operationParameters,omitempty"`
	ReadVersion         *int64          `json:"readVersion"`
	IsolationLevel      string          `json:"isolationLevel,omitempty"`
	IsBlindAppend       *bool           `json:"isBlindAppend"`
	OperationMetrics    json.RawMessage `json:"operationMetrics,omitempty"`
	UserMetadata        string          `json:"userMetadata,omitempty"`
	EngineInfo          string          `json:"engineInfo"`
	RowsAdded           *int64          `json:"rowsAdded"` // by the files' statistics; null if one has none
	FilesAdded          int             `json:"filesAdded"`
	FilesRemoved        int             `json:"filesRemoved"`
	Silt                json.RawMessage `json:"silt,omitempty"`
}

func versionFrom(c *delta.Commit) tableVersion {
	v := tableVersion{Version: c.Version, FilesAdded: len(c.Adds), FilesRemoved: len(c.Removes)}
	if ms := c.Time(); ms != 0 {
		at := time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
		v.Timestamp = &at
	}
	var rows int64
	v.RowsAdded = &rows
	for _, f := range c.Adds {
		n, ok := f.Rows()
		if !ok {
			v.RowsAdded = nil
		}
		rows += n
	}
	if i := c.Info; i != nil {
		v.Operation, v.IsolationLevel, v.IsBlindAppend, v.UserMetadata, v.EngineInfo, v.Silt =
			i.Operation, i.IsolationLevel, i.IsBlindAppend, i.UserMetadata, i.EngineInfo, i.Silt
		v.OperationParameters, v.OperationMetrics = object(i.OperationParameters), object(i.OperationMetrics)
		if i.ReadVersion >= 0 {
			v.ReadVersion = &i.ReadVersion
		}
	}
	return v
}

// object is the JSON of o, nil if the commit has none.
func object(o delta.Object) json.RawMessage {
	if o == nil {
		return nil
	}
	b, err := o.MarshalJSON()
	if err != nil {
		return nil
	}
	return b
}

// cells are the version as a row of the table. A dash is what the commit does not say.
func (v tableVersion) cells() []string {
	const unknown = "-"
	at, rows, batch, files := unknown, unknown, unknown, fmt.Sprintf("+%d", v.FilesAdded)
	if v.Timestamp != nil {
		at = *v.Timestamp
	}
	if v.RowsAdded != nil {
		rows = term.Count(*v.RowsAdded)
	}
	if v.FilesRemoved > 0 {
		files += fmt.Sprintf(" -%d", v.FilesRemoved)
	}
	if info, err := stream.ParseBatchInfo(v.Silt); v.Silt != nil && err == nil {
		batch = term.Count(info.BatchID)
	}
	return []string{fmt.Sprint(v.Version), at, cmp.Or(v.Operation, unknown), rows, files, batch, cmp.Or(v.EngineInfo, unknown)}
}
