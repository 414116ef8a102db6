package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// Fetch fetches the ranges from their leaders, all leaders at once.
//
// One goroutine, the loop in run, owns all state and decides; requests are made beside it, one at a time for each leader, and hand it
// their answers as events. A leader is asked again as soon as its answer is scanned and its checksums are right, while the chunks still
// wait for workers: but not while more than one fetch of data waits already. So what is in memory is what workers hold, what waits, and
// one answer a leader; all of it is taken from the budget before it is asked for.
func (s *Source) Fetch(ctx context.Context, ranges []stream.Range, out chan<- stream.Chunk) ([]stream.Gap, error) {
	topics, err := topicsOf(ranges)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	f := &fetcher{Source: s, ctx: ctx, out: out, events: make(chan event), topics: topics}
	f.fetchBytes = int32(min(int64(s.c.opts.FetchMaxBytes), max(s.budget.Size()/2, 1)))
	f.partBytes = min(s.c.opts.PartitionMaxBytes, f.fetchBytes)
	for _, r := range ranges {
		if r.Start < r.End {
			f.parts = append(f.parts, &part{Range: r, pos: r.Start, leader: -1, replica: -1, bytes: f.partBytes})
		}
	}
	f.recall()
	f.place()
	defer f.drain()
	defer cancel()
	if err := f.run(); err != nil {
		return nil, err
	}
	return f.gaps, nil
}

// A fetcher is one call of Fetch. Its fields belong to the goroutine of run.
type fetcher struct {
	*Source
	ctx    context.Context
	out    chan<- stream.Chunk
	events chan event
	wg     sync.WaitGroup

	parts   []*part
	topics  map[string]*topicState
	leaders []*leader
	ready   []*chunk // for workers, in order
	waiting int64    // bytes of ready
	full    bool     // leaders are idle because enough waits
	gaps    []stream.Gap
	err     error // ends the call

	fetchBytes, partBytes int32

	refreshing bool // metadata are being asked for, or that waits for back-off
	refreshes  int  // failures in a row
}

// An event is what a goroutine beside the loop has to say: apply runs in the loop, drop instead where the loop has ended.
type event struct{ apply, drop func() }

// A part is a range that is being fetched.
type part struct {
	stream.Range
	pos     int64 // the next offset
	leader  int32 // -1: not known
	epoch   int32
	replica int32 // to fetch from instead of the leader; -1: none
	bytes   int32 // how much to ask for at most
	density       // of what came before; zero: not known, or it misled
	busy    bool  // in a request, or waiting for back-off

	failures int // in a row, of any kind
	corrupt  int // in a row: answers whose first batch is bad
	strange  int // in a row: errors that do not heal
	empty    int // in a row: answers of the leader to a fetch of this partition alone, or of which no partition had data
	short    int // in a row: the log ended before the range
}

func (p *part) done() bool { return p.pos >= p.End }

// A topicState is what the fetcher knows of a topic.
type topicState struct {
	id      [16]byte // the topic that the ranges are of; zero: not known
	missing int      // in a row: metadata without it
}

// A leader is a broker that partitions are fetched from.
type leader struct {
	id       int32
	busy     bool // a request is under way, or it waits for back-off
	failures int  // in a row
	turn     int  // which of its partitions comes first
	parts    []*part
}

// topicsOf returns the topics of the ranges.
func topicsOf(ranges []stream.Range) (map[string]*topicState, error) {
	topics := map[string]*topicState{}
	for _, r := range ranges {
		if topics[r.Topic] != nil {
			continue
		}
		topics[r.Topic] = &topicState{}
		if r.TopicID == "" {
			continue
		}
		id, err := uuid.Parse(r.TopicID)
		if err != nil {
			return nil, fmt.Errorf("the id of topic %s is %q: %w", r.Topic, r.TopicID, err)
		}
		topics[r.Topic].id = id
	}
	return topics, nil
}

