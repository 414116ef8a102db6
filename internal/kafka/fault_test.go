package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/siltlake/silt/internal/kafka/sourcetest"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

const clicks = "clickstreams"

// filled is a topic with so many batches of ten records in each partition.
func filled(t *testing.T, partitions int32, batches int, configs map[string]string, opts ...kfake.Opt) *sourcetest.Topic {
	t.Helper()
	p := sourcetest.NewTopic(t, clicks, partitions, configs, opts...)
	cl := p.Client(t, kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	rng := rand.New(rand.NewPCG(1, 2))
	for range batches {
		var all []*kgo.Record
		for part := range partitions {
			all = append(all, sourcetest.Records(rng, part, 10)...)
		}
		p.Batch(t, cl, true, all...)
	}
	cl.Close()
	return p
}

// A logBuffer collects log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// checkAll fetches the ranges and compares them with the topic's log; all of the budget must be free again.
func checkAll(t *testing.T, s *Source, p *sourcetest.Topic, ranges []stream.Range) {
	t.Helper()
	records, gaps := sourcetest.Fetch(t, s, ranges)
	if len(gaps) > 0 {
		t.Errorf("gaps %v", gaps)
	}
	sourcetest.Check(t, p.Name, p.Log, ranges, records)
	checkBudget(t, s)
}

func checkBudget(t *testing.T, s *Source) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	n, err := s.budget.Acquire(ctx, s.budget.Size())
	if err != nil {
		t.Fatal("a part of the budget was not given back")
	}
	s.budget.Release(n)
}

func TestFetchPassesOverEveryPassingError(t *testing.T) {
	for _, e := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch, kerr.UnknownTopicOrPartition,
		kerr.UnknownTopicID, kerr.InconsistentTopicID, kerr.KafkaStorageError, kerr.OffsetNotAvailable, kerr.ReplicaNotAvailable,
		kerr.LeaderNotAvailable, kerr.UnknownServerError, kerr.TopicAuthorizationFailed, kerr.RequestTimedOut} {
		for _, count := range []int{1, 5} {
			t.Run(fmt.Sprint(e.Message, " ", count), func(t *testing.T) {
				p := filled(t, 3, 3, nil)
				s := openSource(t, testOptions(p.Brokers, clicks), SourceConfig{}, nil)
				ranges := sourcetest.Whole(t, s)
				h := p.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: e, Count: count, Topic: clicks})
				checkAll(t, s, p, ranges)
				if h.Hits() != count {
					t.Errorf("%d of %d faults were met", h.Hits(), count)
				}
			})
		}
	}
}

func TestFetchRepeatsForeverWhatMayPass(t *testing.T) {
	p := filled(t, 1, 1, nil)
	var log logBuffer
	s := openSource(t, testOptions(p.Brokers, clicks), SourceConfig{}, log.logger())
	ranges := sourcetest.Whole(t, s)
	h := p.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.NotLeaderForPartition, Count: -1})
	go func() {
		_ = h.Wait(t.Context(), 20)
		h.Remove()
	}()
	checkAll(t, s, p, ranges)
	if n := strings.Count(log.String(), "partition cannot be fetched"); n < 4 || n > 8 {
		t.Errorf("20 failures or a few more were logged %d times, want 1, 2, 4, 8, 16", n)
	}
}

func TestFaultsOfOtherRequestsPass(t *testing.T) {
	tests := []struct {
		key kmsg.Key
		err *kerr.Error
	}{
		{kmsg.Metadata, kerr.LeaderNotAvailable},
		{kmsg.Metadata, kerr.UnknownTopicOrPartition},
		{kmsg.ListOffsets, kerr.NotLeaderForPartition},
		{kmsg.ListOffsets, kerr.OffsetNotAvailable},
		{kmsg.ListOffsets, kerr.UnknownTopicOrPartition},
	}
	for _, tt := range tests {
		p := filled(t, 2, 2, nil)
		s := openSource(t, testOptions(p.Brokers, clicks), SourceConfig{}, nil)
		h := p.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{tt.key}, Err: tt.err, Count: 4, Topic: clicks})
		checkAll(t, s, p, sourcetest.Whole(t, s))
		if h.Hits() != 4 {
			t.Errorf("%v %v: %d hits", tt.key.Name(), tt.err, h.Hits())
		}
	}
}

