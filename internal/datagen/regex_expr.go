package datagen

import (
	"encoding/binary"
	"slices"
	"unicode/utf16"
)

// A charRange is a range of UTF-16 code units, both ends in it.
type charRange struct{ min, max uint16 }

// A charSet is what a class holds. A normal one is sorted, without empty, overlapping or adjacent ranges.
type charSet []charRange

var anyChar = charSet{{0, 0xFFFF}}

func (s charSet) normal() charSet {
	s = slices.DeleteFunc(slices.Clone(s), func(r charRange) bool { return r.min > r.max })
	slices.SortFunc(s, func(a, b charRange) int { return int(a.min) - int(b.min) })
	out := s[:0]
	for _, r := range s {
		if n := len(out); n > 0 && int(r.min) <= int(out[n-1].max)+1 {
			out[n-1].max = max(out[n-1].max, r.max)
			continue
		}
		out = append(out, r)
	}
	return out
}

// inverse is every character that is not in s.
//
// REQUIRES: s is normal.
func (s charSet) inverse() charSet {
	var out charSet
	next := 0
	for _, r := range s {
		if next < int(r.min) {
			out = append(out, charRange{uint16(next), r.min - 1})
		}
		next = int(r.max) + 1
	}
	if next <= 0xFFFF {
		out = append(out, charRange{uint16(next), 0xFFFF})
	}
	return out
}

func (s charSet) has(c uint16) bool {
	return slices.ContainsFunc(s, func(r charRange) bool { return r.min <= c && c <= r.max })
}

// unbounded is the upper count of a repetition without one.
const unbounded = -1

type exprKind uint8

const (
	exprNothing exprKind = iota // no string
	exprEpsilon                 // the empty string
	exprChars                   // one character of a set
	exprConcat
	exprRepeat
	exprOr
	exprAnd
	exprNot
)

// An expr is a node of a regular expression; its children are numbers of others.
type expr struct {
	kind        exprKind
	set         charSet
	children    []int32
	least, most int32 // of exprRepeat
	nullable    bool  // it matches the empty string
}

// exprs holds expressions, each once: equal ones have the same number, so that the derivatives of an expression (Brzozowski 1964) are
// finitely many and numbers are states of its automaton.
type exprs struct {
	nodes []expr
	index map[string]int32
	key   []byte
	work  int // operands so far
	// derived holds a node's derivative by each class of characters, while there is one cut of the characters for all nodes.
	derived map[[2]int32]int32
}

func newExprs() *exprs { return &exprs{index: map[string]int32{}, derived: map[[2]int32]int32{}} }

// add returns the number of the node.
func (x *exprs) add(e expr) int32 {
	x.work += 1 + len(e.set) + len(e.children)
	k := append(x.key[:0], byte(e.kind))
	for _, r := range e.set {
		k = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(k, r.min), r.max)
	}
	k = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(k, uint32(e.least)), uint32(e.most))
	for _, c := range e.children {
		k = binary.BigEndian.AppendUint32(k, uint32(c))
	}
	x.key = k
	if n, ok := x.index[string(k)]; ok {
		return n
	}
	n := int32(len(x.nodes))
	x.nodes = append(x.nodes, e)
	x.index[string(k)] = n
	return n
}

func (x *exprs) nothing() int32 { return x.add(expr{kind: exprNothing}) }
func (x *exprs) epsilon() int32 { return x.add(expr{kind: exprEpsilon, nullable: true}) }

func (x *exprs) chars(set charSet) int32 {
	if set = set.normal(); len(set) == 0 {
		return x.nothing()
	}
	return x.add(expr{kind: exprChars, set: set})
}

func (x *exprs) is(e int32, kind exprKind) bool { return x.nodes[e].kind == kind }

func (x *exprs) concat(a, b int32) int32 {
	switch {
	case x.is(a, exprNothing) || x.is(b, exprNothing):
		return x.nothing()
	case x.is(a, exprEpsilon):
		return b
	case x.is(b, exprEpsilon):
		return a
	case x.is(a, exprConcat):
		return x.concat(x.nodes[a].children[0], x.concat(x.nodes[a].children[1], b))
	}
	return x.add(expr{kind: exprConcat, children: []int32{a, b}, nullable: x.nodes[a].nullable && x.nodes[b].nullable})
}

