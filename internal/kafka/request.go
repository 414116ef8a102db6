package kafka

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/siltlake/silt/internal/stream"
)

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

// fetch asks a leader for its partitions, as many as fetchBytes are enough for, beginning with another one each time.
func (f *fetcher) fetch(l *leader) {
	req := newFetchRequest(f.fetchWait, 1, f.fetchBytes, f.c.opts.ReadCommitted)
	req.Rack = f.c.opts.Rack
	var answers []answer
	var bytes int64
	for i := range l.parts {
		p := l.parts[(l.turn+i)%len(l.parts)]
		ask := p.ask()
		if i > 0 && bytes+int64(ask) > int64(f.fetchBytes) {
			break
		}
		p.busy = true
		id := f.topics[p.Topic].id
		answers = append(answers, answer{part: p, id: id, from: p.pos})
		addToFetch(req, p.Topic, id, fetchPartition(p.Partition, p.pos, p.epoch, ask))
		bytes += int64(ask)
	}
	if l.turn++; len(answers) < len(l.parts) {
		l.turn += len(answers) - 1
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
	} else {
		p.density = density{} // perhaps too little was asked for
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
	f.learn(p, a.scan.density)
	p.failures, p.corrupt, p.strange, p.empty, p.short = 0, 0, 0, 0, 0
}
