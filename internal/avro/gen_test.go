package avro

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/siltlake/silt/internal/column"
)

// The generator makes schemas, values of them, and the values' bytes, from dice: rapid's in property tests, a seed's in fuzz targets. It
// shares no code with the package: a value is what the columns must hold in the end.

type dice interface{ IntN(n int) int }

func seeded(seed uint64) dice { return rand.New(rand.NewPCG(seed, 0)) }

// A genType is an Avro type; named ones may be used several times.
type genType struct {
	kind             string // the Avro type, or the logical type
	name             string // record, enum, fixed
	fields           []genField
	item             genUse
	size             int // fixed
	precision, scale int
	symbols          []string
}

type genField struct {
	name string
	use  genUse
}

// A genUse is a type behind a union or not.
type genUse struct {
	t     *genType
	union string // "", "null first", "null last", "alone"
}

type generator struct {
	dice
	names     int
	pool      []*genType // named types that are complete
	nullShare int        // percent
}

func newGenerator(d dice) *generator {
	return &generator{dice: d, nullShare: []int{0, 1, 10, 50, 90}[d.IntN(5)]}
}

func (g *generator) oneIn(n int) bool { return g.IntN(n) == 0 }

func (g *generator) name(prefix string) string {
	g.names++
	return fmt.Sprintf("%s%d", prefix, g.names)
}

func (g *generator) use(depth int) genUse {
	return genUse{g.typ(depth), []string{"", "", "null first", "null first", "null last", "alone"}[g.IntN(6)]}
}

var leafKinds = []string{"string", "string", "string", "int", "int", "long", "long", "boolean", "float", "double", "bytes", "uuid", "date",
	"timestamp-millis",
	"timestamp-micros", "enum", "fixed", "decimal", "fixed decimal"}

func (g *generator) typ(depth int) *genType {
	if len(g.pool) > 0 && g.oneIn(8) {
		return g.pool[g.IntN(len(g.pool))]
	}
	if depth > 0 {
		switch g.IntN(8) {
		case 0, 1:
			return g.record(depth - 1)
		case 2:
			return &genType{kind: "array", item: g.use(depth - 1)}
		case 3:
			return &genType{kind: "map", item: g.use(depth - 1)}
		}
	}
	t := &genType{kind: leafKinds[g.IntN(len(leafKinds))]}
	switch t.kind {
	case "enum":
		t.name = g.name("Enum")
		for i := range 1 + g.IntN(80) { // indices of two bytes, too
			t.symbols = append(t.symbols, strings.Repeat("S", 1+i%20)+fmt.Sprint(i))
		}
	case "fixed":
		t.name, t.size = g.name("Fixed"), 1+g.IntN(40)
	case "decimal", "fixed decimal":
		t.precision = 1 + g.IntN(38)
		t.scale = g.IntN(t.precision + 1)
		if t.kind == "fixed decimal" {
			t.name, t.size = g.name("Fixed"), (t.precision*3322/1000+1)/8+1+g.IntN(4)
		}
	}
	if t.name != "" {
		g.pool = append(g.pool, t)
	}
	return t
}

func (g *generator) record(depth int) *genType {
	t := &genType{kind: "record", name: g.name("Record")}
	for range 1 + g.IntN(6) {
		f := genField{g.name("f"), g.use(depth)}
		if g.oneIn(12) {
			f.use = genUse{t: &genType{kind: "null"}}
		}
		t.fields = append(t.fields, f)
	}
	if !slices.ContainsFunc(t.fields, func(f genField) bool { return f.use.t.kind != "null" }) {
		t.fields = append(t.fields, genField{g.name("f"), genUse{t: &genType{kind: "int"}}})
	}
	g.pool = append(g.pool, t)
	return t
}

// derive returns a type as another version of the schema may have it: fields left out, moved and spelled in another case, other unions.
func (g *generator) derive(t *genType, done map[*genType]*genType) *genType {
	if d := done[t]; d != nil {
		return d
	}
	d := *t
	switch t.kind {
	case "array", "map":
		d.item = g.deriveUse(t.item, done)
	case "record":
		d.name, d.fields = g.name("Record"), nil
		for _, f := range t.fields {
			if g.oneIn(4) {
				continue
			}
			n := genField{f.name, g.deriveUse(f.use, done)}
			if g.oneIn(3) {
				n.name = strings.ToUpper(n.name)
			}
			d.fields = append(d.fields, n)
		}
		if !slices.ContainsFunc(d.fields, func(f genField) bool { return f.use.t.kind != "null" }) {
			d.fields = append(d.fields, genField{g.name("f"), genUse{t: &genType{kind: "long"}}})
		}
		for i := range d.fields {
			k := g.IntN(i + 1)
			d.fields[i], d.fields[k] = d.fields[k], d.fields[i]
		}
	}
	done[t] = &d
	return &d
}

