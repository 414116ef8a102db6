package broker

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A conn is a client's connection. Before its login is done nobody but the front reads it; then kfake calls Read from one goroutine and Write
// from another, one whole answer a call, in the order of the requests: kfake works off the requests of a connection one after another.
type conn struct {
	net.Conn          // the client; under TLS from the handshake on
	raw      net.Conn // the client, without TLS
	front    *front

	frame []byte // the request that kfake reads now; rest is what it has not read yet
	rest  []byte
	turns int // counts Fetch requests, see rotate

	mu      sync.Mutex
	waiting []waiting // requests without an answer yet, oldest first
	closed  bool
}

// A waiting is a request that kfake has, or is about to get.
type waiting struct {
	header
	bytes   int64  // of the memory budget
	silent  bool   // no answer will come: Produce with acks=0
	instead []byte // an answer of the front's, sent in place of kfake's
	amend   func(kmsg.Response)
}

const (
	// maxLoginBytes bounds a request before the login, maxSmallBytes one that carries no records: parsed, it may take a hundred times as much.
	maxLoginBytes = 16 << 10
	maxSmallBytes = 1 << 20
	// maxLoginRequests is more than any client needs.
	maxLoginRequests = 16
	// failedLoginDelay is Apache Kafka's connection.failed.authentication.delay.ms: clients that try again at once are slowed down.
	failedLoginDelay = 100 * time.Millisecond
)

// open does the TLS handshake and the login.
func (c *conn) open() error {
	f := c.front
	if err := c.SetDeadline(time.Now().Add(f.opts.LoginTimeout)); err != nil {
		return err
	}
	if f.tls != nil {
		under := tls.Server(c.Conn, f.tls)
		if err := under.HandshakeContext(f.ctx); err != nil {
			return err
		}
		c.Conn = under
	}
	if f.opts.Protocol.sasl() {
		if err := c.login(); err != nil {
			return err
		}
	}
	return c.SetDeadline(time.Time{})
}

// login answers requests until the login is done.
func (c *conn) login() error {
	l := &login{users: c.front.users}
	for range maxLoginRequests {
		if l.raw && l.mechanism != "" {
			if err := c.rawToken(l); err != nil || l.done {
				return err
			}
			continue
		}
		size, err := readSize(c.Conn, maxLoginBytes)
		if err != nil {
			return err
		}
		frame := make([]byte, size)
		if _, err := io.ReadFull(c.Conn, frame); err != nil {
			return err
		}
		h, body, err := parseHeader(frame)
		if err != nil {
			return err
		}
		answer, err := c.loginAnswer(l, h, body)
		if answer != nil {
			if _, err := c.Conn.Write(answer); err != nil {
				return err
			}
		}
		if err != nil || l.done {
			return err
		}
	}
	return fmt.Errorf("%w: %d requests without a login", errFrame, maxLoginRequests)
}

// loginAnswer answers one of the three requests that may come before the login. Bodies are parsed here, not by kmsg: see skipTags.
func (c *conn) loginAnswer(l *login, h header, body []byte) ([]byte, error) {
	r := kbin.Reader{Src: body}
	switch kmsg.Key(h.key) {
	case kmsg.ApiVersions:
		return c.front.apis.answer(h), nil
	case kmsg.SASLHandshake:
		mechanism := r.String()
		if !r.Ok() {
			return nil, errFrame
		}
		resp := kmsg.NewPtrSASLHandshakeResponse()
		resp.Version = h.version
		resp.ErrorCode = l.handshake(h.version, mechanism)
		resp.SupportedMechanisms = mechanisms
		return appendResponse(nil, h.correlation, resp), nil
	case kmsg.SASLAuthenticate:
		var token []byte
		if h.version >= 2 {
			token = r.CompactBytes()
		} else {
			token = r.Bytes()
		}
		if !r.Ok() {
			return nil, errFrame
		}
		resp := kmsg.NewPtrSASLAuthenticateResponse()
		resp.Version = h.version
		out, err := l.token(token)
		resp.SASLAuthBytes = out
		if err != nil {
			code, text := loginFailure(err)
			resp.ErrorCode, resp.ErrorMessage = code, &text
			c.front.log.Info("login refused", "peer", c.RemoteAddr().String(), "mechanism", l.mechanism, "reason", text)
			c.front.pause(failedLoginDelay)
		}
		return appendResponse(nil, h.correlation, resp), err
	}
	return nil, fmt.Errorf("%w: API %d before the login", errFrame, h.key)
}

// rawToken exchanges one token of a login that began with version 0 of SaslHandshake: bare, behind its length. A refusal has no form of its
// own there: the connection just closes.
func (c *conn) rawToken(l *login) error {
	var b [4]byte
	if _, err := io.ReadFull(c.Conn, b[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(b[:])
	if size > maxLoginBytes {
		return fmt.Errorf("%w: token of %d bytes", errFrame, size)
	}
	token := make([]byte, size)
	if _, err := io.ReadFull(c.Conn, token); err != nil {
		return err
	}
	out, err := l.token(token)
	if err != nil {
		c.front.pause(failedLoginDelay)
		return err
	}
	_, err = c.Conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(out))), out...))
	return err
}