func TestAnErrorThatDoesNotHealEndsTheFetch(t *testing.T) {
	p := filled(t, 1, 1, nil)
	s := openSource(t, testOptions(p.Brokers, clicks), SourceConfig{}, nil)
	ranges := sourcetest.Whole(t, s)
	p.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.InvalidRequest, Count: -1, Topic: clicks})
	_, _, err := sourcetest.TryFetch(t, s, ranges)
	if l := problem.Of(err); len(l) != 1 || l[0].Code != problem.BrokerError || !errors.Is(err, kerr.InvalidRequest) ||
		l[0].Where != problem.Record(clicks, 0, 0) {
		t.Errorf("got %v", err)
	}
	checkBudget(t, s)
}

func TestFetchFollowsLeaders(t *testing.T) {
	p := filled(t, 4, 20, nil)
	o := testOptions(p.Brokers, clicks)
	o.PartitionMaxBytes = 1000
	s := openSource(t, o, SourceConfig{}, nil)
	ranges := sourcetest.Whole(t, s)
	var moves sync.WaitGroup
	var n atomic.Int32
	p.Cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		p.Cluster.KeepControl()
		if i := n.Add(1); i%3 == 0 {
			part := i % 4
			moves.Go(func() { _ = p.Cluster.MoveTopicPartition(clicks, part, 1-p.Cluster.LeaderFor(clicks, part)) })
		}
		return nil, nil, false
	})
	checkAll(t, s, p, ranges)
	moves.Wait() // before the cluster ends
}

func TestFetchOutlivesElections(t *testing.T) {
	p := filled(t, 4, 20, nil)
	o := testOptions(p.Brokers, clicks)
	o.PartitionMaxBytes = 1000
	s := openSource(t, o, SourceConfig{}, nil)
	ranges := sourcetest.Whole(t, s)
	var moves sync.WaitGroup
	var n atomic.Int32
	p.Cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		p.Cluster.KeepControl()
		if n.Add(1)%10 == 0 {
			moves.Go(p.Cluster.ShufflePartitionLeaders)
		}
		return nil, nil, false
	})
	checkAll(t, s, p, ranges)
	moves.Wait() // before the cluster ends
}

func TestFetchOutlivesCutConnections(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.Fetch, kmsg.Metadata, kmsg.ListOffsets} {
		p := filled(t, 2, 3, nil)
		s := openSource(t, testOptions(p.Brokers, clicks), SourceConfig{}, nil)
		var n atomic.Int32
		p.Cluster.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
			p.Cluster.KeepControl()
			if n.Add(1) <= 4 {
				return nil, errors.New("cut"), true
			}
			return nil, nil, false
		})
		checkAll(t, s, p, sourcetest.Whole(t, s))
		if n.Load() < 4 && key != kmsg.Metadata {
			t.Errorf("%s: %d requests", key.Name(), n.Load())
		}
	}
}

func TestFetchGoesOnWhenABrokerGoes(t *testing.T) {
	p := filled(t, 4, 3, nil)
	s := openSource(t, testOptions(p.Brokers, clicks), SourceConfig{}, nil)
	ranges := sourcetest.Whole(t, s)
	if err := p.Cluster.RemoveNode(1); err != nil { // its partitions get new leaders
		t.Fatal(err)
	}
	checkAll(t, s, p, ranges)
}

func TestFetchWaitsForABrokerThatIsDown(t *testing.T) {
	p := filled(t, 1, 3, nil)
	var log logBuffer
	s := openSource(t, testOptions(p.Brokers, clicks), SourceConfig{}, log.logger())
	ranges := sourcetest.Whole(t, s)
	leader := p.Cluster.LeaderFor(clicks, 0)
	var n atomic.Int32
	p.Cluster.ControlKey(-1, func(kmsg.Request) (kmsg.Response, error, bool) {
		p.Cluster.KeepControl()
		if p.Cluster.CurrentNode() == leader && n.Add(1) <= 20 {
			return nil, errors.New("down"), true
		}
		return nil, nil, false
	})
	checkAll(t, s, p, ranges)
	if !strings.Contains(log.String(), "broker does not answer a fetch; trying again") {
		t.Errorf("log is %s", log.String())
	}
}

