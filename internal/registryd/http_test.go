package registryd

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/httpd"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

func TestTheAnswersMediaTypeIsTheClients(t *testing.T) {
	const v1, v0, plain = "application/vnd.schemaregistry.v1+json", "application/vnd.schemaregistry+json", "application/json"
	r := open(t, &memJournal{}, Options{})
	tests := []struct {
		accept, want string
		status       int
	}{
		{"", v1, 200},
		{"*/*", v1, 200},    // curl
		{plain, plain, 200}, // kafbat
		{"application/*;q=0.1, " + plain, plain, 200},
		{v1 + ", " + v0 + ", " + plain, v1, 200},   // Confluent's clients
		{v1 + ";q=0.1, " + v0 + ";q=0.9", v0, 200}, // by quality
		{"text/html", plain, 406},                  // a browser that wants nothing else
		{"text/html, */*;q=0.8", v1, 200},          // a browser
		{v1 + ";q=0, */*", v0, 200},                // refused by name
		{"nonsense;;;", plain, 406},
	}
	for _, tt := range tests {
		req := httptest.NewRequest("GET", "http://localhost/subjects", nil)
		if tt.accept != "" {
			req.Header.Set("Accept", tt.accept)
		}
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		if got := w.Header().Get("Content-Type"); got != tt.want || w.Code != tt.status {
			t.Errorf("Accept %q: got %d %s, want %d %s", tt.accept, w.Code, got, tt.status, tt.want)
		}
	}
}

func TestBodiesAreOfTheAPIsMediaTypes(t *testing.T) {
	r := open(t, &memJournal{}, Options{})
	for media, want := range map[string]int{
		"": 200, "application/json": 200, "application/json; charset=utf-8": 200, "application/vnd.schemaregistry.v1+json": 200,
		"application/vnd.schemaregistry+json": 200, "application/octet-stream": 200, "text/plain": 415, "application/x-www-form-urlencoded": 415, ";": 415,
	} {
		if status, text := send(t, r, "POST", "/subjects/s/versions", body(`"int"`), "Content-Type", media); status != want {
			t.Errorf("%q: %d %s", media, status, text)
		}
	}
}

func TestEveryRequestNeedsALogin(t *testing.T) {
	r := open(t, &memJournal{}, Options{Logins: []httpd.Login{
		{Key: secret.New("KEY1"), Secret: secret.New("secret1")}, {Key: secret.New("KEY2"), Secret: secret.New("secret2")},
	}})
	tests := []struct {
		key, secret string
		want        int
	}{
		{"KEY1", "secret1", 200},
		{"KEY2", "secret2", 200},
		{"KEY1", "secret2", 401}, // of another key
		{"KEY1", "", 401},
		{"", "", 401},
		{"KEY1s", "ecret1", 401}, // the same when put together
	}
	for _, tt := range tests {
		req := httptest.NewRequest("GET", "http://registry.example/schemas/types", nil)
		req.SetBasicAuth(tt.key, tt.secret)
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		if w.Code != tt.want {
			t.Errorf("%s:%s: got %d, want %d", tt.key, tt.secret, w.Code, tt.want)
		}
		if w.Code == 401 && (w.Body.String() != `{"error_code":401,"message":"Unauthorized"}` || w.Header().Get("WWW-Authenticate") == "") {
			t.Errorf("got %s, %v", w.Body, w.Header())
		}
	}
	if status, _ := send(t, r, "GET", "/nope", ""); status != 401 {
		t.Errorf("a path that is not there: %d", status)
	}
}

func TestPagesOfOtherSitesAreRefused(t *testing.T) {
	r := open(t, &memJournal{}, Options{})
	tests := []struct {
		method, host string
		header       []string
		want         int
	}{
		{"GET", "127.0.0.1:8081", nil, 200},
		{"GET", "[::1]:8081", nil, 200},
		{"GET", "localhost", nil, 200},
		{"GET", "evil.example", nil, 403},     // a name that was given this host's address
		{"GET", "127.evil.example", nil, 403}, // a prefix is no address
		{"DELETE", "127.0.0.1:8081", []string{"Origin", "http://evil.example"}, 403},
		{"DELETE", "127.0.0.1:8081", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"DELETE", "127.0.0.1:8081", []string{"Origin", "http://127.0.0.1:8081"}, 404}, // no such subject, but allowed
	}
	for _, tt := range tests {
		req := httptest.NewRequest(tt.method, "/subjects", nil)
		if tt.method == "DELETE" {
			req = httptest.NewRequest(tt.method, "/subjects/s", nil)
		}
		req.Host = tt.host
		for i := 0; i < len(tt.header); i += 2 {
			req.Header.Set(tt.header[i], tt.header[i+1])
		}
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		if w.Code != tt.want {
			t.Errorf("%s %s %v: got %d, want %d", tt.method, tt.host, tt.header, w.Code, tt.want)
		}
	}
}

