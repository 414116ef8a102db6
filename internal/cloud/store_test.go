package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/store/storetest"
)

var testPlace = Place{Cloud: S3, Text: "s3://bucket/folder", Bucket: "bucket", Folder: "folder"}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store {
		b := newFake()
		b.pageSize = 3
		return newStore(b, testPlace, storeOptions{})
	})
}

func TestStoreOfAnAccountWithFolders(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store {
		b := newFake()
		b.pageSize, b.byFolder = 2, true
		p := testPlace
		p.Cloud = Azure
		return newStore(b, p, storeOptions{})
	})
}

// TestListingsAreInOneOrder: whichever order the store lists in, what is yielded is in that of bytes.
func TestListingsAreInOneOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfDistinct(rapid.StringMatching(`[ab!](/?[ab!]){0,5}`), rapid.ID[string]).Draw(t, "keys")
		prefix := rapid.StringMatching(`(a/?)?`).Draw(t, "prefix")
		order := rapid.SampledFrom([]func(a, b string) int{strings.Compare, compareByFolder}).Draw(t, "order")
		keys = slices.DeleteFunc(keys, func(key string) bool { return !strings.HasPrefix(key, prefix) })
		slices.SortFunc(keys, order)
		l := ordering{prefix: prefix, mayGoByFolder: true}
		var got []string
		for _, key := range keys {
			ready, ok := l.add(store.Info{Key: key})
			if !ok {
				t.Fatalf("%q is refused after %q", key, l.last)
			}
			for _, o := range ready {
				got = append(got, o.Key)
			}
		}
		for _, o := range l.rest() {
			got = append(got, o.Key)
		}
		slices.Sort(keys)
		if !slices.Equal(got, keys) {
			t.Errorf("got %q, want %q", got, keys)
		}
	})
}

func TestWhatAnAnswerMeans(t *testing.T) {
	secret := fmt.Errorf("wrapped: %w", context.DeadlineExceeded)
	for _, tt := range []struct {
		kind  kind
		cloud Cloud
		is    error // what the error of a Get matches
		code  problem.Code
		hint  string
	}{
		{notFound, S3, fs.ErrNotExist, "", ""},
		{noBucket, S3, nil, problem.NoBucket, "make the bucket"},
		{noBucket, Azure, nil, problem.NoBucket, "make the container"},
		{denied, S3, fs.ErrPermission, problem.StoreDenied, "grant s3:GetObject on folder/a/* in bucket bucket"},
		{denied, Azure, fs.ErrPermission, problem.StoreDenied, "grant Storage Blob Data Reader on folder/a/* in container bucket"},
		{denied, GCS, fs.ErrPermission, problem.StoreDenied, "grant storage.objects.get on folder/a/* in bucket bucket"},
		{unsafeTLS, S3, nil, problem.StoreTLS, "authority"},
		{unworkable, S3, nil, problem.StoreFailed, ""},
	} {
		b := newFake()
		b.plan = func(int, string) error { return errors.Join(failWith(tt.kind, "Code"), secret) }
		p := testPlace
		p.Cloud = tt.cloud
		_, err := newStore(b, p, storeOptions{}).Get(t.Context(), "a/b", 1)
		if tt.is != nil && !errors.Is(err, tt.is) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("kind %d: got %v", tt.kind, err)
		}
		if ps := problem.Of(err); tt.code != "" && (len(ps) != 1 || ps[0].Code != tt.code || ps[0].Retryable || !strings.Contains(ps[0].Hint, tt.hint)) {
			t.Errorf("kind %d: got %v, want %s with the hint %q", tt.kind, ps, tt.code, tt.hint)
		}
		if b.n != 1 {
			t.Errorf("kind %d: %d requests", tt.kind, b.n)
		}
	}
}

// A name that has no address is misspelt, if the store has never answered; else the network is gone, and is waited for.
func TestAHostThatWasNeverThereIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFake()
		answers := 0
		b.plan = func(n int, _ string) error {
			if n <= answers {
				return nil
			}
			return fakeError{failure{kind: refused, noHost: true, code: "no such host"}}
		}
		_, err := newTestStore(b).Get(t.Context(), "k", 1)
		if p := problem.Of(err); len(p) != 1 || p[0].Code != problem.StoreFailed || !strings.Contains(p[0].Hint, "correct the name") || b.n != 1 {
			t.Errorf("got %v after %d requests", err, b.n)
		}
		b.n, answers = 0, 1
		s := newTestStore(b)
		if _, err := s.Get(t.Context(), "k", 1); !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := s.Get(t.Context(), "k", 1); problem.Of(err) == nil || time.Since(began) < budget {
			t.Errorf("got %v after %s", err, time.Since(began))
		}
	})
}

