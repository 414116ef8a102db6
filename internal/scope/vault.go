package scope

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

const (
	maxTokenBytes = 16 << 10
	maxCABytes    = 1 << 20
)

// A vault is a KV engine, version 2, of HashiCorp Vault or OpenBao. A key is path#field, as of `vault kv get -field=field path`; without a
// field it is the secret's only one, or the one that is named value.
type vault struct {
	address   *url.URL
	mount     string
	namespace string
	token     secret.Secret // zero: of tokenFile, VAULT_TOKEN or ~/.vault-token, read at each request
	tokenFile string
	env       Env
	http      *http.Client
}

// newVault reads the options of a scope beside its address. VAULT_NAMESPACE and VAULT_CACERT count as for Vault's own command line.
func newVault(scope string, address *url.URL, p *option.Parser, env Env) *vault {
	text := func(key, variable string) string {
		fallback, _ := env.Getenv(variable)
		return strings.TrimSpace(p.String(key, fallback))
	}
	v := &vault{address: address, mount: strings.Trim(strings.TrimSpace(p.String("mount", "secret")), "/"),
		namespace: text("namespace", "VAULT_NAMESPACE"), token: p.Secret("token").Map(strings.TrimSpace),
		tokenFile: strings.TrimSpace(p.String("tokenFile", "")), env: env}
	transport := env.Transport
	if file := text("caCert", "VAULT_CACERT"); file != "" {
		var err error
		if transport, err = trusting(transport, file); err != nil {
			at, ok := p.Lookup("caCert")
			if !ok {
				at.Pos = p.Pos
			}
			p.Report(at, problem.FileUnreadable, "caCert of the scope %s cannot be read: %w", scope, err)
		}
	}
	v.http = &http.Client{Transport: bounded{transport}, CheckRedirect: sameHost, Timeout: tryTimeout}
	return v
}

func (v *vault) String() string {
	return "Vault " + v.address.Scheme + "://" + v.address.Host + ", " + v.mount
}

func (v *vault) edit(_, key string) string {
	name, field := splitField(key)
	if field == "" {
		field = "value"
	}
	return "vault kv patch -mount=" + v.mount + " " + name + " " + field + "=-"
}

func (v *vault) list(context.Context) ([]string, error) { return nil, errNoList }

// splitField parts path#field; the field is "" if the key names none.
func splitField(key string) (name, field string) {
	if i := strings.LastIndexByte(key, '#'); i >= 0 {
		return key[:i], key[i+1:]
	}
	return key, ""
}

func (v *vault) get(ctx context.Context, key string) (string, error) {
	name, field := splitField(key)
	if clean := path.Clean("/" + name)[1:]; name == "" || clean != name || strings.ContainsFunc(key, notPrintable) {
		return "", refuse("write it as path#field", "it is no path of Vault")
	}
	var last error
	for try := range tries {
		used := v.token.Reveal()
		body, pause, err := v.ask(ctx, name)
		if r, ok := errors.AsType[*refusal](err); ok && r.login {
			if _, err := v.token.Renew(ctx); err != nil {
				v.env.Log.Warn("Vault refuses the token, which cannot be read again", "vault", v.String(), "error", err)
			}
			if v.token.Reveal() != used {
				body, pause, err = v.ask(ctx, name)
			}
		}
		if err == nil {
			return v.field(body, name, field)
		}
		last = err
		if r, ok := errors.AsType[*refusal](err); !ok || !r.down || pause > longestPause || try == tries-1 {
			break
		}
		if v.env.Sleep(ctx, max(pause, firstPause<<try)) != nil {
			break
		}
	}
	return "", last
}

// ask makes one GET of a secret (Vault's API, "Read Secret Version"). pause is what the answer asks to wait before the next.
func (v *vault) ask(ctx context.Context, name string) (body []byte, pause time.Duration, err error) {
	token, err := v.login()
	if err != nil {
		return nil, 0, err
	}
	u := v.address.JoinPath("v1", v.mount, "data", strings.ReplaceAll(name, "%", "%25")) // JoinPath takes what is escaped
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, 0, refuse("", "it is no path of Vault")
	}
	req.Header.Set("X-Vault-Token", token.Reveal())
	req.Header.Set("X-Vault-Request", "true")
	req.Header.Set("User-Agent", "silt")
	if v.namespace != "" {
		req.Header.Set("X-Vault-Namespace", v.namespace)
	}
	resp, err := v.http.Do(req)
	if err == nil {
		defer resp.Body.Close()
		body, err = io.ReadAll(resp.Body)
	}
	if err != nil {
		r := refuse("check the address, and that this machine reaches it", "%s does not answer: %s", v, unanswered(ctx, err))
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			r.hint = "name the certificate authority's PEM file in caCert"
		}
		r.down = true
		return nil, 0, r
	}
	if resp.StatusCode == http.StatusOK {
		return body, 0, nil
	}
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	return nil, time.Duration(seconds) * time.Second, v.refusal(resp, body)
}