func TestLimitsAreAnsweredClearly(t *testing.T) {
	r := open(t, &memJournal{}, Options{})
	nested := func(n int) string {
		return strings.Repeat(`{"type":"array","items":`, n) + `"int"` + strings.Repeat("}", n)
	}
	tests := []struct {
		why, method, path, body string
		status                  int
		contains                string
	}{
		{"a body larger than the limit", "POST", "/subjects/s/versions", strings.Repeat(" ", maxBody+1), 422, "42209"},
		{"a schema larger than the limit", "POST", "/subjects/s/versions", body(`{"type":"string","p":"` + strings.Repeat("x", 2<<20) + `"}`), 422, "bytes, more than"},
		{"a schema as deep as may be", "POST", "/subjects/s/versions", body(nested(200)), 200, `"id":1`},
		{"a deeper schema", "POST", "/subjects/s/versions", body(nested(201)), 422, "deeper"},
		{"a body that nests", "POST", "/subjects/s/versions", strings.Repeat("[", 1<<20), 400, "deeper"},
		{"a subject's name", "GET", "/subjects/" + strings.Repeat("s", 2000) + "/versions", "", 404, "40401"},
		{"a new subject's name", "POST", "/subjects/" + strings.Repeat("s", 2000) + "/versions", body(`"int"`), 422, "42208"},
		{"a type's name", "POST", "/subjects/s/versions", body(`{"type":"fixed","size":1,"name":"` + strings.Repeat("n", 2000) + `"}`), 422, "a name of 2000 bytes"},
		{"references", "POST", "/subjects/s/versions", body(`"int"`, `"references":[`+strings.Repeat(`{},`, 1001)+`{}]`), 422, "1002 references"},
		{"a query", "GET", "/subjects?" + strings.Repeat("x", 20_000), "", 414, "414"},
		{"a number", "POST", "/subjects/s/versions", body(`{"type":"string","p":` + strings.Repeat("9", 2000) + `}`), 422, "digits"},
	}
	for _, tt := range tests {
		status, text := send(t, r, tt.method, tt.path, tt.body)
		if status != tt.status || !strings.Contains(text, tt.contains) {
			t.Errorf("%s: got %d %.300s, want %d with %s", tt.why, status, text, tt.status, tt.contains)
		}
	}
}

func TestLongChainsOfReferencesEnd(t *testing.T) {
	r := open(t, &memJournal{}, Options{})
	mustRegister(t, r, "s0", body(`{"type":"fixed","name":"F0","size":1}`))
	for i := 1; ; i++ {
		status, text := send(t, r, "POST", fmt.Sprintf("/subjects/s%d/versions", i),
			body(fmt.Sprintf(`{"type":"record","name":"F%d","fields":[{"name":"f","type":"F%d"}]}`, i, i-1),
				fmt.Sprintf(`"references":[{"name":"F","subject":"s%d","version":1}]`, i-1)))
		if status != 200 {
			if i != maxReferenceDepth+1 || status != 422 || !strings.Contains(text, "deeper") {
				t.Errorf("schema %d: %d %s", i, status, text)
			}
			return
		}
	}
}

// certificate makes one for 127.0.0.1.
func certificate(t *testing.T) (*tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// serve runs a registry until the test ends and returns its address.
func serve(t *testing.T, r *Registry) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := r.Serve(ctx, l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
	return l.Addr().String()
}

func TestServeSpeaksHTTPSWithACertificate(t *testing.T) {
	cert, roots := certificate(t)
	addr := serve(t, open(t, &memJournal{}, Options{Certificate: cert}))
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer c.CloseIdleConnections()
	resp, err := c.Get("https://" + addr + "/subjects")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); string(text) != "[]" || resp.TLS.Version < tls.VersionTLS12 {
		t.Errorf("got %s", text)
	}
}

func TestServeSurvivesWhatIsNoHTTP(t *testing.T) {
	addr := serve(t, open(t, &memJournal{}, Options{}))
	for _, garbage := range []string{
		"\x00\x00\x00\x12\x00\x12",                     // Kafka's
		"\x16\x03\x01\x02\x00\x01",                     // TLS
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", // two hosts
		"POST /subjects/s/versions HTTP/1.1\r\n",       // half a request
	} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, garbage)
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /subjects HTTP/1.0\r\nHost: localhost\r\n\r\n")
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Errorf("%q, %v", line, err)
	}
}

