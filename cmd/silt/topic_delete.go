package main

import (
	"context"

	"github.com/siltlake/silt/internal/kafka"
	"github.com/siltlake/silt/internal/term"
)

type topicDeleteCmd struct {
	clusterFlags
	Topic string `arg:"" help:"The topic."`
	Yes   string `short:"y" placeholder:"NAME" help:"The topic's name once more; without it silt asks on a terminal."`
	dryRunFlag
	outputFlag
}

// Run deletes the topic after a confirmation.
func (c *topicDeleteCmd) Run(a *app) error {
	return c.withKafka(a, func(ctx context.Context, client *kafka.Client) error {
		t, err := client.Topic(ctx, c.Topic)
		if err != nil {
			return err
		}
		s := summaryOf(t)
		if c.DryRun {
			return a.result(c.Output, deletedTopic{s, false}, "silt would delete topic %s: %s, at most %s records", s.Name,
				term.Plural(int64(s.Partitions), "partition"), count(s.Records))
		}
		if c.Yes == "" {
			a.say("topic %s has %s and at most %s records", s.Name, term.Plural(int64(s.Partitions), "partition"), count(s.Records))
		}
		if err := a.confirm("topic", c.Topic, c.Yes); err != nil {
			return err
		}
		if err := client.DeleteTopic(ctx, c.Topic); err != nil {
			return err
		}
		return a.result(c.Output, deletedTopic{s, true}, "deleted topic %s", c.Topic)
	})
}

// A deletedTopic is a topic as it was.
type deletedTopic struct {
	topicSummary
	Deleted bool `json:"deleted"`
}
