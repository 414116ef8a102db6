// Package faultproxy is an HTTP proxy on loopback that stands between silt and an object store and does to requests and answers what
// networks and busy stores do: it refuses, resets, cuts, slows, stalls, and applies what it then gives no answer to.
//
// Requests go on as they came, Host and path included, so that their signatures hold.
package faultproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// A Request is what a Plan sees: the number of the request, counted from 1 over the proxy's life, its method, and its path as it was sent,
// with the query.
type Request struct {
	N            int
	Method, Path string
}

// A Plan says what happens to a request. The proxy asks one request at a time, so a plan may keep state. A nil Plan lets everything pass.
type Plan func(Request) Fault

// A Record is a request that came, and what became of it.
type Record struct {
	Request
	Fault Fault
	// Status is what the store answered, whether the client saw it or not; 0: it was not asked, or not yet, or gave no answer.
	Status int
}

// A Proxy is a running proxy. Its methods may be called concurrently.
type Proxy struct {
	// URL is the proxy's root, without a slash at the end.
	URL string

	target *url.URL
	client *http.Transport
	server *http.Server
	closed chan struct{}
	busy   sync.WaitGroup // handlers, and requests that are applied late

	mu      sync.Mutex
	ended   bool
	plan    Plan
	records []Record
}

// Start starts a proxy on a free loopback port before the server at target, such as http://127.0.0.1:10000.
func Start(target string) (*Proxy, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("%s is not http://HOST:PORT", target)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		URL: "http://" + l.Addr().String(), target: u, closed: make(chan struct{}),
		// No header is added: they are signed. No connection is kept until the store ends it (Node's servers do after 5 s): a request
		// that meets that end would fail with no fault planned.
		client: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64, IdleConnTimeout: 2 * time.Second},
	}
	p.server = &http.Server{
		Handler: http.HandlerFunc(p.serve), ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0), // clients that go away are what it is there for
	}
	p.busy.Go(func() { _ = p.server.Serve(l) }) // ends by Close alone
	return p, nil
}

// Close ends the proxy and every connection, and waits until nothing of it runs any more.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	close(p.closed)
	err := p.server.Close()
	p.busy.Wait()
	p.client.CloseIdleConnections()
	return err
}

// Plan makes plan decide from the next request on. What began under the one before it goes on.
func (p *Proxy) Plan(plan Plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan = plan
}

// Records returns the requests that came so far, in the order in which they came.
func (p *Proxy) Records() []Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Record(nil), p.records...)
}

// begin notes a request and returns its index among the records, and what shall happen to it; not ok once the proxy is closed. Whoever
// gets ok calls busy.Done in the end.
func (p *Proxy) begin(r *http.Request) (at int, f Fault, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return 0, f, false
	}
	p.busy.Add(1)
	at = len(p.records)
	req := Request{N: at + 1, Method: r.Method, Path: r.RequestURI}
	if p.plan != nil {
		f = p.plan(req)
	}
	p.records = append(p.records, Record{Request: req, Fault: f})
	return at, f, true
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	at, f, ok := p.begin(r)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	defer p.busy.Done()
	switch f.Kind {
	case Refuse:
		// The body is read, as a server does that knows what to answer: otherwise the client may see a reset in place of the status.
		_, _ = io.Copy(io.Discard, r.Body)
		if f.After > 0 {
			w.Header().Set("Retry-After", fmt.Sprint(int(f.After.Seconds())))
		}
		w.WriteHeader(f.Status)
	case Reset:
		reset(w)
	case Late:
		p.late(w, r, at, f)
	default:
		p.through(w, r, at, f)
	}
}

// through forwards the request and does to the answer what f says.
func (p *Proxy) through(w http.ResponseWriter, r *http.Request, at int, f Fault) {
	ctx := r.Context()
	if f.Kind == Cut {
		ctx = context.WithoutCancel(ctx) // it is applied, whatever the client does
	}
	answer, err := p.forward(ctx, r, r.Body, at)
	if err != nil {
		reset(w) // the store is away, or the client
		return
	}
	defer answer.Body.Close()
	if f.Kind == Cut {
		_, _ = io.Copy(io.Discard, answer.Body)
		reset(w)
		return
	}
	empty := answer.ContentLength == 0 || r.Method == http.MethodHead || answer.StatusCode == http.StatusNoContent
	switch {
	case empty && f.Kind == Short:
		reset(w)
		return
	case empty && f.Kind == Stall:
		p.wait(ctx, -1)
		reset(w)
		return
	case empty && f.Kind == Slow:
		p.wait(ctx, f.After)
	}
	p.head(w, answer)
	if !p.body(ctx, w, answer, f) {
		reset(w)
	}
}

