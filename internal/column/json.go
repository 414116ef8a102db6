package column

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxSchemaDepth bounds the nesting of a schema that is read; Spark and Delta set no limit, a reader's stack does.
const maxSchemaDepth = 100

// JSON returns the schema as Spark writes it into a table's metadata: compact, keys in the order type, fields; name, type, nullable,
// metadata (Delta PROTOCOL.md, "Schema Serialization Format").
func (s Schema) JSON() string {
	return string(appendType(nil, Type{Kind: Struct, Fields: s.Fields}))
}

func appendType(b []byte, t Type) []byte {
	switch t.Kind {
	case Struct:
		b = append(b, `{"type":"struct","fields":[`...)
		for i, f := range t.Fields {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, `{"name":`...)
			b = AppendString(b, f.Name)
			b = append(b, `,"type":`...)
			b = appendType(b, f.Type)
			b = append(b, `,"nullable":`...)
			b = strconv.AppendBool(b, f.Nullable)
			b = append(b, `,"metadata":`...)
			if f.Metadata == "" {
				b = append(b, '{', '}')
			} else {
				b = append(b, f.Metadata...)
			}
			b = append(b, '}')
		}
		return append(b, ']', '}')
	case Array:
		b = append(b, `{"type":"array","elementType":`...)
		b = appendType(b, *t.Element)
		b = append(b, `,"containsNull":`...)
		b = strconv.AppendBool(b, t.ElementNulls)
		return append(b, '}')
	case Map:
		b = append(b, `{"type":"map","keyType":`...)
		b = appendType(b, *t.Key)
		b = append(b, `,"valueType":`...)
		b = appendType(b, *t.Element)
		b = append(b, `,"valueContainsNull":`...)
		b = strconv.AppendBool(b, t.ElementNulls)
		return append(b, '}')
	case Decimal:
		return fmt.Appendf(b, `"decimal(%d,%d)"`, t.Precision, t.Scale)
	case Other:
		return append(b, t.Name...)
	default:
		return AppendString(b, t.Kind.String())
	}
}

// AppendString appends a JSON string as Jackson writes it: quotes, backslashes and control characters escaped, nothing else. Bytes that are
// not UTF-8 become U+FFFD, since no JSON text can hold them.
func AppendString(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		case '\b':
			b = append(b, '\\', 'b')
		case '\f':
			b = append(b, '\\', 'f')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(b, s[from:]...), '"')
}

type jsonField struct {
	Name     *string         `json:"name"`
	Type     json.RawMessage `json:"type"`
	Nullable *bool           `json:"nullable"`
	Metadata json.RawMessage `json:"metadata"`
}

type jsonType struct {
	Type              string          `json:"type"`
	Fields            []jsonField     `json:"fields"`
	ElementType       json.RawMessage `json:"elementType"`
	ContainsNull      *bool           `json:"containsNull"`
	KeyType           json.RawMessage `json:"keyType"`
	ValueType         json.RawMessage `json:"valueType"`
	ValueContainsNull *bool           `json:"valueContainsNull"`
}

// orTrue is the value of a key that Spark always writes; where another writer left it out, nulls may come.
func orTrue(v *bool) bool { return v == nil || *v }

// compact returns JSON text without the spaces between its tokens.
func compact(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return "" // the text is a part of one that was parsed: only nothing at all is no JSON
	}
	return b.String()
}

// ParseSchema reads a schema as Spark writes it. A type that silt does not know becomes Other and is written back as it was.
func ParseSchema(text string) (Schema, error) {
	t, err := parseType(json.RawMessage(text), 0)
	if err != nil {
		return Schema{}, fmt.Errorf("schema: %w", err)
	}
	if t.Kind != Struct {
		return Schema{}, fmt.Errorf("schema: type is %s, not struct", t)
	}
	return Schema{t.Fields}, nil
}

var decimalRE = regexp.MustCompile(`^decimal\(\s*([0-9]{1,2})\s*,\s*(-?[0-9]{1,2})\s*\)$`)

func parseType(raw json.RawMessage, depth int) (Type, error) {
	if depth > maxSchemaDepth {
		return Type{}, fmt.Errorf("nested deeper than %d", maxSchemaDepth)
	}
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return Type{}, fmt.Errorf("a type is missing")
	}
	if raw[0] == '"' {
		var name string
		if err := json.Unmarshal(raw, &name); err != nil {
			return Type{}, err
		}
		return parseSimple(name, raw), nil
	}
	var j jsonType
	if err := json.Unmarshal(raw, &j); err != nil {
		return Type{}, err
	}
	switch j.Type {
	case "struct":
		t := Type{Kind: Struct, Fields: make([]Field, len(j.Fields))}
		for i, f := range j.Fields {
			if f.Name == nil {
				return Type{}, fmt.Errorf("a field has no name")
			}
			ft, err := parseType(f.Type, depth+1)
			if err != nil {
				return Type{}, fmt.Errorf("field %s: %w", *f.Name, err)
			}
			t.Fields[i] = Field{Name: *f.Name, Type: ft, Nullable: orTrue(f.Nullable)}
			if m := compact(f.Metadata); m != "" && m != "{}" && m != "null" {
				t.Fields[i].Metadata = m
			}
		}
		return t, nil
	case "array":
		e, err := parseType(j.ElementType, depth+1)
		return Type{Kind: Array, Element: &e, ElementNulls: orTrue(j.ContainsNull)}, err
	case "map":
		k, err := parseType(j.KeyType, depth+1)
		if err != nil {
			return Type{}, err
		}
		v, err := parseType(j.ValueType, depth+1)
		return Type{Kind: Map, Key: &k, Element: &v, ElementNulls: orTrue(j.ValueContainsNull)}, err
	default:
		return Type{Kind: Other, Name: compact(raw)}, nil
	}
}

func parseSimple(name string, raw []byte) Type {
	for k := Boolean; k < Other; k++ {
		if k != Struct && k != Array && k != Map && k != Decimal && kindNames[k] == name {
			return Type{Kind: k}
		}
	}
	if name == "decimal" {
		return DecimalOf(10, 0)
	}
	if m := decimalRE.FindStringSubmatch(name); m != nil {
		p, _ := strconv.Atoi(m[1])
		s, _ := strconv.Atoi(m[2])
		if p >= 1 && p <= 38 && s >= 0 && s <= p {
			return DecimalOf(p, s)
		}
	}
	return Type{Kind: Other, Name: string(raw)}
}
