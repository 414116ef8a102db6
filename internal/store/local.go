package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// Local is a Store in a folder of a local file system.
//
// A write goes to a temporary file in the object's own folder and is synced before it gets its name, so that a reader, also one after a
// crash, sees whole objects only; then the folder is synced, so that the name survives as well. Put renames, which replaces; PutIfAbsent
// and uploads use link(2), which does not: O_EXCL on the final name would show a half-written object.
//
// NFS: link's answer may be lost and the retransmitted call answered EEXIST although the first one made the link. The temporary file's
// link count tells (open(2), "O_EXCL"): 2 means that the link is ours.
type Local struct {
	typed, root string

	mu sync.Mutex
	// durable has the folders whose names are known to survive a crash, up to the root: this process synced their parents.
	durable map[string]bool
}

var (
	_ Store   = (*Local)(nil)
	_ Cleaner = (*Local)(nil)
)

// NewLocal returns the store in the folder at path. The folder is made, with its parents, by the first write.
func NewLocal(path string) (*Local, error) {
	root, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("path %s: %w", path, err)
	}
	return &Local{typed: path, root: root, durable: map[string]bool{}}, nil
}

// URL returns the path as NewLocal was given it.
func (l *Local) URL() string { return l.typed }

// path returns the file of the key.
func (l *Local) path(key string) (string, error) {
	if err := CheckKey(key); err != nil {
		return "", err
	}
	p, err := filepath.Localize(key)
	if err != nil { // a name that Windows reserves
		return "", fmt.Errorf("%q is no key here: %w", key, fs.ErrInvalid)
	}
	return filepath.Join(l.root, p), nil
}

// Put implements Store.
func (l *Local) Put(ctx context.Context, key string, data []byte) error {
	t, err := l.whole(ctx, key, data)
	if err != nil {
		return failed("put", key, err)
	}
	if err := os.Rename(t.path, t.final); err != nil {
		t.remove()
		return failed("put", key, err)
	}
	return failed("put", key, syncDir(filepath.Dir(t.final)))
}

// PutIfAbsent implements Store.
func (l *Local) PutIfAbsent(ctx context.Context, key string, data []byte) (Outcome, error) {
	const verb = "put if absent"
	t, err := l.whole(ctx, key, data)
	if err != nil {
		return Unknown, NotWritten(failed(verb, key, err))
	}
	outcome, err := t.publish()
	t.remove()
	if err = failed(verb, key, err); errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOSPC) {
		return Unknown, NotWritten(err) // others may be a network's
	} else if err != nil {
		return Unknown, err
	}
	// Also after Exists: whoever made the object may have died before its folder was synced, and the caller relies on it from now on.
	if err := syncDir(filepath.Dir(t.final)); err != nil {
		return Unknown, failed(verb, key, err)
	}
	return outcome, nil
}

// whole writes data to a synced temporary file beside the object.
func (l *Local) whole(ctx context.Context, key string, data []byte) (*temporary, error) {
	t, err := l.begin(ctx, key)
	if err != nil {
		return nil, err
	}
	_, err = t.Write(data)
	if err == nil {
		err = t.Sync()
	}
	if cerr := t.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		t.remove()
		return nil, err
	}
	return t, nil
}

// Create implements Store.
func (l *Local) Create(ctx context.Context, key string) (Upload, error) {
	t, err := l.begin(ctx, key)
	if err != nil {
		return nil, failed("create", key, err)
	}
	return &localUpload{key: key, t: t}, nil
}

type localUpload struct {
	key  string
	t    *temporary
	done bool
}

func (u *localUpload) Write(p []byte) (int, error) {
	if u.done {
		return 0, failed("write", u.key, fs.ErrClosed)
	}
	n, err := u.t.Write(p)
	return n, failed("write", u.key, err)
}

func (u *localUpload) Commit(ctx context.Context) error {
	if u.done {
		return failed("commit", u.key, fs.ErrClosed)
	}
	u.done = true
	err := ctx.Err()
	if err == nil {
		err = u.t.Sync()
	}
	if cerr := u.t.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		var o Outcome
		if o, err = u.t.publish(); o == Exists {
			err = fs.ErrExist
		}
	}
	u.t.remove()
	if err == nil {
		err = syncDir(filepath.Dir(u.t.final))
	}
	return failed("commit", u.key, err)
}

func (u *localUpload) Abort(context.Context) error {
	if u.done {
		return nil
	}
	u.done = true
	err := u.t.Close()
	if rerr := os.Remove(u.t.path); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
		err = rerr
	}
	return failed("abort", u.key, err)
}

// Get implements Store.
func (l *Local) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	f, size, err := l.open(ctx, key)
	if err != nil {
		return nil, failed("get", key, err)
	}
	defer func() { _ = f.Close() }()
	if size > limit {
		return nil, failed("get", key, fmt.Errorf("%w: %d > %d bytes", ErrTooLarge, size, limit))
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, failed("get", key, err)
	}
	return data, nil
}

