package datagen

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOffsetsInAFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "offsets.json")
	f, err := OpenOffsets(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := f.Load(t.Context(), 0); ok || err != nil {
		t.Errorf("a new file holds an offset: %v", err)
	}
	// What a kill in the middle of a Store left does not stay.
	if err := os.WriteFile(name+".tmp", []byte(`{"0":`), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []Offset{{1, 1 << 40, -1 << 63}, {7, 0, 42}}
	for task, o := range want {
		for range 2 {
			if err := f.Store(t.Context(), task, o); err != nil {
				t.Fatal(err)
			}
		}
	}
	again, err := OpenOffsets(name)
	if err != nil {
		t.Fatal(err)
	}
	for task, o := range want {
		if got, ok, err := again.Load(t.Context(), task); got != o || !ok || err != nil {
			t.Errorf("task %d: got %+v %v %v, want %+v", task, got, ok, err, o)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files, want one: %v", len(entries), err)
	}
}

func TestFilesThatHoldNoOffsets(t *testing.T) {
	name := filepath.Join(t.TempDir(), "offsets.json")
	for text, want := range map[string]string{"": "it holds no offsets of tasks", "[1]": "it holds no offsets of tasks",
		`{"0":1}`:                              "it holds no offsets of tasks",
		strings.Repeat(" ", maxOffsetsBytes+1): "it has 1048577 bytes"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenOffsets(name); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.20q: got %v, want %s", text, err, want)
		}
	}
	if err := os.WriteFile(name, []byte(`{"0":{"current.iteration":-1}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := OpenOffsets(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Load(t.Context(), 0); err == nil {
		t.Error("a negative iteration is taken")
	}
}
