package datagen

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/siltlake/silt/internal/column"
)

// connectNames are Connect's names of the logical types; each has version 1.
var connectNames = map[string]string{
	"decimal": "org.apache.kafka.connect.data.Decimal", "date": "org.apache.kafka.connect.data.Date",
	"time-millis": "org.apache.kafka.connect.data.Time", "timestamp-millis": "org.apache.kafka.connect.data.Timestamp",
}

// AvroText is the schema under which records are registered: the values went through Connect's own types, so the annotations and every
// other property are gone, and each record says its name a second time (io.confluent.connect.avro.AvroData). Enums and fixed types stay
// what they are, where Connect makes strings and bytes of them.
func (s *Schema) AvroText() string {
	w := &schemaWriter{seen: map[string]bool{}}
	w.avro(s, "", "")
	return w.String()
}

type schemaWriter struct {
	strings.Builder
	seen map[string]bool
}

func (w *schemaWriter) quoted(text string) { w.Write(column.AppendString(nil, text)) }

func (w *schemaWriter) pair(key, value string) {
	w.quoted(key)
	w.WriteByte(':')
	w.quoted(value)
}

// avro writes the schema; a type that was written is a name from then on. doc is that of the field, which Connect keeps at the type.
func (w *schemaWriter) avro(s *Schema, namespace, doc string) {
	switch {
	case s.name != "" && w.seen[s.name]:
		w.quoted(s.name)
	case s.kind == kindUnion:
		w.WriteByte('[')
		for i, b := range s.branches {
			if i > 0 {
				w.WriteByte(',')
			}
			w.avro(b, namespace, "")
		}
		w.WriteByte(']')
	case s.kind == kindArray || s.kind == kindMap:
		w.WriteString(`{"type":"` + string(s.kind) + `",` + map[kind]string{kindArray: `"items":`, kindMap: `"values":`}[s.kind])
		w.avro(s.item, namespace, "")
		w.connectDoc(doc)
		w.WriteByte('}')
	case s.name != "":
		w.named(s, namespace)
	case s.logical != "":
		w.WriteByte('{')
		w.pair("type", string(s.kind))
		w.logical(s)
		w.connectDoc(doc)
		w.WriteByte('}')
	case doc != "":
		w.WriteByte('{')
		w.pair("type", string(s.kind))
		w.connectDoc(doc)
		w.WriteByte('}')
	default:
		w.quoted(string(s.kind))
	}
}

func (w *schemaWriter) connectDoc(doc string) {
	if doc != "" {
		w.WriteByte(',')
		w.pair("connect.doc", doc)
	}
}

func (w *schemaWriter) logical(s *Schema) {
	if s.logical == "decimal" {
		fmt.Fprintf(w, `,"scale":%d,"precision":%d,"connect.version":1,"connect.parameters":{"scale":"%[1]d","connect.decimal.precision":"%[2]d"}`,
			s.scale, s.precision)
	} else {
		w.WriteString(`,"connect.version":1`)
	}
	w.WriteByte(',')
	w.pair("connect.name", connectNames[s.logical])
	w.WriteByte(',')
	w.pair("logicalType", s.logical)
}

func (w *schemaWriter) named(s *Schema, namespace string) {
	w.seen[s.name] = true
	w.WriteByte('{')
	w.pair("type", string(s.kind))
	space, name := "", s.name
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		space, name = name[:i], name[i+1:]
	}
	w.WriteByte(',')
	w.pair("name", name)
	if space != namespace {
		w.WriteByte(',')
		w.pair("namespace", space)
	}
	if s.doc != "" {
		w.WriteByte(',')
		w.pair("doc", s.doc)
	}
	switch s.kind {
	case kindEnum:
		w.WriteString(`,"symbols":[`)
		for i, symbol := range s.symbols {
			if i > 0 {
				w.WriteByte(',')
			}
			w.quoted(symbol)
		}
		w.WriteByte(']')
	case kindFixed:
		w.WriteString(`,"size":` + strconv.Itoa(s.size))
		if s.logical != "" {
			w.logical(s)
		}
	default:
		w.WriteString(`,"fields":[`)
		for i, f := range s.fields {
			if i > 0 {
				w.WriteByte(',')
			}
			w.WriteByte('{')
			w.pair("name", f.name)
			w.WriteString(`,"type":`)
			w.avro(f.schema, space, f.doc)
			if f.doc != "" {
				w.WriteByte(',')
				w.pair("doc", f.doc)
			}
			w.WriteByte('}')
		}
		w.WriteByte(']')
		if s.doc != "" {
			w.connectDoc(s.doc)
		}
		w.WriteByte(',')
		w.pair("connect.name", s.name)
	}
	w.WriteByte('}')
}

