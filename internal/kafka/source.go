package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// A SourceConfig is what a Source needs beside the client. The zero value works.
type SourceConfig struct {
	// Budget bounds the memory of fetched data; nil: a budget of its own for one worker within stream.DefaultMemory.
	Budget *stream.Budget
	// QueryName ends the name of the consumer group that Publish tells, unless kafka.group.id names it; without either, Publish does
	// nothing.
	QueryName string
	// Jitter returns numbers in [0,1) that spread retries; nil: random ones. It may be called concurrently.
	Jitter func() float64
}

// defaultMaxBatch is the most bytes that one record batch may decompress to.
const defaultMaxBatch = 64 << 20

// A Source reads the topics of its client's options. Its methods may be called concurrently.
type Source struct {
	c        *Client
	log      *slog.Logger
	budget   *stream.Budget
	maxBatch int // tests make it small
	group    string
	jitter   func() float64
	free     freeList
	// Limits of back-off, and how long a broker may hold a fetch that it has no data for: the offsets of a range are there when it is
	// planned, so that is met only in the odd cases of settle. Tests make them short.
	backoffMin, backoffMax, fetchWait time.Duration
	doubtPause                        time.Duration // between two looks at an end that moved back

	mu        sync.Mutex
	views     map[string]topicView // the newest metadata
	gone      map[string]bool      // topics that do not exist, and that was logged
	densities map[stream.TopicPartition]density
	unwritten bool // the last Publish failed, and that was logged
}

var _ stream.Source = (*Source)(nil)

// NewSource returns a source over the client, which must outlive it.
func NewSource(c *Client, config SourceConfig) *Source {
	s := &Source{c: c, log: c.log, budget: config.Budget, maxBatch: defaultMaxBatch, jitter: config.Jitter,
		backoffMin: 50 * time.Millisecond, backoffMax: 5 * time.Second, fetchWait: 500 * time.Millisecond, doubtPause: time.Second,
		views: map[string]topicView{}, gone: map[string]bool{},
		densities: map[stream.TopicPartition]density{}}
	if s.budget == nil {
		s.budget = stream.NewBudget(stream.DefaultMemory, 0, 1)
	}
	if s.jitter == nil {
		s.jitter = rand.Float64
	}
	s.free.limit = s.maxBatch
	s.group = c.opts.Group(config.QueryName)
	return s
}

// Group is the consumer group to which a query of this name publishes its offsets, "" if to none.
func (o Options) Group(queryName string) string {
	if o.GroupID != "" || queryName == "" {
		return o.GroupID
	}
	return o.GroupIDPrefix + "-" + queryName
}

// Description is as Spark's.
func (s *Source) Description() string {
	return "KafkaV2[Subscribe[" + strings.Join(s.c.opts.Topics, ", ") + "]]"
}

// backoff is how long to wait after so many failures in a row: twice as long each time, spread by a fifth up and down.
func (s *Source) backoff(failures int) time.Duration {
	d := s.backoffMax
	if shift := max(failures-1, 0); shift < 16 && s.backoffMin<<shift < d {
		d = s.backoffMin << shift
	}
	return time.Duration(float64(d) * (0.8 + 0.4*s.jitter()))
}

// worthLogging says whether the n-th failure in a row is logged: the first, second, fourth, eighth and so on.
func worthLogging(n int) bool { return n&(n-1) == 0 }

// missingTries is how often a topic must be missing from metadata, with back-off between, before it counts as deleted: a broker that has
// just started may not know all topics. With the usual limits that takes more than ten seconds.
const missingTries = 9

// Bounds asks for the topics' partitions and their first and last offsets. A topic that no longer exists is not in what it returns.
//
// Under read_committed the end is the last stable offset. An end before the one in seen is asked for three times more, a second apart, as
// Spark does (fetchOffset.numRetries, fetchOffset.retryIntervalMs).
func (s *Source) Bounds(ctx context.Context, seen stream.Offsets) (stream.Bounds, error) {
	const doubts = 3
	missing, doubt := 0, 0
	behind := false // the last look found an end before the one in seen
	for failures := 0; ; failures++ {
		if failures > 0 {
			pause := s.backoff(failures)
			if behind {
				pause = s.doubtPause
			}
			if err := sleep(ctx, pause); err != nil {
				return stream.Bounds{}, err
			}
		}
		views, err := s.refresh(ctx, s.c.opts.Topics)
		if err == nil && missing < missingTries-1 && s.isNews(views) {
			missing++
			err = errMissing
		}
		var b stream.Bounds
		if err == nil {
			b, err = s.bounds(ctx, views)
		}
		if ctx.Err() != nil {
			return stream.Bounds{}, ctx.Err()
		}
		if behind = err == nil && doubt < doubts && isBehind(b, seen); behind {
			doubt++
			err = errBehind
		}
		if len(problem.Of(err)) > 0 { // no outage
			return stream.Bounds{}, err
		}
		if err != nil {
			if worthLogging(failures + 1) {
				s.log.Warn("Kafka does not give the topics' offsets; trying again", "failures", failures+1, "error", err)
			}
			continue
		}
		s.remember(views)
		return b, nil
	}
}

var (
	errMissing = errors.New("a topic is missing")
	errBehind  = errors.New("the end of a partition is before where it was")
)

func isMissing(views map[string]topicView, topic string) bool {
	v, ok := views[topic]
	return !ok || errors.Is(v.err, kerr.UnknownTopicOrPartition)
}

