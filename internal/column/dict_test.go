package column

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"unicode/utf8"
)

// values decodes what the open page of a dictionary holds.
func (d *Dict) values() (vs [][]byte) {
	for p := d.Plain; len(p) > 0; {
		n := binary.LittleEndian.Uint32(p)
		vs = append(vs, p[4:4+n])
		p = p[4+n:]
	}
	for _, i := range d.Indices {
		vs = append(vs, d.Entry(int(i)))
	}
	return vs
}

// add appends values one after another in one buffer and returns the positions of those refused.
func addValues(d *Dict, vs [][]byte) []int {
	var buf []byte
	spans := make([]Span, len(vs))
	for i, v := range vs {
		spans[i] = Span{uint32(len(buf)), uint32(len(v))}
		buf = append(buf, v...)
	}
	d.rejects = d.rejects[:0]
	d.add(append(buf, make([]byte, Slack)...), spans, 0)
	return d.rejects
}

func sameValues(t *testing.T, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d values, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("value %d is %q, want %q", i, got[i], want[i])
		}
	}
}

// TestDictKeepsValues: whatever their lengths and number, what comes out is what went in, and equal values have one entry.
func TestDictKeepsValues(t *testing.T) {
	for _, tt := range []struct {
		name            string
		distinct, total int
		length          func(r *rand.Rand) int
		givenUp         bool
	}{
		{"one value", 1, 5000, func(*rand.Rand) int { return 3 }, false},
		{"few of all lengths", 300, 20000, func(r *rand.Rand) int { return r.IntN(100) }, false},
		{"10,000 values in 100,000", 10000, 60000, func(r *rand.Rand) int { return 8 }, false},
		{"all distinct", 100000, 5000, func(r *rand.Rand) int { return 12 + r.IntN(30) }, true},
		{"more than fit, though most repeat", 200000, 350000, func(r *rand.Rand) int { return 12 }, true},
		{"longer than fit", 600, 2000, func(r *rand.Rand) int { return 3000 }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			pool := make([][]byte, tt.distinct)
			for i := range pool {
				pool[i] = fmt.Appendf(nil, "%x", i)
				for n := tt.length(r); len(pool[i]) < n; {
					pool[i] = append(pool[i], byte('a'+r.IntN(26)))
				}
			}
			d := newDict(true, false, 42)
			var want [][]byte
			for len(want) < tt.total {
				block := make([][]byte, 256)
				for i := range block {
					block[i] = pool[r.IntN(len(pool))]
					if tt.distinct > 150000 && r.IntN(4) > 0 {
						block[i] = pool[r.IntN(10)]
					}
				}
				want = append(want, block...)
				if rejects := addValues(d, block); len(rejects) > 0 {
					t.Fatalf("refused: %v", rejects)
				}
			}
			sameValues(t, d.values(), want)
			if d.GivenUp != tt.givenUp || d.Len() > maxDictLen || d.DataBytes() > maxDictBytes || len(d.slots) > 2*maxDictLen {
				t.Errorf("given up: %t; %d entries, %d bytes, %d slots", d.GivenUp, d.Len(), d.DataBytes(), len(d.slots))
			}
			seen := map[string]bool{}
			for i := range d.Len() {
				seen[string(d.Entry(i))] = true
			}
			if len(seen) != d.Len() {
				t.Errorf("%d entries, %d distinct", d.Len(), len(seen))
			}
			least, greatest, ok := d.Bounds()
			for _, v := range want[:min(5000, len(want))] {
				if !ok || bytes.Compare(v, least) < 0 || bytes.Compare(v, greatest) > 0 {
					t.Fatalf("%q is outside %q..%q (%t)", v, least, greatest, ok)
				}
			}
			d.reset()
			if addValues(d, want[:256]); len(d.values()) != 256 || d.GivenUp {
				t.Error("a reset dictionary is not new")
			}
			sameValues(t, d.values(), want[:256])
		})
	}
}

// TestDictHashesAllBytesOnceSamplesCollide: long values that differ only where no byte is sampled would make each lookup walk all of them.
func TestDictHashesAllBytesOnceSamplesCollide(t *testing.T) {
	d := newDict(false, false, 1)
	var pool [][]byte
	for i := range 2000 {
		v := bytes.Repeat([]byte{'x'}, 100)
		binary.LittleEndian.PutUint32(v[20:], uint32(i)) // 8 bytes at each end and 16 in the middle are sampled
		pool = append(pool, v)
	}
	for range 5 {
		addValues(d, pool)
	}
	if !d.key.whole || d.GivenUp || d.Len() != len(pool) {
		t.Fatalf("whole %t, given up %t, %d entries", d.key.whole, d.GivenUp, d.Len())
	}
	longest := 0
	for i := range d.Len() {
		h := d.key.long(d.Entry(i))
		n := 0
		for d.slots[(h+uint64(n))&d.mask].entry != uint32(i) {
			n++
		}
		longest = max(longest, n)
	}
	if longest > 50 {
		t.Errorf("a lookup walks %d slots", longest)
	}
}

