package cloud

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"syscall"
	"testing"
	"time"
)

func TestUnansweredKnowsWhatWasNeverSent(t *testing.T) {
	wrap := func(err error) error {
		return fmt.Errorf("put: %w", &url.Error{Op: "Put", URL: "https://host/key", Err: err})
	}
	for _, test := range []struct {
		err  error
		want kind
	}{
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, refused},                                            // nothing listens
		{&net.OpError{Op: "dial", Err: &net.DNSError{}}, refused},                                                 // no such host
		{&net.DNSError{IsTimeout: true}, refused},                                                                 // the name server does not answer
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, transient},                                            // cut after the request
		{&net.OpError{Op: "write", Err: syscall.EPIPE}, transient},                                                // cut while sending: the rest may have come all the same
		{io.ErrUnexpectedEOF, transient},                                                                          // half an answer
		{context.DeadlineExceeded, transient},                                                                     // no answer in time
		{&tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{}}}, unsafeTLS}, // another host's
	} {
		if got := unanswered(wrap(test.err)); got.kind != test.want {
			t.Errorf("%v: got %v, want %v", test.err, got.kind, test.want)
		}
	}
}

// TestUnansweredKnowsAnUntrustedServer asks a server whose certificate nobody signed.
func TestUnansweredKnowsAnUntrustedServer(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	client := http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	res, err := client.Get(srv.URL)
	if err == nil {
		res.Body.Close()
		t.Fatal("the certificate was accepted")
	}
	if got := unanswered(err); got.kind != unsafeTLS {
		t.Errorf("%v: got %v, want unsafeTLS", err, got.kind)
	}
	if got := unanswered(errors.New("anything")); got.kind != transient {
		t.Errorf("got %v, want transient", got.kind)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		text string
		want time.Duration
	}{
		{"", 0},
		{"5", 5 * time.Second},
		{" 120 ", 2 * time.Minute},
		{"Thu, 26 Nov 2026 12:00:30 GMT", 30 * time.Second},
		{"Thu, 26 Nov 2026 11:00:30 GMT", 0}, // in the past
		{"-5", 0},
		{"soon", 0},
		{"99999999999999999999", 0},
	} {
		h := http.Header{}
		h.Set("Retry-After", test.text)
		if got := retryAfter(h, now); got != test.want {
			t.Errorf("%q: got %v, want %v", test.text, got, test.want)
		}
	}
}

func FuzzContentRange(f *testing.F) {
	for _, seed := range []string{"bytes 0-9/100", "bytes */100", "bytes 5-/x", "", "bytes -1-2/3", "items 0-1/2", "bytes 99999999999999999999-/1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		from, size, ok := contentRange(text)
		again := fmt.Sprintf("bytes %d-%d/%d", from, size, size)
		if f, s, k := contentRange(again); f != from || s != size || !k || from < 0 || !ok && (from != 0 || size != 0) {
			t.Errorf("%q: got %d, %d, %v", text, from, size, ok)
		}
	})
}
