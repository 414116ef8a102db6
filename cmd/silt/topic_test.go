package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/siltlake/silt"
	"github.com/siltlake/silt/internal/kafka"
)

// aCluster is a broker and a registry with a pipeline file, and a process for each call.
type aCluster struct {
	t    *testing.T
	g    *reader
	file string
}

func newCluster(t *testing.T) aCluster {
	g := newReader(t)
	return aCluster{t, g, pipeline(t, `source: {kafka: {kafka.bootstrap.servers: "${env:BOOTSTRAP_SERVERS}", subscribe: clicks}}
registry: {schema.registry.url: "${env:SCHEMA_REGISTRY_URL}"}
sink: {delta: {path: /data/clicks}}
checkpointLocation: /data/_checkpoints/clicks
`)}
}

func (c aCluster) process(stdin string) *fakeProcess {
	f := newFakeProcess(newEngine())
	f.env, f.stdin = c.g.env, strings.NewReader(stdin)
	return f
}

// run runs a command that succeeds.
func (c aCluster) run(stdin string, args ...string) string {
	c.t.Helper()
	f := c.process(stdin)
	if status := f.main(append(args, "-c", c.file)...); status != 0 {
		c.t.Fatalf("%v: exit status %d: %s", args, status, f.stderr.String())
	}
	return f.stdout.String()
}

func TestDeletingOnATerminalAsksForTheName(t *testing.T) {
	c := newCluster(t)
	c.run("", "topic", "create", "clicks")
	for _, tt := range []struct {
		typed  string
		status int
		stdout string
		stderr string
	}{
		{"click\n", 2, "", "E1100 that is not the name of the topic; nothing was deleted"},
		{"", 2, "", "E1100 that is not the name of the topic; nothing was deleted"},
		{"clicks\n", 0, "deleted topic clicks\n", ""},
	} {
		f := c.process(tt.typed)
		f.interactive = true
		status := f.main("topic", "delete", "clicks", "-c", c.file)
		stderr, asked := strings.CutPrefix(f.stderr.String(), "  topic clicks has 10 partitions and at most 0 records\n  type the name of the topic to delete it: ")
		if status != tt.status || f.stdout.String() != tt.stdout || !asked || !strings.HasPrefix(stderr, tt.stderr) {
			t.Errorf("%q: status %d, stdout %q, stderr %q", tt.typed, status, f.stdout.String(), f.stderr.String())
		}
	}
}

func TestFollowShowsWhatComesUntilItIsInterrupted(t *testing.T) {
	for form, prefix := range map[string]string{"json": `{"topic":"clicks",`, "ndjson": `{"topic":"clicks",`, "table": "topic ", "raw": "first\n"} {
		c := newCluster(t)
		c.run("", "topic", "create", "clicks", "-p", "1")
		c.run(`"first"`, "topic", "produce", "clicks", "--value-only", "-s", "decode.value=binary")
		f := c.process("")
		ended := make(chan int)
		go func() {
			ended <- f.main("topic", "peek", "clicks", "-f", "-o", form, "-s", "decode.value=binary", "-c", c.file)
		}()
		seen := func(n int) {
			t.Helper()
			want := n
			if form == "table" {
				want++ // the head
			}
			for deadline := time.Now().Add(20 * time.Second); strings.Count(f.stdout.String(), "\n") < want; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%s: %d records did not come: %q", form, n, f.stdout.String())
				}
			}
		}
		seen(1)
		err := produceTo(c.g.env["BOOTSTRAP_SERVERS"], &kgo.Record{Topic: "clicks", Value: []byte("second")})
		if err != nil {
			t.Fatal(err)
		}
		seen(2)
		f.signals <- os.Interrupt
		if status := <-ended; status != 0 || !strings.HasPrefix(f.stdout.String(), prefix) || f.stderr.String() != "  stopping\n" && form == "table" {
			t.Errorf("%s: exit status %d, stdout %q, stderr %q", form, status, f.stdout.String(), f.stderr.String())
		}
	}
}

