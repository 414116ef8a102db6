package scope

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
)

func TestScopesAreDeclared(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
		want  string // the scopes and where they are, or the problems
	}{
		{"the tutorial's", []string{"scopes.confluentTest.keyvault: https://confluenttest.vault.azure.net/"},
			"confluentTest: Azure Key Vault https://confluenttest.vault.azure.net"},
		{"all of them", []string{"scopes.b.vault: https://vault.example:8200", "scopes.b.mount: kv", "scopes.c.dir: /run/secrets", "scopes.d.env: APP_",
			"scopes.e.f.local: /x/s.age"},
			"b: Vault https://vault.example:8200, kv\nc: the folder /run/secrets\nd: the environment, APP_…\ne.f: the local store /x/s.age"},
		{"no place", []string{"scopes.a.mount: kv"}, "p.yaml:2:5  E1205 the scope a does not say where its secrets are"},
		{"a place that is misspelled", []string{"scopes.a.keyvalt: https://x"},
			"p.yaml:2:5  E1205 the scope a does not say where its secrets are\n" +
				`p.yaml:2:5  E1203 unknown option "keyvalt" in secrets.scopes.a; did you mean "keyvault"?`},
		{"two places", []string{"scopes.a.dir: /x", "scopes.a.env: X_"}, "p.yaml:3:5  E1207 the scope a is both dir and env"},
		{"an option of another place", []string{"scopes.a.dir: /x", "scopes.a.mount: kv"},
			`p.yaml:3:5  E1203 unknown option "mount" in secrets.scopes.a`},
		{"an option that is misspelled", []string{"scopes.a.vault: https://x", "scopes.a.namespce: n"},
			`p.yaml:3:5  E1203 unknown option "namespce" in secrets.scopes.a; did you mean "namespace"?`},
		{"a list", []string{"scopes.a.dir: [/x]"}, "p.yaml:2:5  E1204 dir is a list; want a single value"},
		{"a list beside the place", []string{"scopes.a.vault: https://v", "scopes.a.token: [x]"},
			"p.yaml:3:5  E1204 token is a list; want a single value"},
		{"no mapping", []string{"scopes.a: x"}, "p.yaml:2:5  E1204 secrets.scopes.a is no mapping"},
		{"no scopes", []string{"scope.a.dir: /x"}, `p.yaml:2:5  E1203 unknown key "scope.a.dir" in secrets`},
		{"a name that is none", []string{"scopes.a b.dir: /x"}, `p.yaml:2:5  E1204 "a b" is no name of a scope`},
		{"plain http", []string{"scopes.a.vault: http://vault.example"}, "p.yaml:2:5  E1209 the address of the scope a is plain http"},
		{"no URL", []string{"scopes.a.vault: vault.example"}, "p.yaml:2:5  E1204 the address of the scope a is no URL"},
		{"a login in the URL", []string{"scopes.a.vault: https://u:canary@v"}, "p.yaml:2:5  E1204 the address of the scope a has a login"},
		{"empty", []string{"scopes.a.dir: "}, "p.yaml:2:5  E1204 dir of the scope a is empty"},
		{"no such certificate", []string{"scopes.a.vault: https://v", "scopes.a.caCert: /no/such"},
			"p.yaml:3:5  E1101 caCert of the scope a cannot be read"},
		{"no local store", []string{"scopes.a.local: default"}, "p.yaml:2:5  E1204 there is no local store"},
	}
	for _, tt := range tests {
		s, ps := New(section(tt.lines...), option.Values{}, Env{Getenv: env(nil)})
		var got []string
		for _, p := range ps {
			got = append(got, p.Error())
		}
		if len(ps) == 0 {
			for _, name := range s.names() {
				got = append(got, name+": "+s.scopes[strings.ToLower(name)].provider.String())
			}
		}
		if text := strings.Join(got, "\n"); text != tt.want && (len(ps) != 1 || !strings.HasPrefix(text, tt.want)) {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, text, tt.want)
		}
	}
}

func TestThePipelinesScopesHideTheUsers(t *testing.T) {
	s, ps := New(section("scopes.A.dir: /pipeline"), section("scopes.a.vault: https://v", "scopes.b.dir: /user"), Env{Getenv: env(nil)})
	if len(ps) > 0 || s.scopes["a"].provider.String() != "the folder /pipeline" || s.scopes["b"].provider.String() != "the folder /user" {
		t.Errorf("got %v, %v", s.scopes, ps)
	}
}

