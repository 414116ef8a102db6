package cloud

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
)

func create(t *testing.T, s *Store, key string) store.Upload {
	t.Helper()
	u, err := s.Create(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestAnAbortStopsWhatIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFake()
		b.plan = func(_ int, what string) error {
			if strings.HasPrefix(what, "part 1") {
				return faultError{stalled}
			}
			return nil
		}
		u := create(t, newTestStore(b), "k")
		if _, err := u.Write(make([]byte, UploadMemory+1)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // a part is under way
		began := time.Now()
		if err := u.Abort(t.Context()); err != nil || len(b.uploads) != 0 || time.Since(began) > time.Second {
			t.Errorf("%v, %d uploads are left, after %s", err, len(b.uploads), time.Since(began))
		}
	})
}

func TestAPartThatFailsEndsTheUpload(t *testing.T) {
	for _, tt := range []struct {
		what string
		kind kind
		code problem.Code
	}{
		{"begin", denied, problem.StoreDenied},
		{"part 0", denied, problem.StoreDenied},
		{"part 1", uploadGone, problem.StoreFailed},
		{"finish", uploadGone, problem.StoreFailed}, // not after a lost answer
		{"part 1", transient, problem.StoreFailed},  // to the end of the budget
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newFake()
			b.plan = func(_ int, what string) error {
				if strings.HasPrefix(what, tt.what) {
					return failWith(tt.kind, "Code")
				}
				return nil
			}
			u := create(t, newTestStore(b), "k")
			var err error
			for range 5 {
				if err == nil {
					_, err = u.Write(make([]byte, partSize))
				}
			}
			if err == nil {
				err = u.Commit(t.Context())
			} else if again := u.Commit(t.Context()); !errors.Is(again, err) {
				t.Errorf("%s: %v and then %v", tt.what, err, again)
			}
			ps := problem.Of(err)
			if len(ps) != 1 || ps[0].Code != tt.code || ps[0].Retryable != (tt.code == problem.StoreFailed) {
				t.Errorf("%s: got %v, want %s", tt.what, err, tt.code)
			}
			if _, there := b.data["k"]; there || len(b.uploads) != 0 && tt.kind != transient { // in an outage they cannot be removed
				t.Errorf("%s: %v, %d uploads are left", tt.what, there, len(b.uploads))
			}
		})
	}
}

// badBackend panics when a part is sent.
type badBackend struct{ *fake }

type badUpload struct{ multipart }

func (b badBackend) begin(ctx context.Context, key string) (multipart, error) {
	mp, err := b.fake.begin(ctx, key)
	return badUpload{mp}, err
}

func (badUpload) part(context.Context, int, []byte) error { panic("index out of range") }

func TestAPanicInTheBackgroundIsAnError(t *testing.T) {
	s := newTestStore(badBackend{newFake()})
	u := create(t, s, "k")
	if _, err := u.Write(make([]byte, UploadMemory+1)); problem.Of(err) == nil || problem.Of(err)[0].Code != problem.Internal {
		t.Errorf("write: got %v", err)
	}
	if err := u.Commit(t.Context()); problem.Of(err) == nil || problem.Of(err)[0].Code != problem.Internal {
		t.Errorf("got %v", err)
	}
	if len(s.slots) != 0 {
		t.Error("the slot of a request is not free")
	}
}

// The object of a commit whose answer was lost is told from another's by its size.
func TestACommitWhoseAnswerWasLost(t *testing.T) {
	for _, tt := range []struct {
		name  string
		size  int
		other int   // size of an object that is there before, -1: none
		want  error // that Commit matches
	}{
		{"small", 3, -1, nil},
		{"of pieces", UploadMemory, -1, nil},
		{"of parts", UploadMemory + 3, -1, nil},
		{"small, another's", 3, 4, fs.ErrExist},
		{"of parts, another's", UploadMemory + 3, 4, fs.ErrExist},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newFake()
			failed := false
			b.plan = func(_ int, what string) error {
				if !failed && (strings.HasPrefix(what, "finish") || what == "put k") {
					failed = true
					return faultError{lost}
				}
				return nil
			}
			if tt.other >= 0 {
				if err := b.write("k", make([]byte, tt.other), false); err != nil {
					t.Fatal(err)
				}
			}
			u := create(t, newTestStore(b), "k")
			if _, err := u.Write(make([]byte, tt.size)); err != nil {
				t.Fatal(err)
			}
			if err := u.Commit(t.Context()); !errors.Is(err, tt.want) {
				t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
			}
		})
	}
}

