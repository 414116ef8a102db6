package cloud

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// budget is how long a call begins attempts; the last one may take its time after it. An outage that lasts longer is waited for by
	// whoever called, who knows what to begin again.
	budget = 60 * time.Second
	// The pause between the attempts of a call: a random one up to these (full jitter), which double, and what Retry-After says.
	firstPause, lastPause = 100 * time.Millisecond, 10 * time.Second

	// An attempt may take attemptTime, and its bytes what they take at slowest bytes a second. What is slower counts as stalled.
	attemptTime = 10 * time.Second
	slowest     = 256 << 10
	// A store that puts an object together from its parts may copy as many times more bytes a second.
	assembling = 64

	// mostRenewals is how often one call reads credentials anew that turn out to be others each time, and renewTime how long that takes at most.
	mostRenewals = 3
	renewTime    = 30 * time.Second
)

// allowance is the time that an attempt with so many bytes may take.
func allowance(bytes int64) time.Duration {
	return attemptTime + time.Duration(float64(bytes)/slowest*float64(time.Second))
}

// backoff is first, doubled n times, at most last.
func backoff(first, last time.Duration, n int) time.Duration {
	return min(first<<min(n, 20), last)
}

// sleep waits for d or returns ctx's error.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// An attempt is one request and the reading of its answer.
type attempt struct {
	context.Context
	timer *time.Timer
	began time.Time
	now   func() time.Time
}

// extend gives the attempt the time for so many bytes, once it is known how many they are.
func (a *attempt) extend(bytes int64) {
	a.timer.Reset(allowance(bytes) - a.now().Sub(a.began))
}

// errSlow: an attempt took more time than it may.
var errSlow = errors.New("no answer in time")

// A damagedError is an answer that is not what it says it is; the next may be.
type damagedError struct{ error }

// A result is what came of the attempts of a call.
type result struct {
	err     error   // of the last attempt, nil if it succeeded
	failure failure // what err means
	// lost: an attempt that failed may have been applied all the same, now or later.
	lost bool
	// stopped is why there were no more attempts: errOver, the error of the caller's context, or nil, if the last one got an answer.
	stopped error
	// attempts is how many were made.
	attempts int
}

// once says that the first attempt succeeded. After one that failed a transport may go on reading what was to be sent.
func (r *result) once() bool { return r.ok() && r.attempts == 1 }

// ok says whether the last attempt succeeded.
func (r *result) ok() bool { return r.err == nil && r.stopped == nil }

// is says whether the last attempt got an answer of this kind.
func (r *result) is(k kind) bool { return r.stopped == nil && r.err != nil && r.failure.kind == k }

// do makes attempts until one gets an answer that the next would get as well. bytes is what is sent with each, or known to come.
func (s *Store) do(ctx context.Context, bytes int64, try func(*attempt) error) (r result) {
	until := s.o.now().Add(budget)
	renewals := 0
	for failures := 0; ; {
		turn, err := s.admit(ctx, until)
		if err != nil {
			r.stopped = err
			return r
		}
		seen := s.login.seen()
		r.attempts++
		err = s.once(ctx, turn, bytes, try)
		if err != nil && ctx.Err() != nil { // r.err stays that of the attempt before, which says more
			s.circuit.released(turn)
			r.lost, r.stopped = true, ctx.Err()
			return r
		}
		if r.err = err; err == nil {
			s.circuit.succeeded(turn)
			return r
		}
		r.failure = s.classify(r.err)
		switch r.failure.kind {
		case loggedOut:
			s.circuit.released(turn)
			changed, err := s.login.renew(ctx, s.b, seen)
			if renewals++; changed && renewals <= mostRenewals {
				continue
			}
			if ctx.Err() != nil {
				r.stopped = ctx.Err()
				return r
			}
			if !r.failure.noLogin { // which is the same once more
				r.err = errors.Join(r.err, err)
			}
			s.circuit.refused(r.err.Error())
			return r
		case transient, refused, contended:
		default:
			s.circuit.succeeded(turn)
			return r
		}
		open := s.note(turn, &r)
		// A store that has answered before has a name: the network is gone. One that never did was misspelt, more likely than not.
		if !s.o.now().Before(until) || r.failure.noHost && !s.circuit.hasAnswered() {
			r.stopped = errOver
			return r
		}
		if open {
			continue // to wait there
		}
		pause := r.failure.after + s.o.jitter(backoff(firstPause, lastPause, failures))
		if err := sleep(ctx, min(pause, until.Sub(s.o.now()))); err != nil {
			r.stopped = err
			return r
		}
		failures++
	}
}

