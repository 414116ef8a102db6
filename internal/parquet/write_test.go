package parquet

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/siltlake/silt/internal/column"
)

func one(name string, t column.Type) column.Schema { return column.Of(column.Nullable(name, t)) }

func open(t *testing.T, file []byte) *pq.File {
	t.Helper()
	f, err := pq.OpenFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// encodings returns those of the data pages of each column chunk of a leaf.
func encodings(t *testing.T, file []byte, leaf int) (all []string) {
	t.Helper()
	for _, g := range open(t, file).Metadata().RowGroups {
		var names []string
		for _, e := range g.Columns[leaf].MetaData.EncodingStats {
			if e.PageType == format.DataPage {
				names = append(names, fmt.Sprintf("%s:%d", e.Encoding, e.Count))
			}
		}
		all = append(all, strings.Join(names, " "))
	}
	return all
}

// TestEncodings: which encoding a column's pages have, one block a page.
func TestEncodings(t *testing.T) {
	numbers := func(n int, f func(i int) int64) (rows [][]any) {
		for i := range n {
			rows = append(rows, []any{f(i)})
		}
		return rows
	}
	texts := func(n int, f func(i int) string) (rows [][]any) {
		for i := range n {
			rows = append(rows, []any{[]byte(f(i))})
		}
		return rows
	}
	nulls := slices.Repeat([][]any{{nil}}, 100)
	for _, tt := range []struct {
		name  string
		typ   column.Type
		plain bool
		rows  [][]any
		want  string
	}{
		{"longs are deltas", column.Primitive(column.Long), false, numbers(200, func(i int) int64 { return int64(i) }), "DELTA_BINARY_PACKED:2"},
		{"... unless they must be plain", column.Primitive(column.Long), true, numbers(200, func(i int) int64 { return int64(i) }), "PLAIN:2"},
		{"timestamps and decimals are longs", column.DecimalOf(18, 2), false, numbers(100, func(i int) int64 { return int64(i) }), "DELTA_BINARY_PACKED:1"},
		{"integers that repeat have a dictionary", column.Primitive(column.Integer), false,
			numbers(200, func(i int) int64 { return int64(i%9-4) << 20 }), "RLE_DICTIONARY:2"},
		{"... until they hardly do", column.Primitive(column.Integer), false,
			numbers(5000, func(i int) int64 { return int64(max(i-100, i%9)) }), "PLAIN:10 RLE_DICTIONARY:40"},
		{"... or are too many", column.Primitive(column.Integer), false,
			numbers(45_000, func(i int) int64 { return int64(i / 2) }), "PLAIN:123 RLE_DICTIONARY:327"},
		{"integers of a file's only page that do not repeat are plain", column.Primitive(column.Integer), false,
			numbers(100, func(i int) int64 { return int64(i) }), "PLAIN:1"},
		{"doubles that repeat have a dictionary", column.Primitive(column.Double), false, numbers(200, func(i int) int64 {
			return int64(math.Float64bits([]float64{1.5, math.NaN(), math.Copysign(0, -1), 0, math.Inf(-1)}[i%5]))
		}), "RLE_DICTIONARY:2"},
		{"... and floats", column.Primitive(column.Float), false,
			numbers(200, func(i int) int64 { return int64(math.Float32bits(float32(i%7) - 2.5)) }), "RLE_DICTIONARY:2"},
		{"... others are plain", column.Primitive(column.Double), false, numbers(100, func(i int) int64 { return int64(i) }), "PLAIN:1"},
		{"booleans are plain", column.Primitive(column.Boolean), false, numbers(100, func(i int) int64 { return int64(i & 1) }), "PLAIN:1"},
		{"strings have a dictionary", column.Primitive(column.String), false, texts(200, func(i int) string { return fmt.Sprint(i % 7) }), "RLE_DICTIONARY:2"},
		{"... until they hardly repeat", column.Primitive(column.String), false, texts(5000, func(i int) string { return fmt.Sprint(i) }), "PLAIN:10 RLE_DICTIONARY:40"},
		{"pages of nulls are plain among others", column.Primitive(column.String), false, slices.Concat(nulls, texts(100, func(int) string { return "a" }), nulls), "PLAIN:2 RLE_DICTIONARY:1"},
		{"... and alone", column.Primitive(column.Long), false, nulls, "PLAIN:1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := layout(t, one("c", tt.typ))
			file, stats := writeFile(t, l, Options{PlainLongs: tt.plain, limits: pageLimits{pageBytes: 1, pageRows: 1, groupRows: 1 << 40}}, tt.rows, 100)
			check(t, l, file, stats, tt.rows)
			if got := strings.Join(encodings(t, file, 0), "; "); got != tt.want {
				t.Errorf("pages are %s, want %s", got, tt.want)
			}
			checkEncodings(t, file)
		})
	}
}

