package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/siltlake/silt/internal/problem"
)

// A Record is one record of a topic, for people to look at or as they want it written. The hot path has stream.Records.
type Record struct {
	Topic         string
	Partition     int32 // to be written: -1 lets the key decide
	Offset        int64
	Timestamp     time.Time // to be written: zero is now
	TimestampType int8      // 0 create, 1 log append, -1 none
	Key, Value    []byte    // nil: null
	Headers       []Header  // in order; names may repeat
}

// A Header is a header of a record.
type Header struct {
	Key   string
	Value []byte // nil: null
}

// A From says where a look at a topic begins.
type From struct {
	kind   fromKind
	offset int64
	at     time.Time
}

type fromKind uint8

const (
	newest fromKind = iota
	earliest
	latest
	atOffset
	atTime
)

// The beginnings of a look.
var (
	Newest   = From{kind: newest}   // the last records that are there
	Earliest = From{kind: earliest} // the first ones
	Latest   = From{kind: latest}   // only those that come
)

// FromOffset begins every partition at the offset, or where the partition begins or ends if that is nearer.
func FromOffset(n int64) From { return From{kind: atOffset, offset: n} }

// FromTime begins every partition at its first record of the time or later.
func FromTime(t time.Time) From { return From{kind: atTime, at: t} }

// A Look says what Peek shows.
type Look struct {
	Topic      string
	Partitions []int32 // nil: all
	From       From
	Count      int  // at most so many records, of all partitions together; 0: all
	Follow     bool // go on with what comes until ctx ends; Count then limits only what is there already
}

const (
	// peekBytes is what one answer may bring for a partition.
	peekBytes = 1 << 20
	// peekWait is how long a broker holds a request that it has no data for.
	peekWait = 500 * time.Millisecond
	// peekTries is how often in a row an answer may fail, or bring nothing where something should be, before it is believed.
	peekTries = 4
)

