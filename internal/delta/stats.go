package delta

import (
	"encoding/json"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/parquet"
)

// StatsOptions say which columns get statistics, and how much of a string. They are the table's, see Snapshot.StatsOptions.
type StatsOptions struct {
	// Columns is the number of columns, counted by leaves in the order of the schema, that get bounds and null counts; negative: all.
	// A list or map is one column.
	Columns int
	// Named are the paths of the columns that get them instead, if it is not nil; a struct's stands for all in it.
	Named [][]string
	// Also are paths of columns that get them in any case: clustering columns.
	Also [][]string
	// Prefix is the number of characters that are kept of a string.
	Prefix int
}

// DefaultStats are the options of a table that has no property about them (PROTOCOL.md, "Per-file Statistics").
func DefaultStats() StatsOptions { return StatsOptions{Columns: 32, Prefix: 32} }

// StatsOptions returns the table's options for statistics: delta.dataSkippingNumIndexedCols, delta.dataSkippingStatsColumns,
// delta.dataSkippingStringPrefixLength, and the columns that the table is clustered by, which must have statistics.
func (s *Snapshot) StatsOptions() StatsOptions {
	o := DefaultStats()
	if s.metaData == nil {
		return o
	}
	if n, err := strconv.Atoi(s.metaData.Configuration["delta.dataSkippingNumIndexedCols"]); err == nil && n >= -1 {
		o.Columns = n
	}
	if n, err := strconv.Atoi(s.metaData.Configuration["delta.dataSkippingStringPrefixLength"]); err == nil && n > 0 {
		o.Prefix = n
	}
	if list, ok := s.metaData.Configuration["delta.dataSkippingStatsColumns"]; ok {
		o.Named = parseColumns(list)
	}
	if text, ok := s.Domain("delta.clustering"); ok {
		o.Also = clusteringColumns(text)
	}
	return o
}

// clusteringColumns reads the domain delta.clustering; the names are in lists of parts, or, in the protocol's own example, flat.
func clusteringColumns(text string) [][]string {
	var domain struct {
		ClusteringColumns []json.RawMessage `json:"clusteringColumns"`
	}
	if json.Unmarshal([]byte(text), &domain) != nil {
		return nil
	}
	var paths [][]string
	for _, raw := range domain.ClusteringColumns {
		var path []string
		var name string
		if json.Unmarshal(raw, &path) == nil {
			paths = append(paths, path)
		} else if json.Unmarshal(raw, &name) == nil {
			paths = append(paths, []string{name})
		}
	}
	return paths
}

// parseColumns reads a list of column names separated by commas, their parts by dots; a part in backticks may have both in it, and a
// backtick is written twice.
func parseColumns(list string) [][]string {
	paths := [][]string{}
	var path []string
	var part strings.Builder
	quoted := false
	endPart := func() {
		path = append(path, strings.TrimSpace(part.String()))
		part.Reset()
	}
	endPath := func() {
		if endPart(); len(path) > 1 || path[0] != "" {
			paths = append(paths, path)
		}
		path = nil
	}
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '`' && quoted && i+1 < len(list) && list[i+1] == '`':
			part.WriteByte(c)
			i++
		case c == '`':
			quoted = !quoted
		case c == '.' && !quoted:
			endPart()
		case c == ',' && !quoted:
			endPath()
		default:
			part.WriteByte(c)
		}
	}
	endPath()
	return paths
}

// StatsJSON returns the statistics of a file as an add has them (PROTOCOL.md, "Per-file Statistics"): the number of rows, and for the
// columns that the options select the bounds, where the type has any, and the number of nulls.
//
// A bound that is left out costs a reader time, a wrong one costs it rows. So there is none for NaN and infinities, for strings that are
// no UTF-8, and for times outside the years 0 to 9999; strings are cut so that the least is at most, and the greatest at least, what is in
// the file.
func StatsJSON(l *column.Layout, s parquet.Stats, o StatsOptions) string {
	w := &statsWriter{layout: l, stats: s, options: o}
	b := append([]byte(`{"numRecords":`), strconv.FormatInt(s.Rows, 10)...)
	for _, part := range [...]struct {
		key   string
		value boundText
	}{
		{"minValues", func(t *column.Tree, b []byte) ([]byte, bool) { return w.bound(t, b, 0) }},
		{"maxValues", func(t *column.Tree, b []byte) ([]byte, bool) { return w.bound(t, b, 1) }},
		{"nullCount", w.nulls},
	} {
		b = append(b, `,"`...)
		b = append(b, part.key...)
		b = append(b, `":`...)
		w.counted = 0
		b, _ = w.object(b, l.Tree, nil, part.value)
	}
	return string(append(b, '}'))
}

