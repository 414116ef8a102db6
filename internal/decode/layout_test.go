package decode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/registry"
	"github.com/siltlake/silt/internal/stream"
)

// files writes each file's columns and rows.
func (m *memory) text() string {
	var b strings.Builder
	for _, f := range m.files {
		fmt.Fprintf(&b, "%s\n", column.Type{Kind: column.Struct, Fields: f.schema.Fields})
		for _, r := range f.rows {
			fmt.Fprintf(&b, "  %s\n", r)
		}
	}
	return b.String()
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

const (
	evolved = `{"type":"record","name":"r","fields":[{"name":"n","type":"int"},{"name":"c","type":["null","string"]},
		{"name":"a","type":"string"},{"name":"s","type":{"type":"record","name":"s","fields":[{"name":"x","type":"int"}]}}]}`
	enumA = `{"type":"record","name":"r","fields":[{"name":"a","type":{"type":"enum","name":"e","symbols":["RED","GREEN"]}},
		{"name":"n","type":"int"}]}`
	upper = `{"type":"record","name":"r","fields":[{"name":"A","type":"string"},{"name":"N","type":"int"}]}`
	aLong = `{"type":"record","name":"r","fields":[{"name":"a","type":"long"}]}`
)

func TestANewIDInTheMiddleOfTheRecordsBeginsAFile(t *testing.T) {
	d := New(options(Failfast, Offset, ParsedValue), texts{1: flat, 2: evolved, 3: enumA})
	got := decodeAll(d, column.Schema{},
		recordsOf(0,
			message{value: value(1, "x", 1, 1)},
			message{value: value(3, 1, 2)}, // an enum lands as text beside text: no new file
			message{value: value(2, 3, 1, "c", "y", 7)},
			message{value: value(1, "z", 0)},
			message{value: value(3, 0, 5)},
			message{}),
		recordsOf(6, message{value: value(2, 6, 0, "w", 8)}))
	if got.err != nil {
		t.Fatal(got.err)
	}
	same(t, got.text(), `
struct<offset:bigint,parsedValue:struct<a:string,n:int>>
  offset=0 parsedValue={a:"x" n:1}
  offset=1 parsedValue={a:"GREEN" n:2}
struct<offset:bigint,parsedValue:struct<a:string,n:int,c:string,s:struct<x:int>>>
  offset=2 parsedValue={a:"y" n:3 c:"c" s:{x:7}}
  offset=3 parsedValue={a:"z" n:null c:null s:null}
  offset=4 parsedValue={a:"RED" n:5 c:null s:null}
  offset=5 parsedValue=null
  offset=6 parsedValue={a:"w" n:6 c:null s:{x:8}}`)
	want := column.Type{Kind: column.Struct, Fields: got.report.Schemas[2].Fields}.String()
	if want != "struct<offset:bigint,parsedValue:struct<n:int,c:string,a:string,s:struct<x:int>>>" || len(got.report.Schemas) != 3 {
		t.Errorf("the report has %s and %d schemas", want, len(got.report.Schemas))
	}
}

func TestRowsWithoutAnIDComeBeforeParsedValue(t *testing.T) {
	d := New(options(Permissive, ParsedValue, Offset), texts{1: flat})
	got := decodeAll(d, column.Schema{}, recordsOf(0, message{}, message{value: []byte("{}")}, message{value: value(1, "x", 0)}, message{}))
	if got.err != nil {
		t.Fatal(got.err)
	}
	same(t, got.text(), `
struct<offset:bigint>
  offset=0
  offset=1
struct<offset:bigint,parsedValue:struct<a:string,n:int>>
  offset=2 parsedValue={a:"x" n:null}
  offset=3 parsedValue=null`)
}

func TestFilesHaveTheTablesSpellingAndOrder(t *testing.T) {
	table := column.Of(
		column.Nullable("OFFSET", column.Primitive(column.Long)),
		column.Nullable("extra", column.Primitive(column.Double)), // somebody else's column is not in our files
		column.Nullable("ParsedValue", column.StructOf(column.Nullable("N", column.Primitive(column.Integer)),
			column.Nullable("old", column.ArrayOf(column.Primitive(column.Integer))), column.Nullable("void", column.Primitive(column.Void)))),
		column.Nullable("Partition", column.Primitive(column.Short)), // Delta merges it to the wider
	)
	d := New(options(Failfast, Partition, Offset, ParsedValue), texts{1: flat, 2: upper})
	got := decodeAll(d, table, recordsOf(0, message{value: value(1, "x", 1, 5)}, message{value: value(2, "y", 6)}, message{}))
	if got.err != nil {
		t.Fatal(got.err)
	}
	same(t, got.text(), `
struct<OFFSET:bigint,ParsedValue:struct<N:int,old:array<int>,void:void,a:string>,Partition:int>
  OFFSET=0 ParsedValue={N:5 old:null a:"x"} Partition=3
  OFFSET=1 ParsedValue={N:6 old:null a:"y"} Partition=3
  OFFSET=2 ParsedValue=null Partition=3`)
	merged, _, err := column.Merge(table, got.report.Schemas[1])
	if err != nil || !merged.Contains(got.files[0].schema) {
		t.Errorf("%v: the file does not fit what the commit folds", err)
	}
}

func TestATypeConflictIsLeftToTheCommit(t *testing.T) {
	table := column.Of(column.Nullable("offset", column.Primitive(column.Long)),
		column.Nullable("parsedValue", column.StructOf(column.Nullable("a", column.Primitive(column.Long)))))
	o := options(Failfast, Offset, ParsedValue)
	o.MaxSchemasPerBatch = 3
	schemas := texts{1: aLong, 2: flat, 3: evolved, 4: enumA, 5: `{"type":"record","name":"r","fields":[]}`, 6: deep}
	d := New(o, schemas)
	good, conflict := message{value: value(1, 5)}, message{value: value(2, "x", 0)}
	got := decodeAll(d, table,
		recordsOf(0, good, good, conflict, message{value: value(3)}, message{}, message{value: value(2)}, message{value: value(77)}),
		recordsOf(7, good, message{value: []byte("junk")}))
	if got.err != nil || len(got.rows()) != 0 {
		t.Errorf("%v, rows %q", got.err, got.rows())
	}
	// Every record counts as a row, which no file has: the counts alone would make a commit refuse.
	if s := showReport(got.report); s != "clicks-3: rows 9 rejected {} nulled {}, ids [1 2 3]" {
		t.Error(s)
	}

	tests := []struct {
		name string
		m    message
		want problem.Code
	}{
		{"one id too many", message{value: value(4)}, problem.TooManySchemas},
		{"a type that silt does not read", message{value: value(5)}, problem.UnsupportedType},
	}
	for _, tt := range tests {
		got := decodeAll(d, table, recordsOf(0, conflict, good), recordsOf(2, message{value: value(3)}, tt.m))
		if p := problem.Of(got.err); len(p) != 1 || p[0].Code != tt.want || p[0].Where.Offset != 3 {
			t.Errorf("%s: got %v", tt.name, got.err)
		}
	}

	// A table whose own columns do not fit: no record lands, whatever it holds.
	table = column.Of(column.Nullable("offset", column.Primitive(column.String)))
	for _, m := range []message{{}, good} {
		got = decodeAll(d, table, recordsOf(0, m, m))
		if s := showReport(got.report); got.err != nil || len(got.rows()) != 0 || !strings.HasPrefix(s, "clicks-3: rows 2 ") {
			t.Errorf("%v %s, rows %q", got.err, s, got.rows())
		}
	}
	// A batch may be too long to be read to its end.
	long := slices.Repeat([]*stream.Records{recordsOf(7, slices.Repeat([]message{conflict}, 4096)...)}, 1+maxUnmade/4096)
	table = column.Of(column.Nullable("offset", column.Primitive(column.Long)),
		column.Nullable("parsedValue", column.StructOf(column.Nullable("a", column.Primitive(column.Long)))))
	got = decodeAll(d, table, long...)
	if p := problem.Of(got.err); len(p) != 1 || p[0].Code != problem.IncompatibleTypes || p[0].Where.Offset != 7 || p[0].Where.SchemaID != 2 ||
		p[0].Where.Field != "parsedValue.a" {
		t.Errorf("got %v", got.err)
	}
	if got = decodeAll(d, table, long[1:]...); got.err != nil {
		t.Errorf("%d records: %v", len(long[1:])*4096, got.err)
	}
	// The next batch finds the table mended.
	if got = decodeAll(d, column.Schema{}, recordsOf(0, good)); len(got.rows()) != 1 {
		t.Errorf("rows %q", got.rows())
	}
}

func TestADecoderIsUsedAgain(t *testing.T) {
	schemas := &counting{texts: texts{1: flat, 2: evolved}, asked: map[int32]int{}}
	d := New(options(Permissive, Offset, Key, ParsedValue), schemas)
	table := column.Schema{}
	var workers []*worker
	for batch := range 6 {
		dec := d.Begin(table)().(*Decoder)
		workers = append(workers, dec.w)
		rows := dec.w.rows
		out := &memory{}
		// An invalid key and a fault leave marks that the next batch must not see.
		for _, r := range []*stream.Records{recordsOf(0, message{[]byte("\xff"), value(1, "x", 1, 1), 0}, message{nil, value(1, "x", 9), 0}),
			recordsOf(2, message{[]byte("k"), value(2, 1, 0, "y", 2), 0}, message{[]byte("k"), nil, 0})} {
			if err := dec.Decode(t.Context(), r, out); err != nil {
				t.Fatal(err)
			}
		}
		if batch > 1 && dec.w.rows != rows {
			t.Errorf("batch %d laid its rows out anew", batch)
		}
		report := dec.Report()
		if s := showReport(report); s != "clicks-3: rows 4 rejected {} nulled {payload:1 utf8:1}, ids [1 2]" || showReport(dec.Report()) != s {
			t.Errorf("batch %d: %s", batch, s)
		}
		if err := dec.Decode(t.Context(), recordsOf(0, message{}), out); !errors.Is(err, errReported) {
			t.Errorf("a decoder that has reported: %v", err)
		}
		if len(out.rows()) != 4 {
			t.Errorf("batch %d: rows %q", batch, out.rows())
		}
		if batch == 0 {
			table = out.files[len(out.files)-1].schema // as the commit has it
		}
	}
	for _, w := range workers[1:] {
		if w != workers[0] {
			t.Error("a worker was not used again")
		}
	}
	if schemas.asked[1] != 1 || schemas.asked[2] != 1 {
		t.Errorf("asked for schemas %v", schemas.asked)
	}
}

func TestProgramsOfOldIDsAreDropped(t *testing.T) {
	schemas := texts{}
	for id := range int32(30) {
		schemas[id] = flat
	}
	o := options(Failfast, Offset, ParsedValue)
	o.MaxSchemasPerBatch = 1
	d := New(o, schemas)
	table := o.rowSchema(nil)
	for id := range int32(30) { // a producer that registers a schema a day
		dec := d.Begin(table)().(*Decoder)
		out := &memory{}
		if err := dec.Decode(t.Context(), recordsOf(0, message{value: value(id, "x", 0)}, message{value: value(id, "y", 0)}), out); err != nil {
			t.Fatal(err)
		}
		if n := len(dec.w.programs); n > 5 {
			t.Fatalf("%d programs", n)
		}
		if len(dec.w.used) != 1 || dec.w.used[0] != dec.w.cur {
			t.Error("the program at work does not learn")
		}
		table = out.schema
		dec.Report()
	}
}

func TestADecoderThatFailedLeavesNothingBehind(t *testing.T) {
	d := New(options(Drop, Offset, Key, ParsedValue), texts{1: flat})
	broken := errors.New("disk full")
	dec := d.Begin(column.Schema{})()
	bad := message{[]byte("\xff"), nil, 0}
	err := dec.Decode(t.Context(), recordsOf(0, message{nil, value(1, "x", 0), 0}, bad, message{nil, nil, 0}), &memory{fail: broken})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	dec.Report()
	got := decodeAll(d, column.Schema{}, recordsOf(9, message{[]byte("k"), value(1, "y", 1, 2), 0}))
	same(t, got.text(), `struct<offset:bigint,key:string,parsedValue:struct<a:string,n:int>>
  offset=9 key="k" parsedValue={a:"y" n:2}`)
	if s := showReport(got.report); s != "clicks-3: rows 1 rejected {} nulled {}, ids [1]" {
		t.Error(s)
	}
}

func TestADecoderKeepsPartitionsApart(t *testing.T) {
	d := New(options(Drop, Topic, Partition, Offset), nil)
	a, b := recordsOf(0, message{}, message{}), recordsOf(5, message{})
	b.Topic, b.Partition = "views", 1
	got := decodeAll(d, column.Schema{}, a, b, a)
	same(t, got.text(), `struct<topic:string,partition:int,offset:bigint>
  topic="clicks" partition=3 offset=0
  topic="clicks" partition=3 offset=1
  topic="views" partition=1 offset=5
  topic="clicks" partition=3 offset=0
  topic="clicks" partition=3 offset=1`)
	if s := showReport(got.report); s != "clicks-3: rows 4 rejected {} nulled {}, views-1: rows 1 rejected {} nulled {}, ids []" {
		t.Error(s)
	}
}

func TestDecodersWorkAtTheSameTime(t *testing.T) {
	d := New(options(Permissive, Offset, Key, ParsedValue), texts{1: flat, 2: evolved, 3: enumA})
	for range 3 {
		var wg sync.WaitGroup
		var total stream.Report
		reports := make(chan stream.Report, 4)
		for n := range 4 {
			dec := d.Begin(column.Schema{})()
			wg.Go(func() {
				out := &memory{}
				for i := range 50 {
					r := recordsOf(int64(i*3), message{value: value(int32(1+(i+n)%2), 1, 1, "c", "a", 3)}, message{value: value(3, 1, 2)}, message{})
					if err := dec.Decode(t.Context(), r, out); err != nil {
						t.Error(err)
					}
				}
				reports <- dec.Report()
			})
		}
		wg.Wait()
		close(reports)
		for r := range reports {
			total.Add(r)
		}
		if _, rows, _, _ := total.Totals(); rows != 600 || len(total.Schemas) != 3 {
			t.Errorf("%s", showReport(total))
		}
	}
}

func TestManyIDsAlternate(t *testing.T) {
	// More ids than the cache tells apart, some with the same low bits.
	schemas := texts{}
	var ms []message
	var want []string
	for i := range 100 {
		id := int32(1 + 7*(i%20))
		schemas[id] = flat
		ms = append(ms, message{value: value(id, fmt.Sprint(i), 0)})
		want = append(want, fmt.Sprintf(`valueSchemaId=%d parsedValue={a:"%d" n:null}`, id, i))
	}
	got := decodeAll(New(options(Failfast, ValueSchemaID, ParsedValue), schemas), column.Schema{}, recordsOf(0, ms...))
	if got.err != nil || !slices.Equal(got.rows(), want) || len(got.report.Schemas) != 20 {
		t.Errorf("%v, %d schemas, rows %q", got.err, len(got.report.Schemas), got.rows())
	}
}

func TestBlocksOfAnyNumberOfRecordsGiveTheSameRows(t *testing.T) {
	var ms []message
	for i := range 700 {
		switch {
		case i%11 == 0:
			ms = append(ms, message{})
		case i%13 == 0:
			ms = append(ms, message{value: value(2, 0, []byte{1}, i, 1, "k", "v", 0, i%40, slices.Repeat([]any{"s"}, i%40), 0)})
			if i%40 == 0 { // an empty list is one 0
				ms[len(ms)-1].value = value(2, 0, []byte{1}, i, 0, 0)
			}
		default:
			ms = append(ms, message{value: value(1, fmt.Sprint(i%50), i%2, slices.Repeat([]any{i}, i%2))})
		}
	}
	schemas := texts{1: flat, 2: rich}
	table := column.Of(column.Nullable("offset", column.Primitive(column.Long)))
	all := decodeAll(New(options(Failfast, Offset, ParsedValue), schemas), table, recordsOf(0, ms...))
	last := all.files[len(all.files)-1].schema
	all = decodeAll(New(options(Failfast, Offset, ParsedValue), schemas), last, recordsOf(0, ms...))
	var parts []*stream.Records
	for at, n := 0, 1; at < len(ms); n = n%300 + 17 {
		end := min(at+n, len(ms))
		parts = append(parts, recordsOf(int64(at), ms[at:end]...))
		at = end
	}
	cut := decodeAll(New(options(Failfast, Offset, ParsedValue), schemas), last, parts...)
	if all.err != nil || cut.err != nil || !slices.Equal(all.rows(), cut.rows()) || len(all.rows()) != len(ms) {
		t.Errorf("%v %v: %d and %d rows of %d", all.err, cut.err, len(all.rows()), len(cut.rows()), len(ms))
	}
}

type counting struct {
	texts
	asked map[int32]int
}

func (c *counting) Schema(ctx context.Context, id int32) (registry.Schema, error) {
	c.asked[id]++
	return c.texts.Schema(ctx, id)
}
