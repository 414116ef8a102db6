package avro

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/column"
)

// one binds a schema to Rows of its own type.
func one(t failer, text string, o Options) (*Program, *column.Rows) {
	t.Helper()
	s, err := Parse(text, nil)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	l, err := column.NewLayout(column.Of(column.Nullable("v", s.Type())))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	rows := column.NewRows(l)
	p, err := s.Bind(rows, l.Tree[0], o)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p, rows
}

// padded returns a buffer of the record and its slack, which is full of bytes that look like more of it.
func padded(b []byte) []byte { return paddedBy(b, 2) }

func paddedBy(b []byte, x byte) []byte {
	return append(b[:len(b):len(b)], bytes.Repeat([]byte{x}, column.Slack)...)
}

func fromHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const decimal3 = `{"type":"bytes","logicalType":"decimal","precision":3}`
const decimal20 = `{"type":"bytes","logicalType":"decimal","precision":20}`

func TestValues(t *testing.T) {
	for _, c := range []struct {
		typ, record string
		want        any
	}{
		// ints: one byte, more, the bounds, more bytes than needed
		{`"int"`, "00", int64(0)},
		{`"int"`, "01", int64(-1)},
		{`"int"`, "fe ff ff ff 0f", int64(math.MaxInt32)},
		{`"int"`, "ff ff ff ff 0f", int64(math.MinInt32)},
		{`"int"`, "82 80 80 80 00", int64(1)},
		// longs
		{`"long"`, "80 01", int64(64)},
		{`"long"`, "fe ff ff ff ff ff ff ff ff 01", int64(math.MaxInt64)},
		{`"long"`, "ff ff ff ff ff ff ff ff ff 01", int64(math.MinInt64)},
		{`"long"`, "80 80 80 80 80 80 80 01", int64(1 << 48)},
		// timestamps
		{`{"type":"long","logicalType":"timestamp-millis"}`, "03", int64(-2000)},
		{`{"type":"long","logicalType":"timestamp-micros"}`, "03", int64(-2)},
		{`{"type":"int","logicalType":"date"}`, "03", int64(-2)},
		// others of fixed length
		{`"boolean"`, "01", int64(1)},
		{`"float"`, "00 00 c0 ff", int64(0xffc00000)},
		{`"double"`, "00 00 00 00 00 00 f0 bf", int64(math.MinInt64 + 0x3ff0000000000000)},
		{`{"type":"fixed","name":"F","size":2}`, "68 69", "hi"},
		// strings: empty, of a length of two bytes, of a length in more bytes than needed
		{`"string"`, "00", ""},
		{`"string"`, "80 01" + strings.Repeat("61", 64), strings.Repeat("a", 64)},
		{`"bytes"`, "84 80 80 00 ff fe", "\xff\xfe"},
		{`{"type":"enum","name":"E","symbols":["A","B"]}`, "02", "B"},
		// decimals: sign bytes beyond the needed ones, both bounds
		{decimal3, "04 03 e7", "999"},
		{decimal3, "04 fc 19", "-999"},
		{decimal3, "24" + strings.Repeat("ff", 16) + "fc 19", "-999"},
		{decimal3, "24" + strings.Repeat("00", 17) + "01", "1"},
		{decimal20, "12 05 6b c7 5e 2d 63 0f ff ff", "99999999999999999999"},
		{decimal20, "12 fa 94 38 a1 d2 9c f0 00 01", "-99999999999999999999"},
		{decimal20, "02 ff", "-1"},
		// unions: null first and last, one branch, an index in more bytes than needed
		{`["null","int"]`, "02 06", int64(3)},
		{`["null","int"]`, "00", nil},
		{`["int","null"]`, "00 06", int64(3)},
		{`["int","null"]`, "02", nil},
		{`["int"]`, "00 06", int64(3)},
		{`["null","int"]`, "82 00 06", int64(3)},
		{`["null","int"]`, "80 80 00", nil},
		{`["null",{"type":"array","items":"int"}]`, "00", nil},
		// arrays: empty, several blocks, with sizes
		{`{"type":"array","items":"int"}`, "00", []any{}},
		{`{"type":"array","items":"int"}`, "04 02 04 02 06 00", []any{int64(1), int64(2), int64(3)}},
		{`{"type":"array","items":"int"}`, "03 04 02 04 00", []any{int64(1), int64(2)}},
		{`{"type":"array","items":["null","string"]}`, "04 00 02 02 61 01 02 00 00", []any{nil, "a", nil}},
		{`{"type":"array","items":{"type":"array","items":"boolean"}}`, "06 00 02 01 00 00 00", []any{[]any{}, []any{int64(1)}, []any{}}},
		// maps
		{`{"type":"map","values":"int"}`, "00", []entry{}},
		{`{"type":"map","values":"int"}`, "04 02 61 02 00 04 00", []entry{{"a", int64(1)}, {"", int64(2)}}},
		{`{"type":"map","values":{"type":"map","values":"int"}}`, "02 02 61 02 02 62 02 00 00", []entry{{"a", []entry{{"b", int64(1)}}}}},
		// records, with a null field that takes no bytes
		{record(`{"name":"a","type":"int"},{"name":"n","type":"null"},{"name":"b","type":"int"}`), "02 04",
			map[string]any{"a": int64(1), "b": int64(2)}},
		{`["null",` + record(`{"name":"a","type":"int"}`) + `]`, "00", nil},
	} {
		p, rows := one(t, c.typ, Options{})
		b := fromHex(t, c.record)
		for _, extra := range []string{"", "ffffffffffffffffffffff"} { // bytes after the record are accepted
			buf := padded(append(b, fromHex(t, extra)...))
			if !p.Walk(buf, 0, len(buf)-column.Slack) {
				t.Errorf("%s %s: %v", c.typ, c.record, p.Fault())
				continue
			}
			if d := diff(c.want, got(rows, buf, rows.Layout.Tree[0], 0)); d != "" {
				t.Errorf("%s %s: %s", c.typ, c.record, d)
			}
			rows.CutBack()
		}
	}
}

