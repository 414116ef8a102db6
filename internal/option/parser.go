package option

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// A Parser reads the options of one section and gathers what is wrong with them. Each getter marks its key as known; Finish reports
// the keys that no getter asked for. Getters return the fallback after an error, so that parsing goes on.
type Parser struct {
	Values
	known    []string
	refused  map[string]string           // lower-case key of a known but unsupported option -> what to do instead
	missing  map[string]*problem.Problem // by lower-case key
	problems []*problem.Problem
}

// NewParser returns a parser of the section's options.
func NewParser(vs Values) *Parser {
	return &Parser{Values: vs, refused: map[string]string{}, missing: map[string]*problem.Problem{}}
}

// Unsupported names options that users know and silt does not support (yet): they are errors that say what to do instead, never ignored.
func (p *Parser) Unsupported(instead string, keys ...string) {
	for _, k := range keys {
		p.refused[strings.ToLower(k)] = instead
		p.known = append(p.known, k)
	}
}

// Report adds a problem at the value's place.
func (p *Parser) Report(v Value, code problem.Code, format string, args ...any) *problem.Problem {
	pr := problem.New(code, format, args...).At(v.Pos)
	p.problems = append(p.problems, pr)
	return pr
}

// Missing adds a problem for an option that must be given, unless it is and its value was refused; others are options in its place.
func (p *Parser) Missing(key, hint string, others ...string) {
	if v, _ := p.get(key); v.Refused {
		return
	}
	q := problem.New(problem.MissingOption, "%s is missing in %s", key, p.Section).At(p.Pos).Fix("%s", hint)
	for _, k := range append(others, key) {
		p.missing[strings.ToLower(k)] = q
	}
	p.problems = append(p.problems, q)
}

func (p *Parser) get(key string) (Value, bool) {
	p.known = append(p.known, key)
	return p.Lookup(key)
}

// scalar returns the option for the getters of a single value; a list is reported.
func (p *Parser) scalar(key string) (Value, bool) {
	v, ok := p.get(key)
	if ok && v.IsList {
		p.Report(v, problem.InvalidValue, "%s is a list; want a single value", v.Key)
		return v, false
	}
	return v, ok
}

// Value returns the option as it was written.
func (p *Parser) Value(key string) (Value, bool) { return p.get(key) }

// List returns the option's items; a single value is a list of one.
func (p *Parser) List(key string) ([]Value, bool) {
	v, ok := p.get(key)
	if !ok {
		return nil, false
	}
	if v.IsList {
		return v.List, true
	}
	return []Value{v}, true
}

// String returns the option's text. A value that holds a secret is revealed: use Secret for options that are secrets by nature.
func (p *Parser) String(key, fallback string) string {
	if v, ok := p.scalar(key); ok {
		return v.Reveal()
	}
	return fallback
}

// Secret returns the option as a secret, whether or not it was written as one; one that came from a provider can be renewed.
func (p *Parser) Secret(key string) secret.Secret {
	v, ok := p.scalar(key)
	if !ok {
		return secret.Secret{}
	}
	return v.AsSecret()
}

// Enum returns the option if it is one of the choices, compared ignoring case and given back in the choice's spelling.
func (p *Parser) Enum(key, fallback string, choices ...string) string {
	v, ok := p.scalar(key)
	if !ok {
		return fallback
	}
	text := strings.TrimSpace(v.Reveal())
	for _, c := range choices {
		if strings.EqualFold(c, text) {
			return c
		}
	}
	pr := p.Report(v, problem.InvalidValue, "%s is %q; want %s", v.Key, v.Shown(), strings.Join(choices, ", "))
	if n := problem.Nearest(text, choices); n != "" && !v.IsSecret {
		pr.Fix("did you mean %q?", n)
	}
	return fallback
}

// Bool returns a boolean, true or false in any case.
func (p *Parser) Bool(key string, fallback bool) bool {
	v, ok := p.scalar(key)
	if !ok {
		return fallback
	}
	switch strings.ToLower(strings.TrimSpace(v.Reveal())) {
	case "true":
		return true
	case "false":
		return false
	}
	p.Report(v, problem.InvalidValue, "%s is %q; want true or false", v.Key, v.Shown())
	return fallback
}

// Int returns a whole number in [least, most].
func (p *Parser) Int(key string, fallback, least, most int64) int64 {
	v, ok := p.scalar(key)
	if !ok {
		return fallback
	}
	n, err := strconv.ParseInt(strings.TrimSpace(v.Reveal()), 10, 64)
	if err != nil || n < least || n > most {
		p.Report(v, problem.InvalidValue, "%s is %q; want a whole number from %d to %d", v.Key, v.Shown(), least, most)
		return fallback
	}
	return n
}

