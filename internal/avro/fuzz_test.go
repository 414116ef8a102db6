package avro

import (
	"errors"
	"testing"

	"github.com/siltlake/silt/internal/column"
)

// FuzzProgramAgainstBytes walks any bytes by programs of random schemas that share a layout: no panic, nothing read beyond the slack (the
// buffer ends there), no trace of a record that was refused, nothing but sound values of one that was taken.
func FuzzProgramAgainstBytes(f *testing.F) {
	for seed := range uint64(60) {
		g := newGenerator(seeded(seed))
		x := newTarget(f, g, Options{})
		var b []byte
		for range 3 {
			b = g.encode(b, x.uses[0], g.value(x.uses[0]))
		}
		f.Add(seed, b)
	}
	f.Fuzz(func(t *testing.T, seed uint64, b []byte) {
		g := newGenerator(seeded(seed))
		x := newTarget(t, g, Options{CheckUTF8: seed%3 == 1, KeepInvalidUTF8: seed%3 == 2})
		block := column.NewBlock(x.layout, column.BlockOptions{Seed: seed, KeepInvalidUTF8: seed%3 == 2})
		buf := paddedBy(b, byte(seed>>8))
		for from := 0; from <= len(b); from += 1 + len(b)/7 {
			for _, p := range x.programs {
				before := pictureOf(x.rows)
				if p.Walk(buf, from, len(b)) {
					x.rows.AddRow()
					got(x.rows, buf, x.column, x.rows.Len()-1)
					if x.rows.Full() {
						block.Append(buf, x.rows)
					}
					continue
				}
				if p.Fault().Reason == "" {
					t.Fatal("a fault without a reason")
				}
				x.rows.CutBack()
				if d := diff(before, pictureOf(x.rows)); d != "" {
					t.Fatalf("schema %v left a trace: %s", x.texts, d)
				}
			}
			if from%2 == 0 {
				block.Append(buf, x.rows)
				for _, p := range x.programs {
					p.Learn()
				}
			}
		}
	})
}

// FuzzSchemaText parses any text: no panic, an error of the two kinds, or a schema that can be laid out and bound.
func FuzzSchemaText(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(newGenerator(seeded(seed)).use(3).json(map[*genType]bool{}), `{"type":"enum","name":"n.E","symbols":["A"]}`)
	}
	f.Add(`{"type":"record","name":"n.R","fields":[{"name":"a","type":"E","default":1},{"name":"b","type":["null","R"]}]}`,
		`{"type":"enum","name":"n.E","symbols":["A"]}`)
	f.Add(repeated(5, 2), repeated(3, 3))
	f.Add(nested(40, "array"), "")
	f.Fuzz(func(t *testing.T, text, reference string) {
		for _, references := range [][]string{nil, {reference}} {
			s, err := Parse(text, references)
			if err != nil {
				u, i := (*UnsupportedError)(nil), (*InvalidError)(nil)
				if !errors.As(err, &u) && !errors.As(err, &i) {
					t.Fatalf("an error of another kind: %v", err)
				}
				continue
			}
			l, err := column.NewLayout(column.Of(column.Nullable("v", s.Type())))
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			rows := column.NewRows(l)
			p, err := s.Bind(rows, l.Tree[0], Options{})
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if buf := padded([]byte(reference)); !p.Walk(buf, 0, len(reference)) {
				rows.CutBack()
			}
		}
	})
}
