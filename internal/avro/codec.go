package avro

import (
	"fmt"
	"strconv"
	"strings"

	twmb "github.com/twmb/avro"
)

// A Codec reads and writes single values of a schema as JSON, for people who look at a topic or write to one. It takes every Avro schema:
// what columns cannot hold (Parse refuses it), JSON can. It is immutable and may be shared.
//
// The JSON is that of Spark's to_json of the column that silt makes of the schema, as far as there is such a column, but for nulls, which
// are written out:
//
//	null, boolean, int, long    null, true, 1, 9007199254740993: numbers are exact
//	float, double               the shortest number that reads back; "NaN", "Infinity", "-Infinity"
//	string, enum                a string
//	bytes, fixed                base64 (RFC 4648, padded)
//	decimal                     a number with all digits of its scale: 12.50
//	date                        "2026-01-31"
//	time-*                      "13:05:00.123", with the digits of its unit
//	timestamp-*                 "2026-01-31T13:05:00.123Z", UTC, with the digits of its unit; a local one without the Z
//	uuid                        "3e4a5f2e-…", for both a string and a fixed
//	duration                    {"months":1,"days":2,"milliseconds":3}
//	array, map, record          an array, an object, an object with the fields in order
//	union                       null and one other type: the value; int and long, or float and double: the number;
//	                            else {"member1":value}, counting the types that are not null from 0
//
// Dates outside the years 1 to 9999, times outside of a day and big-decimals are what they are without the logical type.
type Codec struct {
	root *codecNode
}

// maxCodecDepth bounds the nesting of a value: a recursive schema lets a record of a few kilobytes nest a thousandfold.
const maxCodecDepth = 500

// A codecNode is one type of the schema, with names resolved: the nodes of a recursive schema form a circle.
type codecNode struct {
	kind     string // as the specification names it: null … double, string, bytes, fixed, enum, array, map, record, union
	logical  string // "" unless it counts for the kind
	name     string // full name of a record, enum or fixed
	fields   []codecField
	item     *codecNode // of an array or a map
	branches []*codecNode
	symbols  []string
	size     int // of a fixed
	scale    int
	// precision is that of a decimal.
	precision int
}

type codecField struct {
	name string
	node *codecNode
	// missing is what a value is encoded to that lacks the field; nil: it must have it.
	missing []byte
	text    string // of the default, as JSON; "" if there is none
}

// ParseCodec reads a schema's text as Parse does, but takes every type. The error is an *InvalidError.
func ParseCodec(text string, references []string) (*Codec, error) {
	root, err := parseWhole(text, references)
	if err != nil {
		// Registries hold schemas that break rules which do not matter for reading: without them there are no defaults.
		if root, err = parseText(text, references); err != nil {
			return nil, err
		}
	}
	b := codecBuilder{defined: map[string]*twmb.SchemaNode{}, nodes: map[string]*codecNode{}}
	m := mapper{defined: b.defined}
	m.collect(root)
	n, err := b.node(root, "")
	if err != nil {
		return nil, &InvalidError{-1, err}
	}
	return &Codec{n}, nil
}

// parseWhole parses the texts as they are, with defaults.
func parseWhole(text string, references []string) (*twmb.SchemaNode, error) {
	var cache twmb.SchemaCache
	bytes := len(text)
	for _, r := range references {
		if bytes += len(r); bytes > maxTextBytes {
			break
		}
		if _, err := cache.Parse(r, twmb.WithLaxNames(nil)); err != nil {
			return nil, err
		}
	}
	if bytes > maxTextBytes {
		return nil, fmt.Errorf("the text and its references have more than %d bytes", maxTextBytes)
	}
	s, err := cache.Parse(text, twmb.WithLaxNames(nil))
	if err != nil {
		return nil, err
	}
	return s.Root(), nil
}

// A codecBuilder turns the library's tree into nodes.
type codecBuilder struct {
	defined map[string]*twmb.SchemaNode
	nodes   map[string]*codecNode // by full name, in the making or made
}

