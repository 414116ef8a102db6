package microbatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// Options of a query. The zero value of those that have a default means the default.
type Options struct {
	Name string // queryName
	// Starting is where a query without checkpoint begins.
	Starting             stream.Starting
	FailOnDataLoss       bool
	MaxOffsetsPerTrigger int64 // 0: no bound
	Trigger              Trigger
	Workers              int // at most so many; default 1
	// NewQuery is --new-query: see RecoverInput.
	NewQuery bool
	// StopTimeout is how long the running batch may take to commit after Run's context ended; default DefaultStopTimeout.
	StopTimeout time.Duration
	// StartTimeout bounds what a start waits for checkpoint, table and topics; default 30 s. Once the query runs, it waits for ever.
	StartTimeout time.Duration
	// Table and Checkpoint are the places as the user typed them, and SinkDescription is what Progress says of the table.
	Table, Checkpoint, SinkDescription string
}

// A Runner runs one query. All fields but Trace, Logger and Progress must be set.
type Runner struct {
	Source   stream.Source
	Decoding stream.Decoding
	Sink     stream.Sink
	Log      stream.Log
	Options  Options

	Now   func() time.Time // the wall clock; workers call it concurrently
	NewID func() string    // UUIDs: of a new query, and of each run

	Trace  stream.Trace
	Logger *slog.Logger
	// Progress is told of every batch, and while there is no data at most every ten seconds that there is none. It is called by the
	// goroutine of Run, which waits for it.
	Progress func(Progress, Extra)
}

// Defaults of Options.
const (
	DefaultStopTimeout  = 10 * time.Second
	defaultStartTimeout = 30 * time.Second
)

const (
	// abortTimeout bounds the removal of the files of a batch that is given up; what is left is in no version of the table.
	abortTimeout = 5 * time.Second
	// schemaMoves is how often a batch is written anew, at once, because the table's schema changed under it.
	schemaMoves = 3
	// An outage is waited for between these.
	firstBackoff, lastBackoff = time.Second, 30 * time.Second
	// idleInterval is spark.sql.streaming.noDataProgressEventInterval.
	idleInterval = 10 * time.Second
)

// Run runs the query until ctx ends, AvailableNow is done, or an error that does not heal. After ctx the running batch has StopTimeout to
// commit; then it is abandoned, and run again by the next start. Both are a clean stop: nil. What is wrong otherwise is an error even then.
//
// At the start, an outage of checkpoint, table or topics is an error, and so is a place that cannot be written. Later both are waited for:
// the query begins again, as a start does, with what checkpoint and table say then; in particular a commit of which nobody knows whether it
// happened is looked up.
func (r *Runner) Run(ctx context.Context) error {
	q := r.newRun(ctx)
	defer q.end()
	for failures := 0; ; failures++ {
		err := q.session(ctx)
		switch {
		case err == nil, ctx.Err() != nil && isContext(err):
			return nil
		case !q.started || !heals(err):
			return err
		case ctx.Err() != nil:
			q.log.Warn("the query stops during an outage; what is open is looked up at the next start", why(err)...)
			return nil
		}
		if q.progressed {
			failures, q.progressed = 0, false
		}
		pause := min(firstBackoff<<min(failures, 16), lastBackoff)
		q.log.Warn("the query waits for an outage to end", append(why(err), "retryIn", pause)...)
		if sleep(ctx, pause) != nil {
			return nil
		}
	}
}

func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// heals says whether a query that runs waits for an error to pass: an outage, or a place that was writable at the start. A file system
// becomes writable again, a right is given back, and nobody has to start the query for it.
func heals(err error) bool {
	ps := problem.Of(err)
	return len(ps) > 0 && (ps[0].Retryable || ps[0].Code == problem.PathNotWritable)
}

// why are an error and its cause, for a line of the log: a problem's own text leaves the cause to the lines below it.
func why(err error) []any {
	attrs := []any{"error", err}
	if ps := problem.Of(err); len(ps) > 0 && ps[0].Why != "" {
		attrs = append(attrs, "why", ps[0].Why)
	}
	return attrs
}

