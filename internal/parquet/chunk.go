package parquet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/bits"

	"github.com/siltlake/silt/internal/column"
)

// The numbers of parquet.thrift, Encoding and PageType.
const (
	encodingPlain      = 0
	encodingPlainDict  = 2 // of old writers: what RLE_DICTIONARY is
	encodingRLE        = 3
	encodingDelta      = 5
	encodingDeltaBytes = 6 // DELTA_LENGTH_BYTE_ARRAY
	encodingPrefixes   = 7 // DELTA_BYTE_ARRAY
	encodingDict       = 8 // RLE_DICTIONARY

	pageData       = 0
	pageDictionary = 2
	pageDataV2     = 3
)

const (
	// maxBoundBytes is the length to which a chunk's bounds are cut: they are for skipping, and every reader of a footer pays for them.
	maxBoundBytes = 64
	// maxScratchBytes is what a buffer that every page reuses keeps; more was one huge row's.
	maxScratchBytes = 8 << 20
)

// A chunk is a leaf's column chunk in the open row group: pages that are ready, and what its metadata needs.
type chunk struct {
	leaf *column.LeafLayout
	phys column.Physical
	buf  []byte // headers and compressed pages
	dict []byte // the dictionary page, once sealed

	values int64 // including nulls
	nulls  int64
	size   int64 // of all pages before compression, with headers
	pages  [encodingDict + 1]int32
	limits limits
	bound  [2][]byte
	spare  []uint32 // indices of the page that is made

	numbers numbers

	fileNulls  int64
	fileLimits limits
}

// errPage is returned for a page that Parquet cannot express: sizes are 32-bit numbers.
var errPage = errors.New("a page is larger than 2 GiB")

// page ends the open page of a column: levels, values, header, compression.
func (f *File) page(c *chunk, col *column.Column) error {
	p := f.scratch[:0]
	if cap(p) > maxScratchBytes && f.block.OpenBytes() < maxScratchBytes/4 {
		p = nil
	}
	s := &f.streams[c.leaf.Group]
	if c.leaf.Rep > 0 {
		p = appendSection(p, s.encodedReps(c.leaf.Rep))
	}
	if len(col.Valid) == 0 {
		p = appendSection(p, s.encodedDefs(c.leaf.Def))
	} else {
		f.merged = sized(f.merged, s.n)
		mergeLevels(f.merged, s, col.Valid, c.leaf.Def-1, c.leaf.Def)
		at := len(p)
		p = appendLevels(append(p, 0, 0, 0, 0), f.merged, s.n, c.leaf.Def)
		binary.LittleEndian.PutUint32(p[at:], uint32(len(p)-at-4))
	}
	p, encoding := f.appendValues(p, c, col)
	f.scratch = p
	c.values += int64(s.n)
	c.nulls += int64(s.n - col.Values)
	c.pages[encoding]++
	var err error
	c.buf, err = f.appendPage(c.buf, c, pageHeader{values: s.n, encoding: encoding}, p)
	return err
}

func appendSection(p, levels []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(p, uint32(len(levels))), levels...)
}

// appendPage compresses the page's content and appends it, after its header, to dst.
func (f *File) appendPage(dst []byte, c *chunk, h pageHeader, content []byte) ([]byte, error) {
	if len(content) > math.MaxInt32 {
		return dst, fmt.Errorf("column %s: %w: %d bytes", c.leaf.Field[0], errPage, len(content))
	}
	out, err := f.compressor.compress(content)
	if err != nil {
		return dst, err
	}
	if len(out) > math.MaxInt32 {
		return dst, fmt.Errorf("column %s: %w: %d bytes compressed", c.leaf.Field[0], errPage, len(out))
	}
	h.size, h.compressed, h.checksum = len(content), len(out), crc32.ChecksumIEEE(out)
	f.thrift.pageHeader(h)
	c.size += int64(len(f.thrift.b) + len(content))
	dst = room(dst, len(f.thrift.b)+len(out))
	return append(append(dst, f.thrift.b...), out...), nil
}