func (g *generator) deriveUse(u genUse, done map[*genType]*genType) genUse {
	n := genUse{g.derive(u.t, done), u.union}
	if u.t.kind != "null" && g.oneIn(4) {
		n.union = []string{"", "null first", "null last", "alone"}[g.IntN(4)]
	}
	return n
}

// json writes the schema; a named type that was written before is a name.
func (u genUse) json(written map[*genType]bool) string {
	s := u.t.json(written)
	switch u.union {
	case "null first":
		return `["null",` + s + `]`
	case "null last":
		return `[` + s + `,"null"]`
	case "alone":
		return `[` + s + `]`
	}
	return s
}

func (t *genType) json(written map[*genType]bool) string {
	if t.name != "" {
		if written[t] {
			return `"` + t.name + `"`
		}
		written[t] = true
	}
	switch t.kind {
	case "record":
		var fields []string
		for _, f := range t.fields {
			fields = append(fields, fmt.Sprintf(`{"name":%q,"type":%s}`, f.name, f.use.json(written)))
		}
		return fmt.Sprintf(`{"type":"record","name":%q,"fields":[%s]}`, t.name, strings.Join(fields, ","))
	case "array":
		return `{"type":"array","items":` + t.item.json(written) + `}`
	case "map":
		return `{"type":"map","values":` + t.item.json(written) + `}`
	case "enum":
		return fmt.Sprintf(`{"type":"enum","name":%q,"symbols":["%s"]}`, t.name, strings.Join(t.symbols, `","`))
	case "fixed":
		return fmt.Sprintf(`{"type":"fixed","name":%q,"size":%d}`, t.name, t.size)
	case "uuid":
		return `{"type":"string","logicalType":"uuid"}`
	case "date":
		return `{"type":"int","logicalType":"date"}`
	case "timestamp-millis", "timestamp-micros":
		return fmt.Sprintf(`{"type":"long","logicalType":%q}`, t.kind)
	case "decimal":
		return fmt.Sprintf(`{"type":"bytes","logicalType":"decimal","precision":%d,"scale":%d}`, t.precision, t.scale)
	case "fixed decimal":
		return fmt.Sprintf(`{"type":"fixed","name":%q,"size":%d,"logicalType":"decimal","precision":%d,"scale":%d}`, t.name, t.size, t.precision,
			t.scale)
	}
	return `"` + t.kind + `"`
}

// Values are: nil; int64 (also booleans, enum indices, bits of floating points), string (also bytes), *big.Int (unscaled decimals), []any
// (arrays), []entry (maps), map[string]any (records, by the field's name in lower case).
type entry struct {
	key   string
	value any
}

func (g *generator) value(u genUse) any {
	if strings.HasPrefix(u.union, "null") && g.IntN(100) < g.nullShare {
		return nil
	}
	switch t := u.t; t.kind {
	case "int", "date":
		return g.number(32)
	case "long", "timestamp-micros":
		return g.number(64)
	case "timestamp-millis":
		return g.number(54)
	case "boolean":
		return int64(g.IntN(2))
	case "float":
		return g.number(32) & math.MaxUint32
	case "double":
		return g.number(64)
	case "string", "bytes", "uuid":
		return g.text()
	case "enum":
		return int64(g.IntN(len(t.symbols)))
	case "fixed":
		return strings.Repeat(string(rune('a'+g.IntN(26))), t.size)
	case "decimal", "fixed decimal":
		digits := 1 + g.IntN(t.precision)
		v := new(big.Int)
		for range digits {
			v.Add(v.Mul(v, big.NewInt(10)), big.NewInt(int64(g.IntN(10))))
		}
		if g.oneIn(2) {
			v.Neg(v)
		}
		return v
	case "array":
		list := []any{}
		for range g.items(t.item) {
			list = append(list, g.value(t.item))
		}
		return list
	case "map":
		list := []entry{}
		for i := range g.items(t.item) {
			list = append(list, entry{g.text() + fmt.Sprint(i), g.value(t.item)})
		}
		return list
	case "record":
		r := map[string]any{}
		for _, f := range t.fields {
			r[strings.ToLower(f.name)] = g.value(f.use)
		}
		return r
	}
	return nil
}

