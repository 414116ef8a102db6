package avro

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	twmb "github.com/twmb/avro"
	"pgregory.net/rapid"
)

func codec(t testing.TB, text string, references ...string) *Codec {
	t.Helper()
	c, err := ParseCodec(text, references)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

// Every row is read back as it was written: the JSON that peek prints is JSON that produce takes.
func TestCodecWritesAndReadsTheSameJSON(t *testing.T) {
	tests := []struct{ name, schema, wire, json string }{
		{"null", `"null"`, "", `null`},
		{"boolean", `"boolean"`, "01", `true`},
		{"int", `"int"`, "01", `-1`},
		{"a long beyond 2^53", `"long"`, "8280808080808020", `9007199254740993`},
		{"float", `"float"`, "cdcccc3d", `0.1`},
		{"a large double", `"double"`, "00a138149b39df43", `9000000000000000000`},
		{"not a number", `"double"`, "000000000000f87f", `"NaN"`},
		{"minus infinity", `"float"`, "000080ff", `"-Infinity"`},
		{"a string with quotes and HTML", `"string"`, "0a" + hex.EncodeToString([]byte(`<"é>`)), `"<\"é>"`},
		{"bytes are base64", `"bytes"`, "0400ff", `"AP8="`},
		{"fixed", `{"type":"fixed","name":"f","size":2}`, "00ff", `"AP8="`},
		{"enum", `{"type":"enum","name":"e","symbols":["A","B"]}`, "02", `"B"`},
		{"a decimal keeps its scale", `{"type":"bytes","logicalType":"decimal","precision":6,"scale":2}`, "0404e2", `12.50`},
		{"a negative decimal below one", `{"type":"bytes","logicalType":"decimal","precision":6,"scale":4}`, "02ff", `-0.0001`},
		{"a decimal in a fixed", `{"type":"fixed","name":"d","size":4,"logicalType":"decimal","precision":6,"scale":0}`, "ffffff38", `-200`},
		{"date", `{"type":"int","logicalType":"date"}`, "96bf02", `"2025-12-05"`},
		{"a date before 1970", `{"type":"int","logicalType":"date"}`, "01", `"1969-12-31"`},
		{"time", `{"type":"int","logicalType":"time-millis"}`, "b6c3f52c", `"13:05:00.123"`},
		{"timestamp-millis", `{"type":"long","logicalType":"timestamp-millis"}`, "01", `"1969-12-31T23:59:59.999Z"`},
		{"timestamp-micros", `{"type":"long","logicalType":"timestamp-micros"}`, "02", `"1970-01-01T00:00:00.000001Z"`},
		{"timestamp-nanos", `{"type":"long","logicalType":"timestamp-nanos"}`, "01", `"1969-12-31T23:59:59.999999999Z"`},
		{"a local timestamp has no zone", `{"type":"long","logicalType":"local-timestamp-millis"}`, "02", `"1970-01-01T00:00:00.001"`},
		{"a year that ISO 8601 has not", `{"type":"long","logicalType":"timestamp-millis"}`, "feffffffffffffffff01", `9223372036854775807`},
		{"uuid in a fixed", `{"type":"fixed","name":"u","size":16,"logicalType":"uuid"}`, "00112233445566778899aabbccddeeff",
			`"00112233-4455-6677-8899-aabbccddeeff"`},
		{"duration", `{"type":"fixed","name":"u","size":12,"logicalType":"duration"}`, "010000000200000003000000",
			`{"months":1,"days":2,"milliseconds":3}`},
		{"a logical type on a wrong type is none", `{"type":"string","logicalType":"date"}`, "0278", `"x"`},
		{"an empty array", `{"type":"array","items":"int"}`, "00", `[]`},
		{"array", `{"type":"array","items":"int"}`, "04020400", `[1,2]`},
		{"map", `{"type":"map","values":"int"}`, "02026b0200", `{"k":1}`},
		{"a nullable value", `["null","string"]`, "020278", `"x"`},
		{"a null", `["string","null"]`, "02", `null`},
		{"int or long is a number", `["long","int"]`, "0002", `1`},
		{"other unions name the member", `["null","int","string"]`, "040278", `{"member1":"x"}`},
		{"a record", `{"type":"record","name":"r","fields":[{"name":"b","type":"int"},{"name":"a","type":["null","int"]}]}`, "0200",
			`{"b":1,"a":null}`},
		{"a record in itself", `{"type":"record","name":"n.list","fields":[{"name":"v","type":"int"},{"name":"next","type":["null","list"]}]}`,
			"02020400", `{"v":1,"next":{"v":2,"next":null}}`},
		{"a map that looks like a named member", `["null",{"type":"map","values":"string"}]`, "0202066d6170027800", `{"map":"x"}`},
	}
	for _, tt := range tests {
		wire, err := hex.DecodeString(strings.ReplaceAll(tt.wire, " ", ""))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		c := codec(t, tt.schema)
		got, err := c.AppendJSON(nil, wire)
		if err != nil || string(got) != tt.json {
			t.Errorf("%s: JSON is %s, %v; want %s", tt.name, got, err, tt.json)
		}
		back, err := c.AppendBinary(nil, []byte(tt.json))
		if err != nil || !bytes.Equal(back, wire) {
			t.Errorf("%s: bytes are %x, %v; want %x", tt.name, back, err, wire)
		}
	}
}

// What a user of other tools writes is taken too.
func TestCodecTakesOtherFormsOfValues(t *testing.T) {
	const record = `{"type":"record","name":"n.r","fields":[{"name":"a","type":["null","string"],"default":null},{"name":"b","type":"int","default":7}]}`
	tests := []struct{ name, schema, json, wire string }{
		{"Avro's JSON names the type", `["null","string"]`, `{"string":"x"}`, "020278"},
		{"a named type by its full name", `["null",` + record + `]`, `{"n.r":{"a":{"string":"x"},"b":1}}`, "0202027802"},
		{"goavro's name of a logical type", `["null",{"type":"long","logicalType":"timestamp-millis"}]`, `{"long.timestamp-millis":1}`, "0202"},
		{"the first type that fits", `["int","string"]`, `"x"`, "020278"},
		{"a number that no int holds", `["int","long"]`, `4294967296`, "028080808020"},
		{"fields with a default may be missing", record, `{}`, "000e"},
		{"a timestamp as a number", `{"type":"long","logicalType":"timestamp-micros"}`, `1`, "02"},
		{"a timestamp with an offset and no fraction", `{"type":"long","logicalType":"timestamp-millis"}`, `"1970-01-01T01:00:01+01:00"`, "d00f"},
		{"a decimal as a string", `{"type":"bytes","logicalType":"decimal","precision":6,"scale":2}`, `"12.5"`, "0404e2"},
		{"a decimal with an exponent", `{"type":"bytes","logicalType":"decimal","precision":6,"scale":2}`, `125e-1`, "0404e2"},
		{"two records: the one whose fields fit", `[` + record + `,{"type":"record","name":"s","fields":[{"name":"z","type":"int"}]}]`, `{"z":1}`,
			"0202"},
	}
	for _, tt := range tests {
		got, err := codec(t, tt.schema).AppendBinary(nil, []byte(tt.json))
		if want := strings.ReplaceAll(tt.wire, " ", ""); err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%s: %x, %v; want %s", tt.name, got, err, want)
		}
	}
}

