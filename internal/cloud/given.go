package cloud

import (
	"strings"

	"github.com/siltlake/silt/internal/option"
)

// given are the options of one cloud that the pipeline file gives, by the name of their spec. None is a list.
type given map[string]option.Value

// hollow says whether an option is there and has no value, which was reported: nobody shall call it missing too.
func (g given) hollow() bool {
	for _, v := range g {
		if v.Refused && v.AsSecret().IsZero() {
			return true
		}
	}
	return false
}

// A reader reads the options of one place, by the names of their specs, and the environment beside them.
type reader struct {
	*option.Parser
	env Env
}

func newReader(g given, env Env) reader { return reader{option.NewParser(option.Named(g)), env} }

// value returns the first of the options that is given.
func (r reader) value(names ...string) (option.Value, bool) {
	for _, name := range names {
		if v, ok := r.Lookup(name); ok {
			return v, true
		}
	}
	return option.Value{}, false
}

// text returns the text of the first of the options that is given, without blanks at its ends; "" if none is. An option that is a secret by
// nature is read with value.
func (r reader) text(names ...string) string {
	v, _ := r.value(names...)
	return strings.TrimSpace(v.Reveal())
}
