package parquet

import (
	"encoding/binary"
	"fmt"
	"math"
)

// endGroup writes the open row group, each chunk's dictionary page first, and keeps its metadata for the footer.
func (f *File) endGroup() error {
	if f.open == 0 {
		return nil
	}
	if err := f.begin(); err != nil {
		return err
	}
	if f.groups > math.MaxInt16 {
		return fmt.Errorf("more than %d row groups", f.groups)
	}
	start, size := f.written, int64(0)
	t := &f.footer
	t.openItem()
	t.list(1, thriftStruct, len(f.chunks))
	for i := range f.chunks {
		c := &f.chunks[i]
		if err := f.seal(c, f.block.Columns[i]); err != nil {
			return err
		}
		at := f.written
		if err := f.write(c.dict); err != nil {
			return err
		}
		if err := f.write(c.buf); err != nil {
			return err
		}
		f.chunkMetadata(t, c, at)
		size += c.size
		c.reset()
	}
	t.i64(2, size)
	t.i64(3, f.open)
	t.i64(5, start)
	t.i64(6, f.written-start)
	t.i16(7, int16(f.groups))
	t.end()
	f.block.ResetRowGroup()
	f.rows += f.open
	f.groups++
	f.open, f.ready, f.held, f.size = 0, 0, 0, 0
	return nil
}

// chunkMetadata writes the chunk's ColumnChunk; the chunk begins at offset at.
func (f *File) chunkMetadata(t *thrift, c *chunk, at int64) {
	t.openItem()
	t.i64(2, 0) // file_offset: deprecated, and 0 says so
	t.open(3)
	t.i32(1, int32(c.phys))
	encodings := 1
	for _, n := range c.pages {
		encodings += int(min(n, 1))
	}
	plain := c.pages[encodingDict] > 0 && c.pages[encodingPlain] == 0 // of the dictionary page
	if plain {
		encodings++
	}
	t.list(2, thriftI32, encodings)
	t.i32Item(encodingRLE) // of the levels
	if plain {
		t.i32Item(encodingPlain)
	}
	for e, n := range c.pages {
		if n > 0 {
			t.i32Item(int32(e))
		}
	}
	t.list(3, thriftBinary, len(c.leaf.Path))
	for _, name := range c.leaf.Path {
		t.textItem(name)
	}
	t.i32(4, codecNumbers[f.options.Compression])
	t.i64(5, c.values)
	t.i64(6, c.size)
	t.i64(7, int64(len(c.dict)+len(c.buf)))
	t.i64(9, at+int64(len(c.dict)))
	if len(c.dict) > 0 {
		t.i64(11, at)
	}
	c.statistics(t)
	c.encodingStats(t)
	t.end()
	t.end()
}

// statistics writes null_count and the bounds, those that readers may trust: min_value and max_value. Readers heed them only because the
// footer has column_orders.
func (c *chunk) statistics(t *thrift) {
	t.open(12)
	t.i64(3, c.nulls)
	if c.limits.set && !c.limits.none {
		least, leastExact, hasLeast := c.limits.appendBound(c.bound[0][:0], 0, c.leaf.Type)
		greatest, greatestExact, hasGreatest := c.limits.appendBound(c.bound[1][:0], 1, c.leaf.Type)
		c.bound = [2][]byte{least, greatest}
		if hasLeast && hasGreatest {
			t.bytes(5, greatest)
			t.bytes(6, least)
			t.boolean(7, greatestExact)
			t.boolean(8, leastExact)
		}
	}
	t.end()
}

// encodingStats writes how many pages have which encoding: a reader can tell that all of a chunk is in its dictionary.
func (c *chunk) encodingStats(t *thrift) {
	n := 0
	for _, pages := range c.pages {
		n += int(min(pages, 1))
	}
	if len(c.dict) > 0 {
		n++
	}
	t.list(13, thriftStruct, n)
	item := func(page, encoding, count int32) {
		t.openItem()
		t.i32(1, page)
		t.i32(2, encoding)
		t.i32(3, count)
		t.end()
	}
	if len(c.dict) > 0 {
		item(pageDictionary, encodingPlain, 1)
	}
	for e, pages := range c.pages {
		if pages > 0 {
			item(pageData, int32(e), pages)
		}
	}
}

// writeFooter writes the file's metadata, its length and the last magic (parquet.thrift, FileMetaData).
func (f *File) writeFooter() error {
	var schema, t thrift
	elements := appendSchema(&schema, f.layout)
	t.i32(1, 1)
	t.list(2, thriftStruct, elements)
	t.b = append(t.b, schema.b...)
	t.i64(3, f.rows)
	t.list(4, thriftStruct, f.groups)
	t.b = append(t.b, f.footer.b...)
	if kv := f.options.Metadata; len(kv) > 0 {
		t.list(5, thriftStruct, len(kv))
		for _, p := range kv {
			t.openItem()
			t.text(1, p.Key)
			t.text(2, p.Value)
			t.end()
		}
	}
	t.text(6, f.options.CreatedBy)
	t.list(7, thriftStruct, len(f.layout.Leaves))
	for range f.layout.Leaves {
		t.openItem()
		t.open(1) // TypeDefinedOrder
		t.end()
		t.end()
	}
	t.finish()
	if len(t.b) > math.MaxInt32 {
		return fmt.Errorf("the footer has %d bytes", len(t.b))
	}
	t.b = binary.LittleEndian.AppendUint32(t.b, uint32(len(t.b)))
	return f.write(append(t.b, magic...))
}
