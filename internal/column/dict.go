package column

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf8"
)

// A Dict is a column of strings: a dictionary that grows while values arrive, the indices of the open page, and, once the dictionary has
// been given up, the values in Parquet's PLAIN form. A lookup costs less than copying the string (docs/adr/0002).
//
// A slot holds the value itself where it has at most 16 bytes, else its hash and where in data the entry begins; then the bytes decide.
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
	key     hashKey
	text    bool  // values must be UTF-8
	keep    bool  // ... and are kept if they are not
	seen    int   // values looked up in this row group
	rejects []int // positions of the values that the last append refused, because they are not UTF-8
	bounds  bounds
}

type dictSlot struct {
	lo, hi uint64 // the value; or hash and offset in data
	len1   uint32 // length + 1; 0 is an empty slot
	entry  uint32
}

const (
	dictSlots     = 256     // at first; at most a quarter is in use
	largeDict     = 1 << 16 // from so many slots on a half; a reset gives more than these back
	maxDictBytes  = 1 << 20 // beyond it the dictionary is given up
	maxDictLen    = 1 << 16 // entries; likewise. Indices then have 16 bits and the slots take 3 MiB
	maxCollisions = 8       // equal hashes of different values that one lookup meets before hashes are made of all bytes
	maxBoundBytes = 1 << 20 // a longer value is no bound

	notUTF8  = ^uint32(0)     // find: the value is refused
	dictFull = ^uint32(0) - 1 // find: the value does not fit
)

// newDict returns an empty dictionary. The seed makes collisions unpredictable for whoever chooses the values.
func newDict(text, keep bool, seed uint64) *Dict {
	return &Dict{slots: make([]dictSlot, dictSlots), mask: dictSlots - 1, key: newHashKey(seed), text: text, keep: keep}
}

// Len is the number of entries.
func (d *Dict) Len() int { return len(d.ends) }

// DataBytes is the length of all entries together.
func (d *Dict) DataBytes() int { return len(d.data) }

// Entry returns entry i; it is valid until the next change.
func (d *Dict) Entry(i int) []byte {
	from := uint32(0)
	if i > 0 {
		from = d.ends[i-1]
	}
	return d.data[from:d.ends[i]]
}

// Bounds returns the least and greatest value of the row group so far, in the order of bytes; ok is false where there are none (no value,
// one that is not UTF-8, one that is too long). They are valid until the next change.
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

// add widens the bounds by v, which they then refer to.
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

// addCopy widens the bounds by v, in buffers of their own.
func (b *bounds) addCopy(v []byte) {
	switch {
	case len(v) > maxBoundBytes:
		b.tooLong = true
	case !b.set:
		b.least, b.greatest, b.set = append(b.least[:0], v...), append(b.greatest[:0], v...), true
	case bytes.Compare(v, b.least) < 0:
		b.least = append(b.least[:0], v...)
	case bytes.Compare(v, b.greatest) > 0:
		b.greatest = append(b.greatest[:0], v...)
	}
}

func (d *Dict) resetPage() {
	d.Indices, d.Plain = emptied(d.Indices, 4), emptied(d.Plain, 1)
}

func (d *Dict) reset() {
	d.resetPage()
	d.data, d.ends, d.GivenUp, d.Invalid, d.seen = d.data[:0], d.ends[:0], false, false, 0
	d.bounds.set, d.bounds.tooLong, d.key.whole = false, false, false
	if len(d.slots) > largeDict {
		d.slots, d.mask = make([]dictSlot, dictSlots), dictSlots-1
	} else {
		clear(d.slots)
	}
}

// A hashKey is what hashes depend on beside the value. Multipliers that an attacker knows could be met by a factor of zero, which hides
// the other factor: so both are secret.
type hashKey struct {
	a, b  uint64
	whole bool // values of more than 32 bytes are hashed by all their bytes, not by a sample
}

