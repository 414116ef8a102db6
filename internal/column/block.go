package column

import (
	"encoding/binary"
	"slices"
)

// A Block is the open page of a file in columns, and the dictionaries of its open row group: what Rows become in phase 2, and what package
// parquet makes pages of. It belongs to one goroutine.
type Block struct {
	Layout  *Layout
	Rows    int // rows of the open page
	Columns []*Column
	Nodes   []*NodePage
	invalid []Invalid
}

// A NodePage is a struct, array or map on the open page. Slots counts the slots of the node's own group.
type NodePage struct {
	Slots int
	Nulls bool    // a null occurred on this page
	Valid []byte  // struct: a byte a slot, empty while there is no null
	Lens  []int32 // array, map: items a slot, -1 null
}

// A Column is the values of one leaf on the open page. Only the field that fits its physical type is used.
type Column struct {
	Leaf   *LeafLayout
	Slots  int
	Values int    // slots that are not null
	Valid  []byte // a byte a slot; empty while the page has no null

	Strings *Dict // PhysByteArray
	Int32s  []int32
	Int64s  []int64
	Fixed   []byte // PhysFloat, PhysDouble, PhysFixed: little-endian or as Parquet has it, end to end; PhysBoolean: a byte a value

	// Runs holds the page instead where the leaf's values come as runs (Leaf.Run); RunValues are the row group's values, by Run.Index.
	// Strings have their entries in Strings.
	Runs      []Run
	RunValues []int64
}

// A Run is a value that repeats.
type Run struct {
	Index uint32
	N     int
}

// Invalid is a string that is not UTF-8; Append wrote a null in its place.
type Invalid struct {
	Row  int // in the Rows that were appended
	Leaf int
}

// BlockOptions are how strings are treated.
type BlockOptions struct {
	// KeepInvalidUTF8 keeps the bytes of strings that are not UTF-8, as Spark does; their columns then have no bounds.
	// Otherwise such a string becomes null and Append says so.
	KeepInvalidUTF8 bool
	// Seed of the dictionaries' hash: random, so that nobody can choose values that collide.
	Seed uint64
}

// NewBlock returns an empty block.
func NewBlock(l *Layout, o BlockOptions) *Block {
	b := &Block{Layout: l}
	for i := range l.Leaves {
		c := &Column{Leaf: &l.Leaves[i]}
		if t := c.Leaf.Type; t.Physical() == PhysByteArray {
			c.Strings = newDict(t.Kind == String, o.KeepInvalidUTF8, o.Seed)
		}
		b.Columns = append(b.Columns, c)
	}
	for range l.Nodes {
		b.Nodes = append(b.Nodes, &NodePage{})
	}
	return b
}

// Append takes the rows' values, which lie in buf (Slack bytes past each must be readable), and empties the rows. It returns the strings
// that were not UTF-8, in no particular order; the slice is valid until the next call.
//
// REQUIRES: r.Layout is the block's.
func (b *Block) Append(buf []byte, r *Rows) []Invalid {
	b.invalid = b.invalid[:0]
	b.Rows += r.Len()
	for _, g := range r.Groups {
		for _, f := range g.Leaves {
			b.appendLeaf(buf, r, f, g.N)
		}
	}
	for i := range b.Nodes {
		b.Nodes[i].append(r.Nodes[i], r.Groups[r.Layout.Nodes[i].Group].N)
	}
	for _, g := range r.Groups {
		g.N = 0
		if g.Cap > 16*MaxBlockSlots {
			r.Reset()
			break
		}
	}
	return b.invalid
}

func (p *NodePage) append(k *Node, n int) {
	if k.Lens != nil {
		p.Lens = append(p.Lens, k.Lens[:n]...)
		p.Slots += n
		return
	}
	if k.Child.N != n && !p.Nulls {
		p.Nulls = true
		p.Valid = appendOnes(p.Valid[:0], p.Slots)
	}
	if p.Nulls {
		p.Valid = append(p.Valid, k.Valid[:n]...)
		if k.Child.N != n {
			setOnes(k.Valid[:n])
		}
	}
	p.Slots += n
}