// items is how many items a list has; a few lists need their group to grow.
func (g *generator) items(u genUse) int {
	if u.t.item.t == nil && len(u.t.fields) < 3 && g.oneIn(40) {
		return 300
	}
	return []int{0, 0, 1, 1, 2, 3, 7}[g.IntN(7)]
}

// number returns a signed number of any magnitude up to the bits.
func (g *generator) number(width int) int64 {
	v := int64(g.IntN(1<<31))<<32 ^ int64(g.IntN(1<<31))<<1 ^ int64(g.IntN(2))
	return v << (64 - width) >> (64 - width) >> g.IntN(width)
}

func (g *generator) text() string {
	s := []string{"", "a", "status", "Ж", "naïve", "12345678", "123456789", "GET /index.html"}[g.IntN(8)]
	if g.oneIn(10) {
		s = strings.Repeat("xyzé", g.IntN(60)) // lengths of two bytes
	}
	if g.oneIn(200) {
		s = strings.Repeat("0123456789abcdef", 600) // of three
	}
	return s
}

// appendLong writes a number; long says that the form may be longer than needed, as some writers' are.
func (g *generator) appendLong(b []byte, v int64, long bool) []byte {
	b = binary.AppendVarint(b, v)
	if long && g.oneIn(40) {
		b[len(b)-1] |= 0x80
		b = append(b, 0)
	}
	return b
}

func (g *generator) encode(b []byte, u genUse, v any) []byte {
	switch {
	case u.union == "null first" && v == nil, u.union == "null last" && v != nil, u.union == "alone":
		b = g.appendLong(b, 0, true)
	case u.union != "":
		b = g.appendLong(b, 1, true)
	}
	if v == nil {
		return b
	}
	switch t := u.t; t.kind {
	case "boolean":
		return append(b, byte(v.(int64)))
	case "float":
		return binary.LittleEndian.AppendUint32(b, uint32(v.(int64)))
	case "double":
		return binary.LittleEndian.AppendUint64(b, uint64(v.(int64)))
	case "string", "bytes", "uuid":
		return append(g.appendLong(b, int64(len(v.(string))), true), v.(string)...)
	case "fixed":
		return append(b, v.(string)...)
	case "decimal":
		w := twosComplement(v.(*big.Int), g.IntN(3))
		return append(binary.AppendVarint(b, int64(len(w))), w...)
	case "fixed decimal":
		w := twosComplement(v.(*big.Int), 0)
		return append(b, twosComplement(v.(*big.Int), t.size-len(w))...)
	case "array":
		list := v.([]any)
		return g.blocks(b, len(list), func(b []byte, i int) []byte { return g.encode(b, t.item, list[i]) })
	case "map":
		list := v.([]entry)
		return g.blocks(b, len(list), func(b []byte, i int) []byte {
			b = append(g.appendLong(b, int64(len(list[i].key)), true), list[i].key...)
			return g.encode(b, t.item, list[i].value)
		})
	case "record":
		for _, f := range t.fields {
			b = g.encode(b, f.use, v.(map[string]any)[strings.ToLower(f.name)])
		}
		return b
	}
	return g.appendLong(b, v.(int64), false)
}

// blocks writes items in one or several blocks, some with their size.
func (g *generator) blocks(b []byte, n int, item func(b []byte, i int) []byte) []byte {
	for i := 0; i < n; {
		k := n - i
		if g.oneIn(3) {
			k = 1 + g.IntN(k)
		}
		var items []byte
		for range k {
			items = item(items, i)
			i++
		}
		if g.oneIn(3) {
			b = binary.AppendVarint(b, int64(-k))
			b = binary.AppendVarint(b, int64(len(items)))
		} else {
			b = binary.AppendVarint(b, int64(k))
		}
		b = append(b, items...)
	}
	return append(b, 0)
}

// twosComplement writes v big-endian, in the fewest bytes and extra ones.
func twosComplement(v *big.Int, extra int) []byte {
	n := v.BitLen()/8 + 1
	if m := new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), uint(8*(n-1)))); n > 1 && v.Sign() < 0 && v.Cmp(new(big.Int).Rsh(m, 1)) >= 0 {
		n--
	}
	n += extra
	if v.Sign() < 0 {
		v = new(big.Int).Add(v, new(big.Int).Lsh(big.NewInt(1), uint(8*n)))
	}
	return v.FillBytes(make([]byte, n))
}

