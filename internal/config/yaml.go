package config

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/siltlake/silt/internal/problem"
)

// A node is a part of the file after anchors, merge keys and tags: what the walker sees.
type node struct {
	kind  kind
	text  string  // of a scalar
	tag   string  // of a scalar, as YAML's core schema resolves it: !!str, !!int, !!bool, ...
	items []*node // of a list
	pairs []pair  // of a mapping; keys are unique
	bad   bool    // it was reported already
	pos   problem.Location
}

type pair struct {
	key   string
	pos   problem.Location // of the key
	value *node
}

type kind uint8

const (
	null kind = iota
	scalar
	list
	mapping
)

func (k kind) String() string {
	return [...]string{"empty", "a single value", "a list", "a mapping"}[k]
}

// parse reads one YAML document. The problems are those that leave a tree to walk; the error is one that does not.
func parse(file string, data []byte) (*node, problem.List, error) {
	l, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		return nil, nil, syntax(file, data, err)
	}
	var doc yaml.Node
	if err := l.Load(&doc); err == io.EOF || err == nil && len(doc.Content) == 0 {
		return nil, nil, problem.New(problem.Syntax, "the file is empty").At(problem.File(file)).
			Fix("a pipeline has source.kafka, registry, sink.delta and checkpointLocation")
	} else if err != nil {
		return nil, nil, syntax(file, data, err)
	}
	var next yaml.Node
	if err := l.Load(&next); err == nil {
		return nil, nil, problem.New(problem.Syntax, "the file holds more than one YAML document").
			At(problem.Location{File: file, Line: next.Line, Col: next.Column}).Fix("put each pipeline into a file of its own")
	} else if err != io.EOF {
		return nil, nil, syntax(file, data, err)
	}
	b := &builder{file: file}
	root := b.node(doc.Content[0], 0)
	if b.stopped != nil {
		return nil, nil, b.stopped
	}
	return root, b.problems, nil
}

// syntax turns the parser's error into a problem at its place.
func syntax(file string, data []byte, err error) *problem.Problem {
	p := problem.New(problem.Syntax, "the file is not valid YAML").At(problem.File(file)).Because(err)
	var le *yaml.LoadError
	if !errors.As(err, &le) {
		return p
	}
	p.Message = "not valid YAML: " + withoutNames(le.Message)
	p.Why = le.ContextMsg
	p.Where.Line, p.Where.Col = le.Mark.Line, le.Mark.Column
	if le.Mark.Line == 0 {
		p.Where.Line, p.Where.Col = unprintable(data)
		return p
	}
	line := lineOf(data, le.Mark.Line)
	switch {
	case strings.Contains(line, "${") && strings.ContainsAny(line, "{["):
		p.Fix(`inside { } and [ ], put quotes around a value with a reference: {key: "${env:NAME}"}`)
	case strings.HasPrefix(strings.TrimLeft(line, " "), "\t"):
		p.Fix("indent with spaces: YAML has no tabs there")
	case strings.Contains(le.Message, "mapping values are not allowed"):
		p.Fix("put quotes around a value that holds a colon and a space, and check the indentation")
	}
	return p
}

// withoutNames takes what the file says out of the parser's message: what YAML takes for an anchor or a tag may be a secret without quotes.
func withoutNames(message string) string {
	switch {
	case strings.HasPrefix(message, "unknown anchor"):
		return "a value that begins with * names an anchor, and there is none of that name; in quotes it is a text"
	case strings.HasSuffix(message, "in a YAML tag"):
		return "a value that begins with ! is a tag; in quotes it is a text"
	}
	return message
}

func lineOf(data []byte, n int) string {
	for line := range bytes.Lines(data) {
		if n--; n == 0 {
			return string(line)
		}
	}
	return ""
}

// unprintable returns line and column of the first byte that YAML cannot hold: the parser does not say where it is.
func unprintable(data []byte) (line, col int) {
	line, col = 1, 1
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && n == 1, r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0x7f:
			return line, col
		case r == '\n':
			line, col = line+1, 1
		default:
			col++
		}
		data = data[n:]
	}
	return 0, 0
}

// A builder turns YAML's nodes into ours: it follows aliases within bounds, applies merge keys and refuses what a pipeline has no use for.
type builder struct {
	file     string
	problems problem.List
	nodes    int
	stopped  *problem.Problem // a bound was exceeded: the tree is not whole
}

func (b *builder) at(n *yaml.Node) problem.Location {
	return problem.Location{File: b.file, Line: n.Line, Col: n.Column}
}

func (b *builder) report(n *yaml.Node, code problem.Code, format string, args ...any) *problem.Problem {
	p := problem.New(code, format, args...).At(b.at(n))
	b.problems = append(b.problems, p)
	return p
}

