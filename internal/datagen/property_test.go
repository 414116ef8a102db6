package datagen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A schemaMaker draws schemas whose annotations are right.
type schemaMaker struct {
	t     *rapid.T
	names int
}

func (m *schemaMaker) one(of ...string) string { return rapid.SampledFrom(of).Draw(m.t, "one") }

func (m *schemaMaker) record(depth int) string {
	m.names++
	name := fmt.Sprintf("r%d", m.names)
	var fields []string
	for i := range rapid.IntRange(1, 4).Draw(m.t, "fields") {
		fields = append(fields, fmt.Sprintf(`{"name":"f%d","type":%s}`, i, m.typ(depth)))
	}
	return fmt.Sprintf(`{"type":"record","name":"%s","fields":[%s]}`, name, strings.Join(fields, ","))
}

func (m *schemaMaker) typ(depth int) string {
	if depth > 0 {
		switch rapid.IntRange(0, 6).Draw(m.t, "container") {
		case 0:
			return m.record(depth - 1)
		case 1:
			return `{"type":"array","items":` + m.typ(depth-1) + `,"arg.properties":{"length":{"min":0,"max":3}}}`
		case 2:
			keys := m.one("", `,"keys":{"regex":"k[0-9]"}`, `,"keys":{"options":["a","b"]}`)
			return `{"type":"map","values":` + m.typ(depth-1) + `,"arg.properties":{"length":2` + keys + `}}`
		case 3:
			return `["null",` + m.record(depth-1) + `]`
		}
	}
	return m.one(`"null"`, `"boolean"`, `"int"`, `"long"`, `"float"`, `"double"`, `"bytes"`, `"string"`,
		`{"type":"int","arg.properties":{"range":{"min":-5,"max":5}}}`, `{"type":"int","logicalType":"date","arg.properties":{"iteration":{"start":1}}}`,
		`{"type":"long","arg.properties":{"iteration":{"start":5,"restart":-7,"step":-2}}}`,
		`{"type":"double","arg.properties":{"iteration":{"start":0.1,"step":0.3,"restart":2}}}`,
		`{"type":"string","arg.properties":{"iteration":{"start":3},"prefix":"<"}}`, `{"type":"string","arg.properties":{"regex":"[a-z]{2,5}","length":3}}`,
		`{"type":"string","arg.properties":{"options":["a","é"]}}`, `{"type":"boolean","arg.properties":{"odds":0.2}}`,
		`{"type":"bytes","logicalType":"decimal","precision":20,"scale":3}`, `["null","string",{"type":"long","arg.properties":{"options":[1]}}]`)
}

func TestAnySchemaGivesRecordsOfIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := (&schemaMaker{t: t}).record(3)
		s, err := ParseSchema([]byte(text))
		if err != nil {
			t.Fatalf("%s: %s", text, err)
		}
		o := GeneratorOptions{Seed: rapid.Int64().Draw(t, "seed"), Iteration: rapid.Int64Range(0, 1<<40).Draw(t, "iteration")}
		g, err := NewGenerator(s, o)
		if err != nil {
			t.Fatalf("%s: %s", text, err)
		}
		same, err := NewGenerator(s, o)
		if err != nil {
			t.Fatal(err)
		}
		prefix := []byte("before")
		for range 3 {
			v, _, err := g.Next(prefix)
			if err != nil {
				t.Fatalf("%s: %s", text, err)
			}
			again, _, err := same.Next(nil)
			if err != nil || !bytes.Equal(v[len(prefix):], again) || g.Reseed() != same.Reseed() {
				t.Fatalf("%s: two generators of a seed differ: %x, %x, %v", text, v, again, err)
			}
			var decoded map[string]any
			if rest, err := s.codec.Decode(again, &decoded); err != nil || len(rest) > 0 {
				t.Fatalf("%s: %x: %v, %d bytes left", text, again, err, len(rest))
			}
			if rest, err := checkedSkip(s, again); err != nil || len(rest) > 0 {
				t.Fatalf("%s: %x: skip: %v, %d bytes left", text, again, err, len(rest))
			}
			if out, rest := (jsonWriter{numeric: true}).append(nil, s, again); !json.Valid(out) || len(rest) > 0 {
				t.Fatalf("%s: %s is no JSON", text, out)
			}
		}
	})
}

func TestJavasTextsOfNumbers(t *testing.T) {
	tests := []struct {
		f    float64
		bits int
		want string
	}{
		{0, 64, "0.0"}, {1, 64, "1.0"}, {-12.5, 64, "-12.5"}, {0.001, 64, "0.001"}, {0.00099, 64, "9.9E-4"}, {9999999, 64, "9999999.0"},
		{1e7, 64, "1.0E7"}, {1.5e300, 64, "1.5E300"}, {5e-324, 64, "4.9E-324"}, {0.1, 32, "0.1"}, {1e10, 32, "1.0E10"}, {16777216, 32, "1.6777216E7"},
	}
	for _, tt := range tests {
		if got := string(appendJavaFloat(nil, tt.f, tt.bits)); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.f, got, tt.want)
		}
	}
}