func TestBadRecordsAreRefused(t *testing.T) {
	const more = "10 101010101010101010101010" // a length that is fine, and bytes
	for _, c := range []struct{ typ, record, field, reason string }{
		// too short, in each kind
		{`"int"`, "", "a", "the record ends before the value does"},
		{`"int"`, "80", "a", "the record ends before the value does"},
		{`"long"`, "80 80", "a", "the record ends before the value does"},
		{`{"type":"long","logicalType":"timestamp-millis"}`, "", "a", "the record ends before the value does"},
		{`"boolean"`, "", "a", "the record ends before the value does"},
		{`"float"`, "00 00 00", "a", "the record ends before the value does"},
		{`"double"`, "00 00 00 00 00 00 00", "a", "the record ends before the value does"},
		{`"string"`, "", "a", "the record ends before the value does"},
		{`"string"`, "80", "a", "the record ends before the value does"},
		{`{"type":"fixed","name":"F","size":2}`, "00", "a", "the record ends before the value does"},
		{`{"type":"enum","name":"E","symbols":["A","B","C"]}`, "", "a", "the record ends before the value does"},
		{decimal3, "04 01", "a", "the length is 2, which is more than the rest of the record"},
		{`{"type":"fixed","name":"F","size":2,"logicalType":"decimal","precision":3}`, "01", "a", "the record ends before the value does"},
		{`["null","int"]`, "", "a", "the record ends before the value does"},
		{`["null","int"]`, "80", "a", "the record ends before the value does"},
		{`["null","int"]`, "02", "a", "the record ends before the value does"},
		{`{"type":"array","items":"int"}`, "", "a", "the record ends before the value does"},
		{`{"type":"array","items":"int"}`, "02 02", "a", "the record ends before the value does"},
		{`{"type":"array","items":"int"}`, "04 02 80", "a.element", "the record ends before the value does"},
		{`{"type":"array","items":"boolean"}`, "02 01", "a", "the record ends before the value does"},
		{`{"type":"array","items":"boolean"}`, "03", "a", "the record ends before the value does"},
		// numbers that are too long or too large
		{`"int"`, "80 80 80 80 80 00" + more, "a", "a number has too many bytes"},
		{`"int"`, "80 80 80 80 10" + more, "a", "2147483648 is no 32-bit number"},
		{`"int"`, "81 80 80 80 10" + more, "a", "-2147483649 is no 32-bit number"},
		{`{"type":"int","logicalType":"date"}`, "80 80 80 80 10" + more, "a", "2147483648 is no 32-bit number"},
		{`"long"`, "80 80 80 80 80 80 80 80 80 02" + more, "a", "a number has too many bytes"},
		{`"long"`, "80 80 80 80 80 80 80 80 80 80" + more, "a", "a number has too many bytes"},
		{`{"type":"array","items":"int"}`, "04 02 80 80 80 80 10 00" + more, "a.element", "2147483648 is no 32-bit number"},
		{`{"type":"array","items":"int"}`, "04 02 80 80 80 80 80 00 00" + more, "a.element", "a number has too many bytes"},
		{`{"type":"array","items":"long"}`, "04 02 80 80 80 80 80 80 80 80 80 80 00" + more, "a.element", "a number has too many bytes"},
		// timestamps that microseconds cannot hold: MaxInt64/1000+1 and the same below zero
		{`{"type":"long","logicalType":"timestamp-millis"}`, hex.EncodeToString(binary.AppendVarint(nil, math.MaxInt64/1000+1)), "a",
			"9223372036854776 milliseconds are out of the range of a timestamp"},
		{`{"type":"long","logicalType":"timestamp-millis"}`, hex.EncodeToString(binary.AppendVarint(nil, math.MinInt64/1000-1)), "a",
			"-9223372036854776 milliseconds are out of the range of a timestamp"},
		// booleans, enums, unions
		{`"boolean"`, "02", "a", "2 is no boolean"},
		{`{"type":"enum","name":"E","symbols":["A","B","C"]}`, "06", "a", "symbol 3 of an enum of 3"},
		{`{"type":"enum","name":"E","symbols":["A","B","C"]}`, "01", "a", "symbol -1 of an enum of 3"},
		{`["null","int"]`, "04 00", "a", "branch 2 of a union of 2"},
		{`["null","int"]`, "01 00", "a", "branch -1 of a union of 2"},
		{`["int"]`, "02 00", "a", "branch 1 of a union of 1"},
		{`["null","int"]`, "80 80 80 80 80 00 00", "a", "branch 0 of a union of 2"},
		{`["null",{"type":"array","items":"int"}]`, "06", "a", "branch 3 of a union of 2"},
		// lengths and counts
		{`"string"`, "01" + more, "a", "the length is -1"},
		{`"string"`, "1e" + more, "a", "the length is 15, which is more than the rest of the record"},
		{`"bytes"`, "fe ff ff ff ff ff ff ff ff 01" + more, "a", "the length is 9223372036854775807, which is more than the rest of the record"},
		{`"string"`, "80 80 80 80 80 80 80 80 80 80" + more, "a", "a number has too many bytes"},
		{`{"type":"array","items":"string"}`, "fe ff ff ff ff ff ff ff ff 01" + more, "a",
			"the count is 9223372036854775807, which is more than the rest of the record can hold"},
		{`{"type":"array","items":"string"}`, "ff ff ff ff ff ff ff ff ff 01 02" + more, "a", "the count is -9223372036854775808"},
		{`{"type":"array","items":"string"}`, "81 80 80 10 02" + more, "a",
			"the count is 16777217, which is more than the rest of the record can hold"},
		{`{"type":"array","items":"string"}`, "01 80 80 80 80 80 80 80 80 80 80" + more, "a", "a number has too many bytes"},
		{`{"type":"array","items":"string"}`, "01 ff ff ff ff ff ff ff ff", "a", "the record ends before the value does"},
		{`{"type":"array","items":"string"}`, "ff ff ff ff ff ff ff ff", "a", "the record ends before the value does"},
		{`{"type":"array","items":"string"}`, "40 00", "a", "the count is 32, which is more than the rest of the record can hold"},
		{`{"type":"array","items":"string"}`, "02 00 40", "a", "the count is 32, which is more than the rest of the record can hold"},
		{`{"type":"map","values":"int"}`, "02 02", "a.key", "the length is 1, which is more than the rest of the record"},
		{`{"type":"map","values":"int"}`, "02 02 61", "a.value", "the record ends before the value does"},
		{`{"type":"array","items":{"type":"map","values":` + record(`{"name":"b","type":"boolean"}`) + `}}`, "02 02 02 61 07",
			"a.element.value.b",
			"7 is no boolean"},
		// decimals
		{decimal3, "00", "a", "the decimal is empty or has more than 3 digits"},
		{decimal3, "04 03 e8", "a", "the decimal is empty or has more than 3 digits"},
		{decimal3, "04 fc 18", "a", "the decimal is empty or has more than 3 digits"},
		{decimal3, "22 01" + strings.Repeat("00", 16), "a", "the decimal is empty or has more than 3 digits"},
		{decimal3, "22 00 80" + strings.Repeat("00", 15), "a", "the decimal is empty or has more than 3 digits"},
		{decimal3, "22 ff 7f" + strings.Repeat("ff", 15), "a", "the decimal is empty or has more than 3 digits"},
		{decimal3, "20 80" + strings.Repeat("00", 15), "a", "the decimal is empty or has more than 3 digits"},
		{decimal20, "12 05 6b c7 5e 2d 63 10 00 00", "a", "the decimal is empty or has more than 20 digits"},
		{decimal3, "01", "a", "the length is -1"},
	} {
		p, rows := one(t,
			`{"type":"record","name":"Top","fields":[{"name":"z","type":"int"},{"name":"a","type":`+c.typ+`},{"name":"y","type":"string"}]}`,
			Options{})
		buf := padded(fromHex(t, "02"+c.record))
		before := pictureOf(rows)
		if p.Walk(buf, 0, len(buf)-column.Slack) {
			t.Errorf("%s %s: taken as %v", c.typ, c.record, got(rows, buf, rows.Layout.Tree[0], 0))
			rows.CutBack()
			continue
		}
		if f := p.Fault(); f != (Fault{Field: c.field, Reason: c.reason}) {
			t.Errorf("%s %s:\n got %s: %s\nwant %s: %s", c.typ, c.record, f.Field, f.Reason, c.field, c.reason)
		}
		rows.CutBack()
		if d := diff(before, pictureOf(rows)); d != "" {
			t.Errorf("%s %s left a trace: %s", c.typ, c.record, d)
		}
		for _, slack := range slacks() { // whatever follows, and nothing of it is read beyond the slack
			b := fromHex(t, "02"+c.record)
			if p.Walk(append(b[:len(b):len(b)], slack...), 0, len(b)) {
				t.Errorf("%s %s: taken where %x follows", c.typ, c.record, slack)
			}
			rows.CutBack()
		}
	}
}

