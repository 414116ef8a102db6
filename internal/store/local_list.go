package store

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// List implements Store. Folders are walked; symbolic links to files are followed, those to folders are not, except on the way to prefix.
// What it yields is durable: a folder is synced after it was read, because whoever made a name in it may have been killed before syncing,
// and the caller decides by what it sees.
func (l *Local) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		dir, err := prefixFolder(prefix)
		if err != nil {
			yield(Info{}, failed("list", prefix, err))
			return
		}
		if Hidden(dir) {
			return
		}
		w := walk{l: l, ctx: ctx, prefix: prefix, after: after, yield: yield}
		w.folder(dir)
	}
}

type walk struct {
	l             *Local
	ctx           context.Context
	prefix, after string
	yield         func(Info, error) bool
}

// folder yields the objects of a folder and of those below it; false ends the walk.
func (w *walk) folder(dir string) bool {
	entries, err := w.l.readDir(w.ctx, dir)
	if err != nil {
		w.yield(Info{}, failed("list", w.prefix, err))
		return false
	}
	for _, e := range entries {
		if !w.entry(dir, e) {
			return false
		}
	}
	return true
}

func (w *walk) entry(dir string, e fs.DirEntry) bool {
	if strings.HasPrefix(e.Name(), ".") {
		return true
	}
	key := path.Join(dir, e.Name())
	if e.IsDir() {
		below := key + "/"
		if !strings.HasPrefix(below, w.prefix) && !strings.HasPrefix(w.prefix, below) {
			return true
		}
		if below < w.after && !strings.HasPrefix(w.after, below) { // every key in it is smaller than after
			return true
		}
		return w.folder(key)
	}
	if !strings.HasPrefix(key, w.prefix) || key <= w.after || CheckKey(key) != nil {
		return true
	}
	info, err := e.Info()
	if err == nil && info.Mode().Type() == fs.ModeSymlink {
		info, err = os.Stat(filepath.Join(w.l.root, filepath.FromSlash(key)))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist): // deleted since, or a dangling link
		return true
	case err != nil:
		w.yield(Info{}, failed("list", w.prefix, err))
		return false
	case !info.Mode().IsRegular():
		return true
	}
	return w.yield(Info{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil)
}

// readDir returns the entries of a folder in the order of their keys: "a.b" < "a/x" < "ab". A folder that is not there has none.
func (l *Local) readDir(ctx context.Context, dir string) ([]fs.DirEntry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(l.root, filepath.FromSlash(dir)))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || dir != "" && errors.Is(err, syscall.ENOTDIR) {
			return nil, nil
		}
		return nil, err
	}
	defer func() { _ = f.Close() }()
	entries, err := f.ReadDir(-1)
	if err != nil {
		if dir != "" && errors.Is(err, syscall.ENOTDIR) { // an object, not a folder
			return nil, nil
		}
		return nil, err
	}
	_ = f.Sync() // see List; a read-only or special file system may refuse, and has nothing to lose then
	sortKey := func(e fs.DirEntry) string {
		if e.IsDir() {
			return e.Name() + "/"
		}
		return e.Name()
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(sortKey(a), sortKey(b)) })
	return entries, nil
}

// Clean implements Cleaner. Temporary files are recognized by their names.
func (l *Local) Clean(ctx context.Context, folder string, before time.Time) (int, error) {
	if folder != "" {
		if err := CheckKey(folder); err != nil {
			return 0, failed("clean", folder, err)
		}
	}
	n, err := l.clean(ctx, folder, before)
	return n, failed("clean", folder, err)
}

func (l *Local) clean(ctx context.Context, dir string, before time.Time) (int, error) {
	entries, err := l.readDir(ctx, dir)
	if err != nil {
		return 0, err
	}
	removed := 0
	for _, e := range entries {
		if e.IsDir() {
			if Hidden(e.Name()) {
				continue
			}
			n, err := l.clean(ctx, path.Join(dir, e.Name()), before)
			removed += n
			if err != nil {
				return removed, err
			}
			continue
		}
		if !isTemporary(e.Name()) {
			continue
		}
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || !before.IsZero() && !info.ModTime().Before(before) {
			continue // finished since, or still young
		}
		if err := os.Remove(filepath.Join(l.root, filepath.FromSlash(dir), e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, err
		}
		removed++
	}
	return removed, nil
}
