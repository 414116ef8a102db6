package table

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/delta"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// tx is one attempt to land one batch.
type tx struct {
	sink   *Sink
	ctx    context.Context // of Begin: bounds the writers' I/O
	batch  stream.Batch
	schema column.Schema
	stats  delta.StatsOptions // of the table at Begin
	next   atomic.Int64       // number of the next file

	mu      sync.Mutex
	writers []*writer
	adds    []*delta.Add
	schemas []column.Schema // of the files, each once
	rows    int64
	kept    bool // Commit's outcome is unknown or good: the files stay
}

var _ stream.Tx = (*tx)(nil)

// Schema implements stream.Tx.
func (t *tx) Schema() column.Schema { return t.schema }

// Writer implements stream.Tx.
func (t *tx) Writer() (stream.Writer, error) {
	w := &writer{tx: t}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writers = append(t.writers, w)
	return w, nil
}

// register adds a file that is durable.
func (t *tx) register(a *delta.Add, s column.Schema, rows int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.adds = append(t.adds, a)
	t.rows += rows
	for _, known := range t.schemas {
		if known.Equal(s) {
			return
		}
	}
	t.schemas = append(t.schemas, s)
}

// Commit implements stream.Tx. It goes on from the newest version that the sink knows, not from that of Begin: the batch before may have
// been committed since, and it is another commit of the query, which above the version that was read would mean another run.
func (t *tx) Commit(ctx context.Context, r stream.Report) (int64, error) {
	k := t.sink
	read, end := k.commits()
	defer end()
	// What the schemas of the batch do to the table comes first: a worker that met types which do not merge has written no rows of them.
	if _, err := t.fold(ctx, read, r); err != nil {
		return -1, t.failed(fmt.Errorf("%w: %w", delta.ErrNotCommitted, err))
	}
	if _, rows, _, _ := r.Totals(); rows != t.rows {
		return -1, errors.Join(stream.ErrNotCommitted, problem.New(problem.CountMismatch,
			"batch %d: its workers counted %d rows and its files have %d; nothing was committed", t.batch.ID, rows, t.rows).
			Fix("this is a fault of silt's own: please report it with the records' schema"))
	}
	info, err := t.commitInfo(r)
	if err != nil {
		return -1, errors.Join(stream.ErrNotCommitted, err)
	}
	t.kept = true
	snapshot, err := k.log.Commit(ctx, delta.Transaction{
		Read:    read,
		Info:    info,
		Prepare: func(ctx context.Context, s *delta.Snapshot) ([]delta.Action, error) { return t.actions(ctx, s, r) },
	})
	if err != nil {
		return -1, t.failed(err)
	}
	k.learn(read, snapshot)
	k.upkeep.after(snapshot)
	return snapshot.Version(), nil
}

// failed says what an error of the commit means for this batch.
func (t *tx) failed(err error) error {
	var moved *movedError
	var concurrent *delta.ConcurrentTransactionError
	t.kept = !errors.Is(err, delta.ErrNotCommitted)
	switch {
	case errors.As(err, &moved):
		t.sink.setLayout(t.batch.ID, moved.schema)
		return fmt.Errorf("%w: %w", stream.ErrSchemaMoved, err)
	case errors.As(err, &concurrent), errors.Is(err, stream.ErrFenced):
		return fmt.Errorf("%w: %w", stream.ErrFenced, err)
	case !t.kept:
		return fmt.Errorf("%w: %w", stream.ErrNotCommitted, storeProblem(t.sink.deps.Store, err))
	}
	return storeProblem(t.sink.deps.Store, err)
}

// Abort implements stream.Tx.
func (t *tx) Abort(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	for _, w := range t.writers {
		errs = append(errs, w.abort(ctx))
	}
	if !t.kept {
		for _, a := range t.adds {
			errs = append(errs, t.sink.deps.Store.Delete(ctx, a.Name()))
		}
	}
	return errors.Join(errs...)
}

