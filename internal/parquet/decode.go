package parquet

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/siltlake/silt/internal/column"
)

// decode decodes n values of the page.
func (p *pages) decode(encoding int32, b []byte, n int) error {
	v := &p.page
	v.ints, v.bytes = v.ints[:0], v.bytes[:0]
	if n == 0 {
		return nil
	}
	switch {
	case encoding == encodingPlain:
		return p.plain(v, b, n)
	case encoding == encodingDict || encoding == encodingPlainDict:
		return p.lookups(b, n)
	case encoding == encodingDelta && !p.text:
		ints, _, err := readDelta(v.ints, b, n)
		if p.meta.phys == int32(column.PhysInt32) { // differences of 32 bits wrap around as such
			for i, x := range ints {
				ints[i] = int64(int32(x))
			}
		}
		v.ints = ints
		return err
	case encoding == encodingDeltaBytes && p.text:
		return v.deltaLengths(b, n)
	case encoding == encodingPrefixes && p.text:
		return v.prefixes(b, n)
	}
	return fmt.Errorf("%w: values of physical type %d in encoding %d", ErrUnsupported, p.meta.phys, encoding)
}

// plain decodes n PLAIN values into v.
func (p *pages) plain(v *values, b []byte, n int) error {
	w := 4
	switch column.Physical(p.meta.phys) {
	case column.PhysByteArray:
		return v.lengthsAndBytes(b, n)
	case column.PhysInt64:
		w = 8
	case column.PhysFixed:
		w = p.meta.length
	}
	if n > len(b)/w {
		return corrupt("%d values of %d bytes in %d", n, w, len(b))
	}
	switch {
	case p.text:
		for i := range n {
			v.bytes = append(v.bytes, b[i*w:(i+1)*w])
		}
	case w == 4:
		for i := range n {
			v.ints = append(v.ints, int64(int32(binary.LittleEndian.Uint32(b[4*i:]))))
		}
	default:
		for i := range n {
			v.ints = append(v.ints, int64(binary.LittleEndian.Uint64(b[8*i:])))
		}
	}
	return nil
}

func (v *values) lengthsAndBytes(b []byte, n int) error {
	for range n {
		if len(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-4) {
			return corrupt("a value is longer than its page")
		}
		end := 4 + int(binary.LittleEndian.Uint32(b))
		v.bytes = append(v.bytes, b[4:end])
		b = b[end:]
	}
	return nil
}

// lookups decodes n values that are indices into the dictionary.
func (p *pages) lookups(b []byte, n int) error {
	if len(b) == 0 || b[0] > 32 {
		return corrupt("indices of %d bytes", len(b))
	}
	r := hybridReader{b: b[1:], w: int(b[0])}
	v := &p.page
	entries := len(p.dict.ints) + len(p.dict.bytes)
	for left := n; left > 0; {
		k, x, literal := r.run()
		if k = min(k, left); k == 0 {
			return corrupt("%d of %d indices", n-left, n)
		}
		left -= k
		if literal == nil {
			if int64(x) >= int64(entries) {
				return corrupt("index %d into a dictionary of %d", x, entries)
			}
			for range k {
				if p.text {
					v.bytes = append(v.bytes, p.dict.bytes[x])
				} else {
					v.ints = append(v.ints, p.dict.ints[x])
				}
			}
			continue
		}
		p.index = unpack(p.index[:0], literal, r.w, k)
		if x := slices.Max(p.index); int64(x) >= int64(entries) {
			return corrupt("index %d into a dictionary of %d", x, entries)
		}
		for _, x := range p.index {
			if p.text {
				v.bytes = append(v.bytes, p.dict.bytes[x])
			} else {
				v.ints = append(v.ints, p.dict.ints[x])
			}
		}
	}
	return nil
}

// A hybridReader reads the RLE/bit-packed hybrid of values of w <= 32 bits.
type hybridReader struct {
	b []byte
	w int
}

// run returns the next n values: all of them x, or packed in the literal, which is not nil then. n is 0 at the end and where the bytes
// are damaged.
func (r *hybridReader) run() (n int, x uint32, literal []byte) {
	head, k := binary.Uvarint(r.b)
	if k <= 0 || head>>1 > math.MaxInt32 {
		return 0, 0, nil
	}
	r.b = r.b[k:]
	if head&1 == 0 {
		size := (r.w + 7) / 8
		if size > len(r.b) {
			return 0, 0, nil
		}
		for i := range size {
			x |= uint32(r.b[i]) << (8 * i)
		}
		r.b = r.b[size:]
		return int(head >> 1), x, nil
	}
	groups := int(head >> 1)
	if r.w == 0 {
		return groups * 8, 0, nil
	}
	size := min(groups*r.w, len(r.b)) // some writers leave the last group's padding out
	literal, r.b = r.b[:size], r.b[size:]
	return min(groups*8, size*8/r.w), 0, literal
}

