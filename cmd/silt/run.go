package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/siltlake/silt"
	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/microbatch"
	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
	"github.com/siltlake/silt/internal/term"
)

type runCmd struct {
	Config      string   `short:"c" placeholder:"FILE" env:"SILT_CONFIG" help:"The pipeline file."`
	Set         []string `short:"s" placeholder:"PATH=VALUE" sep:"none" help:"Override a value of the file; may be repeated."`
	Once        bool     `help:"Read what is there now and stop, as -s trigger.availableNow=true."`
	NewQuery    bool     `help:"Begin with a new checkpoint on a table that holds the topic's rows already."`
	StopTimeout span     `default:"${stopTimeout}" placeholder:"TIME" env:"SILT_STOP_TIMEOUT" help:"Time to commit the batch after SIGINT or SIGTERM (${default})."`
	Workers     int      `default:"0" placeholder:"N" env:"SILT_WORKERS" help:"Goroutines that decode and write; by default one a CPU, as memory allows."`
	Memory      size     `default:"${memory}" placeholder:"SIZE" env:"SILT_MEMORY" help:"Budget for fetched data and open files (${default})."`
	Health      string   `placeholder:"ADDR" env:"SILT_HEALTH" help:"Answer GET /livez and /readyz on this address, such as 127.0.0.1:8090: there is no login, and the answers hold no data."`
	outputFlag
}

// Limits of the flags.
const (
	maxWorkers     = 256
	minMemory      = 32 << 20 // one worker's share and a fetch
	maxStopTimeout = time.Hour
)

// A span is a flag that is a time span, written as in a pipeline file.
type span time.Duration

func (s *span) UnmarshalText(text []byte) error {
	d, ok := option.ParseDuration(string(text))
	if !ok || d > maxStopTimeout {
		return problem.New(problem.Usage, `%q is no time span; want one up to %s, such as 10s or "10 seconds"`, text, maxStopTimeout)
	}
	*s = span(d)
	return nil
}

// A size is a flag that is a number of bytes, written as in a pipeline file.
type size int64

func (s *size) UnmarshalText(text []byte) error {
	n, ok := option.ParseSize(string(text))
	if !ok || n < minMemory {
		return problem.New(problem.Usage, "%q is no size; want one from %s, such as 256MiB", text, option.FormatSize(minMemory))
	}
	*s = size(n)
	return nil
}

// Validate is called by kong after the flags were read.
func (c *runCmd) Validate() error {
	if c.Workers < 0 || c.Workers > maxWorkers {
		return problem.New(problem.Usage, "--workers is %d; want a number from 1 to %d", c.Workers, maxWorkers)
	}
	if most := stream.MostWorkers(int64(c.Memory), 0); c.Workers > most {
		return problem.New(problem.Usage, "--memory %s has room for %s, and --workers is %d", option.FormatSize(int64(c.Memory)),
			term.Plural(int64(most), "worker"), c.Workers).Fix("raise --memory, or leave --workers out")
	}
	if c.StopTimeout == 0 {
		return problem.New(problem.Usage, "--stop-timeout is 0; want a time in which a batch can commit, such as 10s")
	}
	if c.Config == "" {
		return problem.New(problem.Usage, "silt run needs a pipeline file").Fix("silt run -c pipeline.yaml")
	}
	return nil
}

// Run runs the pipeline until it is interrupted, fails, or has read what availableNow asked for.
func (c *runCmd) Run(a *app) error {
	set := c.Set
	if c.Once {
		set = append(set, "trigger.availableNow=true")
	}
	p, err := a.load(c.Config, set)
	if err != nil {
		return err
	}
	trace, closeTrace, err := a.trace()
	if err != nil {
		return err
	}
	defer closeTrace()
	timeout := time.Duration(c.StopTimeout)
	ctx, stop := a.interruptible(fmt.Sprintf("stopping: the running batch has %s to commit; once more stops at once", timeout))
	defer stop()
	d, err := diagnose(a.env)
	if err != nil {
		return err
	}
	h := &health{secrets: a.secrets}
	if c.Health != "" {
		end, err := h.serve(c.Health, a.log)
		if err != nil {
			return err
		}
		defer end()
	}
	err = a.engine.run(ctx, p, silt.RunOptions{
		Version:  versionOf(a.build).Version,
		NewQuery: c.NewQuery, StopTimeout: timeout, Workers: c.Workers, Memory: int64(c.Memory), Trace: trace, Log: a.log,
		OnStart: func() { a.announce(p) },
		OnProgress: func(q microbatch.Progress, e microbatch.Extra) {
			d.batch(e)
			a.progress(c.Output, q, e)
		},
		OnReady: func(ready bool, why string) {
			h.set(ready, why)
			a.waits(ready, why)
		},
	})
	return errors.Join(err, d.end())
}

