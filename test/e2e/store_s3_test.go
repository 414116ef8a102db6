//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/cloud"
	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/store/storetest"
	"github.com/siltlake/silt/test/parts"
)

// openS3 opens a folder of a server's bucket, with options as Hadoop spells them.
func openS3(t *testing.T, server *parts.S3, url string) *cloud.Store {
	t.Helper()
	return openFolder(t, nil, url, "fs.s3a.access.key="+server.KeyID, "fs.s3a.secret.key="+server.Secret, "fs.s3a.endpoint="+server.URL,
		"fs.s3a.path.style.access=true")
}

// TestS3 runs the contract of stores on a server that speaks S3's protocol, and what is special there; on a second one what that one gives:
// moto looks for an object and completes an upload in two steps, so that several uploads of a key win, says of every upload that it was
// begun in 2010, and answers 500 for one that is gone.
func TestS3(t *testing.T) {
	for _, server := range []struct {
		name    string
		start   func(dir string) (*parts.S3, error)
		uploads bool // are as S3's
	}{{"versitygw", parts.StartVersitygw, true}, {"moto", parts.StartMoto, false}} {
		t.Run(server.name, func(t *testing.T) {
			s3, err := server.start(t.TempDir())
			parts.Need(t, err)
			stopAtEnd(t, s3.Stop)
			t.Run("100 writers of one key", func(t *testing.T) { racePuts(t, openS3(t, s3, "s3://silt/races")) })
			t.Run("pages", func(t *testing.T) { listPages(t, openS3(t, s3, "s3://silt/pages"), theCounts().listed) }) // 1,000 a page
			t.Run("an upload in parts", func(t *testing.T) { s3Upload(t, openS3(t, s3, "s3://silt/upload")) })
			if !server.uploads {
				return
			}
			n := 0
			storetest.Run(t, func(t *testing.T) store.Store {
				n++
				return openS3(t, s3, fmt.Sprintf("s3a://%s/folder %d/é+", s3.Bucket, n))
			})
			t.Run("uploads of one key", func(t *testing.T) { raceUploads(t, openS3(t, s3, "s3://silt/uploads")) })
			t.Run("unfinished uploads", func(t *testing.T) { s3Unfinished(t, openS3(t, s3, "s3://silt/unfinished")) })
		})
	}
}

// s3Upload: an object of five parts is there whole, and a second one of its key leaves it alone.
func s3Upload(t *testing.T, s store.Store) {
	const size = cloud.UploadMemory + 9<<20
	content := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	if err := put(t, s, "k", content); err != nil {
		t.Fatal(err)
	}
	if err := put(t, s, "k", content[:size-1]); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over an object: got %v, want fs.ErrExist", err)
	}
	if got, err := s.Get(t.Context(), "k", size); err != nil || !bytes.Equal(got, content) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

// s3Unfinished: what a killed writer leaves behind is not listed, and removed once it is old enough.
func s3Unfinished(t *testing.T, s store.Store) {
	u, err := s.Create(t.Context(), "data/killed.parquet")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Write(make([]byte, cloud.UploadMemory+9<<20)); err != nil { // the first part is up
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), "data/part", nil); err != nil {
		t.Fatal(err)
	}
	for o, err := range s.List(t.Context(), "", "") {
		if err != nil || o.Key != "data/part" {
			t.Errorf("listed %s, %v", o.Key, err)
		}
	}
	for _, step := range []struct {
		folder string
		before time.Time
		want   int
	}{
		{"data", time.Now().Add(-time.Hour), 0}, // it may be at work
		{"dat", time.Time{}, 0},
		{"data", time.Time{}, 1},
		{"data", time.Time{}, 0},
	} {
		if n, err := store.Clean(t.Context(), s, step.folder, step.before); n != step.want || err != nil {
			t.Errorf("clean %s before %v: %d, %v, want %d", step.folder, step.before, n, err, step.want)
		}
	}
	if err := u.Commit(t.Context()); err == nil {
		t.Error("an upload that was given up is committed")
	}
	if _, err := s.Get(t.Context(), "data/part", 1); err != nil {
		t.Errorf("an object is gone: %v", err)
	}
}