// head writes the status and the headers of answer. An address of the store becomes the proxy's, so that what follows it comes here, too.
func (p *Proxy) head(w http.ResponseWriter, answer *http.Response) {
	header := w.Header()
	for name, values := range answer.Header {
		header[name] = values
	}
	if rest, ok := strings.CutPrefix(header.Get("Location"), p.target.Scheme+"://"+p.target.Host); ok {
		header.Set("Location", p.URL+rest)
	}
	w.WriteHeader(answer.StatusCode)
}

// body writes the body of answer as f says, and says whether it is whole.
func (p *Proxy) body(ctx context.Context, w http.ResponseWriter, answer *http.Response, f Fault) bool {
	switch f.Kind {
	case Short, Stall:
		// Half of it, or a little if nobody knows how much it is.
		half := max(answer.ContentLength/2, 0)
		if answer.ContentLength < 0 {
			half = 16
		}
		_, _ = io.CopyN(w, answer.Body, half)
		flush(w)
		if f.Kind == Stall {
			p.wait(ctx, -1)
		}
		return false
	case Slow:
		const pieces = 16
		size := max(answer.ContentLength/pieces, 16)
		for {
			p.wait(ctx, f.After/pieces)
			n, err := io.CopyN(w, answer.Body, size)
			flush(w)
			if err != nil || n < size {
				return errors.Is(err, io.EOF)
			}
		}
	}
	_, err := io.Copy(w, answer.Body)
	return err == nil
}

// late takes the request, lets the client think that it was lost, and applies it afterwards.
func (p *Proxy) late(w http.ResponseWriter, r *http.Request, at int, f Fault) {
	// The one fault that holds a body in memory: the connection that it came on is gone when it is sent on.
	body, err := io.ReadAll(r.Body)
	reset(w)
	if err != nil {
		return
	}
	p.busy.Go(func() {
		p.wait(context.Background(), f.After)
		answer, err := p.forward(context.Background(), r, io.NopCloser(bytes.NewReader(body)), at)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	})
}

// forward sends the request on with this body, and notes the answer's status.
func (p *Proxy) forward(ctx context.Context, r *http.Request, body io.ReadCloser, at int) (*http.Response, error) {
	out := &http.Request{
		Method: r.Method, Host: r.Host, Header: r.Header.Clone(), ContentLength: r.ContentLength, Body: body,
		URL: &url.URL{Scheme: p.target.Scheme, Host: p.target.Host, Path: r.URL.Path, RawPath: r.URL.RawPath,
			RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery},
	}
	if r.ContentLength == 0 {
		out.Body = http.NoBody // otherwise the length of an empty body is taken as unknown
	}
	for _, hop := range []string{"Connection", "Expect", "Keep-Alive", "Transfer-Encoding", "Upgrade"} {
		out.Header.Del(hop)
	}
	if out.Header["User-Agent"] == nil {
		out.Header["User-Agent"] = nil // none, rather than Go's
	}
	answer, err := p.client.RoundTrip(out.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records[at].Status = answer.StatusCode
	return answer, nil
}

// wait waits for d, without an end if d is negative, and no longer than the client or the proxy lives.
func (p *Proxy) wait(ctx context.Context, d time.Duration) {
	var over <-chan time.Time
	if d >= 0 {
		over = time.After(d)
	}
	select {
	case <-over:
	case <-ctx.Done():
	case <-p.closed:
	}
}

func flush(w http.ResponseWriter) {
	// A client that is gone is noticed elsewhere.
	_ = http.NewResponseController(w).Flush()
}

// reset ends the connection at once, with a TCP reset, whatever was written before.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
