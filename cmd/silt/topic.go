package main

import (
	"context"

	"github.com/siltlake/silt"
	"github.com/siltlake/silt/internal/kafka"
)

type topicCmd struct {
	List     topicListCmd     `cmd:"" help:"List the topics."`
	Describe topicDescribeCmd `cmd:"" help:"Show a topic's partitions, offsets and configuration."`
	Create   topicCreateCmd   `cmd:"" help:"Create a topic."`
	Delete   topicDeleteCmd   `cmd:"" help:"Delete a topic with all its records."`
	Peek     topicPeekCmd     `cmd:"" help:"Show records of a topic, decoded."`
	Produce  topicProduceCmd  `cmd:"" help:"Write records to a topic, from JSON lines on stdin."`
}

// withKafka calls do with a client of the cluster.
func (f clusterFlags) withKafka(a *app, do func(context.Context, *kafka.Client) error) error {
	p, err := f.pipeline(a)
	if err != nil {
		return err
	}
	ctx, stop := a.interruptible("stopping")
	defer stop()
	c, err := silt.Kafka(ctx, p, a.log)
	if err != nil {
		return err
	}
	defer c.Close()
	return do(ctx, c)
}
