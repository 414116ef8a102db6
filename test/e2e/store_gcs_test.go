//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	"github.com/siltlake/silt/internal/cloud"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/store/storetest"
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
			t.Run("pages", func(t *testing.T) { listPages(t, openGCS(t, f.URL, "gs://data/pages"), theCounts().listed) }) // 1,000 a page
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
