package avro

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siltlake/silt/internal/problem"
)

// AppendBinary appends the encoding of a value given as JSON. It takes what AppendJSON writes, and of Avro's own JSON encoding, which
// Confluent's console producer takes, that a union's value may stand under its type's name ({"string":"x"}) and that times are plain
// numbers of their unit. A value of a union may also stand alone: the first type that fits is taken. Fields with a default may be left out.
// The error is a *ValueError.
//
// Bytes are base64 and decimals numbers, unlike in Avro's encoding, which writes both as strings of characters up to U+00FF.
func (c *Codec) AppendBinary(dst, text []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("there is no value")
		}
		return dst, &ValueError{Why: "it is no JSON: " + err.Error()}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return dst, &ValueError{Why: "something follows the value"}
	}
	e := valueWriter{steps: maxSteps}
	out, err := e.value(dst, c.root, v, "")
	if err != nil {
		return dst, err
	}
	return out, nil
}

// maxSteps bounds the search for types of unions that fit: where several records fit in part, each level of nesting multiplies it.
const maxSteps = 1 << 20

// A valueWriter writes one value.
type valueWriter struct{ steps int }

func wrong(path, format string, args ...any) error {
	return &ValueError{strings.TrimPrefix(path, "."), fmt.Sprintf(format, args...)}
}

// notA is the error for a value of the wrong kind.
func notA(path string, v any, what string) error {
	return wrong(path, "%s is not %s", shown(v), what)
}

// shown is a value as a message quotes it.
func shown(v any) string {
	switch v := v.(type) {
	case map[string]any:
		return "an object"
	case []any:
		return "an array"
	case string:
		const most = 40
		if r := []rune(v); len(r) > most {
			return strconv.Quote(string(r[:most])) + "…"
		}
		return strconv.Quote(v)
	}
	return fmt.Sprint(orNull(v))
}

func orNull(v any) any {
	if v == nil {
		return "null"
	}
	return v
}

func (e *valueWriter) value(dst []byte, n *codecNode, v any, path string) ([]byte, error) {
	if e.steps--; e.steps < 0 {
		return nil, wrong(path, "the types of unions are too ambiguous; write them out: {\"%s\":…}", n.tag())
	}
	if v == nil && n.kind != "null" && n.kind != "union" {
		return nil, notA(path, v, describeKind(n))
	}
	switch n.kind {
	case "null":
		if v != nil {
			return nil, notA(path, v, "null")
		}
		return dst, nil
	case "boolean":
		b, ok := v.(bool)
		switch {
		case !ok:
			return nil, notA(path, v, "a boolean")
		case b:
			return append(dst, 1), nil
		}
		return append(dst, 0), nil
	case "int", "long":
		return integerValue(dst, n, v, path)
	case "float", "double":
		return floatValue(dst, n, v, path)
	case "string":
		s, ok := v.(string)
		if !ok {
			return nil, notA(path, v, "a string")
		}
		return append(binary.AppendVarint(dst, int64(len(s))), s...), nil
	case "bytes", "fixed":
		return binaryValue(dst, n, v, path)
	case "enum":
		s, ok := v.(string)
		i := slices.Index(n.symbols, s)
		if !ok || i < 0 {
			return nil, notA(path, v, "one of "+strings.Join(n.symbols, ", "))
		}
		return binary.AppendVarint(dst, int64(i)), nil
	case "array":
		return e.array(dst, n, v, path)
	case "map":
		return e.mapping(dst, n, v, path)
	case "record":
		return e.record(dst, n, v, path)
	}
	return e.union(dst, n, v, path)
}

func describeKind(n *codecNode) string {
	switch {
	case n.logical != "":
		return "a " + n.logical
	case n.kind == "array" || n.kind == "int" || n.kind == "enum":
		return "an " + n.kind
	case n.kind == "bytes":
		return "base64"
	}
	return "a " + n.kind
}

