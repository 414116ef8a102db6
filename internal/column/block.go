package column

import "slices"

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
	phys   Physical
	Slots  int
	Values int    // slots that are not null
	Valid  []byte // a byte a slot; empty while the page has no null

	Strings *Dict   // PhysByteArray
	Int32s  []int32 // PhysInt32; PhysFloat: the bits
	Int64s  []int64 // PhysInt64; PhysDouble: the bits
	Fixed   []byte  // PhysFixed: as Parquet has it, end to end; PhysBoolean: a byte a value

	// Runs holds the page instead where all its values came as runs (Leaf.Run); RunValues are the row group's values, by Run.Index.
	// Strings have their entries in Strings.
	Runs      []Run
	RunValues []int64
}

// A Run is a value that repeats.
type Run struct {
	Index uint32
	N     int
}

// maxRunValues bounds the search for a run's value; a column with more of them is written as values.
const maxRunValues = 256

// The sizes of elements, for counting memory.
const (
	runBytes      = 16
	dictSlotBytes = 24
)

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
		c := &Column{Leaf: &l.Leaves[i], phys: l.Leaves[i].Type.Physical()}
		if c.phys == PhysByteArray {
			c.Strings = newDict(c.Leaf.Type.Kind == String, o.KeepInvalidUTF8, o.Seed)
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

// appendOnes appends n ones.
func appendOnes(b []byte, n int) []byte {
	at := len(b)
	b = extend(b, n)
	setOnes(b[at:])
	return b
}

// extend appends n elements of any value; the capacity at least doubles when it grows.
func extend[T any](s []T, n int) []T {
	if cap(s)-len(s) < n {
		s = append(make([]T, 0, max(2*cap(s), len(s)+n, 256)), s...)
	}
	return s[:len(s)+n]
}

// maxKeptBytes is the capacity that an emptied buffer keeps: pages end at about 2 MiB, so that more was one huge row's.
const maxKeptBytes = 8 << 20

// emptied returns s, of elements of so many bytes, without elements, and without its memory where that is too much to keep.
func emptied[T any](s []T, size int) []T {
	if cap(s)*size > maxKeptBytes {
		return nil
	}
	return s[:0]
}

func (b *Block) appendLeaf(buf []byte, r *Rows, f *Leaf, n int) {
	c := b.Columns[f.Index]
	if f.Run && n > 0 {
		if c.appendRun(buf, r.Constants, f, n) {
			f.LastSlots, f.LastNulls = n, 0
			return
		}
		first := f.Valid[0]
		f.spread(n)
		b.appendValues(buf, r, f, c, n)
		f.Valid[0] = first
		return
	}
	b.appendValues(buf, r, f, c, n)
}

func (b *Block) appendValues(buf []byte, r *Rows, f *Leaf, c *Column, n int) {
	c.expandRuns()
	k := ones(f.Valid[:n])
	if k != n {
		c.startNulls()
		f.squeeze(n)
	}
	if len(c.Valid) > 0 || k != n {
		c.Valid = append(c.Valid, f.Valid[:n]...)
	}
	if c.Strings == nil {
		c.appendNumbers(f, k)
	} else if c.appendStrings(buf, r.Constants, f, f.Spans[:k]); len(c.Strings.rejects) > 0 {
		b.dropInvalid(r, f, c, n)
		k -= len(c.Strings.rejects)
	}
	if k != n {
		setOnes(f.Valid[:n])
	}
	f.LastSlots, f.LastNulls = n, n-k
	c.Slots += n
	c.Values += k
}

// appendNumbers appends the first k values, which have no holes between them.
func (c *Column) appendNumbers(f *Leaf, k int) {
	switch c.phys {
	case PhysInt32, PhysFloat:
		at := len(c.Int32s)
		c.Int32s = extend(c.Int32s, k)
		out := c.Int32s[at:]
		for i, v := range f.Ints[:k] {
			out[i] = int32(v)
		}
	case PhysInt64, PhysDouble:
		c.Int64s = append(c.Int64s, f.Ints[:k]...)
	case PhysBoolean:
		at := len(c.Fixed)
		c.Fixed = extend(c.Fixed, k)
		for i, v := range f.Ints[:k] {
			c.Fixed[at+i] = byte(v) & 1
		}
	case PhysFixed:
		w := c.Leaf.Type.FixedLen()
		for i := range f.Wide[:k] {
			c.Fixed = append(c.Fixed, f.Wide[i][16-w:]...)
		}
	}
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
	if !f.MayBeConstant && !f.Run {
		d.add(buf, spans, 0)
		return
	}
	for i := 0; i < len(spans); { // runs of spans into one of the two buffers
		j := i + 1
		for j < len(spans) && (spans[j].Off^spans[i].Off)&constant == 0 {
			j++
		}
		if spans[i].Off&constant == 0 {
			d.add(buf, spans[i:j], i)
		} else {
			flip(spans[i:j])
			d.add(constants, spans[i:j], i)
			flip(spans[i:j]) // a run's span is used again
		}
		i = j
	}
}

func flip(spans []Span) {
	for i := range spans {
		spans[i].Off ^= constant
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
	valid, next, position, row := c.Valid[c.Slots:c.Slots+n], 0, -1, b.rowsOf(r, r.Layout.Leaves[f.Index].Group)
	for slot, v := range valid {
		position += int(v)
		if v == 1 && next < len(d.rejects) && d.rejects[next] == position {
			valid[slot] = 0
			next++
			b.invalid = append(b.invalid, Invalid{Row: int(row[slot]), Leaf: f.Index})
		}
	}
}

// rowsOf returns the row of every slot of a group: down the groups from the root.
func (b *Block) rowsOf(r *Rows, group int) []int32 {
	at := &r.Layout.Groups[group]
	if at.Parent < 0 {
		rows := make([]int32, r.Groups[0].N)
		for i := range rows {
			rows[i] = int32(i)
		}
		return rows
	}
	parents := b.rowsOf(r, at.Parent)
	k := r.Nodes[at.Node]
	rows := make([]int32, 0, k.Child.N)
	for slot, row := range parents {
		n := int32(0)
		if k.Lens != nil {
			n = k.Lens[slot]
		} else {
			n = int32(k.Valid[slot])
		}
		for ; n > 0; n-- {
			rows = append(rows, row)
		}
	}
	return rows
}

// spread writes slot 0 into all of the first n slots.
func (f *Leaf) spread(n int) {
	for i := 1; i < n; i++ {
		f.Valid[i] = f.Valid[0]
	}
	switch {
	case f.Spans != nil:
		fill(f.Spans[:n])
	case f.Wide != nil:
		fill(f.Wide[:n])
	default:
		fill(f.Ints[:n])
	}
}

func fill[T any](s []T) {
	for i := range s {
		s[i] = s[0]
	}
}

// appendRun appends slot 0 as a run of n values. It returns false where the page or the value cannot be a run's: a page that has values
// or a null, a null, a type that has no dictionary, a dictionary that is full, a string that is not UTF-8.
func (c *Column) appendRun(buf, constants []byte, f *Leaf, n int) bool {
	if c.Slots > 0 && len(c.Runs) == 0 || f.Valid[0] == 0 {
		return false
	}
	var index uint32
	switch {
	case c.Strings != nil:
		if c.Strings.GivenUp {
			return false
		}
		s := f.Spans[0]
		if s.Off&constant != 0 {
			s.Off, buf = s.Off^constant, constants
		}
		if index = c.Strings.lookup(buf, s); index == notUTF8 || index == dictFull {
			return false
		}
	case c.phys == PhysInt32 || c.phys == PhysInt64:
		v, i := f.Ints[0], len(c.RunValues)-1
		if c.phys == PhysInt32 {
			v = int64(int32(v))
		}
		for i >= 0 && c.RunValues[i] != v { // the last value is the likeliest
			i--
		}
		if i < 0 {
			if i = len(c.RunValues); i == maxRunValues {
				return false
			}
			c.RunValues = append(c.RunValues, v)
		}
		index = uint32(i)
	default:
		return false
	}
	if last := len(c.Runs) - 1; last >= 0 && c.Runs[last].Index == index {
		c.Runs[last].N += n
	} else {
		c.Runs = append(c.Runs, Run{index, n})
	}
	c.Slots += n
	c.Values += n
	return true
}

// expandRuns turns a page of runs into one of values.
func (c *Column) expandRuns() {
	for _, run := range c.Runs {
		switch {
		case c.Strings != nil:
			at := len(c.Strings.Indices)
			c.Strings.Indices = extend(c.Strings.Indices, run.N)
			c.Strings.Indices[at] = run.Index
			fill(c.Strings.Indices[at:])
		case c.phys == PhysInt32:
			at := len(c.Int32s)
			c.Int32s = extend(c.Int32s, run.N)
			c.Int32s[at] = int32(c.RunValues[run.Index])
			fill(c.Int32s[at:])
		default:
			at := len(c.Int64s)
			c.Int64s = extend(c.Int64s, run.N)
			c.Int64s[at] = c.RunValues[run.Index]
			fill(c.Int64s[at:])
		}
	}
	c.Runs = c.Runs[:0]
}

// OpenBytes is the memory that the open page takes.
func (b *Block) OpenBytes() int {
	n := 0
	for _, c := range b.Columns {
		n += 4*len(c.Int32s) + 8*len(c.Int64s) + len(c.Fixed) + len(c.Valid) + runBytes*len(c.Runs)
		if c.Strings != nil {
			n += 4*len(c.Strings.Indices) + len(c.Strings.Plain)
		}
	}
	for _, k := range b.Nodes {
		n += len(k.Valid) + 4*len(k.Lens)
	}
	return n
}

// ResetPage empties the open page; dictionaries stay. Memory that one huge row needed is given back.
func (b *Block) ResetPage() {
	b.Rows = 0
	for _, c := range b.Columns {
		c.Slots, c.Values, c.Runs = 0, 0, emptied(c.Runs, runBytes)
		c.Valid, c.Int32s, c.Int64s, c.Fixed = emptied(c.Valid, 1), emptied(c.Int32s, 4), emptied(c.Int64s, 8), emptied(c.Fixed, 1)
		if c.Strings != nil {
			c.Strings.resetPage()
		}
	}
	for _, k := range b.Nodes {
		k.Slots, k.Nulls, k.Valid, k.Lens = 0, false, emptied(k.Valid, 1), emptied(k.Lens, 4)
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

// Memory is the memory of the block's buffers in bytes, full or not.
func (b *Block) Memory() int64 {
	n := 0
	for _, c := range b.Columns {
		n += 4*cap(c.Int32s) + 8*cap(c.Int64s) + cap(c.Fixed) + cap(c.Valid) + runBytes*cap(c.Runs) + 8*cap(c.RunValues)
		if d := c.Strings; d != nil {
			n += 4*cap(d.Indices) + cap(d.Plain) + cap(d.data) + 4*cap(d.ends) + dictSlotBytes*len(d.slots) + cap(d.bounds.least) + cap(d.bounds.greatest)
		}
	}
	for _, k := range b.Nodes {
		n += cap(k.Valid) + 4*cap(k.Lens)
	}
	return int64(n)
}
