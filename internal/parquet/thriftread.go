package parquet

import (
	"encoding/binary"
	"errors"
)

// A thriftReader reads Thrift's compact protocol. After an error it reads zeros, and structs and lists are empty: err is looked at once,
// at the end.
type thriftReader struct {
	b     []byte
	at    int
	err   error
	depth int
}

var errThrift = errors.New("not Thrift's compact protocol")

const maxThriftDepth = 32

func (t *thriftReader) fail() {
	if t.err == nil {
		t.err = errThrift
	}
	t.at = len(t.b)
}

func (t *thriftReader) byte() byte {
	if t.at >= len(t.b) {
		t.fail()
		return 0
	}
	t.at++
	return t.b[t.at-1]
}

func (t *thriftReader) uvarint() uint64 {
	v, n := binary.Uvarint(t.b[t.at:])
	if n <= 0 {
		t.fail()
		return 0
	}
	t.at += n
	return v
}

func (t *thriftReader) int() int64 {
	u := t.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// bytes returns the bytes in the buffer itself.
func (t *thriftReader) bytes() []byte {
	n := t.uvarint()
	if n > uint64(len(t.b)-t.at) {
		t.fail()
		return nil
	}
	t.at += int(n)
	return t.b[t.at-int(n) : t.at]
}

// fields calls f for each field of a struct. f returns false for a field that it does not know, which is then skipped.
func (t *thriftReader) fields(f func(id int16, typ byte) bool) {
	if t.depth++; t.depth > maxThriftDepth {
		t.fail()
	}
	id := int16(0)
	for t.err == nil {
		head := t.byte()
		if head == 0 {
			break
		}
		if head>>4 == 0 {
			id = int16(t.int())
		} else {
			id += int16(head >> 4)
		}
		if !f(id, head&15) {
			t.skip(head & 15)
		}
	}
	t.depth--
}

// items calls f for each item of a list of the type; lists of other types are skipped.
func (t *thriftReader) items(typ byte, f func()) {
	head := t.byte()
	n := uint64(head >> 4)
	if n == 15 {
		n = t.uvarint()
	}
	if n > uint64(len(t.b)-t.at) { // an item has at least a byte
		t.fail()
		return
	}
	for ; n > 0 && t.err == nil; n-- {
		if head&15 == typ {
			f()
		} else {
			t.skipItem(head & 15)
		}
	}
}

// skip passes over a field of the type; skipItem over a list's item, where booleans take a byte.
func (t *thriftReader) skip(typ byte) {
	if typ != thriftTrue && typ != thriftFalse {
		t.skipItem(typ)
	}
}

func (t *thriftReader) skipItem(typ byte) {
	switch typ {
	case thriftTrue, thriftFalse, thriftByte:
		t.byte()
	case thriftI16, thriftI32, thriftI64:
		t.uvarint()
	case thriftDouble:
		for range 8 {
			t.byte()
		}
	case thriftBinary:
		t.bytes()
	case thriftList, thriftSet:
		if t.depth++; t.depth > maxThriftDepth {
			t.fail()
		}
		t.items(thriftStop, func() {}) // no list is of that type: every item is skipped
		t.depth--
	case thriftStruct:
		t.fields(func(int16, byte) bool { return false })
	default: // maps are in no struct of Parquet's
		t.fail()
	}
}