func TestCodecNamesTheFieldThatIsWrong(t *testing.T) {
	const schema = `{"type":"record","name":"order","fields":[{"name":"id","type":"int"},
		{"name":"items","type":{"type":"array","items":{"type":"record","name":"item","fields":[{"name":"sku","type":"string"},
			{"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}}]}},"default":[]},
		{"name":"tags","type":["null",{"type":"map","values":"int"}],"default":null},
		{"name":"kind","type":["null",{"type":"enum","name":"kind","symbols":["A","B"]}],"default":null},
		{"name":"at","type":["null",{"type":"long","logicalType":"timestamp-millis"},"boolean"],"default":null}]}`
	tests := []struct{ json, path, why string }{
		{``, "", "it is no JSON: there is no value"},
		{`{} {}`, "", "something follows the value"},
		{`[]`, "", "an array is not an object, as record order needs"},
		{`{}`, "id", "it is missing, and the schema has no default for it"},
		{`{"id":"7"}`, "id", `"7" is not an int`},
		{`{"id":1.5}`, "id", "1.5 is not an int number without a fraction, of 32 bits"},
		{`{"id":2147483648}`, "id", "2147483648 is not an int number without a fraction, of 32 bits"},
		{`{"id":null}`, "id", "null is not an int"},
		{`{"id":1,"itmes":[]}`, "itmes", `record order has no such field; did you mean "items"?`},
		{`{"id":1,"items":[{"sku":"a","price":1},{"sku":2,"price":1}]}`, "items[1].sku", "2 is not a string"},
		{`{"id":1,"items":[{"sku":"a","price":1.005}]}`, "items[0].price", "1.005 has more digits after the point than a decimal(4,2)"},
		{`{"id":1,"items":[{"sku":"a","price":100}]}`, "items[0].price", "100 has more digits than a decimal(4,2)"},
		{`{"id":1,"items":[{"sku":"a","price":1e999999999}]}`, "items[0].price", "1e999999999 is not a decimal(4,2)"},
		{`{"id":1,"tags":{"x":"y"}}`, "tags[x]", `"y" is not an int`},
		{`{"id":1,"kind":"C"}`, "kind", `"C" is not one of A, B`},
		{`{"id":1,"at":"noon"}`, "at", `"noon" is not a timestamp-millis such as "2026-01-01T00:00:00.000Z"`},
		{`{"id":1,"at":[]}`, "at", "an array is not of any type of the union [null, long, boolean]"},
	}
	c := codec(t, schema)
	for _, tt := range tests {
		_, err := c.AppendBinary(nil, []byte(tt.json))
		var v *ValueError
		if !errors.As(err, &v) || v.Path != tt.path || v.Why != tt.why {
			t.Errorf("%s:\ngot  %v\nwant field %s: %s", tt.json, err, tt.path, tt.why)
		}
	}
}

