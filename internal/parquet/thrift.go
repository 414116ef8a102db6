package parquet

import "encoding/binary"

// A thrift writes Thrift's compact protocol: as much of it as Parquet's page headers and footer need (thrift-compact-protocol.md).
type thrift struct {
	b     []byte
	last  int16   // id of the open struct's last field
	outer []int16 // the same of the structs around it
}

// The compact protocol's types.
const (
	thriftStop   = 0
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftStruct = 12
)

// field begins field id of the open struct.
func (t *thrift) field(id int16, typ byte) {
	if d := id - t.last; d > 0 && d < 16 {
		t.b = append(t.b, byte(d)<<4|typ)
	} else {
		t.b = binary.AppendVarint(append(t.b, typ), int64(id))
	}
	t.last = id
}

func (t *thrift) i8(id int16, v int8) {
	t.field(id, thriftByte)
	t.b = append(t.b, byte(v))
}

func (t *thrift) i16(id int16, v int16) {
	t.field(id, thriftI16)
	t.b = binary.AppendVarint(t.b, int64(v))
}

func (t *thrift) i32(id int16, v int32) {
	t.field(id, thriftI32)
	t.b = binary.AppendVarint(t.b, int64(v))
}

func (t *thrift) i64(id int16, v int64) {
	t.field(id, thriftI64)
	t.b = binary.AppendVarint(t.b, v)
}

func (t *thrift) boolean(id int16, v bool) {
	if v {
		t.field(id, thriftTrue)
	} else {
		t.field(id, thriftFalse)
	}
}

func (t *thrift) bytes(id int16, v []byte) {
	t.field(id, thriftBinary)
	t.b = append(binary.AppendUvarint(t.b, uint64(len(v))), v...)
}

func (t *thrift) text(id int16, v string) {
	t.field(id, thriftBinary)
	t.textItem(v)
}

// textItem writes an item of an open list of strings.
func (t *thrift) textItem(v string) {
	t.b = append(binary.AppendUvarint(t.b, uint64(len(v))), v...)
}

// i32Item writes an item of an open list of numbers.
func (t *thrift) i32Item(v int32) { t.b = binary.AppendVarint(t.b, int64(v)) }

// list begins a list of n items, which the caller writes.
func (t *thrift) list(id int16, typ byte, n int) {
	t.field(id, thriftList)
	if n < 15 {
		t.b = append(t.b, byte(n)<<4|typ)
	} else {
		t.b = binary.AppendUvarint(append(t.b, 0xf0|typ), uint64(n))
	}
}

// open begins a struct in field id, openItem one in a list; end ends either.
func (t *thrift) open(id int16) {
	t.field(id, thriftStruct)
	t.openItem()
}

func (t *thrift) openItem() { t.outer, t.last = append(t.outer, t.last), 0 }

func (t *thrift) end() {
	t.b = append(t.b, 0)
	t.last = t.outer[len(t.outer)-1]
	t.outer = t.outer[:len(t.outer)-1]
}

// reset empties the writer for a new struct, which is the outermost: finish ends it.
func (t *thrift) reset() { t.b, t.last, t.outer = t.b[:0], 0, t.outer[:0] }

func (t *thrift) finish() { t.b = append(t.b, 0) }

// A pageHeader is what precedes a page (parquet.thrift, PageHeader).
type pageHeader struct {
	dictionary       bool
	size, compressed int
	checksum         uint32
	values           int
	encoding         int32
}

func (t *thrift) pageHeader(h pageHeader) {
	t.reset()
	if h.dictionary {
		t.i32(1, pageDictionary)
	} else {
		t.i32(1, pageData)
	}
	t.i32(2, int32(h.size))
	t.i32(3, int32(h.compressed))
	t.i32(4, int32(h.checksum))
	if h.dictionary {
		t.open(7)
		t.i32(1, int32(h.values))
		t.i32(2, h.encoding)
	} else {
		t.open(5)
		t.i32(1, int32(h.values))
		t.i32(2, h.encoding)
		t.i32(3, encodingRLE)
		t.i32(4, encodingRLE)
	}
	t.end()
	t.finish()
}
