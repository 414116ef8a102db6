package parquet

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/siltlake/silt/internal/column"
)

func TestSuccessor(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		text     bool
		want     string // "" if there is none
	}{
		{"the last character is raised", "abc", true, "abd"},
		{"one that takes more bytes when raised is dropped", "ab\x7f", true, "ac"},
		{"... of two bytes", "a\u07ff", true, "b"},
		{"... of three", "a\uffff", true, "b"},
		{"surrogates are passed over", "a\ud7ff", true, "a\ue000"},
		{"the greatest character is dropped", "a\U0010ffff", true, "b"},
		{"nothing is above the greatest ones", "\U0010ffff\U0010ffff", true, ""},
		{"bytes are raised as numbers", "a\x7f", false, "a\x80"},
		{"the greatest byte is dropped", "a\xff\xff", false, "b"},
		{"nothing is above the greatest bytes", "\xff\xff", false, ""},
	} {
		v := []byte(tt.in)
		n := successor(v, tt.text)
		if got := string(v[:n]); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestLongBoundsAreCut: a cut bound is at most 64 bytes, on the right side of every value, UTF-8 if the values are, and says that it is
// not a value.
func TestLongBoundsAreCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.Bool().Draw(t, "text")
		var v []byte
		typ := column.Primitive(column.Binary)
		if text {
			typ = column.Primitive(column.String)
			v = []byte(rapid.StringOfN(rapid.SampledFrom([]rune("a\x7fé\u07ff\u0800\ud7ff\uffff\U0010ffff")), 10, 90, -1).Draw(t, "value"))
		} else {
			v = rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0x7f, 0xff}), 10, 90).Draw(t, "value")
		}
		var m limits
		m.addBytes(v, v, bytes.Compare)
		for i := range 2 {
			got, exact, ok := m.appendBound([]byte("before"), i, typ)
			if !ok {
				if i == 0 || len(v) <= maxBoundBytes {
					t.Fatalf("no bound %d of %q", i, v)
				}
				continue
			}
			got = got[len("before"):]
			if exact != bytes.Equal(got, v) || exact != (len(v) <= maxBoundBytes) || len(got) > maxBoundBytes {
				t.Fatalf("bound %d of %q is %q, exact %t", i, v, got, exact)
			}
			if c := bytes.Compare(got, v); i == 0 && c > 0 || i == 1 && c < 0 {
				t.Fatalf("bound %d of %q is %q", i, v, got)
			}
			if text && !utf8.Valid(got) {
				t.Fatalf("bound %d of %q is no text: %q", i, v, got)
			}
		}
	})
}

func floats(vs ...float64) (b []any) {
	for _, v := range vs {
		b = append(b, int64(math.Float64bits(v)))
	}
	return b
}

