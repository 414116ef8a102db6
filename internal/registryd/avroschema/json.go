package avroschema

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A node is a JSON value that keeps the order of its members and the digits of its numbers: the text of a schema is rendered from it.
type node struct {
	kind    byte // one of n(ull), t(rue), f(alse), 0 (a number), " (a string), [ and {
	text    string
	list    []*node
	members []member
}

type member struct {
	key string
	val *node
}

func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for i := range n.members {
		if n.members[i].key == key {
			return n.members[i].val
		}
	}
	return nil
}

// str returns a string's text; it is "", false for anything else.
func (n *node) str() (string, bool) {
	if n == nil || n.kind != '"' {
		return "", false
	}
	return n.text, true
}

// optional returns the text of a member that may be missing; one that is no string counts as missing, as in Avro's Java library.
func (n *node) optional(key string) *string {
	if s, ok := n.get(key).str(); ok {
		return &s
	}
	return nil
}

func (n *node) isIntegral() bool { return n.kind == '0' && !strings.ContainsAny(n.text, ".eE") }

// parseJSON reads one JSON value and nothing after it. Comments are blanks, as Avro's Java library has it.
func parseJSON(text string) (*node, error) {
	if len(text) > MaxBytes {
		return nil, fmt.Errorf("the schema has %d bytes, more than %d", len(text), MaxBytes)
	}
	if !utf8.ValidString(text) {
		return nil, errors.New("the schema is not UTF-8")
	}
	d := json.NewDecoder(strings.NewReader(blankComments(text)))
	d.UseNumber()
	n, err := parseNode(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("dangling content after the end of the schema")
	}
	return n, nil
}

func parseNode(d *json.Decoder, depth int) (*node, error) {
	t, err := d.Token()
	if err != nil {
		return nil, syntax(err)
	}
	switch t := t.(type) {
	case nil:
		return &node{kind: 'n'}, nil
	case bool:
		if t {
			return &node{kind: 't'}, nil
		}
		return &node{kind: 'f'}, nil
	case json.Number:
		if len(t) > maxNumber {
			return nil, fmt.Errorf("a number of %d digits, more than %d", len(t), maxNumber)
		}
		return &node{kind: '0', text: t.String()}, nil
	case string:
		return &node{kind: '"', text: t}, nil
	case json.Delim:
		if depth == maxDepth {
			return nil, fmt.Errorf("JSON nested deeper than %d", maxDepth)
		}
		return parseNested(d, byte(t), depth+1)
	}
	return nil, fmt.Errorf("unexpected %v", t)
}

func parseNested(d *json.Decoder, delim byte, depth int) (*node, error) {
	n := &node{kind: delim}
	var at map[string]int // of members; made once there are many
	for d.More() {
		if delim == '[' {
			v, err := parseNode(d, depth)
			if err != nil {
				return nil, err
			}
			n.list = append(n.list, v)
			continue
		}
		k, err := d.Token()
		if err != nil {
			return nil, syntax(err)
		}
		key, ok := k.(string)
		if !ok {
			return nil, fmt.Errorf("unexpected %v for the name of a member", k)
		}
		v, err := parseNode(d, depth)
		if err != nil {
			return nil, err
		}
		if at == nil {
			at = map[string]int{}
		}
		if i, ok := at[key]; ok { // the last one counts, at the place of the first, as in Jackson
			n.members[i].val = v
			continue
		}
		at[key] = len(n.members)
		n.members = append(n.members, member{key, v})
	}
	if _, err := d.Token(); err != nil {
		return nil, syntax(err)
	}
	return n, nil
}

func syntax(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("unexpected end of the JSON text")
	}
	return err
}

// blankComments replaces /* */ and // comments outside of strings with blanks.
func blankComments(text string) string {
	if !strings.Contains(text, "/*") && !strings.Contains(text, "//") {
		return text
	}
	b := []byte(text)
	inString := false
	for i := 0; i < len(b); i++ {
		switch {
		case inString && b[i] == '\\':
			i++
		case b[i] == '"':
			inString = !inString
		case !inString && b[i] == '/' && i+1 < len(b) && (b[i+1] == '/' || b[i+1] == '*'):
			end, closing := "\n", 0
			if b[i+1] == '*' {
				end, closing = "*/", 2
			}
			n := strings.Index(text[i+2:], end)
			if n < 0 {
				n, closing = len(text)-i-2, 0
			}
			for j := range 2 + n + closing {
				b[i+j] = ' '
			}
			i += 1 + n + closing
		}
	}
	return string(b)
}

// A writer renders JSON as Jackson does: no blanks, and nothing escaped that need not be.
type writer struct{ b []byte }

func (w *writer) raw(s string) { w.b = append(w.b, s...) }

const hexDigits = "0123456789ABCDEF"

func (w *writer) string(s string) {
	w.b = append(w.b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			w.b = append(w.b, '\\', c)
		case c >= 0x20:
			w.b = append(w.b, c)
		default:
			if j := strings.IndexByte("\b\t\n\f\r", c); j >= 0 {
				w.b = append(w.b, '\\', "btnfr"[j])
			} else {
				w.b = append(w.b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
		}
	}
	w.b = append(w.b, '"')
}

// node writes a value; sorted writes the members of its objects in the order of their names.
func (w *writer) node(n *node, sorted bool) {
	switch n.kind {
	case 'n':
		w.raw("null")
	case 't':
		w.raw("true")
	case 'f':
		w.raw("false")
	case '"':
		w.string(n.text)
	case '0':
		w.raw(javaNumber(n.text))
	case '[':
		w.raw("[")
		for i, e := range n.list {
			if i > 0 {
				w.raw(",")
			}
			w.node(e, sorted)
		}
		w.raw("]")
	case '{':
		w.raw("{")
		for i, m := range inOrder(n.members, sorted) {
			if i > 0 {
				w.raw(",")
			}
			w.string(m.key)
			w.raw(":")
			w.node(m.val, sorted)
		}
		w.raw("}")
	}
}

func inOrder(members []member, sorted bool) []member {
	if !sorted {
		return members
	}
	return slices.SortedStableFunc(slices.Values(members), func(a, b member) int { return strings.Compare(a.key, b.key) })
}

// javaNumber renders a JSON number as Java holds it: integers of any size by their digits, all others as a double.
func javaNumber(text string) string {
	if text == "NaN" || strings.HasSuffix(text, "Infinity") { // only made from the text of a default
		return `"` + text + `"`
	}
	if !strings.ContainsAny(text, ".eE") {
		if text == "-0" {
			return "0"
		}
		return text
	}
	f, _ := strconv.ParseFloat(text, 64) // beyond the range: an infinity, as in Java
	return javaDouble(f)
}

// javaDouble is java.lang.Double.toString (since JDK 19: the shortest digits), as Jackson writes it: what is no number, in quotes.
func javaDouble(f float64) string {
	switch {
	case math.IsNaN(f):
		return `"NaN"`
	case math.IsInf(f, 1):
		return `"Infinity"`
	case math.IsInf(f, -1):
		return `"-Infinity"`
	case f == 0 || math.Abs(f) >= 1e-3 && math.Abs(f) < 1e7:
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	s := strconv.FormatFloat(f, 'E', -1, 64) // d.dddE+07
	digits, exponent, _ := strings.Cut(s, "E")
	if !strings.Contains(digits, ".") {
		digits += ".0"
	}
	n, _ := strconv.Atoi(exponent)
	return digits + "E" + strconv.Itoa(n)
}
