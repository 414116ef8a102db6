package scope

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

func env(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := values[name]; return v, ok }
}

func TestVault(t *testing.T) {
	const good = `{"data":{"data":{"password":"` + canary + `","user":"u","port":9092,"big":12345678901234567890,"on":true,"list":[1]},"metadata":{"version":3}}}`
	json := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); fmt.Fprint(w, body) }
	}
	tests := []struct {
		name, key string
		h         http.HandlerFunc
		want      string // the value, or what the problem says
		hint      string
		asked     int
	}{
		{"a field", "app/kafka#password", json(200, good), canary, "", 1},
		{"a number", "app/kafka#port", json(200, good), "9092", "", 1},
		{"a large number", "app/kafka#big", json(200, good), "12345678901234567890", "", 1},
		{"a boolean", "app/kafka#on", json(200, good), "true", "", 1},
		{"a list", "app/kafka#list", json(200, good), "is no text", "", 1},
		{"the only field", "app/kafka", json(200, `{"data":{"data":{"x":"`+canary+`"}}}`), canary, "", 1},
		{"the field value", "app/kafka", json(200, `{"data":{"data":{"x":"y","value":"`+canary+`"}}}`), canary, "", 1},
		{"no such field", "app/kafka#pasword", json(200, good), `has 6 fields, and none is "pasword"`, "did you mean app/kafka#password?", 1},
		{"no field named", "app/kafka", json(200, good), `none is "value"`, "name one", 1},
		{"no such secret", "app/kafka#password", json(404, `{"errors":[]}`), "has no such secret", "path#field", 1},
		{"deleted", "app/kafka#password", json(404, `{"data":{"data":null,"metadata":{"deletion_time":"2026-01-01T00:00:00Z","destroyed":false}}}`),
			"is deleted", "undelete", 1},
		{"an engine of version 1", "app/kafka#password", json(404, `{"errors":[],"warnings":["Invalid path for a versioned K/V secrets engine"]}`),
			"is no KV engine of version 2", "mount", 1},
		{"no right", "app/kafka#password", json(403, `{"errors":["1 error occurred: permission denied"]}`), "permission denied", "policy", 1},
		{"sealed", "app/kafka#password", json(503, `{"errors":["Vault is sealed"]}`), "is sealed", "unseal", 3},
		{"no Vault", "app/kafka#password", json(502, "<html>"+canary), "not as Vault does", "address", 3},
		{"another host", "app/kafka#password", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.2:1/v1/x", http.StatusTemporaryRedirect)
		}, "sends to another host", "", 1},
		{"too large", "app/kafka#password", json(200, strings.Repeat(" ", maxAnswer+1)), "larger than 1 MiB", "", 3},
		{"a path that climbs", "app/../../sys#x", json(200, good), "no path of Vault", "path#field", 0},
		{"no path", "#x", json(200, good), "no path of Vault", "", 0},
	}
	for _, tt := range tests {
		asked := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked++
			if r.Header.Get("X-Vault-Token") != canaryToken || r.Header.Get("X-Vault-Namespace") != "team" || r.URL.Path != "/v1/kv/data/app/kafka" {
				t.Errorf("%s: %s %v", tt.name, r.URL, r.Header)
			}
			tt.h(w, r)
		}))
		var slept time.Duration
		s := declare(t, Env{Getenv: env(map[string]string{"VAULT_TOKEN": canaryToken + "\n", "VAULT_NAMESPACE": "team"}),
			Sleep: func(_ context.Context, d time.Duration) error { slept += d; return nil }},
			"scopes.v.vault: "+server.URL, "scopes.v.mount: kv/")
		value, p := s.Secret(t.Context(), "v", tt.key)
		server.Close()
		got := value
		if p != nil {
			got = p.Message
			if all := p.Error() + p.Why + p.Hint; strings.Contains(all, canary) || strings.Contains(all, canaryToken) {
				t.Errorf("%s: a secret is told: %s", tt.name, all)
			}
			if !strings.Contains(p.Hint, tt.hint) {
				t.Errorf("%s: hint %q", tt.name, p.Hint)
			}
		}
		if !strings.Contains(got, tt.want) || asked != tt.asked || slept > 10*time.Second {
			t.Errorf("%s: got %q after %d requests and %s, want %q after %d", tt.name, got, asked, slept, tt.want, tt.asked)
		}
	}
}

// A key is the path itself: nothing in it is an escape that could lead elsewhere.
func TestVaultTakesPathsAsTheyAreWritten(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		fmt.Fprint(w, `{"data":{"data":{"value":"`+canary+`"}}}`)
	}))
	defer server.Close()
	s := declare(t, Env{Getenv: env(map[string]string{"VAULT_TOKEN": canaryToken})}, "scopes.v.vault: "+server.URL)
	for _, key := range []string{"a%2e%2e/%2e%2e/sys", "100%", "a b?c"} {
		if value, p := s.Secret(t.Context(), "v", key); value != canary || p != nil || asked[len(asked)-1] != "/v1/secret/data/"+key {
			t.Errorf("%s: got %q, %v, asked %q", key, value, p, asked)
		}
	}
}

