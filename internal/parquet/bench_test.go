package parquet

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/siltlake/silt/internal/column"
)

// The benchmarks begin after phase 1 of decoding: a block's positions are copied into Rows, then appended and written. Their rows are of
// the shapes of docs/adr/0002 and 0003, 1 M in a file.

const benchRows = 1 << 17 // distinct; a file has them 8 times

type benchShape struct {
	name   string
	schema column.Schema
	row    func(r *rand.Rand, i int) []any
	runs   []string // columns that come as runs
}

func benchShapes() []benchShape {
	long := column.Primitive(column.Long)
	item := column.StructOf(column.Nullable("sku", column.Primitive(column.String)), column.Nullable("colour", column.Primitive(column.String)),
		column.Nullable("n", long))
	return []benchShape{
		{"clickstream", clickSchema(true), func(r *rand.Rand, i int) []any { return kafkaRow(r, i, clickRow(r, i, 0)) },
			[]string{"topic", "partition", "timestampType"}},
		{"record", clickSchema(false), func(r *rand.Rand, i int) []any { return clickRow(r, i, 0) }, nil},
		{"record10null", clickSchema(false), func(r *rand.Rand, i int) []any { return clickRow(r, i, 10) }, nil},
		{"record50null", clickSchema(false), func(r *rand.Rand, i int) []any { return clickRow(r, i, 50) }, nil},
		{"array5", column.Of(column.Nullable("v", column.ArrayOf(long))), func(r *rand.Rand, i int) []any {
			items := make([]any, 5)
			for k := range items {
				items[k] = int64(r.Uint32N(1 << 20))
			}
			return []any{items}
		}, nil},
		{"records3", column.Of(column.Nullable("v", column.ArrayOf(item))), func(r *rand.Rand, i int) []any {
			var items []any
			for range 3 {
				items = append(items, []any{fmt.Appendf(nil, "SKU-%06d", r.IntN(5000)), fmt.Appendf(nil, "colour%d", r.IntN(12)), int64(r.IntN(1000))})
			}
			return []any{items}
		}, nil},
		{"wide60", wideSchema(), wideRow, nil},
	}
}

// wideSchema has 60 columns: 12 strings, longs, integers, doubles and booleans each.
func wideSchema() column.Schema {
	kinds := []column.Kind{column.String, column.Long, column.Integer, column.Double, column.Boolean}
	var fields []column.Field
	for i := range 60 {
		fields = append(fields, column.Nullable(fmt.Sprintf("c%02d", i), column.Primitive(kinds[i%len(kinds)])))
	}
	return column.Of(fields...)
}

// wideRow has strings of 50 to 2,800 values, and doubles and integers of 1,000.
func wideRow(r *rand.Rand, i int) []any {
	row := make([]any, 60)
	for c := range row {
		switch c % 5 {
		case 0:
			row[c] = fmt.Appendf(nil, "a value of this column %d", r.IntN(50*(c+1)))
		case 1:
			row[c] = int64(i*10 + c)
		case 2:
			row[c] = int64(r.IntN(1000))
		case 3:
			row[c] = int64(math.Float64bits(float64(r.IntN(1000)) / 8))
		case 4:
			row[c] = int64(r.IntN(2))
		}
	}
	return row
}

func clickSchema(kafka bool) column.Schema {
	text, fields := column.Primitive(column.String), []column.Field(nil)
	for _, n := range []string{"ip", "userid", "remote_user", "time", "_time", "request", "status", "bytes", "referrer", "agent"} {
		t := text
		switch n {
		case "userid":
			t = column.Primitive(column.Integer)
		case "_time":
			t = column.Primitive(column.Long)
		}
		fields = append(fields, column.Nullable(n, t))
	}
	if !kafka {
		return column.Of(fields...)
	}
	return column.Of(column.Nullable("topic", text), column.Nullable("partition", column.Primitive(column.Integer)),
		column.Nullable("offset", column.Primitive(column.Long)), column.Nullable("timestamp", column.Primitive(column.Timestamp)),
		column.Nullable("timestampType", column.Primitive(column.Integer)), column.Nullable("key", text),
		column.Nullable("parsedValue", column.StructOf(fields...)))
}

func kafkaRow(r *rand.Rand, i int, record []any) []any {
	return []any{[]byte("clickstreams"), int64(3), int64(i), int64(1721304000000000 + i*10000), int64(0), fmt.Append(nil, 1+r.IntN(40)), record}
}

func clickRow(r *rand.Rand, i, nullPercent int) []any {
	agents := []string{"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/59.0.3071.115 Safari/537.36"}
	requests := []string{"GET /index.html HTTP/1.1", "GET /site/user_status.html HTTP/1.1", "GET /site/login.html HTTP/1.1",
		"GET /images/track.png HTTP/1.1", "GET /images/logo-small.png HTTP/1.1"}
	k := r.IntN(24)
	row := []any{fmt.Appendf(nil, "%d.%d.%d.%d", 111+k%3*56, 145+k*4, 8+k*9, 45+k*7), int64(1 + r.IntN(40)), []byte("-"),
		fmt.Appendf(nil, "[18/Jul/2024:12:%02d:%02d +0000]", i/6000%60, i/100%60), int64(1 + i*10), []byte(requests[r.IntN(5)]),
		[]byte([]string{"200", "302", "404", "405", "406", "407"}[r.IntN(6)]),
		[]byte([]string{"278", "1289", "2048", "4096", "4006", "4196", "14096"}[r.IntN(7)]), []byte("-"), []byte(agents[r.IntN(2)])}
	for c := range row {
		if r.IntN(100) < nullPercent {
			row[c] = nil
		}
	}
	return row
}

