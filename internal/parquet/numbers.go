package parquet

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/siltlake/silt/internal/column"
)

const (
	// maxNumbers is how many entries a dictionary of numbers has at most: they and their table stay in the second-level cache.
	maxNumbers = 1 << 14
	// maxProbes bounds the search for one number, whoever chose the numbers.
	maxProbes = 64
	// numberTrial is after how many numbers the dictionary is asked whether it pays.
	numberTrial = 1 << 12
)

// numbers is a chunk's dictionary of numbers, by their bits, which grows page by page: INT32, FLOAT and DOUBLE have one until it does not
// pay, and INT64 where its values come as runs.
type numbers struct {
	entries []int64
	slots   []uint32 // entry + 1; 0 is empty. At most half is in use
	shift   uint8    // of a hash to its slot
	factor  uint64   // odd and secret: numbers that share a slot cannot be chosen
	seen    int      // numbers looked up in pages that are not runs
	given   bool     // up, for the rest of the row group
}

// find returns the entry of v and makes one if there is none; ok is false where it has no place.
func (d *numbers) find(v int64) (entry uint32, ok bool) {
	if len(d.slots) == 0 {
		d.resize(256)
	}
	mask := uint64(len(d.slots) - 1)
	h := uint64(v) * d.factor >> d.shift
	for probes := 0; ; probes++ {
		e := d.slots[h&mask]
		if e == 0 {
			break
		}
		if d.entries[e-1] == v {
			return e - 1, true
		}
		if h++; probes == maxProbes {
			return 0, false
		}
	}
	if len(d.entries) == maxNumbers {
		return 0, false
	}
	d.entries = append(d.entries, v)
	d.slots[h&mask] = uint32(len(d.entries))
	if 2*len(d.entries) > len(d.slots) {
		d.resize(4 * len(d.slots))
	}
	return uint32(len(d.entries)) - 1, true
}

// resize places every entry anew in n slots.
func (d *numbers) resize(n int) {
	d.slots, d.shift = make([]uint32, n), uint8(64-bits.Len(uint(n-1)))
	for i, v := range d.entries {
		h := uint64(v) * d.factor >> d.shift
		for d.slots[h&uint64(n-1)] != 0 {
			h++
		}
		d.slots[h&uint64(n-1)] = uint32(i + 1)
	}
}

// index finds the entries of a page's numbers; false where the dictionary is given up, and then has no entry of this page's alone.
func index[T int32 | int64](d *numbers, v []T, out []uint32) bool {
	if d.given {
		return false
	}
	before := len(d.entries)
	for from := 0; from < len(v); from += numberTrial {
		part := v[from:min(from+numberTrial, len(v))]
		for i, n := 0, 0; i < len(part); i++ {
			n = known(d, part[i:], out[from+i:])
			if i += n; i == len(part) {
				break
			}
			e, ok := d.find(int64(part[i]))
			if !ok {
				return d.giveUp(before)
			}
			out[from+i] = e
		}
		if d.seen += len(part); !column.Repeats(len(d.entries), d.seen) {
			return d.giveUp(before)
		}
	}
	// A page that is the group's only one may be small: then a dictionary of what does not repeat is a page more for nothing.
	if before == 0 && 16*len(d.entries) > 15*len(v) {
		return d.giveUp(before)
	}
	return true
}

// known finds the entries of the first numbers, up to one that is not in the slot that its hash names, and returns how many: the loop that
// most numbers stay in.
func known[T int32 | int64](d *numbers, v []T, out []uint32) int {
	slots, entries, factor, shift := d.slots, d.entries, d.factor, d.shift&63
	if len(slots) == 0 {
		return 0
	}
	mask := uint64(len(slots) - 1)
	out = out[:len(v)]
	for i, x := range v {
		e := slots[uint64(x)*factor>>shift&mask] - 1 // of an empty slot beyond all entries
		if uint64(e) >= uint64(len(entries)) || entries[e] != int64(x) {
			return i
		}
		out[i] = e
	}
	return len(v)
}

