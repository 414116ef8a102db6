package avro

import (
	"encoding/binary"
	"math/bits"
)

// powers are 10^n as 128 bits, high word first.
var powers = func() (t [39][2]uint64) {
	t[0][1] = 1
	for i := 1; i < len(t); i++ {
		carry, low := bits.Mul64(t[i-1][1], 10)
		t[i] = [2]uint64{t[i-1][0]*10 + carry, low}
	}
	return
}()

// decimal writes an unscaled decimal, two's complement and big-endian, to a slot. It is false where the value has more digits than its
// type, or no byte at all, which Java's BigInteger refuses.
func (o *op) decimal(v []byte, at int) bool {
	if len(v) == 0 {
		return false
	}
	sign := uint64(int64(int8(v[0])) >> 63)
	for len(v) > 16 {
		if v[0] != byte(sign) {
			return false
		}
		v = v[1:]
	}
	high, low := sign, sign
	for _, x := range v {
		high, low = high<<8|low>>56, low<<8|uint64(x)
	}
	// If the first of 16 bytes left contradicts the sign, the absolute value is at least 2^127, which is above every limit.
	absHigh, absLow := high^sign, low^sign
	if sign != 0 {
		carry := uint64(0)
		absLow, carry = bits.Add64(absLow, 1, 0)
		absHigh += carry
	}
	limit := &powers[o.digits]
	if absHigh > limit[0] || absHigh == limit[0] && absLow >= limit[1] {
		return false
	}
	if o.digits <= 18 {
		o.leaf.Ints[at] = int64(low)
		return true
	}
	w := &o.leaf.Wide[at]
	binary.BigEndian.PutUint64(w[:8], high)
	binary.BigEndian.PutUint64(w[8:], low)
	return true
}
