// Package decode turns the records of a topic into rows: the wire header gives a schema id, the registry the writer's schema, package
// avro a program that reads the value into columns, and the mode decides what becomes of a record that cannot be read
// (docs/bad-records.md).
//
// Decoding has two phases (docs/adr/0003). The first walks up to 256 records of one Records and notes where their values lie; a record
// that fails is cut back. The second hands them to the open file's Block. A worker's rows are laid out by the table's schema merged with
// those of the ids that the worker has met; when a new id makes that grow, the open rows are appended first and a new file begins.
package decode

import (
	"context"
	"errors"
	"sync"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/stream"
)

var (
	_ stream.Decoding = (*Decoding)(nil)
	_ stream.Decoder  = (*Decoder)(nil)
)

// Decoding makes the decoders of a query. Its methods may be called concurrently.
type Decoding struct {
	o       Options
	columns column.Schema // of a row of which no schema is known
	catalog catalog

	mu   sync.Mutex
	free []*worker // of decoders that have reported, with their buffers and programs
}

// maxFree bounds the workers that wait for a next batch.
const maxFree = 64

// A batch is what the decoders of one attempt at a batch share.
type batch struct {
	mu  sync.Mutex
	ids map[int32]struct{}
}

// add notes a schema id and returns how many there are.
func (b *batch) add(id int32) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ids[id] = struct{}{}
	return len(b.ids)
}

// New returns a Decoding. It needs schemas only if o.Parses.
func New(o Options, schemas Schemas) *Decoding {
	return &Decoding{o: o, columns: o.columns(), catalog: catalog{o: o, schemas: schemas, known: map[int32]*compiled{}}}
}

// Begin implements stream.Decoding.
func (d *Decoding) Begin(table column.Schema) func() stream.Decoder {
	b := &batch{ids: map[int32]struct{}{}}
	return func() stream.Decoder {
		w := d.take()
		w.begin(table, b)
		return &Decoder{w: w}
	}
}

// take returns a worker that is free, or a new one.
func (d *Decoding) take() *worker {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := len(d.free)
	if n == 0 {
		return newWorker(d)
	}
	w := d.free[n-1]
	d.free = d.free[:n-1]
	return w
}

// recycle takes back the worker of a decoder that has reported.
func (d *Decoding) recycle(w *worker) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.free) < maxFree {
		d.free = append(d.free, w)
	}
}

// A Decoder decodes for one worker of one batch, until it reports.
type Decoder struct {
	w      *worker // nil once it has reported
	report stream.Report
}

var errReported = errors.New("decode: a decoder that has reported decodes no more")

// Decode appends the records as rows to w's blocks. Besides a *stream.RecordError under FAILFAST, it fails with a *problem.Problem for a
// schema that no mode can get over, and with the errors of w and ctx; the decoder is of no more use then.
func (d *Decoder) Decode(ctx context.Context, r *stream.Records, w stream.Writer) error {
	if d.w == nil {
		return errReported
	}
	return d.w.decode(ctx, r, w)
}

// Report ends the decoder, whose buffers another one then gets. Further calls return the same report.
func (d *Decoder) Report() stream.Report {
	if d.w != nil {
		d.report = d.w.report()
		d.w.d.recycle(d.w)
		d.w = nil
	}
	return d.report
}
