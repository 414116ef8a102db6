package decode

import (
	"math"
	"strings"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// A layout is where a worker's rows lie: columns in the table's order and spelling, and below parsedValue every field that the table or
// an id met so far has.
type layout struct {
	o      Options
	parses bool
	hasKey bool

	merged column.Schema // the table's part that rows can have, merged with the schemas met; what blocks are asked for
	rows   *column.Rows  // nil until a row is to be written
	cols   []boundColumn
	topics map[string]column.Span // constants of rows

	parsed     *column.Tree // parsedValue; nil where the layout has none yet
	parsedNode *column.Node // a struct, array or map
	parsedLeaf *column.Leaf // or a leaf
}

// A boundColumn is a column whose values are copied from the Records once a block is full.
type boundColumn struct {
	column Column
	leaf   *column.Leaf
}

func newLayout(o Options) layout {
	l := layout{o: o, parses: o.Parses()}
	for _, c := range o.Columns {
		l.hasKey = l.hasKey || c == Key
	}
	return l
}

// start says that the table's schema is the given one, and returns whether the rows there are no longer fit.
func (l *layout) start(table column.Schema) bool {
	var s column.Schema
	for _, f := range table.Fields { // columns that rows do not have are left out of the files: they read as null
		for _, c := range l.o.Columns {
			if strings.EqualFold(f.Name, c.String()) {
				s.Fields = append(s.Fields, f)
			}
		}
	}
	if l.rows != nil && s.Equal(l.merged) {
		return false
	}
	l.merged = s
	return true
}

// forget drops the rows.
func (l *layout) forget() {
	l.rows, l.cols, l.topics, l.parsed, l.parsedNode, l.parsedLeaf = nil, nil, nil, nil, nil, nil
}

// build lays rows out by the schema.
func (l *layout) build(s column.Schema) error {
	lay, err := column.NewLayout(s)
	if err != nil {
		return problem.New(problem.UnsupportedType, "a schema merged with the table's cannot be laid out: %w", err)
	}
	l.forget()
	l.merged, l.rows, l.topics = s, column.NewRows(lay), map[string]column.Span{}
	for _, c := range l.o.Columns {
		f, i := s.Lookup(c.String())
		if i < 0 {
			continue // parsedValue, while no id was met
		}
		t := lay.Column(f.Name)
		if c != ParsedValue {
			leaf := l.rows.Leaves[t.Leaf]
			leaf.Run = c == Topic || c == Partition || c == TimestampType
			l.cols = append(l.cols, boundColumn{c, leaf})
			continue
		}
		if l.parsed = t; t == nil {
			continue // a table's column without a type that has values
		}
		if t.Leaf >= 0 {
			l.parsedLeaf = l.rows.Leaves[t.Leaf]
		} else {
			l.parsedNode = l.rows.Nodes[t.Node]
		}
	}
	return nil
}

// fill writes the columns that come straight from the records: row k is record index[k].
func (l *layout) fill(r *stream.Records, buf []byte, index []int32, marks []mark) {
	for _, c := range l.cols {
		f := c.leaf
		switch c.column {
		case Topic:
			s, ok := l.topics[r.Topic]
			if !ok {
				s = l.rows.AddConstant([]byte(r.Topic))
				l.topics[r.Topic] = s
			}
			f.Spans[0] = s
		case Partition:
			f.Ints[0] = int64(r.Partition)
		case TimestampType:
			f.Ints[0] = int64(r.TimestampType)
		case Offset:
			for row, i := range index {
				f.Ints[row] = r.Offset[i]
			}
		case Timestamp:
			for row, i := range index {
				f.Ints[row] = micros(r.Timestamp[i])
			}
		case Key:
			fillSpans(f, r.Key, index, marks, noKey, 0)
		case Value:
			fillSpans(f, r.Value, index, marks, noValue, 0)
		case FixedValue:
			fillSpans(f, r.Value, index, marks, noValue, headerBytes)
		case ValueSchemaID:
			for row, i := range index {
				if id, ok := schemaID(buf, r.Value[i]); ok {
					f.Ints[row] = int64(id)
				} else {
					f.Valid[row] = 0
				}
			}
		}
	}
}

// fillSpans copies spans but for their first skip bytes. A span that has fewer is null, as is that of a row with the mark.
func fillSpans(f *column.Leaf, spans []stream.Span, index []int32, marks []mark, null mark, skip int32) {
	for row, i := range index {
		s := spans[i]
		if s.Len < skip || marks[row]&null != 0 {
			f.Valid[row] = 0
			continue
		}
		f.Spans[row] = column.Span{Off: s.Off + uint32(skip), Len: uint32(s.Len - skip)}
	}
}

// schemaID reads the header of a value (Confluent's wire format).
func schemaID(buf []byte, v stream.Span) (int32, bool) {
	if v.Len < headerBytes || buf[v.Off] != 0 {
		return 0, false
	}
	b := buf[v.Off+1 : v.Off+headerBytes]
	return int32(uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])), true
}

// micros turns Kafka's milliseconds into microseconds. A time that is out of range becomes the first or last there is: a record is not
// lost for the clock of its producer.
func micros(ms int64) int64 {
	switch us := ms * 1000; {
	case us/1000 == ms:
		return us
	case ms < 0:
		return math.MinInt64
	default:
		return math.MaxInt64
	}
}
