package datagen

// A random is java.util.Random: the same seed gives the same values, to the bit. The generator language is defined by the draws it makes,
// so each method here is one of the class's, in its arithmetic: 32 and 64 bits that wrap (Java SE API, java.util.Random; the test's golden
// file comes from a JDK). It is not safe for concurrent use.
type random struct{ seed uint64 } // 48 bits

const (
	randomMultiplier = 0x5DEECE66D
	randomMask       = 1<<48 - 1
)

func newRandom(seed int64) *random {
	r := new(random)
	r.setSeed(seed)
	return r
}

func (r *random) setSeed(seed int64) { r.seed = (uint64(seed) ^ randomMultiplier) & randomMask }

// next returns the upper bits, 1 to 32, of the next state, as Java's int.
func (r *random) next(bits uint) int32 {
	r.seed = (r.seed*randomMultiplier + 0xB) & randomMask
	return int32(r.seed >> (48 - bits))
}

func (r *random) nextInt() int32 { return r.next(32) }

// intn is nextInt(bound): uniform in [0, bound).
//
// REQUIRES: bound > 0.
func (r *random) intn(bound int32) int32 {
	u := r.next(31)
	m := bound - 1
	if bound&m == 0 {
		return int32(int64(bound) * int64(u) >> 31)
	}
	n := u % bound
	for u-n+m < 0 { // the last, incomplete run of bound values would favour its own
		u = r.next(31)
		n = u % bound
	}
	return n
}

func (r *random) nextLong() int64 {
	high := int64(r.next(32)) << 32
	return high + int64(r.next(32))
}

func (r *random) nextDouble() float64 {
	high := int64(r.next(26)) << 27
	return float64(high+int64(r.next(27))) * (1.0 / (1 << 53))
}

func (r *random) nextFloat() float32 { return float32(r.next(24)) / (1 << 24) }

func (r *random) nextBool() bool { return r.next(1) != 0 }

// appendBytes is nextBytes: four a draw, the lowest first.
func (r *random) appendBytes(dst []byte, n int) []byte {
	for n > 0 {
		word := r.nextInt()
		for range min(n, 4) {
			dst = append(dst, byte(word))
			word >>= 8
		}
		n -= 4
	}
	return dst
}
