package config

import (
	"encoding/json"
	"errors"
	"io/fs"
	"regexp"
	"strings"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// useReference is what to do where a provider is not supported yet.
const useReference = "take secrets from the environment, ${env:NAME}, or from a file, ${file:/path}"

// A resolver resolves references in values: ${env:NAME}, ${env:NAME:default} and ${file:/path}; $${ stands for ${ itself.
type resolver struct {
	env      func(string) (string, bool)
	readFile func(string, int64) ([]byte, error)
	scrubber *secret.Scrubber
	total    int // bytes of all values so far
}

// A resolution is the resolving of one option's value, of one or more texts.
type resolution struct {
	*resolver
	section, key string
	parts        []string // what references gave
	problems     problem.List
}

func (r *resolver) start(section, key string) *resolution {
	return &resolution{resolver: r, section: section, key: key}
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// resolve returns text with its references replaced. A reference that cannot be resolved stays as it is, and is reported at where.
func (r *resolution) resolve(text string, where problem.Location) string {
	if m := databricks.FindStringSubmatch(text); m != nil {
		r.report(where, problem.Unsupported, "{{secrets/%s}} is not supported yet", m[1]).Fix("%s", useReference)
		return text
	}
	var b strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			b.WriteString(text)
			break
		}
		if i > 0 && text[i-1] == '$' {
			b.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		b.WriteString(text[:i])
		reference, rest, ok := strings.Cut(text[i+2:], "}")
		if !ok {
			r.report(where, problem.InvalidValue, "a ${ in %s is not closed by }", r.key).Fix("write $${ for the characters ${ themselves")
			b.WriteString(text[i:])
			break
		}
		value, p := r.reference(reference)
		if p != nil {
			r.problems = append(r.problems, p.At(where))
			value = "${" + reference + "}"
		}
		if b.WriteString(value); r.total+b.Len() > maxValueBytes {
			r.report(where, problem.TooLarge, "the values are larger than %s with references resolved", option.FormatSize(maxValueBytes))
			return ""
		}
		text = rest
	}
	r.total += b.Len()
	return b.String()
}

// databricks is how a Databricks configuration refers to a secret.
var databricks = regexp.MustCompile(`\{\{\s*secrets/([^{}]*?)\s*\}\}`)

// reference gives the value of one reference, without its ${ and }.
func (r *resolution) reference(text string) (string, *problem.Problem) {
	provider, rest, ok := strings.Cut(text, ":")
	switch {
	case !ok && envName.MatchString(text):
		return "", problem.New(problem.InvalidValue, "${%s} names no provider; did you mean ${env:%s}?", text, text).
			Fix("write $${ for the characters ${ themselves")
	case provider == "env":
		return r.environment(rest)
	case provider == "file":
		return r.file(rest)
	case provider == "secret" || provider == "dir":
		return "", problem.New(problem.Unsupported, "${%s} is not supported yet", text).Fix("%s", useReference)
	}
	p := problem.New(problem.InvalidValue, "unknown provider %q in ${%s}", provider, text).Fix("%s", useReference)
	if n := problem.Nearest(provider, []string{"env", "file", "secret", "dir"}); n != "" {
		p.Message += "; did you mean \"" + n + "\"?"
	}
	return "", p
}

// environment gives a variable's value. An empty variable counts as one that is not set: a secret that was forgotten looks like that.
func (r *resolution) environment(text string) (string, *problem.Problem) {
	name, fallback, hasFallback := strings.Cut(text, ":")
	if !envName.MatchString(name) {
		return "", problem.New(problem.InvalidValue, "%q is no name of an environment variable", name)
	}
	value, ok := r.env(name)
	switch {
	case value != "":
		r.parts = append(r.parts, value)
		return value, nil
	case hasFallback:
		return fallback, nil
	case ok:
		return "", problem.New(problem.SecretUnresolved, "the environment variable %s is empty", name).
			Fix("give it a value, or allow the empty one: ${env:%s:}", name)
	}
	return "", problem.New(problem.SecretUnresolved, "the environment variable %s is not set", name).
		Fix("set it, or give a default: ${env:%s:value}", name)
}

// file gives a file's content without the line break at its end, which editors and echo add.
func (r *resolution) file(name string) (string, *problem.Problem) {
	if name == "" {
		return "", problem.New(problem.InvalidValue, "${file:} names no file")
	}
	data, err := r.readFile(name, MaxSecretBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", problem.New(problem.SecretUnresolved, "there is no file %s", name)
	case err != nil:
		return "", problem.New(problem.SecretUnresolved, "the file %s cannot be read: %w", name, reason(err))
	case len(data) > MaxSecretBytes:
		return "", problem.New(problem.SecretUnresolved, "the file %s is larger than %s", name, option.FormatSize(MaxSecretBytes))
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if value == "" {
		return "", problem.New(problem.SecretUnresolved, "the file %s is empty", name)
	}
	r.parts = append(r.parts, value)
	return value, nil
}

// json turns a mapping or list into what encoding/json prints as the same document.
func (r *resolution) json(n *node) any {
	switch n.kind {
	case mapping:
		m := make(map[string]any, len(n.pairs))
		for _, p := range n.pairs {
			m[p.key] = r.json(p.value)
		}
		return m
	case list:
		l := make([]any, len(n.items))
		for i, item := range n.items {
			l[i] = r.json(item)
		}
		return l
	case scalar:
		text := r.resolve(n.text, n.pos)
		if n.tag != "!!str" && json.Valid([]byte(text)) {
			return json.RawMessage(text)
		}
		return text
	}
	return nil
}

func (r *resolution) report(where problem.Location, code problem.Code, format string, args ...any) *problem.Problem {
	p := problem.New(code, format, args...).At(where)
	r.problems = append(r.problems, p)
	return p
}

// finish makes the option's value. It is a secret if the option is one by nature, or if any part of it came from a reference and the
// option is not one of those that are plain by nature.
func (r *resolution) finish(v option.Value, text string) option.Value {
	login := userinfo(text)
	if !sensitive(r.section, r.key) && login == "" && (len(r.parts) == 0 || plain(r.section, r.key)) {
		v.Text = text
		return v
	}
	v.IsSecret, v.Secret = true, secret.New(text)
	known := r.parts
	if len(r.problems) == 0 { // otherwise the text is a reference, which the message names
		known = append(known, text, login, password(r.key, text))
	}
	for _, s := range known {
		r.scrubber.Add(secret.New(s))
	}
	return v
}
