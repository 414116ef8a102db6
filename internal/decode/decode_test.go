package decode

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/registry"
	"github.com/siltlake/silt/internal/stream"
	"github.com/siltlake/silt/test/golden"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The schemas of the table test; ids that a case uses once stand with it.
const (
	flat = `{"type":"record","name":"r","fields":[{"name":"a","type":"string"},{"name":"n","type":["null","int"]}]}`
	rich = `{"type":"record","name":"r","fields":[{"name":"e","type":{"type":"enum","name":"e","symbols":["A","B"]}},
		{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":3,"scale":1}},
		{"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},
		{"name":"m","type":{"type":"map","values":"string"}},{"name":"l","type":{"type":"array","items":"string"}}]}`
	deep = `{"type":"record","name":"r","fields":[{"name":"a","type":{"type":"array","items":{"type":"array","items":
		{"type":"array","items":"int"}}}}]}`
)

// badRecords is the table of docs/bad-records.md, row by row.
func badRecords() []struct {
	name string
	m    message
} {
	rec := func(parts ...any) []byte { return value(2, parts...) }
	return []struct {
		name string
		m    message
	}{
		{"good", message{[]byte("k"), value(1, "x", 1, 7), 1000}},
		{"good, bytes after the record", message{[]byte("k"), value(1, "x", 0, "more"), 1000}},
		{"good, no key", message{nil, value(1, "x", 0), 1000}},
		{"tombstone", message{[]byte("k"), nil, 1000}},
		{"empty value", message{[]byte("k"), []byte{}, 1000}},
		{"four bytes", message{[]byte("k"), []byte{0, 0, 0, 1}, 1000}},
		{"JSON without a registry", message{[]byte("k"), []byte(`{"a":1}`), 1000}},
		{"a GUID in the value", message{[]byte("k"), append([]byte{1}, make([]byte, 20)...), 1000}},
		{"unknown id", message{[]byte("k"), value(99, "x", 0), 1000}},
		{"a negative id", message{[]byte("k"), value(-2, "x", 0), 1000}},
		{"header alone", message{[]byte("k"), header(1), 1000}},
		{"truncated string", message{[]byte("k"), append(header(1), 20, 'x'), 1000}},
		{"union branch", message{[]byte("k"), value(1, "x", 2, 7), 1000}},
		{"enum index", message{[]byte("k"), rec(5, []byte{1}, 0, 0, 0), 1000}},
		{"decimal beyond its precision", message{[]byte("k"), rec(0, []byte{0x7f, 0xff}, 0, 0, 0), 1000}},
		{"timestamp overflow", message{[]byte("k"), rec(0, []byte{1}, int64(1)<<62, 0, 0), 1000}},
		{"fault behind lists", message{[]byte("k"), rec(0, []byte{1}, 0, 1, "k", "v", 0, 2, "a", "b", 0)[:17], 1000}},
		{"key is not UTF-8", message{[]byte("k\xff"), value(1, "x", 1, 7), 1000}},
		{"key is not UTF-8, tombstone", message{[]byte("\xff"), nil, 1000}},
		{"key is not UTF-8, unknown id", message{[]byte("\xff"), value(99), 1000}},
		{"field is not UTF-8", message{[]byte("k"), value(1, "\xffx", 1, 7), 1000}},
		{"key and fields are not UTF-8", message{[]byte("\xff"), rec(0, []byte{1}, 0, 1, "k", "\xff", 0, 3, "a", "\xc0", "\xff", 0), 1000}},
		{"a map's key is not UTF-8", message{[]byte("k"), rec(0, []byte{1}, 0, 1, "\xff", "v", 0, 0), 1000}},
		{"too large", message{[]byte("k"), value(1, strings.Repeat("x", 200), 0), 1000}},
		{"key too large", message{[]byte(strings.Repeat("k", 201)), nil, 1000}},
		{"too deep", message{[]byte("k"), value(3, 0), 1000}},
	}
}

func TestBadRecords(t *testing.T) {
	var b strings.Builder
	for _, mode := range []Mode{Failfast, Permissive, Drop} {
		fmt.Fprintf(&b, "== %s\n", mode)
		for _, tt := range badRecords() {
			o := options(mode, Offset, Key, ValueSchemaID, ParsedValue)
			o.MaxRecordBytes, o.MaxDepth = 200, 3
			d := New(o, texts{1: flat, 2: rich, 3: deep})
			// A good record before and after: what is bad must not spoil its neighbours.
			good := message{[]byte("good"), value(1, "before", 1, 1), 1000}
			if strings.HasPrefix(tt.name, "enum") || strings.Contains(tt.name, "lists") {
				good.value = value(2, 1, []byte{9}, 5, 1, "k", "v", 0, 1, "i", 0)
			}
			got := decodeAll(d, column.Schema{}, recordsOf(40, good, tt.m, good))
			fmt.Fprintf(&b, "\n-- %s\n", tt.name)
			for _, r := range got.rows() {
				fmt.Fprintf(&b, "row    %s\n", r)
			}
			if got.err != nil {
				fmt.Fprintf(&b, "error  %s\n", showError(got.err))
			}
			fmt.Fprintf(&b, "report %s\n", showReport(got.report))
		}
		b.WriteString("\n")
	}
	golden.Check(t, "testdata/bad-records.golden", b.String())
}