// An outside listener says that it listens everywhere.
type outside struct{ net.Listener }

func (outside) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero, Port: 8081} }

func TestServeRefusesToListenBeyondLoopbackInTheOpen(t *testing.T) {
	cert, _ := certificate(t)
	logins := []httpd.Login{{Key: secret.New("KEY"), Secret: secret.New("s")}}
	for why, tt := range map[string]struct {
		o  Options
		ok bool
	}{
		"neither logins nor TLS": {Options{}, false},
		"no TLS":                 {Options{Logins: logins}, false},
		"no logins":              {Options{Certificate: cert}, false},
		"both":                   {Options{Logins: logins, Certificate: cert}, true},
		"told to":                {Options{Insecure: true}, true},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		err = open(t, &memJournal{}, tt.o).Serve(ctx, outside{l})
		if p, refused := errors.AsType[*problem.Problem](err); tt.ok && err != nil || !tt.ok && (!refused || p.Code != problem.Insecure) {
			t.Errorf("%s: got %v", why, err)
		}
		if l.Close() == nil {
			t.Errorf("%s: the listener was left open", why)
		}
	}
}

func TestManyClientsAtOnce(t *testing.T) {
	r := open(t, &memJournal{}, Options{})
	var all sync.WaitGroup
	ids := make([]int, 40)
	for i := range ids {
		all.Go(func() {
			schema := fmt.Sprintf(`{"type":"fixed","name":"F%d","size":1,"aliases":["F0","F1","F2","F3","F4","F5","F6","F7","F8","F9"]}`, i%10)
			ids[i] = mustRegister(t, r, fmt.Sprintf("s%d", i%4), body(schema))
			send(t, r, "GET", "/schemas", "")
		})
	}
	all.Wait()
	seen := map[int]int{}
	for i, id := range ids {
		if k, ok := seen[id]; ok && k != i%10 {
			t.Errorf("id %d has two meanings", id)
		}
		seen[id] = i % 10
	}
	if len(seen) != 10 {
		t.Errorf("%d ids for 10 schemas", len(seen))
	}
}

func TestAFailedAppendIsAnsweredAndFoundOut(t *testing.T) {
	lost := errors.New("no broker")
	for _, written := range []bool{false, true} {
		t.Run(fmt.Sprintf("written %v", written), func(t *testing.T) {
			j := &memJournal{}
			r := open(t, j, Options{})
			mustRegister(t, r, "s", body(`"int"`))
			j.fault = func(context.Context, []Record) (bool, error) { return written, lost }
			if status, text := send(t, r, "POST", "/subjects/s/versions", body(`"long"`)); status != 500 || !strings.Contains(text, "50001") {
				t.Fatalf("%d %s", status, text)
			}
			if _, text := send(t, r, "GET", "/subjects/s/versions", ""); text != "[1]" {
				t.Errorf("seen though nobody knows that it is written: %s", text)
			}
			j.fault = nil
			if id := mustRegister(t, r, "s", body(`"long"`)); id != 2 {
				t.Errorf("got id %d", id)
			}
			var records []Record
			if _, err := j.Replay(context.Background(), 0, func(r Record) error { records = append(records, r); return nil }); err != nil || len(records) != 2 {
				t.Errorf("%d records, %v", len(records), err)
			}
		})
	}
}

func TestCloseGivesUpAWriteThatHangs(t *testing.T) {
	j := &memJournal{}
	r := open(t, j, Options{})
	begun := make(chan struct{})
	j.fault = func(ctx context.Context, _ []Record) (bool, error) {
		close(begun)
		<-ctx.Done()
		return false, ctx.Err()
	}
	var call sync.WaitGroup
	call.Go(func() {
		if status, _ := send(t, r, "POST", "/subjects/s/versions", body(`"int"`)); status != 500 {
			t.Errorf("got %d", status)
		}
	})
	<-begun
	r.Close()
	call.Wait()
	if status, text := send(t, r, "POST", "/subjects/s/versions", body(`"int"`)); status != 500 {
		t.Errorf("after Close: %d %s", status, text)
	}
}

func TestLargeListsAreJSON(t *testing.T) {
	r := open(t, &memJournal{}, Options{})
	for i := range 50 {
		mustRegister(t, r, fmt.Sprintf("s%d", i), body(`{"type":"string","p":"<&>"}`))
	}
	_, text := send(t, r, "GET", "/schemas", "")
	var got []schemaAnswer
	if err := json.Unmarshal([]byte(text), &got); err != nil || len(got) != 50 || !strings.Contains(text, "<&>") {
		t.Errorf("%d, %v, %.100s", len(got), err, text)
	}
}
