package parquet

import (
	"bytes"
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/siltlake/silt/internal/column"
)

// Stats are those of a whole file, over all its row groups: what the Delta log's add.stats is made of (PROTOCOL.md, "Per-file Statistics").
type Stats struct {
	Rows, Bytes int64
	Leaves      []LeafStats // by column.Layout.Leaves
	Nodes       []NodeStats // by column.Layout.Nodes
}

// LeafStats are the statistics of a leaf's values. Of the bounds, the one that fits the type is used:
//   - Int: booleans (0, 1), integers, dates, timestamps, unscaled decimals of at most 18 digits;
//   - Float: floats and doubles, without NaN; a bound of zero is -0 below and +0 above;
//   - Bytes: strings and binaries, in the order of bytes; unscaled decimals of 19 digits and more, two's complement, big-endian.
type LeafStats struct {
	// Nulls counts the rows in which the leaf or a struct around it is null; in lists and maps, the entries without a value.
	Nulls int64
	// HasBounds says that there are bounds: a value that is no NaN, and no string that is too long or not UTF-8.
	HasBounds bool
	// NaN says that a value was NaN. Spark orders NaN above every number: such a column has no greatest value.
	NaN   bool
	Int   [2]int64
	Float [2]float64
	Bytes [2][]byte
}

// NodeStats are the statistics of a struct, array or map.
type NodeStats struct {
	// Nulls counts the rows in which it or a struct around it is null; in lists and maps, the entries without one.
	Nulls int64
}

// limits are the bounds of a row group's or file's values: what LeafStats and a chunk's statistics have in common.
type limits struct {
	set, nan, none bool // none: there is a value that has no place in the order, so that there are no bounds
	ints           [2]int64
	floats         [2]float64
	bytes          [2][]byte
}

func (m *limits) reset() {
	m.set, m.nan, m.none = false, false, false
}

func (m *limits) addInts(least, greatest int64) {
	if !m.set {
		m.ints, m.set = [2]int64{least, greatest}, true
		return
	}
	m.ints[0], m.ints[1] = min(m.ints[0], least), max(m.ints[1], greatest)
}

func (m *limits) addFloats(least, greatest float64) {
	if !m.set {
		m.floats, m.set = [2]float64{least, greatest}, true
		return
	}
	m.floats[0], m.floats[1] = min(m.floats[0], least), max(m.floats[1], greatest)
}

// addBytes widens the bounds, by copies; compare orders the values.
func (m *limits) addBytes(least, greatest []byte, compare func(a, b []byte) int) {
	if !m.set || compare(least, m.bytes[0]) < 0 {
		m.bytes[0] = append(m.bytes[0][:0], least...)
	}
	if !m.set || compare(greatest, m.bytes[1]) > 0 {
		m.bytes[1] = append(m.bytes[1][:0], greatest...)
	}
	m.set = true
}

// add widens the bounds by those of a row group.
func (m *limits) add(g *limits, phys column.Physical) {
	m.nan, m.none = m.nan || g.nan, m.none || g.none
	if !g.set {
		return
	}
	switch phys {
	case column.PhysFloat, column.PhysDouble:
		m.addFloats(g.floats[0], g.floats[1])
	case column.PhysByteArray:
		m.addBytes(g.bytes[0], g.bytes[1], bytes.Compare)
	case column.PhysFixed:
		m.addBytes(g.bytes[0], g.bytes[1], compareSigned)
	default:
		m.addInts(g.ints[0], g.ints[1])
	}
}

func (m *limits) stats(nulls int64, phys column.Physical) LeafStats {
	s := LeafStats{Nulls: nulls, HasBounds: m.set && !m.none, NaN: m.nan}
	if !s.HasBounds {
		return s
	}
	switch phys {
	case column.PhysFloat, column.PhysDouble:
		s.Float = [2]float64{signZero(m.floats[0], true), signZero(m.floats[1], false)}
	case column.PhysByteArray, column.PhysFixed:
		s.Bytes = [2][]byte{bytes.Clone(m.bytes[0]), bytes.Clone(m.bytes[1])}
	default:
		s.Int = m.ints
	}
	return s
}

// signZero makes a least value of zero -0 and a greatest +0: zeros of both signs are equal and may both occur (parquet.thrift, ColumnOrder).
func signZero(v float64, least bool) float64 {
	if v != 0 {
		return v
	}
	if least {
		return math.Copysign(0, -1)
	}
	return 0
}

// compareSigned compares numbers of the same length, two's complement, big-endian.
func compareSigned(a, b []byte) int {
	if x, y := int8(a[0]), int8(b[0]); x != y {
		return int(x) - int(y)
	}
	return bytes.Compare(a, b)
}

// appendBound appends bound i of a row group as its column's statistics have it, PLAIN without length, and says whether it is a value that
// occurs; ok is false if there is none.
func (m *limits) appendBound(b []byte, i int, t column.Type) (bound []byte, exact, ok bool) {
	switch t.Physical() {
	case column.PhysBoolean:
		return append(b, byte(m.ints[i])), true, true
	case column.PhysInt32:
		return binary.LittleEndian.AppendUint32(b, uint32(m.ints[i])), true, true
	case column.PhysInt64:
		return binary.LittleEndian.AppendUint64(b, uint64(m.ints[i])), true, true
	case column.PhysFloat:
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(signZero(m.floats[i], i == 0)))), true, true
	case column.PhysDouble:
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(signZero(m.floats[i], i == 0))), true, true
	case column.PhysFixed:
		return append(b, m.bytes[i]...), true, true
	}
	v := m.bytes[i]
	if len(v) <= maxBoundBytes {
		return append(b, v...), true, true
	}
	at := len(b)
	if b = append(b, cut(v, maxBoundBytes, t.Kind == column.String)...); i == 0 {
		return b, false, true
	}
	n := successor(b[at:], t.Kind == column.String)
	return b[:at+n], false, n > 0
}

// cut returns at most n bytes of v, of a text no part of a character.
func cut(v []byte, n int, text bool) []byte {
	for text && n > 0 && !utf8.RuneStart(v[n]) {
		n--
	}
	return v[:n]
}

// successor makes the shortest change at the end of v that is above every value beginning with v, and returns the length of the result;
// 0 if there is none. A text stays one: its last character that can be raised is, to one that takes as many bytes.
func successor(v []byte, text bool) int {
	for n := len(v); n > 0; {
		if !text {
			if n--; v[n] < 0xff {
				v[n]++
				return n + 1
			}
			continue
		}
		r, size := utf8.DecodeLastRune(v[:n])
		n -= size
		next := r + 1
		if next == 0xd800 { // surrogates are no characters
			next = 0xe000
		}
		if next <= utf8.MaxRune && utf8.RuneLen(next) == size {
			utf8.EncodeRune(v[n:n+size], next)
			return n + size
		}
	}
	return 0
}
