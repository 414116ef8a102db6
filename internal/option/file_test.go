package option

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadFileHasALimitAndNamesNoFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "hunter2")
	if err := os.WriteFile(name, []byte("four"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := ReadFile(name, 4); err != nil || string(b) != "four" {
		t.Errorf("got %q %v", b, err)
	}
	if _, err := ReadFile(name, 3); err == nil || err.Error() != "it is larger than 3B" {
		t.Errorf("got %v", err)
	}
	if _, err := ReadFile(name+".none", 4); !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
	if _, err := ReadFile(dir, 4); err == nil || strings.Contains(err.Error(), dir) {
		t.Errorf("a folder: got %v", err)
	}
}