func integerValue(dst []byte, n *codecNode, v any, path string) ([]byte, error) {
	bits := 64
	if n.kind == "int" {
		bits = 32
	}
	switch v := v.(type) {
	case json.Number:
		i, err := strconv.ParseInt(v.String(), 10, bits)
		if err != nil {
			return nil, notA(path, v, describeKind(n)+" number without a fraction, of "+strconv.Itoa(bits)+" bits")
		}
		return binary.AppendVarint(dst, i), nil
	case string:
		if i, ok := parseTime(n.logical, v); ok {
			return binary.AppendVarint(dst, i), nil
		}
		if f, ok := timeForms[n.logical]; ok {
			return nil, notA(path, v, "a "+n.logical+" such as "+strconv.Quote(time.Unix(1767225600, 0).UTC().Format(f.layout)))
		}
	}
	return nil, notA(path, v, describeKind(n))
}

// parseTime reads what formatTime writes, and timestamps with another offset than Z and with fewer or no digits of a second. It is false
// for what the unit cannot hold exactly.
func parseTime(logical, text string) (int64, bool) {
	f, ok := timeForms[logical]
	if !ok {
		return 0, false
	}
	layout := strings.TrimRight(f.layout, "0Z")
	layout = strings.TrimSuffix(layout, ".") // Parse takes a fraction after the seconds anyway
	switch {
	case f.unit == day:
		layout = f.layout
	case strings.HasPrefix(logical, "timestamp-"):
		layout += "Z07:00"
	}
	t, err := time.Parse(layout, text)
	if err != nil {
		return 0, false
	}
	if strings.HasPrefix(logical, "time-") {
		since := t.Sub(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC))
		return int64(since / f.unit), since%f.unit == 0
	}
	seconds, nanos := t.Unix(), int64(t.Nanosecond())
	if f.unit == day {
		return seconds / 86400, true
	}
	perSecond := int64(time.Second / f.unit)
	value := new(big.Int).Mul(big.NewInt(seconds), big.NewInt(perSecond))
	value.Add(value, big.NewInt(nanos/int64(f.unit)))
	return value.Int64(), value.IsInt64() && nanos%int64(f.unit) == 0
}

func floatValue(dst []byte, n *codecNode, v any, path string) ([]byte, error) {
	bits := 64
	if n.kind == "float" {
		bits = 32
	}
	var f float64
	switch v := v.(type) {
	case json.Number:
		var err error
		if f, err = strconv.ParseFloat(v.String(), bits); err != nil {
			return nil, notA(path, v, "a "+n.kind)
		}
	case string:
		switch v {
		case "NaN":
			f = math.Float64frombits(0x7ff8000000000000) // Java's NaN; Go's has another bit
		case "Infinity", "INF":
			f = math.Inf(1)
		case "-Infinity", "-INF":
			f = math.Inf(-1)
		default:
			return nil, notA(path, v, `a number, "NaN", "Infinity" or "-Infinity"`)
		}
	default:
		return nil, notA(path, v, "a number")
	}
	if bits == 32 {
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(f))), nil
	}
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f)), nil
}

// binaryValue writes bytes or a fixed, by its logical type.
func binaryValue(dst []byte, n *codecNode, v any, path string) ([]byte, error) {
	var b []byte
	var err error
	switch n.logical {
	case "decimal":
		b, err = decimalBytes(n, v, path)
	case "duration":
		b, err = durationBytes(v, path)
	case "uuid":
		text, _ := v.(string)
		if b, err = hex.DecodeString(strings.ReplaceAll(text, "-", "")); err != nil || len(b) != 16 {
			err = notA(path, v, "a uuid")
		}
	default:
		text, ok := v.(string)
		if !ok {
			return nil, notA(path, v, "base64")
		}
		if b, err = base64.StdEncoding.Strict().DecodeString(text); err != nil {
			return nil, notA(path, v, "base64")
		}
		if n.kind == "fixed" && len(b) != n.size {
			return nil, wrong(path, "%d bytes are not the %d of fixed %s", len(b), n.size, n.name)
		}
	}
	if err != nil {
		return nil, err
	}
	if n.kind == "bytes" {
		dst = binary.AppendVarint(dst, int64(len(b)))
	}
	return append(dst, b...), nil
}

