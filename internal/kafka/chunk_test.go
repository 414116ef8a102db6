package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// A got is one record that a chunk gave.
type got struct {
	offset, time int64
	key, value   string // "<null>" for null
}

func text(b []byte, s stream.Span) string {
	if s.Len < 0 {
		return "<null>"
	}
	return string(b[s.Off : int(s.Off)+int(s.Len)])
}

// walk walks a chunk to its end and checks what holds for every chunk.
func walk(c *chunk) (all []got, calls int, err error) {
	defer c.Release()
	var dst stream.Records
	for {
		more, err := c.Next(&dst)
		if err != nil {
			return all, calls, err
		}
		if !more {
			break
		}
		calls++
		if cap(dst.Buf)-len(dst.Buf) < column.Slack {
			return all, calls, fmt.Errorf("%d bytes of capacity past the buffer", cap(dst.Buf)-len(dst.Buf))
		}
		for i, offset := range dst.Offset {
			if offset < c.rng.Start || offset >= c.rng.End || len(all) > 0 && offset <= all[len(all)-1].offset {
				return all, calls, fmt.Errorf("offset %d in range %d to %d is out of order", offset, c.rng.Start, c.rng.End)
			}
			all = append(all, got{offset, dst.Timestamp[i], text(dst.Buf, dst.Key[i]), text(dst.Buf, dst.Value[i])})
		}
	}
	if int(c.Served()) != len(all) {
		return all, calls, fmt.Errorf("served %d records and says %d", len(all), c.Served())
	}
	return all, calls, nil
}

// expect is what a batch's records are in a range.
func (c crafted) expect(start, end int64) []got {
	var all []got
	str := func(b []byte) string {
		if b == nil {
			return "<null>"
		}
		return string(b)
	}
	for _, r := range c.records {
		if offset := c.base + int64(r.OffsetDelta); offset >= start && offset < end {
			time := c.firstTime + r.TimestampDelta64
			if c.attributes&attrLogAppend != 0 {
				time = c.maxTime
			}
			all = append(all, got{offset, time, str(r.Key), str(r.Value)})
		}
	}
	return all
}

func TestWalkGivesTheRecordsOfARange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var batches []crafted
		var data []byte
		var next int64
		for range rapid.IntRange(1, 6).Draw(t, "batches") {
			c := crafted{base: next, codec: rapid.SampledFrom(allCodecs).Draw(t, "codec"), producerID: -1,
				firstTime: rapid.Int64Range(0, 1<<42).Draw(t, "first"), maxTime: rapid.Int64Range(0, 1<<42).Draw(t, "max")}
			if rapid.Bool().Draw(t, "append") {
				c.attributes = attrLogAppend
			}
			c.records = drawRecords(t)
			c.lastDelta = c.records[len(c.records)-1].OffsetDelta + rapid.Int32Range(0, 3).Draw(t, "tail") // compaction
			next += int64(c.lastDelta) + 1 + rapid.Int64Range(0, 3).Draw(t, "hole")
			batches = append(batches, c)
			data = append(data, c.bytes(testing.TB(nopTB{}))...)
		}
		start := rapid.Int64Range(0, next).Draw(t, "start")
		end := rapid.Int64Range(start, next+2).Draw(t, "end")
		s, err := scanBatches(data, start, end)
		if err != nil {
			t.Fatal(err)
		}
		var want, have []got
		for _, c := range batches {
			want = append(want, c.expect(start, end)...)
		}
		if s.to > s.from {
			if have, _, err = walk(testChunk(testSource(), data[s.from:s.to:len(data)], start, s.next)); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(want, have) {
			t.Fatalf("range %d to %d: got %v, want %v", start, end, have, want)
		}
		if last := batches[len(batches)-1]; s.next != min(end, max(start, last.base+int64(last.lastDelta)+1)) {
			t.Fatalf("next is %d", s.next)
		}
	})
}

