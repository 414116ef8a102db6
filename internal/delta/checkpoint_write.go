package delta

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/siltlake/silt/internal/store"
)

// Sizes of a log checkpoint's parts. Memory is a row group's, however many files the table has.
const (
	maxGroupBytes = 8 << 20
	maxGroupRows  = 64 << 10
	maxBatchRows  = 256
)

// WriteCheckpoint writes the log checkpoint of the snapshot's version and makes _last_checkpoint name it. It may run beside commits, of
// which it is no part: its failure fails nothing. What is there already is left alone, since all checkpoints of a version say the same.
//
// A table whose checkpoints must not have statistics as JSON (delta.checkpoint.writeStatsAsJson = false) is left to engines that write them
// as structs: ErrNoCheckpoint.
func (l *Log) WriteCheckpoint(ctx context.Context, s *Snapshot) error {
	if !s.Exists() {
		return fmt.Errorf("%w: there is no table", ErrNoCheckpoint)
	}
	if s.metaData.Configuration["delta.checkpoint.writeStatsAsJson"] == "false" {
		return fmt.Errorf("%w: delta.checkpoint.writeStatsAsJson is false", ErrNoCheckpoint)
	}
	hint, err := l.writeCheckpoint(ctx, s)
	if errors.Is(err, fs.ErrNotExist) { // a file that the snapshot builds on was cleaned up: build on what there is now
		var again *Snapshot
		if again, err = l.SnapshotAt(ctx, s.version); err == nil {
			hint, err = l.writeCheckpoint(ctx, again)
		}
	}
	if err == nil {
		l.checkpointed(s, hint.SizeInBytes)
		err = l.writeHint(ctx, hint)
	}
	if err != nil {
		return fmt.Errorf("log checkpoint %d of %s: %w", s.version, l.store.URL(), err)
	}
	return nil
}

// ErrNoCheckpoint: silt writes no log checkpoint for this table.
var ErrNoCheckpoint = errors.New("no log checkpoint")

func (l *Log) writeCheckpoint(ctx context.Context, s *Snapshot) (hint lastCheckpoint, err error) {
	u, err := l.store.Create(ctx, checkpointKey(s.version))
	if err != nil {
		return hint, err
	}
	w := &rowWriter{snapshot: s, now: l.options.Now().UnixMilli(), out: counter{w: u}}
	w.application, w.version, _ = strings.Cut(l.options.Engine, "/")
	if slices.Contains(s.protocol.ReaderFeatures, "v2Checkpoint") {
		version := s.version
		err = writeRows(ctx, w, func(r row) rowV2 { return rowV2{row: r} }, &rowV2{CheckpointMetadata: &checkpointMetadataRow{Version: &version}})
	} else {
		err = writeRows(ctx, w, func(r row) row { return r }, nil)
	}
	if err != nil {
		_ = u.Abort(context.WithoutCancel(ctx))
		return hint, err
	}
	// fs.ErrExist: another engine, or an earlier run, made it; what it holds is the same.
	if err := u.Commit(ctx); err != nil && !errors.Is(err, fs.ErrExist) {
		return hint, err
	}
	return lastCheckpoint{Version: s.version, Size: w.rows, SizeInBytes: w.out.n, NumOfAddFiles: w.adds}, nil
}

// checkpointed remembers a checkpoint that was written, so that snapshots after s build on it.
func (l *Log) checkpointed(s *Snapshot, size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	to := &base{&checkpoint{version: s.version, files: []store.Info{{Key: checkpointKey(s.version), Size: size}}}}
	l.latest = rebase{from: s.base, to: to, tailBytes: s.tailBytes}
}

// A rowWriter writes the rows of a log checkpoint.
type rowWriter struct {
	snapshot   *Snapshot
	now        int64 // milliseconds since 1970
	out        counter
	rows, adds int64
	// application and version are the writer's, for the footer.
	application, version string
}

// counter counts the bytes that go to a writer.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// writeRows writes the checkpoint with rows of type R, of which first, if it is not nil, is one more.
func writeRows[R any](ctx context.Context, w *rowWriter, as func(row) R, first *R) error {
	// Pages of version 1 and PLAIN strings: what Spark's reader of any age reads. parquet-go would write DELTA_LENGTH_BYTE_ARRAY.
	g := &groupWriter[R]{w: w, file: pq.NewGenericWriter[R](&w.out, pq.CreatedBy(w.application, w.version, ""), pq.DataPageVersion(1),
		pq.DefaultEncodingFor(pq.ByteArray, &pq.Plain), pq.Compression(&zstd.Codec{Level: zstd.SpeedFastest}),
		pq.SkipPageBounds("add", "stats"), pq.SkipPageBounds("metaData", "schemaString"))}
	if first != nil {
		g.batch = append(g.batch, *first)
	}
	var failed error
	err := w.each(ctx, func(r row, bytes int) bool {
		if failed = g.put(as(r), bytes); failed == nil {
			failed = ctx.Err()
		}
		return failed == nil
	})
	if err = errors.Join(failed, err); err != nil {
		return err
	}
	if err := g.flush(); err != nil {
		return err
	}
	return g.file.Close()
}

// A groupWriter hands rows to parquet-go in batches and ends row groups by their size.
type groupWriter[R any] struct {
	w     *rowWriter
	file  *pq.GenericWriter[R]
	batch []R
	held  int // bytes of the batch
	// What the open row group holds.
	groupBytes, groupRows int
}

func (g *groupWriter[R]) put(r R, bytes int) error {
	g.batch = append(g.batch, r)
	g.held += bytes
	if len(g.batch) < maxBatchRows && g.held < maxGroupBytes/8 {
		return nil
	}
	return g.flush()
}

func (g *groupWriter[R]) flush() error {
	if _, err := g.file.Write(g.batch); err != nil {
		return err
	}
	g.w.rows += int64(len(g.batch))
	g.groupBytes, g.groupRows = g.groupBytes+g.held, g.groupRows+len(g.batch)
	clear(g.batch)
	g.batch, g.held = g.batch[:0], 0
	if g.groupBytes < maxGroupBytes && g.groupRows < maxGroupRows {
		return nil
	}
	g.groupBytes, g.groupRows = 0, 0
	return g.file.Flush()
}

// each yields the rows and about how many bytes each takes: what is not a file first, so that a reader that looks for it finds it in the
// first row group; then files and tombstones as they are met.
func (w *rowWriter) each(ctx context.Context, yield func(r row, bytes int) bool) error {
	s := w.snapshot
	ok := yield(row{Protocol: protocolRow(s.protocol)}, 0) && yield(row{MetaData: metaDataRow(s.metaData)}, len(s.metaData.SchemaString))
	for _, t := range s.Txns() {
		ok = ok && yield(row{Txn: &txnRow{&t.AppID, &t.Version, nonZero(t.LastUpdated)}}, len(t.AppID))
	}
	for _, name := range sortedKeys(s.domains) {
		d := s.domains[name]
		ok = ok && yield(row{DomainMetadata: &domainRow{&d.Domain, &d.Configuration, &d.Removed}}, len(d.Configuration))
	}
	if !ok {
		return nil
	}
	expired := w.now - s.metaData.deletedFileRetention().Milliseconds()
	return s.walk(ctx, func(a *Add) bool {
		w.adds++
		return yield(row{Add: fileRow(a)}, len(a.Path)+len(a.Stats)+64)
	}, func(r *Remove) bool {
		return r.DeletionTimestamp <= expired || yield(row{Remove: tombstoneRow(r)}, len(r.Path)+64)
	})
}
