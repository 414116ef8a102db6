package table

import (
	"errors"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// The vectors that a real Spark gives: id, hash where known, shuffle partition of 200.
func TestSparkOrderIsThatOfSparksShuffle(t *testing.T) {
	if murmur3(1) != -559580957 || murmur3(42) != 29417773 {
		t.Errorf("murmur3(1) = %d, murmur3(42) = %d", murmur3(1), murmur3(42))
	}
	got := sparkOrder([]int32{100001, 100002, 1, 42, 100003}, 200)
	want := []int32{100003, 100001, 1, 100002, 42} // partitions 6, 28, 43, 106, 173
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

func row(fields ...column.Field) column.Schema {
	return column.Of(column.Nullable("offset", column.Primitive(column.Long)), column.Nullable(stream.ParsedValue, column.StructOf(fields...)))
}

func str(name string) column.Field { return column.Nullable(name, column.Primitive(column.String)) }

func report(schemas map[int32]column.Schema) stream.Report {
	return stream.Report{Columns: column.Of(column.Nullable("offset", column.Primitive(column.Long))), Schemas: schemas}
}

func TestFoldSchemas(t *testing.T) {
	long := column.Nullable("a", column.Primitive(column.Long))
	two := map[int32]column.Schema{100001: row(str("a"), str("b")), 100002: row(str("a"), str("c"))}
	tests := []struct {
		name string
		in   foldInput
		want string // the schema as SQL, or the problem's code
	}{
		{"a new table takes the ids in Spark's order", foldInput{MergeSchema: true, Report: report(two)}, "offset:bigint,parsedValue:struct<a:string,b:string,c:string>"},
		{"the first id of a new table stands for the table", foldInput{Report: report(two)}, "E4006"},
		{"a batch without schema ids makes a table without parsedValue", foldInput{Report: report(nil)}, "offset:bigint"},
		{"the first id adds parsedValue to silt's own table", foldInput{Table: report(nil).Columns, Exists: true, Own: true, Report: report(map[int32]column.Schema{1: row(str("a"))})},
			"offset:bigint,parsedValue:struct<a:string>"},
		{"... and to no other's", foldInput{Table: report(nil).Columns, Exists: true, Report: report(map[int32]column.Schema{1: row(str("a"))})}, "E4006"},
		{"... and the second id may not add to it", foldInput{Table: report(nil).Columns, Exists: true, Own: true, Report: report(two)}, "E4006"},
		{"fewer columns than the table are fine", foldInput{Table: row(str("a"), str("b")), Exists: true, Report: report(map[int32]column.Schema{1: row(str("b"))})},
			"offset:bigint,parsedValue:struct<a:string,b:string>"},
		{"the table's spelling stays", foldInput{Table: row(str("A")), Exists: true, Report: report(map[int32]column.Schema{1: row(str("a"))})}, "offset:bigint,parsedValue:struct<A:string>"},
		{"types that do not merge are refused whatever mergeSchema says", foldInput{Table: row(str("a")), Exists: true, MergeSchema: true, Report: report(map[int32]column.Schema{1: row(long)})}, "E4007"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := foldSchemas(tt.in)
			text := strings.TrimSuffix(strings.TrimPrefix(column.StructOf(got.Schema.Fields...).String(), "struct<"), ">")
			var p *problem.Problem
			if errors.As(err, &p) {
				text = string(p.Code)
			} else if err != nil {
				t.Fatal(err)
			}
			if text != tt.want {
				t.Errorf("got %s (%v), want %s", text, err, tt.want)
			}
		})
	}
}

func TestMismatchShowsTheDiff(t *testing.T) {
	_, err := foldSchemas(foldInput{Table: row(str("a")), Exists: true, Report: report(map[int32]column.Schema{100002: row(str("a"), str("campaign"))})})
	var p *problem.Problem
	if !errors.As(err, &p) || p.Why != "+ parsedValue.campaign string" || !strings.Contains(p.Message, "schema id 100002") {
		t.Errorf("the diff is missing: %v", err)
	}
}

func TestAConflictSaysWhoseItIsAndWhoCanMendIt(t *testing.T) {
	keys := func(k column.Kind) column.Schema { return column.Of(column.Nullable("key", column.Primitive(k))) }
	for _, tt := range []struct {
		name          string
		in            foldInput
		message, hint string
	}{
		{"decode.key: binary on a table with a string key", foldInput{Table: keys(column.String), Exists: true, Report: stream.Report{Columns: keys(column.Binary)}},
			"the row of a record without a schema id does not fit the table: field key: ", "set select, decode.key and decode.value to give"},
		{"the same in a batch that met an id", foldInput{Table: keys(column.String), Exists: true, Report: stream.Report{Schemas: map[int32]column.Schema{7: keys(column.Binary)}}},
			"schema id 7 does not fit the table: field key: ", "set select, decode.key and decode.value to give"},
		{"a field of the producer's", foldInput{Table: row(str("a")), Exists: true, Report: stream.Report{Schemas: map[int32]column.Schema{7: row(column.Nullable("a", column.Primitive(column.Long)))}}},
			"schema id 7 does not fit the table: field parsedValue.a: ", "write the field under a new name"},
	} {
		_, err := foldSchemas(tt.in)
		var p *problem.Problem
		if !errors.As(err, &p) || !strings.HasPrefix(p.Message, tt.message) || !strings.HasPrefix(p.Hint, tt.hint) {
			t.Errorf("%s: got %+v", tt.name, p)
		}
	}
}
