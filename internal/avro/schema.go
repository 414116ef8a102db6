// Package avro reads Avro records into columns. Parse turns a schema's text into a tree whose types are those that Spark's from_avro
// gives; Bind compiles that tree, against the place of a column.Rows that will hold it, to a flat Program; Program.Walk reads one record.
//
// Only the writer's schema is used, as Spark does without a reader schema: defaults, aliases and the order of fields have no effect
// (org.apache.spark.sql.avro.AvroDataToCatalyst). Package twmb/avro reads the text; the mapping, the program and the walk are here, because
// no library decodes into columns.
package avro

import (
	"fmt"

	"github.com/siltlake/silt/internal/column"
)

const (
	// maxTextBytes bounds a schema's text together with the texts it refers to.
	maxTextBytes = 4 << 20
	// maxFields bounds the fields, items, keys and values of a schema once each use of a named type is written out: a chain of records
	// that each name the one before twice doubles with every link.
	maxFields = 1 << 14
	// maxFixed bounds a fixed: buffers are smaller than 2 GiB.
	maxFixed = 1 << 30
	// maxLevels bounds the definition levels of a schema: a record is one, an array or map two. A column.Layout has room for 100.
	maxLevels = 90
)

// A Schema is a writer's schema that silt can read. It is immutable and may be shared.
type Schema struct{ root use }

// Type is the type that Spark's from_avro gives the schema (org.apache.spark.sql.avro.SchemaConverters), with everything nullable, as Delta
// writes it. A record is a struct; an Avro null is a Void field.
func (s *Schema) Type() column.Type { return s.root.node.typ }

// Depth is how deep the schema is nested: 0 for a primitive type, one more for each record, array and map around it. Recursive types are
// refused, so no record is nested deeper than its schema.
func (s *Schema) Depth() int { return s.root.node.depth }

// An UnsupportedError says which part of a schema silt cannot read. The text is valid Avro, as far as silt can tell.
type UnsupportedError struct {
	Path string // dotted; element, key and value stand for the parts of arrays and maps; "" is the root
	Type string // the Avro type, as the schema names it
	Why  string
}

func (e *UnsupportedError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("avro type %s: %s", e.Type, e.Why)
	}
	return fmt.Sprintf("field %s: avro type %s: %s", e.Path, e.Type, e.Why)
}

// An InvalidError says that a text is no Avro schema.
type InvalidError struct {
	Reference int // index of the text among the references; -1 is the schema itself
	Err       error
}

func (e *InvalidError) Error() string {
	if e.Reference < 0 {
		return fmt.Sprintf("avro schema: %v", e.Err)
	}
	return fmt.Sprintf("avro schema, reference %d: %v", e.Reference+1, e.Err)
}

func (e *InvalidError) Unwrap() error { return e.Err }

// A wire is a way of writing a value as bytes (Avro 1.12 specification, "Binary Encoding").
type wire uint8

const (
	wireNull wire = iota
	wireBoolean
	wireInt
	wireLong
	wireMillis // long, to be multiplied by 1000
	wireFloat
	wireDouble
	wireString
	wireBytes
	wireFixed
	wireEnum
	wireDecimal      // bytes
	wireFixedDecimal // fixed
	wireRecord
	wireArray
	wireMap
)

// A node is a type of the schema. A named type has one node, however often it is used.
type node struct {
	wire    wire
	typ     column.Type
	size    int      // fixed: bytes
	symbols []string // enum
	fields  []field  // record
	item    *use     // array: the items; map: the values

	fieldCount int // fields, items, keys and values in it, each use of a named type counted
	depth      int // records, arrays and maps on the longest way down, itself included
	levels     int // definition levels on that way
}

// A use is a place where a type stands, maybe as a branch of a union.
type use struct {
	node  *node
	union bool // a branch index comes first
	// yes is the branch's index as it is written; no is null's, or yes if the union has no null.
	yes, no byte
}

type field struct {
	name string
	use  use
}
