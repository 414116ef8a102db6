package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/secret"
)

// entra is a server of tokens and a store that takes the last one it gave.
type entra struct {
	secrets map[string]bool // client secrets, and assertions of workload identities, that it takes
	given   int             // tokens
	revoked int             // tokens up to this one are not taken any more
	down    int             // the status that it answers with; 0: none
	asked   []url.Values
}

func (e *entra) serve(r *http.Request, body string) *http.Response {
	answerJSON := func(status int, v any) *http.Response {
		b, err := json.Marshal(v)
		if err != nil {
			return nil
		}
		return withBody(answer(status, "Content-Type", "application/json"), string(b))
	}
	token := map[string]any{"access_token": fmt.Sprintf("token-%d", e.given+1), "token_type": "Bearer", "expires_in": 3600,
		"expires_on": fmt.Sprint(time.Now().Add(time.Hour).Unix())}
	switch host := "https://" + r.URL.Host; {
	case strings.HasSuffix(r.URL.Path, "/openid-configuration"):
		tenant := host + strings.TrimSuffix(r.URL.Path, "/v2.0/.well-known/openid-configuration")
		return answerJSON(200, map[string]any{"issuer": tenant + "/v2.0", "authorization_endpoint": tenant + "/oauth2/v2.0/authorize",
			"token_endpoint": tenant + "/oauth2/v2.0/token"})
	case strings.Contains(r.URL.Path, "/discovery/instance"):
		return answerJSON(200, map[string]any{"tenant_discovery_endpoint": host + "/ten/v2.0/.well-known/openid-configuration", "metadata": []any{map[string]any{
			"preferred_network": r.URL.Host, "preferred_cache": r.URL.Host, "aliases": []string{r.URL.Host}}}})
	case strings.HasSuffix(r.URL.Path, "/token") && r.Method == http.MethodPost:
		form, err := url.ParseQuery(body)
		if err != nil {
			return answer(400)
		}
		e.asked = append(e.asked, form)
		if e.down != 0 {
			return answer(e.down, "Retry-After", "7")
		}
		if !e.secrets[form.Get("client_secret")] && !e.secrets[form.Get("client_assertion")] {
			return answerJSON(401, map[string]any{"error": "invalid_client",
				"error_description": "AADSTS7000215: Invalid client secret provided.\r\nTrace ID: t\r\nTimestamp: now"})
		}
		e.given++
		return answerJSON(200, token)
	case strings.HasSuffix(r.URL.Path, "/token"):
		e.asked = append(e.asked, r.URL.Query())
		if r.Header.Get("Metadata") != "true" || e.down != 0 {
			return answerJSON(max(e.down, 400), map[string]any{"error": "invalid_request", "error_description": "Identity not found"})
		}
		e.given++
		return answerJSON(200, token)
	}
	var n int
	if _, err := fmt.Sscanf(r.Header.Get("Authorization"), "Bearer token-%d", &n); err != nil || n <= e.revoked {
		return azureAnswer(401, "InvalidAuthenticationInfo", "Server failed to authenticate the request.")
	}
	return answer(201)
}

func principal(s secret.Secret) azureLogin {
	return azureLogin{kind: azurePrincipal, tenant: "ten", clientID: "id", secret: s, authority: azureAuthorities[azurePublic]}
}

func TestAServicePrincipalLogsInOnce(t *testing.T) {
	for _, authority := range []string{azureAuthorities[azurePublic], "https://login.example"} {
		e := &entra{secrets: map[string]bool{"right": true}}
		l := principal(secret.New("right"))
		l.authority = authority
		a := newWired(t, &wire{answer: e.serve}, l)
		for range 3 {
			if err := a.put(t.Context(), "k", nil, true); err != nil {
				t.Fatal(err)
			}
		}
		if len(e.asked) != 1 || e.asked[0].Get("scope") != azureScope+" openid offline_access profile" || e.asked[0].Get("client_id") != "id" {
			t.Errorf("asked %v", e.asked)
		}
	}
}

