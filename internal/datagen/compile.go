package datagen

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"path"
	"strconv"
	"strings"
)

// A SchemaFault says what is wrong with an annotation, in the words of avro-random-generator.
type SchemaFault struct {
	Path    string // of the type: address.zipcode, items[], or "" for the record itself
	Message string
}

func (f SchemaFault) Error() string {
	if f.Path == "" {
		return f.Message
	}
	return "field " + f.Path + ": " + f.Message
}

// SchemaFaults are all of a schema's, in the order of its fields.
type SchemaFaults []SchemaFault

func (l SchemaFaults) Error() string {
	texts := make([]string, len(l))
	for i, f := range l {
		texts[i] = f.Error()
	}
	return strings.Join(texts, "; ")
}

// A compiler makes the steps of a generator.
type compiler struct {
	g *Generator
	o GeneratorOptions
	// records holds the step of each record type, which a type within may refer to before it is known. A record that is used in two places has
	// one step, and so one state of the iterations within, as upstream, where they belong to the schema object.
	records map[*Schema]*step
	faults  SchemaFaults
}

func (c *compiler) fault(where, format string, args ...any) {
	c.faults = append(c.faults, SchemaFault{where, fmt.Sprintf(format, args...)})
}

// properties returns the type's annotation, empty if it has none.
func (c *compiler) properties(s *Schema, where string) map[string]any {
	if !s.annotated || s.properties == nil {
		return nil
	}
	m, ok := s.properties.(map[string]any)
	if !ok {
		c.fault(where, "arg.properties property must be given as object, was %s instead", typeOfJSON(s.properties))
	}
	return m
}

func has(m map[string]any, key string) bool {
	_, ok := m[key]
	return ok
}

// nothing is the step of a type whose annotation is wrong: no generator comes of it.
func nothing(dst []byte) []byte { return dst }

func (c *compiler) exclusive(m map[string]any, where, included string, excluded ...string) {
	for _, e := range excluded {
		if has(m, e) {
			c.fault(where, "Cannot specify %s prop when %s prop is given", e, included)
		}
	}
}

// compile returns the step of a type: its options, else its iteration, else what its kind generates.
func (c *compiler) compile(s *Schema, where string) step {
	m := c.properties(s, where)
	if has(m, "options") {
		return c.options(s, m, where)
	}
	if has(m, "iteration") {
		return c.iteration(s, m, where)
	}
	g := c.g
	switch s.kind {
	case kindNull:
		return nothing
	case kindBoolean:
		return c.boolean(m, where)
	case kindInt:
		return c.int(m, where)
	case kindLong:
		return c.long(m, where)
	case kindFloat:
		return c.float(m, where)
	case kindDouble:
		return c.double(m, where)
	case kindString:
		raw := c.rawText(m, where)
		prefix, suffix := c.affixes(m, where)
		return g.text(raw, prefix, suffix)
	case kindBytes:
		if s.logical == "decimal" {
			return g.decimalBytes(s)
		}
		return g.bytes(c.bounds(m, where), where)
	case kindFixed:
		if s.logical == "decimal" {
			return g.decimalFixed(s, where)
		}
		return func(dst []byte) []byte { return g.random.appendBytes(dst, s.size) }
	case kindEnum:
		n := int32(len(s.symbols))
		return func(dst []byte) []byte { return binary.AppendVarint(dst, int64(g.random.intn(n))) }
	case kindUnion:
		return c.union(s, where)
	case kindArray:
		return g.array(c.compile(s.item, where+"[]"), c.bounds(m, where), where)
	case kindMap:
		return c.mapping(s, m, where)
	}
	return c.record(s, where)
}

// record returns the step of a record, which is the same wherever the record is used.
func (c *compiler) record(s *Schema, where string) step {
	if known, ok := c.records[s]; ok {
		return func(dst []byte) []byte { return (*known)(dst) }
	}
	placeholder := new(step)
	c.records[s] = placeholder
	*placeholder = c.g.record(c.fields(s, where), s.describe())
	return *placeholder
}