// login returns the token: the scope's, or where Vault's own command line finds it.
func (v *vault) login() (secret.Secret, error) {
	if !v.token.IsZero() {
		return v.token, nil
	}
	file := v.tokenFile
	if file == "" {
		if t, ok := v.env.Getenv("VAULT_TOKEN"); ok && strings.TrimSpace(t) != "" {
			return v.known(t), nil
		}
		if v.env.Home != "" {
			file = filepath.Join(v.env.Home, ".vault-token")
		}
	}
	const hint = "set VAULT_TOKEN, or token or tokenFile of the scope; vault login writes ~/.vault-token"
	if file == "" {
		return secret.Secret{}, refuse(hint, "there is no token for %s", v)
	}
	text, err := option.ReadFile(file, maxTokenBytes)
	if err != nil || strings.TrimSpace(string(text)) == "" {
		return secret.Secret{}, refuse(hint, "there is no token for %s in %s", v, file)
	}
	return v.known(string(text)), nil
}

func (v *vault) known(token string) secret.Secret {
	s := secret.New(strings.TrimSpace(token))
	v.env.Secrets.Add(s)
	return s
}

// A vaultAnswer is what Vault says, of a secret or of an error.
type vaultAnswer struct {
	Data struct {
		Data     map[string]any `json:"data"`
		Metadata struct {
			Deleted   string `json:"deletion_time"`
			Destroyed bool   `json:"destroyed"`
		} `json:"metadata"`
	} `json:"data"`
	Errors   []string `json:"errors"`
	Warnings []string `json:"warnings"`
}

func (v *vault) refusal(resp *http.Response, body []byte) *refusal {
	var a vaultAnswer
	isJSON := json.Unmarshal(body, &a) == nil
	said := ""
	if len(a.Errors) > 0 {
		const most = 200
		said = v.env.Secrets.String(a.Errors[0]) // before it is cut: half a secret looks like none
		if len(said) > most {
			said = strings.ToValidUTF8(said[:most], "") + "…"
		}
		said = " (" + said + ")"
	}
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return refuse("write the address to which it sends, if it is yours", "%s sends to another host, which is not followed", v)
	case !isJSON:
		r := refuse("check the address", "%s answers with status %d, and not as Vault does", v, resp.StatusCode)
		r.down = resp.StatusCode >= http.StatusInternalServerError
		return r
	case resp.StatusCode == http.StatusNotFound && (a.Data.Metadata.Deleted != "" || a.Data.Metadata.Destroyed):
		return refuse("vault kv undelete, or write it anew", "the newest version of the secret of %s is deleted", v)
	case resp.StatusCode == http.StatusNotFound && len(a.Warnings) > 0:
		return refuse("name a KV engine of version 2 in mount", "%s is no KV engine of version 2", v)
	case resp.StatusCode == http.StatusNotFound:
		return refuse("check path, mount and namespace; the key is path#field", "%s has no such secret", v)
	case resp.StatusCode == http.StatusForbidden:
		r := refuse("renew the token, or give its policy the capability read on "+v.mount+"/data/…", "%s forbids it%s", v, said)
		r.login = true
		return r
	case resp.StatusCode == http.StatusServiceUnavailable:
		r := refuse("unseal it: vault operator unseal", "%s is sealed or stands by%s", v, said)
		r.down = true
		return r
	}
	r := refuse("try again later", "%s answers with status %d%s", v, resp.StatusCode, said)
	r.down = resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= http.StatusInternalServerError
	return r
}

// field takes the value of a field out of the answer.
func (v *vault) field(body []byte, name, field string) (string, error) {
	var a vaultAnswer
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if d.Decode(&a) != nil || a.Data.Data == nil {
		return "", refuse("name a KV engine of version 2 in mount", "%s does not answer as a KV engine of version 2", v)
	}
	fields := slices.Sorted(maps.Keys(a.Data.Data))
	if field == "" {
		field = "value"
		if len(fields) == 1 {
			field = fields[0]
		}
	}
	value, ok := a.Data.Data[field]
	if !ok {
		r := refuse("name one: "+name+"#FIELD", "the secret of %s has %d fields, and none is %q", v, len(fields), field)
		if n := problem.Nearest(field, fields); n != "" {
			r.hint = fmt.Sprintf("did you mean %s#%s?", name, n)
		}
		return "", r
	}
	switch value := value.(type) {
	case string:
		return value, nil
	case json.Number:
		return value.String(), nil
	case bool:
		return strconv.FormatBool(value), nil
	}
	return "", refuse("", "the field %q of %s is no text", field, v)
}