// checkEncodings: a chunk lists each encoding that it has, and its dictionary only if it has one.
func checkEncodings(t *testing.T, file []byte) {
	t.Helper()
	for _, g := range open(t, file).Metadata().RowGroups {
		for _, c := range g.Columns {
			m := c.MetaData
			for _, e := range m.EncodingStats {
				if !slices.Contains(m.Encoding, e.Encoding) {
					t.Errorf("column %v lacks encoding %s: %v", m.PathInSchema, e.Encoding, m.Encoding)
				}
			}
			if has := slices.Contains(m.Encoding, format.RLEDictionary); has != (m.DictionaryPageOffset > 0) {
				t.Errorf("column %v: dictionary page at %d, encodings %v", m.PathInSchema, m.DictionaryPageOffset, m.Encoding)
			}
		}
	}
}

// TestRunsAreWritten: columns whose values come as runs, alone and among values, in strings and numbers.
func TestRunsAreWritten(t *testing.T) {
	l := layout(t, column.Of(column.Nullable("topic", column.Primitive(column.String)), column.Nullable("partition", column.Primitive(column.Integer)),
		column.Nullable("id", column.Primitive(column.Long)), column.Nullable("offset", column.Primitive(column.Long))))
	const far = 1 << 40
	blocks := []runBlock{{true, "a", 0, 1}, {true, "a", 1, 1}, {true, "b", 1, 2}, // a page of runs
		{false, "a", 0, 5}, {true, "b", 7, 6}, // one of both
		{true, "b", 1 << 20, far}, {true, "b", 0, -far},
		{true, "a", 3, 3}, {true, "c", 3, 3}, {false, "a", 3, far}, {true, "a", 3, 3},
		{true, "a", 3, math.MinInt64}, {true, "a", 3, math.MaxInt64}, {true, "a", 3, math.MaxInt64}}
	for _, tt := range []struct {
		name    string
		givenUp bool // the dictionaries of numbers, in the first row group
		want    [3][]string
	}{
		{"with dictionaries", false, [3][]string{
			{"RLE_DICTIONARY:3", "RLE_DICTIONARY:3", "RLE_DICTIONARY:1"},
			{"RLE_DICTIONARY:3", "RLE_DICTIONARY:3", "RLE_DICTIONARY:1"},
			{"DELTA_BINARY_PACKED:1 RLE_DICTIONARY:2", "DELTA_BINARY_PACKED:1 RLE_DICTIONARY:2", "RLE_DICTIONARY:1"}}},
		{"without", true, [3][]string{
			{"RLE_DICTIONARY:3", "RLE_DICTIONARY:3", "RLE_DICTIONARY:1"},
			{"PLAIN:3", "RLE_DICTIONARY:3", "RLE_DICTIONARY:1"},
			{"PLAIN:2 DELTA_BINARY_PACKED:1", "DELTA_BINARY_PACKED:1 RLE_DICTIONARY:2", "RLE_DICTIONARY:1"}}},
	} {
		t.Run(tt.name, func(t *testing.T) { writeRuns(t, l, blocks, tt.givenUp, tt.want) })
	}
}

type runBlock struct {
	runs      bool
	topic     string
	partition int64
	id        int64
}

func writeRuns(t *testing.T, l *column.Layout, blocks []runBlock, givenUp bool, want [3][]string) {
	var out bytes.Buffer
	f := NewFile(&out, l, Options{limits: pageLimits{pageBytes: 1 << 20, pageRows: 20, groupRows: 60}})
	for i := range f.chunks {
		f.chunks[i].numbers.given = givenUp
	}
	w := newFiller(l)
	var rows [][]any
	for i, b := range blocks {
		for k := range 3 {
			r := w.rows.Leaves[k]
			r.Run = b.runs
		}
		for n := range 10 {
			row := []any{[]byte(b.topic), b.partition, b.id, int64(10*i + n)}
			if !b.runs && n == 5 {
				row[0], row[1], row[2] = nil, nil, nil
			}
			rows = append(rows, row)
			if b.runs && n > 0 { // slot 0 holds for all
				w.rows.Leaves[3].Ints[n] = int64(10*i + n)
				w.rows.AddRow()
				continue
			}
			w.row(row)
		}
		if _, err := w.flush(f); err != nil {
			t.Fatal(err)
		}
	}
	stats, err := f.Close()
	if err != nil {
		t.Fatal(err)
	}
	check(t, l, out.Bytes(), stats, rows)
	checkReader(t, l, out.Bytes(), rows)
	checkEncodings(t, out.Bytes())
	for leaf, want := range want {
		if got := encodings(t, out.Bytes(), leaf); !slices.Equal(got, want) {
			t.Errorf("leaf %d: pages are %q, want %q", leaf, got, want)
		}
	}
}

