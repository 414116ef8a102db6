// Package storetest is the contract of store.Store as a test: every implementation runs it.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/store"
)

// Run tests a store. open returns a new and empty one.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, store.Store)
	}{
		{"put replaces", putReplaces},
		{"put if absent writes once", putIfAbsentOnce},
		{"of many writers of one key one wins", race},
		{"puts of one key are whole", putsAreWhole},
		{"what is not there", notThere},
		{"odd keys", oddKeys},
		{"keys that are none", noKeys},
		{"empty objects", emptyObjects},
		{"get limit", getLimit},
		{"ranges", ranges},
		{"list in order of bytes", listOrder},
		{"list after", listAfter},
		{"list while writing", listWhileWriting},
		{"hidden objects", hidden},
		{"an upload is visible after commit", uploadCommit},
		{"an aborted upload leaves nothing", uploadAbort},
		{"an upload replaces nothing", uploadExists},
		{"delete", deletes},
		{"uploads of every size", uploadSizes},
		{"of many uploads of one key one wins", uploadRace},
		{"long listings", longListing},
		{"a cancelled context", cancelled},
		{"callers own their bytes", ownership},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

var ctx = context.Background()

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, s store.Store, key, data string) {
	t.Helper()
	must(t, s.Put(ctx, key, []byte(data)))
}

func want(t *testing.T, s store.Store, key, data string) {
	t.Helper()
	got, err := s.Get(ctx, key, 1<<20)
	if err != nil || string(got) != data {
		t.Errorf("%s: got %q, %v, want %q", key, got, err, data)
	}
}

func wantAbsent(t *testing.T, s store.Store, key string) {
	t.Helper()
	if got, err := s.Get(ctx, key, 1<<20); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: got %q, %v, want fs.ErrNotExist", key, got, err)
	}
}

func list(t *testing.T, s store.Store, prefix, after string) []string {
	t.Helper()
	var keys []string
	for i, err := range s.List(ctx, prefix, after) {
		must(t, err)
		keys = append(keys, i.Key)
	}
	return keys
}

func wantList(t *testing.T, s store.Store, prefix, after string, keys ...string) {
	t.Helper()
	if got := list(t, s, prefix, after); !slices.Equal(got, keys) {
		t.Errorf("list %q after %q: got %q, want %q", prefix, after, got, keys)
	}
}

func putReplaces(t *testing.T, s store.Store) {
	put(t, s, "a/b/c", "first")
	want(t, s, "a/b/c", "first")
	put(t, s, "a/b/c", "2nd")
	want(t, s, "a/b/c", "2nd")
	wantList(t, s, "", "", "a/b/c")
}

func putIfAbsentOnce(t *testing.T, s store.Store) {
	for _, step := range []struct {
		data string
		want store.Outcome
	}{{"first", store.Created}, {"second", store.Exists}, {"first", store.Exists}} {
		if o, err := s.PutIfAbsent(ctx, "log/0", []byte(step.data)); o != step.want || err != nil {
			t.Errorf("%s: got %v, %v, want %v", step.data, o, err, step.want)
		}
	}
	want(t, s, "log/0", "first")
	wantList(t, s, "", "", "log/0") // no temporary file is left in view
}

// race: the winner's bytes are there, whoever asks at whatever moment sees them whole or not at all.
func race(t *testing.T, s store.Store) {
	const writers = 100
	content := func(i int) []byte { return bytes.Repeat([]byte{byte('0' + i)}, 100+i) }
	outcomes := make([]store.Outcome, writers)
	errs := make([]error, writers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			<-start
			outcomes[i], errs[i] = s.PutIfAbsent(ctx, "folder/key", content(i))
			got, err := s.Get(ctx, "folder/key", 1<<20)
			if err != nil || len(got) < 100 || len(got) != 100+int(got[0]-'0') {
				t.Errorf("writer %d reads %d bytes, %v", i, len(got), err)
			}
		})
	}
	close(start)
	wg.Wait()
	must(t, errors.Join(errs...))
	winner := slices.Index(outcomes, store.Created)
	if winner < 0 || slices.Contains(outcomes[winner+1:], store.Created) || slices.Contains(outcomes, store.Unknown) {
		t.Fatalf("outcomes %v, want one created and else exists", outcomes)
	}
	want(t, s, "folder/key", string(content(winner)))
	wantList(t, s, "", "", "folder/key")
}

