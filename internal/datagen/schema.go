package datagen

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/twmb/avro"
)

// maxSchemaBytes is the longest schema text that is read.
const maxSchemaBytes = 4 << 20

// A kind is a type of Avro.
type kind string

const (
	kindNull    kind = "null"
	kindBoolean kind = "boolean"
	kindInt     kind = "int"
	kindLong    kind = "long"
	kindFloat   kind = "float"
	kindDouble  kind = "double"
	kindBytes   kind = "bytes"
	kindString  kind = "string"
	kindRecord  kind = "record"
	kindEnum    kind = "enum"
	kindArray   kind = "array"
	kindMap     kind = "map"
	kindUnion   kind = "union"
	kindFixed   kind = "fixed"
)

// A Schema is an Avro schema with the generator's annotations. It is immutable and may be shared.
type Schema struct {
	kind    kind
	name    string // full name of a record, an enum or a fixed
	doc     string
	logical string // decimal, date, ... where it applies to the kind; else ""

	precision, scale int // of a decimal

	fields   []field
	item     *Schema // of an array or a map
	branches []*Schema
	symbols  []string
	size     int // of a fixed

	// properties is the annotation arg.properties of this type; of a union there is none, and one on a field has no effect.
	properties any
	annotated  bool

	codec *avro.Schema // of the whole schema; only at the top
}

type field struct {
	name, doc string
	schema    *Schema
	standard  any // the default
	has       bool
}

// ParseSchema reads a schema's text: JSON, in which // and /* */ begin comments, as Avro's parser for Java has it. The top must be a
// record.
func ParseSchema(text []byte) (*Schema, error) {
	if len(text) > maxSchemaBytes {
		return nil, fmt.Errorf("the schema is %d bytes long; want at most %d", len(text), maxSchemaBytes)
	}
	text = stripComments(text)
	tree, err := parseJSON(text)
	if err != nil {
		return nil, err
	}
	codec, err := avro.Parse(string(text))
	if err != nil {
		return nil, err
	}
	b := schemaBuilder{named: map[string]*Schema{}}
	s, err := b.build(tree, "")
	if err != nil {
		return nil, err
	}
	if s.kind != kindRecord {
		return nil, fmt.Errorf("the schema is of type %s; want a record", s.kind)
	}
	s.codec = codec
	return s, nil
}

// field returns the record's field of the name, or nil.
func (s *Schema) field(name string) *field {
	for i := range s.fields {
		if s.fields[i].name == name {
			return &s.fields[i]
		}
	}
	return nil
}

// stripComments replaces the comments in a JSON text by spaces, so that positions stay.
func stripComments(text []byte) []byte {
	out := bytes.Clone(text)
	blank := func(from, to int) int {
		for i := from; i < to; i++ {
			if out[i] != '\n' {
				out[i] = ' '
			}
		}
		return to
	}
	for i := 0; i < len(out); {
		rest := out[i:]
		switch {
		case rest[0] == '"':
			for i++; i < len(out) && out[i] != '"'; i++ {
				if out[i] == '\\' {
					i++
				}
			}
			i++
		case bytes.HasPrefix(rest, []byte("//")):
			end := bytes.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			i = blank(i, i+end)
		case bytes.HasPrefix(rest, []byte("/*")):
			end := bytes.Index(rest[2:], []byte("*/"))
			if end < 0 {
				return out // no end: the parser reports it
			}
			i = blank(i, i+2+end+2)
		default:
			i++
		}
	}
	return out
}

// parseJSON reads one JSON value; numbers stay text, since 1 and 1.0 are of different types.
func parseJSON(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		var syntax *json.SyntaxError
		switch {
		case errors.As(err, &syntax):
			at := text[:min(max(syntax.Offset-1, 0), int64(len(text)))]
			return nil, fmt.Errorf("line %d, column %d: %w", 1+bytes.Count(at, []byte("\n")), len(at)-bytes.LastIndexByte(at, '\n'), err)
		case errors.Is(err, io.EOF):
			return nil, errors.New("there is no JSON value")
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil, errors.New("the JSON value has no end")
		}
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("there is text after the JSON value")
	}
	return v, nil
}

// A schemaBuilder turns a tree that avro.Parse has accepted into Schemas. A name that is used twice is one *Schema, and so one state of its
// iterations, as in Java, where they belong to the schema object.
type schemaBuilder struct {
	named map[string]*Schema
	depth int
}

const maxSchemaDepth = 64