// run is the loop; it returns when every offset was sent or is in a gap.
func (f *fetcher) run() error {
	for changed := true; f.err == nil && f.ctx.Err() == nil; {
		if changed || f.full && f.waiting < int64(f.fetchBytes) {
			f.dispatch()
		}
		changed = false
		if len(f.ready) == 0 && !slices.ContainsFunc(f.parts, func(p *part) bool { return !p.done() }) {
			return nil
		}
		var out chan<- stream.Chunk
		var first *chunk
		var size int64 // the chunk is the worker's once it is sent
		if len(f.ready) > 0 {
			out, first = f.out, f.ready[0]
			size = int64(len(first.data))
		}
		select {
		case out <- first:
			f.ready[0] = nil
			f.ready = f.ready[1:]
			f.waiting -= size
		case e := <-f.events:
			e.apply()
			changed = true
		case <-f.ctx.Done():
		}
	}
	if f.err != nil {
		return f.err
	}
	return f.ctx.Err()
}

// drain waits for the goroutines beside the loop and gives back what nobody will take. The fetcher's context is over.
func (f *fetcher) drain() {
	go func() {
		f.wg.Wait()
		close(f.events)
	}()
	for e := range f.events {
		if e.drop != nil {
			e.drop()
		}
	}
	for _, c := range f.ready {
		c.Release()
	}
}

// beside runs work in a goroutine; the function that work returns runs in the loop. A panic ends the call.
func (f *fetcher) beside(work func() event) {
	f.wg.Add(1)
	go func() {
		defer f.wg.Done()
		var e event
		if err := problem.Catch("fetching", func() error { e = work(); return nil }); err != nil {
			e.apply = func() { f.err = err }
		}
		f.events <- e
	}()
}

// later runs apply in the loop after the back-off of so many failures.
func (f *fetcher) later(failures int, apply func()) {
	f.beside(func() event {
		_ = sleep(f.ctx, f.backoff(failures))
		return event{apply: apply}
	})
}

// dispatch starts what can be started: a fetch from each idle leader, and a refresh of metadata if a partition has no leader.
func (f *fetcher) dispatch() {
	for _, l := range f.leaders {
		l.parts = l.parts[:0]
	}
	lost := false
	for _, p := range f.parts {
		switch {
		case p.done() || p.busy:
		case p.leader < 0:
			lost = true
		default:
			l := f.leader(p)
			l.parts = append(l.parts, p)
		}
	}
	if lost && !f.refreshing {
		f.refreshMetadata()
	}
	if f.full = f.waiting >= int64(f.fetchBytes); f.full {
		return
	}
	for _, l := range f.leaders {
		if !l.busy && len(l.parts) > 0 {
			f.fetch(l)
		}
	}
}

// leader returns the broker that the partition is fetched from.
func (f *fetcher) leader(p *part) *leader {
	id := p.leader
	if p.replica >= 0 {
		id = p.replica
	}
	i := slices.IndexFunc(f.leaders, func(l *leader) bool { return l.id == id })
	if i < 0 {
		i = len(f.leaders)
		f.leaders = append(f.leaders, &leader{id: id})
	}
	return f.leaders[i]
}

// place gives the partitions the leaders and topics of the newest metadata.
func (f *fetcher) place() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.parts {
		v, ok := f.views[p.Topic]
		t := f.topics[p.Topic]
		if ok && t.id == ([16]byte{}) {
			t.id = v.id
		}
		// In a cluster that is being upgraded, a broker may not know topic ids yet.
		if pv, ok := v.partitions[p.Partition]; ok && p.leader < 0 && (v.id == t.id || v.id == ([16]byte{})) {
			p.leader, p.epoch = pv.leader, pv.epoch
		}
	}
}

// refreshMetadata asks for metadata and then gives partitions without a leader their leader.
func (f *fetcher) refreshMetadata() {
	f.refreshing = true
	var topics []string
	for _, p := range f.parts {
		if !p.done() && !slices.Contains(topics, p.Topic) {
			topics = append(topics, p.Topic)
		}
	}
	f.beside(func() event {
		views, err := f.refresh(f.ctx, topics)
		return event{apply: func() { f.refreshed(topics, views, err) }}
	})
}

