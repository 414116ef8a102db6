package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/siltlake/silt/internal/kafka"
	"github.com/siltlake/silt/internal/term"
)

type topicDescribeCmd struct {
	clusterFlags
	Topic string `arg:"" help:"The topic."`
	outputFlag
}

// A topicDescription is a topic with everything in it.
type topicDescription struct {
	topicSummary
	ID          string           `json:"id,omitempty"`
	PartitionOf []topicPartition `json:"partitionList"`
	Config      []topicSetting   `json:"config"` // what differs from Kafka's defaults; null if the user may not see it
}

type topicPartition struct {
	Partition int32   `json:"partition"`
	Leader    *int32  `json:"leader"` // null: none at the moment
	Replicas  []int32 `json:"replicas"`
	ISR       []int32 `json:"isr"`
	// First is the first offset and Next one past the last that can be read; null if the leader does not say.
	First *int64 `json:"first"`
	Next  *int64 `json:"next"`
}

type topicSetting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"` // topic or broker
}

func descriptionOf(t kafka.Topic) topicDescription {
	d := topicDescription{topicSummary: summaryOf(t), ID: t.ID}
	known := func(n int64) *int64 {
		if n < 0 {
			return nil
		}
		return &n
	}
	for _, p := range t.Partitions {
		q := topicPartition{Partition: p.Partition, Replicas: p.Replicas, ISR: p.ISR, First: known(p.First), Next: known(p.Next)}
		if p.Leader >= 0 {
			q.Leader = &p.Leader
		}
		d.PartitionOf = append(d.PartitionOf, q)
	}
	if t.Config != nil {
		d.Config = []topicSetting{}
	}
	for _, s := range t.Config {
		d.Config = append(d.Config, topicSetting(s))
	}
	return d
}

// Run describes the topic.
func (c *topicDescribeCmd) Run(a *app) error {
	return c.withKafka(a, func(ctx context.Context, client *kafka.Client) error {
		t, err := client.Topic(ctx, c.Topic)
		if err != nil {
			return err
		}
		d := descriptionOf(t)
		if c.Output.Machine() {
			return term.WriteJSON(a.out, d)
		}
		return d.write(a.out)
	})
}

// write prints the description for people.
func (d topicDescription) write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s, at most %s records\npartitions\n", d.Name, term.Plural(int64(d.Partitions), "partition"), count(d.Records))
	table := term.NewTable(term.Column{Name: "partition", Right: true}, term.Column{Name: "leader", Right: true}, term.Column{Name: "replicas"},
		term.Column{Name: "in sync"}, term.Column{Name: "first", Right: true}, term.Column{Name: "next", Right: true})
	for _, p := range d.PartitionOf {
		leader := "none"
		if p.Leader != nil {
			leader = fmt.Sprint(*p.Leader)
		}
		table.Row(fmt.Sprint(p.Partition), leader, joinIDs(p.Replicas), joinIDs(p.ISR), count(p.First), count(p.Next))
	}
	if err := table.Write(&b, "  "); err != nil {
		return err
	}
	switch {
	case d.Config == nil:
		b.WriteString("configuration: this user may not see it\n")
	case len(d.Config) == 0:
		b.WriteString("configuration: all defaults\n")
	default:
		b.WriteString("configuration that is not the default\n")
		settings := term.NewTable(term.Column{Name: "key"}, term.Column{Name: "value"}, term.Column{Name: "set for"})
		for _, s := range d.Config {
			settings.Row(s.Key, s.Value, s.Source)
		}
		if err := settings.Write(&b, "  "); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func joinIDs(ids []int32) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = fmt.Sprint(id)
	}
	return strings.Join(texts, ",")
}