// TestItemsThatCannotBeNullFollowThoseThatAre has two schemas in one list: the items' slots and their fields' slots then differ.
func TestItemsThatCannotBeNullFollowThoseThatAre(t *testing.T) {
	item := record(`{"name":"x","type":"int"}`)
	list := func(items string) string {
		return `{"type":"record","name":"Top","fields":[{"name":"v","type":{"type":"array","items":` + items + `}}]}`
	}
	var programs []*Program
	var rows *column.Rows
	for _, items := range []string{`["null",` + item + `]`, item} {
		s, err := Parse(list(items), nil)
		if err != nil {
			t.Fatal(err)
		}
		if rows == nil {
			l, err := column.NewLayout(column.Of(column.Nullable("v", s.Type())))
			if err != nil {
				t.Fatal(err)
			}
			rows = column.NewRows(l)
		}
		p, err := s.Bind(rows, rows.Layout.Tree[0], Options{})
		if err != nil {
			t.Fatal(err)
		}
		programs = append(programs, p)
	}
	x := func(n int64) any { return map[string]any{"x": n} }
	for i, c := range []struct {
		program int
		record  string
		want    []any
	}{
		{0, "06 00 02 02 00 00", []any{nil, x(1), nil}},
		{1, "04 04 06 02 08 00", []any{x(2), x(3), x(4)}},
		{0, "02 00 00", []any{nil}},
		{1, "02 0a 00", []any{x(5)}},
	} {
		buf := padded(fromHex(t, c.record))
		if !programs[c.program].Walk(buf, 0, len(buf)-column.Slack) {
			t.Fatalf("row %d: %v", i, programs[c.program].Fault())
		}
		rows.AddRow()
		if d := diff(map[string]any{"v": c.want}, got(rows, buf, rows.Layout.Tree[0], i)); d != "" {
			t.Errorf("row %d: %s", i, d)
		}
	}
}

