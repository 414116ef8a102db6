package column

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// pageOf decodes the values of the open page of a column, "null" for a null, as text.
func pageOf(c *Column) []string {
	var vs []string
	for _, r := range c.Runs {
		for range r.N {
			if c.Strings != nil {
				vs = append(vs, string(c.Strings.Entry(int(r.Index))))
			} else {
				vs = append(vs, fmt.Sprint(c.RunValues[r.Index]))
			}
		}
	}
	if c.Strings != nil {
		for _, v := range c.Strings.values() {
			vs = append(vs, string(v))
		}
	}
	for _, v := range c.Int32s {
		vs = append(vs, fmt.Sprint(v))
	}
	for _, v := range c.Int64s {
		vs = append(vs, fmt.Sprint(v))
	}
	for i := 0; c.phys == PhysBoolean && i < len(c.Fixed); i++ {
		vs = append(vs, fmt.Sprint(c.Fixed[i]))
	}
	for i := 0; c.phys == PhysDouble && i < len(c.Fixed); i += 8 {
		vs = append(vs, fmt.Sprint(binary.LittleEndian.Uint64(c.Fixed[i:])))
	}
	if len(vs) != c.Values {
		return append(vs, fmt.Sprintf("(%d values)", c.Values))
	}
	for i, v := range c.Valid {
		if v == 0 {
			vs = slices.Insert(vs, i, "null")
		}
	}
	return vs
}

// A blockTest appends rows of one column; each step is a block.
type blockTest struct {
	*testing.T
	rows  *Rows
	block *Block
	leaf  *Leaf
	want  []string
}

func newBlockTest(t *testing.T, typ string, o BlockOptions) *blockTest {
	l, err := NewLayout(parse(t, "c "+typ))
	if err != nil {
		t.Fatal(err)
	}
	b := &blockTest{T: t, rows: NewRows(l), block: NewBlock(l, o)}
	b.leaf = b.rows.Leaves[0]
	return b
}

// set writes a value, "null" or a number for kinds of numbers, into a slot and returns the buffer with it.
func (b *blockTest) set(buf []byte, slot int, v string) []byte {
	switch {
	case v == "null":
		b.leaf.Valid[slot] = 0
	case b.leaf.Spans != nil && strings.HasPrefix(v, "const:"):
		b.leaf.Spans[slot] = b.rows.AddConstant([]byte(v[6:]))
	case b.leaf.Spans != nil:
		b.leaf.Spans[slot] = Span{uint32(len(buf)), uint32(len(v))}
		buf = append(buf, v...)
	default:
		fmt.Sscan(v, &b.leaf.Ints[slot])
	}
	return buf
}

// values appends a block of values.
func (b *blockTest) values(vs ...string) []Invalid {
	b.leaf.Run = false
	var buf []byte
	for i, v := range vs {
		buf = b.set(buf, i, v)
		b.rows.AddRow()
		b.want = append(b.want, strings.TrimPrefix(v, "const:"))
	}
	return b.block.Append(append(buf, make([]byte, Slack)...), b.rows)
}

// run appends a block of n times v, twice from the same slot.
func (b *blockTest) run(v string, n int) {
	b.leaf.Run = true
	b.leaf.Valid[0] = 1
	buf := append(b.set(nil, 0, v), make([]byte, Slack)...)
	for range 2 {
		for range n {
			b.rows.AddRow()
			b.want = append(b.want, strings.TrimPrefix(v, "const:"))
		}
		b.block.Append(buf, b.rows)
	}
	b.leaf.Run, b.leaf.Valid[0] = false, 1
}

func (b *blockTest) check(runs int) {
	b.Helper()
	c := b.block.Columns[0]
	if got := pageOf(c); !slices.Equal(got, b.want) || c.Slots != len(b.want) || b.block.Rows != len(b.want) {
		b.Fatalf("got %q in %d slots, want %q", got, c.Slots, b.want)
	}
	if len(c.Runs) != runs {
		b.Fatalf("%d runs, want %d: %v", len(c.Runs), runs, c.Runs)
	}
	if ones(b.leaf.Valid) != len(b.leaf.Valid) {
		b.Fatal("a slot stays invalid")
	}
}