func TestSchemasThatStopTheQueryInEveryMode(t *testing.T) {
	tests := []struct {
		name   string
		schema any
		want   string
	}{
		{"a general union", `{"type":"record","name":"r","fields":[{"name":"u","type":["string","int"]}]}`,
			"field parsedValue.u  E4003 avro type union [string, int]: silt reads unions of null and one type"},
		{"recursion", `{"type":"record","name":"r","fields":[{"name":"next","type":["null","r"]}]}`,
			"field parsedValue.next  E4003 avro type r: "},
		{"a record without fields", `{"type":"record","name":"r","fields":[]}`, "field parsedValue  E4003 avro type record r: "},
		{"a decimal of too many digits", `{"type":"record","name":"r","fields":[{"name":"d","type":
			{"type":"bytes","logicalType":"decimal","precision":39}}]}`,
			"field parsedValue.d  E4003 avro type bytes: decimal precision 39"},
		{"text that is no schema", `{"type":"recor"}`, "  E4004 avro schema: "},
		{"JSON Schema", registry.Schema{ID: 8, Type: "JSON", Text: "{}"}, "  E4003 schemas of type JSON are not supported yet"},
		{"Protobuf", registry.Schema{ID: 8, Type: "PROTOBUF", Text: "syntax"}, "  E4003 schemas of type PROTOBUF are not supported yet"},
		{"a reference that is not there", &registry.BrokenError{ID: 8, Why: "it refers to subject s version 1"},
			"  E4004 the schema cannot be used: it refers to subject s version 1"},
	}
	for _, tt := range tests {
		for _, mode := range []Mode{Failfast, Permissive, Drop} {
			d := New(options(mode, Offset, ParsedValue), texts{1: flat, 8: tt.schema})
			got := decodeAll(d, column.Schema{}, recordsOf(10, message{value: value(1, "x", 0)}, message{value: header(8)}))
			p := problem.Of(got.err)
			if len(p) != 1 || p[0].Exit() != problem.ExitSchemaChange || p[0].Hint == "" ||
				!strings.HasPrefix(p[0].Error(), "topic clicks partition 3 offset 11, schema id 8") || !strings.Contains(p[0].Error(), tt.want) {
				t.Errorf("%s, %s: got %v, want %s", tt.name, mode, got.err, tt.want)
			}
			if len(got.rows()) != 1 {
				t.Errorf("%s, %s: rows %q", tt.name, mode, got.rows())
			}
		}
	}
}

func TestTheLimitOfSchemaIDsCountsABatchOverItsWorkers(t *testing.T) {
	o := options(Permissive, Offset, ParsedValue)
	o.MaxSchemasPerBatch = 2
	d := New(o, texts{1: flat, 2: rich, 4: flat, 5: flat})
	decodeID := func(dec stream.Decoder, id int32) error {
		return dec.Decode(t.Context(), recordsOf(0, message{value: value(id, "x", 0)}), &memory{})
	}
	for attempt := range 3 { // the next batch, or attempt, counts anew
		begun := d.Begin(column.Schema{})
		a, b := begun(), begun()
		for _, id := range []int32{1, 4, 1, 77, 4} { // 77 is unknown
			if err := decodeID(a, id); err != nil {
				t.Fatal(err)
			}
		}
		if err := decodeID(b, 4); err != nil {
			t.Fatal(err)
		}
		p := problem.Of(decodeID(b, 5))
		if len(p) != 1 || p[0].Code != problem.TooManySchemas || p[0].Where.SchemaID != 5 {
			t.Errorf("got %v", p)
		}
		if attempt == 0 { // or nobody reports
			a.Report()
			b.Report()
		}
	}
}

func TestARegistryThatIsDownHoldsTheWorkerUntilTheEnd(t *testing.T) {
	s := &stalled{asked: make(chan struct{})}
	d := New(options(Permissive, Offset, ParsedValue), s)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-s.asked; cancel() }()
	out := &memory{}
	err := d.Begin(column.Schema{})().Decode(ctx, recordsOf(0, message{}, message{value: value(1, "x", 0)}), out)
	if !errors.Is(err, context.Canceled) || len(out.rows()) != 0 {
		t.Errorf("got %v, rows %q", err, out.rows())
	}
}