// A run is one call of Run.
type run struct {
	r     *Runner
	o     Options // with defaults
	log   *slog.Logger
	runID string

	// work ends StopTimeout after Run's context did: batches run under it, waiting does not.
	work context.Context
	end  func()

	queryID string
	at      Position
	nextID  int64
	shuffle int
	target  stream.Offsets // of AvailableNow, once it is known
	// pending is a batch that an earlier run, or a session before an outage, had planned.
	pending *stream.Batch

	started    bool // the checks of the start are over
	progressed bool // a batch was committed since the last outage

	latest         stream.Offsets // the newest Bounds.Next
	version        int64
	bytesPerOffset float64
	lastFired      time.Time // when the trigger before fired; zero: never
	lastReport     time.Time // of progress
	lastLosses     string
	slow           bool // the last batch took longer than the trigger's interval
	firing         firing
}

// A firing of the trigger is what Progress tells of: a batch, or a look that found no data.
type firing struct {
	at, end   time.Time
	durations map[string]int64
}

func (r *Runner) newRun(ctx context.Context) *run {
	q := &run{r: r, o: r.Options, log: r.Logger, runID: r.NewID(), version: -1}
	if q.log == nil {
		q.log = slog.New(slog.DiscardHandler)
	}
	q.o.Workers = max(q.o.Workers, 1)
	if q.o.StopTimeout == 0 {
		q.o.StopTimeout = DefaultStopTimeout
	}
	if q.o.StartTimeout == 0 {
		q.o.StartTimeout = defaultStartTimeout
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stopped := make(chan struct{})
	release := context.AfterFunc(ctx, func() {
		defer close(stopped)
		_ = sleep(work, q.o.StopTimeout)
		cancel()
	})
	q.work = work
	q.end = func() {
		cancel()
		if !release() {
			<-stopped
		}
	}
	return q
}

// session is a start and the batches after it, up to an error, the end of ctx or of AvailableNow.
func (q *run) session(ctx context.Context) error {
	if err := q.begin(ctx); err != nil {
		return err
	}
	q.started = true
	for {
		done, err := q.step(ctx)
		if err != nil || done {
			return err
		}
	}
}

// step waits for the trigger and runs one batch, if there is data.
func (q *run) step(ctx context.Context) (done bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	q.fire()
	if q.pending != nil {
		b := *q.pending
		if err := q.batch(ctx, b, q.startOffset(b.ID), true); err != nil {
			return false, err
		}
		q.pending = nil
		return false, q.wait(ctx, true)
	}
	p, err := q.plan(ctx)
	if err != nil {
		return false, err
	}
	if p.Empty() {
		if q.o.Trigger.Kind == AvailableNow {
			return true, nil
		}
		q.idle()
		return false, q.wait(ctx, false)
	}
	if err := ctx.Err(); err != nil { // no batch is begun after the time to stop
		return false, err
	}
	now := q.r.Now().UTC().Truncate(time.Millisecond)
	b := stream.Batch{QueryID: q.queryID, ID: q.nextID, Start: p.Start, End: p.End, Landed: p.Landed, TopicIDs: p.TopicIDs, Time: now,
		ShufflePartitions: q.shuffle}
	from := q.startOffset(b.ID)
	err = q.timed(walCommit, fmt.Sprint("plan ", b.ID), func() error { return q.r.Log.Plan(q.work, b) })
	if err != nil {
		return false, explain(err, b)
	}
	if err := q.batch(ctx, b, from, false); err != nil {
		return false, err
	}
	return false, q.wait(ctx, true)
}

// startOffset is what Progress calls startOffset: the end of the batch before.
func (q *run) startOffset(id int64) stream.Offsets {
	if id == 0 {
		return nil
	}
	return q.at.Offsets
}

// fire begins a firing of the trigger.
func (q *run) fire() {
	q.firing = firing{at: q.r.Now(), durations: map[string]int64{}}
}

// wait sleeps until the next trigger.
func (q *run) wait(ctx context.Context, ran bool) error {
	now := q.r.Now()
	if ran {
		slow := q.o.Trigger.behind(q.firing.at, now)
		if slow && !q.slow {
			q.log.Warn("batches take longer than the trigger's interval", "interval", q.o.Trigger.Interval, "took", now.Sub(q.firing.at))
		}
		q.slow = slow
	}
	// Where the trigger sets no time, a look for data does not count as one that fired: its pace is silt's own.
	if ran || q.lastFired.IsZero() || q.o.Trigger.Kind == ProcessingTime && q.o.Trigger.Interval > 0 {
		q.lastFired = q.firing.at
	}
	return sleep(ctx, q.o.Trigger.next(q.firing.at, now, ran).Sub(now))
}

// plan asks what the topics hold and decides what the next batch reads.
func (q *run) plan(ctx context.Context) (Planned, error) {
	var bounds stream.Bounds
	if err := q.timed(latestOffset, "", func() (err error) { bounds, err = q.r.Source.Bounds(ctx, q.latest); return err }); err != nil {
		return Planned{}, err
	}
	q.latest = bounds.Next
	var p Planned
	err := q.timed(getBatch, "", func() (err error) {
		if q.o.Trigger.Kind == AvailableNow && q.target == nil {
			q.target = targetOf(q.at, bounds)
		}
		p, err = Plan(q.at, bounds, Rules{MaxOffsetsPerTrigger: q.o.MaxOffsetsPerTrigger, FailOnDataLoss: q.o.FailOnDataLoss, Target: q.target})
		return err
	})
	if err != nil {
		return Planned{}, explain(err, stream.Batch{ID: q.nextID})
	}
	q.warn(p.Losses)
	return p, nil
}

// targetOf is what AvailableNow reads up to: what the topics hold at its first look.
func targetOf(at Position, b stream.Bounds) stream.Offsets {
	target := b.Next.Clone()
	for tp, offset := range at.Offsets.All() {
		if next, ok := target.Get(tp.Topic, tp.Partition); ok && next < offset && !at.isAnother(tp.Topic, b) {
			target.Set(tp.Topic, tp.Partition, offset)
		}
	}
	return target
}

// warn says once what is lost.
func (q *run) warn(losses []string) {
	text := some(losses)
	if text != "" && text != q.lastLosses {
		q.log.Warn("data is lost, and failOnDataLoss is false: the query goes on", "losses", text)
	}
	q.lastLosses = text
}

// timed measures a phase and traces the step, if it is named.
func (q *run) timed(phase, step string, f func() error) error {
	from := q.r.Now()
	end := func() {}
	if step != "" {
		end = q.r.Trace.Step(step)
	}
	err := f()
	end()
	q.firing.durations[phase] += max(q.r.Now().Sub(from).Milliseconds(), 0)
	return err
}

// batch runs a planned batch to its end: into the table, into the commit log, and tells.
func (q *run) batch(ctx context.Context, b stream.Batch, from stream.Offsets, again bool) error {
	ranges := b.Ranges()
	workers := workersFor(ranges, q.bytesPerOffset, q.o.Workers)
	h, err := q.land(b, ranges, workers)
	if err != nil {
		if ctx.Err() != nil && isContext(err) {
			q.log.Warn("the batch was abandoned; the next start runs it again if the table does not have it", "batchId", b.ID, "error", err)
		}
		return explain(err, b)
	}
	err = q.timed(commitOffsets, fmt.Sprint("commits ", b.ID), func() error { return q.r.Log.Done(q.work, b.ID) })
	if err != nil {
		return explain(err, b)
	}
	q.moved(b)
	q.firing.end = q.r.Now()
	q.r.Source.Publish(q.work, b.End)
	var offsets int64
	for _, rg := range ranges {
		offsets += rg.End - rg.Start
	}
	if offsets > 0 && h.bytes > 0 {
		q.bytesPerOffset = float64(h.bytes) / float64(offsets)
	}
	q.report(b, from, h, workers, again)
	return nil
}

// moved notes that the batch is done.
func (q *run) moved(b stream.Batch) {
	q.at = Position{Offsets: b.End, Landed: b.Landed, TopicIDs: b.TopicIDs}
	q.nextID, q.progressed = b.ID+1, true
}

// land reads the batch and commits it. If the table's schema moved under it, it is written anew, a few times.
func (q *run) land(b stream.Batch, ranges []stream.Range, workers int) (harvest, error) {
	for moves := 0; ; moves++ {
		h, err := q.attempt(b, ranges, workers)
		if !errors.Is(err, stream.ErrSchemaMoved) || moves == schemaMoves {
			return h, err
		}
		q.log.Info("the table's schema moved; the batch is written once more", "batchId", b.ID)
	}
}

func (q *run) attempt(b stream.Batch, ranges []stream.Range, workers int) (h harvest, err error) {
	var tx stream.Tx
	err = q.timed(queryPlanning, "", func() (err error) { tx, err = q.r.Sink.Begin(q.work, b); return err })
	if err != nil {
		return harvest{}, err
	}
	defer func() {
		if err != nil {
			q.abort(tx, b)
		}
	}()
	err = q.timed(addBatch, fmt.Sprint("fetch ", b.ID), func() (err error) {
		h, err = read(q.work, q.r.Source, q.r.Decoding, tx, ranges, workers, q.r.Now)
		return err
	})
	if err == nil {
		err = checkCovered(b, h.parts)
	}
	if err == nil {
		err = checkCounts(b, h.report)
	}
	if err == nil {
		err = q.work.Err() // nothing is committed after the time to stop
	}
	if err != nil {
		return harvest{}, err
	}
	err = q.timed(addBatch, fmt.Sprint("commit ", b.ID), func() error {
		return problem.Catch("committing", func() error {
			version, err := tx.Commit(q.work, h.report)
			if err == nil {
				q.version = version
			}
			return err
		})
	})
	return h, err
}

// abort gives the files of a batch back; it is called when the batch's context may have ended.
func (q *run) abort(tx stream.Tx, b stream.Batch) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.work), abortTimeout)
	defer cancel()
	if err := tx.Abort(ctx); err != nil {
		q.log.Warn("files of a batch that was given up are left; no version of the table has them", "batchId", b.ID, "error", err)
	}
}