func putsAreWhole(t *testing.T, s store.Store) {
	put(t, s, "k", strings.Repeat("0", 1000))
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for range 20 {
				if err := s.Put(ctx, "k", bytes.Repeat([]byte{byte('0' + w)}, 1000+w)); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 40 {
				got, err := s.Get(ctx, "k", 1<<20)
				if err != nil || len(got) != 1000+int(got[0]-'0') || len(bytes.Trim(got, string(got[:1]))) != 0 {
					t.Errorf("torn read of %d bytes, %v", len(got), err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func notThere(t *testing.T, s store.Store) {
	put(t, s, "a/b", "x")
	for _, key := range []string{"c", "a", "a/c", "d/e/f", "a/b/c", "a/B"} {
		if key == "a/B" && caseless(s) {
			continue
		}
		wantAbsent(t, s, key)
		if o, err := s.Open(ctx, key); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open %s: got %v, %v, want fs.ErrNotExist", key, o, err)
		}
	}
	for _, prefix := range []string{"c", "c/", "a/c", "a/b/", "a/b/c", "d/e/f"} {
		wantList(t, s, prefix, "")
	}
}

// caseless says whether the store takes keys that differ in case for one, as file systems of macOS and Windows do.
func caseless(s store.Store) bool {
	_ = s.Put(ctx, "case", nil)
	_, err := s.Get(ctx, "CASE", 1)
	_ = s.Delete(ctx, "case")
	return err == nil
}

func oddKeys(t *testing.T, s store.Store) {
	keys := []string{
		"space in name", "per%20cent", "plus+sign", "hash#tag", "equals=value/x", "at@sign", "comma,", "tilde~", "brackets[]{}()", "semi;colon",
		"dots...in..name", "trailing-dash-", "_underscore", "é/ü", "日本語/ファイル", "emoji-\U0001F600", "apostrophe'", "ampersand&", "$dollar",
		"!bang",
		"col=__HIVE_DEFAULT_PARTITION__/part-00000.parquet", strings.Repeat("long", 50), strings.Repeat("d/", 40) + "deep",
	}
	for _, k := range keys {
		put(t, s, k, "data of "+k)
	}
	for _, k := range keys {
		want(t, s, k, "data of "+k)
	}
	slices.Sort(keys)
	wantList(t, s, "", "", keys...)
	for _, k := range keys {
		wantList(t, s, k, "", k)
		must(t, s.Delete(ctx, k))
	}
	wantList(t, s, "", "")
}

func noKeys(t *testing.T, s store.Store) {
	for _, key := range []string{"", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "a/../b", "../a", "a/..", "nul\x00", "\xff\xfe"} {
		if err := s.Put(ctx, key, nil); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("put %q: got %v, want fs.ErrInvalid", key, err)
		}
		if o, err := s.PutIfAbsent(ctx, key, nil); o != store.Unknown || !errors.Is(err, fs.ErrInvalid) || !errors.Is(err, store.ErrNotWritten) {
			t.Errorf("put if absent %q: got %v, %v, want fs.ErrInvalid and store.ErrNotWritten", key, o, err)
		}
		if _, err := s.Create(ctx, key); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("create %q: got %v, want fs.ErrInvalid", key, err)
		}
		if _, err := s.Get(ctx, key, 1); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("get %q: got %v, want fs.ErrInvalid", key, err)
		}
		if _, err := s.Open(ctx, key); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("open %q: got %v, want fs.ErrInvalid", key, err)
		}
		if err := s.Delete(ctx, key); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("delete %q: got %v, want fs.ErrInvalid", key, err)
		}
	}
	for _, prefix := range []string{"/", "a//", "../", "./a"} {
		var err error
		for _, e := range s.List(ctx, prefix, "") {
			err = e
		}
		if !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("list %q: got %v, want fs.ErrInvalid", prefix, err)
		}
	}
}

func emptyObjects(t *testing.T, s store.Store) {
	put(t, s, "put", "")
	if o, err := s.PutIfAbsent(ctx, "absent", nil); o != store.Created || err != nil {
		t.Errorf("got %v, %v", o, err)
	}
	u, err := s.Create(ctx, "upload")
	must(t, err)
	must(t, u.Commit(ctx))
	for _, k := range []string{"put", "absent", "upload"} {
		want(t, s, k, "")
		if _, err := s.Get(ctx, k, 0); err != nil {
			t.Errorf("get %s with limit 0: %v", k, err)
		}
		o, err := s.Open(ctx, k)
		must(t, err)
		if n, err := o.ReadAt(make([]byte, 1), 0); n != 0 || err != io.EOF || o.Size() != 0 {
			t.Errorf("%s: got %d, %v, size %d", k, n, err, o.Size())
		}
		must(t, o.Close())
	}
}