// Read gives kfake the bytes of the next request that it may see.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		if err := c.next(); err != nil {
			c.front.log.Debug("connection ended", "peer", c.RemoteAddr().String(), "error", err)
			return 0, err
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// next reads a request from the client and makes of it what kfake shall read.
func (c *conn) next() error {
	c.releaseSilent()
	opts := c.front.opts
	if err := c.SetReadDeadline(time.Now().Add(opts.IdleTimeout)); err != nil {
		return err
	}
	size, err := readSize(c.Conn, opts.MaxRequestBytes)
	if err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(opts.RequestTimeout)); err != nil {
		return err
	}
	var start [headerBytes]byte
	if _, err := io.ReadFull(c.Conn, start[:]); err != nil {
		return err
	}
	if key := kmsg.Key(binary.BigEndian.Uint16(start[:])); key != kmsg.Produce && size > maxSmallBytes {
		return fmt.Errorf("%w: API %d with %d bytes, want at most %d", errFrame, key, size, maxSmallBytes)
	}
	bytes := 2 * int64(size) // here, and as kfake parsed it
	if err := c.front.memory.Acquire(c.front.ctx, bytes); err != nil {
		return err
	}
	c.frame = append(c.frame[:0], 0, 0, 0, 0)
	c.frame = append(c.frame, start[:]...)
	c.frame = append(c.frame, make([]byte, size-headerBytes)...)
	if _, err = io.ReadFull(c.Conn, c.frame[4+headerBytes:]); err != nil {
		c.front.memory.Release(bytes)
		return err
	}
	binary.BigEndian.PutUint32(c.frame, uint32(size))
	w, forward, err := c.examine(c.frame)
	if err != nil {
		c.front.memory.Release(bytes)
		return err
	}
	w.bytes = bytes
	if !c.wait(w) {
		return net.ErrClosed
	}
	c.rest = forward
	if cap(c.frame) > maxSmallBytes {
		c.frame = nil // rest keeps it as long as it is needed; an idle connection does not
	}
	return nil
}

// wait notes a request; false says that the connection is closed.
func (c *conn) wait(w waiting) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		c.front.memory.Release(w.bytes)
		return false
	}
	c.waiting = append(c.waiting, w)
	return true
}

// releaseSilent forgets requests that get no answer and that kfake has worked off: it asks for the request after next only then.
func (c *conn) releaseSilent() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waiting) > 1 && c.waiting[0].silent {
		c.pop()
	}
}

// pop forgets the oldest request. REQUIRES: c.mu.
func (c *conn) pop() waiting {
	w := c.waiting[0]
	c.waiting = append(c.waiting[:0], c.waiting[1:]...)
	c.front.memory.Release(w.bytes)
	return w
}

// answered returns the request that an answer of kfake's belongs to.
func (c *conn) answered(correlation int32) (waiting, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waiting) > 0 {
		if w := c.pop(); !w.silent {
			if w.correlation != correlation {
				return w, fmt.Errorf("the broker answered request %d, want %d", correlation, w.correlation)
			}
			return w, nil
		}
	}
	return waiting{}, fmt.Errorf("the broker answered request %d, which was not asked", correlation)
}

// Write takes one whole answer of kfake's and sends it, or the front's own in its place.
func (c *conn) Write(p []byte) (int, error) {
	if len(p) < headerBytes {
		return 0, fmt.Errorf("an answer of %d bytes", len(p))
	}
	w, err := c.answered(int32(binary.BigEndian.Uint32(p[4:])))
	if err != nil {
		c.front.log.Error("connection closed", "peer", c.RemoteAddr().String(), "error", err)
		return 0, err
	}
	out := p
	switch {
	case w.instead != nil:
		out = w.instead
	case w.amend != nil:
		if out, err = amended(w, p); err != nil {
			return 0, err
		}
	}
	if err := c.SetWriteDeadline(time.Now().Add(c.front.opts.RequestTimeout)); err != nil {
		return 0, err
	}
	if _, err := c.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// amended is an answer of kfake's with what it lacks.
func amended(w waiting, p []byte) ([]byte, error) {
	resp := kmsg.ResponseForKey(w.key)
	resp.SetVersion(w.version)
	body := p[headerBytes:]
	if resp.IsFlexible() {
		body = body[1:] // kfake sends no tagged fields in headers
	}
	if err := resp.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("the broker's answer to %s version %d: %w", kmsg.NameForKey(w.key), w.version, err)
	}
	w.amend(resp)
	return appendResponse(nil, w.correlation, resp), nil
}

// Close closes the connection. It may be called more than once.
func (c *conn) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	for len(c.waiting) > 0 {
		c.pop()
	}
	c.mu.Unlock()
	err := c.Conn.Close()
	if first {
		c.front.mu.Lock()
		delete(c.front.conns, c)
		c.front.mu.Unlock()
		c.front.wg.Done()
	}
	return err
}

// illegalState answers a login on a connection that has one: Apache Kafka without re-authentication (KIP-368) does so.
func illegalState(h header) kmsg.Response {
	if kmsg.Key(h.key) == kmsg.SASLHandshake {
		resp := kmsg.NewPtrSASLHandshakeResponse()
		resp.Version, resp.ErrorCode, resp.SupportedMechanisms = h.version, kerr.IllegalSaslState.Code, mechanisms
		return resp
	}
	resp := kmsg.NewPtrSASLAuthenticateResponse()
	text := "SaslAuthenticate request received after successful authentication"
	resp.Version, resp.ErrorCode, resp.ErrorMessage = h.version, kerr.IllegalSaslState.Code, &text
	return resp
}
