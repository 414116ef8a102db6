package datagen

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"os"
)

const (
	// maxRecordBytes of a generated value: Kafka's default max.message.bytes.
	maxRecordBytes = 1 << 20
	// maxRecordDepth of records within records: a schema may refer to itself.
	maxRecordDepth = 128
)

// A Generator makes the records of a schema, straight in Avro's binary encoding. Two of one seed make the same records. It is not safe for
// concurrent use.
//
// It is compiled into steps, one a type, each of which appends its value. What they draw, and in which order, is what avro-random-generator
// draws, so that values are the same to the bit; but the entries of a map are in the order in which they were drawn, where Java's come in
// that of a hash table.
type Generator struct {
	random random
	schema *Schema
	steps  []step // of the top record's fields
	key    int    // index of the key's field, -1 none

	base  int // where the record begins in the buffer
	depth int
	buf   []byte // one text at a time
	err   error  // of this record
}

// A step appends one value. After the generator has failed, what it appends does not matter.
type step func(dst []byte) []byte

// GeneratorOptions say how a generator begins. The zero value is seed 0 and the beginning.
type GeneratorOptions struct {
	// Seed is the state from which the next record is drawn.
	Seed int64
	// Iteration is how many records were made before: every iteration annotation is advanced so many times.
	Iteration int64
	// KeyField names the field whose value Next reports as key, "" none.
	KeyField string
	// ReadFile reads a file of options; nil: os.ReadFile.
	ReadFile func(name string) ([]byte, error)
}

// NewGenerator returns a generator of the schema's records. Its error is a SchemaFaults if annotations are wrong.
func NewGenerator(s *Schema, o GeneratorOptions) (*Generator, error) {
	if o.ReadFile == nil {
		o.ReadFile = os.ReadFile
	}
	g := &Generator{schema: s, key: -1}
	g.random.setSeed(o.Seed)
	c := &compiler{g: g, o: o, records: map[*Schema]*step{}}
	for i, f := range s.fields {
		if f.name == o.KeyField && o.KeyField != "" {
			g.key = i
		}
	}
	if g.key < 0 && o.KeyField != "" {
		return nil, fmt.Errorf("the schema has no field %q", o.KeyField)
	}
	if m := c.properties(s, ""); has(m, "options") || has(m, "iteration") {
		g.steps = []step{c.compile(s, "")} // whole records: Next cuts one into its fields to find the key
	} else {
		placeholder := new(step)
		c.records[s] = placeholder
		g.steps = c.fields(s, "")
		*placeholder = g.record(g.steps, s.describe())
	}
	if len(c.faults) > 0 {
		return nil, c.faults
	}
	return g, nil
}

// Next appends the next record to dst. The key is its key field in Avro's encoding, a part of dst; nil if there is none.
func (g *Generator) Next(dst []byte) (value, key []byte, err error) {
	g.base, g.depth, g.err = len(dst), 0, nil
	from, to := 0, 0
	for i, s := range g.steps {
		start := len(dst)
		dst = s(dst)
		if i == g.key {
			from, to = start, len(dst)
		}
	}
	if g.err == nil && len(dst)-g.base > maxRecordBytes {
		g.fail("the record", errTooLarge)
	}
	if g.err != nil {
		return dst[:g.base], nil, g.err
	}
	if g.key >= 0 && len(g.steps) < len(g.schema.fields) {
		from, to = g.keyWithin(dst)
	}
	if g.key < 0 {
		return dst, nil, nil
	}
	return dst, dst[from:to:to], nil
}

// keyWithin finds the key's field in a record that was drawn as a whole.
//
// REQUIRES: g.key is a field of the schema, which NewGenerator has looked up.
func (g *Generator) keyWithin(dst []byte) (from, to int) {
	rest := dst[g.base:]
	for i, f := range g.schema.fields {
		start := len(dst) - len(rest)
		rest = skip(f.schema, rest)
		if i == g.key {
			return start, len(dst) - len(rest)
		}
	}
	panic("datagen: the key's field is not in the record")
}

// Reseed draws the seed of the next record and sets it, so that the sequence can be continued from there (kept with the position, see
// Offset).
func (g *Generator) Reseed() int64 {
	seed := g.random.nextLong()
	g.random.setSeed(seed)
	return seed
}

// errTooLarge says that a record would be larger than a broker takes.
var errTooLarge = fmt.Errorf("larger than %d bytes", maxRecordBytes)

func (g *Generator) fail(where string, err error) {
	if g.err == nil {
		g.err = fmt.Errorf("%s: %w", where, err)
	}
}

// fits says whether n bytes more are within the record's limit, and fails if not.
func (g *Generator) fits(dst []byte, n int32, where string) bool {
	if len(dst)-g.base+int(n) > maxRecordBytes {
		g.fail(where, errTooLarge)
	}
	return g.err == nil
}

func (g *Generator) record(steps []step, where string) step {
	return func(dst []byte) []byte {
		if g.depth++; g.depth > maxRecordDepth {
			g.fail(where, fmt.Errorf("nested deeper than %d", maxRecordDepth))
		}
		for _, s := range steps {
			if g.err != nil {
				break
			}
			dst = s(dst)
		}
		g.depth--
		return dst
	}
}

// A bounds is the length of a text, of bytes or of a container: at least min, below max.
type bounds struct{ min, max int32 }

func (b bounds) draw(r *random) int32 { return b.min + r.intn(b.max-b.min) }

