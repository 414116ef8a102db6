package store

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"
)

// A Fault is what happens to one operation of a Faulty store.
type Fault uint8

// The faults.
const (
	NoFault Fault = iota
	// FailBefore: the operation fails with ErrInjected and has no effect; PutIfAbsent's outcome is Unknown.
	FailBefore
	// FailAfter: the operation has its effect and the answer is lost: it fails with ErrInjected, PutIfAbsent's outcome is Unknown.
	FailAfter
	// CrashBefore: the process dies before the operation: it and all later ones fail with ErrCrashed and have no effect.
	CrashBefore
	// CrashAfter: the process dies after the operation, before it can see the answer.
	CrashAfter
)

var faultNames = [...]string{"no fault", "fail before", "fail after", "crash before", "crash after"}

func (f Fault) String() string { return faultNames[f] }

// The errors of a Faulty store.
var (
	ErrInjected = errors.New("injected fault")
	ErrCrashed  = errors.New("crashed")
)

// An Op is an operation of a Faulty store: its number, counted from 1 over all operations, what it is and on which key (or prefix). The
// writes of an upload are operations, too.
type Op struct {
	N         int
	Name, Key string
}

// Faulty is a Store whose operations fail as a plan says; it is there for tests of what is built on a Store.
type Faulty struct {
	s    Store
	plan func(Op) Fault

	mu      sync.Mutex
	n       int
	crashed bool
}

var (
	_ Store   = (*Faulty)(nil)
	_ Cleaner = (*Faulty)(nil)
)

// NewFaulty returns a store that asks plan before each operation, one at a time.
func NewFaulty(s Store, plan func(Op) Fault) *Faulty { return &Faulty{s: s, plan: plan} }

// At is a plan in which operation n has the fault and all others go well.
func At(n int, f Fault) func(Op) Fault {
	return func(op Op) Fault {
		if op.N == n {
			return f
		}
		return NoFault
	}
}

// Ops returns how many operations there were.
func (f *Faulty) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// do runs an operation under the plan.
func (f *Faulty) do(name, key string, op func() error) error {
	f.mu.Lock()
	fault := CrashBefore
	if !f.crashed {
		f.n++
		fault = f.plan(Op{f.n, name, key})
		f.crashed = fault >= CrashBefore
	}
	f.mu.Unlock()
	if fault != FailBefore && fault != CrashBefore {
		if err := op(); err != nil {
			return err
		}
	}
	switch fault {
	case NoFault:
		return nil
	case FailBefore, FailAfter:
		return failed(name, key, ErrInjected)
	}
	return failed(name, key, ErrCrashed)
}

// URL implements Store.
func (f *Faulty) URL() string { return f.s.URL() }

// Put implements Store.
func (f *Faulty) Put(ctx context.Context, key string, data []byte) error {
	return f.do("put", key, func() error { return f.s.Put(ctx, key, data) })
}

// PutIfAbsent implements Store.
func (f *Faulty) PutIfAbsent(ctx context.Context, key string, data []byte) (Outcome, error) {
	outcome := Unknown
	err := f.do("put-if-absent", key, func() (err error) { outcome, err = f.s.PutIfAbsent(ctx, key, data); return err })
	if err != nil {
		return Unknown, err
	}
	return outcome, nil
}

// Get implements Store.
func (f *Faulty) Get(ctx context.Context, key string, limit int64) (data []byte, err error) {
	err = f.do("get", key, func() (err error) { data, err = f.s.Get(ctx, key, limit); return err })
	if err != nil {
		return nil, err
	}
	return data, nil
}

// Open implements Store.
func (f *Faulty) Open(ctx context.Context, key string) (o Object, err error) {
	err = f.do("open", key, func() (err error) { o, err = f.s.Open(ctx, key); return err })
	if err != nil && o != nil {
		_ = o.Close()
		o = nil
	}
	return o, err
}

// List implements Store. The fault comes before the first object or after the last one.
func (f *Faulty) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		stopped := false
		err := f.do("list", prefix, func() error {
			for i, err := range f.s.List(ctx, prefix, after) {
				if err != nil {
					return err
				}
				if !yield(i, nil) {
					stopped = true
					return nil
				}
			}
			return nil
		})
		if err != nil && !stopped {
			yield(Info{}, err)
		}
	}
}

// Delete implements Store.
func (f *Faulty) Delete(ctx context.Context, key string) error {
	return f.do("delete", key, func() error { return f.s.Delete(ctx, key) })
}

// Clean implements Cleaner.
func (f *Faulty) Clean(ctx context.Context, folder string, before time.Time) (n int, err error) {
	err = f.do("clean", folder, func() (err error) { n, err = Clean(ctx, f.s, folder, before); return err })
	return n, err
}

// Create implements Store.
func (f *Faulty) Create(ctx context.Context, key string) (Upload, error) {
	var u Upload
	err := f.do("create", key, func() (err error) { u, err = f.s.Create(ctx, key); return err })
	if err != nil {
		return nil, err
	}
	return &faultyUpload{f, u, key}, nil
}

type faultyUpload struct {
	f   *Faulty
	u   Upload
	key string
}

func (u *faultyUpload) Write(p []byte) (n int, err error) {
	err = u.f.do("write", u.key, func() (err error) { n, err = u.u.Write(p); return err })
	return n, err
}

func (u *faultyUpload) Commit(ctx context.Context) error {
	return u.f.do("commit", u.key, func() error { return u.u.Commit(ctx) })
}

func (u *faultyUpload) Abort(ctx context.Context) error {
	return u.f.do("abort", u.key, func() error { return u.u.Abort(ctx) })
}
