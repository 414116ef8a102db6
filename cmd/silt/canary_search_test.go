package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A garden is the secrets that a test planted, each another one, and finds them again in whatever form they come up.
type garden struct {
	plants []plant
	// index has every form of every plant by its first bytes.
	index map[string][]form
	// fresh are the values that were planted since the last call of harvest.
	fresh []string
}

// A plant is one secret.
type plant struct {
	where string // what it was planted in
	value string
}

// A form is a text by which a plant can be told.
type form struct {
	text  string
	kind  string // raw, base64, ...
	plant int
}

// indexed is how many bytes of a form the index holds; no form is shorter.
const indexed = 10

// halfBytes is the length of what counts as found of each end of a value: a message that was cut in a secret shows half of it.
const halfBytes = 12

// odd is what every writer of text escapes in a way of its own.
const odd = `"%+/=&ü'\<`

// text plants a secret with odd characters in its middle.
func (g *garden) text(where string) string {
	return g.add(where, random()[:2*halfBytes]+odd+random()[:halfBytes])
}

// word plants a secret of letters and digits.
func (g *garden) word(where string) string { return g.add(where, random()+random()) }

// key plants a secret in base64, as Azure's keys are.
func (g *garden) key(where string) string {
	return g.add(where, base64.StdEncoding.EncodeToString([]byte(random()+odd+random())))
}

func random() string { return strings.ToLower(rand.Text()[:6]) + rand.Text() }

// add plants a value.
func (g *garden) add(where, value string) string {
	if len(value) < 2*halfBytes {
		panic("too short to be found: " + where)
	}
	n := len(g.plants)
	g.plants = append(g.plants, plant{where, value})
	g.fresh = append(g.fresh, value)
	if g.index == nil {
		g.index = map[string][]form{}
	}
	for _, f := range formsOf(value) {
		f.plant = n
		at := f.text[:indexed]
		if !slices.ContainsFunc(g.index[at], func(o form) bool { return o.text == f.text }) {
			g.index[at] = append(g.index[at], f)
		}
	}
	return value
}

// harvest returns what was planted since its last call.
func (g *garden) harvest() []string {
	fresh := g.fresh
	g.fresh = nil
	return fresh
}

// formsOf are the forms in which a value can come up: as a whole in every encoding, and either half in those that leave letters alone or
// change all of them.
func formsOf(value string) []form {
	var out []form
	add := func(kind, text string) { out = append(out, form{text: text, kind: kind}) }
	var plain bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false)
	_ = e.Encode(value) // a string has JSON
	quoted, _ := json.Marshal(value)
	inner := func(s string) string { return s[1 : len(s)-1] }
	add("JSON", inner(string(quoted)))
	add("JSON", inner(strings.TrimSpace(plain.String())))
	add("Go", inner(strconv.Quote(value)))
	add("Go", inner(strconv.QuoteToASCII(value)))
	add("URL query", url.QueryEscape(value))
	add("URL path", url.PathEscape(value))
	for _, part := range []string{value, value[:halfBytes], value[len(value)-halfBytes:]} {
		add("raw", part)
		add("hex", hex.EncodeToString([]byte(part)))
		add("hex", strings.ToUpper(hex.EncodeToString([]byte(part))))
		for _, code := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			for before := range 3 { // the value's place among groups of three bytes; the digits that no neighbour has a bit of
				digits := code.EncodeToString(append(make([]byte, before), part...))
				add("base64", digits[(before*8+5)/6:(before+len(part))*8/6])
			}
		}
	}
	return out
}

// find returns the forms of plants that are in the text.
func (g *garden) find(text []byte) []form {
	var found []form
	for i := 0; i+indexed <= len(text); i++ {
		for _, f := range g.index[string(text[i:i+indexed])] {
			if bytes.HasPrefix(text[i:], []byte(f.text)) {
				found = append(found, f)
			}
		}
	}
	return found
}

// show describes what was found, with what stands around it.
func (g *garden) show(text []byte, found []form) string {
	var b strings.Builder
	seen := map[string]bool{}
	for _, f := range found {
		p := g.plants[f.plant]
		if what := p.where + f.kind; seen[what] {
			continue
		} else {
			seen[what] = true
		}
		at := bytes.Index(text, []byte(f.text))
		around := text[max(0, at-200):min(len(text), at+len(f.text)+60)]
		fmt.Fprintf(&b, "\n%s as %s: ...%s...", p.where, f.kind, around)
	}
	return b.String()
}

func TestAGardenFindsEachFormOfWhatIsPlanted(t *testing.T) {
	g := &garden{}
	value := g.text("a secret")
	g.word("another")
	if found := g.find([]byte("nothing of it is here, whatever " + random() + " is")); len(found) > 0 {
		t.Fatalf("found %v", found)
	}
	quoted, _ := json.Marshal(value)
	for kind, text := range map[string]string{
		"raw":       value,
		"a cut one": value[:halfBytes] + "...",
		"JSON":      string(quoted),
		"Go":        fmt.Sprintf("%q", value),
		"query":     url.Values{"sig": {value}}.Encode(),
		"path":      (&url.URL{Path: "/" + value}).EscapedPath(),
		"hex":       fmt.Sprintf("%x", value),
		"HEX":       fmt.Sprintf("%X", value),
		"basic":     base64.StdEncoding.EncodeToString([]byte("user:" + value)),
		"base64 1":  base64.StdEncoding.EncodeToString([]byte(value + "x")),
		"base64 2":  base64.URLEncoding.EncodeToString([]byte("x" + value)),
		"base64 3":  base64.RawURLEncoding.EncodeToString([]byte("xx" + value + "yy")),
		"its end":   "..." + value[len(value)-halfBytes:],
	} {
		found := g.find([]byte("before" + text + "after"))
		if len(found) == 0 || g.plants[found[0].plant].value != value {
			t.Errorf("%s is not found in %s", kind, text)
		}
	}
}
