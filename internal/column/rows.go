package column

import "encoding/binary"

const (
	// BlockRows is the most rows that Rows holds.
	BlockRows = 256
	// MaxBlockSlots ends a block early: when a group has that many slots, Rows are full. One row may go beyond it.
	MaxBlockSlots = 4096
	// Slack is how many bytes past a value must be readable: lookups load words of 8.
	Slack = 16
	// constant marks a Span into Rows.Constants instead of the buffer.
	constant = 1 << 31
)

// A Span is a value's place in a buffer. Buffers are smaller than 2 GiB.
type Span struct{ Off, Len uint32 }

// Rows are the positions of up to BlockRows rows that lie in one buffer: phase 1 of decoding fills them, Block.Append takes them. There
// is a span or a number for each slot of a leaf, a validity byte for each slot of a struct and leaf, a length for each slot of an array
// or map. A row that is being filled has the root's slot Groups[0].N; it counts once AddRow is called. Rows belong to one goroutine.
//
// The fields are written directly by package avro and package decode, which is what makes the walk fast; the rules are:
//   - Valid is 1 in every slot that was not written: only a null is written, as 0.
//   - a slot of a group with N slots is written before N grows; Grow makes room when N reaches Cap.
//   - a null struct or list has no slots in its child's group.
//   - where a leaf's Run is set, its slot 0 holds the value of all rows, which may be null. Append leaves it as it is, so that it serves
//     many blocks; who clears Run sets Valid[0] to 1.
type Rows struct {
	Layout *Layout
	Groups []*Group
	Nodes  []*Node
	Leaves []*Leaf
	// Constants holds values that are in no record (enum symbols), Slack bytes longer than its content; see AddConstant.
	Constants []byte
}

// A Group is the slots that some leaves and nodes share.
type Group struct {
	N, Cap int
	Leaves []*Leaf
	Nodes  []*Node
}

// A Node is a struct (Valid is used) or an array or map (Lens is used).
type Node struct {
	Child *Group
	Valid []byte  // by slot: 1, or 0 for null
	Lens  []int32 // by slot: items, or -1 for null
}

// A Leaf is the values of one column, by slot.
type Leaf struct {
	Index int // in the Layout
	Kind  Kind
	Valid []byte
	Spans []Span     // String, Binary
	Ints  []int64    // all other kinds: numbers, bits of floating points, 0 or 1, unscaled decimals of at most 18 digits
	Wide  [][16]byte // decimals of more than 18 digits: unscaled, two's complement, big-endian
	Run   bool       // slot 0 holds for all rows; root group only; a string is UTF-8
	// MayBeConstant says that some Spans are marked as constants.
	MayBeConstant bool
	// LastSlots and LastNulls are those of the rows appended last: what the walk learns from.
	LastSlots, LastNulls int
}

// NewRows returns empty rows of the layout.
func NewRows(l *Layout) *Rows {
	r := &Rows{Layout: l, Constants: make([]byte, Slack)}
	for range l.Groups {
		r.Groups = append(r.Groups, &Group{})
	}
	for _, n := range l.Nodes {
		node := &Node{Child: r.Groups[n.Child]}
		r.Nodes = append(r.Nodes, node)
		r.Groups[n.Group].Nodes = append(r.Groups[n.Group].Nodes, node)
	}
	for i, f := range l.Leaves {
		leaf := &Leaf{Index: i, Kind: f.Type.Kind}
		r.Leaves = append(r.Leaves, leaf)
		r.Groups[f.Group].Leaves = append(r.Groups[f.Group].Leaves, leaf)
	}
	for i, g := range r.Groups {
		r.room(i, g, BlockRows)
	}
	return r
}

func (r *Rows) room(i int, g *Group, n int) {
	for k, leaf := range g.Leaves {
		leaf.room(r.Layout.Leaves[r.Layout.Groups[i].Leaves[k]].Type, n)
	}
	for k, node := range g.Nodes {
		if r.Layout.Nodes[r.Layout.Groups[i].Nodes[k]].Kind == Struct {
			node.Valid = largerOnes(node.Valid, n)
		} else {
			node.Lens = larger(node.Lens, n)
		}
	}
	g.Cap = n
}

func (f *Leaf) room(t Type, n int) {
	f.Valid = largerOnes(f.Valid, n)
	switch {
	case t.Kind == String || t.Kind == Binary:
		f.Spans = larger(f.Spans, n)
	case t.Kind == Decimal && t.Precision > 18:
		f.Wide = larger(f.Wide, n)
	default:
		f.Ints = larger(f.Ints, n)
	}
}