func (b *schemaBuilder) build(tree any, namespace string) (*Schema, error) {
	if b.depth++; b.depth > maxSchemaDepth {
		return nil, fmt.Errorf("the schema is nested deeper than %d", maxSchemaDepth)
	}
	defer func() { b.depth-- }()
	switch t := tree.(type) {
	case string:
		return b.reference(t, namespace)
	case []any:
		s := &Schema{kind: kindUnion}
		for _, branch := range t {
			c, err := b.build(branch, namespace)
			if err != nil {
				return nil, err
			}
			s.branches = append(s.branches, c)
		}
		return s, nil
	case map[string]any:
		return b.object(t, namespace)
	}
	return nil, fmt.Errorf("%s is no schema", typeOfJSON(tree))
}

func (b *schemaBuilder) reference(name, namespace string) (*Schema, error) {
	switch k := kind(name); k {
	case kindNull, kindBoolean, kindInt, kindLong, kindFloat, kindDouble, kindBytes, kindString:
		return &Schema{kind: k}, nil
	}
	for _, full := range []string{fullName(name, namespace), name} {
		if s, ok := b.named[full]; ok {
			return s, nil
		}
	}
	return nil, fmt.Errorf("unknown type %q", name)
}

func fullName(name, namespace string) string {
	if strings.Contains(name, ".") || namespace == "" {
		return name
	}
	return namespace + "." + name
}

func (b *schemaBuilder) object(t map[string]any, namespace string) (*Schema, error) {
	name, ok := t["type"].(string)
	if !ok {
		return b.build(t["type"], namespace) // {"type": {"type": ...}}
	}
	s := &Schema{kind: kind(name)}
	s.doc, _ = t["doc"].(string)
	s.properties, s.annotated = t["arg.properties"]
	switch s.kind {
	case kindNull, kindBoolean, kindInt, kindLong, kindFloat, kindDouble, kindBytes, kindString:
	case kindArray, kindMap:
		key := map[kind]string{kindArray: "items", kindMap: "values"}[s.kind]
		item, err := b.build(t[key], namespace)
		if err != nil {
			return nil, err
		}
		s.item = item
	case kindRecord, kindEnum, kindFixed, "error":
		return b.define(s, t, namespace)
	default:
		return b.reference(name, namespace) // an object around a name; its properties have no effect
	}
	s.setLogical(t)
	return s, nil
}

// define builds a type that has a name. It is known by it in its own fields.
func (b *schemaBuilder) define(s *Schema, t map[string]any, namespace string) (*Schema, error) {
	name, _ := t["name"].(string)
	if space, ok := t["namespace"].(string); ok {
		namespace = space
	}
	s.name = fullName(name, namespace)
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		namespace = name[:i]
	}
	b.named[s.name] = s
	switch s.kind {
	case kindEnum:
		symbols, _ := t["symbols"].([]any)
		for _, symbol := range symbols {
			text, _ := symbol.(string)
			s.symbols = append(s.symbols, text)
		}
	case kindFixed:
		if n, ok := integral(t["size"]); ok {
			s.size = int(n)
		}
		s.setLogical(t)
	default:
		s.kind = kindRecord
		fields, _ := t["fields"].([]any)
		for _, f := range fields {
			object, _ := f.(map[string]any)
			var next field
			next.name, _ = object["name"].(string)
			next.doc, _ = object["doc"].(string)
			next.standard, next.has = object["default"]
			var err error
			if next.schema, err = b.build(object["type"], namespace); err != nil {
				return nil, fmt.Errorf("%s: %w", next.name, err)
			}
			s.fields = append(s.fields, next)
		}
	}
	return s, nil
}

// setLogical sets the logical type if Avro has it for the kind; any other is ignored, as Avro says.
func (s *Schema) setLogical(t map[string]any) {
	name, _ := t["logicalType"].(string)
	switch {
	case name == "decimal" && (s.kind == kindBytes || s.kind == kindFixed):
		precision, ok := integral(t["precision"])
		scale, _ := integral(t["scale"])
		if !ok || precision < 1 || scale < 0 || scale > precision || precision > maxPrecision {
			return
		}
		s.precision, s.scale = int(precision), int(scale)
	case name == "date" && s.kind == kindInt, name == "time-millis" && s.kind == kindInt, name == "timestamp-millis" && s.kind == kindLong:
	default:
		return // Connect knows no other, and so writes none
	}
	s.logical = name
}

// maxPrecision of a decimal that is generated; Connect has no limit, and no record can hold more.
const maxPrecision = 1 << 16

// integral returns a JSON number without fraction and exponent that fits 64 bits: Jackson's Integer or Long.
func integral(v any) (int64, bool) {
	n, ok := v.(json.Number)
	if !ok || strings.ContainsAny(string(n), ".eE") {
		return 0, false
	}
	i, err := n.Int64()
	return i, err == nil
}

// typeOfJSON names a value's type for messages.
func typeOfJSON(v any) string {
	switch t := v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case json.Number:
		if _, ok := integral(t); ok {
			return "an integer"
		}
		return "a number"
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	}
	return fmt.Sprintf("a %T", v)
}
