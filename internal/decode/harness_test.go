package decode

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/registry"
	"github.com/siltlake/silt/internal/stream"
)

// A texts is a registry: schemas by id, by text or by what it answers.
type texts map[int32]any

func (x texts) Schema(ctx context.Context, id int32) (registry.Schema, error) {
	switch v := x[id].(type) {
	case string:
		return registry.Schema{ID: id, Type: "AVRO", Text: v}, nil
	case registry.Schema:
		return v, nil
	case error:
		return registry.Schema{}, v
	}
	return registry.Schema{}, registry.ErrUnknownID
}

// A message is a record of a test; nil is null.
type message struct {
	key, value []byte
	ts         int64
}

// recordsOf lays messages out as a Source does, with noise between them, from offset first on.
func recordsOf(first int64, ms ...message) *stream.Records {
	r := &stream.Records{TopicPartition: stream.TopicPartition{Topic: "clicks", Partition: 3}}
	span := func(b []byte) stream.Span {
		if b == nil {
			return stream.Span{Len: -1}
		}
		r.Buf = append(r.Buf, 0xee)
		s := stream.Span{Off: uint32(len(r.Buf)), Len: int32(len(b))}
		r.Buf = append(r.Buf, b...)
		return s
	}
	for i, m := range ms {
		r.Offset, r.Timestamp = append(r.Offset, first+int64(i)), append(r.Timestamp, m.ts)
		r.Key, r.Value = append(r.Key, span(m.key)), append(r.Value, span(m.value))
	}
	r.Buf = append(r.Buf, make([]byte, column.Slack)...)[:len(r.Buf)]
	return r
}

// header begins a value of the schema id.
func header(id int32) []byte { return binary.BigEndian.AppendUint32([]byte{0}, uint32(id)) }

// avroOf encodes values one after the other as Avro does: numbers as varints, text and bytes with their length, doubles, booleans; nested
// slices are flat. A record is its fields, a union the branch as int and the value, a list blocks and 0.
func avroOf(vs ...any) []byte {
	var b []byte
	for _, v := range vs {
		switch v := v.(type) {
		case int:
			b = binary.AppendVarint(b, int64(v))
		case int64:
			b = binary.AppendVarint(b, v)
		case string:
			b = append(binary.AppendVarint(b, int64(len(v))), v...)
		case []byte:
			b = append(binary.AppendVarint(b, int64(len(v))), v...)
		case float64:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		case bool:
			b = append(b, map[bool]byte{true: 1}[v])
		case []any:
			b = append(b, avroOf(v...)...)
		default:
			panic(fmt.Sprintf("%T", v))
		}
	}
	return b
}

// value is a value of the schema id with Avro data.
func value(id int32, vs ...any) []byte { return append(header(id), avroOf(vs...)...) }

// A memory is a stream.Writer that keeps its rows as text, read back from the blocks at every Flush.
type memory struct {
	keep   bool // KeepInvalidUTF8
	schema column.Schema
	block  *column.Block
	files  []file
	blocks int   // calls of Block
	fail   error // what Block then gives
}

type file struct {
	schema column.Schema
	rows   []string
}

func (m *memory) Block(s column.Schema) (*column.Block, error) {
	if m.blocks++; m.fail != nil {
		return nil, m.fail
	}
	if m.block == nil || !s.Equal(m.schema) {
		l, err := column.NewLayout(s)
		if err != nil {
			return nil, err
		}
		m.schema, m.block = s, column.NewBlock(l, column.BlockOptions{KeepInvalidUTF8: m.keep, Seed: 1})
		m.files = append(m.files, file{schema: s})
	}
	return m.block, nil
}

func (m *memory) Flush() error {
	f := &m.files[len(m.files)-1]
	f.rows = append(f.rows, readBlock(m.block)...)
	m.block.ResetPage()
	return nil
}

func (m *memory) Close() error { return nil }

// rows are all rows, of all files.
func (m *memory) rows() (all []string) {
	for _, f := range m.files {
		all = append(all, f.rows...)
	}
	return all
}

// readBlock writes each row of the open page as text: naive, and with no code of the writer's.
func readBlock(b *column.Block) []string {
	leaves := make([][]string, len(b.Columns)) // by slot
	for i, c := range b.Columns {
		leaves[i] = readColumn(c)
	}
	rows := make([]string, b.Rows)
	for i := range rows {
		var parts []string
		for _, t := range b.Layout.Tree {
			parts = append(parts, t.Name+"="+readSlot(b, leaves, t, i))
		}
		rows[i] = strings.Join(parts, " ")
	}
	return rows
}

