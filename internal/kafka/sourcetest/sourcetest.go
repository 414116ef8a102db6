// Package sourcetest is the suite that every stream.Source over Kafka passes: every offset of a range once and in order, whatever codec,
// batch size, transactions and compaction made of the log, and wherever ranges end.
package sourcetest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/stream"
)

// Config says what the source under test reads.
type Config struct {
	Brokers       []string
	Topics        []string
	ReadCommitted bool
}

// Open returns the source under test; it registers with t what closes it.
type Open func(t *testing.T, c Config) stream.Source

// timeout bounds each test of the suite.
const timeout = 30 * time.Second

// A Record is a record of a log, or as a source gave it. Nil is null.
type Record struct {
	Offset, Timestamp int64
	TimestampType     int8
	Key, Value        []byte
}

func (r Record) equal(o Record) bool {
	return r.Offset == o.Offset && r.Timestamp == o.Timestamp && r.TimestampType == o.TimestampType && same(r.Key, o.Key) &&
		same(r.Value, o.Value)
}

func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// A Log is what a topic's partitions hold, as its producers know it.
type Log map[int32][]Record

// Add adds a record that was acknowledged.
func (l Log) Add(r *kgo.Record) {
	l[r.Partition] = append(l[r.Partition], Record{Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value})
}

// Sort orders the records of each partition by offset.
func (l Log) Sort() {
	for _, rs := range l {
		slices.SortFunc(rs, func(a, b Record) int { return int(a.Offset - b.Offset) })
	}
}

// In returns a partition's records in a range of offsets.
func (l Log) In(r stream.Range) []Record {
	var in []Record
	for _, rec := range l[r.Partition] {
		if rec.Offset >= r.Start && rec.Offset < r.End {
			in = append(in, rec)
		}
	}
	return in
}

// Fetch fetches the ranges with two workers and returns their records. It fails the test where the chunks and gaps do not cover each
// range once and in order, or hold what they should not.
func Fetch(t *testing.T, src stream.Source, ranges []stream.Range) (map[stream.TopicPartition][]Record, []stream.Gap) {
	t.Helper()
	records, gaps, err := TryFetch(t, src, ranges)
	if err != nil {
		t.Fatalf("fetch %v: %v", ranges, err)
	}
	return records, gaps
}

// TryFetch is Fetch for ranges that may end in an error; then the chunks need not cover them.
func TryFetch(t *testing.T, src stream.Source, ranges []stream.Range) (map[stream.TopicPartition][]Record, []stream.Gap, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	out := make(chan stream.Chunk)
	var order sync.Mutex // taking a chunk and noting it is one step
	var taken []*walked
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			var dst stream.Records
			for {
				order.Lock()
				c, ok := <-out
				if !ok {
					order.Unlock()
					return
				}
				w := &walked{rng: c.Range()}
				taken = append(taken, w)
				order.Unlock()
				w.walk(c, &dst)
			}
		})
	}
	gaps, err := src.Fetch(ctx, ranges, out)
	close(out)
	wg.Wait()
	records := map[stream.TopicPartition][]Record{}
	for _, w := range taken {
		if w.err != nil && err == nil {
			err = w.err
		}
		records[w.rng.TopicPartition] = append(records[w.rng.TopicPartition], w.records...)
	}
	if err == nil {
		if cerr := covers(ranges, taken, gaps); cerr != nil {
			t.Error(cerr)
		}
	}
	return records, gaps, err
}

// A walked is a chunk that a worker walked to its end.
type walked struct {
	rng     stream.Range
	records []Record
	err     error
}

func (w *walked) walk(c stream.Chunk, dst *stream.Records) {
	defer c.Release()
	for {
		more, err := c.Next(dst)
		if err != nil {
			w.err = err
			return
		}
		if !more {
			break
		}
		if w.err = w.add(dst); w.err != nil {
			return
		}
	}
	if int(c.Served()) != len(w.records) {
		w.err = fmt.Errorf("chunk %v served %d records and says %d", w.rng, len(w.records), c.Served())
	}
}

func (w *walked) add(r *stream.Records) error {
	n := len(r.Offset)
	switch {
	case n == 0 || len(r.Timestamp) != n || len(r.Key) != n || len(r.Value) != n:
		return fmt.Errorf("chunk %v gave %d offsets, %d timestamps, %d keys, %d values", w.rng, n, len(r.Timestamp), len(r.Key), len(r.Value))
	case cap(r.Buf)-len(r.Buf) < column.Slack:
		return fmt.Errorf("chunk %v: %d bytes of capacity past the buffer", w.rng, cap(r.Buf)-len(r.Buf))
	case r.TopicPartition != w.rng.TopicPartition:
		return fmt.Errorf("chunk %v gave records of %v", w.rng, r.TopicPartition)
	}
	for i, offset := range r.Offset {
		if offset < w.rng.Start || offset >= w.rng.End {
			return fmt.Errorf("chunk %v gave offset %d", w.rng, offset)
		}
		w.records = append(w.records, Record{Offset: offset, Timestamp: r.Timestamp[i], TimestampType: r.TimestampType,
			Key: cut(r.Buf, r.Key[i]), Value: cut(r.Buf, r.Value[i])})
	}
	return nil
}

