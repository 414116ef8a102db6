// Package table makes micro-batches durable in a Delta table, each exactly once: blocks become files, and all files of a batch, whatever
// their schema ids, become visible in one commit together with the transaction ids that say so.
//
// What happens to the table's schema is decided by foldSchemas, a pure function, at commit; workers only lay out what they meet.
package table

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/delta"
	"github.com/siltlake/silt/internal/parquet"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/stream"
)

// Deps are what a Sink takes from outside. All fields but Trace are needed.
type Deps struct {
	Store  store.Store // of the table's folder
	Engine string      // commitInfo.engineInfo: silt/1.2.3
	// CreatedBy is that of the Parquet files: silt version 1.2.3 (build abc).
	CreatedBy string
	Now       func() time.Time
	NewID     func() string // a random UUID's text
	Seed      uint64        // random, see column.BlockOptions
	// KeepInvalidUTF8 as in column.BlockOptions (decode.invalidUtf8: keep).
	KeepInvalidUTF8 bool
	Workers         int // how many writers a batch has at most
	Trace           stream.Trace
	Log             *slog.Logger
}

// A Sink lands batches in one table. Committed and the Commit of a Tx are called one at a time, Begin beside the Commit of the batch before.
type Sink struct {
	options Options
	deps    Deps
	log     *delta.Log
	files   filePool
	upkeep  *maintainer

	own *bool // whether silt created the table; nil: not looked up

	mu         sync.Mutex
	snapshot   *delta.Snapshot // the newest known; nil: not read yet
	committing bool
	// moved is the schema that the next attempt of batch movedID is laid out by, after ErrSchemaMoved.
	moved   column.Schema
	movedID int64
}

var _ stream.Sink = (*Sink)(nil)

// New returns the sink of a table, which need not exist.
func New(o Options, d Deps) *Sink {
	log := delta.Open(d.Store, delta.Options{Now: d.Now, NewID: d.NewID, Engine: d.Engine, Log: d.Log})
	return &Sink{
		options: o,
		deps:    d,
		log:     log,
		upkeep:  newMaintainer(log, d),
		files: filePool{most: d.Workers, options: parquet.Options{
			Compression: o.Compression,
			CreatedBy:   d.CreatedBy,
			Block:       column.BlockOptions{KeepInvalidUTF8: d.KeepInvalidUTF8, Seed: d.Seed},
		}},
		movedID: -1,
	}
}

// Close ends background work, which gets a few seconds to finish by itself.
func (k *Sink) Close() error {
	k.upkeep.close()
	return nil
}

// newest returns the newest known snapshot, nil if none is known, and whether a batch is being committed on top of it.
func (k *Sink) newest() (s *delta.Snapshot, committing bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.snapshot, k.committing
}

// commits begins a commit, on top of the newest known snapshot.
func (k *Sink) commits() (on *delta.Snapshot, end func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.committing = true
	return k.snapshot, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.committing = false
	}
}

// learn notes a snapshot that was made of one that newest returned. If another was made of that meanwhile, the newer one stays.
func (k *Sink) learn(from, s *delta.Snapshot) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.snapshot == from || k.snapshot.Version() < s.Version() {
		k.snapshot = s
	}
}

// update returns the table as it is now.
func (k *Sink) update(ctx context.Context) (*delta.Snapshot, error) {
	from, _ := k.newest()
	var s *delta.Snapshot
	var err error
	if from == nil {
		s, err = k.log.Snapshot(ctx)
	} else {
		s, err = k.log.Update(ctx, from)
	}
	if err != nil {
		return nil, storeProblem(k.deps.Store, err)
	}
	k.learn(from, s)
	return s, nil
}

// layout is the schema that an attempt at a batch is laid out by.
func (k *Sink) layout(id int64, table column.Schema) column.Schema {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.movedID == id && k.moved.Contains(table) {
		return k.moved
	}
	return table
}

// setLayout says what the next attempt at a batch is laid out by.
func (k *Sink) setLayout(id int64, s column.Schema) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.movedID, k.moved = id, s
}

// Begin implements stream.Sink. While the batch before is being committed, the version below that commit serves, and nobody is asked whether
// it is the newest: that could only be found out anew by this batch's own Commit, and a slow store would be waited for with no row to write.
func (k *Sink) Begin(ctx context.Context, b stream.Batch) (stream.Tx, error) {
	s, committing := k.newest()
	if !committing {
		var err error
		if s, err = k.update(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.CheckAppend(); err != nil {
		return nil, err
	}
	if v, ok := s.Txn(b.QueryID); ok && v.Version >= b.ID {
		return nil, fmt.Errorf("%w: the table holds batch %d of the query, and batch %d was to be run", stream.ErrDiverged, v.Version, b.ID)
	}
	return &tx{sink: k, ctx: ctx, batch: b, schema: k.layout(b.ID, s.Schema()), stats: s.StatsOptions()}, nil
}

// storeProblem says in a person's words what a store's error means. Problems pass unchanged.
func storeProblem(s store.Store, err error) error {
	var p *problem.Problem
	switch {
	case err == nil, errors.As(err, &p), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, fs.ErrPermission):
		return problem.New(problem.PathNotWritable, "%s cannot be written: %w", s.URL(), err).At(problem.File(s.URL())).
			Fix("let the user that runs silt write there, or choose another sink.delta.path")
	}
	p = problem.New(problem.StoreFailed, "the table's store failed: %w", err).At(problem.File(s.URL()))
	p.Retryable = true
	return p
}