func newHashKey(seed uint64) hashKey {
	const p, q, r = 0xa0761d6478bd642f, 0xe7037ed1a0b428db, 0x8ebc6af09c88c6e3 // wyhash's: half of the bits set
	return hashKey{a: mix(seed^p, q) ^ seed, b: mix(seed^r, p) ^ bits.RotateLeft64(seed, 32)}
}

func mix(a, b uint64) uint64 { hi, lo := bits.Mul64(a, b); return hi ^ lo }

// shortMasks has, by length, what of two words belongs to a value of at most 16 bytes.
var shortMasks = func() (m [17][2]uint64) {
	for n := range m {
		m[n] = [2]uint64{1<<(8*min(n, 8)) - 1, 1<<(8*max(n-8, 0)) - 1} // a shift by 64 gives 0, and 0 - 1 is all ones
	}
	return
}()

func load(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }

// short returns the value of n <= 16 bytes that begins at p, in two words, and its place.
func (k *hashKey) short(p *[16]byte, n int) (lo, hi, h uint64) {
	m := &shortMasks[n]
	lo, hi = binary.LittleEndian.Uint64(p[:8])&m[0], binary.LittleEndian.Uint64(p[8:])&m[1]
	return lo, hi, mix(lo^k.a, hi^k.b)
}

// long hashes a value of more than 16 bytes: its ends, and of more than 32 bytes 16 in the middle. Values that differ elsewhere collide,
// which the comparison of bytes finds; that turns whole on.
func (k *hashKey) long(v []byte) uint64 {
	n := len(v)
	second, third := 8, n-16
	if n > 32 {
		if k.whole {
			return k.all(v)
		}
		second, third = n-8, n>>1-8
	}
	return longPlace(mix(load(v, 0)^k.a, load(v, second)^k.b), mix(load(v, third)^k.b, load(v, third+8)^k.a))
}

// longPlace makes one hash of two.
func longPlace(a, b uint64) uint64 { return a ^ bits.RotateLeft64(b, 32) }

// all hashes all bytes of a value of more than 16.
func (k *hashKey) all(v []byte) uint64 {
	n, h := len(v), k.b
	for i := 0; i+16 < n; i += 16 {
		h = mix(load(v, i)^k.a, load(v, i+8)^h)
	}
	return longPlace(mix(load(v, n-16)^k.b, load(v, n-8)^k.a^h), h)
}

// place returns what a slot of the value at s has as lo, its hash, and, of a short value, hi.
func (k *hashKey) place(buf []byte, s Span) (lo, hi, h uint64) {
	if s.Len <= 16 {
		return k.short((*[16]byte)(buf[s.Off:]), int(s.Len))
	}
	h = k.long(buf[s.Off : s.Off+s.Len])
	return h, 0, h
}

// add appends the values at the spans; Slack bytes past each must be readable. A value that is refused gets the index notUTF8 (none in
// Plain) and its position, counted from base, is added to d.rejects: the caller removes it.
func (d *Dict) add(buf []byte, spans []Span, base int) {
	if d.GivenUp {
		d.addPlain(buf, spans, base)
		return
	}
	at := len(d.Indices)
	d.Indices = extend(d.Indices, len(spans))
	out := d.Indices[at:]
	for r := d.known(buf, spans, out); r < len(spans); r++ {
		switch out[r] = d.lookup(buf, spans[r]); out[r] {
		case notUTF8:
			d.rejects = append(d.rejects, base+r)
		case dictFull:
			d.Indices = d.Indices[:at+r]
			d.giveUp()
			d.addPlain(buf, spans[r:], base+r)
			return
		}
		r += d.known(buf, spans[r+1:], out[r+1:])
	}
	if d.seen += len(spans); !Repeats(d.Len(), d.seen) {
		d.giveUp()
	}
}

// Repeats says whether, of so many values, so few are distinct that a dictionary saves more than it costs. The few first values of a column
// of 10,000 different ones are mostly distinct too: what is asked of them grows with their number.
func Repeats(distinct, values int) bool {
	switch {
	case values >= 1<<16:
		return distinct <= values/2
	case values >= 1<<14:
		return distinct <= values/4*3
	case values >= 1<<12:
		return distinct <= values/16*15
	}
	return true
}

