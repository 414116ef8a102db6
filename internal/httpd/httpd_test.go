package httpd

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/siltlake/silt/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAHandlerIsReachedByItsLoginsFromItsOwnOriginOnly(t *testing.T) {
	login := Login{Key: secret.New("KEY"), Secret: secret.New("secret")}
	tests := []struct {
		name          string
		guard         Guard
		host          string
		key, password string
		origin        string
		status        int
	}{
		{"the login, at the address", NewGuard(login), "127.0.0.1:8083", "KEY", "secret", "", 200},
		{"by the name of this machine", NewGuard(login), "LocalHost:8083", "KEY", "secret", "", 200},
		{"IPv6", NewGuard(login), "[::1]:8083", "KEY", "secret", "", 200},
		{"no login", NewGuard(login), "127.0.0.1:8083", "", "", "", 401},
		{"another secret", NewGuard(login), "127.0.0.1:8083", "KEY", "Secret", "", 401},
		{"a longer one", NewGuard(login), "127.0.0.1:8083", "KEY", "secret2", "", 401},
		// The digest is of both: characters do not move from one to the other.
		{"the same text cut elsewhere", NewGuard(login), "127.0.0.1:8083", "KEYs", "ecret", "", 401},
		{"one of two logins", NewGuard(Login{Key: secret.New("A"), Secret: secret.New("B")}, login), "127.0.0.1:8083", "KEY", "secret", "", 200},
		{"no logins", NewGuard(), "127.0.0.1:8083", "", "", "", 200},
		{"a name that resolves to this host", NewGuard(login), "evil.example:8083", "KEY", "secret", "", 403},
		{"a name without a port", NewGuard(), "evil.example", "", "", "", 403},
		{"a page of another site", NewGuard(login), "127.0.0.1:8083", "KEY", "secret", "https://evil.example", 403},
		{"a page of its own", NewGuard(login), "127.0.0.1:8083", "KEY", "secret", "http://127.0.0.1:8083", 200},
	}
	for _, tt := range tests {
		called := false
		h := tt.guard.Handler("silt", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+tt.host+"/", nil)
		if tt.key != "" {
			req.SetBasicAuth(tt.key, tt.password)
		}
		if tt.origin != "" {
			req.Header.Set("Origin", tt.origin)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code != tt.status || called != (tt.status == 200) {
			t.Errorf("%s: status %d, want %d; called: %v", tt.name, w.Code, tt.status, called)
		}
		if tt.status == 401 && (w.Header().Get("WWW-Authenticate") != `Basic realm="silt"` || !strings.HasPrefix(w.Body.String(), `{"error_code":401,`)) {
			t.Errorf("%s: %v %s", tt.name, w.Header(), w.Body)
		}
	}
}

func TestServeLetsCallsEndAndThenStops(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, l, Server{Log: slog.New(slog.DiscardHandler), Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			cancel() // while this call is under way
			_, _ = io.WriteString(w, "done")
		})})
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "done" {
		t.Errorf("got %q, %v", body, err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
		c.Close()
		t.Error("it still listens")
	}
}

func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{"127.0.0.1": true, "127.8.8.8": true, "::1": true, "0.0.0.0": false, "::": false, "10.1.2.3": false} {
		if got := Loopback(&net.TCPAddr{IP: net.ParseIP(address)}); got != want {
			t.Errorf("%s: got %v", address, got)
		}
	}
}