func TestAnUnknownScopeSaysHowToDeclareOne(t *testing.T) {
	s := declare(t, Env{Getenv: env(nil)}, "scopes.confluentTest.dir: /x")
	_, p := s.Secret(t.Context(), "confluentTst", "k")
	if p == nil || p.Message != `unknown scope "confluentTst"; did you mean "confluentTest"?` || !strings.Contains(p.Hint, "secrets: {scopes: {confluentTst:") {
		t.Errorf("got %v, %v", p, p.Hint)
	}
}

// That one caller has no time left does not keep the next from asking.
func TestThePlaceIsNotDownForACallerThatGaveUp(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"data":{"data":{"value":"`+canary+`"}}}`)
	}))
	defer server.Close()
	s := declare(t, Env{Getenv: env(map[string]string{"VAULT_TOKEN": canaryToken})}, "scopes.v.vault: "+server.URL)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, p := s.Secret(ended, "v", "key"); p == nil {
		t.Error("a caller that gave up got a value")
	}
	if value, p := s.Secret(t.Context(), "v", "key"); value != canary || p != nil {
		t.Errorf("got %q, %v", value, p)
	}
}

func TestAFolderAsKubernetesMountsIt(t *testing.T) {
	dir := t.TempDir()
	version := filepath.Join(dir, "..2026_01_01")
	if err := os.Mkdir(version, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{filepath.Join(version, "password"): canary + "\n", filepath.Join(version, "empty"): "\n",
		filepath.Join(version, "large"): strings.Repeat("x", MaxValueBytes+1), filepath.Join(filepath.Dir(dir), "outside"): canary} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, name string) {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err) // Windows has them for administrators and in developer mode
		}
	}
	link("..2026_01_01", "..data")
	for _, name := range []string{"password", "empty", "large"} {
		link(filepath.Join("..data", name), name)
	}
	link(filepath.Join("..", "outside"), "escape")
	s := declare(t, Env{Getenv: env(nil)}, "scopes.d.dir: "+dir, "scopes.none.dir: "+dir+"/none")
	for name, want := range map[string]string{"d/password": canary, "d/empty": "empty value", "d/large": "larger than 64KiB", "d/pasword": "no such file",
		"d/escape": "cannot be read", "d/../outside": "may not lead out", "d//etc/passwd": "may not lead out", "none/x": "there is no folder"} {
		scope, key, _ := strings.Cut(name, "/")
		got, p := s.Secret(t.Context(), scope, key)
		if p != nil {
			got = p.Message
		}
		if !strings.Contains(got, want) || (p == nil) != (want == canary) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		if name == "d/pasword" && p.Hint != "did you mean password?" {
			t.Errorf("hint %q", p.Hint)
		}
	}
	if l, err := s.List(t.Context(), "d"); err != nil || strings.Join(l[0].Keys, " ") != "empty escape large password" {
		t.Errorf("got %v, %v", l, err)
	}
}

func TestTheEnvironmentAsAScope(t *testing.T) {
	s := declare(t, Env{Getenv: env(map[string]string{"CONFLUENT_API_KEY": canary, "CONFLUENT_EMPTY": ""}),
		Environ: func() []string {
			return []string{"CONFLUENT_API_KEY=" + canary, "CONFLUENT_EMPTY=", "OTHER=x", "CONFLUENT_=x"}
		}},
		"scopes.e.env: CONFLUENT_", "scopes.all.env: ")
	for name, want := range map[string]string{"e/api-key": canary, "e/API_KEY": canary, "e/api.key": canary, "e/empty": "CONFLUENT_EMPTY is empty",
		"e/none": "CONFLUENT_NONE is not set", "all/confluent-api-key": canary} {
		scope, key, _ := strings.Cut(name, "/")
		got, p := s.Secret(t.Context(), scope, key)
		if p != nil {
			if got = p.Message; p.Code != problem.SecretUnresolved {
				t.Errorf("%s: %v", name, p)
			}
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	l, err := s.List(t.Context(), "")
	if err != nil || len(l) != 2 || l[0].Problem == nil || strings.Join(l[1].Keys, " ") != "API_KEY" {
		t.Errorf("got %v, %v", l, err)
	}
}
