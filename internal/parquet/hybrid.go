package parquet

import (
	"encoding/binary"
	"math/bits"
)

// The RLE/bit-packed hybrid (parquet-format Encodings.md, RLE = 3): a run is varint(n<<1) and the value in whole bytes; a literal is
// varint(groups<<1|1) and groups of 8 values of w bits each, least significant bit first.

func appendRun(dst []byte, n int, v uint32, w int) []byte {
	dst = binary.AppendUvarint(dst, uint64(n)<<1)
	for b := 0; b < w; b += 8 {
		dst = append(dst, byte(v>>b))
	}
	return dst
}

// room returns dst with capacity for n more bytes. Small buffers double; large ones, which hold a row group's pages, grow by a quarter.
func room(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	grown := 2 * cap(dst)
	if grown > 1<<20 {
		grown = cap(dst) + cap(dst)/4
	}
	return append(make([]byte, 0, max(grown, len(dst)+n)), dst...)
}

// appendIndices appends the hybrid of v at width w, at most 32. A run is made from 16 equal values on that begin at a literal's group.
func appendIndices(dst []byte, v []uint32, w int) []byte {
	if w == 0 {
		return appendRun(dst, len(v), 0, 0)
	}
	i, literal := 0, 0
	for i < len(v) {
		if i+16 <= len(v) && allEqual((*[16]uint32)(v[i:])) {
			x, j := v[i], i+16
			for j < len(v) && v[j] == x {
				j++
			}
			if j < len(v) {
				j = i + (j-i)&^7 // literals begin at whole groups
			}
			if literal < i {
				dst = appendPacked(dst, v[literal:i], w)
			}
			dst = appendRun(dst, j-i, x, w)
			i, literal = j, j
			continue
		}
		i += 8
	}
	if literal < len(v) {
		dst = appendPacked(dst, v[literal:], w)
	}
	return dst
}

func allEqual(g *[16]uint32) bool {
	v := g[0]
	return (g[1]^v)|(g[2]^v)|(g[3]^v)|(g[4]^v)|(g[5]^v)|(g[6]^v)|(g[7]^v) == 0 &&
		(g[8]^v)|(g[9]^v)|(g[10]^v)|(g[11]^v)|(g[12]^v)|(g[13]^v)|(g[14]^v)|(g[15]^v) == 0
}

// appendPacked appends a literal of v at width w; the last group is filled up with zeros, so that the same values give the same bytes.
func appendPacked(dst []byte, v []uint32, w int) []byte {
	groups := (len(v) + 7) / 8
	dst = binary.AppendUvarint(dst, uint64(groups)<<1|1)
	dst = room(dst, groups*w+8)
	at := len(dst)
	out := dst[at : at+groups*w+8] // 8 more: groups are written as words
	full, o := len(v)&^7, 0
	switch {
	case w <= 8:
		for k := 0; k < full; k += 8 {
			binary.LittleEndian.PutUint64(out[o:], pack8x8((*[8]uint32)(v[k:]), uint(w)))
			o += w
		}
	case w <= 16:
		for k := 0; k < full; k += 8 {
			pack8x16(out[o:], (*[8]uint32)(v[k:]), uint(w))
			o += w
		}
	default:
		for k := 0; k < full; k += 8 {
			packGroup(out[o:], (*[8]uint32)(v[k:]), uint(w))
			o += w
		}
	}
	if full < len(v) {
		var g [8]uint32
		copy(g[:], v[full:])
		packGroup(out[o:], &g, uint(w))
	}
	return dst[:at+groups*w]
}

// pack8x8 packs 8 values of at most 8 bits.
func pack8x8(g *[8]uint32, w uint) uint64 {
	return uint64(g[0]) | uint64(g[1])<<w | uint64(g[2])<<(2*w) | uint64(g[3])<<(3*w) |
		uint64(g[4])<<(4*w) | uint64(g[5])<<(5*w) | uint64(g[6])<<(6*w) | uint64(g[7])<<(7*w)
}

// pack8x16 packs 8 values of 9 to 16 bits: 4 fill at most a word; where they end in the middle of a byte, the other 4 begin in it. It may
// write up to 8 bytes past the group.
func pack8x16(out []byte, g *[8]uint32, w uint) {
	low := uint64(g[0]) | uint64(g[1])<<w | uint64(g[2])<<(2*w) | uint64(g[3])<<(3*w)
	high := uint64(g[4]) | uint64(g[5])<<w | uint64(g[6])<<(2*w) | uint64(g[7])<<(3*w)
	binary.LittleEndian.PutUint64(out, low)
	at := w / 2
	if w&1 == 0 {
		binary.LittleEndian.PutUint64(out[at:], high)
		return
	}
	binary.LittleEndian.PutUint64(out[at:], high<<4|uint64(out[at]))
	out[at+8] = byte(high >> 60)
}

// packGroup packs 8 values of any width.
func packGroup(out []byte, g *[8]uint32, w uint) {
	acc, n, o := uint64(0), uint(0), 0
	for _, v := range g {
		acc |= uint64(v) << n
		for n += w; n >= 8; n -= 8 {
			out[o] = byte(acc)
			acc >>= 8
			o++
		}
	}
}

const everyByte = 0x0101010101010101

// pack8 packs 8 bytes into 8 values of w <= 8 bits.
func pack8(x uint64, w uint) uint64 {
	x = x&0x00ff00ff00ff00ff | x&0xff00ff00ff00ff00>>(8-w)
	x = x&0x0000ffff0000ffff | x&0xffff0000ffff0000>>(16-2*w)
	return x&0xffffffff | x>>32<<(4*w)
}

// levels8 returns 8 levels, those marked as present replaced by the top level.
func levels8(v []byte, tops uint64) uint64 {
	x := binary.LittleEndian.Uint64(v)
	m := x >> 7 & everyByte * 255
	return x&^m | tops&m
}

// appendLevels appends the hybrid of the first n levels of v, which has 8 bytes more; present stands for top. A run is made from 64
// equal levels on.
func appendLevels(dst []byte, v []byte, n int, top uint8) []byte {
	clear(v[n : n+8])
	w := bits.Len8(top)
	tops := uint64(top) * everyByte
	i, literal := 0, 0
	for i < n {
		x := levels8(v[i:], tops)
		if x != bits.RotateLeft64(x, 8) || i+64 > n {
			i += 8
			continue
		}
		j := i + 8
		for j+8 <= n && levels8(v[j:], tops) == x {
			j += 8
		}
		if j-i >= 64 {
			dst = appendPackedLevels(dst, v, literal, i, w, tops)
			dst = appendRun(dst, j-i, uint32(x&255), w)
			literal = j
		}
		i = j
	}
	return appendPackedLevels(dst, v, literal, n, w, tops)
}

func appendPackedLevels(dst, v []byte, from, to, w int, tops uint64) []byte {
	if from >= to {
		return dst
	}
	groups := (to - from + 7) / 8
	dst = binary.AppendUvarint(dst, uint64(groups)<<1|1)
	dst = room(dst, groups*w+8)
	at := len(dst)
	out, o := dst[at:at+groups*w+8], 0
	for i := from; i < to; i += 8 {
		binary.LittleEndian.PutUint64(out[o:], pack8(levels8(v[i:], tops), uint(w)))
		o += w
	}
	return dst[:at+groups*w]
}