func TestALoginThatFailsIsNotAnAnswerOfTheStore(t *testing.T) {
	for _, test := range []struct {
		name string
		down int
		want kind
		text string
	}{
		{"a wrong secret", 0, loggedOut, "Put Blob, log in: status 401 AADSTS7000215: Invalid client secret provided."},
		{"a busy server", 503, refused, "Put Blob, log in: status 503"},
		{"too many requests", 429, refused, "Put Blob, log in: status 429"},
	} {
		e := &entra{down: test.down}
		a := newWired(t, &wire{answer: e.serve}, principal(secret.New("canary")))
		err := a.put(t.Context(), "k", nil, true)
		if err == nil || a.failure(err).kind != test.want || err.Error() != test.text {
			t.Errorf("%s: got %v, kind %d, want %s, kind %d", test.name, err, a.failure(err).kind, test.text, test.want)
		}
		if n := len(e.asked); n != 1 {
			t.Errorf("%s: asked for a token %d times, want once a call", test.name, n)
		}
	}
}

func TestATokenServiceThatCannotBeReachedIsAskedAgain(t *testing.T) {
	a := newWired(t, &wire{answer: func(*http.Request, string) *http.Response { return nil }}, principal(secret.New("s")))
	err := a.put(t.Context(), "k", nil, true)
	if f := a.failure(err); f.kind != refused {
		t.Errorf("got %v, kind %d, want refused: the store was not asked", err, f.kind)
	}
}

func TestAWorkloadIdentityIsItsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("assertion"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := &entra{secrets: map[string]bool{"assertion": true}}
	a := newWired(t, &wire{answer: e.serve}, azureLogin{kind: azureWorkload, tenant: "ten", clientID: "id", tokenFile: file,
		authority: azureAuthorities[azurePublic]})
	if err := a.put(t.Context(), "k", nil, true); err != nil {
		t.Fatal(err)
	}
	if e.asked[0].Get("client_assertion") != "assertion" {
		t.Errorf("asked %v", e.asked)
	}
}

func TestAManagedIdentityIsAskedForAtItsEndpoint(t *testing.T) {
	e := &entra{}
	a := newWired(t, &wire{answer: e.serve}, azureLogin{kind: azureManaged, clientID: "id", endpoint: "http://127.0.0.1:40342/oauth2/token"})
	if err := a.put(t.Context(), "k", nil, true); err != nil {
		t.Fatal(err)
	}
	want := "api-version=2018-02-01&client_id=id&resource=https%3A%2F%2Fstorage.azure.com"
	if len(e.asked) != 1 || e.asked[0].Encode() != want {
		t.Errorf("asked %v, want %s", e.asked, want)
	}
	e.down = 404 // while the service is being updated
	a = newWired(t, &wire{answer: e.serve}, azureLogin{kind: azureManaged, endpoint: "http://127.0.0.1:40342/oauth2/token"})
	if err := a.put(t.Context(), "k", nil, true); a.failure(err).kind != refused {
		t.Errorf("got %v, want kind refused", err)
	}
	e.down = 400
	if err := a.put(t.Context(), "k", nil, true); a.failure(err).kind != loggedOut {
		t.Errorf("got %v, want kind loggedOut", err)
	}
}

func TestNoCredentialsAtAllIsSaid(t *testing.T) {
	w := &wire{answer: func(*http.Request, string) *http.Response { return answer(403) }} // a proxy, not a metadata service
	a := newWired(t, w, azureLogin{kind: azureManaged, guessed: true})
	err := a.put(t.Context(), "k", nil, true)
	if err == nil || a.failure(err).kind != loggedOut || !strings.HasSuffix(err.Error(), errNoAzureLogin.Error()) {
		t.Errorf("got %v, want kind loggedOut and %v", err, errNoAzureLogin)
	}
}

