package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fakeClock does not wait: sleeping moves it on.
type fakeClock struct {
	mu    sync.Mutex
	now   time.Time
	slept []time.Duration
	limit int // Sleep fails after so many; 0 means never
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

var errTired = errors.New("slept too often")

func (c *fakeClock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	c.now = c.now.Add(d)
	c.slept = append(c.slept, d)
	if c.limit > 0 && len(c.slept) >= c.limit {
		return errTired
	}
	return nil
}

// A fake is a registry whose handler a test writes; it logs the requests.
type fake struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string
	clock    *fakeClock
	log      bytes.Buffer
}

func newFake(t *testing.T, h http.HandlerFunc) *fake {
	f := &fake{clock: &fakeClock{now: time.Unix(1_700_000_000, 0)}}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.requests = append(f.requests, r.URL.RequestURI())
		f.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *fake) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.requests...)
}

func (f *fake) client(t *testing.T, urls ...string) *Client {
	if len(urls) == 0 {
		urls = []string{f.URL}
	}
	var o Options
	for _, u := range urls {
		parsed, err := url.Parse(u)
		if err != nil {
			t.Fatal(err)
		}
		o.Endpoints = append(o.Endpoints, Endpoint{URL: *parsed, Name: u})
	}
	return f.clientOf(t, o)
}

func (f *fake) clientOf(t *testing.T, o Options) *Client {
	c := New(o, Env{Log: slog.New(slog.NewTextHandler(&f.log, nil)), Now: f.clock.Now, Sleep: f.clock.Sleep,
		Rand:    func() float64 { return 0.5 },
		Timeout: time.Hour})
	t.Cleanup(c.Close)
	return c
}

func give(w http.ResponseWriter, a answer) {
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	_ = json.NewEncoder(w).Encode(a)
}

func fail(w http.ResponseWriter, status, code int, message string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error_code":%d,"message":%q}`, code, message)
}

func TestASchemaIsFetched(t *testing.T) {
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept"); !strings.HasPrefix(got, "application/vnd.schemaregistry.v1+json") {
			t.Errorf("accepts %q", got)
		}
		if _, _, ok := r.BasicAuth(); ok {
			t.Error("a login that nobody gave")
		}
		give(w, answer{Schema: `"string"`})
	})
	c := f.client(t)
	s, err := c.Schema(t.Context(), 7)
	if err != nil || s.ID != 7 || s.Text != `"string"` || s.Type != "AVRO" || len(s.References) != 0 {
		t.Fatalf("got %+v %v", s, err)
	}
	if got := strings.Join(f.seen(), " "); got != "/schemas/ids/7" {
		t.Errorf("requests %s", got)
	}
}

func TestAnUnknownIDIsAskedForTwiceAndRememberedForAMinute(t *testing.T) {
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) { fail(w, 404, 40403, "Schema 9 not found") })
	c := f.client(t)
	for range 5 {
		if _, err := c.Schema(t.Context(), 9); !errors.Is(err, ErrUnknownID) {
			t.Fatal(err)
		}
	}
	if n := len(f.seen()); n != 2 || len(f.clock.slept) != 1 || f.clock.slept[0] != time.Second {
		t.Errorf("%d requests, slept %v", n, f.clock.slept)
	}
	f.clock.now = f.clock.now.Add(61 * time.Second)
	if _, err := c.Schema(t.Context(), 9); !errors.Is(err, ErrUnknownID) || len(f.seen()) != 4 {
		t.Errorf("%v after %d requests", err, len(f.seen()))
	}
	if _, err := c.Schema(t.Context(), -1); !errors.Is(err, ErrUnknownID) || len(f.seen()) != 4 {
		t.Errorf("a negative id: %v after %d requests", err, len(f.seen()))
	}
}