// maxDecimalText bounds the text of a decimal, and so the size of its number: 1e999999999 is short.
const maxDecimalText = 4096

func decimalBytes(n *codecNode, v any, path string) ([]byte, error) {
	text, ok := v.(string)
	if number, is := v.(json.Number); is {
		text, ok = number.String(), true
	}
	kind := fmt.Sprintf("a decimal(%d,%d)", n.precision, n.scale)
	if !ok || len(text) > maxDecimalText || strings.ContainsAny(text, "/_xXpPbBoO") {
		return nil, notA(path, v, kind)
	}
	if _, exponent, has := strings.Cut(strings.ToLower(text), "e"); has {
		if e, err := strconv.Atoi(exponent); err != nil || e > maxDecimalText || e < -maxDecimalText {
			return nil, notA(path, v, kind)
		}
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil, notA(path, v, kind)
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n.scale)), nil)))
	if !r.IsInt() {
		return nil, wrong(path, "%s has more digits after the point than %s", text, kind)
	}
	i := r.Num()
	if digits := len(new(big.Int).Abs(i).String()); digits > n.precision {
		return nil, wrong(path, "%s has more digits than %s", text, kind)
	}
	b := decimalBits(i)
	if n.kind == "bytes" {
		return b, nil
	}
	if len(b) > n.size {
		return nil, wrong(path, "%s does not fit into the %d bytes of fixed %s", text, n.size, n.name)
	}
	fill := byte(0)
	if i.Sign() < 0 {
		fill = 0xff
	}
	return append(bytes.Repeat([]byte{fill}, n.size-len(b)), b...), nil
}

// decimalBits is the shortest big-endian two's complement of i.
func decimalBits(i *big.Int) []byte {
	if i.Sign() >= 0 {
		b := i.Bytes()
		if len(b) == 0 || b[0] >= 0x80 {
			b = append([]byte{0}, b...)
		}
		return b
	}
	// -i-1 has the bits of i turned over.
	b := new(big.Int).Not(i).Bytes()
	if len(b) == 0 || b[0] >= 0x80 {
		b = append([]byte{0}, b...)
	}
	for j := range b {
		b[j] = ^b[j]
	}
	return b
}

func durationBytes(v any, path string) ([]byte, error) {
	parts, ok := v.(map[string]any)
	if !ok {
		return nil, notA(path, v, `a duration such as {"months":1,"days":2,"milliseconds":3}`)
	}
	var b []byte
	for _, name := range []string{"months", "days", "milliseconds"} {
		number, _ := parts[name].(json.Number)
		i, err := strconv.ParseUint(number.String(), 10, 32)
		if err != nil {
			return nil, notA(path+"."+name, parts[name], "a number from 0 to 4294967295")
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(i))
	}
	if len(parts) > 3 {
		return nil, wrong(path, "a duration has months, days and milliseconds only")
	}
	return b, nil
}

func (e *valueWriter) array(dst []byte, n *codecNode, v any, path string) ([]byte, error) {
	items, ok := v.([]any)
	if !ok {
		return nil, notA(path, v, "an array")
	}
	var err error
	if len(items) > 0 {
		dst = binary.AppendVarint(dst, int64(len(items)))
	}
	for i, item := range items {
		if dst, err = e.value(dst, n.item, item, path+"["+strconv.Itoa(i)+"]"); err != nil {
			return nil, err
		}
	}
	return append(dst, 0), nil
}

