package avroschema

import (
	"slices"
	"strconv"
	"strings"
)

// String is the schema's text as Avro Java's Schema.toString gives it: members in a fixed order, properties in the order in which they
// came, no blanks. Two texts that differ only in what Avro ignores give one String.
//
// A type that a referenced text defines is written by its name. Avro Java does so only for the outermost type of a reference and repeats
// the definition of one that is nested in it, which its own older parsers then refuse as a redefinition.
func (s *Schema) String() string {
	w := textWriter{known: s.known()}
	w.typ(s.root, "")
	return string(w.b)
}

func (s *Schema) known() map[string]bool {
	known := make(map[string]bool, len(s.refs))
	for _, r := range s.refs {
		known[r] = true
	}
	return known
}

type textWriter struct {
	writer
	known map[string]bool
}

// reference writes the name of a type that was written before, or notes that it is now.
func (w *textWriter) reference(t *typ, space string) bool {
	full := t.name.full()
	if w.known[full] {
		w.string(t.name.within(space))
		return true
	}
	w.known[full] = true
	return false
}

func (w *textWriter) typ(t *typ, space string) {
	switch {
	case t.kind.primitive() && len(t.props) == 0:
		w.string(string(t.kind))
		return
	case t.kind == kUnion:
		w.raw("[")
		for i, b := range t.branches {
			if i > 0 {
				w.raw(",")
			}
			w.typ(b, space)
		}
		w.raw("]")
		return
	case t.kind.named():
		w.named(t, space)
		return
	}
	w.raw(`{"type":`)
	w.string(string(t.kind))
	switch t.kind {
	case kArray:
		w.raw(`,"items":`)
		w.typ(t.elem, space)
	case kMap:
		w.raw(`,"values":`)
		w.typ(t.elem, space)
	}
	w.props(t.props, false)
	w.raw("}")
}

func (w *textWriter) named(t *typ, space string) {
	if w.reference(t, space) {
		return
	}
	w.raw(`{"type":`)
	if t.isError {
		w.raw(`"error"`)
	} else {
		w.string(string(t.kind))
	}
	w.raw(`,"name":`)
	w.string(t.name.short)
	if t.name.space != space {
		w.raw(`,"namespace":`)
		w.string(t.name.space)
	}
	w.optional("doc", t.doc)
	switch t.kind {
	case kRecord:
		w.raw(`,"fields":[`)
		for i, f := range t.fields {
			if i > 0 {
				w.raw(",")
			}
			w.field(f, t.name.space)
		}
		w.raw("]")
	case kEnum:
		w.raw(`,"symbols":`)
		w.strings(t.symbols)
		w.optional("default", t.enumDefault)
	case kFixed:
		w.raw(`,"size":` + strconv.Itoa(t.size))
	}
	w.props(t.props, false)
	if len(t.aliases) > 0 {
		w.raw(`,"aliases":`)
		names := make([]string, len(t.aliases))
		for i, a := range t.aliases {
			names[i] = a.within(t.name.space)
		}
		w.strings(names)
	}
	w.raw("}")
}

func (w *textWriter) field(f *field, space string) {
	w.raw(`{"name":`)
	w.string(f.name)
	w.raw(`,"type":`)
	w.typ(f.typ, space)
	w.optional("doc", f.doc)
	if f.def != nil {
		w.raw(`,"default":`)
		w.node(f.def, false)
	}
	if f.order != "ascending" {
		w.raw(`,"order":`)
		w.string(f.order)
	}
	if len(f.aliases) > 0 {
		w.raw(`,"aliases":`)
		w.strings(f.aliases)
	}
	w.props(f.props, false)
	w.raw("}")
}

func (w *textWriter) optional(key string, v *string) {
	if v != nil {
		w.raw(`,"` + key + `":`)
		w.string(*v)
	}
}

func (w *textWriter) strings(list []string) {
	w.raw("[")
	for i, s := range list {
		if i > 0 {
			w.raw(",")
		}
		w.string(s)
	}
	w.raw("]")
}

func (w *textWriter) props(props []member, sorted bool) {
	for _, m := range inOrder(props, sorted) {
		w.raw(",")
		w.string(m.key)
		w.raw(":")
		w.node(m.val, sorted)
	}
}

// Normalized is the text that Confluent's registry stores under normalize=true: full names, properties and aliases sorted.
func (s *Schema) Normalized() string {
	w := textWriter{known: s.known()}
	w.normal(s.root, "")
	return string(w.b)
}

