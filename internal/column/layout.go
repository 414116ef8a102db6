package column

import "fmt"

// A Layout is the shape of a schema in columns: its leaves, the nodes between them and the root (structs, arrays, maps), and the groups
// of slots that leaves and nodes share. The root group has a slot a row; a struct's group a slot for each struct that is not null; an
// array's or map's group a slot an item. Layouts are immutable and may be shared.
//
// Leaves are in the order of Parquet's columns: depth first. A column whose kind has no values here (Void, Other) is left out, and so is
// a struct, array or map without a leaf.
type Layout struct {
	Schema Schema
	Groups []GroupLayout // parents first; 0 is the root
	Nodes  []NodeLayout  // parents first
	Leaves []LeafLayout
	Tree   []*Tree // the columns
}

// A Tree is the schema of what a Layout writes: a Field and the leaf or node that holds it.
type Tree struct {
	Name string
	Type Type
	Leaf int // index in Leaves, or -1
	Node int // index in Nodes, or -1
	Kids []*Tree
	// Kids are a struct's fields; an array's element; a map's key and value.
}

// A GroupLayout is a set of leaves and nodes that share their slots.
type GroupLayout struct {
	Parent int // group, -1 for the root
	Node   int // the node that makes it, -1 for the root
	Leaves []int
	Nodes  []int
	MaxRep uint8
}

// A NodeLayout is a struct, array or map. Its own slots lie in Group; what is in it has the slots of Child.
type NodeLayout struct {
	Kind         Kind // Struct, Array or Map
	Path         []string
	Group, Child int
	Def          uint8 // definition level of the present, maybe empty, node
	Rep          uint8 // repetition level of its items (Array, Map)
}

// A LeafLayout is a column of values.
type LeafLayout struct {
	Type     Type
	Path     []string // the Parquet column's path
	Field    []string // the field's path in the schema: as Path, without Parquet's list, element and key_value levels where they are no field
	Group    int
	Def, Rep uint8 // the highest definition and repetition level
	Required bool  // a map's key
}

// maxDef is the highest definition level of a column: levels are bytes, and 255 marks a present slot.
const maxDef = 100

// NewLayout returns the layout of the schema. It fails where the schema is nested too deep, or where a map's key is no single value.
func NewLayout(s Schema) (*Layout, error) {
	l := &Layout{Schema: s, Groups: []GroupLayout{{Parent: -1, Node: -1}}}
	for _, f := range s.Fields {
		t, err := l.add(f.Name, f.Type, 0, []string{f.Name}, []string{f.Name}, 0, 0)
		if err != nil {
			return nil, err
		}
		if t != nil {
			l.Tree = append(l.Tree, t)
		}
	}
	return l, nil
}

// Written says whether silt writes values of the type (structs are written if they have a field that is).
func (t Type) Written() bool {
	switch t.Kind {
	case Void, Other:
		return false
	case Struct:
		for _, f := range t.Fields {
			if f.Type.Written() {
				return true
			}
		}
		return false
	case Array:
		return t.Element.Written()
	case Map:
		return t.Key.Written() && t.Element.Written()
	}
	return true
}

func (l *Layout) add(name string, t Type, group int, path, field []string, def, rep uint8) (*Tree, error) {
	if !t.Written() {
		return nil, nil
	}
	if def >= maxDef {
		return nil, fmt.Errorf("column %s is nested too deep", field[0])
	}
	tree := &Tree{Name: name, Type: t, Leaf: -1, Node: -1}
	switch t.Kind {
	case Struct:
		node, child := l.node(Struct, group, path, def+1, rep)
		tree.Node = node
		for _, f := range t.Fields {
			k, err := l.add(f.Name, f.Type, child, sub(path, f.Name), sub(field, f.Name), def+1, rep)
			if err != nil {
				return nil, err
			}
			if k != nil {
				tree.Kids = append(tree.Kids, k)
			}
		}
	case Array:
		node, child := l.node(Array, group, path, def+1, rep+1)
		tree.Node = node
		k, err := l.add("element", *t.Element, child, sub(path, "list", "element"), sub(field, "element"), def+2, rep+1)
		if err != nil {
			return nil, err
		}
		tree.Kids = []*Tree{k}
	case Map:
		node, child := l.node(Map, group, path, def+1, rep+1)
		tree.Node = node
		if t.Key.Kind == Struct || t.Key.Kind == Array || t.Key.Kind == Map {
			return nil, fmt.Errorf("column %s: a map's key is %s", field[0], t.Key)
		}
		key := &Tree{Name: "key", Type: *t.Key, Node: -1, Leaf: l.leaf(LeafLayout{Type: *t.Key, Path: sub(path, "key_value", "key"),
			Field: sub(field, "key"),
			Group: child, Def: def + 2, Rep: rep + 1, Required: true})}
		v, err := l.add("value", *t.Element, child, sub(path, "key_value", "value"), sub(field, "value"), def+2, rep+1)
		if err != nil {
			return nil, err
		}
		tree.Kids = []*Tree{key, v}
	default:
		tree.Leaf = l.leaf(LeafLayout{Type: t, Path: path, Field: field, Group: group, Def: def + 1, Rep: rep})
	}
	return tree, nil
}

func (l *Layout) node(k Kind, group int, path []string, def, rep uint8) (node, child int) {
	node, child = len(l.Nodes), len(l.Groups)
	l.Nodes = append(l.Nodes, NodeLayout{Kind: k, Path: path, Group: group, Child: child, Def: def, Rep: rep})
	l.Groups = append(l.Groups, GroupLayout{Parent: group, Node: node, MaxRep: rep})
	l.Groups[group].Nodes = append(l.Groups[group].Nodes, node)
	return node, child
}

func (l *Layout) leaf(f LeafLayout) int {
	i := len(l.Leaves)
	l.Leaves = append(l.Leaves, f)
	l.Groups[f.Group].Leaves = append(l.Groups[f.Group].Leaves, i)
	return i
}

func sub(path []string, names ...string) []string {
	return append(append(make([]string, 0, len(path)+len(names)), path...), names...)
}

// Column returns the tree of the top-level column of the name (exact spelling), or nil.
func (l *Layout) Column(name string) *Tree {
	for _, t := range l.Tree {
		if t.Name == name {
			return t
		}
	}
	return nil
}