func appendOnes(b []byte, n int) []byte {
	at := len(b)
	if cap(b) < at+n {
		b = append(make([]byte, 0, 2*(at+n)), b...)
	}
	b = b[:at+n]
	setOnes(b[at:])
	return b
}

func (b *Block) appendLeaf(buf []byte, r *Rows, f *Leaf, n int) {
	c := b.Columns[f.Index]
	if f.Run {
		c.appendRun(buf, r.Constants, f, n)
		return
	}
	k := ones(f.Valid[:n])
	if k != n {
		c.startNulls()
		f.squeeze(n)
	}
	if len(c.Valid) > 0 || k != n {
		c.Valid = append(c.Valid, f.Valid[:n]...)
	}
	switch c.Leaf.Type.Physical() {
	case PhysByteArray:
		c.appendStrings(buf, r.Constants, f, f.Spans[:k])
		if len(c.Strings.rejects) > 0 {
			b.dropInvalid(r, f, c, n)
			k -= len(c.Strings.rejects)
		}
	case PhysInt32:
		at := len(c.Int32s)
		c.Int32s = slices.Grow(c.Int32s, k)[:at+k]
		out := c.Int32s[at:]
		for i, v := range f.Ints[:k] {
			out[i] = int32(v)
		}
	case PhysInt64:
		c.Int64s = append(c.Int64s, f.Ints[:k]...)
	case PhysFloat:
		for _, v := range f.Ints[:k] {
			c.Fixed = binary.LittleEndian.AppendUint32(c.Fixed, uint32(v))
		}
	case PhysDouble:
		for _, v := range f.Ints[:k] {
			c.Fixed = binary.LittleEndian.AppendUint64(c.Fixed, uint64(v))
		}
	case PhysBoolean:
		for _, v := range f.Ints[:k] {
			c.Fixed = append(c.Fixed, byte(v)&1)
		}
	case PhysFixed:
		w := c.Leaf.Type.FixedLen()
		for i := range f.Wide[:k] {
			c.Fixed = append(c.Fixed, f.Wide[i][16-w:]...)
		}
	}
	if k != n {
		setOnes(f.Valid[:n])
	}
	f.LastSlots, f.LastNulls = n, n-k
	c.Slots += n
	c.Values += k
}

// startNulls begins to keep validity on a page that had no null so far.
func (c *Column) startNulls() {
	if len(c.Valid) == 0 {
		c.Valid = appendOnes(c.Valid[:0], c.Slots)
	}
}

// squeeze closes the holes that nulls left among the first n slots.
func (f *Leaf) squeeze(n int) {
	valid, k := f.Valid[:n], 0
	switch {
	case f.Spans != nil:
		s := f.Spans[:n]
		for i, v := range valid {
			s[k] = s[i]
			k += int(v)
		}
	case f.Wide != nil:
		s := f.Wide[:n]
		for i, v := range valid {
			s[k] = s[i]
			k += int(v)
		}
	default:
		s := f.Ints[:n]
		for i, v := range valid {
			s[k] = s[i]
			k += int(v)
		}
	}
}

func (c *Column) appendStrings(buf, constants []byte, f *Leaf, spans []Span) {
	d := c.Strings
	d.rejects = d.rejects[:0]
	if !f.MayBeConstant {
		d.add(buf, spans, 0)
		return
	}
	for i := 0; i < len(spans); { // runs of spans into one of the two buffers
		j := i + 1
		for j < len(spans) && (spans[j].Off^spans[i].Off)&constant == 0 {
			j++
		}
		from := buf
		if spans[i].Off&constant != 0 {
			from = constants
			for k := i; k < j; k++ {
				spans[k].Off &^= constant
			}
		}
		d.add(from, spans[i:j], i)
		i = j
	}
}