// asciiText is a text of characters 0 to 127, control characters too.
func (g *Generator) asciiText(b bounds, where string) step {
	return func(dst []byte) []byte {
		n := b.draw(&g.random)
		if !g.fits(dst, n, where) {
			return dst
		}
		for range n {
			dst = append(dst, byte(g.random.intn(128)))
		}
		return dst
	}
}

func (g *Generator) regexText(x *regex, b bounds, where string) step {
	return func(dst []byte) []byte {
		dst, err := x.appendString(dst, &g.random, b.min, b.max-1)
		if err != nil {
			g.fail(where, err)
		}
		return dst
	}
}

// text makes a string of what raw appends.
func (g *Generator) text(raw step, prefix, suffix string) step {
	return func(dst []byte) []byte {
		base := g.base
		g.base = 0 // the text is measured alone; Next measures the whole
		g.buf = append(raw(append(g.buf[:0], prefix...)), suffix...)
		g.base = base
		dst = binary.AppendVarint(dst, int64(len(g.buf)))
		return append(dst, g.buf...)
	}
}

func (g *Generator) bytes(b bounds, where string) step {
	return func(dst []byte) []byte {
		n := b.draw(&g.random)
		if !g.fits(dst, n, where) {
			return dst
		}
		return g.random.appendBytes(binary.AppendVarint(dst, int64(n)), int(n))
	}
}

// decimal appends the two's complement of a random decimal of so many digits: fifteen digits a draw until there are enough, cut to the
// precision, then the sign.
func (g *Generator) decimal(precision int) []byte {
	const chunk = 1_000_000_000_000_000
	var n big.Int
	digits := 0
	for ; digits < precision; digits += 15 {
		n.Mul(&n, big.NewInt(chunk))
		n.Add(&n, big.NewInt(int64(g.random.nextDouble()*chunk)))
	}
	n.Quo(&n, pow10(digits-precision))
	if g.random.nextBool() {
		n.Neg(&n)
	}
	return twosComplement(&n)
}

// twosComplement is BigInteger.toByteArray: the shortest that holds the sign.
func twosComplement(n *big.Int) []byte {
	if n.Sign() >= 0 {
		b := n.Bytes()
		if len(b) == 0 || b[0]&0x80 != 0 {
			b = append([]byte{0}, b...)
		}
		return b
	}
	// -n - 1 has the bits of n inverted, and needs as many bytes.
	inverse := new(big.Int).Not(n)
	b := twosComplement(inverse)
	for i := range b {
		b[i] = ^b[i]
	}
	return b
}

func (g *Generator) decimalBytes(s *Schema) step {
	return func(dst []byte) []byte {
		b := g.decimal(s.precision)
		return append(binary.AppendVarint(dst, int64(len(b))), b...)
	}
}

// decimalFixed pads with the sign what is shorter than the type: upstream fails then, so that there is no sequence to be equal to.
func (g *Generator) decimalFixed(s *Schema, where string) step {
	return func(dst []byte) []byte {
		b := g.decimal(s.precision)
		if len(b) > s.size {
			g.fail(where, fmt.Errorf("a decimal of %d bytes does not fit into fixed(%d)", len(b), s.size))
			return dst
		}
		fill := byte(0)
		if b[0]&0x80 != 0 {
			fill = 0xFF
		}
		for range s.size - len(b) {
			dst = append(dst, fill)
		}
		return append(dst, b...)
	}
}

func (g *Generator) array(item step, b bounds, where string) step {
	return func(dst []byte) []byte {
		n := b.draw(&g.random)
		if !g.fits(dst, n, where) {
			return dst
		}
		if n > 0 {
			dst = binary.AppendVarint(dst, int64(n))
		}
		for range n {
			if dst = item(dst); !g.fits(dst, 0, where) {
				return dst
			}
		}
		return append(dst, 0)
	}
}

// mapping makes a map of what key and value append; of equal keys the last value stays.
func (g *Generator) mapping(key, value step, b bounds, where string) step {
	return func(dst []byte) []byte {
		n := b.draw(&g.random)
		if !g.fits(dst, n, where) {
			return dst
		}
		base, total := g.base, 0
		g.base = 0 // keys and values are measured in buffers of their own
		var keys []string
		values := map[string][]byte{}
		for range n {
			k := string(key(nil))
			v := value(nil)
			if total += len(k) + len(v); total > maxRecordBytes {
				g.fail(where, errTooLarge)
			}
			if g.err != nil {
				break
			}
			if _, ok := values[k]; !ok {
				keys = append(keys, k)
			}
			values[k] = v
		}
		g.base = base
		if len(keys) > 0 {
			dst = binary.AppendVarint(dst, int64(len(keys)))
		}
		for _, k := range keys {
			dst = append(append(dst, k...), values[k]...)
		}
		return append(dst, 0)
	}
}

// rangedInt and rangedLong return min + draw*(max-min) in Java's arithmetic of int and long: the difference wraps, the product is cut to
// the type's ends.
func rangedInt(r *random, from, to int32) int32 {
	f := r.nextDouble() * float64(to-from)
	switch {
	case f >= math.MaxInt32:
		return from + math.MaxInt32
	case f <= math.MinInt32:
		return from + math.MinInt32
	}
	return from + int32(f)
}

func rangedLong(r *random, from, to int64) int64 {
	f := r.nextDouble() * float64(to-from)
	switch {
	case f >= math.MaxInt64:
		return from + math.MaxInt64
	case f <= math.MinInt64:
		return from + math.MinInt64
	}
	return from + int64(f)
}
