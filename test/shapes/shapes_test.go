package shapes

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"github.com/twmb/avro"
)

func TestRecordsDecodeIntoTheirStructs(t *testing.T) {
	structs := map[string]func(*testing.T, Shape){
		"clickstream": decodes[Click], "nullable": decodes[Nullable], "nested": decodes[Nested], "arrays": decodes[Arrays],
		"maps": decodes[Maps], "wide": decodes[Wide], "widemany": decodes[Wide], "distinct": decodes[Distinct],
	}
	for _, s := range All() {
		check, ok := structs[s.Name]
		if !ok {
			t.Errorf("shape %s has no struct", s.Name)
			continue
		}
		t.Run(s.Name, func(t *testing.T) { check(t, s) })
	}
}

// decodes checks that the struct T says all that a record holds, and that Parquet gives it back.
func decodes[T any](t *testing.T, s Shape) {
	schema, err := avro.Parse(s.Schema)
	if err != nil {
		t.Fatal(err)
	}
	var rows []T
	mk := s.Make(1, 100001)
	for i := range int64(200) {
		_, value := mk(i, nil, nil)
		var row T
		if rest, err := schema.Decode(value[5:], &row); err != nil || len(rest) > 0 {
			t.Fatalf("record %d: %v, %d bytes left", i, err, len(rest))
		}
		again, err := schema.Encode(&row)
		if err != nil {
			t.Fatal(err)
		}
		// Maps have no order of their own.
		if s.Name != "maps" && !bytes.Equal(again, value[5:]) {
			t.Fatalf("record %d: the struct lacks a part of it", i)
		}
		rows = append(rows, row)
	}
	var file bytes.Buffer
	w := parquet.NewGenericWriter[T](&file)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := parquet.Read[T](bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rows, got); diff != "" {
		t.Error(diff)
	}
}
