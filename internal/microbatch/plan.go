package microbatch

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// A Position is how far a query has read.
type Position struct {
	// Offsets are the end of its newest batch, or where it starts.
	Offsets stream.Offsets
	// Landed are the ends of partitions that are not in Offsets and were read before: their topic was taken out of the subscription, and may
	// be put back. Those in Offsets do not count.
	Landed stream.Offsets
	// TopicIDs are the ids of the topics that these are offsets of, as far as they are known.
	TopicIDs map[string]string
}

// isAnother says whether the topic was deleted and made again since. Only its id tells: its offsets may have passed the old ones.
func (at Position) isAnother(topic string, b stream.Bounds) bool {
	was, is := at.TopicIDs[topic], b.TopicIDs[topic]
	return was != "" && is != "" && was != is
}

// Rules are the options that a plan follows.
type Rules struct {
	// MaxOffsetsPerTrigger bounds the offsets of a batch; 0: no bound.
	MaxOffsetsPerTrigger int64
	// FailOnDataLoss makes a loss a *stream.DataLossError; otherwise it is named in Planned.Losses, and the Source reports the gap.
	FailOnDataLoss bool
	// Target is where AvailableNow ends; nil: nowhere. Partitions that are not in it are not read.
	Target stream.Offsets
}

// Planned is what a batch reads, as in stream.Batch. Start and End have the same partitions.
type Planned struct {
	Start, End, Landed stream.Offsets
	TopicIDs           map[string]string
	// Losses say, in words, what is lost (FailOnDataLoss is false) beside the gaps, of which the Source tells when it meets them.
	Losses []string
}

// Empty says that no offset moves: there is no batch to plan.
func (p Planned) Empty() bool { return p.Start.Equal(p.End) }

// Initial is where a query without checkpoint begins (startingOffsets). Offsets given one by one must name every partition and no other,
// as in Spark.
func Initial(s stream.Starting, b stream.Bounds) (stream.Offsets, error) {
	start := stream.Offsets{}
	at := func(tp stream.TopicPartition, offset int64) {
		switch offset {
		case stream.Earliest:
			offset, _ = b.First.Get(tp.Topic, tp.Partition)
		case stream.Latest:
			offset, _ = b.Next.Get(tp.Topic, tp.Partition)
		}
		start.Set(tp.Topic, tp.Partition, offset)
	}
	var missing, unknown []string
	for tp := range b.Next.All() {
		offset := s.All
		if s.Each != nil {
			var ok bool
			if offset, ok = s.Each.Get(tp.Topic, tp.Partition); !ok {
				missing = append(missing, tp.String())
				continue
			}
		}
		at(tp, offset)
	}
	for tp := range s.Each.All() {
		if _, ok := b.Next.Get(tp.Topic, tp.Partition); !ok {
			unknown = append(unknown, tp.String())
		}
	}
	switch {
	case len(missing) > 0:
		return nil, problem.New(problem.InvalidValue, "startingOffsets names %d partitions, not %s", count(s.Each), some(missing)).
			Fix("name every partition that is read; -1 is latest, -2 is earliest")
	case len(unknown) > 0:
		return nil, problem.New(problem.InvalidValue, "startingOffsets names %s, of which the query reads nothing", some(unknown)).
			Fix("name the partitions that are read, and no others")
	}
	return start, nil
}

func count(o stream.Offsets) int {
	n := 0
	for _, partitions := range o {
		n += len(partitions)
	}
	return n
}

// Plan decides what the next batch reads, given what the topics hold. Partitions that the query has not met before begin at the first
// offset. The error is a *stream.DataLossError.
func Plan(at Position, b stream.Bounds, r Rules) (Planned, error) {
	p := planner{at: at, bounds: b, start: stream.Offsets{}, end: stream.Offsets{}}
	p.checkTopics()
	if err := p.checkTarget(r.Target); err != nil {
		return Planned{}, err
	}
	for tp, next := range b.Next.All() {
		target, ok := r.Target.Get(tp.Topic, tp.Partition)
		if r.Target != nil && !ok {
			continue
		}
		start := p.startOf(tp)
		end := max(next, start) // a log that was cut is waited for
		if r.Target != nil {
			end = max(min(end, target), start)
		}
		p.start.Set(tp.Topic, tp.Partition, start)
		p.end.Set(tp.Topic, tp.Partition, end)
	}
	if r.MaxOffsetsPerTrigger > 0 {
		p.prorate(r.MaxOffsetsPerTrigger)
	}
	return p.planned(r.FailOnDataLoss)
}

