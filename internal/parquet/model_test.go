package parquet

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"

	"github.com/siltlake/silt/internal/column"
)

// The tests' own model of rows. A value is nil, an int64 (all kinds that lie in Leaf.Ints), a []byte, a [16]byte (wide decimals), or a
// []any: a struct's fields, an array's items, a map's keys and values in turn.

// A filler is phase 1 of decoding with values in place of records.
type filler struct {
	rows *column.Rows
	buf  []byte
}

func newFiller(l *column.Layout) *filler { return &filler{rows: column.NewRows(l)} }

func (w *filler) row(values []any) {
	root := w.rows.Groups[0]
	for i, t := range w.rows.Layout.Tree {
		w.put(t, root.N, values[i])
	}
	w.rows.AddRow()
}

func (w *filler) put(t *column.Tree, slot int, v any) {
	if t.Leaf >= 0 {
		f := w.rows.Leaves[t.Leaf]
		switch v := v.(type) {
		case nil:
			f.Valid[slot] = 0
		case int64:
			f.Ints[slot] = v
		case [16]byte:
			f.Wide[slot] = v
		case []byte:
			f.Spans[slot] = column.Span{Off: uint32(len(w.buf)), Len: uint32(len(v))}
			w.buf = append(w.buf, v...)
		}
		return
	}
	n := w.rows.Nodes[t.Node]
	if v == nil {
		n.Null(slot)
		return
	}
	items := v.([]any)
	if t.Type.Kind == column.Struct {
		w.slot(n.Child, t.Kids, items)
		return
	}
	n.Lens[slot] = int32(len(items) / len(t.Kids))
	for i := 0; i < len(items); i += len(t.Kids) {
		w.slot(n.Child, t.Kids, items[i:i+len(t.Kids)])
	}
}

func (w *filler) slot(g *column.Group, kids []*column.Tree, values []any) {
	if g.N == g.Cap {
		g.Grow(g.N + 1)
	}
	for i, k := range kids {
		w.put(k, g.N, values[i])
	}
	g.N++
}

// flush appends the rows to the file.
func (w *filler) flush(f *File) ([]column.Invalid, error) {
	buf := append(w.buf, make([]byte, column.Slack)...)
	invalid := f.Block().Append(buf, w.rows)
	w.buf = w.buf[:0]
	return invalid, f.EndBlock()
}

