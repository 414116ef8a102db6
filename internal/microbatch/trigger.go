package microbatch

import (
	"context"
	"math"
	"time"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// A TriggerKind says when batches start.
type TriggerKind uint8

// The triggers.
const (
	// AsDataArrives starts a batch as soon as there is data, at most one a second: Spark's own overhead of seconds has the same effect,
	// and thousands of tiny versions hurt every reader of the table.
	AsDataArrives TriggerKind = iota
	// ProcessingTime starts a batch at the multiples of an interval since 1970; one that took longer is followed at once.
	ProcessingTime
	// AvailableNow reads what is there at the start, in as many batches as maxOffsetsPerTrigger makes of it, and ends.
	AvailableNow
)

// A Trigger says when the next batch starts; the zero value is AsDataArrives.
type Trigger struct {
	Kind     TriggerKind
	Interval time.Duration // of ProcessingTime; 0: without a pause
}

const (
	// leastInterval is between the starts of two batches of AsDataArrives.
	leastInterval = time.Second
	// pollInterval is between two looks for data, where the trigger sets no time. Spark looks every 10 ms; a look is a round trip to each
	// leader.
	pollInterval = 100 * time.Millisecond
	// shortPoll is the same for "processingTime: 0 seconds", which asks for as little as can be.
	shortPoll = 10 * time.Millisecond
)

// ParseTrigger reads the section trigger. Without a value it is AsDataArrives.
func ParseTrigger(vs option.Values) (Trigger, []*problem.Problem) {
	p := option.NewParser(vs)
	p.Unsupported("use availableNow: true, which also heeds maxOffsetsPerTrigger", "once")
	p.Unsupported("use processingTime; a table version has to be whole", "continuous", "realTime")
	var t Trigger
	interval, timed := p.Lookup("processingTime")
	if timed {
		t.Kind = ProcessingTime
	}
	t.Interval = p.Duration("processingTime", 0, 0, math.MaxInt64)
	if p.Bool("availableNow", false) {
		if timed {
			p.Report(interval, problem.Conflict, "%s and availableNow exclude each other", interval.Key).Fix("keep one of them")
		}
		t = Trigger{Kind: AvailableNow}
	}
	return t, p.Finish()
}

// next is when the trigger after the one of started fires, which ran a batch or found no data.
func (t Trigger) next(started, now time.Time, ran bool) time.Time {
	switch {
	case t.Kind == AvailableNow:
		return now
	case t.Kind == ProcessingTime && t.Interval > 0:
		// As Spark counts: from the epoch, in milliseconds.
		i := max(t.Interval.Milliseconds(), 1)
		at := time.UnixMilli((started.UnixMilli()/i + 1) * i)
		return later(at, now)
	case t.Kind == ProcessingTime && ran:
		return now
	case t.Kind == ProcessingTime:
		return now.Add(shortPoll)
	case ran:
		return later(started.Add(leastInterval), now)
	}
	return now.Add(pollInterval)
}

// ahead is when the batch after the one of started may begin although that is still being committed: when it would begin if that were done.
// There is none where AvailableNow, whose target is known (not nil), has read all of it by end.
func (t Trigger) ahead(started, now time.Time, end, target stream.Offsets) (at time.Time, ok bool) {
	if t.Kind == AvailableNow && target != nil && lag(end, target) == 0 {
		return time.Time{}, false
	}
	return t.next(started, now, true), true
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// behind says whether a batch that began at started took longer than the interval.
func (t Trigger) behind(started, now time.Time) bool {
	return t.Kind == ProcessingTime && t.Interval > 0 && now.Sub(started) > t.Interval
}

// sleep waits; it returns early, with the context's error, if that ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
