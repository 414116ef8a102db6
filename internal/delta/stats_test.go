package delta

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/parquet"
)

func newLayout(t testing.TB, fields ...column.Field) *column.Layout {
	t.Helper()
	return must[*column.Layout](t)(column.NewLayout(column.Of(fields...)))
}

func ints(least, greatest int64) parquet.LeafStats {
	return parquet.LeafStats{HasBounds: true, Int: [2]int64{least, greatest}}
}

func floats(least, greatest float64) parquet.LeafStats {
	return parquet.LeafStats{HasBounds: true, Float: [2]float64{least, greatest}}
}

func texts(least, greatest string) parquet.LeafStats {
	return parquet.LeafStats{HasBounds: true, Bytes: [2][]byte{[]byte(least), []byte(greatest)}}
}

func TestBoundsOfATypeAreWrittenAsDeltaWritesThem(t *testing.T) {
	micros := func(s string) int64 { return must[time.Time](t)(time.Parse(time.RFC3339Nano, s)).UnixMicro() }
	nan := floats(1, 2)
	nan.NaN = true
	long := strings.Repeat("é", 32)
	const max = "\U0010FFFF"
	tests := []struct {
		t               column.Type
		s               parquet.LeafStats
		least, greatest string // "" is left out
	}{
		{column.Primitive(column.Integer), ints(-1, 2), "-1", "2"},
		{column.Primitive(column.Byte), ints(-128, 127), "-128", "127"},
		{column.Primitive(column.Long), ints(math.MinInt64, math.MaxInt64), "-9223372036854775808", "9223372036854775807"}, // all digits
		{column.Primitive(column.Double), floats(-0.5, 1e300), "-0.5", "1e+300"},
		{column.Primitive(column.Double), floats(math.Copysign(0, -1), 0), "-0.0", "0.0"}, // both zeros are between these
		{column.Primitive(column.Float), floats(float64(float32(0.1)), 3), "0.10000000149011612", "3.0"},
		{column.Primitive(column.Double), nan, "1.0", ""},                            // NaN is above all
		{column.Primitive(column.Double), floats(math.Inf(-1), math.Inf(1)), "", ""}, // no JSON numbers
		{column.Primitive(column.Double), floats(math.MaxFloat64, math.MaxFloat64), "1.7976931348623157e+308", "1.7976931348623157e+308"},
		{column.Primitive(column.String), texts("", "a\"b\\\n"), `""`, `"a\"b\\\n"`},
		{column.Primitive(column.String), texts(long+"a", long+"a"), `"` + long + `"`, `"` + long + "\u007f\""},
		// the small tie is not greater
		{column.Primitive(column.String), texts(long+"\u007f", long+"\u007f"), `"` + long + `"`, `"` + long + max + `"`},
		{column.Primitive(column.String), texts(long+"日", long+"\U0001F600"), `"` + long + `"`, `"` + long + max + `"`},
		{column.Primitive(column.String), texts(long, long+max+"z"), `"` + long + `"`, `"` + long + max + "\u007f\""}, // one character more
		// nothing is greater within twice the length
		{column.Primitive(column.String), texts(long, long+strings.Repeat(max, 33)), `"` + long + `"`, ""},
		{column.Primitive(column.String), texts(long, long+strings.Repeat(max, 32)), `"` + long + `"`, `"` + long + strings.Repeat(max, 32) +
			`"`},
		{column.Primitive(column.String), texts("a\xff", "b"), "", `"b"`}, // no text
		{column.Primitive(column.Binary), texts("a", "b"), "", ""},
		{column.Primitive(column.Boolean), ints(0, 1), "", ""},
		{column.Primitive(column.Date), ints(-1, 19357), `"1969-12-31"`, `"2022-12-31"`},
		{column.Primitive(column.Date), ints(-719_528, 2_932_896), `"0000-01-01"`, `"9999-12-31"`},
		{column.Primitive(column.Date), ints(-719_529, 2_932_897), "", ""}, // years of more digits, or before Christ
		{column.Primitive(column.Timestamp), ints(micros("2023-06-15T12:30:00.123999Z"), micros("2023-06-15T12:30:00.123999Z")),
			`"2023-06-15T12:30:00.123Z"`, `"2023-06-15T12:30:00.123Z"`},
		// down, not towards zero
		{column.Primitive(column.Timestamp), ints(-1, -1000), `"1969-12-31T23:59:59.999Z"`, `"1969-12-31T23:59:59.999Z"`},
		{column.Primitive(column.Timestamp), ints(math.MinInt64, math.MaxInt64), "", ""},
		{column.Primitive(column.Timestamp), ints(micros("0000-01-01T00:00:00Z"), micros("9999-12-31T23:59:59.999999Z")),
			`"0000-01-01T00:00:00.000Z"`, `"9999-12-31T23:59:59.999Z"`},
		{column.Primitive(column.TimestampNTZ), ints(0, 1500), `"1970-01-01T00:00:00.000"`, `"1970-01-01T00:00:00.001"`},
		{column.DecimalOf(5, 2), ints(-5, 12300), "-0.05", "123.00"},
		{column.DecimalOf(18, 0), ints(-999999999999999999, 0), "-999999999999999999", "0"},
		{column.DecimalOf(38, 10), parquet.LeafStats{HasBounds: true, Bytes: [2][]byte{{0xff, 0x85}, {0x01, 0, 0, 0, 0, 0, 0, 0, 0}}},
			"-0.0000000123", "1844674407.3709551616"},
		{column.DecimalOf(5, 5), ints(1, 99999), "0.00001", "0.99999"},
		{column.Primitive(column.Long), parquet.LeafStats{Nulls: 4}, "", ""}, // nothing but nulls
	}
	for _, tt := range tests {
		l := newLayout(t, column.Nullable("c", tt.t))
		got := StatsJSON(l, parquet.Stats{Rows: 4, Leaves: []parquet.LeafStats{tt.s}}, DefaultStats())
		part := func(v string) string {
			if v == "" {
				return "{}"
			}
			return `{"c":` + v + `}`
		}
		want := fmt.Sprintf(`{"numRecords":4,"minValues":%s,"maxValues":%s,"nullCount":{"c":%d}}`, part(tt.least), part(tt.greatest), tt.s.Nulls)
		if got != want {
			t.Errorf("%s %+v:\ngot  %s\nwant %s", tt.t, tt.s, got, want)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("%s is no JSON", got)
		}
	}
}

