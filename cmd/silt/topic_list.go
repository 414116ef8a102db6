package main

import (
	"context"
	"fmt"

	"github.com/siltlake/silt/internal/kafka"
	"github.com/siltlake/silt/internal/term"
)

type topicListCmd struct {
	clusterFlags
	Internal bool `help:"List Kafka's internal topics too."`
	outputFlag
}

// A topicSummary is a topic in a list.
type topicSummary struct {
	Name        string `json:"name"`
	Partitions  int    `json:"partitions"`
	Replication int    `json:"replicationFactor"`
	// Records is an upper bound, as kafka.Topic.Records; null if a leader does not answer.
	Records  *int64 `json:"records"`
	Internal bool   `json:"internal"`
}

func summaryOf(t kafka.Topic) topicSummary {
	s := topicSummary{Name: t.Name, Partitions: len(t.Partitions), Replication: t.Replication(), Internal: t.Internal}
	if n, ok := t.Records(); ok {
		s.Records = &n
	}
	return s
}

// count writes a number that may not be known.
func count(n *int64) string {
	if n == nil {
		return "-"
	}
	return term.Count(*n)
}

// Run lists the topics that the user may see.
func (c *topicListCmd) Run(a *app) error {
	return c.withKafka(a, func(ctx context.Context, client *kafka.Client) error {
		topics, err := client.Topics(ctx, c.Internal)
		if err != nil {
			return err
		}
		list := make([]topicSummary, len(topics))
		for i, t := range topics {
			list[i] = summaryOf(t)
		}
		if c.Output.Machine() {
			return term.WriteList(a.out, c.Output, list)
		}
		if len(list) == 0 {
			a.say("no topics; silt topic create NAME makes one")
		}
		table := term.NewTable(term.Column{Name: "topic"}, term.Column{Name: "partitions", Right: true},
			term.Column{Name: "replicas", Right: true}, term.Column{Name: "records", Right: true})
		for _, t := range list {
			table.Row(t.Name, fmt.Sprint(t.Partitions), fmt.Sprint(t.Replication), count(t.Records))
		}
		return table.Write(a.out, "")
	})
}
