package verify

// A bitmap is a set of offsets. Pages are made where offsets are, so that a partition that begins at a billion costs nothing before it.
type bitmap struct {
	pages map[int64]*page
	last  *page // of the number lastNo
	no    int64
	n     int64
}

// pageBits is how many offsets a page has: 8 KiB of memory.
const pageBits = 1 << 16

type page [pageBits / 64]uint64

func newBitmap() *bitmap { return &bitmap{pages: map[int64]*page{}, no: -1} }

// add adds an offset, at least 0, and says whether it was new.
func (b *bitmap) add(offset int64) bool {
	if no := offset / pageBits; no != b.no || b.last == nil {
		p := b.pages[no]
		if p == nil {
			p = new(page)
			b.pages[no] = p
		}
		b.last, b.no = p, no
	}
	bit := offset % pageBits
	w, m := &b.last[bit/64], uint64(1)<<(bit%64)
	if *w&m != 0 {
		return false
	}
	*w |= m
	b.n++
	return true
}

// has says whether the offset is in the set.
func (b *bitmap) has(offset int64) bool {
	p := b.pages[offset/pageBits]
	bit := offset % pageBits
	return p != nil && p[bit/64]&(1<<(bit%64)) != 0
}

// firstMissing returns the first offset of [from, to) that is not in the set, or -1.
func (b *bitmap) firstMissing(from, to int64) int64 {
	for o := from; o < to; o++ {
		if !b.has(o) {
			return o
		}
	}
	return -1
}
