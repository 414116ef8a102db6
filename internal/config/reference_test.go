package config

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

func newResolver(env map[string]string) *resolver {
	return &resolver{
		env:      func(k string) (string, bool) { v, ok := env[k]; return v, ok },
		readFile: func(name string, _ int64) ([]byte, error) { return []byte(env[name]), nil },
		storage:  storage,
		scrubber: new(secret.Scrubber),
	}
}

// storage knows two options.
func storage(key string) (sensitive, known bool) {
	sensitive = key == "the.key"
	return sensitive, sensitive || key == "the.token.endpoint"
}

func TestReferencesAreReplacedInPlace(t *testing.T) {
	env := map[string]string{"A": "a", "B": "${env:A}", "EMPTY": "", "/f": "line\r\n", "/two": "x\n\n", "/c:d": "colon\n"}
	tests := []struct{ in, want string }{
		{"x${env:A}y${env:A}z", "xayaz"},
		{"${env:B}", "${env:A}"},          // values are not resolved again
		{"${env:MISSING:d:e f}", "d:e f"}, // a default is all up to the brace
		{"${env:MISSING:}", ""},
		{"${env:EMPTY:d}", "d"}, // empty counts as not set
		{"${env:A:d}", "a"},
		{"${file:/f}", "line"},
		{"${file:/two}", "x\n"},   // one line break
		{"${file:/c:d}", "colon"}, // a path may hold a colon
		{"$${env:A}", "${env:A}"}, {"$$${env:A}", "$${env:A}"}, {"$", "$"}, {"$$", "$$"}, {"${env:A}$", "a$"}, {"{}", "{}"},
	}
	for _, tt := range tests {
		r := newResolver(env).start("", "name")
		if got := r.resolve(tt.in, problem.Location{}); got != tt.want || len(r.problems) > 0 {
			t.Errorf("%s: got %q %v, want %q", tt.in, got, r.problems, tt.want)
		}
	}
}

// A reference that is not quite one would be sent to a server as the password.
func TestWhatLooksLikeAReferenceIsRefused(t *testing.T) {
	for _, text := range []string{"{{secret/s/k}}", "x {{ secrets:s/k }}", "$secret:s/k", `dbutils.secrets.get("s","k")`, "${env:A} $secret:s/k"} {
		r := newResolver(map[string]string{"A": "{{secret/of a value}}"}).start("source.kafka", "kafka.sasl.username")
		r.resolve(text, problem.Location{})
		if len(r.problems) != 1 || r.problems[0].Code != problem.InvalidValue || !strings.Contains(r.problems[0].Message, "looks like a reference") {
			t.Errorf("%s: got %v", text, r.problems)
		}
	}
	for _, text := range []string{"{{", "secret", "$secretary", "{{secretary}}", "${env:A}", "${env:MISSING:$secret:d}"} {
		r := newResolver(map[string]string{"A": "{{secret/of a value}}"}).start("source.kafka", "kafka.sasl.username")
		if r.resolve(text, problem.Location{}); len(r.problems) != 0 {
			t.Errorf("%s: got %v", text, r.problems)
		}
	}
}

func TestAnyTextCanBeWrittenWithEscapes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("${}ab:env ü")), 0, 40, -1).Draw(t, "text")
		r := newResolver(nil).start("", "name")
		if got := r.resolve(strings.ReplaceAll(text, "${", "$${"), problem.Location{}); got != text || len(r.problems) > 0 {
			t.Fatalf("got %q %v, want %q", got, r.problems, text)
		}
	})
}