// TestRowGroupsEnd by rows, by bytes before and by bytes after compression.
func TestRowGroupsEnd(t *testing.T) {
	l := layout(t, one("c", column.Primitive(column.Binary)))
	r := rand.New(rand.NewPCG(1, 1))
	var random, zeros [][]any
	for range 1000 {
		b := make([]byte, 100)
		zeros = append(zeros, []any{b})
		b = bytes.Clone(b)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		random = append(random, []any{b})
	}
	page := pageLimits{pageBytes: 1, pageRows: 1, groupRows: 1 << 40}
	for _, tt := range []struct {
		name string
		o    Options
		rows [][]any
		want int
	}{
		{"by default they hold much", Options{limits: page}, random, 1},
		{"by rows", Options{limits: pageLimits{pageBytes: 1, pageRows: 1, groupRows: 100}}, zeros, 10},
		{"by bytes", Options{RowGroupBytes: 10_000, limits: page}, random, 10},
		{"by held bytes", Options{HeldBytes: 10_000, limits: page}, random, 10},
		{"held bytes are compressed", Options{HeldBytes: 10_000, limits: page}, zeros, 1},
	} {
		file, stats := writeFile(t, l, tt.o, tt.rows, 50)
		check(t, l, file, stats, tt.rows)
		if n := len(open(t, file).RowGroups()); n < tt.want-1 || n > tt.want+1 || tt.want == 1 && n != 1 {
			t.Errorf("%s: %d row groups, want about %d", tt.name, n, tt.want)
		}
	}
}

func TestPagesEndBetweenBlocks(t *testing.T) {
	l := layout(t, one("c", column.Primitive(column.Long)))
	rows := make([][]any, 1000)
	for i := range rows {
		rows[i] = []any{int64(i)}
	}
	for _, tt := range []struct {
		limits pageLimits
		pages  string
	}{
		{pageLimits{pageBytes: 1 << 20, pageRows: 1, groupRows: 1 << 40}, "DELTA_BINARY_PACKED:4"}, // a block is at least a page
		{pageLimits{pageBytes: 1 << 20, pageRows: 257, groupRows: 1 << 40}, "DELTA_BINARY_PACKED:2"},
		{pageLimits{pageBytes: 8 * 500, pageRows: 1 << 20, groupRows: 1 << 40}, "DELTA_BINARY_PACKED:2"},
	} {
		file, _ := writeFile(t, l, Options{limits: tt.limits}, rows, 256)
		if got := encodings(t, file, 0); got[0] != tt.pages {
			t.Errorf("%+v: %v, want %s", tt.limits, got, tt.pages)
		}
	}
}

func TestFileWithoutRows(t *testing.T) {
	l := layout(t, allTypes())
	file, stats := writeFile(t, l, Options{}, nil, 1)
	check(t, l, file, stats, nil)
	r, err := Open(bytes.NewReader(file), int64(len(file)))
	if err != nil || r.Rows() != 0 || len(r.meta.groups) != 0 {
		t.Fatal(err)
	}
	for range r.Columns("string") {
		t.Error("a file without rows yields some")
	}
}

// A failing writer takes so many bytes and then fails.
type failing struct{ left int }

var errFull = errors.New("no space left")

func (f *failing) Write(p []byte) (int, error) {
	if len(p) > f.left {
		n := f.left
		f.left = 0
		return n, errFull
	}
	f.left -= len(p)
	return len(p), nil
}

// TestErrorsStay: after a write failed, wherever it did, the file says so until it is reset, and is then as new.
func TestErrorsStay(t *testing.T) {
	s := column.Of(column.Nullable("a", column.Primitive(column.String)), column.Nullable("l", column.ArrayOf(column.Primitive(column.Long))))
	l := layout(t, s)
	m := &maker{Rand: rand.New(rand.NewPCG(3, 3)), nullPercent: 20}
	var rows [][]any
	for range 400 {
		rows = append(rows, m.row(s))
	}
	o := Options{limits: pageLimits{pageBytes: 1, pageRows: 1, groupRows: 150}}
	want, _ := writeFile(t, l, o, rows, 50)
	for left := 0; left < len(want); left += 1 + len(want)/40 {
		f := NewFile(&failing{left}, l, o)
		w := newFiller(l)
		var failed error
		for i, r := range rows {
			w.row(r)
			if i%50 == 49 {
				if _, err := w.flush(f); err != nil {
					failed = err
				}
			}
		}
		if _, err := f.Close(); !errors.Is(err, errFull) || failed != nil && !errors.Is(failed, errFull) {
			t.Fatalf("after %d bytes: %v, before %v", left, err, failed)
		}
		if err := f.EndBlock(); !errors.Is(err, errFull) {
			t.Fatalf("after %d bytes: the error is forgotten: %v", left, err)
		}
		var out bytes.Buffer
		f.Reset(&out)
		write(t, f, &out, rows, 50)
		if !bytes.Equal(out.Bytes(), want) {
			t.Fatalf("after %d bytes: the next file is another", left)
		}
	}
}

