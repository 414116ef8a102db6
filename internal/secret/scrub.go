package secret

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// minScrubbed is the shortest value that the scrubber looks for: shorter ones would blot out ordinary text
// (an empty secret once made every gap of dbt's logs "*****", dbt-core#5312).
const minScrubbed = 4

// A Scrubber replaces every known secret in what passes through it, raw and in its URL-encoded, base64 and JSON-escaped forms.
// It is the second net: no code may rely on it. Its methods may be called concurrently. The zero value knows no secret.
type Scrubber struct {
	mu    sync.RWMutex
	forms [][]byte // longest first, so that no form leaves the rest of a longer one
}

// Add makes the scrubber look for s; values shorter than 4 characters are not looked for.
func (c *Scrubber) Add(s Secret) {
	v := s.value
	if len(v) < minScrubbed {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	quoted, _ := json.Marshal(v)
	for _, f := range []string{
		v,
		url.QueryEscape(v),
		url.PathEscape(v),
		base64.StdEncoding.EncodeToString([]byte(v)),
		base64.RawStdEncoding.EncodeToString([]byte(v)),
		base64.URLEncoding.EncodeToString([]byte(v)),
		base64.RawURLEncoding.EncodeToString([]byte(v)),
		string(quoted[1 : len(quoted)-1]),
	} {
		if !slices.ContainsFunc(c.forms, func(g []byte) bool { return string(g) == f }) {
			c.forms = append(c.forms, []byte(f))
		}
	}
	slices.SortStableFunc(c.forms, func(a, b []byte) int { return cmp.Compare(len(b), len(a)) })
}

// String returns s with every known secret replaced.
func (c *Scrubber) String(s string) string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, f := range c.forms {
		s = strings.ReplaceAll(s, string(f), Redacted)
	}
	return s
}

// Writer returns a writer that scrubs each Write before it hands it to w. A secret that is split over two writes is not found:
// give it whole lines.
func (c *Scrubber) Writer(w io.Writer) io.Writer { return scrubWriter{c, w} }

type scrubWriter struct {
	c *Scrubber
	w io.Writer
}

func (s scrubWriter) Write(p []byte) (int, error) {
	s.c.mu.RLock()
	out := p
	for _, f := range s.c.forms {
		if bytes.Contains(out, f) {
			out = bytes.ReplaceAll(out, f, []byte(Redacted))
		}
	}
	s.c.mu.RUnlock()
	if _, err := s.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}