// unpack appends n values of w bits, 1 to 32.
func unpack(to []uint32, b []byte, w, n int) []uint32 {
	acc, have, at := uint64(0), 0, 0
	mask := uint64(1)<<w - 1
	for range n {
		for have < w {
			acc |= uint64(b[at]) << have
			at++
			have += 8
		}
		to = append(to, uint32(acc&mask))
		acc >>= w
		have -= w
	}
	return to
}

// readDelta appends n values in DELTA_BINARY_PACKED, of which there may be more, and returns what follows them.
func readDelta(to []int64, b []byte, n int) ([]int64, []byte, error) {
	block, b, ok1 := uvarint(b)
	minis, b, ok2 := uvarint(b)
	total, b, ok3 := uvarint(b)
	first, k := binary.Varint(b)
	if !ok1 || !ok2 || !ok3 || k <= 0 || minis == 0 || minis > 512 || block > 1<<16 || block%minis != 0 || block/minis%8 != 0 || block == 0 {
		return to, nil, corrupt("a delta header")
	}
	b = b[k:]
	if total != uint64(n) {
		return to, nil, corrupt("%d delta values, %d are wanted", total, n)
	}
	if n == 0 {
		return to, b, nil
	}
	to = append(to, first)
	for last, left := first, n-1; left > 0; {
		least, k := binary.Varint(b)
		if k <= 0 || len(b)-k < int(minis) {
			return to, nil, corrupt("a delta block")
		}
		widths := b[k : k+int(minis)]
		b = b[k+int(minis):]
		for _, w := range widths {
			if left == 0 {
				break // the widths of miniblocks without values may be any
			}
			size := int(block/minis) / 8 * int(w)
			if w > 64 || size > len(b) {
				return to, nil, corrupt("a delta miniblock of %d bits in %d bytes", w, len(b))
			}
			k := min(left, int(block/minis))
			bits := bitReader{b: b[:size]}
			for range k {
				last += least + int64(bits.read(uint(w)))
				to = append(to, last)
			}
			left -= k
			b = b[size:]
		}
	}
	return to, b, nil
}

func uvarint(b []byte) (uint64, []byte, bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}

// A bitReader reads numbers of up to 64 bits, least significant bit first.
type bitReader struct {
	b  []byte
	at uint // bit
}

func (r *bitReader) read(w uint) uint64 {
	if w == 0 {
		return 0
	}
	i, shift := r.at/8, r.at%8
	r.at += w
	if int(i)+9 <= len(r.b) {
		x := binary.LittleEndian.Uint64(r.b[i:])>>shift | uint64(r.b[i+8])<<(64-shift)
		return x << (64 - w) >> (64 - w)
	}
	var x uint64
	for have := uint(0); have < w; have++ {
		at := i*8 + shift + have
		x |= uint64(r.b[at/8]>>(at%8)&1) << have
	}
	return x
}

// deltaLengths decodes DELTA_LENGTH_BYTE_ARRAY.
func (v *values) deltaLengths(b []byte, n int) error {
	lengths, b, err := readDelta(nil, b, n)
	if err != nil {
		return err
	}
	for _, l := range lengths {
		if l < 0 || l > int64(len(b)) {
			return corrupt("a value of %d bytes in %d", l, len(b))
		}
		v.bytes = append(v.bytes, b[:l])
		b = b[l:]
	}
	return nil
}

// prefixes decodes DELTA_BYTE_ARRAY: each value is a prefix of the one before and a suffix.
func (v *values) prefixes(b []byte, n int) error {
	prefixes, b, err := readDelta(nil, b, n)
	if err != nil {
		return err
	}
	suffixes := values{}
	if err := suffixes.deltaLengths(b, n); err != nil {
		return err
	}
	var last []byte
	size := 0
	for i, p := range prefixes {
		if p < 0 || p > int64(len(last)) {
			return corrupt("a prefix of %d bytes of %d", p, len(last))
		}
		if size += int(p); size > maxPageBytes {
			return corrupt("a page's values have more than %d bytes", maxPageBytes)
		}
		last = append(append(make([]byte, 0, int(p)+len(suffixes.bytes[i])), last[:p]...), suffixes.bytes[i]...)
		v.bytes = append(v.bytes, last)
	}
	return nil
}
