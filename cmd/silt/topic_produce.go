package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/siltlake/silt"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/term"
)

type topicProduceCmd struct {
	clusterFlags
	Topic     string `arg:"" help:"The topic."`
	ValueOnly bool   `help:"Each line is a value; without it a line is an object of key, value, headers, partition and timestamp."`
	Schema    string `placeholder:"FILE" help:"An Avro schema to register for the values."`
	SchemaID  *int32 `placeholder:"N" help:"The id of the values' schema in the registry."`
	Subject   string `placeholder:"NAME" help:"The subject whose latest schema is used, or under which --schema is registered; by default TOPIC-value."`
	dryRunFlag
	outputFlag
}

// Validate is called by kong after the flags were read.
func (c *topicProduceCmd) Validate() error {
	switch {
	case c.SchemaID != nil && c.Schema != "":
		return problem.New(problem.Usage, "--schema-id and --schema exclude each other")
	case c.SchemaID != nil && c.Subject != "":
		return problem.New(problem.Usage, "--schema-id and --subject exclude each other")
	case c.Schema == "-":
		return problem.New(problem.Usage, "--schema cannot be stdin, which has the records")
	case c.SchemaID != nil && *c.SchemaID < 0:
		return problem.New(problem.Usage, "--schema-id is %d; want 0 or more", *c.SchemaID)
	}
	return nil
}

// maxBadLines is how many bad lines are described; all are counted.
const maxBadLines = 20

// Run writes the records. Bad lines are left out, and make it fail in the end.
func (c *topicProduceCmd) Run(a *app) error {
	p, err := c.pipeline(a)
	if err != nil {
		return err
	}
	var bad problem.List
	o := silt.ProduceOptions{Topic: c.Topic, Lines: a.stdin, ValueOnly: c.ValueOnly, SchemaID: c.SchemaID, Subject: c.Subject, DryRun: c.DryRun,
		Log: a.log, Bad: func(q *problem.Problem) {
			if len(bad) < maxBadLines {
				bad = append(bad, q)
			}
		}}
	if c.Schema != "" {
		if o.Schema, err = a.readInput(c.Schema); err != nil {
			return err
		}
	}
	if a.interactive {
		a.say("one JSON object a line; Ctrl-D ends")
	}
	ctx, stop := a.interruptible("stopping")
	defer stop()
	done, err := silt.Produce(ctx, p, o)
	if a.interactive && errors.Is(err, context.Canceled) {
		err = nil // Ctrl-C is an end as good as Ctrl-D
	}
	if err == nil || done.Written > 0 || done.Bad > 0 {
		if werr := c.report(a, done); werr != nil {
			return errors.Join(err, werr)
		}
	}
	if err == nil && done.Bad > 0 {
		if more := done.Bad - int64(len(bad)); more > 0 {
			bad = append(bad, problem.New(problem.BadRecord, "%s more are bad", term.Plural(more, "line")))
		}
		return bad
	}
	return err
}

func (c *topicProduceCmd) report(a *app, done silt.Produced) error {
	verb := "wrote"
	if done.DryRun {
		verb = "would write"
	}
	line := fmt.Sprintf("%s %s to %s", verb, term.Plural(done.Written, "record"), done.Topic)
	if done.SchemaID != nil {
		line += fmt.Sprintf(" with schema id %d", *done.SchemaID)
	}
	if done.Bad > 0 {
		line += fmt.Sprintf(", left out %s", term.Plural(done.Bad, "bad line"))
	}
	return a.result(c.Output, done, "%s", line)
}
