//go:build e2e

package e2e

import (
	"context"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A tally is what readers that are not silt count in a table; see python/tables.py.
type tally struct {
	Version    int64
	Rows       int64 // by delta-rs
	Files      int
	Partitions map[string]partitionTally // by "topic/partition"
	Batches    []int64                   // ids of silt's batches, in the order of versions
}

// A partitionTally counts the offsets of a partition. Sum and Squares, of the offsets and of their squares, tell two sets of as many
// offsets between the same bounds apart.
type partitionTally struct {
	Count, Distinct, Min, Max int64
	Sum, Squares              string
}

// count lets others count the table.
func (f *fixture) count() tally { return countTable(f.t, f.table(), f.readerOptions()) }

// countTable lets others count a table; options are delta-rs's storage_options, nil for a local table.
func countTable(t *testing.T, table string, options map[string]string) tally {
	t.Helper()
	var got tally
	needReaders(t).mustAsk(t, map[string]any{"do": "count", "table": table, "options": options}, &got)
	var sum int64
	for name, p := range got.Partitions {
		sum += p.Count
		if p.Distinct != p.Count {
			t.Errorf("%s: %d rows, but %d offsets", name, p.Count, p.Distinct)
		}
	}
	if sum != got.Rows {
		t.Errorf("%d rows by partition, %d in all", sum, got.Rows)
	}
	return got
}

// checkSoFar checks a table that is not complete: each partition's rows must be an unbroken run from its first offset on. The topic must
// have no holes.
func (f *fixture) checkSoFar() tally {
	f.t.Helper()
	got := f.count()
	for name, p := range got.Partitions {
		if p.Min != 0 || p.Count != p.Max+1 {
			f.t.Errorf("%s: %d rows with the offsets %d to %d", name, p.Count, p.Min, p.Max)
		}
	}
	return got
}

// checkComplete checks that every offset of the topics, which have no holes, is in the table once, and that silt's own proof agrees.
func (f *fixture) checkComplete(topics ...string) {
	f.t.Helper()
	got := f.checkSoFar()
	want := 0
	for _, topic := range append(topics, f.topic) {
		ends, err := f.kafka.Offsets(f.t.Context(), topic)
		if err != nil {
			f.t.Fatal(err)
		}
		for partition, end := range ends {
			if end == 0 {
				continue
			}
			want++
			name := topic + "/" + strconv.Itoa(int(partition))
			if p := got.Partitions[name]; p.Count != end {
				f.t.Errorf("%s: %d rows, the topic has %d records", name, p.Count, end)
			}
		}
	}
	if len(got.Partitions) != want {
		f.t.Errorf("rows of %d partitions, want %d", len(got.Partitions), want)
	}
	f.verify()
	f.verify("-c", f.file())
}

// verify runs silt's own proof over log and files, which must hold. Where the table is remote, the pipeline file has the login, so it is
// compared with the topic in any case.
func (f *fixture) verify(args ...string) {
	f.t.Helper()
	if f.remote != nil && len(args) == 0 {
		return
	}
	f.run(0, append([]string{"table", "verify", f.table(), "--scan"}, args...)...)
}

// consumed counts what a consumer of committed records sees of the topic until the last stable offsets: the truth for topics with holes.
func (f *fixture) consumed() map[string]partitionTally {
	f.t.Helper()
	cl, err := f.kafka.Client(kgo.ConsumeTopics(f.topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		f.t.Fatal(err)
	}
	defer cl.Close()
	ends, err := f.kafka.Offsets(f.t.Context(), f.topic)
	if err != nil {
		f.t.Fatal(err)
	}
	open := 0
	for _, end := range ends {
		if end > 0 {
			open++
		}
	}
	type sums struct {
		partitionTally
		sum, squares big.Int
	}
	found := map[string]*sums{}
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	for open > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			f.t.Fatal("consume the topic: ", err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 == ends[r.Partition] {
				open-- // a transaction's marker ends the partition
			}
			if r.Attrs.IsControl() {
				return
			}
			name := r.Topic + "/" + strconv.Itoa(int(r.Partition))
			s := found[name]
			if s == nil {
				s = &sums{}
				s.Min = r.Offset
				found[name] = s
			}
			s.Count++
			s.Max = r.Offset
			offset := big.NewInt(r.Offset)
			s.sum.Add(&s.sum, offset)
			s.squares.Add(&s.squares, new(big.Int).Mul(offset, offset))
		})
	}
	all := map[string]partitionTally{}
	for name, s := range found {
		s.Distinct, s.Sum, s.Squares = s.Count, s.sum.String(), s.squares.String()
		all[name] = s.partitionTally
	}
	return all
}

// version is the newest version in the log of a local table, -1 without one.
func (f *fixture) version() int64 {
	f.t.Helper()
	entries, err := os.ReadDir(filepath.Join(f.table(), "_delta_log"))
	if err != nil {
		return -1
	}
	newest := int64(-1)
	for _, entry := range entries {
		text, ok := strings.CutSuffix(entry.Name(), ".json")
		if n, err := strconv.ParseInt(text, 10, 64); ok && err == nil {
			newest = max(newest, n)
		}
	}
	return newest
}
