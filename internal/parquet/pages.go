package parquet

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/siltlake/silt/internal/column"
)

// pages are those of one column in one chunk after another, decoded a page at a time.
type pages struct {
	name string
	leaf int
	meta leafMetadata
	text bool // the values are bytes

	raw   []byte // the chunk
	at    int    // of the next page
	rest  int64  // values that the next pages have
	codec int32
	open  decompressor

	dict  values // of the chunk
	page  values
	used  int // rows of the page
	index []uint32
}

// values are those of a page, null rows having none until spread, or of a dictionary. One of ints and bytes is used.
type values struct {
	n     int    // rows
	valid []byte // by row; used only if nulls
	nulls bool
	ints  []int64
	bytes [][]byte
}

func newPages(r *Reader, name string) (*pages, error) {
	i := r.leaf(name)
	if i < 0 {
		return nil, fmt.Errorf("the Parquet file has no flat column %s", name)
	}
	p := &pages{name: name, leaf: i, meta: r.meta.leaves[i]}
	switch column.Physical(p.meta.phys) {
	case column.PhysInt32, column.PhysInt64:
	case column.PhysByteArray:
		p.text = true
	case column.PhysFixed:
		p.text = true
		if p.meta.length <= 0 {
			return nil, corrupt("values of %d bytes", p.meta.length)
		}
	default:
		return nil, fmt.Errorf("%w: reading physical type %d", ErrUnsupported, p.meta.phys)
	}
	return p, nil
}

// begin reads the bytes of the column's chunk in a row group.
func (p *pages) begin(r *Reader, g *groupMetadata) error {
	c := &g.chunks[p.leaf]
	if !c.known || c.file {
		return fmt.Errorf("%w: a column chunk in another file", ErrUnsupported)
	}
	if c.first < 0 || c.size < 0 || c.first > r.size || c.size > r.size-c.first || c.values != g.rows {
		return corrupt("%d values of %d rows in %d bytes at %d", c.values, g.rows, c.size, c.first)
	}
	p.raw = resize(p.raw[:0], int(c.size))
	p.at, p.rest, p.codec, p.used, p.page.n = 0, c.values, c.codec, 0, 0
	p.dict = values{}
	_, err := readAt(r.in, p.raw, c.first)
	return err
}

// fill writes the next n rows into v.
func (p *pages) fill(v *Vector, n int) error {
	v.N, v.Ints, v.Bytes = n, v.Ints[:0], v.Bytes[:0]
	valid := v.valid[:0]
	for done := 0; done < n; {
		if p.used == p.page.n {
			if err := p.next(); err != nil {
				return err
			}
			continue
		}
		from, to := p.used, min(p.page.n, p.used+n-done)
		if p.text {
			v.Bytes = append(v.Bytes, p.page.bytes[from:to]...)
		} else {
			v.Ints = append(v.Ints, p.page.ints[from:to]...)
		}
		if p.page.nulls {
			for len(valid) < done {
				valid = append(valid, 1)
			}
			valid = append(valid, p.page.valid[from:to]...)
		} else if len(valid) > 0 {
			for range to - from {
				valid = append(valid, 1)
			}
		}
		p.used = to
		done += to - from
	}
	v.valid, v.Valid = valid, valid
	if len(valid) == 0 {
		v.Valid = nil
	}
	return nil
}

type readHeader struct {
	page               int32
	size, compressed   int64
	checksum           uint32
	hasChecksum        bool
	values             int64
	encoding, defs     int32
	defBytes, repBytes int64 // data page v2
	plain              bool  // v2: not compressed
}

func (t *thriftReader) pageHeader() readHeader {
	h := readHeader{page: -1}
	t.fields(func(id int16, typ byte) bool {
		switch {
		case id == 1 && typ == thriftI32:
			h.page = int32(t.int())
		case id == 2 && typ == thriftI32:
			h.size = t.int()
		case id == 3 && typ == thriftI32:
			h.compressed = t.int()
		case id == 4 && typ == thriftI32:
			h.checksum, h.hasChecksum = uint32(t.int()), true
		case (id == 5 || id == 7 || id == 8) && typ == thriftStruct:
			t.dataHeader(&h, id == 8)
		default:
			return false
		}
		return true
	})
	return h
}

// dataHeader reads DataPageHeader, DictionaryPageHeader (which begin alike) or DataPageHeaderV2.
func (t *thriftReader) dataHeader(h *readHeader, v2 bool) {
	t.fields(func(id int16, typ byte) bool {
		switch {
		case id == 1 && typ == thriftI32:
			h.values = t.int()
		case id == 2 && typ == thriftI32 && !v2, id == 4 && typ == thriftI32 && v2:
			h.encoding = int32(t.int())
		case id == 3 && typ == thriftI32 && !v2:
			h.defs = int32(t.int())
		case id == 5 && typ == thriftI32 && v2:
			h.defBytes = t.int()
		case id == 6 && typ == thriftI32 && v2:
			h.repBytes = t.int()
		case id == 7 && v2 && (typ == thriftTrue || typ == thriftFalse):
			h.plain = typ == thriftFalse
		default:
			return false
		}
		return true
	})
}

// maxPageValues bounds what a page becomes in memory, since a run of one value may be any length: 24 bytes a value. Writers that end pages
// by their size in bytes alone, as Arrow's did, get to 8 Mi values: 1 MiB of one bit each.
const maxPageValues = 8 << 20

