package delta

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// Values as a file's statistics have them (PROTOCOL.md, "Per-file Statistics"). A value that the form cannot say gives
// ok = false: a bound that is left out costs a reader time, a wrong one costs it rows.

// appendTimestamp appends microseconds since 1970, cut to milliseconds by rounding down. Readers add 1 ms to a greatest value.
func appendTimestamp(b []byte, micros int64, utc bool) ([]byte, bool) {
	at := time.UnixMicro(micros).UTC()
	if y := at.Year(); y < 0 || y > 9999 {
		return b, false
	}
	millis := (micros%1_000_000 + 1_000_000) % 1_000_000 / 1000
	b = append(b, '"')
	b = at.AppendFormat(b, "2006-01-02T15:04:05")
	b = append(b, '.', byte('0'+millis/100), byte('0'+millis/10%10), byte('0'+millis%10))
	if utc {
		b = append(b, 'Z')
	}
	return append(b, '"'), true
}

// appendDate appends days since 1970.
func appendDate(b []byte, days int64) ([]byte, bool) {
	if days < -719_528 || days > 2_932_896 { // 0000-01-01, 9999-12-31
		return b, false
	}
	b = append(b, '"')
	b = time.Unix(days*86_400, 0).UTC().AppendFormat(b, time.DateOnly)
	return append(b, '"'), true
}

// appendDecimal appends unscaled/10^scale with all its digits, as a number: 12.30.
func appendDecimal(b []byte, unscaled *big.Int, scale int) []byte {
	digits := unscaled.String()
	if strings.HasPrefix(digits, "-") {
		b, digits = append(b, '-'), digits[1:]
	}
	if scale <= 0 {
		return append(b, digits...)
	}
	if n := scale + 1 - len(digits); n > 0 {
		digits = strings.Repeat("0", n) + digits
	}
	b = append(b, digits[:len(digits)-scale]...)
	b = append(b, '.')
	return append(b, digits[len(digits)-scale:]...)
}

// bigEndian returns the number of a two's complement, big-endian text of any length.
func bigEndian(v []byte) *big.Int {
	n := new(big.Int).SetBytes(v)
	if len(v) > 0 && v[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(v))))
	}
	return n
}

// appendFloat appends the shortest text that is exactly v. A float of 32 bits is written as the double that it is: 0.1f is
// 0.10000000149011612, so that a reader that compares doubles is not fooled.
func appendFloat(b []byte, v float64) ([]byte, bool) {
	if math.IsNaN(v) || math.IsInf(v, 0) { // no JSON number
		return b, false
	}
	from := len(b)
	b = strconv.AppendFloat(b, v, 'g', -1, 64)
	if !strings.ContainsAny(string(b[from:]), ".e") {
		b = append(b, '.', '0')
	}
	return b, true
}