func getLimit(t *testing.T, s store.Store) {
	put(t, s, "k", "12345")
	if got, err := s.Get(ctx, "k", 5); string(got) != "12345" || err != nil {
		t.Errorf("limit 5: got %q, %v", got, err)
	}
	if got, err := s.Get(ctx, "k", 4); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("limit 4: got %q, %v, want ErrTooLarge", got, err)
	}
}

func ranges(t *testing.T, s store.Store) {
	put(t, s, "k", "0123456789")
	o, err := s.Open(ctx, "k")
	must(t, err)
	defer func() { must(t, o.Close()) }()
	if o.Size() != 10 {
		t.Errorf("size %d, want 10", o.Size())
	}
	for _, r := range []struct {
		off  int64
		n    int
		want string
		err  error
	}{
		{0, 10, "0123456789", nil}, // all
		{3, 4, "3456", nil},        // the middle
		{8, 2, "89", nil},          // up to the end: io.EOF is allowed, too
		{8, 5, "89", io.EOF},       // beyond the end
		{10, 1, "", io.EOF},        // at the end
		{20, 1, "", io.EOF},        // after it
	} {
		p := make([]byte, r.n)
		n, err := o.ReadAt(p, r.off)
		if string(p[:n]) != r.want || err != r.err && !(r.err == nil && err == io.EOF && r.off+int64(r.n) == 10) {
			t.Errorf("%d bytes at %d: got %q, %v, want %q, %v", r.n, r.off, p[:n], err, r.want, r.err)
		}
	}
	put(t, s, "k", "replaced!!")
	p := make([]byte, 4)
	if n, err := o.ReadAt(p, 0); err != nil && err != io.EOF || n == 4 && string(p) != "0123" && string(p) != "repl" {
		t.Errorf("after a put an open object reads %q, %v", p[:n], err)
	}
}

func listOrder(t *testing.T, s store.Store) {
	// '-' and '.' sort before '/', digits and letters after it: a folder's keys are not in the order of the folders' names.
	keys := []string{"a-b", "a.b", "a/x", "a/y/z", "a0", "ab", "b", "b/"[:1] + "0/1", "é", "日"}
	for _, k := range slices.Backward(keys) {
		put(t, s, k, k)
	}
	slices.Sort(keys)
	wantList(t, s, "", "", keys...)
	wantList(t, s, "a", "", "a-b", "a.b", "a/x", "a/y/z", "a0", "ab")
	wantList(t, s, "a/", "", "a/x", "a/y/z")
	wantList(t, s, "a/y", "", "a/y/z")
	for i, err := range s.List(ctx, "a/y/z", "") {
		if err != nil || i.Size != 5 || i.Modified.IsZero() {
			t.Errorf("got %+v, %v, want size 5 and a time", i, err)
		}
	}
	n := 0
	for range s.List(ctx, "", "") { // a caller may stop
		if n++; n == 3 {
			break
		}
	}
}

func listAfter(t *testing.T, s store.Store) {
	for i := range 30 {
		put(t, s, fmt.Sprintf("log/%03d.json", i), "")
	}
	put(t, s, "log/_last", "")
	put(t, s, "log/sub/x", "")
	put(t, s, "m", "")
	wantList(t, s, "log/0", "log/027.json", "log/028.json", "log/029.json")
	wantList(t, s, "log/", "log/028", "log/028.json", "log/029.json", "log/_last", "log/sub/x") // after need not be a key
	wantList(t, s, "log/", "log/sub/", "log/sub/x")
	wantList(t, s, "log/", "log/sub/x")
	wantList(t, s, "", "log/sub", "log/sub/x", "m")
	wantList(t, s, "", "log/t", "m")
	wantList(t, s, "", "z")
	if got := list(t, s, "log/0", "a"); len(got) != 30 { // after before prefix
		t.Errorf("got %d keys, want 30", len(got))
	}
}

func listWhileWriting(t *testing.T, s store.Store) {
	for i := range 20 {
		put(t, s, fmt.Sprintf("d/%02d", i), "")
	}
	seen := 0
	for i, err := range s.List(ctx, "d/", "") {
		must(t, err)
		seen++
		must(t, s.Delete(ctx, i.Key))
		put(t, s, "e/"+i.Key, "")
	}
	if seen != 20 {
		t.Errorf("saw %d keys, want 20", seen)
	}
}

