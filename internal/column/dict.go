package column

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// A Dict is a column of strings: a dictionary that grows while values arrive, the indices of the open page, and, once the dictionary has
// been given up, the values in Parquet's PLAIN form. A lookup costs less than copying the string (hot-path.md 2).
//
// A slot holds the value itself where it has at most 16 bytes, else 128 bits of hash and the entry's number; then the bytes decide.
type Dict struct {
	Indices []uint32 // of the open page
	Plain   []byte   // of the open page: 4 bytes length, value, once GivenUp
	GivenUp bool     // no more indices in this row group

	// Invalid says that a value is not UTF-8 and was kept: the column then has no bounds.
	Invalid bool

	data    []byte // entries, end to end
	ends    []uint32
	slots   []dictSlot
	mask    uint64
	seed    uint64
	text    bool  // values must be UTF-8
	keep    bool  // ... and are kept if they are not
	seen    int   // values looked up in this row group
	rejects []int // positions of the values that the last append refused, because they are not UTF-8
	bounds  bounds
}

type dictSlot struct {
	lo, hi uint64
	len1   uint32 // length + 1; 0 is an empty slot
	entry  uint32
}

const (
	dictSlots     = 256     // at first; at most a quarter is in use
	maxDictBytes  = 1 << 20 // beyond it the dictionary is given up
	dictTrial     = 4096    // after so many values, mostly distinct ones give it up as well
	notUTF8       = ^uint32(0)
	largeDict     = 1 << 16 // slots that a reset gives back
	mix1          = 0xa0761d6478bd642f
	mix2          = 0xe7037ed1a0b428db
	mix3          = 0x8ebc6af09c88c6e3
	maxBoundBytes = 1 << 20 // a longer value is no bound
)

// newDict returns an empty dictionary. The seed makes collisions unpredictable for whoever chooses the values.
func newDict(text, keep bool, seed uint64) *Dict {
	return &Dict{slots: make([]dictSlot, dictSlots), mask: dictSlots - 1, seed: seed, text: text, keep: keep}
}

// Len is the number of entries.
func (d *Dict) Len() int { return len(d.ends) }

// Entry returns entry i; it is valid until the next change.
func (d *Dict) Entry(i int) []byte {
	from := uint32(0)
	if i > 0 {
		from = d.ends[i-1]
	}
	return d.data[from:d.ends[i]]
}

// Bounds returns the least and greatest value of the row group so far, in the order of bytes; ok is false where there are none (no value,
// one that is not UTF-8, one that is too long).
func (d *Dict) Bounds() (least, greatest []byte, ok bool) {
	b := d.bounds
	for i := range d.ends {
		b.add(d.Entry(i))
	}
	return b.least, b.greatest, b.set && !d.Invalid && !b.tooLong
}

type bounds struct {
	least, greatest []byte
	set, tooLong    bool
}

func (b *bounds) add(v []byte) {
	switch {
	case len(v) > maxBoundBytes:
		b.tooLong = true
	case !b.set:
		b.least, b.greatest, b.set = v, v, true
	case bytes.Compare(v, b.least) < 0:
		b.least = v
	case bytes.Compare(v, b.greatest) > 0:
		b.greatest = v
	}
}

func (d *Dict) resetPage() { d.Indices, d.Plain = d.Indices[:0], d.Plain[:0] }

func (d *Dict) reset() {
	d.resetPage()
	d.data, d.ends, d.GivenUp, d.Invalid, d.seen, d.bounds = d.data[:0], d.ends[:0], false, false, 0, bounds{}
	if len(d.slots) > largeDict {
		d.slots, d.mask = make([]dictSlot, dictSlots), dictSlots-1
	} else {
		clear(d.slots)
	}
}

func mix(a, b uint64) uint64 { hi, lo := bits.Mul64(a, b); return hi ^ lo }

var lowBytes = [16]uint64{0, 1<<8 - 1, 1<<16 - 1, 1<<24 - 1, 1<<32 - 1, 1<<40 - 1, 1<<48 - 1, 1<<56 - 1,
	^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}

func load(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }

// hashLong hashes a value of more than 16 bytes, of which 32 are sampled where there are more: the comparison of bytes decides anyway.
func hashLong(b []byte, at, n int) (lo, hi uint64) {
	if n > 32 {
		m := at + n>>1
		return mix(load(b, at)^mix1, load(b, at+n-8)^mix2), mix(load(b, m-8)^mix3, load(b, m)^mix2)
	}
	h := uint64(n) * mix3
	for i := 0; i+16 < n; i += 16 {
		h = mix(load(b, at+i)^mix2, load(b, at+i+8)^h)
	}
	return mix(load(b, at+n-16)^mix1, load(b, at+n-8)^mix2^h), h
}

