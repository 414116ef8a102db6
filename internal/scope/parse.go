package scope

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
)

// maxScopeName is the longest name of a scope, and of a key in the local store; the first is Databricks' limit.
const maxScopeName = 128

var (
	scopeName = regexp.MustCompile(`^[A-Za-z0-9._@-]{1,128}$`)
	keyName   = regexp.MustCompile(`^[A-Za-z0-9._@/-]{1,128}$`)
)

func validScope(name string) bool { return scopeName.MatchString(name) }

func notPrintable(r rune) bool { return !unicode.IsPrint(r) }

// kinds are the places that a scope can be; vaultOptions are what one beside its address may have, the only kind that has more.
var (
	kinds        = []string{"keyvault", "vault", "dir", "env", "local"}
	vaultOptions = []string{"mount", "namespace", "token", "tokenFile", "caCert"}
)

// parse reads the scopes of a section secrets, whose keys are scopes.NAME.OPTION. Names of scopes may hold dots; options do not.
func parse(vs option.Values, s *Set) (scopes []*declared, problems []*problem.Problem) {
	report := func(v option.Value, code problem.Code, format string, args ...any) *problem.Problem {
		p := problem.New(code, format, args...).At(v.Pos)
		problems = append(problems, p)
		return p
	}
	var names []string
	options := map[string][]option.Value{} // by lower-case name
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
		name := v.Key[len(prefix):dot]
		low := strings.ToLower(name)
		if options[low] == nil {
			names = append(names, name)
		}
		v.Key = v.Key[dot+1:]
		options[low] = append(options[low], v)
	}
	for _, name := range names {
		own := options[strings.ToLower(name)]
		if !validScope(name) {
			report(own[0], problem.InvalidValue, "%q is no name of a scope; want letters, digits and . _ @ -, at most %d", name, maxScopeName)
			continue
		}
		p := option.NewParser(option.NewValues("secrets.scopes."+name, own[0].Pos, own...))
		place := s.provider(name, p)
		wrong := p.Finish()
		problems = append(problems, wrong...)
		if len(wrong) == 0 {
			scopes = append(scopes, &declared{name, place})
		}
	}
	return scopes, problems
}

// provider makes the provider of a scope; where it reports a problem, there is none.
func (s *Set) provider(name string, p *option.Parser) provider {
	var given []option.Value
	for _, kind := range kinds {
		if v, ok := p.Value(kind); ok {
			given = append(given, v)
		}
	}
	if len(given) != 1 {
		for _, key := range vaultOptions {
			p.Value(key) // whether it has a place here is not known
		}
		if len(given) == 0 {
			p.Report(option.Value{Pos: p.Pos}, problem.MissingOption, "the scope %s does not say where its secrets are", name).
				Fix("give one of keyvault, vault, dir, env and local")
		} else {
			p.Report(given[1], problem.Conflict, "the scope %s is both %s and %s", name, given[0].Key, given[1].Key).Fix("keep one of them")
		}
		return nil
	}
	kind := strings.ToLower(given[0].Key)
	text := strings.TrimSpace(p.String(kind, ""))
	switch {
	case given[0].IsList: // which String has reported
		return nil
	case kind == "env":
		return envScope{text, s.env.Getenv, s.env.Environ}
	case text == "":
		p.Report(given[0], problem.InvalidValue, "%s of the scope %s is empty", kind, name)
	case kind == "keyvault":
		if u := address(name, text, given[0], p); u != nil {
			return newKeyVault(u, s.env)
		}
	case kind == "vault":
		return newVault(name, address(name, text, given[0], p), p, s.env)
	case kind == "dir":
		return dirScope{text}
	case !strings.EqualFold(text, "default"):
		return localScope{newLocalStore(text, s.env), name}
	case s.local == nil:
		p.Report(given[0], problem.InvalidValue, "there is no local store: the user has no folder for configuration").
			Fix("name its file: local: /path/secrets.age")
	default:
		return localScope{s.local, name}
	}
	return nil
}

// address reads the address of a service: https, or http on this machine. It returns nil where it reports a problem.
func address(name, text string, v option.Value, p *option.Parser) *url.URL {
	const want = "want https://HOST"
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		p.Report(v, problem.InvalidValue, "the address of the scope %s is no URL; %s", name, want) // err would print it
		return nil
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		p.Report(v, problem.InvalidValue, "the address of the scope %s has a login, a query or a fragment; %s", name, want)
		return nil
	case u.Scheme == "http" && !option.Loopback(u.Hostname()):
		p.Report(v, problem.Insecure, "the address of the scope %s is plain http: anybody on the way could read its secrets", name).
			Fix("use https")
		return nil
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u
}
