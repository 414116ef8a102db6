package registry

import (
	"crypto/x509"
	"net/url"
	"strings"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// Options say where the registry is and how to log in. The zero value has no registry.
type Options struct {
	// Endpoints are the registry's URLs; one that does not answer is followed by the next.
	Endpoints []Endpoint
	// Roots are the certificate authorities of schema.registry.ssl.truststore.location; nil means the system's.
	Roots *x509.CertPool

	at, loginAt problem.Location // of the URL and of the credentials, for the problems of Probe
}

// An Endpoint is one URL of the registry.
type Endpoint struct {
	URL url.URL // without user info
	// Name is the URL as it may be printed.
	Name string
	// Login is "user:password" for basic authentication; zero means none.
	Login secret.Secret
}

const maxTruststoreBytes = 1 << 20

// The sources of credentials that Confluent's clients know, and silt with them.
const (
	fromURL      = "URL"
	fromUserInfo = "USER_INFO"
	fromSASL     = "SASL_INHERIT"
)

// refusedPrefixes are options of Confluent's clients that silt does not have, each with what to do instead.
var refusedPrefixes = []struct{ prefix, instead string }{
	{"bearer.auth.", "use basic.auth.credentials.source: USER_INFO with basic.auth.user.info"},
	{"schema.registry.ssl.keystore.", "client certificates are not supported: use basic.auth.user.info"},
	{"schema.registry.ssl.key.", "client certificates are not supported: use basic.auth.user.info"},
	{"schema.registry.ssl.truststore.", "name a PEM file in schema.registry.ssl.truststore.location; it needs no password"},
	{"schema.registry.ssl.", "leave it out: TLS 1.2 or later is always verified"},
	{"ssl.", "name a PEM file of certificate authorities in schema.registry.ssl.truststore.location"},
	{"sasl.", "use basic.auth.credentials.source: USER_INFO with basic.auth.user.info"},
	{"proxy.", "set HTTPS_PROXY in the environment"},
	{"schema.registry.request.header.", "leave it out: silt sends no other headers"},
}

// refusedKeys are options of Confluent's clients and serializers that have no meaning for a reader of schemas by id.
var refusedKeys = []string{"auto.register.schemas", "use.latest.version", "use.latest.with.metadata", "use.schema.id", "normalize.schemas",
	"latest.compatibility.strict", "latest.cache.ttl.sec", "latest.cache.size", "max.schemas.per.subject", "key.subject.name.strategy",
	"value.subject.name.strategy", "specific.avro.reader", "avro.reflection.allow.null", "avro.use.logical.type.converters",
	"context.name.strategy", "http.connect.timeout.ms", "http.read.timeout.ms", "max.retries", "retries.wait.ms", "retries.max.wait.ms"}

// ParseOptions reads the section registry (Confluent's client properties). It reads the truststore file.
func ParseOptions(vs option.Values, allowInsecure bool) (Options, []*problem.Problem) {
	p := option.NewParser(vs)
	var o Options
	login, source := credentials(p, &o)
	endpoints(p, &o, login, source, allowInsecure)
	truststore(p, &o)
	refuse(p)
	return o, p.Finish()
}

// credentials returns "user:password" of basic.auth.user.info, and the source that counts. Java's client takes the URL's user info unless
// it is told otherwise, Python's takes basic.auth.user.info where it is given; silt takes whichever there is.
func credentials(p *option.Parser, o *Options) (login secret.Secret, source string) {
	v, given := p.Value("basic.auth.user.info")
	login = p.Secret("basic.auth.user.info")
	fallback := fromURL
	if given {
		fallback = fromUserInfo
		o.loginAt = v.Pos
	}
	source = p.Enum("basic.auth.credentials.source", fallback, fromUserInfo, fromURL, fromSASL)
	at, _ := p.Lookup("basic.auth.credentials.source")
	switch {
	case source == fromSASL:
		p.Report(at, problem.Unsupported, "%s: SASL_INHERIT is not supported yet", at.Key).
			Fix("use USER_INFO and name the registry's own key in basic.auth.user.info")
	case source == fromURL && given:
		p.Report(v, problem.Conflict, "%s is given, and basic.auth.credentials.source is URL", v.Key).
			Fix("set basic.auth.credentials.source: USER_INFO, or leave %s out", v.Key)
	case source == fromUserInfo && !given:
		p.Missing("basic.auth.user.info", "write basic.auth.user.info: ${env:REGISTRY_KEY}:${env:REGISTRY_SECRET}")
	case given && !v.IsList && !strings.Contains(login.Reveal(), ":"):
		p.Report(v, problem.InvalidValue, "%s has no colon; want user:password", v.Key)
	}
	return login, source
}

func endpoints(p *option.Parser, o *Options, login secret.Secret, source string, allowInsecure bool) {
	const key = "schema.registry.url"
	if !p.Has(key) {
		p.Missing(key, "write schema.registry.url: https://HOST")
		return
	}
	items, _ := p.List(key)
	for _, v := range items {
		v.Key = key
		if o.at == (problem.Location{}) {
			o.at = v.Pos
		}
		for i, text := range strings.Split(v.Reveal(), ",") {
			if text = strings.TrimSpace(text); text == "" {
				continue
			}
			inURL := v.AsSecret().Map(func(list string) string { return userinfo(list, i) })
			endpoint(p, o, v, text, inURL, login, source, allowInsecure)
		}
	}
	if len(items) == 0 || len(o.Endpoints) == 0 && len(strings.Trim(items[0].Reveal(), ", \t")) == 0 {
		v, _ := p.Lookup(key)
		p.Report(v, problem.InvalidValue, "%s is empty; want https://HOST", key)
	}
}

// userinfo returns user:password of the nth URL of a list, "" if it has none.
func userinfo(list string, n int) string {
	urls := strings.Split(list, ",")
	if n >= len(urls) {
		return "" // renewed, the list is shorter
	}
	u, err := url.Parse(strings.TrimSpace(urls[n]))
	if err != nil || u.User == nil {
		return ""
	}
	password, _ := u.User.Password()
	return u.User.Username() + ":" + password
}

// endpoint adds one URL, or reports what is wrong with it; inURL is its userinfo. A URL may hold a password, so that no message prints more of
// it than Name.
func endpoint(p *option.Parser, o *Options, v option.Value, text string, inURL, login secret.Secret, source string, allowInsecure bool) {
	u, err := url.Parse(text)
	if err != nil {
		p.Report(v, problem.InvalidValue, "%s is not a URL; want https://HOST", v.Key) // err prints the text
		return
	}
	user := u.User
	u.User = nil
	name := strings.TrimSuffix(u.String(), "/")
	if v.IsSecret {
		name = secret.Redacted
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		if u.Scheme == "" || u.Opaque != "" || u.Host == "" {
			name = v.Shown() // nothing that could be user info was taken off
			if strings.Contains(name, "@") {
				name = secret.Redacted
			}
		}
		p.Report(v, problem.InvalidValue, "%s is %q; want http://HOST or https://HOST", v.Key, name)
		return
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		p.Report(v, problem.InvalidValue, "%s has a query or a fragment; want https://HOST/PATH", v.Key)
		return
	}
	e := Endpoint{URL: *u, Name: name}
	e.URL.Path = strings.TrimRight(u.Path, "/")
	e.URL.RawPath = strings.TrimRight(u.RawPath, "/")
	switch {
	case user != nil && source != fromURL:
		p.Report(v, problem.Conflict, "%s holds a login, and so does basic.auth.user.info", v.Key).Fix("leave one of them out")
		return
	case user != nil:
		e.Login = inURL
		o.loginAt = v.Pos
	case source == fromUserInfo:
		e.Login = login
	}
	if !e.Login.IsZero() && u.Scheme == "http" && !option.Loopback(u.Hostname()) && !allowInsecure {
		p.Report(v, problem.Insecure, "basic authentication over plain http to %s", e.Name).
			Fix("use https, or set allowInsecure: true at the top level of the file if everyone on the network may read the password")
		return
	}
	o.Endpoints = append(o.Endpoints, e)
}

func truststore(p *option.Parser, o *Options) {
	const key = "schema.registry.ssl.truststore.location"
	path := p.String(key, "")
	if kind, ok := p.Value("schema.registry.ssl.truststore.type"); ok && !strings.EqualFold(strings.TrimSpace(kind.Reveal()), "PEM") {
		p.Report(kind, problem.Unsupported, "%s: %s is not supported yet", kind.Key, kind.Shown()).
			Fix("convert the truststore to PEM: keytool -exportcert -rfc -keystore FILE -alias NAME")
		return
	}
	v, ok := p.Value("schema.registry.ssl.endpoint.identification.algorithm")
	if ok && !strings.EqualFold(strings.TrimSpace(v.Reveal()), "https") {
		p.Report(v, problem.Unsupported, "%s: %q is not supported; want https", v.Key, v.Shown())
	}
	v, ok = p.Lookup(key)
	if !ok || v.IsList {
		return
	}
	text, err := option.ReadFile(path, maxTruststoreBytes)
	if err != nil {
		p.Report(v, problem.FileUnreadable, "%s %s cannot be read", v.Key, v.Shown()).Because(err)
		return
	}
	o.Roots = x509.NewCertPool()
	if !o.Roots.AppendCertsFromPEM(text) {
		p.Report(v, problem.InvalidValue, "%s: %s holds no PEM certificate", v.Key, v.Shown()).
			Fix("convert the truststore to PEM: keytool -exportcert -rfc -keystore FILE -alias NAME")
	}
}

func refuse(p *option.Parser) {
	p.Unsupported("leave it out: silt reads the writer's schema by the id in each record", refusedKeys...)
	for _, v := range p.All() {
		low := strings.ToLower(v.Key)
		if low == "schema.registry.ssl.truststore.location" || low == "schema.registry.ssl.truststore.type" ||
			low == "schema.registry.ssl.endpoint.identification.algorithm" {
			continue
		}
		for _, r := range refusedPrefixes {
			if strings.HasPrefix(low, r.prefix) {
				p.Unsupported(r.instead, v.Key)
				break
			}
		}
	}
}