func readSlot(b *column.Block, leaves [][]string, t *column.Tree, slot int) string {
	if t.Leaf >= 0 {
		return leaves[t.Leaf][slot]
	}
	n := b.Nodes[t.Node]
	if t.Type.Kind == column.Struct {
		child := slot
		if n.Nulls {
			if n.Valid[slot] == 0 {
				return "null"
			}
			child = bytes.Count(n.Valid[:slot], []byte{1})
		}
		var parts []string
		for _, k := range t.Kids {
			parts = append(parts, k.Name+":"+readSlot(b, leaves, k, child))
		}
		return "{" + strings.Join(parts, " ") + "}"
	}
	if n.Lens[slot] < 0 {
		return "null"
	}
	first := 0
	for _, l := range n.Lens[:slot] {
		first += int(max(l, 0))
	}
	var parts []string
	for i := first; i < first+int(n.Lens[slot]); i++ {
		s := readSlot(b, leaves, t.Kids[0], i)
		if t.Type.Kind == column.Map {
			s += "->" + readSlot(b, leaves, t.Kids[1], i)
		}
		parts = append(parts, s)
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func readColumn(c *column.Column) []string {
	values := readValues(c)
	if len(values) != c.Values {
		panic(fmt.Sprintf("column %v has %d values and says %d", c.Leaf.Path, len(values), c.Values))
	}
	slots := make([]string, c.Slots)
	for i, next := 0, 0; i < c.Slots; i++ {
		if len(c.Valid) > 0 && c.Valid[i] == 0 {
			slots[i] = "null"
			continue
		}
		slots[i] = values[next]
		next++
	}
	return slots
}

func readValues(c *column.Column) (values []string) {
	text := func(b []byte) string {
		if c.Leaf.Type.Kind == column.Binary {
			return fmt.Sprintf("x%x", b)
		}
		return fmt.Sprintf("%q", b)
	}
	for _, r := range c.Runs {
		v := ""
		if c.Strings != nil {
			v = text(c.Strings.Entry(int(r.Index)))
		} else {
			v = fmt.Sprint(c.RunValues[r.Index])
		}
		values = append(values, slices.Repeat([]string{v}, r.N)...)
	}
	if c.Strings != nil {
		for _, e := range c.Strings.Indices {
			values = append(values, text(c.Strings.Entry(int(e))))
		}
		for p := c.Strings.Plain; len(p) > 0; {
			n := 4 + binary.LittleEndian.Uint32(p)
			values = append(values, text(p[4:n]))
			p = p[n:]
		}
	}
	for _, v := range c.Int32s {
		values = append(values, fmt.Sprint(v))
	}
	for _, v := range c.Int64s {
		values = append(values, fmt.Sprint(v))
	}
	switch c.Leaf.Type.Physical() {
	case column.PhysBoolean:
		for _, v := range c.Fixed {
			values = append(values, fmt.Sprint(v == 1))
		}
	case column.PhysDouble:
		for p := c.Fixed; len(p) > 0; p = p[8:] {
			values = append(values, fmt.Sprint(math.Float64frombits(binary.LittleEndian.Uint64(p))))
		}
	}
	return values
}

// showReport writes what a report says of its one or no partition.
func showReport(r stream.Report) string {
	var lines []string
	byName := func(a, b stream.TopicPartition) int { return strings.Compare(a.String(), b.String()) }
	for _, tp := range slices.SortedFunc(maps.Keys(r.Partitions), byName) {
		p := r.Partitions[tp]
		lines = append(lines, fmt.Sprintf("%s: rows %d rejected %s nulled %s", tp, p.Rows, showCounts(p.Rejected), showCounts(p.Nulled)))
	}
	lines = append(lines, "ids "+fmt.Sprint(slices.Sorted(maps.Keys(r.Schemas))))
	return strings.Join(lines, ", ")
}

func showCounts(m map[stream.Reason]int64) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s:%d", k, m[k]))
	}
	return "{" + strings.Join(parts, " ") + "}"
}

// showError writes the whole of an error block.
func showError(err error) string {
	if err == nil {
		return ""
	}
	s := fmt.Sprintf("exit %d: ", problem.ExitStatus(err))
	if re, ok := errors.AsType[*stream.RecordError](err); ok {
		s = fmt.Sprintf("exit %d, offset %d %s: ", problem.ExitStatus(err), re.Offset, re.Reason)
	}
	l := problem.Of(err)
	if len(l) == 0 {
		return s + err.Error()
	}
	return s + l[0].Error() + "\n    hint: " + l[0].Hint
}

// A run is what came of decoding.
type run struct {
	*memory
	report stream.Report
	err    error
}

// decodeAll decodes each Records by one decoder, until one fails.
func decodeAll(d *Decoding, table column.Schema, rs ...*stream.Records) run {
	out := run{memory: &memory{keep: d.o.KeepInvalidUTF8}}
	dec := d.Begin(table)()
	for _, r := range rs {
		if out.err = dec.Decode(context.Background(), r, out.memory); out.err != nil {
			break
		}
	}
	out.report = dec.Report()
	if out.block != nil && out.block.Rows > 0 { // what was appended before an error
		_ = out.Flush()
	}
	return out
}

// options are small options with the columns.
func options(m Mode, columns ...Column) Options {
	return Options{Columns: columns, KeyString: true, Mode: m, MaxRecordBytes: 1 << 20, MaxDepth: 64, MaxSchemasPerBatch: 64}
}

// stalled is a registry that is down: it waits for the end of the caller.
type stalled struct {
	once  sync.Once
	asked chan struct{}
}

func (s *stalled) Schema(ctx context.Context, id int32) (registry.Schema, error) {
	s.once.Do(func() { close(s.asked) })
	<-ctx.Done()
	return registry.Schema{}, ctx.Err()
}
