package datagen

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
)

var errTruncated = errors.New("the value is cut off")

// checkedSkip returns what follows a value of the schema in data of others.
func checkedSkip(s *Schema, data []byte) (rest []byte, err error) {
	return skipper{checked: true}.skip(s, data, 0)
}

// skip returns what follows a value that a generator made.
func skip(s *Schema, data []byte) []byte {
	rest, err := skipper{}.skip(s, data, 0)
	if err != nil {
		panic(fmt.Sprintf("datagen: a generated value: %s", err))
	}
	return rest
}

// A skipper walks over values; checked, it looks into texts and numbers of branches too.
type skipper struct{ checked bool }

func (k skipper) skip(s *Schema, data []byte, depth int) ([]byte, error) {
	if depth > maxRecordDepth {
		return nil, fmt.Errorf("the value is nested deeper than %d", maxRecordDepth)
	}
	switch s.kind {
	case kindNull:
		return data, nil
	case kindBoolean:
		return cut(data, 1)
	case kindFloat:
		return cut(data, 4)
	case kindDouble:
		return cut(data, 8)
	case kindFixed:
		return cut(data, int64(s.size))
	case kindInt, kindLong:
		_, rest, err := varint(data)
		return rest, err
	case kindEnum:
		n, rest, err := varint(data)
		if err == nil && (n < 0 || n >= int64(len(s.symbols))) {
			err = fmt.Errorf("enum %s has no symbol %d", s.name, n)
		}
		return rest, err
	case kindString, kindBytes:
		n, rest, err := varint(data)
		if err != nil {
			return nil, err
		}
		after, err := cut(rest, n)
		if err == nil && k.checked && s.kind == kindString && !utf8.Valid(rest[:n]) {
			err = errors.New("a string is not UTF-8")
		}
		return after, err
	case kindUnion:
		n, rest, err := varint(data)
		if err != nil {
			return nil, err
		}
		if n < 0 || n >= int64(len(s.branches)) {
			return nil, fmt.Errorf("the union has no branch %d", n)
		}
		return k.skip(s.branches[n], rest, depth+1)
	case kindArray, kindMap:
		return k.blocks(s, data, depth)
	}
	var err error
	for _, f := range s.fields {
		if data, err = k.skip(f.schema, data, depth+1); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return data, nil
}

func (k skipper) blocks(s *Schema, data []byte, depth int) ([]byte, error) {
	for total := int64(0); ; {
		n, rest, err := varint(data)
		if err != nil || n == 0 {
			return rest, err
		}
		if n < 0 { // the block's size in bytes follows
			if n = -n; n < 0 {
				return nil, errTruncated
			}
			if _, rest, err = varint(rest); err != nil {
				return nil, err
			}
		}
		if total += n; total > maxRecordBytes || total < 0 {
			return nil, fmt.Errorf("more than %d items", maxRecordBytes)
		}
		for data = rest; n > 0; n-- {
			if s.kind == kindMap {
				if data, err = k.skip(&Schema{kind: kindString}, data, depth); err != nil {
					return nil, err
				}
			}
			if data, err = k.skip(s.item, data, depth+1); err != nil {
				return nil, err
			}
		}
	}
}

func cut(data []byte, n int64) ([]byte, error) {
	if n < 0 || n > int64(len(data)) {
		return nil, errTruncated
	}
	return data[n:], nil
}

func varint(data []byte) (int64, []byte, error) {
	n, size := binary.Varint(data)
	if size <= 0 {
		return 0, nil, errTruncated
	}
	return n, data[size:], nil
}

// A jsonWriter writes generated values as Connect's JsonConverter does. What it reads is Avro's binary encoding, so that there is one way
// only in which values are generated.
type jsonWriter struct {
	numeric bool // json.output.decimal.format, decimal.format: NUMERIC instead of BASE64
}

// number, text: what a generator made is valid.
func number(data []byte) (int64, []byte) {
	n, rest, err := varint(data)
	if err != nil {
		panic("datagen: a generated value is cut off")
	}
	return n, rest
}

func textOf(data []byte) (text, rest []byte) {
	n, rest := number(data)
	return rest[:n], rest[n:]
}

// append appends the value at the beginning of data, and returns what follows it.
func (w jsonWriter) append(dst []byte, s *Schema, data []byte) (out, rest []byte) {
	switch s.kind {
	case kindNull:
		return append(dst, "null"...), data
	case kindBoolean:
		return strconv.AppendBool(dst, data[0] != 0), data[1:]
	case kindInt, kindLong:
		n, rest := number(data)
		return strconv.AppendInt(dst, n, 10), rest
	case kindFloat:
		f := math.Float32frombits(binary.LittleEndian.Uint32(data))
		return appendJSONFloat(dst, float64(f), 32), data[4:]
	case kindDouble:
		f := math.Float64frombits(binary.LittleEndian.Uint64(data))
		return appendJSONFloat(dst, f, 64), data[8:]
	case kindString:
		text, rest := textOf(data)
		return appendJSONString(dst, text), rest
	case kindEnum:
		n, rest := number(data)
		return appendJSONString(dst, []byte(s.symbols[n])), rest
	case kindBytes:
		b, rest := textOf(data)
		return w.bytes(dst, s, b), rest
	case kindFixed:
		return w.bytes(dst, s, data[:s.size]), data[s.size:]
	case kindUnion:
		return w.union(dst, s, data)
	case kindArray, kindMap:
		return w.items(dst, s, data)
	}
	dst = append(dst, '{')
	for i, f := range s.fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendJSONString(dst, []byte(f.name)), ':')
		dst, data = w.append(dst, f.schema, data)
	}
	return append(dst, '}'), data
}

