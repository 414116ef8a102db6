package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/siltlake/silt/internal/store"
)

// A fault is what happens to one request to a fake.
type fault uint8

const (
	none      fault = iota
	before          // no answer, and nothing was applied
	lost            // applied, and no answer
	throttled       // refused, come back after 3 seconds
	stalled         // no answer ever; bodies stall in the middle
	truncated       // bodies end early; what has none is lost
	corrupted       // bodies are longer than they say; what has none is lost
	garbled         // applied, and an answer that says nothing
)

// faults are those that a call survives.
var faults = []fault{before, lost, throttled, stalled, truncated, corrupted}

func (f fault) String() string {
	return [...]string{"none", "before", "lost", "throttled", "stalled", "truncated", "corrupted", "garbled"}[f]
}

// fakeError is an error of a fake; it means what it says.
type fakeError struct{ failure }

func (e fakeError) Error() string { return "fake: " + e.code }

func failWith(k kind, code string) error { return fakeError{failure{kind: k, code: code}} }

// fake is a backend in memory.
type fake struct {
	// plan is asked before each request, one at a time: what happens to it.
	plan func(n int, what string) error
	// pageSize is how many objects a page of a listing has at most; 0: 1000.
	pageSize int
	// byFolder lists as accounts of Azure do that have a hierarchical namespace.
	byFolder bool
	inOrder  bool // parts are taken one after the other

	mu       sync.Mutex
	n        int // requests
	objects  map[string]store.Info
	data     map[string][]byte
	uploads  map[*fakeUpload]bool
	running  int // requests under way
	most     int // of running
	secret   int // the credentials in use
	renewals int
	onRenew  func() (int, error)
}

var _ backend = (*fake)(nil)

func newFake() *fake {
	return &fake{objects: map[string]store.Info{}, data: map[string][]byte{}, uploads: map[*fakeUpload]bool{}}
}

// faultError makes a fault an error of a plan.
type faultError struct{ fault }

func (e faultError) Error() string { return e.String() }

// faultAt is a plan: the nth request has the fault.
func faultAt(n int, f fault) func(int, string) error {
	return func(i int, _ string) error {
		if i == n {
			return faultError{f}
		}
		return nil
	}
}

// request runs apply under the plan. Only what has a body is told of faults of bodies.
func (b *fake) request(ctx context.Context, what string, hasBody bool, apply func() error) (fault, error) {
	b.mu.Lock()
	b.n++
	n := b.n
	b.running++
	b.most = max(b.most, b.running)
	var planned error
	if b.plan != nil {
		planned = b.plan(n, what)
	}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.running--
	}()
	if err := ctx.Err(); err != nil {
		return none, err
	}
	var f faultError
	if planned != nil && !errors.As(planned, &f) {
		return none, planned
	}
	switch f.fault {
	case before:
		return none, failWith(transient, "InternalError")
	case throttled:
		return none, fakeError{failure{kind: refused, code: "SlowDown", after: 3 * time.Second}}
	case stalled:
		if !hasBody {
			<-ctx.Done()
			return none, ctx.Err()
		}
	}
	b.mu.Lock()
	err := apply()
	b.mu.Unlock()
	if f.fault == garbled {
		return none, failWith(unworkable, "garbled")
	}
	if f.fault == lost || f.fault != none && !hasBody {
		return none, failWith(transient, "lost")
	}
	return f.fault, err
}

// write makes an object. REQUIRES: b.mu.
func (b *fake) write(key string, data []byte, ifAbsent bool) error {
	if _, ok := b.data[key]; ok && ifAbsent {
		return failWith(exists, "ConditionNotMet")
	}
	b.data[key] = slices.Clone(data)
	b.objects[key] = store.Info{Key: key, Size: int64(len(data)), Modified: time.UnixMilli(int64(b.n))}
	return nil
}

func (b *fake) put(ctx context.Context, key string, data pieces, ifAbsent bool) error {
	_, err := b.request(ctx, "put "+key, false, func() error { return b.write(key, bytes.Join(data, nil), ifAbsent) })
	return err
}

