package main

import (
	"context"
	"math"

	"github.com/siltlake/silt/internal/kafka"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/term"
)

type topicCreateCmd struct {
	clusterFlags
	Topic       string            `arg:"" help:"The topic's name."`
	Partitions  int               `short:"p" default:"0" placeholder:"N" help:"Partitions; by default the broker's default."`
	Replication int               `name:"replication-factor" short:"r" default:"0" placeholder:"N" help:"Replicas of each partition; by default the broker's default."`
	Configs     map[string]string `name:"topic-config" placeholder:"KEY=VALUE" mapsep:"none" help:"A setting of the topic, such as retention.ms=86400000; may be repeated."`
	Yes         bool              `short:"y" help:"Create it though its name is easily taken for another topic's."`
	dryRunFlag
	outputFlag
}

// Validate is called by kong after the flags were read.
func (c *topicCreateCmd) Validate() error {
	switch {
	case c.Partitions < 0 || c.Partitions > math.MaxInt32:
		return problem.New(problem.Usage, "--partitions is %d; want 1 or more", c.Partitions)
	case c.Replication < 0 || c.Replication > math.MaxInt16:
		return problem.New(problem.Usage, "--replication-factor is %d; want 1 or more", c.Replication)
	}
	return nil
}

// Run creates the topic and prints it.
func (c *topicCreateCmd) Run(a *app) error {
	n := kafka.NewTopic{Name: c.Topic, Partitions: -1, Replication: -1, Config: c.Configs, Similar: c.Yes, DryRun: c.DryRun}
	if c.Partitions > 0 {
		n.Partitions = int32(c.Partitions)
	}
	if c.Replication > 0 {
		n.Replication = int16(c.Replication)
	}
	return c.withKafka(a, func(ctx context.Context, client *kafka.Client) error {
		partitions, replication, err := client.CreateTopic(ctx, n)
		if err != nil {
			return err
		}
		if c.DryRun {
			return a.result(c.Output, topicSummary{Name: c.Topic, Partitions: int(partitions), Replication: int(replication)},
				"the broker would create topic %s", c.Topic)
		}
		t, err := client.Topic(ctx, c.Topic)
		if err != nil {
			return err
		}
		d := descriptionOf(t)
		return a.result(c.Output, d, "created topic %s with %s", d.Name, term.Plural(int64(d.Partitions), "partition"))
	})
}
