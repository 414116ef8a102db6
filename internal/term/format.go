package term

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/siltlake/silt/internal/problem"
)

// A Format is a form of output: -o.
type Format string

// The formats. JSON is one document; NDJSON is one object a line, for results that are lists.
const (
	Text   Format = "table"
	JSON   Format = "json"
	NDJSON Format = "ndjson"
)

// UnmarshalText reads the value of -o. Forms that other tools have and silt has not are refused by name.
func (f *Format) UnmarshalText(text []byte) error {
	switch g := Format(text); g {
	case Text, JSON, NDJSON:
		*f = g
		return nil
	case "yaml", "csv":
		return problem.New(problem.Unsupported, "output format %s is not supported yet", g).Fix("use -o table, json or ndjson")
	}
	p := problem.New(problem.Usage, "unknown output format %q", text).Fix("use -o table, json or ndjson")
	if n := problem.Nearest(string(text), []string{"table", "json", "ndjson"}); n != "" {
		p.Message += fmt.Sprintf("; did you mean %q?", n)
	}
	return p
}

// Machine says that programs read the output.
func (f Format) Machine() bool { return f != Text && f != "" }

// WriteJSON writes v as one line of JSON. Characters of HTML are left as they are: it is not for browsers.
func WriteJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// WriteList writes the items as one JSON array, or as one object a line.
func WriteList[T any](w io.Writer, f Format, items []T) error {
	if f != NDJSON {
		if items == nil {
			items = []T{}
		}
		return WriteJSON(w, items)
	}
	for _, item := range items {
		if err := WriteJSON(w, item); err != nil {
			return err
		}
	}
	return nil
}