// errRecursive says that a schema refers to itself, which Connect's schemas cannot.
var errRecursive = errors.New("the schema refers to itself, which the envelope of schemas.enable=true cannot describe")

// envelope is what JsonConverter writes before a value where schemas.enable is true; a closing brace follows the value.
func (s *Schema) envelope() (string, error) {
	w := &schemaWriter{seen: map[string]bool{}}
	w.WriteString(`{"schema":`)
	if err := w.connect(s, false, ""); err != nil {
		return "", err
	}
	w.WriteString(`,"payload":`)
	return w.String(), nil
}

// connect writes a schema of Connect's as JSON (org.apache.kafka.connect.json.JsonConverter, asJsonSchema).
func (w *schemaWriter) connect(s *Schema, optional bool, name string) error {
	if s.kind == kindUnion {
		if inner := s.optional(); inner != nil {
			return w.connect(inner, true, name)
		}
		return w.connectUnion(s, name)
	}
	types := map[kind]string{kindBoolean: "boolean", kindInt: "int32", kindLong: "int64", kindFloat: "float", kindDouble: "double",
		kindBytes: "bytes", kindFixed: "bytes", kindString: "string", kindEnum: "string", kindArray: "array", kindMap: "map", kindRecord: "struct"}
	t, ok := types[s.kind]
	if !ok {
		return fmt.Errorf("type %s has no counterpart in Connect", s.kind)
	}
	w.WriteByte('{')
	w.pair("type", t)
	switch s.kind {
	case kindArray:
		w.WriteString(`,"items":`)
		if err := w.connect(s.item, false, ""); err != nil {
			return err
		}
	case kindMap:
		w.WriteString(`,"keys":{"type":"string","optional":false},"values":`)
		if err := w.connect(s.item, false, ""); err != nil {
			return err
		}
	case kindRecord:
		if w.seen[s.name] {
			return errRecursive
		}
		w.seen[s.name] = true
		w.WriteString(`,"fields":[`)
		for i, f := range s.fields {
			if i > 0 {
				w.WriteByte(',')
			}
			if err := w.connect(f.schema, false, f.name); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
		}
		w.WriteByte(']')
		delete(w.seen, s.name)
	}
	w.WriteString(`,"optional":` + strconv.FormatBool(optional))
	switch {
	case s.logical != "":
		w.WriteByte(',')
		w.pair("name", connectNames[s.logical])
		w.WriteString(`,"version":1`)
		if s.logical == "decimal" {
			fmt.Fprintf(w, `,"parameters":{"scale":"%d","connect.decimal.precision":"%d"}`, s.scale, s.precision)
		}
	case s.kind == kindRecord:
		w.WriteByte(',')
		w.pair("name", s.name)
	}
	w.fieldName(name)
	return nil
}

func (w *schemaWriter) fieldName(name string) {
	if name != "" {
		w.WriteByte(',')
		w.pair("field", name)
	}
	w.WriteByte('}')
}

// connectUnion writes a true union: a struct with an optional field a branch.
func (w *schemaWriter) connectUnion(s *Schema, name string) error {
	w.WriteString(`{"type":"struct","fields":[`)
	optional, first := false, true
	for _, b := range s.branches {
		if b.kind == kindNull {
			optional = true
			continue
		}
		if !first {
			w.WriteByte(',')
		}
		first = false
		if err := w.connect(b, true, b.branchName()); err != nil {
			return err
		}
	}
	w.WriteString(`],"optional":` + strconv.FormatBool(optional) + `,"name":"io.confluent.connect.avro.Union"`)
	w.fieldName(name)
	return nil
}
