// Package parquet writes Parquet files from column blocks, and reads flat columns of files of any writer.
//
// File is the hot path: dictionary indices that are ready, levels made once a page and group, own pages and footer. Reader decodes flat
// columns itself, for audits.
package parquet

import (
	"errors"
	"io"

	"github.com/siltlake/silt/internal/column"
)

// Options are how files are written. The zero value works.
type Options struct {
	Compression Codec // zero: zstd, level 1
	// PlainLongs writes INT64 columns PLAIN, for readers that do not know DELTA_BINARY_PACKED. It makes files larger and slower.
	PlainLongs bool
	// RowGroupBytes ends a row group by its size before compression; 0 is 128 MiB. A row group also ends at 1 M rows, and when its
	// compressed pages and dictionaries, which are held until then, take HeldBytes; 0 is 16 MiB.
	RowGroupBytes int64
	HeldBytes     int64
	// CreatedBy is the footer's created_by; "" is "silt version devel". Readers parse "silt version 1.2.3 (build abc)".
	CreatedBy string
	// Metadata are the footer's key-value pairs.
	Metadata []KeyValue
	Block    column.BlockOptions

	limits pageLimits // tests make them small
}

// A KeyValue is a pair of the footer's metadata.
type KeyValue struct{ Key, Value string }

// RowMetadataKey is the key under which Spark keeps a file's schema as JSON.
const RowMetadataKey = "org.apache.spark.sql.parquet.row.metadata"

// A pageLimits ends pages and row groups. A page ends by the memory of its values in all columns: one rule fits flat, wide and nested
// rows (docs/adr/0003).
type pageLimits struct {
	pageBytes, pageRows int
	groupRows           int64
}

func (o Options) withDefaults() Options {
	if o.RowGroupBytes <= 0 {
		o.RowGroupBytes = 128 << 20
	}
	if o.HeldBytes <= 0 {
		o.HeldBytes = 16 << 20
	}
	if o.CreatedBy == "" {
		o.CreatedBy = "silt version devel"
	}
	if o.limits == (pageLimits{}) {
		o.limits = pageLimits{pageBytes: 2 << 20, pageRows: 128 << 10, groupRows: 1 << 20}
	}
	return o
}

var errClosed = errors.New("the Parquet file is closed")

// A File is one Parquet file that is being written: an open page (Block), an open row group of compressed pages, and what was written
// before. It belongs to one goroutine. After an error every method but Reset returns it.
type File struct {
	layout     *column.Layout
	options    Options
	block      *column.Block
	compressor *compressor
	out        io.Writer
	err        error

	chunks  []chunk
	streams []stream // by group
	nodes   []NodeStats
	written int64 // bytes
	ready   int64 // bytes of the open row group's compressed pages
	held    int64 // those and its dictionaries
	size    int64 // the same before compression
	rows    int64 // of written row groups
	open    int64 // rows of the open row group's pages
	groups  int
	footer  thrift // the written row groups' metadata

	thrift  thrift // of page headers
	scratch []byte // the page that is made
	merged  []byte // its levels
}

// NewFile begins a file of the layout. Nothing is written before the first row group ends.
func NewFile(w io.Writer, l *column.Layout, o Options) *File {
	f := &File{layout: l, options: o.withDefaults(), compressor: newCompressor(o.Compression), out: w}
	f.block = column.NewBlock(l, o.Block)
	f.chunks = make([]chunk, len(l.Leaves))
	for i := range f.chunks {
		f.chunks[i].leaf, f.chunks[i].phys = &l.Leaves[i], l.Leaves[i].Type.Physical()
		f.chunks[i].numbers.factor = (o.Block.Seed ^ 0x9e3779b97f4a7c15) | 1
	}
	f.streams = make([]stream, len(l.Groups))
	f.nodes = make([]NodeStats, len(l.Nodes))
	return f
}

