package config

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
)

// The shape of a pipeline file. "" is the section of config's own options, which have no section in the file.
var (
	// groups hold sections only.
	groups = []string{"source", "sink"}
	// sectionNames hold options, whose names their packages know.
	sectionNames = []string{"source.kafka", "registry", "decode", "sink.delta", "sink.storageOptions", "trigger", "paths"}
	ownOptions   = []string{"name", "select", "checkpointLocation", "allowInsecure"}
	// refused are the sections that silt knows and does not support yet, and what to do instead.
	refused = map[string]string{
		"observability": "remove the section; progress is on stderr, and as JSON on stdout with -o json",
	}
)

// A section is what the file says in one of its sections.
type section struct {
	pos     problem.Location
	options map[string]option.Value // by lower-case key: Spark's options are compared ignoring case
}

// A walker goes through the tree and gathers the sections' options.
type walker struct {
	resolver
	file     string
	begin    problem.Location
	sections map[string]*section
	faulty   map[problem.Location]bool
	problems problem.List
	meant    []member // what unknown keys were meant to be
}

// A member is what stands at a path of the file: a key of a group.
type member struct {
	group string
	pair
}

func (m member) path() string { return join(m.group, m.key) }

func (w *walker) section(name string) *section {
	s := w.sections[name]
	if s == nil {
		s = &section{pos: w.begin, options: map[string]option.Value{}}
		w.sections[name] = s
	}
	return s
}

// values are the options of a section in the file's order.
func (w *walker) values(name string) option.Values {
	s := w.section(name)
	title := name
	if name == "" {
		title = "the pipeline"
	}
	return option.NewValues(title, s.pos, slices.Collect(maps.Values(s.options))...)
}

// group walks a mapping that holds sections: the document, source, sink.
func (w *walker) group(path string, n *node) {
	for _, p := range n.pairs {
		w.member(member{path, p})
	}
}

// member walks what is at a path of the file.
func (w *walker) member(p member) {
	name := p.path()
	switch instead, no := refused[name]; {
	case name == secretsSection: // declare has read it
	case no:
		w.report(p.pos, problem.Unsupported, "%s is not supported yet", name).Fix("%s", instead)
	case slices.Contains(sectionNames, name):
		s := w.section(name)
		s.pos = p.pos
		if w.isMapping(name, p.pair) {
			w.options(s, name, "", p.value)
		}
	case slices.Contains(groups, name):
		if w.isMapping(name, p.pair) {
			w.group(name, p.value)
		}
	case p.group == "" && slices.Contains(ownOptions, name):
		w.option(w.section(""), "", name, p.pos, p.value)
	default:
		w.unknown(p)
	}
}

// assume takes unknown keys for what they were meant to be, where the file has none of that: so it is not missing too, and what is wrong in
// it is reported at once.
func (w *walker) assume() {
	for i := 0; i < len(w.meant); i++ { // it grows by what is misspelt in what was
		m := w.meant[i]
		isSection := slices.Contains(groups, m.path()) || slices.Contains(sectionNames, m.path())
		fits := isSection && m.value.kind == mapping || slices.Contains(ownOptions, m.path())
		if fits && !w.has(m.path()) {
			w.member(m)
		}
	}
}

// has says whether the file has something at a path of its shape.
func (w *walker) has(name string) bool {
	if slices.Contains(ownOptions, name) {
		return w.section("").options[strings.ToLower(name)].Key != ""
	}
	for section := range w.sections {
		if section == name || strings.HasPrefix(section, name+".") {
			return true
		}
	}
	return false
}

func (w *walker) isMapping(name string, p pair) bool {
	if p.value.kind != mapping && !p.value.bad {
		w.report(p.pos, problem.InvalidValue, "%s is %s; want a mapping of options", name, p.value.kind)
	}
	return p.value.kind == mapping
}

// unknown reports a key that the file's shape lacks, and finds what was meant: a neighbour, or the same key in its right place.
func (w *walker) unknown(m member) {
	var neighbours []string
	for _, known := range knownNames() {
		g, k := cut(known)
		if strings.EqualFold(k, m.key) && g != m.group {
			q := w.report(m.pos, problem.UnknownOption, "unknown key %q; did you mean %q?", m.path(), known).Fix("move it into the section %s", g)
			if g == "" {
				q.Fix("move it to the top level of the file")
			}
			w.meant = append(w.meant, member{g, pair{k, m.pos, m.value}})
			return
		}
		if g == m.group {
			neighbours = append(neighbours, k)
		}
	}
	q := w.report(m.pos, problem.UnknownOption, "unknown key %q", m.path())
	if n := problem.Nearest(m.key, neighbours); n != "" {
		q.Message += "; did you mean \"" + n + "\"?"
		w.meant = append(w.meant, member{m.group, pair{n, m.pos, m.value}})
	} else {
		slices.Sort(neighbours)
		q.Fix("here can stand: %s", strings.Join(neighbours, ", "))
	}
}

// knownNames are the paths of all that has a place in the file's shape.
func knownNames() []string {
	return slices.Sorted(slices.Values(slices.Concat(groups, sectionNames, ownOptions, []string{secretsSection, secretsSection + ".scopes"})))
}

