package cloud

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/secret"
)

// fakeTokens is a token server, of Google's OAuth and of its security token service, and the metadata server of a machine.
type fakeTokens struct {
	t      *testing.T
	server *httptest.Server
	key    *rsa.PrivateKey // whose signatures it takes

	mu     sync.Mutex
	asked  []string // grant types
	answer func(w http.ResponseWriter, n int)
}

func startFakeTokens(t *testing.T) *fakeTokens {
	f := &fakeTokens{t: t, key: newRSAKey(t)}
	f.answer = func(w http.ResponseWriter, n int) {
		fmt.Fprintf(w, `{"access_token":"access-token-%d","token_type":"Bearer","expires_in":3600}`, n)
	}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

func newRSAKey(t *testing.T) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pemOf(t *testing.T, key *rsa.PrivateKey) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func (f *fakeTokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.URL.Path == "/computeMetadata/v1/instance/service-accounts/default/token" {
		if r.Header.Get("Metadata-Flavor") != "Google" || r.URL.Query().Get("scopes") != gcsScope {
			f.t.Errorf("metadata is asked with %v, %s", r.Header, r.URL.RawQuery)
		}
		w.Header().Set("Metadata-Flavor", "Google")
		f.asked = append(f.asked, "metadata")
		f.answer(w, len(f.asked))
		return
	}
	if err := r.ParseForm(); err != nil {
		f.t.Error(err)
	}
	grant := r.Form.Get("grant_type")
	f.asked = append(f.asked, grant)
	w.Header().Set("Content-Type", "application/json")
	switch {
	case grant == "urn:ietf:params:oauth:grant-type:jwt-bearer" && f.signed(r.Form.Get("assertion")),
		grant == "refresh_token" && r.Form.Get("refresh_token") == "refresh-hunter2" && r.Form.Get("client_secret") == "client-hunter2",
		grant == "urn:ietf:params:oauth:grant-type:token-exchange" && r.Form.Get("subject_token") == "subject-hunter2":
		f.answer(w, len(f.asked))
	default:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`)
	}
}

// signed checks the signature and the claims of a JWT.
func (f *fakeTokens) signed(jwt string) bool {
	last := strings.LastIndexByte(jwt, '.')
	signature, err := base64.RawURLEncoding.DecodeString(jwt[last+1:])
	sum := sha256.Sum256([]byte(jwt[:max(last, 0)]))
	if err != nil || rsa.VerifyPKCS1v15(&f.key.PublicKey, crypto.SHA256, sum[:], signature) != nil {
		return false
	}
	var claims struct{ Iss, Scope string }
	_, payload, _ := strings.Cut(jwt[:last], ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err = errors.Join(err, json.Unmarshal(text, &claims)); err != nil || claims.Iss != "me@project" || claims.Scope != gcsScope {
		f.t.Errorf("claims %s, %v", text, err)
	}
	return true
}

func (f *fakeTokens) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.asked)
}

// serviceAccount is the file of a service account's key.
func (f *fakeTokens) serviceAccount(key *rsa.PrivateKey) string {
	text, err := json.Marshal(map[string]string{"type": "service_account", "client_email": "me@project", "private_key_id": "1",
		"private_key": pemOf(f.t, key), "token_uri": f.server.URL})
	if err != nil {
		f.t.Fatal(err)
	}
	return string(text)
}

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// useGCS puts an object with a token.
func useGCS(g *gcs) error { return g.put(context.Background(), "k", nil, false) }

func TestGCSGetsTokensForEveryKindOfCredentials(t *testing.T) {
	tokens := startFakeTokens(t)
	url := tokens.server.URL
	subject := writeFile(t, "subject", "subject-hunter2")
	user := `"type":"authorized_user","client_id":"id","client_secret":"client-hunter2","refresh_token":"refresh-hunter2","token_uri":"` + url + `"`
	t.Setenv("HTTPS_PROXY", "")
	for _, tt := range []struct {
		name string
		g    given
		env  map[string]string
	}{
		{"a file of a service account", gcsGiven(gcsKeyfile, writeFile(t, "k", tokens.serviceAccount(tokens.key))), nil},
		{"its JSON", gcsGiven(gcsAccountKey, tokens.serviceAccount(tokens.key)), nil},
		{"the file that the environment names", gcsGiven(), map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": writeFile(t, "k", "{"+user+"}")}},
		{"gcloud's own file", gcsGiven(), map[string]string{"CLOUDSDK_CONFIG": filepath.Dir(writeFile(t, "application_default_credentials.json", "{"+user+"}"))}},
		{"workload identity federation", gcsGiven(gcsKeyfile, writeFile(t, "k", `{"type":"external_account","audience":"//iam.googleapis.com/p",
			"subject_token_type":"urn:ietf:params:oauth:token-type:jwt","token_url":"`+url+`","credential_source":{"file":"`+subject+`"}}`)), nil},
		{"the metadata server, as the last", gcsGiven(), map[string]string{"CLOUDSDK_CONFIG": t.TempDir()}},
		{"the metadata server", gcsGiven(gcsAuthType, "COMPUTE_ENGINE"), nil},
	} {
		f := startFakeGCS(t)
		env := Env{Secrets: &secret.Scrubber{}, Getenv: func(name string) (string, bool) {
			v, ok := tt.env[name]
			if name == "GCE_METADATA_HOST" {
				v, ok = strings.TrimPrefix(url, "http://"), true
			}
			return v, ok
		}}
		g := f.open("", tt.g, env)
		f.token = fmt.Sprintf("access-token-%d", tokens.count()+1)
		for range 3 {
			if err := useGCS(g); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		if want := fmt.Sprintf("access-token-%d", tokens.count()); f.token != want {
			t.Errorf("%s: %s was asked for, for three requests", tt.name, want)
		}
		f.server.CloseClientConnections()
		if text := strings.ReplaceAll(pemOf(t, tokens.key), "\n", `\n`); strings.Contains(tt.name, "service") &&
			env.Secrets.String("a line with "+text) != "a line with "+secret.Redacted {
			t.Errorf("%s: the scrubber does not know the key", tt.name)
		}
	}
}

func TestGCSTokenIsRenewedWhenItIsRefused(t *testing.T) {
	tokens, f := startFakeTokens(t), startFakeGCS(t)
	file := writeFile(t, "k", tokens.serviceAccount(tokens.key))
	g := f.open("", gcsGiven(gcsKeyfile, file), Env{})
	f.token = "access-token-1"
	if err := useGCS(g); err != nil {
		t.Fatal(err)
	}
	f.token = "access-token-2"
	if err := useGCS(g); g.failure(err).kind != loggedOut {
		t.Fatalf("got %v, want loggedOut", err)
	}
	if changed, err := g.renew(t.Context()); !changed || err != nil {
		t.Errorf("got %v, %v, want another token", changed, err)
	}
	if err := useGCS(g); err != nil {
		t.Error(err)
	}

	// The key is rotated: the old one gives no tokens any more, and the file holds the new one later.
	tokens.key = newRSAKey(t)
	if changed, err := g.renew(t.Context()); changed || err == nil {
		t.Errorf("got %v, %v, want an error", changed, err)
	}
	err := useGCS(g)
	if got := g.failure(err); got.kind != loggedOut || got.code != "invalid_grant" || !strings.Contains(err.Error(), "invalid_grant: Invalid JWT Signature.") ||
		!strings.Contains(err.Error(), file) {
		t.Errorf("got %+v of %v", got, err)
	}
	if err := os.WriteFile(file, []byte(tokens.serviceAccount(tokens.key)), 0o600); err != nil {
		t.Fatal(err)
	}
	changed, err := g.renew(t.Context())
	if f.token = fmt.Sprintf("access-token-%d", tokens.count()); !changed || err != nil || useGCS(g) != nil {
		t.Errorf("got %v, %v, want the new key's token", changed, err)
	}
	if err := os.WriteFile(file, []byte("{hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	if changed, err := g.renew(t.Context()); changed || err == nil || g.failure(err).kind != loggedOut || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("half a file: got %v, %v", changed, err)
	}
}

func TestGCSSecretIsReadAnew(t *testing.T) {
	f := startFakeGCS(t)
	value := "first-token"
	now := time.Now()
	o := secret.Renewable(value, secret.Origin{Read: func(context.Context) (string, error) { return value, nil }, Now: func() time.Time { return now }})
	g := f.open("", given{gcsBearerToken: option.Value{Key: gcsBearerToken, IsSecret: true, Secret: o}}, Env{})
	f.token = "first-token"
	if err := useGCS(g); err != nil {
		t.Fatal(err)
	}
	if changed, err := g.renew(t.Context()); changed || err != nil {
		t.Errorf("the same: got %v, %v", changed, err)
	}
	now = now.Add(time.Minute)
	value, f.token = "second-token", "second-token"
	if changed, err := g.renew(t.Context()); !changed || err != nil {
		t.Errorf("another: got %v, %v", changed, err)
	}
	if err := useGCS(g); err != nil {
		t.Error(err)
	}
}

func TestGCSTokenServersFailures(t *testing.T) {
	key := newRSAKey(t)
	for _, tt := range []struct {
		name   string
		status int
		body   string
		want   failure
		text   string
	}{
		{"busy", 503, "", failure{kind: refused, after: 3 * time.Second}, "status 503"},
		{"too many", 429, "", failure{kind: refused, after: 3 * time.Second}, "status 429"},
		{"refused", 400, `{"error":"invalid_grant","error_description":"Account has been deleted"}`, failure{kind: loggedOut, code: "invalid_grant"},
			"invalid_grant: Account has been deleted"},
		{"refused without a description", 401, `{"error":"invalid_client"}`, failure{kind: loggedOut, code: "invalid_client"}, "invalid_client"},
		{"IAM refuses", 403, `{"error":{"code":403,"message":"Permission 'x' denied","status":"PERMISSION_DENIED"}}`,
			failure{kind: loggedOut, code: "PERMISSION_DENIED"}, "Permission 'x' denied"},
		{"no JSON", 404, "<html>", failure{kind: loggedOut}, "status 404"},
		{"a redirect", 307, "", failure{kind: loggedOut}, "status 307"},
		{"no token", 200, "{}", failure{kind: loggedOut}, ""},
	} {
		tokens, f := &fakeTokens{t: t, key: key}, startFakeGCS(t)
		tokens.server = httptest.NewServer(tokens)
		defer tokens.server.Close()
		tokens.answer = func(w http.ResponseWriter, _ int) {
			w.Header().Set("Retry-After", "3")
			w.Header().Set("Location", "http://127.0.0.1:1")
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, tt.body)
		}
		g := f.open("", gcsGiven(gcsAccountKey, tokens.serviceAccount(tokens.key)), Env{})
		err := useGCS(g)
		if err == nil {
			t.Errorf("%s: no error", tt.name)
			continue
		}
		if got := g.failure(err); got != tt.want || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "BEGIN") {
			t.Errorf("%s: got %+v of %v, want %+v with %q", tt.name, got, err, tt.want, tt.text)
		}
		if len(f.requests) > 0 {
			t.Errorf("%s: %q was sent without a token", tt.name, f.requests)
		}
		tokens.server.Close()
		if err := useGCS(g); g.failure(err).kind != refused {
			t.Errorf("nobody listens: got %v, want refused", err)
		}
	}
}

func TestGCSMetadataServersFailures(t *testing.T) {
	for _, tt := range []struct {
		name  string
		h     http.HandlerFunc
		want  kind
		text  string
		login given
	}{
		{"no service account", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, loggedOut, "no service account", nil},
		{"busy", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, refused, "503", nil},
		{"something else", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"access_token":"x","expires_in":9}`)
		}, loggedOut,
			"is no metadata server", nil},
		{"nothing, that nobody named", nil, loggedOut, "GOOGLE_APPLICATION_CREDENTIALS is not set", nil},
		{"nothing, though it was named", nil, refused, "no answer", gcsGiven(gcsAuthType, "COMPUTE_ENGINE")},
	} {
		server := httptest.NewServer(tt.h)
		defer server.Close()
		if tt.h == nil {
			server.Close()
		}
		if tt.login == nil {
			tt.login = gcsGiven()
		}
		f := startFakeGCS(t)
		env := Env{Getenv: func(name string) (string, bool) {
			if name != "GCE_METADATA_HOST" {
				return "", false
			}
			return strings.TrimPrefix(server.URL, "http://"), true
		}}
		g := f.open("", tt.login, env)
		if err := useGCS(g); err == nil || g.failure(err).kind != tt.want || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: got %v, want kind %d with %q", tt.name, err, tt.want, tt.text)
		}
	}
}