// Grow makes room for at least n slots in g, which is one of r's groups. Every slice of g's leaves and nodes may be replaced.
func (g *Group) Grow(n int) {
	n = max(n, 2*g.Cap)
	for _, f := range g.Leaves {
		f.Valid = largerOnes(f.Valid, n)
		switch {
		case f.Spans != nil:
			f.Spans = larger(f.Spans, n)
		case f.Wide != nil:
			f.Wide = larger(f.Wide, n)
		default:
			f.Ints = larger(f.Ints, n)
		}
	}
	for _, k := range g.Nodes {
		if k.Lens != nil {
			k.Lens = larger(k.Lens, n)
		} else {
			k.Valid = largerOnes(k.Valid, n)
		}
	}
	g.Cap = n
}

func larger[T any](s []T, n int) []T {
	b := make([]T, n)
	copy(b, s)
	return b
}

func largerOnes(s []byte, n int) []byte {
	b := larger(s, n)
	setOnes(b[len(s):])
	return b
}

// AddConstant stores a value outside the buffer and returns the span that stands for it; a leaf that is no Run must have MayBeConstant set.
func (r *Rows) AddConstant(v []byte) Span {
	at := len(r.Constants) - Slack
	r.Constants = append(append(r.Constants[:at], v...), make([]byte, Slack)...)
	return Span{uint32(at) | constant, uint32(len(v))}
}

// Len is how many rows there are.
func (r *Rows) Len() int { return r.Groups[0].N }

// AddRow counts the row that was filled.
func (r *Rows) AddRow() { r.Groups[0].N++ }

// Full says that the rows should be appended to a Block before another is filled.
func (r *Rows) Full() bool {
	if r.Groups[0].N >= BlockRows {
		return true
	}
	for _, g := range r.Groups[1:] {
		if g.N >= MaxBlockSlots {
			return true
		}
	}
	return false
}

// CutBack removes every trace of a row that was begun and not counted: all counts follow from the validity and lengths of the rows before
// it, so nothing is saved per row and good rows pay nothing.
func (r *Rows) CutBack() {
	for i, g := range r.Groups { // parents first
		for _, f := range g.Leaves {
			if !f.Run {
				setOnes(f.Valid[g.N:])
			}
		}
		for k, node := range g.Nodes {
			if r.Layout.Nodes[r.Layout.Groups[i].Nodes[k]].Kind == Struct {
				node.Child.N = ones(node.Valid[:g.N])
				setOnes(node.Valid[g.N:])
				continue
			}
			n := 0
			for _, x := range node.Lens[:g.N] {
				n += max(0, int(x))
			}
			node.Child.N = n
		}
	}
}

// Null makes the node null in the slot.
func (k *Node) Null(slot int) {
	if k.Lens != nil {
		k.Lens[slot] = -1
	} else {
		k.Valid[slot] = 0
	}
}

// NullFields makes the struct in the slot one whose fields are all null; it must be a struct that has not been entered in this row.
func (k *Node) NullFields() {
	g := k.Child
	if g.N == g.Cap {
		g.Grow(2 * g.Cap)
	}
	for _, f := range g.Leaves {
		f.Valid[g.N] = 0
	}
	for _, n := range g.Nodes {
		n.Null(g.N)
	}
	g.N++
}

// Reset empties the rows; capacity that one huge row needed is given back.
func (r *Rows) Reset() {
	for i, g := range r.Groups {
		for _, f := range g.Leaves {
			if !f.Run {
				setOnes(f.Valid[:g.N])
			}
		}
		for _, k := range g.Nodes {
			if k.Valid != nil {
				setOnes(k.Valid[:g.N])
			}
		}
		g.N = 0
		if g.Cap > 16*MaxBlockSlots {
			for _, f := range g.Leaves {
				f.Valid, f.Spans, f.Ints, f.Wide = nil, nil, nil, nil
			}
			for _, k := range g.Nodes {
				k.Valid, k.Lens = nil, nil
			}
			r.room(i, g, BlockRows)
		}
	}
}

var oneBytes = func() (b [1024]byte) {
	for i := range b {
		b[i] = 1
	}
	return
}()

func setOnes(b []byte) {
	for len(b) > 0 {
		b = b[copy(b, oneBytes[:]):]
	}
}

// ones counts the ones in a slice of zeros and ones.
func ones(v []byte) int {
	n := 0
	for len(v) >= 8 {
		n += int(binary.LittleEndian.Uint64(v) * 0x0101010101010101 >> 56)
		v = v[8:]
	}
	for _, x := range v {
		n += int(x)
	}
	return n
}
