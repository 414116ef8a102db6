package column

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// put writes a random value of the tree into the slot, as a decoder does, and cuts itself short with false where a record would be bad.
func put(r *Rows, rnd *rand.Rand, t *Tree, slot, badPercent int) bool {
	if rnd.IntN(100) < badPercent {
		return false
	}
	null := rnd.IntN(4) == 0
	if t.Leaf >= 0 {
		f := r.Leaves[t.Leaf]
		switch {
		case null && !r.Layout.Leaves[t.Leaf].Required:
			f.Valid[slot] = 0
		case f.Spans != nil:
			f.Spans[slot] = Span{uint32(rnd.IntN(50)), uint32(rnd.IntN(40))}
		case f.Wide != nil:
			f.Wide[slot][15] = byte(rnd.Uint32())
		default:
			f.Ints[slot] = int64(rnd.IntN(100))
		}
		return true
	}
	n := r.Nodes[t.Node]
	if null {
		n.Null(slot)
		return true
	}
	items := 1
	if t.Type.Kind != Struct {
		items = rnd.IntN(4)
		if rnd.IntN(40) == 0 {
			items = 300
		}
		n.Lens[slot] = int32(items) // before the items, as a decoder may know it
	} else if rnd.IntN(8) == 0 {
		n.NullFields()
		return true
	}
	for range items {
		if n.Child.N == n.Child.Cap {
			n.Child.Grow(n.Child.N + 1)
		}
		for _, k := range t.Kids {
			if !put(r, rnd, k, n.Child.N, badPercent) {
				return false
			}
		}
		n.Child.N++
	}
	return true
}

// content is all that rows hold, without what lies beyond their slots.
func content(r *Rows) (c []int64) {
	for i, g := range r.Groups {
		c = append(c, -100-int64(i), int64(g.N))
		for _, f := range g.Leaves {
			for k, v := range f.Valid[:g.N] {
				c = append(c, int64(v))
				switch {
				case v == 0:
				case f.Spans != nil:
					c = append(c, int64(f.Spans[k].Off), int64(f.Spans[k].Len))
				case f.Wide == nil:
					c = append(c, f.Ints[k])
				}
			}
		}
		for _, n := range g.Nodes {
			for k := range g.N {
				if n.Lens != nil {
					c = append(c, int64(n.Lens[k]))
				} else {
					c = append(c, int64(n.Valid[k]))
				}
			}
		}
	}
	return c
}

const someSchema = "a int, s struct<b string, l array<struct<c decimal(20,2), m map<long>, t struct<d double>>>>, u struct<e struct<f string>>"

// TestCutBackLeavesNoTrace: rows with bad ones among them, each cut back where it became bad, are the good rows alone.
func TestCutBackLeavesNoTrace(t *testing.T) {
	l, err := NewLayout(parse(t, someSchema))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		n := rapid.IntRange(1, 40).Draw(t, "rows")
		mixed, good := NewRows(l), NewRows(l)
		for i := range n {
			for {
				rnd := rand.New(rand.NewPCG(seed, uint64(i)))
				bad := rapid.IntRange(0, 2).Draw(t, "bad") == 0
				percent := 0
				if bad {
					percent = 10
				}
				ok := true
				for _, c := range l.Tree {
					if ok = put(mixed, rnd, c, mixed.Len(), percent); !ok {
						break
					}
				}
				if ok && !bad {
					mixed.AddRow()
					break
				}
				mixed.CutBack()
			}
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			for _, c := range l.Tree {
				put(good, rnd, c, good.Len(), 0)
			}
			good.AddRow()
			if mixed.Full() {
				break
			}
		}
		if a, b := content(mixed), content(good); !slices.Equal(a, b) {
			t.Fatalf("got %d\nwant %d", a, b)
		}
		for _, r := range []*Rows{mixed, good} {
			for i, g := range r.Groups {
				for _, f := range g.Leaves {
					if ones(f.Valid[g.N:]) != len(f.Valid)-g.N {
						t.Fatalf("group %d: a slot that was not written is invalid", i)
					}
				}
			}
		}
	})
}

func TestRowsAreFull(t *testing.T) {
	l, err := NewLayout(parse(t, "a int, l array<int>"))
	if err != nil {
		t.Fatal(err)
	}
	r := NewRows(l)
	for range BlockRows - 1 {
		r.AddRow()
	}
	if r.Full() {
		t.Error("full one row early")
	}
	r.AddRow()
	if !r.Full() {
		t.Error("not full of rows")
	}
	r.Reset()
	r.Groups[1].Grow(MaxBlockSlots)
	r.Groups[1].N = MaxBlockSlots - 1
	if r.Full() {
		t.Error("full one item early")
	}
	r.Groups[1].N++
	if !r.Full() {
		t.Error("not full of items")
	}
}

func TestResetGivesBackWhatOneRowNeeded(t *testing.T) {
	l, err := NewLayout(parse(t, "l array<struct<a string, b decimal(20,0), m map<int>>>"))
	if err != nil {
		t.Fatal(err)
	}
	r := NewRows(l)
	b := NewBlock(l, BlockOptions{})
	items := r.Groups[1]
	items.Grow(1 << 20)
	r.Nodes[0].Lens[0] = 1 << 20
	for i := range 1 << 20 {
		r.Nodes[1].Valid[i] = 0
	}
	items.N = 1 << 20
	r.AddRow()
	b.Append(make([]byte, Slack), r)
	if r.Groups[1].Cap != BlockRows || len(r.Nodes[1].Valid) != BlockRows || r.Groups[1].N != 0 || r.Len() != 0 {
		t.Errorf("%d slots are kept for %d", r.Groups[1].Cap, r.Groups[1].N)
	}
	if ones(r.Nodes[1].Valid) != BlockRows {
		t.Error("slots are invalid")
	}
}

func TestNullFieldsIsAStructOfNulls(t *testing.T) {
	l, err := NewLayout(parse(t, "s struct<a int, t struct<b int>, l array<int>>"))
	if err != nil {
		t.Fatal(err)
	}
	r := NewRows(l)
	for range BlockRows {
		r.Nodes[0].NullFields()
		r.AddRow()
	}
	b := NewBlock(l, BlockOptions{})
	b.Append(make([]byte, Slack), r)
	if b.Nodes[0].Nulls || b.Nodes[0].Slots != BlockRows {
		t.Errorf("the struct: %+v", b.Nodes[0])
	}
	if b.Columns[0].Values != 0 || b.Columns[0].Slots != BlockRows {
		t.Errorf("a: %d values in %d slots", b.Columns[0].Values, b.Columns[0].Slots)
	}
	if !b.Nodes[1].Nulls || b.Columns[1].Slots != 0 {
		t.Errorf("t: %+v, b has %d slots", b.Nodes[1].Nulls, b.Columns[1].Slots)
	}
	if slices.Max(b.Nodes[2].Lens) != -1 {
		t.Errorf("l: %v", b.Nodes[2].Lens)
	}
}