func TestCodecNamesThePlaceThatCannotBeRead(t *testing.T) {
	const schema = `{"type":"record","name":"r","fields":[{"name":"a","type":{"type":"array","items":["null","string"]}},
		{"name":"e","type":{"type":"enum","name":"e","symbols":["A"]}},{"name":"m","type":{"type":"map","values":"boolean"}}]}`
	tests := []struct{ wire, path, why string }{
		{"", "a", "the value ends too early"},
		{"02", "a[0]", "the value ends too early"},
		{"0204", "a[0]", "the union has no type 2"},
		{"020202ff", "a[0]", "the string is not UTF-8"},
		{"0202ffffffffffffffffffff01", "a[0]", "a number has more than 64 bits"},
		{"020201", "a[0]", "a length is -1"},
		{"0002", "e", "the enum has no symbol 1"},
		{"000002026b", "m[k]", "the value ends too early"},
		{"000002", "m[key]", "the value ends too early"},
	}
	c := codec(t, schema)
	for _, tt := range tests {
		wire, err := hex.DecodeString(tt.wire)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.AppendJSON(nil, wire)
		var v *ValueError
		if !errors.As(err, &v) || v.Path != tt.path || v.Why != tt.why {
			t.Errorf("%s:\ngot  %v\nwant field %s: %s", tt.wire, err, tt.path, tt.why)
		}
	}
}

// A few bytes can neither fill the memory nor the stack.
func TestCodecBoundsHostileValues(t *testing.T) {
	nulls := codec(t, `{"type":"array","items":"null"}`)
	if _, err := nulls.AppendJSON(nil, []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}); err == nil {
		t.Error("2^62 nulls in ten bytes are read")
	}
	list := codec(t, `{"type":"record","name":"list","fields":[{"name":"next","type":["null","list"]}]}`)
	if _, err := list.AppendJSON(nil, bytes.Repeat([]byte{2}, 1<<20)); err == nil || !strings.Contains(err.Error(), "nested deeper than 500") {
		t.Errorf("a list of a million records: %v", err)
	}
	// Each level fits either record up to its end: without a bound the search doubles with every level.
	ambiguous := codec(t, `{"type":"record","name":"a","fields":[{"name":"v","type":["null","a",
		{"type":"record","name":"b","fields":[{"name":"v","type":["null","a","b"]}]}]}]}`)
	text := strings.Repeat(`{"v":`, 60) + `7` + strings.Repeat(`}`, 60)
	if _, err := ambiguous.AppendBinary(nil, []byte(text)); err == nil {
		t.Error("a value that fits nothing is taken")
	}
}

func TestCodecUsesReferences(t *testing.T) {
	c := codec(t, `{"type":"record","name":"order","namespace":"shop","fields":[{"name":"by","type":"shop.person"}]}`,
		`{"type":"record","name":"person","namespace":"shop","fields":[{"name":"name","type":"string"}]}`)
	got, err := c.AppendJSON(nil, []byte("\x02x"))
	if err != nil || string(got) != `{"by":{"name":"x"}}` {
		t.Errorf("got %s, %v", got, err)
	}
}

// Registries hold schemas with defaults that do not fit; they can be read all the same.
func TestCodecReadsSchemasWithInvalidDefaults(t *testing.T) {
	c := codec(t, `{"type":"record","name":"r","fields":[{"name":"n","type":"int","default":"x"}]}`)
	if got, err := c.AppendJSON(nil, []byte{2}); err != nil || string(got) != `{"n":1}` {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := c.AppendBinary(nil, []byte(`{}`)); err == nil {
		t.Error("the invalid default is used")
	}
	if _, err := ParseCodec(`{"type":"record"}`, nil); err == nil {
		t.Error("a record without name and fields is taken")
	}
}

// Random values of random schemas: what is written is read back to the same bytes, and another library reads the same number of bytes.
func TestCodecRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := newGenerator(rapidDice{t})
		u := genUse{t: g.record(2)}
		schema := u.json(map[*genType]bool{})
		g.dice = seeded(rapid.Uint64().Draw(t, "seed of the values"))
		wire := g.encode(nil, u, g.value(u))
		c, err := ParseCodec(schema, nil)
		if err != nil {
			t.Fatalf("%s: %v", schema, err)
		}
		text, err := c.AppendJSON(nil, wire)
		if err != nil {
			t.Fatalf("%s\n%x: %v", schema, wire, err)
		}
		if !json.Valid(text) {
			t.Fatalf("%s: not JSON: %s", schema, text)
		}
		back, err := c.AppendBinary(nil, text)
		if err != nil {
			t.Fatalf("%s\n%s: %v", schema, text, err)
		}
		again, err := c.AppendJSON(nil, back)
		if err != nil || !sameJSON(text, again) {
			t.Fatalf("%s\nwritten %s\nread    %s %v", schema, text, again, err)
		}
		s, err := twmb.Parse(schema, twmb.WithLaxNames(nil))
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if rest, err := s.Decode(back, &v); err != nil || len(rest) > 0 {
			t.Fatalf("%s\n%x: twmb leaves %d bytes: %v", schema, back, len(rest), err)
		}
	})
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && cmp.Equal(x, y)
}

