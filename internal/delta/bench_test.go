package delta

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/siltlake/silt/internal/store"
)

// largeTable returns a table of 300,000 files in 5 commits of 46 MB, made for benchmarks by delta-kernel-rs.
func largeTable(tb testing.TB) *store.Memory {
	tb.Helper()
	f := must[*os.File](tb)(os.Open(filepath.Join(sharedFolder(tb, "delta-tables/bench"), "300k-add-files-100-col-partitioned.tar.zst")))
	defer func() { _ = f.Close() }()
	z := must[*zstd.Decoder](tb)(zstd.NewReader(f))
	defer z.Close()
	m := store.NewMemory(nil)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return m
		}
		if err != nil {
			tb.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			mustPut(tb, m, logFolder+path.Base(h.Name), string(must[[]byte](tb)(io.ReadAll(r))))
		}
	}
}

func countFiles(tb testing.TB, s *Snapshot) {
	tb.Helper()
	n := 0
	for _, err := range s.Files(ctx) {
		if err != nil {
			tb.Fatal(err)
		}
		n++
	}
	if n != 300_000 {
		tb.Fatalf("got %d files", n)
	}
}

func BenchmarkLargeTable(b *testing.B) {
	m := largeTable(b)
	l := Open(m, Options{})
	run := func(name string, do func(b *testing.B)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				do(b)
			}
		})
	}
	s := must[*Snapshot](b)(l.Snapshot(ctx))
	run("open by commits", func(b *testing.B) { must[*Snapshot](b)(l.Snapshot(ctx)) })
	run("files by commits", func(b *testing.B) { countFiles(b, s) })
	run("write log checkpoint", func(b *testing.B) {
		if err := m.Delete(ctx, checkpointKey(4)); err != nil {
			b.Fatal(err)
		}
		if err := Open(m, Options{}).WriteCheckpoint(ctx, s); err != nil {
			b.Fatal(err)
		}
	})
	s = must[*Snapshot](b)(l.Snapshot(ctx))
	run("open by log checkpoint", func(b *testing.B) { must[*Snapshot](b)(l.Snapshot(ctx)) })
	run("files by log checkpoint", func(b *testing.B) { countFiles(b, s) })
}

// A commit on top of a long log: nothing that grows.
func BenchmarkCommit(b *testing.B) {
	m := store.NewMemory(nil)
	l := Open(m, Options{})
	s := commitFiles(b, l, 10)
	b.ReportAllocs()
	for b.Loop() {
		s = must[*Snapshot](b)(l.Commit(ctx, appendOf(s, "app", s.Version()+1)))
	}
}
