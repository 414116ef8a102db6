package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/problem"
)

var ctx = context.Background()

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newLocal(t *testing.T, dir string) *Local {
	t.Helper()
	l, err := NewLocal(dir)
	must(t, err)
	return l
}

// files returns every file below dir, hidden ones as well.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	must(t, filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(dir, p)
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	}))
	return names
}

func TestFinishedWritesLeaveNoTemporaryFile(t *testing.T) {
	dir := t.TempDir()
	l := newLocal(t, dir)
	must(t, l.Put(ctx, "a/put", []byte("x")))
	must(t, l.Put(ctx, "a/put", []byte("y")))
	for range 2 {
		if _, err := l.PutIfAbsent(ctx, "a/absent", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second finds the object there
		u, err := l.Create(ctx, "a/upload")
		must(t, err)
		_ = u.Commit(ctx)
	}
	if got := files(t, dir); !slices.Equal(got, []string{"a/absent", "a/put", "a/upload"}) {
		t.Errorf("got %q", got)
	}
}

func TestUploadIsHiddenFileInTheSameFolder(t *testing.T) {
	dir := t.TempDir()
	l := newLocal(t, dir)
	u, err := l.Create(ctx, "data/part.parquet")
	must(t, err)
	got := files(t, dir)
	if len(got) != 1 || filepath.Dir(got[0]) != "data" || !isTemporary(filepath.Base(got[0])) {
		t.Errorf("got %q, want one temporary file in data", got)
	}
	must(t, u.Abort(ctx))
	if got := files(t, dir); got != nil {
		t.Errorf("abort left %q", got)
	}
}

func TestCleanRemovesOnlyOldTemporaryFilesOfOurs(t *testing.T) {
	dir := t.TempDir()
	l := newLocal(t, dir)
	now := time.Now()
	write := func(name string, age time.Duration) {
		t.Helper()
		p := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(p), 0o777))
		must(t, os.WriteFile(p, nil, 0o666))
		must(t, os.Chtimes(p, now.Add(-age), now.Add(-age)))
	}
	const day = 24 * time.Hour
	write("t/.silt-0123456789abcdef.tmp", 2*day)       // goes
	write("t/p=1/.silt-0123456789abcdef.tmp", 2*day)   // in a folder below: goes
	write("t/.silt-0123456789abcde0.tmp", time.Minute) // young: maybe of a live process
	write("t/.silt-0123456789ABCDEF.tmp", 2*day)       // not a name that we give
	write("t/.silt-0123.tmp", 2*day)
	write("t/.0.e3b1c7f2-aaaa-bbbb-cccc-000000000000.tmp", 2*day) // Spark's
	write("t/.part.parquet.crc", 2*day)
	write("t/part.parquet", 2*day)
	write("t/.hidden/.silt-0123456789abcdef.tmp", 2*day) // we never write there
	write("u/.silt-0123456789abcdef.tmp", 2*day)         // another folder
	n, err := l.Clean(ctx, "t", now.Add(-Abandoned))
	if n != 2 || err != nil {
		t.Errorf("removed %d, %v, want 2", n, err)
	}
	want := []string{"t/.0.e3b1c7f2-aaaa-bbbb-cccc-000000000000.tmp", "t/.hidden/.silt-0123456789abcdef.tmp", "t/.part.parquet.crc",
		"t/.silt-0123.tmp",
		"t/.silt-0123456789ABCDEF.tmp", "t/.silt-0123456789abcde0.tmp", "t/part.parquet", "u/.silt-0123456789abcdef.tmp"}
	if got := files(t, dir); !slices.Equal(got, want) {
		t.Errorf("left %q\nwant %q", got, want)
	}
	n, err = l.Clean(ctx, "t", time.Time{}) // all, where nobody else writes
	if n != 1 || err != nil {
		t.Errorf("removed %d, %v, want 1", n, err)
	}
	if n, err = l.Clean(ctx, "not/there", time.Time{}); n != 0 || err != nil {
		t.Errorf("removed %d, %v from a folder that is not there", n, err)
	}
	if _, err = l.Clean(ctx, "../t", time.Time{}); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("got %v, want fs.ErrInvalid", err)
	}
}

func TestFolderRemovedWhileRunningIsMadeAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet", "there")
	l := newLocal(t, dir)
	must(t, l.Put(ctx, "a/b/c", nil))
	must(t, os.RemoveAll(dir))
	must(t, l.Put(ctx, "a/b/c", nil))
	if got := files(t, dir); !slices.Equal(got, []string{"a/b/c"}) {
		t.Errorf("got %q", got)
	}
}

func TestURLIsThePathAsTyped(t *testing.T) {
	if got := newLocal(t, "some/where").URL(); got != "some/where" {
		t.Errorf("got %q", got)
	}
}