func (c *compiler) fields(s *Schema, where string) []step {
	steps := make([]step, len(s.fields))
	for i, f := range s.fields {
		steps[i] = c.compile(f.schema, strings.TrimPrefix(where+"."+f.name, "."))
	}
	return steps
}

func (c *compiler) union(s *Schema, where string) step {
	g := c.g
	branches := make([]step, len(s.branches))
	for i, b := range s.branches {
		branches[i] = c.compile(b, where)
	}
	if len(branches) == 0 {
		c.fault(where, "a union without branches has no values")
		return nothing
	}
	return func(dst []byte) []byte {
		i := g.random.intn(int32(len(branches)))
		return branches[i](binary.AppendVarint(dst, int64(i)))
	}
}

// options returns the step that picks one of the options, which are encoded here, once.
func (c *compiler) options(s *Schema, m map[string]any, where string) step {
	c.exclusive(m, where, "options", "length", "regex", "iteration", "range")
	var options [][]byte
	switch t := m["options"].(type) {
	case []any:
		if len(t) == 0 {
			c.fault(where, "options property cannot be empty")
		}
		for _, v := range t {
			b, err := appendValue(nil, s, v, optionJSON)
			if err != nil {
				c.fault(where, "Invalid option for %s schema: %s", s.kind, err)
				continue
			}
			options = append(options, b)
		}
	case map[string]any:
		options = c.optionsFile(s, t, where)
	default:
		c.fault(where, "options prop must be an array or an object, was %s instead", typeOfJSON(t))
	}
	if len(options) == 0 {
		return nothing
	}
	r, n := &c.g.random, int32(len(options))
	return func(dst []byte) []byte { return append(dst, options[r.intn(n)]...) }
}

// optionsFile reads the options of a file: values of the schema, one after the other, in Avro's JSON or binary encoding.
func (c *compiler) optionsFile(s *Schema, m map[string]any, where string) (options [][]byte) {
	var given [2]string
	for i, key := range [2]string{"file", "encoding"} {
		text, ok := m[key].(string)
		switch {
		case m[key] == nil:
			c.fault(where, "options property must contain '%s' field when given as object", key)
			return nil
		case !ok:
			c.fault(where, "'%s' field of options property must be given as string, was %s instead", key, typeOfJSON(m[key]))
			return nil
		}
		given[i] = text
	}
	file, encoding := given[0], given[1]
	if encoding != "json" && encoding != "binary" {
		c.fault(where, "'encoding' field of options property only supports two formats: 'binary' and 'json'")
		return nil
	}
	text, err := c.o.ReadFile(file)
	if err != nil {
		c.fault(where, "Unable to read options file '%s': %s", file, err)
		return nil
	}
	if encoding == "json" {
		options, err = splitJSON(s, text)
	} else {
		options, err = splitBinary(s, text)
	}
	if err == nil && len(options) == 0 {
		err = fmt.Errorf("it holds no value")
	}
	if err != nil {
		c.fault(where, "Unable to read options file '%s': %s", path.Base(file), err)
		return nil
	}
	return options
}

func splitJSON(s *Schema, text []byte) (options [][]byte, err error) {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	for d.More() {
		var v any
		if err := d.Decode(&v); err != nil {
			return nil, err
		}
		b, err := appendValue(nil, s, v, avroJSON)
		if err != nil {
			return nil, fmt.Errorf("value %d: %w", len(options)+1, err)
		}
		options = append(options, b)
	}
	return options, nil
}

func splitBinary(s *Schema, text []byte) (options [][]byte, err error) {
	for len(text) > 0 {
		rest, err := checkedSkip(s, text)
		if err != nil {
			return nil, fmt.Errorf("value %d: %w", len(options)+1, err)
		}
		if len(rest) == len(text) {
			return nil, fmt.Errorf("value %d has no bytes", len(options)+1)
		}
		options = append(options, text[:len(text)-len(rest)])
		text = rest
	}
	return options, nil
}