// TestRuns: a value that holds for a block stays one on a page of such, and becomes values where it must.
func TestRuns(t *testing.T) {
	for _, typ := range []string{"string", "int", "long", "boolean", "double"} {
		runs := 1 // booleans and doubles have no dictionary, so that their pages have no runs
		if typ == "boolean" || typ == "double" {
			runs = 0
		}
		t.Run(typ, func(t *testing.T) {
			for _, tt := range []struct {
				name  string
				steps func(b *blockTest)
				runs  int
			}{
				{"neighbours that are equal are one", func(b *blockTest) { b.run("1", 3); b.run("1", 200) }, 1},
				{"others are not", func(b *blockTest) { b.run("1", 3); b.run("0", 2); b.run("1", 1) }, 3},
				{"values after runs", func(b *blockTest) { b.run("1", 3); b.run("0", 3); b.values("0", "null", "1") }, 0},
				{"a run after values", func(b *blockTest) { b.values("1", "0"); b.run("1", 2); b.values("0") }, 0},
				{"a run of nulls", func(b *blockTest) { b.run("null", 3); b.run("1", 2) }, 0},
				{"nulls after a run", func(b *blockTest) { b.run("1", 2); b.run("null", 2) }, 0},
				{"no rows", func(b *blockTest) { b.run("1", 0); b.run("1", 1) }, 1},
			} {
				t.Run(tt.name, func(t *testing.T) {
					b := newBlockTest(t, typ, BlockOptions{})
					for range 2 { // a second page of the row group
						tt.steps(b)
						b.check(tt.runs * runs)
						b.block.ResetPage()
						b.want = nil
					}
				})
			}
		})
	}
}

func TestRunsOfStrings(t *testing.T) {
	long := "a topic's name of more than sixteen bytes"
	b := newBlockTest(t, "string", BlockOptions{})
	b.run("const:a", 2)
	b.run("a", 2) // the same value in the buffer
	b.run("const:"+long, 1)
	b.run(long, 1)
	b.check(2)
	b.values("x")
	b.check(0)

	b = newBlockTest(t, "string", BlockOptions{}) // a string that is not UTF-8 becomes a null for each row
	b.run("\xff", 3)
	b.want = []string{"null", "null", "null", "null", "null", "null"}
	b.check(0)

	b = newBlockTest(t, "string", BlockOptions{}) // a dictionary that was given up
	for i := range 20 {
		var vs []string
		for k := range BlockRows {
			vs = append(vs, fmt.Sprint("distinct", i, "-", k))
		}
		b.values(vs...)
	}
	if !b.block.Columns[0].Strings.GivenUp {
		t.Fatal("the dictionary is not given up")
	}
	b.run("1", 2)
	b.check(0)
	b.block.ResetPage()
	b.want = nil
	b.run("2", 2)
	b.check(0)

	b = newBlockTest(t, "string", BlockOptions{}) // runs do not count as values that hardly repeat
	for i := range 5000 {
		b.run(fmt.Sprint("topic", i), 1)
	}
	b.check(5000)
}

func TestTooManyRunValuesBecomeValues(t *testing.T) {
	b := newBlockTest(t, "int", BlockOptions{})
	for i := range maxRunValues {
		b.run(fmt.Sprint(i), 1)
	}
	b.check(maxRunValues)
	b.run("-1", 1)
	b.check(0)
}

func TestConstantsAndBufferMix(t *testing.T) {
	b := newBlockTest(t, "string", BlockOptions{})
	b.leaf.MayBeConstant = true
	b.values("const:a", "b", "null", "const:c", "const:a", "null", "d", "e", "const:an enumeration's symbol")
	b.values("b", "const:b", "a")
	b.check(0)
	if n := b.block.Columns[0].Strings.Len(); n != 6 {
		t.Errorf("%d entries, want 6: a value is the same in either buffer", n)
	}
}

func TestInvalidStringsBecomeNulls(t *testing.T) {
	b := newBlockTest(t, "string", BlockOptions{})
	b.leaf.MayBeConstant = true
	b.values("a")
	got := b.values("null", "\xff", "const:b", "c", "\xc3", "null", "d")
	if want := []Invalid{{1, 0}, {4, 0}}; !slices.Equal(got, want) {
		t.Errorf("invalid %v, want %v", got, want)
	}
	b.want = []string{"a", "null", "null", "b", "c", "null", "null", "d"}
	b.check(0)
	if b.leaf.LastSlots != 7 || b.leaf.LastNulls != 4 {
		t.Errorf("the walk learns %d nulls of %d", b.leaf.LastNulls, b.leaf.LastSlots)
	}
	if got := b.values("e"); len(got) > 0 {
		t.Errorf("invalid %v of the block before", got)
	}

	b = newBlockTest(t, "string", BlockOptions{KeepInvalidUTF8: true})
	if got := b.values("a", "\xff"); len(got) > 0 || !b.block.Columns[0].Strings.Invalid {
		t.Errorf("invalid %v although it is kept", got)
	}
	b.check(0)

	b = newBlockTest(t, "binary", BlockOptions{})
	if got := b.values("a", "\xff"); len(got) > 0 || b.block.Columns[0].Strings.Invalid {
		t.Errorf("invalid %v in a binary", got)
	}
	b.check(0)
}

