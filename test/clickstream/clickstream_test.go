package clickstream

import (
	"encoding/binary"
	"testing"

	"github.com/twmb/avro"
)

func TestRecordsAreWhatTheirSchemasSay(t *testing.T) {
	for name, test := range map[string]struct {
		schema   string
		campaign bool
	}{
		"ten fields":    {Schema, false},
		"with campaign": {SchemaV2, true},
	} {
		t.Run(name, func(t *testing.T) {
			schema, err := avro.Parse(test.schema)
			if err != nil {
				t.Fatal(err)
			}
			g := New(1)
			const n = 1000
			total, nulls := 0, 0
			for range n {
				key, value := g.Append(nil, nil, 100007, test.campaign)
				total += len(value)
				if value[0] != 0 || binary.BigEndian.Uint32(value[1:]) != 100007 {
					t.Fatalf("wire header % x", value[:5])
				}
				var got map[string]any
				rest, err := schema.Decode(value[5:], &got)
				if err != nil || len(rest) != 0 {
					t.Fatalf("decode: %v, %d bytes left", err, len(rest))
				}
				if got["ip"] != string(key) {
					t.Fatalf("key %s, ip %v", key, got["ip"])
				}
				if c, ok := got["campaign"]; ok && c == nil {
					nulls++
				}
			}
			if mean := total / n; mean < 180 || mean > 215 {
				t.Errorf("%d bytes a record, want about 194", mean)
			}
			if test.campaign && nulls != n/5 {
				t.Errorf("%d null campaigns of %d", nulls, n)
			}
		})
	}
}
