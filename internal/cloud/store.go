package cloud

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/siltlake/silt/internal/store"
)

// storeOptions are what a Store uses of the world. The zero value of each means its default.
type storeOptions struct {
	log *slog.Logger // default: none
	now func() time.Time
	// jitter returns a random duration from 0 to d.
	jitter func(d time.Duration) time.Duration
	// onState is told when the store stops answering, or refuses the credentials, and why, and when it answers again; the first state is
	// ready. Calls come one after the other, and must not call the Store.
	onState func(ready bool, why string)
}

func (o storeOptions) defaults() storeOptions {
	if o.log == nil {
		o.log = slog.New(slog.DiscardHandler)
	}
	if o.now == nil {
		o.now = time.Now
	}
	if o.jitter == nil {
		o.jitter = func(d time.Duration) time.Duration { return time.Duration(rand.Int64N(int64(d) + 1)) }
	}
	return o
}

// A Store is a folder of an object store.
//
// Every call is a row of attempts: those that get no answer, or are told to come back, are repeated until the call's budget is used up; then
// the error is a *problem.Problem that is Retryable. No attempt begins after the budget, so that a call takes a minute and the time of one
// attempt at most, or ends with its context.
type Store struct {
	b       backend
	place   Place
	o       storeOptions
	slots   chan struct{} // an element for each attempt that is under way
	circuit circuit
	login   login
	buffers sync.Pool // of *[]byte, each with room for a part
}

var (
	_ store.Store   = (*Store)(nil)
	_ store.Cleaner = (*Store)(nil)
)

func newStore(b backend, p Place, o storeOptions) *Store {
	o = o.defaults()
	return &Store{
		b: b, place: p, o: o,
		slots:   make(chan struct{}, inFlight),
		circuit: circuit{now: o.now, jitter: o.jitter, log: o.log, onState: o.onState, url: p.Text},
		login:   login{turn: make(chan struct{}, 1)},
	}
}

// URL returns the URL as the user wrote it.
func (s *Store) URL() string { return s.place.Text }

// begin checks what a call begins with.
func begin(ctx context.Context, op operation, key string) error {
	err := store.CheckKey(key)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", op, key, err)
	}
	return nil
}

// Put implements store.Store. A put whose answer was lost is repeated; if the caller then puts other bytes, the lost one may still arrive
// after them, as on every store that cannot take back a request: what is put must not have to be the last.
func (s *Store) Put(ctx context.Context, key string, data []byte) error {
	if err := begin(ctx, opPut, key); err != nil {
		return err
	}
	r := s.do(ctx, int64(len(data)), func(a *attempt) error { return s.b.put(a, key, pieces{data}, false) })
	return s.explain(opPut, key, &r)
}

// PutIfAbsent implements store.Store.
//
// Once the answer of an attempt was lost, a later attempt that finds an object does not tell whose it is. Comparing bytes would not either:
// two writers with the same bytes would both take the one object for their own, which is what the contract forbids. Who has put something
// of their own into the bytes, as a commit has its txnId, can tell, and has to read the object anyway. So the outcome is Unknown then.
// Created after a lost answer is certain: the condition held, so that the attempt before had not been applied, and if it still arrives it
// finds the object.
func (s *Store) PutIfAbsent(ctx context.Context, key string, data []byte) (store.Outcome, error) {
	if err := begin(ctx, opPut, key); err != nil {
		return store.Unknown, store.NotWritten(err)
	}
	r := s.do(ctx, int64(len(data)), func(a *attempt) error { return s.b.put(a, key, pieces{data}, true) })
	switch {
	case r.ok():
		return store.Created, nil
	case r.is(exists) && !r.lost:
		return store.Exists, nil
	case r.is(exists):
		return store.Unknown, fmt.Errorf("put %s: it is there, and an answer was lost before: it may be ours", key)
	case r.lost, r.is(unworkable), r.is(notFound): // an answer that is not understood says nothing of what was done
		return store.Unknown, s.explain(opPut, key, &r)
	}
	return store.Unknown, store.NotWritten(s.explain(opPut, key, &r))
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	if err := begin(ctx, opGet, key); err != nil {
		return nil, err
	}
	var data []byte
	var size int64
	r := s.do(ctx, 0, func(a *attempt) (err error) {
		var body io.ReadCloser
		if body, size, err = s.b.get(a, key, 0, -1); err != nil {
			return err
		}
		defer func() { _ = body.Close() }()
		if size > limit {
			return nil
		}
		a.extend(size)
		if int64(cap(data)) < size {
			data = make([]byte, size)
		}
		data = data[:size]
		return readBody(body, data)
	})
	if !r.ok() {
		return nil, s.explain(opGet, key, &r)
	}
	if size > limit {
		return nil, fmt.Errorf("get %s: %w: %d > %d bytes", key, store.ErrTooLarge, size, limit)
	}
	return data, nil
}

// readBody fills p with a body that has to have as many bytes. Bodies that end early happen: a server or proxy that gives up closes the
// connection, and not every way to say how long a body is notices that.
func readBody(body io.Reader, p []byte) error {
	if n, err := io.ReadFull(body, p); err == io.EOF || err == io.ErrUnexpectedEOF {
		return damagedError{fmt.Errorf("the answer ends after %d of %d bytes", n, len(p))}
	} else if err != nil {
		return damagedError{fmt.Errorf("after %d of %d bytes: %w", n, len(p), err)}
	}
	var more [1]byte
	if n, err := io.ReadFull(body, more[:]); n > 0 {
		return damagedError{fmt.Errorf("the answer has more than %d bytes", len(p))}
	} else if err != io.EOF {
		return damagedError{err}
	}
	return nil
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := begin(ctx, opDelete, key); err != nil {
		return err
	}
	r := s.do(ctx, 0, func(a *attempt) error { return s.b.delete(a, key) })
	if r.is(notFound) {
		return nil
	}
	return s.explain(opDelete, key, &r)
}

// Clean implements store.Cleaner.
func (s *Store) Clean(ctx context.Context, folder string, before time.Time) (int, error) {
	if folder != "" {
		if err := store.CheckKey(folder); err != nil {
			return 0, fmt.Errorf("clean %s: %w", folder, err)
		}
	}
	n := 0
	for more := true; more; {
		r := s.do(ctx, 0, func(a *attempt) (err error) {
			var cleaned int
			cleaned, more, err = s.b.clean(a, folder, before)
			n += cleaned
			return err
		})
		if err := s.explain(opClean, folder, &r); err != nil {
			return n, err
		}
	}
	return n, nil
}

// errClosed is the error of what is used after its end.
func errClosed(op operation, key string) error { return fmt.Errorf("%s %s: %w", op, key, fs.ErrClosed) }
