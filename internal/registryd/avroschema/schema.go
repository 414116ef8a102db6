// Package avroschema reads Avro schemas as a schema registry has to: it accepts whatever Avro's Java library accepts (recursion, any
// union, comments), renders them byte for byte as that library's Schema.toString does, which is the text that Confluent's registry stores,
// and says whether data of one can be read with another, in that library's words.
//
// Package internal/avro, unlike this one, compiles schemas into tables' columns and refuses what those cannot hold.
package avroschema

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Limits of a schema's text.
const (
	MaxBytes  = 2 << 20
	maxDepth  = 200  // of JSON: three or four levels a type
	maxName   = 1024 // bytes of a full name
	maxNumber = 1000 // digits, as in Jackson
)

// A kind is a type of Avro. Its text is what schemas call it.
type kind string

const (
	kNull    kind = "null"
	kBoolean kind = "boolean"
	kInt     kind = "int"
	kLong    kind = "long"
	kFloat   kind = "float"
	kDouble  kind = "double"
	kBytes   kind = "bytes"
	kString  kind = "string"
	kRecord  kind = "record"
	kEnum    kind = "enum"
	kArray   kind = "array"
	kMap     kind = "map"
	kUnion   kind = "union"
	kFixed   kind = "fixed"
)

func (k kind) primitive() bool {
	switch k {
	case kNull, kBoolean, kInt, kLong, kFloat, kDouble, kBytes, kString:
		return true
	}
	return false
}

func (k kind) named() bool { return k == kRecord || k == kEnum || k == kFixed }

// isTypeName says that a name means a type to a reader of schemas, so that it is only written with its namespace.
func isTypeName(s string) bool {
	k := kind(s)
	return k.primitive() || k.named() || k == kArray || k == kMap || k == kUnion
}

// A Schema is a parsed schema. It is immutable and may be used concurrently.
type Schema struct {
	root *typ
	refs []string // full names that the referenced texts define
}

// A typ is one type; recursive schemas are cycles of them.
type typ struct {
	kind        kind
	name        name
	isError     bool // a record that says "error"
	doc         *string
	aliases     []name
	fields      []*field
	byName      map[string]*field
	elem        *typ // of an array or a map
	branches    []*typ
	symbols     []string
	enumDefault *string
	size        int
	props       []member
}

type field struct {
	name    string
	typ     *typ
	doc     *string
	def     *node // nil: none
	order   string
	aliases []string
	props   []member
}

// A name is a full name in its parts; space is "" in the null namespace.
type name struct{ short, space string }

func (n name) full() string {
	if n.space == "" {
		return n.short
	}
	return n.space + "." + n.short
}

// within is the name as it is written where space is the namespace.
func (n name) within(space string) string {
	if n.space == space && n.space != "" && !isTypeName(n.short) {
		return n.short
	}
	return n.full()
}

