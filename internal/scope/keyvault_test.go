package scope

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
)

const (
	canary      = "canary-value"
	canaryToken = "canary-token"
	vaultHost   = "confluenttest.vault.azure.net"
)

// serveTLS answers for the hosts with a certificate of theirs, and returns a transport that trusts it and finds them there and nothing else.
func serveTLS(t *testing.T, h http.Handler, hosts ...string) *http.Transport {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: hosts, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(h)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(certificate)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// A fakeCredential is a login to Azure that is right.
type fakeCredential struct {
	mu     sync.Mutex
	scopes []string
	err    error
}

func (f *fakeCredential) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scopes = append(f.scopes, o.Scopes...)
	return azcore.AccessToken{Token: canaryToken, ExpiresOn: time.Now().Add(time.Hour)}, f.err
}

// A fakeKeyVault is one as the SDK sees it: a challenge first, then secrets.
type fakeKeyVault struct {
	resource string // of the challenge
	mu       sync.Mutex
	values   map[string]string
	answers  []func(w http.ResponseWriter) // of the next requests with a token
	asked    int                           // with a token
}

func (f *fakeKeyVault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+canaryToken {
		w.Header().Set("WWW-Authenticate", `Bearer authorization="https://login.microsoftonline.com/tenant", resource="`+f.resource+`"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if len(f.answers) > 0 {
		answer := f.answers[0]
		f.answers = f.answers[1:]
		if answer != nil {
			answer(w)
			return
		}
	}
	id := func(name string) string { return "https://" + vaultHost + "/secrets/" + name }
	if r.URL.Path == "/secrets" {
		if r.URL.Query().Get("page") == "" {
			fmt.Fprintf(w, `{"value":[{"id":%q,"attributes":{"enabled":true}},{"id":%q,"attributes":{"enabled":false}}],"nextLink":"https://%s/secrets?page=2"}`,
				id("secret"), id("off"), vaultHost)
			return
		}
		fmt.Fprintf(w, `{"value":[{"id":%q,"attributes":{"enabled":true}}],"nextLink":null}`, id("api-key"))
		return
	}
	name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/secrets/"), "/")
	value, ok := f.values[name]
	if !ok {
		vaultError(w, 404, "SecretNotFound", "")
		return
	}
	text, _ := json.Marshal(value)
	fmt.Fprintf(w, `{"value":%s,"id":%q,"attributes":{"enabled":true}}`, text, id(name)+"/0123456789abcdef")
}

func vaultError(w http.ResponseWriter, status int, code, inner string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":{"code":%q,"message":"%s of %s","innererror":{"code":%q}}}`, code, canary, code, inner)
}

func newFakeKeyVault(t *testing.T) (*fakeKeyVault, Env) {
	f := &fakeKeyVault{resource: "https://vault.azure.net", values: map[string]string{"api-key": canary, "empty": ""}}
	return f, Env{Transport: serveTLS(t, f, vaultHost), Credential: &fakeCredential{}}
}

// declare makes the scopes of lines NAME.OPTION: VALUE.
func declare(t *testing.T, env Env, lines ...string) *Set {
	t.Helper()
	s, ps := New(section(lines...), option.Values{}, env)
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	return s
}

func section(lines ...string) option.Values {
	var values []option.Value
	for i, line := range lines {
		key, text, _ := strings.Cut(line, ": ")
		v := option.Value{Key: key, Text: text, Pos: problem.Location{File: "p.yaml", Line: i + 2, Col: 5}}
		if item, ok := strings.CutPrefix(text, "["); ok {
			v.Text, v.IsList, v.List = "", true, []option.Value{{Text: strings.TrimSuffix(item, "]"), Pos: v.Pos}}
		}
		values = append(values, v)
	}
	return option.NewValues("secrets", problem.Location{File: "p.yaml", Line: 1, Col: 1}, values...)
}

func TestKeyVault(t *testing.T) {
	throttled := func(w http.ResponseWriter) { w.Header().Set("Retry-After", "0"); vaultError(w, 429, "Throttled", "") }
	answer := func(status int, code, inner string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { vaultError(w, status, code, inner) }
	}
	tests := []struct {
		name    string
		key     string
		prepare func(f *fakeKeyVault, env *Env)
		want    string // the value, or what the problem says
		hint    string
	}{
		{"a value", "api-key", nil, canary, ""},
		{"no such secret", "api-kye", nil, "has no such secret (SecretNotFound)", "az keyvault secret list --vault-name confluenttest"},
		{"no name of a secret", "api_key/x", nil, "no secret of an Azure Key Vault has such a name", ""},
		{"an empty value", "empty", nil, "has an empty value", "give it a value"},
		{"no right", "api-key", func(f *fakeKeyVault, _ *Env) {
			f.answers = append(f.answers, answer(403, "Forbidden", "ForbiddenByRbac"))
		},
			"forbids to read it (Forbidden)", "Key Vault Secrets User"},
		{"a firewall", "api-key", func(f *fakeKeyVault, _ *Env) {
			f.answers = append(f.answers, answer(403, "Forbidden", "ForbiddenByFirewall"))
		},
			"the firewall of Azure Key Vault https://" + vaultHost + " forbids it", "firewall"},
		{"disabled", "api-key", func(f *fakeKeyVault, _ *Env) {
			f.answers = append(f.answers, answer(403, "Forbidden", "SecretDisabled"))
		},
			"is disabled", "--enabled true"},
		{"throttled for a moment", "api-key", func(f *fakeKeyVault, _ *Env) { f.answers = append(f.answers, throttled) }, canary, ""},
		{"throttled for long", "api-key", func(f *fakeKeyVault, _ *Env) {
			f.answers = append(f.answers, func(w http.ResponseWriter) { w.Header().Set("Retry-After", "60"); vaultError(w, 429, "Throttled", "") })
		}, "is asked too often (Throttled)", "limits"},
		{"a challenge for another host", "api-key", func(f *fakeKeyVault, _ *Env) { f.resource = "https://evil.example" },
			"wants a token for another host", "NAME.vault.azure.net"},
		{"a login that fails", "api-key", func(_ *fakeKeyVault, env *Env) {
			env.Credential = &fakeCredential{err: fmt.Errorf("DefaultAzureCredential: failed to acquire a token: %s", canary)}
		}, "there is no login to Azure", "AZURE_CLIENT_ID"},
		{"an answer too large", "api-key", func(f *fakeKeyVault, _ *Env) {
			huge := func(w http.ResponseWriter) { _, _ = w.Write(make([]byte, maxAnswer+1)) }
			f.answers = append(f.answers, huge, huge, huge)
		}, "the answer is larger than 1 MiB", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, env := newFakeKeyVault(t)
			if tt.prepare != nil {
				tt.prepare(f, &env)
			}
			s := declare(t, env, "scopes.confluentTest.keyvault: https://"+vaultHost+"/")
			value, p := s.Secret(t.Context(), "confluenttest", tt.key)
			if tt.want == canary {
				if p != nil || value != canary {
					t.Errorf("got %q, %v", value, p)
				}
				return
			}
			if p == nil || p.Code != problem.SecretUnresolved || !strings.Contains(p.Message, tt.want) || !strings.Contains(p.Hint, tt.hint) ||
				!strings.HasPrefix(p.Message, "the secret confluentTest/"+tt.key+": ") {
				t.Fatalf("got %v (hint %q)", p, p.Hint)
			}
			if all := p.Error() + p.Why + p.Hint + fmt.Sprint(p.Err); strings.Contains(all, canary) || strings.Contains(all, canaryToken) {
				t.Errorf("a secret is told: %s", all)
			}
		})
	}
}