func TestStatisticsMirrorTheSchema(t *testing.T) {
	integer := column.Primitive(column.Integer)
	l := newLayout(t,
		column.Nullable("a", integer),
		column.Nullable("s", column.StructOf(column.Nullable("x", integer),
			column.Nullable("in", column.StructOf(column.Nullable("y", column.Primitive(column.Boolean)))))),
		column.Nullable("list", column.ArrayOf(column.StructOf(column.Nullable("z", integer)))),
		column.Nullable("map", column.MapOf(integer)),
		column.Nullable("dots.and\"quotes", integer))
	leaves := make([]parquet.LeafStats, len(l.Leaves))
	for i := range leaves {
		leaves[i] = ints(int64(i), int64(i)+10)
		leaves[i].Nulls = int64(i)
	}
	nodes := make([]parquet.NodeStats, len(l.Nodes))
	for i := range nodes {
		nodes[i].Nulls = int64(i) + 100
	}
	stats := parquet.Stats{Rows: 7, Leaves: leaves, Nodes: nodes}
	const all = `{"numRecords":7,"minValues":{"a":0,"s":{"x":1},"dots.and\"quotes":6},"maxValues":{"a":10,"s":{"x":11},"dots.and\"quotes":16},` +
		`"nullCount":{"a":0,"s":{"x":1,"in":{"y":2}},"list":102,"map":104,"dots.and\"quotes":6}}`
	for _, tt := range []struct {
		what string
		o    StatsOptions
		want string
	}{
		{"the default", DefaultStats(), all},
		{"all", StatsOptions{Columns: -1, Prefix: 32}, all},
		{"none", StatsOptions{Prefix: 32}, `{"numRecords":7,"minValues":{},"maxValues":{},"nullCount":{}}`},
		{"three, counted by leaves", StatsOptions{Columns: 3, Prefix: 32},
			`{"numRecords":7,"minValues":{"a":0,"s":{"x":1}},"maxValues":{"a":10,"s":{"x":11}},"nullCount":{"a":0,"s":{"x":1,"in":{"y":2}}}}`},
		{"a list counts as one", StatsOptions{Columns: 4, Prefix: 32},
			`{"numRecords":7,"minValues":{"a":0,"s":{"x":1}},"maxValues":{"a":10,"s":{"x":11}},"nullCount":{"a":0,"s":{"x":1,"in":{"y":2}},"list":102}}`},
		{"named ones, a struct for all in it, names in any case", StatsOptions{Columns: 1, Named: [][]string{{"S"}, {"dots.and\"quotes"}},
			Prefix: 32},
			`{"numRecords":7,"minValues":{"s":{"x":1},"dots.and\"quotes":6},"maxValues":{"s":{"x":11},"dots.and\"quotes":16},` +
				`"nullCount":{"s":{"x":1,"in":{"y":2}},"dots.and\"quotes":6}}`},
		{"a clustering column in any case", StatsOptions{Also: [][]string{{"s", "x"}}, Prefix: 32},
			`{"numRecords":7,"minValues":{"s":{"x":1}},"maxValues":{"s":{"x":11}},"nullCount":{"s":{"x":1}}}`},
	} {
		if got := StatsJSON(l, stats, tt.o); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.what, got, tt.want)
		}
	}
}