func TestPartitionsOfOneBrokerAreServedInTurn(t *testing.T) {
	p := filled(t, 40, 2, nil, kfake.NumBrokers(1))
	o := testOptions(p.Brokers, clicks)
	o.FetchMaxBytes, o.PartitionMaxBytes = 4000, 1000 // four partitions a fetch
	s := openSource(t, o, SourceConfig{}, nil)
	checkAll(t, s, p, sourcetest.Whole(t, s))
}

func TestBrokersWithoutTopicIDs(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T, c sourcetest.Config) stream.Source {
		o := testOptions(c.Brokers, c.Topics...)
		o.ReadCommitted = c.ReadCommitted
		cl, err := newClient(o, nil, kgo.MaxVersions(kversion.V2_7_0())) // no ids in metadata, fetches by name
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		s := NewSource(cl, SourceConfig{})
		s.backoffMin, s.backoffMax, s.fetchWait, s.doubtPause = time.Millisecond, 10*time.Millisecond, 10*time.Millisecond, time.Millisecond
		return s
	})
}

func TestDataLoss(t *testing.T) {
	del := func(offset int64) func(t *testing.T, p *sourcetest.Topic) {
		return func(t *testing.T, p *sourcetest.Topic) {
			if err := p.Cluster.DeleteRecords(clicks, 0, offset); err != nil {
				t.Fatal(err)
			}
		}
	}
	remake := func(records int) func(t *testing.T, p *sourcetest.Topic) {
		return func(t *testing.T, p *sourcetest.Topic) {
			if err := p.Cluster.DeleteTopic(clicks); err != nil {
				t.Fatal(err)
			}
			if err := p.Cluster.CreateTopic(clicks, 1, nil); err != nil {
				t.Fatal(err)
			}
			p.Log = sourcetest.Log{}
			cl := p.Client(t)
			p.Batch(t, cl, true, sourcetest.Records(rand.New(rand.NewPCG(1, 2)), 0, records)...)
		}
	}
	tests := []struct {
		name       string
		start, end int64 // of the range, in a log of 50 offsets
		lose       func(t *testing.T, p *sourcetest.Topic)
		gap        [2]int64
		reason     string
	}{
		{"retention took the beginning of the range", 10, 50, del(23), [2]int64{10, 23}, "begins at offset 23 now: offsets 10 to 22 of"},
		{"retention took all of the range", 10, 20, del(30), [2]int64{10, 20}, "begins at offset 30 now: offsets 10 to 19 of"},
		{"the range begins after the log's end", 60, 70, nil, [2]int64{60, 70}, "ends at offset 50 now: offsets 60 to 69 of"},
		{"the range ends after the log's end", 40, 70, nil, [2]int64{50, 70}, "ends at offset 50 now: offsets 50 to 69 of"},
		{"the topic was made again, smaller", 10, 50, remake(5), [2]int64{10, 50},
			"topic clickstreams was deleted and made again: offsets 10 to 49"},
		{"the topic was made again, larger", 10, 50, remake(500), [2]int64{10, 50},
			"topic clickstreams was deleted and made again: offsets 10 to 49"},
		{"the topic was deleted", 10, 50, func(t *testing.T, p *sourcetest.Topic) { _ = p.Cluster.DeleteTopic(clicks) }, [2]int64{10, 50},
			"topic clickstreams was deleted: offsets 10 to 49"},
	}
	for _, tt := range tests {
		for _, fail := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, failOnDataLoss %v", tt.name, fail), func(t *testing.T) {
				p := filled(t, 1, 5, nil)
				o := testOptions(p.Brokers, clicks)
				o.FailOnDataLoss = fail
				s := openSource(t, o, SourceConfig{}, nil)
				id := sourcetest.Whole(t, s)[0].TopicID
				if tt.lose != nil {
					tt.lose(t, p)
					sourcetest.Whole(t, s) // what a range is of is said by the range, not by the last look
				}
				tp := stream.TopicPartition{Topic: clicks}
				ranges := []stream.Range{{TopicPartition: tp, Start: tt.start, End: tt.end, TopicID: id}}
				want := []stream.Gap{{TopicPartition: tp, From: tt.gap[0], To: tt.gap[1]}}
				records, gaps, err := sourcetest.TryFetch(t, s, ranges)
				checkBudget(t, s)
				if !fail {
					if err != nil || !slices.Equal(gaps, want) {
						t.Errorf("got gaps %v, %v; want %v", gaps, err, want)
					}
					for _, r := range records[tp] {
						if r.Offset >= tt.gap[0] && r.Offset < tt.gap[1] {
							t.Errorf("offset %d lies in the gap", r.Offset)
						}
					}
					if got, want := len(records[tp]), int(min(tt.end, 50)-tt.start-(min(tt.gap[1], 50)-tt.gap[0])); got != max(want, 0) && tt.start < 50 {
						t.Errorf("got %d records, want %d", got, want)
					}
					return
				}
				var loss *stream.DataLossError
				if !errors.As(err, &loss) || !slices.Equal(loss.Gaps, want) || !strings.Contains(loss.Reason, tt.reason) {
					t.Errorf("got %v; want gaps %v, %q", err, want, tt.reason)
				}
			})
		}
	}
}