func TestUnknownIDsDoNotFillTheMemory(t *testing.T) {
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {})
	c := f.client(t)
	for id := range int32(3 * maxUnknown) {
		c.mu.Lock()
		c.remember(id)
		c.mu.Unlock()
	}
	if n := len(c.unknown); n > maxUnknown {
		t.Errorf("%d ids", n)
	}
}

func TestWhatPassesIsAskedAgain(t *testing.T) {
	good := func(w http.ResponseWriter, r *http.Request) { give(w, answer{Schema: `"int"`}) }
	tests := []struct {
		name string
		bad  http.HandlerFunc
		log  string // a part of the warning
	}{
		{"not found once", func(w http.ResponseWriter, r *http.Request) { fail(w, 404, 40403, "Schema 1 not found") }, ""},
		{"server error", func(w http.ResponseWriter, r *http.Request) { fail(w, 500, 50001, "Error in the backend data store") },
			"status 500, error 50001: Error in the backend data store"},
		{"busy", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(429) }, "status 429"},
		{"password no longer good", func(w http.ResponseWriter, r *http.Request) { fail(w, 401, 401, "Unauthorized") }, "status 401, error 401"},
		{"no right to the subject", func(w http.ResponseWriter, r *http.Request) { fail(w, 403, 40301, "denied") }, "status 403"},
		{"a proxy's page", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>Sign in</html>") }, "not the JSON of a schema"},
		{"a proxy's 404", func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }, "status 404"},
		{"another service's JSON", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"ok":true}`) }, "holds no schema"},
		{"nothing", func(w http.ResponseWriter, r *http.Request) {}, "not the JSON"},
		{"too much", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(w, io.LimitReader(zeros{}, 200_010))
		}, "larger than 200000 bytes"},
		{"cut short", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `{"schema":`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, "unexpected EOF"},
		{"too slow", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "no answer within 50ms"},
		{"a slow body", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"schema":`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, "no answer within 50ms"},
		{"a redirect to another host", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://elsewhere.invalid/", http.StatusFound)
		},
			"status 302: a redirect to another host"},
		{"a redirect without end", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
			"one too many"},
		{"a reference that cannot be", func(w http.ResponseWriter, r *http.Request) {
			give(w, answer{Schema: `"int"`, References: []reference{{Name: "x", Version: 1}}})
		}, "names subject"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var bad atomic.Bool
			bad.Store(true)
			f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
				if bad.Load() {
					tt.bad(w, r)
				} else {
					good(w, r)
				}
			})
			c := f.client(t)
			if strings.Contains(tt.name, "slow") {
				c.env.Timeout = 50 * time.Millisecond
			}
			c.maxBytes = 200_000
			c.env.Sleep = func(ctx context.Context, d time.Duration) error { bad.Store(false); return f.clock.Sleep(ctx, d) }
			s, err := c.Schema(t.Context(), 1)
			if err != nil || s.Text != `"int"` {
				t.Fatalf("got %+v %v", s, err)
			}
			c.Close()
			if !strings.Contains(f.log.String(), tt.log) || tt.log == "" && f.log.Len() > 0 {
				t.Errorf("logged %s", f.log.String())
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func TestARedirectOnTheSameHostIsFollowed(t *testing.T) {
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v7") {
			give(w, answer{Schema: `"int"`})
			return
		}
		http.Redirect(w, r, "/v7"+r.URL.Path, http.StatusMovedPermanently)
	})
	if s, err := f.client(t).Schema(t.Context(), 3); err != nil || s.Text != `"int"` {
		t.Errorf("got %+v %v", s, err)
	}
}

