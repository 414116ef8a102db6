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
// The zero value is an empty secret.
type Secret struct{ value string }

// New returns the secret of a value.
func New(value string) Secret { return Secret{value} }

// Reveal returns the value, to hand it to the one peer it is meant for.
func (s Secret) Reveal() string { return s.value }

// IsZero says that there is no value.
func (s Secret) IsZero() bool { return s.value == "" }

// String, GoString, Format, MarshalText, MarshalJSON and LogValue all give [REDACTED].
func (s Secret) String() string               { return Redacted }
func (s Secret) GoString() string             { return Redacted }
func (s Secret) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(Redacted)) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(Redacted), nil }
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(Redacted) }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(Redacted) }
