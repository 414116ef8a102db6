package table

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siltlake/silt/internal/delta"
	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/stream"
)

func TestWhatOthersLandedIsToldByPartitionAndNotByFile(t *testing.T) {
	ctx := context.Background()
	s := store.NewMemory(testClock)
	schema := withValue(str("a"))
	stats := func(topics, partitions [2]string, offsets string) string {
		return fmt.Sprintf(`{"minValues":{"topic":%s,"partition":%s,"offset":7},"maxValues":{"topic":%s,"partition":%s,"offset":%s}}`,
			topics[0], partitions[0], topics[1], partitions[1], offsets)
	}
	a, b := [2]string{`"a"`, `"a"`}, [2]string{`"b"`, `"b"`}
	mixed := [2][2]string{{`"a"`, `"b"`}, {"0", "1"}}
	p0, p1 := [2]string{"0", "0"}, [2]string{"1", "1"}
	actions := []delta.Action{delta.NewMetaData("id", schema.JSON(), 1), delta.ProtocolFor(schema)}
	for i, text := range []string{
		stats(a, p0, "9"), stats(a, p0, "1000"), stats(a, p0, "99"), // one partition: the greatest offset, as a number
		stats(a, p1, "20"), stats(b, p1, "30"), // others
		stats(mixed[0], mixed[1], "5"), stats(mixed[0], mixed[1], "6"), // files of both
		stats(b, p0, "8"), stats(b, p0, "null"), // of one file nothing is known
		`{}`, ``, // nor of these
	} {
		actions = append(actions, &delta.Add{Path: fmt.Sprint(i), PartitionValues: delta.Values{}, Size: 1, DataChange: true, Stats: text})
	}
	l := delta.Open(s, delta.Options{Now: testClock})
	none, err := l.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(ctx, delta.Transaction{Read: none, Prepare: func(context.Context, *delta.Snapshot) ([]delta.Action, error) { return actions, nil }}); err != nil {
		t.Fatal(err)
	}
	in, err := testSink(s, plain, 1).Committed(ctx, "q")
	if err != nil {
		t.Fatal(err)
	}
	want := []stream.FileOffsets{
		{},
		{Topic: a, Partition: p0, Offset: [2]string{"7", "1000"}},
		{Topic: a, Partition: p1, Offset: [2]string{"7", "20"}},
		{Topic: mixed[0], Partition: mixed[1], Offset: [2]string{"7", "6"}},
		{Topic: b, Partition: p0},
		{Topic: b, Partition: p1, Offset: [2]string{"7", "30"}},
	}
	slices.SortFunc(in.Foreign, func(x, y stream.FileOffsets) int { return strings.Compare(fmt.Sprint(x), fmt.Sprint(y)) })
	if diff := cmp.Diff(want, in.Foreign); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if in.BySilt || in.Batch != -1 || in.Last != nil {
		t.Errorf("got %+v", in)
	}
}

// A table that forgets txns: an engine wrote a log checkpoint after the query had stood still for longer than the property says. While the
// commit is there, the batch is not landed again.
func TestABatchWhoseTxnWasForgottenIsFoundInItsCommit(t *testing.T) {
	ctx := t.Context()
	const commit = "_delta_log/00000000000000000000.json"
	mine, others := store.NewMemory(testClock), store.NewMemory(testClock)
	if err := land(t, testSink(mine, plain, 1), testBatch(0), withValue(str("a"))); err != nil {
		t.Fatal(err)
	}
	text, err := mine.Get(ctx, commit, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	kept := strings.Replace(string(text), `"configuration":{`, `"configuration":{"delta.setTransactionRetentionDuration":"interval 1 day"`, 1)
	var forgotten []string
	for line := range strings.Lines(kept) {
		if !strings.HasPrefix(line, `{"txn"`) {
			forgotten = append(forgotten, line)
		}
	}
	if len(forgotten) == strings.Count(kept, "\n") || kept == string(text) {
		t.Fatalf("there is no txn, or no configuration, in %s", text)
	}
	if err := errors.Join(mine.Put(ctx, commit, []byte(kept)), others.Put(ctx, commit, []byte(strings.Join(forgotten, "")))); err != nil {
		t.Fatal(err)
	}
	log := delta.Open(others, delta.Options{})
	s, err := log.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.WriteCheckpoint(ctx, s); err != nil {
		t.Fatal(err)
	}
	for info, err := range others.List(ctx, "_delta_log/", "") {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(info.Key, "checkpoint") {
			data, err := others.Get(ctx, info.Key, 1<<20)
			if err != nil || mine.Put(ctx, info.Key, data) != nil {
				t.Fatal(err)
			}
		}
	}
	var logged strings.Builder
	k := testSink(mine, plain, 2)
	k.deps.Log = slog.New(slog.NewTextHandler(&logged, nil))
	in, err := k.Committed(ctx, "q")
	if err != nil || in.Batch != 0 || in.Last == nil || !in.Last.End.Equal(testBatch(0).End) {
		t.Errorf("got %+v, %v", in, err)
	}
	if _, ok := k.snapshot.Txn("q"); ok {
		t.Error("the log checkpoint has the txn")
	}
	if !strings.Contains(logged.String(), "setTransactionRetentionDuration=24h") {
		t.Errorf("it is not said: %s", &logged)
	}
	if in, err := k.Committed(ctx, "another"); err != nil || in.Batch != -1 || in.Last != nil {
		t.Errorf("another query: %+v, %v", in, err)
	}
}