// integer reads an integral number in [least, most] of an object of the annotation.
func (c *compiler) integer(m map[string]any, property, key string, least, most int64, where string) (int64, bool) {
	v := m[key]
	if v == nil {
		return 0, false
	}
	n, ok := integral(v)
	switch {
	case !ok:
		c.fault(where, "'%s' field of %s property must be an integral number, was %s instead", key, property, typeOfJSON(v))
	case n < least || n > most:
		c.fault(where, "'%s' field of %s property must be a valid int for int schemas", key, property)
	}
	return n, true
}

// number reads a number of a magnitude up to most. A float's is rounded to one.
func (c *compiler) number(m map[string]any, property, key string, most float64, where string) (float64, bool) {
	v := m[key]
	if v == nil {
		return 0, false
	}
	n, ok := v.(json.Number)
	f, err := strconv.ParseFloat(string(n), 64)
	switch {
	case !ok || err != nil:
		c.fault(where, "'%s' field of %s property must be a number, was %s instead", key, property, typeOfJSON(v))
	case math.Abs(f) > most:
		c.fault(where, "'%s' field of %s property must be a valid float for float schemas", key, property)
	}
	if most == math.MaxFloat32 {
		f = float64(float32(f))
	}
	return f, true
}

// mapping returns the step of a map. Its keys are single characters unless the annotation says what they are.
func (c *compiler) mapping(s *Schema, m map[string]any, where string) step {
	g := c.g
	// A single character costs one draw: the length is not drawn.
	key := func(dst []byte) []byte { return append(dst, 1<<1, byte(g.random.intn(128))) }
	if keys := m["keys"]; keys != nil {
		object, ok := keys.(map[string]any)
		switch {
		case !ok:
			c.fault(where, "keys prop must be an object")
		case has(object, "options"):
			key = c.options(&Schema{kind: kindString}, object, where)
		default:
			raw := c.rawText(object, where)
			prefix, suffix := c.affixes(object, where)
			key = g.text(raw, prefix, suffix)
		}
	}
	return g.mapping(key, c.compile(s.item, where+"{}"), c.bounds(m, where), where)
}

// rawText returns the step of a text without its length: by regex, or of random characters.
func (c *compiler) rawText(m map[string]any, where string) step {
	b := c.bounds(m, where)
	expression, ok := m["regex"]
	if !ok || expression == nil {
		return c.g.asciiText(b, where)
	}
	text, ok := expression.(string)
	if !ok {
		c.fault(where, "regex property must be a string")
		return nothing
	}
	x, err := compileRegex(text)
	if err != nil {
		c.fault(where, "regex %q: %s", text, err)
		return nothing
	}
	return c.g.regexText(x, b, where)
}

// affixes returns prefix and suffix of a text.
func (c *compiler) affixes(m map[string]any, where string) (prefix, suffix string) {
	var out [2]string
	for i, key := range [2]string{"prefix", "suffix"} {
		if v := m[key]; v != nil {
			text, ok := v.(string)
			if !ok {
				c.fault(where, "%s property must be a string", key)
			}
			out[i] = text
		}
	}
	return out[0], out[1]
}

// bounds reads the annotation length.
func (c *compiler) bounds(m map[string]any, where string) bounds {
	const least, most = 8, 16
	standard := bounds{least, most}
	v := m["length"]
	if v == nil {
		return standard
	}
	if t, ok := v.(map[string]any); ok {
		from, hasMin := c.integer(t, "length", "min", math.MinInt32, math.MaxInt32, where)
		to, hasMax := c.integer(t, "length", "max", math.MinInt32, math.MaxInt32, where)
		if !hasMax {
			to = math.MaxInt32
		}
		switch {
		case !hasMin && !hasMax:
			c.fault(where, "length property must contain at least one of 'min' or 'max' fields when given as object")
		case from < 0:
			c.fault(where, "min field of length property cannot be negative")
		case to <= from:
			c.fault(where, "max field must be strictly greater than min field for length property")
		default:
			return bounds{int32(from), int32(to)}
		}
		return standard
	}
	n, ok := integral(v)
	switch {
	case !ok || n >= math.MaxInt32:
		c.fault(where, "length property must either be an integral number or an object, was %s instead", typeOfJSON(v))
	case n < 0:
		c.fault(where, "when given as integral number, length property cannot be negative")
	default:
		return bounds{int32(n), int32(n) + 1}
	}
	return standard
}