func TestTheFirst32ColumnsHaveStatistics(t *testing.T) {
	var fields []column.Field
	for i := range 40 {
		fields = append(fields, column.Nullable(fmt.Sprintf("c%02d", i), column.Primitive(column.Integer)))
	}
	l := newLayout(t, fields...)
	leaves := make([]parquet.LeafStats, 40)
	for i := range leaves {
		leaves[i] = ints(1, 2)
	}
	var got struct{ MinValues, MaxValues, NullCount map[string]int }
	if err := json.Unmarshal([]byte(StatsJSON(l, parquet.Stats{Rows: 1, Leaves: leaves}, DefaultStats())), &got); err != nil {
		t.Fatal(err)
	}
	for _, m := range []map[string]int{got.MinValues, got.MaxValues, got.NullCount} {
		if _, last := m["c31"]; len(m) != 32 || !last {
			t.Errorf("got %d columns", len(m))
		}
	}
}

// Whatever the strings, the bounds are texts, about as long as they should be, and contain them in the order of bytes.
func TestBoundsContainTheStrings(t *testing.T) {
	alphabet := []rune{0, 'a', 'b', '~', 0x7f, 0x80, 'é', 0x7ff, 0x800, '日', 0xd7ff, 0xe000, 0xffff, 0x10000, 0x1f600, utf8.MaxRune}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringOfN(rapid.SampledFrom(alphabet), 0, 12, -1).Draw(t, "s")
		n := rapid.IntRange(1, 5).Draw(t, "n")
		low := lowerBound(s, n)
		if low > s || !strings.HasPrefix(s, low) || utf8.RuneCountInString(low) > n {
			t.Fatalf("%q: lower bound %q", s, low)
		}
		high, ok := upperBound(s, n)
		if ok && (high < s || !utf8.ValidString(high) || utf8.RuneCountInString(high) > 2*n+1) {
			t.Fatalf("%q: upper bound %q", s, high)
		}
		if !ok && !strings.Contains(s, strings.Repeat(string(utf8.MaxRune), n+1)) {
			t.Fatalf("%q has no upper bound", s)
		}
	})
}