// next decodes the chunk's next data page.
func (p *pages) next() error {
	for {
		if p.rest <= 0 || p.at >= len(p.raw) {
			return corrupt("its pages have fewer values than its rows")
		}
		t := &thriftReader{b: p.raw, at: p.at}
		h := t.pageHeader()
		if t.err != nil {
			return corrupt("a page header: %v", t.err)
		}
		if h.compressed < 0 || h.compressed > int64(len(p.raw)-t.at) || h.size < 0 || h.values < 0 {
			return corrupt("a page of %d bytes, %d compressed, %d values", h.size, h.compressed, h.values)
		}
		if h.values > maxPageValues {
			return fmt.Errorf("%w: a page of %d values, more than %d", ErrUnsupported, h.values, maxPageValues)
		}
		body := p.raw[t.at : t.at+int(h.compressed)]
		p.at = t.at + int(h.compressed)
		if h.hasChecksum && crc32.ChecksumIEEE(body) != h.checksum {
			return corrupt("the checksum of a page of %d bytes is wrong", h.compressed)
		}
		switch h.page {
		case pageDictionary:
			if err := p.dictionary(&h, body); err != nil {
				return err
			}
		case pageData, pageDataV2:
			if h.values > p.rest {
				return corrupt("a page has %d values, the chunk %d more", h.values, p.rest)
			}
			p.rest -= h.values
			return p.data(&h, body)
		} // index pages, and what may come, are passed over
	}
}

func (p *pages) dictionary(h *readHeader, body []byte) error {
	if h.encoding != encodingPlain && h.encoding != encodingPlainDict {
		return fmt.Errorf("%w: a dictionary in encoding %d", ErrUnsupported, h.encoding)
	}
	b, err := p.open.open(p.codec, body, h.size, p.text)
	if err != nil {
		return err
	}
	p.dict = values{}
	return p.plain(&p.dict, b, int(h.values))
}

// data decodes a data page: levels, then as many values as there are rows that are not null.
func (p *pages) data(h *readHeader, body []byte) error {
	v := &p.page
	v.n, v.nulls, p.used = int(h.values), false, 0
	levels, b, err := p.split(h, body)
	if err != nil {
		return err
	}
	present := v.n
	if p.meta.optional {
		if present, err = v.definitions(levels); err != nil {
			return err
		}
	}
	if err := p.decode(h.encoding, b, present); err != nil {
		return err
	}
	if v.nulls {
		v.valid = v.valid[:v.n]
		if p.text {
			v.bytes = spread(v.bytes, v.valid)
		} else {
			v.ints = spread(v.ints, v.valid)
		}
	}
	return nil
}

// split returns the definition levels and the values of a page, decompressed. Values of bytes are not overwritten by the next page, since
// a Vector may refer to both.
func (p *pages) split(h *readHeader, body []byte) (levels, b []byte, err error) {
	keep := p.text && h.encoding != encodingDict && h.encoding != encodingPlainDict
	if h.page == pageDataV2 {
		if h.repBytes != 0 || h.defBytes < 0 || h.defBytes > int64(len(body)) || h.defBytes > h.size {
			return nil, nil, corrupt("levels of %d and %d bytes in a page of %d", h.repBytes, h.defBytes, len(body))
		}
		codec := p.codec
		if h.plain {
			codec = codecNumbers[Uncompressed]
		}
		b, err = p.open.open(codec, body[h.defBytes:], h.size-h.defBytes, keep)
		return body[:h.defBytes], b, err
	}
	if b, err = p.open.open(p.codec, body, h.size, keep); err != nil || !p.meta.optional {
		return nil, b, err
	}
	if h.defs != encodingRLE {
		return nil, nil, fmt.Errorf("%w: levels in encoding %d", ErrUnsupported, h.defs)
	}
	if len(b) < 4 || int64(binary.LittleEndian.Uint32(b)) > int64(len(b)-4) {
		return nil, nil, corrupt("levels beyond a page of %d bytes", len(b))
	}
	n := 4 + int(binary.LittleEndian.Uint32(b))
	return b[4:n], b[n:], nil
}

// definitions decodes the page's definition levels, which are 0 or 1, and returns how many are 1.
func (v *values) definitions(levels []byte) (int, error) {
	r := hybridReader{b: levels, w: 1}
	if n, x, _ := r.run(); n >= v.n && x == 1 { // no null, as most pages
		return v.n, nil
	}
	r = hybridReader{b: levels, w: 1}
	v.valid = resize(v.valid, v.n)
	present := 0
	for at := 0; at < v.n; {
		n, x, literal := r.run()
		if n = min(n, v.n-at); n == 0 || x > 1 {
			return 0, corrupt("%d of %d levels, the next is %d", at, v.n, x)
		}
		for i := range n {
			bit := byte(x)
			if literal != nil {
				bit = literal[i/8] >> (i % 8) & 1
			}
			v.valid[at+i] = bit
			present += int(bit)
		}
		at += n
	}
	v.nulls = present < v.n
	return present, nil
}

// spread moves values apart: a place for each row, and the zero value for a null.
func spread[T any](s []T, valid []byte) []T {
	var none T
	k := len(s) - 1
	s = resize(s, len(valid))
	for row := len(valid) - 1; row >= 0; row-- {
		if valid[row] == 1 {
			s[row] = s[k]
			k--
		} else {
			s[row] = none
		}
	}
	return s
}

// resize returns s with n elements, of which it keeps those it has.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		s = append(make([]T, 0, n+n/4), s...)
	}
	return s[:n]
}