// nopTB lets crafted.bytes be used within rapid; nothing it does can fail.
type nopTB struct{ testing.TB }

func (nopTB) Helper() {}

func drawRecords(t *rapid.T) []kmsg.Record {
	n := rapid.SampledFrom([]int{1, 2, 9, 300, 1100}).Draw(t, "records")
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	field := func() []byte {
		switch rng.IntN(8) {
		case 0:
			return nil
		case 1:
			return []byte{}
		case 2:
			return bytes.Repeat([]byte("long "), rng.IntN(5000)) // lengths of three bytes
		}
		return bytes.Repeat([]byte("x"), rng.IntN(100))
	}
	if n > 100 {
		field = func() []byte { return []byte("value") }
	}
	records := make([]kmsg.Record, n)
	delta := int32(-1)
	for i := range records {
		delta += 1 + rng.Int32N(2)
		records[i] = kmsg.Record{OffsetDelta: delta, Key: field(), Value: field(), TimestampDelta64: rng.Int64N(1000) - 500}
		if rng.IntN(10) == 0 {
			records[i].TimestampDelta64 = rng.Int64() >> 22 // a varint of six bytes
		}
		for range rng.IntN(3) {
			records[i].Headers = append(records[i].Headers, kmsg.Header{Key: "h", Value: []byte("v")})
		}
	}
	return records
}

func TestSmallBatchesAreGathered(t *testing.T) {
	for _, codec := range allCodecs {
		var data []byte
		for i := range int64(100) {
			data = append(data, crafted{base: 10 * i, records: simpleRecords(10), codec: codec}.bytes(t)...)
		}
		all, calls, err := walk(testChunk(testSource(), data, 0, 1000))
		if err != nil || len(all) != 1000 {
			t.Errorf("codec %d: %d records, %v", codec, len(all), err)
		}
		if calls > 5 { // 256 at least, but the uncompressed last batch stands alone
			t.Errorf("codec %d: 100 batches of 10 records in %d calls", codec, calls)
		}
	}
}

func TestLargeBatchesAreSplit(t *testing.T) {
	data := crafted{records: simpleRecords(2*maxRecords + 1), codec: codecLZ4}.bytes(t)
	all, calls, err := walk(testChunk(testSource(), data, 0, math.MaxInt64))
	if err != nil || len(all) != 2*maxRecords+1 || calls != 3 {
		t.Errorf("%d records in %d calls, %v", len(all), calls, err)
	}
}

func TestUncompressedBatchesAreReadWhereTheyLie(t *testing.T) {
	data := append(crafted{records: simpleRecords(10)}.bytes(t), crafted{base: 10, records: simpleRecords(10)}.bytes(t)...)
	c := testChunk(testSource(), data[:len(data):len(data)], 0, 20)
	defer c.Release()
	var dst stream.Records
	for _, inPlace := range []bool{true, false} { // no slack follows the last batch: it is copied
		if more, err := c.Next(&dst); !more || err != nil || len(dst.Offset) != 10 {
			t.Fatalf("%v, %v, %d records", more, err, len(dst.Offset))
		}
		if got := &dst.Buf[0] == &data[0]; got != inPlace {
			t.Errorf("offset %d: in place is %v, want %v", dst.Offset[0], got, inPlace)
		}
	}
}

func TestTimesOfAppendAndOfCreationDoNotMix(t *testing.T) {
	data := append(crafted{records: simpleRecords(2), codec: codecLZ4, firstTime: 5}.bytes(t),
		crafted{base: 2, records: simpleRecords(2), codec: codecLZ4, firstTime: 5, maxTime: 99, attributes: attrLogAppend}.bytes(t)...)
	c := testChunk(testSource(), data, 0, 4)
	defer c.Release()
	var dst stream.Records
	for _, want := range []struct {
		kind  int8
		times []int64
	}{{0, []int64{5, 6}}, {1, []int64{99, 99}}} {
		if more, err := c.Next(&dst); !more || err != nil || dst.TimestampType != want.kind || !slices.Equal(dst.Timestamp, want.times) {
			t.Errorf("%v, %v: type %d, times %v; want %d, %v", more, err, dst.TimestampType, dst.Timestamp, want.kind, want.times)
		}
	}
}

