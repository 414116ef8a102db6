package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/siltlake/silt"
	"github.com/siltlake/silt/internal/kafka"
	"github.com/siltlake/silt/internal/term"
)

// A rowWriter writes rows as they come.
type rowWriter interface {
	row(silt.Row) error
	end() error
}

func (c *topicPeekCmd) writer(a *app) rowWriter {
	switch {
	case c.Output == rawForm:
		return rawRows{a.records}
	case c.Output == peekForm(term.NDJSON), c.Output == peekForm(term.JSON) && c.Follow: // an array would never end
		return &jsonRows{w: a.records, columns: c.Columns}
	case c.Output == peekForm(term.JSON):
		return &jsonRows{w: a.records, columns: c.Columns, array: true}
	}
	return &tableRows{w: a.records, columns: c.Columns, now: c.Follow}
}

// rawRows writes the values' bytes, a line each; null is an empty line.
type rawRows struct{ w io.Writer }

func (r rawRows) row(row silt.Row) error {
	_, err := r.w.Write(append(slices.Clip(row.Value), '\n'))
	return err
}

func (rawRows) end() error { return nil }

// jsonRows writes objects, a line each, or an array of them.
type jsonRows struct {
	w       io.Writer
	columns []string // nil: all that the row has
	array   bool
	n       int
}

func (j *jsonRows) row(row silt.Row) error {
	before := ""
	if j.array {
		before = ",\n"
		if j.n == 0 {
			before = "[\n"
		}
	}
	j.n++
	text, err := rowJSON(row, j.columns)
	if err != nil {
		return err
	}
	if !j.array {
		text += "\n"
	}
	_, err = io.WriteString(j.w, before+text)
	return err
}

func (j *jsonRows) end() error {
	end := ""
	switch {
	case j.array && j.n == 0:
		end = "[]\n"
	case j.array:
		end = "\n]\n"
	}
	_, err := io.WriteString(j.w, end)
	return err
}

// rowJSON is a row as one object. Without a choice of columns it has those that the record has: value where values are not decoded, else what
// came of it, and fault where something is wrong.
func rowJSON(row silt.Row, columns []string) (string, error) {
	if columns == nil {
		columns = slices.DeleteFunc(slices.Clone(peekColumns), func(name string) bool {
			switch name {
			case "value":
				return row.ParsesValue
			case "valueSchemaId", "fixedValue", "parsedValue":
				return !row.ParsesValue
			case "headers":
				return len(row.Headers) == 0
			case "fault":
				return row.Fault == ""
			}
			return false
		})
	}
	var b strings.Builder
	for i, name := range columns {
		before := ","
		if i == 0 {
			before = "{"
		}
		fmt.Fprintf(&b, "%s%q:", before, name)
		var cell strings.Builder
		if err := term.WriteJSON(&cell, cellOf(row, name)); err != nil {
			return "", err
		}
		b.WriteString(strings.TrimSuffix(cell.String(), "\n"))
	}
	return b.String() + "}", nil
}

// timeLayout is ISO 8601 with milliseconds, which is what Kafka has.
const timeLayout = "2006-01-02T15:04:05.000Z"

// cellOf is a column of a row, as JSON has it.
func cellOf(row silt.Row, column string) any {
	switch column {
	case "topic":
		return row.Topic
	case "partition":
		return row.Partition
	case "offset":
		return row.Offset
	case "timestamp":
		return row.Timestamp.UTC().Format(timeLayout)
	case "timestampType":
		return row.TimestampType
	case "key":
		if row.Key != nil && row.KeyText && utf8.Valid(row.Key) {
			return string(row.Key)
		}
		return bytesOrNull(row.Key)
	case "headers":
		return headersOf(row.Headers)
	case "value":
		return bytesOrNull(row.Value)
	case "valueSchemaId":
		return row.ValueSchemaID
	case "fixedValue":
		return bytesOrNull(row.FixedValue)
	case "parsedValue":
		return row.ParsedValue
	}
	if row.Fault == "" {
		return nil
	}
	return row.Fault
}

