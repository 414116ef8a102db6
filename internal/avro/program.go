package avro

import (
	"fmt"
	"strings"

	"github.com/siltlake/silt/internal/column"
)

// Options are how records are read.
type Options struct {
	// CheckUTF8 makes Walk refuse a record with a string that is not UTF-8. Without it Block.Append finds such strings, which costs less.
	CheckUTF8 bool
	// KeepInvalidUTF8 switches all checks of UTF-8 off, also that of map keys, which Walk makes otherwise because a key cannot become null.
	KeepInvalidUTF8 bool
}

// A Program reads records of one schema into one place of one Rows. It is a flat list of operations: a record is enter..leave, an array or
// map is list..next, with a frame for each that is open, so the walk does not recurse. A record that cannot be null and is the root or an
// array's item has neither enter nor leave: the row or the array does that. A Program belongs to the goroutine of its Rows.
type Program struct {
	ops     []op
	symbols [][]column.Span // of enums
	absent  []absent
	root    *column.Group
	top     *column.Group // the fields of a root record that cannot be null, which the walk enters without an operation
	paths   []string      // of the operations
	learns  []int         // operations that Learn adapts
	failed  failure
}

type opKind uint8

const (
	opString opKind = iota // string, bytes
	opText                 // string that must be UTF-8
	opInt
	opLong
	opMillis
	opFloat
	opDouble
	opBoolean
	opEnum
	opFixed
	opDecimal
	opStringMixed
	opIntMixed
	opLongMixed
	opAbsent // what the layout has and the schema has not
	opEnter
	opLeave
	opList
	opNext
)

// An op is one step of the walk.
type op struct {
	kind, plain opKind // plain is the kind that Learn goes back to
	branch      bool   // a branch index comes first, which is read before the kind's own code
	yes, no     byte   // the index of a value and of null, as written; equal where null is no branch
	digits      uint8  // decimals
	jump        int32  // opEnter, opList: the end; opNext: the first operation of the item
	// size is the bytes of a fixed, -1 where a length comes first; of opList and opNext the values that an item takes; of opEnum and opAbsent
	// an index.
	size  int32
	leaf  *column.Leaf
	node  *column.Node
	child *column.Group // node's
	// inner is that of items that are records and cannot be null: opList and opNext enter and leave them without operations of their own,
	// which take as long as a field.
	inner *column.Group
	frame *frame
}

// A frame is an open record, array or map.
type frame struct {
	slot        int // its own, in its group
	left, total int // items: of the open block and of all blocks
}

// absent is what is null in each slot of a group.
type absent struct {
	leaves []*column.Leaf
	nodes  []*column.Node
}

// Bind compiles the schema to read into the tree, a column of rows' layout. Fields are found by name, ignoring case. Every field of the
// schema must be in the tree, with its type, as column.Merge makes it; another layout is an error of the caller. What the tree has beyond
// the schema becomes null in each row.
//
// An enum's symbols are added to rows' constants: bind once a schema and Rows.
func (s *Schema) Bind(rows *column.Rows, at *column.Tree, o Options) (*Program, error) {
	b := binder{rows: rows, o: o, frames: make([]frame, s.Depth()), p: &Program{root: rows.Groups[0]}}
	if g := b.groupOf(at); g != 0 {
		return nil, fmt.Errorf("column %s is not at the root of the layout", at.Name)
	}
	if err := b.bind(s.root, at); err != nil {
		return nil, err
	}
	for i := range b.p.ops {
		f := &b.p.ops[i]
		if f.plain = f.kind; f.branch && f.yes != f.no && (f.kind == opString || f.kind == opInt || f.kind == opLong) {
			b.p.learns = append(b.p.learns, i)
		}
	}
	return b.p, nil
}

type binder struct {
	rows   *column.Rows
	o      Options
	frames []frame // by depth
	p      *Program
}