func (x *exprs) repeat(e, least, most int32) int32 {
	switch {
	case most != unbounded && least > most:
		return x.nothing()
	case most == 0 || x.is(e, exprEpsilon):
		return x.epsilon()
	case x.is(e, exprNothing):
		if least == 0 {
			return x.epsilon()
		}
		return e
	case least == 1 && most == 1:
		return e
	case least == 0 && most == unbounded && x.is(e, exprRepeat) && x.nodes[e].least == 0 && x.nodes[e].most == unbounded:
		return e
	}
	return x.add(expr{kind: exprRepeat, children: []int32{e}, least: least, most: most, nullable: least == 0 || x.nodes[e].nullable})
}

// combine is or and and: flat, sorted, each operand once. zero makes the whole itself, one disappears.
func (x *exprs) combine(kind exprKind, zero, one int32, operands []int32) int32 {
	var flat []int32
	for _, e := range operands {
		switch {
		case e == zero:
			return zero
		case e == one:
		case x.is(e, kind):
			flat = append(flat, x.nodes[e].children...)
		default:
			flat = append(flat, e)
		}
	}
	x.work += len(flat)
	slices.Sort(flat)
	flat = slices.Compact(flat)
	switch len(flat) {
	case 0:
		return one
	case 1:
		return flat[0]
	}
	nullable := kind == exprAnd
	for _, e := range flat {
		if kind == exprAnd {
			nullable = nullable && x.nodes[e].nullable
		} else {
			nullable = nullable || x.nodes[e].nullable
		}
	}
	return x.add(expr{kind: kind, children: flat, nullable: nullable})
}

func (x *exprs) everything() int32 { return x.not(x.nothing()) }

func (x *exprs) or(e ...int32) int32  { return x.combine(exprOr, x.everything(), x.nothing(), e) }
func (x *exprs) and(e ...int32) int32 { return x.combine(exprAnd, x.nothing(), x.everything(), e) }

func (x *exprs) not(e int32) int32 {
	if x.is(e, exprNot) {
		return x.nodes[e].children[0]
	}
	return x.add(expr{kind: exprNot, children: []int32{e}, nullable: !x.nodes[e].nullable})
}

// cuts returns the first characters of the classes into which the expression's sets cut all characters: those of one class lead to the same
// derivatives.
func (x *exprs) cuts() []uint16 {
	starts := []uint16{0}
	for _, e := range x.nodes {
		for _, r := range e.set {
			starts = append(starts, r.min)
			if r.max < 0xFFFF {
				starts = append(starts, r.max+1)
			}
		}
	}
	slices.Sort(starts)
	return slices.Compact(starts)
}

// derive returns what may follow the character c of the class in strings of e.
func (x *exprs) derive(e, class int32, c uint16) int32 {
	id := [2]int32{e, class}
	if d, ok := x.derived[id]; ok {
		return d
	}
	n := x.nodes[e]
	var d int32
	switch n.kind {
	case exprNothing, exprEpsilon:
		d = x.nothing()
	case exprChars:
		if d = x.nothing(); n.set.has(c) {
			d = x.epsilon()
		}
	case exprConcat:
		d = x.concat(x.derive(n.children[0], class, c), n.children[1])
		if x.nodes[n.children[0]].nullable {
			d = x.or(d, x.derive(n.children[1], class, c))
		}
	case exprRepeat:
		most := n.most
		if most != unbounded {
			most--
		}
		d = x.concat(x.derive(n.children[0], class, c), x.repeat(n.children[0], max(n.least-1, 0), most))
	case exprOr, exprAnd:
		parts := make([]int32, len(n.children))
		for i, child := range n.children {
			parts[i] = x.derive(child, class, c)
		}
		if d = 0; n.kind == exprOr {
			d = x.or(parts...)
		} else {
			d = x.and(parts...)
		}
	case exprNot:
		d = x.not(x.derive(n.children[0], class, c))
	}
	x.derived[id] = d
	return d
}

func utf16Of(s string) []uint16 { return utf16.Encode([]rune(s)) }

func stringOf(u []uint16) string { return string(utf16.Decode(u)) }
