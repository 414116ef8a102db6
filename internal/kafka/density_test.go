package kafka

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/siltlake/silt/internal/kafka/sourcetest"
	"github.com/siltlake/silt/internal/stream"
)

func TestDensityRisesAtOnceAndFallsByHalves(t *testing.T) {
	tests := []struct {
		name       string
		had, seen  density
		want       density
		worthOf100 int32 // of what is at most 600,000
	}{
		{"nothing known before", density{}, density{1000, 50_000}, density{1000, 50_000}, 225_000},
		{"more", density{1000, 50_000}, density{4000, 80_000}, density{4000, 80_000}, 600_000},
		{"less", density{1000, 50_000}, density{400, 20_000}, density{700, 35_000}, 157_500},
		{"one of each", density{1000, 50_000}, density{2000, 10_000}, density{2000, 30_000}, 310_000},
		{"so little that a round trip costs more", density{}, density{1, 70}, density{1, 70}, leastAsk},
	}
	for _, tt := range tests {
		got := tt.had.after(tt.seen)
		if worth := got.worth(100, 600_000); got != tt.want || worth != tt.worthOf100 {
			t.Errorf("%s: got %+v, worth %d; want %+v, %d", tt.name, got, worth, tt.want, tt.worthOf100)
		}
	}
	if worth := (density{1e6, 1 << 30}).worth(math.MaxInt64, maxAnswer); worth != maxAnswer {
		t.Errorf("all offsets there can be are worth %d", worth)
	}
}

// fetches is what a source asked a broker for and what came.
type fetches struct {
	mu    sync.Mutex
	asked []int32      // bytes, a partition of a request
	bytes atomic.Int64 // of the answers
	n     atomic.Int64 // requests
}

func (f *fetches) OnBrokerRead(_ kgo.BrokerMetadata, key int16, n int, _, _ time.Duration, err error) {
	if key == int16(kmsg.Fetch) && err == nil {
		f.bytes.Add(int64(n))
	}
}

// watched is a source over a topic, and what it fetches.
func watched(t *testing.T, p *sourcetest.Topic, change func(*Options)) (*Source, *fetches) {
	t.Helper()
	o := testOptions(p.Brokers, clicks)
	if change != nil {
		change(&o)
	}
	f := &fetches{}
	cl, err := newClient(o, nil, kgo.WithHooks(f))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	p.Cluster.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		p.Cluster.KeepControl()
		f.n.Add(1)
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, topic := range r.(*kmsg.FetchRequest).Topics {
			for _, part := range topic.Partitions {
				f.asked = append(f.asked, part.PartitionMaxBytes)
			}
		}
		return nil, nil, false
	})
	s := NewSource(cl, SourceConfig{})
	s.backoffMin, s.backoffMax, s.fetchWait, s.doubtPause = time.Millisecond, 10*time.Millisecond, 10*time.Millisecond, time.Millisecond
	return s, f
}

