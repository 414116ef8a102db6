package avro

import (
	"fmt"
	"slices"
	"strings"
)

// A Change is a difference between two schemas at one field.
type Change struct {
	Kind string `json:"change"` // added, removed or changed
	Path string `json:"field"`  // as in ValueError, with [] and [key] for items and values; "" is the schema itself
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Diff lists what differs between two schemas, field by field: types, defaults, symbols, sizes. Documentation and the order of fields do
// not count. Removed and changed fields come in the order of old, added ones in that of new.
func Diff(old, new *Codec) []Change {
	from, to := flatten(old.root), flatten(new.root)
	var changes []Change
	for _, f := range from {
		i := slices.IndexFunc(to, func(t flatField) bool { return t.path == f.path })
		switch {
		case i < 0 && !under(changes, "removed", f.path):
			changes = append(changes, Change{Kind: "removed", Path: f.path, From: f.text})
		case i >= 0 && to[i].text != f.text:
			changes = append(changes, Change{Kind: "changed", Path: f.path, From: f.text, To: to[i].text})
		}
	}
	for _, t := range to {
		if !slices.ContainsFunc(from, func(f flatField) bool { return f.path == t.path }) && !under(changes, "added", t.path) {
			changes = append(changes, Change{Kind: "added", Path: t.path, To: t.text})
		}
	}
	return changes
}

// under says whether a change of the kind is known for something that path is a part of.
func under(changes []Change, kind, path string) bool {
	return slices.ContainsFunc(changes, func(c Change) bool {
		rest, ok := strings.CutPrefix(path, c.Path)
		return ok && c.Kind == kind && (c.Path == "" || strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "["))
	})
}

// A flatField is one field of a schema, or the schema itself, in words.
type flatField struct{ path, text string }

// maxFlat bounds the fields of a schema once each use of a named type is written out.
const maxFlat = 1 << 14

func flatten(root *codecNode) []flatField {
	var out []flatField
	var walk func(n *codecNode, path, suffix string, open []*codecNode)
	walk = func(n *codecNode, path, suffix string, open []*codecNode) {
		if len(out) >= maxFlat {
			return
		}
		out = append(out, flatField{strings.TrimPrefix(path, "."), n.describe() + suffix})
		walkInner(n, path, open, walk)
	}
	walk(root, "", "", nil)
	return out
}

// walkInner walks the records inside a type. A record inside itself is only named.
func walkInner(n *codecNode, path string, open []*codecNode, walk func(*codecNode, string, string, []*codecNode)) {
	switch n.kind {
	case "array":
		walkInner(n.item, path+"[]", open, walk)
	case "map":
		walkInner(n.item, path+"[key]", open, walk)
	case "union":
		members := n.members()
		for i, m := range members {
			inner := path
			if !n.bare() {
				inner += "." + memberName(i)
			}
			walkInner(m, inner, open, walk)
		}
	case "record":
		if slices.Contains(open, n) {
			return
		}
		open = append(slices.Clip(open), n)
		for i := range n.fields {
			f := &n.fields[i]
			suffix := ""
			if f.missing != nil {
				suffix = ", default " + f.text
			}
			walk(f.node, path+"."+f.name, suffix, open)
		}
	}
}

// describe names a type in a line. Fields of records are not in it.
func (n *codecNode) describe() string {
	switch n.kind {
	case "array":
		return "array of " + n.item.describe()
	case "map":
		return "map of " + n.item.describe()
	case "union":
		names := make([]string, len(n.branches))
		for i, b := range n.branches {
			names[i] = b.describe()
		}
		return strings.Join(names, " | ")
	case "record":
		return "record " + n.name
	case "enum":
		return fmt.Sprintf("enum %s {%s}", n.name, strings.Join(n.symbols, ", "))
	case "fixed":
		if n.logical == "decimal" {
			return fmt.Sprintf("decimal(%d,%d) in fixed %s of %d bytes", n.precision, n.scale, n.name, n.size)
		}
		return strings.TrimSpace(fmt.Sprintf("fixed %s of %d bytes %s", n.name, n.size, n.logical))
	case "bytes":
		if n.logical == "decimal" {
			return fmt.Sprintf("decimal(%d,%d)", n.precision, n.scale)
		}
	}
	if n.logical != "" {
		return n.kind + " " + n.logical
	}
	return n.kind
}