func (f *fetcher) refreshed(topics []string, views map[string]topicView, err error) {
	if err == nil {
		for _, t := range topics {
			f.judgeTopic(t, views[t])
		}
		f.place()
		for _, p := range f.parts {
			if !p.done() && p.leader < 0 && !p.busy {
				err = fmt.Errorf("partition %v has no leader", p.TopicPartition)
				if te := views[p.Topic].err; te != nil {
					err = fmt.Errorf("topic %s: %w", p.Topic, te)
				}
			}
		}
	}
	if err == nil {
		f.refreshing, f.refreshes = false, 0
		return
	}
	if f.refreshes++; worthLogging(f.refreshes) {
		f.log.Warn("Kafka does not give the partitions' leaders; trying again", "failures", f.refreshes, "error", err)
	}
	f.later(f.refreshes, func() { f.refreshing = false })
}

// judgeTopic looks for a topic that was deleted, or deleted and made again: its ranges are lost. Offsets would not tell.
func (f *fetcher) judgeTopic(topic string, v topicView) {
	t := f.topics[topic]
	lacks := func(p *part) bool {
		_, ok := v.partitions[p.Partition]
		return p.Topic == topic && !p.done() && !ok
	}
	switch {
	case v.err == nil && v.id != t.id && t.id != ([16]byte{}) && v.id != ([16]byte{}):
		f.lose(topic, "topic %s was deleted and made again", topic)
	case v.err == nil && !slices.ContainsFunc(f.parts, lacks):
		t.missing = 0
	case v.err == nil || errors.Is(v.err, kerr.UnknownTopicOrPartition) || errors.Is(v.err, kerr.UnknownTopicID):
		if t.missing++; t.missing >= missingTries {
			f.lose(topic, "topic %s was deleted", topic)
		}
	}
}

// lose gives the rest of all ranges of a topic up.
func (f *fetcher) lose(topic, format string, args ...any) {
	for _, p := range f.parts {
		if p.Topic == topic && !p.done() {
			f.gap(p, p.End, format, args...)
		}
	}
}

// gap gives the offsets from the partition's position up to a later one up: a *stream.DataLossError ends the call, or, with
// failOnDataLoss=false, a gap is noted.
func (f *fetcher) gap(p *part, to int64, format string, args ...any) {
	g := stream.Gap{TopicPartition: p.TopicPartition, From: p.pos, To: to}
	reason := fmt.Sprintf(format, args...)
	if f.c.opts.FailOnDataLoss {
		var before *stream.DataLossError
		if errors.As(f.err, &before) {
			before.Gaps = append(before.Gaps, g)
			return
		}
		if f.err == nil {
			f.err = &stream.DataLossError{Gaps: []stream.Gap{g},
				Reason: fmt.Sprintf("%s: offsets %d to %d of topic %s partition %d are lost", reason, g.From, g.To-1, g.Topic, g.Partition)}
		}
		return
	}
	f.log.Warn("offsets are lost; failOnDataLoss is false, so the query goes on", "topic", p.Topic, "partition", p.Partition,
		"from", g.From, "to", g.To, "reason", reason)
	f.gaps = append(f.gaps, g)
	p.pos = to
}

// retry makes the partition wait after a passing failure. With lost, its leader is to be found again.
func (f *fetcher) retry(p *part, lost bool, err error) {
	if p.failures++; worthLogging(p.failures) {
		f.log.Warn("partition cannot be fetched; trying again", "topic", p.Topic, "partition", p.Partition, "offset", p.pos,
			"failures", p.failures, "error", err)
	}
	p.busy = true
	f.later(p.failures, func() {
		p.busy = false
		if lost {
			p.leader, p.replica = -1, -1
		}
	})
}
