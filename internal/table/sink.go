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

// A Sink lands batches in one table. Committed, Begin and the Commit of a Tx belong to one goroutine.
type Sink struct {
	options Options
	deps    Deps
	log     *delta.Log
	files   filePool
	upkeep  *maintainer

	snapshot *delta.Snapshot // the newest known; nil: not read yet
	// moved is the schema that the next attempt of batch movedID is laid out by, after ErrSchemaMoved.
	moved   column.Schema
	movedID int64
	own     *bool // whether silt created the table; nil: not looked up
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

// update brings the snapshot up to date.
func (k *Sink) update(ctx context.Context) error {
	var s *delta.Snapshot
	var err error
	if k.snapshot == nil {
		s, err = k.log.Snapshot(ctx)
	} else {
		s, err = k.log.Update(ctx, k.snapshot)
	}
	if err != nil {
		return storeProblem(k.deps.Store, err)
	}
	k.snapshot = s
	return nil
}

// Begin implements stream.Sink.
func (k *Sink) Begin(ctx context.Context, b stream.Batch) (stream.Tx, error) {
	if err := k.update(ctx); err != nil {
		return nil, err
	}
	s := k.snapshot
	if err := s.CheckAppend(); err != nil {
		return nil, err
	}
	if v, ok := s.Txn(b.QueryID); ok && v.Version >= b.ID {
		return nil, fmt.Errorf("%w: the table holds batch %d of the query, and batch %d was to be run", stream.ErrDiverged, v.Version, b.ID)
	}
	t := &tx{sink: k, ctx: ctx, batch: b, snapshot: s, schema: s.Schema(), stats: s.StatsOptions()}
	if k.movedID == b.ID && k.moved.Contains(t.schema) {
		t.schema = k.moved
	}
	return t, nil
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