func TestCheckedTextsOfAnyLength(t *testing.T) {
	long := strings.Repeat("61", 99)
	for _, c := range []struct{ record, reason string }{
		{"c8 01" + long + "61", ""},
		{"c8 01" + long + "ff", "the string is not UTF-8"},
		{"c8 81 00" + long + "ff", "the string is not UTF-8"}, // a length of more bytes than needed
		// what is wrong with the length comes first
		{"03 ff ff", "the length is -2"},
		{"c8 01" + long, "the length is 100, which is more than the rest of the record"},
		{"80 80 80 80 80 80 80 80 80 80", "a number has too many bytes"},
	} {
		p, rows := one(t, `"string"`, Options{CheckUTF8: true})
		b := fromHex(t, c.record)
		reason := ""
		if !p.Walk(padded(b), 0, len(b)) {
			reason = p.Fault().Reason
		}
		if reason != c.reason {
			t.Errorf("%.40s: got %q, want %q", c.record, reason, c.reason)
		}
		rows.CutBack()
	}
}

// slacks are equal bytes, and numbers of all lengths that go on after the record's end.
func slacks() [][]byte {
	var all [][]byte
	for _, x := range []byte{0, 1, 0x7f, 0x80, 0xff} {
		all = append(all, paddedBy(nil, x))
	}
	for n := range column.Slack {
		s := paddedBy(nil, 0xff)
		s[n] = 1
		all = append(all, s)
	}
	return all
}

