package parquet

import (
	"encoding/binary"
	"math"
	"math/bits"
)

const (
	deltaBlock     = 128 // values a block
	deltaMiniblock = 32  // values a miniblock
)

// appendDelta appends DELTA_BINARY_PACKED of v (parquet-format Encodings.md, DELTA_BINARY_PACKED = 5). Differences wrap around, as the
// reader's sums do.
func appendDelta(dst []byte, v []int64) []byte {
	dst = binary.AppendUvarint(dst, deltaBlock)
	dst = binary.AppendUvarint(dst, deltaBlock/deltaMiniblock)
	dst = binary.AppendUvarint(dst, uint64(len(v)))
	if len(v) == 0 {
		return binary.AppendVarint(dst, 0)
	}
	dst = binary.AppendVarint(dst, v[0])
	var d [deltaBlock]int64
	for prev, rest := v[0], v[1:]; len(rest) > 0; {
		n := min(deltaBlock, len(rest))
		least := int64(math.MaxInt64)
		for i, x := range rest[:n] {
			d[i] = x - prev
			prev = x
			least = min(least, d[i])
		}
		for i := n; i < deltaBlock; i++ {
			d[i] = least // what fills the last miniblock becomes zeros
		}
		dst = binary.AppendVarint(dst, least)
		widths := len(dst)
		dst = append(dst, 0, 0, 0, 0) // miniblocks without values have width 0 and no bytes
		for m := 0; m*deltaMiniblock < n; m++ {
			mini := (*[deltaMiniblock]int64)(d[m*deltaMiniblock:])
			var or uint64
			for i := range mini {
				mini[i] -= least
				or |= uint64(mini[i])
			}
			w := bits.Len64(or)
			dst[widths+m] = byte(w)
			dst = appendMiniblock(dst, mini, uint(w))
		}
		rest = rest[n:]
	}
	return dst
}

// appendMiniblock packs 32 values of w <= 64 bits: 4*w bytes.
func appendMiniblock(dst []byte, mini *[deltaMiniblock]int64, w uint) []byte {
	if w == 0 {
		return dst
	}
	dst = room(dst, 4*int(w)+8)
	at := len(dst)
	out, o := dst[at:at+4*int(w)+8], 0
	acc, n := uint64(0), uint(0)
	for _, x := range mini {
		u := uint64(x)
		acc |= u << n
		if n += w; n >= 64 {
			binary.LittleEndian.PutUint64(out[o:], acc)
			o += 8
			n -= 64
			acc = u >> (w - n) // a shift by 64 is 0 in Go
		}
	}
	binary.LittleEndian.PutUint64(out[o:], acc) // the last 0 or 4 bytes
	return dst[:at+4*int(w)]
}
