// Package registry is the client of a Schema Registry: the writer's schema of an id, with what it refers to. An id never changes its
// meaning: callers keep what they make of a schema, and the client keeps none.
//
// A registry that is down must not end the query: after the start's probe, whatever the registry answers but a schema or "no such schema"
// is asked again until the caller gives up (docs/bad-records.md).
package registry

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// A Schema is what the registry holds under an id. It is shared and must not be changed.
type Schema struct {
	ID   int32
	Type string // AVRO, JSON or PROTOBUF
	Text string
	// References are the texts of the schemas that Text refers to, directly or not, each once and before those that use it.
	References []string
}

// ErrUnknownID says that the registry has no schema of the id: it said so twice, a second apart, at most a minute ago.
var ErrUnknownID = errors.New("the registry has no schema of this id")

// A BrokenError says that the registry holds a schema that can never be used: a reference that it does not have, a cycle, too much of it.
type BrokenError struct {
	ID  int32
	Why string
}

func (e *BrokenError) Error() string { return fmt.Sprintf("schema id %d: %s", e.ID, e.Why) }

// Limits of what a registry may answer.
const (
	maxAnswerBytes    = 8 << 20 // also of all texts of one schema
	maxReferences     = 1000
	maxReferenceDepth = 64
	maxRedirects      = 5
	maxUnknown        = 4096 // ids remembered as unknown

	askAgainAfter  = time.Second      // a registry's replica may lag behind the one that gave the id out
	unknownFor     = 60 * time.Second // how long 40403 is remembered
	requestTimeout = 10 * time.Second
	firstWait      = 250 * time.Millisecond
	longestWait    = 30 * time.Second
	longestAsked   = 5 * time.Minute // a longer Retry-After is cut to it
	logEvery       = 30 * time.Second
	probeTime      = 30 * time.Second
	probeAttempts  = 6
)

// Env is what a Client takes from its surroundings; each zero field means the real thing.
type Env struct {
	Log       *slog.Logger
	Now       func() time.Time
	Sleep     func(context.Context, time.Duration) error // returns early, with the context's error, when the context ends
	Rand      func() float64                             // in [0, 1), spreads the retries
	Transport http.RoundTripper
	Timeout   time.Duration // of one request, body included
}

// A Client asks a registry for schemas. Its methods may be called concurrently.
type Client struct {
	o             Options
	env           Env
	http          *http.Client
	scrub         secret.Scrubber
	maxBytes      int // of an answer, and of all texts of one schema
	maxReferences int

	mu       sync.Mutex
	unknown  map[int32]time.Time // until when
	flights  map[int32]*flight
	endpoint int // the one that answered last
	logged   time.Time
	closed   bool
	flying   sync.WaitGroup
}

// A flight is the one fetch of an id that everyone who wants it waits for. It ends early only when nobody waits any more.
type flight struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiters int
	schema  Schema // valid once done is closed
	err     error
}

// New returns a client. It does no I/O.
//
// REQUIRES: o has an endpoint, as ParseOptions gives it where it reports no problem.
func New(o Options, env Env) *Client {
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	if env.Now == nil {
		env.Now = time.Now
	}
	if env.Sleep == nil {
		env.Sleep = sleep
	}
	if env.Rand == nil {
		env.Rand = rand.Float64
	}
	if env.Timeout == 0 {
		env.Timeout = requestTimeout
	}
	if env.Transport == nil {
		env.Transport = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: requestTimeout}).DialContext,
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots},
			TLSHandshakeTimeout:   requestTimeout,
			ResponseHeaderTimeout: requestTimeout,
			MaxIdleConnsPerHost:   4,
			IdleConnTimeout:       90 * time.Second,
			ForceAttemptHTTP2:     true,
		}
	}
	c := &Client{o: o, env: env, maxBytes: maxAnswerBytes, maxReferences: maxReferences,
		unknown: map[int32]time.Time{}, flights: map[int32]*flight{}}
	c.http = &http.Client{Transport: env.Transport, CheckRedirect: sameHost}
	for _, e := range o.Endpoints {
		c.scrub.Add(e.Login)
		c.scrub.Add(e.Login.Map(func(login string) string { return base64.StdEncoding.EncodeToString([]byte(login)) })) // as it is sent
		c.scrub.Add(e.Login.Map(func(login string) string { _, password, _ := strings.Cut(login, ":"); return password }))
		if e.Name == secret.Redacted {
			c.scrub.Add(secret.New(e.URL.Host))
			c.scrub.Add(secret.New(e.URL.Hostname()))
		}
		if !e.Login.IsZero() && e.URL.Scheme == "http" && !option.Loopback(e.URL.Hostname()) {
			env.Log.Warn("the registry's password goes over plain http (allowInsecure)", "url", e.Name)
		}
	}
	return c
}

// Close ends what is under way, whose callers get context.Canceled, and closes the connections.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	for _, f := range c.flights {
		f.cancel()
	}
	c.mu.Unlock()
	c.flying.Wait()
	c.http.CloseIdleConnections()
}

// Schema returns the schema of an id: it asks the registry, as long as ctx lives, once for all who ask at the same time. The error is
// ErrUnknownID, a *BrokenError or the context's.
func (c *Client) Schema(ctx context.Context, id int32) (Schema, error) {
	if id < 0 { // no registry gives such an id out
		return Schema{}, ErrUnknownID
	}
	c.mu.Lock()
	if until, ok := c.unknown[id]; ok {
		if c.env.Now().Before(until) {
			c.mu.Unlock()
			return Schema{}, ErrUnknownID
		}
		delete(c.unknown, id)
	}
	if err := ctx.Err(); c.closed || err != nil {
		c.mu.Unlock()
		return Schema{}, cmp.Or(err, context.Canceled)
	}
	f := c.flights[id]
	if f == nil {
		f = c.start(ctx, id)
	}
	f.waiters++
	c.mu.Unlock()

	select {
	case <-f.done:
		return f.schema, f.err
	case <-ctx.Done():
		c.mu.Lock()
		if f.waiters--; f.waiters == 0 && c.flights[id] == f {
			delete(c.flights, id)
			f.cancel()
		}
		c.mu.Unlock()
		return Schema{}, ctx.Err()
	}
}

// start begins the fetch of an id, in a goroutine of its own: the first caller's context carries its values but not its end, which is not
// the other callers'.
//
// REQUIRES: c.mu.
func (c *Client) start(ctx context.Context, id int32) *flight {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight{done: make(chan struct{}), cancel: cancel}
	c.flights[id] = f
	c.flying.Go(func() {
		defer cancel()
		var s Schema
		err := problem.Catch("asking for a schema", func() (err error) {
			s, err = c.fetch(ctx, id)
			return err
		})
		c.mu.Lock()
		defer c.mu.Unlock()
		f.schema, f.err = s, err
		if errors.Is(err, ErrUnknownID) {
			c.remember(id)
		}
		if c.flights[id] == f {
			delete(c.flights, id)
		}
		close(f.done)
	})
	return f
}

// remember notes that the registry does not have the id. A topic full of ids that nobody gave out must not fill the memory.
//
// REQUIRES: c.mu.
func (c *Client) remember(id int32) {
	now := c.env.Now()
	if len(c.unknown) >= maxUnknown {
		for k, until := range c.unknown {
			if !now.Before(until) {
				delete(c.unknown, k)
			}
		}
		if len(c.unknown) >= maxUnknown {
			clear(c.unknown)
		}
	}
	c.unknown[id] = now.Add(unknownFor)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