// isNews says whether a topic is missing that was there when Bounds was called last.
func (s *Source) isNews(views map[string]topicView) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.c.opts.Topics, func(t string) bool { return isMissing(views, t) && !s.gone[t] })
}

// refresh gets fresh metadata of the topics.
func (s *Source) refresh(ctx context.Context, topics []string) (map[string]topicView, error) {
	views, err := s.c.metadata(ctx, topics)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(s.views, views)
	return views, nil
}

// isBehind says whether a partition that is there ends before where it was seen to end.
func isBehind(b stream.Bounds, seen stream.Offsets) bool {
	for tp, end := range seen.All() {
		if next, ok := b.Next.Get(tp.Topic, tp.Partition); ok && next < end {
			return true
		}
	}
	return false
}

func (s *Source) remember(views map[string]topicView) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.c.opts.Topics {
		missing := isMissing(views, t)
		if missing && !s.gone[t] {
			s.log.Warn("topic does not exist", "topic", t)
		}
		s.gone[t] = missing
	}
}

// bounds asks the leaders for the offsets; any failure fails the whole.
func (s *Source) bounds(ctx context.Context, views map[string]topicView) (stream.Bounds, error) {
	b := stream.Bounds{First: stream.Offsets{}, Next: stream.Offsets{}, TopicIDs: map[string]string{}}
	byLeader := map[int32][]stream.TopicPartition{}
	for t, v := range views {
		if isMissing(views, t) {
			continue
		}
		if v.err != nil {
			return b, fmt.Errorf("topic %s: %w", t, v.err)
		}
		if v.id != ([16]byte{}) {
			b.TopicIDs[t] = uuid.UUID(v.id).String()
		}
		for p, pv := range v.partitions {
			tp := stream.TopicPartition{Topic: t, Partition: p}
			if pv.leader < 0 {
				return b, fmt.Errorf("partition %v has no leader", tp)
			}
			byLeader[pv.leader] = append(byLeader[pv.leader], tp)
		}
	}
	type outcome struct {
		into    stream.Offsets
		offsets map[stream.TopicPartition]int64
		err     error
	}
	outcomes := make(chan outcome)
	for leader, tps := range byLeader {
		for _, ask := range []struct {
			into stream.Offsets
			at   int64
		}{{b.First, stream.Earliest}, {b.Next, stream.Latest}} {
			go func() {
				o := outcome{into: ask.into}
				o.err = problem.Catch("asking for offsets", func() (err error) {
					o.offsets, err = s.listOffsets(ctx, leader, tps, ask.at, views)
					return err
				})
				outcomes <- o
			}()
		}
	}
	var err error
	for range 2 * len(byLeader) {
		o := <-outcomes
		if o.err != nil {
			err = o.err
		}
		for tp, offset := range o.offsets {
			o.into.Set(tp.Topic, tp.Partition, offset)
		}
	}
	return b, err
}

// listOffsets asks a leader for the earliest or the latest offset of its partitions. The names of stream's positions are also Kafka's
// numbers for them.
func (s *Source) listOffsets(ctx context.Context, leader int32, tps []stream.TopicPartition, at int64,
	views map[string]topicView) (map[stream.TopicPartition]int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	req.IsolationLevel = isolation(s.c.opts.ReadCommitted)
	index := map[string]int{}
	for _, tp := range tps {
		i, ok := index[tp.Topic]
		if !ok {
			i = len(req.Topics)
			index[tp.Topic] = i
			rt := kmsg.NewListOffsetsRequestTopic()
			rt.Topic = tp.Topic
			req.Topics = append(req.Topics, rt)
		}
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp, rp.CurrentLeaderEpoch = tp.Partition, at, views[tp.Topic].partitions[tp.Partition].epoch
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, rp)
	}
	kresp, err := s.c.kgo.Broker(int(leader)).Request(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("broker %d: %w", leader, err)
	}
	offsets := make(map[stream.TopicPartition]int64, len(tps))
	for _, t := range kresp.(*kmsg.ListOffsetsResponse).Topics {
		for _, p := range t.Partitions {
			tp := stream.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("partition %v: %w", tp, err)
			}
			offsets[tp] = p.Offset
		}
	}
	for _, tp := range tps {
		if offset, ok := offsets[tp]; !ok || offset < 0 {
			return nil, fmt.Errorf("partition %v: broker %d gives no offset", tp, leader)
		}
	}
	return offsets, nil
}

func isolation(readCommitted bool) int8 {
	if readCommitted {
		return 1
	}
	return 0
}

// publishTimeout bounds Publish: it stands between two batches.
const publishTimeout = 5 * time.Second

// Publish commits the offsets to the consumer group, as somebody who is not its member. A failure is logged once, until a commit succeeds
// again; none after ctx ended.
func (s *Source) Publish(ctx context.Context, end stream.Offsets) {
	if s.group == "" || len(end) == 0 {
		return
	}
	var offsets kadm.Offsets
	for tp, offset := range end.All() {
		offsets.AddOffset(tp.Topic, tp.Partition, offset, -1)
	}
	limited, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	resp, err := kadm.NewClient(s.c.kgo).CommitOffsets(limited, s.group, offsets)
	if err == nil {
		err = resp.Error()
	}
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && !s.unwritten {
		s.log.Warn("offsets are not published to the consumer group; the query goes on", "group", s.group, "error", err)
	}
	s.unwritten = err != nil
}