// appendValues appends the values of the open page and returns their encoding. A page without values is PLAIN, whatever the others are.
func (f *File) appendValues(p []byte, c *chunk, col *column.Column) ([]byte, int32) {
	if col.Values == 0 {
		return p, encodingPlain
	}
	switch c.phys {
	case column.PhysByteArray:
		if d := col.Strings; !d.GivenUp {
			return appendDictPage(p, d.Len(), d.Indices, col.Runs), encodingDict
		} else {
			return append(p, d.Plain...), encodingPlain
		}
	case column.PhysInt32, column.PhysFloat:
		if len(col.Runs) > 0 {
			return c.appendRuns(p, col)
		}
		return appendNumbers(p, c, col.Int32s, appendPlainInt32s)
	case column.PhysDouble:
		return appendNumbers(p, c, col.Int64s, appendPlainInt64s)
	case column.PhysInt64:
		if len(col.Runs) > 0 {
			return c.appendRuns(p, col)
		}
		addNumbers(&c.limits, col.Int64s, c.phys)
		if f.options.PlainLongs {
			return appendPlainInt64s(p, col.Int64s), encodingPlain
		}
		return appendDelta(p, col.Int64s), encodingDelta
	case column.PhysBoolean:
		return c.appendBooleans(p, col.Fixed), encodingPlain
	case column.PhysFixed:
		w := c.leaf.Type.FixedLen()
		least, greatest := col.Fixed[:w], col.Fixed[:w]
		for i := w; i < len(col.Fixed); i += w {
			if v := col.Fixed[i : i+w]; compareSigned(v, least) < 0 {
				least = v
			} else if compareSigned(v, greatest) > 0 {
				greatest = v
			}
		}
		c.limits.addBytes(least, greatest, compareSigned)
	}
	return append(p, col.Fixed...), encodingPlain
}

// appendDictPage appends the content of a page of indices into a dictionary of n entries, or of runs of them.
func appendDictPage(p []byte, n int, indices []uint32, runs []column.Run) []byte {
	w := bits.Len(uint(n - 1))
	p = append(p, byte(w))
	if len(runs) == 0 {
		return appendIndices(p, indices, w)
	}
	for _, r := range runs {
		p = appendRun(p, r.N, r.Index, w)
	}
	return p
}

// indices returns a buffer of n indices.
func (c *chunk) indices(n int) []uint32 {
	if cap(c.spare) < n || cap(c.spare) > maxScratchBytes/4 && n < maxScratchBytes/16 {
		c.spare = make([]uint32, n+n/4)
	}
	return c.spare[:n]
}

// appendBooleans packs a byte a value into bits, the first value lowest.
func (c *chunk) appendBooleans(p, v []byte) []byte {
	least, greatest := byte(1), byte(0)
	for i := 0; i < len(v); i += 8 {
		var x byte
		for j, bit := range v[i:min(i+8, len(v))] {
			x |= bit << j
			least, greatest = min(least, bit), max(greatest, bit)
		}
		p = append(p, x)
	}
	c.limits.addInts(int64(least), int64(greatest))
	return p
}

// seal makes the dictionary page and the bounds of the chunk, whose row group ends.
func (f *File) seal(c *chunk, col *column.Column) error {
	c.dict = c.dict[:0]
	p, n := f.scratch[:0], 0
	if d := col.Strings; d != nil {
		least, greatest, ok := d.Bounds()
		if ok {
			c.limits.addBytes(least, greatest, bytes.Compare)
		} else {
			c.limits.none = c.limits.none || c.values > c.nulls
		}
		if n = d.Len(); c.pages[encodingDict] > 0 {
			for i := range n {
				v := d.Entry(i)
				p = append(binary.LittleEndian.AppendUint32(p, uint32(len(v))), v...)
			}
		}
	} else {
		n = len(c.numbers.entries)
		addNumbers(&c.limits, c.numbers.entries, c.phys)
		for _, v := range c.numbers.entries {
			p = appendPlainNumber(p, v, c.phys)
		}
	}
	f.scratch = p
	c.fileNulls += c.nulls
	c.fileLimits.add(&c.limits, c.phys)
	if c.pages[encodingDict] == 0 {
		return nil
	}
	var err error
	c.dict, err = f.appendPage(c.dict, c, pageHeader{dictionary: true, values: n, encoding: encodingPlain}, p)
	return err
}

// reset empties the chunk for the next row group.
func (c *chunk) reset() {
	if cap(c.buf) > maxScratchBytes && len(c.buf) < maxScratchBytes/4 {
		c.buf = nil
	}
	c.buf, c.dict = c.buf[:0], c.dict[:0]
	c.values, c.nulls, c.size, c.pages = 0, 0, 0, [encodingDict + 1]int32{}
	c.limits.reset()
	c.numbers.reset()
}
