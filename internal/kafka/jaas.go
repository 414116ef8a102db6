package kafka

import (
	"errors"
	"fmt"
	"strings"
)

// The login modules that silt knows. Databricks and others shade Kafka's classes, so anything may stand before them
// (kafkashaded.org.apache.kafka...).
const (
	plainModule = "org.apache.kafka.common.security.plain.PlainLoginModule"
	scramModule = "org.apache.kafka.common.security.scram.ScramLoginModule"
)

// Errors of the jaas string. None of them holds a part of the string: where it is broken, any part may be one of the secret.
var (
	errJaasEmpty = errors.New("it names no login module")
	errJaasFlag  = errors.New("the word after the login module is not required, requisite, sufficient or optional")
	errJaasValue = errors.New("an option has no value; a value with a space, = ; / or a quote must stand in quotes, " +
		"and an unquoted / begins a comment")
	errJaasEnd = errors.New("it does not end with a semicolon; an unquoted / begins a comment, and a value that holds ' " +
		"cannot stand in ' quotes")
	errJaasQuote   = errors.New("a quote is not closed; a value that holds ' must stand in \" quotes, or have a backslash before the '")
	errJaasModules = errors.New("it names more than one login module")
)

// A jaasEntry is one entry of a jaas string: class flag key=value ... ;
type jaasEntry struct {
	class   string
	options map[string]string // of two equal keys the last one stays
}

// parseJaas reads the value of sasl.jaas.config as Kafka's JaasConfig does: Java's StreamTokenizer, in which everything
// but white space, quotes, ; = and / is a letter, and / begins a comment up to the end of its line.
//
// Unlike Java, which ends an open quote at the end of its line, it refuses one: the rest of the value would be lost. It reads bytes, not
// characters, so values need not be UTF-8.
func parseJaas(text string) ([]jaasEntry, error) {
	t := jaasTokenizer{text: text}
	var entries []jaasEntry
	for {
		kind, class := t.next()
		if kind == jaasEOF {
			break
		}
		entry := jaasEntry{class: class, options: map[string]string{}}
		if kind, flag := t.next(); !isValue(kind) || !isJaasFlag(flag) {
			return nil, t.orQuote(errJaasFlag)
		}
		for {
			kind, key := t.next()
			if kind == ';' {
				break
			}
			if kind == jaasEOF {
				return nil, t.orQuote(errJaasEnd)
			}
			if kind, _ := t.next(); kind != '=' {
				return nil, t.orQuote(errJaasValue)
			}
			kind, value := t.next()
			if !isValue(kind) {
				return nil, t.orQuote(errJaasValue)
			}
			entry.options[key] = value
		}
		entries = append(entries, entry)
	}
	if t.open {
		return nil, errJaasQuote
	}
	if len(entries) == 0 {
		return nil, errJaasEmpty
	}
	return entries, nil
}

// A jaasLogin is what the options of a login module say.
type jaasLogin struct{ username, password string }

// parseLoginJaas returns user name and password of a jaas string of the login module. Its errors name login modules and options, never a
// value.
func parseLoginJaas(text, module string) (l jaasLogin, err error) {
	entries, err := parseJaas(text)
	if err != nil {
		return l, err
	}
	if len(entries) > 1 {
		return l, errJaasModules
	}
	e := entries[0]
	if e.class != module && !strings.HasSuffix(e.class, "."+module) {
		for _, other := range []string{plainModule, scramModule} {
			if e.class == other || strings.HasSuffix(e.class, "."+other) {
				return l, fmt.Errorf("the login module %s is not that of kafka.sasl.mechanism, %s", other, module)
			}
		}
		for _, known := range []string{"OAuthBearerLoginModule", "Krb5LoginModule"} {
			if strings.HasSuffix(e.class, "."+known) {
				return l, fmt.Errorf("the login module %s is not supported yet; use %s", known, module)
			}
		}
		return l, fmt.Errorf("its login module is not %s", module)
	}
	if e.options["tokenauth"] != "" {
		return l, errors.New("it has tokenauth: delegation tokens are not supported yet")
	}
	for _, name := range []string{"username", "password"} {
		switch e.options[name] {
		case "":
			return l, fmt.Errorf("it has no %s", name)
		case "{}":
			return l, fmt.Errorf("its %s is {}, the place for a value in a notebook's format string; put a reference there, ${secret:scope/key}", name)
		}
	}
	return jaasLogin{e.options["username"], e.options["password"]}, nil
}

