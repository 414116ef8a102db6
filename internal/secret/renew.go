package secret

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// renewPause is how long the outcome of a renewal stands before the value is read once more: a storm of refused logins must not become one
// of requests to a vault.
const renewPause = 5 * time.Second

// An Origin is where a value came from and can be read again.
type Origin struct {
	// Read gives the value as it is there now. It bounds its own time. Its error names the place and never a value.
	Read func(ctx context.Context) (string, error)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Renewable returns the secret of a value that was read from o.
func Renewable(value string, o Origin) Secret {
	if o.Now == nil {
		o.Now = time.Now
	}
	l := &leaf{origin: o, busy: make(chan struct{}, 1)}
	l.value.Store(&value)
	return Secret{node: l}
}

// Renewable says that Renew may change the value.
func (s Secret) Renewable() bool {
	found := false
	s.leaves(func(*leaf) { found = true })
	return found
}

// Renew reads the value again from where it came from, when a peer has refused it; what New made never changes. changed says that the value
// is another than before, so that a second try is worth it. At an error the value stays what it was.
//
// Callers at the same time, and within five seconds, share one reading and its outcome: each of them may have failed with the value before.
// So who keeps something that it made of the value has to compare that with Reveal, and not to go by changed: somebody else may have
// renewed the value earlier.
func (s Secret) Renew(ctx context.Context) (changed bool, err error) { return Renew(ctx, s) }

// Renew renews several secrets that are used together, such as user and password. changed says that one of them is another than before.
func Renew(ctx context.Context, secrets ...Secret) (changed bool, err error) {
	seen := map[*leaf]bool{}
	for _, s := range secrets {
		s.leaves(func(l *leaf) {
			if seen[l] {
				return
			}
			seen[l] = true
			c, e := l.renew(ctx)
			changed, err = changed || c, cmp.Or(err, e)
		})
	}
	return changed, err
}

func (s Secret) leaves(visit func(*leaf)) {
	if s.node != nil {
		s.node.leaves(visit)
	}
}

// A leaf is a value that came from an Origin.
type leaf struct {
	origin Origin
	value  atomic.Pointer[string]

	busy chan struct{} // one token: whoever put it there may read the origin and touch the last outcome
	last struct {
		at      time.Time // zero: none
		changed bool
		err     error
	}

	mu        sync.Mutex
	followers []follower
}

// A follower is a scrubber that wants to know what a secret, which depends of the leaf, becomes.
type follower struct {
	scrubber *Scrubber
	of       node
}

func (l *leaf) text(of func(*leaf) string) string { return of(l) }
func (l *leaf) leaves(visit func(*leaf))          { visit(l) }

var errEmpty = errors.New("the value read anew is empty")

func (l *leaf) renew(ctx context.Context) (changed bool, err error) {
	select {
	case l.busy <- struct{}{}:
		defer func() { <-l.busy }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if now := l.origin.Now(); !l.last.at.IsZero() && now.Sub(l.last.at) < renewPause {
		return l.last.changed, l.last.err
	}
	next, err := l.origin.Read(ctx)
	if err == nil && next == "" {
		err = errEmpty
	}
	if err != nil && ctx.Err() != nil {
		return false, ctx.Err() // this caller's end is not the others'
	}
	changed = err == nil && next != current(l)
	if changed {
		l.announce(next)
		l.value.Store(&next)
	}
	l.last.at, l.last.changed, l.last.err = l.origin.Now(), changed, err
	return changed, err
}

// announce tells the scrubbers the value that comes, before anybody can reveal it.
func (l *leaf) announce(next string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.followers {
		f.scrubber.add(f.of.text(func(other *leaf) string {
			if other == l {
				return next
			}
			return current(other)
		}))
	}
}

func (l *leaf) follow(f follower) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, known := range l.followers {
		if known == f {
			return
		}
	}
	l.followers = append(l.followers, f)
}