func (b *binder) groupOf(t *column.Tree) int {
	if t.Leaf >= 0 {
		return b.rows.Layout.Leaves[t.Leaf].Group
	}
	return b.rows.Layout.Nodes[t.Node].Group
}

func (b *binder) add(o op, u use, path string) int32 {
	o.branch, o.yes, o.no = u.union, u.yes, u.no
	b.p.ops = append(b.p.ops, o)
	b.p.paths = append(b.p.paths, path)
	return int32(len(b.p.ops) - 1)
}

// bind adds the operations of the schema.
func (b *binder) bind(root use, t *column.Tree) error {
	if root.node.wire != wireRecord || root.union {
		return b.use(root, t, "", 0)
	}
	if err := b.check(root.node, t, ""); err != nil {
		return err
	}
	b.p.top = b.rows.Nodes[t.Node].Child
	return b.fields(root.node, t, "", 0)
}

// check compares the type of a use that stands at path with its place in the layout.
func (b *binder) check(n *node, t *column.Tree, path string) error {
	same := t.Type.Kind == n.typ.Kind
	switch n.wire {
	case wireRecord, wireArray, wireMap:
		same = same && t.Node >= 0
	default:
		same = same && t.Leaf >= 0 && t.Type.Equal(n.typ)
	}
	if !same {
		return fmt.Errorf("bind avro schema: field %q is %s, the column %s", path, n.typ, t.Type)
	}
	return nil
}

// use adds the operations of a use that stands at path, in depth frames.
func (b *binder) use(u use, t *column.Tree, path string, depth int) error {
	if err := b.check(u.node, t, path); err != nil {
		return err
	}
	switch u.node.wire {
	case wireRecord:
		return b.record(u, t, path, depth)
	case wireArray, wireMap:
		return b.list(u, t, path, depth)
	}
	b.leaf(u, t, path)
	return nil
}

func (b *binder) record(u use, t *column.Tree, path string, depth int) error {
	node := b.rows.Nodes[t.Node]
	open := op{kind: opEnter, node: node, child: node.Child, frame: &b.frames[depth]}
	enter := b.add(open, u, path)
	if err := b.fields(u.node, t, path, depth+1); err != nil {
		return err
	}
	open.kind = opLeave
	b.p.ops[enter].jump = b.add(open, use{}, path)
	return nil
}

// fields adds the operations of a record's fields, in depth frames, and before them what the layout has beyond them.
func (b *binder) fields(n *node, t *column.Tree, path string, depth int) error {
	kids := make(map[string]*column.Tree, len(t.Kids))
	for _, k := range t.Kids {
		if low := strings.ToLower(k.Name); kids[low] == nil { // of two columns with names equal ignoring case the first counts, as in column.Merge
			kids[low] = k
		}
	}
	fields := make([]*column.Tree, len(n.fields))
	read := make(map[*column.Tree]bool, len(fields))
	for i, f := range n.fields {
		if f.use.node.wire == wireNull {
			continue
		}
		if fields[i] = kids[strings.ToLower(f.name)]; fields[i] == nil {
			return fmt.Errorf("bind avro schema: field %q is not in the column %s", join(path, f.name), t.Type)
		}
		read[fields[i]] = true
	}
	var a absent
	for _, k := range t.Kids {
		switch {
		case read[k]:
		case k.Leaf >= 0:
			a.leaves = append(a.leaves, b.rows.Leaves[k.Leaf])
		default:
			a.nodes = append(a.nodes, b.rows.Nodes[k.Node])
		}
	}
	if len(a.leaves)+len(a.nodes) > 0 {
		b.add(op{kind: opAbsent, size: int32(len(b.p.absent))}, use{}, path)
		b.p.absent = append(b.p.absent, a)
	}
	for i, f := range n.fields {
		if fields[i] == nil {
			continue
		}
		if err := b.use(f.use, fields[i], join(path, f.name), depth); err != nil {
			return err
		}
	}
	return nil
}