func isJaasFlag(s string) bool {
	switch strings.ToUpper(s) {
	case "REQUIRED", "REQUISITE", "SUFFICIENT", "OPTIONAL":
		return true
	}
	return false
}

// Kinds of tokens beside ; and =, which are their own kind.
const (
	jaasEOF  = -1
	jaasWord = 'w'
	jaasText = '"' // in quotes of either kind
)

func isValue(kind int) bool { return kind == jaasWord || kind == jaasText }

// A jaasTokenizer is java.io.StreamTokenizer with the settings of Kafka's JaasConfig.
type jaasTokenizer struct {
	text string
	pos  int
	open bool // a quote was not closed
}

func (t *jaasTokenizer) orQuote(err error) error {
	if t.open {
		return errJaasQuote
	}
	return err
}

func (t *jaasTokenizer) next() (kind int, value string) {
	for t.pos < len(t.text) {
		c := t.text[t.pos]
		switch {
		case c <= ' ':
			t.pos++
		case c == '/':
			t.comment()
		case c == ';' || c == '=':
			t.pos++
			return int(c), ""
		case c == '"' || c == '\'':
			return jaasText, t.quoted(c)
		default:
			from := t.pos
			for t.pos < len(t.text) && !strings.ContainsRune(";=/\"'", rune(t.text[t.pos])) && t.text[t.pos] > ' ' {
				t.pos++
			}
			return jaasWord, t.text[from:t.pos]
		}
	}
	return jaasEOF, ""
}

// comment skips a comment that begins at the slash: to the end of the line, or to the closing */ of one that began with /*. As in Java, a
// line that ends right after a single slash takes the next line with it.
func (t *jaasTokenizer) comment() {
	rest := t.text[t.pos:]
	if strings.HasPrefix(rest, "/*") {
		end := strings.Index(rest[2:], "*/")
		if end < 0 {
			t.pos = len(t.text)
			return
		}
		t.pos += 2 + end + 2
		return
	}
	const slashAndNext = 2
	if len(rest) > slashAndNext {
		if end := strings.IndexAny(rest[slashAndNext:], "\r\n"); end >= 0 {
			t.pos += slashAndNext + end
			return
		}
	}
	t.pos = len(t.text)
}

// quoted reads a value in quotes; a backslash stands before a letter of C's escapes, up to three octal digits, or itself any byte.
func (t *jaasTokenizer) quoted(quote byte) string {
	var b []byte
	for t.pos++; t.pos < len(t.text); t.pos++ {
		c := t.text[t.pos]
		switch {
		case c == quote:
			t.pos++
			return string(b)
		case c == '\n' || c == '\r':
			t.open = true
			return string(b)
		case c == '\\' && t.pos+1 < len(t.text):
			t.pos++
			b = append(b, t.escape())
		default:
			b = append(b, c)
		}
	}
	t.open = true
	return string(b)
}

// escape reads what follows a backslash and leaves the position at its last byte.
func (t *jaasTokenizer) escape() byte {
	c := t.text[t.pos]
	if i := strings.IndexByte("abfnrtv", c); i >= 0 {
		return "\a\b\f\n\r\t\v"[i]
	}
	if c < '0' || c > '7' {
		return c
	}
	most := 2
	if c <= '3' {
		most = 3
	}
	v := c - '0'
	for n := 1; n < most && t.pos+1 < len(t.text) && t.text[t.pos+1] >= '0' && t.text[t.pos+1] <= '7'; n++ {
		t.pos++
		v = v<<3 + t.text[t.pos] - '0'
	}
	return v
}
