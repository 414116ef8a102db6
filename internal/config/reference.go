package config

import (
	"cmp"
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

// useReference is what to do where there is no such provider.
const useReference = "take secrets from a scope, ${secret:scope/key}, from the environment, ${env:NAME}, from a file, ${file:/path}, " +
	"or from a folder of files, ${dir:/path:key}"

// A resolver resolves references in values: ${env:NAME}, ${env:NAME:default}, ${file:/path}, ${dir:/path:key}, ${secret:scope/key} and
// {{secrets/scope/key}}; $${ stands for ${ itself.
type resolver struct {
	env        func(string) (string, bool)
	readFile   func(string, int64) ([]byte, error)
	readFileIn func(string, string, int64) ([]byte, error)
	storage    func(key string) (sensitive, known bool) // as in Options
	scopes     Scopes                                   // nil: none is known
	noUserFile string                                   // why the user's file declares no scope; "": it does, or need not
	scrubber   *secret.Scrubber
	total      int // bytes of all values so far
	references []Reference
}

// A Reference is one in the file, and whether it gave a value.
type Reference struct {
	Option string // the path of the option that it stands in
	Text   string // as it was written
	Where  problem.Location
	// Problem is why it gives no value; nil: it does.
	Problem *problem.Problem
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
	var b strings.Builder
	add := func(piece secret.Secret) {
		r.pieces = append(r.pieces, piece)
		b.WriteString(piece.Reveal())
	}
	literal := func(text string) {
		if found := lookalike.FindString(text); found != "" {
			r.report(where, problem.InvalidValue, "%s in %s looks like a reference and is none", found, r.key).
				Fix("write ${secret:scope/key} or {{secrets/scope/key}}")
		}
		add(secret.New(text))
	}
	for {
		m := opening.FindStringIndex(text)
		if m == nil {
			literal(text)
			break
		}
		open := text[m[0]:m[1]]
		if open == "$${" {
			literal(text[:m[0]] + "${")
			text = text[m[1]:]
			continue
		}
		literal(text[:m[0]])
		end := "}"
		if open != "${" {
			end = "}}"
		}
		inner, rest, ok := strings.Cut(text[m[1]:], end)
		if !ok {
			r.report(where, problem.InvalidValue, "a %s in %s is not closed by %s", strings.TrimSpace(open), r.key, end).
				Fix("write $${ for the characters ${ themselves")
			add(secret.New(text[m[0]:]))
			break
		}
		written := open + inner + end
		var value secret.Secret
		var p *problem.Problem
		if open == "${" {
			value, p = r.reference(inner)
		} else {
			value, p = r.secret(strings.TrimSpace(inner))
		}
		if p != nil {
			r.problems = append(r.problems, p.At(where))
			value = secret.New(written)
		}
		r.references = append(r.references, Reference{Option: join(r.section, r.key), Text: written, Where: where, Problem: p})
		if add(value); r.total+b.Len() > maxValueBytes {
			r.report(where, problem.TooLarge, "the values are larger than %s with references resolved", option.FormatSize(maxValueBytes))
			return ""
		}
		text = rest
	}
	r.total += b.Len()
	return b.String()
}

// opening is what a reference begins with, or the escape of that. {{secrets/ is how a Databricks configuration refers to a secret.
var opening = regexp.MustCompile(`\$?\$\{|\{\{\s*secrets/`)

// lookalike is what people write who mean a reference. As a value it would be sent to a server, which refuses it as a wrong password.
var lookalike = regexp.MustCompile(`\{\{\s*secrets?\b|\$secret:|dbutils\.secrets\.get`)

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
	case provider == "dir":
		return r.dir(rest)
	case provider == "secret":
		return r.secret(rest)
	}
	p = problem.New(problem.InvalidValue, "unknown provider %q in ${%s}", provider, text).Fix("%s", useReference)
	if n := problem.Nearest(provider, []string{"env", "file", "secret", "dir"}); n != "" {
		p.Message += "; did you mean \"" + n + "\"?"
	}
	return value, p
}

// secret gives the value of a key of a scope: scope/key, of which the key may hold slashes.
func (r *resolution) secret(text string) (value secret.Secret, p *problem.Problem) {
	scope, key, ok := strings.Cut(text, "/")
	switch {
	case !ok || scope == "" || key == "":
		return value, problem.New(problem.InvalidValue, "%q names no secret; want scope/key", text)
	case r.section == secretsSection:
		return value, problem.New(problem.InvalidValue, "what opens a scope cannot itself be of a scope: %s", text).
			Fix("use ${env:NAME} or ${file:/path}")
	case r.scopes == nil:
		return value, problem.New(problem.SecretUnresolved, "the secret %s: there are no scopes here", text).Fix("%s", useReference)
	}
	found, p := r.scopes.Secret(context.Background(), scope, key) // it bounds its time
	if p != nil {
		p.Why = cmp.Or(p.Why, r.noUserFile)
		return value, p
	}
	value = secret.Renewable(found, secret.Origin{Read: func(ctx context.Context) (string, error) {
		found, p := r.scopes.Secret(ctx, scope, key)
		if p != nil {
			return "", p
		}
		return found, nil
	}})
	r.given = append(r.given, value)
	return value, nil
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
	return r.fromFile(func() (string, error) {
		data, err := r.readFile(name, MaxSecretBytes)
		return secretText(name, data, err)
	})
}

// dir gives the content of a file of a folder: /path:key, as Kafka's DirectoryConfigProvider has it.
func (r *resolution) dir(text string) (value secret.Secret, p *problem.Problem) {
	colon := strings.LastIndexByte(text, ':')
	if colon <= 0 || colon == len(text)-1 {
		return value, problem.New(problem.InvalidValue, "${dir:%s} names no file; want ${dir:/path:key}", text)
	}
	folder, key := text[:colon], text[colon+1:]
	return r.fromFile(func() (string, error) {
		data, err := r.readFileIn(folder, key, MaxSecretBytes)
		return secretText(folder+"/"+key, data, err)
	})
}

// fromFile makes the secret of what read gives, now and later.
func (r *resolution) fromFile(read func() (string, error)) (value secret.Secret, p *problem.Problem) {
	text, err := read()
	if err != nil {
		return value, problem.New(problem.SecretUnresolved, "%w", err)
	}
	value = secret.Renewable(text, secret.Origin{Read: func(context.Context) (string, error) { return read() }})
	r.given = append(r.given, value)
	return value, nil
}

// secretText is the value that a file holds, without the line break at its end.
func secretText(name string, data []byte, err error) (string, error) {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("there is no file %s", name)
	case err != nil:
		return "", fmt.Errorf("the file %s cannot be read: %w", name, option.Reason(err))
	case len(data) > MaxSecretBytes:
		return "", fmt.Errorf("the file %s is larger than %s", name, option.FormatSize(MaxSecretBytes))
	}
	text := option.Line(data)
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
