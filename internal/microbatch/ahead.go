package microbatch

import (
	"context"
	"time"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// An upcoming batch is the one after the one that is being committed. While the store is waited for, it is planned in memory and its files are
// written, so that a slow store costs latency, not throughput (docs/adr/0008). The order of what lasts is that of batches which follow one
// another: nothing of it is in the checkpoint before commits/N of the batch before is, and nothing of it is in the table before that. Its
// files are in no version until then; whatever ends the query removes them, or leaves them as a crash does.
//
// There is one at most. It begins when the workers of the batch before are through, so that their memory is that of one batch.
type upcoming struct {
	q  *run // of which it changes nothing
	id int64
	at Position

	ctx    context.Context // of its work; it ends with Run's until the batch's turn comes
	cancel context.CancelFunc
	unlink func() bool // parts it from Run's, if that has not ended
	timer  *time.Timer // until the trigger fires; nil: it had

	looked   chan struct{} // closed: those below are there
	firing   *firing
	prospect prospect
	lookErr  error
	batch    stream.Batch

	done    chan struct{} // closed: those below are there
	written written
	err     error
}

// goAhead begins the batch after t's as soon as the trigger would fire if that were done. ctx is Run's. It returns nil if there will be
// nothing to begin.
func (q *run) goAhead(ctx context.Context, t turn) *upcoming {
	now := q.r.Now()
	at, ok := q.o.Trigger.ahead(t.at, now, t.batch.End, q.target)
	if !ok || ctx.Err() != nil {
		return nil
	}
	a := &upcoming{q: q, id: t.batch.ID + 1, at: after(t.batch), looked: make(chan struct{}), done: make(chan struct{})}
	a.ctx, a.cancel = context.WithCancel(q.work)
	a.unlink = context.AfterFunc(ctx, a.cancel)
	if wait := at.Sub(now); wait > 0 {
		a.timer = time.AfterFunc(wait, a.run)
	} else {
		go a.run()
	}
	return a
}

func (a *upcoming) run() {
	defer close(a.done)
	a.lookErr = problem.Catch("planning a batch ahead", a.look)
	close(a.looked)
	if a.lookErr == nil && !a.prospect.Empty() {
		a.err = problem.Catch("writing a batch ahead", func() (err error) {
			a.written, err = a.q.write(a.ctx, a.firing, a.batch)
			return err
		})
	}
}

func (a *upcoming) look() (err error) {
	a.firing = a.q.fire()
	a.prospect, err = a.q.plan(a.ctx, a.firing, a.at)
	a.batch = a.q.compose(a.id, a.prospect.Planned)
	return err
}

// over says that the batch before is done: a batch that the trigger has not begun until now is not one ahead. a may be nil.
func (a *upcoming) over() {
	if a != nil && a.timer != nil && a.timer.Stop() {
		close(a.looked)
		close(a.done)
	}
}

// claim returns the batch ahead when its turn has come; nil if there is none. Where there was nothing to read it is not known whether
// there is now, and what went wrong may not matter any more: the query looks itself then.
func (q *run) claim() *upcoming {
	a := q.ahead
	if a == nil {
		return nil
	}
	<-a.looked
	if a.lookErr != nil || a.prospect.Empty() {
		q.drop()
		return nil
	}
	return a
}

// keep is called before the next batch is planned in the checkpoint: from then on a batch ahead has as long to commit as any, when the query
// is told to stop. The error is ctx's, which is Run's.
func (q *run) keep(ctx context.Context) error {
	if q.ahead != nil {
		q.ahead.unlink()
	}
	return ctx.Err()
}

// drop gives the batch ahead up, if there is one.
func (q *run) drop() {
	a := q.ahead
	if a == nil {
		return
	}
	q.ahead = nil
	a.over()
	a.unlink()
	a.cancel()
	<-a.done
	if a.written.tx != nil {
		q.abort(a.written.tx, a.batch)
	}
}