// Size returns a number of bytes in [least, most]: 128MiB, 64KiB, 1048576, 128m (Spark's suffixes are powers of 1024).
func (p *Parser) Size(key string, fallback, least, most int64) int64 {
	v, ok := p.scalar(key)
	if !ok {
		return fallback
	}
	n, ok := ParseSize(v.Reveal())
	if !ok || n < least || n > most {
		p.Report(v, problem.InvalidValue, "%s is %q; want a size from %s to %s, such as 128MiB", v.Key, v.Shown(), FormatSize(least),
			FormatSize(most))
		return fallback
	}
	return n
}

// Duration returns a time span in [least, most], written as Go or Spark write it: 10s, "10 seconds". The largest Duration is no bound.
func (p *Parser) Duration(key string, fallback, least, most time.Duration) time.Duration {
	v, ok := p.scalar(key)
	if !ok {
		return fallback
	}
	d, ok := ParseDuration(v.Reveal())
	if !ok || d < least || d > most {
		bounds := fmt.Sprintf("from %s to %s", least, most)
		if most == math.MaxInt64 {
			bounds = fmt.Sprintf("of at least %s", least)
		}
		p.Report(v, problem.InvalidValue, "%s is %q; want a duration %s, such as 10s or \"10 seconds\"", v.Key, v.Shown(), bounds)
		return fallback
	}
	return d
}

// Reported returns the problems so far, in the order in which they were found.
func (p *Parser) Reported() []*problem.Problem { return p.problems }

// Finish returns every problem: those reported, and one for each option that is unknown or unsupported. What an unknown option was meant to be
// is not missing too.
func (p *Parser) Finish() []*problem.Problem {
	for _, v := range p.All() {
		low := strings.ToLower(v.Key)
		if instead, ok := p.refused[low]; ok {
			p.Report(v, problem.Unsupported, "%s is not supported yet", v.Key).Fix("%s", instead)
			continue
		}
		if slices.ContainsFunc(p.known, func(k string) bool { return strings.EqualFold(k, v.Key) }) {
			continue
		}
		pr := p.Report(v, problem.UnknownOption, "unknown option %q in %s", v.Key, p.Section)
		if n := problem.Nearest(v.Key, p.known); n != "" {
			pr.Message += "; did you mean \"" + n + "\"?"
			if q := p.missing[strings.ToLower(n)]; q != nil {
				p.problems = slices.DeleteFunc(p.problems, func(r *problem.Problem) bool { return r == q })
			}
		}
	}
	l := problem.List(p.problems)
	l.Sort()
	return l
}

var sizeRE = regexp.MustCompile(`^([0-9]+)\s*([A-Za-z]*)$`)

var sizeUnits = map[string]int64{"": 1, "b": 1, "k": 1 << 10, "kb": 1 << 10, "kib": 1 << 10, "m": 1 << 20, "mb": 1 << 20, "mib": 1 << 20,
	"g": 1 << 30, "gb": 1 << 30, "gib": 1 << 30, "t": 1 << 40, "tb": 1 << 40, "tib": 1 << 40}

// ParseSize reads a number of bytes; all units are powers of 1024, as Spark's are.
func ParseSize(s string) (int64, bool) {
	m := sizeRE.FindStringSubmatch(strings.TrimSpace(s))
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	unit, ok := sizeUnits[strings.ToLower(m[2])]
	if err != nil || !ok || n > math.MaxInt64/unit {
		return 0, false
	}
	return n * unit, true
}

// FormatSize writes a number of bytes in the largest unit that divides it.
func FormatSize(n int64) string {
	for _, u := range []struct {
		name string
		n    int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.n && n%u.n == 0 {
			return strconv.FormatInt(n/u.n, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

var intervalRE = regexp.MustCompile(`(?i)^(?:interval\s+)?((?:[0-9]+\s+[a-z]+\s*)+)$`)
var intervalPartRE = regexp.MustCompile(`(?i)([0-9]+)\s+([a-z]+)`)

var intervalUnits = map[string]time.Duration{"week": 7 * 24 * time.Hour, "day": 24 * time.Hour, "hour": time.Hour, "minute": time.Minute,
	"second": time.Second, "millisecond": time.Millisecond, "microsecond": time.Microsecond}

// ParseDuration reads 1h30m as Go does, or Spark's SQL interval "1 hour 30 minutes" (weeks to microseconds; months have no fixed length
// and are refused, as Spark refuses them). Negative spans are refused.
func ParseDuration(s string) (time.Duration, bool) {
	s = strings.TrimSpace(s)
	if d, err := time.ParseDuration(s); err == nil {
		return d, d >= 0
	}
	m := intervalRE.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	var sum time.Duration
	for _, part := range intervalPartRE.FindAllStringSubmatch(m[1], -1) {
		n, err := strconv.ParseInt(part[1], 10, 64)
		unit, ok := intervalUnits[strings.TrimSuffix(strings.ToLower(part[2]), "s")]
		if err != nil || !ok || n > int64(math.MaxInt64-sum)/int64(unit) {
			return 0, false
		}
		sum += time.Duration(n) * unit
	}
	return sum, true
}
