package delta

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/store"
)

const testSchema = `{"type":"struct","fields":[{"name":"id","type":"long","nullable":true,"metadata":{}}]}`

// testOptions are options without time and chance: the n-th call of Now is n milliseconds after start, ids count, and nothing sleeps.
func testOptions() Options {
	start := time.UnixMilli(1_700_000_000_000)
	return Options{
		Now:    func() time.Time { start = start.Add(time.Millisecond); return start },
		Sleep:  func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		Jitter: func(time.Duration) time.Duration { return 0 },
		NewID:  counting("id"),
		Engine: "silt/test",
	}
}

func counting(prefix string) func() string {
	n := 0
	return func() string { n++; return fmt.Sprintf("%s-%d", prefix, n) }
}

// appendOf returns a transaction of application app that adds one file and makes the table if there is none.
func appendOf(s *Snapshot, app string, version int64) Transaction {
	return Transaction{
		Read: s,
		Info: CommitInfo{Operation: "STREAMING UPDATE", OperationParameters: Object{{"epochId", Text(fmt.Sprint(version))}}},
		Prepare: func(_ context.Context, s *Snapshot) ([]Action, error) {
			var actions []Action
			if !s.Exists() {
				actions = append(actions, NewMetaData("table-id", testSchema, 1), NewProtocol())
			}
			return append(actions, &Txn{AppID: app, Version: version, LastUpdated: 2},
				&Add{Path: fmt.Sprintf("%s-%d.parquet", app, version), Size: 10, ModificationTime: 3, DataChange: true, Stats: `{"numRecords":5}`}), nil
		},
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// liveFiles returns the names of the files at a snapshot, sorted.
func liveFiles(t testing.TB, s *Snapshot) []string {
	t.Helper()
	var names []string
	for a, err := range s.Files(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, a.Name())
	}
	slices.Sort(names)
	return names
}

// commitFiles commits n files, one a version.
func commitFiles(t testing.TB, l *Log, n int) *Snapshot {
	t.Helper()
	s := must[*Snapshot](t)(l.Snapshot(ctx))
	for range n {
		s = must[*Snapshot](t)(l.Commit(ctx, appendOf(s, "app", s.Version()+1)))
	}
	return s
}

// cloneTable copies what a store lists.
func cloneTable(t testing.TB, from store.Store) *store.Memory {
	t.Helper()
	m := store.NewMemory(nil)
	for i, err := range from.List(ctx, "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Put(ctx, i.Key, must[[]byte](t)(from.Get(ctx, i.Key, 64<<20))); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func mustPut(t testing.TB, s store.Store, key, data string) {
	t.Helper()
	if err := s.Put(ctx, key, []byte(data)); err != nil {
		t.Fatal(err)
	}
}
