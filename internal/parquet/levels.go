package parquet

import (
	"encoding/binary"
	"math/bits"

	"github.com/siltlake/silt/internal/column"
)

// present marks a slot of a group in its stream; every other entry is the definition level at which an ancestor is null or empty. Levels
// are below it (column.NewLayout bounds the depth).
const present = 255

// A stream is the definition and repetition levels of a group on one page: made once, at the page's flush, from the validity and lengths
// that the block keeps, and shared by all leaves of the group (docs/adr/0003). Groups whose node had no null share their parent's levels.
type stream struct {
	n    int    // entries: slots, and one for each ancestor that is null or empty
	def  []byte // nil: every entry is a slot
	rep  []byte // nil: all 0
	own  []byte // buffers of def and rep
	reps []byte

	defOf, repOf *stream  // whose levels these are
	encodedDef   [][]byte // hybrids by top level; empty: not made on this page
	encodedRep   []byte
}

// sized returns a buffer of n bytes and 8 more for words that go past the end; its content is undefined.
func sized(b []byte, n int) []byte {
	if cap(b) < n+8 || cap(b) > maxScratchBytes && n < maxScratchBytes/4 {
		return make([]byte, n+8, n+n/4+64)
	}
	return b[:n+8]
}

// levels makes every group's stream of the open page, parents first, and counts the nodes' nulls.
func (f *File) levels() {
	b, l := f.block, f.layout
	root := &f.streams[0]
	root.begin(b.Rows)
	for i := range l.Nodes {
		f.streams[l.Nodes[i].Child].begin(0)
	}
	for i := range l.Nodes { // a node comes after the nodes above it
		node, page := &l.Nodes[i], b.Nodes[i]
		parent, child := &f.streams[node.Group], &f.streams[node.Child]
		if node.Kind == column.Struct {
			f.nodes[i].Nulls += int64(child.ofStruct(parent, page, node.Def-1))
		} else {
			f.nodes[i].Nulls += int64(child.ofList(parent, page, node.Def, node.Rep))
		}
	}
}

// begin empties a stream for a page of n entries.
func (s *stream) begin(n int) {
	s.n, s.def, s.rep, s.defOf, s.repOf = n, nil, nil, s, s
	for i := range s.encodedDef {
		s.encodedDef[i] = s.encodedDef[i][:0]
	}
	s.encodedRep = s.encodedRep[:0]
}

// ofStruct makes the stream of a struct's fields and returns how many of the entries are no struct; miss is the level of a null struct.
func (s *stream) ofStruct(parent *stream, page *column.NodePage, miss uint8) int {
	s.n, s.rep, s.repOf = parent.n, parent.rep, parent.repOf
	if !page.Nulls {
		s.def, s.defOf = parent.def, parent.defOf
		return s.n - page.Slots
	}
	s.own = sized(s.own, s.n)
	s.def = s.own
	mergeLevels(s.def, parent, page.Valid, miss, present)
	valid := 0
	for _, v := range page.Valid {
		valid += int(v)
	}
	return s.n - valid
}

// mergeLevels writes s with its slots replaced: miss where valid is 0, hit where it is 1.
func mergeLevels(out []byte, s *stream, valid []byte, miss, hit uint8) {
	d := hit - miss
	if s.def == nil {
		n := s.n
		valid, out = valid[:n], out[:n]
		i := 0
		for ; i+8 <= n; i += 8 {
			x := binary.LittleEndian.Uint64(valid[i:])
			binary.LittleEndian.PutUint64(out[i:], uint64(miss)*everyByte+x*uint64(d))
		}
		for ; i < n; i++ {
			out[i] = miss + valid[i]*d
		}
		return
	}
	valid = append(valid, 0) // is read, and not used, after the last slot
	in, j := s.def[:s.n], 0
	out = out[:len(in)]
	for i, x := range in { // no branch: nulls come at random
		slot := byte(int8(x) >> 7)
		out[i] = x&^slot | (miss+valid[j]*d)&slot
		j += int(slot & 1)
	}
}

// ofList makes the stream of a list's items and returns how many of the parent's entries are no list. def is the level of an empty list,
// one less that of a null one; rep is that of every item but the first.
func (s *stream) ofList(parent *stream, page *column.NodePage, def, rep uint8) (nulls int) {
	items, least := 0, int32(1)
	for _, n := range page.Lens {
		least = min(least, n)
		items += int(max(0, n))
	}
	s.reps = sized(s.reps, parent.n+items)
	s.rep = s.reps
	if least > 0 && parent.def == nil {
		s.n = expandFull(s.rep, parent.rep, page.Lens, rep)
		return 0
	}
	s.own = sized(s.own, parent.n+items)
	s.def = s.own
	reps, o, j := uint64(rep)*everyByte, 0, 0
	for i := range parent.n {
		first := uint8(0)
		if parent.rep != nil {
			first = parent.rep[i]
		}
		if parent.def != nil && parent.def[i] != present {
			s.rep[o], s.def[o] = first, parent.def[i]
			nulls++
			o++
			continue
		}
		n := int(page.Lens[j])
		j++
		if n <= 0 {
			s.rep[o], s.def[o] = first, def+uint8(n) // -1: null
			nulls -= n
			o++
			continue
		}
		for q := 0; q < n; q += 8 { // the words go past the end: the next entry, or the spare bytes
			binary.LittleEndian.PutUint64(s.rep[o+q:], reps)
			binary.LittleEndian.PutUint64(s.def[o+q:], ^uint64(0))
		}
		s.rep[o] = first
		o += n
	}
	s.n = o
	return nulls
}

// expandFull writes the repetition levels where no list is null or empty, and returns how many.
func expandFull(out, parent []byte, lens []int32, rep uint8) int {
	reps, o := uint64(rep)*everyByte, 0
	for i, n := range lens {
		for q := 0; q < int(n); q += 8 {
			binary.LittleEndian.PutUint64(out[o+q:], reps)
		}
		if parent == nil {
			out[o] = 0
		} else {
			out[o] = parent[i]
		}
		o += int(n)
	}
	return o
}

// encodedReps returns the hybrid of the repetition levels; top is the highest of them.
//
// REQUIRES: the group lies in a list.
func (s *stream) encodedReps(top uint8) []byte {
	o := s.repOf
	if len(o.encodedRep) == 0 {
		o.encodedRep = appendLevels(o.encodedRep, o.rep, o.n, top)
	}
	return o.encodedRep
}

// encodedDefs returns the hybrid of the definition levels of a leaf that has no null of its own; top is its highest level.
func (s *stream) encodedDefs(top uint8) []byte {
	o := s.defOf
	for len(o.encodedDef) <= int(top) {
		o.encodedDef = append(o.encodedDef, nil)
	}
	if e := &o.encodedDef[top]; len(*e) == 0 {
		if o.def == nil {
			*e = appendRun(*e, o.n, uint32(top), bits.Len8(top))
		} else {
			*e = appendLevels(*e, o.def, o.n, top)
		}
	}
	return o.encodedDef[top]
}
