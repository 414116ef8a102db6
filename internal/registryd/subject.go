package registryd

import (
	"strings"
	"unicode"
)

// The contexts with a meaning of their own: the one of names that name none, and the one whose config and mode are everybody's last resort.
const (
	defaultContext = "."
	globalContext  = ".__GLOBAL"
)

// maxSubject is the longest subject, in bytes: a topic's name has 249, a record's full name may have more.
const maxSubject = 1024

// A subject is a subject's name in its context, whose name begins with a dot. With an empty name it stands for the context itself, as it
// does in the paths of config and mode.
type subject struct{ context, name string }

// parseSubject takes a qualified name apart, ":.context:name"; a name that is not qualified is in the default context.
func parseSubject(text string) subject {
	if !strings.HasPrefix(text, ":.") {
		return subject{defaultContext, text}
	}
	context, name, _ := strings.Cut(text[1:], ":")
	return subject{context, name}
}

// String is the qualified name: the name alone in the default context.
func (s subject) String() string { return s.prefix() + s.name }

// prefix is what stands before the names of the subjects of a context.
func (s subject) prefix() string {
	if s.context == defaultContext {
		return ""
	}
	return ":" + s.context + ":"
}

// of returns the subject that a reference, or a path below /contexts, means by text: in the same context, unless text names one.
func (s subject) of(text string) subject {
	o := parseSubject(text)
	if o.context == defaultContext {
		o.context = s.context
	}
	return o
}

// check refuses names that are no subject's: empty, too long, with control characters, or kept for the registry itself.
func (s subject) check() *apiError {
	text := s.String()
	bad := s.name == "" || s.name == "__GLOBAL" || s.name == "__EMPTY" || s.context == globalContext ||
		strings.IndexFunc(text, unicode.IsControl) >= 0
	switch {
	case len(text) > maxSubject:
		return failf(codeInvalidSubject, "The specified subject has %d bytes, more than %d.", len(text), maxSubject)
	case bad:
		return failf(codeInvalidSubject, "The specified subject '%s' is not a valid subject.", text)
	}
	return nil
}

// checkScope is check for config and mode, which contexts have too.
func (s subject) checkScope() *apiError {
	if s.name == "" && len(s.context) <= maxSubject && strings.IndexFunc(s.context, unicode.IsControl) < 0 {
		return nil
	}
	return s.check()
}

// parseContext reads the name of a context as paths have it: with or without its dot, or between colons.
func parseContext(text string) (string, *apiError) {
	name := strings.TrimSuffix(strings.TrimPrefix(text, ":"), ":")
	if !strings.HasPrefix(name, ".") {
		name = "." + name
	}
	if len(name) > maxSubject || strings.Contains(name, ":") || strings.IndexFunc(name, unicode.IsControl) >= 0 {
		return "", failf(codeInvalidSubject, "The specified context '%s' is not a valid context.", text)
	}
	return name, nil
}

// scopes are the subjects whose config or mode applies to s, the nearest first.
func (s subject) scopes() []subject {
	global := subject{globalContext, ""}
	if s.name == "" {
		return []subject{s, global}
	}
	return []subject{s, {s.context, ""}, global}
}
