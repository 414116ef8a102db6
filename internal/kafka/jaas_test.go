package kafka

import (
	"errors"
	"strings"
	"testing"
)

const tutorialJaas = "kafkashaded.org.apache.kafka.common.security.plain.PlainLoginModule required username='K' password='S';"

func TestPlainLogin(t *testing.T) {
	tests := []struct{ name, in, user, password string }{
		{"the tutorial's string", tutorialJaas, "K", "S"},
		{"Kafka's own class", plainModule + ` required username="K" password="S";`, "K", "S"},
		{"white space and line ends separate", "\n" + plainModule + "\n  required\r\n\tusername = K\n\tpassword =\"S\"\n;\n", "K", "S"},
		{"flags in any case", plainModule + ` ReQuisite username=K password=S;`, "K", "S"},
		{"no space before the semicolon of an unquoted value", plainModule + ` required username=K password=S;`, "K", "S"},
		{"unquoted values may hold what is not special", plainModule + ` required username=a.b-c_d password=x+y!@#$%^&*(),<>?[]{}|~;`, "a.b-c_d",
			"x+y!@#$%^&*(),<>?[]{}|~"},
		{"digits first", plainModule + ` required username=1abc password=-2;`, "1abc", "-2"},
		{"quoted values may hold what is special", plainModule + ` required username="a b" password="/+=;'//";`, "a b", "/+=;'//"},
		{"backslashes", plainModule + ` required username='it\'s' password="a\\b\"\n\t\101\7x\q";`, "it's", "a\\b\"\n\tA\ax" + "q"},
		{"octal ends at 377", plainModule + ` required username=K password="\3777\4001";`, "K", "\xff7\x2001"},
		{"comments", "// one\n" + plainModule + " required /* two\n three */ username=K # password='not'\n='x' password=S; / four", "", ""},
		{"a comment to the line's end", "// one\n" + plainModule + " required /* two\n three */ username=K / more\npassword=S; // four", "K",
			"S"},
		{"of two equal keys the last one counts", plainModule + ` required username=A username=K password=S;`, "K", "S"},
		{"options of other modules are not read", plainModule + ` required username=K password=S user_alice="x" serviceName=kafka;`, "K", "S"},
		{"bytes that are not UTF-8", plainModule + " required username=K password='\xff\xfe';", "K", "\xff\xfe"},
	}
	for _, tt := range tests {
		l, err := parseLoginJaas(tt.in, plainModule)
		if tt.user == "" {
			if err == nil {
				t.Errorf("%s: no error", tt.name)
			}
			continue
		}
		if err != nil || l.username != tt.user || l.password != tt.password {
			t.Errorf("%s: got %q, %q, %v; want %q, %q", tt.name, l.username, l.password, err, tt.user, tt.password)
		}
	}
}

func TestPlainLoginErrorsTellNoSecret(t *testing.T) {
	tests := []struct {
		name, in string
		want     string
	}{
		{"empty", "", errJaasEmpty.Error()},
		{"only a comment", "/ canary", errJaasEmpty.Error()},
		{"no flag", plainModule, errJaasFlag.Error()},
		{"another flag", plainModule + " canary username=K password=S;", errJaasFlag.Error()},
		{"no semicolon", plainModule + " required username='K' password='canary'", errJaasEnd.Error()},
		{"an unquoted slash begins a comment that takes the semicolon", plainModule + " required username=K password=can/ary;",
			errJaasEnd.Error()},
		{"two slashes too", plainModule + " required username=K password=can//ary;", errJaasEnd.Error()},
		{"an unquoted = ends the value", plainModule + " required username=K password=canary==;", errJaasValue.Error()},
		{"a value with a space", plainModule + " required username=K password=can ary;", errJaasValue.Error()},
		{"a password with ' in the tutorial's quotes", strings.Replace(tutorialJaas, "'S'", "'can'ary'", 1), "a value that holds ' must"},
		{"two of them", strings.Replace(tutorialJaas, "'S'", "'can'ary' '", 1), ""},
		{"a quote that is not closed", plainModule + ` required username=K password="canary;`, errJaasQuote.Error()},
		{"a quote that the line's end closes for Java", plainModule + " required username=K password='can\nary';", errJaasQuote.Error()},
		{"no password", plainModule + " required username='canary';", "it has no password"},
		{"no username", plainModule + " required password='canary';", "it has no username"},
		{"an empty password", plainModule + ` required username=canary password="";`, "it has no password"},
		{"the notebook's format string", plainModule + " required username='{}' password='{}';", "its username is {}"},
		{"two modules", plainModule + " required username=K password=canary;" + plainModule + " required username=K password=canary;",
			errJaasModules.Error()},
		{"SCRAM", `org.apache.kafka.common.security.scram.ScramLoginModule required username=K password=canary;`,
			"ScramLoginModule is not that of kafka.sasl.mechanism"},
		{"OAUTHBEARER", `kafkashaded.org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required clientSecret=canary;`,
			"OAuthBearerLoginModule is not supported yet"},
		{"Kerberos", `com.sun.security.auth.module.Krb5LoginModule required useKeyTab=canary;`, "Krb5LoginModule is not supported yet"},
		{"something that ends alike", "x" + plainModule + ` required username=K password=canary;`, "its login module is not"},
		{"JNDI, which runs code in Java", `com.sun.security.auth.module.JndiLoginModule required user.provider.url="ldap://canary";`,
			"its login module is not"},
	}
	for _, tt := range tests {
		_, err := parseLoginJaas(tt.in, plainModule)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
			continue
		}
		if strings.Contains(err.Error(), "can") && strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "ary'") {
			t.Errorf("%s: the error tells: %v", tt.name, err)
		}
	}
}

func FuzzJaas(f *testing.F) {
	f.Add(tutorialJaas)
	f.Add(plainModule + ` required username="a\"b\101" password='c' /* x */ ; // y`)
	f.Add("a required b=c;d optional;")
	f.Add("a REQUIRED b='c\n';")
	f.Fuzz(func(t *testing.T, text string) {
		entries, err := parseJaas(text)
		if err != nil {
			for _, known := range []error{errJaasEmpty, errJaasFlag, errJaasValue, errJaasEnd, errJaasQuote} {
				if errors.Is(err, known) {
					return
				}
			}
			t.Fatal(err)
		}
		// What was read is read again from its quoted form.
		again, err := parseJaas(formatJaas(entries))
		if err != nil || len(again) != len(entries) {
			t.Fatalf("%q: %v", formatJaas(entries), err)
		}
		for i, e := range entries {
			for k, v := range e.options {
				if again[i].options[k] != v {
					t.Fatalf("%q: option %q is %q, want %q", text, k, again[i].options[k], v)
				}
			}
		}
	})
}

// formatJaas writes entries with everything quoted. A key that was a token of its own has no name.
func formatJaas(entries []jaasEntry) string {
	quote := func(s string) string {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`).Replace(s) + `"`
	}
	var b strings.Builder
	for _, e := range entries {
		b.WriteString(quote(e.class) + " required")
		for k, v := range e.options {
			b.WriteString(" " + quote(k) + "=" + quote(v))
		}
		b.WriteString(";")
	}
	return b.String()
}