func TestRetriesBackOff(t *testing.T) {
	n := 0
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		switch n++; {
		case n == 3:
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(429)
		case n == 4:
			w.Header().Set("Retry-After", "100000000")
			w.WriteHeader(503)
		case n <= 40:
			w.WriteHeader(500)
		default:
			give(w, answer{Schema: `"int"`})
		}
	})
	c := f.client(t)
	if _, err := c.Schema(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	s := f.clock.slept
	if len(s) != 40 || s[0] != ms(187)+500*time.Microsecond || s[1] != ms(375) || s[2] != 7*time.Second ||
		s[3] != longestAsked || s[39] != longestWait*3/4 {
		t.Errorf("slept %v", s)
	}
	c.Close()
	var slept time.Duration
	for _, d := range s {
		slept += d
	}
	if n := strings.Count(f.log.String(), "trying again"); n < 2 || n > int(slept/logEvery)+1 {
		t.Errorf("%d warnings in %s", n, slept)
	}
	if !strings.Contains(f.log.String(), "answers again") {
		t.Error("no word that it is well again")
	}
}

func TestManyCallersMakeOneRequest(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		give(w, answer{Schema: `"int"`})
	})
	c := f.client(t)
	first, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() { _, err := c.Schema(first, 5); failed <- err }()
	<-arrived
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if s, err := c.Schema(t.Context(), 5); err != nil || s.ID != 5 {
				t.Errorf("got %+v %v", s, err)
			}
		})
	}
	for { // until all of them wait
		c.mu.Lock()
		n := c.flights[5].waiters
		c.mu.Unlock()
		if n == 51 {
			break
		}
	}
	cancel() // the first caller's end is not the others'
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(release)
	wg.Wait()
	if n := len(f.seen()); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestAFlightEndsWithItsLastCaller(t *testing.T) {
	arrived, gone := make(chan struct{}, 1), make(chan struct{})
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
		close(gone)
	})
	c := f.client(t)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() { _, err := c.Schema(ctx, 5); failed <- err }()
	<-arrived
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	select {
	case <-gone:
	case <-time.After(5 * time.Second):
		t.Fatal("the request goes on")
	}
	c.Close()
	if _, err := c.Schema(t.Context(), 6); !errors.Is(err, context.Canceled) {
		t.Errorf("after Close: %v", err)
	}
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	arrived := make(chan struct{}, 1)
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	c := f.client(t)
	failed := make(chan error, 1)
	go func() { _, err := c.Schema(context.Background(), 5); failed <- err }()
	<-arrived
	c.Close()
	select {
	case err := <-failed:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the caller still waits")
	}
}

