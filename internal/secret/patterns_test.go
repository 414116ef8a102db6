package secret

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestWhatLooksLikeASecretIsRedacted(t *testing.T) {
	const module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
	tests := []struct{ name, in, want string }{
		{"userinfo of a URL", "GET https://key:hunter2@host:8081/subjects: 500", "GET https://[REDACTED]@host:8081/subjects: 500"},
		{"userinfo without a password", "https://hunter2@host/", "https://[REDACTED]@host/"},
		{"userinfo with an @ that is not escaped", "https://key:a@b@host/x@y", "https://[REDACTED]@host/x@y"},
		{"two URLs", "http://a:b@c, http://d:e@f", "http://[REDACTED]@c, http://[REDACTED]@f"},
		{"an account key in the place of userinfo", "abfss://c:hunter2@account.dfs.core.windows.net/t",
			"abfss://[REDACTED]@account.dfs.core.windows.net/t"},

		{"the header", "Authorization: Basic a2V5OnNlY3JldA==", "Authorization: Basic [REDACTED]"},
		{"in lower case, amid text", "sent authorization: Bearer ey.J.x, got 401", "sent authorization: Bearer [REDACTED], got 401"},
		{"without a scheme", "Proxy-Authorization: hunter2", "Proxy-Authorization: [REDACTED]"},
		{"as Go prints it", fmt.Sprint(http.Header{"Authorization": {"Basic aHVu"}, "Host": {"h"}}),
			"map[Authorization:[Basic [REDACTED] Host:[h]]"},
		{"as an attribute of a log line", `level=WARN authorization="Basic aHVu" n=1`, `level=WARN authorization="[REDACTED]" n=1`},

		{"a shared access signature", "https://a.blob.core.windows.net/c?sv=2024&sig=hun%2Bter%3D&se=1",
			"https://a.blob.core.windows.net/c?sv=2024&sig=[REDACTED]&se=1"},
		{"an S3 signature", "?X-Amz-Signature=0f0f&X-Amz-Security-Token=hunter2&x=1",
			"?X-Amz-Signature=[REDACTED]&X-Amz-Security-Token=[REDACTED]&x=1"},
		{"a connection string", "AccountName=a;AccountKey=hun/ter==;EndpointSuffix=x", "AccountName=a;AccountKey=[REDACTED];EndpointSuffix=x"},
		{"properties", "kafka.ssl.key.password = hunter2\nbasic.auth.user.info=k:hunter2\nx=1",
			"kafka.ssl.key.password = [REDACTED]\nbasic.auth.user.info=[REDACTED]\nx=1"},
		{"amid a sentence", "(password=hunter2), then secret=hunter2.", "(password=[REDACTED]), then secret=[REDACTED]."},
		{"a value with commas", "password=a,b c", "password=[REDACTED] c"},
		{"a JAAS string", module + ` username="u" password="hun;ter" x="y";`, module + ` username="u" password="[REDACTED]" x="y";`},
		{"one in single quotes", module + ` username='u' password='a"b c';`, module + ` username='u' password='[REDACTED]';`},
		{"one with quotes in the value", module + ` password="a\"b\\" x="y";`, module + ` password="[REDACTED]" x="y";`},
		{"one in a Go string", `x="` + module + ` password=\"a\\\"b\\\\\" y=\"z\";"`, `x="` + module + ` password=\"[REDACTED]\" y=\"z\";"`},
		{"a JAAS string as a value", "sasl.jaas.config='" + module + ` password="x";'`, "sasl.jaas.config='[REDACTED]'"},
		{"a quote that is not closed", "password=\"hun ter\nx", "password=\"[REDACTED]\nx"},
		{"a quote that the string around it ends", `msg="password=\"hun ter" n=1`, `msg="password=\"[REDACTED]" n=1`},
		{"no quote before the end of the string around it", `msg="password=hunter2" n=1`, `msg="password=[REDACTED]" n=1`},
		{"the same within one more", `msg="{\"a\":\"password=hunter2\"}"`, `msg="{\"a\":\"password=[REDACTED]\"}"`},

		{"a field of JSON", `{"user":"u","password":"hunter2","n":1}`, `{"user":"u","password":"[REDACTED]","n":1}`},
		{"with escapes", `{"kafka.sasl.password":"a\"b\\","n":1}`, `{"kafka.sasl.password":"[REDACTED]","n":1}`},
		{"a list", `{"Authorization":["Basic a","Basic b"],"x":["y"]}`, `{"Authorization":["[REDACTED]","[REDACTED]"],"x":["y"]}`},
		{"JSON in JSON", `{"body":"{\"clientSecret\":\"hunter2\"}"}`, `{"body":"{\"clientSecret\":\"[REDACTED]\"}"}`},
		{"text in JSON with its own escapes", `{"url":"https://h/?sig=hunter2\u0026se=1","e":"<"}`,
			`{"url":"https://h/?sig=[REDACTED]&se=1","e":"<"}`},
		{"text in JSON that ends with the name", `{"a":"password=","b":"x"}`, `{"a":"password=","b":"x"}`},
		{"a part of JSON", `answer: "token":"hunter2","n":1`, `answer: "token":"[REDACTED]","n":1`},
		{"JSON in a log line", `body="{\"password\": \"hun\\\"ter\"}"`, `body="{\"password\": \"[REDACTED]\"}"`},
	}
	for _, tt := range tests {
		var c Scrubber
		got := c.String(tt.in)
		if got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, got, tt.want)
		}
		if again := c.String(got); again != got {
			t.Errorf("%s: once more changes it: %s", tt.name, again)
		}
	}
}