// Open implements Store.
func (l *Local) Open(ctx context.Context, key string) (Object, error) {
	f, size, err := l.open(ctx, key)
	if err != nil {
		return nil, failed("open", key, err)
	}
	return localObject{f, size}, nil
}

type localObject struct {
	*os.File
	size int64
}

func (o localObject) Size() int64 { return o.size }

func (l *Local) open(ctx context.Context, key string) (*os.File, int64, error) {
	name, err := l.path(key)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, 0, err
	}
	f, err := os.Open(name)
	if err != nil {
		if errors.Is(err, syscall.ENOTDIR) { // a part of the key is an object: no object can be below it
			err = fmt.Errorf("%w (%v)", fs.ErrNotExist, err)
		}
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w (%s is no regular file)", fs.ErrNotExist, name)
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// Delete implements Store. The name is gone for good when it returns nil.
func (l *Local) Delete(ctx context.Context, key string) error {
	name, err := l.path(key)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return failed("delete", key, err)
	}
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return nil
	case err != nil:
		return failed("delete", key, err)
	case info.IsDir(): // os.Remove would remove an empty one
		return nil
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed("delete", key, err)
	}
	return failed("delete", key, syncDir(filepath.Dir(name)))
}

// A temporary is a file being written, in the folder of the object that it will be.
type temporary struct {
	*os.File
	path, final string
}

// The names of temporary files: hidden, so that nobody takes one for data (Delta's VACUUM leaves dot-files alone), and recognizably
// ours. Spark's are .NAME.UUID.tmp, Hadoop's checksums .NAME.crc.
const (
	temporaryPrefix = ".silt-"
	temporarySuffix = ".tmp"
	temporaryID     = 16 // hexadecimal digits
)

func isTemporary(name string) bool {
	id, ok := strings.CutPrefix(name, temporaryPrefix)
	if !ok {
		return false
	}
	id, ok = strings.CutSuffix(id, temporarySuffix)
	return ok && len(id) == temporaryID && strings.Trim(id, "0123456789abcdef") == ""
}

// begin makes the folder of the object if need be and a temporary file in it.
func (l *Local) begin(ctx context.Context, key string) (*temporary, error) {
	final, err := l.path(key)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(final)
	for attempt := 0; ; attempt++ {
		if err := l.makeDir(dir); err != nil {
			return nil, err
		}
		var id [temporaryID / 2]byte
		_, _ = rand.Read(id[:]) // never fails
		name := filepath.Join(dir, temporaryPrefix+hex.EncodeToString(id[:])+temporarySuffix)
		// 0666 and not os.CreateTemp's 0600: the object is for everybody whom the umask allows.
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err == nil {
			return &temporary{f, name, final}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || attempt > 0 {
			return nil, err
		}
		l.forget() // somebody removed the folder
	}
}

// remove removes the temporary file; what a failing disk leaves, Clean removes.
func (t *temporary) remove() { _ = os.Remove(t.path) }

// publish gives the temporary file its final name unless that is taken.
func (t *temporary) publish() (Outcome, error) {
	err := os.Link(t.path, t.final)
	switch {
	case err == nil, linkedTwice(t.path):
		return Created, nil
	case errors.Is(err, fs.ErrExist):
		return Exists, nil
	case !noLinks(err):
		return Unknown, err
	}
	// A file system without hard links (FAT, many FUSE ones).
	if err = renameNoReplace(t.path, t.final); errors.Is(err, fs.ErrExist) {
		return Exists, nil
	} else if err != nil {
		return Unknown, err
	}
	return Created, nil
}

// makeDir makes a folder of the store and syncs the folders above it, so that the names of all of them survive a crash. A folder that was
// there before is treated alike, once in a process: its maker may have been killed before it synced.
func (l *Local) makeDir(dir string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.durable[dir] {
		return nil
	}
	missing := l.root // the highest folder that has to be made
	for p := filepath.Dir(l.root); ; p = filepath.Dir(p) {
		if _, err := os.Stat(p); err == nil || p == filepath.Dir(p) {
			break
		}
		missing = p
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for p := dir; !l.durable[p]; p = filepath.Dir(p) {
		if err := syncDir(filepath.Dir(p)); err != nil && !(p == l.root && errors.Is(err, fs.ErrPermission)) {
			return err // a root whose parent we may not even read was not made by us
		}
		l.durable[p] = true
		if p == missing {
			break
		}
	}
	return nil
}

func (l *Local) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.durable)
}

// failed wraps an error with what was being done; nil stays nil.
func failed(verb, key string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, syscall.EROFS) { // to the user a read-only file system is a lack of permission
		err = fmt.Errorf("%w: %w", fs.ErrPermission, err)
	}
	return fmt.Errorf("%s %s: %w", verb, key, err)
}
