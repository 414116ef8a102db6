package avroschema

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
)

// floatDefault turns the default "1.5" of a float or double into a number, as Avro's Java library does.
func floatDefault(f *field) (*node, error) {
	text, ok := f.def.str()
	if !ok || f.typ.kind != kFloat && f.typ.kind != kDouble {
		return f.def, nil
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return nil, failf("Invalid default for field %s: %q not a %s", f.name, text, f.typ.kind)
	}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return &node{kind: '0', text: strings.Trim(javaDouble(v), `"`)}, nil
	}
	return &node{kind: '0', text: javaDouble(v)}, nil
}

// A defaultCheck says whether values may be defaults of types (Avro 1.12, Schema.isValidDefault): for a union, of any branch. It knows
// what it found before, since recursive unions of records would make it try as many ways as branches to the power of the value's depth.
type defaultCheck struct {
	known map[typValue]bool
	left  int // how many more values it compares
}

type typValue struct {
	t *typ
	v *node
}

const maxDefaultChecks = 1_000_000

func (c *defaultCheck) accepts(t *typ, v *node) bool {
	if c.left--; c.left < 0 {
		return false
	}
	switch t.kind {
	case kString, kBytes, kEnum, kFixed:
		return v.kind == '"'
	case kInt, kLong:
		bits := 32
		if t.kind == kLong {
			bits = 64
		}
		_, err := strconv.ParseInt(v.text, 10, bits)
		return v.kind == '0' && v.isIntegral() && err == nil
	case kFloat, kDouble:
		return v.kind == '0'
	case kBoolean:
		return v.kind == 't' || v.kind == 'f'
	case kNull:
		return v.kind == 'n'
	}
	key := typValue{t, v}
	ok, known := c.known[key]
	if !known {
		ok = c.acceptsNested(t, v)
		c.known[key] = ok
	}
	return ok
}

func (c *defaultCheck) acceptsNested(t *typ, v *node) bool {
	switch t.kind {
	case kUnion:
		return slices.ContainsFunc(t.branches, func(b *typ) bool { return c.accepts(b, v) })
	case kArray:
		return v.kind == '[' && !slices.ContainsFunc(v.list, func(e *node) bool { return !c.accepts(t.elem, e) })
	case kMap:
		return v.kind == '{' && !slices.ContainsFunc(v.members, func(m member) bool { return !c.accepts(t.elem, m.val) })
	}
	if v.kind != '{' {
		return false
	}
	for _, f := range t.fields {
		// A field that v lacks takes a default, which was checked when the field was parsed.
		if e := v.get(f.name); e == nil && f.def == nil || e != nil && !c.accepts(f.typ, e) {
			return false
		}
	}
	return true
}