// Reset begins another file of the same layout and options in the same buffers. What the file held and did not write is lost.
func (f *File) Reset(w io.Writer) {
	f.block.ResetPage()
	f.block.ResetRowGroup()
	for i := range f.chunks {
		c := &f.chunks[i]
		c.reset()
		c.fileNulls = 0
		c.fileLimits.reset()
	}
	clear(f.nodes)
	f.out, f.err = w, nil
	f.written, f.ready, f.held, f.size, f.rows, f.open, f.groups = 0, 0, 0, 0, 0, 0, 0
	f.footer.reset()
}

// Block returns the block to append rows to; after each Append EndBlock must be called.
func (f *File) Block() *column.Block { return f.block }

// Rows is how many rows were appended.
func (f *File) Rows() int64 { return f.rows + f.open + int64(f.block.Rows) }

// Size is the size of what was written and of the pages that are ready, in bytes. Closing adds the open page, dictionaries and the footer.
func (f *File) Size() int64 { return f.written + f.ready }

// EndBlock ends the open page, and the row group, if they are large enough. Pages end between blocks only, so that a row is never cut.
func (f *File) EndBlock() error {
	if f.err != nil {
		return f.err
	}
	l := &f.options.limits
	if f.block.Rows < l.pageRows && f.block.OpenBytes() < l.pageBytes {
		return nil
	}
	f.err = f.endPage()
	if f.err == nil && (f.open >= l.groupRows || f.size >= f.options.RowGroupBytes || f.held >= f.options.HeldBytes) {
		f.err = f.endGroup()
	}
	return f.err
}

// endPage makes a page of every column.
func (f *File) endPage() error {
	if f.block.Rows == 0 {
		return nil
	}
	f.levels()
	f.ready, f.held, f.size = 0, 0, 0
	for i, col := range f.block.Columns {
		c := &f.chunks[i]
		if err := f.page(c, col); err != nil {
			return err
		}
		dictionary := int64(8 * len(c.numbers.entries))
		if col.Strings != nil {
			dictionary = int64(col.Strings.DataBytes() + 4*col.Strings.Len())
		}
		f.ready += int64(len(c.buf))
		f.held += int64(len(c.buf)) + dictionary
		f.size += c.size + dictionary
	}
	f.open += int64(f.block.Rows)
	f.block.ResetPage()
	return nil
}

// write writes b and counts it.
func (f *File) write(b []byte) error {
	n, err := f.out.Write(b)
	f.written += int64(n)
	return err
}

const magic = "PAR1"

// begin writes the file's first bytes before the first row group or the footer.
func (f *File) begin() error {
	if f.written > 0 {
		return nil
	}
	return f.write([]byte(magic))
}

// Close ends the file and returns its statistics. It does not close the writer.
func (f *File) Close() (Stats, error) {
	if f.err != nil {
		return Stats{}, f.err
	}
	if f.err = f.close(); f.err != nil {
		return Stats{}, f.err
	}
	f.err = errClosed
	s := Stats{Rows: f.rows, Bytes: f.written, Nodes: append([]NodeStats(nil), f.nodes...), Leaves: make([]LeafStats, len(f.chunks))}
	for i := range f.chunks {
		s.Leaves[i] = f.chunks[i].fileLimits.stats(f.chunks[i].fileNulls, f.chunks[i].phys)
	}
	return s, nil
}

func (f *File) close() error {
	if err := f.endPage(); err != nil {
		return err
	}
	if err := f.endGroup(); err != nil {
		return err
	}
	if err := f.begin(); err != nil {
		return err
	}
	return f.writeFooter()
}

// Memory is the memory of the file's buffers in bytes: what it holds whether they are full or not, without the codec's own.
func (f *File) Memory() int64 {
	n := f.block.Memory() + int64(cap(f.scratch)+cap(f.merged)+cap(f.compressor.out)+f.compressor.gzOut.Cap()+cap(f.footer.b))
	for i := range f.chunks {
		c := &f.chunks[i]
		n += int64(cap(c.buf) + cap(c.dict) + 4*cap(c.spare) + 8*cap(c.numbers.entries) + 4*cap(c.numbers.slots))
	}
	for i := range f.streams {
		s := &f.streams[i]
		n += int64(cap(s.own) + cap(s.reps) + cap(s.encodedRep))
		for _, e := range s.encodedDef {
			n += int64(cap(e))
		}
	}
	return n
}
