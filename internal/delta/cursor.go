package delta

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// The reader of log checkpoints goes by columns, not by rows of a Go struct: checkpoints of ten writers have columns missing, added and
// reordered, lists and maps with legacy names inside, and statistics as structs of the table's own types. A column is found by its name,
// its levels say the rest, and what is not asked for is not read.

// A rowGroup is a row group of which some columns are read in step.
type rowGroup struct {
	chunks  []pq.ColumnChunk
	meta    []format.ColumnChunk
	cursors []*cursor
}

// A cursor stands on a row of a column. The nil cursor is a column that the file lacks: null in every row.
type cursor struct {
	name   string
	pages  pq.Pages
	page   pq.Page
	values pq.ValueReader
	buf    []pq.Value // what was read ahead
	next   int
	row    []pq.Value // the current row's; of a column that does not repeat exactly one
	maxDef int
	rep    bool
}

const readAhead = 128 // values a column

// child returns the column at the path below c, nil if there is none.
func child(c *pq.Column, path ...string) *pq.Column {
	for _, name := range path {
		if c == nil {
			return nil
		}
		c = c.Column(name)
	}
	return c
}

// leaf opens a column of values of one of the kinds, or nil.
func (g *rowGroup) leaf(c *pq.Column, kinds ...pq.Kind) (*cursor, error) {
	if c == nil {
		return nil, nil
	}
	name := strings.Join(c.Path(), ".")
	if !c.Leaf() || c.Index() < 0 || c.Index() >= len(g.chunks) {
		return nil, fmt.Errorf("column %s is no column of values", name)
	}
	if !slices.Contains(kinds, c.Type().Kind()) {
		return nil, fmt.Errorf("column %s is %s", name, c.Type().Kind())
	}
	cur := &cursor{name: name, pages: g.chunks[c.Index()].Pages(), maxDef: c.MaxDefinitionLevel(), rep: c.MaxRepetitionLevel() > 0}
	g.cursors = append(g.cursors, cur)
	return cur, nil
}

// firstLeaf returns the first column of values in c.
func firstLeaf(c *pq.Column) *pq.Column {
	for c != nil && !c.Leaf() {
		kids := c.Columns()
		if len(kids) == 0 {
			return nil
		}
		c = kids[0]
	}
	return c
}

// guarded calls parquet-go, which panics on some files that are not what they claim to be; to us they are corrupt all the same.
func guarded(call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("invalid Parquet: %v", p)
		}
	}()
	return call()
}

// advance moves all cursors to the next row.
func (g *rowGroup) advance() error { return guarded(g.advanceAll) }

func (g *rowGroup) advanceAll() error {
	for _, c := range g.cursors {
		if err := c.advance(); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("column %s: %w", c.name, err)
		}
	}
	return nil
}

func (g *rowGroup) close() {
	for _, c := range g.cursors {
		pq.Release(c.page)
		_ = c.pages.Close()
	}
}

func (c *cursor) advance() error {
	c.row = c.row[:0]
	for {
		if c.next == len(c.buf) {
			for i := range c.row { // their page goes away
				c.row[i] = c.row[i].Clone()
			}
			if err := c.fill(); err != nil {
				if errors.Is(err, io.EOF) && len(c.row) > 0 {
					return nil
				}
				return err
			}
		}
		v := c.buf[c.next]
		if len(c.row) > 0 && v.RepetitionLevel() == 0 {
			return nil
		}
		c.row = append(c.row, v)
		c.next++
		if !c.rep {
			return nil
		}
	}
}

// fill reads more values; io.EOF if there is none. Rows of old writers cross pages.
func (c *cursor) fill() error {
	if c.buf == nil {
		c.buf = make([]pq.Value, readAhead)
	}
	for {
		if c.values != nil {
			n, err := c.values.ReadValues(c.buf[:readAhead])
			if n > 0 {
				c.buf, c.next = c.buf[:n], 0
				return nil
			}
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
		}
		pq.Release(c.page)
		c.page, c.values = nil, nil
		page, err := c.pages.ReadPage()
		if err != nil {
			return err
		}
		c.page, c.values = page, page.Values()
	}
}

// isNull says whether the row has no value; an empty list or map has none.
func (c *cursor) isNull() bool {
	return c == nil || len(c.row) == 0 || c.row[0].DefinitionLevel() < c.maxDef
}

func (c *cursor) str() string {
	if c.isNull() {
		return ""
	}
	return string(c.row[0].ByteArray())
}

func (c *cursor) int() int64 {
	if c.isNull() {
		return 0
	}
	if c.row[0].Kind() == pq.Int32 {
		return int64(c.row[0].Int32())
	}
	return c.row[0].Int64()
}

func (c *cursor) bool() bool { return !c.isNull() && c.row[0].Boolean() }

func (c *cursor) optionalInt() *int64 {
	if c.isNull() {
		return nil
	}
	n := c.int()
	return &n
}

// A listCursor reads a list of strings, a mapCursor a map from string to string, whatever the levels between are called.
type listCursor struct {
	items *cursor
	def   int // the definition level from which on the list is not null
}

type mapCursor struct{ keys, values *cursor }

func (g *rowGroup) list(c *pq.Column) (l listCursor, err error) {
	if c == nil {
		return l, nil
	}
	l.def = c.MaxDefinitionLevel()
	l.items, err = g.leaf(firstLeaf(c), pq.ByteArray)
	return l, err
}

// strings returns nil for null.
func (l listCursor) strings() []string {
	if l.items == nil || len(l.items.row) == 0 || l.items.row[0].DefinitionLevel() < l.def {
		return nil
	}
	list := []string{}
	for _, v := range l.items.row {
		if v.DefinitionLevel() == l.items.maxDef {
			list = append(list, string(v.ByteArray()))
		}
	}
	return list
}

func (g *rowGroup) mapping(c *pq.Column) (m mapCursor, err error) {
	if c == nil {
		return m, nil
	}
	pairs := c.Columns()
	if len(pairs) != 1 || len(pairs[0].Columns()) != 2 {
		return m, fmt.Errorf("column %s is no map", strings.Join(c.Path(), "."))
	}
	if m.keys, err = g.leaf(pairs[0].Columns()[0], pq.ByteArray); err == nil {
		m.values, err = g.leaf(pairs[0].Columns()[1], pq.ByteArray)
	}
	return m, err
}

func (m mapCursor) read() Values {
	if m.keys == nil || m.keys.isNull() {
		return nil
	}
	v := make(Values, len(m.keys.row))
	for i, k := range m.keys.row {
		var value *string
		if i < len(m.values.row) && m.values.row[i].DefinitionLevel() == m.values.maxDef {
			s := string(m.values.row[i].ByteArray())
			value = &s
		}
		v[string(k.ByteArray())] = value
	}
	return v
}

// strings is read without the nulls, as configurations are.
func (m mapCursor) strings() map[string]string {
	var out map[string]string
	for k, v := range m.read() {
		if v != nil {
			if out == nil {
				out = map[string]string{}
			}
			out[k] = *v
		}
	}
	return out
}