func TestListFollowsLinksToFilesOnly(t *testing.T) {
	dir := t.TempDir()
	l := newLocal(t, dir)
	must(t, l.Put(ctx, "real/x", []byte("1234")))
	for name, target := range map[string]string{"file": "real/x", "dangling": "nowhere", "folder": "real", "loop": "."} {
		err := os.Symlink(target, filepath.Join(dir, name))
		if err != nil && runtime.GOOS == "windows" {
			t.Skip("this user may make no symbolic links:", err)
		}
		must(t, err)
	}
	var got []string
	for i, err := range l.List(ctx, "", "") {
		must(t, err)
		got = append(got, i.Key)
		if i.Size != 4 {
			t.Errorf("%s: size %d, want 4", i.Key, i.Size)
		}
	}
	if !slices.Equal(got, []string{"file", "real/x"}) {
		t.Errorf("got %q", got)
	}
	got = nil
	for i, err := range l.List(ctx, "folder/", "") { // on the way to the prefix links are followed
		must(t, err)
		got = append(got, i.Key)
	}
	if !slices.Equal(got, []string{"folder/x"}) {
		t.Errorf("got %q", got)
	}
}

func TestDeleteKeepsFolders(t *testing.T) {
	dir := t.TempDir()
	l := newLocal(t, dir)
	must(t, os.Mkdir(filepath.Join(dir, "empty"), 0o777))
	must(t, l.Delete(ctx, "empty"))
	if _, err := os.Stat(filepath.Join(dir, "empty")); err != nil {
		t.Error(err)
	}
}

func TestLackOfPermissionIsTold(t *testing.T) {
	for _, err := range []error{syscall.EACCES, syscall.EPERM, syscall.EROFS} { // EROFS is not fs.ErrPermission by itself
		if got := failed("put", "k", &fs.PathError{Op: "open", Path: "p", Err: err}); !errors.Is(got, fs.ErrPermission) || !errors.Is(got, err) {
			t.Errorf("%v: got %v", err, got)
		}
	}
	dir := t.TempDir()
	l := newLocal(t, dir)
	must(t, os.Chmod(dir, 0o555))
	defer func() { _ = os.Chmod(dir, 0o777) }()
	err := l.Put(ctx, "k", nil)
	if err == nil {
		t.Log("this user may write everywhere: the folder's mode is not tested")
	} else if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v, want fs.ErrPermission", err)
	}
}

// What fails before the object has its name has written nothing: a disk that is full, a folder that cannot be made.
func TestAPutThatFailsBeforeItsNameWritesNothing(t *testing.T) {
	l := newLocal(t, t.TempDir())
	must(t, l.Put(ctx, "object", nil))
	if o, err := l.PutIfAbsent(ctx, "object/below", nil); o != Unknown || !errors.Is(err, ErrNotWritten) {
		t.Errorf("got %v, %v, want ErrNotWritten", o, err)
	}
}

// The two ways to give a file its name only once, and what NFS makes of the first.
func TestPublishNeverReplaces(t *testing.T) {
	dir := t.TempDir()
	write := func(name, data string) *temporary {
		p := filepath.Join(dir, name)
		must(t, os.WriteFile(p, []byte(data), 0o666))
		return &temporary{path: p, final: filepath.Join(dir, "final")}
	}
	old := write("old", "old")
	if o, err := old.publish(); o != Created || err != nil {
		t.Fatalf("got %v, %v", o, err)
	}
	if o, err := old.publish(); o != Created || err != nil { // as after a lost answer: the name is there, and it is ours
		t.Errorf("a repeated link: got %v, %v, want created", o, err)
	}
	young := write("young", "young")
	if o, err := young.publish(); o != Exists || err != nil {
		t.Errorf("got %v, %v, want exists", o, err)
	}
	switch err := renameNoReplace(young.path, young.final); {
	case problem.Of(err) != nil:
		t.Log("no rename without replacing here:", err)
	case !errors.Is(err, fs.ErrExist):
		t.Errorf("rename: got %v, want fs.ErrExist", err)
	default:
		must(t, renameNoReplace(young.path, filepath.Join(dir, "other")))
	}
	if data, err := os.ReadFile(young.final); string(data) != "old" || err != nil {
		t.Errorf("got %q, %v", data, err)
	}
}

func TestFoldersAreMadeDurableOnce(t *testing.T) {
	root := filepath.Join(t.TempDir(), "new", "root")
	l := newLocal(t, root)
	must(t, l.makeDir(filepath.Join(root, "a", "b")))
	for _, p := range []string{filepath.Dir(root), root, filepath.Join(root, "a"), filepath.Join(root, "a", "b")} {
		if !l.durable[p] {
			t.Errorf("%s: its name was not synced", p)
		}
	}
	if len(l.durable) != 4 {
		t.Errorf("synced %v, want no folder above those that were made", l.durable)
	}
}