// want returns what the tree must hold of the value: names in the tree's spelling, null for what the schema lacks.
func want(u genUse, v any, t *column.Tree) any {
	if v == nil {
		return nil
	}
	switch k := u.t; k.kind {
	case "enum":
		return k.symbols[v.(int64)]
	case "timestamp-millis":
		return v.(int64) * 1000
	case "decimal", "fixed decimal":
		return v.(*big.Int).String()
	case "array":
		list := []any{}
		for _, x := range v.([]any) {
			list = append(list, want(k.item, x, t.Kids[0]))
		}
		return list
	case "map":
		list := []entry{}
		for _, e := range v.([]entry) {
			list = append(list, entry{e.key, want(k.item, e.value, t.Kids[1])})
		}
		return list
	case "record":
		r := map[string]any{}
		for _, kid := range t.Kids {
			r[kid.Name] = nil
			for _, f := range k.fields {
				if strings.EqualFold(f.name, kid.Name) {
					r[kid.Name] = want(f.use, v.(map[string]any)[strings.ToLower(f.name)], kid)
				}
			}
		}
		return r
	}
	return v
}

// got reads a value out of Rows, slot by slot, the slow way.
func got(r *column.Rows, buf []byte, t *column.Tree, slot int) any {
	if t.Leaf >= 0 {
		f := r.Leaves[t.Leaf]
		switch {
		case f.Valid[slot] == 0:
			return nil
		case f.Spans != nil:
			s := f.Spans[slot]
			if s.Off>>31 != 0 {
				return string(r.Constants[s.Off&(1<<31-1):][:s.Len])
			}
			return string(buf[s.Off:][:s.Len])
		case f.Wide != nil:
			v := new(big.Int).SetBytes(f.Wide[slot][:])
			if f.Wide[slot][0] >= 0x80 {
				v.Sub(v, new(big.Int).Lsh(big.NewInt(1), 128))
			}
			return v.String()
		case f.Kind == column.Decimal:
			return fmt.Sprint(f.Ints[slot])
		}
		return f.Ints[slot]
	}
	k := r.Nodes[t.Node]
	if t.Type.Kind == column.Struct {
		if k.Valid[slot] == 0 {
			return nil
		}
		at := 0
		for _, v := range k.Valid[:slot] {
			at += int(v)
		}
		m := map[string]any{}
		for _, kid := range t.Kids {
			m[kid.Name] = got(r, buf, kid, at)
		}
		return m
	}
	if k.Lens[slot] < 0 {
		return nil
	}
	at := 0
	for _, n := range k.Lens[:slot] {
		at += max(0, int(n))
	}
	list, entries := []any{}, []entry{}
	for i := range int(k.Lens[slot]) {
		if t.Type.Kind == column.Array {
			list = append(list, got(r, buf, t.Kids[0], at+i))
			continue
		}
		key, _ := got(r, buf, t.Kids[0], at+i).(string)
		entries = append(entries, entry{key, got(r, buf, t.Kids[1], at+i)})
	}
	if t.Type.Kind == column.Array {
		return list
	}
	return entries
}

// A picture is everything of Rows that outlives a row that was cut back.
type picture struct {
	counts []int
	valid  []string
	lens   [][]int32
	ints   [][]int64
	spans  [][]column.Span
	wide   [][][16]byte
}

func pictureOf(r *column.Rows) (p picture) {
	for _, g := range r.Groups {
		p.counts = append(p.counts, g.N)
		valid := func(v []byte) {
			if ones := strings.Trim(string(v[g.N:]), "\x01"); ones != "" {
				p.valid = append(p.valid, "validity left behind")
			}
			p.valid = append(p.valid, string(v[:g.N]))
		}
		for _, f := range g.Leaves {
			valid(f.Valid)
			if f.Ints != nil {
				p.ints = append(p.ints, slices.Clone(f.Ints[:g.N]))
			}
			if f.Spans != nil {
				p.spans = append(p.spans, slices.Clone(f.Spans[:g.N]))
			}
			if f.Wide != nil {
				p.wide = append(p.wide, slices.Clone(f.Wide[:g.N]))
			}
		}
		for _, k := range g.Nodes {
			if k.Valid != nil {
				valid(k.Valid)
			} else {
				p.lens = append(p.lens, slices.Clone(k.Lens[:g.N]))
			}
		}
	}
	return p
}

// kinds counts the kinds of a type, for checks that a test covers them.
func (t *genType) kinds(count map[string]int) {
	count[t.kind]++
	for _, f := range t.fields {
		f.use.t.kinds(count)
	}
	if t.item.t != nil {
		t.item.t.kinds(count)
	}
}

func keys(m map[string]int) []string { return slices.Sorted(maps.Keys(m)) }

// diff is cmp.Diff, for which equal values cost little.
func diff(want, got any) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return cmp.Diff(want, got, cmp.AllowUnexported(entry{}, picture{}))
}
