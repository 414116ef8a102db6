package datagen

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A dialect is a way to write values of a schema in JSON.
type dialect int

const (
	// of the annotation options: bytes are UTF-8, a double is written with a fraction or an exponent, a union as its branch
	optionJSON dialect = iota
	// of a field's default (Avro 1.12, Complex Types): bytes are ISO 8859-1
	defaultJSON
	// Avro's JSON encoding: as a default, but a union is {"branch": value}
	avroJSON
)

// appendValue appends a JSON value in Avro's binary encoding. An error names the path within the value.
func appendValue(dst []byte, s *Schema, v any, d dialect) ([]byte, error) {
	switch s.kind {
	case kindNull:
		if v != nil {
			return nil, mismatch(s, v)
		}
		return dst, nil
	case kindBoolean:
		b, ok := v.(bool)
		if !ok {
			return nil, mismatch(s, v)
		}
		return appendBool(dst, b), nil
	case kindInt, kindLong:
		n, ok := integral(v)
		if !ok || s.kind == kindInt && int64(int32(n)) != n {
			return nil, mismatch(s, v)
		}
		return binary.AppendVarint(dst, n), nil
	case kindFloat, kindDouble:
		return appendNumber(dst, s, v, d)
	case kindString, kindBytes, kindFixed, kindEnum:
		text, ok := v.(string)
		if !ok {
			return nil, mismatch(s, v)
		}
		return appendTextValue(dst, s, text, d)
	case kindUnion:
		return appendUnionValue(dst, s, v, d)
	}
	return appendContainer(dst, s, v, d)
}

func mismatch(s *Schema, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		text = fmt.Append(nil, v)
	}
	if len(text) > 60 {
		text = append(text[:60:60], "..."...)
	}
	return fmt.Errorf("%s is no %s", text, s.describe())
}

// describe is the schema's type with its name, for messages.
func (s *Schema) describe() string {
	if s.name != "" {
		return string(s.kind) + " " + s.name
	}
	return string(s.kind)
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendFloat(dst []byte, f float32) []byte {
	return binary.LittleEndian.AppendUint32(dst, math.Float32bits(f))
}

func appendDouble(dst []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f))
}

func appendNumber(dst []byte, s *Schema, v any, d dialect) ([]byte, error) {
	n, ok := v.(json.Number)
	if !ok {
		return nil, mismatch(s, v)
	}
	if d == optionJSON && !strings.ContainsAny(string(n), ".eE") {
		return nil, fmt.Errorf("%w; write %s.0", mismatch(s, v), n)
	}
	f, err := strconv.ParseFloat(string(n), 64)
	if err != nil {
		return nil, mismatch(s, v)
	}
	if s.kind == kindFloat {
		return appendFloat(dst, float32(f)), nil
	}
	return appendDouble(dst, f), nil
}

func appendText(dst []byte, text string) []byte {
	return append(binary.AppendVarint(dst, int64(len(text))), text...)
}

func appendTextValue(dst []byte, s *Schema, text string, d dialect) ([]byte, error) {
	if s.kind == kindString {
		return appendText(dst, text), nil
	}
	if s.kind == kindEnum {
		i := slices.Index(s.symbols, text)
		if i < 0 {
			return nil, fmt.Errorf("%q is no symbol of enum %s", text, s.name)
		}
		return binary.AppendVarint(dst, int64(i)), nil
	}
	if d != optionJSON {
		latin := make([]byte, 0, len(text))
		for _, r := range text {
			if r > 0xFF || r == utf8.RuneError {
				return nil, fmt.Errorf("%q is no %s: a character is above U+00FF", text, s.kind)
			}
			latin = append(latin, byte(r))
		}
		text = string(latin)
	}
	if s.kind == kindBytes {
		return appendText(dst, text), nil
	}
	if len(text) != s.size {
		return nil, fmt.Errorf("%q has %d bytes; fixed %s has %d", text, len(text), s.name, s.size)
	}
	return append(dst, text...), nil
}

// appendUnionValue takes the first branch that the value fits.
func appendUnionValue(dst []byte, s *Schema, v any, d dialect) ([]byte, error) {
	if d == avroJSON && v != nil {
		object, ok := v.(map[string]any)
		if !ok || len(object) != 1 {
			return nil, fmt.Errorf("%w: want null or {\"branch\": value}", mismatch(s, v))
		}
		for name, inner := range object {
			for i, b := range s.branches {
				if b.name == name || b.name == "" && string(b.kind) == name {
					return appendValue(binary.AppendVarint(dst, int64(i)), b, inner, d)
				}
			}
			return nil, fmt.Errorf("the union has no branch %q", name)
		}
	}
	var reasons []error
	for i, b := range s.branches {
		out, err := appendValue(binary.AppendVarint(dst, int64(i)), b, v, d)
		if err == nil {
			return out, nil
		}
		reasons = append(reasons, err)
	}
	return nil, fmt.Errorf("no branch of the union fits: %w", errors.Join(reasons...))
}

func appendContainer(dst []byte, s *Schema, v any, d dialect) (_ []byte, err error) {
	if s.kind == kindArray {
		items, ok := v.([]any)
		if !ok {
			return nil, mismatch(s, v)
		}
		if len(items) > 0 {
			dst = binary.AppendVarint(dst, int64(len(items)))
		}
		for i, item := range items {
			if dst, err = appendValue(dst, s.item, item, d); err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
		}
		return append(dst, 0), nil
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, mismatch(s, v)
	}
	if s.kind == kindMap {
		if len(object) > 0 {
			dst = binary.AppendVarint(dst, int64(len(object)))
		}
		for _, key := range slices.Sorted(maps.Keys(object)) {
			if dst, err = appendValue(appendText(dst, key), s.item, object[key], d); err != nil {
				return nil, fmt.Errorf("%q: %w", key, err)
			}
		}
		return append(dst, 0), nil
	}
	for _, f := range s.fields {
		value, has := object[f.name]
		in := d
		if !has {
			if value, in = f.standard, defaultJSON; !f.has {
				return nil, fmt.Errorf("field %s of record %s is missing and has no default", f.name, s.name)
			}
		}
		if dst, err = appendValue(dst, f.schema, value, in); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return dst, nil
}