// node is the node of a type; space is the namespace where it stands.
func (b *codecBuilder) node(n *twmb.SchemaNode, space string) (*codecNode, error) {
	out := &codecNode{kind: n.Type, logical: logicalOf(n), size: n.Size, precision: n.Precision, scale: n.Scale, symbols: n.Symbols}
	var err error
	switch n.Type {
	case "null", "boolean", "int", "long", "float", "double", "string", "bytes":
	case "array":
		out.item, err = b.node(n.Items, space)
	case "map":
		out.item, err = b.node(n.Values, space)
	case "union":
		for i := range n.Branches {
			branch, err := b.node(&n.Branches[i], space)
			if err != nil {
				return nil, err
			}
			out.branches = append(out.branches, branch)
		}
	case "record", "error", "enum", "fixed":
		return b.named(n, out)
	default: // a name
		def := b.defined[n.Type]
		if local := b.defined[space+"."+n.Type]; local != nil && !strings.Contains(n.Type, ".") {
			def = local
		}
		if def == nil {
			return nil, fmt.Errorf("type %s is not defined", n.Type)
		}
		return b.node(def, space)
	}
	return out, err
}

func (b *codecBuilder) named(n *twmb.SchemaNode, out *codecNode) (*codecNode, error) {
	out.name = fullName(n)
	if made := b.nodes[out.name]; made != nil {
		return made, nil
	}
	b.nodes[out.name] = out
	if n.Type == "enum" || n.Type == "fixed" {
		return out, nil
	}
	out.kind = "record"
	for i := range n.Fields {
		f := &n.Fields[i]
		node, err := b.node(&f.Type, namespace(n))
		if err != nil {
			return nil, err
		}
		field := codecField{name: f.Name, node: node}
		if f.HasDefault {
			if field.missing, field.text, err = defaultOf(f); err != nil {
				return nil, fmt.Errorf("the default of field %s: %w", f.Name, err)
			}
		}
		out.fields = append(out.fields, field)
	}
	return out, nil
}

// defaultOf is a field's default as it is encoded and as JSON in Avro's own form.
func defaultOf(f *twmb.SchemaField) (encoded []byte, text string, err error) {
	s, err := f.Type.Schema(twmb.WithLaxNames(nil))
	if err != nil {
		return nil, "", err
	}
	if encoded, err = s.AppendEncode([]byte{}, f.Default); err != nil {
		return nil, "", err
	}
	json, err := s.EncodeJSON(f.Default)
	return encoded, string(json), err
}

// logicalOf is the logical type if it counts for the type it stands on (Avro 1.12 specification, "Logical Types"); others are ignored.
func logicalOf(n *twmb.SchemaNode) string {
	ok := false
	switch n.LogicalType {
	case "date", "time-millis":
		ok = n.Type == "int"
	case "time-micros", "timestamp-millis", "timestamp-micros", "timestamp-nanos", "local-timestamp-millis", "local-timestamp-micros",
		"local-timestamp-nanos":
		ok = n.Type == "long"
	case "decimal":
		ok = (n.Type == "bytes" || n.Type == "fixed") && n.Precision > 0
	case "uuid":
		ok = n.Type == "string" || n.Type == "fixed" && n.Size == 16
	case "duration":
		ok = n.Type == "fixed" && n.Size == 12
	}
	if !ok {
		return ""
	}
	return n.LogicalType
}

// members are the branches of a union that are not null.
func (n *codecNode) members() []*codecNode {
	var out []*codecNode
	for _, b := range n.branches {
		if b.kind != "null" {
			out = append(out, b)
		}
	}
	return out
}

// bare says whether values of a union stand without the name of a member: there is one member only, or all are numbers of one sort
// (org.apache.spark.sql.avro.SchemaConverters).
func (n *codecNode) bare() bool {
	m := n.members()
	return len(m) < 2 || len(m) == 2 && (isPair(m, "int", "long") || isPair(m, "float", "double"))
}

func isPair(m []*codecNode, a, b string) bool {
	return m[0].logical == "" && m[1].logical == "" && (m[0].kind == a && m[1].kind == b || m[0].kind == b && m[1].kind == a)
}

// memberName is what the value of member i of a union stands under.
func memberName(i int) string { return "member" + strconv.Itoa(i) }

// tag is what Avro's own JSON encoding calls the branch of a union.
func (n *codecNode) tag() string {
	if n.name != "" {
		return n.name
	}
	return n.kind
}