func TestReferencesComeBeforeTheirUsers(t *testing.T) {
	ref := func(subject string, version int) reference {
		return reference{Name: "n." + subject, Subject: subject, Version: version}
	}
	// A diamond: the root needs b and c, both need a; subjects may hold slashes.
	subjects := map[string]answer{
		"/subjects/b%2Fx/versions/2?deleted=true": {Schema: "B", References: []reference{ref("a", 1)}},
		"/subjects/c:y/versions/1?deleted=true":   {Schema: "C", SchemaType: "AVRO", References: []reference{ref("a", 1), ref("b/x", 2)}},
		"/subjects/a/versions/1?deleted=true":     {Schema: "A"},
		"/schemas/ids/1":                          {Schema: "root", References: []reference{ref("b/x", 2), ref("c:y", 1)}},

		"/schemas/ids/2":                            {Schema: "root", References: []reference{ref("loop", 1)}},
		"/subjects/loop/versions/1?deleted=true":    {Schema: "L", References: []reference{ref("loop2", 1)}},
		"/subjects/loop2/versions/1?deleted=true":   {Schema: "M", References: []reference{ref("loop", 1)}},
		"/schemas/ids/3":                            {Schema: "root", References: []reference{ref("gone", 4)}},
		"/schemas/ids/4":                            {Schema: "root", References: []reference{ref("json", 1)}},
		"/subjects/json/versions/1?deleted=true":    {Schema: "{}", SchemaType: "JSON"},
		"/schemas/ids/5":                            {Schema: "{}", SchemaType: "JSON"},
		"/schemas/ids/6":                            {Schema: "root", References: []reference{ref("latest", -1)}},
		"/subjects/latest/versions/-1?deleted=true": {Schema: "L"},
		"/schemas/ids/7":                            {Schema: "root", References: []reference{ref("deep", 1)}},
		"/schemas/ids/8":                            {Schema: "root", References: many(71)},
		"/schemas/ids/9":                            {Schema: "root", References: []reference{ref("large", 1), ref("large", 2)}},
		"/subjects/large/versions/1?deleted=true":   {Schema: strings.Repeat("x", 6000)},
		"/subjects/large/versions/2?deleted=true":   {Schema: strings.Repeat("y", 6000)},
	}
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if a, ok := subjects[r.URL.RequestURI()]; ok {
			give(w, a)
			return
		}
		var n int
		if _, err := fmt.Sscanf(r.URL.Path, "/subjects/deep/versions/%d", &n); err == nil {
			give(w, answer{Schema: "D", References: []reference{ref("deep", n+1)}})
			return
		}
		if strings.HasPrefix(r.URL.Path, "/subjects/many") {
			give(w, answer{Schema: "m"})
			return
		}
		fail(w, 404, 40401, "Subject not found.")
	})
	c := f.client(t)
	c.maxReferences, c.maxBytes = 70, 10_000
	tests := []struct {
		id    int32
		texts string
		typ   string
		err   string
	}{
		{1, "A B C", "AVRO", ""},
		{2, "", "", "schema id 2: subject loop version 1 refers to itself"},
		{3, "", "", "schema id 3: it refers to subject gone version 4, which the registry does not have"},
		{4, "", "", "schema id 4: it is AVRO and refers to subject json version 1, which is JSON"},
		{5, "", "JSON", ""},
		{6, "L", "AVRO", ""},
		{7, "", "", "schema id 7: references are nested deeper than 64"},
		{8, "", "", "schema id 8: more than 70 references"},
		{9, "", "", "schema id 9: it has more than 10000 bytes with its references"},
	}
	for _, tt := range tests {
		s, err := c.Schema(t.Context(), tt.id)
		if tt.err != "" {
			if b, ok := errors.AsType[*BrokenError](err); !ok || b.Error() != tt.err {
				t.Errorf("id %d: got %v, want %s", tt.id, err, tt.err)
			}
			continue
		}
		if err != nil || strings.Join(s.References, " ") != tt.texts || s.Type != tt.typ {
			t.Errorf("id %d: got %+v %v", tt.id, s, err)
		}
	}
	for _, r := range f.seen()[:4] {
		if strings.Count(strings.Join(f.seen(), " ")+" ", r+" ") != 1 {
			t.Errorf("%s was asked for more than once", r)
		}
	}
}

func many(n int) (refs []reference) {
	for i := range n {
		refs = append(refs, reference{Subject: fmt.Sprintf("many%d", i), Version: 1})
	}
	return refs
}