func TestGCSTokenIsFetchedOnceAndBeforeItExpires(t *testing.T) {
	now := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	fetched, broken := 0, false
	t1 := &gcsTokens{now: func() time.Time { return now }, busy: make(chan struct{}, 1), fetch: func(context.Context) (gcsAccess, error) {
		if broken {
			return gcsAccess{}, errors.New("no token server")
		}
		fetched++
		return gcsAccess{secret.New(fmt.Sprint(fetched)), now.Add(time.Hour)}, nil
	}}
	want := func(token string, fetches int) {
		t.Helper()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if got, err := t1.get(t.Context()); err != nil || got.Reveal() != token {
					t.Errorf("got %q, %v, want %q", got.Reveal(), err, token)
				}
			})
		}
		wg.Wait()
		if fetched != fetches {
			t.Errorf("%d fetches, want %d", fetched, fetches)
		}
	}
	want("1", 1)
	now = now.Add(time.Hour - gcsEarly - time.Second)
	want("1", 1)
	now = now.Add(2 * time.Second)
	want("2", 2)

	broken = true
	now = now.Add(time.Hour - time.Second)
	want("2", 2) // it holds for another second
	now = now.Add(time.Minute)
	if _, err := t1.get(t.Context()); err == nil {
		t.Error("an expired token is given out")
	}
	broken = false
	want("3", 3)

	t1.busy <- struct{}{} // somebody fetches
	now = now.Add(time.Hour)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := t1.get(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the caller's end", err)
	}
}