// Peek hands records of a topic to show, ordered by time as far as the partitions' own order allows; those that come while it follows, as they
// come. It belongs to no consumer group and leaves no trace on the broker. It ends with the last record that was there when it began, with
// an error of show, or, if it follows, with ctx, which is no error.
//
// It is a look, not the path of a query: what cannot be had after a few tries is left out, with a warning in the log.
func (c *Client) Peek(ctx context.Context, l Look, show func(Record) error) error {
	k, err := c.newPeeker(ctx, l)
	if err != nil {
		return err
	}
	if l.From.kind == newest && l.Count > 0 {
		err = k.showNewest(ctx, l.Count, show)
	} else {
		err = k.showThere(ctx, l.Count, show)
	}
	if err == nil && l.Follow {
		err = k.follow(ctx, show)
	}
	if l.Follow && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// A peeker reads partitions of one topic.
type peeker struct {
	c          *Client
	topic      string
	id         [16]byte
	parts      []*peekPart
	decompress kgo.Decompressor
}

// A peekPart is a partition that is read.
type peekPart struct {
	partition   int32
	leader      int32
	first, next int64 // of the log, when the look began
	pos         int64 // the next offset to be read
	end         int64 // where to stop
	queue       []Record
	idle        int // answers in a row without a record and without progress
}

func (p *peekPart) done() bool { return p.pos >= p.end && len(p.queue) == 0 }

func (c *Client) newPeeker(ctx context.Context, l Look) (*peeker, error) {
	limited, cancel := adminContext(ctx)
	defer cancel()
	t, err := c.findTopic(limited, l.Topic)
	if err != nil {
		return nil, err
	}
	first, next, err := c.bounds(limited, l.Topic)
	if err != nil {
		return nil, err
	}
	var times kadm.ListedOffsets
	if l.From.kind == atTime {
		if times, err = kadm.NewClient(c.kgo).ListOffsetsAfterMilli(limited, l.From.at.UnixMilli(), l.Topic); wholly(err) {
			return nil, c.adminProblem(limited, "list the offsets of", l.Topic, err, "")
		}
	}
	k := &peeker{c: c, topic: l.Topic, decompress: &ownDecompressor{decompressor{limit: defaultMaxBatch}}}
	for _, n := range l.Partitions {
		if n < 0 || int(n) >= len(t.Partitions) {
			return nil, problem.New(problem.Usage, "topic %s has no partition %d; it has 0 to %d", l.Topic, n, len(t.Partitions)-1)
		}
	}
	for _, p := range t.Partitions {
		if l.Partitions != nil && !slices.Contains(l.Partitions, p.Partition) {
			continue
		}
		from, okFrom := first.Lookup(l.Topic, p.Partition)
		to, okTo := next.Lookup(l.Topic, p.Partition)
		if err := cmp.Or(from.Err, to.Err); err != nil || !okFrom || !okTo {
			c.log.Warn("the partition is left out: its offsets are not known", "topic", l.Topic, "partition", p.Partition, "error", err)
			continue
		}
		part := &peekPart{partition: p.Partition, leader: p.Leader, first: from.Offset, next: to.Offset, end: to.Offset}
		part.pos = part.start(l.From, times, l.Topic)
		k.parts = append(k.parts, part)
	}
	if len(k.parts) == 0 {
		p := problem.New(problem.BrokerError, "no partition of topic %s can be read", l.Topic).
			Fix("silt topic describe %s shows the leaders", l.Topic)
		p.Retryable = true
		return nil, p
	}
	return k, k.refresh(limited)
}

// start is where the partition is read from. The newest records are looked for later.
func (p *peekPart) start(f From, times kadm.ListedOffsets, topic string) int64 {
	switch f.kind {
	case latest:
		return p.next
	case atOffset:
		return min(max(f.offset, p.first), p.next)
	case atTime:
		if o, ok := times.Lookup(topic, p.partition); ok && o.Err == nil && o.Offset >= 0 {
			return min(max(o.Offset, p.first), p.next)
		}
		return p.next
	}
	return p.first
}

// showThere shows the records that are there, at most count of them; 0 is all.
func (k *peeker) showThere(ctx context.Context, count int, show func(Record) error) error {
	for n := 0; count == 0 || n < count; n++ {
		r, ok, err := k.nextByTime(ctx)
		if err != nil || !ok {
			return err
		}
		if err := show(r); err != nil {
			return err
		}
	}
	return nil
}

// showNewest shows the last count records. How many records the last offsets hold can be known only by reading them: transactions and
// compaction leave offsets without records. So each partition is read from further back until it has given enough.
func (k *peeker) showNewest(ctx context.Context, count int, show func(Record) error) error {
	for _, p := range k.parts {
		if err := k.readNewest(ctx, p, count); err != nil {
			return err
		}
	}
	var all []Record
	for {
		r, ok, err := k.nextByTime(ctx)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		all = append(all, r)
	}
	for _, r := range all[max(0, len(all)-count):] {
		if err := show(r); err != nil {
			return err
		}
	}
	return nil
}

// readNewest fills the partition's queue with its last count records.
func (k *peeker) readNewest(ctx context.Context, p *peekPart, count int) error {
	for back := int64(count); ; back *= 4 {
		from := max(p.first, p.end-back)
		p.pos = from
		var last []Record
		for p.pos < p.end {
			if err := k.fetch(ctx, []*peekPart{p}, peekWait); err != nil {
				return err
			}
			last = append(last, p.queue...)
			last = slices.Clone(last[max(0, len(last)-count):])
			p.queue = nil
		}
		if len(last) == count || from == p.first {
			p.queue = last
			return nil
		}
	}
}

// nextByTime returns the oldest of the next records of all partitions; false if there is none left.
func (k *peeker) nextByTime(ctx context.Context) (Record, bool, error) {
	for {
		var wanted []*peekPart
		var oldest *peekPart
		for _, p := range k.parts {
			switch {
			case p.done():
			case len(p.queue) == 0:
				wanted = append(wanted, p)
			case oldest == nil || p.queue[0].Timestamp.Before(oldest.queue[0].Timestamp):
				oldest = p
			}
		}
		if len(wanted) > 0 {
			if err := k.fetch(ctx, wanted, peekWait); err != nil {
				return Record{}, false, err
			}
			continue
		}
		if oldest == nil {
			return Record{}, false, nil
		}
		r := oldest.queue[0]
		oldest.queue = oldest.queue[1:]
		return r, true, nil
	}
}

// follow shows what comes until ctx ends.
func (k *peeker) follow(ctx context.Context, show func(Record) error) error {
	for _, p := range k.parts {
		p.pos, p.end, p.queue, p.idle = max(p.pos, p.end), int64(1)<<62, nil, 0
	}
	for {
		if err := k.fetch(ctx, k.parts, peekWait); err != nil {
			return err
		}
		var came []Record
		for _, p := range k.parts {
			came = append(came, p.queue...)
			p.queue = nil
		}
		slices.SortStableFunc(came, func(a, b Record) int { return a.Timestamp.Compare(b.Timestamp) })
		for _, r := range came {
			if err := show(r); err != nil {
				return err
			}
		}
	}
}

// fetch asks the leaders of the partitions, all at once, and puts what comes into their queues. It repeats what fails.
func (k *peeker) fetch(ctx context.Context, parts []*peekPart, wait time.Duration) error {
	for failures := 0; ; {
		err := k.fetchOnce(ctx, parts, wait)
		var p *problem.Problem
		if err == nil || ctx.Err() != nil || errors.As(err, &p) {
			return cmp.Or(ctx.Err(), err)
		}
		k.c.log.Debug("a fetch failed", "topic", k.topic, "error", err)
		if failures++; failures >= peekTries {
			return k.c.adminProblem(ctx, "read", k.topic, err, "")
		}
		if err := sleep(ctx, 200*time.Millisecond<<failures); err != nil {
			return err
		}
		if err := k.refresh(ctx); err != nil {
			return err
		}
	}
}

// refresh looks up the leaders anew.
func (k *peeker) refresh(ctx context.Context) error {
	views, err := k.c.metadata(ctx, []string{k.topic})
	if err != nil {
		return k.c.adminProblem(ctx, "read", k.topic, err, "")
	}
	v := views[k.topic]
	k.id = v.id
	for _, p := range k.parts {
		p.leader = -1
		if pv, ok := v.partitions[p.partition]; ok {
			p.leader = pv.leader
		}
	}
	return nil
}

func (k *peeker) fetchOnce(ctx context.Context, parts []*peekPart, wait time.Duration) error {
	byLeader := map[int32][]*peekPart{}
	for _, p := range parts {
		byLeader[p.leader] = append(byLeader[p.leader], p)
	}
	if orphans := byLeader[-1]; orphans != nil {
		return fmt.Errorf("partition %d has no leader: %w", orphans[0].partition, kerr.LeaderNotAvailable)
	}
	type outcome struct {
		leader int32
		resp   kmsg.Response
		err    error
	}
	outcomes := make(chan outcome, len(byLeader))
	for _, leader := range slices.Sorted(maps.Keys(byLeader)) {
		req := k.request(byLeader[leader], wait)
		go func() {
			o := outcome{leader: leader}
			o.err = problem.Catch("looking at records", func() (err error) {
				o.resp, err = k.c.kgo.Broker(int(leader)).Request(ctx, req)
				return err
			})
			outcomes <- o
		}()
	}
	var failed error
	for range byLeader {
		o := <-outcomes
		err := o.err
		if err == nil {
			err = k.take(ctx, byLeader[o.leader], o.resp.(*kmsg.FetchResponse))
		}
		failed = cmp.Or(failed, err)
	}
	return failed
}

func (k *peeker) request(parts []*peekPart, wait time.Duration) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(wait.Milliseconds()), 1, maxAnswer
	req.IsolationLevel = isolation(k.c.opts.ReadCommitted)
	req.SessionEpoch = -1 // no fetch session
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = k.topic, k.id
	for _, p := range parts {
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.FetchOffset, rp.CurrentLeaderEpoch, rp.PartitionMaxBytes = p.partition, p.pos, -1, peekBytes
		t.Partitions = append(t.Partitions, rp)
	}
	req.Topics = append(req.Topics, t)
	return req
}

