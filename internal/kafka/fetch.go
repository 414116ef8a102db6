package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/siltlake/silt/internal/stream"
)

// Fetch fetches the ranges from their leaders, all leaders at once.
//
// One goroutine, the loop in run, owns all state and decides; requests are made beside it, one at a time for each leader, and hand it
// their answers as events. A leader is asked again as soon as its answer's batch headers are hopped, while the chunks still wait for
// workers: but not while more than one fetch of data waits already. So what is in memory is what workers hold, what waits, and one
// answer a leader; all of it is taken from the budget before it is asked for.
func (s *Source) Fetch(ctx context.Context, ranges []stream.Range, out chan<- stream.Chunk) ([]stream.Gap, error) {
	ctx, cancel := context.WithCancel(ctx)
	f := &fetcher{Source: s, ctx: ctx, out: out, events: make(chan event), topics: map[string]*topicState{}}
	f.fetchBytes = int32(min(int64(s.c.opts.FetchMaxBytes), max(s.budget.Size()/2, 1)))
	f.partBytes = min(s.c.opts.PartitionMaxBytes, f.fetchBytes)
	for _, r := range ranges {
		if r.Start < r.End {
			f.parts = append(f.parts, &part{Range: r, pos: r.Start, leader: -1, replica: -1, bytes: f.partBytes})
		}
	}
	f.place()
	err := f.run()
	cancel()
	f.drain()
	if err != nil {
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
	bytes   int32 // how much to ask for
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
	id      [16]byte // the topic that the ranges were planned by; zero: not known
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

// beside runs work in a goroutine; the function that work returns runs in the loop.
func (f *fetcher) beside(work func() event) {
	f.wg.Add(1)
	go func() {
		defer f.wg.Done()
		f.events <- work()
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
		if t == nil {
			t = &topicState{id: f.ids[p.Topic]}
			f.topics[p.Topic] = t
		}
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

// newFetchRequest returns a fetch outside of any fetch session: what is asked for is all in the request.
func newFetchRequest(wait time.Duration, minBytes, maxBytes int32, readCommitted bool) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(wait.Milliseconds()), minBytes, maxBytes
	req.IsolationLevel = isolation(readCommitted)
	req.SessionEpoch = -1
	return req
}

func fetchPartition(partition int32, offset int64, epoch, bytes int32) kmsg.FetchRequestTopicPartition {
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.CurrentLeaderEpoch, p.PartitionMaxBytes = partition, offset, epoch, bytes
	return p
}

// addToFetch adds a partition; topics go by name below version 13 and by id from it on, so both are set.
func addToFetch(req *kmsg.FetchRequest, topic string, id [16]byte, p kmsg.FetchRequestTopicPartition) {
	i := slices.IndexFunc(req.Topics, func(t kmsg.FetchRequestTopic) bool { return t.Topic == topic })
	if i < 0 {
		i = len(req.Topics)
		t := kmsg.NewFetchRequestTopic()
		t.Topic, t.TopicID = topic, id
		req.Topics = append(req.Topics, t)
	}
	req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
}

// topicName is the name of a topic of an answer, which has a name or an id by version.
func topicName(t *kmsg.FetchResponseTopic, views map[string]topicView) string {
	if t.Topic != "" {
		return t.Topic
	}
	for name, v := range views {
		if v.id == t.TopicID {
			return name
		}
	}
	return ""
}

// An answer is what a fetch brought for one partition.
type answer struct {
	*part
	// What was asked for: the part's fields belong to the loop.
	id   [16]byte
	from int64
	resp *kmsg.FetchResponseTopicPartition // nil: the broker left it out
	scan scan
	err  error // of the scan
}

// fetch asks a leader for its partitions, beginning with another one each time: the answer ends when it has fetchBytes.
func (f *fetcher) fetch(l *leader) {
	n := len(l.parts)
	most := min(n, max(1, int(f.fetchBytes/f.partBytes)))
	req := newFetchRequest(f.fetchWait, 1, f.fetchBytes, f.c.opts.ReadCommitted)
	req.Rack = f.c.opts.Rack
	answers := make([]answer, most)
	var bytes int64
	for i := range answers {
		p := l.parts[(l.turn+i)%n]
		p.busy = true
		answers[i] = answer{part: p, id: f.topics[p.Topic].id, from: p.pos}
		addToFetch(req, p.Topic, answers[i].id, fetchPartition(p.Partition, p.pos, p.epoch, p.bytes))
		bytes += int64(p.bytes)
	}
	if l.turn++; most < n {
		l.turn += most - 1
	}
	l.busy = true
	// The partitions' limits bound the answer; its own would cut it at a batch of any of them. (kfake forgets the aborted transactions of
	// the partition that it cuts at.)
	req.MaxBytes = int32(min(max(bytes, int64(f.fetchBytes)), maxAnswer))
	f.beside(func() event {
		h, err := f.request(l.id, req, answers, bytes)
		return event{
			apply: func() { f.answered(l, answers, h, err) },
			drop:  func() { h.release() },
		}
	})
}

// request makes a fetch and scans what comes, beside the loop. Memory is taken from the budget before it is asked for; what was not needed
// is given back at once. If more came than was asked for, which happens when a single batch is larger, the rest is waited for with nothing
// held, so that two such answers never wait for each other.
func (f *fetcher) request(broker int32, req *kmsg.FetchRequest, answers []answer, bytes int64) (*hold, error) {
	held, err := f.budget.Acquire(f.ctx, bytes)
	if err != nil {
		return nil, err
	}
	resp, err := f.c.kgo.Broker(int(broker)).Request(f.ctx, req)
	if err == nil {
		err = kerr.ErrorForCode(resp.(*kmsg.FetchResponse).ErrorCode)
	}
	if err != nil {
		f.budget.Release(held)
		return nil, fmt.Errorf("broker %d: %w", broker, err)
	}
	got := assign(resp.(*kmsg.FetchResponse), answers)
	if got <= held {
		f.budget.Release(held - got)
		held = got
	} else {
		f.budget.Release(held)
		if held, err = f.budget.Acquire(f.ctx, got); err != nil {
			return nil, err
		}
	}
	for i := range answers {
		if a := &answers[i]; a.resp != nil && a.resp.ErrorCode == 0 {
			a.scan, a.err = scanBatches(a.resp.RecordBatches, a.from, a.End)
		}
	}
	h := &hold{budget: f.budget, bytes: held}
	h.refs.Store(1)
	return h, nil
}

// assign gives the answers their partitions of the response and counts the bytes of the batches.
func assign(resp *kmsg.FetchResponse, answers []answer) (bytes int64) {
	for i := range resp.Topics {
		t := &resp.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			k := slices.IndexFunc(answers, func(a answer) bool {
				return a.Partition == p.Partition && (a.Topic == t.Topic || t.Topic == "" && a.id == t.TopicID)
			})
			if k >= 0 {
				answers[k].resp = p
				bytes += int64(len(p.RecordBatches))
			}
		}
	}
	return bytes
}

// answered takes the answer of a leader: chunks go to the workers, and the leader may be asked again.
func (f *fetcher) answered(l *leader, answers []answer, h *hold, err error) {
	l.busy = false
	data := 0 // partitions that have some
	for i := range answers {
		a := &answers[i]
		a.busy = false
		if a.resp != nil && len(a.resp.RecordBatches) > 0 {
			data++
		}
	}
	if err != nil {
		f.leaderFailed(l, answers, err)
		return
	}
	l.failures = 0
	for i := range answers {
		a := &answers[i]
		if a.pos != a.from { // given up meanwhile
			continue
		}
		f.take(l, a, h, data > 0)
	}
	h.release()
}

// leaderFailed waits before a broker is asked again, and looks for new leaders meanwhile.
func (f *fetcher) leaderFailed(l *leader, answers []answer, err error) {
	if l.failures++; worthLogging(l.failures) && f.ctx.Err() == nil {
		f.log.Warn("broker does not answer a fetch; trying again", "broker", l.id, "failures", l.failures, "error", err)
	}
	for i := range answers {
		answers[i].leader, answers[i].replica = -1, -1
	}
	l.busy = true
	f.later(l.failures, func() { l.busy = false })
}

// take looks at one partition of an answer. If any partition of the answer had data, none for this one says nothing: the answer was full.
func (f *fetcher) take(l *leader, a *answer, h *hold, data bool) {
	p := a.part
	if a.resp == nil {
		if !data {
			f.retry(p, true, fmt.Errorf("broker %d left the partition out of its answer", l.id))
		}
		return
	}
	if err := kerr.ErrorForCode(a.resp.ErrorCode); err != nil {
		f.fault(l, p, err)
		return
	}
	if a.scan.next > p.pos {
		f.emit(a, h)
	}
	switch {
	case a.err != nil:
		f.corrupted(p, a.err)
	case a.scan.next > a.from:
	case a.scan.first > 0: // not even one batch fits
		p.bytes = int32(min(int64(max(a.scan.first, 2*int(p.bytes))), maxAnswer/2))
	case a.resp.PreferredReadReplica >= 0 && a.resp.PreferredReadReplica != l.id:
		p.replica = a.resp.PreferredReadReplica
	case len(a.resp.RecordBatches) > 0:
		f.retry(p, true, fmt.Errorf("broker %d answers with batches before the offset", l.id))
	case !data:
		f.settle(l, p)
	}
}

// emit makes a chunk of the answer's good batches and moves the position behind them. Where no record of the range is left, the chunk
// has no data but covers its offsets all the same.
func (f *fetcher) emit(a *answer, h *hold) {
	p := a.part
	c := &chunk{src: f.Source, rng: stream.Range{TopicPartition: p.TopicPartition, Start: p.pos, End: a.scan.next}}
	if a.scan.to > a.scan.from {
		c.data = a.resp.RecordBatches[a.scan.from:a.scan.to]
		c.hold = h
		h.refs.Add(1)
		for _, t := range a.resp.AbortedTransactions {
			c.aborted = append(c.aborted, abortedTxn{producerID: t.ProducerID, first: t.FirstOffset})
		}
		slices.SortFunc(c.aborted, func(x, y abortedTxn) int { return cmp.Compare(x.first, y.first) })
	}
	f.ready = append(f.ready, c)
	f.waiting += int64(len(c.data))
	p.pos, p.bytes = a.scan.next, max(f.partBytes, p.bytes/2)
	p.failures, p.corrupt, p.strange, p.empty, p.short = 0, 0, 0, 0, 0
}
