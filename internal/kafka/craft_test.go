package kafka

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/siltlake/silt/internal/stream"
)

// A crafted is a record batch to be built by hand.
type crafted struct {
	base       int64
	records    []kmsg.Record // TimestampDelta64 and OffsetDelta are the caller's
	lastDelta  int32         // default: the last record's
	attributes int16         // without the codec
	codec      int
	firstTime  int64
	maxTime    int64
	producerID int64
	magic      int8   // default 2
	payload    []byte // instead of the records, already compressed
	badCRC     bool
}

// simpleRecords are n records at consecutive offsets with keys k0, k1 ... and values v0, v1 ...
func simpleRecords(n int) []kmsg.Record {
	rs := make([]kmsg.Record, n)
	for i := range rs {
		rs[i] = kmsg.Record{OffsetDelta: int32(i), TimestampDelta64: int64(i), Key: fmt.Append(nil, "k", i), Value: fmt.Append(nil, "v", i)}
	}
	return rs
}

func (c crafted) bytes(t testing.TB) []byte {
	t.Helper()
	payload := c.payload
	if payload == nil {
		payload = compress(t, c.codec, encodeRecords(c.records))
	}
	b := kmsg.RecordBatch{FirstOffset: c.base, Magic: 2, Attributes: c.attributes | int16(c.codec), FirstTimestamp: c.firstTime,
		MaxTimestamp: c.maxTime, ProducerID: c.producerID, NumRecords: int32(len(c.records)), Records: payload, LastOffsetDelta: c.lastDelta}
	if n := len(c.records); c.lastDelta == 0 && n > 0 {
		b.LastOffsetDelta = c.records[n-1].OffsetDelta
	}
	if c.magic != 0 {
		b.Magic = c.magic
	}
	out := b.AppendTo(nil)
	binary.BigEndian.PutUint32(out[batchLength:], uint32(len(out)-batchLengthPrefix))
	seal(out)
	if c.badCRC {
		out[batchCRC] ^= 1
	}
	return out
}

// seal sets the checksum of a batch that is right otherwise.
func seal(b []byte) {
	binary.BigEndian.PutUint32(b[batchCRC:], crc32.Checksum(b[batchAttributes:], castagnoli))
}

func encodeRecords(rs []kmsg.Record) []byte {
	var b []byte
	for _, r := range rs {
		r.Length = 0
		body := r.AppendTo(nil)[1:] // without the length, 0
		b = append(binary.AppendVarint(b, int64(len(body))), body...)
	}
	return b
}

func compress(t testing.TB, codec int, payload []byte) []byte {
	t.Helper()
	if codec == codecNone {
		return payload
	}
	choice := map[int]kgo.CompressionCodec{codecGzip: kgo.GzipCompression(), codecSnappy: kgo.SnappyCompression(),
		codecLZ4: kgo.Lz4Compression(), codecZstd: kgo.ZstdCompression()}[codec]
	c, err := kgo.DefaultCompressor(choice)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := c.Compress(new(bytes.Buffer), payload)
	return bytes.Clone(out)
}

var allCodecs = []int{codecNone, codecGzip, codecSnappy, codecLZ4, codecZstd}

// clickRecords are n records like the tutorial's: about 194 bytes of Avro with header, a key of 14.
func clickRecords(rng *rand.Rand, n int) []kmsg.Record {
	agents := []string{"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/59.0.3071.115 Safari/537.36"}
	requests := []string{"GET /index.html HTTP/1.1", "GET /site/user_status.html HTTP/1.1", "GET /site/login.html HTTP/1.1",
		"GET /images/track.png HTTP/1.1", "GET /images/logo-small.png HTTP/1.1"}
	rs := make([]kmsg.Record, n)
	for i := range rs {
		ip := fmt.Sprintf("%d.168.57.%d", 111*(1+rng.IntN(2)), 100+rng.IntN(20))
		v := []byte{0, 0, 1, 134, 161}
		for _, s := range []string{ip, "-", fmt.Sprint(1 + 10*i), requests[rng.IntN(5)], []string{"200", "302", "404"}[rng.IntN(3)], "4096", "-",
			agents[rng.IntN(2)]} {
			v = append(binary.AppendVarint(v, int64(len(s))), s...)
		}
		rs[i] = kmsg.Record{OffsetDelta: int32(i), TimestampDelta64: int64(i), Key: []byte(ip), Value: v}
	}
	return rs
}

// testChunk is a chunk of one partition over the data of an answer.
func testChunk(src *Source, data []byte, start, end int64, aborted ...abortedTxn) *chunk {
	return &chunk{src: src, rng: stream.Range{TopicPartition: stream.TopicPartition{Topic: "t"}, Start: start, End: end}, data: data,
		aborted: aborted}
}

func testSource() *Source {
	return &Source{maxBatch: defaultMaxBatch, free: freeList{limit: defaultMaxBatch}}
}
