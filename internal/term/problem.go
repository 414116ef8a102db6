package term

import (
	"io"
	"strings"

	"github.com/siltlake/silt/internal/problem"
)

// The escapes of the few decorations there are (ECMA-48 SGR).
const (
	bold  = "\x1b[1m"
	red   = "\x1b[1;31m"
	faint = "\x1b[2m"
	reset = "\x1b[0m"
)

// WriteProblems prints a block for each problem: location, code and message on the first line, then why and how to fix it; the last block
// says where to read more. Colour repeats what the words say and nothing else.
func WriteProblems(w io.Writer, list problem.List, color bool) error {
	paint := func(style, s string) string {
		if !color {
			return s
		}
		return style + s + reset
	}
	var b strings.Builder
	for i, p := range list {
		more := ""
		if i > 0 {
			b.WriteByte('\n')
		}
		if i == len(list)-1 {
			more = docsOf(list)
		}
		if where := p.Where.String(); where != "" {
			b.WriteString(paint(bold, Clean(where)) + "  ")
		}
		b.WriteString(paint(red, string(p.Code)) + " " + Clean(p.Message) + "\n")
		for _, part := range []struct{ label, text string }{
			{"why", p.Why}, {"fix", p.Hint}, {"retry", retry(p)}, {"more", more},
		} {
			if part.text == "" {
				continue
			}
			for j, line := range cleanLines(part.text) {
				if j > 0 {
					part.label = ""
				}
				b.WriteString(strings.TrimRight("  "+paint(faint, pad(part.label, 5))+"  "+line, " ") + "\n")
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func retry(p *problem.Problem) string {
	if p.Retryable {
		return "the same command may succeed later, with nothing changed"
	}
	return ""
}

// docs is the place of a code in the documentation.
func docs(c problem.Code) string { return "docs/errors.md#" + strings.ToLower(string(c)) }

// docsOf is the place in the documentation where all of the list's codes are explained.
func docsOf(list problem.List) string {
	for _, p := range list {
		if p.Code != list[0].Code {
			return "docs/errors.md"
		}
	}
	return docs(list[0].Code)
}

type problemJSON struct {
	Code      problem.Code  `json:"code"`
	Message   string        `json:"message"`
	Location  *locationJSON `json:"location"`
	Why       string        `json:"why,omitempty"`
	Hint      string        `json:"hint"`
	Retryable bool          `json:"retryable"`
	Docs      string        `json:"docs"`
}

type locationJSON struct {
	File      string `json:"file,omitempty"`
	Line      int    `json:"line,omitempty"`
	Column    int    `json:"column,omitempty"`
	Topic     string `json:"topic,omitempty"`
	Partition *int32 `json:"partition,omitempty"`
	Offset    *int64 `json:"offset,omitempty"`
	SchemaID  *int32 `json:"schemaId,omitempty"`
	Field     string `json:"field,omitempty"`
}

// WriteProblemsJSON prints {"error":{...}}, one line a problem. The location is null where none is known.
func WriteProblemsJSON(w io.Writer, list problem.List) error {
	for _, p := range list {
		j := problemJSON{Code: p.Code, Message: p.Message, Location: location(p.Where), Why: p.Why, Hint: p.Hint, Retryable: p.Retryable,
			Docs: docs(p.Code)}
		if err := WriteJSON(w, map[string]problemJSON{"error": j}); err != nil {
			return err
		}
	}
	return nil
}

func location(l problem.Location) *locationJSON {
	if l == (problem.Location{}) {
		return nil
	}
	j := &locationJSON{File: l.File, Line: l.Line, Column: l.Col, Topic: l.Topic, Field: l.Field}
	if l.HasPartition {
		j.Partition = &l.Partition
	}
	if l.HasOffset {
		j.Offset = &l.Offset
	}
	if l.HasSchemaID {
		j.SchemaID = &l.SchemaID
	}
	return j
}