// Nobody else writes the key: a part of the object there is what is left of an upload that is gone.
func TestAnUploadThatLeftAPartOfItsObjectIsBegunAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFake()
		finishes := 0
		b.plan = func(_ int, what string) error {
			if !strings.HasPrefix(what, "finish") {
				return nil
			}
			if finishes++; finishes == 1 {
				return faultError{before}
			}
			return failWith(uploadGone, "")
		}
		if err := b.write("k", make([]byte, 4), false); err != nil {
			t.Fatal(err)
		}
		u := create(t, newTestStore(b), "k")
		if _, err := u.Write(make([]byte, UploadMemory+3)); err != nil {
			t.Fatal(err)
		}
		err := u.Commit(t.Context())
		if found := problem.Of(err); len(found) != 1 || !found[0].Retryable || errors.Is(err, fs.ErrExist) {
			t.Errorf("got %v, want what another try may heal", err)
		}
	})
}

// A fullHouse is a backend whose parts are sent as slowly as it takes to see how many come at once.
type fullHouse struct {
	*fake
	sending, most atomic.Int32
}

type fullUpload struct {
	multipart
	house *fullHouse
}

func (h *fullHouse) begin(ctx context.Context, key string) (multipart, error) {
	mp, err := h.fake.begin(ctx, key)
	return fullUpload{mp, h}, err
}

func (u fullUpload) part(ctx context.Context, n int, data []byte) error {
	now := u.house.sending.Add(1)
	defer u.house.sending.Add(-1)
	for most := u.house.most.Load(); now > most && !u.house.most.CompareAndSwap(most, now); most = u.house.most.Load() {
	}
	time.Sleep(time.Second) // of a synctest bubble
	return u.multipart.part(ctx, n, data)
}

func TestPartsAreSentAtOnceWhereTheCloudTakesThemInAnyOrder(t *testing.T) {
	for _, inOrder := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			want := int32(sendingParts)
			if inOrder {
				want = 1
			}
			h := &fullHouse{fake: newFake()}
			h.inOrder = inOrder
			s := newTestStore(h)
			data := make([]byte, 5*partSize+7)
			for i := range data {
				data[i] = byte(i >> 20)
			}
			u := create(t, s, "k")
			if _, err := u.Write(data); err != nil {
				t.Fatal(err)
			}
			if err := u.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Get(t.Context(), "k", int64(len(data))); err != nil || !bytes.Equal(got, data) {
				t.Errorf("in order %v: got %d bytes, %v, want those that were written", inOrder, len(got), err)
			}
			if got := h.most.Load(); got != want {
				t.Errorf("in order %v: %d parts at once, want %d", inOrder, got, want)
			}
		})
	}
}

func TestTheEndOfAContextEndsAnUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFake()
		b.plan = func(_ int, what string) error {
			if strings.HasPrefix(what, "part 1") {
				return faultError{stalled}
			}
			return nil
		}
		u := create(t, newTestStore(b), "k")
		if _, err := u.Write(make([]byte, UploadMemory+1)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := u.Commit(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if len(b.uploads) != 0 {
			t.Error("the parts are left")
		}
	})
}

// BenchmarkUpload writes objects of four parts: no allocation but those of the requests, one copy of each byte.
func BenchmarkUpload(b *testing.B) {
	s := newStore(nowhere{newFake()}, testPlace, storeOptions{})
	page := make([]byte, 1<<20)
	b.SetBytes(4 * partSize)
	b.ReportAllocs()
	for b.Loop() {
		u, err := s.Create(b.Context(), "k")
		if err != nil {
			b.Fatal(err)
		}
		for range 4 * partSize / len(page) {
			if _, err := u.Write(page); err != nil {
				b.Fatal(err)
			}
		}
		if err := u.Commit(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// nowhere is a backend that drops what it is given.
type nowhere struct{ *fake }

type nowhereUpload struct{ multipart }

func (nowhere) begin(context.Context, string) (multipart, error)      { return nowhereUpload{}, nil }
func (nowhereUpload) part(context.Context, int, []byte) error         { return nil }
func (nowhereUpload) finish(context.Context, int, []byte) error       { return nil }
func (nowhere) put(context.Context, string, pieces, bool) (err error) { return nil }
