package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
)

// newTestStore is a store whose pauses are as long as they may be.
func newTestStore(b backend) *Store {
	return newStore(b, testPlace, storeOptions{jitter: func(d time.Duration) time.Duration { return d }})
}

// calls makes each kind of call and returns what is wrong with what came of it. unknown are outcomes that were not known.
func calls(s *Store) (unknown int, err error) {
	var wrong []error
	check := func(what string, ok bool, err error) {
		if !ok || err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %v, %w", what, ok, err))
		}
	}
	ctx := context.Background()
	check("put", true, s.Put(ctx, "a", []byte("old")))
	check("put again", true, s.Put(ctx, "a", []byte("first")))
	for _, step := range []struct {
		data string
		want store.Outcome
	}{{"second", store.Created}, {"other", store.Exists}} {
		o, err := s.PutIfAbsent(ctx, "b", []byte(step.data))
		if o == store.Unknown {
			unknown++
			continue
		}
		check("put if absent "+step.data, o == step.want, err)
	}
	for _, object := range []string{"a first", "b second"} {
		key, want, _ := strings.Cut(object, " ")
		data, err := s.Get(ctx, key, 6)
		check("get "+key, string(data) == want, err)
		o, err := s.Open(ctx, key)
		if err != nil {
			check("open "+key, false, err)
			continue
		}
		p := make([]byte, 3)
		n, err := o.ReadAt(p, 2)
		check("read "+key, n == 3 && string(p) == want[2:5], err)
		check("close "+key, true, o.Close())
	}
	for i := range 5 {
		u, err := s.Create(ctx, fmt.Sprint("c/", i))
		check("create", true, err)
		_, err = u.Write([]byte{byte(i)})
		check("write", true, err)
		check("commit", true, u.Commit(ctx))
	}
	check("delete", true, s.Delete(ctx, "c/3"))
	check("delete what is gone", true, s.Delete(ctx, "c/3"))
	var keys []string
	for i, err := range s.List(ctx, "", "a") {
		check("list", true, err)
		keys = append(keys, i.Key)
	}
	check(fmt.Sprintf("list %q", keys), slices.Equal(keys, []string{"b", "c/0", "c/1", "c/2", "c/4"}), nil)
	_, err = s.Clean(ctx, "c", time.Time{})
	check("clean", true, err)
	return unknown, errors.Join(wrong...)
}

func TestEveryRequestMayFail(t *testing.T) {
	count := newFake()
	count.pageSize = 2
	if _, err := calls(newTestStore(count)); err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		for n := range count.n {
			synctest.Test(t, func(t *testing.T) {
				b := newFake()
				b.pageSize = 2
				b.plan = faultAt(n+1, f)
				began := time.Now()
				unknown, err := calls(newTestStore(b))
				if err != nil {
					t.Errorf("request %d %s: %v", n+1, f, err)
				}
				if unknown > 1 || unknown > 0 && f != lost && f != stalled && f != truncated && f != corrupted && f != before {
					t.Errorf("request %d %s: %d outcomes are not known", n+1, f, unknown)
				}
				if took := time.Since(began); took > attemptTime+5*time.Second {
					t.Errorf("request %d %s: it took %s", n+1, f, took)
				}
			})
		}
	}
}

func TestUploadsSurviveFaults(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), UploadMemory/16)
	content = append(content, "rest"...)
	for _, f := range append(faults, none) {
		for n := 1; n <= 6; n++ { // begin, four parts, finish, which has the rest where parts go in order
			synctest.Test(t, func(t *testing.T) {
				b := newFake()
				b.inOrder = n%2 == 0
				b.plan = faultAt(n, f)
				s := newTestStore(b)
				u, err := s.Create(t.Context(), "k")
				if err == nil {
					_, err = u.Write(content)
				}
				if err == nil {
					err = u.Commit(t.Context())
				}
				if err != nil || !bytes.Equal(b.data["k"], content) {
					t.Errorf("request %d %s: %v, %d bytes", n, f, err, len(b.data["k"]))
				}
			})
		}
	}
}

// TestOutcomesAreTrue: many writers of one key, each with bytes of its own, over requests that fail in any way.
func TestOutcomesAreTrue(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		writers := rapid.IntRange(1, 4).Draw(rt, "writers")
		plan := rapid.SliceOfN(rapid.SampledFrom(append([]fault{none, none, garbled}, faults...)), 0, 24).Draw(rt, "faults")
		stores := rapid.IntRange(1, 2).Draw(rt, "stores") // as many processes
		outcomes, errs := make([]store.Outcome, writers), make([]error, writers)
		content := func(i int) string { return fmt.Sprint("of writer ", i) }
		b := newFake()
		b.plan = func(n int, _ string) error {
			if n <= len(plan) && plan[n-1] != none {
				return faultError{plan[n-1]}
			}
			return nil
		}
		synctest.Test(t, func(*testing.T) {
			ss := []*Store{newTestStore(b), newTestStore(b)}
			var wg sync.WaitGroup
			for i := range writers {
				wg.Go(func() { outcomes[i], errs[i] = ss[i%stores].PutIfAbsent(context.Background(), "k", []byte(content(i))) })
			}
			wg.Wait()
		})
		there, isThere := b.data["k"]
		owner := -1
		for i, o := range outcomes {
			if string(there) == content(i) {
				owner = i
			}
			if errors.Is(errs[i], store.ErrNotWritten) && string(there) == content(i) {
				rt.Errorf("writer %d was told that nothing was written, and it was", i)
			}
			if (o == store.Unknown) != (errs[i] != nil) {
				rt.Errorf("writer %d: outcome %v with error %v", i, o, errs[i])
			}
		}
		for i, o := range outcomes {
			switch {
			case o == store.Created && i != owner:
				rt.Errorf("writer %d was told that it created what is %q", i, there)
			case o == store.Exists && (!isThere || i == owner):
				rt.Errorf("writer %d was told that it exists before, and there is %q", i, there)
			}
		}
	})
}