// options walks a section; nested mappings are joined by dots.
func (w *walker) options(s *section, name, prefix string, n *node) {
	for _, p := range n.pairs {
		key := join(prefix, p.key)
		switch {
		case misplaced(name, key):
			w.unknown(member{name, p})
		case p.value.kind == mapping && !p.value.bad && name != "source.kafka":
			w.options(s, name, key, p.value)
		default:
			w.option(s, name, key, p.pos, p.value)
		}
	}
}

// misplaced says whether the key of a section is one of the top level.
func misplaced(section, key string) bool {
	return section != "" && section != "paths" && slices.ContainsFunc(ownOptions, func(own string) bool { return strings.EqualFold(own, key) })
}

// option adds one option to its section. Whatever is wrong with its value, the option is there: nobody shall call it missing too.
func (w *walker) option(s *section, name, key string, pos problem.Location, n *node) {
	if old, ok := s.options[strings.ToLower(key)]; ok {
		p := w.report(pos, problem.DuplicateOption, "%q is given twice, first in line %d", key, old.Pos.Line)
		if old.Key != key {
			p.Why = "names of options are compared ignoring case, and nested keys are joined by dots: the other is " + old.Key
		}
		return
	}
	s.options[strings.ToLower(key)] = w.value(name, key, pos, n)
}

// value resolves the references of an option's value.
func (w *walker) value(name, key string, pos problem.Location, n *node) option.Value {
	v := w.read(name, key, pos, n)
	v.Refused = w.faulty[pos]
	return v
}

func (w *walker) read(name, key string, pos problem.Location, n *node) option.Value {
	v := option.Value{Key: key, Pos: pos}
	switch {
	case n.bad:
		w.faulty[pos] = true
	case n.kind == null:
		w.refuse(v, problem.InvalidValue, "%s has no value", key).Fix(`give it one, or remove the line; "" is the empty text`)
	case n.kind == list:
		v.IsList = true
		for _, item := range n.items {
			if item.kind != scalar {
				w.refuse(option.Value{Pos: item.pos}, problem.InvalidValue, "an item of %s is %s; want a single value", key, item.kind)
				w.faulty[pos] = true
				continue
			}
			v.List = append(v.List, w.text(name, key, item.pos, item))
		}
	default:
		return w.text(name, key, pos, n)
	}
	return v
}

// text makes the value of a scalar, or of a mapping in source.kafka: Spark's options that are JSON (startingOffsets, assign) may be
// written as YAML and are handed on as JSON text.
func (w *walker) text(name, key string, pos problem.Location, n *node) option.Value {
	v := option.Value{Key: key, Pos: pos}
	r := w.resolver.start(name, key)
	var text string
	if n.kind == scalar {
		text = r.resolve(n.text, n.pos)
	} else {
		b, err := json.Marshal(r.json(n))
		if err != nil {
			w.refuse(v, problem.InvalidValue, "%s is no JSON: %v", key, err)
			return v
		}
		text = string(b)
	}
	for _, p := range r.problems {
		w.faulty[pos] = true
		w.problems = append(w.problems, p)
	}
	return r.finish(v, text, n.kind == scalar)
}

// override applies -s path=value. A member of trigger replaces the others: they exclude each other, and the user has chosen.
func (w *walker) override(set []string) {
	for _, s := range set {
		path, text, ok := strings.Cut(s, "=")
		where := problem.File("-s " + path)
		if !ok {
			w.report(problem.File("-s"), problem.Usage, "-s wants path=value").Fix("for example: -s trigger.availableNow=true")
			continue
		}
		name, key, ok := place(path)
		if !ok {
			w.report(where, problem.UnknownOption, "unknown path %q", path).
				Fix("a path is %s, or one of %s followed by an option", strings.Join(ownOptions, ", "), strings.Join(sectionNames, "., ")+".")
			continue
		}
		if instead, no := refused[key]; no && name == "" {
			w.report(where, problem.Unsupported, "%s is not supported yet", key).Fix("%s", instead)
			continue
		}
		if w.sensitive(name, key) && !strings.Contains(text, "${") {
			w.report(where, problem.Usage, "a secret on the command line is seen by every process of the machine").
				Fix("name it: -s '%s=${env:NAME}' or ${file:/path}", path)
			continue
		}
		n := &node{kind: scalar, text: text, tag: "!!str", pos: where}
		if strings.HasPrefix(text, "[") {
			var p *problem.Problem
			if n, p = flow(text, where); p != nil {
				w.problems = append(w.problems, p)
				continue
			}
		}
		if misplaced(name, key) {
			w.unknown(member{name, pair{key, where, n}})
			continue
		}
		section := w.section(name)
		if name == "trigger" {
			clear(section.options)
		}
		section.options[strings.ToLower(key)] = w.value(name, key, where, n)
	}
}

// place splits the path of -s into section and key: source.kafka.kafka.sasl.mechanism is kafka.sasl.mechanism of source.kafka.
// A refused section, or a path inside one, is its own key.
func place(path string) (name, key string, ok bool) {
	for no := range refused {
		if path == no || strings.HasPrefix(path, no+".") {
			return "", no, true
		}
	}
	for _, name := range sectionNames {
		if key, ok := strings.CutPrefix(path, name+"."); ok && key != "" {
			return name, key, true
		}
	}
	return "", path, slices.Contains(ownOptions, path)
}

func join(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}

// cut splits a path at its last dot.
func cut(path string) (group, key string) {
	i := strings.LastIndexByte(path, '.')
	return path[:max(i, 0)], path[i+1:]
}
