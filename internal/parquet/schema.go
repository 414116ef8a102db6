package parquet

import "github.com/siltlake/silt/internal/column"

// The numbers of parquet.thrift: FieldRepetitionType, ConvertedType, and the fields of the union LogicalType.
const (
	required = 0
	optional = 1
	repeated = 2

	convertedNone      = -1
	convertedUTF8      = 0
	convertedMap       = 1
	convertedList      = 3
	convertedDecimal   = 5
	convertedDate      = 6
	convertedTimestamp = 10 // TIMESTAMP_MICROS
	convertedInt8      = 15
	convertedInt16     = 16

	logicalString    = 1
	logicalMap       = 2
	logicalList      = 3
	logicalDecimal   = 5
	logicalDate      = 6
	logicalTimestamp = 8
	logicalInteger   = 10
)

// appendSchema writes the schema's elements depth first, as Spark names and nests them (Spark's ParquetWriteSupport), and returns how many.
func appendSchema(t *thrift, l *column.Layout) int {
	t.openItem()
	t.text(4, "spark_schema")
	t.i32(5, int32(len(l.Tree)))
	t.end()
	n := 1
	for _, k := range l.Tree {
		n += appendElement(t, k, k.Name, optional)
	}
	return n
}

func appendElement(t *thrift, k *column.Tree, name string, repetition int32) int {
	switch k.Type.Kind {
	case column.Struct:
		appendGroup(t, name, repetition, len(k.Kids), convertedNone, 0)
		n := 1
		for _, kid := range k.Kids {
			n += appendElement(t, kid, kid.Name, optional)
		}
		return n
	case column.Array:
		appendGroup(t, name, repetition, 1, convertedList, logicalList)
		appendGroup(t, "list", repeated, 1, convertedNone, 0)
		return 2 + appendElement(t, k.Kids[0], "element", optional)
	case column.Map:
		appendGroup(t, name, repetition, 1, convertedMap, logicalMap)
		appendGroup(t, "key_value", repeated, 2, convertedNone, 0)
		return 2 + appendElement(t, k.Kids[0], "key", required) + appendElement(t, k.Kids[1], "value", optional)
	}
	appendLeaf(t, k.Type, name, repetition)
	return 1
}

func appendGroup(t *thrift, name string, repetition int32, kids int, converted, logical int32) {
	t.openItem()
	t.i32(3, repetition)
	t.text(4, name)
	t.i32(5, int32(kids))
	if converted != convertedNone {
		t.i32(6, converted)
		t.open(10)
		t.open(int16(logical))
		t.end()
		t.end()
	}
	t.end()
}

func appendLeaf(t *thrift, typ column.Type, name string, repetition int32) {
	phys := typ.Physical()
	t.openItem()
	t.i32(1, int32(phys))
	if phys == column.PhysFixed {
		t.i32(2, int32(typ.FixedLen()))
	}
	t.i32(3, repetition)
	t.text(4, name)
	switch typ.Kind {
	case column.String:
		t.i32(6, convertedUTF8)
		appendLogical(t, logicalString, nil)
	case column.Date:
		t.i32(6, convertedDate)
		appendLogical(t, logicalDate, nil)
	case column.Byte, column.Short:
		converted, width := int32(convertedInt8), int8(8)
		if typ.Kind == column.Short {
			converted, width = convertedInt16, 16
		}
		t.i32(6, converted)
		appendLogical(t, logicalInteger, func() {
			t.i8(1, width)
			t.boolean(2, true)
		})
	case column.Decimal:
		t.i32(6, convertedDecimal)
		t.i32(7, int32(typ.Scale))
		t.i32(8, int32(typ.Precision))
		appendLogical(t, logicalDecimal, func() {
			t.i32(1, int32(typ.Scale))
			t.i32(2, int32(typ.Precision))
		})
	case column.Timestamp, column.TimestampNTZ:
		utc := typ.Kind == column.Timestamp
		if utc { // the converted type means UTC (LogicalTypes.md, TIMESTAMP)
			t.i32(6, convertedTimestamp)
		}
		appendLogical(t, logicalTimestamp, func() {
			t.boolean(1, utc)
			t.open(2)
			t.open(2) // MICROS
			t.end()
			t.end()
		})
	}
	t.end()
}

// appendLogical writes a logical type whose parameters, if any, the function writes.
func appendLogical(t *thrift, id int16, parameters func()) {
	t.open(10)
	t.open(id)
	if parameters != nil {
		parameters()
	}
	t.end()
	t.end()
}