// Resume decides what is read for a batch of the checkpoint that has not been committed: its end stays what it is, and its start where the
// log does not say it (a partition that was new in it) is found as Plan found it.
//
// The checkpoint does not say of which topic the end is, if the topic was made again around the time when the batch was planned. Where the
// new topic does not reach it, it is the old one's: its offsets are lost, and the next plan begins the new topic. Where it does, the batch
// reads the new topic from its first offset up to there: if the end was the old one's, that is as good as any other.
func Resume(end stream.Offsets, at Position, b stream.Bounds, failOnDataLoss bool) (Planned, error) {
	p := planner{at: at, bounds: b, start: stream.Offsets{}, end: end.Clone(), old: map[string]bool{}}
	for _, topic := range slices.Sorted(maps.Keys(end)) {
		if b.Next[topic] != nil && p.checkID(topic) {
			p.old[topic] = !reaches(b.Next[topic], end[topic])
		}
	}
	for tp, to := range end.All() {
		var start int64
		if p.old[tp.Topic] {
			start = p.startOfOld(tp, to)
		} else {
			start = p.startOf(tp)
			if next, ok := b.Next.Get(tp.Topic, tp.Partition); ok && next < to && start < to {
				p.lose(stream.Gap{TopicPartition: tp, From: max(start, next), To: to},
					"partition %v ends at offset %d, and the batch was planned up to %d", tp, next, to)
			}
		}
		p.start.Set(tp.Topic, tp.Partition, min(start, to))
	}
	return p.planned(failOnDataLoss)
}

// reaches says whether every partition goes up to the offset at least.
func reaches(next, to map[int32]int64) bool {
	for n, offset := range to {
		if at, ok := next[n]; !ok || at < offset {
			return false
		}
	}
	return true
}

type planner struct {
	at         Position
	bounds     stream.Bounds
	start, end stream.Offsets
	anew       map[string]bool // topics that were deleted and made again
	old        map[string]bool // of them, those whose end in a batch that is resumed is the old topic's
	gaps       []stream.Gap
	reasons    []string // all that is lost, in words
	losses     []string // of them, those without a gap
}

func (p *planner) lose(g stream.Gap, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	p.reasons = append(p.reasons, text)
	if g.From < g.To {
		p.gaps = append(p.gaps, g)
		return
	}
	p.losses = append(p.losses, text)
}

// checkTopics finds topics and partitions that are gone and topics that are others now (Spark's KafkaMicroBatchStream).
func (p *planner) checkTopics() {
	for _, topic := range slices.Sorted(maps.Keys(p.bounds.Next)) {
		p.checkID(topic)
	}
	for _, topic := range slices.Sorted(maps.Keys(p.at.Offsets)) {
		if p.bounds.Next[topic] == nil {
			p.lose(stream.Gap{}, "topic %s was deleted or taken out of the subscription; the query was at %s", topic,
				stream.Offsets{topic: p.at.Offsets[topic]}.JSON(stream.Scala213))
			continue
		}
		if p.anew[topic] {
			continue
		}
		for _, n := range slices.Sorted(maps.Keys(p.at.Offsets[topic])) {
			if _, ok := p.bounds.Next.Get(topic, n); !ok {
				tp := stream.TopicPartition{Topic: topic, Partition: n}
				p.lose(stream.Gap{}, "partition %v is gone; the query was at offset %d", tp, p.at.Offsets[topic][n])
			}
		}
	}
}

// checkID notices a topic that was deleted and made again, and one that comes back and may have been.
func (p *planner) checkID(topic string) (another bool) {
	was, is := p.at.TopicIDs[topic], p.bounds.TopicIDs[topic]
	switch {
	case p.at.isAnother(topic, p.bounds):
		if p.anew == nil {
			p.anew = map[string]bool{}
		}
		p.anew[topic] = true
		p.lose(stream.Gap{}, "topic %s was deleted and made again: its id was %s and is %s", topic, was, is)
		return true
	case was == "" && is != "" && p.at.Offsets[topic] == nil && p.at.Landed[topic] != nil:
		p.lose(stream.Gap{}, "topic %s was read before, up to %s, and nothing says that it is the same topic", topic,
			stream.Offsets{topic: p.at.Landed[topic]}.JSON(stream.Scala213))
	}
	return false
}

// checkTarget stops AvailableNow when what it was to read is not there any more, whatever failOnDataLoss says (Spark's KafkaSourceOffset of
// AvailableNow): it could only wait for ever, or end without having read it.
func (p *planner) checkTarget(target stream.Offsets) error {
	for tp, want := range target.All() {
		next, ok := p.bounds.Next.Get(tp.Topic, tp.Partition)
		switch {
		case !ok:
			return &stream.DataLossError{Reason: fmt.Sprintf("partition %v is gone before it was read up to offset %d", tp, want)}
		case next < want && !p.reached(tp, want):
			return &stream.DataLossError{Gaps: []stream.Gap{{TopicPartition: tp, From: next, To: want}},
				Reason: fmt.Sprintf("partition %v ends at offset %d before it was read up to %d", tp, next, want)}
		}
	}
	return nil
}

func (p *planner) reached(tp stream.TopicPartition, offset int64) bool {
	at, ok := p.at.Offsets.Get(tp.Topic, tp.Partition)
	return ok && at >= offset && !p.anew[tp.Topic]
}