// rangeOf returns the annotation range as an object; false if there is none.
func (c *compiler) rangeOf(m map[string]any, where string) (map[string]any, bool) {
	v := m["range"]
	if v == nil {
		return nil, false
	}
	t, ok := v.(map[string]any)
	if !ok {
		c.fault(where, "range property must be an object")
		return nil, false
	}
	if !has(t, "min") && !has(t, "max") {
		c.fault(where, "range property must contain at least one of 'min' or 'max' fields")
		return nil, false
	}
	return t, true
}

func (c *compiler) order(ordered bool, where string) {
	if !ordered {
		c.fault(where, "'min' field must be strictly less than 'max' field in range property")
	}
}

func (c *compiler) int(m map[string]any, where string) step {
	r := &c.g.random
	t, ok := c.rangeOf(m, where)
	if !ok {
		return func(dst []byte) []byte { return binary.AppendVarint(dst, int64(r.nextInt())) }
	}
	from, to := c.integerRange(t, math.MinInt32, math.MaxInt32, where)
	return func(dst []byte) []byte { return binary.AppendVarint(dst, int64(rangedInt(r, int32(from), int32(to)))) }
}

func (c *compiler) long(m map[string]any, where string) step {
	r := &c.g.random
	t, ok := c.rangeOf(m, where)
	if !ok {
		return func(dst []byte) []byte { return binary.AppendVarint(dst, r.nextLong()) }
	}
	from, to := c.integerRange(t, math.MinInt64, math.MaxInt64, where)
	return func(dst []byte) []byte { return binary.AppendVarint(dst, rangedLong(r, from, to)) }
}

func (c *compiler) integerRange(t map[string]any, least, most int64, where string) (from, to int64) {
	from, hasMin := c.integer(t, "range", "min", least, most, where)
	to, hasMax := c.integer(t, "range", "max", least, most, where)
	if !hasMin {
		from = least
	}
	if !hasMax {
		to = most
	}
	c.order(from < to, where)
	return from, to
}

func (c *compiler) numberRange(t map[string]any, most float64, where string) (from, to float64) {
	from, hasMin := c.number(t, "range", "min", most, where)
	to, hasMax := c.number(t, "range", "max", most, where)
	if !hasMin {
		from = -most
	}
	if !hasMax {
		to = most
	}
	c.order(from < to, where)
	return from, to
}

func (c *compiler) float(m map[string]any, where string) step {
	r := &c.g.random
	t, ok := c.rangeOf(m, where)
	if !ok {
		return func(dst []byte) []byte { return appendFloat(dst, r.nextFloat()) }
	}
	low, high := c.numberRange(t, math.MaxFloat32, where)
	from, to := float32(low), float32(high)
	// The conversions keep the compiler from fusing multiplication and addition.
	return func(dst []byte) []byte { return appendFloat(dst, from+float32(r.nextFloat()*float32(to-from))) }
}

func (c *compiler) double(m map[string]any, where string) step {
	r := &c.g.random
	t, ok := c.rangeOf(m, where)
	if !ok {
		return func(dst []byte) []byte { return appendDouble(dst, r.nextDouble()) }
	}
	from, to := c.numberRange(t, math.MaxFloat64, where)
	return func(dst []byte) []byte { return appendDouble(dst, from+float64(r.nextDouble()*float64(to-from))) }
}

func (c *compiler) boolean(m map[string]any, where string) step {
	r := &c.g.random
	odds, ok := c.number(m, "arg.properties", "odds", math.MaxFloat64, where)
	if !ok {
		return func(dst []byte) []byte { return appendBool(dst, r.nextBool()) }
	}
	if odds < 0 || odds > 1 {
		c.fault(where, "odds property must be in the range [0.0, 1.0]")
	}
	return func(dst []byte) []byte { return appendBool(dst, r.nextDouble() < odds) }
}