// A failer is what of testing.TB and *rapid.T helpers need.
type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// write writes the rows, in blocks of at most blockRows, and closes the file.
func write(t failer, f *File, out *bytes.Buffer, rows [][]any, blockRows int) Stats {
	t.Helper()
	w := newFiller(f.layout)
	for _, r := range rows {
		w.row(r)
		if w.rows.Full() || w.rows.Len() >= blockRows {
			if _, err := w.flush(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := w.flush(f); err != nil {
		t.Fatal(err)
	}
	s, err := f.Close()
	if err != nil {
		t.Fatal(err)
	}
	if s.Bytes != int64(out.Len()) || s.Rows != int64(len(rows)) {
		t.Fatalf("stats say %d bytes, %d rows; written were %d and %d", s.Bytes, s.Rows, out.Len(), len(rows))
	}
	return s
}

// writeFile writes a file of the rows.
func writeFile(t failer, l *column.Layout, o Options, rows [][]any, blockRows int) ([]byte, Stats) {
	t.Helper()
	var out bytes.Buffer
	s := write(t, NewFile(&out, l, o), &out, rows, blockRows)
	return out.Bytes(), s
}

func layout(t failer, s column.Schema) *column.Layout {
	t.Helper()
	l, err := column.NewLayout(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// An entry is a leaf's value with its levels.
type entry struct {
	rep, def uint8
	value    any
}

// A shredder makes entries the plain way, by recursion.
type shredder struct {
	layout *column.Layout
	leaves [][]entry
	nulls  []int64 // by node: entries without it
}

func shred(l *column.Layout, rows [][]any) *shredder {
	s := &shredder{layout: l, leaves: make([][]entry, len(l.Leaves)), nulls: make([]int64, len(l.Nodes))}
	for _, r := range rows {
		for i, t := range l.Tree {
			s.value(t, r[i], 0, 0)
		}
	}
	return s
}

// value adds v, whose ancestors are there: def is their level.
func (s *shredder) value(t *column.Tree, v any, rep, def uint8) {
	if t.Leaf >= 0 {
		if v != nil {
			def = s.layout.Leaves[t.Leaf].Def
		}
		s.leaves[t.Leaf] = append(s.leaves[t.Leaf], entry{rep, def, v})
		return
	}
	items, _ := v.([]any)
	n := s.layout.Nodes[t.Node]
	switch {
	case v == nil:
		s.none(t, rep, def, true)
	case t.Type.Kind == column.Struct:
		for i, k := range t.Kids {
			s.value(k, items[i], rep, n.Def)
		}
	case len(items) == 0:
		s.none(t, rep, n.Def, false)
	}
	if v == nil || t.Type.Kind == column.Struct {
		return
	}
	for i := 0; i < len(items); i += len(t.Kids) {
		for j, k := range t.Kids {
			s.value(k, items[i+j], rep, n.Def+1)
		}
		rep = n.Rep
	}
}

// none adds an entry without value to every leaf at or below t; null says that t itself is missing.
func (s *shredder) none(t *column.Tree, rep, def uint8, null bool) {
	if t.Leaf >= 0 {
		s.leaves[t.Leaf] = append(s.leaves[t.Leaf], entry{rep, def, nil})
		return
	}
	if null {
		s.nulls[t.Node]++
	}
	for _, k := range t.Kids {
		s.none(k, rep, def, true)
	}
}

// bounds are the least and greatest of a leaf's values, as LeafStats has them.
func (s *shredder) bounds(leaf int) LeafStats {
	var b LeafStats
	t := s.layout.Leaves[leaf].Type
	for _, e := range s.leaves[leaf] {
		switch v := e.value.(type) {
		case nil:
			b.Nulls++
		case int64:
			if t.Kind == column.Float || t.Kind == column.Double {
				x := math.Float64frombits(uint64(v))
				if t.Kind == column.Float {
					x = float64(math.Float32frombits(uint32(v)))
				}
				if math.IsNaN(x) {
					b.NaN = true
					continue
				}
				if !b.HasBounds || x < b.Float[0] || x == 0 && b.Float[0] == 0 {
					b.Float[0] = x
					if x == 0 {
						b.Float[0] = math.Copysign(0, -1)
					}
				}
				if !b.HasBounds || x > b.Float[1] || x == 0 && b.Float[1] == 0 {
					b.Float[1] = x
					if x == 0 {
						b.Float[1] = 0
					}
				}
				b.HasBounds = true
				continue
			}
			if !b.HasBounds || v < b.Int[0] {
				b.Int[0] = v
			}
			if !b.HasBounds || v > b.Int[1] {
				b.Int[1] = v
			}
			b.HasBounds = true
		case []byte:
			if !b.HasBounds || string(v) < string(b.Bytes[0]) {
				b.Bytes[0] = v
			}
			if !b.HasBounds || string(v) > string(b.Bytes[1]) {
				b.Bytes[1] = v
			}
			b.HasBounds = true
		case [16]byte:
			w := v[16-t.FixedLen():]
			if !b.HasBounds || bigLess(w, b.Bytes[0]) {
				b.Bytes[0] = w
			}
			if !b.HasBounds || bigLess(b.Bytes[1], w) {
				b.Bytes[1] = w
			}
			b.HasBounds = true
		}
	}
	return b
}

// widened is a decimal in 16 bytes.
func widened(v []byte) (w [16]byte) {
	for i := range 16 - len(v) {
		w[i] = byte(int8(v[0]) >> 7)
	}
	copy(w[16-len(v):], v)
	return w
}

// bigLess compares two's complement numbers by making them unsigned.
func bigLess(a, b []byte) bool {
	x, y := bytes.Clone(a), bytes.Clone(b)
	x[0] ^= 0x80
	y[0] ^= 0x80
	return string(x) < string(y)
}

// A maker makes random schemas and values.
type maker struct {
	*rand.Rand
	nullPercent int
	texts       [][]byte // few: dictionaries; nil: all different
	calendar    bool     // dates and timestamps lie between the years 1 and 9999
}

var kinds = []column.Kind{column.Boolean, column.Integer, column.Long, column.Float, column.Double, column.String, column.Binary,
	column.Date,
	column.Timestamp, column.Decimal, column.Byte, column.Short, column.TimestampNTZ}

func (m *maker) typ(depth int) column.Type {
	if depth > 0 {
		switch m.IntN(6) {
		case 0:
			return column.StructOf(m.fields(1+m.IntN(3), depth-1)...)
		case 1:
			return column.ArrayOf(m.typ(depth - 1))
		case 2:
			return column.MapOf(m.typ(depth - 1))
		}
	}
	k := kinds[m.IntN(len(kinds))]
	if k == column.Decimal {
		p := 1 + m.IntN(38)
		return column.DecimalOf(p, m.IntN(p+1))
	}
	return column.Primitive(k)
}

func (m *maker) fields(n, depth int) []column.Field {
	fields := make([]column.Field, n)
	for i := range fields {
		fields[i] = column.Nullable(fmt.Sprintf("f%d", i), m.typ(depth))
	}
	return fields
}

func (m *maker) row(s column.Schema) []any {
	r := make([]any, len(s.Fields))
	for i, f := range s.Fields {
		r[i] = m.value(f.Type)
	}
	return r
}

func (m *maker) value(t column.Type) any {
	if m.IntN(100) < m.nullPercent {
		return nil
	}
	switch t.Kind {
	case column.Struct:
		return m.row(column.Schema{Fields: t.Fields})
	case column.Array:
		items := make([]any, m.size())
		for i := range items {
			items[i] = m.value(*t.Element)
		}
		return items
	case column.Map:
		var items []any
		for i := range m.size() {
			items = append(items, fmt.Appendf(nil, "k%d", i), m.value(*t.Element))
		}
		if items == nil {
			items = []any{}
		}
		return items
	case column.String:
		return m.text()
	case column.Binary:
		b := make([]byte, m.IntN(20))
		for i := range b {
			b[i] = byte(m.Uint32())
		}
		return b
	}
	return m.number(t)
}

func (m *maker) size() int {
	if m.IntN(50) == 0 {
		return m.IntN(300)
	}
	return m.IntN(5)
}

func (m *maker) text() []byte {
	if m.texts != nil {
		return m.texts[m.IntN(len(m.texts))]
	}
	b := fmt.Appendf(nil, "é%x", m.Uint64())
	for range m.IntN(8) {
		b = append(b, "0123456789abcdef"...)
	}
	return b[:2+m.IntN(len(b)-1)]
}

func (m *maker) number(t column.Type) any {
	wide := m.IntN(4) > 0 // else of a small range
	switch t.Kind {
	case column.Boolean:
		return int64(m.IntN(2))
	case column.Byte:
		return int64(int8(m.Uint32()))
	case column.Short:
		return int64(int16(m.Uint32()))
	case column.Integer, column.Date:
		if t.Kind == column.Date && m.calendar {
			return int64(m.IntN(600_000)) - 300_000
		}
		if m.nullPercent%2 == 0 { // files with and without a dictionary of numbers
			return int64(m.IntN(5000)) - 100
		}
		return int64(int32(m.Uint32()))
	case column.Float:
		return int64(math.Float32bits(float32(m.float())))
	case column.Double:
		return int64(math.Float64bits(m.float()))
	case column.Decimal:
		if t.Precision > 18 {
			return m.decimal(t.Precision)
		}
		limit := int64(math.Pow10(t.Precision))
		return m.Int64N(2*limit-1) - limit + 1
	}
	if t.Kind != column.Long && m.calendar {
		return m.Int64N(2*25e15) - 25e15
	}
	if wide {
		return int64(m.Uint64())
	}
	return 1_700_000_000_000_000 + m.Int64N(1000)
}

// decimal makes a number of at most so many digits, two's complement.
func (m *maker) decimal(digits int) (v [16]byte) {
	x := new(big.Int)
	for range 1 + m.IntN(digits) {
		x.Add(x.Mul(x, big.NewInt(10)), big.NewInt(int64(m.IntN(10))))
	}
	if m.IntN(2) == 0 {
		x.Neg(x).Add(x, new(big.Int).Lsh(big.NewInt(1), 128))
	}
	if x.BitLen() > 128 { // minus zero
		return v
	}
	x.FillBytes(v[:])
	return v
}

func (m *maker) float() float64 {
	switch m.IntN(12) {
	case 0:
		return math.NaN()
	case 1:
		return math.Inf(1 - 2*m.IntN(2))
	case 2:
		return 0
	case 3:
		return math.Copysign(0, -1)
	}
	return m.NormFloat64() * 1e3
}
