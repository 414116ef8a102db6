package decode

import (
	"fmt"
	"testing"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/stream"
	"github.com/siltlake/silt/test/clickstream"
)

// A sink is a stream.Writer that drops pages as they fill up: what decoding costs without Parquet.
type sink struct {
	schema column.Schema
	block  *column.Block
	page   int
}

func (s *sink) Block(c column.Schema) (*column.Block, error) {
	if s.block == nil || !c.Equal(s.schema) {
		l, err := column.NewLayout(c)
		if err != nil {
			return nil, err
		}
		s.schema, s.block = c, column.NewBlock(l, column.BlockOptions{Seed: 1})
	}
	return s.block, nil
}

func (s *sink) Flush() error {
	if s.block.Rows >= 32<<10 {
		s.block.ResetPage()
		if s.page++; s.page%16 == 0 {
			s.block.ResetRowGroup()
		}
	}
	return nil
}

func (s *sink) Close() error { return nil }

// clicks are n CLICKSTREAM records in Records of so many each: with a campaign if every(i) says so, which gives them id 2 instead of 1.
func clicks(n, each int, campaign func(i int) bool) (rs []*stream.Records) {
	g := clickstream.New(1)
	for at := 0; at < n; at += each {
		var ms []message
		for i := at; i < at+each; i++ {
			id := int32(1)
			if campaign(i) {
				id = 2
			}
			k, v := g.Append(nil, nil, id, campaign(i))
			ms = append(ms, message{k, v, 1_700_000_000_000 + int64(i)})
		}
		rs = append(rs, recordsOf(int64(at), ms...))
	}
	return rs
}

func never(int) bool  { return false }
func always(int) bool { return true }
func odd(i int) bool  { return i%2 == 1 }

func tutorial() Options {
	o := options(Failfast, Topic, Partition, Offset, Timestamp, TimestampType, Key, ParsedValue)
	o.MaxRecordBytes = 16 << 20
	return o
}

// BenchmarkDecode decodes 50,000 records a loop, as one batch. Two ids in turn should cost at most 1.15 times the mean of each alone.
func BenchmarkDecode(b *testing.B) {
	const n = 50_000
	for _, bb := range []struct {
		name     string
		each     int
		campaign func(int) bool
	}{
		{"id 1", 500, never},
		{"id 2, with a nullable field", 500, always},
		{"both in turn", 500, odd},
		{"id 1 in batches of 10", 10, never},
	} {
		b.Run(bb.name, func(b *testing.B) {
			rs := clicks(n, bb.each, bb.campaign)
			d := New(tutorial(), texts{1: clickstream.Schema, 2: clickstream.SchemaV2})
			s := &sink{}
			decode := func() {
				dec := d.Begin(s.schema)() // the table's, once there is one
				for _, r := range rs {
					if err := dec.Decode(b.Context(), r, s); err != nil {
						b.Fatal(err)
					}
				}
				dec.Report()
			}
			decode()
			b.ReportAllocs()
			for b.Loop() {
				decode()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/row")
		})
	}
}

// BenchmarkSmallBatch is a batch of few records: what a batch costs whatever is in it.
func BenchmarkSmallBatch(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			rs := clicks(n, n, never)
			d := New(tutorial(), texts{1: clickstream.Schema})
			s := &sink{}
			table := column.Schema{}
			b.ReportAllocs()
			for b.Loop() {
				dec := d.Begin(table)()
				if err := dec.Decode(b.Context(), rs[0], s); err != nil {
					b.Fatal(err)
				}
				dec.Report()
				table = s.schema
			}
		})
	}
}

// BenchmarkBadRecords decodes records of which half are bad.
func BenchmarkBadRecords(b *testing.B) {
	const n = 10_000
	var ms []message
	g := clickstream.New(1)
	for i := range n {
		m := message{key: []byte("k"), value: header(1)}
		if i%2 == 0 {
			m.key, m.value = g.Append(nil, nil, 1, false)
		}
		ms = append(ms, m)
	}
	r := recordsOf(0, ms...)
	for _, m := range []Mode{Permissive, Drop} {
		b.Run(m.String(), func(b *testing.B) {
			o := tutorial()
			o.Mode = m
			d := New(o, texts{1: clickstream.Schema})
			s := &sink{}
			b.ReportAllocs()
			for b.Loop() {
				dec := d.Begin(s.schema)()
				if err := dec.Decode(b.Context(), r, s); err != nil {
					b.Fatal(err)
				}
				dec.Report()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/row")
		})
	}
}
