package avro

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/siltlake/silt/internal/column"
)

// A ValueError says what is wrong with a value, and where: the names of fields with dots between, items of arrays and values of maps in
// brackets; "" is the value itself.
type ValueError struct {
	Path string
	Why  string
}

func (e *ValueError) Error() string {
	if e.Path == "" {
		return e.Why
	}
	return "field " + e.Path + ": " + e.Why
}

// AppendJSON appends the JSON of an encoded value. Bytes after the value are accepted, as Spark accepts them. The error is a *ValueError.
func (c *Codec) AppendJSON(dst, data []byte) ([]byte, error) {
	d := valueReader{in: data, out: dst, empties: maxEmpties}
	if err := d.value(c.root, 0); err != nil {
		return dst, &ValueError{strings.TrimPrefix(strings.Join(d.path, ""), "."), err.Error()}
	}
	return d.out, nil
}

// maxEmpties is how many items without a byte a value may have: a few bytes can claim any number of nulls.
const maxEmpties = 1 << 16

var errEnds = errors.New("the value ends too early")

// A valueReader reads one value. path is where it is; it stays where an error came about.
type valueReader struct {
	in, out []byte
	path    []string
	empties int
}

func (d *valueReader) enter(part string) { d.path = append(d.path, part) }
func (d *valueReader) leave()            { d.path = d.path[:len(d.path)-1] }

// take returns the next n bytes.
func (d *valueReader) take(n int64) ([]byte, error) {
	if n < 0 {
		return nil, fmt.Errorf("a length is %d", n)
	}
	if n > int64(len(d.in)) {
		return nil, errEnds
	}
	b := d.in[:n]
	d.in = d.in[n:]
	return b, nil
}

func (d *valueReader) long() (int64, error) {
	v, n := binary.Varint(d.in) // Avro's zigzag is Go's
	switch {
	case n == 0:
		return 0, errEnds
	case n < 0:
		return 0, errors.New("a number has more than 64 bits")
	}
	d.in = d.in[n:]
	return v, nil
}

func (d *valueReader) int() (int64, error) {
	v, err := d.long()
	if err == nil && v != int64(int32(v)) {
		err = fmt.Errorf("%d is no int", v)
	}
	return v, err
}

func (d *valueReader) bytes() ([]byte, error) {
	n, err := d.long()
	if err != nil {
		return nil, err
	}
	return d.take(n)
}

func (d *valueReader) value(n *codecNode, depth int) error {
	if depth > maxCodecDepth {
		return fmt.Errorf("the value is nested deeper than %d", maxCodecDepth)
	}
	switch n.kind {
	case "null":
		d.out = append(d.out, "null"...)
	case "boolean":
		b, err := d.take(1)
		if err != nil {
			return err
		}
		d.out = strconv.AppendBool(d.out, b[0] != 0)
	case "int", "long":
		return d.integer(n)
	case "float":
		b, err := d.take(4)
		if err != nil {
			return err
		}
		d.out = appendFloat(d.out, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), 32)
	case "double":
		b, err := d.take(8)
		if err != nil {
			return err
		}
		d.out = appendFloat(d.out, math.Float64frombits(binary.LittleEndian.Uint64(b)), 64)
	case "string":
		b, err := d.bytes()
		if err != nil {
			return err
		}
		return d.text(b)
	case "bytes":
		b, err := d.bytes()
		if err != nil {
			return err
		}
		d.binary(n, b)
	case "fixed":
		b, err := d.take(int64(n.size))
		if err != nil {
			return err
		}
		d.binary(n, b)
	case "enum":
		i, err := d.int()
		if err != nil {
			return err
		}
		if i < 0 || i >= int64(len(n.symbols)) {
			return fmt.Errorf("the enum has no symbol %d", i)
		}
		d.out = column.AppendString(d.out, n.symbols[i])
	case "array":
		return d.items(n, depth, '[', ']')
	case "map":
		return d.items(n, depth, '{', '}')
	case "record":
		return d.record(n, depth)
	case "union":
		return d.union(n, depth)
	}
	return nil
}

func (d *valueReader) integer(n *codecNode) error {
	read := d.long
	if n.kind == "int" {
		read = d.int
	}
	v, err := read()
	if err != nil {
		return err
	}
	if text := formatTime(n.logical, v); text != "" {
		d.out = column.AppendString(d.out, text)
	} else {
		d.out = strconv.AppendInt(d.out, v, 10)
	}
	return nil
}

func (d *valueReader) text(b []byte) error {
	if !utf8.Valid(b) {
		return errors.New("the string is not UTF-8")
	}
	d.out = column.AppendString(d.out, string(b))
	return nil
}

// binary writes bytes or a fixed.
func (d *valueReader) binary(n *codecNode, b []byte) {
	switch n.logical {
	case "decimal":
		d.out = append(d.out, formatDecimal(b, n.scale)...)
	case "uuid":
		d.out = column.AppendString(d.out, fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
	case "duration":
		d.out = fmt.Appendf(d.out, `{"months":%d,"days":%d,"milliseconds":%d}`, binary.LittleEndian.Uint32(b),
			binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:]))
	default:
		d.out = append(d.out, '"')
		d.out = base64.StdEncoding.AppendEncode(d.out, b)
		d.out = append(d.out, '"')
	}
}

