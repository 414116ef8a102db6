//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/siltlake/silt/internal/cloud"
	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/store/storetest"
	"github.com/siltlake/silt/test/faultproxy"
)

// What the tests of the three clouds' emulators share.

// openFolder opens a folder of an object store by the options alone, each written as key=value. transport may be nil.
func openFolder(t *testing.T, transport http.RoundTripper, url string, options ...string) *cloud.Store {
	t.Helper()
	p, q := cloud.ParsePlace(url)
	if q != nil {
		t.Fatal(q)
	}
	var values []option.Value
	for _, o := range options {
		key, text, _ := strings.Cut(o, "=")
		values = append(values, option.Value{Key: key, Text: text})
	}
	env := cloud.Env{Transport: transport, Getenv: func(string) (string, bool) { return "", false }}
	o, problems := cloud.ParseOptions(option.NewValues("sink.storageOptions", problem.Location{}, values...), env, p)
	if len(problems) > 0 {
		t.Fatal(problem.List(problems))
	}
	s, err := cloud.Open(t.Context(), p, o, env, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// racePuts: one of 100 writers creates the object, the others are told, and its bytes are there.
func racePuts(t *testing.T, s store.Store) {
	const writers = 100
	for round := range theCounts().storeRaces {
		key := fmt.Sprintf("log/%020d.json", round)
		outcomes := make([]store.Outcome, writers)
		errs := make([]error, writers)
		start := make(chan struct{})
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				<-start
				outcomes[w], errs[w] = s.PutIfAbsent(t.Context(), key, fmt.Appendf(nil, "writer %d", w))
			})
		}
		close(start)
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		got, err := s.Get(t.Context(), key, 100)
		if err != nil {
			t.Fatal(err)
		}
		for w, o := range outcomes {
			if ours := string(got) == fmt.Sprintf("writer %d", w); ours != (o == store.Created) || !ours && o != store.Exists {
				t.Fatalf("round %d: writer %d got %v, and %q is there", round, w, o, got)
			}
		}
	}
}

// raceUploads: of uploads of one key in parts one is whole, and the others are told.
func raceUploads(t *testing.T, s store.Store) {
	const writers, size = 5, cloud.UploadMemory + 9<<20
	content := func(w int) []byte { return bytes.Repeat([]byte{byte('a' + w)}, size+w) }
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() { errs[w] = put(t, s, "k", content(w)) })
	}
	wg.Wait()
	got, err := s.Get(t.Context(), "k", size+writers)
	if err != nil {
		t.Fatal(err)
	}
	for w, err := range errs {
		if ours := bytes.Equal(got, content(w)); ours != (err == nil) || !ours && !errors.Is(err, fs.ErrExist) {
			t.Errorf("writer %d: %v, ours %v", w, err, ours)
		}
	}
}

// put uploads data.
func put(t *testing.T, s store.Store, key string, data []byte) error {
	u, err := s.Create(t.Context(), key)
	if err != nil {
		return err
	}
	if _, err := u.Write(data); err != nil {
		return errors.Join(err, u.Abort(t.Context()))
	}
	return u.Commit(t.Context())
}

// listPages: a listing of several pages has every object once and in order, wherever it begins.
func listPages(t *testing.T, s store.Store, objects int) {
	key := func(i int) string { return fmt.Sprintf("log/%020d.json", i) }
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := w; i < objects; i += 16 {
				if err := s.Put(t.Context(), key(i), nil); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, from := range []int{0, 43, objects - 40} {
		want := from
		after := ""
		if from > 0 {
			after = key(from - 1)
		}
		for i, err := range s.List(t.Context(), "log/", after) {
			if err != nil {
				t.Fatal(err)
			}
			if i.Key != key(want) {
				t.Fatalf("got %s, want %s", i.Key, key(want))
			}
			want++
		}
		if want != objects {
			t.Errorf("listed %d to %d, want all %d", from, want, objects)
		}
	}
}

// TestUploadsThroughABrokenNetwork cuts, in turn, every request of an upload in parts, before and after the store has applied it. Where a
// session was lost, which the emulator of GCS ends when it is asked what it has, another upload under another key is whole.
func TestUploadsThroughABrokenNetwork(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), (cloud.UploadMemory+9<<20)/16)
	onEveryEmulator(t, func(t *testing.T, e *emulator) {
		requests := 0
		for _, kind := range []faultproxy.Kind{faultproxy.Reset, faultproxy.Cut} {
			for n, met := 1, true; met; n++ {
				met = brokenUpload(t, e, fmt.Sprintf("uploads/%v-%d", kind, n), data, faultproxy.Nth(n, faultproxy.Fault{Kind: kind}))
				requests++
			}
		}
		tell(t, fmt.Sprintf("%d uploads in parts, each with another request cut", requests))
	})
}

// brokenUpload uploads data behind a proxy with a plan, and says whether the plan's fault was met.
func brokenUpload(t *testing.T, e *emulator, folder string, data []byte, plan faultproxy.Plan) (met bool) {
	proxy, err := faultproxy.Start(e.url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := proxy.Close(); err != nil {
			t.Error(err)
		}
	}()
	proxy.Plan(plan)
	var options []string
	for name, value := range e.options(proxy.URL) {
		options = append(options, fmt.Sprintf("%s=%v", name, value))
	}
	s := openFolder(t, nil, e.folder(folder), options...)
	key := "first"
	err = put(t, s, key, data)
	if found := problem.Of(err); len(found) == 1 && found[0].Retryable && strings.HasPrefix(s.URL(), "gs:") {
		key = "second"
		err = put(t, s, key, data)
	}
	var log []string
	for _, r := range proxy.Records() {
		met = met || r.Fault.Kind != faultproxy.Pass
		log = append(log, fmt.Sprintf("%s %v %d", r.Method, r.Fault.Kind, r.Status))
	}
	if err != nil {
		t.Fatalf("%s: %s: %v", folder, strings.Join(log, ", "), err)
	}
	if got, err := s.Get(t.Context(), key, int64(len(data))); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%s: %s: other bytes, %v", folder, strings.Join(log, ", "), err)
	}
	if requests := 1 + len(data)/storetest.Part; len(log) <= requests {
		t.Errorf("%s: %s: not in parts", folder, strings.Join(log, ", "))
	}
	return met
}