// take puts an answer's records into the queues.
func (k *peeker) take(ctx context.Context, parts []*peekPart, resp *kmsg.FetchResponse) error {
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return err
	}
	var failed error
	for _, t := range resp.Topics {
		for i := range t.Partitions {
			rp := &t.Partitions[i]
			j := slices.IndexFunc(parts, func(p *peekPart) bool { return p.partition == rp.Partition })
			if j < 0 {
				continue
			}
			failed = cmp.Or(failed, k.takePart(ctx, parts[j], rp))
		}
	}
	return failed
}

func (k *peeker) takePart(ctx context.Context, p *peekPart, rp *kmsg.FetchResponseTopicPartition) error {
	switch err := kerr.ErrorForCode(rp.ErrorCode); {
	case errors.Is(err, kerr.OffsetOutOfRange):
		return k.rescue(ctx, p)
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return deniedProblem(k.topic, "read")
	case err != nil:
		return err
	}
	o := kgo.ProcessFetchPartitionOpts{Offset: p.pos, Topic: k.topic, Partition: p.partition}
	if k.c.opts.ReadCommitted {
		o.IsolationLevel = kgo.ReadCommitted()
	}
	got, next := kgo.ProcessFetchPartition(o, rp, k.decompress, nil)
	for _, r := range got.Records {
		if r.Offset < p.end {
			p.queue = append(p.queue, recordOf(r))
		}
	}
	if got.Err != nil && next <= p.pos {
		return problem.New(problem.CorruptBatch, "a record batch cannot be read: %w", got.Err).At(problem.Record(k.topic, p.partition, p.pos)).
			Fix("look behind it: silt topic peek %s --partition %d --from OFFSET", k.topic, p.partition)
	}
	if got.Err != nil {
		k.c.log.Warn("a record batch is left out", "topic", k.topic, "partition", p.partition, "offset", p.pos, "error", got.Err)
	}
	if next > p.pos {
		p.pos, p.idle = next, 0
		return nil
	}
	// Compaction may have left nothing up to the end of the log; the broker does not say so.
	if p.idle++; p.idle >= peekTries && p.end == p.next {
		k.c.log.Info("no records are left up to the end of the log", "topic", k.topic, "partition", p.partition, "offset", p.pos)
		p.pos = p.end
	}
	return nil
}

// rescue moves on to where the log begins now: retention took the offset while it was looked at.
func (k *peeker) rescue(ctx context.Context, p *peekPart) error {
	first, err := kadm.NewClient(k.c.kgo).ListStartOffsets(ctx, k.topic)
	if wholly(err) {
		return err
	}
	o, ok := first.Lookup(k.topic, p.partition)
	if !ok || o.Err != nil || o.Offset <= p.pos {
		return kerr.OffsetOutOfRange
	}
	k.c.log.Warn("offsets are gone", "topic", k.topic, "partition", p.partition, "from", p.pos, "to", o.Offset)
	p.pos = o.Offset
	return nil
}

func recordOf(r *kgo.Record) Record {
	out := Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp, TimestampType: r.Attrs.TimestampType(),
		Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, Header{h.Key, h.Value})
	}
	return out
}

// An ownDecompressor lets franz-go decompress as the hot path does: with its limit. Records keep the memory, so each batch gets its own.
type ownDecompressor struct{ decompressor }

// Decompress implements kgo.Decompressor.
func (d *ownDecompressor) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	d.arena = nil
	if _, err := d.add(int(codec), src); err != nil {
		return nil, err
	}
	return d.arena, nil
}
