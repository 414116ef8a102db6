package main

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/siltlake/silt"
	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/datagen"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/term"
)

type datagenCmd struct {
	Write   datagenWriteCmd   `cmd:"" default:"withargs" help:"Write generated records to a topic; what silt datagen does without a command."`
	Status  datagenStatusCmd  `cmd:"" help:"Show what a running connector does: silt demo's, or one with --rest-file."`
	Pause   datagenPauseCmd   `cmd:"" help:"Let it wait before its next record."`
	Resume  datagenResumeCmd  `cmd:"" help:"Let it go on after pause, or stop."`
	Restart datagenRestartCmd `cmd:"" help:"Start its tasks again where they were, failed ones too."`
	Stop    datagenStopCmd    `cmd:"" help:"Stop it; a silt datagen then ends."`
}

type datagenWriteCmd struct {
	clusterFlags
	Quickstart  string `arg:"" optional:"" help:"A quickstart of Datagen, such as clickstream."`
	File        string `short:"f" placeholder:"FILE" help:"A connector's JSON, self-managed or Confluent Cloud's, in place of the flags below."`
	Topic       string `placeholder:"TOPIC" help:"The topic to write to."`
	Schema      string `placeholder:"FILE" help:"An Avro schema with arg.properties, in place of a quickstart."`
	Key         string `placeholder:"FIELD" help:"The field that is the key; a quickstart has one of its own."`
	Format      string `placeholder:"FORM" help:"Form of the values: avro (the default), or json."`
	MaxInterval *span  `placeholder:"TIME" help:"The longest pause before a record; on average it is half of it (500ms)."`
	Iterations  int32  `placeholder:"N" help:"Stop after so many records of each task."`
	Seed        *int64 `placeholder:"N" help:"Begin here: the same seed gives the same records."`
	Tasks       *int   `placeholder:"N" help:"Tasks that write at once, each a sequence of its own (1)."`
	Rate        rate   `placeholder:"N/s" help:"Write so many records a second, all tasks together, in place of pauses."`
	Offsets     string `placeholder:"FILE" help:"Keep in this file how far the tasks are, and go on from there."`
	RESTFile    string `name:"rest-file" placeholder:"FILE" help:"Let status, pause, resume, restart and stop reach it: serve Connect's REST interface on this machine, and write where and a login to this file."`
	REST        string `name:"rest" placeholder:"HOST:PORT" help:"Where --rest-file serves; by default 127.0.0.1:8083, or a free port if that one is taken."`
	Show        bool   `help:"Print the connector with its secrets masked, and do nothing."`
	outputFlag
}

// Validate is called by kong after the flags were read.
func (c *datagenWriteCmd) Validate() error {
	if c.REST != "" && c.RESTFile == "" {
		return problem.New(problem.Usage, "--rest needs --rest-file FILE, which tells other commands the address and the login")
	}
	if c.File == "" {
		if (c.Quickstart == "") == (c.Schema == "") {
			return problem.New(problem.Usage, "want one of a quickstart, --schema FILE and -f FILE").
				Fix("silt datagen clickstream --topic clickstreams")
		}
		return nil
	}
	for _, flag := range []struct {
		name  string
		given bool
	}{
		{"a quickstart", c.Quickstart != ""}, {"--topic", c.Topic != ""}, {"--schema", c.Schema != ""}, {"--key", c.Key != ""},
		{"--format", c.Format != ""}, {"--max-interval", c.MaxInterval != nil}, {"--iterations", c.Iterations != 0},
		{"--seed", c.Seed != nil}, {"--tasks", c.Tasks != nil},
	} {
		if flag.given {
			return problem.New(problem.Usage, "-f and %s exclude each other", flag.name).Fix("put it into %s", c.File)
		}
	}
	return nil
}