// A recorded block is what phase 1 left in Rows.
type recordedBlock struct {
	from, to int   // of the buffer
	groups   []int // slots
	valid    [][]byte
	spans    [][]column.Span
	ints     [][]int64
	nodes    [][]byte
	lens     [][]int32
}

func record(r *column.Rows) recordedBlock {
	var b recordedBlock
	for _, g := range r.Groups {
		b.groups = append(b.groups, g.N)
	}
	for i, f := range r.Leaves {
		n := r.Groups[r.Layout.Leaves[i].Group].N
		b.valid = append(b.valid, append([]byte(nil), f.Valid[:n]...))
		b.spans, b.ints = append(b.spans, nil), append(b.ints, nil)
		if f.Spans != nil {
			b.spans[i] = append([]column.Span(nil), f.Spans[:n]...)
		} else {
			b.ints[i] = append([]int64(nil), f.Ints[:n]...)
		}
	}
	for i, k := range r.Nodes {
		n := r.Groups[r.Layout.Nodes[i].Group].N
		b.nodes, b.lens = append(b.nodes, nil), append(b.lens, nil)
		if k.Lens != nil {
			b.lens[i] = append([]int32(nil), k.Lens[:n]...)
		} else {
			b.nodes[i] = append([]byte(nil), k.Valid[:n]...)
		}
	}
	return b
}

// replay is phase 1: it writes the positions, and reads every line of the records, which phase 2 then finds in the cache.
func (b *recordedBlock) replay(r *column.Rows, buf []byte) (sum int) {
	for i := b.from; i < b.to; i += 64 {
		sum += int(buf[i])
	}
	for i, n := range b.groups {
		if g := r.Groups[i]; g.Cap < n {
			g.Grow(n)
		}
		r.Groups[i].N = n
	}
	for i, f := range r.Leaves {
		if f.Run {
			continue
		}
		copy(f.Valid, b.valid[i])
		copy(f.Spans, b.spans[i])
		copy(f.Ints, b.ints[i])
	}
	for i, k := range r.Nodes {
		copy(k.Valid, b.nodes[i])
		copy(k.Lens, b.lens[i])
	}
	return sum
}

func recordShape(tb testing.TB, s benchShape) (*column.Layout, []recordedBlock, []byte, *column.Rows) {
	l, err := column.NewLayout(s.schema)
	if err != nil {
		tb.Fatal(err)
	}
	w, r := newFiller(l), rand.New(rand.NewPCG(1, 2))
	var blocks []recordedBlock
	from := 0
	for i := range benchRows {
		w.row(s.row(r, i))
		if w.rows.Full() {
			b := record(w.rows)
			b.from, b.to = from, len(w.buf)
			blocks, from = append(blocks, b), len(w.buf)
			for _, g := range w.rows.Groups {
				for _, f := range g.Leaves {
					for k := range f.Valid {
						f.Valid[k] = 1
					}
				}
				g.N = 0
			}
		}
	}
	for _, name := range s.runs {
		f := w.rows.Leaves[l.Column(name).Leaf]
		f.Run = true
		if f.Spans != nil {
			f.Spans[0] = blocks[0].spans[f.Index][0]
		} else {
			f.Ints[0] = blocks[0].ints[f.Index][0]
		}
	}
	return l, blocks, append(w.buf, make([]byte, column.Slack)...), w.rows
}

// BenchmarkWrite appends rows and writes them as files: dictionaries, pages, footer.
func BenchmarkWrite(b *testing.B) {
	for _, s := range benchShapes() {
		b.Run(s.name, func(b *testing.B) {
			l, blocks, buf, rows := recordShape(b, s)
			var out counter
			f := NewFile(&out, l, Options{})
			one := func() {
				out = 0
				f.Reset(&out)
				for range 8 {
					for i := range blocks {
						blocks[i].replay(rows, buf)
						f.Block().Append(buf, rows)
						if err := f.EndBlock(); err != nil {
							b.Fatal(err)
						}
					}
				}
				if _, err := f.Close(); err != nil {
					b.Fatal(err)
				}
			}
			one()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			n := 0
			for b.Loop() {
				one()
				n++
			}
			runtime.ReadMemStats(&after)
			per := float64(n) * float64(f.Rows())
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/per, "ns/row")
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/per, "allocs/row")
			b.ReportMetric(float64(out)/float64(f.Rows()), "B/row")
			b.ReportMetric(float64(f.Memory())/1e6, "MB-held")
		})
	}
}

// BenchmarkReplay is the part of BenchmarkWrite that is not measured for.
func BenchmarkReplay(b *testing.B) {
	for _, s := range benchShapes() {
		b.Run(s.name, func(b *testing.B) {
			_, blocks, buf, rows := recordShape(b, s)
			for b.Loop() {
				for i := range blocks {
					blocks[i].replay(rows, buf)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchRows), "ns/row")
		})
	}
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

var _ io.Writer = (*counter)(nil)

// BenchmarkScan reads topic, partition and offset of a file, which is what an audit does.
func BenchmarkScan(b *testing.B) {
	l, blocks, buf, rows := recordShape(b, benchShapes()[0])
	var out bytes.Buffer
	f := NewFile(&out, l, Options{})
	for i := range blocks {
		blocks[i].replay(rows, buf)
		f.Block().Append(buf, rows)
		if err := f.EndBlock(); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := f.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r, err := Open(bytes.NewReader(out.Bytes()), int64(out.Len()))
		if err != nil {
			b.Fatal(err)
		}
		for _, err := range r.Columns("topic", "partition", "offset") {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(f.Rows()), "ns/row")
}
