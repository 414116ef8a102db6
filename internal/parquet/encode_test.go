package parquet

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// bitsOf reads w bits that begin at bit at, one by one.
func bitsOf(b []byte, at, w int) (v uint64) {
	for i := range w {
		v |= uint64(b[(at+i)/8]>>((at+i)%8)&1) << i
	}
	return v
}

// naiveHybrid decodes n values of w bits as Encodings.md has it, and fails on bytes too many and on padding that is not zero.
func naiveHybrid(t *testing.T, b []byte, n, w int) (vs []uint32) {
	for len(b) > 0 {
		head, k := binary.Uvarint(b)
		b = b[k:]
		if head&1 == 0 {
			size := (w + 7) / 8
			v := uint32(bitsOf(b, 0, 8*size))
			b = b[size:]
			for range head >> 1 {
				vs = append(vs, v)
			}
			continue
		}
		for i := range int(head>>1) * 8 {
			v := uint32(bitsOf(b, i*w, w))
			if len(vs) < n {
				vs = append(vs, v)
			} else if v != 0 {
				t.Fatalf("padding of %d", v)
			}
		}
		b = b[int(head>>1)*w:]
	}
	if len(vs) != n {
		t.Fatalf("%d values, want %d", len(vs), n)
	}
	return vs
}

// indicesFrom makes values of w bits out of bytes; a byte of 200 and more repeats the value before it.
func indicesFrom(in []byte, w int) (vs []uint32) {
	for i, c := range in {
		v := uint32(c) * 0x9e3779b1 >> (32 - max(w, 1))
		if w == 0 {
			v = 0
		}
		n := 1
		if c >= 200 && i > 0 {
			n, v = int(c-199), vs[len(vs)-1]
		}
		for range n {
			vs = append(vs, v)
		}
	}
	return vs
}

func FuzzIndices(f *testing.F) {
	f.Add([]byte{1, 2, 3}, uint8(3))
	f.Add([]byte{1, 255, 2, 3, 4, 5, 6, 7, 8, 9, 220, 1}, uint8(11))
	f.Add([]byte{9, 255, 255, 255}, uint8(1))
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 215, 1, 2, 3, 4, 5, 6, 7, 8, 216}, uint8(17))
	f.Fuzz(func(t *testing.T, in []byte, width uint8) {
		w := int(width % 33)
		vs := indicesFrom(in, w)
		prefix := []byte("before")
		out := appendIndices(prefix, vs, w)
		if string(out[:6]) != "before" {
			t.Fatal("what was there is overwritten")
		}
		if got := naiveHybrid(t, out[6:], len(vs), w); !slices.Equal(got, vs) {
			t.Fatalf("got %d, want %d", got, vs)
		}
		dirty := slices.Repeat([]byte{0xff}, 1000)[:0]
		if got := appendIndices(dirty, vs, w); !slices.Equal(got, out[6:]) {
			t.Fatal("the bytes depend on what lay in the buffer")
		}
		var read []uint32
		for r := (hybridReader{b: out[6:], w: w}); len(read) < len(vs); {
			n, x, literal := r.run()
			n = min(n, len(vs)-len(read))
			if n == 0 {
				t.Fatal("our reader finds an early end")
			}
			if literal != nil {
				read = unpack(read, literal, w, n)
			} else {
				read = append(read, slices.Repeat([]uint32{x}, n)...)
			}
		}
		if !slices.Equal(read, vs) {
			t.Fatalf("our reader: got %d, want %d", read, vs)
		}
	})
}

// TestIndicesOfEveryWidth: all packers, all lengths of a tail, and runs at every distance from a group's begin.
func TestIndicesOfEveryWidth(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for w := range 33 {
		for n := range 70 {
			vs := make([]uint32, n)
			for i := range vs {
				vs[i] = uint32(r.Uint64() & (1<<w - 1))
			}
			if n > 40 {
				for i := n - 40; i < n-10; i++ {
					vs[i] = vs[n-40]
				}
			}
			if got := naiveHybrid(t, appendIndices(nil, vs, w), n, w); !slices.Equal(got, vs) {
				t.Fatalf("width %d: got %d, want %d", w, got, vs)
			}
		}
	}
}

