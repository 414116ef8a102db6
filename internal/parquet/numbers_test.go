package parquet

import (
	"math/rand/v2"
	"testing"
)

// TestNumbersKeepTheirEntries: an entry once given stays, and stands for one number.
func TestNumbersKeepTheirEntries(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	d := numbers{factor: r.Uint64() | 1}
	for range 3 { // row groups
		want := map[int64]uint32{}
		for page := range 60 {
			v := make([]int64, 1+r.IntN(2000))
			for i := range v {
				v[i] = r.Int64N(1+int64(page*page)) << r.IntN(2) << 40
			}
			out := make([]uint32, len(v))
			if !index(&d, v, out) {
				t.Fatalf("page %d: given up with %d entries after %d numbers", page, len(d.entries), d.seen)
			}
			for i, x := range v {
				if e, ok := want[x]; ok && e != out[i] || d.entries[out[i]] != x {
					t.Fatalf("page %d: %d has entry %d (%d), had %d", page, x, out[i], d.entries[out[i]], e)
				}
				want[x] = out[i]
			}
		}
		if len(want) != len(d.entries) {
			t.Fatalf("%d entries of %d numbers", len(d.entries), len(want))
		}
		d.reset()
	}
}

// TestNumbersOfOneSlotAreFew: whoever knows the factor can make numbers that share a slot; the search for them ends.
func TestNumbersOfOneSlotAreFew(t *testing.T) {
	d := numbers{factor: 0x9e3779b97f4a7c15}
	inverse := d.factor // Newton's: each step doubles the bits that are right
	for range 6 {
		inverse *= 2 - d.factor*inverse
	}
	v := make([]int64, 4096)
	for i := range v {
		v[i] = int64(uint64(i%1000+1) * inverse) // times the factor: small numbers, whose first bits are 0
	}
	if index(&d, v, make([]uint32, len(v))) || len(d.entries) > 0 {
		t.Errorf("not given up: %d entries", len(d.entries))
	}
	d.reset()
	if !index(&d, []int64{5, 5, 5}, make([]uint32, 3)) {
		t.Error("given up for ever")
	}
}