// TestSeedHidesPlaces: values that an attacker makes collide under one seed, knowing the code, are apart under another.
func TestSeedHidesPlaces(t *testing.T) {
	known := newHashKey(7)
	var values [][16]byte
	for i := range 256 { // the second word cancels the key, so that the product is 0 whatever the first one
		var v [16]byte
		binary.LittleEndian.PutUint64(v[:], uint64(i)*0x9e3779b97f4a7c15)
		binary.LittleEndian.PutUint64(v[8:], known.b)
		values = append(values, v)
	}
	places := func(k hashKey) int {
		seen := map[uint64]bool{}
		for i := range values {
			_, _, h := k.short(&values[i], 16)
			seen[h&1023] = true
		}
		return len(seen)
	}
	if n := places(known); n != 1 {
		t.Fatalf("the values have %d places under the known seed: the test attacks nothing", n)
	}
	if n := places(newHashKey(8)); n < 150 {
		t.Errorf("%d places under another seed", n)
	}
}

func TestDictAndInvalidUTF8(t *testing.T) {
	in := [][]byte{[]byte("a"), {0xff}, []byte("é"), {'b', 0xc3}, {0xff}, []byte("a")}
	strict := newDict(true, false, 0)
	if got := addValues(strict, in); fmt.Sprint(got) != "[1 3 4]" {
		t.Errorf("refused at %v", got)
	}
	keep := newDict(true, true, 0)
	if got := addValues(keep, in); len(got) > 0 || !keep.Invalid {
		t.Errorf("refused at %v, invalid %t", got, keep.Invalid)
	}
	if _, _, ok := keep.Bounds(); ok {
		t.Error("values that are not UTF-8 have bounds")
	}
	sameValues(t, keep.values(), in)
	binaries := newDict(false, false, 0)
	if got := addValues(binaries, in); len(got) > 0 || binaries.Invalid {
		t.Errorf("bytes are refused at %v, invalid %t", got, binaries.Invalid)
	}
	if least, greatest, ok := binaries.Bounds(); !ok || string(least) != "a" || string(greatest) != "\xff" {
		t.Errorf("bounds %q %q %t", least, greatest, ok)
	}
}

func TestALongValueIsNoBound(t *testing.T) {
	for _, n := range []int{maxBoundBytes, maxBoundBytes + 1} {
		d := newDict(true, false, 0)
		addValues(d, [][]byte{[]byte("b"), bytes.Repeat([]byte{'c'}, n)})
		if _, _, ok := d.Bounds(); ok != (n == maxBoundBytes) {
			t.Errorf("a value of %d bytes: bounds %t", n, ok)
		}
	}
}

// FuzzDict compares a dictionary with a map and a list. The first byte of each chunk is a value's length.
func FuzzDict(f *testing.F) {
	f.Add([]byte("\x01a\x02bb\x01a\x00\x11aaaaaaaaaaaaaaaaa\x11aaaaaaaaaaaaaaaaa\x11aaaaaaaaaaaaaaaab"), uint64(1), true, false)
	f.Add([]byte("\x01\xff\x02\xc3\xa9\x01\xff"), uint64(2), true, false)
	f.Add([]byte("\x28aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\x28aaaaaaaaaabaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\x10aaaaaaaaaaaaaaaa"), uint64(3), false, true)
	f.Fuzz(func(t *testing.T, in []byte, seed uint64, text, keep bool) {
		var vs, want [][]byte
		for len(in) > 0 {
			n := min(int(in[0]), len(in)-1)
			vs, in = append(vs, in[1:1+n]), in[1+n:]
		}
		d := newDict(text, keep, seed)
		for range 2 { // the second time all are known
			rejects := addValues(d, vs)
			for i, v := range vs {
				refused := text && !keep && !utf8.Valid(v)
				if refused != (len(rejects) > 0 && rejects[0] == i) {
					t.Fatalf("value %d, %q: refused at %v", i, v, rejects)
				}
				if refused {
					rejects = rejects[1:]
				} else {
					want = append(want, v)
				}
			}
		}
		got := d.Indices[:0:0]
		for _, e := range d.Indices {
			if e != notUTF8 {
				got = append(got, e)
			}
		}
		d.Indices = got
		sameValues(t, d.values(), want)
		entries := map[string]bool{}
		for i := range d.Len() {
			entries[string(d.Entry(i))] = true
		}
		if len(entries) != d.Len() {
			t.Fatalf("%d entries, %d distinct", d.Len(), len(entries))
		}
	})
}
