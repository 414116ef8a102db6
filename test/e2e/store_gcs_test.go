//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/cloud"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/store/storetest"
	"github.com/siltlake/silt/test/faultproxy"
	"github.com/siltlake/silt/test/parts"
)

// startFakeGCS starts an emulator with the bucket "data", over dir or in memory.
func startFakeGCS(t *testing.T, dir string) *parts.FakeGCS {
	t.Helper()
	f, err := parts.StartFakeGCS(t.TempDir(), dir)
	parts.Need(t, err)
	stopAtEnd(t, f.Stop)
	if err := f.MakeBucket("data"); err != nil {
		t.Fatal(err)
	}
	return f
}

// openGCS opens a folder of the emulator at root, as a user of delta-rs writes it.
func openGCS(t *testing.T, root, url string) *cloud.Store {
	t.Helper()
	return openFolder(t, nil, url, "google_base_url="+root, "google_skip_signature=true")
}

// TestFakeGCS runs the contract of stores on an emulator of Google Cloud Storage, and what is special there.
func TestFakeGCS(t *testing.T) {
	for _, mode := range []struct{ name, dir string }{{"in memory", ""}, {"on disk", t.TempDir()}} {
		t.Run(mode.name, func(t *testing.T) {
			f := startFakeGCS(t, mode.dir)
			n := 0
			storetest.Run(t, func(t *testing.T) store.Store {
				n++
				return openGCS(t, f.URL, fmt.Sprintf("gs://data/folder %d/é+", n))
			})
			t.Run("100 writers of one key", func(t *testing.T) { racePuts(t, openGCS(t, f.URL, "gs://data/races")) })
			t.Run("uploads of one key", func(t *testing.T) { raceUploads(t, openGCS(t, f.URL, "gs://data/uploads")) })
			t.Run("no bucket", func(t *testing.T) { gcsNoBucket(t, openGCS(t, f.URL, "gs://missing/t")) })
		})
	}
}

func gcsNoBucket(t *testing.T, s store.Store) {
	check := func(op string, err error) {
		t.Helper()
		if found := problem.Of(err); len(found) != 1 || found[0].Code != problem.NoBucket {
			t.Errorf("%s: got %v, want %s", op, err, problem.NoBucket)
		}
	}
	check("put", s.Put(t.Context(), "k", nil))
	_, err := s.PutIfAbsent(t.Context(), "k", nil)
	check("put if absent", err)
	for _, err := range s.List(t.Context(), "", "") {
		check("list", err)
	}
}

// TestGCSUploadsThroughABrokenNetwork cuts, in turn, every request of an upload, before and after the store has applied it. The upload is
// whole, or another under another key is, and none is wrong. (The emulator ends a session that is asked what it has, where GCS answers.)
func TestGCSUploadsThroughABrokenNetwork(t *testing.T) {
	f := startFakeGCS(t, "")
	data := bytes.Repeat([]byte("0123456789abcdef"), (17<<20)/16)
	for _, kind := range []faultproxy.Kind{faultproxy.Reset, faultproxy.Cut} {
		for n := 1; ; n++ {
			proxy, err := faultproxy.Start(f.URL)
			if err != nil {
				t.Fatal(err)
			}
			proxy.Plan(faultproxy.Nth(n, faultproxy.Fault{Kind: kind}))
			s := openGCS(t, proxy.URL, fmt.Sprintf("gs://data/%v-%d", kind, n))
			key := "first"
			err = put(t, s, key, data)
			if found := problem.Of(err); len(found) == 1 && found[0].Retryable {
				key = "second"
				err = put(t, s, key, data)
			}
			if err != nil {
				t.Fatalf("%v of request %d: %v", kind, n, err)
			}
			got, err := s.Get(t.Context(), key, int64(len(data)))
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("%v of request %d: other bytes, %v", kind, n, err)
			}
			met := false
			var log []string
			for _, r := range proxy.Records() {
				met = met || r.Fault.Kind == kind
				log = append(log, fmt.Sprintf("%s %d", r.Method, r.Status))
			}
			t.Logf("%v of request %d: %s; %s object", kind, n, strings.Join(log, ", "), key)
			if err := proxy.Close(); err != nil {
				t.Fatal(err)
			}
			if !met {
				break
			}
		}
	}
}
