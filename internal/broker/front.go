package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/semaphore"
)

// A front is the listener that kfake accepts from: connections whose login is done, each of which gives kfake whole, checked requests.
type front struct {
	opts    Options
	ln      net.Listener
	tls     *tls.Config // nil without TLS
	users   *users
	records *recordChecker
	apis    apis
	inside  *kgo.Client // to kfake, past the front
	log     *slog.Logger
	memory  *semaphore.Weighted // bytes of requests in flight
	ready   chan net.Conn       // to kfake

	ctx  context.Context // ends with the front
	stop context.CancelFunc
	wg   sync.WaitGroup // its goroutines and its open connections

	mu    sync.Mutex
	conns map[*conn]struct{}
}

func newFront(opts Options, ln net.Listener, tlsConfig *tls.Config, users *users, records *recordChecker) *front {
	ctx, stop := context.WithCancel(context.Background())
	return &front{
		opts: opts, ln: ln, tls: tlsConfig, users: users, records: records, log: opts.Log,
		memory: semaphore.NewWeighted(opts.MaxMemoryBytes), ready: make(chan net.Conn),
		ctx: ctx, stop: stop, conns: map[*conn]struct{}{},
	}
}

// Accept, Close and Addr make a front the net.Listener of kfake. Addr is what metadata tells clients to connect to.
func (f *front) Accept() (net.Conn, error) {
	select {
	case c := <-f.ready:
		return c, nil
	case <-f.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Addr is the address of the listener.
func (f *front) Addr() net.Addr { return f.ln.Addr() }

// Close stops accepting. Connections that kfake has stay open until kfake closes them.
func (f *front) Close() error {
	f.stop()
	err := f.ln.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// shut closes the connections that are still open and waits for the front's goroutines.
func (f *front) shut(ctx context.Context) error {
	f.mu.Lock()
	for c := range f.conns {
		_ = c.raw.Close()
	}
	f.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.wg.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// serve accepts connections until the front closes.
func (f *front) serve() {
	f.wg.Add(1)
	go func() {
		defer f.wg.Done()
		for {
			raw, err := f.ln.Accept()
			if err != nil {
				if f.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
					return
				}
				f.log.Warn("accept a connection", "error", err)
				if !f.pause(100 * time.Millisecond) { // out of file descriptors, as a rule
					return
				}
				continue
			}
			f.admit(raw)
		}
	}()
}

// admit starts a connection, unless there are too many.
func (f *front) admit(raw net.Conn) {
	c := &conn{Conn: raw, raw: raw, front: f}
	f.mu.Lock()
	full := len(f.conns) >= f.opts.MaxConnections
	if !full && f.ctx.Err() == nil {
		f.conns[c] = struct{}{}
		f.wg.Add(2) // for the goroutine below, and until the connection is closed
		f.mu.Unlock()
	} else {
		f.mu.Unlock()
		if full {
			f.log.Warn("connection refused: too many are open", "peer", raw.RemoteAddr().String(), "most", f.opts.MaxConnections)
		}
		_ = raw.Close()
		return
	}
	go func() {
		defer f.wg.Done()
		if err := c.open(); err != nil {
			f.log.Debug("connection ended before its login", "peer", raw.RemoteAddr().String(), "error", err)
			_ = c.Close()
			return
		}
		select {
		case f.ready <- c:
		case <-f.ctx.Done():
			_ = c.Close()
		}
	}()
}

// dialInside returns a connection to kfake that passes the front by, for the broker's own housekeeping.
func (f *front) dialInside(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case f.ready <- theirs:
		return ours, nil
	case <-f.ctx.Done():
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pause waits; false says that the front closed meanwhile.
func (f *front) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-f.ctx.Done():
		return false
	}
}
