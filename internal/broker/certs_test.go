package broker

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/problem"
)

func TestCertificatesAreKeptAndRenewedBeforeTheyEnd(t *testing.T) {
	dir := t.TempDir()
	clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := func() time.Time { return clock }
	open := func(host string) *certificates {
		t.Helper()
		c, err := openCertificates(dir, host, now)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	leaf := func(c *certificates) *x509.Certificate {
		t.Helper()
		cert, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return cert.Leaf
	}
	first := open("127.0.0.1")
	for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
		roots := x509.NewCertPool()
		roots.AddCert(first.ca)
		if _, err := leaf(first).Verify(x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: clock}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if again := open("127.0.0.1"); !leaf(again).Equal(leaf(first)) || !again.ca.Equal(first.ca) {
		t.Error("another start made other certificates")
	}
	if other := open("192.0.2.1"); leaf(other).VerifyHostname("192.0.2.1") != nil || !other.ca.Equal(first.ca) {
		t.Error("the certificate is not for the address that the broker listens on")
	}
	// 61 days later less than 30 of 90 are left: a broker that runs renews it, and so does a start.
	clock = clock.AddDate(0, 0, 61)
	renewed := leaf(first)
	if !renewed.NotAfter.After(clock.AddDate(0, 0, 80)) {
		t.Errorf("ends %v, at %v", renewed.NotAfter, clock)
	}
	if !leaf(open("127.0.0.1")).Equal(renewed) {
		t.Error("the renewed certificate was not kept")
	}
	// The authority lasts longer than that; in its last year a start makes another one.
	clock = clock.AddDate(9, 0, 0)
	if open("127.0.0.1").ca.Equal(first.ca) {
		t.Error("an authority near its end was kept")
	}
}

func TestAuthoritiesThatCannotBeReadAreNotReplacedSilently(t *testing.T) {
	dir := t.TempDir()
	if _, err := openCertificates(dir, "127.0.0.1", time.Now); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, caFile), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openCertificates(dir, "127.0.0.1", time.Now); !hasCode(err, problem.CorruptState) {
		t.Errorf("got %v, want %s", err, problem.CorruptState)
	}
}