// is says whether the long value of slot t, which has as many bytes, is v.
func (d *Dict) is(t *dictSlot, v []byte) bool { return string(d.data[t.hi:][:len(v)]) == string(v) }

// find returns the entry of a value that is not in its first slot, and makes one if there is none.
func (d *Dict) find(v []byte, lo, hi, h uint64) uint32 {
	for collisions := 0; ; h++ {
		t := &d.slots[h&d.mask]
		if t.len1 == 0 {
			break
		}
		if t.lo != lo || t.len1 != uint32(len(v)+1) {
			continue
		}
		if len(v) <= 16 && t.hi == hi || len(v) > 16 && d.is(t, v) {
			return t.entry
		}
		if collisions++; len(v) > 16 && collisions > maxCollisions && !d.key.whole {
			d.key.whole = true
			d.rehash(len(d.slots))
			h = d.key.long(v)
			return d.find(v, h, 0, h)
		}
	}
	if d.text && !utf8.Valid(v) {
		if !d.keep {
			return notUTF8
		}
		d.Invalid = true
	}
	if len(d.ends) >= maxDictLen || len(d.data)+len(v) > maxDictBytes {
		return dictFull
	}
	if len(v) > 16 {
		hi = uint64(len(d.data))
	}
	e := uint32(len(d.ends))
	d.data = append(d.data, v...)
	d.ends = append(d.ends, uint32(len(d.data)))
	d.slots[h&d.mask] = dictSlot{lo, hi, uint32(len(v) + 1), e}
	switch n := len(d.slots); {
	case n < largeDict && 4*len(d.ends) >= n:
		d.rehash(4 * n)
	case 2*len(d.ends) > n:
		d.rehash(2 * n)
	}
	return e
}

// rehash places every entry anew in a table of n slots.
func (d *Dict) rehash(n int) {
	old := d.slots
	d.slots, d.mask = make([]dictSlot, n), uint64(n-1)
	for _, s := range old {
		if s.len1 == 0 {
			continue
		}
		h := s.lo
		switch {
		case s.len1 <= 17:
			h = mix(s.lo^d.key.a, s.hi^d.key.b) // as short has it
		case s.len1 > 33 && d.key.whole:
			h = d.key.all(d.Entry(int(s.entry)))
			s.lo = h
		}
		for d.slots[h&d.mask].len1 != 0 {
			h++
		}
		d.slots[h&d.mask] = s
	}
}

// lookup returns the entry of one value, notUTF8 or dictFull. The dictionary's trial does not count it.
//
// REQUIRES: the dictionary is not given up.
func (d *Dict) lookup(buf []byte, s Span) uint32 {
	lo, hi, h := d.key.place(buf, s)
	return d.find(buf[s.Off:s.Off+s.Len], lo, hi, h)
}

// giveUp turns the open page's indices into PLAIN, so that a page keeps one encoding; pages that are written keep their indices.
func (d *Dict) giveUp() {
	d.GivenUp = true
	for _, e := range d.Indices {
		if e != notUTF8 {
			d.Plain = appendPlain(d.Plain, d.Entry(int(e)))
		}
	}
	d.Indices = d.Indices[:0]
}

func (d *Dict) addPlain(buf []byte, spans []Span, base int) {
	need := 0
	for _, s := range spans {
		need += 4 + int(s.Len)
	}
	d.Plain = slices.Grow(d.Plain, need)
	for i, s := range spans {
		v := buf[s.Off : s.Off+s.Len]
		if d.text && !utf8.Valid(v) {
			if !d.keep {
				d.rejects = append(d.rejects, base+i)
				continue
			}
			d.Invalid = true
		}
		d.Plain = appendPlain(d.Plain, v)
		d.bounds.addCopy(v)
	}
}

func appendPlain(b, v []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(v))), v...)
}
