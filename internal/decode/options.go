package decode

import (
	"slices"
	"strings"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// A Mode is what becomes of a record that cannot be decoded (docs/bad-records.md).
type Mode uint8

// The modes.
const (
	Failfast   Mode = iota // the query stops
	Permissive             // it lands with nulls
	Drop                   // it does not land
)

var modeNames = []string{"FAILFAST", "PERMISSIVE", "DROP"}

func (m Mode) String() string { return modeNames[m] }

// A Column is a column of the rows.
type Column uint8

// The columns: Kafka's, as Spark's source names and types them, and what is made of the value.
const (
	Topic         Column = iota // string
	Partition                   // integer
	Offset                      // long
	Timestamp                   // timestamp
	TimestampType               // integer: 0 create, 1 log append, -1 none
	Key                         // string, or binary with decode.key: binary
	ParsedValue                 // the type of the value's schema
	ValueSchemaID               // integer: the schema id of the value's header; null where there is none
	FixedValue                  // binary: the value without its first 5 bytes; null where it has fewer
	Value                       // binary
)

var columnNames = []string{"topic", "partition", "offset", "timestamp", "timestampType", "key", stream.ParsedValue, "valueSchemaId",
	"fixedValue", "value"}

func (c Column) String() string { return columnNames[c] }

// Options are how records become rows.
type Options struct {
	Columns   []Column // in the order of a new table; each at most once
	KeyString bool     // the key is text; else it is binary
	Mode      Mode
	// KeepInvalidUTF8 lands strings that are not UTF-8 as they are. The blocks that rows are appended to must be made with it too
	// (column.BlockOptions).
	KeepInvalidUTF8    bool
	MaxRecordBytes     int // key and value
	MaxDepth           int // of a schema, as avro.Schema.Depth counts it
	MaxSchemasPerBatch int
}

// Parses says whether values are decoded, which takes a registry: the rows have the column parsedValue.
func (o Options) Parses() bool { return slices.Contains(o.Columns, ParsedValue) }

// columns is the schema of a row of which no schema is known: all columns but parsedValue.
func (o Options) columns() column.Schema { return o.rowSchema(nil) }

// rowSchema is the schema of a row whose parsedValue is of the type; nil leaves the column out.
func (o Options) rowSchema(parsed *column.Type) (s column.Schema) {
	for _, c := range o.Columns {
		var t column.Type
		switch c {
		case Topic:
			t = column.Primitive(column.String)
		case Partition, TimestampType, ValueSchemaID:
			t = column.Primitive(column.Integer)
		case Offset:
			t = column.Primitive(column.Long)
		case Timestamp:
			t = column.Primitive(column.Timestamp)
		case Key:
			t = column.Primitive(column.Binary)
			if o.KeyString {
				t = column.Primitive(column.String)
			}
		case FixedValue, Value:
			t = column.Primitive(column.Binary)
		case ParsedValue:
			if parsed == nil {
				continue
			}
			t = *parsed
		}
		s.Fields = append(s.Fields, column.Nullable(c.String(), t))
	}
	return s
}

// Limits of the options.
const (
	defaultRecordBytes = 16 << 20
	mostRecordBytes    = 1 << 30 // spans are of 31 bits
	defaultDepth       = 64
	defaultSchemas     = 64
	mostSchemas        = 100_000
)

// ParseOptions reads the section decode, whose limits have keys of the form limits.maxDepth, and the list select. A nil
// sel means the default columns.
func ParseOptions(vs option.Values, sel []option.Value) (Options, []*problem.Problem) {
	p := option.NewParser(vs)
	value := choice(p, "value", []string{"avro", "binary"}, []string{"json-schema", "protobuf", "string"},
		"use avro, or binary to land values as they are")
	key := choice(p, "key", []string{"string", "binary"}, []string{"avro", "json-schema", "protobuf"}, "use string or binary")
	mode := choice(p, "mode", modeNames, []string{"DEADLETTER"}, "use PERMISSIVE, which lands bad records with nulls, or DROP")
	o := Options{
		KeyString:          key == "string",
		Mode:               Mode(slices.Index(modeNames, mode)),
		KeepInvalidUTF8:    choice(p, "invalidUtf8", []string{"reject", "keep"}, nil, "") == "keep",
		MaxRecordBytes:     int(p.Size("limits.maxRecordBytes", defaultRecordBytes, 1, mostRecordBytes)),
		MaxDepth:           int(p.Int("limits.maxDepth", defaultDepth, 1, 1000)),
		MaxSchemasPerBatch: int(p.Int("limits.maxSchemasPerBatch", defaultSchemas, 1, mostSchemas)),
	}
	if sel == nil {
		o.Columns = []Column{Topic, Partition, Offset, Timestamp, TimestampType, Key, ParsedValue}
		if value == "binary" {
			o.Columns[len(o.Columns)-1] = Value
		}
	} else {
		o.Columns = parseSelect(p, sel, value)
	}
	return o, p.Finish()
}

// choice returns the option in the spelling of its choices, whose first is the default. Refused values are known and not supported.
func choice(p *option.Parser, key string, choices, refused []string, instead string) string {
	got := p.Enum(key, choices[0], append(slices.Clone(choices), refused...)...)
	if slices.Contains(refused, got) {
		v, _ := p.Lookup(key)
		p.Report(v, problem.Unsupported, "%s: %s is not supported yet", v.Key, got).Fix("%s", instead)
		return choices[0]
	}
	return got
}

func parseSelect(p *option.Parser, sel []option.Value, value string) []Column {
	var columns []Column
	for _, v := range sel {
		name := strings.TrimSpace(v.Reveal())
		i := slices.IndexFunc(columnNames, func(n string) bool { return strings.EqualFold(n, name) })
		c := Column(max(i, 0))
		switch {
		case v.IsList:
			p.Report(v, problem.InvalidValue, "select holds a list; want the names of columns")
		case strings.EqualFold(name, "headers"):
			p.Report(v, problem.Unsupported, "select: headers is not supported yet").Fix("leave headers out")
		case i < 0:
			pr := p.Report(v, problem.InvalidValue, "select: unknown column %q", v.Shown())
			if n := problem.Nearest(name, columnNames); n != "" && !v.IsSecret {
				pr.Message += "; did you mean \"" + n + "\"?"
			}
			pr.Fix("the columns are %s", strings.Join(columnNames, ", "))
		case slices.Contains(columns, c):
			p.Report(v, problem.DuplicateOption, "select: %s occurs twice", c)
		case c == ParsedValue && value == "binary":
			p.Report(v, problem.Conflict, "select: parsedValue needs decode.value: avro, which is binary").Fix("select value instead")
		default:
			columns = append(columns, c)
		}
	}
	switch {
	case len(sel) == 0:
		p.Report(option.Value{Pos: p.Pos}, problem.InvalidValue, "select names no column").Fix("leave select out to have the default columns")
	case len(columns) == 1 && columns[0] == ParsedValue && len(sel) == 1: // a tombstone would be a row without any column
		p.Report(sel[0], problem.InvalidValue, "select names parsedValue alone; want a column beside it that every record has").Fix("add offset")
	}
	return columns
}