// coreTags are the tags that may be written; all others are custom ones, or types that no option has.
var coreTags = []string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq"}

func (b *builder) node(n *yaml.Node, depth int) *node {
	out := &node{pos: b.at(n)}
	if b.nodes++; b.stopped != nil {
		return out
	}
	switch {
	case b.nodes > maxNodes:
		b.stopped = problem.New(problem.TooLarge, "the file has more than %d values, anchors expanded", maxNodes).At(b.at(n))
		return out
	case depth > maxDepth:
		b.stopped = problem.New(problem.TooLarge, "the file is nested deeper than %d levels, or an anchor holds itself", maxDepth).At(b.at(n))
		return out
	}
	if n.Style&yaml.TaggedStyle != 0 && !slices.Contains(coreTags, n.ShortTag()) {
		// The tag is not named: it may be a secret without quotes.
		b.report(n, problem.InvalidValue, "a value that begins with ! has a tag, which is not allowed").
			Fix("put the value in quotes if the ! is its own; otherwise write it without the tag")
		out.bad = true
	}
	switch n.Kind {
	case yaml.AliasNode:
		out = b.node(n.Alias, depth+1)
		out.pos = b.at(n)
	case yaml.ScalarNode:
		out.kind, out.text, out.tag = scalar, n.Value, n.ShortTag()
		if out.tag == "!!null" {
			out.kind = null
		}
	case yaml.SequenceNode:
		out.kind = list
		for _, c := range n.Content {
			out.items = append(out.items, b.node(c, depth+1))
		}
	case yaml.MappingNode:
		out.kind = mapping
		b.mapping(out, n, depth)
	}
	return out
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// mapping reads a mapping's pairs. Keys of its own beat those of a merge key, and earlier merged mappings beat later ones (YAML 1.1 merge).
func (b *builder) mapping(out *node, n *yaml.Node, depth int) {
	if len(n.Content) == 2 && n.Content[0].Kind == yaml.MappingNode && n.Style&yaml.FlowStyle != 0 {
		// Without quotes {{secrets/scope/key}} is a mapping of a mapping to YAML. Nothing else in a pipeline is.
		c := n.Content[0].Content
		if len(c) == 2 && strings.HasPrefix(c[0].Value, "secrets/") && isNull(c[1]) && isNull(n.Content[1]) {
			out.kind, out.text, out.tag = scalar, "{{"+c[0].Value+"}}", "!!str"
			return
		}
		b.report(n, problem.InvalidValue, "{{ begins a mapping of a mapping").
			Fix("a text with {{secrets/scope/key}} in it stands in quotes")
		out.bad = true
		return
	}
	var merged []*yaml.Node
	first := map[string]problem.Location{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		switch where, twice := first[k.Value]; {
		case k.Kind != yaml.ScalarNode:
			b.report(k, problem.Syntax, "a key is %s; want a name", b.node(k, depth+1).kind)
		case k.ShortTag() == "!!merge":
			merged = append(merged, v)
		case twice:
			b.report(n.Content[i], problem.DuplicateOption, "%q is given twice, first in line %d", k.Value, where.Line)
		case strings.Contains(k.Value, "${"):
			b.report(n.Content[i], problem.InvalidValue, "the key %q holds a reference", k.Value).Fix("use ${...} in values only")
		default:
			first[k.Value] = b.at(n.Content[i])
			out.pairs = append(out.pairs, pair{k.Value, b.at(n.Content[i]), b.node(v, depth+1)})
		}
	}
	for _, v := range merged {
		b.merge(out, v, depth)
	}
}

func (b *builder) merge(out *node, v *yaml.Node, depth int) {
	m := b.node(v, depth+1)
	from := []*node{m}
	if m.kind == list {
		from = m.items
	}
	for _, m := range from {
		if m.kind != mapping {
			b.report(v, problem.InvalidValue, "<< is %s; want a mapping, or a list of them", m.kind)
			return
		}
		for _, p := range m.pairs {
			if !slices.ContainsFunc(out.pairs, func(q pair) bool { return q.key == p.key }) {
				out.pairs = append(out.pairs, p)
			}
		}
	}
}

// flow parses the value of -s that is written as a YAML list: select=[topic, offset].
func flow(text string, where problem.Location) (*node, *problem.Problem) {
	root, problems, err := parse(where.File, []byte(text))
	if l := problem.Of(err); len(l) > 0 {
		return nil, l[0].At(where)
	}
	if len(problems) > 0 {
		return nil, problems[0].At(where)
	}
	moveTo(root, where)
	return root, nil
}

func moveTo(n *node, where problem.Location) {
	n.pos = where
	for _, c := range n.items {
		moveTo(c, where)
	}
	for i := range n.pairs {
		n.pairs[i].pos = where
		moveTo(n.pairs[i].value, where)
	}
}
