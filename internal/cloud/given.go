package cloud

import (
	"strings"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// A reader reads the options of one place, and the environment beside them, and gathers what is wrong with them.
type reader struct {
	given    given
	env      Env
	problems []*problem.Problem
}

// report adds a problem at the value's place.
func (r *reader) report(v option.Value, code problem.Code, format string, args ...any) *problem.Problem {
	p := problem.New(code, format, args...).At(v.Pos)
	r.problems = append(r.problems, p)
	return p
}

// value returns the first of the options that is given and a single value.
func (r *reader) value(names ...string) (option.Value, bool) {
	for _, name := range names {
		v, ok := r.given[name]
		if ok && v.IsList {
			r.report(v, problem.InvalidValue, "%s is a list; want a single value", v.Key)
			continue
		}
		if ok {
			return v, true
		}
	}
	return option.Value{}, false
}

// text returns the text of the first of the options that is given, without blanks at its ends; "" if none is. An option that is a secret by
// nature is read with value.
func (r *reader) text(names ...string) string {
	v, _ := r.value(names...)
	return strings.TrimSpace(v.Reveal())
}

// secret returns the first of the options that is given as a secret, whether or not it was written as one.
func (r *reader) secret(names ...string) secret.Secret {
	v, _ := r.value(names...)
	return v.AsSecret()
}

// flag returns the first of the options that is given: true or false in any case.
func (r *reader) flag(fallback bool, names ...string) bool {
	v, ok := r.value(names...)
	if !ok {
		return fallback
	}
	switch strings.ToLower(strings.TrimSpace(v.Reveal())) {
	case "true":
		return true
	case "false":
		return false
	}
	r.report(v, problem.InvalidValue, "%s is %q; want true or false", v.Key, v.Shown())
	return fallback
}