func TestNoLoginIsNoWrongOne(t *testing.T) {
	for place, want := range map[Cloud]string{Azure: "AZURE_STORAGE_ACCOUNT_KEY", S3: "AWS_PROFILE", GCS: "GOOGLE_APPLICATION_CREDENTIALS"} {
		b := newFake()
		b.plan = func(int, string) error { return fakeError{failure{kind: loggedOut, noLogin: true, code: "nobody"}} }
		p := testPlace
		p.Cloud = place
		_, err := newStore(b, p, storeOptions{}).Get(t.Context(), "k", 1)
		if ps := problem.Of(err); len(ps) != 1 || ps[0].Code != problem.StoreLogin || !strings.Contains(ps[0].Hint, want) || ps[0].Why != "fake: nobody" {
			t.Errorf("got %v", err)
		}
	}
}

func TestADeniedRightIsNamedWithItsFolder(t *testing.T) {
	b := newFake()
	b.plan = func(int, string) error { return failWith(denied, "AccessDenied") }
	bucket := testPlace
	bucket.Folder = ""
	list := func(prefix string) func(*Store) error {
		return func(s *Store) error {
			for _, err := range s.List(t.Context(), prefix, "") {
				return err
			}
			return nil
		}
	}
	clean := func(folder string) func(*Store) error {
		return func(s *Store) error { _, err := s.Clean(t.Context(), folder, time.Time{}); return err }
	}
	for _, tt := range []struct {
		name  string
		place Place
		call  func(*Store) error
		want  string
	}{
		{"an object", testPlace, func(s *Store) error { return s.Put(t.Context(), "a/b", nil) }, "on folder/a/* in"},
		{"an object of the bucket's root", bucket, func(s *Store) error { return s.Put(t.Context(), "b", nil) }, "on * in"},
		{"a listing of a folder", testPlace, list("log/"), "on folder/log/* in"},
		{"a listing of names in a folder", testPlace, list("log/000"), "on folder/log/* in"},
		{"a listing of all", testPlace, list(""), "on folder/* in"},
		{"uploads in a folder", testPlace, clean("log"), "on folder/log/* in"},
		{"all uploads", testPlace, clean(""), "on folder/* in"},
		{"all uploads of a bucket", bucket, clean(""), "on * in"},
	} {
		err := tt.call(newStore(b, tt.place, storeOptions{}))
		if ps := problem.Of(err); len(ps) != 1 || !strings.Contains(ps[0].Hint, tt.want) {
			t.Errorf("%s: got %v, want a hint with %q", tt.name, err, tt.want)
			if len(ps) == 1 {
				t.Log(ps[0].Hint)
			}
		}
	}
}

// pages is a backend that lists what it is told to.
type pages struct {
	*fake
	keys [][]string
	next []string
	n    int
}

func (b *pages) list(context.Context, string, string, string) (objects []store.Info, next string, err error) {
	for _, key := range b.keys[b.n] {
		objects = append(objects, store.Info{Key: key})
	}
	next = b.next[b.n]
	b.n++
	return objects, next, nil
}