func FuzzCodecReadsAnything(f *testing.F) {
	f.Add(`"int"`, []byte{2})
	f.Add(`{"type":"array","items":["null","string"]}`, []byte{2, 2, 2, 'x', 0})
	f.Add(`{"type":"record","name":"r","fields":[{"name":"next","type":["null","r"]}]}`, []byte{2, 2, 0})
	f.Add(`{"type":"map","values":{"type":"bytes","logicalType":"decimal","precision":9,"scale":3}}`, []byte{2, 2, 'k', 2, 5, 0})
	f.Fuzz(func(t *testing.T, schema string, data []byte) {
		c, err := ParseCodec(schema, nil)
		if err != nil {
			return
		}
		if text, err := c.AppendJSON(nil, data); err == nil && !json.Valid(text) {
			t.Errorf("%s: %x: not JSON: %s", schema, data, text)
		}
	})
}

func FuzzCodecWritesAnything(f *testing.F) {
	f.Add(`"int"`, `1`)
	f.Add(`["null","string"]`, `{"string":"x"}`)
	f.Add(`{"type":"bytes","logicalType":"decimal","precision":9,"scale":3}`, `1e3`)
	f.Add(`{"type":"record","name":"r","fields":[{"name":"d","type":{"type":"int","logicalType":"date"}}]}`, `{"d":"2026-01-31"}`)
	f.Fuzz(func(t *testing.T, schema, text string) {
		c, err := ParseCodec(schema, nil)
		if err != nil {
			return
		}
		wire, err := c.AppendBinary(nil, []byte(text))
		if err != nil {
			return
		}
		if _, err := c.AppendJSON(nil, wire); err != nil && !strings.Contains(err.Error(), "UTF-8") &&
			!strings.Contains(err.Error(), "have no bytes") &&
			!strings.Contains(err.Error(), "nested deeper") {
			t.Errorf("%s: %s is written as %x and not read: %v", schema, text, wire, err)
		}
	})
}

func TestDiffNamesFields(t *testing.T) {
	old := codec(t, `{"type":"record","name":"click","fields":[{"name":"ip","type":"string"},{"name":"bytes","type":"int"},
		{"name":"gone","type":"long"},{"name":"user","type":{"type":"record","name":"user","fields":[{"name":"id","type":"int"}]}},
		{"name":"kind","type":{"type":"enum","name":"kind","symbols":["A"]}}]}`)
	changed := codec(t, `{"type":"record","name":"click","doc":"no change","fields":[{"name":"ip","type":["null","string"],"default":null},{"name":"bytes","type":"long"},
		{"name":"user","type":{"type":"record","name":"user","fields":[{"name":"id","type":"int"},{"name":"name","type":"string","default":""}]}},
		{"name":"kind","type":{"type":"enum","name":"kind","symbols":["A","B"]}},
		{"name":"tags","type":{"type":"array","items":{"type":"record","name":"tag","fields":[{"name":"k","type":"string"}]}}},
		{"name":"self","type":["null","click"],"default":null}]}`)
	want := []Change{
		{"changed", "ip", "string", "null | string, default null"},
		{"changed", "bytes", "int", "long"},
		{"removed", "gone", "long", ""},
		{"changed", "kind", "enum kind {A}", "enum kind {A, B}"},
		{"added", "user.name", "", `string, default ""`},
		{"added", "tags", "", "array of record tag"},
		{"added", "self", "", "null | record click, default null"},
	}
	if diff := cmp.Diff(want, Diff(old, changed)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := Diff(changed, changed); len(got) > 0 {
		t.Errorf("a schema differs from itself: %v", got)
	}
	if diff := cmp.Diff([]Change{{"changed", "", "int", "string"}}, Diff(codec(t, `"int"`), codec(t, `"string"`))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