func TestAbortedAndControlBatchesAreNotServed(t *testing.T) {
	const tx = attrTransactional
	batch := func(base, producer int64, attributes int16) crafted {
		return crafted{base: base, records: simpleRecords(2), attributes: attributes, producerID: producer, codec: codecNone}
	}
	marker := func(base, producer int64) crafted {
		return crafted{base: base, records: simpleRecords(1), attributes: tx | attrControl, producerID: producer}
	}
	log := []crafted{
		batch(0, 1, tx),  // aborted
		batch(2, 2, tx),  // committed
		batch(4, 1, 0),   // the producer of the aborted one, outside of any transaction
		batch(6, 1, tx),  // aborted
		marker(8, 1),     // the abort
		batch(9, 1, tx),  // the producer's next transaction, committed
		marker(11, 1),    //
		marker(12, 2),    //
		batch(13, -1, 0), // plain
		batch(15, 2, tx), // aborted, begins here
		batch(17, 1, tx), // committed
		marker(19, 2),    // the abort
		batch(20, 2, tx), // committed
		marker(22, 1),    //
		batch(23, -1, 0), // plain
	}
	var data []byte
	for _, c := range log {
		data = append(data, c.bytes(t)...)
	}
	aborted := []abortedTxn{{1, 0}, {2, 15}}
	all, _, err := walk(testChunk(testSource(), data, 0, 25, aborted...))
	var offsets []int64
	for _, g := range all {
		offsets = append(offsets, g.offset)
	}
	if want := []int64{2, 3, 4, 5, 9, 10, 13, 14, 17, 18, 20, 21, 23, 24}; err != nil || !slices.Equal(offsets, want) {
		t.Errorf("read_committed: got %v, %v, want %v", offsets, err, want)
	}
	all, _, err = walk(testChunk(testSource(), data, 0, 25))
	if err != nil || len(all) != 20 {
		t.Errorf("read_uncommitted: %d records, %v, want 20", len(all), err)
	}
}

func TestScan(t *testing.T) {
	good := func(base int64) []byte { return crafted{base: base, records: simpleRecords(10)}.bytes(t) }
	join := func(bs ...[]byte) []byte { return bytes.Join(bs, nil) }
	n := len(good(0))
	ten, none := density{float64(n) / 10, n}, density{} // ten offsets a batch
	old := good(10)
	old[batchMagic] = 1
	newer := good(10)
	newer[batchMagic] = 7
	tests := []struct {
		name       string
		data       []byte
		start, end int64
		want       scan
		err        string
	}{
		{"two whole batches", join(good(0), good(10)), 0, 20, scan{0, 2 * n, 20, 0, ten}, ""},
		{"the end lies in the first batch", join(good(0), good(10)), 0, 5, scan{0, n, 5, 0, ten}, ""},
		{"the end lies between batches: the second is not looked at", join(good(0), old), 0, 10, scan{0, n, 10, 0, ten}, ""},
		{"the last batch is cut off", join(good(0), good(10)[:n-1]), 0, 20, scan{0, n, 10, 0, ten}, ""},
		{"the last batch is cut off in its header", join(good(0), good(10)[:13]), 0, 20, scan{0, n, 10, 0, ten}, ""},
		{"only the beginning of a batch: its length is told", good(0)[:n-1], 0, 20, scan{0, 0, 0, n, none}, ""},
		{"too little to tell the length", good(0)[:11], 0, 20, scan{}, ""},
		{"nothing", nil, 7, 20, scan{next: 7}, ""},
		{"a batch before the start is dropped", join(good(0), good(10)), 10, 20, scan{n, 2 * n, 20, 0, ten}, ""},
		{"only batches before the start", good(0), 10, 20, scan{n, 0, 10, 0, none}, ""},
		{"a hole up to the end", good(30), 0, 20, scan{0, 0, 20, 0, none}, ""},
		{"magic 1", join(good(0), old), 0, 20, scan{0, n, 10, 0, ten},
			"record batch at offset 10: magic 1; silt reads magic 2, which brokers write since 0.11"},
		{"magic 7", join(good(0), newer), 0, 20, scan{0, n, 10, 0, ten},
			"record batch at offset 10: magic 7; silt reads magic 2, which brokers write since 0.11"},
		{"a batch that comes again", join(good(0), good(0)), 0, 20, scan{0, n, 10, 0, ten},
			"record batch at offset 0: it follows a batch that ends at offset 9"},
		{"a length below a header's", join(good(0)[:8], []byte{0, 0, 0, 1}, good(0)[12:]), 0, 20, scan{},
			"record batch at offset 0: length 13 is less than a header's 61"},
		{"a negative length", join(good(0)[:8], []byte{0xff, 0, 0, 1}, good(0)[12:]), 0, 20, scan{},
			"record batch at offset 0: length -16777203 is less than a header's 61"},
	}
	for _, tt := range tests {
		got, err := scanBatches(tt.data, tt.start, tt.end)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
			t.Errorf("%s: got %+v, %v; want %+v, %s", tt.name, got, err, tt.want, tt.err)
		}
	}
}