// dropInvalid turns the strings that the dictionary refused into nulls and notes them.
func (b *Block) dropInvalid(r *Rows, f *Leaf, c *Column, n int) {
	d := c.Strings
	if !d.GivenUp {
		d.Indices = slices.DeleteFunc(d.Indices, func(e uint32) bool { return e == notUTF8 })
	}
	c.startNulls()
	if len(c.Valid) == c.Slots {
		c.Valid = append(c.Valid, f.Valid[:n]...)
	}
	valid, next, position := c.Valid[c.Slots:c.Slots+n], 0, -1
	for slot, v := range valid {
		position += int(v)
		if v == 1 && next < len(d.rejects) && d.rejects[next] == position {
			valid[slot] = 0
			next++
			b.invalid = append(b.invalid, Invalid{Row: r.rowOf(f, slot), Leaf: f.Index})
		}
	}
}

// rowOf returns the row that a slot of a leaf belongs to: up the groups, counting.
func (r *Rows) rowOf(f *Leaf, slot int) int {
	group := r.Layout.Leaves[f.Index].Group
	for group != 0 {
		node := r.Layout.Groups[group].Node
		k := r.Nodes[node]
		group = r.Layout.Nodes[node].Group
		at := 0
		if k.Lens != nil {
			for left := slot; ; at++ {
				if left -= max(0, int(k.Lens[at])); left < 0 {
					break
				}
			}
		} else {
			for left := slot; ; at++ {
				if k.Valid[at] == 1 {
					if left--; left < 0 {
						break
					}
				}
			}
		}
		slot = at
	}
	return slot
}

func (c *Column) appendRun(buf, constants []byte, f *Leaf, n int) {
	if n == 0 {
		return
	}
	var index uint32
	if c.Strings != nil {
		s := f.Spans[0]
		if s.Off&constant != 0 {
			buf = constants
			s.Off &^= constant
		}
		index = c.Strings.index(buf, s)
	} else {
		v, i := f.Ints[0], len(c.RunValues)-1
		for i >= 0 && c.RunValues[i] != v { // the last value is the likeliest
			i--
		}
		if i < 0 {
			i = len(c.RunValues)
			c.RunValues = append(c.RunValues, v)
		}
		index = uint32(i)
	}
	if last := len(c.Runs) - 1; last >= 0 && c.Runs[last].Index == index {
		c.Runs[last].N += n
	} else {
		c.Runs = append(c.Runs, Run{index, n})
	}
	c.Slots += n
	c.Values += n
}

// OpenBytes is the memory that the open page takes.
func (b *Block) OpenBytes() int {
	n := 0
	for _, c := range b.Columns {
		n += 4*len(c.Int32s) + 8*len(c.Int64s) + len(c.Fixed) + len(c.Valid)
		if c.Strings != nil {
			n += 4*len(c.Strings.Indices) + len(c.Strings.Plain)
		}
	}
	for _, k := range b.Nodes {
		n += len(k.Valid) + 4*len(k.Lens)
	}
	return n
}

// ResetPage empties the open page; dictionaries stay.
func (b *Block) ResetPage() {
	b.Rows = 0
	for _, c := range b.Columns {
		c.Slots, c.Values, c.Valid, c.Int32s, c.Int64s, c.Fixed, c.Runs = 0, 0, c.Valid[:0], c.Int32s[:0], c.Int64s[:0], c.Fixed[:0], c.Runs[:0]
		if c.Strings != nil {
			c.Strings.resetPage()
		}
	}
	for _, k := range b.Nodes {
		k.Slots, k.Nulls, k.Valid, k.Lens = 0, false, k.Valid[:0], k.Lens[:0]
	}
}

// ResetRowGroup forgets the dictionaries: the next page begins a row group.
//
// REQUIRES: the open page is empty.
func (b *Block) ResetRowGroup() {
	for _, c := range b.Columns {
		c.RunValues = c.RunValues[:0]
		if c.Strings != nil {
			c.Strings.reset()
		}
	}
}