// Resolved is Normalized with the referenced types written out. Schemas with the same Resolved are the same to a client that sends what
// it got from the registry with all references filled in.
func (s *Schema) Resolved() string {
	w := textWriter{known: map[string]bool{}}
	w.normal(s.root, "")
	return string(w.b)
}

func (w *textWriter) normal(t *typ, space string) {
	switch {
	case t.kind.primitive():
		if len(t.props) == 0 {
			w.string(string(t.kind))
			return
		}
		w.raw(`{"type":`)
		w.string(string(t.kind))
		w.logical(t)
	case t.kind == kUnion:
		w.raw("[")
		for i, b := range t.branches {
			if i > 0 {
				w.raw(",")
			}
			w.normal(b, space)
		}
		w.raw("]")
		return
	case t.kind == kArray:
		w.raw(`{"type":"array","items":`)
		w.normal(t.elem, space)
		w.props(t.props, true)
	case t.kind == kMap:
		w.raw(`{"type":"map","values":`)
		w.normal(t.elem, space)
		w.props(t.props, true)
	default:
		if w.known[t.name.full()] {
			w.string(t.name.full())
			return
		}
		w.known[t.name.full()] = true
		w.normalNamed(t, space)
	}
	w.raw("}")
}

func (w *textWriter) normalNamed(t *typ, space string) {
	w.raw(`{"name":`)
	w.string(t.name.full())
	if t.name.space == "" && space != "" { // Confluent leaves this out, and so moves the type into the namespace around it
		w.raw(`,"namespace":""`)
	}
	w.raw(`,"type":`)
	w.string(string(t.kind))
	switch t.kind {
	case kEnum:
		w.raw(`,"symbols":`)
		w.strings(t.symbols)
	case kFixed:
		w.raw(`,"size":` + strconv.Itoa(t.size))
	case kRecord:
		w.raw(`,"fields":[`)
		for i, f := range t.fields {
			if i > 0 {
				w.raw(",")
			}
			w.normalField(f, t.name.space)
		}
		w.raw("]")
	}
	if t.doc != nil && *t.doc != "" {
		w.optional("doc", t.doc)
	}
	if len(t.aliases) > 0 {
		names := make([]string, len(t.aliases))
		for i, a := range t.aliases {
			names[i] = a.full()
		}
		slices.Sort(names)
		w.raw(`,"aliases":`)
		w.strings(names)
	}
	w.optional("default", t.enumDefault)
	w.logical(t)
}

// logical writes the properties by their names, those of a logical type that Avro knows before all others.
func (w *textWriter) logical(t *typ) {
	var first []member
	if t.kind.primitive() || t.kind == kFixed {
		first = logicalProps(t.props)
	}
	w.props(first, false)
	w.props(others(&node{members: t.props}, func(key string) bool {
		return slices.ContainsFunc(first, func(m member) bool { return m.key == key })
	}), true)
}

func logicalProps(props []member) []member {
	n := node{members: props}
	switch text, _ := n.get("logicalType").str(); text {
	case "decimal":
		out := []member{{"logicalType", n.get("logicalType")}}
		if p := n.get("precision"); p != nil && p.kind == '0' {
			out = append(out, member{"precision", p})
		}
		if s := n.get("scale"); s != nil && s.kind == '0' && s.text != "0" {
			out = append(out, member{"scale", s})
		}
		return out
	case "uuid", "date", "time-millis", "time-micros", "timestamp-millis", "timestamp-micros", "timestamp-nanos", "duration", "big-decimal",
		"local-timestamp-millis", "local-timestamp-micros", "local-timestamp-nanos":
		return []member{{"logicalType", n.get("logicalType")}}
	}
	return nil
}

func (w *textWriter) normalField(f *field, space string) {
	w.raw(`{"name":`)
	w.string(f.name)
	w.raw(`,"type":`)
	w.normal(f.typ, space)
	w.raw(`,"order":`)
	w.string(strings.ToUpper(f.order))
	w.optional("doc", f.doc)
	if len(f.aliases) > 0 {
		w.raw(`,"aliases":`)
		w.strings(slices.Sorted(slices.Values(f.aliases)))
	}
	if f.def != nil {
		w.raw(`,"default":`)
		w.node(f.def, true)
	}
	w.props(f.props, true)
	w.raw("}")
}

// Expanded is String with the referenced types written out where they are first used.
func (s *Schema) Expanded() string {
	w := textWriter{known: map[string]bool{}}
	w.typ(s.root, "")
	return string(w.b)
}
