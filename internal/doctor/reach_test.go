package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/problem"
)

// now is when the tests take place.
var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// certificate returns one for localhost that signs itself.
func certificate(t *testing.T, from, to time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, DNSNames: []string{"localhost"},
		NotBefore: from, NotAfter: to, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// serve accepts connections until the test ends; with a certificate it shakes hands.
func serve(t *testing.T, cert *tls.Certificate) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				if cert == nil {
					_, _ = c.Read(make([]byte, 16))
					_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
					return
				}
				_ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*cert}}).Handshake()
			}()
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

func world() World {
	return World{
		Lookup: func(_ context.Context, host string) ([]string, error) {
			if host != "localhost" {
				return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
			}
			return []string{"127.0.0.1"}, nil
		},
		Now: func() time.Time { return now },
	}
}

func TestReachSaysWhichStepFailsAndWhatToDo(t *testing.T) {
	year := 365 * 24 * time.Hour
	good, goodRoots := certificate(t, now.Add(-year), now.Add(year))
	old, oldRoots := certificate(t, now.Add(-year), now.Add(-time.Hour))
	young, youngRoots := certificate(t, now.Add(time.Hour), now.Add(year))
	short, shortRoots := certificate(t, now.Add(-year), now.Add(10*24*time.Hour))
	closed := serve(t, nil)
	tests := []struct {
		name string
		e    Endpoint
		want []string // a line a step: status, and what the detail or the fix holds
	}{
		{"all is well", Endpoint{Host: "localhost", Port: serve(t, &good), TLS: true, Roots: goodRoots},
			[]string{"dns ok 127.0.0.1", "tcp ok connected in", "tls ok certificate valid until 2027-11-26"}},
		{"no such name: the rest is skipped", Endpoint{Host: "nowhere.example", Port: "1", TLS: true},
			[]string{"dns failed no such host", "tcp skipped dns failed", "tls skipped dns failed"}},
		{"nothing listens", Endpoint{Host: "127.0.0.1", Port: freePort(t), TLS: true, Option: "kafka.bootstrap.servers"},
			[]string{"dns ok nothing to resolve", "tcp failed nothing listens there: check host and port in kafka.bootstrap.servers", "tls skipped tcp failed"}},
		{"plaintext where TLS is wanted", Endpoint{Host: "localhost", Port: closed, TLS: true},
			[]string{"dns ok", "tcp ok", "tls failed does not speak TLS"}},
		{"an unknown authority", Endpoint{Host: "localhost", Port: serve(t, &good), TLS: true, Roots: oldRoots, Trust: "kafka.ssl.truststore.location"},
			[]string{"dns ok", "tcp ok", "tls failed name the authority's PEM file in kafka.ssl.truststore.location"}},
		{"the certificate ended", Endpoint{Host: "localhost", Port: serve(t, &old), TLS: true, Roots: oldRoots},
			[]string{"dns ok", "tcp ok", "tls failed the certificate ended on 2026-11-26"}},
		{"the certificate has not begun: the clock", Endpoint{Host: "localhost", Port: serve(t, &young), TLS: true, Roots: youngRoots},
			[]string{"dns ok", "tcp ok", "tls failed set this machine's clock right"}},
		{"the certificate ends soon", Endpoint{Host: "localhost", Port: serve(t, &short), TLS: true, Roots: shortRoots},
			[]string{"dns ok", "tcp ok", "tls warning it ends in 10 days"}},
		{"another host's certificate", Endpoint{Host: "127.0.0.1", Port: serve(t, &good), TLS: true, Roots: goodRoots},
			[]string{"dns ok", "tcp ok", "tls failed not for 127.0.0.1, but for localhost"}},
		{"another host's certificate that nobody compares", Endpoint{Host: "127.0.0.1", Port: serve(t, &good), TLS: true, Roots: goodRoots, AnyHost: true},
			[]string{"dns ok", "tcp ok", "tls ok"}},
		{"plaintext has no third step", Endpoint{Host: "localhost", Port: closed}, []string{"dns ok", "tcp ok"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Reach(t.Context(), tt.e, world())
			if len(got) != len(tt.want) {
				t.Fatalf("got %d findings, want %d: %+v", len(got), len(tt.want), got)
			}
			for i, f := range got {
				check, rest, _ := strings.Cut(tt.want[i], " ")
				status, text, _ := strings.Cut(rest, " ")
				if f.Check != check || f.Status.String() != status || !strings.Contains(f.Detail+" "+f.Fix, text) {
					t.Errorf("got %+v, want %s", f, tt.want[i])
				}
				if f.Status == Failed && f.Fix == "" {
					t.Errorf("%+v does not say what to do", f)
				}
			}
		})
	}
}

// freePort returns a port on which nothing listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func TestSkewAllowsForTheWayAndWarnsBeforeLoginsFail(t *testing.T) {
	tests := []struct {
		name string
		off  time.Duration // this machine's clock minus the peer's
		took time.Duration
		want Status
		text string
	}{
		{"equal", 0, 20 * time.Millisecond, OK, "agrees"},
		{"less than a slow answer can tell", 9 * time.Second, 10 * time.Second, OK, "agrees"},
		{"a little ahead", 20 * time.Second, 0, OK, "20s ahead"},
		{"behind", -2 * time.Minute, 0, Warning, "2m0s behind"},
		{"so far that signatures are refused", 15 * time.Minute, 0, Failed, "15m0s ahead"},
	}
	for _, tt := range tests {
		sent := now.Add(tt.off)
		f := Skew("registry", now.Add(tt.took/2), sent, sent.Add(tt.took))
		if f.Status != tt.want || !strings.Contains(f.Detail, tt.text) || (f.Fix == "") != (f.Status == OK) {
			t.Errorf("%s: got %+v", tt.name, f)
		}
	}
}

func TestClockReadsTheDateOfAnyAnswer(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = []string{now.Format(http.TimeFormat)}
		if r.URL.Path == "/none" {
			w.Header()["Date"] = nil
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer s.Close()
	clock := func() time.Time { return now.Add(time.Minute) }
	if f, ok := Clock(t.Context(), s.Client(), s.URL, "the store", clock); !ok || f.Status != Warning || f.Subject != "the store" {
		t.Errorf("got %+v, %v", f, ok)
	}
	if f, ok := Clock(t.Context(), s.Client(), s.URL+"/none", "the store", clock); ok {
		t.Errorf("without a Date: got %+v", f)
	}
}

func TestWrongKeepsCodeAndHintOfAProblem(t *testing.T) {
	p := problem.New(problem.BrokerLogin, "broker b:1 refused the login").Because(errors.New("bad password")).Fix("check the key")
	want := Finding{Check: "login", Status: Failed, Subject: "b:1", Detail: "broker b:1 refused the login: bad password", Code: "E2003",
		Fix: "check the key"}
	if got := Wrong("login", "b:1", p); got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if Healthy([]Finding{{Status: Warning}, {Status: Skipped}}) != true || Healthy([]Finding{want}) {
		t.Error("warnings are healthy, failures are not")
	}
}