func TestStringsAreCheckedOnRequestAndKeysUnlessKept(t *testing.T) {
	const schema = `{"type":"record","name":"R","fields":[{"name":"s","type":["null","string"]},{"name":"m","type":{"type":"map","values":"bytes"}},
		{"name":"long","type":"string"}]}`
	good := "02 02 61 02 02 62 02 ff 00 12 d0 96 61 62 63 64 65 66 67"
	badText := strings.Replace(good, "02 02 61", "02 02 ff", 1)
	badKey := strings.Replace(good, "02 02 62", "02 02 ff", 1)
	badLong := strings.Replace(good, "d0 96", "d0 61", 1)
	badEnd := strings.Replace(good, "d0 96 61 62 63 64 65 66 67", "61 62 63 64 65 66 67 68 d0", 1)
	for _, c := range []struct {
		o      Options
		record string
		field  string // "" is taken
	}{
		{Options{}, good, ""},
		{Options{CheckUTF8: true}, good, ""},
		{Options{KeepInvalidUTF8: true}, good, ""},
		// Append nulls strings later, but cannot null a key
		{Options{}, badText, ""},
		{Options{}, badLong, ""},
		{Options{}, badKey, "m.key"},
		// DROP has to know at once
		{Options{CheckUTF8: true}, badText, "s"},
		{Options{CheckUTF8: true}, badLong, "long"},
		{Options{CheckUTF8: true}, badEnd, "long"},
		{Options{CheckUTF8: true}, badKey, "m.key"},
		// kept as they are, as Spark does
		{Options{KeepInvalidUTF8: true}, badText, ""},
		{Options{KeepInvalidUTF8: true, CheckUTF8: true}, badKey, ""},
		{Options{KeepInvalidUTF8: true, CheckUTF8: true}, badText, ""},
	} {
		p, rows := one(t, schema, c.o)
		buf := padded(fromHex(t, c.record))
		ok := p.Walk(buf, 0, len(buf)-column.Slack)
		if ok != (c.field == "") {
			t.Errorf("%+v %s: the walk says %v", c.o, c.record, ok)
		}
		if want := (Fault{Field: c.field, Reason: "the string is not UTF-8", InvalidUTF8: true}); !ok && p.Fault() != want {
			t.Errorf("%+v %s: got %+v", c.o, c.record, p.Fault())
		}
		rows.CutBack()
	}
}

