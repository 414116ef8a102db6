package avro

import (
	"encoding/binary"
	"math"
	"math/bits"
	"unicode/utf8"

	"github.com/siltlake/silt/internal/column"
)

// maxValues bounds the values in the lists of one row, counted as slots of the layout, so that the memory of a row is bounded by more than
// its bytes: a byte is enough for a null record of many columns.
const maxValues = 1 << 22

// Walk reads the record buf[pos:end] into the row that rows' root counts next, and leaves that count: the caller calls Rows.AddRow, or, if
// Walk returned false, Rows.CutBack. Strings are spans of buf, of which column.Slack bytes past end must be readable. Bytes after the
// record are accepted, as Spark does.
//
// Every operation checks pos against end after it read, before the next one reads: the bytes in between are in the slack.
//
// REQUIRES: !rows.Full().
//
// It is one long function because the operations share its variables, which then stay in registers.
func (p *Program) Walk(buf []byte, pos, end int) bool {
	b := buf[:end+column.Slack]
	at := p.root.N
	if p.top != nil {
		at = p.top.N // at most the root's count, so there is room
	}
	ops, left := p.ops, maxValues
	for i := 0; i < len(ops); i++ {
		o := &ops[i]
		if o.branch {
			x, n := b[pos], 1
			if x != o.yes {
				if x != o.no { // none of the two, or not written in the shortest form
					if x, n = branchIndex(b, pos); x != o.yes && x != o.no {
						return p.failBranch(i, b, pos, end)
					}
				}
				if x != o.yes {
					if pos += n; pos > end {
						return p.fail(i, truncated, 0)
					}
					if o.node == nil {
						o.leaf.Valid[at] = 0
						continue
					}
					o.node.Null(at)
					i = int(o.jump)
					continue
				}
			}
			pos += n
		}
		switch o.kind {
		case opText:
			u, w := int(b[pos]), 1
			if u >= 0x80 {
				u, w = length(b, pos)
			}
			if u&1 == 0 && u>>1 <= end-pos-w && !isText(b, pos+w, u>>1) {
				return p.fail(i, badText, 0)
			}
			fallthrough // which finds what else is wrong
		case opString:
			u, w := int(b[pos]), 1
			if u >= 0x80 {
				if u2 := int(b[pos+1]); u2 < 0x80 {
					u, w = u&0x7f|u2<<7, 2
				} else if u, w = length(b, pos); w == 0 {
					return p.failLength(i, b, pos, end)
				}
			}
			n := u >> 1
			pos += w
			if u&1 != 0 || n > end-pos {
				return p.failLength(i, b, pos-w, end)
			}
			o.leaf.Spans[at] = column.Span{Off: uint32(pos), Len: uint32(n)}
			pos += n
		case opInt:
			if u := uint64(b[pos]); u < 0x80 {
				o.leaf.Ints[at] = int64(u>>1) ^ -int64(u&1)
				pos++
			} else {
				v, n := varint(b, pos)
				if n == 0 || n > 5 || v != int64(int32(v)) {
					return p.failInt(i, v, n)
				}
				o.leaf.Ints[at] = v
				pos += n
			}
			if pos > end {
				return p.fail(i, truncated, 0)
			}
		case opLong:
			if u := uint64(b[pos]); u < 0x80 {
				o.leaf.Ints[at] = int64(u>>1) ^ -int64(u&1)
				pos++
			} else {
				v, n := varint(b, pos)
				if n == 0 {
					return p.fail(i, badVarint, 0)
				}
				o.leaf.Ints[at] = v
				pos += n
			}
			if pos > end {
				return p.fail(i, truncated, 0)
			}
		case opMillis:
			v, n := varint(b, pos)
			if n == 0 {
				return p.fail(i, badVarint, 0)
			}
			if pos += n; pos > end {
				return p.fail(i, truncated, 0)
			}
			if v > math.MaxInt64/1000 || v < math.MinInt64/1000 {
				return p.fail(i, badTimestamp, v)
			}
			o.leaf.Ints[at] = v * 1000
		case opFloat:
			o.leaf.Ints[at] = int64(binary.LittleEndian.Uint32(b[pos:]))
			if pos += 4; pos > end {
				return p.fail(i, truncated, 0)
			}
		case opDouble:
			o.leaf.Ints[at] = int64(binary.LittleEndian.Uint64(b[pos:]))
			if pos += 8; pos > end {
				return p.fail(i, truncated, 0)
			}
		case opBoolean:
			x := b[pos]
			if pos++; pos > end {
				return p.fail(i, truncated, 0)
			}
			if x > 1 {
				return p.fail(i, badBoolean, int64(x))
			}
			o.leaf.Ints[at] = int64(x)
		case opEnum:
			v, n := varint(b, pos)
			if n == 0 {
				return p.fail(i, badVarint, 0)
			}
			if pos += n; pos > end {
				return p.fail(i, truncated, 0)
			}
			symbols := p.symbols[o.size]
			if uint64(v) >= uint64(len(symbols)) {
				return p.fail(i, badSymbol, v)
			}
			o.leaf.Spans[at] = symbols[v]
		case opFixed:
			if int(o.size) > end-pos {
				return p.fail(i, truncated, 0)
			}
			o.leaf.Spans[at] = column.Span{Off: uint32(pos), Len: uint32(o.size)}
			pos += int(o.size)
		case opDecimal:
			n, w := int(o.size), 0
			if n < 0 {
				u := 0
				if u, w = length(b, pos); w == 0 {
					return p.failLength(i, b, pos, end)
				}
				n = u >> 1
			}
			pos += w
			switch {
			case n <= end-pos:
			case w == 0:
				return p.fail(i, truncated, 0)
			default:
				return p.failLength(i, b, pos-w, end)
			}
			if !o.decimal(b[pos:pos+n], at) {
				return p.fail(i, badDecimal, int64(o.digits))
			}
			pos += n
		case opStringMixed: // no branch on the null
			x := b[pos]
			if x&^2 != 0 {
				o.kind, o.branch = o.plain, true // until the next Learn: that one knows all forms of an index
				i--
				continue
			}
			value := int((x^o.yes)>>1 ^ 1)
			u, w := int(b[pos+1])&-value, value
			if u >= 0x80 {
				if u, w = length(b, pos+1); w == 0 {
					return p.failLength(i, b, pos+1, end)
				}
			}
			n := u >> 1
			pos += 1 + w
			if u&1 != 0 || n > end-pos {
				return p.failLength(i, b, pos-w, end)
			}
			o.leaf.Valid[at] = byte(value)
			o.leaf.Spans[at] = column.Span{Off: uint32(pos), Len: uint32(n)}
			pos += n
		case opIntMixed, opLongMixed:
			x := b[pos]
			if x&^2 != 0 {
				o.kind, o.branch = o.plain, true
				i--
				continue
			}
			value := int((x^o.yes)>>1 ^ 1)
			word := binary.LittleEndian.Uint64(b[pos+1:])
			ends := ^word & 0x8080808080808080
			n := (bits.TrailingZeros64(ends)>>3 + 1) & -value // 9 where no byte of the word ends the number
			var v int64
			if n <= 8 {
				u := sevens(word & (1<<(8*uint(n)) - 1))
				v = int64(u>>1) ^ -int64(u&1)
			} else if v, n = longVarint(b[pos+1:]); n == 0 {
				return p.fail(i, badVarint, 0)
			}
			if o.kind == opIntMixed && (n > 5 || v != int64(int32(v))) {
				return p.failInt(i, v, n)
			}
			if pos += 1 + n; pos > end {
				return p.fail(i, truncated, 0)
			}
			o.leaf.Valid[at] = byte(value)
			o.leaf.Ints[at] = v
		case opAbsent:
			a := &p.absent[o.size]
			for _, f := range a.leaves {
				f.Valid[at] = 0
			}
			for _, k := range a.nodes {
				k.Null(at)
			}
		case opEnter:
			o.frame.slot = at
			g := o.child
			if at = g.N; at == g.Cap {
				g.Grow(at + 1)
			}
		case opLeave:
			o.child.N = at + 1
			at = o.frame.slot
		case opList:
			n, next := blockHead(b, pos, end)
			if next < 0 {
				return p.failCount(i, b, pos, end)
			}
			pos = next
			if n == 0 {
				o.node.Lens[at] = 0
				i = int(o.jump)
				continue
			}
			if o.leaf != nil {
				if n, pos = p.ints(i, b, pos, end, n, left); pos < 0 {
					return false
				}
				left -= n
				o.node.Lens[at] = int32(n)
				i = int(o.jump)
				continue
			}
			if left -= n * int(o.size); left < 0 {
				return p.fail(i, tooMany, maxValues)
			}
			f := o.frame
			f.slot, f.left, f.total = at, n, n
			g := o.child
			if at = g.N; at == g.Cap {
				g.Grow(at + 1)
			}
			if h := o.inner; h != nil {
				if at = h.N; at == h.Cap {
					h.Grow(at + 1)
				}
			}
		case opNext:
			g := o.child
			if h := o.inner; h != nil {
				h.N = at + 1
				at = g.N
			}
			at++
			g.N = at
			f := o.frame
			if f.left--; f.left == 0 {
				n, next := blockHead(b, pos, end)
				if next < 0 {
					return p.failCount(i, b, pos, end)
				}
				pos = next
				if n == 0 {
					at = f.slot
					o.node.Lens[at] = int32(f.total)
					continue
				}
				if left -= n * int(o.size); left < 0 {
					return p.fail(i, tooMany, maxValues)
				}
				f.left = n
				f.total += n
			}
			if at == g.Cap {
				g.Grow(at + 1)
			}
			if h := o.inner; h != nil {
				if at = h.N; at == h.Cap {
					h.Grow(at + 1)
				}
			}
			i = int(o.jump) - 1
		}
	}
	if p.top != nil {
		p.top.N = at + 1
	}
	return true
}

