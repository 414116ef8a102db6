package registryd

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/siltlake/silt/internal/problem"
)

const (
	headerTimeout = 10 * time.Second
	readTimeout   = 60 * time.Second
	idleTimeout   = 2 * time.Minute
	stopTimeout   = 5 * time.Second
	maxHeader     = 64 << 10
	maxConns      = 512
)

// Serve answers calls on the listener, which it closes, until ctx is done; calls that are under way then have five seconds. It refuses to
// listen beyond loopback without logins or without a certificate, unless the options say Insecure. The error is a *problem.Problem or the
// listener's.
func (r *Registry) Serve(ctx context.Context, l net.Listener) error {
	if !loopback(l.Addr()) && !r.o.Insecure && (len(r.guard.logins) == 0 || r.o.Certificate == nil) {
		_ = l.Close()
		return problem.New(problem.Insecure, "the registry would listen on %s without logins or without TLS", l.Addr()).
			Fix("Listen on 127.0.0.1, or give it both a login and a certificate.")
	}
	l = &limited{Listener: l, free: make(chan struct{}, maxConns)}
	server := &http.Server{
		Handler: r, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: readTimeout + r.o.Timeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(r.o.Log.Handler(), slog.LevelDebug),
	}
	if r.o.Certificate != nil {
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*r.o.Certificate}})
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
	})
	err := server.Serve(l)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func loopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return !ok || t.IP.IsLoopback() // a socket file, or a pipe of a test, is not reached from elsewhere
}

// A limited listener holds connections back while there are too many.
type limited struct {
	net.Listener
	free chan struct{}
}

func (l *limited) Accept() (net.Conn, error) {
	l.free <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &limitedConn{Conn: c, free: l.free}, nil
}

type limitedConn struct {
	net.Conn
	free chan struct{}
	once sync.Once
}

func (c *limitedConn) Close() error {
	c.once.Do(func() { <-c.free })
	return c.Conn.Close()
}
