package secret

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
)

// names are words that the names of secrets end in: kafka.sasl.password, clientSecret, sasl.jaas.config, basic.auth.user.info,
// X-Amz-Signature, AccountKey.
const names = `(?:password|passwd|\bpwd|token|\bsig|signature|secret|(?:secret|api|account|access)[-_.]?key|jaas\.config|user\.info)`

// What follows these is taken for a secret, whether or not the scrubber was told its value: it may be somebody else's, of a file that silt
// only quotes, or of an answer that a server echoes.
//
//	name=value     of URLs' queries, JAAS strings, properties files and connection strings
//	"name":"value" of JSON, whole or in pieces or within another string
//	Authorization: the header, as sent and as Go prints it
//	://user@       of URLs
//
// "name: value" without quotes is not: messages say "kafka.sasl.password: ...".
var secretAt = regexp.MustCompile(`(?i)(?:` +
	names + `(?:[ \t]*(=)[ \t]*|\\*"[ \t]*(:)[ \t]*)` +
	`|\b(authorization)(?:\\*")?[ \t]*[:=][ \t]*` +
	`|\b[a-z][a-z0-9+.-]*(://)` +
	`)`)

// The groups of secretAt, by which a match says what it is.
const (
	assigned = 1 + iota
	jsonField
	header
	authority
)

// secretKey matches the keys of JSON whose values are secrets.
var secretKey = regexp.MustCompile(`(?i)(?:` + names + `|\bauthorization)$`)

// authScheme is what may stand before the credentials of an Authorization header (RFC 9110, 11.1).
var authScheme = regexp.MustCompile(`^(?i)(?:basic|bearer|digest|negotiate|sharedkey|sharedkeylite|aws4-hmac-sha256|oauth)[ \t]+`)

// redactPatterns returns s with the value replaced in everything that looks like a secret. It changes no other text, and what it returns it
// would not change again.
func redactPatterns(s string) string {
	if t := strings.TrimLeft(s, " \t\r\n"); strings.HasPrefix(t, "{") || strings.HasPrefix(t, "[") {
		if json.Valid([]byte(s)) {
			return redactJSON(s)
		}
	}
	var out strings.Builder
	done := 0 // of s, what out has
	for at := 0; ; {
		m := secretAt.FindStringSubmatchIndex(s[at:])
		if m == nil {
			break
		}
		kind := assigned
		for m[2*kind] < 0 {
			kind++
		}
		from, to := valueAt(s, at+m[0], at+m[1], kind)
		if from < to && !isReference(s[from:to]) {
			out.WriteString(s[done:from])
			out.WriteString(Redacted)
			done = to
		}
		at = max(at+m[1], to)
	}
	if done == 0 {
		return s
	}
	out.WriteString(s[done:])
	return out.String()
}

// redactJSON is redactPatterns for JSON, which stays JSON: each string is looked at as the text that it stands for.
//
// REQUIRES: s is valid.
func redactJSON(s string) string {
	var out strings.Builder
	done := 0
	hidden := false // the values of the key before are secrets
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '{', '}', ']':
			hidden = false
		case '"':
			end := i + 1
			for ; s[end] != '"'; end++ {
				if s[end] == '\\' {
					end++
				}
			}
			end++
			var text string
			_ = json.Unmarshal([]byte(s[i:end]), &text) // a string of valid JSON is one
			isKey := strings.HasPrefix(strings.TrimLeft(s[end:], " \t\r\n"), ":")
			redacted := redactPatterns(text)
			if hidden && !isKey && text != "" && !isReference(text) {
				redacted = Redacted
			}
			if isKey {
				hidden = secretKey.MatchString(text)
			}
			if redacted != text {
				out.WriteString(s[done:i])
				out.Write(quoteJSON(redacted))
				done = end
			}
			i = end - 1
		}
	}
	out.WriteString(s[done:])
	return out.String()
}

// quoteJSON returns the text as a string of JSON that escapes no more than it has to.
func quoteJSON(text string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string has JSON
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// valueAt returns where the value lies that follows a match of secretAt; from and to are equal if there is none.
func valueAt(s string, begin, at, kind int) (from, to int) {
	if kind == authority {
		return at, at + userinfo(s[begin:at], s[at:])
	}
	if kind == header && strings.HasPrefix(s[at:], "[") && !strings.HasPrefix(s[at:], Redacted) {
		at++ // a list of values
	}
	slashes := countBackslashes(s[at:])
	if q := at + slashes; slashes&(slashes+1) == 0 && q < len(s) && (s[q] == '"' || s[q] == '\'') {
		return q + 1, q + 1 + quoted(s[q+1:], s[q], slashes)
	}
	switch kind {
	case jsonField:
		return at, at // a number, null, or a value that has names of its own
	case header:
		at += len(authScheme.FindString(s[at:]))
	}
	return at, at + bare(s[at:])
}

// userinfo returns the length of the userinfo of a URL (RFC 3986, 3.2.1), of which rest is what follows scheme. The container of an Azure
// storage URL stands in the same place, but is none.
func userinfo(scheme, rest string) int {
	if end := strings.IndexAny(rest, " \t\r\n/?#\\\"'`<>"); end >= 0 {
		rest = rest[:end]
	}
	n := max(strings.LastIndexByte(rest, '@'), 0)
	switch strings.ToLower(strings.TrimSuffix(scheme, "://")) {
	case "abfs", "abfss", "wasb", "wasbs":
		if !strings.Contains(rest[:n], ":") {
			return 0
		}
	}
	return n
}

// bare returns the length of a value without quotes. It ends at white space, at what parts values in URLs, JAAS and connection strings, and
// at a quote, which may end a string around it; the backslashes before a quote are the quote's, and the last punctuation is the sentence's.
func bare(s string) int {
	v := s
	if end := strings.IndexAny(s, " \t\r\n&;\"'`"); end >= 0 {
		if v = s[:end]; s[end] == '"' {
			v = strings.TrimRight(v, `\`)
		}
	}
	return len(strings.TrimRight(v, ",.:)"))
}

// quoted returns the length of the value that s begins with, up to the quote that ends it. The quote that began it had so many backslashes
// before it: 2^n-1 where the whole lies in n strings of JSON. One with as many ends the value, and so does one that has, before these, the
// backslashes of a value that ends with some: an even number, each written 2^n times. One with fewer ends the string around it. A value
// ends with its line.
func quoted(s string, quote byte, slashes int) int {
	for i, run := 0, 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			run++
			continue
		case c == '\n', c == '"' && run < slashes, c == quote && run%(2*slashes+2) == slashes:
			if c == quote && run > slashes {
				return i - slashes
			}
			return i - run
		}
		run = 0
	}
	return len(s)
}

func countBackslashes(s string) int { return len(s) - len(strings.TrimLeft(s, `\`)) }

// isReference says whether a value only names where the secret is, as pipeline files and the hints about them do.
func isReference(v string) bool {
	return strings.HasPrefix(v, "${") && strings.IndexByte(v, '}') == len(v)-1 ||
		strings.HasPrefix(v, "{{secrets/") && strings.Index(v, "}}") == len(v)-2
}
