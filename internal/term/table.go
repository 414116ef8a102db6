package term

import (
	"io"
	"strings"
	"unicode/utf8"
)

// A Column is the head of a table's column. Numbers stand on the right.
type Column struct {
	Name  string
	Right bool
}

// A Table is rows of text in aligned columns. The zero value is not usable; make one with NewTable.
type Table struct {
	columns []Column
	rows    [][]string
}

// NewTable returns an empty table.
func NewTable(columns ...Column) *Table { return &Table{columns: columns} }

// Row adds a row; cells that are missing are empty.
func (t *Table) Row(cells ...string) {
	row := make([]string, len(t.columns))
	for i := range row {
		if i < len(cells) {
			row[i] = Clean(cells[i])
		}
	}
	t.rows = append(t.rows, row)
}

// Len is the number of rows.
func (t *Table) Len() int { return len(t.rows) }

// Write prints the head and the rows, each indented by indent; without rows it prints nothing.
func (t *Table) Write(w io.Writer, indent string) error {
	if len(t.rows) == 0 {
		return nil
	}
	head := make([]string, len(t.columns))
	width := make([]int, len(t.columns))
	for i, c := range t.columns {
		head[i] = c.Name
	}
	lines := append([][]string{head}, t.rows...)
	for _, row := range lines {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range lines {
		line := indent
		for i, cell := range row {
			if i > 0 {
				line += "  "
			}
			if t.columns[i].Right {
				line += strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)) + cell
			} else {
				line += pad(cell, width[i])
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// pad fills s with spaces up to width characters.
func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}
