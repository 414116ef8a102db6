package cloud

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
)

// sendingParts is how many parts of an upload are sent at once, where the cloud takes them in any order: one more than what keeps the way
// busy while the store answers.
const sendingParts = 2

// UploadMemory is the most that one upload holds, in bytes, whatever the size of its object: the part that is being filled and those that are
// being sent. What fits into it is put in one request: fewer of them are cheaper, and a killed run leaves nothing behind.
const UploadMemory = (1 + sendingParts) * partSize

// cancelTime is how long the parts of an upload that failed are removed. What is left expires, or is cleaned.
const cancelTime = 5 * time.Second

// Create implements store.Store. Nothing is sent before UploadMemory is full or Commit; ctx is that of the parts.
func (s *Store) Create(ctx context.Context, key string) (store.Upload, error) {
	if err := begin(ctx, opUpload, key); err != nil {
		return nil, err
	}
	u := &upload{s: s, key: key, begun: make(chan struct{}), sent: make(chan error, sendingParts)}
	u.ctx, u.cancel = context.WithCancel(ctx)
	return u, nil
}

// An upload gathers a part while those before are sent.
type upload struct {
	s      *Store
	key    string
	ctx    context.Context // ends with that of Create, with Commit and with Abort
	cancel context.CancelFunc

	// held are the parts that are not handed over: several full ones only before the first that is, and the one that is being filled.
	held    pieces
	size    int64
	parts   int           // handed over, each to a goroutine
	sending int           // of those that are not done
	sent    chan error    // what became of each
	mp      multipart     // begun by the goroutine that sends part 0; nil if that failed
	begun   chan struct{} // closed: mp is there, or never will be
	err     error         // the first error of a part
	done    bool
}

func (s *Store) takeBuffer() []byte {
	if b, ok := s.buffers.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, partSize)
}

func (s *Store) giveBuffer(b []byte) { s.buffers.Put(&b) }

// Write implements store.Upload. It waits for a part that is being sent where no more may be.
func (u *upload) Write(p []byte) (int, error) {
	if u.done {
		return 0, errClosed(opUpload, u.key)
	}
	n := len(p)
	for len(p) > 0 {
		if u.full() {
			if u.parts > 0 || len(u.held) == 1+sendingParts {
				if err := u.handOver(); err != nil {
					return n - len(p), err
				}
			}
			u.held = append(u.held, u.s.takeBuffer())
		}
		last := &u.held[len(u.held)-1]
		fits := min(len(p), partSize-len(*last))
		*last = append(*last, p[:fits]...)
		p = p[fits:]
		u.size += int64(fits)
	}
	return n, u.err
}

// full says whether there is no part that is being filled.
func (u *upload) full() bool { return len(u.held) == 0 || len(u.held[len(u.held)-1]) == partSize }

// handOver sends what is held, in the background.
func (u *upload) handOver() error {
	atOnce := sendingParts
	if u.s.b.partsInOrder() {
		atOnce = 1
	}
	for len(u.held) > 0 {
		if err := u.wait(atOnce - 1); err != nil {
			return err
		}
		data, n := u.held[0], u.parts
		u.held = u.held[1:]
		u.sending++
		u.parts++
		go func() { u.sent <- problem.Catch("uploading", func() error { return u.send(n, data) }) }()
	}
	u.held = nil
	return nil
}

// wait waits until at most so many parts are being sent.
func (u *upload) wait(most int) error {
	for u.sending > most {
		err := <-u.sent
		u.sending--
		if u.err == nil {
			u.err = err
		}
	}
	return u.err
}

// send sends a part; the first begins the upload, for which the others wait.
func (u *upload) send(n int, data []byte) error {
	if n == 0 {
		if err := u.start(); err != nil {
			return err
		}
	}
	if <-u.begun; u.mp == nil {
		return nil // part 0 has the error
	}
	r := u.s.do(u.ctx, int64(len(data)), func(a *attempt) error { return u.mp.part(a, n, data) })
	if r.once() {
		u.s.giveBuffer(data)
	}
	return u.failed(&r)
}

func (u *upload) start() error {
	defer close(u.begun)
	var mp multipart
	r := u.s.do(u.ctx, 0, func(a *attempt) (err error) { mp, err = u.s.b.begin(a, u.key); return err })
	if r.ok() {
		u.mp = mp
	}
	return u.failed(&r)
}

// failed is explain, and says of an upload that is gone what helps: its batch is written again.
func (u *upload) failed(r *result) error {
	if r.is(uploadGone) || r.is(notFound) { // the object, when it was looked for
		p := problem.New(problem.StoreFailed, "the upload was removed before it was complete").At(u.s.at(u.key)).Because(opaque(r.err))
		p.Retryable = true
		return p
	}
	return u.s.explain(opUpload, u.key, r)
}

// Commit implements store.Upload. A commit whose answer was lost is repeated; if there is an object then, or the upload is gone, the object
// is ours if it has our size, for nobody else writes the key.
func (u *upload) Commit(ctx context.Context) (err error) {
	if u.done {
		return errClosed(opUpload, u.key)
	}
	var r result
	defer func() { u.end(ctx, err != nil && !r.lost) }()
	stop := context.AfterFunc(ctx, u.cancel)
	defer stop()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("upload %s: %w", u.key, err)
	}
	if u.parts > 0 && (u.full() || !u.s.b.partsInOrder()) {
		if err := u.handOver(); err != nil {
			return err
		}
	}
	if err := u.wait(0); err != nil {
		return err
	}
	bytes := u.size
	if u.parts > 0 {
		bytes = u.held.size() + u.size/assembling
	}
	r = u.s.do(ctx, bytes, func(a *attempt) error {
		if u.parts == 0 {
			return u.s.b.put(a, u.key, u.held, true)
		}
		var rest []byte
		if len(u.held) > 0 {
			rest = u.held[0]
		}
		return u.mp.finish(a, u.parts, rest)
	})
	if !r.once() {
		u.held = nil // is not given back
	}
	if r.lost && (r.is(exists) || r.is(uploadGone)) {
		return u.find(ctx, &r)
	}
	return u.failed(&r)
}

// find says whether the object of a commit whose answer was lost is there. If what is there is not ours, commit says what happened.
func (u *upload) find(ctx context.Context, commit *result) error {
	var size int64
	r := u.s.do(ctx, 0, func(a *attempt) error {
		body, whole, err := u.s.b.get(a, u.key, 0, 0)
		if err == nil {
			size = whole
			err = body.Close()
		}
		return err
	})
	if r.ok() && size != u.size {
		return u.failed(commit)
	}
	return u.failed(&r)
}

// Abort implements store.Upload.
func (u *upload) Abort(ctx context.Context) error {
	if u.done {
		return nil
	}
	return u.end(ctx, true)
}

// end stops what is under way and gives the buffers back; with remove it removes the parts as well.
func (u *upload) end(ctx context.Context, remove bool) error {
	u.done = true
	u.cancel()
	_ = u.wait(0)
	for _, b := range u.held {
		u.s.giveBuffer(b)
	}
	u.held = nil
	if !remove || u.mp == nil {
		return nil
	}
	if ctx.Err() != nil {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, cancelTime)
	defer cancel()
	r := u.s.do(ctx, 0, func(a *attempt) error { return u.mp.cancel(a) })
	if r.is(uploadGone) {
		return nil
	}
	if err := u.failed(&r); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
