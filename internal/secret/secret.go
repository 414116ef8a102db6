// Package secret holds values that must never be printed, and the scrubber that catches those that were copied all the same.
package secret

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// Redacted is what every printing of a Secret gives, as Databricks prints it.
const Redacted = "[REDACTED]"

// A Secret is a value that prints as [REDACTED]. Only Reveal gives it out; a test lists Reveal's callers.
//
// All copies of a Secret are one: after Renew each reveals the new value, and so do the Secrets that Join and Map made of it. So a client
// keeps the Secret and reveals it for each login, instead of keeping the value. The zero value is an empty secret. Methods may be called
// concurrently.
//
// It cannot be compared with ==, which would compare where values come from.
type Secret struct {
	_    [0]func()
	node node // nil: empty
}

// New returns the secret of a value that never changes.
func New(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{node: &literal{value}}
}

// Join returns the secret of the parts' values, one after the other.
func Join(parts ...Secret) Secret {
	j := &joined{}
	constant := true
	for _, p := range parts {
		if p.node != nil {
			j.parts = append(j.parts, p.node)
			constant = constant && !p.Renewable()
		}
	}
	if constant {
		return New(j.text(current))
	}
	return Secret{node: j}
}

// Map returns the secret of what f makes of the value, now and after each renewal: a part of it, mostly. f is called at each Reveal, must
// return the same for the same value, and gives "" for one of which it can make nothing.
func (s Secret) Map(f func(value string) string) Secret {
	if !s.Renewable() {
		return New(f(s.value()))
	}
	return Secret{node: &derived{s.node, f}}
}

// Reveal returns the value, to hand it to the one peer it is meant for.
func (s Secret) Reveal() string { return s.value() }

func (s Secret) value() string {
	if s.node == nil {
		return ""
	}
	return s.node.text(current)
}

// IsZero says that there is no value.
func (s Secret) IsZero() bool { return s.value() == "" }

// String, GoString, Format, MarshalText, MarshalJSON and LogValue all give [REDACTED].
func (s Secret) String() string               { return Redacted }
func (s Secret) GoString() string             { return Redacted }
func (s Secret) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(Redacted)) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(Redacted), nil }
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(Redacted) }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(Redacted) }

// A node is how a Secret comes by its value. All are pointers: fmt prints what lies behind unexported fields, where it may call no method,
// and prints no more of a pointer than its address.
type node interface {
	// text is the value, if each leaf's is what of says.
	text(of func(*leaf) string) string
	// leaves calls visit for each leaf of which the value depends.
	leaves(visit func(*leaf))
}

func current(l *leaf) string { return *l.value.Load() }

type literal struct{ value string }

func (l *literal) text(func(*leaf) string) string { return l.value }
func (l *literal) leaves(func(*leaf))             {}

type joined struct{ parts []node }

func (j *joined) text(of func(*leaf) string) string {
	var b []byte
	for _, p := range j.parts {
		b = append(b, p.text(of)...)
	}
	return string(b)
}

func (j *joined) leaves(visit func(*leaf)) {
	for _, p := range j.parts {
		p.leaves(visit)
	}
}

type derived struct {
	from node
	f    func(string) string
}

func (d *derived) text(of func(*leaf) string) string { return d.f(d.from.text(of)) }
func (d *derived) leaves(visit func(*leaf))          { d.from.leaves(visit) }
