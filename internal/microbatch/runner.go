package microbatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
	// Ready is told true when the query begins to run, once for each outage false and why, and true at its end. It is called by the
	// goroutine of Run. It may be nil.
	Ready func(ready bool, why string)
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
		q.ready(false, err.Error())
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
// becomes writable again, a right is given back, a certificate renewed, and nobody has to start the query for it.
func heals(err error) bool {
	ps := problem.Of(err)
	return len(ps) > 0 && (ps[0].Retryable || slices.Contains([]problem.Code{problem.PathNotWritable, problem.StoreDenied, problem.StoreTLS}, ps[0].Code))
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
	// pending is a batch that an earlier run, or a session before an outage, had planned.
	pending *stream.Batch

	started    bool // the checks of the start are over
	progressed bool // a batch was committed since the last outage

	// unsettled is the last batch that ended with an error after which more of it may arrive; -1: none.
	unsettled int64

	// ahead is the next batch, while its files are being written before its turn, and then until they are; nil: nobody has begun it.
	ahead *upcoming

	// A batch ahead is planned by these, so that nothing may change them meanwhile.
	latest         stream.Offsets // the newest Bounds.Next
	target         stream.Offsets // of AvailableNow, once it is known
	bytesPerOffset float64

	version    int64
	lastFired  time.Time // when the trigger before fired; zero: never
	lastReport time.Time // of progress
	lastLosses string
	slow       bool // the last batch took longer than the trigger's interval
}