func (e *valueWriter) mapping(dst []byte, n *codecNode, v any, path string) ([]byte, error) {
	values, ok := v.(map[string]any)
	if !ok {
		return nil, notA(path, v, "an object")
	}
	var err error
	if len(values) > 0 {
		dst = binary.AppendVarint(dst, int64(len(values)))
	}
	for _, key := range sortedKeys(values) {
		dst = append(binary.AppendVarint(dst, int64(len(key))), key...)
		if dst, err = e.value(dst, n.item, values[key], path+"["+key+"]"); err != nil {
			return nil, err
		}
	}
	return append(dst, 0), nil
}

func (e *valueWriter) record(dst []byte, n *codecNode, v any, path string) ([]byte, error) {
	values, ok := v.(map[string]any)
	if !ok {
		return nil, notA(path, v, "an object, as record "+n.name+" needs")
	}
	var err error
	met := 0
	for i := range n.fields {
		f := &n.fields[i]
		value, has := values[f.name]
		switch {
		case has:
			met++
			if dst, err = e.value(dst, f.node, value, path+"."+f.name); err != nil {
				return nil, err
			}
		case f.missing != nil:
			dst = append(dst, f.missing...)
		default:
			return nil, wrong(path+"."+f.name, "it is missing, and the schema has no default for it")
		}
	}
	if met == len(values) {
		return dst, nil
	}
	names := make([]string, len(n.fields))
	for i := range n.fields {
		names[i] = n.fields[i].name
	}
	for _, key := range sortedKeys(values) {
		if slices.Contains(names, key) {
			continue
		}
		if near := problem.Nearest(key, names); near != "" {
			return nil, wrong(path+"."+key, "record %s has no such field; did you mean %q?", n.name, near)
		}
		return nil, wrong(path+"."+key, "record %s has no such field", n.name)
	}
	return dst, nil
}

func (e *valueWriter) union(dst []byte, n *codecNode, v any, path string) ([]byte, error) {
	// A branch that does not fit leaves rubbish past dst only, which the next one overwrites.
	write := func(i int, v any, path string) ([]byte, error) {
		return e.value(binary.AppendVarint(dst, int64(i)), n.branches[i], v, path)
	}
	if i, inner, ok := n.tagged(v); ok {
		return write(i, inner, path)
	}
	var errs []error
	for i, b := range n.branches {
		if !b.mayBe(v) {
			continue
		}
		out, err := write(i, v, path)
		if err == nil {
			return out, nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 1 {
		return nil, errs[0]
	}
	var names []string
	for _, b := range n.branches {
		names = append(names, b.tag())
	}
	return nil, notA(path, v, "of any type of the union ["+strings.Join(names, ", ")+"]")
}

// tagged returns the branch that a value of a union names: as Avro's JSON encoding does, by the type's full name, or as AppendJSON does. A
// value that only looks so, because its kind is not the branch's, does not count.
func (n *codecNode) tagged(v any) (branch int, inner any, ok bool) {
	object, _ := v.(map[string]any)
	if len(object) != 1 {
		return 0, nil, false
	}
	member := 0
	for i, b := range n.branches {
		if b.kind == "null" {
			continue
		}
		inner, ok := object[b.tag()]
		if !ok && b.logical != "" {
			inner, ok = object[b.kind+"."+b.logical] // goavro's name
		}
		if !ok && !n.bare() {
			inner, ok = object[memberName(member)]
		}
		if ok && b.mayBe(inner) {
			return i, inner, true
		}
		member++
	}
	return 0, nil, false
}

// mayBe says whether a JSON value is of the kind that values of the type are written in, looking no deeper.
func (n *codecNode) mayBe(v any) bool {
	switch v.(type) {
	case nil:
		return n.kind == "null"
	case bool:
		return n.kind == "boolean"
	case json.Number:
		return n.kind == "int" || n.kind == "long" || n.kind == "float" || n.kind == "double" || n.logical == "decimal"
	case string:
		switch n.kind {
		case "string", "bytes", "enum", "float", "double":
			return true
		case "fixed":
			return n.logical != "duration"
		}
		return timeForms[n.logical].layout != ""
	case []any:
		return n.kind == "array"
	}
	return n.kind == "record" || n.kind == "map" || n.logical == "duration"
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
