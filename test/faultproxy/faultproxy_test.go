package faultproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A shelf is a server that keeps what is put, and how often.
type shelf struct {
	mu   sync.Mutex
	puts map[string]int
	host string
	seen http.Header
	body map[string][]byte
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.host, s.seen = r.Host, r.Header
	switch {
	case err != nil:
		return // the client is gone, nothing was applied
	case r.Method == http.MethodPut:
		s.puts[r.RequestURI]++
		s.body[r.RequestURI] = body
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodPost:
		w.Header().Set("Location", "http://"+r.Context().Value(http.LocalAddrContextKey).(fmt.Stringer).String()+"/session?id=1")
		w.WriteHeader(http.StatusOK)
	case strings.Contains(r.RequestURI, "chunked"):
		_, _ = io.WriteString(w, strings.Repeat("c", 100))
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, strings.Repeat("d", 100))
	default:
		_, _ = w.Write(s.body[r.RequestURI])
	}
}

func (s *shelf) count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.puts[path]
}

// newShelf gives a server, a proxy before it, and a client that does not retry.
func newShelf(t *testing.T) (*shelf, *Proxy, *http.Client) {
	t.Helper()
	s := &shelf{puts: map[string]int{}, body: map[string][]byte{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	p, err := Start(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	// On a connection that was used before, Go's client sends a GET again by itself.
	transport := &http.Transport{DisableKeepAlives: true}
	return s, p, &http.Client{Transport: transport}
}

// send sends one request and returns the status and the body, as far as it came.
func send(t *testing.T, c *http.Client, method, url string, body string) (int, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(got), err
}

func TestRequestsPassAsTheyAre(t *testing.T) {
	s, p, c := newShelf(t)
	const path = "/account/c%20d/a%2Fb%2B?comp=block&x=a%2Bb&flag"
	r, err := http.NewRequest(http.MethodPut, p.URL+path, bytes.NewReader(bytes.Repeat([]byte("x"), 5<<20)))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "signed.example:99"
	r.Header.Set("X-Amz-Date", "today")
	r.Header.Set("User-Agent", "")
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusCreated || s.count(path) != 1 || len(s.body[path]) != 5<<20 {
		t.Errorf("status %d, %d puts of %s; all: %v", answer.StatusCode, s.count(path), path, s.puts)
	}
	if s.host != "signed.example:99" || s.seen.Get("X-Amz-Date") != "today" || s.seen.Values("User-Agent") != nil {
		t.Errorf("host %q and headers %v", s.host, s.seen)
	}
	want := []Record{{Request{1, http.MethodPut, path}, Fault{}, http.StatusCreated}}
	if got := p.Records(); !slices.Equal(got, want) {
		t.Errorf("records %v, want %v", got, want)
	}
}

func TestAddressesOfTheStoreBecomeTheProxys(t *testing.T) {
	_, p, c := newShelf(t)
	answer, err := c.Post(p.URL+"/upload", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if got, want := answer.Header.Get("Location"), p.URL+"/session?id=1"; got != want {
		t.Errorf("location %s, want %s", got, want)
	}
}

// What a client sees of each fault, and what the store did.
func TestFaults(t *testing.T) {
	const whole = "0123456789abcdef"
	isReset := func(err error) bool { return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) }
	isTimeout := func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }
	none := func(err error) bool { return err == nil }
	tests := map[string]struct {
		fault  Fault
		method string
		path   string
		status int
		body   string
		err    func(error) bool
		puts   int // in the end
	}{
		"refused":             {Fault{Kind: Refuse, Status: 503}, "PUT", "/o", 503, "", none, 0},
		"reset":               {Fault{Kind: Reset}, "PUT", "/o", 0, "", isReset, 0},
		"applied and cut":     {Fault{Kind: Cut}, "PUT", "/o", 0, "", isReset, 1},
		"a get cut":           {Fault{Kind: Cut}, "GET", "/have", 0, "", isReset, 0},
		"applied late":        {Fault{Kind: Late, After: 20 * time.Millisecond}, "PUT", "/o", 0, "", isReset, 1},
		"slow without a body": {Fault{Kind: Slow, After: 20 * time.Millisecond}, "PUT", "/o", 201, "", none, 1},
		"slow":                {Fault{Kind: Slow, After: 20 * time.Millisecond}, "GET", "/have", 200, whole, none, 0},
		"slow in chunks": {Fault{Kind: Slow, After: 20 * time.Millisecond}, "GET", "/chunked", 200,
			strings.Repeat("c", 100) + strings.Repeat("d", 100), none, 0},
		"no answer":          {Fault{Kind: Stall}, "PUT", "/o", 0, "", isTimeout, 1},
		"stalled":            {Fault{Kind: Stall}, "GET", "/have", 200, whole[:8], isTimeout, 0},
		"short without body": {Fault{Kind: Short}, "PUT", "/o", 0, "", isReset, 1},
		"short": {Fault{Kind: Short}, "GET", "/have", 200, whole[:8], func(err error) bool {
			return isReset(err) || errors.Is(err, io.ErrUnexpectedEOF)
		}, 0},
		"short in chunks": {Fault{Kind: Short}, "GET", "/chunked", 200, strings.Repeat("c", 16), func(err error) bool {
			return isReset(err) || errors.Is(err, io.ErrUnexpectedEOF)
		}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, p, c := newShelf(t)
			if _, _, err := send(t, c, "PUT", p.URL+"/have", whole); err != nil {
				t.Fatal(err)
			}
			p.Plan(Nth(2, test.fault))
			status, body, err := send(t, c, test.method, p.URL+test.path, "")
			if status != test.status || !test.err(err) {
				t.Errorf("status %d, %v", status, err)
			}
			// A reset may overtake the bytes before it.
			if err == nil && body != test.body || !strings.HasPrefix(test.body, body) {
				t.Errorf("body %q, want %q", body, test.body)
			}
			for deadline := time.Now().Add(5 * time.Second); s.count("/o") < test.puts; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the request was not applied")
				}
			}
			if n := s.count("/o"); n != test.puts {
				t.Errorf("applied %d times, want %d", n, test.puts)
			}
			if status, _, err := send(t, c, "PUT", p.URL+"/after", ""); status != 201 {
				t.Errorf("the request after it: status %d, %v", status, err)
			}
			if got := p.Records(); len(got) != 3 || got[1].Fault != test.fault {
				t.Errorf("records %v", got)
			}
		})
	}
}

