package microbatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// found is what a start finds.
type found struct {
	state  stream.State
	table  stream.InTable
	bounds stream.Bounds
}

// begin looks at checkpoint, table and topics, decides, and writes what the decision asks for.
func (q *run) begin(ctx context.Context) error {
	f, err := q.look(ctx)
	if err != nil {
		return err
	}
	start := f.state.Batch.Start
	if f.state.Planned < 0 && start == nil {
		if start, err = Initial(q.o.Starting, f.bounds); err != nil {
			return err
		}
	}
	q.at = Position{Offsets: start, Landed: f.table.End}
	if last := f.table.Last; last != nil { // it knows of which topics these are
		q.at.Landed, q.at.TopicIDs = merge(last.Landed, last.End), last.TopicIDs
	}
	q.shuffle, q.version, q.latest, q.pending = f.state.Batch.ShufflePartitions, f.table.Version, f.bounds.Next, nil
	d := Recover(f.state, f.table, RecoverInput{Topics: slices.Collect(maps.Keys(f.bounds.Next)), First: start, NewQuery: q.o.NewQuery,
		Table: q.o.Table, Checkpoint: q.o.Checkpoint})
	if err := q.enact(ctx, d, f); err != nil {
		return explain(err, d.Batch)
	}
	return nil
}

// look asks log, table and topics what they hold, at the start for StartTimeout at most. It writes nothing.
func (q *run) look(ctx context.Context) (found, error) {
	if !q.started {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, q.o.StartTimeout, errStart)
		defer cancel()
	}
	var f found
	var err error
	if f.state, err = q.r.Log.Open(ctx); err != nil {
		return f, q.late(ctx, err, problem.StoreFailed, "the checkpoint's store does not answer")
	}
	if q.queryID = cmp.Or(f.state.Batch.QueryID, q.queryID); q.queryID == "" {
		q.queryID = q.r.NewID()
	}
	f.state.Batch.QueryID = q.queryID
	if f.table, err = q.r.Sink.Committed(ctx, q.queryID); err != nil {
		return f, q.late(ctx, err, problem.StoreFailed, "the table's store does not answer")
	}
	seen := f.state.Batch.End
	if seen == nil {
		seen = f.state.Batch.Start
	}
	if f.bounds, err = q.r.Source.Bounds(ctx, seen); err != nil {
		return f, q.late(ctx, err, problem.BrokerUnreachable, "the brokers give no offsets of the topics")
	}
	return f, nil
}

var errStart = errors.New("the start took too long")

// late makes the end of the start's time a problem.
func (q *run) late(ctx context.Context, err error, code problem.Code, what string) error {
	if context.Cause(ctx) != errStart || !isContext(err) {
		return err
	}
	p := problem.New(code, "%s within %s", what, q.o.StartTimeout)
	p.Retryable = true
	if why := err.Error(); why != ctx.Err().Error() {
		p.Why = why // a store that was asked again and again says what it answered
	}
	return p.Fix("start again when they answer; a query that runs already waits for them")
}

// enact does what was decided; nothing has been written before.
func (q *run) enact(ctx context.Context, d Decision, f found) error {
	if d.Action == Refuse {
		return d.Problem
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	b := d.Batch
	q.nextID = b.ID
	switch d.Action {
	case PlanNext:
		q.at.Offsets = b.Start
		if f.state.Planned < 0 {
			return q.r.Log.Start(q.work, q.queryID, b.Start)
		}
		return nil
	case PlanAgain:
		q.at.Offsets = b.Start
		return q.r.Log.Discard(q.work, b.ID)
	case Rebuild:
		if err := q.rebuild(b); err != nil {
			return err
		}
		fallthrough
	case MarkDone:
		err := q.fire().timed(commitOffsets, fmt.Sprint("commits ", b.ID), func() error { return q.r.Log.Done(q.work, b.ID) })
		if err == nil {
			q.at.Offsets, q.nextID, q.progressed = b.End, b.ID+1, true
		}
		return err
	}
	return q.resume(b, f.bounds)
}

// rebuild writes offsets/N anew from what the table's commit says of batch N.
func (q *run) rebuild(b stream.Batch) error {
	b.Time = q.r.Now().UTC().Truncate(time.Millisecond) // the commit does not say it
	return q.fire().timed(walCommit, fmt.Sprint("plan ", b.ID), func() error { return q.r.Log.Restore(q.work, b) })
}

// resume makes ready to run a batch again.
func (q *run) resume(b stream.Batch, bounds stream.Bounds) error {
	q.at.Offsets = b.Start
	p, err := Resume(b.End, q.at, bounds, q.o.FailOnDataLoss)
	if err != nil {
		return err
	}
	q.warn(p.Losses)
	b.Start, b.Landed, b.TopicIDs = p.Start, p.Landed, p.TopicIDs
	q.pending = &b
	return nil
}

// merge returns the offsets of both, of b where both have a partition.
func merge(a, b stream.Offsets) stream.Offsets {
	m := stream.Offsets{}
	for _, o := range []stream.Offsets{a, b} {
		for tp, offset := range o.All() {
			m.Set(tp.Topic, tp.Partition, offset)
		}
	}
	return m
}

func sortGaps(gaps []stream.Gap) {
	slices.SortFunc(gaps, func(a, b stream.Gap) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.From, b.From))
	})
}