func TestOrdinaryTextIsNotRedacted(t *testing.T) {
	for _, text := range []string{
		"",
		"p.yaml:6:5  E1204 kafka.sasl.jaas.config: the word after the login module is not its flag",
		"wrong user or password: SASL authentication failed",
		"-s 'source.kafka.kafka.sasl.password=${env:NAME}' or ${file:/path}",
		"password={{secrets/scope/key}}",
		"password=, username=",
		"abfss://container@account.dfs.core.windows.net/table",
		"SASL_SSL://broker-1:9092,SASL_SSL://broker-2:9092",
		"mail a@b.c; see https://host/path?x=1#y@z",
		"TOPIC_AUTHORIZATION_FAILED: Topic authorization failed.",
		"config=1 design=2 cwd=/x tokens=3",
		"KafkaV2[Subscribe[a, b]]",
		`{"numInputRows":7,"sources":[{"description":"KafkaV2[Subscribe[clicks]]","startOffset":{"clicks":{"0":1}}}]}`,
		`{"password":null,"token":12,"secret":{"n":"v"},"x":"a<b\u0026"}`,
		"[REDACTED]",
		"password=[REDACTED] https://[REDACTED]@host Authorization: [REDACTED]",
	} {
		var c Scrubber
		if got := c.String(text); got != text {
			t.Errorf("%s became\n%s", text, got)
		}
	}
}

func TestASecretWithinBase64IsFound(t *testing.T) {
	for _, value := range []string{"abcd", "hunter2", "s3cr\"et+/ü="} {
		for _, before := range []string{"", "u", "us", "user:"} {
			for _, after := range []string{"", "x", "xy", "xyz"} {
				for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
					var c Scrubber
					c.Add(New(value))
					in := e.EncodeToString([]byte(before + value + after))
					if got := c.String(in); !strings.Contains(got, Redacted) || len(got)-len(Redacted) > (len(before)+len(after))*4/3+6 {
						t.Errorf("%q in %q in base64, %s, became %s", value, before+value+after, in, got)
					}
				}
			}
		}
	}
}

// noPattern is what no text can do without in which something looks like a secret.
var noPattern = regexp.MustCompile(`(?i)pass|pwd|secret|token|sig|key|config|info|authorization|://`)

// checkPatterns checks what holds for any text.
func checkPatterns(t interface{ Fatalf(string, ...any) }, text string) {
	var c Scrubber
	got := c.String(text)
	if again := c.String(got); again != got {
		t.Fatalf("%q became %q and then %q", text, got, again)
	}
	isJSON := json.Valid([]byte(text)) // there a pattern may be escaped
	if got != text && !noPattern.MatchString(text) && !isJSON {
		t.Fatalf("%q became %q", text, got)
	}
	if isJSON && !json.Valid([]byte(got)) {
		t.Fatalf("%s was JSON and became %s", text, got)
	}
}

func TestAnyMixOfPatternsIsRedactedOnce(t *testing.T) {
	words := []string{"password", "sig", "jaas.config", "Authorization", "http", "=", ":", "://", "@",
		`"`, `\`, `\"`, `\\\"`, "'", "[", "]", Redacted, " ",
		"Basic ", "{", "}", ",", "\n", "x", "yz", "&", ";", ".", "${", "{{secrets/", "}}", `"password":"`, `{"a":"`, `"}`}
	rapid.Check(t, func(t *rapid.T) {
		checkPatterns(t, strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 14).Draw(t, "words"), ""))
	})
}

func FuzzPatterns(f *testing.F) {
	for _, text := range []string{
		`Authorization: [[REDACTED]]`, `{"password":"a\"b"}`, `password=\\"x`, `sig=[REDACTED]x`, `https://u:p@h`,
		`"token":"x`, "password=\"x\ny",
		`{"a":"password='x","b":"it's"}`, `secret='\\\''`, `a="{\"pwd\":\"x\\\\\"}"`, `authorization:basic basic x`, `["sig=x","password="]`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { checkPatterns(t, text) })
}
