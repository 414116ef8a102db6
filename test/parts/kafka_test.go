//go:build e2e

package parts

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestBrokerServesBothListenersAndKeepsItsDataOverAKill(t *testing.T) {
	k, err := StartKafka(t.TempDir(), KafkaOptions{})
	Need(t, err)
	t.Cleanup(func() { k.Stop() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := k.CreateTopic(ctx, "t", 2, nil); err != nil {
		t.Fatal(err)
	}
	opts, err := k.SecureOpts()
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(append(opts, kgo.DefaultProduceTopic("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(ctx, kgo.StringRecord("a")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := k.AddPartitions(ctx, "t", 1); err != nil {
		t.Fatal(err)
	}
	if err := k.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := k.Start(); err != nil {
		t.Fatal(err)
	}
	ends, err := k.Offsets(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	if len(ends) != 3 || ends[0] != 1 {
		t.Errorf("ends %v, want one record in partition 0 of 3", ends)
	}
	if _, err := StartKafka(k.Dir, KafkaOptions{}); err == nil {
		t.Error("a second broker started in the same directory")
	}
	found, err := FindKafka(k.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if found.TLS != k.TLS || found.Password != k.Password {
		t.Errorf("found %+v, want %+v", found, k)
	}
}

func TestPythonHasThePackages(t *testing.T) {
	python, err := Python()
	Need(t, err)
	out, err := niced(python, "-c", "import confluent_kafka, confluent_kafka.schema_registry.avro, fastavro, deltalake, duckdb, pyarrow").
		CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
