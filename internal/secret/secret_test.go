package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
)

func TestASecretNeverPrints(t *testing.T) {
	const canary = `can"ary+/=value`
	unexported := New(canary) // fmt may not call its methods
	s := struct {
		Password Secret
		p        *Secret
		hidden   Secret
	}{New(canary), &unexported, unexported}
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("config", "secret", s.Password, "struct", s)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", s.Password)
		fmt.Fprintf(&out, verb+"\n", &s.Password)
	}
	fmt.Fprintf(&out, "%v %+v %s\n", s, s, s.p)
	fmt.Fprintf(&out, "%v %+v %#v\n", s.hidden, &s, s)
	if err := json.NewEncoder(&out).Encode(s); err != nil {
		t.Fatal(err)
	}
	base64ed, hexed := base64.StdEncoding.EncodeToString([]byte(canary)), fmt.Sprintf("%x", canary)
	for _, form := range []string{canary, url.QueryEscape(canary), base64ed, hexed} {
		if strings.Contains(out.String(), form) {
			t.Errorf("found %s in %s", form, out.String())
		}
	}
	if New(canary).Reveal() != canary {
		t.Error("Reveal must give the value")
	}
}

func TestScrubberFindsEveryForm(t *testing.T) {
	const canary = `s3cr"et+/ü=`
	var c Scrubber
	c.Add(New(canary))
	c.Add(New("abc")) // too short to look for
	quoted, _ := json.Marshal(canary)
	in := strings.Join([]string{canary, url.QueryEscape(canary), url.PathEscape(canary), base64.StdEncoding.EncodeToString([]byte(canary)),
		base64.RawURLEncoding.EncodeToString([]byte(canary)), string(quoted), "abc"}, " | ")
	var out bytes.Buffer
	n, err := c.Writer(&out).Write([]byte(in))
	if err != nil || n != len(in) {
		t.Fatalf("wrote %d of %d, %v", n, len(in), err)
	}
	want := strings.Repeat(Redacted+" | ", 5) + `"` + Redacted + `" | abc`
	if out.String() != want {
		t.Errorf("got  %s\nwant %s", out.String(), want)
	}
	if got := c.String(in); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestScrubberFindsSecretsWithinWhatLogsAndJSONEscape(t *testing.T) {
	for _, value := range []string{`pass"word&1`, `a\b<c>d`, "new\nline\x7f\u2028<", "\xffnot\"UTF8&"} {
		var c Scrubber
		c.Add(New(value))
		var out bytes.Buffer
		w := c.Writer(&out)
		text := "login with " + value + " refused"
		slog.New(slog.NewTextHandler(w, nil)).Warn("x", "error", text)
		slog.New(slog.NewJSONHandler(w, nil)).Warn("x", "error", text)
		for _, escapeHTML := range []bool{false, true} {
			e := json.NewEncoder(w)
			e.SetEscapeHTML(escapeHTML)
			if err := e.Encode(text); err != nil {
				t.Fatal(err)
			}
		}
		if n := strings.Count(out.String(), "login with "+Redacted+" refused"); n != 4 {
			t.Errorf("%q: found %d of 4 times in\n%s", value, n, out.String())
		}
	}
}

func TestDataKeepsWhatOnlyLooksLikeASecret(t *testing.T) {
	var c Scrubber
	c.Add(New("hunter2"))
	var out bytes.Buffer
	if _, err := c.Data(&out).Write([]byte(`{"url":"https://h/?token=abc","password":"hunter2"}`)); err != nil {
		t.Fatal(err)
	}
	if want := `{"url":"https://h/?token=abc","password":"[REDACTED]"}`; out.String() != want {
		t.Errorf("got %s, want %s", out.String(), want)
	}
}