// TestGroupsGrowBetweenAndWithinRows has lists that end where the room does, and beyond.
func TestGroupsGrowBetweenAndWithinRows(t *testing.T) {
	text, long := genUse{t: &genType{kind: "string"}}, genUse{t: &genType{kind: "long"}}
	list := func(item genUse) genUse { return genUse{t: &genType{kind: "array", item: item}} }
	use := genUse{t: &genType{kind: "record", name: "R", fields: []genField{
		{"texts", list(text)},
		{"longs", list(long)},
		{"records", list(genUse{t: &genType{kind: "record", name: "S", fields: []genField{{"a", text}, {"b", list(text)}}}})},
		{"map", genUse{t: &genType{kind: "map", item: long}}},
	}}}
	g := newGenerator(seeded(1))
	for _, lengths := range [][]int{{column.BlockRows, 1}, {column.BlockRows - 1, 1, 1}, {column.BlockRows + 1},
		{1, 3 * column.BlockRows, 5 * column.BlockRows, 1}} {
		p, rows := one(t, use.json(map[*genType]bool{}), Options{})
		var buf []byte
		var wants []any
		at := []int{0}
		for _, n := range lengths {
			texts, longs, records, entries := []any{}, []any{}, []any{}, []entry{}
			for i := range n {
				s := fmt.Sprint(i)
				texts, longs, entries = append(texts, s), append(longs, int64(i)), append(entries, entry{s, int64(-i)})
				records = append(records, map[string]any{"a": s, "b": []any{s + "b"}})
			}
			v := map[string]any{"texts": texts, "longs": longs, "records": records, "map": entries}
			buf = g.encode(buf, use, v)
			at, wants = append(at, len(buf)), append(wants, want(use, v, rows.Layout.Tree[0]))
		}
		buf = padded(buf)
		for i := range lengths {
			if !p.Walk(buf, at[i], at[i+1]) {
				t.Fatal(p.Fault())
			}
			rows.AddRow()
		}
		for i, w := range wants {
			if d := diff(w, got(rows, buf, rows.Layout.Tree[0], i)); d != "" {
				t.Errorf("lists of %v items, row %d: %s", lengths, i, d)
			}
		}
	}
}

