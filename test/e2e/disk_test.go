//go:build e2e && linux

package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/siltlake/silt/test/parts"
)

// A disk is a file system of its own in memory, of a size that changes, and that can be made read-only.
type disk struct {
	t   *testing.T
	dir string
}

func newDisk(t *testing.T, size string) *disk {
	t.Helper()
	d := &disk{t, filepath.Join(t.TempDir(), "disk")}
	if err := os.Mkdir(d.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, "size="+size)
	if errors.Is(err, syscall.EPERM) {
		err = &parts.Missing{Part: "a small file system", Why: "mount: " + err.Error() + " (root may)"}
	}
	parts.Need(t, err)
	t.Cleanup(func() {
		if err := syscall.Unmount(d.dir, syscall.MNT_DETACH); err != nil {
			t.Error("unmount: ", err)
		}
	})
	return d
}

// remount gives the file system another size, read-only or not. While a file is open for writing it cannot become read-only.
func (d *disk) remount(flags uintptr, size string) {
	d.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := syscall.Mount("tmpfs", d.dir, "tmpfs", flags|syscall.MS_REMOUNT, "size="+size)
		if err == nil {
			return
		}
		if !errors.Is(err, syscall.EBUSY) || time.Now().After(deadline) {
			d.t.Fatal("remount: ", err)
		}
	}
}

// TestDiskThatCannotBeWrittenIsWaitedFor fills the disk of the table or of the checkpoint, or makes it read-only, while records arrive: silt
// waits, says why, and goes on by itself when it can.
func TestDiskThatCannotBeWrittenIsWaitedFor(t *testing.T) {
	tests := map[string]struct {
		on   string // what lies on the small disk
		size string
		fail func(d *disk) // nil: the disk is small enough to be full soon
		says string
	}{
		"table on a full disk":          {"table", "1m", nil, "no space left on device"},
		"checkpoint on a full disk":     {"checkpoint", "64k", nil, "no space left on device"},
		"table on a read-only disk":     {"table", "64m", readOnly, "read-only file system"},
		"checkpoint on a read-only one": {"checkpoint", "64m", readOnly, "read-only file system"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, release)
			d := newDisk(t, test.size)
			// The fixture finds its table where it always is.
			if err := os.Symlink(filepath.Join(d.dir, test.on), filepath.Join(f.dir, test.on)); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(d.dir, test.on), 0o755); err != nil {
				t.Fatal(err)
			}
			f.set(pipeline{"processingTime": "200 milliseconds"}, "trigger")
			produced := f.produceOn(50_000)
			p := f.start(nil, "run", "-c", f.file())
			if test.fail != nil {
				eventually(t, 30*time.Second, "two batches", func() bool { return f.version() >= 1 })
				test.fail(d)
			}
			eventually(t, 60*time.Second, "a word about the disk", func() bool { return strings.Contains(p.stderr.String(), test.says) })
			// Several attempts fail, and each leaves the table as it was.
			time.Sleep(2 * time.Second)
			if !p.running() {
				t.Fatalf("silt ended:\n%s", tail(p.stderr.String(), 60))
			}
			f.checkSoFar()
			before := f.version()
			d.remount(0, "256m")
			eventually(t, 60*time.Second, "three more batches", func() bool { return f.version() >= before+3 })
			produced()
			p.stop(t)
			f.runOnce()
			f.checkComplete()
			if test.fail == nil {
				f.noStrays() // what cannot be written can be removed
			}
			t.Logf("%d attempts failed", strings.Count(p.stderr.String(), "waits for an outage"))
		})
	}
}

func readOnly(d *disk) { d.remount(syscall.MS_RDONLY, "64m") }

// noStrays checks that the table's folder holds what its log says and nothing else: no temporary files, and no files of batches that were
// given up.
func (f *fixture) noStrays() {
	f.t.Helper()
	added := map[string]bool{}
	for _, name := range f.addedFiles() {
		added[name] = true
	}
	for _, dir := range []string{f.table(), filepath.Join(f.dir, "checkpoint")} {
		// The link itself is not followed, what is below it is.
		dir, err := filepath.EvalSymlinks(dir)
		if err != nil {
			f.t.Fatal(err)
		}
		err = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			name := e.Name()
			if strings.HasPrefix(name, ".silt-") || strings.HasSuffix(name, ".parquet") && filepath.Dir(path) == dir && !added[name] {
				f.t.Errorf("%s was left behind", path)
			}
			return err
		})
		if err != nil {
			f.t.Fatal(err)
		}
	}
}
