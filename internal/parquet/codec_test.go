package parquet

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/column"
)

func TestParseCodec(t *testing.T) {
	for _, tt := range []struct {
		name   string
		want   Codec
		ending string
	}{
		{"zstd", Zstd, ".zstd"},
		{"ZSTD", Zstd, ".zstd"}, // Spark's names are taken in any case
		{"snappy", Snappy, ".snappy"},
		{"gzip", Gzip, ".gz"},
		{"lz4", LZ4, ".lz4raw"},
		{"lz4_raw", LZ4, ".lz4raw"},
		{"LZ4RAW", LZ4, ".lz4raw"},
		{"none", Uncompressed, ""},
		{"uncompressed", Uncompressed, ""},
	} {
		if got, err := ParseCodec(tt.name); err != nil || got != tt.want || got.Ending() != tt.ending {
			t.Errorf("%s: %s %q, %v", tt.name, got, got.Ending(), err)
		}
	}
	for _, name := range []string{"", "brotli", "lzo", "zstd(3)", " zstd"} {
		if _, err := ParseCodec(name); err == nil || !strings.Contains(err.Error(), "zstd, snappy") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if (Options{}).Compression != Zstd {
		t.Error("the zero value is not zstd")
	}
}

// TestCodecsOpenWhatTheyCompressed, of every size and kind of content, in reused buffers.
func TestCodecsOpenWhatTheyCompressed(t *testing.T) {
	for c := range codecNames {
		codec := Codec(c)
		t.Run(codec.String(), func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 1))
			k, d := newCompressor(codec), &decompressor{}
			for i := range 300 {
				src := make([]byte, 1+r.IntN(1+i*i))
				for j := range src {
					switch i % 3 { // random, repeating, zeros
					case 0:
						src[j] = byte(r.Uint32())
					case 1:
						src[j] = byte(j % 7)
					}
				}
				out, err := k.compress(src)
				if err != nil {
					t.Fatal(err)
				}
				got, err := d.open(codecNumbers[codec], out, int64(len(src)), i%2 == 0)
				if err != nil || !bytes.Equal(got, src) {
					t.Fatalf("%d bytes: %v", len(src), err)
				}
				if _, err := d.open(codecNumbers[codec], out, int64(len(src))+1, false); !errors.Is(err, ErrCorrupt) {
					t.Fatalf("a page with a byte less than its header says: %v", err)
				}
				if len(src) > 1 {
					if _, err := d.open(codecNumbers[codec], out, int64(len(src))-1, false); !errors.Is(err, ErrCorrupt) {
						t.Fatalf("a page with a byte more than its header says: %v", err)
					}
				}
			}
		})
	}
	if _, err := (&decompressor{}).open(4, []byte("x"), 1, false); !errors.Is(err, ErrUnsupported) {
		t.Errorf("brotli: %v", err)
	}
}

// TestHadoopLZ4IsRead: frames of big-endian sizes, as parquet-mr wrote before LZ4_RAW.
func TestHadoopLZ4IsRead(t *testing.T) {
	var frames, want []byte
	k := newCompressor(LZ4)
	for _, part := range []string{"first first first first first", "second"} {
		out, err := k.compress([]byte(part))
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, 0, 0, 0, byte(len(part)), 0, 0, 0, byte(len(out)))
		frames, want = append(frames, out...), append(want, part...)
	}
	d := &decompressor{}
	if got, err := d.open(codecHadoopLZ4, frames, int64(len(want)), false); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	for i := range frames {
		if _, err := d.open(codecHadoopLZ4, frames[:i], int64(len(want)), false); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
}

// content returns the pages of a file: their headers, and what they hold when open.
func pagesOf(t *testing.T, file []byte) (headers []readHeader, content [][]byte) {
	t.Helper()
	m, err := readMetadata(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	d := &decompressor{}
	for _, g := range m.groups {
		for _, c := range g.chunks {
			r := &thriftReader{b: file[:c.first+c.size], at: int(c.first)}
			for r.at < len(r.b) {
				h := r.pageHeader()
				body := r.b[r.at : r.at+int(h.compressed)]
				r.at += len(body)
				out, err := d.open(c.codec, body, h.size, true)
				if err != nil || r.err != nil {
					t.Fatal(err, r.err)
				}
				h.compressed, h.checksum = 0, 0
				headers, content = append(headers, h), append(content, out)
			}
		}
	}
	return headers, content
}

// TestCodecsDoNotChangePages: files of any codec differ in nothing but their compression. It stands for reading LZ4 back, of which
// parquet-go v0.32.0 reads other bytes than it opened where a page shrank by less than two thirds.
func TestCodecsDoNotChangePages(t *testing.T) {
	m := &maker{Rand: rand.New(rand.NewPCG(5, 5)), nullPercent: 15}
	s := column.Of(m.fields(6, 3)...)
	var rows [][]any
	for range 500 {
		rows = append(rows, m.row(s))
	}
	l := layout(t, s)
	plain, stats := writeFile(t, l, Options{Compression: Uncompressed, limits: small}, rows, 64)
	check(t, l, plain, stats, rows)
	headers, content := pagesOf(t, plain)
	for _, c := range []Codec{Zstd, Snappy, Gzip, LZ4} {
		file, _ := writeFile(t, l, Options{Compression: c, limits: small}, rows, 64)
		gotHeaders, got := pagesOf(t, file)
		if len(got) != len(content) {
			t.Fatalf("%s: %d pages, want %d", c, len(got), len(content))
		}
		for i := range content {
			if gotHeaders[i] != headers[i] || !bytes.Equal(got[i], content[i]) {
				t.Fatalf("%s: page %d differs", c, i)
			}
		}
		checkReader(t, l, file, rows)
	}
}
