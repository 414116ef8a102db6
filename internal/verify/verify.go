package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/siltlake/silt/internal/delta"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// Options say how deep to look.
type Options struct {
	// Scan reads topic, partition and offset of every live file.
	Scan bool
	// Source is the topic itself; nil: not asked. It implies Scan.
	Source stream.Source
	// Progress is told how many of how many files were read; nil: nobody is.
	Progress func(done, of int)
}

// A Result is the verdict.
type Result struct {
	Path      string    `json:"path"`
	From      int64     `json:"fromVersion"` // the first version whose commit still exists
	To        int64     `json:"toVersion"`
	Scanned   bool      `json:"scanned"`
	Compared  bool      `json:"comparedWithTopic"`
	Files     int64     `json:"files"`       // live files; 0 unless scanned
	FileRows  int64     `json:"fileRows"`    // rows in them
	Other     int64     `json:"foreignRows"` // of them, rows that no query of silt landed
	Missing   int64     `json:"missing"`
	Duplicate int64     `json:"duplicate"`
	Queries   []*Query  `json:"queries"`
	Foreign   []Foreign `json:"foreignCommits"`
	Findings  []Finding `json:"findings"`
	Notes     []string  `json:"notes,omitempty"` // what cannot be told
}

// Table verifies the table at its newest version. The error is of reading; what is wrong with the table is in the Result, see Result.Err.
func Table(ctx context.Context, log *delta.Log, o Options) (Result, error) {
	s, err := log.Snapshot(ctx)
	if err != nil {
		return Result{}, err
	}
	url := log.Store().URL()
	if !s.Exists() {
		return Result{}, problem.New(problem.NoTable, "%s holds no Delta table", url).At(problem.File(url)).
			Fix("name the table's folder: the one with _delta_log in it")
	}
	commits, err := readCommits(ctx, log, s.Version())
	if err != nil {
		return Result{}, err
	}
	a := AuditLog(commits)
	r := Result{Path: url, From: a.From, To: a.To, Queries: a.Queries, Foreign: a.Foreign, Findings: a.Findings}
	if o.Scan || o.Source != nil {
		sc := newScanner(a)
		if err := sc.table(ctx, log, s, o.Progress); err != nil {
			return Result{}, err
		}
		if o.Source != nil {
			if err := sc.topic(ctx, o.Source); err != nil {
				return Result{}, err
			}
		}
		sc.judge(o.Source != nil)
		r.Scanned, r.Compared = true, o.Source != nil
		r.Files, r.FileRows, r.Other = sc.files, sc.rows, sc.other
		r.Findings = append(r.Findings, sc.findings...)
		r.Notes = sc.notes
	}
	for _, f := range r.Findings {
		switch f.Kind {
		case Missing:
			r.Missing += f.N
		case Duplicate:
			r.Duplicate += f.N
		}
	}
	return r, nil
}

// readCommits returns the commits that the log still has, the oldest first.
func readCommits(ctx context.Context, log *delta.Log, newest int64) ([]Commit, error) {
	var out []Commit
	for c, err := range log.History(ctx, newest) {
		if err != nil {
			return nil, err
		}
		out = append(out, commitOf(c))
	}
	slices.Reverse(out)
	return out, nil
}

func commitOf(c *delta.Commit) Commit {
	out := Commit{Version: c.Version, Txns: make(map[string]int64, len(c.Txns))}
	if c.Info != nil {
		out.Operation, out.Engine = c.Info.Operation, c.Info.EngineInfo
		if c.Info.Silt != nil {
			info, err := stream.ParseBatchInfo(c.Info.Silt)
			if out.BatchErr = err; err == nil {
				out.Batch = &info
			}
		}
	}
	for _, t := range c.Txns {
		out.Txns[t.AppID] = t.Version
	}
	for _, a := range c.Adds {
		out.Added = append(out.Added, fileOf(a.Name(), a.DataChange, a.Rows))
	}
	for _, x := range c.Removes {
		out.Removed = append(out.Removed, fileOf(x.Name(), x.DataChange, x.Rows))
	}
	return out
}

func fileOf(name string, dataChange bool, rows func() (int64, bool)) File {
	f := File{Path: name, Rows: -1, DataChange: dataChange}
	if n, ok := rows(); ok {
		f.Rows = n
	}
	return f
}

// Err is nil if the table is sound, else a problem whose exit status tells what is wrong: missing rows before doubled ones before counts.
func (r Result) Err() error {
	worst := map[Kind]*Finding{}
	for i := range r.Findings {
		if f := &r.Findings[i]; worst[f.Kind] == nil {
			worst[f.Kind] = f
		}
	}
	for _, k := range []struct {
		kind Kind
		code problem.Code
		n    int64
		what string
	}{
		{Missing, problem.VerifyMissing, r.Missing, "%d offsets are missing: %s"},
		{Duplicate, problem.VerifyDuplicate, r.Duplicate, "%d offsets are in the table more than once: %s"},
		{Count, problem.VerifyBroken, 0, "%scounts do not add up: %s"},
		{Disorder, problem.VerifyBroken, 0, "%sthe table is out of order: %s"},
	} {
		f := worst[k.kind]
		if f == nil {
			continue
		}
		n := any(k.n)
		if k.n == 0 {
			n = ""
		}
		p := problem.New(k.code, k.what, n, f.Text).At(problem.Location{File: r.Path, Topic: f.Topic, Partition: f.Partition,
			HasPartition: f.Topic != "",
			Offset:       f.Offset, HasOffset: f.Topic != "" && f.Offset >= 0})
		if more := len(r.Findings) - 1; more > 0 {
			p.Why = fmt.Sprintf("and %d more findings: see -o json", more)
		}
		return p
	}
	return nil
}

var errNoColumns = errors.New("no columns topic, partition and offset")
