package table

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/siltlake/silt/internal/delta"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
)

// closeGrace is how long Close lets background work go on: a log checkpoint that is nearly written is worth the wait, also to queries that
// run for one batch at a time; one of a very large table must not hold a process that was told to stop.
const closeGrace = 5 * time.Second

// A maintainer does in the background what keeps a table fast and clean. Its failures are logged and fail nothing.
type maintainer struct {
	log  *delta.Log
	deps Deps

	ctx     context.Context
	cancel  context.CancelFunc
	work    sync.WaitGroup
	writing chan struct{} // holds a token while a log checkpoint is written
	cleaned bool          // what killed runs left was looked for
}

func newMaintainer(log *delta.Log, d Deps) *maintainer {
	m := &maintainer{log: log, deps: d, writing: make(chan struct{}, 1)}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// after does what is due once s is committed. It belongs to the goroutine that commits.
func (m *maintainer) after(s *delta.Snapshot) {
	m.logCheckpoint(s)
	m.clean()
}

// close waits for the work, for closeGrace at most and the time that a store takes to notice.
func (m *maintainer) close() {
	defer time.AfterFunc(closeGrace, m.cancel).Stop()
	m.work.Wait()
	m.cancel()
}

// logCheckpoint begins to write a log checkpoint if one is due and none is being written.
func (m *maintainer) logCheckpoint(s *delta.Snapshot) {
	if !m.log.CheckpointDue(s) {
		return
	}
	select {
	case m.writing <- struct{}{}:
	default:
		return
	}
	m.work.Go(func() {
		defer func() { <-m.writing }()
		defer m.deps.Trace.Step("log checkpoint")()
		switch err := problem.Catch("writing a log checkpoint", func() error { return m.log.WriteCheckpoint(m.ctx, s) }); {
		case err == nil, errors.Is(err, delta.ErrNoCheckpoint):
		case m.ctx.Err() != nil:
			m.deps.Log.Info("the log checkpoint was given up at the stop; the next run writes one", "table", m.deps.Store.URL(), "version", s.Version())
		default:
			m.deps.Log.Warn("the log checkpoint could not be written; the next one is tried", "table", m.deps.Store.URL(), "version", s.Version(), "error", err)
		}
	})
}

// clean removes, once, the unfinished files that runs killed long ago left. Younger ones may be somebody's who is writing them.
func (m *maintainer) clean() {
	if m.cleaned {
		return
	}
	m.cleaned = true
	m.work.Go(func() {
		var n int
		err := problem.Catch("removing unfinished files", func() (err error) {
			n, err = store.Clean(m.ctx, m.deps.Store, "", m.deps.Now().Add(-store.Abandoned))
			return err
		})
		switch {
		case m.ctx.Err() != nil: // the next run looks again
		case err != nil:
			m.deps.Log.Warn("unfinished files of killed runs could not be removed", "table", m.deps.Store.URL(), "error", err)
		case n > 0:
			m.deps.Log.Info("unfinished files of killed runs were removed", "table", m.deps.Store.URL(), "files", n)
		}
	})
}
