package parquet

import (
	"bytes"
	"testing"

	pq "github.com/parquet-go/parquet-go"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/test/golden"
)

// allTypes has every type that silt writes, and each kind of nesting.
func allTypes() column.Schema {
	simple := func(k column.Kind) column.Field { return column.Nullable(k.String(), column.Primitive(k)) }
	s := column.Of(simple(column.Boolean), simple(column.Byte), simple(column.Short), simple(column.Integer), simple(column.Long),
		simple(column.Float), simple(column.Double), simple(column.String), simple(column.Binary), simple(column.Date),
		simple(column.Timestamp), simple(column.TimestampNTZ))
	for _, p := range []int{9, 18, 19, 38} {
		s.Fields = append(s.Fields, column.Nullable("decimal"+string(rune('0'+p/10))+string(rune('0'+p%10)), column.DecimalOf(p, 2)))
	}
	item := column.StructOf(column.Nullable("x", column.Primitive(column.Long)),
		column.Nullable("m", column.MapOf(column.Primitive(column.Date))))
	s.Fields = append(s.Fields, column.Nullable("struct", item), column.Nullable("array", column.ArrayOf(item)),
		column.Nullable("map", column.MapOf(column.ArrayOf(column.Primitive(column.String)))), simple(column.Void))
	return s
}

// TestFooterSchema: the schema as readers see it is the one that Spark writes (Spark's ParquetWriteSupport).
func TestFooterSchema(t *testing.T) {
	l := layout(t, allTypes())
	file, _ := writeFile(t, l, Options{CreatedBy: "silt version 1.2.3 (build abc)", Metadata: []KeyValue{{RowMetadataKey, "{}"}, {"k", "v"}}},
		nil, 1)
	f, err := pq.OpenFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	got := f.Schema().String() + "\n"
	golden.Check(t, "testdata/schema.golden", got)
	m := f.Metadata()
	if v, ok := f.Lookup(RowMetadataKey); m.CreatedBy != "silt version 1.2.3 (build abc)" || len(m.KeyValueMetadata) != 2 || v != "{}" || !ok {
		t.Errorf("created by %q, metadata %v", m.CreatedBy, m.KeyValueMetadata)
	}
	if len(m.ColumnOrders) != len(l.Leaves) { // without them pyarrow ignores the bounds
		t.Errorf("%d column orders for %d leaves", len(m.ColumnOrders), len(l.Leaves))
	}
	// What the printed schema does not show: the types of old readers, by name.
	converted := map[string]int32{}
	for _, e := range m.Schema {
		if c := e.ConvertedType; c.Valid {
			converted[e.Name] = int32(c.V)
		}
	}
	for name, c := range map[string]int32{"byte": convertedInt8, "short": convertedInt16, "string": convertedUTF8, "date": convertedDate,
		"timestamp": convertedTimestamp,
		"decimal09": convertedDecimal, "decimal38": convertedDecimal, "array": convertedList, "map": convertedMap, "key": convertedUTF8} {
		if got, ok := converted[name]; !ok || got != c {
			t.Errorf("%s has converted type %d (%t), want %d", name, got, ok, c)
		}
	}
	for _, name := range []string{"timestamp_ntz", "integer", "long", "struct", "list", "key_value", "binary"} {
		if c, ok := converted[name]; ok {
			t.Errorf("%s has converted type %d", name, c)
		}
	}
}
