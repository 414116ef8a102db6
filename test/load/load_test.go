package load

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func numbers(i int64, key, value []byte) (k, v []byte) { return key, strconv.AppendInt(value, i, 10) }

// consume reads everything that committed readers see of a topic and counts the records of each partition.
func consume(t *testing.T, seeds []string, topic string, want int) map[int32]int {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	counts := map[int32]int{}
	for n := 0; n < want; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d records: %v", n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { counts[r.Partition]++; n++ })
	}
	return counts
}

func TestRunSendsEveryRecordOnce(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	tests := map[string]struct {
		o       Options
		records int64
		aborted int64
	}{
		"fast":                             {Options{Records: 3000, Run: 100}, 3000, 0},
		"small batches, no compression":    {Options{Records: 600, Compression: "none", BatchBytes: 1024}, 600, 0},
		"paced":                            {Options{Records: 100, Rate: 10_000}, 100, 0},
		"every second transaction aborted": {Options{Records: 400, Run: 100, Transaction: "tx"}, 400, 200},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			topic := "t"
			o := test.o
			o.Client, o.Topic, o.Partitions, o.Make = []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}, topic, 3, numbers
			got, err := Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if got.Records != test.records || got.Aborted != test.aborted {
				t.Errorf("got %+v, want %d records, %d aborted", got, test.records, test.aborted)
			}
		})
	}
	if counts := consume(t, cluster.ListenAddrs(), "t", 3000+600+100+200); len(counts) != 3 {
		t.Errorf("records by partition: %v", counts)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	endless := func(i int64, key, value []byte) (k, v []byte) {
		if i == 50 {
			cancel()
		}
		return numbers(i, key, value)
	}
	got, err := Run(ctx, Options{
		Client: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}, Topic: "t", Partitions: 1, Make: endless, Rate: 1000,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Records < 50 {
		t.Errorf("%d records were sent before the end", got.Records)
	}
}

func TestRunNamesWhatItDoesNotKnow(t *testing.T) {
	if _, err := Run(t.Context(), Options{Compression: "lzma"}); err == nil {
		t.Error("an unknown compression was taken")
	}
}