// heavy fills a partition with batches of ten records of so many bytes that do not compress.
func heavy(t *testing.T, p *sourcetest.Topic, partition int32, batches, recordBytes int) {
	t.Helper()
	cl := p.Client(t, kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer cl.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	for range batches {
		rs := make([]*kgo.Record, 10)
		for i := range rs {
			v := make([]byte, recordBytes)
			for j := range v {
				v[j] = byte(rng.Uint32())
			}
			rs[i] = &kgo.Record{Partition: partition, Value: v, Timestamp: time.UnixMilli(1_700_000_000_000)}
		}
		p.Batch(t, cl, true, rs...)
	}
}

// TestSmallRangesFetchLittleMoreThanTheyHold reads a backlog in ranges that begin and end within record batches: after the first fetch,
// which knows nothing, no more comes from beyond a range than the batches that it ends in and a little.
func TestSmallRangesFetchLittleMoreThanTheyHold(t *testing.T) {
	const recordBytes, step = 1000, 33
	p := sourcetest.NewTopic(t, clicks, 2, nil, kfake.NumBrokers(1))
	for partition := range int32(2) {
		heavy(t, p, partition, 100, recordBytes)
	}
	s, f := watched(t, p, nil)
	at := func(start int64) []stream.Range {
		var ranges []stream.Range
		for partition := range int32(2) {
			tp := stream.TopicPartition{Topic: clicks, Partition: partition}
			ranges = append(ranges, stream.Range{TopicPartition: tp, Start: start, End: start + step})
		}
		return ranges
	}
	checkAll(t, s, p, at(0))
	if first := f.asked; len(first) != 2 || first[0] != defaultPartitionMaxBytes || first[1] != defaultPartitionMaxBytes {
		t.Errorf("a source that knows nothing asked for %v", first)
	}
	f.asked = nil
	f.n.Store(0)
	f.bytes.Store(0)
	var needed, ranges int64
	for start := int64(step); start+step <= 800; start += step {
		checkAll(t, s, p, at(start))
		needed += 2 * step * recordBytes
		ranges++
	}
	if n := f.n.Load(); n != ranges {
		t.Errorf("%d requests for %d times two ranges of one broker", n, ranges)
	}
	for _, asked := range f.asked {
		if most := int32(1.25*step*(recordBytes+20)) + 2*11*recordBytes; asked > most {
			t.Errorf("asked for %d bytes for a range of %d; want at most %d", asked, step*recordBytes, most)
		}
	}
	got := float64(f.bytes.Load()) / float64(needed)
	t.Logf("%.2f bytes fetched for one needed", got)
	if got > 2.2 { // the ranges' first and last batches, and a quarter
		t.Errorf("%.2f bytes fetched for one needed", got)
	}
}

func TestLargeRangesTakeNoMoreFetchesOnceTheTopicIsKnown(t *testing.T) {
	p := sourcetest.NewTopic(t, clicks, 2, nil, kfake.NumBrokers(1))
	for partition := range int32(2) {
		heavy(t, p, partition, 60, 1000)
	}
	s, f := watched(t, p, func(o *Options) { o.PartitionMaxBytes = 100_000 })
	ranges := sourcetest.Whole(t, s)
	checkAll(t, s, p, ranges)
	first := f.n.Swap(0)
	checkAll(t, s, p, ranges)
	if again := f.n.Load(); again > first {
		t.Errorf("%d fetches, and %d once the topic was known", first, again)
	}
}

// TestRecordsThatGrowCostARoundTripOrTwo makes the estimate wrong: by it not even one of the later batches fits. A broker answers nothing
// at all for such a partition if another one has data, so nothing but asking for more helps.
func TestRecordsThatGrowCostARoundTripOrTwo(t *testing.T) {
	p := sourcetest.NewTopic(t, clicks, 8, nil, kfake.NumBrokers(1))
	for partition := range int32(8) {
		heavy(t, p, partition, 2, 100)
	}
	s, f := watched(t, p, nil)
	checkAll(t, s, p, sourcetest.Whole(t, s))
	known := map[stream.TopicPartition]int64{}
	for _, r := range sourcetest.Whole(t, s) {
		known[r.TopicPartition] = r.End
	}
	for partition := range int32(8) {
		heavy(t, p, partition, 3, 20_000)
	}
	var ranges []stream.Range
	for _, r := range sourcetest.Whole(t, s) {
		r.Start = known[r.TopicPartition]
		ranges = append(ranges, r)
	}
	f.n.Store(0)
	checkAll(t, s, p, ranges)
	if n := f.n.Load(); n > 3 { // one that brings the first partition's batches alone, and then all that is asked for
		t.Errorf("%d fetches", n)
	}
}

// TestManyPartitionsShareARequestIfTheyNeedLittle: what a request may bring is bounded by bytes, not by partitions.
func TestManyPartitionsShareARequestIfTheyNeedLittle(t *testing.T) {
	p := filled(t, 40, 2, nil, kfake.NumBrokers(1))
	s, f := watched(t, p, func(o *Options) { o.FetchMaxBytes, o.PartitionMaxBytes = 40*leastAsk, 4*leastAsk })
	ranges := sourcetest.Whole(t, s)
	for _, want := range []int64{4, 1} { // ten partitions a request as long as nothing is known, then all
		f.n.Store(0)
		checkAll(t, s, p, ranges)
		if n := f.n.Load(); n != want {
			t.Errorf("%d fetches, want %d", n, want)
		}
	}
}
