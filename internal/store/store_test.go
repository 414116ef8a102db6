package store_test

import (
	"context"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/store/storetest"
)

func TestLocalKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return local(t, t.TempDir()) })
}

func TestMemoryKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return store.NewMemory(nil) })
}

func TestTracedKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return store.Traced(store.NewMemory(nil), func(string) {}) })
}

func TestFaultyWithoutFaultKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return store.NewFaulty(store.NewMemory(nil), store.At(0, store.NoFault)) })
}

func local(t *testing.T, dir string) *store.Local {
	t.Helper()
	s, err := store.NewLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Whatever the keys, a file system's folders list as the flat keys of an object store do.
func TestLocalListsAsMemoryDoes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		disk, memory := local(t, dir), store.NewMemory(nil)
		key := rapid.StringOfN(rapid.SampledFrom([]rune("ab-./0é")), 1, 6, -1)
		for _, k := range rapid.SliceOfN(key, 0, 12).Draw(rt, "keys") {
			if disk.Put(context.Background(), k, []byte(k)) != nil { // no key, or below an object: a file system has no room for that
				continue
			}
			if err := memory.Put(context.Background(), k, []byte(k)); err != nil {
				rt.Fatal(err)
			}
		}
		prefix, after := rapid.StringOfN(rapid.SampledFrom([]rune("ab-./0é")), 0, 3, -1).Draw(rt, "prefix"), key.Draw(rt, "after")
		got, gotErr := keys(disk, prefix, after)
		want, wantErr := keys(memory, prefix, after)
		if !slices.Equal(got, want) || (gotErr == nil) != (wantErr == nil) {
			rt.Fatalf("prefix %q after %q: got %q, %v, want %q, %v", prefix, after, got, gotErr, want, wantErr)
		}
	})
}

func keys(s store.Store, prefix, after string) (keys []string, err error) {
	for i, e := range s.List(context.Background(), prefix, after) {
		if e != nil {
			return keys, e
		}
		keys = append(keys, i.Key)
	}
	return keys, nil
}