func TestMissingFieldsAreNullInEveryRow(t *testing.T) {
	in := column.StructOf(column.Nullable("x", column.Primitive(column.Long)), column.Nullable("Y", column.Primitive(column.String)))
	l, err := column.NewLayout(column.Of(column.Nullable("v", column.StructOf(
		column.Nullable("whole", in), column.Nullable("list", column.ArrayOf(in)), column.Nullable("A", column.Primitive(column.Integer)),
		column.Nullable("extra", column.DecimalOf(20, 2)), column.Nullable("void", column.Primitive(column.Date)),
		column.Nullable("part", in)))))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(record(`{"name":"part","type":{"type":"record","name":"P","fields":[{"name":"y","type":"string"}]}},{"name":"void","type":"null"},{"name":"a","type":"int"}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	rows := column.NewRows(l)
	p, err := s.Bind(rows, l.Tree[0], Options{})
	if err != nil {
		t.Fatal(err)
	}
	buf := padded(fromHex(t, "02 61 08"))
	want := map[string]any{"whole": nil, "list": nil, "A": int64(4), "extra": nil, "void": nil, "part": map[string]any{"x": nil, "Y": "a"}}
	for range 3 {
		if !p.Walk(buf, 0, 3) {
			t.Fatal(p.Fault())
		}
		rows.AddRow()
	}
	for i := range 3 {
		if d := diff(want, got(rows, buf, l.Tree[0], i)); d != "" {
			t.Errorf("row %d: %s", i, d)
		}
	}
	for i, g := range rows.Groups {
		if path := l.Groups[i]; path.Node >= 0 && len(l.Nodes[path.Node].Path) == 2 && l.Nodes[path.Node].Path[1] != "part" && g.N != 0 {
			t.Errorf("what is absent has %d slots in group %d", g.N, i)
		}
	}
}

func TestAVoidColumnOfTheTableTakesTheRecord(t *testing.T) {
	table := column.Of(column.Nullable("v", column.StructOf(column.Nullable("a", column.Primitive(column.Void)))))
	s, err := Parse(record(`{"name":"a","type":"int"}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	merged, _, err := column.Merge(table, column.Of(column.Nullable("v", s.Type())))
	if err != nil {
		t.Fatal(err)
	}
	l, err := column.NewLayout(merged)
	if err != nil {
		t.Fatal(err)
	}
	rows := column.NewRows(l)
	p, err := s.Bind(rows, l.Tree[0], Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !p.Walk(padded([]byte{2}), 0, 1) || got(rows, nil, l.Tree[0], 0).(map[string]any)["a"] != int64(1) {
		t.Errorf("got %v, %v", got(rows, nil, l.Tree[0], 0), p.Fault())
	}
}

// TestOneRowsItemsAreBounded has records whose items need far more memory than bytes.
func TestOneRowsItemsAreBounded(t *testing.T) {
	wide := column.StructOf()
	for i := range 1000 {
		wide.Fields = append(wide.Fields, column.Nullable("f"+big.NewInt(int64(i)).String(), column.Primitive(column.Long)))
	}
	longs := column.ArrayOf(column.Primitive(column.Long))
	l, err := column.NewLayout(column.Of(column.Nullable("v", column.StructOf(column.Nullable("longs", longs), column.Nullable("more", longs),
		column.Nullable("wide", column.ArrayOf(wide))))))
	if err != nil {
		t.Fatal(err)
	}
	rows := column.NewRows(l)
	for _, c := range []struct {
		schema string
		first  int // items of another list before
		weight int // slots of an item
	}{
		{record(`{"name":"longs","type":{"type":"array","items":"long"}}`), 0, 1},
		{record(`{"name":"more","type":{"type":"array","items":"long"}},{"name":"longs","type":{"type":"array","items":"long"}}`), 1000, 1},
		{record(`{"name":"wide","type":{"type":"array","items":{"type":"record","name":"W","fields":[{"name":"f7","type":["null","long"]}]}}}`),
			0, 1001},
	} {
		s, err := Parse(c.schema, nil)
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Bind(rows, l.Tree[0], Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []struct{ blocks, more int }{{1, 0}, {1, 1}, {7, 0}, {7, 1}} {
			items := maxValues/c.weight + k.more - c.first
			var b []byte
			if c.first > 0 {
				b = append(binary.AppendVarint(b, int64(c.first)), make([]byte, c.first+1)...)
			}
			for left := items; left > 0; {
				n := min(left, (items+k.blocks-1)/k.blocks)
				b = append(binary.AppendVarint(b, int64(n)), make([]byte, n)...)
				left -= n
			}
			buf := padded(append(b, 0))
			ok := p.Walk(buf, 0, len(buf)-column.Slack)
			if ok != (k.more == 0) {
				t.Errorf("%s: %d items in %d blocks: %v, %v", c.schema, items, k.blocks, ok, p.Fault())
			}
			if !ok && p.Fault().Reason != "the record's arrays and maps take more than 4194304 values" {
				t.Errorf("got %v", p.Fault())
			}
			rows.CutBack()
		}
	}
}

// TestMixedNullsReadTheSame reads records before and after Learn, the indices of their unions in all forms.
func TestMixedNullsReadTheSame(t *testing.T) {
	const schema = `{"type":"record","name":"R","fields":[{"name":"s","type":["null","string"]},{"name":"i","type":["int","null"]},{"name":"l","type":["null","long"]}]}`
	p, rows := one(t, schema, Options{})
	block := column.NewBlock(rows.Layout, column.BlockOptions{Seed: 1})
	records := []string{
		"02 02 61 00 02 02 02",
		"00 02 00",
		"02 80 01" + strings.Repeat("62", 64) + "00 80 01 02 80 80 01",
		"02 84 00 61 62 00 82 80 80 80 00 02 fe ff ff ff ff ff ff ff ff 01",
		"80 00 82 00 80 80 00", // nulls, the indices in more bytes than needed
		"82 00 02 63 80 00 02 82 00 04",
		"00 02 00",
		"00 00 ff ff ff ff 0f 02 80 80 80 80 80 80 80 01",
	}
	bad := []string{"04", "01", "02", "02 80", "02 01", "02 01 02 00", "02 03 61 02 00", "02 7e 61", "00 01", "00 00",
		"00 00 80 80 80 80 10 00", "00 00 82 80 80 80 80 00 00",
		"00 02 03", "00 02 02", "00 02 02 80", "00 02 02 80 80 80 80 80 80 80 80 80 80", "02 80 80 80 80 80 80 80 80 80 80", ""}
	var want []any
	for pass := range 4 {
		var buf []byte
		var at [][2]int
		for _, r := range records {
			b := fromHex(t, r)
			at = append(at, [2]int{len(buf), len(buf) + len(b)})
			buf = append(buf, b...)
		}
		buf = padded(buf)
		for i, a := range at {
			if !p.Walk(buf, a[0], a[1]) {
				t.Fatalf("pass %d, record %d: %v", pass, i, p.Fault())
			}
			rows.AddRow()
			for _, r := range bad {
				b := padded(fromHex(t, r))
				p.Learn() // the record before may have had an index of more bytes than needed
				if p.Walk(b, 0, len(b)-column.Slack) {
					t.Fatalf("pass %d: %s is taken as %v", pass, r, got(rows, b, rows.Layout.Tree[0], i+1))
				}
				rows.CutBack()
			}
		}
		var all []any
		for i := range at {
			all = append(all, got(rows, buf, rows.Layout.Tree[0], i))
		}
		if pass == 0 {
			want = all
		}
		if d := diff(want, all); d != "" {
			t.Fatalf("pass %d: %s", pass, d)
		}
		block.Append(buf, rows)
		p.Learn()
		mixed := 0
		for i := range p.ops {
			if k := p.ops[i].kind; k == opStringMixed || k == opIntMixed || k == opLongMixed {
				mixed++
			}
		}
		if mixed != 3 {
			t.Fatalf("pass %d: %d operations of 3 learned from %d nulls of %d", pass, mixed, rows.Leaves[0].LastNulls, rows.Leaves[0].LastSlots)
		}
	}
}

func TestLearnLeavesTheBranchOutWhereNullsAreMixed(t *testing.T) {
	p, rows := one(t, `["null","string"]`, Options{})
	for _, c := range []struct {
		slots, nulls int
		want         opKind
	}{
		{0, 0, opString},
		{256, 0, opString},
		{256, 47, opString},
		{256, 48, opStringMixed}, // 3/16
		{256, 128, opStringMixed},
		{256, 208, opStringMixed}, // 13/16
		{256, 209, opString},
		{256, 256, opString},
	} {
		rows.Leaves[0].LastSlots, rows.Leaves[0].LastNulls = c.slots, c.nulls
		if p.Learn(); p.ops[0].kind != c.want || p.ops[0].branch != (c.want == opString) {
			t.Errorf("%d nulls of %d: got kind %d", c.nulls, c.slots, p.ops[0].kind)
		}
	}
}

func TestWalkDoesNotAllocate(t *testing.T) {
	for _, s := range shapes() {
		p, rows := one(t, s.schema, Options{})
		buf := padded(s.row(rand.New(rand.NewPCG(1, 2)), 1, nil))
		if n := testing.AllocsPerRun(100, func() {
			if !p.Walk(buf, 0, len(buf)-column.Slack) {
				t.Fatal(p.Fault())
			}
			rows.CutBack()
		}); n != 0 {
			t.Errorf("%s: %v allocations a record", s.name, n)
		}
	}
}
