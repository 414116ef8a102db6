package cloud

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRedirectsToOtherHostsAreNotFollowed(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the other host was asked") }))
	defer other.Close()
	var there *httptest.Server
	there = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		case "/here":
			http.Redirect(w, r, there.URL+"/end", http.StatusTemporaryRedirect)
		case "/circle":
			http.Redirect(w, r, "/circle", http.StatusTemporaryRedirect)
		}
	}))
	defer there.Close()
	transport := newTransport()
	defer transport.CloseIdleConnections()
	for _, tt := range []struct{ path, want string }{
		{"/here", ""}, // its own host may
		{"/away", "which is not followed"},
		{"/circle", "again and again"},
	} {
		answer, err := newClient(transport).Get(there.URL + tt.path)
		if err == nil {
			_ = answer.Body.Close()
		}
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.path, err, tt.want)
		}
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	old := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11}
	old.Config.ErrorLog = log.New(io.Discard, "", 0)
	old.StartTLS()
	defer old.Close()
	transport := newTransport()
	transport.TLSClientConfig.InsecureSkipVerify = true
	if answer, err := newClient(transport).Get(old.URL); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("got %v, %v, want that the protocol's version is refused", answer, err)
	}
}
