package store_test

import (
	"testing"

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
