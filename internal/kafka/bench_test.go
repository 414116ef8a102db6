package kafka

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/siltlake/silt/internal/stream"
)

// BenchmarkWalk scans (headers, checksums) and walks about 100,000 records of a partition in answers of at most a megabyte.
func BenchmarkWalk(b *testing.B) {
	names := map[int]string{codecNone: "none", codecSnappy: "snappy", codecLZ4: "lz4", codecZstd: "zstd", codecGzip: "gzip"}
	for _, codec := range allCodecs {
		for _, size := range []int{10, 75, 500, 5000} {
			b.Run(fmt.Sprintf("%s/%d", names[codec], size), func(b *testing.B) { benchmarkWalk(b, codec, size) })
		}
	}
}

func benchmarkWalk(b *testing.B, codec, size int) {
	rng := rand.New(rand.NewPCG(1, 2))
	var answers [][]byte
	var bounds []int64
	var data []byte
	var offset int64
	for offset < 100_000 {
		c := crafted{base: offset, records: clickRecords(rng, size), codec: codec, producerID: -1}
		data = append(data, c.bytes(b)...)
		offset += int64(size)
		if len(data) > 1<<20 {
			answers, bounds, data = append(answers, data[:len(data):len(data)]), append(bounds, offset), nil
		}
	}
	if len(data) > 0 {
		answers, bounds = append(answers, data[:len(data):len(data)]), append(bounds, offset)
	}
	src := testSource()
	var dst stream.Records
	b.ReportAllocs()
	for b.Loop() {
		var start, served int64
		for i, answer := range answers {
			s, err := scanBatches(answer, start, bounds[i])
			if err != nil {
				b.Fatal(err)
			}
			c := testChunk(src, answer[s.from:s.to], start, s.next)
			for more := true; more; {
				if more, err = c.Next(&dst); err != nil {
					b.Fatal(err)
				}
			}
			served += c.Served()
			c.Release()
			start = bounds[i]
		}
		if served != offset {
			b.Fatalf("served %d of %d", served, offset)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(offset), "ns/record")
}
