package parquet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	pq "github.com/parquet-go/parquet-go"

	"github.com/siltlake/silt/internal/column"
)

type foreignRow struct {
	Topic     string  `parquet:"topic,dict"`
	Partition int32   `parquet:"partition"`
	Offset    int64   `parquet:"offset"`
	Delta     int64   `parquet:"delta,delta"`
	Delta32   int32   `parquet:"delta32,delta"`
	Lengths   string  `parquet:"lengths,delta"`
	Maybe     *string `parquet:"maybe,optional,dict"`
	MaybeLong *int64  `parquet:"maybeLong,optional"`
	Fixed     [5]byte `parquet:"fixed"`
	Nested    struct {
		Offset int64 `parquet:"offset"`
	} `parquet:"nested"`
	Flag bool `parquet:"flag"`
}

func foreignRows(n int) []foreignRow {
	r := rand.New(rand.NewPCG(2, 2))
	rows := make([]foreignRow, n)
	for i := range rows {
		rows[i] = foreignRow{Topic: fmt.Sprint("topic", i%3), Partition: int32(i % 5), Offset: int64(i), Delta: int64(r.Uint64()), Delta32: int32(r.Uint32()),
			Lengths: strings.Repeat("x", r.IntN(30)), Fixed: [5]byte{byte(i), 1, 2, 3, 4}}
		if i%4 > 0 {
			s, n := fmt.Sprint(i%11), int64(-i)
			rows[i].Maybe, rows[i].MaybeLong = &s, &n
		}
	}
	return rows
}

