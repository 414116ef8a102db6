package table

import (
	"context"
	"fmt"
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