// progress shows a batch: as Spark's JSON on stdout, or as the status line. A wait for data is no batch: only a terminal shows it.
func (a *app) progress(f term.Format, p microbatch.Progress, e microbatch.Extra) {
	var err error
	switch {
	case f.Machine() && !e.Idle:
		err = term.WriteJSON(a.out, p)
	case f.Machine() || a.quiet || e.Idle && !a.terminal:
		return
	default:
		err = a.status.Show(statusLine(p, e, a.terminal))
	}
	if err != nil {
		a.log.Warn("progress cannot be written", "error", err)
	}
}

// waits shows on a terminal what the query waits for; elsewhere the log's lines tell.
func (a *app) waits(ready bool, why string) {
	if ready || !a.terminal || a.quiet || a.machine {
		return
	}
	if err := a.status.Show("  not ready: " + a.secrets.String(why)); err != nil {
		a.log.Warn("progress cannot be written", "error", err)
	}
}

// statusLine is what a batch did, in one line: rows in the table, records a second that came and that were processed, offsets that are
// left, the table's version; then what is out of the ordinary.
func statusLine(p microbatch.Progress, e microbatch.Extra, terminal bool) string {
	parts := []string{"  batch " + term.Count(p.BatchID), term.Plural(e.Rows, "row"), "in " + term.Rate(p.InputRowsPerSecond),
		"out " + term.Rate(p.ProcessedRowsPerSecond), "lag " + term.Count(e.Lag)}
	if e.Idle {
		parts = []string{"  waiting for batch " + term.Count(p.BatchID), "lag " + term.Count(e.Lag)}
	}
	if e.Version >= 0 && !e.Idle {
		parts = append(parts, fmt.Sprintf("v%d", e.Version))
	}
	if e.Rejected > 0 {
		parts = append(parts, term.Count(e.Rejected)+" dropped")
	}
	if e.Nulled > 0 {
		parts = append(parts, term.Count(e.Nulled)+" nulled")
	}
	var lost int64
	for _, g := range e.Gaps {
		lost += g.To - g.From
	}
	if lost > 0 {
		parts = append(parts, term.Plural(lost, "offset")+" lost to Kafka")
	}
	if e.Again {
		parts = append(parts, "begun by an earlier run")
	}
	if terminal {
		parts = append(parts, "Ctrl-C stops; run again to resume")
	}
	return strings.Join(parts, "   ")
}

// announce says in two lines what runs, and what Spark would do otherwise.
func (a *app) announce(p *config.Pipeline) {
	topics := ""
	if v, ok := p.Kafka.Lookup("subscribe"); ok {
		topics = strings.Join(words(v), ", ")
	}
	isolation := "isolation level read_committed (Spark's default is read_uncommitted)"
	if v, ok := p.Kafka.Lookup("kafka.isolation.level"); ok {
		isolation = "isolation level " + v.Shown()
	}
	a.say("topic %s · %s", topics, isolation)
	a.say("table %s · checkpoint %s", p.Table, p.Checkpoint)
}

// words are the items of a list, or of a text with commas.
func words(v option.Value) []string {
	items := v.List
	if !v.IsList {
		items = []option.Value{v}
	}
	var out []string
	for _, item := range items {
		for w := range strings.SplitSeq(item.Shown(), ",") {
			if w = strings.TrimSpace(w); w != "" {
				out = append(out, w)
			}
		}
	}
	return out
}

// trace opens what SILT_TRACE names, a file or a named pipe, for the lines of the steps that change something. Each line is one write that
// was done when the step goes on, so that whoever reads them knows what a killed process was about to do. Opening a pipe waits for its
// reader.
func (a *app) trace() (stream.Trace, func(), error) {
	name, ok := a.env("SILT_TRACE")
	if !ok || name == "" {
		return nil, func() {}, nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	if err != nil {
		return nil, nil, problem.New(problem.FileUnreadable, "SILT_TRACE names a file that cannot be written: %w", err).At(problem.File(name))
	}
	w := a.secrets.Writer(f)
	var mu sync.Mutex
	trace := func(line string) {
		mu.Lock()
		defer mu.Unlock()
		if w == nil {
			return
		}
		if _, err := w.Write([]byte(line + "\n")); err != nil {
			// The reader of a pipe went away: the query goes on without it.
			a.log.Warn("the trace ends", "file", name, "error", err)
			w = nil
		}
	}
	return trace, func() { _ = f.Close() }, nil
}
