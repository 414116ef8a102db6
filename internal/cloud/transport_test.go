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

func TestARedirectIsTheAnswer(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the other host was asked") }))
	defer other.Close()
	asked := 0
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, map[string]string{"/away": other.URL, "/here": "/"}[r.URL.Path], http.StatusTemporaryRedirect)
	}))
	defer there.Close()
	transport := newTransport()
	defer transport.CloseIdleConnections()
	for i, path := range []string{"/away", "/here"} {
		answer, err := newClient(transport).Get(there.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Error(err)
		}
		if answer.StatusCode != http.StatusTemporaryRedirect || asked != i+1 {
			t.Errorf("%s: got status %d after %d requests, want the redirect after %d", path, answer.StatusCode, asked, i+1)
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
