package datagen

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"
)

func mustSchema(t testing.TB, text string) *Schema {
	t.Helper()
	s, err := ParseSchema([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustGenerator(t testing.TB, s *Schema, o GeneratorOptions) *Generator {
	t.Helper()
	g, err := NewGenerator(s, o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// The golden file is what avro-random-generator generates; testdata/GeneratorOracle.java writes it.
func TestRecordsAreThoseOfAvroRandomGenerator(t *testing.T) {
	golden := lines(t, "generator_golden.tsv")
	for i, c := range lines(t, "generator_cases.tsv") {
		t.Run(c[0], func(t *testing.T) {
			want := golden[i]
			g := mustGenerator(t, mustSchema(t, c[3]), GeneratorOptions{Seed: parseInt(t, c[1]), Iteration: parseInt(t, c[2])})
			var seed int64
			for k := range 8 {
				v, _, err := g.Next(nil)
				if err != nil {
					t.Fatal(err)
				}
				if got := fmt.Sprintf("%x", v); got != want[1+k] {
					t.Fatalf("record %d: got %s, want %s", k, got, want[1+k])
				}
				seed = g.Reseed()
			}
			if got := strconv.FormatInt(seed, 10); got != want[9] {
				t.Errorf("the state after it: got %s, want %s", got, want[9])
			}
		})
	}
}

// The golden file is what avro-random-generator generates from the same schemas.
func TestQuickstartsAreThoseOfAvroRandomGenerator(t *testing.T) {
	golden := lines(t, "quickstart_golden.tsv")
	if len(golden) != len(Quickstarts()) {
		t.Errorf("%d quickstarts in the golden file, want %d", len(golden), len(Quickstarts()))
	}
	for _, want := range golden {
		t.Run(want[0], func(t *testing.T) {
			q, ok := LookupQuickstart(want[0])
			if !ok {
				t.Fatal("there is no such quickstart")
			}
			g := mustGenerator(t, q.Schema(), GeneratorOptions{Seed: 42})
			for k, record := range want[1:9] {
				v, _, err := g.Next(nil)
				if err != nil {
					t.Fatal(err)
				}
				if got := fmt.Sprintf("%x", v); got != record {
					t.Fatalf("record %d: got %s, want %s", k, got, record)
				}
				g.Reseed()
			}
		})
	}
}

// Going on from an offset gives what going on without a break gives, for every annotation with a state.
func TestAGeneratorGoesOnFromAnOffset(t *testing.T) {
	for _, c := range lines(t, "generator_cases.tsv") {
		// An iteration is advanced once a record that was made, as upstream, and the first two take several values a record; the third folds
		// its first position over to the other sign.
		if strings.HasPrefix(c[0], "shared record") || strings.HasPrefix(c[0], "recursive") || strings.Contains(c[0], "other side") {
			continue
		}
		t.Run(c[0], func(t *testing.T) {
			s := mustSchema(t, c[3])
			whole := mustGenerator(t, s, GeneratorOptions{Seed: parseInt(t, c[1]), Iteration: parseInt(t, c[2])})
			seed := parseInt(t, c[1])
			for k := range int64(30) {
				part := mustGenerator(t, s, GeneratorOptions{Seed: seed, Iteration: parseInt(t, c[2]) + k})
				want, _, err := whole.Next(nil)
				if err != nil {
					t.Fatal(err)
				}
				got, _, err := part.Next(nil)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(got, want) {
					t.Fatalf("record %d: got %x, want %x", k, got, want)
				}
				seed = whole.Reseed()
			}
		})
	}
}

// decode reads a record with another implementation of Avro, which must take all of it.
func decode(t testing.TB, s *Schema, v []byte) map[string]any {
	t.Helper()
	var out map[string]any
	rest, err := s.codec.Decode(v, &out)
	if err != nil || len(rest) > 0 {
		t.Fatalf("%x: %v, %d bytes left", v, err, len(rest))
	}
	return out
}

// regexes are the regex annotations of a schema by path, in Go's syntax: those of the quickstarts mean the same there.
func regexes(tree any, path string, found map[string]string) {
	switch t := tree.(type) {
	case map[string]any:
		if fields, ok := t["fields"].([]any); ok {
			for _, f := range fields {
				f := f.(map[string]any)
				regexes(f["type"], path+"."+f["name"].(string), found)
			}
		}
		if p, ok := t["arg.properties"].(map[string]any); ok {
			if r, ok := p["regex"].(string); ok {
				found[path[1:]] = r
			}
		}
	}
}

func TestQuickstartsGenerateRecordsOfTheirSchemas(t *testing.T) {
	if n := len(Quickstarts()); n != 38 {
		t.Errorf("%d quickstarts, want 38", n)
	}
	withRegex := 0
	for _, q := range Quickstarts() {
		t.Run(q.Name, func(t *testing.T) {
			s := q.Schema()
			registered, err := avro.Parse(s.AvroText())
			if err != nil {
				t.Fatal(err)
			}
			var tree any
			if err := json.Unmarshal(q.text(), &tree); err != nil {
				t.Fatal(err)
			}
			matchers := map[string]string{}
			regexes(tree, "", matchers)
			withRegex += len(matchers)
			g := mustGenerator(t, s, GeneratorOptions{Seed: 1, KeyField: q.KeyField})
			distinct := map[string]bool{}
			for range 300 {
				v, key, err := g.Next(nil)
				if err != nil {
					t.Fatal(err)
				}
				g.Reseed()
				got := decode(t, s, v)
				var again map[string]any
				if _, err := registered.Decode(v, &again); err != nil {
					t.Fatalf("the registered schema: %s", err)
				}
				text, ok := appendKey(nil, s.field(q.KeyField).schema, key)
				if want := fmt.Sprint(got[q.KeyField]); !ok || string(text) != want {
					t.Fatalf("key %s, want %s", text, want)
				}
				distinct[string(v)] = true
				for path, expression := range matchers {
					checkRegex(t, got, path, expression)
				}
			}
			if rows := len(distinct); rows < 5 {
				t.Errorf("only %d different records", rows)
			}
		})
	}
	if withRegex != 24 {
		t.Errorf("%d fields with a regex were checked, want 24", withRegex)
	}
}

func checkRegex(t *testing.T, record map[string]any, path, expression string) {
	t.Helper()
	var v any = record
	for name := range strings.SplitSeq(path, ".") {
		v = v.(map[string]any)[name]
	}
	if m := compiled(expression); !m.MatchString(v.(string)) {
		t.Fatalf("%s is %q, which does not match %s", path, v, expression)
	}
}

// What kafka-connect-datagen's documentation says of the CLICKSTREAM quickstart, with a seed.
func TestClickstreamRecords(t *testing.T) {
	q, _ := LookupQuickstart("clickstream")
	s := q.Schema()
	g := mustGenerator(t, s, GeneratorOptions{Seed: 42, KeyField: "ip"})
	r := newRandom(42)
	for i := range int64(100) {
		v, _, err := g.Next(nil)
		if err != nil {
			t.Fatal(err)
		}
		ip, user := r.intn(40), -1+int32(r.nextDouble()*41)
		for _, n := range []int32{1, 6, 6, 7, 1, 2} {
			r.intn(n)
		}
		got := decode(t, s, v)
		if got["userid"] != user || got["time"] != strconv.FormatInt(1+10*i, 10) || got["_time"] != 1+10*i || (ip == 0) != (got["ip"] == "111.152.45.45") {
			t.Fatalf("record %d: %v; want ip %d and user %d", i, got, ip, user)
		}
		seed := r.nextLong()
		if g.Reseed() != seed {
			t.Fatalf("record %d draws more or less than its fields do", i)
		}
		r.setSeed(seed)
	}
}

func TestAnnotationsThatAreWrongAreNamed(t *testing.T) {
	field := func(typ string) string {
		return `{"type":"record","name":"r","fields":[{"name":"a","type":{"type":"record","name":"s","fields":[{"name":"b","type":` + typ + `}]}}]}`
	}
	of := func(typ, properties string) string {
		return field(`{"type":"` + typ + `","arg.properties":` + properties + `}`)
	}
	tests := []struct{ schema, want string }{
		{of("int", `3`), "arg.properties property must be given as object, was an integer instead"},
		{of("int", `{"options":[]}`), "options property cannot be empty"},
		{of("int", `{"options":5}`), "options prop must be an array or an object, was an integer instead"},
		{of("int", `{"options":[1.0]}`), "Invalid option for int schema: 1.0 is no int"},
		{of("int", `{"options":[3000000000]}`), "Invalid option for int schema: 3000000000 is no int"},
		{of("double", `{"options":[1]}`), "Invalid option for double schema: 1 is no double; write 1.0"},
		{of("int", `{"options":[1],"range":{"min":1}}`), "Cannot specify range prop when options prop is given"},
		{of("int", `{"iteration":{"start":1},"range":{"min":1}}`), "Cannot specify range prop when iteration prop is given"},
		{of("int", `{"options":{"encoding":"json"}}`), "options property must contain 'file' field when given as object"},
		{of("int", `{"options":{"file":"f"}}`), "options property must contain 'encoding' field when given as object"},
		{of("int", `{"options":{"file":1,"encoding":"json"}}`), "'file' field of options property must be given as string, was an integer instead"},
		{of("int", `{"options":{"file":"f","encoding":"xml"}}`), "'encoding' field of options property only supports two formats: 'binary' and 'json'"},
		{of("int", `{"options":{"file":"none","encoding":"json"}}`), "Unable to read options file 'none': it is not there"},
		{of("int", `{"range":5}`), "range property must be an object"},
		{of("int", `{"range":{}}`), "range property must contain at least one of 'min' or 'max' fields"},
		{of("int", `{"range":{"min":5,"max":5}}`), "'min' field must be strictly less than 'max' field in range property"},
		{of("int", `{"range":{"min":1.5}}`), "'min' field of range property must be an integral number, was a number instead"},
		{of("int", `{"range":{"max":3000000000}}`), "'max' field of range property must be a valid int for int schemas"},
		{of("double", `{"range":{"max":"x"}}`), "'max' field of range property must be a number, was a string instead"},
		{of("float", `{"range":{"max":1e300}}`), "'max' field of range property must be a valid float for float schemas"},
		{of("int", `{"iteration":1}`), "iteration prop must be an object, was an integer instead"},
		{of("int", `{"iteration":{}}`), "iteration property must contain start field"},
		{of("int", `{"iteration":{"start":1,"step":0}}`), "step field of iteration property cannot be zero"},
		{of("int", `{"iteration":{"start":1,"restart":1}}`), "start and restart fields of iteration property cannot be equal"},
		{of("int", `{"iteration":{"start":2147483647}}`), "start and restart fields of iteration property cannot be equal"},
		{of("int", `{"iteration":{"start":1,"restart":5,"step":-1}}`),
			"step field of iteration property must be positive when restart field is greater than start field"},
		{of("double", `{"iteration":{"start":5,"restart":1,"step":1}}`),
			"step field of iteration property must be negative when restart field is less than start field"},
		{of("boolean", `{"iteration":{"start":1}}`), "start field of iteration property for a boolean schema must be a boolean, was an integer instead"},
		{of("boolean", `{"iteration":{"start":true,"step":1}}`), "iteration property cannot contain step field for a boolean schema"},
		{of("bytes", `{"iteration":{"start":1}}`), "iteration property can only be specified on numeric, boolean or string schemas, not bytes schema"},
		{of("boolean", `{"odds":1.5}`), "odds property must be in the range [0.0, 1.0]"},
		{of("string", `{"length":-1}`), "when given as integral number, length property cannot be negative"},
		{of("string", `{"length":"x"}`), "length property must either be an integral number or an object, was a string instead"},
		{of("string", `{"length":{}}`), "length property must contain at least one of 'min' or 'max' fields when given as object"},
		{of("string", `{"length":{"min":-1}}`), "min field of length property cannot be negative"},
		{of("string", `{"length":{"min":3,"max":3}}`), "max field must be strictly greater than min field for length property"},
		{of("string", `{"regex":5}`), "regex property must be a string"},
		{of("string", `{"regex":"(a"}`), `regex "(a": ')' expected at position 2`},
		{of("string", `{"prefix":5}`), "prefix property must be a string"},
		{field(`{"type":"map","values":"int","arg.properties":{"keys":5}}`), "keys prop must be an object"},
		{field(`{"type":"enum","name":"e","symbols":["A"],"arg.properties":{"options":["B"]}}`),
			`Invalid option for enum schema: "B" is no symbol of enum e`},
		{field(`{"type":"fixed","name":"f","size":2,"arg.properties":{"options":["abc"]}}`),
			`Invalid option for fixed schema: "abc" has 3 bytes; fixed f has 2`},
		{field(`{"type":"record","name":"q","fields":[{"name":"x","type":"int"}],"arg.properties":{"options":[{"y":1}]}}`),
			"Invalid option for record schema: field x of record q is missing and has no default"},
	}
	for _, tt := range tests {
		_, err := NewGenerator(mustSchema(t, tt.schema), GeneratorOptions{ReadFile: func(string) ([]byte, error) { return nil, errNotThere }})
		if want := "field a.b: " + tt.want; err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", tt.schema, err, want)
		}
	}
}

func TestEveryWrongAnnotationIsReported(t *testing.T) {
	s := mustSchema(t, `{"type":"record","name":"r","fields":[
		{"name":"a","type":{"type":"int","arg.properties":{"range":{}}}},
		{"name":"b","type":["null",{"type":"array","items":{"type":"string","arg.properties":{"length":-1}}}]}]}`)
	_, err := NewGenerator(s, GeneratorOptions{})
	want := SchemaFaults{{"a", "range property must contain at least one of 'min' or 'max' fields"},
		{"b[]", "when given as integral number, length property cannot be negative"}}
	if diff := cmp.Diff(error(want), err); diff != "" {
		t.Error(diff)
	}
}

func TestTextsThatAreNoSchemaAreRefused(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", "there is no JSON value"},
		{"{", "the JSON value has no end"},
		{"{\n \"a\" 1}", "line 2, column 6: invalid character '1' after object key"},
		{`"int"`, "the schema is of type int; want a record"},
		{`{"type":"record","name":"r","fields":[]} x`, "there is text after the JSON value"},
		{`{"type":"record","name":"r","fields":[]} /* open`, "there is text after the JSON value"},
	}
	for _, tt := range tests {
		if _, err := ParseSchema([]byte(tt.text)); err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %v, want %s", tt.text, err, tt.want)
		}
	}
}

func TestSchemasMayHaveComments(t *testing.T) {
	s := mustSchema(t, `// a comment "with quotes"
	{"type": "record", /* and
	another */ "name": "r", "doc": "http://x \" /* no comment */", "fields": []}`)
	if s.doc != `http://x " /* no comment */` {
		t.Errorf("the string is %q", s.doc)
	}
}

func TestOptionsFromFiles(t *testing.T) {
	s := mustSchema(t, `{"type":"record","name":"r","fields":[{"name":"a","type":{"type":"record","name":"v","fields":[{"name":"x","type":"int"},
		{"name":"y","type":["null","string"]}],"arg.properties":{"options":{"file":"values","encoding":"ENCODING"}}}}]}`)
	tests := []struct {
		encoding, file string
		want           []string // of the values; or one that is the error
	}{
		{"json", `{"x": 1, "y": null} {"x": 2, "y": {"string": "two"}}`, []string{`{"x":1,"y":null}`, `{"x":2,"y":"two"}`}},
		{"binary", "\x02\x00\x04\x02\x06two", []string{`{"x":1,"y":null}`, `{"x":2,"y":"two"}`}},
		{"json", `{"x": 1, "y": "bare"}`, []string{
			`field a: Unable to read options file 'values': value 1: y: "bare" is no union: want null or {"branch": value}`}},
		{"binary", "\x02\x00\x04\x02\x06tw", []string{"field a: Unable to read options file 'values': value 2: y: the value is cut off"}},
		{"binary", "", []string{"field a: Unable to read options file 'values': it holds no value"}},
	}
	for _, tt := range tests {
		s := *s
		record := *s.fields[0].schema
		record.properties = map[string]any{"options": map[string]any{"file": "values", "encoding": tt.encoding}}
		s.fields = []field{{name: "a", schema: &record}}
		g, err := NewGenerator(&s, GeneratorOptions{Seed: 1, ReadFile: func(string) ([]byte, error) { return []byte(tt.file), nil }})
		if err != nil {
			if err.Error() != tt.want[0] {
				t.Errorf("got %s, want %s", err, tt.want[0])
			}
			continue
		}
		seen := map[string]bool{}
		for range 50 {
			v, _, err := g.Next(nil)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := jsonWriter{}.append(nil, &record, v)
			seen[string(text)] = true
		}
		for _, want := range tt.want {
			if !seen[want] {
				t.Errorf("%s never came", want)
			}
		}
		if len(seen) != len(tt.want) {
			t.Errorf("%d values, want %d", len(seen), len(tt.want))
		}
	}
}

func TestRecordsThatGrowTooLargeFail(t *testing.T) {
	tests := []struct{ typ, want string }{
		{`{"type":"string","arg.properties":{"length":2000000}}`, "a: larger than 1048576 bytes"},
		{`{"type":"bytes","arg.properties":{"length":{"min":1000000000}}}`, "a: larger than 1048576 bytes"},
		{`{"type":"array","items":{"type":"string","arg.properties":{"length":1000}},"arg.properties":{"length":10000}}`, "a: larger than 1048576 bytes"},
		{`{"type":"map","values":"long","arg.properties":{"length":1000000,"keys":{"length":20}}}`, "a: larger than 1048576 bytes"},
		{`{"type":"array","items":"null","arg.properties":{"length":2000000000}}`, "a: larger than 1048576 bytes"},
		{`{"type":"array","items":"r","arg.properties":{"length":1}}`, "record r: nested deeper than 128"},
		{`{"type":"fixed","name":"f","size":1,"logicalType":"decimal","precision":2}`, ""}, // fits
	}
	for _, tt := range tests {
		g := mustGenerator(t, mustSchema(t, `{"type":"record","name":"r","fields":[{"name":"a","type":`+tt.typ+`}]}`), GeneratorOptions{Seed: 3})
		started := time.Now()
		_, _, err := g.Next(nil)
		if (err == nil) != (tt.want == "") || err != nil && err.Error() != tt.want {
			t.Errorf("%s: got %v, want %s", tt.typ, err, tt.want)
		}
		if took := time.Since(started); took > 2*time.Second {
			t.Errorf("%s took %s", tt.typ, took)
		}
	}
}

var errNotThere = errors.New("it is not there")