// TestFloatBounds: NaN is left out, and zeros have the sign that covers both (parquet.thrift, ColumnOrder).
func TestFloatBounds(t *testing.T) {
	negative := math.Copysign(0, -1)
	for _, tt := range []struct {
		name   string
		values []any
		want   LeafStats
	}{
		{"NaN is left out and told", floats(1, math.NaN(), 2), LeafStats{HasBounds: true, NaN: true, Float: [2]float64{1, 2}}},
		{"NaN alone has no bounds", floats(math.NaN()), LeafStats{NaN: true}},
		{"no value has none", []any{nil}, LeafStats{Nulls: 1}},
		{"a least zero is negative", floats(0, 1), LeafStats{HasBounds: true, Float: [2]float64{negative, 1}}},
		{"a greatest zero is positive", floats(-1, negative), LeafStats{HasBounds: true, Float: [2]float64{-1, 0}}},
		{"infinities are numbers", floats(math.Inf(1), math.Inf(-1)), LeafStats{HasBounds: true, Float: [2]float64{math.Inf(-1), math.Inf(1)}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := layout(t, column.Of(column.Nullable("d", column.Primitive(column.Double))))
			var rows [][]any
			for _, v := range tt.values {
				rows = append(rows, []any{v})
			}
			file, stats := writeFile(t, l, Options{}, rows, 256)
			check(t, l, file, stats, rows)
			got := stats.Leaves[0]
			if got.HasBounds != tt.want.HasBounds || got.NaN != tt.want.NaN || got.Nulls != tt.want.Nulls ||
				!sameFloat(got.Float[0], tt.want.Float[0]) || !sameFloat(got.Float[1], tt.want.Float[1]) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestStatsCoverAllRowGroups: bounds and counts are those of the file, also where a row group has none.
func TestStatsCoverAllRowGroups(t *testing.T) {
	l := layout(t, column.Of(column.Nullable("n", column.Primitive(column.Long)), column.Nullable("s", column.Primitive(column.String)),
		column.Nullable("d", column.DecimalOf(38, 2)), column.Nullable("x", column.Primitive(column.Float))))
	wide := func(n int8) (v [16]byte) {
		for i := range 15 {
			v[i] = byte(n >> 7)
		}
		v[15] = byte(n)
		return v
	}
	float := func(v float32) any { return int64(math.Float32bits(v)) }
	groups := [][]any{ // a row a row group
		{nil, nil, nil, nil},
		{int64(5), []byte("m"), wide(5), float(5)},
		{int64(-7), []byte("a"), wide(-7), float(-7)},
		{int64(9), []byte("z"), wide(9), float(9)},
		{nil, nil, nil, float(float32(math.NaN()))},
	}
	o := Options{limits: pageLimits{pageBytes: 1, pageRows: 1, groupRows: 1}}
	file, stats := writeFile(t, l, o, groups, 1)
	check(t, l, file, stats, groups)
	want := Stats{Rows: 5, Bytes: int64(len(file)), Nodes: stats.Nodes, Leaves: []LeafStats{
		{Nulls: 2, HasBounds: true, Int: [2]int64{-7, 9}},
		{Nulls: 2, HasBounds: true, Bytes: [2][]byte{[]byte("a"), []byte("z")}},
		{Nulls: 2, HasBounds: true, Bytes: [2][]byte{bytes.Repeat([]byte{0xff}, 16), nil}},
		{Nulls: 1, HasBounds: true, NaN: true, Float: [2]float64{-7, 9}},
	}}
	least, greatest := wide(-7), wide(9)
	want.Leaves[2].Bytes = [2][]byte{least[:], greatest[:]}
	for i := range want.Leaves {
		if d := diffStats(want.Leaves[i], stats.Leaves[i]); d != "" {
			t.Errorf("leaf %d: %s", i, d)
		}
	}
}

// TestNullsCountParents: the nulls of a leaf under structs are the rows in which it or a struct above is null, as Delta counts them
// (PROTOCOL.md, "Per-file Statistics"); an array's are the rows without the array.
func TestNullsCountParents(t *testing.T) {
	text := column.Primitive(column.String)
	l := layout(t, column.Of(column.Nullable("s", column.StructOf(column.Nullable("a", text),
		column.Nullable("t", column.StructOf(column.Nullable("b", text), column.Nullable("l", column.ArrayOf(text))))))))
	x := []byte("x")
	rows := [][]any{
		{nil},                                    // all is null
		{[]any{x, nil}},                          // t is
		{[]any{nil, []any{x, nil}}},              // a and l are
		{[]any{x, []any{nil, []any{}}}},          // b is; l is empty
		{[]any{x, []any{x, []any{nil, x, nil}}}}, // items are
	}
	file, stats := writeFile(t, l, Options{}, rows, 2)
	check(t, l, file, stats, rows)
	if stats.Leaves[0].Nulls != 2 || stats.Leaves[1].Nulls != 3 {
		t.Errorf("a has %d nulls, want 2; b %d, want 3", stats.Leaves[0].Nulls, stats.Leaves[1].Nulls)
	}
	if stats.Nodes[0].Nulls != 1 || stats.Nodes[1].Nulls != 2 || stats.Nodes[2].Nulls != 3 {
		t.Errorf("s, t and l have %v nulls, want 1, 2, 3", stats.Nodes)
	}
}

func TestStringsThatAreNoTextHaveNoBounds(t *testing.T) {
	l := layout(t, column.Of(column.Nullable("s", column.Primitive(column.String)), column.Nullable("b", column.Primitive(column.Binary))))
	rows := [][]any{{[]byte("a"), []byte("\xff")}, {[]byte("b\xff"), []byte("a")}, {[]byte("c"), nil}}
	o := Options{Block: column.BlockOptions{KeepInvalidUTF8: true}, limits: pageLimits{pageBytes: 1, pageRows: 1, groupRows: 1}}
	file, stats := writeFile(t, l, o, rows, 1)
	if stats.Leaves[0].HasBounds || !stats.Leaves[1].HasBounds {
		t.Errorf("bounds: %+v", stats.Leaves)
	}
	r, err := Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for v, err := range r.Columns("s") {
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range v[0].Bytes {
			got = append(got, string(b))
		}
	}
	if s := strings.Join(got, ","); s != "a,b\xff,c" {
		t.Errorf("read %q", s)
	}
}

func TestInvalidStringsAreNullInTheFile(t *testing.T) {
	l := layout(t, column.Of(column.Nullable("l", column.ArrayOf(column.Primitive(column.String)))))
	var rows, want [][]any
	for i := range 300 {
		a, b := []any{[]byte("ok"), []byte("no\xff"), nil}, []any{[]byte("ok"), nil, nil}
		if i%3 > 0 {
			a, b = []any{[]byte("fine")}, []any{[]byte("fine")}
		}
		rows, want = append(rows, []any{a}), append(want, []any{b})
	}
	file, stats := writeFile(t, l, Options{limits: small}, rows, 64)
	check(t, l, file, stats, want)
}