// add appends the values at the spans; Slack bytes past each must be readable. A value that is refused gets the index notUTF8 (none in
// Plain) and its position, counted from base, is added to d.rejects: the caller removes it.
func (d *Dict) add(buf []byte, spans []Span, base int) {
	if d.GivenUp {
		for i, s := range spans {
			d.addPlain(buf[s.Off:s.Off+s.Len], base+i)
		}
		return
	}
	at := len(d.Indices)
	if cap(d.Indices) < at+len(spans) {
		d.Indices = append(make([]uint32, 0, max(2*cap(d.Indices), at+len(spans), 1024)), d.Indices...)
	}
	d.Indices = d.Indices[:at+len(spans)]
	out := d.Indices[at:]
	slots, mask, seed := d.slots, d.mask, d.seed
	for r, s := range spans {
		off, n := int(s.Off), int(s.Len)
		var lo, hi uint64
		switch {
		case n <= 8:
			lo = load(buf, off) & lowBytes[n&15]
		case n <= 16:
			lo, hi = load(buf, off), load(buf, off+n-8)
		default:
			lo, hi = hashLong(buf, off, n)
		}
		h := mix(lo^seed, hi^mix2)
		t := &slots[h&mask]
		if t.lo == lo && t.hi == hi && t.len1 == uint32(n+1) && (n <= 16 || string(d.Entry(int(t.entry))) == string(buf[off:off+n])) {
			out[r] = t.entry
			continue
		}
		out[r] = d.find(buf[off:off+n], lo, hi, h)
		if out[r] == notUTF8 {
			d.rejects = append(d.rejects, base+r)
		}
		slots, mask = d.slots, d.mask
	}
	d.seen += len(spans)
	if d.seen >= dictTrial && 2*d.Len() > d.seen || len(d.data) > maxDictBytes {
		d.giveUp()
	}
}

// index returns the entry of a value that stands for a run of rows, and makes one if there is none; the dictionary is never given up for it.
//
// REQUIRES: the value is UTF-8 if the column is text.
func (d *Dict) index(buf []byte, s Span) uint32 {
	off, n := int(s.Off), int(s.Len)
	var lo, hi uint64
	switch {
	case n <= 8:
		lo = load(buf, off) & lowBytes[n&15]
	case n <= 16:
		lo, hi = load(buf, off), load(buf, off+n-8)
	default:
		lo, hi = hashLong(buf, off, n)
	}
	return d.find(buf[off:off+n], lo, hi, mix(lo^d.seed, hi^mix2))
}

// find returns the entry of a value that is not in its first slot, and makes one if there is none.
func (d *Dict) find(v []byte, lo, hi, h uint64) uint32 {
	for {
		t := &d.slots[h&d.mask]
		if t.len1 == 0 {
			break
		}
		if t.lo == lo && t.hi == hi && t.len1 == uint32(len(v)+1) && (len(v) <= 16 || string(d.Entry(int(t.entry))) == string(v)) {
			return t.entry
		}
		h++
	}
	if d.text && !utf8.Valid(v) {
		if !d.keep {
			return notUTF8
		}
		d.Invalid = true
	}
	e := uint32(len(d.ends))
	d.data = append(d.data, v...)
	d.ends = append(d.ends, uint32(len(d.data)))
	d.slots[h&d.mask] = dictSlot{lo, hi, uint32(len(v) + 1), e}
	if 4*len(d.ends) >= len(d.slots) {
		d.grow()
	}
	return e
}

func (d *Dict) grow() {
	old := d.slots
	d.slots = make([]dictSlot, 4*len(old))
	d.mask = uint64(len(d.slots) - 1)
	for _, s := range old {
		if s.len1 == 0 {
			continue
		}
		h := mix(s.lo^d.seed, s.hi^mix2)
		for d.slots[h&d.mask].len1 != 0 {
			h++
		}
		d.slots[h&d.mask] = s
	}
}

// giveUp turns the open page's indices into PLAIN, so that a page keeps one encoding; pages that are written keep their indices.
func (d *Dict) giveUp() {
	d.GivenUp = true
	for _, e := range d.Indices {
		if e == notUTF8 {
			continue
		}
		v := d.Entry(int(e))
		d.Plain = binary.LittleEndian.AppendUint32(d.Plain, uint32(len(v)))
		d.Plain = append(d.Plain, v...)
	}
	d.Indices = d.Indices[:0]
}

func (d *Dict) addPlain(v []byte, position int) {
	if d.text && !utf8.Valid(v) {
		if !d.keep {
			d.rejects = append(d.rejects, position)
			return
		}
		d.Invalid = true
	}
	d.Plain = binary.LittleEndian.AppendUint32(d.Plain, uint32(len(v)))
	d.Plain = append(d.Plain, v...)
	b := &d.bounds
	switch {
	case len(v) > maxBoundBytes:
		b.tooLong = true
	case !b.set:
		b.least, b.greatest, b.set = append([]byte(nil), v...), append([]byte(nil), v...), true
	case bytes.Compare(v, b.least) < 0:
		b.least = append(b.least[:0], v...)
	case bytes.Compare(v, b.greatest) > 0:
		b.greatest = append(b.greatest[:0], v...)
	}
}