func TestATokenThatIsNotTakenAnyMoreIsRenewed(t *testing.T) {
	e := &entra{secrets: map[string]bool{"right": true}}
	a := newWired(t, &wire{answer: e.serve}, principal(secret.New("right")))
	if err := a.put(t.Context(), "k", nil, true); err != nil {
		t.Fatal(err)
	}
	e.revoked = 1
	if err := a.put(t.Context(), "k", nil, true); a.failure(err).kind != loggedOut {
		t.Errorf("got %v, want kind loggedOut", err)
	}
	if changed, err := a.renew(t.Context()); !changed || err != nil {
		t.Errorf("renew: %t, %v", changed, err)
	}
	if err := a.put(t.Context(), "k", nil, true); err != nil || len(e.asked) != 2 {
		t.Errorf("got %v, %d tokens asked for", err, len(e.asked))
	}
	e.revoked, e.secrets = 9, nil
	if changed, err := a.renew(t.Context()); changed || err == nil || !strings.Contains(err.Error(), "AADSTS7000215") {
		t.Errorf("renew with a secret that is wrong: %t, %v", changed, err)
	}
}

func TestARotatedSecretIsUsed(t *testing.T) {
	for _, kind := range []azureLoginKind{azureSharedKey, azureSAS, azureBearer, azurePrincipal} {
		values := map[azureLoginKind][2]string{
			azureSharedKey: {"b2xkb2xkb2xk", "bmV3bmV3bmV3"}, azureSAS: {"sig=old", "sig=new"}, azureBearer: {"old", "token-1"}, azurePrincipal: {"old", "new"},
		}[kind]
		now := values[0]
		s := secret.Renewable(now, secret.Origin{Read: func(context.Context) (string, error) { return now, nil }})
		l := principal(s)
		l.kind = kind
		e := &entra{secrets: map[string]bool{"old": true, "new": true}}
		w := &wire{answer: e.serve}
		a := newWired(t, w, l)
		// What is sent differs only after the secret did.
		sent := func() string {
			_ = a.put(t.Context(), "k", nil, false) // the store takes none of these logins but tokens
			i := slices.IndexFunc(w.sent, func(line string) bool { return strings.HasPrefix(line, "PUT /data") })
			line := w.sent[i]
			w.sent = w.sent[:0]
			return line + fmt.Sprint(e.asked)
		}
		before := sent()
		if again := sent(); kind != azurePrincipal && again != before {
			t.Errorf("kind %d: sent %s, then %s", kind, before, again)
		}
		now = values[1]
		if changed, err := a.renew(t.Context()); !changed || err != nil {
			t.Errorf("kind %d: renew: %t, %v", kind, changed, err)
		}
		after := sent()
		client := a.client.Load()
		if client.of.Reveal() != values[1] {
			t.Errorf("kind %d: the client is of the old secret", kind)
		}
		if kind != azureSharedKey && after == before {
			t.Errorf("kind %d: sent %s before and after", kind, before)
		}
	}
}

func TestASecretThatDoesNotChangeIsNotRenewed(t *testing.T) {
	for _, l := range []azureLogin{sharedKey(), {kind: azureSAS, secret: secret.New("sig=x")}, {kind: azureBearer, secret: secret.New("x")}} {
		a := newWired(t, &wire{}, l)
		if changed, err := a.renew(t.Context()); changed || err != nil {
			t.Errorf("kind %d: %t, %v", l.kind, changed, err)
		}
	}
}

func TestASecretThatCannotBeReadKeepsTheOldOne(t *testing.T) {
	gone := errors.New("the vault is down")
	s := secret.Renewable(testKey, secret.Origin{Read: func(context.Context) (string, error) { return "", gone }})
	a := newWired(t, &wire{answer: always(func() *http.Response { return answer(201) })}, azureLogin{kind: azureSharedKey, secret: s})
	if changed, err := a.renew(t.Context()); changed || !errors.Is(err, gone) {
		t.Errorf("got %t, %v", changed, err)
	}
	if err := a.put(t.Context(), "k", nil, true); err != nil {
		t.Error(err)
	}
}
