package cloud

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/secret"
)

// maxQuote is the longest text of a server's that a message repeats; those of the clouds are shorter.
const maxQuote = 300

// A quoter makes what a server says fit for a message: one line of bounded length without secrets. They are taken out before the line is
// cut, since of half a secret nobody can tell that it is one.
type quoter struct {
	secrets *secret.Scrubber // may be nil
	// tokenFiles have tokens that somebody renews, and that are sent to log in; "" is none.
	tokenFiles []string
}

// text quotes an answer to a request, which may be nil. Servers repeat what they do not understand: what the request logged in with is
// taken out, though no scrubber is told of tokens that are others each hour.
func (q quoter) text(said string, sent *http.Request) string {
	if len(said) > maxErrorBody {
		said = said[:maxErrorBody]
	}
	var of secret.Scrubber
	if sent != nil {
		_, credentials, _ := strings.Cut(sent.Header.Get("Authorization"), " ")
		of.Add(secret.New(credentials))
		of.Add(secret.New(sent.Header.Get("X-Amz-Security-Token")))
		form := formOf(sent)
		for _, name := range []string{"subject_token", "assertion", "client_assertion"} { // RFC 8693, RFC 7523
			of.Add(secret.New(form.Get(name)))
		}
	}
	for _, file := range q.tokenFiles {
		if file == "" {
			continue
		}
		if token, err := option.ReadFile(file, maxToken); err == nil {
			of.Add(secret.New(strings.TrimSpace(string(token))))
		}
	}
	said = of.String(said)
	if q.secrets != nil {
		said = q.secrets.String(said)
	}
	said = strings.Join(strings.FieldsFunc(said, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if len(said) > maxQuote {
		said = strings.ToValidUTF8(said[:maxQuote], "") + "…"
	}
	return said
}

// formOf is the form that a request sent, if it was one and can be read again.
func formOf(r *http.Request) url.Values {
	if r.GetBody == nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return nil
	}
	body, err := r.GetBody()
	if err != nil {
		return nil
	}
	defer func() { _ = body.Close() }()
	text, err := io.ReadAll(io.LimitReader(body, maxAnswer))
	if err != nil {
		return nil
	}
	form, _ := url.ParseQuery(string(text)) // what it could read
	return form
}

// line quotes the first line of an answer.
func (q quoter) line(said string, sent *http.Request) string {
	said, _, _ = strings.Cut(strings.TrimSpace(said), "\n")
	return q.text(said, sent)
}
