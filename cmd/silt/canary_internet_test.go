package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// An internet stands for everything beyond this machine: a proxy that leads every host to one server, which speaks TLS with a certificate
// for all of them and tells in every error what it was sent and every secret that it knows of.
type internet struct {
	proxy       *httptest.Server
	certificate tls.Certificate
	pem         string
	arrivals    chan net.Conn

	mu       sync.Mutex
	answers  answers
	knows    []string // secrets
	requests map[string]int
	turn     int
}

// answers are what the services answer; the zero value is what a healthy one does, as far as it is here.
type answers struct {
	store, token, registry, vault, keyVault int // statuses; 0 is 200
	// code is the store's name of its error.
	code string
	// accessToken is what the token services give out; secret what vaults do.
	accessToken, secret string
	// session is the temporary key of AWS's token service.
	session [2]string
	// onRequest is told of each request to a store.
	onRequest func()
}

// hosts are those that the certificate is for. wrong.example is none of them.
var hosts = []string{"*.blob.core.windows.net", "*.vault.azure.net", "login.microsoftonline.com", "*.s3.eu-west-1.amazonaws.com",
	"s3.eu-west-1.amazonaws.com", "sts.eu-west-1.amazonaws.com", "storage.googleapis.com", "oauth2.googleapis.com", "registry.example", "vault.example",
	"identity.example", "localhost"}

func newInternet(t *testing.T) *internet {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: hosts, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	n := &internet{certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, arrivals: make(chan net.Conn),
		pem: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
	server := &http.Server{Handler: n, ErrorLog: log.New(io.Discard, "", 0), TLSConfig: &tls.Config{Certificates: []tls.Certificate{n.certificate}}}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.ServeTLS(n, "", "") }()
	n.proxy = httptest.NewServer(http.HandlerFunc(n.connect))
	t.Cleanup(func() { _ = server.Close(); <-done; n.proxy.Close() })
	return n
}