// report tells of a batch.
func (q *run) report(b stream.Batch, from stream.Offsets, h harvest, workers int, again bool) {
	served, rows, rejected, nulled := h.report.Totals()
	p := q.progress(b.ID, from, b.End, served)
	x := Extra{Again: again, Version: q.version, Lag: lag(b.End, q.latest), Rows: rows, Rejected: rejected, Nulled: nulled, Workers: workers,
		Reading: h.reading, Waited: h.waited}
	for _, part := range h.report.Partitions {
		x.Gaps = append(x.Gaps, part.Gaps...)
	}
	sortGaps(x.Gaps)
	q.tell(p, x)
}

// idle tells, every ten seconds, that there is no data.
func (q *run) idle() {
	if !q.lastReport.IsZero() && q.r.Now().Sub(q.lastReport) < idleInterval {
		return
	}
	q.firing.end = q.r.Now()
	p := q.progress(q.nextID, q.startOffset(q.nextID), q.at.Offsets, 0)
	q.tell(p, Extra{Idle: true, Version: q.version, Lag: lag(q.at.Offsets, q.latest)})
}

func (q *run) progress(id int64, from, to stream.Offsets, rows int64) Progress {
	took := max(q.firing.end.Sub(q.firing.at), 0)
	p := Progress{ID: q.queryID, RunID: q.runID, Name: q.o.Name, Timestamp: q.firing.at, BatchID: id, BatchDuration: took, NumInputRows: rows,
		DurationMs: q.firing.durations, Source: q.r.Source.Description(), Sink: q.o.SinkDescription, Start: from, End: to, Latest: q.latest}
	p.DurationMs[triggerExecution] = took.Milliseconds()
	if rows > 0 && !q.lastFired.IsZero() {
		p.InputRowsPerSecond = float64(rows) / (float64(q.firing.at.Sub(q.lastFired).Milliseconds()) / 1000)
	}
	p.ProcessedRowsPerSecond = float64(rows) / (float64(max(took.Milliseconds(), 1)) / 1000)
	return p
}

func (q *run) tell(p Progress, x Extra) {
	q.lastReport = q.r.Now()
	if q.r.Progress != nil {
		q.r.Progress(p, x)
	}
}
