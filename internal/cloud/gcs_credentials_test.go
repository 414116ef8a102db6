package cloud

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/problem"
)

func TestGCSCredentialsThatCannotBeUsed(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		code       problem.Code
		why        string
	}{
		{"none", "", problem.FileUnreadable, "no such file"},
		{"no JSON", "hunter2", problem.InvalidValue, "not the JSON"},
		{"another JSON", `{"installed":{"client_secret":"hunter2"}}`, problem.InvalidValue, "no type"},
		{"another type", `{"type":"gdch_service_account"}`, problem.InvalidValue, `"gdch_service_account" is not supported`},
		{"no key", `{"type":"service_account"}`, problem.InvalidValue, "no private_key"},
		{"a token server without TLS", `{"type":"service_account","private_key":"hunter2","token_uri":"http://example.com/t"}`, problem.InvalidValue,
			"token_uri is not https"},
		{"an exchange without TLS", `{"type":"external_account","token_url":"http://example.com/t"}`, problem.InvalidValue, "token_url is not https"},
		{"a subject token from elsewhere", `{"type":"external_account","credential_source":{"url":"http://10.0.0.1/"}}`, problem.InvalidValue,
			"credential_source.url is neither"},
		{"an impersonation that sends a token elsewhere", `{"type":"impersonated_service_account","service_account_impersonation_url":"ftp://x",
			"source_credentials":{"type":"authorized_user"}}`, problem.InvalidValue, "service_account_impersonation_url"},
		{"its source", `{"type":"impersonated_service_account","source_credentials":{"type":"authorized_user","token_uri":"http://example.com"}}`,
			problem.InvalidValue, "token_uri is not https"},
		{"too large", strings.Repeat(" ", maxCredentials+1), problem.FileUnreadable, "larger than"},
	} {
		file := filepath.Join(t.TempDir(), "none")
		if tt.file != "" {
			file = writeFile(t, "k.json", tt.file)
		}
		v := gcsValue("google_service_account", file)
		v.Pos = problem.Location{File: "p.yaml", Line: 7}
		_, err := newGCS(t.Context(), gcsConfig{login: gcsFile, file: file, from: v}, Env{})
		p, ok := errors.AsType[*problem.Problem](err)
		if !ok || p.Code != tt.code || !strings.Contains(p.Why, tt.why) || p.Where.Line != 7 || strings.Contains(p.Message+p.Why, "hunter2") ||
			!strings.Contains(p.Message, file) {
			t.Errorf("%s: got %v, %+v", tt.name, err, p)
		}
	}
	azure := `{"type":"external_account","token_url":"https://sts.googleapis.com/v1/token",
		"credential_source":{"url":"http://169.254.169.254/metadata/identity/oauth2/token"}}`
	if _, err := readGCSCredentials([]byte(azure)); err != nil {
		t.Errorf("the metadata server of another cloud: %v", err)
	}
}

func FuzzGCSCredentials(f *testing.F) {
	for _, seed := range []string{`{"type":"service_account","private_key":"k","token_uri":"https://x"}`, `{"type":"external_account"}`,
		`{"type":"impersonated_service_account","source_credentials":{"type":"authorized_user"}}`, `[]`, `{"type":1}`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := readGCSCredentials(data); err == nil && (c == nil || c.Type == "" || !safeURL(c.TokenURI, false) || !safeURL(c.TokenURL, false)) {
			t.Errorf("%q passes", data)
		}
	})
}
