package cloud

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// A circuit keeps callers away from a store that does not answer. It is closed while the store answers. After tripAfter failures in a row it
// is open: one caller at a time, after a pause, asks with its own request, and all others wait for what becomes of that. The first answer
// closes it.
//
// An answer is whatever is not transient or refused: that there is no such object is one. A store that answers and refuses the login is not
// ready either, but nobody has to wait for it.
type circuit struct {
	now     func() time.Time
	jitter  func(time.Duration) time.Duration
	log     *slog.Logger
	onState func(ready bool, why string)
	url     string

	mu       sync.Mutex
	failures int // in a row
	open     bool
	asking   bool          // a caller has the turn to ask
	asked    int           // turns that failed since the circuit opened
	next     time.Time     // when the next turn begins
	changed  chan struct{} // closed when a turn ends or the circuit closes; nil: nobody waits

	answered bool // ever

	unready bool // what onState was told last
	since   time.Time
	why     string // the last failure
}

const (
	tripAfter = 5
	// The pause between the turns of an open circuit, which doubles; Retry-After makes it longer, by the budget of a call at most.
	firstTurn, lastTurn = 500 * time.Millisecond, 10 * time.Second
)

// errOver: the budget of a call is used up.
var errOver = errors.New("the store does not answer")

// enter waits until a request may be sent. With turn true the caller is the one that asks an open circuit, and owes it one of succeeded,
// failed and released; else none of them needs to be called. The error is errOver, if there was no turn before until, or ctx's.
func (c *circuit) enter(ctx context.Context, until time.Time) (turn bool, err error) {
	for {
		c.mu.Lock()
		if !c.open {
			c.mu.Unlock()
			return false, nil
		}
		if !c.asking {
			c.asking = true
			next := c.next
			c.mu.Unlock()
			if err := c.pause(ctx, next, until); err != nil {
				c.released(true)
				return false, err
			}
			return true, nil
		}
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		over := time.NewTimer(until.Sub(c.now()))
		select {
		case <-changed:
			over.Stop()
		case <-over.C:
			return false, errOver
		case <-ctx.Done():
			over.Stop()
			return false, ctx.Err()
		}
	}
}

// pause sleeps until the time next, or returns errOver at until, if that is before.
func (c *circuit) pause(ctx context.Context, next, until time.Time) error {
	if until.Before(next) {
		if err := sleep(ctx, until.Sub(c.now())); err != nil {
			return err
		}
		return errOver
	}
	return sleep(ctx, next.Sub(c.now()))
}

// wake lets those who wait look again. REQUIRES: c.mu.
func (c *circuit) wake() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// released ends a turn of which nothing was learnt.
func (c *circuit) released(turn bool) {
	if !turn {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asking = false
	c.wake()
}

// succeeded notes an answer.
func (c *circuit) succeeded(turn bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if turn {
		c.asking = false
	}
	c.failures, c.open, c.answered = 0, false, true
	c.wake()
	c.tell(true, "")
}

// failed notes that there was no answer, or one that is none, and says whether the circuit is open now.
func (c *circuit) failed(turn bool, f failure, why string) (open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.why = why
	c.failures++
	switch {
	case turn:
		c.asking = false
		c.asked++
	case c.open: // sent before it opened
		return true
	case c.failures < tripAfter:
		return false
	default:
		c.open, c.asked = true, 0
		c.tell(false, why)
	}
	// Half of the pause is certain, so that many processes neither ask together nor one of them all the time.
	d := backoff(firstTurn, lastTurn, c.asked)
	c.next = c.now().Add(min(f.after, budget) + d/2 + c.jitter(d/2))
	c.wake()
	return true
}

// refused notes that the store answers and does not take the credentials. Whoever asked has released its turn.
func (c *circuit) refused(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.why = why
	c.tell(false, why)
}

// last returns the last failure.
func (c *circuit) last() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.why
}

// tell says once that the store is not ready, and once that it is again. REQUIRES: c.mu, so that what is told is in order.
func (c *circuit) tell(ready bool, why string) {
	if c.unready != ready {
		return
	}
	c.unready = !ready
	if ready { // as loud as its beginning: whoever saw that looks for the end
		c.log.Warn("the store answers again", "url", c.url, "after", c.now().Sub(c.since).Round(time.Millisecond))
	} else {
		c.since = c.now()
		c.log.Warn("the store cannot be used now; what needs it waits", "url", c.url, "error", why)
	}
	if c.onState != nil {
		c.onState(ready, why)
	}
}

func (c *circuit) hasAnswered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answered
}

func (c *circuit) isOpen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}
