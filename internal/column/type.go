// Package column holds what a row is made of: logical types and schemas as Spark and Delta write them, the one merge of schemas, and
// the buffers in which rows become columns.
//
// A row passes through two buffers. Rows receives one worker's decoded positions, at most BlockRows rows at a time (phase 1); Block
// gathers the values of the open page of a file, with dictionaries that grow on the way (phase 2). Package parquet turns a Block into
// pages. The layout both share is a Layout.
package column

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// A Kind is the kind of a logical type, named as Delta's schema JSON names it.
type Kind uint8

// The kinds. Those after Map occur in tables of other writers only: silt keeps them in the schema and writes no values of them.
const (
	Boolean Kind = iota
	Integer
	Long
	Float
	Double
	String
	Binary
	Date      // days since 1970-01-01
	Timestamp // microseconds since 1970-01-01T00:00:00Z
	Decimal
	Struct
	Array
	Map
	Byte
	Short
	TimestampNTZ // microseconds, without time zone
	Void         // a column that has no value yet: in no file
	Other        // a type that silt does not know; Type.Name has it
)

var kindNames = [...]string{"boolean", "integer", "long", "float", "double", "string", "binary", "date", "timestamp", "decimal", "struct",
	"array", "map",
	"byte", "short", "timestamp_ntz", "void", "other"}

func (k Kind) String() string { return kindNames[k] }

// A Type is a logical type. Types are values; their Fields, Element and Key are never changed once a Type is shared.
type Type struct {
	Kind             Kind
	Precision, Scale int // Decimal: at most 38 digits, Scale of them after the point

	Fields []Field // Struct

	Key          *Type // Map
	Element      *Type // Array: the items; Map: the values
	ElementNulls bool  // Array: containsNull; Map: valueContainsNull

	Name string // Other: the JSON text of the type, as the schema has it
}

// A Field is a named part of a struct, or a column.
type Field struct {
	Name     string
	Type     Type
	Nullable bool
	// Metadata is the field's metadata object as JSON text, kept as it is ("" is {}).
	Metadata string
}

// A Schema is the columns of a table or of a file, in order. The zero value has no column.
type Schema struct{ Fields []Field }

// Of returns a schema of the fields.
func Of(fields ...Field) Schema { return Schema{fields} }

// Nullable returns a nullable field.
func Nullable(name string, t Type) Field { return Field{Name: name, Type: t, Nullable: true} }

// Primitive returns the type of a kind that has no parameters.
func Primitive(k Kind) Type { return Type{Kind: k} }

// DecimalOf returns decimal(precision, scale).
func DecimalOf(precision, scale int) Type {
	return Type{Kind: Decimal, Precision: precision, Scale: scale}
}

// StructOf returns a struct of the fields.
func StructOf(fields ...Field) Type { return Type{Kind: Struct, Fields: fields} }

// ArrayOf returns an array whose items may be null.
func ArrayOf(element Type) Type { return Type{Kind: Array, Element: &element, ElementNulls: true} }

// MapOf returns a map from string to values that may be null.
func MapOf(value Type) Type {
	return Type{Kind: Map, Key: &Type{Kind: String}, Element: &value, ElementNulls: true}
}

// String writes the type as SQL does: struct<a:int,b:array<string>>, for messages.
func (t Type) String() string {
	switch t.Kind {
	case Integer:
		return "int"
	case Long:
		return "bigint"
	case Byte:
		return "tinyint"
	case Short:
		return "smallint"
	case Decimal:
		return fmt.Sprintf("decimal(%d,%d)", t.Precision, t.Scale)
	case Array:
		return "array<" + t.Element.String() + ">"
	case Map:
		return "map<" + t.Key.String() + "," + t.Element.String() + ">"
	case Struct:
		parts := make([]string, len(t.Fields))
		for i, f := range t.Fields {
			parts[i] = f.Name + ":" + f.Type.String()
		}
		return "struct<" + strings.Join(parts, ",") + ">"
	case Other:
		return t.Name
	default:
		return t.Kind.String()
	}
}

// Equal says whether two types are the same: names by spelling, nullability and metadata ignored.
func (t Type) Equal(o Type) bool {
	if t.Kind != o.Kind || t.Precision != o.Precision || t.Scale != o.Scale || t.Name != o.Name || len(t.Fields) != len(o.Fields) {
		return false
	}
	for i := range t.Fields {
		if t.Fields[i].Name != o.Fields[i].Name || !t.Fields[i].Type.Equal(o.Fields[i].Type) {
			return false
		}
	}
	switch t.Kind {
	case Array:
		return t.Element.Equal(*o.Element)
	case Map:
		return t.Key.Equal(*o.Key) && t.Element.Equal(*o.Element)
	}
	return true
}

// Equal says whether two schemas have the same columns in the same order, as Type.Equal compares them.
func (s Schema) Equal(o Schema) bool {
	return Type{Kind: Struct, Fields: s.Fields}.Equal(Type{Kind: Struct, Fields: o.Fields})
}

// Lookup returns the column of the name, compared ignoring case as Delta does, and its index, or -1.
func (s Schema) Lookup(name string) (Field, int) { return lookup(s.Fields, name) }

func lookup(fields []Field, name string) (Field, int) {
	for i, f := range fields {
		if strings.EqualFold(f.Name, name) {
			return f, i
		}
	}
	return Field{}, -1
}

// fold returns the same text for all names that are equal ignoring case, as strings.EqualFold compares them.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - 'a' + 'A'
		}
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, name)
}

// Contains says whether every field path of o occurs in s with the same spelling and type; s may have more. A file of schema o can then
// be read with schema s.
func (s Schema) Contains(o Schema) bool { return containsFields(s.Fields, o.Fields) }

func containsFields(has, want []Field) bool {
	for _, w := range want {
		i := slices.IndexFunc(has, func(f Field) bool { return f.Name == w.Name })
		if i < 0 || !has[i].Type.contains(w.Type) {
			return false
		}
	}
	return true
}

func (t Type) contains(o Type) bool {
	if t.Kind != o.Kind || t.Precision != o.Precision || t.Scale != o.Scale || t.Name != o.Name {
		return false
	}
	switch t.Kind {
	case Struct:
		return containsFields(t.Fields, o.Fields)
	case Array:
		return t.Element.contains(*o.Element)
	case Map:
		return t.Key.contains(*o.Key) && t.Element.contains(*o.Element)
	}
	return true
}