// movedError: the files do not fit the folded schema.
type movedError struct{ schema column.Schema }

func (e *movedError) Error() string {
	return "the files of the batch were laid out for another schema than the table now gets"
}

// actions returns the batch's commit on top of a snapshot. It is called again after each conflict.
func (t *tx) actions(ctx context.Context, s *delta.Snapshot, r stream.Report) ([]delta.Action, error) {
	k, b := t.sink, t.batch
	if err := s.CheckAppend(); err != nil {
		return nil, err
	}
	if v, ok := s.Txn(b.QueryID); ok && v.Version >= b.ID {
		return nil, fmt.Errorf("%w: the table holds batch %d of this query", stream.ErrFenced, v.Version)
	}
	f, err := t.fold(ctx, s, r)
	if err != nil {
		return nil, err
	}
	now := k.deps.Now().UnixMilli()
	var out []delta.Action
	switch {
	case !s.Exists():
		out = append(out, delta.NewMetaData(k.deps.NewID(), f.Schema.JSON(), now), delta.ProtocolFor(f.Schema))
	case len(f.Changes) > 0:
		m := s.MetaData().Clone()
		m.SchemaString = f.Schema.JSON()
		out = append(out, m)
	}
	out = append(out, &delta.Txn{AppID: b.QueryID, Version: b.ID, LastUpdated: now})
	for tp, end := range b.End.All() {
		if start, ok := b.Start.Get(tp.Topic, tp.Partition); !ok || start != end {
			out = append(out, &delta.Txn{AppID: stream.PartitionAppID(b.QueryID, tp), Version: end, LastUpdated: now})
		}
	}
	for _, a := range t.adds {
		out = append(out, a)
	}
	return out, nil
}

// fold decides the table's schema, and that the batch's files fit it.
func (t *tx) fold(ctx context.Context, s *delta.Snapshot, r stream.Report) (fold, error) {
	in := foldInput{Table: s.Schema(), Exists: s.Exists(), MergeSchema: t.sink.options.MergeSchema, Report: r, ShufflePartitions: t.batch.ShufflePartitions}
	if in.Exists {
		var err error
		if in.Own, err = t.sink.createdBySilt(ctx); err != nil {
			return fold{}, err
		}
	}
	f, err := foldSchemas(in)
	if err != nil {
		return fold{}, err
	}
	for _, fs := range t.schemas {
		if !f.Schema.Contains(fs) {
			return fold{}, &movedError{f.Schema}
		}
	}
	return f, nil
}

// commitInfo is as Spark's Delta sink writes it (Delta's DeltaOperations.StreamingUpdate), with silt's own key.
func (t *tx) commitInfo(r stream.Report) (delta.CommitInfo, error) {
	silt, err := json.Marshal(stream.NewBatchInfo(t.batch, r))
	if err != nil {
		return delta.CommitInfo{}, fmt.Errorf("commitInfo.silt: %w", err)
	}
	var bytes int64
	for _, a := range t.adds {
		bytes += a.Size
	}
	number := func(n int64) json.RawMessage { return delta.Text(strconv.FormatInt(n, 10)) }
	blind := true
	return delta.CommitInfo{
		Operation: "STREAMING UPDATE",
		OperationParameters: delta.Object{
			{Key: "outputMode", Value: delta.Text("Append")}, {Key: "queryId", Value: delta.Text(t.batch.QueryID)}, {Key: "epochId", Value: number(t.batch.ID)},
		},
		IsolationLevel: "Serializable",
		IsBlindAppend:  &blind,
		OperationMetrics: delta.Object{
			{Key: "numRemovedFiles", Value: number(0)}, {Key: "numAddedFiles", Value: number(int64(len(t.adds)))},
			{Key: "numOutputRows", Value: number(t.rows)}, {Key: "numOutputBytes", Value: number(bytes)},
		},
		EngineInfo: t.sink.deps.Engine,
		Silt:       silt,
	}, nil
}