// bytesOrNull is base64; nil bytes are null.
func bytesOrNull(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

// A header is a header of a record as JSON; the value is text, or base64 where it is none, or neither, which is null.
type header struct {
	Key    string  `json:"key"`
	Value  *string `json:"value"`
	Base64 []byte  `json:"valueBase64,omitempty"`
}

func headersOf(hs []kafka.Header) []header {
	out := make([]header, len(hs))
	for i, h := range hs {
		out[i].Key = h.Key
		switch text := string(h.Value); {
		case h.Value == nil:
		case utf8.ValidString(text):
			out[i].Value = &text
		default:
			out[i].Base64 = h.Value
		}
	}
	return out
}

// tableRows writes aligned columns. Their widths are those of the first rows, and grow when wider ones come.
type tableRows struct {
	w       io.Writer
	columns []string // nil: the default
	now     bool     // every row at once: the next may take its time
	width   []int
	open    [][]string
}

// widthRows is how many rows are looked at for the widths.
const widthRows = 100

func (t *tableRows) row(row silt.Row) error {
	if t.columns == nil {
		t.columns = []string{"topic", "partition", "offset", "timestamp", "timestampType", "key", "valueSchemaId", "parsedValue"}
		if !row.ParsesValue {
			t.columns = append(t.columns[:6], "value")
		}
	}
	if t.width == nil {
		t.add(t.columns)
	}
	cells := make([]string, len(t.columns))
	for i, name := range t.columns {
		cells[i] = cellText(row, name)
	}
	t.add(cells)
	if t.now || len(t.open) > widthRows {
		return t.end()
	}
	return nil
}

func (t *tableRows) add(cells []string) {
	if t.width == nil {
		t.width = make([]int, len(cells))
	}
	for i, c := range cells {
		t.width[i] = max(t.width[i], utf8.RuneCountInString(c))
	}
	t.open = append(t.open, slices.Clone(cells))
}

// rightColumns are the columns of numbers.
var rightColumns = []string{"partition", "offset", "timestampType", "valueSchemaId"}

func (t *tableRows) end() error {
	var b strings.Builder
	for _, cells := range t.open {
		line := ""
		for i, c := range cells {
			if i > 0 {
				line += "  "
			}
			fill := strings.Repeat(" ", t.width[i]-utf8.RuneCountInString(c))
			if slices.Contains(rightColumns, t.columns[i]) {
				line += fill + c
			} else {
				line += c + fill
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	t.open = nil
	_, err := io.WriteString(t.w, b.String())
	return err
}

// cellText is a column of a row for people: bytes as text where they are text, and what is wrong in the place of what could not be decoded.
func cellText(row silt.Row, column string) string {
	switch column {
	case "key":
		return bytesText(row.Key)
	case "value":
		return bytesText(row.Value)
	case "fixedValue":
		return bytesText(row.FixedValue)
	case "parsedValue":
		if row.Fault != "" {
			return term.Clean("! " + row.Fault)
		}
		if row.ParsedValue == nil {
			return "null"
		}
		return term.Clean(string(row.ParsedValue))
	case "valueSchemaId":
		if row.ValueSchemaID == nil {
			return "null"
		}
		return strconv.Itoa(int(*row.ValueSchemaID))
	case "headers":
		var parts []string
		for _, h := range row.Headers {
			parts = append(parts, term.Clean(h.Key)+"="+bytesText(h.Value))
		}
		return strings.Join(parts, " ")
	case "fault":
		return term.Clean(row.Fault)
	}
	return term.Clean(fmt.Sprint(cellOf(row, column)))
}

func bytesText(b []byte) string {
	switch {
	case b == nil:
		return "null"
	case utf8.Valid(b) && !strings.ContainsFunc(string(b), unicode.IsControl):
		return term.Clean(string(b))
	}
	return "base64:" + base64.StdEncoding.EncodeToString(b)
}
