package stream

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siltlake/silt/internal/column"
)

func TestBatchInfoSaysWhatTheCommitHolds(t *testing.T) {
	tp := func(p int32) TopicPartition { return TopicPartition{"clicks", p} }
	b := Batch{QueryID: "q", ID: 7, Start: Offsets{"clicks": {0: 10, 1: 0}}, End: Offsets{"clicks": {0: 20, 1: 0}},
		Landed: Offsets{"orders": {2: 5}, "old": {0: 1}}, TopicIDs: map[string]string{"clicks": "T", "orders": "O"}}
	var r Report
	p := r.Partition(tp(0))
	p.Served, p.Rows = 9, 8
	p.Rejected, p.Nulled = map[Reason]int64{BadPayload: 1}, map[Reason]int64{InvalidUTF8: 2}
	p.Gaps = []Gap{{tp(0), 15, 16}}
	r.Schemas = map[int32]column.Schema{100002: {}, 100001: {}}
	info := NewBatchInfo(b, r)
	text, err := json.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"v":1,"batchId":7,"partitions":[{"topic":"clicks","topicId":"T","partition":0,"start":10,"end":20,"served":9,"rows":8,` +
		`"rejected":{"payload":1},"nulled":{"utf8":2},"gaps":[[15,16]]},` +
		`{"topic":"clicks","topicId":"T","partition":1,"start":0,"end":0,"served":0,"rows":0}],` +
		`"landed":[{"topic":"old","partition":0,"end":1},{"topic":"orders","topicId":"O","partition":2,"end":5}],"schemaIds":[100001,100002]}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	again, err := ParseBatchInfo(text)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(info, again); d != "" {
		t.Error(d)
	}
	got := again.Batch("q")
	if !got.Start.Equal(b.Start) || !got.End.Equal(b.End) || got.ID != 7 || !maps.Equal(got.TopicIDs, b.TopicIDs) ||
		!got.Landed.Equal(b.Landed) {
		t.Errorf("the batch is not the one that was written: %+v", got)
	}
	if _, err := ParseBatchInfo([]byte(`{"v":2}`)); err == nil {
		t.Error("a version that is not known must be an error")
	}
}

func TestPartitionAppID(t *testing.T) {
	id := PartitionAppID("d4358946-170c-49a7-823b-d8e4e9126616", TopicPartition{"a.b-c_d", 12})
	q, tp, ok := ParsePartitionAppID(id)
	if !ok || q != "d4358946-170c-49a7-823b-d8e4e9126616" || tp != (TopicPartition{"a.b-c_d", 12}) {
		t.Errorf("%s: got %s %v %v", id, q, tp, ok)
	}
	for _, other := range []string{"", "q", "q/t", "q/t/x", "q/t/-1", "/t/0", "q/t/0/0"} {
		if _, _, ok := ParsePartitionAppID(other); ok {
			t.Errorf("%q is no partition's appId", other)
		}
	}
}

func TestReportsAdd(t *testing.T) {
	tp := TopicPartition{"t", 0}
	var a, b, sum Report
	a.Partition(tp).Served, a.Partition(tp).Rows = 10, 9
	a.Partition(tp).Rejected = map[Reason]int64{BadHeader: 1}
	b.Partition(tp).Served, b.Partition(tp).Rows = 5, 5
	b.Partition(tp).Nulled = map[Reason]int64{BadPayload: 2}
	b.Partition(TopicPartition{"t", 1}).Rows = 3
	sum.Add(a)
	sum.Add(b)
	served, rows, rejected, nulled := sum.Totals()
	if served != 15 || rows != 17 || rejected != 1 || nulled != 2 {
		t.Errorf("got %d %d %d %d", served, rows, rejected, nulled)
	}
	if a.Partitions[tp].Served != 10 {
		t.Error("adding must not change what is added")
	}
}