// newName splits a name; one without dots is in the namespace around it.
func newName(text, space string) (name, error) {
	if i := strings.LastIndexByte(text, '.'); i >= 0 {
		text, space = text[i+1:], text[:i]
	}
	n := name{text, space}
	if len(n.full()) > maxName {
		return n, fmt.Errorf("a name of %d bytes, more than %d", len(n.full()), maxName)
	}
	if err := checkName(text); err != nil {
		return n, err
	}
	if space != "" {
		for part := range strings.SplitSeq(space, ".") {
			if err := checkName(part); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// checkName has Avro Java's rule, which allows every letter of Unicode's basic plane.
func checkName(s string) error {
	if s == "" {
		return failf("Empty name")
	}
	for i, r := range s {
		ok := r == '_' || unicode.IsLetter(r) && r <= 0xFFFF
		switch {
		case i == 0 && !ok:
			return failf("Illegal initial character: %s", s)
		case !ok && !(unicode.IsDigit(r) && r <= 0xFFFF):
			return failf("Illegal character in: %s", s)
		}
	}
	return nil
}

// An Error says what is wrong with a schema, in the words of Avro's Java library: they are what clients of registries get to see.
type Error string

func (e Error) Error() string { return string(e) }

func failf(format string, args ...any) error { return Error(fmt.Sprintf(format, args...)) }

// Parse reads the text of a schema. references are the texts that it may take named types from, each after those that it needs itself.
// strict refuses defaults that do not fit their field, as for a schema that comes new to the registry.
// Errors are worded for the author of the schema.
func Parse(text string, references []string, strict bool) (*Schema, error) {
	p := &parser{names: map[string]*typ{}, defaults: defaultCheck{map[typValue]bool{}, maxDefaultChecks}}
	for _, r := range references {
		if _, err := p.text(r); err != nil {
			return nil, fmt.Errorf("a referenced schema: %w", err)
		}
	}
	s := &Schema{}
	for n := range p.names {
		s.refs = append(s.refs, n)
	}
	p.strict = strict
	var err error
	s.root, err = p.text(text)
	return s, err
}

type parser struct {
	names    map[string]*typ
	strict   bool
	defaults defaultCheck
}

func (p *parser) text(text string) (*typ, error) {
	n, err := parseJSON(text)
	if err != nil {
		return nil, err
	}
	return p.parse(n, "")
}

func (p *parser) parse(n *node, space string) (*typ, error) {
	switch n.kind {
	case '"':
		return p.find(n.text, space)
	case '[':
		return p.union(n, space)
	case '{':
	default:
		return nil, failf("Schema not yet supported: %s", brief(n))
	}
	text, ok := n.get("type").str()
	if !ok {
		return nil, failf("No type: %s", brief(n))
	}
	t := &typ{kind: kind(text), isError: text == "error"}
	if t.isError {
		t.kind = kRecord
	}
	var err error
	switch {
	case t.kind.primitive():
	case t.kind == kArray:
		t.elem, err = p.element(n, "items", "Array has no items type", space)
	case t.kind == kMap:
		t.elem, err = p.element(n, "values", "Map has no values type", space)
	case t.kind.named():
		err = p.named(t, n, space)
	default:
		return p.find(text, space)
	}
	if err != nil {
		return nil, err
	}
	t.props = others(n, func(key string) bool {
		switch key {
		case "doc", "fields", "items", "name", "namespace", "size", "symbols", "values", "type", "aliases":
			return true
		}
		return key == "default" && t.kind == kEnum
	})
	return t, nil
}

// others are the members that Avro gives no meaning.
func others(n *node, reserved func(string) bool) []member {
	var out []member
	for _, m := range n.members {
		if !reserved(m.key) {
			out = append(out, m)
		}
	}
	return out
}

func (p *parser) element(n *node, key, missing, space string) (*typ, error) {
	e := n.get(key)
	if e == nil {
		return nil, fmt.Errorf("%s: %s", missing, brief(n))
	}
	return p.parse(e, space)
}

func (p *parser) find(text, space string) (*typ, error) {
	if k := kind(text); k.primitive() {
		return &typ{kind: k}, nil
	}
	full := text
	if space != "" && !strings.Contains(text, ".") {
		full = space + "." + text
	}
	if t := p.names[full]; t != nil {
		return t, nil
	}
	if t := p.names[text]; t != nil {
		return t, nil
	}
	return nil, failf("Undefined name: %q", text)
}

func (p *parser) union(n *node, space string) (*typ, error) {
	t := &typ{kind: kUnion}
	seen := make(map[string]bool, len(n.list))
	for _, b := range n.list {
		branch, err := p.parse(b, space)
		if err != nil {
			return nil, err
		}
		full := string(branch.kind)
		if branch.kind.named() {
			full = branch.name.full()
		}
		switch {
		case branch.kind == kUnion:
			return nil, failf("Nested union: %s", brief(n))
		case seen[full]:
			return nil, failf("Duplicate in union:%s", full)
		}
		seen[full] = true
		t.branches = append(t.branches, branch)
	}
	return t, nil
}

func (p *parser) named(t *typ, n *node, space string) error {
	if s := n.optional("namespace"); s != nil {
		space = *s
	}
	text, ok := n.get("name").str()
	if !ok {
		return failf("No name in schema: %s", brief(n))
	}
	var err error
	if t.name, err = newName(text, space); err != nil {
		return err
	}
	full := t.name.full()
	switch {
	case kind(full).primitive():
		return failf("Schemas may not be named after primitives: %s", full)
	case p.names[full] != nil:
		return failf("Can't redefine: %s", full)
	}
	p.names[full] = t
	t.doc = n.optional("doc")
	aliases, err := parseAliases(n)
	if err != nil {
		return err
	}
	for _, a := range aliases {
		alias, err := newName(a, t.name.space)
		if err != nil {
			return err
		}
		t.aliases = append(t.aliases, alias)
	}
	switch t.kind {
	case kRecord:
		return p.record(t, n)
	case kEnum:
		return parseEnum(t, n)
	default:
		return parseFixed(t, n)
	}
}

func parseAliases(n *node) ([]string, error) {
	list := n.get("aliases")
	if list == nil {
		return nil, nil
	}
	if list.kind != '[' {
		return nil, fmt.Errorf("aliases not an array: %s", brief(n))
	}
	var out []string
	seen := map[string]bool{}
	for _, a := range list.list {
		text, ok := a.str()
		if !ok {
			return nil, fmt.Errorf("alias not a string: %s", brief(a))
		}
		if !seen[text] {
			seen[text] = true
			out = append(out, text)
		}
	}
	return out, nil
}

func parseEnum(t *typ, n *node) error {
	list := n.get("symbols")
	if list == nil || list.kind != '[' {
		return failf("Enum has no symbols: %s", brief(n))
	}
	seen := make(map[string]bool, len(list.list))
	for _, s := range list.list {
		text, ok := s.str()
		if !ok {
			return fmt.Errorf("enum symbol not a string: %s", brief(s))
		}
		if err := checkName(text); err != nil {
			return err
		}
		if seen[text] {
			return failf("Duplicate enum symbol: %s", text)
		}
		seen[text] = true
		t.symbols = append(t.symbols, text)
	}
	if t.enumDefault = n.optional("default"); t.enumDefault != nil && !seen[*t.enumDefault] {
		return failf("The Enum Default: %s is not in the enum symbol set: [%s]", *t.enumDefault, strings.Join(t.symbols, ", "))
	}
	return nil
}

func parseFixed(t *typ, n *node) error {
	size := n.get("size")
	if size == nil || !size.isIntegral() {
		return failf("Invalid or no size: %s", brief(n))
	}
	v, err := strconv.ParseInt(size.text, 10, 32)
	if err != nil || v < 0 {
		return failf("Invalid fixed size: %s", size.text)
	}
	t.size = int(v)
	return nil
}

func (p *parser) record(t *typ, n *node) error {
	list := n.get("fields")
	if list == nil || list.kind != '[' {
		return failf("Record has no fields: %s", brief(n))
	}
	t.byName = make(map[string]*field, len(list.list))
	for _, e := range list.list {
		f, err := p.field(e, t.name.space)
		if err != nil {
			return err
		}
		if t.byName[f.name] != nil {
			return failf("Duplicate field %s in record %s", f.name, t.name.full())
		}
		t.byName[f.name] = f
		t.fields = append(t.fields, f)
	}
	return nil
}

func (p *parser) field(n *node, space string) (*field, error) {
	if n.kind != '{' {
		return nil, failf("No field name: %s", brief(n))
	}
	text, ok := n.get("name").str()
	if !ok {
		return nil, failf("No field name: %s", brief(n))
	}
	if len(text) > maxName {
		return nil, fmt.Errorf("a name of %d bytes, more than %d", len(text), maxName)
	}
	if err := checkName(text); err != nil {
		return nil, err
	}
	f := &field{name: text, doc: n.optional("doc"), def: n.get("default")}
	typeNode := n.get("type")
	if typeNode == nil {
		return nil, failf("No field type: %s", brief(n))
	}
	var err error
	if f.typ, err = p.parse(typeNode, space); err != nil {
		return nil, err
	}
	if f.order, err = parseOrder(n); err != nil {
		return nil, err
	}
	if f.def, err = floatDefault(f); err != nil {
		return nil, err
	}
	if p.strict && f.def != nil && !p.defaults.accepts(f.typ, f.def) {
		return nil, failf("Invalid default for field %s: %s not a %s", f.name, brief(f.def), f.typ.text())
	}
	if f.aliases, err = parseAliases(n); err != nil {
		return nil, err
	}
	f.props = others(n, func(key string) bool {
		switch key {
		case "default", "doc", "name", "order", "type", "aliases":
			return true
		}
		return false
	})
	return f, nil
}

func parseOrder(n *node) (string, error) {
	o := n.get("order")
	if o == nil {
		return "ascending", nil
	}
	text, ok := o.str()
	switch text = strings.ToLower(text); {
	case ok && (text == "ascending" || text == "descending" || text == "ignore"):
		return text, nil
	}
	return "", failf("Invalid order: %s", brief(o))
}

// brief is a value for an error message.
func brief(n *node) string {
	const most = 200
	w := writer{}
	w.node(n, false)
	if len(w.b) > most {
		return strings.ToValidUTF8(string(w.b[:most]), "") + "…"
	}
	return string(w.b)
}

func (t *typ) text() string {
	s := Schema{root: t}
	const most = 200
	if text := s.String(); len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	} else {
		return text
	}
}