func (b *fake) get(ctx context.Context, key string, off, n int64) (io.ReadCloser, int64, error) {
	var part []byte
	var size int64
	f, err := b.request(ctx, "get "+key, true, func() error {
		data, ok := b.data[key]
		if !ok {
			return failWith(notFound, "NoSuchKey")
		}
		size = int64(len(data))
		from := min(off, size)
		to := size
		if n >= 0 {
			to = min(from+n, size)
		}
		part = data[from:to]
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	half := bytes.NewReader(part[:len(part)/2])
	switch f {
	case stalled:
		return io.NopCloser(io.MultiReader(half, stuck{ctx})), size, nil
	case truncated:
		return io.NopCloser(half), size, nil
	case corrupted:
		return io.NopCloser(io.MultiReader(bytes.NewReader(part), strings.NewReader("more"))), size, nil
	}
	return io.NopCloser(bytes.NewReader(part)), size, nil
}

// stuck is the rest of a body that does not come.
type stuck struct{ ctx context.Context }

func (s stuck) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

func (b *fake) list(ctx context.Context, prefix, after, page string) (objects []store.Info, next string, err error) {
	_, err = b.request(ctx, fmt.Sprintf("list %s after %s page %s", prefix, after, page), false, func() error {
		size := b.pageSize
		if size == 0 {
			size = 1000
		}
		order := strings.Compare
		if b.byFolder {
			order = compareByFolder
		}
		for _, key := range slices.SortedFunc(maps.Keys(b.objects), order) {
			if !strings.HasPrefix(key, prefix) || page != "" && order(key, page) < 0 || page == "" && order(key, after) < 0 {
				continue
			}
			if len(objects) == size {
				next = key
				return nil
			}
			objects = append(objects, b.objects[key])
		}
		return nil
	})
	return objects, next, err
}

func (b *fake) delete(ctx context.Context, key string) error {
	_, err := b.request(ctx, "delete "+key, false, func() error {
		if _, ok := b.objects[key]; !ok {
			return failWith(notFound, "NoSuchKey")
		}
		delete(b.objects, key)
		delete(b.data, key)
		return nil
	})
	return err
}

type fakeUpload struct {
	b     *fake
	key   string
	parts map[int][]byte
}

func (b *fake) partsInOrder() bool { return b.inOrder }

func (b *fake) begin(ctx context.Context, key string) (multipart, error) {
	u := &fakeUpload{b, key, map[int][]byte{}}
	_, err := b.request(ctx, "begin "+key, false, func() error { b.uploads[u] = true; return nil })
	if err != nil {
		return nil, err
	}
	return u, nil
}

func (u *fakeUpload) part(ctx context.Context, n int, data []byte) error {
	_, err := u.b.request(ctx, fmt.Sprintf("part %d of %s", n, u.key), false, func() error {
		if !u.b.uploads[u] {
			return failWith(uploadGone, "NoSuchUpload")
		}
		if len(data) > partSize || len(data) < partSize && u.b.inOrder {
			return failWith(unworkable, fmt.Sprintf("a part of %d bytes", len(data)))
		}
		u.parts[n] = slices.Clone(data)
		return nil
	})
	return err
}

func (u *fakeUpload) finish(ctx context.Context, n int, rest []byte) error {
	_, err := u.b.request(ctx, "finish "+u.key, false, func() error {
		if !u.b.uploads[u] {
			return failWith(uploadGone, "NoSuchUpload")
		}
		var whole []byte
		for i := range n {
			if u.parts[i] == nil {
				return failWith(unworkable, "InvalidPart")
			}
			whole = append(whole, u.parts[i]...)
		}
		if len(rest) >= partSize {
			return failWith(unworkable, fmt.Sprintf("a last part of %d bytes", len(rest)))
		}
		if err := u.b.write(u.key, append(whole, rest...), true); err != nil {
			return err
		}
		delete(u.b.uploads, u)
		return nil
	})
	return err
}

func (u *fakeUpload) cancel(ctx context.Context) error {
	_, err := u.b.request(ctx, "cancel "+u.key, false, func() error {
		if !u.b.uploads[u] {
			return failWith(uploadGone, "NoSuchUpload")
		}
		delete(u.b.uploads, u)
		return nil
	})
	return err
}

// clean gives up one upload at a time.
func (b *fake) clean(ctx context.Context, folder string, before time.Time) (n int, more bool, err error) {
	_, err = b.request(ctx, "clean "+folder, false, func() error {
		for u := range b.uploads {
			delete(b.uploads, u)
			n, more = 1, len(b.uploads) > 0
			break
		}
		return nil
	})
	return n, more, err
}

func (b *fake) failure(err error) failure {
	var e fakeError
	if errors.As(err, &e) {
		return e.failure
	}
	return failure{kind: transient}
}

func (b *fake) renew(context.Context) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.renewals++
	if b.onRenew == nil {
		return false, nil
	}
	before := b.secret
	var err error
	b.secret, err = b.onRenew()
	return b.secret != before, err
}
