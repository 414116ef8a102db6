package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/siltlake/silt"
	"github.com/siltlake/silt/internal/stream"
	"github.com/siltlake/silt/internal/term"
	"github.com/siltlake/silt/internal/verify"
)

type verifyCmd struct {
	tableFlag `set:"tableConfig=Compare with the topic too, as this pipeline file reaches it, and take the store's options from it."`
	Scan      bool `help:"Read topic, partition and offset of every row, not only the log."`
	outputFlag
}

// Validate is called by kong after the flags were read.
func (c *verifyCmd) Validate() error { return c.check("silt table verify") }

// Run verifies the table and prints what was found; a table that is not sound is an error.
func (c *verifyCmd) Run(a *app) error {
	path, table, err := a.table(c.Path, c.Config, c.Set)
	if err != nil {
		return err
	}
	o := silt.VerifyOptions{TableOptions: table, Scan: c.Scan}
	if a.terminal && !a.quiet && !a.machine {
		o.Progress = func(done, of int) {
			if err := a.status.Show(fmt.Sprintf("  file %s of %s", term.Count(int64(done)), term.Count(int64(of)))); err != nil {
				a.log.Warn("progress cannot be written", "error", err)
			}
		}
	}
	ctx, stop := a.interruptible("stopping")
	defer stop()
	r, err := a.engine.verify(ctx, path, o)
	if cleared := a.status.Clear(); err == nil {
		err = cleared
	}
	if err != nil {
		return err
	}
	if c.Output.Machine() {
		err = term.WriteJSON(a.out, r)
	} else {
		err = writeVerdict(a.out, r)
	}
	if err != nil {
		return err
	}
	return r.Err()
}

// maxFindings is how many findings people get to read; programs get all.
const maxFindings = 20

// writeVerdict prints what was verified, partition by partition, what others did, what is wrong, and the verdict in the last line.
func writeVerdict(w io.Writer, r verify.Result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  versions %d..%d, by %s\n", term.Clean(r.Path), r.From, r.To, evidence(r))
	for _, q := range r.Queries {
		fmt.Fprintf(&b, "query %s  batches %d..%d\n", term.Clean(q.ID), q.FirstBatch, q.LastBatch)
		if err := partitionTable(q).Write(&b, "  "); err != nil {
			return err
		}
	}
	if len(r.Foreign) > 0 {
		b.WriteString("commits of other writers, not judged\n")
		if err := foreignTable(r.Foreign).Write(&b, "  "); err != nil {
			return err
		}
	}
	if len(r.Findings) > 0 {
		b.WriteString("findings\n")
		if err := findingTable(r.Findings[:min(len(r.Findings), maxFindings)]).Write(&b, "  "); err != nil {
			return err
		}
		if more := len(r.Findings) - maxFindings; more > 0 {
			fmt.Fprintf(&b, "  and %d more; -o json has all\n", more)
		}
	}
	if len(r.Notes) > 0 {
		b.WriteString("cannot be told\n")
		for _, note := range r.Notes {
			b.WriteString("  " + term.Clean(note) + "\n")
		}
	}
	b.WriteString(verdict(r) + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// evidence is what the verdict stands on.
func evidence(r verify.Result) string {
	if !r.Scanned {
		return "the log (--scan reads the rows too)"
	}
	s := "the log and " + term.Plural(r.FileRows, "row") + " of " + term.Plural(r.Files, "file")
	if r.Other > 0 {
		s += " (" + term.Count(r.Other) + " of them not silt's)"
	}
	if r.Compared {
		s += " and the topic"
	}
	return s
}

func partitionTable(q *verify.Query) *term.Table {
	t := term.NewTable(term.Column{Name: "topic"}, term.Column{Name: "partition", Right: true}, term.Column{Name: "offsets"},
		term.Column{Name: "served", Right: true}, term.Column{Name: "rows", Right: true}, term.Column{Name: "dropped", Right: true},
		term.Column{Name: "nulled", Right: true}, term.Column{Name: "gaps", Right: true})
	for _, p := range q.Partitions {
		var ranges []string
		for _, s := range p.Segments {
			text := "none"
			if s.End > s.Start {
				text = fmt.Sprintf("%d..%d", s.Start, s.End-1)
			}
			if s.Note != "" {
				text += " (" + s.Note + ")"
			}
			ranges = append(ranges, text)
		}
		t.Row(p.Topic, fmt.Sprint(p.Partition), strings.Join(ranges, ", "), term.Count(p.Served), term.Count(p.Rows), term.Count(p.Rejected),
			term.Count(p.Nulled), term.Count(gaps(p)))
	}
	return t
}

func foreignTable(commits []verify.Foreign) *term.Table {
	t := term.NewTable(term.Column{Name: "version", Right: true}, term.Column{Name: "operation"}, term.Column{Name: "rows added", Right: true},
		term.Column{Name: "rows removed", Right: true}, term.Column{Name: "engine"})
	for _, f := range commits {
		t.Row(fmt.Sprint(f.Version), f.Operation, term.Count(f.RowsAdded), term.Count(f.RowsRemoved), f.Engine)
	}
	return t
}

func findingTable(findings []verify.Finding) *term.Table {
	t := term.NewTable(term.Column{Name: "kind"}, term.Column{Name: "version", Right: true}, term.Column{Name: "partition"},
		term.Column{Name: "offset", Right: true}, term.Column{Name: "what"})
	for _, f := range findings {
		version, partition, offset := "-", "-", "-"
		if f.Version >= 0 {
			version = fmt.Sprint(f.Version)
		}
		if f.Topic != "" {
			partition = fmt.Sprintf("%s-%d", f.Topic, f.Partition)
		}
		if f.Offset >= 0 {
			offset = fmt.Sprint(f.Offset)
		}
		t.Row(string(f.Kind), version, partition, offset, f.Text)
	}
	return t
}

// gaps is how many offsets Kafka no longer had.
func gaps(p *verify.Partition) int64 {
	var n int64
	for _, g := range p.Gaps {
		n += g[1] - g[0]
	}
	return n
}

// verdict is the last line: the whole in numbers.
func verdict(r verify.Result) string {
	var partitions, offsets, rows, lost int64
	for _, q := range r.Queries {
		names := map[stream.TopicPartition]bool{} // one of a topic that was made again is there for each of its ids
		for _, p := range q.Partitions {
			names[stream.TopicPartition{Topic: p.Topic, Partition: p.Partition}] = true
			offsets += p.Offsets()
			rows += p.Rows
			lost += gaps(p)
		}
		partitions += int64(len(names))
	}
	parts := []string{term.Plural(partitions, "partition"), "offsets " + term.Count(offsets), "rows " + term.Count(rows),
		"missing " + term.Count(r.Missing), "duplicate " + term.Count(r.Duplicate)}
	if lost > 0 {
		parts = append(parts, "gaps "+term.Count(lost))
	}
	state := "OK"
	if r.Err() != nil {
		state = "NOT OK"
	}
	return strings.Join(append(parts, state), " · ")
}
