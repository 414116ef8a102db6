package column

import (
	"fmt"
	"slices"
	"testing"
)

func TestARunMayBeAConstant(t *testing.T) {
	l, err := NewLayout(Of(Nullable("topic", Primitive(String)), Nullable("n", Primitive(Long))))
	if err != nil {
		t.Fatal(err)
	}
	rows, block := NewRows(l), NewBlock(l, BlockOptions{Seed: 7})
	topic := rows.Leaves[0]
	topic.Run = true
	a, long := rows.AddConstant([]byte("a")), rows.AddConstant([]byte("a-topic-name-of-more-than-sixteen-bytes"))
	buf := append([]byte("in-the-buffer"), make([]byte, Slack)...)
	for _, s := range []Span{a, a, long, {0, 13}, a} {
		topic.Spans[0] = s
		for range 3 {
			rows.AddRow()
		}
		block.Append(buf, rows)
	}
	c := block.Columns[0]
	want := []Run{{0, 6}, {1, 3}, {2, 3}, {0, 3}} // neighbours that are equal are one run
	if !slices.Equal(c.Runs, want) {
		t.Errorf("got %v, want %v", c.Runs, want)
	}
	for i, name := range []string{"a", "a-topic-name-of-more-than-sixteen-bytes", "in-the-buffer"} {
		if got := string(c.Strings.Entry(i)); got != name {
			t.Errorf("entry %d is %q, want %q", i, got, name)
		}
	}
}

func TestADictionaryOfRunsIsNeverGivenUp(t *testing.T) {
	l, err := NewLayout(Of(Nullable("topic", Primitive(String))))
	if err != nil {
		t.Fatal(err)
	}
	rows, block := NewRows(l), NewBlock(l, BlockOptions{})
	rows.Leaves[0].Run = true
	for i := range 2 * 4096 { // all distinct: a column of values would drop its dictionary
		v := append(fmt.Appendf(nil, "topic-%d", i), make([]byte, Slack)...)
		rows.Leaves[0].Spans[0] = Span{0, uint32(len(v) - Slack)}
		rows.AddRow()
		block.Append(v, rows)
	}
	if c := block.Columns[0]; c.Strings.GivenUp || c.Strings.Len() != 2*4096 || len(c.Runs) != 2*4096 {
		t.Errorf("given up %v, %d entries, %d runs", c.Strings.GivenUp, c.Strings.Len(), len(c.Runs))
	}
}
