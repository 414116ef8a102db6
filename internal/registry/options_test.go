package registry

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

const canary = "c4nary-p4ssword"

// section makes the options key, value, key, value; a value that begins with a bang is a secret. Keys stand in line 1, 2, 3, ...
func section(pairs ...string) option.Values {
	var vs []option.Value
	for i := 0; i < len(pairs); i += 2 {
		v := option.Value{Key: pairs[i], Text: pairs[i+1], Pos: problem.Location{File: "p.yaml", Line: 1 + i/2, Col: 3}}
		if text, ok := strings.CutPrefix(v.Text, "!"); ok {
			v.Text, v.Secret, v.IsSecret = "", secret.New(text), true
		}
		vs = append(vs, v)
	}
	return option.NewValues("registry", problem.Location{File: "p.yaml", Line: 1, Col: 1}, vs...)
}

func TestParseOptions(t *testing.T) {
	pemFile := filepath.Join(t.TempDir(), "ca.pem")
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(pemFile, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	notPEM := filepath.Join(t.TempDir(), "ca.jks")
	if err := os.WriteFile(notPEM, []byte("\xfe\xed\xfe\xed"), 0o600); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(t.TempDir(), "large.pem") // cut, it would be a truststore that lacks certificates
	if err := os.WriteFile(large, append(cert, make([]byte, maxTruststoreBytes)...), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		in    option.Values
		loose bool     // allowInsecure
		want  string   // endpoints: name and login
		bad   []string // a part of each problem, in order
	}{
		{name: "a URL alone", in: section("schema.registry.url", "https://sr.example/"), want: "https://sr.example -"},
		{name: "the tutorial's login", in: section("schema.registry.url", "https://sr", "basic.auth.credentials.source", "USER_INFO",
			"basic.auth.user.info", "!key:a:b"), want: "https://sr key:a:b"},
		{name: "Python's way, without a source", in: section("schema.registry.url", "https://sr", "basic.auth.user.info", "key:s"),
			want: "https://sr key:s"},
		{name: "a login in the URL", in: section("schema.registry.url", "https://key:p%40ss@sr:8081/api/v7/"),
			want: "https://sr:8081/api/v7 key:p@ss"},
		{name: "several URLs, each with its own login", in: section("schema.registry.url", " https://a:b@one , https://two,"),
			want: "https://one a:b, https://two -"},
		{name: "a secret URL is not printed", in: section("schema.registry.url", "!https://sr.example"), want: "[REDACTED] -"},
		{name: "http without a login", in: section("schema.registry.url", "http://sr:8081"), want: "http://sr:8081 -"},
		{name: "a login over http to this machine", in: section("schema.registry.url",
			"http://a:b@127.0.0.1:8081,http://a:b@localhost,http://a:b@[::1]"),
			want: "http://127.0.0.1:8081 a:b, http://localhost a:b, http://[::1] a:b"},
		{name: "a login over http elsewhere", in: section("schema.registry.url", "http://a:"+canary+"@sr"),
			bad: []string{"1:3  E1209 basic authentication over plain http to http://sr"}},
		{name: "a name that only begins like an address of this machine", in: section("schema.registry.url", "http://a:b@127.0.0.1.evil.example"),
			bad: []string{"E1209"}},
		{name: "... that the user wants", in: section("schema.registry.url", "http://a:b@sr"), loose: true, want: "http://sr a:b"},
		{name: "nothing", in: section(), bad: []string{"E1205 schema.registry.url is missing in registry"}},
		{name: "an empty URL", in: section("schema.registry.url", " , "), bad: []string{"E1204 schema.registry.url is empty"}},
		{name: "no scheme", in: section("schema.registry.url", "sr.example:8081"),
			bad: []string{`E1204 schema.registry.url is "sr.example:8081"; want http`}},
		{name: "no scheme, and a login", in: section("schema.registry.url", "key:"+canary+"@sr"), bad: []string{`is "[REDACTED]"; want http`}},
		{name: "another scheme", in: section("schema.registry.url", "ftp://a:"+canary+"@sr"), bad: []string{`is "ftp://sr"; want http`}},
		{name: "not a URL at all", in: section("schema.registry.url", "http://a:"+canary+"@sr:port"),
			bad: []string{"schema.registry.url is not a URL"}},
		{name: "a query", in: section("schema.registry.url", "https://sr?x=1"), bad: []string{"has a query or a fragment"}},
		{name: "two logins", in: section("schema.registry.url", "https://a:"+canary+"@sr", "basic.auth.user.info", "c:d"),
			bad: []string{"1:3  E1207 schema.registry.url holds a login, and so does basic.auth.user.info"}},
		{name: "a source that excludes the login", in: section("schema.registry.url", "https://sr", "basic.auth.user.info", "c:d",
			"basic.auth.credentials.source", "url"), bad: []string{"2:3  E1207 basic.auth.user.info is given"}},
		{name: "a source without its login", in: section("schema.registry.url", "https://sr", "basic.auth.credentials.source", "USER_INFO"),
			bad: []string{"E1205 basic.auth.user.info is missing"}},
		{name: "a login without a password", in: section("schema.registry.url", "https://sr", "basic.auth.user.info", canary),
			bad: []string{"E1204 basic.auth.user.info has no colon"}},
		{name: "SASL_INHERIT", in: section("schema.registry.url", "https://sr", "basic.auth.credentials.source", "SASL_INHERIT"),
			bad: []string{"2:3  E1206 basic.auth.credentials.source: SASL_INHERIT is not supported yet"}},
		{name: "options that silt does not have", in: section("schema.registry.url", "https://sr", "bearer.auth.token", "!"+canary,
			"schema.registry.ssl.keystore.location", "/k", "ssl.truststore.location", "/k", "schema.registry.ssl.truststore.password", "!"+canary,
			"auto.register.schemas", "false", "schema.registry.ulr", "x"), bad: []string{
			"2:3  E1206 bearer.auth.token is not supported yet", "3:3  E1206 schema.registry.ssl.keystore.location is",
			"4:3  E1206 ssl.truststore.location is", "5:3  E1206 schema.registry.ssl.truststore.password is", "6:3  E1206 auto.register.schemas is",
			`7:3  E1203 unknown option "schema.registry.ulr" in registry; did you mean "schema.registry.url"?`}},
		{name: "a PEM truststore", in: section("schema.registry.url", "https://sr", "schema.registry.ssl.truststore.location", pemFile,
			"schema.registry.ssl.truststore.type", "pem", "schema.registry.ssl.endpoint.identification.algorithm", "https"), want: "https://sr -"},
		{name: "a JKS truststore", in: section("schema.registry.url", "https://sr", "schema.registry.ssl.truststore.location", "/k",
			"schema.registry.ssl.truststore.type", "JKS"), bad: []string{"E1206 schema.registry.ssl.truststore.type: JKS is not supported yet"}},
		{name: "a truststore that is not PEM", in: section("schema.registry.url", "https://sr", "schema.registry.ssl.truststore.location",
			notPEM),
			bad: []string{"holds no PEM certificate"}},
		{name: "a truststore without end", in: section("schema.registry.url", "https://sr", "schema.registry.ssl.truststore.location",
			large),
			bad: []string{"2:3  E1101 schema.registry.ssl.truststore.location"}},
		{name: "no truststore there", in: section("schema.registry.url", "https://sr", "schema.registry.ssl.truststore.location",
			"/no/such/file"),
			bad: []string{"2:3  E1101 schema.registry.ssl.truststore.location"}},
		{name: "no check of the host's name", in: section("schema.registry.url", "https://sr",
			"schema.registry.ssl.endpoint.identification.algorithm", ""),
			bad: []string{"E1206 schema.registry.ssl.endpoint.identification.algorithm"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o, problems := ParseOptions(tt.in, tt.loose)
			var got []string
			for _, e := range o.Endpoints {
				login := e.Login.Reveal()
				if login == "" {
					login = "-"
				}
				got = append(got, e.Name+" "+login)
			}
			if s := strings.Join(got, ", "); len(tt.bad) == 0 && s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
			if len(problems) != len(tt.bad) {
				t.Errorf("got problems %v, want %q", problems, tt.bad)
			}
			for i, p := range problems {
				if i < len(tt.bad) && !strings.Contains(p.Error(), tt.bad[i]) {
					t.Errorf("problem %d is %s, want %s", i, p, tt.bad[i])
				}
				if all := p.Error() + p.Why + p.Hint; strings.Contains(all, canary) {
					t.Errorf("the password is in %s", all)
				}
			}
			if wantRoots := strings.Contains(tt.name, "PEM truststore") && len(tt.bad) == 0; (o.Roots != nil) != wantRoots && len(tt.bad) == 0 {
				t.Errorf("roots %v", o.Roots)
			}
		})
	}
}
