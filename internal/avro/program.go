package avro

import (
	"fmt"
	"strings"

	"github.com/siltlake/silt/internal/column"
)

// Options are how records are read.
type Options struct {
	// MaxDepth is the deepest nesting that is read, as Schema.Depth counts it; 0 is any.
	MaxDepth int
	// CheckUTF8 makes Walk refuse a record with a string that is not UTF-8. Without it Block.Append finds such strings, which costs less.
	CheckUTF8 bool
	// KeepInvalidUTF8 switches all checks of UTF-8 off, also that of map keys, which Walk makes otherwise because a key cannot become null.
	KeepInvalidUTF8 bool
}

// A TooDeepError says that every record of a schema is nested deeper than Options.MaxDepth allows. Callers that compare Schema.Depth with
// their limit before they lay out columns never see it.
type TooDeepError struct{ Depth, Max int }

func (e *TooDeepError) Error() string {
	return fmt.Sprintf("the schema is nested %d deep, the limit is %d", e.Depth, e.Max)
}

// A Program reads records of one schema into one place of one Rows. It is a flat list of operations: a record is enter..leave, an array or
// map is list..next, with a frame for each that is open, so the walk does not recurse. It belongs to the goroutine of its Rows.
type Program struct {
	ops    []op
	frames []frame
	absent []absent
	root   *column.Group
	paths  []string // of the operations
	learns []int    // operations that Learn adapts
	failed failure
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
	depth       uint8  // its frame
	digits      uint8  // decimals
	leaf        *column.Leaf
	node        *column.Node
	jump        int // opEnter, opList: the end; opNext: the first operation of the item
	// size is the bytes of a fixed, -1 where a length comes first; of opList and opNext the values that an item takes; of opAbsent an index.
	size    int
	symbols []column.Span // opEnum
}

type frame struct {
	slot        int // of the record, array or map in its group
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
	if o.MaxDepth > 0 && s.Depth() > o.MaxDepth {
		return nil, &TooDeepError{s.Depth(), o.MaxDepth}
	}
	b := binder{rows: rows, o: o, p: &Program{root: rows.Groups[0], frames: make([]frame, s.Depth())}}
	if g := b.groupOf(at); g != 0 {
		return nil, fmt.Errorf("column %s is not at the root of the layout", at.Name)
	}
	if err := b.use(s.root, at, "", 0); err != nil {
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
	rows *column.Rows
	o    Options
	p    *Program
}

func (b *binder) groupOf(t *column.Tree) int {
	if t.Leaf >= 0 {
		return b.rows.Layout.Leaves[t.Leaf].Group
	}
	return b.rows.Layout.Nodes[t.Node].Group
}

func (b *binder) add(o op, u use, path string) int {
	o.branch, o.yes, o.no = u.union, u.yes, u.no
	b.p.ops = append(b.p.ops, o)
	b.p.paths = append(b.p.paths, path)
	return len(b.p.ops) - 1
}

// use adds the operations of a use that stands at path, in depth frames.
func (b *binder) use(u use, t *column.Tree, path string, depth int) error {
	n := u.node
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
	switch n.wire {
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
	enter := b.add(op{kind: opEnter, node: node, depth: uint8(depth)}, u, path)
	kids := make(map[string]*column.Tree, len(t.Kids))
	for _, k := range t.Kids {
		if low := strings.ToLower(k.Name); kids[low] == nil { // of two columns with names equal ignoring case the first counts, as in column.Merge
			kids[low] = k
		}
	}
	fields := make([]*column.Tree, len(u.node.fields))
	read := make(map[*column.Tree]bool, len(fields))
	for i, f := range u.node.fields {
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
		b.add(op{kind: opAbsent, size: len(b.p.absent)}, use{}, path)
		b.p.absent = append(b.p.absent, a)
	}
	for i, f := range u.node.fields {
		if fields[i] == nil {
			continue
		}
		if err := b.use(f.use, fields[i], join(path, f.name), depth+1); err != nil {
			return err
		}
	}
	b.p.ops[enter].jump = b.add(op{kind: opLeave, node: node, depth: uint8(depth)}, use{}, path)
	return nil
}

func (b *binder) list(u use, t *column.Tree, path string, depth int) error {
	node := b.rows.Nodes[t.Node]
	list := b.add(op{kind: opList, node: node, depth: uint8(depth), size: values(t)}, u, path)
	item, name := t.Kids[0], "element"
	if u.node.wire == wireMap {
		key := op{kind: opText, leaf: b.rows.Leaves[t.Kids[0].Leaf]}
		if b.o.KeepInvalidUTF8 {
			key.kind = opString
		}
		b.add(key, use{}, join(path, "key"))
		item, name = t.Kids[1], "value"
	}
	if err := b.use(*u.node.item, item, join(path, name), depth+1); err != nil {
		return err
	}
	if body := b.p.ops[list+1:]; len(body) == 1 && !body[0].branch && (body[0].kind == opInt || body[0].kind == opLong) {
		b.p.ops[list].leaf = body[0].leaf // the walk reads it in one loop
	}
	b.p.ops[list].jump = b.add(op{kind: opNext, node: node, depth: uint8(depth), jump: list + 1, size: values(t)}, use{}, path)
	return nil
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
		o.kind, o.size = opFixed, n.size
	case wireEnum:
		o.kind = opEnum
		f.MayBeConstant = true
		o.symbols = make([]column.Span, len(n.symbols))
		for i, s := range n.symbols {
			o.symbols[i] = b.rows.AddConstant([]byte(s))
		}
	case wireDecimal, wireFixedDecimal:
		o.kind, o.digits = opDecimal, uint8(n.typ.Precision)
		if n.wire == wireFixedDecimal {
			o.size = n.size
		}
	}
	b.add(o, u, path)
}

// Learn adapts the program to the nulls of the rows appended last: a branch per value is the fastest where nulls are few or many, and
// costs mispredictions in between (hot-path.md 9). Call it after Block.Append.
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
