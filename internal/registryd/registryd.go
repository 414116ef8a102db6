// Package registryd is the embedded Schema Registry: Confluent's REST API for Avro schemas, kept in a compacted Kafka topic as
// Confluent's own registry keeps them.
//
// Every call is decided by a pure function of a state and a request, which gives an answer and, for a write, the records that make it true
// (outcome). A write is answered after the journal has its records; only then are they applied to the state. A start applies the whole
// journal, so that whatever was answered survives a kill, and nothing that was not written is ever seen.
//
// One registry writes to a topic. A second one is found out by its records, and then both refuse to write where an id got two meanings.
package registryd

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/siltlake/silt/internal/httpd"
	"github.com/siltlake/silt/internal/problem"
)

// Options of a Registry. The zero value of each field is good.
type Options struct {
	Logins      []httpd.Login    // who may call; none: everyone who can connect
	Certificate *tls.Certificate // serves https with it; nil: plain http
	Insecure    bool             // lets Serve listen beyond loopback without logins or without TLS
	Log         *slog.Logger     // nil: none
	Now         func() time.Time // the time of the records; nil: the clock
	Timeout     time.Duration    // of a write, while the journal does not answer; 0: 30 s
}

// A Registry is an http.Handler. Its methods may be called concurrently.
type Registry struct {
	o       Options
	journal Journal
	guard   httpd.Guard
	routes  []route
	bodies  chan struct{} // one for each body that is in memory

	ctx     context.Context // of the writes, which outlive the call that wanted them
	cancel  context.CancelFunc
	closing sync.Once
	writing chan struct{} // held by the one write that is under way, with next, behind and broken; after Close for ever

	next   int64 // the offset after the last record that was applied
	behind bool  // the journal may hold records that were not applied
	broken error // why nothing can be written any more

	mu    sync.RWMutex // of state; only the holder of writing locks it for writing
	state *state
}

// Open returns a registry with all that the journal holds. The journal stays the caller's, to be closed after the registry.
// The error is a *problem.Problem or the context's.
func Open(ctx context.Context, j Journal, o Options) (*Registry, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	r := &Registry{o: o, journal: j, guard: httpd.NewGuard(o.Logins...), routes: routes(), bodies: make(chan struct{}, maxBodies),
		writing: make(chan struct{}, 1), state: newState()}
	var err error
	if r.next, err = j.Replay(ctx, 0, r.apply); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, problem.New(problem.BrokerError, "the registry's journal cannot be replayed").Because(err)
	}
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return r, nil
}

// Serve answers calls on the listener, which it closes, until ctx is done; calls that are under way then have five seconds. It refuses to
// listen beyond loopback without logins or without a certificate, unless the options say Insecure. The error is a *problem.Problem or the
// listener's.
func (r *Registry) Serve(ctx context.Context, l net.Listener) error {
	if !httpd.Loopback(l.Addr()) && !r.o.Insecure && (r.guard.Open() || r.o.Certificate == nil) {
		_ = l.Close()
		return problem.New(problem.Insecure, "the registry would listen on %s without logins or without TLS", l.Addr()).
			Fix("listen on 127.0.0.1, or give it both a login and a certificate")
	}
	return httpd.Serve(ctx, l, httpd.Server{Handler: r, Timeout: r.o.Timeout, Certificate: r.o.Certificate, Log: r.o.Log})
}

// Close gives up the writes that are under way; whether they are in the journal, the next Open will know.
func (r *Registry) Close() {
	r.closing.Do(func() {
		r.cancel()
		r.writing <- struct{}{}
	})
}

// apply takes a record over. One that is none of a registry's is reported and left out, as Confluent's registry does, lest a stray
// message keep it from starting for ever; an id with two meanings is not.
func (r *Registry) apply(rec Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.state.apply(rec)
	if errors.Is(err, errIDTaken) {
		return fmt.Errorf("offset %d: %w; two registries wrote to this topic", rec.Offset, err)
	}
	if err != nil {
		r.o.Log.Error("a record of the registry's topic is not a registry's and is left out", "offset", rec.Offset, "error", err)
	}
	return nil
}

// read decides a call that changes nothing.
func (r *Registry) read(decide decision, q *request) outcome {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return decide(r.state, q)
}

// write decides a call and makes its records durable. It waits for its turn and for the journal, up to the timeout; a write that has
// begun goes on without the caller, who may try again: what was written is found then.
func (r *Registry) write(ctx context.Context, decide decision, q *request) outcome {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	late := fail(failf(codeTimeout, "Write to the Kafka store timed out"))
	select {
	case r.writing <- struct{}{}:
	case <-ctx.Done():
		return late
	case <-r.ctx.Done():
		return late
	}
	done := make(chan outcome, 1)
	go func() {
		defer func() { <-r.writing }()
		done <- r.commit(decide, q)
	}()
	select {
	case o := <-done:
		return o
	case <-ctx.Done():
		return late
	}
}

// commit is a write whose turn it is.
//
// REQUIRES: r.writing.
func (r *Registry) commit(decide decision, q *request) outcome {
	if err := cmp.Or(r.ctx.Err(), r.catchUp()); err != nil {
		return r.storeError(err)
	}
	o := r.read(decide, q)
	if o.err != nil || len(o.records) == 0 {
		return o
	}
	now := r.o.Now().UnixMilli()
	for i := range o.records {
		o.records[i].Time = now
	}
	next, err := r.journal.Append(r.ctx, o.records)
	if errors.Is(err, ErrRecordTooLarge) {
		return fail(failf(codeTooLarge, "Write failed because schema is too large"))
	}
	if err != nil {
		r.behind = true
		return r.storeError(err)
	}
	if next != r.next+int64(len(o.records)) {
		r.o.Log.Error("another registry writes to this topic: run one only", "offset", r.next)
		r.behind = true
		if err := r.catchUp(); err != nil {
			return r.storeError(err)
		}
		return o
	}
	for i, rec := range o.records {
		rec.Offset = r.next + int64(i)
		if err := r.apply(rec); err != nil {
			r.broken = err
			return r.storeError(err)
		}
	}
	r.next = next
	return o
}

// catchUp applies what the journal holds beyond the state, after an append whose outcome is not known.
//
// REQUIRES: r.writing.
func (r *Registry) catchUp() error {
	if r.broken != nil || !r.behind {
		return r.broken
	}
	var refused error
	next, err := r.journal.Replay(r.ctx, r.next, func(rec Record) error {
		if rec.Offset < r.next { // seen by an earlier attempt
			return nil
		}
		refused = r.apply(rec)
		if refused == nil {
			r.next = rec.Offset + 1
		}
		return refused
	})
	if refused != nil {
		r.broken = refused
	}
	if err != nil {
		return err
	}
	r.next, r.behind = next, false
	return nil
}

func (r *Registry) storeError(err error) outcome {
	r.o.Log.Error("the registry's journal", "error", err)
	return fail(failf(codeStore, "Error in the backend Kafka store: %s", err))
}