func TestAClosedFileIsClosed(t *testing.T) {
	l := layout(t, one("c", column.Primitive(column.Long)))
	var out bytes.Buffer
	f := NewFile(&out, l, Options{})
	write(t, f, &out, [][]any{{int64(1)}}, 1)
	if err := f.EndBlock(); !errors.Is(err, errClosed) {
		t.Errorf("EndBlock: %v", err)
	}
	if _, err := f.Close(); !errors.Is(err, errClosed) {
		t.Errorf("Close: %v", err)
	}
}

// TestSizeAndRowsGrow: they are what a caller decides by when a file is large enough.
func TestSizeAndRowsGrow(t *testing.T) {
	l := layout(t, one("c", column.Primitive(column.String)))
	var out bytes.Buffer
	f := NewFile(&out, l, Options{limits: pageLimits{pageBytes: 1, pageRows: 100, groupRows: 500}})
	w, last := newFiller(l), int64(0)
	for i := range 1200 {
		w.row([]any{fmt.Appendf(nil, "value %d", i*7919%1000)})
		if i%50 != 49 {
			continue
		}
		if _, err := w.flush(f); err != nil {
			t.Fatal(err)
		}
		if f.Rows() != int64(i+1) || f.Size() < last || f.Size() < int64(out.Len()) {
			t.Fatalf("%d rows, %d bytes after %d; %d are written", f.Rows(), f.Size(), last, out.Len())
		}
		last = f.Size()
	}
	stats, err := f.Close()
	if err != nil || stats.Rows != 1200 || stats.Bytes <= last || stats.Bytes != f.Size() {
		t.Errorf("closed: %+v after %d: %v", stats, last, err)
	}
}

// TestOneHugeRowIsGivenBack: a file that met one row of 40 MB does not hold its memory in the next.
func TestOneHugeRowIsGivenBack(t *testing.T) {
	l := layout(t, column.Of(column.Nullable("s", column.Primitive(column.String)), column.Nullable("l", column.ArrayOf(column.Primitive(column.Long)))))
	items := make([]any, 5<<18)
	for i := range items {
		items[i] = int64(i * i)
	}
	var out bytes.Buffer
	f := NewFile(&out, l, Options{Compression: Snappy})
	stats := write(t, f, &out, [][]any{{bytes.Repeat([]byte("x"), 20<<20), items}}, 1)
	if s := stats.Leaves[0]; s.HasBounds || stats.Leaves[1].Int != [2]int64{0, (5<<18 - 1) * (5<<18 - 1)} {
		t.Errorf("bounds of a string of 20 MiB: %t, of longs %v", s.HasBounds, stats.Leaves[1].Int)
	}
	for range 2 {
		out.Reset()
		f.Reset(&out)
		write(t, f, &out, [][]any{{[]byte("a"), []any{int64(1)}}}, 1)
	}
	if f.Memory() > 6<<20 {
		t.Errorf("%d bytes are kept", f.Memory())
	}
}

// TestWritingAllocatesNothing once the buffers have grown.
func TestWritingAllocatesNothing(t *testing.T) {
	s := column.Of(column.Nullable("a", column.Primitive(column.String)), column.Nullable("l", column.ArrayOf(column.StructOf(
		column.Nullable("b", column.Primitive(column.Integer)), column.Nullable("d", column.DecimalOf(16, 2)), column.Nullable("x", column.Primitive(column.Double))))))
	l := layout(t, s)
	m := &maker{Rand: rand.New(rand.NewPCG(3, 3)), nullPercent: 20, texts: [][]byte{[]byte("a"), []byte("b")}}
	w := newFiller(l)
	for range 100 {
		w.row(m.row(s))
	}
	rec := record(w.rows)
	buf := append(w.buf, make([]byte, column.Slack)...)
	w.rows.Reset()
	var out counter
	f := NewFile(&out, l, Options{limits: pageLimits{pageBytes: 32 << 10, pageRows: 1 << 20, groupRows: 5000}})
	rows := 0
	write := func() {
		f.Reset(&out)
		for range 100 {
			rec.replay(w.rows, buf)
			f.Block().Append(buf, w.rows)
			if err := f.EndBlock(); err != nil {
				t.Fatal(err)
			}
		}
		s, err := f.Close()
		if err != nil {
			t.Fatal(err)
		}
		rows = int(s.Rows)
	}
	write()
	if n := testing.AllocsPerRun(3, write); n > float64(rows)/50 {
		t.Errorf("%.0f allocations for %d rows", n, rows)
	}
}