func TestSelect(t *testing.T) {
	key, v := []byte("k\xff"), value(1, "x", 1, 7)
	ms := []message{{key, v, 1_700_000_000_123}, {nil, nil, -1}, {[]byte{}, []byte{0, 0, 0, 1}, 1 << 62}, {[]byte("k"), header(1), -(1 << 62)}}
	all := []Column{Value, FixedValue, ValueSchemaID, Key, TimestampType, Timestamp, Offset, Partition, Topic}
	tests := []struct {
		name    string
		columns []Column
		keyText bool
		want    string
	}{
		{"every column of Kafka's, in the user's order, key binary", all, false, `
value=x00000000010278020e fixedValue=x0278020e valueSchemaId=1 key=x6bff timestampType=1 timestamp=1700000000123000 offset=5 partition=3 topic="clicks"
value=null fixedValue=null valueSchemaId=null key=null timestampType=1 timestamp=-1000 offset=6 partition=3 topic="clicks"
value=x00000001 fixedValue=null valueSchemaId=null key=x timestampType=1 timestamp=9223372036854775807 offset=7 partition=3 topic="clicks"
value=x0000000001 fixedValue=x valueSchemaId=1 key=x6b timestampType=1 timestamp=-9223372036854775808 offset=8 partition=3 topic="clicks"`},
		{"the value alone: no record is bad but for its key", []Column{Offset, Key, Value}, true, `
offset=5 key=null value=x00000000010278020e
offset=6 key=null value=null
offset=7 key="" value=x00000001
offset=8 key="k" value=x0000000001`},
	}
	for _, tt := range tests {
		o := options(Permissive, tt.columns...)
		o.KeyString = tt.keyText
		r := recordsOf(5, ms...)
		r.TimestampType = 1
		got := decodeAll(New(o, nil), column.Schema{}, r)
		if text := "\n" + strings.Join(got.rows(), "\n"); got.err != nil || text != tt.want {
			t.Errorf("%s: %v\ngot%s\nwant%s", tt.name, got.err, text, tt.want)
		}
		if len(got.report.Schemas) != 0 || !got.report.Columns.Equal(o.columns()) {
			t.Errorf("%s: report %+v", tt.name, got.report)
		}
	}
}

func TestTooLargeRecordsLandWithoutTheirBytes(t *testing.T) {
	o := options(Permissive, Offset, Key, Value, FixedValue, ParsedValue)
	o.MaxRecordBytes = 10
	big := []byte("0123456789")
	got := decodeAll(New(o, texts{1: flat}), column.Schema{}, recordsOf(0,
		message{[]byte("k"), big, 0}, message{append(big, 'x'), nil, 0}, message{nil, value(1, "x", 0), 0}, message{big, []byte{}, 0}))
	want := []string{
		`offset=0 key="k" value=null fixedValue=null`, `offset=1 key=null value=null fixedValue=null`,
		`offset=2 key=null value=x0000000001027800 fixedValue=x027800 parsedValue={a:"x" n:null}`,
		`offset=3 key="0123456789" value=x fixedValue=null parsedValue=null`,
	}
	if got.err != nil || strings.Join(got.rows(), "\n") != strings.Join(want, "\n") {
		t.Errorf("%v\n%s", got.err, strings.Join(got.rows(), "\n"))
	}
	if s := showReport(got.report); s != "clicks-3: rows 4 rejected {} nulled {header:1 too-large:2}, ids [1]" {
		t.Error(s)
	}
}

func TestRootsThatAreNoRecords(t *testing.T) {
	tests := []struct {
		schema    string
		good, bad []any
		want      string
	}{
		{`"string"`, []any{"x"}, []any{100}, `"x" null null`},
		{`["null","long"]`, []any{1, 5}, []any{6}, "5 null null"},
		{`{"type":"array","items":"int"}`, []any{2, 5, 6, 0}, []any{2, 5}, "[5 6] null null"},
		{`{"type":"map","values":"boolean"}`, []any{1, "k", true, 0}, []any{1, "\xff", true, 0}, `["k"->true] null null`},
	}
	for _, tt := range tests {
		d := New(options(Permissive, Offset, ParsedValue), texts{1: tt.schema})
		got := decodeAll(d, column.Schema{}, recordsOf(0, message{value: value(1, tt.good...)}, message{value: value(1, tt.bad...)}, message{}))
		var values []string
		for _, r := range got.rows() {
			_, v, _ := strings.Cut(r, "parsedValue=")
			values = append(values, v)
		}
		if s := strings.Join(values, " "); got.err != nil || s != tt.want {
			t.Errorf("%s: got %s %v, want %s", tt.schema, s, got.err, tt.want)
		}
	}
}

func TestInvalidUTF8IsKeptWhereTheUserWantsSparksBytes(t *testing.T) {
	for _, mode := range []Mode{Failfast, Permissive, Drop} {
		o := options(mode, Offset, Key, ParsedValue)
		o.KeepInvalidUTF8 = true
		d := New(o, texts{2: rich})
		got := decodeAll(d, column.Schema{}, recordsOf(0, message{key: []byte("\xff"),
			value: value(2, 0, []byte{1}, 0, 1, "\xfe", "\xff", 0, 1, "\xc0", 0)}))
		const want = `offset=0 key="\xff" parsedValue={e:"A" d:1 t:0 m:["\xfe"->"\xff"] l:["\xc0"]}`
		if got.err != nil || strings.Join(got.rows(), "") != want {
			t.Errorf("%s: got %q %v", mode, got.rows(), got.err)
		}
	}
}