// startOf is where a partition is read from.
func (p *planner) startOf(tp stream.TopicPartition) int64 {
	first, there := p.bounds.First.Get(tp.Topic, tp.Partition)
	if p.anew[tp.Topic] {
		return first
	}
	start, ok := p.at.Offsets.Get(tp.Topic, tp.Partition)
	if !ok {
		start, ok = p.at.Landed.Get(tp.Topic, tp.Partition)
	}
	next, _ := p.bounds.Next.Get(tp.Topic, tp.Partition)
	switch {
	case !there: // of a topic that is not read any more; an open batch is finished all the same
		return start
	case ok && start < first:
		p.lose(stream.Gap{TopicPartition: tp, From: start, To: first},
			"partition %v begins at offset %d, and the query was at %d", tp, first, start)
	case ok && next < start:
		// The offsets from next on are in the table. What Kafka numbers with them now is not read: each offset is landed once.
		p.lose(stream.Gap{}, "partition %v ends at offset %d, and the query was at %d", tp, next, start)
	case !ok && p.at.Offsets[tp.Topic] != nil && first > 0:
		// A partition that a known topic got: its first records are gone before they were read.
		p.lose(stream.Gap{TopicPartition: tp, To: first}, "partition %v is new and begins at offset %d, not 0", tp, first)
		return 0
	case !ok:
		return first
	}
	return start
}

// startOfOld is where the rest of a topic begins that is not there any more: all of it is lost.
func (p *planner) startOfOld(tp stream.TopicPartition, to int64) int64 {
	start, ok := p.at.Offsets.Get(tp.Topic, tp.Partition)
	if !ok {
		return to
	}
	if start < to {
		p.lose(stream.Gap{TopicPartition: tp, From: start, To: to}, "of partition %v the offsets %d to %d are lost", tp, start, to-1)
	}
	return start
}

// prorate shares most offsets among the partitions by what each has to read, as Spark's rateLimit does, in its arithmetic: at least one
// for each that has any, so that the sum may be a little more. Offsets that are lost do not count, and are passed at once.
func (p *planner) prorate(most int64) {
	size := func(tp stream.TopicPartition, end int64) (begin, n int64) {
		begin, _ = p.start.Get(tp.Topic, tp.Partition)
		if first, _ := p.bounds.First.Get(tp.Topic, tp.Partition); first > begin && first <= end {
			begin = first
		}
		return begin, max(end-begin, 0)
	}
	var total float64
	for tp, end := range p.end.All() {
		_, n := size(tp, end)
		total += float64(n)
	}
	if total < 1 {
		return
	}
	for tp, end := range p.end.All() {
		begin, n := size(tp, end)
		if n == 0 {
			continue
		}
		share := float64(most) * (float64(n) / total)
		if share < 1 {
			share = math.Ceil(share)
		}
		if share < float64(n) { // also keeps the sum below the greatest offset
			p.end.Set(tp.Topic, tp.Partition, begin+int64(share))
		}
	}
}

// planned ends the plan: with what it found, or with the loss.
func (p *planner) planned(failOnDataLoss bool) (Planned, error) {
	if failOnDataLoss && len(p.reasons) > 0 {
		return Planned{}, &stream.DataLossError{Gaps: p.gaps, Reason: some(p.reasons)}
	}
	ids := map[string]string{}
	maps.Copy(ids, p.at.TopicIDs)
	for topic := range p.end {
		if p.bounds.Next[topic] != nil && !p.old[topic] {
			ids[topic] = p.bounds.TopicIDs[topic]
		}
	}
	maps.DeleteFunc(ids, func(_, id string) bool { return id == "" })
	return Planned{Start: p.start, End: p.end, Landed: p.landed(), TopicIDs: ids, Losses: p.losses}, nil
}

// landed are the partitions that were read before and are not in the batch. Those of a topic that the batch reads anew are no more.
func (p *planner) landed() stream.Offsets {
	landed := stream.Offsets{}
	for _, before := range []stream.Offsets{p.at.Landed, p.at.Offsets} {
		for tp, offset := range before.All() {
			_, read := p.end.Get(tp.Topic, tp.Partition)
			if anew := p.anew[tp.Topic] && !p.old[tp.Topic] && p.end[tp.Topic] != nil; !read && !anew {
				landed.Set(tp.Topic, tp.Partition, offset)
			}
		}
	}
	return landed
}

// some joins the first of many.
func some(s []string) string {
	const most = 5
	if len(s) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(s[:most], ", "), len(s)-most)
	}
	return strings.Join(s, ", ")
}

// lag is how many offsets are left to read.
func lag(end, latest stream.Offsets) int64 {
	var sum int64
	for tp, next := range latest.All() {
		at, _ := end.Get(tp.Topic, tp.Partition)
		sum += max(next-at, 0)
	}
	return sum
}
