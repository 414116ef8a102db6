package avro

import (
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	twmb "github.com/twmb/avro"
	"pgregory.net/rapid"

	"github.com/siltlake/silt/internal/column"
)

type rapidDice struct{ t *rapid.T }

func (d rapidDice) IntN(n int) int { return rapid.IntRange(0, n-1).Draw(d.t, "n") }

// A target is Rows of a layout that several schemas share, and a program for each.
type target struct {
	layout   *column.Layout
	rows     *column.Rows
	column   *column.Tree
	uses     []genUse
	texts    []string
	library  []*twmb.Schema
	programs []*Program
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// newTarget makes a schema and up to three other versions of it.
func newTarget(t failer, g *generator, o Options) *target {
	t.Helper()
	x := &target{}
	first := g.use(3)
	x.uses = append(x.uses, first)
	for range g.IntN(4) {
		x.uses = append(x.uses, g.deriveUse(first, map[*genType]*genType{}))
	}
	schema := column.Of(column.Nullable("offset", column.Primitive(column.Long)))
	var schemas []*Schema
	for _, u := range x.uses {
		text := u.json(map[*genType]bool{})
		s, err := Parse(text, nil)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		merged, _, err := column.Merge(schema, column.Of(column.Nullable("parsedValue", s.Type())))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		schema = merged
		x.texts, x.library, schemas = append(x.texts, text), append(x.library, twmb.MustParse(text)), append(schemas, s)
	}
	var err error
	if x.layout, err = column.NewLayout(schema); err != nil {
		t.Fatalf("layout of %v: %v", schema, err)
	}
	x.rows = column.NewRows(x.layout)
	x.column = x.layout.Column("parsedValue")
	for i, s := range schemas {
		p, err := s.Bind(x.rows, x.column, o)
		if err != nil {
			t.Fatalf("%s: %v", x.texts[i], err)
		}
		x.programs = append(x.programs, p)
	}
	return x
}

// TestRowsHoldWhatWasEncoded walks records of several schemas into one layout, damaged ones between them, and reads all rows back.
func TestRowsHoldWhatWasEncoded(t *testing.T) {
	covered := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		g := newGenerator(rapidDice{t})
		x := newTarget(t, g, Options{CheckUTF8: g.oneIn(2)})
		x.uses[0].t.kinds(covered)
		block := column.NewBlock(x.layout, column.BlockOptions{Seed: 1})
		g.dice = seeded(rapid.Uint64().Draw(t, "seed of the values")) // rapid's own numbers would take most of the time
		for range 1 + g.IntN(3) {
			walkBlock(t, g, x, block)
		}
	})
	for _, k := range append(leafKinds, "record", "array", "map", "null") {
		if covered[k] == 0 {
			t.Errorf("no schema had a %s, only %v", k, keys(covered))
		}
	}
}

func walkBlock(t *rapid.T, g *generator, x *target, block *column.Block) {
	type record struct {
		id, from, to int
		want         any
		bad          bool
	}
	var buf []byte
	var records []record
	for range g.IntN(24) {
		r := record{id: g.IntN(len(x.uses)), from: len(buf)}
		v := g.value(x.uses[r.id])
		buf = g.encode(buf, x.uses[r.id], v)
		r.want, r.to = want(x.uses[r.id], v, x.column), len(buf)
		compareWithTwmb(t, x.library[r.id], buf[r.from:r.to], x.uses[r.id], v)
		if r.to > r.from && g.oneIn(4) {
			r.bad, r.to = true, r.from+g.IntN(r.to-r.from)
			if g.oneIn(2) {
				buf = buf[:r.to]
			}
		} else if g.oneIn(5) {
			buf = append(buf, "trailing"...)
			r.to = len(buf)
		}
		records = append(records, r)
	}
	buf = append(buf, make([]byte, column.Slack)...)
	var wants []any
	for _, r := range records {
		before, p := pictureOf(x.rows), x.programs[r.id]
		ok := p.Walk(buf, r.from, r.to)
		if ok == r.bad {
			t.Fatalf("schema %s, record %x: bad is %v, the walk says %v, %v", x.texts[r.id], buf[r.from:r.to], r.bad, ok, p.Fault())
		}
		if ok && !g.oneIn(6) { // a good row may be cut back as well: the key, say, may be bad
			x.rows.AddRow()
			wants = append(wants, r.want)
			continue
		}
		x.rows.CutBack()
		if d := diff(before, pictureOf(x.rows)); d != "" {
			t.Fatalf("schema %s, record %x left a trace: %s", x.texts[r.id], buf[r.from:r.to], d)
		}
	}
	for i, w := range wants {
		if d := diff(w, got(x.rows, buf, x.column, i)); d != "" {
			t.Fatalf("schemas %s, row %d: %s", strings.Join(x.texts, "\n"), i, d)
		}
	}
	block.Append(buf, x.rows)
	for _, p := range x.programs {
		p.Learn()
	}
	if d := diff(pictureOf(column.NewRows(x.layout)), pictureOf(x.rows)); d != "" {
		t.Fatalf("Append left a trace: %s", d)
	}
}

// compareWithTwmb checks the generator itself: the library must read the same value from the bytes.
func compareWithTwmb(t *rapid.T, s *twmb.Schema, b []byte, u genUse, v any) {
	var x any
	if _, err := s.Decode(b, &x); err != nil {
		t.Fatalf("%s: %x: %v", s, b, err)
	}
	if d := diff(plain(u, v), plainTwmb(u, x)); d != "" {
		t.Fatalf("%s: %x: %s", s, b, d)
	}
}

// plain makes maps of map entries and texts of numbers.
func plain(u genUse, v any) any {
	switch v := v.(type) {
	case []any:
		list := []any{}
		for _, x := range v {
			list = append(list, plain(u.t.item, x))
		}
		return list
	case []entry:
		m := map[string]any{}
		for _, e := range v {
			m[e.key] = plain(u.t.item, e.value)
		}
		return m
	case map[string]any:
		m := map[string]any{}
		for _, f := range u.t.fields {
			m[f.name] = plain(f.use, v[strings.ToLower(f.name)])
		}
		return m
	case *big.Int:
		return v.String()
	case int64:
		if u.t.kind == "enum" {
			return u.t.symbols[v]
		}
	}
	return v
}

func plainTwmb(u genUse, v any) any {
	switch v := v.(type) {
	case []any:
		list := []any{}
		for _, x := range v {
			list = append(list, plainTwmb(u.t.item, x))
		}
		return list
	case map[string]any:
		m := map[string]any{}
		for k, x := range v {
			use := u.t.item
			for _, f := range u.t.fields {
				if f.name == k {
					use = f.use
				}
			}
			m[k] = plainTwmb(use, x)
		}
		return m
	case bool:
		if v {
			return int64(1)
		}
		return int64(0)
	case int32:
		return int64(v)
	case float32:
		return int64(math.Float32bits(v))
	case float64:
		return int64(math.Float64bits(v))
	case []byte:
		return string(v)
	case time.Time:
		switch u.t.kind {
		case "date":
			return v.Unix() / 86400
		case "timestamp-millis":
			return v.UnixMilli()
		}
		return v.UnixMicro()
	case *big.Rat:
		n := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(u.t.scale)), nil)
		r := new(big.Rat).Mul(v, new(big.Rat).SetInt(n))
		return r.Num().String()
	case json.Number:
		r, _ := new(big.Rat).SetString(v.String())
		return plainTwmb(u, r)
	}
	return v
}