// ints reads an array of ints or longs that are never null, of which the first block has n; it may have limit items. It returns the items
// and the position after them, or -1 after it noted a failure of operation i.
func (p *Program) ints(i int, b []byte, pos, end, n, limit int) (total, next int) {
	o := &p.ops[i]
	f, g, narrow := o.leaf, o.child, p.ops[i+1].kind == opInt
	at := g.N
	for n > 0 {
		if total += n; total > limit {
			p.fail(i, tooMany, maxValues)
			return 0, -1
		}
		if at+n > g.Cap {
			g.Grow(at + n)
		}
		out := f.Ints[at : at+n]
		for k := range out {
			if pos >= end {
				p.fail(i+1, truncated, 0)
				return 0, -1
			}
			if u := uint64(b[pos]); u < 0x80 {
				out[k] = int64(u>>1) ^ -int64(u&1)
				pos++
				continue
			}
			v, w := varint(b, pos)
			if w == 0 || narrow && (w > 5 || v != int64(int32(v))) {
				p.failInt(i+1, v, w)
				return 0, -1
			}
			out[k] = v
			pos += w
		}
		if pos > end {
			p.fail(i+1, truncated, 0)
			return 0, -1
		}
		at += n
		if n, next = blockHead(b, pos, end); next < 0 {
			p.failCount(i, b, pos, end)
			return 0, -1
		}
		pos = next
	}
	g.N = at
	return total, pos
}