// emptyFrom makes fetches at an offset answer without data, as a broker does where nothing is left up to its end.
func emptyFrom(c *kfake.Cluster, offset int64) *atomic.Int32 {
	var n atomic.Int32
	c.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		req := r.(*kmsg.FetchRequest)
		if req.Topics[0].Partitions[0].FetchOffset < offset {
			return nil, nil, false
		}
		n.Add(1)
		resp := fetchResponse(req, nil)
		resp.Topics[0].Partitions[0].HighWatermark = 50
		return resp, nil, true
	})
	return &n
}

// fetchResponse answers a fetch of one partition with these bytes.
func fetchResponse(req *kmsg.FetchRequest, data []byte) *kmsg.FetchResponse {
	resp := req.ResponseKind().(*kmsg.FetchResponse)
	topic := kmsg.NewFetchResponseTopic()
	topic.Topic, topic.TopicID = req.Topics[0].Topic, req.Topics[0].TopicID
	part := kmsg.NewFetchResponseTopicPartition()
	part.Partition, part.RecordBatches = req.Topics[0].Partitions[0].Partition, data
	topic.Partitions = append(topic.Partitions, part)
	resp.Topics = append(resp.Topics, topic)
	return resp
}

func TestATailThatCompactionTookIsPassedOver(t *testing.T) {
	p := filled(t, 1, 5, map[string]string{"cleanup.policy": "compact,delete"})
	o := testOptions(p.Brokers, clicks)
	o.PartitionMaxBytes = 1 // a batch a fetch
	s := openSource(t, o, SourceConfig{}, nil)
	ranges := sourcetest.Whole(t, s)
	emptyFrom(p.Cluster, 40)
	p.Log[0] = p.Log[0][:40]
	checkAll(t, s, p, ranges)
}

func TestATailThatIsNotServedIsWaitedFor(t *testing.T) {
	p := filled(t, 1, 5, nil) // not compacted: a slow remote storage, maybe
	var log logBuffer
	o := testOptions(p.Brokers, clicks)
	o.PartitionMaxBytes = 1
	s := openSource(t, o, SourceConfig{}, log.logger())
	ranges := sourcetest.Whole(t, s)
	asked := emptyFrom(p.Cluster, 40)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for asked.Load() < 10 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	out := make(chan stream.Chunk, 100)
	gaps, err := s.Fetch(ctx, ranges, out)
	if !errors.Is(err, context.Canceled) || len(gaps) > 0 {
		t.Errorf("got %v, %v", gaps, err)
	}
	close(out)
	end := int64(0)
	for c := range out {
		end = c.Range().End
		c.Release()
	}
	if end != 40 || !strings.Contains(log.String(), "the topic is not compacted") {
		t.Errorf("chunks end at %d; log %s", end, log.String())
	}
	checkBudget(t, s)
}

// serve answers every fetch of a one-partition topic by answer, which is given the offset and the limit.
func serve(c *kfake.Cluster, answer func(offset int64, limit int32) []byte) {
	c.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		req := r.(*kmsg.FetchRequest)
		p := req.Topics[0].Partitions[0]
		if p.FetchOffset > 1<<40 { // the check at start
			return nil, nil, false
		}
		return fetchResponse(req, answer(p.FetchOffset, p.PartitionMaxBytes)), nil, true
	})
}