// TestReaderReadsOthersFiles: pages of version 1 and 2 in every codec and encoding that parquet-go writes.
func TestReaderReadsOthersFiles(t *testing.T) {
	rows := foreignRows(10000)
	for _, version := range []int{1, 2} {
		for name, o := range map[string][]pq.WriterOption{
			"uncompressed":   nil,
			"snappy":         {pq.Compression(&pq.Snappy)},
			"gzip":           {pq.Compression(&pq.Gzip)},
			"zstd":           {pq.Compression(&pq.Zstd)},
			"lz4":            {pq.Compression(&pq.Lz4Raw)},
			"small pages":    {pq.PageBufferSize(300)},
			"many groups":    {pq.MaxRowsPerRowGroup(999)},
			"prefixes":       {pq.DefaultEncodingFor(pq.ByteArray, &pq.DeltaByteArray)},
			"plain by force": {pq.DefaultEncoding(&pq.Plain)},
		} {
			t.Run(fmt.Sprint(name, " v", version), func(t *testing.T) {
				var out bytes.Buffer
				w := pq.NewGenericWriter[foreignRow](&out, append([]pq.WriterOption{pq.DataPageVersion(version)}, o...)...)
				if _, err := w.Write(rows); err != nil {
					t.Fatal(err)
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				r, err := Open(bytes.NewReader(out.Bytes()), int64(out.Len()))
				if err != nil || r.Rows() != int64(len(rows)) {
					t.Fatal(err)
				}
				compareForeign(t, r, rows)
			})
		}
	}
}

func compareForeign(t *testing.T, r *Reader, rows []foreignRow) {
	t.Helper()
	at := 0
	for v, err := range r.Columns("offset", "topic", "partition", "delta", "delta32", "lengths", "maybe", "maybeLong", "fixed") {
		if err != nil {
			t.Fatal(err)
		}
		for i := range v[0].N {
			w := rows[at]
			if v[0].Ints[i] != w.Offset || string(v[1].Bytes[i]) != w.Topic || v[2].Ints[i] != int64(w.Partition) || v[3].Ints[i] != w.Delta ||
				v[4].Ints[i] != int64(w.Delta32) || string(v[5].Bytes[i]) != w.Lengths || !bytes.Equal(v[8].Bytes[i], w.Fixed[:]) {
				t.Fatalf("row %d differs", at)
			}
			if v[6].Null(i) != (w.Maybe == nil) || v[7].Null(i) != (w.MaybeLong == nil) ||
				w.Maybe != nil && (string(v[6].Bytes[i]) != *w.Maybe || v[7].Ints[i] != *w.MaybeLong) {
				t.Fatalf("row %d: nulls differ", at)
			}
			at++
		}
	}
	if at != len(rows) {
		t.Fatalf("%d rows, want %d", at, len(rows))
	}
}

func TestReaderRefusesColumns(t *testing.T) {
	var out bytes.Buffer
	w := pq.NewGenericWriter[foreignRow](&out)
	if _, err := w.Write(foreignRows(10)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Open(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"nothing":       "no flat column nothing",
		"nested":        "no flat column nested",
		"nested.offset": "no flat column",
		"flag":          "physical type 0",
		"Offset":        "no flat column Offset", // another spelling is another column
	} {
		n := 0
		for _, err := range r.Columns("offset", name) {
			if n++; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d steps", name, n)
		}
	}
}

func TestReaderStopsWhenAsked(t *testing.T) {
	l := layout(t, one("c", column.Primitive(column.Long)))
	rows := make([][]any, 3*VectorRows)
	for i := range rows {
		rows[i] = []any{int64(i)}
	}
	file, _ := writeFile(t, l, Options{}, rows, 256)
	r, err := Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	for v, err := range r.Columns("c") {
		if err != nil || v[0].N != VectorRows {
			t.Fatal(err, v[0].N)
		}
		break
	}
}

// smallFile is a file of few bytes in which every byte matters.
func smallFile(t testing.TB, codec Codec) ([]byte, [][]any) {
	l := layout(t, column.Of(column.Nullable("s", column.Primitive(column.String)), column.Nullable("i", column.Primitive(column.Integer)),
		column.Nullable("n", column.Primitive(column.Long))))
	var rows [][]any
	for i := range 40 {
		rows = append(rows, []any{[]byte(fmt.Sprint("value", i%5)), int64(i % 3), int64(i * i)})
		if i%7 == 3 {
			rows[i][i%3] = nil
		}
	}
	file, _ := writeFile(t, l, Options{Compression: codec, limits: pageLimits{pageBytes: 1, pageRows: 20, groupRows: 20}}, rows, 20)
	return file, rows
}

// readAll reads all columns and returns the first error.
func readAll(file []byte) error {
	r, err := Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return err
	}
	for _, l := range r.meta.leaves {
		if len(l.path) > 1 {
			continue
		}
		for _, err := range r.Columns(l.path[0]) {
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// TestDamagedPagesAreNoticed: a page's checksum covers each of its bytes.
func TestDamagedPagesAreNoticed(t *testing.T) {
	for _, codec := range []Codec{Uncompressed, Zstd, Snappy, LZ4} {
		file, _ := smallFile(t, codec)
		m, err := readMetadata(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			t.Fatal(err)
		}
		if err := readAll(file); err != nil {
			t.Fatal(err)
		}
		for _, g := range m.groups {
			for _, c := range g.chunks {
				r := &thriftReader{b: file, at: int(c.first)}
				for r.at < int(c.first+c.size) {
					h := r.pageHeader()
					for range h.compressed {
						file[r.at] ^= 0x10
						if err := readAll(file); !errors.Is(err, ErrCorrupt) {
							t.Fatalf("%s: byte %d: %v", codec, r.at, err)
						}
						file[r.at] ^= 0x10
						r.at++
					}
				}
			}
		}
	}
}

// A few bytes may say that one value stands in any number of rows.
func TestAPageOfTooManyValuesIsRefused(t *testing.T) {
	for _, tt := range []struct {
		n    int
		want error
	}{
		{maxPageValues, nil},
		{maxPageValues + 1, ErrUnsupported},
		{math.MaxInt32, ErrUnsupported},
	} {
		page := func(h pageHeader, content []byte) []byte {
			h.size, h.compressed, h.checksum = len(content), len(content), crc32.ChecksumIEEE(content)
			var t thrift
			t.pageHeader(h)
			return append(t.b, content...)
		}
		dict := page(pageHeader{dictionary: true, values: 1, encoding: encodingPlain}, binary.LittleEndian.AppendUint32(nil, 7))
		levels := appendRun(nil, tt.n, 1, 1)
		data := append(appendSection(nil, levels), 1)
		data = appendRun(data, tt.n, 0, 1)
		p := &pages{meta: leafMetadata{phys: int32(column.PhysInt32), optional: true}, raw: append(dict, page(pageHeader{values: tt.n, encoding: encodingDict}, data)...),
			rest: int64(tt.n), codec: codecNumbers[Uncompressed]}
		if err := p.next(); !errors.Is(err, tt.want) || err == nil && (p.page.n != tt.n || p.page.ints[tt.n-1] != 7) {
			t.Errorf("%d values: got %v", tt.n, err)
		}
	}
}

func TestTruncatedFilesAreRefused(t *testing.T) {
	file, _ := smallFile(t, Zstd)
	for i := range file {
		if _, err := Open(bytes.NewReader(file[:i]), int64(i)); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if _, err := Open(bytes.NewReader(file[:100]), int64(len(file))); !errors.Is(err, ErrCorrupt) {
		t.Errorf("shorter than the store says: %v", err)
	}
	encrypted := append(bytes.Clone(file[:len(file)-4]), "PARE"...)
	if _, err := Open(bytes.NewReader(encrypted), int64(len(file))); !errors.Is(err, ErrUnsupported) {
		t.Errorf("encrypted: %v", err)
	}
}

// An erring reader fails as a store does.
type erring struct{ err error }

func (e erring) ReadAt([]byte, int64) (int, error) { return 0, e.err }

func TestErrorsOfTheStoreStayTheirs(t *testing.T) {
	if _, err := Open(erring{errFull}, 1000); !errors.Is(err, errFull) || errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}

// FuzzReader: no file makes the reader panic, hang or take much memory, and every error says what kind it is.
func FuzzReader(f *testing.F) {
	for _, c := range []Codec{Uncompressed, Zstd, Snappy, Gzip, LZ4} {
		file, _ := smallFile(f, c)
		f.Add(file)
	}
	for _, version := range []int{1, 2} {
		var out bytes.Buffer
		w := pq.NewGenericWriter[foreignRow](&out, pq.DataPageVersion(version))
		if _, err := w.Write(foreignRows(20)); err != nil {
			f.Fatal(err)
		}
		if err := w.Close(); err != nil {
			f.Fatal(err)
		}
		f.Add(out.Bytes())
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		if err := readAll(file); err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) && !strings.Contains(err.Error(), "no flat column") {
			t.Fatal(err)
		}
	})
}
