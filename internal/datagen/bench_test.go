package datagen

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func BenchmarkClickstream(b *testing.B) {
	q, _ := LookupQuickstart("CLICKSTREAM")
	g := mustGenerator(b, q.Schema(), GeneratorOptions{Seed: 1, KeyField: q.KeyField})
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := g.Next(buf[:0]); err != nil {
			b.Fatal(err)
		}
		g.Reseed()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// A nullProducer acknowledges and forgets.
type nullProducer struct{}

func (nullProducer) Produce(_ context.Context, r *kgo.Record, promise func(*kgo.Record, error)) {
	promise(r, nil)
}

func BenchmarkTask(b *testing.B) {
	q, _ := LookupQuickstart("CLICKSTREAM")
	seed := int64(1)
	config := Config{Topic: "t", Schema: q.Schema(), KeyField: q.KeyField, Output: Avro, Seed: &seed, Iterations: int64(b.N)}
	c := New(config, Deps{Producer: nullProducer{}, Registrar: &fakeRegistry{}, Offsets: &MemoryOffsets{}})
	b.ReportAllocs()
	b.ResetTimer()
	if err := c.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := c.Wait(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