func TestTheNextURLIsTriedWhereOneFails(t *testing.T) {
	down := httptest.NewServer(nil)
	down.Close()
	busy := newFake(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) })
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) { give(w, answer{Schema: `"int"`}) })
	c := f.client(t, down.URL, busy.URL, f.URL)
	for id := range int32(3) {
		if _, err := c.Schema(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if len(busy.seen()) != 1 || len(f.seen()) != 3 || len(f.clock.slept) != 0 {
		t.Errorf("%d requests to the busy one, %d to the good one, slept %v", len(busy.seen()), len(f.seen()), f.clock.slept)
	}
}

func TestAURLWithOddAnswersIsLeft(t *testing.T) {
	portal := newFake(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>Sign in</html>") })
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) { give(w, answer{Schema: `"int"`}) })
	c := f.client(t, portal.URL, f.URL)
	for id := range int32(3) {
		if _, err := c.Schema(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if len(portal.seen()) != 1 || len(f.seen()) != 3 {
		t.Errorf("%d requests to the portal, %d to the registry", len(portal.seen()), len(f.seen()))
	}
}

func TestProbe(t *testing.T) {
	status := func(n int) http.HandlerFunc { return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(n) } }
	n := 0
	tests := []struct {
		name  string
		h     http.HandlerFunc
		login bool
		want  string // "" passes
		hint  string
	}{
		{"types", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `["AVRO"]`) }, true, "", ""},
		{"a registry without that path", status(404), true, "", ""},
		{"busy", status(429), true, "", ""},
		{"down for a moment", func(w http.ResponseWriter, r *http.Request) {
			if n++; n < 4 {
				w.WriteHeader(502)
			}
		}, true, "", ""},
		{"wrong password", func(w http.ResponseWriter, r *http.Request) { fail(w, 401, 401, "Unauthorized") }, true,
			"E3002 the schema registry URL refuses the login: status 401", "those of the Kafka cluster do not work"},
		{"no password", status(401), false, "E3002 the schema registry URL refuses the login: status 401", "give a login"},
		{"no right", status(403), true, "E3002 the schema registry URL refuses the login: status 403", "DeveloperRead"},
		{"broken", status(500), true, "E3001 the schema registry URL answers with an error", "wait until"},
		{"slow", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, true,
			"E3001 the schema registry URL does not answer", "curl"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t, tt.h)
			u, _ := url.Parse(f.URL)
			e := Endpoint{URL: *u, Name: f.URL}
			if tt.login {
				e.Login = secret.New("key:" + canary)
			}
			c := f.clientOf(t, Options{Endpoints: []Endpoint{e}, at: problem.Location{File: "p.yaml", Line: 4}})
			if strings.Contains(tt.name, "slow") {
				c.env.Timeout = 20 * time.Millisecond
			}
			err := c.Probe(t.Context())
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			p, ok := errors.AsType[*problem.Problem](err)
			if !ok || p.Exit() != problem.ExitUnavailable {
				t.Fatalf("got %v", err)
			}
			if got := strings.Replace(p.Error(), f.URL, "URL", 1); got != "p.yaml:4  "+tt.want || !strings.Contains(p.Hint, tt.hint) {
				t.Errorf("got %s, hint %s", got, p.Hint)
			}
			if n := len(f.clock.slept); n > probeAttempts-1 {
				t.Errorf("slept %d times", n)
			}
			if r := f.seen()[0]; r != "/schemas/types" {
				t.Errorf("asked for %s", r)
			}
		})
	}
}

func TestProbeSaysWhyARegistryIsNotReached(t *testing.T) {
	plainServer := newFake(t, func(w http.ResponseWriter, r *http.Request) {})
	tlsServer := httptest.NewUnstartedServer(http.NotFoundHandler())
	tlsServer.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	tlsServer.StartTLS()
	defer tlsServer.Close()
	down := httptest.NewServer(nil)
	down.Close()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	go func() {
		for {
			conn, err := other.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096)) // the request, so that this is its answer
			fmt.Fprint(conn, "SSH-2.0-OpenSSH_9.2\r\n")
			conn.Close()
		}
	}()
	tests := []struct{ name, url, hint, why string }{
		{"another service", "http://" + other.Addr().String(), "check the host and port", "malformed HTTP"},
		{"nobody listens", down.URL, "curl " + down.URL + "/schemas/types", "connection refused"},
		{"a certificate of nobody", tlsServer.URL, "schema.registry.ssl.truststore.location", "certificate"},
		{"http spoken as https", strings.Replace(plainServer.URL, "http:", "https:", 1), "write http://", "HTTP response to HTTPS client"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := plainServer.client(t, tt.url).Probe(t.Context())
			p, ok := errors.AsType[*problem.Problem](err)
			if !ok || p.Exit() != problem.ExitUnavailable || !strings.Contains(p.Hint, tt.hint) || !strings.Contains(p.Why, tt.why) {
				t.Errorf("got %#v", err)
			}
			if foreign := strings.Contains(tt.why, "HTTP"); foreign != (p.Code == problem.RegistryAnswer) {
				t.Errorf("code %s", p.Code)
			}
		})
	}
}

