package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Send takes a record and calls promise once it is written or never will be, with a *problem.Problem then. It may block while too much is
// on its way. Unlike Produce it never gives up a record that the cluster is slow to take, until ctx ends; Flush does not count it. It may
// be called concurrently. The record's topic is the producer's; a partition that is negative is chosen by the key.
func (p *Producer) Send(ctx context.Context, r *kgo.Record, promise func(*kgo.Record, error)) {
	r.Topic = p.topic
	p.c.kgo.Produce(ctx, r, func(r *kgo.Record, err error) { promise(r, p.problem(err)) })
}