func TestScanFindsEveryFlippedBit(t *testing.T) {
	good := crafted{records: simpleRecords(3), codec: codecLZ4}.bytes(t)
	for i := batchLength; i < len(good); i++ {
		if i >= batchLengthPrefix && i < batchMagic { // the leader epoch, which brokers rewrite
			continue
		}
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		s, err := scanBatches(bad, 0, 3)
		if err == nil && s.next != 0 {
			t.Errorf("byte %d: the scan goes on to %d", i, s.next)
		}
	}
}

func TestBadBatchesAreNamedByOffset(t *testing.T) {
	rs := encodeRecords(simpleRecords(5))
	bomb := bytes.Repeat([]byte{0}, 3<<20)
	lie := func(n int, change func(b []byte)) []byte {
		b := crafted{base: 40, records: simpleRecords(n)}.bytes(t)
		change(b)
		seal(b)
		return b
	}
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"gzip bomb", crafted{base: 40, records: simpleRecords(5), codec: codecGzip, payload: compress(t, codecGzip, bomb)}.bytes(t),
			"it decompresses to more than the limit of 1MiB"},
		{"snappy bomb", crafted{base: 40, records: simpleRecords(5), codec: codecSnappy, payload: compress(t, codecSnappy, bomb)}.bytes(t),
			"it decompresses to more than the limit of 1MiB"},
		{"lz4 bomb", crafted{base: 40, records: simpleRecords(5), codec: codecLZ4, payload: compress(t, codecLZ4, bomb)}.bytes(t),
			"it decompresses to more than the limit of 1MiB"},
		{"zstd bomb", crafted{base: 40, records: simpleRecords(5), codec: codecZstd, payload: compress(t, codecZstd, bomb)}.bytes(t),
			"it decompresses to more than the limit of 1MiB"},
		{"unknown codec", crafted{base: 40, records: simpleRecords(5), codec: 6, payload: rs}.bytes(t), "codec 6 is not known"},
		{"not gzip", crafted{base: 40, records: simpleRecords(5), codec: codecGzip, payload: rs}.bytes(t), "gzip: "},
		{"not snappy", crafted{base: 40, records: simpleRecords(5), codec: codecSnappy, payload: rs}.bytes(t), "snappy: "},
		{"not lz4", crafted{base: 40, records: simpleRecords(5), codec: codecLZ4, payload: rs}.bytes(t), "lz4: no frame begins here"},
		{"not zstd", crafted{base: 40, records: simpleRecords(5), codec: codecZstd, payload: rs}.bytes(t), "zstd: "},
		{"more records counted than there are", lie(5, func(b []byte) { b[batchCount+3], b[batchLastDelta+3] = 100, 120 }),
			"it holds fewer records than it counts"},
		{"fewer records counted than there are", lie(5, func(b []byte) { b[batchCount+3] = 4 }), "bytes follow its last record"},
		{"an offset past the batch's last", lie(5, func(b []byte) { b[batchLastDelta+3], b[batchCount+3] = 3, 4 }),
			"bytes follow its last record"},
		{"an offset that does not rise", lie(2, func(b []byte) { b[len(b)-8] = 0 }), "a record's offset is wrong"},
		{"a record longer than the batch", lie(1, func(b []byte) { b[batchHeaderLen] = 0x7e }), "a record's length is wrong"},
		{"a key longer than the record", lie(1, func(b []byte) { b[batchHeaderLen+4] = 0x7e }),
			"a record's key or value is longer than the record"},
		{"a value longer than the record", lie(1, func(b []byte) { b[len(b)-4] = 0x7e }), "a record's key or value is longer than the record"},
	}
	for _, tt := range tests {
		src := testSource()
		src.maxBatch = 1 << 20
		src.free.limit = 1 << 20
		_, _, err := walk(testChunk(src, tt.data, 0, math.MaxInt64))
		var p *problem.Problem
		if !errors.As(err, &p) || p.Code != problem.CorruptBatch || !strings.Contains(p.Message, tt.want) ||
			p.Where != problem.Record("t", 0, 40) {
			t.Errorf("%s: got %v, want %q at offset 40", tt.name, err, tt.want)
		}
	}
}