// blockHead reads how many items the next block of an array or map has, 0 at its end, and returns the position after it, or -1. A negative
// count has the block's size in bytes behind it, which does not matter here. An item takes at least a byte, because Parse refuses what
// takes none (null, fixed(0), records of them), so a count above the bytes that are left is wrong.
func blockHead(b []byte, pos, end int) (n, next int) {
	if u := b[pos]; u < 0x80 && u&1 == 0 {
		if n = int(u >> 1); n > end-pos-1 {
			return 0, -1
		}
		return n, pos + 1
	}
	v, w := varint(b, pos)
	if w == 0 {
		return 0, -1
	}
	pos += w
	if v < 0 {
		if pos > end {
			return 0, -1
		}
		if _, w = varint(b, pos); w == 0 {
			return 0, -1
		}
		pos += w
		v = -v // the least number stays negative
	}
	if v < 0 || v > int64(end-pos) {
		return 0, -1
	}
	return int(v), pos
}

// branchIndex reads the index of a union's branch in any form and returns its shortest, or 0xff for one that is no index.
func branchIndex(b []byte, pos int) (x byte, n int) {
	v, n := varint(b, pos)
	if n == 0 || n > 5 || v < 0 || v > 1 {
		return 0xff, 0
	}
	return byte(2 * v), n
}

// length reads the length of a string or bytes and returns its double, or w 0 where it is none.
func length(b []byte, pos int) (u, w int) {
	v, w := varint(b, pos)
	if w == 0 || v < 0 || v > math.MaxInt32 {
		return 0, 0
	}
	return int(v) << 1, w
}

// varint reads the zigzag number at b[pos:]; n is 0 where it is too long. 10 bytes must be readable.
func varint(b []byte, pos int) (v int64, n int) {
	word := binary.LittleEndian.Uint64(b[pos:])
	ends := ^word & 0x8080808080808080
	if ends == 0 {
		return longVarint(b[pos:])
	}
	n = bits.TrailingZeros64(ends)>>3 + 1
	u := sevens(word & (1<<(8*uint(n)) - 1))
	return int64(u>>1) ^ -int64(u&1), n
}

// sevens joins the lower 7 bits of 8 bytes.
func sevens(x uint64) uint64 {
	x = x&0x007f007f007f007f | x&0x7f007f007f007f00>>1
	x = x&0x00003fff00003fff | x&0x3fff00003fff0000>>2
	return x&0x000000000fffffff | x&0x0fffffff00000000>>4
}

func longVarint(b []byte) (v int64, n int) {
	var u uint64
	for i, x := range b[:10] {
		u |= uint64(x&0x7f) << (7 * uint(i))
		if x < 0x80 {
			if i == 9 && x > 1 {
				return 0, 0
			}
			return int64(u>>1) ^ -int64(u&1), i + 1
		}
	}
	return 0, 0
}

// isText says whether b[pos:pos+n] is UTF-8; 8 bytes must be readable.
func isText(b []byte, pos, n int) bool {
	if n <= 8 && binary.LittleEndian.Uint64(b[pos:])&(1<<(8*uint(n))-1)&0x8080808080808080 == 0 {
		return true
	}
	return utf8.Valid(b[pos : pos+n])
}
