package delta

import (
	"encoding/binary"
	"math/big"
	"strconv"
	"time"
	"unicode/utf8"

	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/siltlake/silt/internal/column"
)

// parsedStats reads add.stats_parsed, the statistics as a struct of the table's own types, which some checkpoints have in place of the
// JSON text.
type parsedStats struct{ fields []*statsNode }

// A statsNode is a field of the struct: a leaf with a value, or a struct.
type statsNode struct {
	name string
	leaf *cursor
	// append appends the value of the leaf's row, ok = false if there is no text for it.
	append func(b []byte, v pq.Value) ([]byte, bool)
	kids   []*statsNode
}

// noValues says whether the column is missing or, by its statistics, null in every row.
func noValues(g *rowGroup, c *pq.Column) bool {
	if c == nil || !c.Leaf() || c.Index() < 0 || c.Index() >= len(g.meta) {
		return true
	}
	m := &g.meta[c.Index()].MetaData
	return m.NumValues > 0 && m.Statistics.NullCount == m.NumValues
}

// openParsedStats opens the struct's columns; nil if there are none.
func openParsedStats(g *rowGroup, c *pq.Column) (*parsedStats, error) {
	if c == nil {
		return nil, nil
	}
	fields, err := openStatsNodes(g, c)
	return &parsedStats{fields}, err
}

func openStatsNodes(g *rowGroup, c *pq.Column) ([]*statsNode, error) {
	var nodes []*statsNode
	for _, k := range c.Columns() {
		n := &statsNode{name: k.Name()}
		if k.Leaf() {
			if n.append = statsText(k.Type()); n.append == nil || k.MaxRepetitionLevel() > 0 {
				continue
			}
			leaf, err := g.leaf(k, k.Type().Kind())
			if err != nil {
				return nil, err
			}
			n.leaf = leaf
		} else {
			kids, err := openStatsNodes(g, k)
			if err != nil {
				return nil, err
			}
			n.kids = kids
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// json returns the current row's statistics as text, "" if there are none.
func (p *parsedStats) json() string {
	b, any := appendStatsNodes(nil, p.fields)
	if !any {
		return ""
	}
	return string(b)
}

func appendStatsNodes(b []byte, nodes []*statsNode) (_ []byte, any bool) {
	b = append(b, '{')
	for _, n := range nodes {
		from := len(b)
		if any {
			b = append(b, ',')
		}
		b = append(column.AppendString(b, n.name), ':')
		ok := false
		if n.leaf == nil {
			b, ok = appendStatsNodes(b, n.kids)
		} else if !n.leaf.isNull() {
			b, ok = n.append(b, n.leaf.row[0])
		}
		if !ok {
			b = b[:from]
		}
		any = any || ok
	}
	return append(b, '}'), any
}

// statsText returns how values of a Parquet type are written in statistics, nil if they are not.
func statsText(t pq.Type) func([]byte, pq.Value) ([]byte, bool) {
	var logical any
	if l := t.LogicalType(); l != nil {
		logical = l.Value
	}
	switch l := logical.(type) {
	case *format.DecimalType:
		return decimalText(t.Kind(), int(l.Scale))
	case *format.DateType:
		return func(b []byte, v pq.Value) ([]byte, bool) { return appendDate(b, int64(v.Int32())) }
	case *format.TimestampType:
		scale := func(n int64) int64 { return n }
		switch l.Unit.Value.(type) {
		case *format.MilliSeconds:
			scale = func(n int64) int64 { return n * 1000 }
		case *format.NanoSeconds:
			scale = func(n int64) int64 { return time.Unix(0, n).UnixMicro() }
		}
		return func(b []byte, v pq.Value) ([]byte, bool) {
			return appendTimestamp(b, scale(v.Int64()), l.IsAdjustedToUTC)
		}
	}
	switch t.Kind() {
	case pq.Boolean:
		return func(b []byte, v pq.Value) ([]byte, bool) { return strconv.AppendBool(b, v.Boolean()), true }
	case pq.Int32:
		return func(b []byte, v pq.Value) ([]byte, bool) { return strconv.AppendInt(b, int64(v.Int32()), 10), true }
	case pq.Int64:
		return func(b []byte, v pq.Value) ([]byte, bool) { return strconv.AppendInt(b, v.Int64(), 10), true }
	case pq.Float:
		return func(b []byte, v pq.Value) ([]byte, bool) { return appendFloat(b, float64(v.Float())) }
	case pq.Double:
		return func(b []byte, v pq.Value) ([]byte, bool) { return appendFloat(b, v.Double()) }
	case pq.Int96: // Spark's timestamps of old: nanoseconds of the day, then the Julian day
		return func(b []byte, v pq.Value) ([]byte, bool) {
			raw := v.AppendBytes(nil)
			nanos, day := int64(binary.LittleEndian.Uint64(raw)), int64(binary.LittleEndian.Uint32(raw[8:]))
			return appendTimestamp(b, (day-2_440_588)*86_400_000_000+nanos/1000, true)
		}
	case pq.ByteArray:
		return func(b []byte, v pq.Value) ([]byte, bool) {
			if !utf8.Valid(v.ByteArray()) {
				return b, false
			}
			return column.AppendString(b, string(v.ByteArray())), true
		}
	}
	return nil
}

func decimalText(kind pq.Kind, scale int) func([]byte, pq.Value) ([]byte, bool) {
	switch kind {
	case pq.Int32:
		return func(b []byte, v pq.Value) ([]byte, bool) {
			return appendDecimal(b, big.NewInt(int64(v.Int32())), scale), true
		}
	case pq.Int64:
		return func(b []byte, v pq.Value) ([]byte, bool) { return appendDecimal(b, big.NewInt(v.Int64()), scale), true }
	}
	return func(b []byte, v pq.Value) ([]byte, bool) {
		return appendDecimal(b, bigEndian(v.ByteArray()), scale), true
	}
}