// What was sent before a request that is denied can arrive after that answer.
func TestNothingIsCertainAfterALostAnswer(t *testing.T) {
	for _, last := range []kind{denied, refused} {
		for _, first := range []fault{lost, none} {
			synctest.Test(t, func(t *testing.T) {
				b := newFake()
				b.plan = func(n int, _ string) error {
					if n == 1 && first != none {
						return faultError{first}
					}
					return failWith(last, "Code")
				}
				o, err := newTestStore(b).PutIfAbsent(t.Context(), "k", nil)
				if o != store.Unknown || errors.Is(err, store.ErrNotWritten) != (first == none) || problem.Of(err) == nil {
					t.Errorf("%v after %v: got %v, %v", last, first, o, err)
				}
			})
		}
	}
}

func TestAnOutageIsAProblemThatHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFake()
		b.plan = func(int, string) error { return faultError{before} }
		s := newTestStore(b)
		began := time.Now()
		_, err := s.Get(t.Context(), "k", 1)
		took := time.Since(began)
		ps := problem.Of(err)
		if len(ps) == 0 || ps[0].Code != problem.StoreFailed || !ps[0].Retryable || !strings.Contains(ps[0].Why, "InternalError") {
			t.Errorf("got %v, want a problem that is retryable and says why", err)
		}
		if errors.Is(err, context.DeadlineExceeded) || took < budget-lastTurn-time.Second || took > budget+attemptTime {
			t.Errorf("after %s: %v", took, err)
		}
		if b.n > 20 {
			t.Errorf("%d requests within a minute", b.n)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for _, tt := range []struct {
		after, want time.Duration // want: when the second request comes, at the least
	}{{0, 0}, {7 * time.Second, 7 * time.Second}, {time.Hour, budget}} { // none; within the budget; beyond it: at its end, once
		synctest.Test(t, func(t *testing.T) {
			b := newFake()
			var at []time.Time
			b.plan = func(n int, _ string) error {
				at = append(at, time.Now())
				if n == 1 {
					return fakeError{failure{kind: refused, after: tt.after, code: "SlowDown"}}
				}
				return nil
			}
			if err := newTestStore(b).Put(t.Context(), "k", nil); err != nil || len(at) != 2 {
				t.Fatalf("after %s: %v, %d requests", tt.after, err, len(at))
			}
			if got := at[1].Sub(at[0]); got < tt.want || got > tt.want+firstPause {
				t.Errorf("after %s it was asked again after %s", tt.after, got)
			}
		})
	}
}

// TestContendedWritesTripNothing: that others write the same object says nothing of the store.
func TestContendedWritesTripNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFake()
		b.plan = func(n int, _ string) error {
			if n <= 2*tripAfter {
				return failWith(contended, "ConditionalRequestConflict")
			}
			return nil
		}
		s := newTestStore(b)
		s.circuit.onState = func(ready bool, why string) { t.Errorf("ready %v: %s", ready, why) }
		if o, err := s.PutIfAbsent(t.Context(), "k", nil); o != store.Created || err != nil {
			t.Errorf("got %v, %v", o, err)
		}
	})
}

// slowReader gives a body a piece at a time.
type slowReader struct {
	r     io.Reader
	pause time.Duration
}

func (s slowReader) Read(p []byte) (int, error) {
	time.Sleep(s.pause)
	return s.r.Read(p[:min(len(p), 64<<10)])
}

// slowBackend is a fake whose bodies are slow.
type slowBackend struct {
	*fake
	pause time.Duration
}

func (b slowBackend) get(ctx context.Context, key string, off, n int64) (io.ReadCloser, int64, error) {
	body, size, err := b.fake.get(ctx, key, off, n)
	if err != nil {
		return nil, 0, err
	}
	return io.NopCloser(&cancelled{ctx, slowReader{body, b.pause}}), size, nil
}

// cancelled ends with its context.
type cancelled struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

func TestADeadlineGrowsWithTheBytes(t *testing.T) {
	for _, tt := range []struct {
		pause time.Duration // a 64 KiB
		ok    bool
	}{{200 * time.Millisecond, true}, {500 * time.Millisecond, false}} { // 320 and 128 KiB/s
		synctest.Test(t, func(t *testing.T) {
			b := slowBackend{newFake(), tt.pause}
			s := newTestStore(b)
			if err := s.Put(t.Context(), "k", make([]byte, partSize)); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			data, err := s.Get(t.Context(), "k", partSize)
			if took := time.Since(began); (err == nil) != tt.ok || tt.ok && (len(data) != partSize || b.n != 2) || took > budget+allowance(partSize) {
				t.Errorf("a pause of %s: %v after %s, %d requests", tt.pause, err, took, b.n)
			}
		})
	}
}

func TestAContextEndsACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFake()
		b.plan = func(int, string) error { return faultError{stalled} }
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second) // in the third attempt
		defer cancel()
		o, err := newTestStore(b).PutIfAbsent(ctx, "k", nil)
		if o != store.Unknown || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer in time") {
			t.Errorf("got %v, %v, want the context's error, and the last one", o, err)
		}
	})
}
