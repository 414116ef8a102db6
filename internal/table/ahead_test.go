package table

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/stream"
)

// meanwhile is a store that does something once, before a commit is put, and counts requests.
type meanwhile struct {
	store.Store
	do       func()
	requests atomic.Int64
}

func (m *meanwhile) PutIfAbsent(ctx context.Context, key string, data []byte) (store.Outcome, error) {
	if do := m.do; do != nil && strings.HasPrefix(key, "_delta_log/") {
		m.do = nil
		do()
	}
	return m.Store.PutIfAbsent(ctx, key, data)
}

func (m *meanwhile) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	m.requests.Add(1)
	return m.Store.Get(ctx, key, limit)
}

func (m *meanwhile) Open(ctx context.Context, key string) (store.Object, error) {
	m.requests.Add(1)
	return m.Store.Open(ctx, key)
}

// A batch is begun and written while the one before is being committed, and then committed on top of it.
func TestABatchIsWrittenWhileTheOneBeforeIsCommitted(t *testing.T) {
	a, b, upper := withValue(str("a")), withValue(str("a"), str("foo")), withValue(str("a"), str("Foo"))
	tests := []struct {
		name          string
		landed        int64         // batches before
		before, ahead column.Schema // of the batch that is committed, and of the one that is written meanwhile
		between       func(t *testing.T, s store.Store)
		err           error // of the first commit; ErrSchemaMoved: the second one is good
	}{
		{"to a table that is there", 1, a, a, nil, nil},
		{"to a table that the batch before creates", 0, a, a, nil, nil},
		{"a column that both add", 1, b, b, nil, nil},
		{"a column that the batch before adds", 1, b, a, nil, nil},
		{"a column that only it adds", 1, a, b, nil, nil},
		{"two spellings of a column: the only thing that has it written anew", 1, b, upper, nil, stream.ErrSchemaMoved},
		{"another writer commits between the two", 1, a, a, func(t *testing.T, s store.Store) {
			other := testBatch(9)
			other.QueryID = "other"
			if err := land(t, testSink(s, plain, 3), other, a); err != nil {
				t.Fatal(err)
			}
		}, nil},
		{"another run of the query commits it first", 1, a, a, func(t *testing.T, s store.Store) {
			if err := land(t, testSink(s, plain, 3), testBatch(2), a); err != nil {
				t.Fatal(err)
			}
		}, stream.ErrFenced},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx := context.Background()
			s := &meanwhile{Store: store.NewMemory(testClock)}
			k := testSink(s, Options{MergeSchema: true, TargetFileSize: defaultFileSize}, 1)
			for id := range tt.landed {
				if err := land(t, k, testBatch(id), a); err != nil {
					t.Fatal(err)
				}
			}
			next := testBatch(tt.landed + 1)
			var tx stream.Tx
			write := func() {
				var err error
				if tx, err = k.Begin(ctx, next); err != nil {
					t.Fatal(err)
				}
				w, _ := tx.Writer()
				appendRows(t, w, tt.ahead, "a", next.Start["t"][0], next.End["t"][0])
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
			}
			s.do = func() {
				before := s.requests.Load()
				write()
				if n := s.requests.Load() - before; n > 0 {
					t.Errorf("%d requests to begin", n)
				}
			}
			if err := land(t, k, testBatch(tt.landed), tt.before); err != nil {
				t.Fatal(err)
			}
			if tt.between != nil {
				tt.between(t, s)
			}
			r := testReport(next, map[int32]column.Schema{1: tt.ahead})
			_, err := tx.Commit(ctx, r)
			if !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if err != nil {
				if err := tx.Abort(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if errors.Is(err, stream.ErrSchemaMoved) {
				tt.ahead = b // as a decoder lays it out by Tx.Schema
				write()
				if !tx.Schema().Contains(b) {
					t.Errorf("the next attempt is laid out by %v", tx.Schema())
				}
				if _, err := tx.Commit(ctx, r); err != nil {
					t.Fatal(err)
				}
			}
			got := slices.DeleteFunc(offsets(t, s), func(o int64) bool { return o >= 90 })
			if !slices.Equal(got, upTo(10*tt.landed+20)) {
				t.Errorf("got %v", got)
			}
		})
	}
}