// The texts of numbers and times, read back, contain the values.
func TestBoundsContainTheValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.Float64().Draw(t, "float")
		if b, ok := appendFloat(nil, f); ok {
			var back float64
			if err := json.Unmarshal(b, &back); err != nil || back != f {
				t.Fatalf("%v is written %s and read %v, %v", f, b, back, err)
			}
		}
		micros := rapid.Int64().Draw(t, "micros")
		if b, ok := appendTimestamp(nil, micros, true); ok {
			var text string
			err := json.Unmarshal(b, &text)
			at, perr := time.Parse("2006-01-02T15:04:05.000Z", text)
			if err != nil || perr != nil || at.UnixMicro() > micros || at.UnixMicro()+1000 <= micros {
				t.Fatalf("%d is written %s", micros, b)
			}
		} else if micros >= 0 && micros < 253_402_300_800_000_000 {
			t.Fatalf("%d is not written", micros)
		}
		scale := rapid.IntRange(0, 38).Draw(t, "scale")
		raw := rapid.SliceOfN(rapid.Byte(), 1, 16).Draw(t, "unscaled")
		unscaled := bigEndian(raw)
		want := new(big.Rat).SetFrac(unscaled, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))
		text := string(appendDecimal(nil, unscaled, scale))
		if got, ok := new(big.Rat).SetString(text); !ok || got.Cmp(want) != 0 || !json.Valid([]byte(text)) {
			t.Fatalf("%v/10^%d is written %s", unscaled, scale, text)
		}
		if i := strings.IndexByte(text, '.'); scale > 0 && len(text)-i-1 != scale {
			t.Fatalf("%s has not %d digits after the point", text, scale)
		}
	})
}

func TestOptionsForStatisticsAreTheTables(t *testing.T) {
	m := NewMetaData("i", testSchema, 1)
	p := &Protocol{1, 7, nil, []string{"domainMetadata", "clustering"}}
	if s := must[*Snapshot](t)(snapshotOf(t, p, m)); !gocmp.Equal(s.StatsOptions(), DefaultStats()) {
		t.Errorf("got %+v", s.StatsOptions())
	}
	if s := (&Snapshot{version: -1, state: newState()}); !gocmp.Equal(s.StatsOptions(), DefaultStats()) {
		t.Errorf("no table: got %+v", s.StatsOptions())
	}
	m.Configuration = map[string]string{"delta.dataSkippingNumIndexedCols": "-1", "delta.dataSkippingStringPrefixLength": "8",
		"delta.dataSkippingStatsColumns": "a, `b.c`.d,`e``f`"}
	s := must[*Snapshot](t)(snapshotOf(t, p, m))
	s.domains["delta.clustering"] = DomainMetadata{Configuration: `{"clusteringColumns":[["x"],["y","z"],"flat"],"domainName":"delta.clustering"}`}
	want := StatsOptions{Columns: -1, Prefix: 8, Named: [][]string{{"a"}, {"b.c", "d"}, {"e`f"}},
		Also: [][]string{{"x"}, {"y", "z"}, {"flat"}}}
	if d := gocmp.Diff(want, s.StatsOptions()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	m.Configuration = map[string]string{"delta.dataSkippingNumIndexedCols": "many", "delta.dataSkippingStringPrefixLength": "0",
		"delta.dataSkippingStatsColumns": ""}
	s = must[*Snapshot](t)(snapshotOf(t, p, m))
	if d := gocmp.Diff(StatsOptions{Columns: 32, Prefix: 32, Named: [][]string{}}, s.StatsOptions()); d != "" {
		t.Errorf("properties that make no sense (-want +got):\n%s", d)
	}
}