// TestInvalidStringsWhileTheDictionaryIsGivenUp: both happen within one block.
func TestInvalidStringsWhileTheDictionaryIsGivenUp(t *testing.T) {
	b := newBlockTest(t, "string", BlockOptions{})
	var all []string
	for i := range 16 {
		var vs []string
		for k := range BlockRows {
			v := fmt.Sprint("distinct", i, "-", k)
			if k%17 == 3 && i > 14 {
				v = "\xff" + v
			}
			vs = append(vs, v)
			if v[0] == 0xff {
				v = "null"
			}
			all = append(all, v)
		}
		invalid := b.values(vs...)
		if want := 15; i == 15 && (len(invalid) != want || invalid[1].Row != 20) {
			t.Errorf("%d invalid, want %d: %v", len(invalid), want, invalid)
		}
	}
	if got := b.values("z", "\xff", "y"); !slices.Equal(got, []Invalid{{1, 0}}) { // and after it
		t.Errorf("invalid %v", got)
	}
	b.want = append(all, "z", "null", "y")
	if !b.block.Columns[0].Strings.GivenUp {
		t.Fatal("the dictionary is not given up")
	}
	b.check(0)
}

// TestInvalidStringsNameTheirRows whatever lies between the string and the row.
func TestInvalidStringsNameTheirRows(t *testing.T) {
	l, err := NewLayout(parse(t, "s struct<l array<struct<m map<string>>>>"))
	if err != nil {
		t.Fatal(err)
	}
	r, b := NewRows(l), NewBlock(l, BlockOptions{})
	s, list, item, m := r.Nodes[0], r.Nodes[1], r.Nodes[2], r.Nodes[3]
	key, value := r.Leaves[0], r.Leaves[1]
	buf := append([]byte("ok\xff"), make([]byte, Slack)...)
	ok, bad := Span{0, 2}, Span{2, 1}
	entry := func(v Span) {
		at := m.Child.N
		key.Spans[at], value.Spans[at] = ok, v
		m.Child.N++
	}
	s.Valid[0] = 0 // row 0: null
	r.AddRow()
	list.Lens[s.Child.N] = 0 // row 1: an empty list
	s.Child.N++
	r.AddRow()
	list.Lens[s.Child.N] = 3 // row 2: a null, an empty map, a map of two
	s.Child.N++
	item.Valid[list.Child.N] = 0
	list.Child.N++
	m.Lens[item.Child.N] = 0
	item.Child.N++
	list.Child.N++
	m.Lens[item.Child.N] = 2
	item.Child.N++
	list.Child.N++
	entry(ok)
	entry(bad)
	r.AddRow()
	list.Lens[s.Child.N] = 2 // row 3: two maps of one
	s.Child.N++
	for _, v := range []Span{ok, bad} {
		m.Lens[item.Child.N] = 1
		item.Child.N++
		list.Child.N++
		entry(v)
	}
	r.AddRow()
	if got, want := b.Append(buf, r), []Invalid{{2, 1}, {3, 1}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := pageOf(b.Columns[1]); !slices.Equal(got, []string{"ok", "null", "ok", "null"}) {
		t.Errorf("values %q", got)
	}
}

func TestValidityBeginsAtTheFirstNull(t *testing.T) {
	b := newBlockTest(t, "long", BlockOptions{})
	b.values("1", "2")
	if len(b.block.Columns[0].Valid) != 0 {
		t.Error("validity is kept without a null")
	}
	b.values("3", "null")
	b.values("4")
	b.check(0)
	b.block.ResetPage()
	b.want = nil
	b.values("5")
	b.check(0)
	if len(b.block.Columns[0].Valid) != 0 {
		t.Error("validity stays on the next page")
	}
}

func TestPagesGiveBackWhatOneRowNeeded(t *testing.T) {
	l, err := NewLayout(parse(t, "s string"))
	if err != nil {
		t.Fatal(err)
	}
	r, b := NewRows(l), NewBlock(l, BlockOptions{})
	buf := bytes.Repeat([]byte{'x'}, 20<<20)
	r.Leaves[0].Spans[0] = Span{0, uint32(len(buf) - Slack)}
	r.AddRow()
	b.Append(buf, r)
	if n := b.OpenBytes(); n < len(buf)-Slack || n > len(buf)+100 {
		t.Errorf("the page has %d bytes", n)
	}
	if d := b.Columns[0].Strings; !d.GivenUp || d.DataBytes() > 0 {
		t.Errorf("the dictionary holds %d bytes", d.DataBytes())
	}
	if b.Memory() < 20<<20 {
		t.Errorf("memory %d", b.Memory())
	}
	b.ResetPage()
	b.ResetRowGroup()
	if b.Memory() > 100<<10 {
		t.Errorf("%d bytes are kept", b.Memory())
	}
}
