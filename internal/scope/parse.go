package scope

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
)

// maxScopeName is the longest name of a scope, and of a key in the local store; the first is Databricks' limit.
const maxScopeName = 128

var scopeName = regexp.MustCompile(`^[A-Za-z0-9._@-]{1,128}$`)

func validScope(name string) bool { return scopeName.MatchString(name) }

func notPrintable(r rune) bool { return !unicode.IsPrint(r) }

// kinds are the places that a scope can be, each with the options that it may have beside its own.
var kinds = map[string][]string{
	"keyvault": nil,
	"vault":    {"mount", "namespace", "token", "tokenFile", "caCert"},
	"dir":      nil,
	"env":      nil,
	"local":    nil,
}

// A declaration is the options of one scope, by lower-case name.
type declaration struct {
	name    string
	at      option.Value // the first of them
	options map[string]option.Value
}

// parse reads the scopes of a section secrets, whose keys are scopes.NAME.OPTION. Names of scopes may hold dots; options do not.
func parse(vs option.Values, s *Set) (scopes []*declared, problems []*problem.Problem) {
	report := func(v option.Value, code problem.Code, format string, args ...any) *problem.Problem {
		p := problem.New(code, format, args...).At(v.Pos)
		problems = append(problems, p)
		return p
	}
	var all []*declaration
	for _, v := range vs.All() {
		const prefix = "scopes."
		dot := strings.LastIndexByte(v.Key, '.')
		switch {
		case len(v.Key) < len(prefix) || !strings.EqualFold(v.Key[:len(prefix)], prefix):
			report(v, problem.UnknownOption, "unknown key %q in secrets", v.Key).Fix("here can stand: scopes")
			continue
		case dot < len(prefix):
			report(v, problem.InvalidValue, "secrets.%s is no mapping", v.Key).
				Fix("say where its secrets are: %s: {keyvault: https://NAME.vault.azure.net}", v.Key[len(prefix):])
			continue
		}
		name, key := v.Key[len(prefix):dot], strings.ToLower(v.Key[dot+1:])
		i := slices.IndexFunc(all, func(d *declaration) bool { return strings.EqualFold(d.name, name) })
		if i < 0 {
			i = len(all)
			all = append(all, &declaration{name: name, at: v, options: map[string]option.Value{}})
		}
		all[i].options[key] = v
	}
	for _, d := range all {
		if !validScope(d.name) {
			report(d.at, problem.InvalidValue, "%q is no name of a scope; want letters, digits and . _ @ -, at most %d", d.name, maxScopeName)
			continue
		}
		kind, ok := d.kind(report)
		if !ok {
			continue
		}
		if p := d.provider(kind, s, report); p != nil {
			scopes = append(scopes, &declared{d.name, p})
		}
	}
	return scopes, problems
}

type reporter func(v option.Value, code problem.Code, format string, args ...any) *problem.Problem

// kind returns which place the scope is, if its options name one and only such as that has.
func (d *declaration) kind(report reporter) (string, bool) {
	var found []string
	for kind := range kinds {
		if _, ok := d.options[kind]; ok {
			found = append(found, kind)
		}
	}
	slices.Sort(found)
	switch len(found) {
	case 0:
		p := report(d.at, problem.MissingOption, "the scope %s does not say where its secrets are", d.name)
		p.Fix("give one of keyvault, vault, dir, env and local")
		for key, v := range d.options {
			if n := problem.Nearest(key, []string{"keyvault", "vault", "dir", "env", "local"}); n != "" {
				p.Code, p.Message, p.Where = problem.UnknownOption, "unknown option \""+v.Key[strings.LastIndexByte(v.Key, '.')+1:]+
					"\" of the scope "+d.name+"; did you mean \""+n+"\"?", v.Pos
			}
		}
		return "", false
	case 1:
	default:
		report(d.options[found[1]], problem.Conflict, "the scope %s is both %s and %s", d.name, found[0], found[1]).Fix("keep one of them")
		return "", false
	}
	ok := true
	for key, v := range d.options {
		if v.IsList {
			report(v, problem.InvalidValue, "%s is a list; want a single value", v.Key)
			ok = false
		}
		allowed := kinds[found[0]]
		if key == found[0] || slices.ContainsFunc(allowed, func(a string) bool { return strings.EqualFold(a, key) }) {
			continue
		}
		ok = false
		name := v.Key[strings.LastIndexByte(v.Key, '.')+1:]
		p := report(v, problem.UnknownOption, "unknown option %q of the scope %s, which is %s", name, d.name, found[0])
		if n := problem.Nearest(name, allowed); n != "" {
			p.Message += "; did you mean \"" + n + "\"?"
		}
	}
	return found[0], ok
}

// provider makes the provider of a scope, or reports why there can be none.
func (d *declaration) provider(kind string, s *Set, report reporter) provider {
	v := d.options[kind]
	text := strings.TrimSpace(v.Reveal())
	if text == "" && kind != "env" {
		report(v, problem.InvalidValue, "%s of the scope %s is empty", kind, d.name)
		return nil
	}
	switch kind {
	case "keyvault":
		u, ok := d.url(v, text, report)
		if !ok {
			return nil
		}
		return newKeyVault(u, s.env)
	case "vault":
		u, ok := d.url(v, text, report)
		if !ok {
			return nil
		}
		p, err := newVault(u, d.options, s.env)
		if err != nil {
			report(d.options["cacert"], problem.FileUnreadable, "caCert of the scope %s cannot be read: %w", d.name, err)
			return nil
		}
		return p
	case "dir":
		return dirScope{text}
	case "env":
		return envScope{text, s.env.Getenv, s.env.Environ}
	}
	store := s.local
	if !strings.EqualFold(text, "default") {
		store = newLocalStore(text, s.env)
	}
	if store == nil {
		report(v, problem.InvalidValue, "there is no local store: the user has no folder for configuration").
			Fix("name its file: local: /path/secrets.age")
		return nil
	}
	return localScope{store, d.name}
}

// url reads the address of a service: https, or http on this machine.
func (d *declaration) url(v option.Value, text string, report reporter) (*url.URL, bool) {
	const want = "want https://HOST"
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		report(v, problem.InvalidValue, "the address of the scope %s is no URL; %s", d.name, want) // err would print it
		return nil, false
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		report(v, problem.InvalidValue, "the address of the scope %s has a login, a query or a fragment; %s", d.name, want)
		return nil, false
	case u.Scheme == "http" && !loopback(u.Hostname()):
		report(v, problem.Insecure, "the address of the scope %s is plain http: anybody on the way could read its secrets", d.name).
			Fix("use https")
		return nil, false
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, true
}

// loopback says whether the host is this machine by its address; no name but localhost is looked up.
func loopback(host string) bool {
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}
