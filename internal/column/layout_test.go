package column

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// describe prints a layout: a line a leaf and node, with levels and groups.
func describe(l *Layout) string {
	var b strings.Builder
	for i, n := range l.Nodes {
		fmt.Fprintf(&b, "node %s %s: group %d, child %d, def %d, rep %d\n", n.Kind, strings.Join(n.Path, "."), n.Group, n.Child, n.Def, n.Rep)
		if g := l.Groups[n.Child]; g.Node != i || g.Parent != n.Group || g.MaxRep != n.Rep {
			fmt.Fprintf(&b, "  group %+v\n", g)
		}
	}
	for _, f := range l.Leaves {
		fmt.Fprintf(&b, "leaf %s %s = %s: group %d, def %d, rep %d", f.Type, strings.Join(f.Path, "."), strings.Join(f.Field, "."), f.Group,
			f.Def, f.Rep)
		if f.Required {
			b.WriteString(", required")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestLayout(t *testing.T) {
	for _, tt := range []struct{ name, schema, want string }{
		{"flat", "a int, b string", `leaf int a = a: group 0, def 1, rep 0
leaf string b = b: group 0, def 1, rep 0
`},
		{"a struct is a level and a group", "s struct<a int, t struct<b long>>, c int", `node struct s: group 0, child 1, def 1, rep 0
node struct s.t: group 1, child 2, def 2, rep 0
leaf int s.a = s.a: group 1, def 2, rep 0
leaf bigint s.t.b = s.t.b: group 2, def 3, rep 0
leaf int c = c: group 0, def 1, rep 0
`},
		{"an array is two levels", "l array<string>", `node array l: group 0, child 1, def 1, rep 1
leaf string l.list.element = l.element: group 1, def 3, rep 1
`},
		{"an array of structs with arrays", "l array<struct<m array<int>>>", `node array l: group 0, child 1, def 1, rep 1
node struct l.list.element: group 1, child 2, def 3, rep 1
node array l.list.element.m: group 2, child 3, def 4, rep 2
leaf int l.list.element.m.list.element = l.element.m.element: group 3, def 6, rep 2
`},
		{"a map's key is required", "m map<struct<a int>>", `node map m: group 0, child 1, def 1, rep 1
node struct m.key_value.value: group 1, child 2, def 3, rep 1
leaf string m.key_value.key = m.key: group 1, def 2, rep 1, required
leaf int m.key_value.value.a = m.value.a: group 2, def 4, rep 1
`},
		{"what has no values is left out", "a void, v variant, s struct<b void>, t struct<c void, d int>, l array<variant>, e int", `node struct t: group 0, child 1, def 1, rep 0
leaf int t.d = t.d: group 1, def 2, rep 0
leaf int e = e: group 0, def 1, rep 0
`},
	} {
		l, err := NewLayout(parse(t, tt.schema))
		if err != nil {
			t.Fatal(tt.name, err)
		}
		if d := cmp.Diff(tt.want, describe(l)); d != "" {
			t.Errorf("%s (-want +got): %s", tt.name, d)
		}
	}
}

func TestLayoutColumn(t *testing.T) {
	l, err := NewLayout(parse(t, "a int, s struct<b int, c int>"))
	if err != nil {
		t.Fatal(err)
	}
	if c := l.Column("s"); c == nil || c.Node != 0 || len(c.Kids) != 2 || c.Kids[1].Leaf != 2 {
		t.Errorf("column s is %+v", c)
	}
	if l.Column("S") != nil || l.Column("b") != nil {
		t.Error("a column is found by another spelling, or a field as a column")
	}
}

func TestLayoutIsRefused(t *testing.T) {
	deep := Primitive(Long)
	for range 60 {
		deep = ArrayOf(deep)
	}
	for _, tt := range []struct {
		name string
		typ  Type
		err  string
	}{
		{"levels would not fit their byte", deep, "nested too deep"},
		{"a map's key of several values", Type{Kind: Map, Key: &Type{Kind: Struct, Fields: []Field{Nullable("x", Primitive(Long))}},
			Element: &Type{Kind: Long}}, "a map's key is struct<x:bigint>"},
	} {
		if _, err := NewLayout(Of(Nullable("c", tt.typ))); err == nil || !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

func TestPhysicalTypes(t *testing.T) {
	// Spark's ParquetWriteSupport: decimals of up to 9 digits are INT32, up to 18 INT64, then the fewest bytes that hold them
	bytes := map[int]int{19: 9, 21: 9, 22: 10, 23: 10, 24: 11, 26: 11, 27: 12, 28: 12, 29: 13, 31: 13, 32: 14, 33: 14, 34: 15, 35: 15, 36: 16,
		38: 16}
	for p := 1; p <= 38; p++ {
		d := DecimalOf(p, 0)
		want := PhysFixed
		if p <= 9 {
			want = PhysInt32
		} else if p <= 18 {
			want = PhysInt64
		}
		if d.Physical() != want {
			t.Errorf("decimal(%d): %d", p, d.Physical())
		}
		if n, ok := bytes[p]; ok && d.FixedLen() != n {
			t.Errorf("decimal(%d) has %d bytes, want %d", p, d.FixedLen(), n)
		}
	}
}