func TestATokenIsAskedForKeyVaultsOnly(t *testing.T) {
	_, env := newFakeKeyVault(t)
	s := declare(t, env, "scopes.a.keyvault: https://"+vaultHost)
	if _, p := s.Secret(t.Context(), "a", "api-key"); p != nil {
		t.Fatal(p)
	}
	if got := env.Credential.(*fakeCredential).scopes; len(got) != 1 || got[0] != "https://vault.azure.net/.default" {
		t.Errorf("asked for %v", got)
	}
}

func TestAKeyVaultListsWhatIsEnabled(t *testing.T) {
	_, env := newFakeKeyVault(t)
	s := declare(t, env, "scopes.a.keyvault: https://"+vaultHost)
	got, err := s.List(t.Context(), "")
	if err != nil || len(got) != 1 || got[0].Problem != nil || strings.Join(got[0].Keys, " ") != "api-key secret" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAPlaceThatIsDownIsNotAskedForEveryKey(t *testing.T) {
	f, env := newFakeKeyVault(t)
	now := time.Unix(1e9, 0)
	env.Now = func() time.Time { return now }
	f.answers = append(f.answers, func(w http.ResponseWriter) {
		w.Header().Set("Retry-After", "60")
		vaultError(w, 503, "Unavailable", "")
	})
	s := declare(t, env, "scopes.a.keyvault: https://"+vaultHost)
	for range 3 {
		if _, p := s.Secret(t.Context(), "a", "api-key"); p == nil || !p.Retryable {
			t.Errorf("got %v", p)
		}
	}
	if f.asked != 1 {
		t.Errorf("asked %d times", f.asked)
	}
	now = now.Add(downFor)
	if value, p := s.Secret(t.Context(), "a", "api-key"); value != canary || p != nil {
		t.Errorf("got %q, %v", value, p)
	}
}