func TestACorruptBatchIsFetchedThreeTimes(t *testing.T) {
	tests := []struct {
		name  string
		times int // how often the second batch comes with a wrong checksum
		fails bool
	}{{"twice", 2, false}, {"three times", 3, true}}
	for _, tt := range tests {
		p := filled(t, 1, 2, nil)
		s := openSource(t, testOptions(p.Brokers, clicks), SourceConfig{}, nil)
		first := crafted{records: simpleRecords(10)}.bytes(t)
		var asked int
		serve(p.Cluster, func(offset int64, _ int32) []byte {
			asked++
			second := crafted{base: 10, records: simpleRecords(10), badCRC: asked <= tt.times}.bytes(t)
			if offset >= 10 {
				return second
			}
			return append(bytes.Clone(first), second...)
		})
		ranges := []stream.Range{{TopicPartition: stream.TopicPartition{Topic: clicks}, Start: 0, End: 20}}
		records, _, err := sourcetest.TryFetch(t, s, ranges)
		l := problem.Of(err)
		if (err != nil) != tt.fails || tt.fails && (l[0].Code != problem.CorruptBatch || l[0].Where != problem.Record(clicks, 0, 10) ||
			asked != 3) {
			t.Errorf("%s: %v after %d fetches", tt.name, err, asked)
		}
		if n := len(records[ranges[0].TopicPartition]); !tt.fails && n != 20 {
			t.Errorf("%s: %d records", tt.name, n)
		}
		checkBudget(t, s)
	}
}

func TestABrokersCorruptMessageIsFetchedThreeTimes(t *testing.T) {
	for count, code := range map[int]problem.Code{2: "", -1: problem.CorruptBatch} {
		p := filled(t, 1, 2, nil)
		s := openSource(t, testOptions(p.Brokers, clicks), SourceConfig{}, nil)
		ranges := sourcetest.Whole(t, s)
		p.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.CorruptMessage, Count: count, Topic: clicks})
		_, _, err := sourcetest.TryFetch(t, s, ranges)
		if l := problem.Of(err); (err == nil) != (code == "") || err != nil && l[0].Code != code {
			t.Errorf("%d: got %v", count, err)
		}
	}
}

func TestOldMessageSetsAreRefusedAtOnce(t *testing.T) {
	p := filled(t, 1, 1, nil)
	s := openSource(t, testOptions(p.Brokers, clicks), SourceConfig{}, nil)
	asked := 0
	serve(p.Cluster, func(int64, int32) []byte {
		asked++
		return crafted{base: 3, records: simpleRecords(2), magic: 1}.bytes(t)
	})
	_, _, err := sourcetest.TryFetch(t, s, []stream.Range{{TopicPartition: stream.TopicPartition{Topic: clicks}, Start: 3, End: 5}})
	if l := problem.Of(err); len(l) != 1 || l[0].Code != problem.CorruptBatch || !strings.Contains(l[0].Message, "magic 1") || asked != 1 {
		t.Errorf("got %v after %d fetches", err, asked)
	}
}

func TestABatchLargerThanAFetchIsFetchedWhole(t *testing.T) {
	p := filled(t, 1, 1, nil)
	o := testOptions(p.Brokers, clicks)
	o.FetchMaxBytes, o.PartitionMaxBytes = 1000, 1000
	s := openSource(t, o, SourceConfig{Budget: stream.NewBudget(0, 0, 1)}, nil)
	large := crafted{records: simpleRecords(5000)}.bytes(t)
	serve(p.Cluster, func(_ int64, limit int32) []byte { return large[:min(len(large), int(limit))] }) // as brokers before 0.10.1
	records, _ := sourcetest.Fetch(t, s, []stream.Range{{TopicPartition: stream.TopicPartition{Topic: clicks}, Start: 0, End: 5000}})
	if n := len(records[stream.TopicPartition{Topic: clicks}]); n != 5000 {
		t.Errorf("%d records", n)
	}
	checkBudget(t, s)
}