func cut(b []byte, s stream.Span) []byte {
	if s.Len < 0 {
		return nil
	}
	return append([]byte{}, b[s.Off:int(s.Off)+int(s.Len)]...)
}

// covers says where chunks, in the order in which they were sent, and gaps do not cover each range exactly once.
func covers(ranges []stream.Range, taken []*walked, gaps []stream.Gap) error {
	for _, r := range ranges {
		at := r.Start
		skip := func() {
			for again := true; again; {
				again = false
				for _, g := range gaps {
					if g.TopicPartition == r.TopicPartition && g.From == at && g.To > at {
						at, again = g.To, true
					}
				}
			}
		}
		skip()
		for _, w := range taken {
			if w.rng.TopicPartition != r.TopicPartition {
				continue
			}
			if w.rng.Start != at || w.rng.End <= at {
				return fmt.Errorf("range %v: chunk %d to %d follows offset %d", r, w.rng.Start, w.rng.End, at)
			}
			at = w.rng.End
			skip()
		}
		if at != r.End {
			return fmt.Errorf("range %v: chunks and gaps end at %d", r, at)
		}
	}
	return nil
}

// Check compares what a source gave of a topic with the log.
func Check(t *testing.T, topic string, log Log, ranges []stream.Range, got map[stream.TopicPartition][]Record) {
	t.Helper()
	for _, r := range ranges {
		want, have := log.In(r), got[stream.TopicPartition{Topic: topic, Partition: r.Partition}]
		var in []Record
		for _, rec := range have {
			if rec.Offset >= r.Start && rec.Offset < r.End {
				in = append(in, rec)
			}
		}
		if !slices.EqualFunc(want, in, Record.equal) {
			t.Errorf("%v: got %d records, want %d%s", r, len(in), len(want), firstDifference(want, in))
			return
		}
	}
}

func firstDifference(want, got []Record) string {
	for i := range want {
		if i >= len(got) || !want[i].equal(got[i]) {
			g := Record{Offset: -1}
			if i < len(got) {
				g = got[i]
			}
			return fmt.Sprintf("; the first that differs: got %+v, want %+v", g, want[i])
		}
	}
	return ""
}

// A Topic is a topic on a fake cluster, with producers that know what they wrote.
type Topic struct {
	Name    string
	Brokers []string
	Log     Log
	Cluster *kfake.Cluster
}

// NewTopic starts a cluster with one topic; the test's end stops it.
func NewTopic(t *testing.T, name string, partitions int32, configs map[string]string, opts ...kfake.Opt) *Topic {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(2)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.CreateTopic(name, partitions, configs); err != nil {
		t.Fatal(err)
	}
	return &Topic{Name: name, Brokers: c.ListenAddrs(), Log: Log{}, Cluster: c}
}

// Client returns a producer's client that writes a batch whenever it is flushed.
func (p *Topic) Client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(p.Brokers...), kgo.ManualFlushing(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxBufferedRecords(1 << 20), kgo.DefaultProduceTopic(p.Name), kgo.DisableClientMetrics()}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// Batch produces records as one batch a partition and notes those that were acknowledged, unless they are not to count.
func (p *Topic) Batch(t *testing.T, cl *kgo.Client, counts bool, records ...*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	var mu sync.Mutex
	var failed error
	for _, r := range records {
		cl.Produce(ctx, r, func(r *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
			} else if counts {
				p.Log.Add(r)
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if failed != nil {
		t.Fatal(failed)
	}
	p.Log.Sort()
}

// Records makes n records of a partition with keys, values, nulls and headers of all sorts.
func Records(rng *rand.Rand, partition int32, n int) []*kgo.Record {
	records := make([]*kgo.Record, n)
	for i := range records {
		r := &kgo.Record{Partition: partition, Timestamp: time.UnixMilli(1_700_000_000_000 + rng.Int64N(1e6))}
		r.Key, r.Value = field(rng, 20), field(rng, 300)
		for range rng.IntN(3) {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: "h", Value: field(rng, 10)})
		}
		records[i] = r
	}
	return records
}

// field is null, empty, or text that compresses.
func field(rng *rand.Rand, most int) []byte {
	switch rng.IntN(8) {
	case 0:
		return nil
	case 1:
		return []byte{}
	}
	b := make([]byte, rng.IntN(most))
	for i := range b {
		b[i] = "abcdefgh"[rng.IntN(8)]
	}
	return b
}

// Whole returns the ranges of everything that the source says is there.
func Whole(t *testing.T, src stream.Source) []stream.Range {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	b, err := src.Bounds(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	var ranges []stream.Range
	for tp, end := range b.Next.All() {
		start, _ := b.First.Get(tp.Topic, tp.Partition)
		ranges = append(ranges, stream.Range{TopicPartition: tp, Start: start, End: end, TopicID: b.TopicIDs[tp.Topic]})
	}
	return ranges
}
