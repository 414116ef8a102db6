package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siltlake/silt"
	"github.com/siltlake/silt/internal/kafka"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/term"
)

type topicPeekCmd struct {
	clusterFlags
	Topic     string   `arg:"" help:"The topic."`
	Count     *int     `short:"n" name:"count" placeholder:"N" help:"At most so many records, of all partitions together (10; with --follow and another --from than newest all); 0 is all."`
	From      fromFlag `default:"newest" placeholder:"WHERE" help:"newest, earliest, latest (only what comes), an offset, or @TIME, such as @2026-01-31T13:05Z."`
	Partition []int32  `short:"p" placeholder:"N" help:"Only these partitions."`
	Follow    bool     `short:"f" help:"Go on with what comes, until Ctrl-C."`
	Columns   []string `placeholder:"NAME" help:"Only these columns, in this order."`
	Output    peekForm `short:"o" default:"table" placeholder:"FORM" help:"Form of the result: table, json, ndjson, or raw: the values' bytes, a line each."`
}

// defaultCount is how many records are shown unless -n says otherwise.
const defaultCount = 10

// A peekForm is a form of output, with one more than other commands have.
type peekForm string

const rawForm peekForm = "raw"

// UnmarshalText reads the value of -o.
func (f *peekForm) UnmarshalText(text []byte) error {
	if string(text) == string(rawForm) {
		*f = rawForm
		return nil
	}
	var g term.Format
	if err := g.UnmarshalText(text); err != nil {
		for _, p := range problem.Of(err) {
			p.Fix("use -o table, json, ndjson or raw")
		}
		return err
	}
	*f = peekForm(g)
	return nil
}

// A fromFlag is where a look begins.
type fromFlag struct {
	kafka.From
	text string
}

// UnmarshalText reads the value of --from.
func (f *fromFlag) UnmarshalText(text []byte) error {
	f.text = string(text)
	switch f.text {
	case "newest":
		f.From = kafka.Newest
		return nil
	case "earliest", "oldest", "beginning":
		f.From = kafka.Earliest
		return nil
	case "latest", "end":
		f.From = kafka.Latest
		return nil
	}
	if at, ok := strings.CutPrefix(f.text, "@"); ok {
		t, ok := parseTime(at)
		if !ok {
			return problem.New(problem.Usage, "%q is no time; want @2026-01-31, @2026-01-31T13:05Z, @2026-01-31T13:05:00+02:00, or @ and milliseconds since 1970", text)
		}
		f.From = kafka.FromTime(t)
		return nil
	}
	n, err := strconv.ParseInt(f.text, 10, 64)
	if err != nil || n < 0 {
		p := problem.New(problem.Usage, "%q is no beginning; want newest, earliest, latest, an offset or @TIME", text)
		if near := problem.Nearest(f.text, []string{"newest", "earliest", "latest"}); near != "" {
			p.Message = fmt.Sprintf("%q is no beginning; did you mean %q?", text, near)
		}
		return p
	}
	f.From = kafka.FromOffset(n)
	return nil
}

// parseTime reads a time, in UTC unless it says another offset.
func parseTime(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil && ms >= 0 {
		return time.UnixMilli(ms), true
	}
	return time.Time{}, false
}

// peekColumns are all columns of a row, in the order of JSON: Spark's names, and what is wrong with a record.
var peekColumns = []string{"topic", "partition", "offset", "timestamp", "timestampType", "key", "headers", "value", "valueSchemaId", "fixedValue",
	"parsedValue", "fault"}

// Validate is called by kong after the flags were read.
func (c *topicPeekCmd) Validate() error {
	for i, name := range c.Columns {
		k := slices.IndexFunc(peekColumns, func(known string) bool { return strings.EqualFold(known, name) })
		if k < 0 {
			p := problem.New(problem.Usage, "--columns: unknown column %q", name).Fix("the columns are %s", strings.Join(peekColumns, ", "))
			if n := problem.Nearest(name, peekColumns); n != "" {
				p.Message += fmt.Sprintf("; did you mean %q?", n)
			}
			return p
		}
		c.Columns[i] = peekColumns[k]
	}
	switch {
	case c.Count != nil && *c.Count < 0:
		return problem.New(problem.Usage, "-n is %d; want 0 or more", *c.Count)
	case c.Follow && c.Count != nil && c.From.From != kafka.Newest:
		return problem.New(problem.Usage, "-n and --follow together need --from newest, not %s", c.From.text).
			Fix("leave one of them out: -n ends, --follow goes on")
	case c.From.From == kafka.Latest && !c.Follow:
		return problem.New(problem.Usage, "--from latest shows only what comes, which takes --follow").Fix("add --follow, or use --from newest")
	case c.Output == rawForm && len(c.Columns) > 0:
		return problem.New(problem.Usage, "-o raw has values only, no columns")
	}
	return nil
}

// Run shows the records.
func (c *topicPeekCmd) Run(a *app) error {
	p, err := c.pipeline(a)
	if err != nil {
		return err
	}
	look := kafka.Look{Topic: c.Topic, Partitions: c.Partition, From: c.From.From, Follow: c.Follow, Count: defaultCount}
	switch {
	case c.Count != nil:
		look.Count = *c.Count
	case c.Follow && c.From.From != kafka.Newest:
		look.Count = 0
	}
	w := c.writer(a)
	ctx, stop := a.interruptible("stopping")
	defer stop()
	n := 0
	err = silt.Peek(ctx, p, look, c.Output == rawForm, a.log, func(r silt.Row) error {
		n++
		return w.row(r)
	})
	if ferr := w.end(); err == nil {
		err = ferr
	}
	if err == nil && n == 0 && c.Output == peekForm(term.Text) {
		a.say("no records")
	}
	return err
}
