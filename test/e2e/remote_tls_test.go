//go:build e2e

package e2e

import (
	"crypto/tls"
	"io"
	"log"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/siltlake/silt/test/load"
	"github.com/siltlake/silt/test/parts"
)

// TestObjectStoresBehindTLS puts a certificate before each object store, of an authority that this machine does not know. silt refuses it,
// and with the authority in SSL_CERT_FILE (AWS_CA_BUNDLE where that is the custom) goes the whole way.
func TestObjectStoresBehindTLS(t *testing.T) {
	onEveryEmulator(t, func(t *testing.T, e *emulator) {
		variable := "SSL_CERT_FILE"
		if e.name == "versitygw" {
			variable = "AWS_CA_BUNDLE"
		}
		dir := t.TempDir()
		if err := parts.WriteTLS(dir); err != nil {
			t.Fatal(err)
		}
		f := newFixture(t, release)
		f.moveTo(e, secured(t, e, filepath.Join(dir, "server.pem")), f.topic)
		f.produce(t.Context(), load.Options{Records: 300})
		f.says(f.fails(69, "run", "-c", f.file()), "E5011 the store's certificate does not verify", "unknown authority")
		stdout, _ := f.run(1, "doctor", "-c", f.file())
		f.says(stdout, "an authority that this machine does not trust: CN=silt test authority (E5011) -> name the authority's PEM file in "+variable)

		t.Setenv(variable, filepath.Join(dir, "ca.pem"))
		stdout, _ = f.run(0, "doctor", "-c", f.file())
		f.says(stdout, "TLS 1.3, certificate valid until")
		f.runOnce()
		f.checkComplete()
	})
}

// secured starts a server before an emulator that speaks TLS, with the certificate of a file, and returns its URL.
func secured(t *testing.T, e *emulator, certificate string) string {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(certificate, certificate)
	if err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(e.url)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // it is signed
	}})
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail, as they should
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}
