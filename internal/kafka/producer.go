package kafka

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/siltlake/silt/internal/problem"
)

const (
	// produceTimeout is how long nothing may be acknowledged while records are on their way. franz-go's own RecordDeliveryTimeout counts from
	// a record's timestamp, which may be any.
	produceTimeout = 30 * time.Second
	// produceBuffered is how many bytes may be on their way; Produce waits for room.
	produceBuffered = 32 << 20
)

// A Producer writes records to one topic, idempotently and with acks=all, in the order given for each partition. Produce and Close belong to
// one goroutine.
type Producer struct {
	c          *Client // of its own: a producer's options are not a reader's
	topic      string
	partitions int

	ctx      context.Context // of the records; ends at the first timeout
	cancel   context.CancelCauseFunc
	watchdog *time.Timer // runs while records are on their way

	mu      sync.Mutex
	open    int // records on their way
	written int64
	failed  error // the first failure
}

var errNoAck = fmt.Errorf("the broker acknowledged nothing within %v", produceTimeout)

// NewProducer returns a producer for a topic, which must exist. What it was given and is not acknowledged is given up when ctx ends.
func (c *Client) NewProducer(ctx context.Context, topic string) (*Producer, error) {
	limited, cancel := adminContext(ctx)
	defer cancel()
	t, err := c.findTopic(limited, topic)
	if err != nil {
		return nil, err
	}
	// Of the codecs, gzip is the only one that every client can read as it comes: kafkajs has no other.
	own, err := newClient(c.opts, c.log, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.MaxBufferedBytes(produceBuffered),
		kgo.RecordPartitioner(chosenPartition{kgo.StickyKeyPartitioner(nil)}),
		kgo.ProducerBatchCompression(kgo.GzipCompression().WithLevel(gzip.BestSpeed), kgo.NoCompression()))
	if err != nil {
		return nil, err
	}
	p := &Producer{c: own, topic: topic, partitions: len(t.Partitions)}
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	p.watchdog = time.AfterFunc(produceTimeout, func() { p.cancel(errNoAck) })
	p.watchdog.Stop()
	return p, nil
}

// Partitions is how many partitions the topic has.
func (p *Producer) Partitions() int { return p.partitions }

// Produce takes a record; it waits only while too much is on its way. Its error is that of an earlier record: nothing more should be given.
// A record whose Partition is negative goes where Java's client would put it: by murmur2 of its key, anywhere without one.
//
// REQUIRES: r.Partition < p.Partitions().
func (p *Producer) Produce(r Record) error {
	p.mu.Lock()
	failed := p.failed
	if failed == nil {
		if p.open++; p.open == 1 {
			p.watchdog.Reset(produceTimeout)
		}
	}
	p.mu.Unlock()
	if failed != nil {
		return p.problem(failed)
	}
	k := &kgo.Record{Topic: p.topic, Partition: r.Partition, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		k.Headers = append(k.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	p.c.kgo.Produce(p.ctx, k, func(_ *kgo.Record, err error) { p.acknowledged(err) })
	return nil
}

// acknowledged notes what became of a record.
func (p *Producer) acknowledged(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.written++
	} else if p.failed == nil {
		p.failed = err
	}
	if p.open--; p.open > 0 {
		p.watchdog.Reset(produceTimeout)
	} else {
		p.watchdog.Stop()
	}
}

// Flush waits until everything that was given is written or has failed, or for ctx, and returns how many records are written.
func (p *Producer) Flush(ctx context.Context) (written int64, err error) {
	err = p.c.kgo.Flush(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil {
		err = p.failed
	}
	return p.written, p.problem(err)
}

// Close closes the producer's connections. What was not flushed may be lost.
func (p *Producer) Close() {
	p.cancel(nil)
	p.c.Close()
	p.watchdog.Stop()
}

// problem says why a record was not written.
func (p *Producer) problem(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.MessageTooLarge):
		return problem.New(problem.BrokerError, "a record is larger than topic %s takes: %w", p.topic, err).
			At(problem.Location{Topic: p.topic}).Fix("raise the topic's max.message.bytes, or produce smaller records")
	case errors.Is(context.Cause(p.ctx), errNoAck):
		q := problem.New(problem.BrokerUnreachable, "records for topic %s were not acknowledged within %s", p.topic, produceTimeout).Because(err).
			At(problem.Location{Topic: p.topic}).Fix("check that enough replicas are in sync: silt topic describe %s", p.topic)
		q.Retryable = true
		return q
	}
	return p.c.adminProblem(p.ctx, "write to", p.topic, err, "")
}

// A chosenPartition lets records name their partition, and asks its own partitioner for the others.
type chosenPartition struct{ kgo.Partitioner }

// ForTopic implements kgo.Partitioner.
func (c chosenPartition) ForTopic(topic string) kgo.TopicPartitioner {
	return chosenTopicPartition{c.Partitioner.ForTopic(topic)}
}

type chosenTopicPartition struct{ kgo.TopicPartitioner }

// RequiresConsistency implements kgo.TopicPartitioner: a record that names a partition goes nowhere else.
func (c chosenTopicPartition) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition >= 0 || c.TopicPartitioner.RequiresConsistency(r)
}

// Partition implements kgo.TopicPartitioner.
func (c chosenTopicPartition) Partition(r *kgo.Record, n int) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return c.TopicPartitioner.Partition(r, n)
}

// OnNewBatch implements kgo.TopicPartitionerOnNewBatch.
func (c chosenTopicPartition) OnNewBatch() {
	if b, ok := c.TopicPartitioner.(kgo.TopicPartitionerOnNewBatch); ok {
		b.OnNewBatch()
	}
}