func hidden(t *testing.T, s store.Store) {
	put(t, s, "offsets/.0.crc", "crc")
	put(t, s, "offsets/0", "v1")
	put(t, s, ".git/config", "x")
	want(t, s, "offsets/.0.crc", "crc")
	want(t, s, ".git/config", "x")
	wantList(t, s, "", "", "offsets/0")
	wantList(t, s, "offsets/.", "")
	wantList(t, s, ".git/", "")
	must(t, s.Delete(ctx, "offsets/.0.crc"))
	wantAbsent(t, s, "offsets/.0.crc")
}

func uploadCommit(t *testing.T, s store.Store) {
	u, err := s.Create(ctx, "data/part.parquet")
	must(t, err)
	for range 10 {
		if n, err := u.Write([]byte("0123456789")); n != 10 || err != nil {
			t.Fatalf("write: %d, %v", n, err)
		}
		wantAbsent(t, s, "data/part.parquet")
		wantList(t, s, "", "")
	}
	must(t, u.Commit(ctx))
	must(t, u.Abort(ctx)) // nothing
	want(t, s, "data/part.parquet", strings.Repeat("0123456789", 10))
	wantList(t, s, "", "", "data/part.parquet")
	if _, err := u.Write([]byte("x")); err == nil {
		t.Error("a write after commit succeeds")
	}
	if err := u.Commit(ctx); err == nil {
		t.Error("a second commit succeeds")
	}
	want(t, s, "data/part.parquet", strings.Repeat("0123456789", 10))
}

func uploadAbort(t *testing.T, s store.Store) {
	u, err := s.Create(ctx, "data/x")
	must(t, err)
	_, err = u.Write([]byte("half"))
	must(t, err)
	must(t, u.Abort(ctx))
	must(t, u.Abort(ctx)) // again: nothing
	wantAbsent(t, s, "data/x")
	if err := u.Commit(ctx); err == nil {
		t.Error("commit after abort succeeds")
	}
	wantList(t, s, "", "")
	n, err := store.Clean(ctx, s, "data", time.Time{})
	if n != 0 || err != nil {
		t.Errorf("abort left %d temporary files, %v", n, err)
	}
}

func uploadExists(t *testing.T, s store.Store) {
	put(t, s, "k", "old")
	u, err := s.Create(ctx, "k")
	must(t, err)
	_, err = u.Write([]byte("new"))
	must(t, err)
	if err := u.Commit(ctx); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want fs.ErrExist", err)
	}
	want(t, s, "k", "old")
	wantList(t, s, "", "", "k")
}

func deletes(t *testing.T, s store.Store) {
	put(t, s, "a/b", "x")
	put(t, s, "a/bc", "y")
	for _, key := range []string{"a/b", "a/b", "none", "none/at/all", "a", "a/bc/d"} { // one that is there, and what is no object
		if err := s.Delete(ctx, key); err != nil {
			t.Errorf("delete %s: %v", key, err)
		}
	}
	wantAbsent(t, s, "a/b")
	wantList(t, s, "", "", "a/bc")
	must(t, s.Delete(ctx, "a/bc"))
	must(t, s.Delete(ctx, "a")) // perhaps an empty folder now
	put(t, s, "a/b", "again")
	want(t, s, "a/b", "again")
}

func cancelled(t *testing.T, s store.Store) {
	put(t, s, "k", "x")
	u, err := s.Create(ctx, "u")
	must(t, err)
	done, cancel := context.WithCancel(ctx)
	cancel()
	check := func(op string, err error) {
		t.Helper()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want context.Canceled", op, err)
		}
	}
	check("put", s.Put(done, "new", nil))
	_, err = s.PutIfAbsent(done, "new", nil)
	check("put if absent", err)
	if !errors.Is(err, store.ErrNotWritten) {
		t.Errorf("put if absent: got %v, want store.ErrNotWritten", err)
	}
	_, err = s.Create(done, "new")
	check("create", err)
	_, err = s.Get(done, "k", 9)
	check("get", err)
	_, err = s.Open(done, "k")
	check("open", err)
	check("delete", s.Delete(done, "k"))
	check("commit", u.Commit(done))
	err = nil
	for _, e := range s.List(done, "", "") {
		err = e
	}
	check("list", err)
	want(t, s, "k", "x")
	wantAbsent(t, s, "new")
	wantAbsent(t, s, "u")
}

func ownership(t *testing.T, s store.Store) {
	data := []byte("data")
	must(t, s.Put(ctx, "k", data))
	clear(data)
	want(t, s, "k", "data")
	got, err := s.Get(ctx, "k", 9)
	must(t, err)
	clear(got)
	want(t, s, "k", "data")
}