func (w jsonWriter) bytes(dst []byte, s *Schema, b []byte) []byte {
	if s.logical == "decimal" && w.numeric {
		return appendDecimal(dst, b, s.scale)
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

// appendDecimal appends a decimal's digits; Connect writes BigDecimals plain.
func appendDecimal(dst, b []byte, scale int) []byte {
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	digits := new(big.Int).Abs(n).String()
	if n.Sign() < 0 {
		dst = append(dst, '-')
	}
	if scale == 0 {
		return append(dst, digits...)
	}
	if missing := scale + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	point := len(digits) - scale
	return append(append(append(dst, digits[:point]...), '.'), digits[point:]...)
}

// union writes an optional value as such, and a true union as Connect's struct of branches, of which one is not null.
func (w jsonWriter) union(dst []byte, s *Schema, data []byte) (out, rest []byte) {
	n, data := number(data)
	chosen := s.branches[n]
	if chosen.kind == kindNull || s.optional() != nil || len(s.branches) == 1 {
		return w.append(dst, chosen, data)
	}
	dst = append(dst, '{')
	first := true
	for i, b := range s.branches {
		if b.kind == kindNull {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(appendJSONString(dst, []byte(b.branchName())), ':')
		if int64(i) == n {
			dst, data = w.append(dst, b, data)
		} else {
			dst = append(dst, "null"...)
		}
	}
	return append(dst, '}'), data
}

// optional returns the branch of a union of it and null, or nil.
func (s *Schema) optional() *Schema {
	if s.kind != kindUnion || len(s.branches) != 2 {
		return nil
	}
	switch {
	case s.branches[0].kind == kindNull:
		return s.branches[1]
	case s.branches[1].kind == kindNull:
		return s.branches[0]
	}
	return nil
}

// branchName is how Connect names the field of a branch: the type, or the name without its namespace.
func (s *Schema) branchName() string {
	if s.name == "" {
		return string(s.kind)
	}
	return s.name[strings.LastIndexByte(s.name, '.')+1:]
}

// items writes an array or a map; generated ones have one block at most, and blocks of option files may be several.
func (w jsonWriter) items(dst []byte, s *Schema, data []byte) (out, rest []byte) {
	open, end := byte('['), byte(']')
	if s.kind == kindMap {
		open, end = '{', '}'
	}
	dst = append(dst, open)
	first := true
	for {
		n, after := number(data)
		data = after
		if n == 0 {
			return append(dst, end), data
		}
		if n < 0 {
			n = -n
			_, data = number(data)
		}
		for ; n > 0; n-- {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			if s.kind == kindMap {
				var key []byte
				key, data = textOf(data)
				dst = append(appendJSONString(dst, key), ':')
			}
			dst, data = w.append(dst, s.item, data)
		}
	}
}

const hexDigits = "0123456789ABCDEF"

// appendJSONString appends a JSON string as Jackson writes it: only what must be escaped is.
func appendJSONString(dst, text []byte) []byte {
	dst = append(dst, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= 0x20:
			dst = append(dst, c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\b':
			dst = append(dst, '\\', 'b')
		case c == '\f':
			dst = append(dst, '\\', 'f')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(dst, '"')
}

func appendJSONFloat(dst []byte, f float64, bits int) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(appendJavaFloat(append(dst, '"'), f, bits), '"')
	}
	return appendJavaFloat(dst, f, bits)
}

// appendJavaFloat appends a number as Java's Double.toString and Float.toString do: 1.0, 12.5, 1.0E7, 1.0E-4 (with the shortest digits that
// tell the number, as from Java 19).
func appendJavaFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	if a := math.Abs(f); a == 0 || a >= 1e-3 && a < 1e7 {
		start := len(dst)
		dst = strconv.AppendFloat(dst, f, 'f', -1, bits)
		if !strings.Contains(string(dst[start:]), ".") {
			dst = append(dst, ".0"...)
		}
		return dst
	}
	text := strconv.FormatFloat(f, 'e', -1, bits)
	if !strings.Contains(text, ".") {
		text = strconv.FormatFloat(f, 'e', 1, bits) // of two digits the nearest: 4.9E-324
	}
	mantissa, exponent, _ := strings.Cut(text, "e")
	dst = append(dst, mantissa...)
	n, err := strconv.Atoi(exponent)
	if err != nil {
		panic(err) // strconv wrote it
	}
	return strconv.AppendInt(append(dst, 'E'), int64(n), 10)
}

// checkKeyType returns an error if Connect's StringConverter gives no text that anyone wants: of a struct, of
// bytes it writes Java's idea of the object.
func checkKeyType(s *Schema) error {
	if s.kind == kindUnion {
		if s = s.optional(); s == nil {
			return errors.New("a union cannot be a key")
		}
	}
	switch s.kind {
	case kindBoolean, kindInt, kindLong, kindFloat, kindDouble, kindString, kindEnum:
		return nil
	}
	return fmt.Errorf("a field of type %s cannot be a key", s.kind)
}

// javaDate is the layout of java.util.Date.toString, for a key of a logical type.
const javaDate = "Mon Jan 02 15:04:05 MST 2006"

// appendKey appends the text of a key as Connect's StringConverter writes it, and false for null.
func appendKey(dst []byte, s *Schema, data []byte) ([]byte, bool) {
	if s.kind == kindUnion {
		var n int64
		n, data = number(data)
		if s = s.branches[n]; s.kind == kindNull {
			return dst, false
		}
	}
	switch s.kind {
	case kindString:
		text, _ := textOf(data)
		return append(dst, text...), true
	case kindEnum:
		n, _ := number(data)
		return append(dst, s.symbols[n]...), true
	case kindFloat:
		return appendJavaFloat(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(data))), 32), true
	case kindDouble:
		return appendJavaFloat(dst, math.Float64frombits(binary.LittleEndian.Uint64(data)), 64), true
	case kindBoolean:
		return strconv.AppendBool(dst, data[0] != 0), true
	}
	n, _ := number(data)
	switch s.logical {
	case "date":
		return time.Unix(n*24*60*60, 0).UTC().AppendFormat(dst, javaDate), true
	case "time-millis", "timestamp-millis":
		return time.UnixMilli(n).UTC().AppendFormat(dst, javaDate), true
	}
	return strconv.AppendInt(dst, n, 10), true
}