func TestWhatIsASecretDependsOnTheOption(t *testing.T) {
	env := map[string]string{"V": "from-a-reference"}
	tests := []struct {
		section, key, text string
		want               bool
	}{
		{"source.kafka", "kafka.bootstrap.servers", "${env:V}", false}, // printed in errors
		{"source.kafka", "SUBSCRIBE", "${env:V}", false},               // keys ignore case
		{"source.kafka", "kafka.sasl.password", "written", true},       // a secret by nature
		{"source.kafka", "Kafka.SASL.JAAS.Config", "written", true},
		{"source.kafka", "kafka.ssl.keystore.key", "written", true},
		{"source.kafka", "kafka.sasl.username", "${env:V}", true}, // not listed as plain
		{"source.kafka", "kafka.sasl.username", "written", false},
		{"source.kafka", "kafka.what.is.this", "${env:V}", true},
		{"registry", "basic.auth.credentials.source", "${env:V}", false},
		{"registry", "basic.auth.user.info", "a:b", true},
		{"registry", "schema.registry.url", "https://${env:V}", false},
		{"registry", "schema.registry.url", "https://user:pass@host", true},
		{"registry", "bearer.auth.token", "written", true},
		{"decode", "mode", "${env:V}", false},
		{"sink.delta", "path", "${env:V}", false},
		{"", "checkpointLocation", "${env:V}", false},
		{"sink.storageOptions", "the.key", "written", true},              // by its spec
		{"sink.storageOptions", "the.token.endpoint", "${env:V}", false}, // plain by its spec, whatever its name looks like
		{"sink.storageOptions", "the.tokn", "written", false},            // unknown
		{"sink.storageOptions", "the.unknown", "${env:V}", true},         // unknown
		{"sink.storageOptions", "the.unknown.password", "written", true}, // unknown, and looks like one
		{"a.section.of.tomorrow", "key", "${env:V}", true},
	}
	for _, tt := range tests {
		r := newResolver(env).start(tt.section, tt.key)
		v := r.finish(option.Value{}, r.resolve(tt.text, problem.Location{}), true)
		if v.IsSecret != tt.want || v.IsSecret && v.Text != "" {
			t.Errorf("%s %s: %s: got %+v", tt.section, tt.key, tt.text, v)
		}
	}
}

func TestPasswordsInsideOtherValues(t *testing.T) {
	const jaas = "kafka.sasl.jaas.config"
	tests := []struct{ key, text, want string }{
		{jaas, `x.PlainLoginModule required username="u" password="p w";`, "p w"},
		{jaas, `x.PlainLoginModule required password='p;w' username='u';`, "p;w"},
		{jaas, `x.PlainLoginModule required password=pw;`, "pw"},
		{jaas, `x.PlainLoginModule required username=u;`, ""},
		{"basic.auth.user.info", "key:se:cret", "se:cret"},
		{"schema.registry.basic.auth.user.info", "key:secret", "secret"},
		{"subscribe", "password=x", ""},
	}
	for _, tt := range tests {
		if got := password(tt.key, tt.text); got != tt.want {
			t.Errorf("%s: %s: got %q, want %q", tt.key, tt.text, got, tt.want)
		}
	}
	for text, want := range map[string]string{"https://u:p@h:1/x": "p", "http://a,https://u:p2@h": "p2", "https://h/a:b@c": "", "u:p@h": "",
		"https://u@h": ""} {
		if got := userinfo(text); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestASecretOfAFileIsRenewedWithAllThatIsMadeOfIt(t *testing.T) {
	files := map[string]string{"/jaas": `x.PlainLoginModule required username="u" password="old-jaas";`, "/key": "old-key", "/secret": "old-secret"}
	r := newResolver(files)
	values := map[string]option.Value{}
	for key, text := range map[string]string{"kafka.sasl.jaas.config": "${file:/jaas}", "basic.auth.user.info": "${file:/key}:$${x}:${file:/secret}"} {
		res := r.start("source.kafka", key)
		values[key] = res.finish(option.Value{}, res.resolve(text, problem.Location{}), true)
	}
	files["/jaas"], files["/secret"] = strings.Replace(files["/jaas"], "old-jaas", "new-jaas", 1), "new-secret"
	for key, want := range map[string]string{"kafka.sasl.jaas.config": files["/jaas"], "basic.auth.user.info": "old-key:${x}:new-secret"} {
		s := values[key].Secret
		if changed, err := s.Renew(t.Context()); !changed || err != nil || s.Reveal() != want {
			t.Errorf("%s: got %s, %v, %v", key, s.Reveal(), changed, err)
		}
	}
	for _, text := range []string{"old-jaas", "new-jaas", "old-secret", "new-secret"} {
		if got := r.scrubber.String(text); got != secret.Redacted {
			t.Errorf("%s is printed as %s", text, got)
		}
	}
}