func TestRetryAfterIsInSeconds(t *testing.T) {
	_, p, c := newShelf(t)
	p.Plan(Nth(1, Fault{Kind: Refuse, Status: 429, After: 2 * time.Second}))
	answer, err := c.Get(p.URL + "/o")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if got := answer.Header.Get("Retry-After"); answer.StatusCode != 429 || got != "2" {
		t.Errorf("status %d, Retry-After %q", answer.StatusCode, got)
	}
}

// A client that gives up before the request is applied does not undo a cut.
func TestACutRequestIsAppliedThoughTheClientGaveUp(t *testing.T) {
	held := make(chan struct{})
	applied := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-held
		close(applied)
	}))
	defer server.Close()
	p, err := Start(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.Plan(Nth(1, Fault{Kind: Cut}))
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	if _, _, err := send(t, &http.Client{Transport: transport}, "GET", p.URL+"/", ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	close(held)
	<-applied
}

func TestAStoreThatIsAwayIsAReset(t *testing.T) {
	s, p, c := newShelf(t)
	u, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	gone, err := Start("http://" + u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	gone.target.Host = "127.0.0.1:1"
	if _, _, err := send(t, c, "PUT", gone.URL+"/o", ""); err == nil || s.count("/o") != 0 {
		t.Errorf("%v, %d puts", err, s.count("/o"))
	}
}

func TestAStormIsItsSeeds(t *testing.T) {
	run := func(seed uint64) []Fault {
		plan, faults := Storm(seed, 0.5, Weather()), []Fault{}
		for n := range 1000 {
			faults = append(faults, plan(Request{N: n + 1}))
		}
		return faults
	}
	first := run(1)
	if !slices.Equal(first, run(1)) || slices.Equal(first, run(2)) {
		t.Error("two storms of one seed differ, or two of different seeds do not")
	}
	kinds := map[Kind]int{}
	for _, f := range first {
		kinds[f.Kind]++
	}
	if kinds[Pass] < 400 || kinds[Pass] > 600 || len(kinds) != len(kindNames) {
		t.Errorf("half of 1000 requests shall meet all faults: %v", kinds)
	}
}

func TestOnlyARootIsATarget(t *testing.T) {
	for _, target := range []string{"https://127.0.0.1:1", "127.0.0.1:1", "http://127.0.0.1:1/account", "http://", ":"} {
		if p, err := Start(target); err == nil {
			t.Errorf("%s is taken", target)
			p.Close()
		}
	}
}
