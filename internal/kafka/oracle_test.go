package kafka

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/kafka/sourcetest"
	"github.com/siltlake/silt/internal/stream"
)

// An oracle is the simple way to read Kafka: franz-go's own consumer, a struct a record. The suite holds for it as it does for Source, so
// what the suite wants is what Kafka's clients give.
type oracle struct{ c sourcetest.Config }

var _ stream.Source = oracle{}

func TestTheSimpleWayPassesTheSuite(t *testing.T) {
	sourcetest.Run(t, func(_ *testing.T, c sourcetest.Config) stream.Source { return oracle{c} })
}

func (o oracle) client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(o.c.Brokers...), kgo.DisableClientMetrics()}, opts...)...)
}

func (o oracle) Bounds(ctx context.Context, _ stream.Offsets) (stream.Bounds, error) {
	cl, err := o.client()
	if err != nil {
		return stream.Bounds{}, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	first, err := adm.ListStartOffsets(ctx, o.c.Topics...)
	if err != nil {
		return stream.Bounds{}, err
	}
	list := adm.ListEndOffsets
	if o.c.ReadCommitted {
		list = adm.ListCommittedOffsets
	}
	next, err := list(ctx, o.c.Topics...)
	if err != nil {
		return stream.Bounds{}, errors.Join(err, first.Error(), next.Error())
	}
	b := stream.Bounds{First: stream.Offsets{}, Next: stream.Offsets{}}
	first.Each(func(l kadm.ListedOffset) { b.First.Set(l.Topic, l.Partition, l.Offset) })
	next.Each(func(l kadm.ListedOffset) { b.Next.Set(l.Topic, l.Partition, l.Offset) })
	return b, nil
}

// Fetch polls until every partition's position is at its range's end. Control records are kept for that: they move the position too.
func (o oracle) Fetch(ctx context.Context, ranges []stream.Range, out chan<- stream.Chunk) ([]stream.Gap, error) {
	from := map[string]map[int32]kgo.Offset{}
	left := map[stream.TopicPartition]stream.Range{}
	for _, r := range ranges {
		if r.Start < r.End {
			if from[r.Topic] == nil {
				from[r.Topic] = map[int32]kgo.Offset{}
			}
			from[r.Topic][r.Partition] = kgo.NewOffset().At(r.Start)
			left[r.TopicPartition] = r
		}
	}
	level := kgo.ReadUncommitted()
	if o.c.ReadCommitted {
		level = kgo.ReadCommitted()
	}
	cl, err := o.client(kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(level), kgo.KeepControlRecords(),
		kgo.FetchMaxWait(10*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return nil, err
		}
		var sent error
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			tp := stream.TopicPartition{Topic: p.Topic, Partition: p.Partition}
			if r, ok := left[tp]; ok && sent == nil {
				sent = send(ctx, out, left, r, p.Records)
			}
		})
		if sent != nil {
			return nil, sent
		}
	}
	return nil, nil
}

// send hands the records of a range on and shortens it.
func send(ctx context.Context, out chan<- stream.Chunk, left map[stream.TopicPartition]stream.Range, r stream.Range,
	records []*kgo.Record) error {
	c := &recordChunk{rng: r}
	c.rng.End = r.Start
	for _, rec := range records {
		if rec.Offset >= r.End {
			c.rng.End = r.End
			break
		}
		c.rng.End = rec.Offset + 1
		if !rec.Attrs.IsControl() {
			c.records = append(c.records, rec)
		}
	}
	if c.rng.End == r.Start {
		return nil
	}
	if r.Start = c.rng.End; r.Start < r.End {
		left[r.TopicPartition] = r
	} else {
		delete(left, r.TopicPartition)
	}
	select {
	case out <- c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (oracle) Publish(context.Context, stream.Offsets) {}

func (o oracle) Description() string { return fmt.Sprintf("KafkaV2[Subscribe[%s]]", o.c.Topics[0]) }

// A recordChunk gives records one at a time.
type recordChunk struct {
	rng     stream.Range
	records []*kgo.Record
	served  int64
}

func (c *recordChunk) Range() stream.Range { return c.rng }
func (c *recordChunk) Served() int64       { return c.served }
func (c *recordChunk) Release()            {}

func (c *recordChunk) Next(dst *stream.Records) (bool, error) {
	if int(c.served) == len(c.records) {
		return false, nil
	}
	r := c.records[c.served]
	c.served++
	span := func(b []byte) stream.Span {
		s := stream.Span{Off: uint32(len(dst.Buf)), Len: int32(len(b))}
		if b == nil {
			s.Len = -1
		}
		dst.Buf = append(dst.Buf, b...)
		return s
	}
	dst.TopicPartition, dst.TimestampType, dst.Buf = c.rng.TopicPartition, r.Attrs.TimestampType(), nil
	dst.Offset, dst.Timestamp = []int64{r.Offset}, []int64{r.Timestamp.UnixMilli()}
	dst.Key, dst.Value = []stream.Span{span(r.Key)}, []stream.Span{span(r.Value)}
	dst.Buf = append(dst.Buf, make([]byte, column.Slack)...)[:len(dst.Buf)]
	return true, nil
}
