package avroschema

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/twmb/avro"
	"pgregory.net/rapid"
)

// A model is a schema as JSON has it, made at random: a string, a list of branches, or an object.
type model = any

type object = map[string]any

// models draws a schema. Every named type has a name of its own, so that the reader that is made of it by changes shares them.
type models struct{ names int }

func (m *models) draw(t *rapid.T, depth int) model {
	leaf := rapid.SampledFrom([]string{"null", "boolean", "int", "long", "float", "double", "bytes", "string"}).Draw(t, "leaf")
	if depth == 0 {
		return leaf
	}
	switch rapid.SampledFrom([]string{"leaf", "array", "map", "union", "enum", "fixed", "record", "record"}).Draw(t, "kind") {
	case "array":
		return object{"type": "array", "items": m.draw(t, depth-1)}
	case "map":
		return object{"type": "map", "values": m.draw(t, depth-1)}
	case "union":
		branches, seen := []any{}, map[string]bool{}
		for range rapid.IntRange(1, 4).Draw(t, "branches") {
			b := m.draw(t, depth-1)
			if name := branchName(b); name != "" && !seen[name] {
				seen[name] = true
				branches = append(branches, b)
			}
		}
		return branches
	case "enum":
		return object{"type": "enum", "name": m.name("E"), "symbols": []any{"A", "B", "C"}[:rapid.IntRange(1, 3).Draw(t, "symbols")]}
	case "fixed":
		return object{"type": "fixed", "name": m.name("F"), "size": rapid.IntRange(1, 3).Draw(t, "size")}
	case "record":
		fields := []any{}
		for i := range rapid.IntRange(0, 3).Draw(t, "fields") {
			fields = append(fields, object{"name": fmt.Sprintf("f%d", i), "type": m.draw(t, depth-1)})
		}
		return object{"type": "record", "name": m.name("R"), "fields": fields}
	}
	return leaf
}

func (m *models) name(prefix string) string {
	m.names++
	return fmt.Sprint(prefix, m.names)
}

// branchName is what must be unique in a union; "" for what may not be in one.
func branchName(b model) string {
	switch b := b.(type) {
	case string:
		return b
	case object:
		if n, ok := b["name"].(string); ok {
			return n
		}
		return b["type"].(string)
	}
	return ""
}

// evolve draws a schema that came from s by some changes, compatible or not.
func (m *models) evolve(t *rapid.T, s model) model {
	change := rapid.IntRange(0, 9).Draw(t, "change")
	switch s := s.(type) {
	case string:
		switch {
		case change == 0:
			return rapid.SampledFrom([]string{"long", "float", "double", "string", "bytes"}).Draw(t, "other")
		case change == 1 && s != "null":
			return []any{"null", s}
		}
		return s
	case []any:
		out := []any{}
		for _, b := range s {
			if rapid.IntRange(0, 9).Draw(t, "drop") > 0 {
				out = append(out, m.evolveNamed(t, b))
			}
		}
		return out
	}
	return m.evolveObject(t, s.(object), change)
}

// evolveNamed keeps a branch of a union what it is, so that the union stays one.
func (m *models) evolveNamed(t *rapid.T, b model) model {
	if o, ok := b.(object); ok {
		return m.evolveObject(t, o, 9)
	}
	return b
}

func (m *models) evolveObject(t *rapid.T, s object, change int) model {
	out := object{}
	for k, v := range s {
		out[k] = v
	}
	switch s["type"] {
	case "array":
		out["items"] = m.evolve(t, s["items"])
	case "map":
		out["values"] = m.evolve(t, s["values"])
	case "enum":
		if change < 3 {
			out["symbols"] = []any{"A", "B", "C"}[:rapid.IntRange(1, 3).Draw(t, "symbols")]
			if change == 0 {
				out["default"] = "A"
			}
		}
	case "fixed":
		if change == 0 {
			out["size"] = rapid.IntRange(1, 3).Draw(t, "size")
		}
	case "record":
		out["fields"] = m.evolveFields(t, s["fields"].([]any))
		if change == 0 {
			out["name"] = m.name("S")
			if rapid.Bool().Draw(t, "alias") {
				out["aliases"] = []any{s["name"]}
			}
		}
	}
	return out
}

func (m *models) evolveFields(t *rapid.T, fields []any) []any {
	out := []any{}
	for i, f := range fields {
		old := f.(object)
		f := object{"name": old["name"], "type": m.evolve(t, old["type"])}
		switch rapid.IntRange(0, 9).Draw(t, "field") {
		case 0:
			continue // dropped
		case 1:
			f["name"], f["aliases"] = fmt.Sprintf("g%d", i), []any{old["name"]}
		case 2:
			f["name"] = fmt.Sprintf("g%d", i)
		}
		out = append(out, f)
	}
	switch rapid.IntRange(0, 9).Draw(t, "added") {
	case 0:
		out = append(out, object{"name": "new", "type": "int"})
	case 1, 2:
		out = append(out, object{"name": "new", "type": "int", "default": 7})
	}
	return out
}

