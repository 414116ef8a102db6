// Package option is how a package receives its options: values with the name and the place in the file that the user gave them, and
// typed getters that collect every error instead of stopping at the first.
//
// A package with options has ParseOptions(option.Values) (Options, []*problem.Problem); so package config knows no package's options,
// and no package knows YAML.
package option

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// A Value is one option as the user wrote it, with references to secrets resolved.
type Value struct {
	Key  string // as written
	Text string // the scalar's text; empty if Secret
	// Secret is the value if any part of it came from a ${provider:...}; Text is then empty and the value must not be printed.
	Secret   secret.Secret
	IsSecret bool
	// Refused: what is wrong with the value was reported. The option is given, so that it is not missing.
	Refused bool
	// List holds the items of a list, which then has no text: select: [topic, offset].
	List   []Value
	IsList bool
	Pos    problem.Location
}

// Reveal returns the value's text, secret or not. Its caller keeps it out of every message.
func (v Value) Reveal() string {
	if v.IsSecret {
		return v.Secret.Reveal()
	}
	return v.Text
}

// AsSecret returns the value as a secret, whether or not it was written as one. Parts of it are made by its Map, so that they are renewed
// with it.
func (v Value) AsSecret() secret.Secret {
	if v.IsSecret {
		return v.Secret
	}
	return secret.New(v.Text)
}

// Shown returns the text as it may be printed.
func (v Value) Shown() string {
	if v.IsSecret {
		return secret.Redacted
	}
	return v.Text
}

// Values are the options of one section. Keys are compared ignoring case, as Spark's are.
type Values struct {
	// Section is the path of the section in the file, for messages: source.kafka.
	Section string
	// Pos is where the section begins; the place of a missing option.
	Pos    problem.Location
	values map[string]Value // by lower-case key
}

// NewValues returns a section's options; of two with equal keys the last one stays (package config reports the double).
func NewValues(section string, pos problem.Location, values ...Value) Values {
	m := make(map[string]Value, len(values))
	for _, v := range values {
		m[strings.ToLower(v.Key)] = v
	}
	return Values{Section: section, Pos: pos, values: m}
}

// Named returns options that are looked up by other names than those that the user wrote, which messages have: an option that has several
// spellings is read by one.
func Named(values map[string]Value) Values {
	m := make(map[string]Value, len(values))
	for name, v := range values {
		m[strings.ToLower(name)] = v
	}
	return Values{values: m}
}

// Lookup returns the option of the key, ignoring case.
func (vs Values) Lookup(key string) (Value, bool) {
	v, ok := vs.values[strings.ToLower(key)]
	return v, ok
}

// Has says whether the option is given.
func (vs Values) Has(key string) bool { _, ok := vs.Lookup(key); return ok }

// All returns the options in the order of the file.
func (vs Values) All() []Value {
	return slices.SortedFunc(maps.Values(vs.values), func(a, b Value) int {
		return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col), cmp.Compare(a.Key, b.Key))
	})
}