// note tells the circuit of an attempt that failed. What is refused because others write the same object says nothing against the store.
func (s *Store) note(turn bool, r *result) (open bool) {
	switch r.failure.kind {
	case contended:
		s.circuit.succeeded(turn)
		return false
	case transient:
		r.lost = true
	}
	return s.circuit.failed(turn, r.failure, r.err.Error())
}

// admit waits until an attempt may be made: the circuit lets it pass, and one of the store's slots is free. The slot is the caller's to
// give back.
func (s *Store) admit(ctx context.Context, until time.Time) (turn bool, err error) {
	for {
		if turn, err = s.circuit.enter(ctx, until); err != nil {
			return false, err
		}
		select {
		case s.slots <- struct{}{}:
			return turn, nil
		default:
		}
		// The circuit may open while this one waits in line: then it must not be one more to find that out.
		select {
		case s.slots <- struct{}{}:
			if turn || !s.circuit.isOpen() {
				return turn, nil
			}
			<-s.slots
		case <-ctx.Done():
			s.circuit.released(turn)
			return false, ctx.Err()
		}
	}
}

// once makes one attempt and gives its slot back.
func (s *Store) once(ctx context.Context, turn bool, bytes int64, try func(*attempt) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	a := &attempt{Context: ctx, timer: time.AfterFunc(allowance(bytes), func() { cancel(errSlow) }), began: s.o.now(), now: s.o.now}
	panics := true
	defer func() {
		a.timer.Stop()
		cancel(nil)
		<-s.slots
		if panics {
			s.circuit.released(turn)
		}
	}()
	err := try(a)
	panics = false
	if err != nil && context.Cause(ctx) == errSlow {
		return damagedError{fmt.Errorf("%w (%s)", errSlow, s.o.now().Sub(a.began).Round(time.Second))}
	}
	return err
}

// classify says what the error of an attempt means.
func (s *Store) classify(err error) failure {
	var damaged damagedError
	if errors.As(err, &damaged) {
		return failure{kind: transient}
	}
	return s.b.failure(err)
}

// A login is the store's credentials, which may be read anew. Many callers that find them refused at the same time read them once.
type login struct {
	turn chan struct{} // holds one element while somebody reads them

	mu  sync.Mutex
	now loginState
	err error // of the last reading
}

// A loginState is a moment in the life of a login.
type loginState struct {
	reads   int // renewals, whatever came of them
	changes int // renewals that gave others
}

func (l *login) seen() loginState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

// renew reads the credentials anew, unless somebody did since the moment before the attempt that they were refused in. changed says whether
// those of now are others than those of then.
func (l *login) renew(ctx context.Context, b backend, then loginState) (changed bool, err error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if l.seen().reads == then.reads {
		limited, cancel := context.WithTimeout(ctx, renewTime)
		other, err := b.renew(limited)
		late := limited.Err() != nil
		cancel()
		if ctx.Err() != nil {
			return false, ctx.Err() // it says nothing of what others would get
		}
		if err != nil && late {
			err = fmt.Errorf("where the credentials come from there is %w (%s)", errSlow, renewTime)
		}
		l.mu.Lock()
		l.now.reads++
		if err == nil && other {
			l.now.changes++
		}
		l.err = err
		l.mu.Unlock()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now.changes != then.changes, l.err
}
