package silt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/siltlake/silt/internal/avro"
	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/kafka"
	"github.com/siltlake/silt/internal/problem"
)

// aCluster is a broker with a topic clicks of two partitions and a registry with the schemas by id, and a pipeline that names both. A schema
// is an answer of GET /schemas/ids/{id}; an id that is not there is 40403, and 500 is an outage.
func aCluster(t *testing.T, schemas map[string]string, more string, set ...string) *config.Pipeline {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "clicks"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	r := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := schemas[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]]
		switch {
		case answer == "401":
			w.WriteHeader(http.StatusUnauthorized)
		case ok:
			_, _ = io.WriteString(w, answer)
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"error_code":40403,"message":"Schema not found"}`)
		}
	}))
	t.Cleanup(r.Close)
	file := filepath.Join(t.TempDir(), "pipeline.yaml")
	text := fmt.Sprintf(`source: {kafka: {kafka.bootstrap.servers: "%s", subscribe: clicks}}
registry: {schema.registry.url: "%s"}
sink: {delta: {path: /data/clicks}}
checkpointLocation: /data/_checkpoints/clicks
%s
`, strings.Join(c.ListenAddrs(), ","), r.URL, more)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := config.Load(file, config.Options{Set: set})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func codeOf(err error) problem.Code {
	if l := problem.Of(err); len(l) > 0 {
		return l[0].Code
	}
	return ""
}

// put writes records as they are.
func put(t *testing.T, p *config.Pipeline, records ...kafka.Record) {
	t.Helper()
	c, err := Kafka(t.Context(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w, err := c.NewProducer(t.Context(), "clicks")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for i, r := range records {
		r.Timestamp = time.Unix(int64(i), 0)
		if err := w.Produce(r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestPeekShowsWhatItCannotDecode(t *testing.T) {
	p := aCluster(t, map[string]string{
		"1": `{"schema":"\"int\""}`,
		"2": `{"schema":"{}","schemaType":"JSON"}`,
		"3": `{"schema":"syntax = \"proto3\";","schemaType":"PROTOBUF"}`,
		"4": `{"schema":"{\"type\":\"record\"}"}`,
		"5": `{"schema":"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":\"gone.type\"}]}","references":[{"name":"x","subject":"gone","version":8}]}`,
	}, "")
	value := func(id byte, payload string) []byte { return append([]byte{0, 0, 0, 0, id}, payload...) }
	tests := []struct {
		name          string
		r             kafka.Record
		parsed, fault string
	}{
		{"a record", kafka.Record{Key: []byte("k"), Value: value(1, "\x02")}, "1", ""},
		{"a tombstone", kafka.Record{}, "", ""},
		{"JSON Schema", kafka.Record{Value: value(2, `{"a":1}`)}, `{"a":1}`, ""},
		{"JSON Schema that is no JSON", kafka.Record{Value: value(2, `{`)}, "", "the value does not fit its schema: it is no JSON"},
		{"Protobuf", kafka.Record{Value: value(3, "")}, "", "schema id 3 is PROTOBUF, which silt does not decode yet"},
		{"a schema that does not compile", kafka.Record{Value: value(4, "")}, "", "schema id 4: avro schema: "},
		{"a reference that is not there", kafka.Record{Value: value(5, "")}, "", "schema id 5 cannot be used: it refers to subject gone version 8"},
		{"an id that is not there", kafka.Record{Value: value(9, "")}, "", "the registry has no schema of id 9"},
		{"a value that ends too early", kafka.Record{Value: value(1, "")}, "", "the value does not fit its schema: the value ends too early"},
		{"no header", kafka.Record{Value: []byte("{}")}, "", "the value has 2 bytes"},
		{"another header", kafka.Record{Value: []byte("{\"a\":1}")}, "", "the value begins with byte 0x7b"},
		{"a key that is no text", kafka.Record{Key: []byte{0xff}, Value: value(1, "\x02")}, "1", "the key is not UTF-8"},
	}
	var records []kafka.Record
	for _, tt := range tests {
		records = append(records, tt.r)
	}
	put(t, p, records...)
	i := 0
	err := Peek(t.Context(), p, kafka.Look{Topic: "clicks", From: kafka.Earliest}, false, nil, func(r Row) error {
		tt := tests[i]
		i++
		if string(r.ParsedValue) != tt.parsed || !strings.HasPrefix(r.Fault, tt.fault) || tt.fault == "" && r.Fault != "" {
			t.Errorf("%s: %s, fault %q", tt.name, r.ParsedValue, r.Fault)
		}
		return nil
	})
	if err != nil || i != len(tests) {
		t.Errorf("%d rows, %v", i, err)
	}
	// Raw, nothing is asked of the registry.
	n := 0
	if err := Peek(t.Context(), p, kafka.Look{Topic: "clicks", From: kafka.Earliest}, true, nil, func(r Row) error {
		n++
		if r.ParsesValue || r.ParsedValue != nil || r.ValueSchemaID != nil {
			t.Errorf("decoded: %+v", r)
		}
		return nil
	}); err != nil || n != len(tests) {
		t.Errorf("%d rows, %v", n, err)
	}
}

func TestPeekEndsWhereTheRegistryRefuses(t *testing.T) {
	p := aCluster(t, map[string]string{"1": "401"}, "")
	put(t, p, kafka.Record{Value: []byte{0, 0, 0, 0, 1, 2}})
	err := Peek(t.Context(), p, kafka.Look{Topic: "clicks", From: kafka.Earliest}, false, nil, func(Row) error { return nil })
	if codeOf(err) != problem.RegistryLogin {
		t.Errorf("got %v", err)
	}
}

func lines(t *testing.T, schema, text string, valueOnly bool) (records []kafka.Record, bad []string) {
	t.Helper()
	e := lineEncoder{valueOnly: valueOnly, keyText: true, partitions: 2}
	if schema != "" {
		c, err := avro.ParseCodec(schema, nil)
		if err != nil {
			t.Fatal(err)
		}
		id := int32(7)
		e.codec, e.id = c, &id
	}
	err := eachLine(t.Context(), strings.NewReader(text), func(number int, line []byte, tooLong bool) error {
		r, p := e.record(line, tooLong)
		if p != nil {
			bad = append(bad, fmt.Sprintf("%d %s: %s", number, p.Where.Field, p.Message))
		} else {
			records = append(records, r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return records, bad
}

func TestALineBecomesARecord(t *testing.T) {
	records, bad := lines(t, `"int"`, `{"key":"k","value":1,"headers":{"b":"2","a":null,"b":"3"},"partition":1,"timestamp":1000}
{"value":null,"key":null,"headers":null,"partition":null,"timestamp":null}
{"value":2,"headers":[{"key":"h","value":"v"},{"key":"h","valueBase64":"/w=="},{"key":"n","value":null}],"timestamp":"1970-01-01T00:00:01.5Z"}`, false)
	if len(bad) > 0 || len(records) != 3 {
		t.Fatal(records, bad)
	}
	a, b, c := records[0], records[1], records[2]
	if string(a.Key) != "k" || !bytes.Equal(a.Value, []byte{0, 0, 0, 0, 7, 2}) || a.Partition != 1 || !a.Timestamp.Equal(time.Unix(1, 0)) ||
		fmt.Sprint(a.Headers) != "[{b [50]} {a []} {b [51]}]" || a.Headers[1].Value != nil {
		t.Errorf("got %+v", a)
	}
	if b.Key != nil || b.Value != nil || b.Partition != -1 || !b.Timestamp.IsZero() || b.Headers != nil {
		t.Errorf("got %+v", b)
	}
	if fmt.Sprint(c.Headers) != "[{h [118]} {h [255]} {n []}]" || !c.Timestamp.Equal(time.UnixMilli(1500)) {
		t.Errorf("got %+v", c)
	}
}

func TestABadLineIsNamed(t *testing.T) {
	tests := []struct {
		schema, line string
		valueOnly    bool
		want         string
	}{
		{`"int"`, `{"value":"x"}`, false, `1 value: "x" is not an int`},
		{`"int"`, `"x"`, true, `1 : "x" is not an int`},
		{`"int"`, `[1]`, false, "1 : the line is no object of key, value, headers, partition and timestamp; lines that are values alone need --value-only"},
		{`"int"`, `{"value":1,"offset":1}`, false, "1 offset: a record has key, value, headers, partition and timestamp; lines that are values alone need --value-only"},
		{`"int"`, `{"key":"a"}`, false, "1 value: it is missing; null writes a tombstone"},
		{`"int"`, `{"value":1,"partition":1.5}`, false, "1 partition: it is no whole number"},
		{`"int"`, `{"value":1,"partition":-1}`, false, "1 partition: the topic has no partition -1; it has 0 to 1"},
		{`"int"`, `{"value":1,"timestamp":"yesterday"}`, false, `1 timestamp: "yesterday" is neither milliseconds since 1970 nor a time such as "2026-01-31T13:05:00Z"`},
		{`"int"`, `{"value":1,"headers":{"a":1}}`, false, "1 headers.a: it is neither a string nor null"},
		{`"int"`, `{"value":1,"headers":"a"}`, false, "1 headers: want an object of strings"},
		{`"int"`, `{"value":1,"headers":[{"value":"a"}]}`, false, "1 headers[0].key: it is missing"},
		{"", "\xff", true, "1 : the value is no JSON"},
		{"", "\n\n" + strings.Repeat(" ", maxLine+1) + "1\n", true, "3 : the line is longer than 16MiB"},
	}
	for _, tt := range tests {
		records, bad := lines(t, tt.schema, tt.line, tt.valueOnly)
		if len(records) > 0 || len(bad) != 1 || bad[0] != tt.want {
			t.Errorf("%.80s:\ngot  %v\nwant %s", tt.line, bad, tt.want)
		}
	}
}

// A terminal gives its text, is interrupted, and then gives nothing more, as if somebody thought about what to type.
type terminal struct {
	text      *strings.Reader
	interrupt func()
	closed    chan struct{}
}

func (w terminal) Read(b []byte) (int, error) {
	n, err := w.text.Read(b)
	if errors.Is(err, io.EOF) {
		w.interrupt()
		<-w.closed
	}
	return n, err
}

// An interrupt ends the reading, and what was read before is written and counted.
func TestProduceIsInterrupted(t *testing.T) {
	p := aCluster(t, nil, "decode: {value: binary}")
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	w := terminal{strings.NewReader(`{"value":"a"}` + "\n"), interrupt, make(chan struct{})}
	defer close(w.closed)
	done, err := Produce(ctx, p, ProduceOptions{Topic: "clicks", Lines: w, Bad: func(p *problem.Problem) { t.Error(p) }})
	if !errors.Is(err, context.Canceled) || done.Written != 1 {
		t.Errorf("wrote %d, %v", done.Written, err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the pipe is broken") }

func TestProduceSaysThatItsInputBroke(t *testing.T) {
	p := aCluster(t, nil, "decode: {value: binary}")
	_, err := Produce(t.Context(), p, ProduceOptions{Topic: "clicks", Lines: broken{}})
	if codeOf(err) != problem.FileUnreadable || !strings.Contains(err.Error(), "the pipe is broken") {
		t.Errorf("got %v", err)
	}
}