func TestVaultAsksAgainWhatPasses(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked < 3 {
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(429)
			fmt.Fprint(w, `{"errors":["rate limit"]}`)
			return
		}
		fmt.Fprint(w, `{"data":{"data":{"value":"`+canary+`"}}}`)
	}))
	defer server.Close()
	var slept []time.Duration
	s := declare(t, Env{Getenv: env(map[string]string{"VAULT_TOKEN": canaryToken}),
		Sleep: func(_ context.Context, d time.Duration) error { slept = append(slept, d); return nil }}, "scopes.v.vault: "+server.URL)
	if value, p := s.Secret(t.Context(), "v", "x"); value != canary || p != nil || len(slept) != 2 || slept[0] != 2*time.Second {
		t.Errorf("got %q, %v, slept %v", value, p, slept)
	}
}

func TestVaultFindsItsToken(t *testing.T) {
	home := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(home, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	var sent string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sent = r.Header.Get("X-Vault-Token"); sent == "expired" {
			w.WriteHeader(403)
			fmt.Fprint(w, `{"errors":["permission denied"]}`)
			return
		}
		fmt.Fprint(w, `{"data":{"data":{"value":"`+canary+`"}}}`)
	}))
	defer server.Close()
	values := map[string]string{}
	ask := func(want string, lines ...string) {
		t.Helper()
		sent = ""
		s := declare(t, Env{Getenv: env(values), Home: home}, append(lines, "scopes.v.vault: "+server.URL)...)
		_, p := s.Secret(t.Context(), "v", "x")
		if sent != want || (p != nil) != (want == "") {
			t.Errorf("sent %q, want %q; %v", sent, want, p)
		}
	}
	ask("") // none anywhere
	write(".vault-token", "of-home\n")
	ask("of-home")
	values["VAULT_TOKEN"] = "of-env"
	ask("of-env")
	ask("of-file", "scopes.v.tokenFile: "+write("sink", "of-file"))
	ask("of-option", "scopes.v.token: of-option", "scopes.v.tokenFile: "+write("sink", "of-file"))

	// A token that expires is read again from where it came.
	token := option.Value{Key: "scopes.v.token", IsSecret: true, Secret: secret.Renewable("expired", secret.Origin{
		Read: func(context.Context) (string, error) { return "renewed", nil }})}
	s, ps := New(option.NewValues("secrets", problem.Location{}, token, option.Value{Key: "scopes.v.vault", Text: server.URL}), option.Values{}, Env{})
	if value, p := s.Secret(t.Context(), "v", "x"); len(ps) > 0 || p != nil || value != canary || sent != "renewed" {
		t.Errorf("got %q, %v, %v; sent %q", value, ps, p, sent)
	}
}

// Whoever was refused with an old token asks again with the one that somebody else has read since, however long ago that was.
func TestVaultAsksAgainWithATokenThatWasReadMeanwhile(t *testing.T) {
	now := time.Unix(1e9, 0)
	token := secret.Renewable("expired", secret.Origin{Now: func() time.Time { return now },
		Read: func(context.Context) (string, error) { return "renewed", nil }})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Vault-Token") == "expired" {
			if changed, err := token.Renew(r.Context()); !changed || err != nil {
				t.Errorf("got %v, %v", changed, err)
			}
			now = now.Add(time.Minute)
			w.WriteHeader(403)
			fmt.Fprint(w, `{"errors":["permission denied"]}`)
			return
		}
		fmt.Fprint(w, `{"data":{"data":{"value":"`+canary+`"}}}`)
	}))
	defer server.Close()
	s, ps := New(option.NewValues("secrets", problem.Location{}, option.Value{Key: "scopes.v.token", IsSecret: true, Secret: token},
		option.Value{Key: "scopes.v.vault", Text: server.URL}), option.Values{}, Env{})
	if value, p := s.Secret(t.Context(), "v", "x"); len(ps) > 0 || p != nil || value != canary {
		t.Errorf("got %q, %v, %v", value, ps, p)
	}
}

func TestATokenThatCannotBeReadAgainIsToldOf(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(403)
		fmt.Fprint(w, `{"errors":["permission denied"]}`)
	}))
	defer server.Close()
	var log bytes.Buffer
	s, ps := New(option.NewValues("secrets", problem.Location{}, option.Value{Key: "scopes.v.token", IsSecret: true,
		Secret: secret.Renewable(canaryToken, secret.Origin{Read: func(context.Context) (string, error) { return "", fs.ErrNotExist }})},
		option.Value{Key: "scopes.v.vault", Text: server.URL}), option.Values{}, Env{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if _, p := s.Secret(t.Context(), "v", "x"); len(ps) > 0 || p == nil || !strings.Contains(p.Message, "permission denied") {
		t.Errorf("got %v, %v", ps, p)
	}
	if text := log.String(); !strings.Contains(text, "cannot be read again") || !strings.Contains(text, fs.ErrNotExist.Error()) || strings.Contains(text, canaryToken) {
		t.Errorf("logged %s", text)
	}
}

func TestVaultVerifiesTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"data":{"data":{"value":"`+canary+`"}}}`)
	}))
	defer server.Close()
	server.Config.ErrorLog = nil
	s := declare(t, Env{Getenv: env(map[string]string{"VAULT_TOKEN": canaryToken}), Sleep: func(context.Context, time.Duration) error { return nil }},
		"scopes.v.vault: "+server.URL)
	if _, p := s.Secret(t.Context(), "v", "x"); p == nil || !strings.Contains(p.Hint, "caCert") {
		t.Errorf("got %v", p)
	}
}