func TestRowsAreWrittenInEveryForm(t *testing.T) {
	id := int32(7)
	rows := []silt.Row{
		{Record: kafka.Record{Topic: "clicks", Partition: 1, Offset: 12, Timestamp: time.UnixMilli(1500), Key: []byte("k<"), Value: []byte("vvvvv{}"),
			Headers: []kafka.Header{{Key: "a", Value: []byte("x")}, {Key: "b"}, {Key: "c", Value: []byte{0xff}}}},
			KeyText: true, ParsesValue: true, ValueSchemaID: &id, FixedValue: []byte("{}"), ParsedValue: json.RawMessage(`{"n":9007199254740993}`)},
		{Record: kafka.Record{Topic: "clicks", Offset: 3, Timestamp: time.UnixMilli(0), TimestampType: 1, Key: []byte{0xff}, Value: []byte{1}},
			KeyText: true, ParsesValue: true, Fault: "bad\x1b[31m\nvalue"},
		{Record: kafka.Record{Topic: "clicks", Timestamp: time.UnixMilli(0)}, KeyText: true, ParsesValue: true},
	}
	for _, tt := range []struct {
		command topicPeekCmd
		want    string
	}{
		{topicPeekCmd{Output: "ndjson"}, `{"topic":"clicks","partition":1,"offset":12,"timestamp":"1970-01-01T00:00:01.500Z","timestampType":0,"key":"k<",` +
			`"headers":[{"key":"a","value":"x"},{"key":"b","value":null},{"key":"c","value":null,"valueBase64":"/w=="}],"valueSchemaId":7,"fixedValue":"e30=","parsedValue":{"n":9007199254740993}}
{"topic":"clicks","partition":0,"offset":3,"timestamp":"1970-01-01T00:00:00.000Z","timestampType":1,"key":"/w==","valueSchemaId":null,"fixedValue":null,"parsedValue":null,"fault":"bad\u001b[31m\nvalue"}
{"topic":"clicks","partition":0,"offset":0,"timestamp":"1970-01-01T00:00:00.000Z","timestampType":0,"key":null,"valueSchemaId":null,"fixedValue":null,"parsedValue":null}
`},
		{topicPeekCmd{Output: "json", Columns: []string{"offset", "value"}}, `[
{"offset":12,"value":"dnZ2dnZ7fQ=="},
{"offset":3,"value":"AQ=="},
{"offset":0,"value":null}
]
`},
		{topicPeekCmd{Output: "raw"}, "vvvvv{}\n\x01\n\n"},
		{topicPeekCmd{Output: "table"}, `topic   partition  offset  timestamp                 timestampType  key          valueSchemaId  parsedValue
clicks          1      12  1970-01-01T00:00:01.500Z              0  k<                       7  {"n":9007199254740993}
clicks          0       3  1970-01-01T00:00:00.000Z              1  base64:/w==           null  ! bad[31m value
clicks          0       0  1970-01-01T00:00:00.000Z              0  null                  null  null
`},
		{topicPeekCmd{Output: "table", Columns: []string{"headers", "fixedValue", "fault"}}, `headers                   fixedValue  fault
a=x b=null c=base64:/w==  {}
                          null        bad[31m value
                          null
`},
	} {
		f := newFakeProcess(engine{})
		w := tt.command.writer(newApp(process{stdout: &f.stdout, stderr: &f.stderr}))
		for _, r := range rows {
			if err := w.row(r); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.end(); err != nil {
			t.Fatal(err)
		}
		check(t, string(tt.command.Output), f.stdout.String(), tt.want)
	}
}

// Widths grow with what comes after the first rows.
func TestALongTableIsWrittenAsItComes(t *testing.T) {
	f := newFakeProcess(engine{})
	w := topicPeekCmd{Output: "table", Columns: []string{"offset", "key"}}
	rows := w.writer(newApp(process{stdout: &f.stdout, stderr: &f.stderr}))
	for i := range widthRows + 1 {
		if err := rows.row(silt.Row{Record: kafka.Record{Offset: int64(i) * 1000}}); err != nil {
			t.Fatal(err)
		}
		if i == widthRows-2 && f.stdout.String() != "" {
			t.Error("the first rows are not looked at for the widths")
		}
	}
	if n := strings.Count(f.stdout.String(), "\n"); n <= widthRows/2 {
		t.Errorf("%d lines of %d rows", n, widthRows+1)
	}
	if err := rows.end(); err != nil || strings.Count(f.stdout.String(), "\n") != widthRows+2 || !strings.HasPrefix(f.stdout.String(), "offset  key\n") {
		t.Errorf("%v\n%s", err, f.stdout.String())
	}
}

func TestFromIsAPlaceOrATime(t *testing.T) {
	at := func(text string) kafka.From {
		v, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return kafka.FromTime(v)
	}
	for _, tt := range []struct {
		text string
		want kafka.From
	}{
		{"newest", kafka.Newest},
		{"oldest", kafka.Earliest},
		{"42", kafka.FromOffset(42)},
		{"@2026-01-31", at("2026-01-31T00:00:00Z")},
		{"@2026-01-31T13:05Z", at("2026-01-31T13:05:00Z")},
		{"@2026-01-31T13:05:06.7Z", at("2026-01-31T13:05:06.7Z")},
	} {
		var f fromFlag
		if err := f.UnmarshalText([]byte(tt.text)); err != nil || f.From != tt.want {
			t.Errorf("%s: %v, %v", tt.text, f.From, err)
		}
	}
	// Other zones and milliseconds name the same instant in another way.
	for _, text := range []string{"2026-01-31T15:05:00+02:00", "2026-01-31 13:05:00", "2026-01-31T13:05", "1769864700000"} {
		if got, ok := parseTime(text); !ok || !got.Equal(time.UnixMilli(1769864700000)) {
			t.Errorf("%s: %v", text, got)
		}
	}
	for _, text := range []string{"", "now", "@", "@2026-13-01", "-5", "1.5"} {
		if err := new(fromFlag).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