// A boundText appends what one part of the statistics says of a column, ok = false if it says nothing.
type boundText func(t *column.Tree, b []byte) (_ []byte, ok bool)

type statsWriter struct {
	layout  *column.Layout
	stats   parquet.Stats
	options StatsOptions
	counted int // columns, so far
}

// object appends the values of the selected columns among trees, structs as objects; ok is false if there is none.
func (w *statsWriter) object(b []byte, trees []*column.Tree, path []string, value boundText) (_ []byte, ok bool) {
	b = append(b, '{')
	for _, t := range trees {
		from := len(b)
		if ok {
			b = append(b, ',')
		}
		b = append(column.AppendString(b, t.Name), ':')
		p := append(path[:len(path):len(path)], t.Name)
		has := false
		if t.Type.Kind == column.Struct {
			b, has = w.object(b, t.Kids, p, value)
		} else if w.selected(p) {
			b, has = value(t, b)
		}
		if !has {
			b = b[:from]
		}
		ok = ok || has
	}
	return append(b, '}'), ok
}

// selected counts a column and says whether it gets statistics.
func (w *statsWriter) selected(path []string) bool {
	w.counted++
	covers := func(p []string) bool {
		return len(p) <= len(path) && slices.EqualFunc(p, path[:len(p)], strings.EqualFold)
	}
	switch {
	case slices.ContainsFunc(w.options.Also, covers):
		return true
	case w.options.Named != nil:
		return slices.ContainsFunc(w.options.Named, covers)
	}
	return w.options.Columns < 0 || w.counted <= w.options.Columns
}

func (w *statsWriter) nulls(t *column.Tree, b []byte) ([]byte, bool) {
	n := int64(0)
	if t.Leaf >= 0 {
		n = w.stats.Leaves[t.Leaf].Nulls
	} else {
		n = w.stats.Nodes[t.Node].Nulls
	}
	return strconv.AppendInt(b, n, 10), true
}

// bound appends the least (i = 0) or greatest (i = 1) value of a column.
func (w *statsWriter) bound(t *column.Tree, b []byte, i int) ([]byte, bool) {
	if t.Leaf < 0 || !w.stats.Leaves[t.Leaf].HasBounds {
		return b, false
	}
	leaf := &w.stats.Leaves[t.Leaf]
	switch t.Type.Kind {
	case column.Integer, column.Long, column.Byte, column.Short:
		return strconv.AppendInt(b, leaf.Int[i], 10), true
	case column.Float, column.Double:
		if i == 1 && leaf.NaN { // Spark orders NaN above all numbers
			return b, false
		}
		return appendFloat(b, leaf.Float[i])
	case column.Date:
		return appendDate(b, leaf.Int[i])
	case column.Timestamp, column.TimestampNTZ:
		return appendTimestamp(b, leaf.Int[i], t.Type.Kind == column.Timestamp)
	case column.Decimal:
		unscaled := big.NewInt(leaf.Int[i])
		if t.Type.Physical() == column.PhysFixed {
			unscaled = bigEndian(leaf.Bytes[i])
		}
		return appendDecimal(b, unscaled, t.Type.Scale), true
	case column.String:
		text := string(leaf.Bytes[i])
		if !utf8.ValidString(text) {
			return b, false
		}
		if i == 0 {
			return column.AppendString(b, lowerBound(text, w.options.Prefix)), true
		}
		text, ok := upperBound(text, w.options.Prefix)
		if !ok {
			return b, false
		}
		return column.AppendString(b, text), true
	}
	return b, false // booleans and binaries have null counts only
}

// lowerBound returns the first n characters of s: never greater than s.
func lowerBound(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// upperBound returns a text of about n characters that is never less than s, in the order of UTF-8 bytes, as Spark makes it: if s is
// longer, its first n characters and one that is greater than the first that was cut. ok is false if there is none: Spark tries up to
// 2n characters.
func upperBound(s string, n int) (bound string, ok bool) {
	const (
		smallTie = '\u007f'
		largeTie = utf8.MaxRune
	)
	count := 0
	for i, r := range s {
		if count >= n {
			switch {
			case r < smallTie:
				return s[:i] + string(smallTie), true
			case r < largeTie:
				return s[:i] + string(largeTie), true
			case count >= 2*n:
				return "", false
			}
		}
		count++
	}
	return s, true
}
