package kafka

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/siltlake/silt/internal/column"
)

// words are bytes that compress, with repeats further apart than a block.
func words(n int) []byte {
	rng := rand.New(rand.NewPCG(3, 4))
	base := make([]byte, 5000)
	for i := range base {
		base[i] = byte('a' + rng.IntN(16))
	}
	var b []byte
	for len(b) < n {
		from := rng.IntN(len(base) - 100)
		b = append(b, base[from:from+rng.IntN(100)]...)
	}
	return b[:n]
}

func lz4Frame(t *testing.T, data []byte, options ...lz4.Option) []byte {
	t.Helper()
	var b bytes.Buffer
	w := lz4.NewWriter(&b)
	if err := w.Apply(options...); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// linkedFrame is a frame whose second block refers to the first, which the library's writer does not make: a run of the last byte.
func linkedFrame() (frame, data []byte) {
	first := words(lz4Window)
	frame = []byte{0x04, 0x22, 0x4d, 0x18, lz4Version, 0x40, 0}
	frame = binary.LittleEndian.AppendUint32(frame, lz4Raw|uint32(len(first)))
	frame = append(frame, first...)
	// One literal '!', a match of 19+6 bytes at offset 50000 back, then the last five literals.
	second := []byte{0x1f, '!', 0x50, 0xc3, 6, 0x50, 'e', 'n', 'd', '.', '.'}
	frame = binary.LittleEndian.AppendUint32(frame, uint32(len(second)))
	frame = append(frame, second...)
	frame = binary.LittleEndian.AppendUint32(frame, 0)
	data = append(bytes.Clone(first), '!')
	at := len(data) - 0xc350
	data = append(data, data[at:at+25]...)
	return frame, append(data, "end.."...)
}

func xerial(blocks ...[]byte) []byte {
	b := append(bytes.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1)
	for _, block := range blocks {
		c := s2.EncodeSnappy(nil, block)
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(c))), c...)
	}
	return b
}

func zstdStream(t *testing.T, data []byte, options ...zstd.EOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, options...)
	if err != nil {
		t.Fatal(err)
	}
	for part := range bytes.SplitSeq(data, []byte("e")) { // several blocks, size not known before
		_, _ = w.Write(part)
		_, _ = w.Write([]byte("e"))
		_ = w.Flush()
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipMember(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDecompress(t *testing.T) {
	data := words(300_000)
	linked, linkedData := linkedFrame()
	noise := make([]byte, 100_000)
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	tests := []struct {
		name    string
		codec   int
		payload []byte
		want    []byte
	}{
		{"none", codecNone, data, data},
		{"gzip", codecGzip, gzipMember(t, data), data},
		{"gzip of two members", codecGzip, append(gzipMember(t, data[:10]), gzipMember(t, data[10:])...), data},
		{"snappy", codecSnappy, s2.EncodeSnappy(nil, data), data},
		{"snappy, empty", codecSnappy, s2.EncodeSnappy(nil, nil), nil},
		{"snappy-java's frame", codecSnappy, xerial(data[:32768], data[32768:]), data},
		{"snappy-java's frame without blocks", codecSnappy, xerial(), nil},
		{"lz4 in 64 KiB blocks, as Java writes", codecLZ4, lz4Frame(t, data, lz4.BlockSizeOption(lz4.Block64Kb)), data},
		{"lz4 in 4 MiB blocks", codecLZ4, lz4Frame(t, data), data},
		{"lz4 with checksums and size", codecLZ4, lz4Frame(t, data, lz4.BlockSizeOption(lz4.Block64Kb), lz4.BlockChecksumOption(true),
			lz4.ChecksumOption(true), lz4.SizeOption(uint64(len(data)))), data},
		{"lz4 of what does not compress", codecLZ4, lz4Frame(t, noise, lz4.BlockSizeOption(lz4.Block64Kb)), noise},
		{"lz4 with linked blocks", codecLZ4, linked, linkedData},
		{"lz4, empty", codecLZ4, lz4Frame(t, nil), nil},
		{"zstd of unknown size", codecZstd, zstdStream(t, data[:2000]), append(bytes.Clone(data[:2000]), 'e')},
		{"zstd with checksum", codecZstd, zstdStream(t, data[:99], zstd.WithEncoderCRC(true)), append(bytes.Clone(data[:99]), 'e')},
		{"zstd of known size", codecZstd, compress(t, codecZstd, data), data},
	}
	var d decompressor // one for all: nothing of a batch shows in the next
	d.limit = 1 << 20
	for _, tt := range tests {
		d.reset()
		for range 3 { // again behind what is there, in an arena that has grown
			from, err := d.add(tt.codec, tt.payload)
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
				break
			}
			if !bytes.Equal(d.arena[from:], tt.want) {
				t.Errorf("%s: got %d bytes, want %d", tt.name, len(d.arena)-from, len(tt.want))
			}
			if cap(d.arena)-len(d.arena) < column.Slack {
				t.Errorf("%s: %d bytes past the arena", tt.name, cap(d.arena)-len(d.arena))
			}
		}
	}
}

func TestDecompressRefuses(t *testing.T) {
	frame := lz4Frame(t, words(1000))
	flag := func(i int, bits byte) []byte {
		b := bytes.Clone(frame)
		b[i] ^= bits
		return b
	}
	tests := []struct {
		name    string
		codec   int
		payload []byte
		want    string
	}{
		{"an lz4 frame cut off in a block", codecLZ4, frame[:len(frame)-20], "lz4: a block of"},
		{"an lz4 frame cut off between blocks", codecLZ4, frame[:9], "lz4: the frame is cut off"},
		{"an lz4 frame of another version", codecLZ4, flag(4, 0x80), "are not supported"},
		{"an lz4 frame with a dictionary", codecLZ4, flag(4, lz4DictionaryID), "are not supported"},
		{"an lz4 block size below 64 KiB", codecLZ4, flag(5, 0x40), "are not supported"},
		{"an lz4 block that refers to before the frame", codecLZ4, append(frame[:7:7], 5, 0, 0, 0, 0x0f, 1, 0, 0, 0), "lz4: "},
		{"snappy-java's frame cut off in its header", codecSnappy, xerial()[:12], "snappy: the header is cut off"},
		{"snappy-java's frame cut off in a length", codecSnappy, append(xerial(), 0, 0), "snappy: a block's length is cut off"},
		{"snappy-java's frame cut off in a block", codecSnappy, append(xerial(), 0, 0, 0, 9, 1), "snappy: a block of 9 bytes in 1"},
		{"gzip cut off", codecGzip, gzipMember(t, words(1000))[:100], "gzip: unexpected EOF"},
	}
	d := decompressor{limit: 1 << 20}
	if _, err := d.add(codecNone, []byte("before")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		if _, err := d.add(tt.codec, tt.payload); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
		if string(d.arena) != "before" {
			t.Fatalf("%s: the arena holds %q", tt.name, d.arena)
		}
	}
}
