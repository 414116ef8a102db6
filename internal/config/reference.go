package config

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	storage  func(key string) (sensitive, known bool) // as in Options
	scrubber *secret.Scrubber
	total    int // bytes of all values so far
}

// A resolution is the resolving of one option's value, of one or more texts.
type resolution struct {
	*resolver
	section, key string
	pieces       []secret.Secret // of the texts, in their order: what stands in the file and what references gave
	given        []secret.Secret // what references gave
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
	add := func(piece secret.Secret) {
		r.pieces = append(r.pieces, piece)
		b.WriteString(piece.Reveal())
	}
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			add(secret.New(text))
			break
		}
		if i > 0 && text[i-1] == '$' {
			add(secret.New(text[:i-1] + "${"))
			text = text[i+2:]
			continue
		}
		add(secret.New(text[:i]))
		reference, rest, ok := strings.Cut(text[i+2:], "}")
		if !ok {
			r.report(where, problem.InvalidValue, "a ${ in %s is not closed by }", r.key).Fix("write $${ for the characters ${ themselves")
			add(secret.New(text[i:]))
			break
		}
		value, p := r.reference(reference)
		if p != nil {
			r.problems = append(r.problems, p.At(where))
			value = secret.New("${" + reference + "}")
		}
		if add(value); r.total+b.Len() > maxValueBytes {
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
func (r *resolution) reference(text string) (value secret.Secret, p *problem.Problem) {
	provider, rest, ok := strings.Cut(text, ":")
	switch {
	case !ok && envName.MatchString(text):
		return value, problem.New(problem.InvalidValue, "${%s} names no provider; did you mean ${env:%s}?", text, text).
			Fix("write $${ for the characters ${ themselves")
	case provider == "env":
		return r.environment(rest)
	case provider == "file":
		return r.file(rest)
	case provider == "secret" || provider == "dir":
		return value, problem.New(problem.Unsupported, "${%s} is not supported yet", text).Fix("%s", useReference)
	}
	p = problem.New(problem.InvalidValue, "unknown provider %q in ${%s}", provider, text).Fix("%s", useReference)
	if n := problem.Nearest(provider, []string{"env", "file", "secret", "dir"}); n != "" {
		p.Message += "; did you mean \"" + n + "\"?"
	}
	return value, p
}

// environment gives a variable's value. An empty variable counts as one that is not set: a secret that was forgotten looks like that.
func (r *resolution) environment(text string) (value secret.Secret, p *problem.Problem) {
	name, fallback, hasFallback := strings.Cut(text, ":")
	if !envName.MatchString(name) {
		return value, problem.New(problem.InvalidValue, "%q is no name of an environment variable", name)
	}
	found, ok := r.env(name)
	switch {
	case found != "":
		value = secret.New(found) // a process's environment does not change
		r.given = append(r.given, value)
		return value, nil
	case hasFallback:
		return secret.New(fallback), nil
	case ok:
		return value, problem.New(problem.SecretUnresolved, "the environment variable %s is empty", name).
			Fix("give it a value, or allow the empty one: ${env:%s:}", name)
	}
	return value, problem.New(problem.SecretUnresolved, "the environment variable %s is not set", name).
		Fix("set it, or give a default: ${env:%s:value}", name)
}

// file gives a file's content.
func (r *resolution) file(name string) (value secret.Secret, p *problem.Problem) {
	if name == "" {
		return value, problem.New(problem.InvalidValue, "${file:} names no file")
	}
	text, err := r.read(name)
	if err != nil {
		return value, problem.New(problem.SecretUnresolved, "%w", err)
	}
	value = secret.Renewable(text, secret.Origin{Read: func(context.Context) (string, error) { return r.read(name) }})
	r.given = append(r.given, value)
	return value, nil
}

// read returns a file's content without the line break at its end, which editors and echo add.
func (r *resolver) read(name string) (string, error) {
	data, err := r.readFile(name, MaxSecretBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("there is no file %s", name)
	case err != nil:
		return "", fmt.Errorf("the file %s cannot be read: %w", name, reason(err))
	case len(data) > MaxSecretBytes:
		return "", fmt.Errorf("the file %s is larger than %s", name, option.FormatSize(MaxSecretBytes))
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" {
		return "", fmt.Errorf("the file %s is empty", name)
	}
	return text, nil
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
// option is not one of those that are plain by nature. A scalar is renewed with what its references name.
func (r *resolution) finish(v option.Value, text string, scalar bool) option.Value {
	if !r.sensitive(r.section, r.key) && userinfo(text) == "" && (len(r.given) == 0 || r.plain(r.section, r.key)) {
		v.Text = text
		return v
	}
	v.IsSecret, v.Secret = true, secret.New(text)
	if scalar {
		v.Secret = secret.Join(r.pieces...)
	}
	known := r.given
	if len(r.problems) == 0 { // otherwise the text is a reference, which the message names
		known = append(known, v.Secret, v.Secret.Map(userinfo), v.Secret.Map(func(text string) string { return password(r.key, text) }))
	}
	for _, s := range known {
		r.scrubber.Add(s)
	}
	return v
}
