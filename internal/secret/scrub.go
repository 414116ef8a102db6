package secret

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// minLine is the shortest line of a value of several lines that is looked for by itself.
const minLine = 16

// minScrubbed is the shortest value that the scrubber looks for: shorter ones would blot out ordinary text
// (an empty secret once made every gap of dbt's logs "*****", dbt-core#5312).
const minScrubbed = 4

// A Scrubber replaces every known secret in what passes through it, raw and in its URL-encoded, base64 and JSON-escaped forms, and what
// looks like one (see redactPatterns). It is the second net: no code may rely on it. Its methods may be called concurrently. The zero value
// knows no secret.
type Scrubber struct {
	mu    sync.RWMutex
	forms []string // longest first, so that no form leaves the rest of a longer one
}

// Add makes the scrubber look for s, and for what s becomes when it is renewed, as long as s lives; values shorter than 4 bytes are not
// looked for. What s was before stays known: it may be valid still.
func (c *Scrubber) Add(s Secret) {
	s.leaves(func(l *leaf) { l.follow(follower{c, s.node}) })
	c.add(s.value())
}

func (c *Scrubber) add(v string) {
	if len(v) < minScrubbed {
		return
	}
	// What prints a key in PEM may break it at its lines, or indent them.
	if strings.Contains(v, "\n") {
		for line := range strings.Lines(v) {
			if line = strings.TrimSpace(line); len(line) >= minLine && !strings.HasPrefix(line, "-----") {
				c.add(line)
			}
		}
	}
	forms := []string{v, url.QueryEscape(v), url.PathEscape(v), inside(strconv.Quote(v))}
	forms = append(forms, url.QueryEscape(forms[1])) // of a query in a query
	quoted, _ := json.Marshal(v)
	forms = append(forms, inside(string(quoted)), inside(string(quoteJSON(v))))
	forms = append(forms, base64Forms(v)...)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range forms {
		// A part of what replaces secrets cannot be told from it.
		if len(f) >= minScrubbed && !strings.Contains(Redacted, f) && !slices.Contains(c.forms, f) {
			c.forms = append(c.forms, f)
		}
	}
	slices.SortStableFunc(c.forms, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
}

func inside(quoted string) string { return quoted[1 : len(quoted)-1] }

// base64Forms returns v in base64, and what all texts in base64 share that hold v somewhere, as the credentials of basic authentication do:
// the digits that no neighbour has a bit of. There are three, by v's place among groups of three bytes.
func base64Forms(v string) []string {
	var forms []string
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		forms = append(forms, e.EncodeToString([]byte(v)), e.WithPadding(base64.NoPadding).EncodeToString([]byte(v)))
		for before := range 3 {
			digits := e.WithPadding(base64.NoPadding).EncodeToString(append(make([]byte, before), v...))
			forms = append(forms, digits[(before*8+5)/6:(before+len(v))*8/6])
		}
	}
	return forms
}

// String returns s with every known secret, and what looks like one, replaced.
func (c *Scrubber) String(s string) string { return redactPatterns(c.known(s)) }

func (c *Scrubber) known(s string) string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, f := range c.forms {
		s = strings.ReplaceAll(s, f, Redacted)
	}
	return s
}

// Writer returns a writer that scrubs each Write before it hands it to w. A secret that is split over two writes is not found:
// give it whole lines.
func (c *Scrubber) Writer(w io.Writer) io.Writer { return scrubWriter{c.String, w} }

// Data is Writer for records that a user asked to see: only known secrets are replaced. A URL or a field named token in them is data.
func (c *Scrubber) Data(w io.Writer) io.Writer { return scrubWriter{c.known, w} }

type scrubWriter struct {
	scrub func(string) string
	w     io.Writer
}

func (s scrubWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(s.w, s.scrub(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
