package verify

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/stream"
)

// log returns the commits of a healthy table: n batches of a query over two partitions of topic t, 10 offsets each, one of the ten
// rejected in partition 1.
func log(query string, n int) []Commit {
	var cs []Commit
	for i := range int64(n) {
		info := &stream.BatchInfo{V: 1, BatchID: i, Partitions: []stream.PartitionInfo{
			{Topic: "t", Partition: 0, Start: 10 * i, End: 10*i + 10, Served: 10, Rows: 10},
			{Topic: "t", Partition: 1, Start: 10 * i, End: 10*i + 10, Served: 10, Rows: 9, Rejected: map[stream.Reason]int64{stream.BadPayload: 1}},
		}}
		cs = append(cs, Commit{Version: i, Operation: "STREAMING UPDATE", Engine: "silt", Batch: info,
			Txns:  map[string]int64{query: i, query + "/t/0": 10*i + 10, query + "/t/1": 10*i + 10},
			Added: []File{{Path: fmt.Sprintf("f%d", i), Rows: 19, DataChange: true}}})
	}
	return cs
}

func TestAuditOfAHealthyLog(t *testing.T) {
	a := AuditLog(log("q", 4))
	if len(a.Findings) > 0 {
		t.Fatalf("findings in a healthy log: %+v", a.Findings)
	}
	if len(a.Queries) != 1 || a.Queries[0].Batches != 4 || len(a.Queries[0].Partitions) != 2 || a.From != 0 || a.To != 3 {
		t.Fatalf("got %+v", a)
	}
	p := a.Queries[0].Partitions[1]
	if len(p.Segments) != 1 || p.Segments[0] != (Segment{Start: 0, End: 40}) || p.Rows != 36 || p.Rejected != 4 || p.Served != 40 {
		t.Errorf("got %+v", p)
	}
}

// Every fault that is planted must be found, at its place.
func TestAuditFindsWhatIsPlanted(t *testing.T) {
	tests := []struct {
		name  string
		plant func([]Commit) []Commit
		kind  Kind
		text  string
	}{
		{"a batch is gone", func(cs []Commit) []Commit { return slices.Delete(cs, 1, 2) }, Missing, "offsets [10, 20) were skipped"},
		{"a batch landed twice", func(cs []Commit) []Commit {
			c := cs[1]
			c.Version = 4
			return append(cs, c)
		}, Duplicate, "offsets [10, 20) were landed before"},
		{"a range begins too late", func(cs []Commit) []Commit { cs[2].Batch.Partitions[0].Start = 22; return cs }, Missing,
			"offsets [20, 22) were skipped"},
		{"a range begins too early", func(cs []Commit) []Commit { cs[2].Batch.Partitions[0].Start = 18; return cs }, Duplicate,
			"offsets [18, 20) were landed before"},
		{"a dropped reject", func(cs []Commit) []Commit { cs[2].Batch.Partitions[1].Rejected = nil; return cs }, Count,
			"10 records were served, 9 landed and 0 were rejected"},
		{"a lying count in the commit", func(cs []Commit) []Commit {
			cs[1].Batch.Partitions[0].Rows, cs[1].Batch.Partitions[0].Served = 9, 9
			return cs
		}, Count, "the batch recorded 18 rows, its files have 19"},
		{"a lying count in a file", func(cs []Commit) []Commit { cs[1].Added[0].Rows = 20; return cs }, Count,
			"the batch recorded 19 rows, its files have 20"},
		{"a file without count", func(cs []Commit) []Commit { cs[1].Added[0].Rows = -1; return cs }, Count, "has no numRecords"},
		{"more records than offsets", func(cs []Commit) []Commit {
			cs[1].Batch.Partitions[0].Rows, cs[1].Batch.Partitions[0].Served, cs[1].Added[0].Rows = 11, 11, 20
			return cs
		}, Duplicate, "11 records were served of 10 offsets"},
		{"a txn out of step", func(cs []Commit) []Commit { cs[2].Txns["q/t/0"] = 29; return cs }, Disorder,
			"the range ends at 30, the partition's txn says 29"},
		{"no txn of the query", func(cs []Commit) []Commit { delete(cs[2].Txns, "q"); return cs }, Disorder, "without a txn of its query"},
		{"batches out of order", func(cs []Commit) []Commit {
			cs[2].Batch.BatchID = 5
			cs[2].Txns["q"] = 5
			return cs
		}, Disorder, "holds batch 5 after batch 1"},
		{"a range that runs backwards", func(cs []Commit) []Commit { cs[3].Batch.Partitions[0].End = 25; cs[3].Txns["q/t/0"] = 25; return cs },
			Disorder, "ends at 25 before it starts at 30"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := AuditLog(tt.plant(log("q", 4)))
			if !slices.ContainsFunc(a.Findings, func(f Finding) bool { return f.Kind == tt.kind && strings.Contains(f.Text, tt.text) }) {
				t.Errorf("not found: %s %q in %+v", tt.kind, tt.text, a.Findings)
			}
		})
	}
}

func TestAuditListsForeignCommitsAndDoesNotJudgeThem(t *testing.T) {
	cs := log("q", 2)
	cs = append(cs,
		Commit{Version: 2, Operation: "OPTIMIZE", Engine: "delta-rs", Added: []File{{"o", 38, false}},
			Removed: []File{{"f0", -1, false}, {"f1", 19, false}}},
		Commit{Version: 3, Operation: "WRITE", Engine: "Apache-Spark/4.1.1", Added: []File{{"s", 20, true}}})
	next := log("q", 5)[4] // offsets 40..50: another engine landed 20..40 in between
	next.Version = 4
	a := AuditLog(append(cs, next))
	if len(a.Findings) > 0 {
		t.Fatalf("findings: %+v", a.Findings)
	}
	if len(a.Foreign) != 2 || a.Foreign[0].RowsRemoved != 38 || a.Foreign[0].DataChange || a.Foreign[1].RowsAdded != 20 {
		t.Errorf("foreign commits: %+v", a.Foreign)
	}
	p := a.Queries[0].Partitions[0]
	if len(p.Segments) != 2 || p.Segments[1].Note != "continued by another engine" {
		t.Errorf("segments: %+v", p.Segments)
	}
	if p.holds(19) != true || p.holds(20) || p.holds(39) || !p.holds(40) || p.holds(50) || p.holds(-1) {
		t.Error("holds is wrong")
	}
}