func (b *binder) list(u use, t *column.Tree, path string, depth int) error {
	node, item := b.rows.Nodes[t.Node], *u.node.item
	open := op{kind: opList, node: node, child: node.Child, frame: &b.frames[depth], size: int32(values(t))}
	var list int32
	var err error
	switch {
	case u.node.wire == wireMap:
		list = b.add(open, u, path)
		key := op{kind: opText, leaf: b.rows.Leaves[t.Kids[0].Leaf]}
		if b.o.KeepInvalidUTF8 {
			key.kind = opString
		}
		b.add(key, use{}, join(path, "key"))
		err = b.use(item, t.Kids[1], join(path, "value"), depth+1)
	case item.node.wire == wireRecord && !item.union:
		kid, itemPath := t.Kids[0], join(path, "element")
		if err := b.check(item.node, kid, itemPath); err != nil {
			return err
		}
		open.inner = b.rows.Nodes[kid.Node].Child
		list = b.add(open, u, path)
		err = b.fields(item.node, kid, itemPath, depth+1)
	default:
		list = b.add(open, u, path)
		err = b.use(item, t.Kids[0], join(path, "element"), depth+1)
		if body := b.p.ops[list+1:]; len(body) == 1 && !body[0].branch && (body[0].kind == opInt || body[0].kind == opLong) {
			b.p.ops[list].leaf = body[0].leaf // the walk reads it in one loop
		}
	}
	open.kind, open.jump = opNext, list+1
	b.p.ops[list].jump = b.add(open, use{}, path)
	return err
}

// values counts the slots that an item of the list takes, at most, but for lists in it.
func values(list *column.Tree) int {
	n := 0
	for _, k := range list.Kids {
		n++
		if k.Type.Kind == column.Struct {
			n += values(k)
		}
	}
	return n
}

func (b *binder) leaf(u use, t *column.Tree, path string) {
	n, f := u.node, b.rows.Leaves[t.Leaf]
	o := op{leaf: f, size: -1}
	switch n.wire {
	case wireBoolean:
		o.kind = opBoolean
	case wireInt:
		o.kind = opInt
	case wireLong:
		o.kind = opLong
	case wireMillis:
		o.kind = opMillis
	case wireFloat:
		o.kind = opFloat
	case wireDouble:
		o.kind = opDouble
	case wireString:
		o.kind = opString
		if b.o.CheckUTF8 && !b.o.KeepInvalidUTF8 {
			o.kind = opText
		}
	case wireBytes:
		o.kind = opString
	case wireFixed:
		o.kind, o.size = opFixed, int32(n.size)
	case wireEnum:
		o.kind, o.size = opEnum, int32(len(b.p.symbols))
		f.MayBeConstant = true
		symbols := make([]column.Span, len(n.symbols))
		for i, s := range n.symbols {
			symbols[i] = b.rows.AddConstant([]byte(s))
		}
		b.p.symbols = append(b.p.symbols, symbols)
	case wireDecimal, wireFixedDecimal:
		o.kind, o.digits = opDecimal, uint8(n.typ.Precision)
		if n.wire == wireFixedDecimal {
			o.size = int32(n.size)
		}
	}
	b.add(o, u, path)
}

// Learn adapts the program to the nulls of the rows appended last: a branch per value is the fastest where nulls are few or many, and
// costs mispredictions in between (docs/adr/0003). Call it after Block.Append.
func (p *Program) Learn() {
	for _, i := range p.learns {
		o := &p.ops[i]
		slots, nulls := o.leaf.LastSlots, o.leaf.LastNulls
		o.kind, o.branch = o.plain, true
		if 16*nulls < 3*slots || 16*nulls > 13*slots || slots == 0 {
			continue
		}
		switch o.plain {
		case opString:
			o.kind = opStringMixed
		case opInt:
			o.kind = opIntMixed
		case opLong:
			o.kind = opLongMixed
		}
		o.branch = false
	}
}