// Accept, Close and Addr make the connections that come by the proxy those of a listener.
func (n *internet) Accept() (net.Conn, error) {
	c, ok := <-n.arrivals
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (n *internet) Close() error   { close(n.arrivals); return nil }
func (n *internet) Addr() net.Addr { return &net.TCPAddr{} }

// A begun connection is one of which a reader has taken some bytes.
type begun struct {
	net.Conn
	*bufio.ReadWriter
}

func (b begun) Read(p []byte) (int, error)  { return b.ReadWriter.Read(p) }
func (b begun) Write(p []byte) (int, error) { return b.Conn.Write(p) }

func (n *internet) connect(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	conn, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	n.arrivals <- begun{conn, rw}
}

// set changes the answers, and what the servers know.
func (n *internet) set(a answers, secrets []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answers, n.knows, n.requests = a, secrets, map[string]int{}
}

// asked returns how many requests came to hosts that end so.
func (n *internet) asked(host string) (sum int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for h, c := range n.requests {
		if strings.HasSuffix(h, host) {
			sum += c
		}
	}
	return sum
}

// echo is all that a server could tell: what it was sent and what it knows, in all encodings. Each begins elsewhere, so that a reader that
// cuts it cuts in another place.
func (n *internet) echo(r *http.Request, body []byte) string {
	seen := []string{r.Method + " " + r.URL.String(), r.URL.RawQuery, string(body)}
	for name, values := range r.Header {
		seen = append(seen, name+": "+strings.Join(values, ", "))
	}
	if user, password, ok := r.BasicAuth(); ok {
		seen = append(seen, user, password)
	}
	for _, values := range r.URL.Query() {
		seen = append(seen, values...)
	}
	if form, err := url.ParseQuery(string(body)); err == nil {
		for _, values := range form {
			seen = append(seen, values...)
		}
	}
	seen = append(seen, n.knows...)
	n.turn++
	at := n.turn * 7 % len(seen)
	if n.turn%2 == 0 && len(n.knows) > 0 {
		at = len(seen) - 1 - n.turn/2%len(n.knows) // begin with what is known
	}
	var out []string
	for _, s := range append(seen[at:len(seen):len(seen)], seen[:at]...) {
		quoted, _ := json.Marshal(s)
		out = append(out, s, url.QueryEscape(s), base64.StdEncoding.EncodeToString([]byte(s)), string(quoted), s)
	}
	const most = 8 << 10 // far more than silt shows of it
	text := strings.Repeat("x", n.turn%23) + " " + strings.Join(out, " ")
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}

// ServeHTTP answers for every host.
func (n *internet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	n.mu.Lock()
	a := n.answers
	host, _, _ := strings.Cut(r.Host, ":")
	if a.onRequest != nil && (strings.HasSuffix(host, ".blob.core.windows.net") || strings.Contains(host, "s3.") || strings.HasPrefix(host, "storage.")) {
		defer a.onRequest()
	}
	defer n.mu.Unlock()
	n.requests[host]++
	echo := n.echo(r, body)
	reply := func(media string, status int, text string) {
		w.Header().Set("Content-Type", media)
		w.WriteHeader(max(status, http.StatusOK))
		_, _ = io.WriteString(w, text)
	}
	asJSON := func(status int, v any) { text, _ := json.Marshal(v); reply("application/json", status, string(text)) }
	switch {
	case strings.HasSuffix(host, ".blob.core.windows.net"):
		w.Header().Set("x-ms-error-code", a.code)
		w.Header().Set("x-ms-request-id", "request-1")
		reply("application/xml", a.store, xmlError("Error", a.code, echo, "AuthenticationErrorDetail"))
	case host == "sts.eu-west-1.amazonaws.com":
		if a.token > 0 {
			reply("text/xml", a.token, "<ErrorResponse>"+xmlError("Error", "InvalidIdentityToken", echo, "Type")+"</ErrorResponse>")
			return
		}
		reply("text/xml", 200, fmt.Sprintf(`<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAX</AccessKeyId>`+
			`<SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>`+
			`</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, a.session[0], a.session[1]))
	case strings.HasSuffix(host, ".amazonaws.com"):
		w.Header().Set("x-amz-request-id", "request-1")
		reply("application/xml", a.store, xmlError("Error", a.code, echo, "StringToSign"))
	case host == "storage.googleapis.com":
		asJSON(a.store, map[string]any{"error": map[string]any{"code": a.store, "message": echo, "errors": []any{map[string]any{"reason": a.code}}}})
	case host == "registry.example":
		n.registry(a, r, echo, asJSON)
	case host == "vault.example":
		if a.vault > 0 {
			asJSON(a.vault, map[string]any{"errors": []string{echo}})
			return
		}
		asJSON(200, map[string]any{"data": map[string]any{"data": map[string]any{"value": a.secret}, "metadata": map[string]any{}}})
	case strings.HasSuffix(host, ".vault.azure.net"):
		switch {
		case r.Header.Get("Authorization") == "":
			w.Header().Set("WWW-Authenticate", `Bearer authorization="https://login.microsoftonline.com/tenant", resource="https://vault.azure.net"`)
			asJSON(401, map[string]any{"error": map[string]any{"code": "Unauthorized", "message": echo}})
		case a.keyVault > 0:
			asJSON(a.keyVault, map[string]any{"error": map[string]any{"code": "Forbidden", "message": echo}})
		default:
			asJSON(200, map[string]any{"value": a.secret, "id": "https://" + host + "/secrets/key/1"})
		}
	default: // a service that gives tokens
		n.token(a, r, echo, asJSON)
	}
}

func (n *internet) registry(a answers, r *http.Request, echo string, asJSON func(int, any)) {
	switch {
	case a.registry > 0:
		asJSON(a.registry, map[string]any{"error_code": a.registry * 100, "message": echo})
	case r.URL.Path == "/schemas/types":
		asJSON(200, []string{"AVRO"})
	case r.URL.Path == "/subjects":
		asJSON(200, []string{"clicks-value"})
	case r.URL.Path == "/schemas/ids/1":
		asJSON(200, map[string]any{"schema": `{"type":"record","name":"click","fields":[{"name":"n","type":"long"}]}`})
	default:
		asJSON(404, map[string]any{"error_code": 40403, "message": "Schema not found: " + echo})
	}
}

func (n *internet) token(a answers, r *http.Request, echo string, asJSON func(int, any)) {
	const tenant = "https://login.microsoftonline.com/tenant"
	switch {
	case strings.HasSuffix(r.URL.Path, "/discovery/instance"):
		asJSON(200, map[string]any{"tenant_discovery_endpoint": tenant + "/v2.0/.well-known/openid-configuration", "api-version": "1.1", "metadata": []any{
			map[string]any{"preferred_network": "login.microsoftonline.com", "preferred_cache": "login.windows.net", "aliases": []string{"login.microsoftonline.com"}}}})
	case strings.HasSuffix(r.URL.Path, "/openid-configuration"):
		asJSON(200, map[string]any{"authorization_endpoint": tenant + "/oauth2/v2.0/authorize", "token_endpoint": tenant + "/oauth2/v2.0/token", "issuer": tenant + "/v2.0"})
	case a.token > 0:
		asJSON(a.token, map[string]any{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided. " + echo})
	case r.URL.Path == "/container":
		asJSON(200, map[string]any{"AccessKeyId": "ASIAX", "SecretAccessKey": a.session[0], "Token": a.session[1], "Expiration": "2099-01-01T00:00:00Z"})
	default:
		asJSON(200, map[string]any{"access_token": a.accessToken, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer", "expires_in": 3600, "expires_on": "4070908800"})
	}
}

// xmlError is the body of an error of Azure and S3.
func xmlError(name, code, message, detail string) string {
	var text strings.Builder
	_ = xml.EscapeText(&text, []byte(message))
	return fmt.Sprintf("<%s><Code>%s</Code><Message>%s</Message><%s>%s</%s></%s>", name, code, text.String(), detail, text.String(), detail, name)
}

// sortedKeys are the names of a map in order, so that a run repeats.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// writeFile writes a file of the test's owner only.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
