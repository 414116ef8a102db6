package kafka

import (
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

const (
	// corruptTries is how often a batch is fetched before its damage is believed.
	corruptTries = 3
	// strangeTries is how often an error that does not heal by itself is met before it ends the query.
	strangeTries = 5
	// settleTries is how often an answer without data is asked for again before it is looked into.
	settleTries = 3
)

// fault handles the error of a partition in an answer. Everything that can pass is tried for ever; the position stays.
func (f *fetcher) fault(l *leader, p *part, err error) {
	switch {
	case errors.Is(err, kerr.OffsetOutOfRange) && p.replica >= 0:
		f.retry(p, true, err) // a follower may be behind; the leader knows
	case errors.Is(err, kerr.OffsetOutOfRange):
		f.lookUp(p, f.outOfRange)
	case errors.Is(err, kerr.CorruptMessage):
		f.corrupted(p, &corruptError{offset: p.pos, passing: true, why: "the broker says that it is corrupt"})
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID):
		f.retry(p, true, err) // metadata tell whether it is another topic now, or a broker that is behind
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.UnknownServerError), kerr.IsRetriable(err):
		f.retry(p, true, err)
	default:
		if p.strange++; p.strange >= strangeTries {
			f.err = problem.New(problem.BrokerError, "broker %d does not serve the partition: %w", l.id, err).
				At(problem.Record(p.Topic, p.Partition, p.pos))
			return
		}
		f.retry(p, true, err)
	}
}

// corrupted handles a batch that cannot be right: it is fetched again, for the damage may lie on the way or in one replica's disk.
func (f *fetcher) corrupted(p *part, err error) {
	var ce *corruptError
	if p.corrupt++; p.corrupt >= corruptTries || errors.As(err, &ce) && !ce.passing {
		f.err = corruptProblem(p.TopicPartition, err, f.maxBatch)
		return
	}
	f.retry(p, true, err)
}

// lookUp asks the leader for the partition's first and next offsets and hands them to decide, in the loop.
func (f *fetcher) lookUp(p *part, decide func(p *part, first, next int64)) {
	p.busy = true
	leader, tps := p.leader, []stream.TopicPartition{p.TopicPartition}
	views := map[string]topicView{p.Topic: {partitions: map[int32]partitionView{p.Partition: {leader: leader, epoch: p.epoch}}}}
	f.beside(func() event {
		first, err := f.listOffsets(f.ctx, leader, tps, stream.Earliest, views)
		var next map[stream.TopicPartition]int64
		if err == nil {
			next, err = f.listOffsets(f.ctx, leader, tps, stream.Latest, views)
		}
		return event{apply: func() {
			p.busy = false
			switch {
			case p.done(): // given up meanwhile
			case err != nil:
				f.retry(p, true, err)
			default:
				decide(p, first[p.TopicPartition], next[p.TopicPartition])
			}
		}}
	})
}

// outOfRange decides what an offset that the leader refuses means.
func (f *fetcher) outOfRange(p *part, first, next int64) {
	switch {
	case p.pos < first: // retention took it
		f.gap(p, min(first, p.End), "the log of partition %v begins at offset %d now", p.TopicPartition, first)
	case p.pos > next: // an unclean leader election cut the log
		f.ended(p, next)
	default: // it is there: the leader has just changed
		f.retry(p, true, fmt.Errorf("offset %d is refused but lies within %d to %d", p.pos, first, next))
	}
}

// ended handles a log that ends before the range does, though the range was planned by where it ended: leaders that were not in sync may
// have cut it. A new leader may also not know its end for a moment, so it is looked at several times.
func (f *fetcher) ended(p *part, next int64) {
	if p.short++; p.short >= settleTries {
		f.gap(p, p.End, "the log of partition %v ends at offset %d now", p.TopicPartition, next)
		return
	}
	f.retry(p, true, fmt.Errorf("the log ends at offset %d, before the range does at %d", next, p.End))
}

// settle looks into an answer without data although the partition was asked for an offset that should be there. There are two cases:
//
// The log ends at or before the position: see ended.
//
// The log goes on but nothing is left in it up to its end: compaction took the last records, or a transaction marker, of all closed
// segments, and the open segment is empty. A consumer waits for ever then, for the broker has no way to say so. But an answer without data
// is also what a broker gives that reads slowly from remote storage or throttles, so nobody may pass over offsets by such answers alone.
// Remote storage and compaction exclude each other (KIP-405): if the topic is compacted, and the leader answers so several times, the
// offsets are passed over; if not, it is asked for ever.
func (f *fetcher) settle(l *leader, p *part) {
	if p.replica >= 0 {
		f.retry(p, true, fmt.Errorf("broker %d, which is not the leader, has no data at the offset", l.id))
		return
	}
	if p.empty++; p.empty < settleTries {
		f.retry(p, false, fmt.Errorf("broker %d has no data at the offset", l.id))
		return
	}
	f.lookUp(p, func(p *part, first, next int64) {
		switch {
		case p.pos < first || p.pos > next:
			f.outOfRange(p, first, next)
		case p.pos == next:
			f.ended(p, next)
		default:
			f.askCompaction(p, next)
		}
	})
}

// askCompaction passes over offsets without data before next if the topic is compacted.
func (f *fetcher) askCompaction(p *part, next int64) {
	p.busy = true
	f.beside(func() event {
		compacted, err := f.isCompacted(p.Topic)
		return event{apply: func() {
			p.busy = false
			switch {
			case p.done(): // given up meanwhile
			case err != nil:
				f.retry(p, true, fmt.Errorf("no data at the offset, and the topic's cleanup.policy is not known: %w", err))
			case !compacted:
				f.retry(p, true, errors.New("no data at the offset, and the topic is not compacted"))
			default:
				f.log.Info("compaction left no record", "topic", p.Topic, "partition", p.Partition, "from", p.pos, "to", min(next, p.End))
				f.emit(&answer{part: p, scan: scan{next: min(next, p.End)}}, nil)
			}
		}}
	})
}

// isCompacted asks for the topic's cleanup.policy; the user needs the right DESCRIBE_CONFIGS for it.
func (f *fetcher) isCompacted(topic string) (bool, error) {
	const key = "cleanup.policy"
	req := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeTopic, topic, []string{key}
	req.Resources = append(req.Resources, r)
	resp, err := f.c.kgo.Request(f.ctx, req)
	if err != nil {
		return false, err
	}
	for _, r := range resp.(*kmsg.DescribeConfigsResponse).Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return false, err
		}
		for _, c := range r.Configs {
			if c.Name == key && c.Value != nil {
				return strings.Contains(*c.Value, "compact"), nil
			}
		}
	}
	return false, nil
}