// value draws a datum of a schema, as twmb/avro takes it.
func value(t *rapid.T, s model) any {
	switch s := s.(type) {
	case string:
		switch s {
		case "null":
			return nil
		case "boolean":
			return rapid.Bool().Draw(t, "v")
		case "int":
			return rapid.Int32().Draw(t, "v")
		case "long":
			return rapid.Int64Range(-1<<40, 1<<40).Draw(t, "v")
		case "float":
			return float32(rapid.IntRange(-1000, 1000).Draw(t, "v")) / 4
		case "double":
			return float64(rapid.IntRange(-1000, 1000).Draw(t, "v")) / 8
		case "bytes":
			return []byte(rapid.StringMatching(`[a-z]{0,5}`).Draw(t, "v"))
		}
		return rapid.StringMatching(`[a-z]{0,5}`).Draw(t, "v")
	case []any:
		return value(t, s[rapid.IntRange(0, len(s)-1).Draw(t, "branch")])
	}
	o := s.(object)
	switch o["type"] {
	case "array":
		list := []any{}
		for range rapid.IntRange(0, 2).Draw(t, "n") {
			list = append(list, value(t, o["items"]))
		}
		return list
	case "map":
		out := map[string]any{}
		for i := range rapid.IntRange(0, 2).Draw(t, "n") {
			out[fmt.Sprint("k", i)] = value(t, o["values"])
		}
		return out
	case "enum":
		return rapid.SampledFrom(o["symbols"].([]any)).Draw(t, "v")
	case "fixed":
		return make([]byte, o["size"].(int))
	}
	out := map[string]any{}
	for _, f := range o["fields"].([]any) {
		out[f.(object)["name"].(string)] = value(t, f.(object)["type"])
	}
	return out
}

// holdsEmptyUnion says that no datum of the schema can be made.
func holdsEmptyUnion(s model) bool {
	switch s := s.(type) {
	case []any:
		for _, b := range s {
			if holdsEmptyUnion(b) {
				return true
			}
		}
		return len(s) == 0
	case object:
		for _, f := range asList(s["fields"]) {
			if holdsEmptyUnion(f.(object)["type"]) {
				return true
			}
		}
		return s["items"] != nil && holdsEmptyUnion(s["items"]) || s["values"] != nil && holdsEmptyUnion(s["values"])
	}
	return false
}

func asList(v any) []any {
	list, _ := v.([]any)
	return list
}

func textOf(t *rapid.T, s model) string {
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestWhatIsCompatibleCanBeDecoded checks BACKWARD against an implementation of Avro's schema resolution: what a schema may follow another
// by, decodes every datum of that. The other way round the two differ: twmb/avro takes null for the default of a union with null.
func TestWhatIsCompatibleCanBeDecoded(t *testing.T) {
	var compatible, changed int
	rapid.Check(t, func(t *rapid.T) {
		m := &models{}
		old := m.draw(t, 3)
		next := m.evolve(t, old)
		if holdsEmptyUnion(old) || holdsEmptyUnion(next) {
			t.Skip("no data")
		}
		oldText, nextText := textOf(t, old), textOf(t, next)
		writer, err := Parse(oldText, nil, true)
		if err != nil {
			t.Fatalf("%s: %v", oldText, err)
		}
		reader, err := Parse(nextText, nil, true)
		if err != nil {
			t.Fatalf("%s: %v", nextText, err)
		}
		differences, err := Compare(reader, writer)
		if err != nil {
			t.Fatal(err)
		}
		if len(differences) > 0 {
			return
		}
		if compatible++; oldText != nextText {
			changed++
		}
		w, r := avro.MustParse(oldText), avro.MustParse(nextText)
		resolved, err := avro.Resolve(w, r)
		if err != nil {
			t.Fatalf("reader %s\nwriter %s\n%v", nextText, oldText, err)
		}
		datum := value(t, old)
		data, err := w.Encode(datum)
		if err != nil {
			t.Fatalf("%s: encode %v: %v", oldText, datum, err)
		}
		var got any
		if rest, err := resolved.Decode(data, &got); err != nil || len(rest) > 0 {
			t.Fatalf("reader %s\nwriter %s\ndatum %v\n%v, %d bytes left", nextText, oldText, datum, err, len(rest))
		}
	})
	if changed == 0 || changed == compatible {
		t.Errorf("%d compatible pairs, %d of them changed: the generator tests nothing", compatible, changed)
	}
}

// TestASchemaReadsWhatItWrites is the reflexivity of Compare.
func TestASchemaReadsWhatItWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := textOf(t, (&models{}).draw(t, 4))
		a, err := Parse(text, nil, true)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		b, err := Parse(a.Normalized(), nil, true)
		if err != nil {
			t.Fatalf("%s: %v", a.Normalized(), err)
		}
		for _, pair := range [][2]*Schema{{a, a}, {a, b}, {b, a}} {
			if d, err := Compare(pair[0], pair[1]); len(d) > 0 || err != nil {
				t.Fatalf("%s\n%s\n%v, %v", pair[0], pair[1], d, err)
			}
		}
	})
}