func TestAHugeBatchesMemoryIsNotKept(t *testing.T) {
	src := testSource()
	record := []kmsg.Record{{Value: make([]byte, keptArena+1)}}
	data := crafted{records: record, codec: codecLZ4}.bytes(t)
	if all, _, err := walk(testChunk(src, data, 0, 1)); err != nil || len(all) != 1 {
		t.Fatal(len(all), err)
	}
	if len(src.free.idle) != 1 || src.free.idle[0].arena != nil {
		t.Error("the arena is kept")
	}
}

// FuzzWalk walks data as a broker may send them. What is right in a header is made right now and then, so that the records' parser is
// reached.
func FuzzWalk(f *testing.F) {
	for _, codec := range allCodecs {
		f.Add(crafted{base: 5, records: simpleRecords(3), codec: codec}.bytes(f), int64(6), int64(8), true)
	}
	f.Add(append(crafted{records: simpleRecords(2), attributes: attrTransactional | attrControl, producerID: 7}.bytes(f),
		crafted{base: 2, records: simpleRecords(2), attributes: attrTransactional, producerID: 7}.bytes(f)...), int64(0), int64(9), false)
	f.Fuzz(func(t *testing.T, data []byte, start, end int64, reseal bool) {
		if start < 0 || end < start {
			return
		}
		if reseal {
			for pos := 0; ; {
				h, whole, err := readHeader(data, pos)
				if err != nil || !whole {
					break
				}
				seal(data[pos:h.end])
				pos = h.end
			}
		}
		s, _ := scanBatches(data, start, end)
		if s.next < start || s.next > end || s.to > len(data) || s.from > len(data) {
			t.Fatalf("scan %+v of %d bytes", s, len(data))
		}
		if s.to <= s.from {
			return
		}
		src := testSource()
		src.maxBatch, src.free.limit = 1<<20, 1<<20
		_, _, err := walk(testChunk(src, data[s.from:s.to:len(data)], start, s.next, abortedTxn{7, 0}))
		var p *problem.Problem
		if err != nil && !errors.As(err, &p) {
			t.Fatal(err)
		}
	})
}