func TestAnAnswerLargerThanTheBudgetGoesThroughAlone(t *testing.T) {
	p := filled(t, 1, 1, nil)
	s := openSource(t, testOptions(p.Brokers, clicks), SourceConfig{Budget: stream.NewBudget(0, 0, 1)}, nil)
	large := crafted{records: []kmsg.Record{{Value: make([]byte, s.budget.Size()+1)}}}.bytes(t)
	serve(p.Cluster, func(int64, int32) []byte { return large })
	records, _ := sourcetest.Fetch(t, s, []stream.Range{{TopicPartition: stream.TopicPartition{Topic: clicks}, Start: 0, End: 1}})
	if n := len(records[stream.TopicPartition{Topic: clicks}]); n != 1 {
		t.Errorf("%d records", n)
	}
	checkBudget(t, s)
}

func TestBatchesBeforeTheOffsetAreAskedForAgain(t *testing.T) {
	p := filled(t, 1, 1, nil)
	s := openSource(t, testOptions(p.Brokers, clicks), SourceConfig{}, nil)
	asked := 0
	serve(p.Cluster, func(int64, int32) []byte {
		if asked++; asked < 5 {
			return crafted{records: simpleRecords(5)}.bytes(t)
		}
		return crafted{base: 5, records: simpleRecords(5)}.bytes(t)
	})
	records, _ := sourcetest.Fetch(t, s, []stream.Range{{TopicPartition: stream.TopicPartition{Topic: clicks}, Start: 5, End: 10}})
	if n := len(records[stream.TopicPartition{Topic: clicks}]); n != 5 || asked != 5 {
		t.Errorf("%d records after %d fetches", n, asked)
	}
}

func TestFetchFromTheNearestReplica(t *testing.T) {
	p := filled(t, 1, 5, nil)
	p.Cluster.SetFollowers(clicks, 0, []int32{0, 1})
	leader := p.Cluster.LeaderFor(clicks, 0)
	o := testOptions(p.Brokers, clicks)
	o.Rack = "here"
	o.PartitionMaxBytes = 500
	s := openSource(t, o, SourceConfig{}, nil)
	ranges := sourcetest.Whole(t, s)
	var fromLeader, fromFollower atomic.Int32
	p.Cluster.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		p.Cluster.KeepControl()
		req := r.(*kmsg.FetchRequest)
		if p.Cluster.CurrentNode() != leader {
			if fromFollower.Add(1) == 3 { // once it fails: back to the leader, which names it again
				resp := fetchResponse(req, nil)
				resp.Topics[0].Partitions[0].ErrorCode = kerr.OffsetOutOfRange.Code
				return resp, nil, true
			}
			return nil, nil, false
		}
		fromLeader.Add(1)
		resp := fetchResponse(req, nil)
		if req.Rack == "here" {
			resp.Topics[0].Partitions[0].PreferredReadReplica = 1 - leader
		}
		return resp, nil, true
	})
	checkAll(t, s, p, ranges)
	if fromLeader.Load() != 2 || fromFollower.Load() < 4 {
		t.Errorf("%d fetches from the leader, %d from the follower", fromLeader.Load(), fromFollower.Load())
	}
}

func TestFetchNeedsNoBounds(t *testing.T) {
	p := filled(t, 2, 3, nil)
	ranges := sourcetest.Whole(t, openSource(t, testOptions(p.Brokers, clicks), SourceConfig{}, nil))
	checkAll(t, openSource(t, testOptions(p.Brokers, clicks), SourceConfig{}, nil), p, ranges) // an open batch after a crash
}

func TestAPanicBesideTheLoopEndsTheFetch(t *testing.T) {
	p := filled(t, 2, 3, nil)
	s := openSource(t, testOptions(p.Brokers, clicks), SourceConfig{Jitter: func() float64 { panic("jitter") }}, nil)
	ranges := sourcetest.Whole(t, s)
	p.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.NotLeaderForPartition, Count: 1, Topic: clicks})
	_, _, err := sourcetest.TryFetch(t, s, ranges)
	if l := problem.Of(err); len(l) != 1 || l[0].Code != problem.Internal || !strings.Contains(l[0].Message, "jitter") {
		t.Errorf("got %v", err)
	}
	checkBudget(t, s)
}
