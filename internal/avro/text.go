package avro

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	twmb "github.com/twmb/avro"
)

// parseText parses the references in their order and then the text, and returns its tree. Names may be any but empty: Confluent's registry
// takes them, too.
func parseText(text string, references []string) (*twmb.SchemaNode, error) {
	left := maxTextBytes
	var cache twmb.SchemaCache
	parse := func(text string, reference int) (*twmb.Schema, error) {
		if left -= len(text); left < 0 {
			return nil, &InvalidError{reference, fmt.Errorf("the text and its references have more than %d bytes", maxTextBytes)}
		}
		text, err := withoutExtras(text)
		if err != nil {
			return nil, &InvalidError{reference, err}
		}
		s, err := cache.Parse(text, twmb.WithLaxNames(nil))
		if err != nil {
			return nil, &InvalidError{reference, err}
		}
		return s, nil
	}
	for i, r := range references {
		if _, err := parse(r, i); err != nil {
			return nil, err
		}
	}
	s, err := parse(text, -1)
	if err != nil {
		return nil, err
	}
	return s.Root(), nil
}

// withoutExtras removes from a schema's text what the Java library, as Spark uses it, does not look at, and the Go library refuses: the
// defaults of fields (setValidateDefaults(false)), aliases, order and documentation (no effect with the writer's schema), a logicalType
// beside a field's type instead of inside it, and a decimal that is invalid, which leaves plain bytes
// (LogicalTypes.fromSchemaIgnoreInvalid).
func withoutExtras(text string) (string, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the text is empty")
		}
		return "", err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return "", errors.New("something follows the schema")
	}
	strip(v)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return b.String(), nil
}

// strip works on a schema as encoding/json gives it, which nests at most 10,000 deep.
func strip(v any) {
	switch v := v.(type) {
	case []any:
		for _, branch := range v {
			strip(branch)
		}
	case map[string]any:
		delete(v, "doc")
		delete(v, "aliases")
		if v["logicalType"] == "decimal" && !validDecimal(v) {
			delete(v, "logicalType")
		}
		strip(v["type"])
		strip(v["items"])
		strip(v["values"])
		fields, _ := v["fields"].([]any)
		for _, f := range fields {
			if f, ok := f.(map[string]any); ok {
				for _, extra := range [...]string{"default", "doc", "aliases", "order", "logicalType"} {
					delete(f, extra)
				}
				strip(f["type"])
			}
		}
	}
}

// validDecimal follows LogicalTypes.Decimal of the Java library.
func validDecimal(v map[string]any) bool {
	precision, ok := integer(v["precision"])
	if !ok || precision <= 0 {
		return false
	}
	if scale, has := v["scale"]; has {
		if s, ok := integer(scale); !ok || s < 0 || s > precision {
			return false
		}
	}
	switch v["type"] {
	case "bytes":
		return true
	case "fixed":
		size, ok := integer(v["size"])
		return ok && size > 0 && float64(precision) <= math.Floor(math.Log10(2)*(8*float64(size)-1))
	}
	return false
}

func integer(v any) (int64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := n.Int64()
	return i, err == nil && i == int64(int32(i))
}
