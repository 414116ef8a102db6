package broker

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestKeepFrom(t *testing.T) {
	now := time.Date(2026, 1, 8, 0, 0, 0, 0, time.UTC)
	day := func(n int) time.Time { return now.AddDate(0, 0, -n) }
	// Three segments of 100 bytes and 10 batches, appended to 9, 5 and 0 days ago.
	log := []segment{{0, 100, 10, day(9)}, {50, 100, 10, day(5)}, {90, 100, 10, day(0)}}
	none := policy{bytes: -1, batches: -1, age: -1}
	with := func(change func(*policy)) policy { p := none; change(&p); return p }
	tests := []struct {
		name     string
		segments []segment
		policy   policy
		want     int64
	}{
		{"no bound", log, none, 0},
		{"at least the bytes asked for are kept", log, with(func(p *policy) { p.bytes = 201 }), 0},
		{"a segment that is not needed for them goes", log, with(func(p *policy) { p.bytes = 200 }), 50},
		{"two of them", log, with(func(p *policy) { p.bytes = 100 }), 90},
		{"the newest stays, however little is asked for", log, with(func(p *policy) { p.bytes = 0 }), 90},
		{"too many batches", log, with(func(p *policy) { p.batches = 20 }), 50},
		{"too old", log, with(func(p *policy) { p.age = 7 * 24 * time.Hour }), 50},
		{"all too old: the newest stays, or offsets would begin at 0 again", log, with(func(p *policy) { p.age = 0 }), 90},
		// only what is old from the front on: what lies behind it may be waiting for a reader
		{"an old segment behind a new one", []segment{{0, 1, 1, day(0)}, {5, 1, 1, day(9)}, {7, 1, 1, day(0)}},
			with(func(p *policy) { p.age = 24 * time.Hour }), 0},
		{"nothing", nil, with(func(p *policy) { p.bytes = 0 }), 0},
	}
	for _, tt := range tests {
		got, deletes := keepFrom(tt.segments, tt.policy, now)
		if got != tt.want || deletes != (tt.want > 0) {
			t.Errorf("%s: from %d, %v, want %d", tt.name, got, deletes, tt.want)
		}
	}
}

func TestRetentionDeletesWholeSegmentsAndACrashBringsNothingBack(t *testing.T) {
	b := start(t, Options{RetentionBytes: 2 << 20, RetentionEvery: time.Hour})
	cl := client(t, b, kgo.ProducerBatchCompression(kgo.NoCompression()))
	createTopic(t, cl, "t", 1, nil)
	createTopic(t, cl, "all", 1, map[string]*string{"retention.bytes": kadm.StringPtr("-1")})
	createTopic(t, cl, "compact", 1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact"), "retention.bytes": kadm.StringPtr("1")})
	const records = 50
	for _, topic := range []string{"t", "all", "compact"} {
		for range records { // 100 KB each, segments of 1 MiB
			// A producer's clock that stands at 1970 deletes nothing.
			r := &kgo.Record{Topic: topic, Key: []byte("k"), Value: make([]byte, 100_000), Timestamp: time.UnixMilli(1)}
			if err := cl.ProduceSync(testContext(t), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	adm := kadm.NewClient(cl)
	if err := b.retain(testContext(t), kadm.NewClient(b.inside)); err != nil {
		t.Fatal(err)
	}
	starts := func(adm *kadm.Client, topic string) int64 {
		t.Helper()
		listed, err := adm.ListStartOffsets(testContext(t), topic)
		if err != nil {
			t.Fatal(err)
		}
		o, _ := listed.Lookup(topic, 0)
		return o.Offset
	}
	first := starts(adm, "t")
	if kept := (records - first) * 100_000; kept < 2<<20 || kept > 2<<20+1<<20+200_000 {
		t.Errorf("%d bytes are kept, want 2 MiB and at most a segment more", kept)
	}
	for _, topic := range []string{"all", "compact"} {
		if got := starts(adm, topic); got != 0 {
			t.Errorf("topic %s begins at %d", topic, got)
		}
	}
	again := crash(t, b)
	if got := starts(kadm.NewClient(client(t, again)), "t"); got != first {
		t.Errorf("after a crash the topic begins at %d, want %d", got, first)
	}
	if got := len(consume(t, again, int(records-first), kgo.ConsumeTopics("t"))); got != int(records-first) {
		t.Errorf("%d records", got)
	}
}

func TestOffsetsGoOnAfterAllRecordsWereDeleted(t *testing.T) {
	b := start(t, Options{})
	cl := client(t, b)
	createTopic(t, cl, "t", 1, nil)
	produce(t, cl, "t", "a", "b", "c")
	for _, offset := range []int64{-1, 3} {
		var all kadm.Offsets
		all.AddOffset("t", 0, offset, -1)
		deleted, err := kadm.NewClient(cl).DeleteRecords(testContext(t), all)
		if err == nil {
			err = deleted.Error()
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := deleted.Lookup("t", 0); got.LowWatermark != 2 {
			t.Errorf("deleted up to %d: the topic begins at %d, want 2, the newest record", offset, got.LowWatermark)
		}
	}
	dir := b.opts.Dir
	cl.Close()
	stop(t, b)
	b = start(t, Options{Dir: dir})
	if got := produceBatch(t, b, testBatch(-1, -1, -1, "d")); got != 3 {
		t.Errorf("the next record is at offset %d, want 3", got)
	}
	b = crash(t, b)
	if got := produceBatch(t, b, testBatch(-1, -1, -1, "e")); got != 4 {
		t.Errorf("after a crash the next record is at offset %d, want 4", got)
	}
}