func (r *Runner) newRun(ctx context.Context) *run {
	q := &run{r: r, o: r.Options, log: r.Logger, runID: r.NewID(), version: -1, unsettled: -1}
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

func (q *run) ready(ready bool, why string) {
	if q.r.Ready != nil {
		q.r.Ready(ready, why)
	}
}

// session is a start and the batches after it, up to an error, the end of ctx or of AvailableNow.
func (q *run) session(ctx context.Context) error {
	if err := q.begin(ctx); err != nil {
		return err
	}
	q.started = true
	q.ready(true, "")
	defer q.drop()
	for {
		done, err := q.step(ctx)
		if err != nil || done {
			return err
		}
	}
}

// step runs one batch, if there is data, and waits for the trigger.
func (q *run) step(ctx context.Context) (done bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	t, err := q.turn(ctx)
	switch {
	case err != nil:
		return false, err
	case t.idle && q.o.Trigger.Kind == AvailableNow:
		return true, nil
	case t.idle:
		q.idle(t.firing)
		return false, q.wait(ctx, t.firing, false)
	}
	if err := q.batch(ctx, t); err != nil {
		return false, err
	}
	q.pending = nil
	return false, q.wait(ctx, t.firing, true)
}

// A turn is what a firing of the trigger comes to.
type turn struct {
	*firing
	idle  bool // there is no data
	batch stream.Batch
	again bool // an earlier run, or session, had planned it in the checkpoint
	ahead bool // it was begun while the batch before was committed
}

// turn decides what is next.
func (q *run) turn(ctx context.Context) (turn, error) {
	if q.pending != nil {
		return turn{firing: q.fire(), batch: *q.pending, again: true}, nil
	}
	if a := q.claim(); a != nil {
		q.saw(a.prospect)
		return turn{firing: a.firing, batch: a.batch, ahead: true}, nil
	}
	f := q.fire()
	p, err := q.plan(ctx, f, q.at)
	if err != nil {
		return turn{}, explain(err, stream.Batch{ID: q.nextID})
	}
	q.saw(p)
	return turn{firing: f, idle: p.Empty(), batch: q.compose(q.nextID, p.Planned)}, nil
}

// compose makes a batch of what was planned.
func (q *run) compose(id int64, p Planned) stream.Batch {
	return stream.Batch{QueryID: q.queryID, ID: id, Start: p.Start, End: p.End, Landed: p.Landed, TopicIDs: p.TopicIDs,
		Time: q.r.Now().UTC().Truncate(time.Millisecond), ShufflePartitions: q.shuffle}
}

// startOffset is what Progress calls startOffset: the end of the batch before.
func (q *run) startOffset(id int64) stream.Offsets {
	if id == 0 {
		return nil
	}
	return q.at.Offsets
}

// wait sleeps until the next trigger. Where a batch ahead was begun, that has fired.
func (q *run) wait(ctx context.Context, f *firing, ran bool) error {
	now := q.r.Now()
	if ran {
		slow := q.o.Trigger.behind(f.at, now)
		if slow && !q.slow {
			q.log.Warn("batches take longer than the trigger's interval", "interval", q.o.Trigger.Interval, "took", now.Sub(f.at))
		}
		q.slow = slow
	}
	// Where the trigger sets no time, a look for data does not count as one that fired: its pace is silt's own.
	if ran || q.lastFired.IsZero() || q.o.Trigger.Kind == ProcessingTime && q.o.Trigger.Interval > 0 {
		q.lastFired = f.at
	}
	return sleep(ctx, q.o.Trigger.next(f.at, now, ran).Sub(now))
}

// A prospect is what the next batch reads, by one look at the topics.
type prospect struct {
	Planned
	latest stream.Offsets // Bounds.Next
	target stream.Offsets // of AvailableNow
}

// plan asks what the topics hold and decides what the batch after a position reads. It changes nothing.
func (q *run) plan(ctx context.Context, f *firing, at Position) (prospect, error) {
	p := prospect{target: q.target}
	var bounds stream.Bounds
	if err := f.timed(latestOffset, "", func() (err error) { bounds, err = q.r.Source.Bounds(ctx, q.latest); return err }); err != nil {
		return prospect{}, err
	}
	p.latest = bounds.Next
	err := f.timed(getBatch, "", func() (err error) {
		if q.o.Trigger.Kind == AvailableNow && p.target == nil {
			p.target = targetOf(at, bounds)
		}
		p.Planned, err = Plan(at, bounds, Rules{MaxOffsetsPerTrigger: q.o.MaxOffsetsPerTrigger, FailOnDataLoss: q.o.FailOnDataLoss, Target: p.target})
		return err
	})
	return p, err
}

// saw notes what a look found.
func (q *run) saw(p prospect) {
	q.latest, q.target = p.latest, p.target
	q.warn(p.Losses)
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

// batch runs a batch to its end: into the offset log, into the table, into the commit log, and tells.
func (q *run) batch(ctx context.Context, t turn) error {
	b, from := t.batch, q.startOffset(t.batch.ID)
	if !t.again {
		if err := q.keep(ctx); err != nil { // no batch is begun after the time to stop
			return err
		}
		err := t.timed(walCommit, fmt.Sprint("plan ", b.ID), func() error { return q.r.Log.Plan(q.work, b) })
		if err != nil {
			return q.failed(err, b)
		}
	}
	w, err := q.land(ctx, t)
	if err != nil {
		if ctx.Err() != nil && isContext(err) {
			q.log.Warn("the batch was abandoned; the next start runs it again if the table does not have it", "batchId", b.ID, "error", err)
		}
		return q.failed(err, b)
	}
	err = t.timed(commitOffsets, fmt.Sprint("commits ", b.ID), func() error { return q.r.Log.Done(q.work, b.ID) })
	if err != nil {
		return explain(err, b)
	}
	q.ahead.over()
	q.moved(b)
	t.end = q.r.Now()
	q.r.Source.Publish(q.work, b.End)
	q.report(t, from, w)
	return nil
}

// failed is explain. A write whose answer was lost may have been on its way still when the query began again: that it meets a batch in the
// checkpoint or the table after such an error is an outage once, so that it looks once more. If it was another run after all, the next thing
// that both write tells.
func (q *run) failed(err error, b stream.Batch) error {
	switch {
	case !errors.Is(err, stream.ErrFenced) && !errors.Is(err, stream.ErrDiverged):
		q.unsettled = b.ID
	case q.unsettled == b.ID:
		q.unsettled = -1
		p := problem.New(problem.StoreFailed, "batch %d was written by an attempt whose answer was lost, or by another run of the query", b.ID).Because(err)
		p.Retryable = true
		return p
	}
	return explain(err, b)
}

// moved notes that the batch is done.
func (q *run) moved(b stream.Batch) {
	q.at = after(b)
	q.nextID, q.progressed = b.ID+1, true
}

// after is where the batch after b begins.
func after(b stream.Batch) Position {
	return Position{Offsets: b.End, Landed: b.Landed, TopicIDs: b.TopicIDs}
}

// land writes the batch's files and commits them. If the table's schema moved under them, they are written anew, a few times.
func (q *run) land(ctx context.Context, t turn) (written, error) {
	w, err := q.files(t)
	for moves := 0; ; moves++ {
		if err == nil {
			err = q.commit(ctx, t, w)
		}
		if !errors.Is(err, stream.ErrSchemaMoved) || moves == schemaMoves {
			return w, err
		}
		q.log.Info("the table's schema moved; the batch is written once more", "batchId", t.batch.ID)
		q.drop() // the workers of two batches would need the memory of two
		w, err = q.write(q.work, t.firing, t.batch)
	}
}

// files returns the batch's files: those that were written ahead, or they are written now.
func (q *run) files(t turn) (written, error) {
	if !t.ahead {
		return q.write(q.work, t.firing, t.batch)
	}
	a := q.ahead
	<-a.done
	a.cancel()
	q.ahead = nil
	return a.written, a.err
}

// written are the files of a batch; all that is left is to commit them.
type written struct {
	tx stream.Tx
	harvest
	workers int
}

// write reads a batch and writes its files. After an error they are given back. It changes nothing of q.
func (q *run) write(ctx context.Context, f *firing, b stream.Batch) (w written, err error) {
	ranges := b.Ranges()
	w.workers = workersFor(ranges, q.bytesPerOffset, q.o.Workers)
	err = f.timed(queryPlanning, "", func() (err error) { w.tx, err = q.r.Sink.Begin(ctx, b); return err })
	if err != nil {
		return written{}, err
	}
	err = f.timed(addBatch, fmt.Sprint("fetch ", b.ID), func() (err error) {
		w.harvest, err = read(ctx, q.r.Source, q.r.Decoding, w.tx, ranges, w.workers, q.r.Now)
		return err
	})
	if err == nil {
		err = checkCovered(b, w.parts)
	}
	if err == nil {
		err = checkCounts(b, w.harvest.report)
	}
	if err != nil {
		q.abort(w.tx, b)
		return written{}, err
	}
	return w, nil
}

// commit puts the batch into the table. While the store is waited for, the next batch is begun.
func (q *run) commit(ctx context.Context, t turn, w written) (err error) {
	defer func() {
		if err != nil {
			q.abort(w.tx, t.batch)
		}
	}()
	if err := q.work.Err(); err != nil { // nothing is committed after the time to stop
		return err
	}
	var offsets int64
	for _, rg := range t.batch.Ranges() {
		offsets += rg.End - rg.Start
	}
	if offsets > 0 && w.bytes > 0 {
		q.bytesPerOffset = float64(w.bytes) / float64(offsets)
	}
	q.ahead = q.goAhead(ctx, t)
	return t.timed(addBatch, fmt.Sprint("commit ", t.batch.ID), func() error {
		return problem.Catch("committing", func() error {
			version, err := w.tx.Commit(q.work, w.harvest.report)
			if err == nil {
				q.version = version
			}
			return err
		})
	})
}

// abort gives the files of a batch back; it is called when the batch's context may have ended.
func (q *run) abort(tx stream.Tx, b stream.Batch) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.work), abortTimeout)
	defer cancel()
	if err := tx.Abort(ctx); err != nil {
		q.log.Warn("files of a batch that was given up are left; no version of the table has them", "batchId", b.ID, "error", err)
	}
}
