package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrCorrupt marks a file that is no Parquet file, or a damaged one.
var ErrCorrupt = errors.New("the Parquet file is damaged")

// ErrUnsupported marks a file that uses a part of Parquet that silt does not read.
var ErrUnsupported = errors.New("not supported in a Parquet file")

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// metadata is what a Reader needs of a footer.
type metadata struct {
	rows   int64
	leaves []leafMetadata
	groups []groupMetadata
}

type leafMetadata struct {
	path     []string
	phys     int32
	length   int // FIXED_LEN_BYTE_ARRAY
	optional bool
	flat     bool // a column of its own, not repeated
}

type groupMetadata struct {
	rows   int64
	chunks []chunkMetadata
}

type chunkMetadata struct {
	codec       int32
	values      int64
	first, size int64 // of the chunk's bytes
	file        bool  // in another file
	known       bool  // it has metadata
}

// maxFooterBytes bounds what a footer may make us read at once.
const maxFooterBytes = 256 << 20

// readMetadata reads the footer of a file of so many bytes.
func readMetadata(r io.ReaderAt, size int64) (*metadata, error) {
	if size < 12 {
		return nil, corrupt("it has %d bytes", size)
	}
	tail := make([]byte, min(size, 64<<10)) // most footers come with the first read
	if _, err := readAt(r, tail, size-int64(len(tail))); err != nil {
		return nil, err
	}
	end := tail[len(tail)-8:]
	if string(end[4:]) != magic {
		if string(end[4:]) == "PARE" {
			return nil, fmt.Errorf("%w: encryption", ErrUnsupported)
		}
		return nil, corrupt("it does not end with %s", magic)
	}
	n := int64(binary.LittleEndian.Uint32(end))
	if n > size-12 || n > maxFooterBytes {
		return nil, corrupt("its footer has %d bytes, the file %d", n, size)
	}
	footer := tail[:len(tail)-8]
	if n > int64(len(footer)) {
		footer = make([]byte, n)
		if _, err := readAt(r, footer, size-8-n); err != nil {
			return nil, err
		}
	}
	return parseMetadata(footer[int64(len(footer))-n:])
}

// readAt fills b and returns an error if it cannot.
func readAt(r io.ReaderAt, b []byte, off int64) (int, error) {
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return n, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = corrupt("%d bytes at %d are missing", len(b)-n, off+int64(n))
	}
	return n, err
}

func parseMetadata(b []byte) (*metadata, error) {
	m := &metadata{}
	var elements []schemaElement
	t := &thriftReader{b: b}
	t.fields(func(id int16, typ byte) bool {
		switch {
		case id == 2 && typ == thriftList:
			t.items(thriftStruct, func() { elements = append(elements, t.schemaElement()) })
		case id == 3 && typ == thriftI64:
			m.rows = t.int()
		case id == 4 && typ == thriftList:
			t.items(thriftStruct, func() { m.groups = append(m.groups, t.rowGroup()) })
		default:
			return false
		}
		return true
	})
	if t.err != nil {
		return nil, corrupt("its footer: %v", t.err)
	}
	if len(elements) == 0 {
		return nil, corrupt("its schema is empty")
	}
	rest, err := m.addLeaves(elements[1:], elements[0].kids, nil, false, 0)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, corrupt("its schema has %d elements too many", len(rest))
	}
	total := int64(0)
	for _, g := range m.groups {
		if len(g.chunks) != len(m.leaves) || g.rows < 0 {
			return nil, corrupt("a row group has %d columns of %d, %d rows", len(g.chunks), len(m.leaves), g.rows)
		}
		total += g.rows
	}
	if total != m.rows {
		return nil, corrupt("its row groups have %d rows, the file %d", total, m.rows)
	}
	return m, nil
}

type schemaElement struct {
	phys       int32 // -1: a group
	length     int
	repetition int32
	name       string
	kids       int
}

func (t *thriftReader) schemaElement() schemaElement {
	e := schemaElement{phys: -1}
	t.fields(func(id int16, typ byte) bool {
		switch {
		case id == 1 && typ == thriftI32:
			e.phys = int32(t.int())
		case id == 2 && typ == thriftI32:
			e.length = int(int32(t.int()))
		case id == 3 && typ == thriftI32:
			e.repetition = int32(t.int())
		case id == 4 && typ == thriftBinary:
			e.name = string(t.bytes())
		case id == 5 && typ == thriftI32:
			e.kids = int(int32(t.int()))
		default:
			return false
		}
		return true
	})
	return e
}

// addLeaves adds the leaves of the next n elements and what is below them, and returns the elements after these.
func (m *metadata) addLeaves(elements []schemaElement, n int, path []string, repeats bool, depth int) ([]schemaElement, error) {
	if depth > maxThriftDepth*4 {
		return nil, corrupt("its schema is nested deeper than %d", depth)
	}
	for ; n > 0; n-- {
		if len(elements) == 0 {
			return nil, corrupt("its schema ends early")
		}
		e := elements[0]
		elements = elements[1:]
		path := append(path[:len(path):len(path)], e.name)
		repeats := repeats || e.repetition == repeated
		if e.phys >= 0 && e.kids == 0 {
			m.leaves = append(m.leaves, leafMetadata{path: path, phys: e.phys, length: e.length, optional: e.repetition == optional,
				flat: len(path) == 1 && !repeats})
			continue
		}
		var err error
		if elements, err = m.addLeaves(elements, e.kids, path, repeats, depth+1); err != nil {
			return nil, err
		}
	}
	return elements, nil
}

func (t *thriftReader) rowGroup() groupMetadata {
	var g groupMetadata
	t.fields(func(id int16, typ byte) bool {
		switch {
		case id == 1 && typ == thriftList:
			t.items(thriftStruct, func() { g.chunks = append(g.chunks, t.columnChunk()) })
		case id == 3 && typ == thriftI64:
			g.rows = t.int()
		default:
			return false
		}
		return true
	})
	return g
}

func (t *thriftReader) columnChunk() chunkMetadata {
	var c chunkMetadata
	t.fields(func(id int16, typ byte) bool {
		switch {
		case id == 1 && typ == thriftBinary:
			c.file = len(t.bytes()) > 0
		case id == 3 && typ == thriftStruct:
			t.columnMetadata(&c)
		default:
			return false
		}
		return true
	})
	return c
}

func (t *thriftReader) columnMetadata(c *chunkMetadata) {
	c.known = true
	dictionary := int64(0)
	t.fields(func(id int16, typ byte) bool {
		switch {
		case id == 4 && typ == thriftI32:
			c.codec = int32(t.int())
		case id == 5 && typ == thriftI64:
			c.values = t.int()
		case id == 7 && typ == thriftI64:
			c.size = t.int()
		case id == 9 && typ == thriftI64:
			c.first = t.int()
		case id == 11 && typ == thriftI64:
			dictionary = t.int()
		default:
			return false
		}
		return true
	})
	if dictionary > 0 && dictionary < c.first { // 0: some writers mean none
		c.first = dictionary
	}
}
