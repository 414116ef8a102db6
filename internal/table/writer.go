package table

import (
	"context"
	"fmt"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/delta"
	"github.com/siltlake/silt/internal/parquet"
	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/stream"
)

// writer writes one worker's files: one open at a time, each of exactly one schema.
type writer struct {
	tx   *tx
	open *openFile // nil: none
}

var _ stream.Writer = (*writer)(nil)

// openFile is a file that is being written.
type openFile struct {
	key    string
	file   *parquet.File
	layout *column.Layout
	upload store.Upload
	traced func()
}

// Block returns the open file's block if it has this schema, else ends that file and begins one.
func (w *writer) Block(s column.Schema) (*column.Block, error) {
	if w.open != nil && w.open.layout.Schema.Equal(s) {
		return w.open.file.Block(), nil
	}
	if err := w.end(); err != nil {
		return nil, err
	}
	if err := w.begin(s); err != nil {
		return nil, err
	}
	return w.open.file.Block(), nil
}

func (w *writer) begin(s column.Schema) error {
	k := w.tx.sink
	l, f, err := k.files.take(s)
	if err != nil {
		return err
	}
	key := fmt.Sprintf("part-%05d-%s-c000%s.parquet", w.tx.next.Add(1)-1, k.deps.NewID(), k.options.Compression.Ending())
	traced := k.deps.Trace.Step("file " + key)
	up, err := k.deps.Store.Create(w.tx.ctx, key)
	if err != nil {
		return storeProblem(k.deps.Store, err)
	}
	f.Reset(up)
	w.open = &openFile{key: key, file: f, layout: l, upload: up, traced: traced}
	return nil
}

// Flush ends the page, the row group and the file if they are large enough.
func (w *writer) Flush() error {
	if w.open == nil {
		return nil
	}
	if err := w.open.file.EndBlock(); err != nil {
		return storeProblem(w.tx.sink.deps.Store, err)
	}
	if w.open.file.Size() >= w.tx.sink.options.TargetFileSize {
		return w.end()
	}
	return nil
}

// Close ends the open file and registers it.
func (w *writer) Close() error { return w.end() }

// end makes the open file durable and registers it with the Tx; a file without rows is given up.
func (w *writer) end() error {
	o := w.open
	if o == nil {
		return nil
	}
	w.open = nil
	k := w.tx.sink
	if o.file.Rows() == 0 {
		err := o.upload.Abort(w.tx.ctx)
		k.files.put(o.layout, o.file)
		o.traced()
		return err
	}
	stats, err := o.file.Close()
	if err == nil {
		err = o.upload.Commit(w.tx.ctx)
	}
	if err != nil {
		// What is left is an unfinished upload, or an object that no commit names: harmless either way.
		_ = o.upload.Abort(context.WithoutCancel(w.tx.ctx))
		return storeProblem(k.deps.Store, err)
	}
	o.traced()
	w.tx.register(&delta.Add{
		Path:             delta.EncodePath(o.key),
		PartitionValues:  delta.Values{},
		Size:             stats.Bytes,
		ModificationTime: k.deps.Now().UnixMilli(),
		DataChange:       true,
		Stats:            delta.StatsJSON(o.layout, stats, w.tx.stats),
	}, o.layout.Schema, stats.Rows)
	k.files.put(o.layout, o.file)
	return nil
}

// abort gives the open file up.
func (w *writer) abort(ctx context.Context) error {
	if w.open == nil {
		return nil
	}
	o := w.open
	w.open = nil
	return o.upload.Abort(ctx)
}
