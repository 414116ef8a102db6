package parquet

import (
	"fmt"
	"io"
	"iter"
)

// A Reader reads flat columns of a file of any writer: what an audit needs, at some ns a value, without trust in the file. A Reader belongs
// to one goroutine.
type Reader struct {
	in   io.ReaderAt
	size int64
	meta *metadata
}

// Open reads the footer of a file of so many bytes. Errors wrap ErrCorrupt or ErrUnsupported, or are the reader's.
func Open(r io.ReaderAt, size int64) (*Reader, error) {
	m, err := readMetadata(r, size)
	if err != nil {
		return nil, err
	}
	return &Reader{in: r, size: size, meta: m}, nil
}

// Rows is how many rows the file has.
func (r *Reader) Rows() int64 { return r.meta.rows }

// Has says whether the file has a flat column of the name.
func (r *Reader) Has(name string) bool { return r.leaf(name) >= 0 }

func (r *Reader) leaf(name string) int {
	for i, l := range r.meta.leaves {
		if l.flat && l.path[0] == name {
			return i
		}
	}
	return -1
}

// VectorRows is the most rows of a Vector.
const VectorRows = 4096

// A Vector is the values of a column in some consecutive rows. Ints holds columns of INT32 and INT64, Bytes those of BYTE_ARRAY and
// FIXED_LEN_BYTE_ARRAY; null rows have zero there.
type Vector struct {
	N     int
	Ints  []int64
	Bytes [][]byte
	Valid []byte // a byte a row, 1 or 0; nil: no null

	valid []byte // Valid's buffer
}

// Null says whether row i is null.
func (v *Vector) Null(i int) bool { return v.Valid != nil && v.Valid[i] == 0 }

// Columns yields the named columns together, in order of rows, a vector each of the same N. What is yielded is valid until the next step.
// After an error, which wraps ErrCorrupt or ErrUnsupported or is the reader's, there is nothing more.
func (r *Reader) Columns(names ...string) iter.Seq2[[]Vector, error] {
	return func(yield func([]Vector, error) bool) {
		if err := r.columns(names, yield); err != nil {
			yield(nil, err)
		}
	}
}

func (r *Reader) columns(names []string, yield func([]Vector, error) bool) error {
	columns, vectors := make([]*pages, len(names)), make([]Vector, len(names))
	for i, name := range names {
		p, err := newPages(r, name)
		if err != nil {
			return fmt.Errorf("column %s: %w", name, err)
		}
		columns[i] = p
	}
	for g := range r.meta.groups {
		group := &r.meta.groups[g]
		for _, p := range columns {
			if err := p.begin(r, group); err != nil {
				return fmt.Errorf("column %s, row group %d: %w", p.name, g, err)
			}
		}
		for left := group.rows; left > 0; {
			n := int(min(left, VectorRows))
			for i, p := range columns {
				if err := p.fill(&vectors[i], n); err != nil {
					return fmt.Errorf("column %s, row group %d: %w", p.name, g, err)
				}
			}
			if !yield(vectors, nil) {
				return nil
			}
			left -= int64(n)
		}
	}
	return nil
}
