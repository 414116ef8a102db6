package store

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWritableMakesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := Writable(filepath.Join(dir, "a", "b")); err != nil {
		t.Error(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "below")} {
		if err := Writable(path); err == nil {
			t.Errorf("%s: a file is in the way", path)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("something is left in the folder: %v %v", left, err)
	}
}