func TestAListingMustGoOn(t *testing.T) {
	for _, tt := range []struct {
		name string
		keys [][]string
		next []string
		want []string // "!" is an error that says so
	}{
		{"empty pages go on", [][]string{{"a"}, nil, {"b"}}, []string{"1", "2", ""}, []string{"a", "b"}},
		{"markers, hidden objects and names that are no keys are left out", [][]string{{".x", "a", "a/", "a//b", "b/.c"}}, []string{""}, []string{"a"}},
		{"what is before after comes all the same", [][]string{{"0", "a"}}, []string{""}, []string{"a"}},
		{"a page in no order", [][]string{{"b", "a"}}, []string{""}, []string{"b", "!"}},
		{"an object twice", [][]string{{"a", "a"}}, []string{""}, []string{"a", "!"}},
		{"a page again", [][]string{{"a", "b"}, {"a", "b"}}, []string{"1", ""}, []string{"a", "b", "!"}},
		{"an older page", [][]string{{"c"}, {"b"}}, []string{"1", ""}, []string{"c", "!"}},
		{"the same page for ever", [][]string{{"a"}, nil, nil}, []string{"1", "1", "1"}, []string{"a", "!"}},
	} {
		var got []string
		b := &pages{fake: newFake(), keys: tt.keys, next: tt.next}
		for i, err := range newStore(b, testPlace, storeOptions{}).List(t.Context(), "", "00") {
			if ps := problem.Of(err); len(ps) == 1 && ps[0].Retryable {
				got = append(got, "!")
			} else {
				got = append(got, i.Key)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	azure := testPlace
	azure.Cloud = Azure
	for _, keys := range [][]string{{"a/x", "a-b", "a/y"}, {"b/x", "a"}, {"a-b", "a/x", "a-c"}, {"a/x", "a/x"}} { // in neither order
		var last error
		for _, err := range newStore(&pages{fake: newFake(), keys: [][]string{keys}, next: []string{""}}, azure, storeOptions{}).List(t.Context(), "", "") {
			last = err
		}
		if last == nil {
			t.Errorf("%q are listed in no order, without an error", keys)
		}
	}
	b := &pages{fake: newFake(), keys: [][]string{{"a/1", "b"}}, next: []string{""}}
	for _, err := range newStore(b, testPlace, storeOptions{}).List(t.Context(), "a/", "") {
		if err != nil {
			return
		}
	}
	t.Error("an object without the prefix is no error")
}

func TestPagesAreAskedForWhenTheyAreNeeded(t *testing.T) {
	b := newFake()
	b.pageSize = 10
	s := newStore(b, testPlace, storeOptions{})
	for i := range 100 {
		if err := s.Put(t.Context(), fmt.Sprintf("%03d", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	b.n = 0
	n := 0
	for _, err := range s.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 11 {
			break
		}
	}
	if b.n != 2 {
		t.Errorf("%d requests for 11 objects", b.n)
	}
}

// TestSmallReadsShareRequests: a reader of Parquet looks at the end, at the footer before it, and at many pages one after the other.
func TestSmallReadsShareRequests(t *testing.T) {
	b := newFake()
	s := newStore(b, testPlace, storeOptions{})
	content := make([]byte, 3*block+100)
	for i := range content {
		content[i] = byte(i * 7 >> 3)
	}
	if err := s.Put(t.Context(), "k", content); err != nil {
		t.Fatal(err)
	}
	b.n = 0
	o, err := s.Open(t.Context(), "k")
	if err != nil || o.Size() != int64(len(content)) {
		t.Fatal(err)
	}
	size := len(content)
	for _, step := range []struct{ off, n, requests int }{
		{0, 4, 1},               // came with the answer
		{size - 8, 8, 2},        // the end
		{size - 5000, 4992, 2},  // before it
		{100, 2*block + 100, 3}, // large: by itself
		{block, 10, 4},          // pages, one after the other
		{block + 1000, 100000, 4},
		{block + 200000, 100, 4},
		{size - 4, 10, 5}, // beyond the end
	} {
		p := make([]byte, step.n)
		n, err := o.ReadAt(p, int64(step.off))
		want := content[step.off:min(step.off+step.n, size)]
		if !bytes.Equal(p[:n], want) || (err == io.EOF) != (step.off+step.n > size) || err != nil && err != io.EOF {
			t.Errorf("%d bytes at %d: %d, %v", step.n, step.off, n, err)
		}
		if b.n != step.requests {
			t.Errorf("%d bytes at %d: %d requests so far, want %d", step.n, step.off, b.n, step.requests)
		}
	}
	if err := s.Put(t.Context(), "k", []byte("short")); err != nil {
		t.Fatal(err)
	}
	if _, err := o.ReadAt(make([]byte, 10), block); problem.Of(err) == nil {
		t.Errorf("an object that was replaced by a shorter one: got %v", err)
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	if _, err := o.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestTheContractIsTestedAroundAPart(t *testing.T) {
	if storetest.Part != partSize || storetest.Whole != UploadMemory {
		t.Errorf("storetest takes parts of %d bytes behind %d, they have %d behind %d", storetest.Part, storetest.Whole, partSize, UploadMemory)
	}
}
