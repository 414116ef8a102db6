package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siltlake/silt/internal/problem"
)

// storm is a plan of a fake that answers 503 until a time.
func storm(until time.Time) func(int, string) error {
	return func(int, string) error {
		if time.Now().Before(until) {
			return failWith(transient, "ServiceUnavailable")
		}
		return nil
	}
}

func TestAStormPilesNothingUp(t *testing.T) {
	for _, tt := range []struct {
		lasts time.Duration
		heals bool // within the budget of those who call when it begins
	}{{45 * time.Second, true}, {10 * time.Minute, false}} {
		synctest.Test(t, func(t *testing.T) {
			b := newFake()
			began := time.Now()
			end := began.Add(tt.lasts)
			plan := storm(end)
			during := 0
			b.plan = func(n int, what string) error {
				if time.Now().Before(end) {
					during++
				}
				return plan(n, what)
			}
			var logged bytes.Buffer
			var told []string
			s := newStore(b, testPlace, storeOptions{
				jitter: func(d time.Duration) time.Duration { return d / 2 },
				log:    slog.New(slog.NewTextHandler(&logged, nil)),
				onState: func(ready bool, why string) {
					told = append(told, fmt.Sprint(ready, " ", why))
				},
			})
			var wg sync.WaitGroup
			var gaveUp atomic.Int64
			for i := range 1000 {
				wg.Go(func() {
					for {
						err := s.Put(context.Background(), fmt.Sprint("k", i), nil)
						if err == nil {
							return
						}
						if ps := problem.Of(err); len(ps) == 0 || !ps[0].Retryable {
							t.Errorf("caller %d: %v", i, err)
							return
						}
						gaveUp.Add(1)
					}
				})
			}
			wg.Wait()
			if b.most > inFlight {
				t.Errorf("%d requests at a time", b.most)
			}
			if most := inFlight + int(tt.lasts/firstTurn); during > most {
				t.Errorf("%d requests during the storm, want at most %d", during, most)
			}
			if tt.heals == (gaveUp.Load() > 0) {
				t.Errorf("a storm of %s: %d calls gave up", tt.lasts, gaveUp.Load())
			}
			if late := time.Since(end); late > lastTurn+time.Second {
				t.Errorf("%s after a storm of %s until all is well", late, tt.lasts)
			}
			if want := []string{"false fake: ServiceUnavailable", "true "}; !slices.Equal(told, want) {
				t.Errorf("told %q, want %q", told, want)
			}
			if n := strings.Count(logged.String(), "\n"); n != 2 {
				t.Errorf("%d lines in the log:\n%s", n, logged.String())
			}
		})
	}
}

// TestTheTurnIsHandedOn: the caller that waits for its turn to ask an open circuit goes away; another asks in its place.
func TestTheTurnIsHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFake()
		began := time.Now()
		b.plan = storm(began.Add(30 * time.Second))
		s := newTestStore(b)
		var wg sync.WaitGroup
		for i := range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i)*2*time.Second)
			wg.Go(func() {
				defer cancel()
				err := s.Put(ctx, "k", nil)
				if ended := i < 14; ended && !errors.Is(err, context.DeadlineExceeded) || i == 19 && err != nil {
					t.Errorf("caller %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if s.circuit.open || s.circuit.asking {
			t.Error("the circuit is open, or a turn is taken, when all is over")
		}
	})
}

// A Retry-After of an hour must not keep an open circuit from being asked for an hour.
func TestACircuitIsAskedAgainSoonEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFake()
		began := time.Now()
		b.plan = func(int, string) error {
			if time.Since(began) < time.Minute {
				return fakeError{failure{kind: refused, code: "SlowDown", after: time.Hour}}
			}
			return nil
		}
		s := newTestStore(b)
		var wg sync.WaitGroup
		for i := range 2 * tripAfter {
			wg.Go(func() {
				for s.Put(t.Context(), fmt.Sprint(i), nil) != nil {
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took > budget+3*time.Second {
			t.Errorf("it took %s until it was asked again", took)
		}
	})
}

func TestRotatedCredentialsAreReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFake()
		current := 2
		b.secret = 1
		b.plan = func(int, string) error {
			if b.secret != current {
				return failWith(loggedOut, "AuthenticationFailed")
			}
			return nil
		}
		b.onRenew = func() (int, error) { return current, nil }
		s := newTestStore(b)
		put := func() {
			var wg sync.WaitGroup
			for i := range 100 {
				wg.Go(func() {
					if err := s.Put(t.Context(), fmt.Sprint(i), nil); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}
		put()
		if b.renewals != 1 {
			t.Errorf("read %d times", b.renewals)
		}
		current = 3
		put()
		if b.renewals != 2 {
			t.Errorf("read %d times after the second rotation", b.renewals)
		}
	})
}

// A hung backend is one whose credentials come from where nobody answers.
type hung struct{ *fake }

func (h hung) renew(ctx context.Context) (bool, error) {
	<-ctx.Done()
	return false, ctx.Err()
}

func TestCredentialsThatNobodyGivesAreWaitedForInVainOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := hung{newFake()}
		b.plan = func(int, string) error { return failWith(loggedOut, "AuthenticationFailed") }
		s := newTestStore(b)
		var wg sync.WaitGroup
		began := time.Now()
		for range 4 {
			wg.Go(func() {
				err := s.Put(t.Context(), "k", nil)
				if ps := problem.Of(err); len(ps) == 0 || ps[0].Code != problem.StoreLogin || !ps[0].Retryable || !strings.Contains(ps[0].Why, "no answer in time") {
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took != renewTime {
			t.Errorf("took %s", took)
		}
	})
}

func TestRefusedCredentialsAreAProblem(t *testing.T) {
	for _, tt := range []struct {
		name     string
		renew    func() func() (int, error)
		renewals int    // at most
		why      string // in the problem
	}{
		// the same as before: one reading for all who ask together
		{"unchanged", func() func() (int, error) { return func() (int, error) { return 0, nil } }, 4, "AuthenticationFailed"},
		// what holds them does not answer
		{"unreadable", func() func() (int, error) { return func() (int, error) { return 0, errors.New("the vault is shut") } }, 4, "the vault is shut"},
		// others each time, and none is right
		{"always others", func() func() (int, error) { n := 0; return func() (int, error) { n++; return n, nil } }, 4 * (mostRenewals + 1), "AuthenticationFailed"},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newFake()
			b.plan = func(int, string) error { return failWith(loggedOut, "AuthenticationFailed") }
			b.onRenew = tt.renew()
			var told []bool
			s := newTestStore(b)
			s.circuit.onState = func(ready bool, _ string) { told = append(told, ready) }
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					err := s.Put(t.Context(), "k", nil)
					if ps := problem.Of(err); len(ps) == 0 || ps[0].Code != problem.StoreLogin || ps[0].Hint == "" || !strings.Contains(ps[0].Why, tt.why) {
						t.Errorf("%s: got %v", tt.name, err)
					}
				})
			}
			wg.Wait()
			if b.renewals < 1 || b.renewals > tt.renewals {
				t.Errorf("%s: read %d times", tt.name, b.renewals)
			}
			b.plan = nil
			if err := s.Put(t.Context(), "k", nil); err != nil || !slices.Equal(told, []bool{false, true}) {
				t.Errorf("%s: %v, told %v, want once that it is not ready and once that it is", tt.name, err, told)
			}
		})
	}
}