func FuzzLevels(f *testing.F) {
	f.Add([]byte{0, 1, 2, 255, 255, 1}, uint8(3))
	f.Add(slices.Repeat([]byte{255}, 200), uint8(1))
	f.Add(append(slices.Repeat([]byte{0}, 70), 255, 1, 0, 255), uint8(5))
	f.Add(append(slices.Repeat([]byte{255}, 67), slices.Repeat([]byte{1}, 64)...), uint8(100))
	f.Fuzz(func(t *testing.T, in []byte, top uint8) {
		top = max(top%120, 1)
		want := make([]uint32, len(in))
		v := make([]byte, len(in), len(in)+20)
		for i, c := range in {
			if c == present {
				v[i], want[i] = present, uint32(top)
			} else {
				v[i] = c % (top + 1)
				want[i] = uint32(v[i])
			}
		}
		v = v[:len(in)+8]
		for i := range 8 {
			v[len(in)+i] = 0xff // what lies after the levels is not theirs
		}
		out := appendLevels(nil, v, len(in), top)
		w := 0
		for 1<<w <= int(top) {
			w++
		}
		if got := naiveHybrid(t, out, len(in), w); !slices.Equal(got, want) {
			t.Fatalf("got %d, want %d", got, want)
		}
	})
}

// naiveDelta decodes DELTA_BINARY_PACKED as Encodings.md has it.
func naiveDelta(t *testing.T, b []byte) (vs []int64) {
	uvarint := func() uint64 {
		v, n := binary.Uvarint(b)
		b = b[n:]
		return v
	}
	varint := func() int64 {
		v, n := binary.Varint(b)
		b = b[n:]
		return v
	}
	block, minis, n := int(uvarint()), int(uvarint()), int(uvarint())
	if block%128 != 0 || block/minis%32 != 0 {
		t.Fatalf("a block of %d in %d", block, minis)
	}
	v := varint()
	if n > 0 {
		vs = append(vs, v)
	}
	for len(vs) < n {
		least := varint()
		widths := b[:minis]
		b = b[minis:]
		for _, w := range widths {
			if len(vs) == n {
				if w != 0 {
					t.Fatal("a miniblock without values has a width")
				}
				continue
			}
			for i := range block / minis {
				d := bitsOf(b, i*int(w), int(w))
				if len(vs) < n {
					v += least + int64(d)
					vs = append(vs, v)
				} else if d != 0 {
					t.Fatal("padding is not zero")
				}
			}
			b = b[block/minis*int(w)/8:]
		}
	}
	if len(b) > 0 {
		t.Fatalf("%d bytes too many", len(b))
	}
	return vs
}

func checkDelta(t *testing.T, vs []int64) {
	out := appendDelta(nil, vs)
	if got := naiveDelta(t, out); !slices.Equal(got, vs) {
		t.Fatalf("got %d, want %d", got, vs)
	}
	got, rest, err := readDelta(nil, append(out, "rest"...), len(vs))
	if err != nil || !slices.Equal(got, vs) || string(rest) != "rest" {
		t.Fatalf("our reader: got %d and %q, want %d: %v", got, rest, vs, err)
	}
}

func FuzzDelta(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, uint8(8))
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz"), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, size uint8) {
		w := 1 + int(size%8)
		var vs []int64
		for ; len(in) >= w; in = in[w:] {
			var b [8]byte
			copy(b[8-w:], in)
			vs = append(vs, int64(binary.LittleEndian.Uint64(b[:]))>>(8*(8-w)))
		}
		checkDelta(t, vs)
	})
}

func TestDeltaOfEveryWidthAndLength(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for w := range 65 {
		for _, n := range []int{0, 1, 2, 32, 33, 34, 128, 129, 130, 161, 257, 400} {
			vs := make([]int64, n)
			for i := range vs {
				vs[i] = int64(r.Uint64() >> (64 - w))
			}
			checkDelta(t, vs)
		}
	}
	checkDelta(t, []int64{math.MinInt64, math.MaxInt64, 0, -1, math.MinInt64, math.MinInt64, math.MaxInt64})
}
