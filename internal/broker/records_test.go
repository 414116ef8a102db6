package broker

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestRecordsOfEveryCodecAndFramingAreTaken(t *testing.T) {
	plain := testBatch(-1, -1, -1, "a", "b", "c")
	records := plain[batchHeaderBytes:]
	block := s2.EncodeSnappy(nil, records)
	// Java's framing, in two blocks
	framed := append(slices.Clone(xerial), 0, 0, 0, 1, 0, 0, 0, 1)
	for _, part := range [][]byte{records[:10], records[10:]} {
		b := s2.EncodeSnappy(nil, part)
		framed = append(binary.BigEndian.AppendUint32(framed, uint32(len(b))), b...)
	}
	c, err := newRecordChecker()
	if err != nil {
		t.Fatal(err)
	}
	compressed := map[string][]byte{"snappy": block, "snappy, as Java writes it": framed}
	codecs := map[string]uint16{"snappy": 2, "snappy, as Java writes it": 2}
	for name, codec := range map[string]kgo.CompressionCodec{"gzip": kgo.GzipCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()} {
		compressor, err := kgo.DefaultCompressor(codec)
		if err != nil {
			t.Fatal(err)
		}
		out, used := compressor.Compress(new(bytes.Buffer), records)
		compressed[name], codecs[name] = out, uint16(used)
	}
	for name, data := range compressed {
		batch := append(slices.Clone(plain[:batchHeaderBytes]), data...)
		binary.BigEndian.PutUint16(batch[21:], codecs[name])
		if r := c.check(batch); r != nil {
			t.Errorf("%s: %s", name, r.text)
		}
		binary.BigEndian.PutUint32(batch[57:], 4)
		if c.check(batch) == nil {
			t.Errorf("%s: a wrong count is taken", name)
		}
	}
	if r := c.check(plain); r != nil {
		t.Errorf("uncompressed: %s", r.text)
	}
}

func FuzzRecords(f *testing.F) {
	c, err := newRecordChecker()
	if err != nil {
		f.Fatal(err)
	}
	plain := testBatch(-1, -1, -1, "a", "b")
	f.Add(plain[batchHeaderBytes:], uint16(0), int32(2))
	f.Add(s2.EncodeSnappy(nil, plain[batchHeaderBytes:]), uint16(2), int32(2))
	f.Add(append(slices.Clone(xerial), 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 9), uint16(2), int32(1))
	f.Fuzz(func(t *testing.T, records []byte, codec uint16, n int32) {
		batch := append(slices.Clone(plain[:batchHeaderBytes]), records...)
		binary.BigEndian.PutUint16(batch[21:], codec&7)
		binary.BigEndian.PutUint32(batch[57:], uint32(n))
		if r := c.check(batch); r != nil {
			return
		}
		out, err := c.decompress(records, codec&7)
		if err != nil || len(out) < int(n) {
			t.Errorf("%d records in %d bytes are taken: %v", n, len(out), err)
		}
	})
}
