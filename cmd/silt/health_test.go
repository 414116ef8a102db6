package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/secret"
)

func TestHealthSaysWhatTheQueryWaitsForAndNoSecret(t *testing.T) {
	scrubber := new(secret.Scrubber)
	scrubber.Add(secret.New("canary-value"))
	h := &health{secrets: scrubber, why: "it has not started yet"}
	s := httptest.NewServer(h.handler())
	defer s.Close()
	tests := []struct {
		name, path string
		ready      bool
		why        string
		status     int
		body       string
	}{
		{"a query that starts is alive", "/livez", false, "it starts", 200, `{"live":true}`},
		{"and not ready", "/readyz", false, "it starts", 503, `{"ready":false,"why":"it starts"}`},
		{"a store that does not answer", "/ready", false, "the store of s3://b/t: status 503", 503, `{"ready":false,"why":"the store of s3://b/t: status 503"}`},
		{"a secret in a server's answer", "/readyz", false, "login canary-value", 503, `{"ready":false,"why":"login [REDACTED]"}`},
		{"an outage does not kill the process", "/ping", false, "outage", 200, `{"live":true}`},
		{"all is well", "/readyz", true, "", 200, `{"ready":true}`},
		{"nothing else is there", "/", true, "", 404, ""},
	}
	for _, tt := range tests {
		h.set(tt.ready, tt.why)
		resp, err := http.Get(s.URL + tt.path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != tt.status || tt.body != "" && strings.TrimSpace(string(body)) != tt.body {
			t.Errorf("%s: got %d %s, want %d %s", tt.name, resp.StatusCode, body, tt.status, tt.body)
		}
	}
}
