package store_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
)

// odd is a store that does one thing otherwise.
type odd struct {
	*store.Memory
	put, putIfAbsent, list, get, delete error
	replaces, forgets, liar, full       bool
	lost                                int // puts whose answer is lost, though they were applied
	puts                                int
}

func (o *odd) Put(ctx context.Context, key string, data []byte) error {
	if o.put != nil {
		return o.put
	}
	return o.Memory.Put(ctx, key, data)
}

func (o *odd) PutIfAbsent(ctx context.Context, key string, data []byte) (store.Outcome, error) {
	o.puts++
	switch {
	case o.putIfAbsent != nil:
		return store.Unknown, o.putIfAbsent
	case o.full:
		return store.Exists, nil
	case o.forgets:
		return []store.Outcome{store.Created, store.Exists}[1-o.puts%2], nil
	case o.replaces, o.liar && o.puts%2 == 0:
		if err := o.Memory.Put(ctx, key, data); err != nil || o.replaces {
			return store.Created, err
		}
		return store.Exists, nil
	}
	outcome, err := o.Memory.PutIfAbsent(ctx, key, data)
	if o.puts <= o.lost {
		return store.Unknown, errors.New("no answer")
	}
	return outcome, err
}

func (o *odd) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	if o.list != nil {
		return func(yield func(store.Info, error) bool) { yield(store.Info{}, o.list) }
	}
	return o.Memory.List(ctx, prefix, after)
}

func (o *odd) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	if o.get != nil {
		return nil, o.get
	}
	return o.Memory.Get(ctx, key, limit)
}

func (o *odd) Delete(ctx context.Context, key string) error {
	if o.delete != nil {
		return o.delete
	}
	return o.Memory.Delete(ctx, key)
}

func TestAProbeTellsWhatAStoreCannotDo(t *testing.T) {
	denied := fmt.Errorf("no right: %w", fs.ErrPermission)
	refused := problem.New(problem.StoreFailed, "not in this release")
	for _, tt := range []struct {
		name  string
		store odd
		code  problem.Code // of the error, "" if it is none or no problem
		is    error
		kept  bool
		left  int // objects
	}{
		{name: "a sound store"},
		{name: "answers that get lost", store: odd{lost: 1}},
		{name: "answers that get lost twice", store: odd{lost: 2}},
		{name: "answers that get lost all the time", store: odd{lost: 9}, is: errors.New("answers of the store were lost")},
		{name: "no right to list", store: odd{list: denied}, is: denied},
		{name: "no right to write", store: odd{putIfAbsent: denied, put: denied}, is: denied},
		{name: "no right to read", store: odd{get: denied}, is: denied},
		{name: "no right to delete", store: odd{delete: denied}, kept: true, left: 1},
		{name: "no right to read or delete", store: odd{get: denied, delete: denied}, is: denied, kept: true, left: 1},
		{name: "the second put replaces", store: odd{replaces: true}, code: problem.UnsafeStore},
		{name: "the second put replaces, and says it did not", store: odd{liar: true}, code: problem.UnsafeStore},
		{name: "every object is there already", store: odd{full: true}, code: problem.UnsafeStore},
		{name: "what is put is not there", store: odd{forgets: true}, code: problem.UnsafeStore},
		{name: "puts on condition are unknown", store: odd{putIfAbsent: refused}, code: problem.UnsafeStore},
		{name: "all puts are refused", store: odd{putIfAbsent: refused, put: refused}, code: problem.StoreFailed},
		{name: "a delete that fails", store: odd{delete: refused}, code: problem.StoreFailed, left: 1},
	} {
		s := &tt.store
		s.Memory = store.NewMemory(nil)
		kept, err := store.Probe(t.Context(), s, "_delta_log/", "1")
		var p *problem.Problem
		switch {
		case tt.code != "" && (!errors.As(err, &p) || p.Code != tt.code):
			t.Errorf("%s: got %v", tt.name, err)
		case tt.is != nil && (err == nil || !strings.Contains(err.Error(), tt.is.Error())):
			t.Errorf("%s: got %v", tt.name, err)
		case tt.code == "" && tt.is == nil && err != nil:
			t.Errorf("%s: got %v", tt.name, err)
		}
		left := 0
		for n := range 3 {
			if _, err := s.Memory.Get(t.Context(), fmt.Sprintf("_delta_log/.silt-probe-1-%d", n), 100); err == nil {
				left++
			}
		}
		if kept != tt.kept || left != tt.left {
			t.Errorf("%s: kept %v, %d objects left", tt.name, kept, left)
		}
	}
}

// An ending store is one whose caller gives up while it is read.
type ending struct {
	*store.Memory
	end context.CancelFunc
}

func (e ending) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	e.end()
	return e.Memory.Get(ctx, key, limit)
}

func TestAProbeThatIsGivenUpLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := ending{store.NewMemory(nil), cancel}
	if _, err := store.Probe(ctx, s, "_delta_log/", "1"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := s.Memory.Get(t.Context(), "_delta_log/.silt-probe-1-0", 100); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the object is still there: %v", err)
	}
}

func TestAProbeOfAnyFolderOfASoundStorePasses(t *testing.T) {
	local, err := store.NewLocal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"", "_delta_log/", "a/b/"} {
		if kept, err := store.Probe(t.Context(), local, folder, "1"); kept || err != nil {
			t.Errorf("%q: %v %v", folder, kept, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Probe(ctx, local, "", "1"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