// connector reads the connector's JSON, or makes one of the flags, so that there is one place that says what is wrong with it.
func (c *datagenWriteCmd) connector(a *app) (datagen.Config, error) {
	if c.File != "" {
		text, err := a.readInput(c.File)
		if err != nil {
			return datagen.Config{}, err
		}
		return datagen.ParseConfig(c.File, []byte(text), nil)
	}
	keys := map[string]any{"name": "datagen-" + c.Topic, "connector.class": "DatagenSource", "max.interval": 500, "output.data.format": "AVRO"}
	put := func(key string, value any, given bool) {
		if given {
			keys[key] = value
		}
	}
	put("kafka.topic", c.Topic, c.Topic != "")
	put("quickstart", c.Quickstart, c.Quickstart != "")
	put("schema.filename", c.Schema, c.Schema != "")
	put("schema.keyfield", c.Key, c.Key != "")
	put("output.data.format", strings.ToUpper(c.Format), c.Format != "")
	if c.MaxInterval != nil {
		keys["max.interval"] = time.Duration(*c.MaxInterval).Milliseconds()
	}
	put("iterations", c.Iterations, c.Iterations != 0)
	if c.Seed != nil {
		keys["random.seed"] = *c.Seed
	}
	if c.Tasks != nil {
		keys["tasks.max"] = *c.Tasks
	}
	text, err := json.Marshal(keys)
	if err != nil {
		return datagen.Config{}, err
	}
	config, err := datagen.ParseConfig("", text, nil)
	for _, p := range problem.Of(err) {
		p.Where = problem.Location{} // the user has not seen the JSON
	}
	return config, err
}

// Run runs the connector until it is interrupted, fails, or has written what it was asked for.
func (c *datagenWriteCmd) Run(a *app) error {
	connector, err := c.connector(a)
	if err != nil {
		return err
	}
	for _, s := range connector.Secrets() {
		a.secrets.Add(s)
	}
	if c.Show {
		_, err := fmt.Fprintln(a.out, connector.String())
		return err
	}
	o := silt.DatagenOptions{Connector: connector, Rate: float64(c.Rate), Log: a.log, RESTFile: c.RESTFile, RESTAddr: c.REST,
		OnREST: func(addr net.Addr) { a.say("connector http://%s · login in %s", addr, c.RESTFile) }}
	if c.Offsets != "" {
		if o.Offsets, err = datagen.OpenOffsets(c.Offsets); err != nil {
			return problem.New(problem.FileUnreadable, "the offsets cannot be read: %w", err).At(problem.File(c.Offsets)).
				Fix("name a file that an earlier run wrote, or one that does not exist")
		}
	}
	p, err := c.pipeline(a)
	if err != nil {
		return err
	}
	ctx, stop := a.interruptible("stopping: records on their way are waited for; once more stops at once")
	defer stop()
	o.OnStart = func() { c.announce(a, p, connector) }
	if a.terminal && !a.quiet && !a.machine {
		begin := time.Now()
		o.OnStatus = func(s datagen.Status) {
			if err := a.status.Show(datagenLine(s, time.Since(begin))); err != nil {
				a.log.Warn("the status cannot be written", "error", err)
			}
		}
	}
	status, err := silt.Datagen(ctx, p, o)
	if len(status.Tasks) == 0 {
		return err
	}
	if werr := c.report(a, connector, status); werr != nil && err == nil {
		err = werr
	}
	return err
}

// announce says what runs, and which keys of the connector have no effect here.
func (c *datagenWriteCmd) announce(a *app, p *config.Pipeline, connector datagen.Config) {
	pace := fmt.Sprintf("pauses of up to %s", connector.MaxInterval)
	switch {
	case c.Rate > 0:
		pace = fmt.Sprintf("%s records a second", strconv.FormatFloat(float64(c.Rate), 'f', -1, 64))
	case connector.MaxInterval == 0:
		pace = "no pauses"
	}
	a.say("%s writes %s to topic %s, %s, %s", connector.Name, connector.Output, connector.Topic, term.Plural(int64(connector.Tasks), "task"), pace)
	for _, n := range connector.Notes {
		a.say("no effect here: %s", n)
	}
	if len(connector.Registry.All()) > 0 && len(p.Registry.All()) > 0 {
		a.say("no effect here: value.converter.schema.registry.url: the registry is that of the pipeline file")
	}
}

func datagenLine(s datagen.Status, since time.Duration) string {
	states := map[datagen.State]int{}
	for _, t := range s.Tasks {
		states[t.State]++
	}
	line := fmt.Sprintf("  %s   %s", term.Plural(s.Records(), "record"), term.Rate(float64(s.Records())/since.Seconds()))
	if n := states[datagen.Failed]; n > 0 {
		line += fmt.Sprintf("   %s failed", term.Plural(int64(n), "task"))
	}
	return line + "   Ctrl-C stops"
}

// A generated is what programs read of a run.
type generated struct {
	Topic   string `json:"topic"`
	Records int64  `json:"records"`
	datagen.Status
}

func (c *datagenWriteCmd) report(a *app, connector datagen.Config, s datagen.Status) error {
	out := generated{Topic: connector.Topic, Records: s.Records(), Status: s}
	return a.result(c.Output, out, "wrote %s to %s", term.Plural(out.Records, "record"), connector.Topic)
}
