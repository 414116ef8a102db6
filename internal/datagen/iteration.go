package datagen

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
)

// An integralIteration is the annotation iteration of int, long and string. The value is start plus a position; the position is a magnitude
// below modulo with the sign of step, except that the first one may be any (initial - start), and moves by step, its magnitude modulo
// |restart - start|. A step that does not divide it therefore comes to other values after each round.
type integralIteration struct {
	start    int64
	negative bool // the position's sign
	position uint64
	down     bool // the step's sign
	step     uint64
	modulo   uint64
}

// newIntegral returns the iteration after it has been advanced generation times, at once.
//
// REQUIRES: step is not 0, start is not restart.
func newIntegral(start, restart, step, initial, generation int64) *integralIteration {
	i := &integralIteration{start: start, down: step < 0, step: magnitude(step), modulo: uint64(restart) - uint64(start)}
	if restart < start {
		i.modulo = -i.modulo
	}
	i.negative, i.position = initial < start, uint64(initial)-uint64(start)
	if i.negative {
		i.position = -i.position
	}
	if generation <= 0 {
		return i
	}
	position := new(big.Int).SetUint64(i.position)
	if i.negative {
		position.Neg(position)
	}
	moved := new(big.Int).Mul(big.NewInt(generation), big.NewInt(step))
	moved.Add(moved, position).Abs(moved).Mod(moved, new(big.Int).SetUint64(i.modulo))
	i.negative, i.position = i.down, moved.Uint64()
	return i
}

// magnitude is |n|, also of the least integer.
func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// next returns the value and moves on. It wraps to 64 bits, as Java's longValue; an int's caller wraps it to 32.
func (i *integralIteration) next() int64 {
	value := uint64(i.start) + i.position
	if i.negative {
		value = uint64(i.start) - i.position
	}
	var high, low uint64
	switch {
	case i.negative == i.down:
		low, high = bits.Add64(i.position, i.step, 0)
	case i.position > i.step:
		low = i.position - i.step
	default:
		low = i.step - i.position
	}
	i.negative, i.position = i.down, bits.Rem64(high, low, i.modulo)
	return int64(value)
}

// A decimalIteration is the annotation iteration of float and double, in decimal arithmetic on the shortest texts of the numbers: unscaled
// integers that have one scale.
type decimalIteration struct {
	start, step, modulo, position big.Int
	scale                         int
}

// newDecimal returns the iteration after it has been advanced generation times, at once.
//
// REQUIRES: step is not 0, start is not restart, all are finite.
func newDecimal(start, restart, step, initial float64, generation int64) *decimalIteration {
	i := &decimalIteration{}
	numbers := []float64{start, restart, step, initial}
	for _, n := range numbers {
		_, scale := unscaled(n)
		i.scale = max(i.scale, scale)
	}
	var at [4]*big.Int
	for k, n := range numbers {
		u, scale := unscaled(n)
		at[k] = u.Mul(u, pow10(i.scale-scale))
	}
	i.start.Set(at[0])
	i.modulo.Sub(at[1], at[0])
	i.step.Set(at[2])
	i.position.Sub(at[3], at[0])
	if generation > 0 {
		moved := new(big.Int).Mul(big.NewInt(generation), &i.step)
		i.position.Rem(moved.Add(moved, &i.position), &i.modulo)
	}
	return i
}

func pow10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// unscaled returns the shortest decimal text of f as integer and scale: f = integer / 10^scale, scale >= 0.
//
// REQUIRES: f is finite. A schema's numbers are: compiler.number refuses one that overflows.
func unscaled(f float64) (*big.Int, int) {
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	e, err := strconv.Atoi(exponent)
	whole, fraction, _ := strings.Cut(mantissa, ".")
	n, ok := new(big.Int).SetString(whole+fraction, 10)
	if err != nil || !ok {
		panic(fmt.Sprintf("datagen: %v is not finite", f))
	}
	if scale := len(fraction) - e; scale > 0 {
		return n, scale
	}
	return n.Mul(n, pow10(e-len(fraction))), 0
}

// next returns the value, rounded once to so many bits, and moves on.
func (i *decimalIteration) next(bits int) float64 {
	var sum big.Int
	sum.Add(&i.position, &i.start)
	f, err := strconv.ParseFloat(sum.String()+"e-"+strconv.Itoa(i.scale), bits)
	if err != nil && !math.IsInf(f, 0) {
		panic(err) // the text is a number
	}
	i.position.Add(&i.position, &i.step)
	if i.position.CmpAbs(&i.modulo) >= 0 {
		i.position.Rem(&i.position, &i.modulo)
	}
	return f
}
