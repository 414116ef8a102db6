package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
	"sync"
	"testing"

	"github.com/siltlake/silt/internal/store"
)

const (
	// Part is the size of the parts in which a store sends large objects, and Whole how large one may be that it sends in one request: what
	// differs between sizes does so around them.
	Part  = 8 << 20
	Whole = 3 * Part
)

// pattern is text without end whose period is prime, so that no two parts of it are alike.
type pattern []byte

func newPattern() pattern {
	p := make(pattern, 1<<20+7)
	for i := range p {
		p[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return p
}

// fill fills p with what is at off.
func (t pattern) fill(p []byte, off int) {
	for n := 0; n < len(p); {
		n += copy(p[n:], t[(off+n)%len(t):])
	}
}

// uploadSizes: what was written in pieces of any size reads as one, also where two parts meet, and a piece is the caller's again after Write.
func uploadSizes(t *testing.T, s store.Store) {
	text := newPattern()
	for _, size := range []int{0, 1, Part, Part + 1, Whole, Whole + 1, Whole + Part, Whole + 2*Part + 5} {
		key := fmt.Sprint("data/", size)
		u, err := s.Create(ctx, key)
		must(t, err)
		sum := crc32.NewIEEE()
		piece := make([]byte, 1<<20+4321)
		for at := 0; at < size; {
			p := piece[:min(len(piece), size-at)]
			text.fill(p, at)
			sum.Write(p)
			if n, err := u.Write(p); n != len(p) || err != nil {
				t.Fatalf("%d bytes: write at %d: %d, %v", size, at, n, err)
			}
			at += len(p)
			clear(p)
		}
		must(t, u.Commit(ctx))
		data, err := s.Get(ctx, key, int64(size))
		if err != nil || len(data) != size || crc32.ChecksumIEEE(data) != sum.Sum32() {
			t.Errorf("%d bytes: got %d, %v, or others", size, len(data), err)
		}
		o, err := s.Open(ctx, key)
		must(t, err)
		want := make([]byte, 8)
		for _, off := range []int{0, size/2 - 4, Part - 4, Part, Whole - 4, size - 8} {
			if off < 0 || off+8 > size {
				continue
			}
			got := make([]byte, 8)
			text.fill(want, off)
			if n, err := o.ReadAt(got, int64(off)); n != 8 || err != nil && err != io.EOF || !bytes.Equal(got, want) {
				t.Errorf("%d bytes: 8 at %d: %d, %v, %x, want %x", size, off, n, err, got, want)
			}
		}
		if n, err := o.ReadAt(want, int64(size)); n != 0 || err != io.EOF || o.Size() != int64(size) {
			t.Errorf("%d bytes: at the end: %d, %v, size %d", size, n, err, o.Size())
		}
		must(t, o.Close())
	}
}

// uploadRace: uploads of one key, in parts that are sent at the same time, do not mix.
func uploadRace(t *testing.T, s store.Store) {
	const writers = 3
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			u, err := s.Create(ctx, "data/x")
			if err == nil {
				_, err = u.Write(bytes.Repeat([]byte{byte('0' + i)}, Whole+1+i))
			}
			if err == nil {
				err = u.Commit(ctx)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner < 0:
			winner = i
		case !errors.Is(err, fs.ErrExist):
			t.Errorf("writer %d: got %v, want fs.ErrExist for all but one", i, err)
		}
	}
	if winner < 0 {
		t.Fatal("nobody won")
	}
	data, err := s.Get(ctx, "data/x", Whole+writers)
	if err != nil || len(data) != Whole+1+winner || len(bytes.Trim(data, string(rune('0'+winner)))) != 0 {
		t.Errorf("%d bytes, %v, want those of writer %d", len(data), err, winner)
	}
	wantList(t, s, "", "", "data/x")
}

// longListing: more objects than one answer lists (S3, GCS: 1,000). A local disk lists in no pages, and syncs each of them.
func longListing(t *testing.T, s store.Store) {
	n := 1005
	if _, ok := s.(*store.Local); ok {
		n = 50
	}
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprintf("log/%020d.json", i))
	}
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := w; i < len(keys); i += 16 {
				if err := s.Put(ctx, keys[i], nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := list(t, s, "log/", ""); !slices.Equal(got, keys) {
		t.Errorf("got %d keys, want %d", len(got), len(keys))
	}
	if got := list(t, s, "log/", keys[1]); !slices.Equal(got, keys[2:]) {
		t.Errorf("after the second: got %d keys, want %d", len(got), len(keys)-2)
	}
	wantList(t, s, "log/", keys[len(keys)-3], keys[len(keys)-2:]...)
}
