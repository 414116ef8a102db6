package cloud

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
)

// block is the least that is read of an open object at a time. A round trip costs as much time as its transfer.
const block = 256 << 10

// Open implements store.Store. Its first block comes with the answer.
func (s *Store) Open(ctx context.Context, key string) (store.Object, error) {
	if err := begin(ctx, opGet, key); err != nil {
		return nil, err
	}
	o := &object{s: s, ctx: ctx, key: key, size: -1}
	data, err := o.fetch(0, make([]byte, block))
	if err != nil {
		return nil, err
	}
	o.cached = data
	return o, nil
}

// An object is open for reading. Reads of less than a block are served from the last block that was read: footers, headers of pages and
// pages lie beside each other. Larger ones are a request each. Reads may be concurrent.
type object struct {
	s    *Store
	ctx  context.Context // of Open
	key  string
	size int64

	mu     sync.Mutex
	closed bool
	at     int64  // of cached
	cached []byte // never changed
}

// Size implements store.Object.
func (o *object) Size() int64 { return o.size }

// Close implements store.Object.
func (o *object) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed, o.cached = true, nil
	return nil
}

// ReadAt implements store.Object.
func (o *object) ReadAt(p []byte, off int64) (int, error) {
	o.mu.Lock()
	closed, at, cached := o.closed, o.at, o.cached
	o.mu.Unlock()
	switch {
	case closed:
		return 0, errClosed(opGet, o.key)
	case off < 0:
		return 0, fmt.Errorf("get %s: offset %d", o.key, off)
	case off >= o.size:
		return 0, io.EOF
	}
	var end error
	if left := o.size - off; int64(len(p)) > left {
		p, end = p[:left], io.EOF
	}
	if off >= at && off+int64(len(p)) <= at+int64(len(cached)) {
		return copy(p, cached[off-at:]), end
	}
	if len(p) >= block {
		if _, err := o.fetch(off, p); err != nil {
			return 0, err
		}
		return len(p), end
	}
	// At the end of the object the block is what lies before: readers of Parquet begin there and go backwards.
	from := max(min(off, o.size-block), 0)
	cached, err := o.fetch(from, make([]byte, min(block, o.size-from)))
	if err != nil {
		return 0, err
	}
	o.mu.Lock()
	if !o.closed {
		o.at, o.cached = from, cached
	}
	o.mu.Unlock()
	return copy(p, cached[off-from:]), end
}

// fetch reads len(p) bytes at off, or what the object has of them, into p. The first call learns the object's size.
func (o *object) fetch(off int64, p []byte) ([]byte, error) {
	s := o.s
	var size int64
	var got []byte
	r := s.do(o.ctx, int64(len(p)), func(a *attempt) error {
		body, whole, err := s.b.get(a, o.key, off, int64(len(p)))
		if err != nil {
			return err
		}
		defer func() { _ = body.Close() }()
		if size = whole; o.size >= 0 && size != o.size {
			return nil
		}
		got = p[:max(min(int64(len(p)), size-off), 0)]
		return readBody(body, got)
	})
	if !r.ok() {
		return nil, s.explain(opGet, o.key, &r)
	}
	if o.size < 0 {
		o.size = size
	}
	if size != o.size {
		p := problem.New(problem.StoreFailed, "the object had %d bytes and has %d: it was replaced while it was read", o.size, size).At(s.at(o.key))
		p.Retryable = true
		return nil, p
	}
	return got, nil
}