// giveUp keeps the first n entries, which pages that are written refer to, and takes no more. It returns false.
func (d *numbers) giveUp(n int) bool {
	d.entries, d.given = d.entries[:n], true
	return false
}

// reset empties the dictionary for the next row group.
func (d *numbers) reset() {
	clear(d.slots)
	d.entries, d.seen, d.given = d.entries[:0], 0, false
}

// appendNumbers appends a page of numbers: of indices into the dictionary where that pays, else plain.
func appendNumbers[T int32 | int64](p []byte, c *chunk, v []T, plain func(p []byte, v []T) []byte) ([]byte, int32) {
	indices := c.indices(len(v))
	if !index(&c.numbers, v, indices) {
		addNumbers(&c.limits, v, c.phys)
		return plain(p, v), encodingPlain
	}
	return appendDictPage(p, len(c.numbers.entries), indices, nil), encodingDict
}

// appendRuns appends a page of runs: of indices into the dictionary, or plain where their values have no place in it.
func (c *chunk) appendRuns(p []byte, col *column.Column) ([]byte, int32) {
	d := &c.numbers
	before := len(d.entries)
	for i := 0; i < len(col.Runs) && !d.given; i++ { // entries first: they decide the width
		if _, ok := d.find(col.RunValues[col.Runs[i].Index]); !ok {
			d.giveUp(before)
		}
	}
	if d.given {
		return c.appendRunsPlain(p, col), encodingPlain
	}
	w := bits.Len(uint(len(d.entries) - 1))
	p = append(p, byte(w))
	for _, r := range col.Runs {
		e, _ := d.find(col.RunValues[r.Index])
		p = appendRun(p, r.N, e, w)
	}
	return p, encodingDict
}

func (c *chunk) appendRunsPlain(p []byte, col *column.Column) []byte {
	for _, r := range col.Runs {
		v := col.RunValues[r.Index]
		c.limits.addInts(v, v)
		for range r.N {
			p = appendPlainNumber(p, v, c.phys)
		}
	}
	return p
}

// appendPlainNumber appends a number of any physical type but booleans, by its bits.
func appendPlainNumber(p []byte, v int64, phys column.Physical) []byte {
	if phys == column.PhysInt32 || phys == column.PhysFloat {
		return binary.LittleEndian.AppendUint32(p, uint32(v))
	}
	return binary.LittleEndian.AppendUint64(p, uint64(v))
}

func appendPlainInt32s(p []byte, v []int32) []byte {
	p = room(p, 4*len(v))
	for _, x := range v {
		p = binary.LittleEndian.AppendUint32(p, uint32(x))
	}
	return p
}

func appendPlainInt64s(p []byte, v []int64) []byte {
	p = room(p, 8*len(v))
	for _, x := range v {
		p = binary.LittleEndian.AppendUint64(p, uint64(x))
	}
	return p
}

// addNumbers widens the bounds by numbers of a physical type, by their bits; NaN is left out.
func addNumbers[T int32 | int64](m *limits, v []T, phys column.Physical) {
	if len(v) == 0 {
		return
	}
	if phys == column.PhysInt32 || phys == column.PhysInt64 {
		least, greatest := v[0], v[0]
		for _, x := range v {
			least, greatest = min(least, x), max(greatest, x)
		}
		m.addInts(int64(least), int64(greatest))
		return
	}
	least, greatest := math.Inf(1), math.Inf(-1)
	for _, x := range v {
		f := math.Float64frombits(uint64(x))
		if phys == column.PhysFloat {
			f = float64(math.Float32frombits(uint32(x)))
		}
		if f != f {
			m.nan = true
		}
		if f < least {
			least = f
		}
		if f > greatest {
			greatest = f
		}
	}
	if least <= greatest {
		m.addFloats(least, greatest)
	}
}
