package column

import (
	"encoding/json"
	"strings"
	"testing"
)

// tutorialSchema is the table's schemaString of Spark's own table, with two of the record's fields.
const tutorialSchema = `{"type":"struct","fields":[{"name":"topic","type":"string","nullable":true,"metadata":{}},` +
	`{"name":"partition","type":"integer","nullable":true,"metadata":{}},{"name":"offset","type":"long","nullable":true,"metadata":{}},` +
	`{"name":"timestamp","type":"timestamp","nullable":true,"metadata":{}},{"name":"parsedValue","type":{"type":"struct","fields":[` +
	`{"name":"ip","type":"string","nullable":true,"metadata":{}},{"name":"userid","type":"integer","nullable":true,"metadata":{}}]},"nullable":true,"metadata":{}}]}`

func TestSchemaJSON(t *testing.T) {
	field := func(typ string) string {
		return `{"type":"struct","fields":[{"name":"a","type":` + typ + `,"nullable":true,"metadata":{}}]}`
	}
	for _, tt := range []struct{ name, in, out string }{
		{"the tutorial's table", tutorialSchema, tutorialSchema},
		{"no column", `{"type":"struct","fields":[]}`, `{"type":"struct","fields":[]}`},
		{"an array", field(`{"type":"array","elementType":"double","containsNull":false}`),
			field(`{"type":"array","elementType":"double","containsNull":false}`)},
		{"a map", field(`{"type":"map","keyType":"string","valueType":{"type":"array","elementType":"date","containsNull":true},"valueContainsNull":false}`),
			field(`{"type":"map","keyType":"string","valueType":{"type":"array","elementType":"date","containsNull":true},"valueContainsNull":false}`)},
		{"a decimal with spaces, as Spark takes it", field(`"decimal( 10 , 2 )"`), field(`"decimal(10,2)"`)},
		{"a decimal without arguments", field(`"decimal"`), field(`"decimal(10,0)"`)},
		{"a decimal beyond 38 digits is not ours", field(`"decimal(39,2)"`), field(`"decimal(39,2)"`)},
		{"types of others stay as they are", field(`"variant"`), field(`"variant"`)},
		{"... and objects, but for spaces", field(`{"type": "udt", "class" : "x y"}`), field(`{"type":"udt","class":"x y"}`)},
		{"all simple types", field(`"byte"`), field(`"byte"`)},
		{"nullable left out means nullable, metadata left out means none", `{"type":"struct","fields":[{"name":"a","type":"void"}]}`,
			field(`"void"`)},
		{"containsNull left out means nulls", field(`{"type":"array","elementType":"short"}`),
			field(`{"type":"array","elementType":"short","containsNull":true}`)},
		{"metadata is kept, compact",
			`{"type":"struct","fields":[{"name":"a","type":"timestamp_ntz","nullable":false,"metadata":{ "delta.typeChanges" : [{"a": 1.50}] }}]}`,
			`{"type":"struct","fields":[{"name":"a","type":"timestamp_ntz","nullable":false,"metadata":{"delta.typeChanges":[{"a":1.50}]}}]}`},
		{"names are quoted as Jackson does",
			`{"type":"struct","fields":[{"name":"\u0001\n\"\\\/<é\u2028\u007f","type":"float","nullable":true,"metadata":{}}]}`,
			`{"type":"struct","fields":[{"name":"\u0001\n\"\\/<é` + "\u2028\u007f" + `","type":"float","nullable":true,"metadata":{}}]}`},
		{"control characters in capitals", `{"type":"struct","fields":[{"name":"\u001f\b\f","type":"float","nullable":true,"metadata":{}}]}`,
			`{"type":"struct","fields":[{"name":"\u001F\b\f","type":"float","nullable":true,"metadata":{}}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := ParseSchema(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.JSON(); got != tt.out {
				t.Errorf("got  %s\nwant %s", got, tt.out)
			}
		})
	}
}

func TestSchemaJSONIsRefused(t *testing.T) {
	deep := strings.Repeat(`{"type":"array","containsNull":true,"elementType":`, 200) + `"long"` + strings.Repeat("}", 200)
	for _, tt := range []struct{ name, in, err string }{
		{"nothing", ``, "missing"},
		{"no JSON", `{`, "unexpected end"},
		{"a simple type", `"long"`, "not struct"},
		{"an array", `{"type":"array","elementType":"long"}`, "not struct"},
		{"a field without name", `{"type":"struct","fields":[{"type":"long"}]}`, "no name"},
		{"a field without type", `{"type":"struct","fields":[{"name":"a"}]}`, "field a: a type is missing"},
		{"an array without items' type", `{"type":"struct","fields":[{"name":"a","type":{"type":"array"}}]}`, "field a: a type is missing"},
		{"a map without key", `{"type":"struct","fields":[{"name":"a","type":{"type":"map","valueType":"long"}}]}`, "a type is missing"},
		{"nested without end", `{"type":"struct","fields":[{"name":"a","type":` + deep + `}]}`, "deeper than 100"},
	} {
		if _, err := ParseSchema(tt.in); err == nil || !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.err)
		}
	}
}

// FuzzParseSchema: what is read is written as JSON that means the same, and has a layout or an error.
func FuzzParseSchema(f *testing.F) {
	f.Add(tutorialSchema)
	f.Add(`{"type":"struct","fields":[{"name":"a","type":{"type":"map","keyType":"string","valueType":"decimal(38,18)","valueContainsNull":true},"nullable":false,"metadata":{"a":[1,"x"]}}]}`)
	f.Add(`{"type":"struct","fields":[{"name":"\u0000\ud800","type":{"type":"udt","x":{}}}]}`)
	f.Add(`{"type":"struct","fields":[{"name":"a","type":{"type":"array","elementType":{"type":"struct","fields":[]},"containsNull":false}}]}`)
	f.Fuzz(func(t *testing.T, in string) {
		s, err := ParseSchema(in)
		if err != nil {
			return
		}
		out := s.JSON()
		if !json.Valid([]byte(out)) {
			t.Fatalf("not JSON: %s", out)
		}
		again, err := ParseSchema(out)
		if err != nil || !again.Equal(s) || again.JSON() != out {
			t.Fatalf("%s reads as %s, %v", out, again.JSON(), err)
		}
		if l, err := NewLayout(s); err == nil {
			NewRows(l)
		}
		_, _, _ = Merge(Schema{}, s)
	})
}