// items writes an array or a map, which come in blocks; a negative count is followed by the block's bytes.
func (d *valueReader) items(n *codecNode, depth int, open, end byte) error {
	d.out = append(d.out, open)
	first := true
	for i := 0; ; {
		count, err := d.long()
		if err != nil {
			return err
		}
		if count < 0 {
			if _, err := d.long(); err != nil {
				return err
			}
			if count = -count; count < 0 {
				return errors.New("a block has no count")
			}
		}
		if count == 0 {
			break
		}
		for ; count > 0; count-- {
			if !first {
				d.out = append(d.out, ',')
			}
			first = false
			left := len(d.in)
			if err := d.item(n, depth, i); err != nil {
				return err
			}
			if i++; len(d.in) == left {
				if d.empties--; d.empties < 0 {
					return fmt.Errorf("more than %d items have no bytes", maxEmpties)
				}
			}
		}
	}
	d.out = append(d.out, end)
	return nil
}

func (d *valueReader) item(n *codecNode, depth, i int) error {
	if n.kind == "array" {
		d.enter("[" + strconv.Itoa(i) + "]")
	} else {
		d.enter("[key]")
		key, err := d.bytes()
		if err == nil {
			err = d.text(key)
		}
		if err != nil {
			return err
		}
		d.out = append(d.out, ':')
		d.leave()
		d.enter("[" + string(key) + "]")
	}
	if err := d.value(n.item, depth+1); err != nil {
		return err
	}
	d.leave()
	return nil
}

func (d *valueReader) record(n *codecNode, depth int) error {
	d.out = append(d.out, '{')
	for i := range n.fields {
		f := &n.fields[i]
		if i > 0 {
			d.out = append(d.out, ',')
		}
		d.out = column.AppendString(d.out, f.name)
		d.out = append(d.out, ':')
		d.enter("." + f.name)
		if err := d.value(f.node, depth+1); err != nil {
			return err
		}
		d.leave()
	}
	d.out = append(d.out, '}')
	return nil
}

func (d *valueReader) union(n *codecNode, depth int) error {
	i, err := d.long()
	if err != nil {
		return err
	}
	if i < 0 || i >= int64(len(n.branches)) {
		return fmt.Errorf("the union has no type %d", i)
	}
	b := n.branches[i]
	if b.kind == "null" || n.bare() {
		return d.value(b, depth+1)
	}
	member := 0
	for _, before := range n.branches[:i] {
		if before.kind != "null" {
			member++
		}
	}
	d.out = append(d.out, `{"`+memberName(member)+`":`...)
	if err := d.value(b, depth+1); err != nil {
		return err
	}
	d.out = append(d.out, '}')
	return nil
}

// appendFloat appends the shortest number that reads back as f; what JSON has no number for is a string, as Spark and Avro's Java library
// write it.
func appendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, bits)
}

// formatDecimal is the number whose two's complement is b, with scale digits after the point.
func formatDecimal(b []byte, scale int) string {
	v := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0] >= 0x80 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	digits := new(big.Int).Abs(v).String()
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale-len(digits)+1) + digits
	}
	sign := ""
	if v.Sign() < 0 {
		sign = "-"
	}
	if scale == 0 {
		return sign + digits
	}
	return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
}

// A timeForm is how the values of a logical type are written.
type timeForm struct {
	layout string
	unit   time.Duration // of one; a date's is a day
}

const day = 24 * time.Hour

var timeForms = map[string]timeForm{
	"date":                   {"2006-01-02", day},
	"time-millis":            {"15:04:05.000", time.Millisecond},
	"time-micros":            {"15:04:05.000000", time.Microsecond},
	"timestamp-millis":       {"2006-01-02T15:04:05.000Z", time.Millisecond},
	"timestamp-micros":       {"2006-01-02T15:04:05.000000Z", time.Microsecond},
	"timestamp-nanos":        {"2006-01-02T15:04:05.000000000Z", time.Nanosecond},
	"local-timestamp-millis": {"2006-01-02T15:04:05.000", time.Millisecond},
	"local-timestamp-micros": {"2006-01-02T15:04:05.000000", time.Microsecond},
	"local-timestamp-nanos":  {"2006-01-02T15:04:05.000000000", time.Nanosecond},
}

// formatTime writes v, counted in the units of a logical type from 1970 or from midnight; "" if the type is another one, or if v is outside
// of what the form can show.
func formatTime(logical string, v int64) string {
	f, ok := timeForms[logical]
	if !ok {
		return ""
	}
	var t time.Time
	switch perSecond := int64(time.Second / f.unit); {
	case f.unit == day:
		t = time.Unix(v*86400, 0)
	default:
		seconds, rest := v/perSecond, v%perSecond
		if rest < 0 {
			seconds, rest = seconds-1, rest+perSecond
		}
		t = time.Unix(seconds, rest*int64(f.unit))
	}
	t = t.UTC()
	if strings.HasPrefix(logical, "time-") {
		if v < 0 || v >= int64(day/f.unit) {
			return ""
		}
	} else if y := t.Year(); y < 1 || y > 9999 {
		return ""
	}
	return t.Format(f.layout)
}