func TestATruststoreIsTrusted(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	f := newFake(t, nil)
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	u, _ := url.Parse(server.URL)
	c := f.clientOf(t, Options{Roots: roots, Endpoints: []Endpoint{{URL: *u, Name: server.URL}}})
	if err := c.Probe(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTheLoginIsSentAndNeverPrinted(t *testing.T) {
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "key" || password != canary {
			t.Errorf("login %s %s", user, password)
		}
		fail(w, 500, 500, "I am an echo: "+canary+" "+r.Header.Get("Authorization"))
	})
	o, problems := ParseOptions(section("schema.registry.url", "!"+strings.Replace(f.URL, "http://", "http://key:"+canary+"@", 1)), false)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	c := f.clientOf(t, o)
	f.clock.limit = 20
	_, err := c.Schema(t.Context(), 1)
	err = errors.Join(err, c.Probe(t.Context()))
	f.CloseClientConnections()
	f.Server.Close()
	down := c.Probe(t.Context())
	c.Close()
	all := f.log.String() + fmt.Sprintf("%v %#v %+v", err, o, o)
	for _, p := range append(problem.Of(err), problem.Of(down)...) {
		all += p.Error() + p.Why + p.Hint
	}
	host := strings.TrimPrefix(f.URL, "http://")
	for _, form := range []string{canary, "a2V5OmM0bmFyeS1wNHNzd29yZA", host} {
		// The options hold the address itself; what is printed for people must not.
		if strings.Contains(strings.ReplaceAll(all, fmt.Sprintf("%#v", o), ""), form) && form != host || strings.Contains(f.log.String(), form) {
			t.Errorf("found %s in %s", form, all)
		}
	}
	for _, p := range append(problem.Of(err), problem.Of(down)...) {
		if strings.Contains(p.Error()+p.Why+p.Hint, host) {
			t.Errorf("the secret URL is in %+v", p)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(200, "", `{"schema":"\"int\""}`)
	f.Add(200, "", `{"schema":"{}","schemaType":"JSON","references":[{"name":"a","subject":"b","version":1}]}`)
	f.Add(404, "", `{"error_code":40403,"message":"Schema 7 not found"}`)
	f.Add(503, "3", `<html>`)
	f.Add(302, "Wed, 21 Oct 2015 07:28:00 GMT", `[1,2]`)
	f.Fuzz(func(t *testing.T, status int, after, body string) {
		r := reply{status: status, body: []byte(body), scrub: new(secret.Scrubber)}
		if err := r.refusal(); err == nil || err.Error() == "" {
			t.Error("a refusal without words")
		}
		if r.notThere() && status != 404 {
			t.Error("only a 404 says that something is not there")
		}
		if d := retryAfter(after, time.Unix(0, 0)); d < 0 {
			t.Errorf("%q is %s", after, d)
		}
		if a, err := parseAnswer([]byte(body)); err == nil && a.Schema == "" {
			t.Error("an answer without a schema")
		}
	})
}

// panicking is a transport that stands for a fault of silt's own in the goroutine that asks.
type panicking struct{}

func (panicking) RoundTrip(*http.Request) (*http.Response, error) { panic("round trip") }

func TestAPanicIsTheErrorOfAllWhoWait(t *testing.T) {
	c := New(Options{Endpoints: []Endpoint{{URL: url.URL{Scheme: "http", Host: "registry.invalid"}}}}, Env{Transport: panicking{}})
	defer c.Close()
	for range 2 { // what panicked is not remembered
		_, err := c.Schema(t.Context(), 1)
		if ps := problem.Of(err); len(ps) != 1 || ps[0].Code != problem.Internal || !strings.Contains(ps[0].Message, "round trip") {
			t.Errorf("got %v", err)
		}
	}
}
