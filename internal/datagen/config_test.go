package datagen

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/test/golden"
)

func noFile(string) ([]byte, error) { return nil, os.ErrNotExist }

func TestEverythingThatIsWrongWithAConnectorIsReported(t *testing.T) {
	for _, name := range []string{"bad", "bad-cloud", "bad-self-managed"} {
		text, err := os.ReadFile("testdata/connectors/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		_, err = ParseConfig(name+".json", text, noFile)
		var b strings.Builder
		for _, p := range problem.Of(err) {
			fmt.Fprintln(&b, p.Error())
			if p.Hint != "" {
				fmt.Fprintln(&b, "    "+p.Hint)
			}
		}
		golden.Check(t, "testdata/connectors/"+name+".txt", b.String())
		if strings.Contains(b.String(), "canary") {
			t.Error("a secret is shown")
		}
	}
}

func parse(t *testing.T, config string) Config {
	t.Helper()
	c, err := ParseConfig("c.json", []byte(config), noFile)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheTutorialsConnector(t *testing.T) {
	text, err := os.ReadFile("testdata/connectors/cloud.json")
	if err != nil {
		t.Fatal(err)
	}
	c := parse(t, string(text))
	if c.Name != "DatagenSourceConnector_0" || c.Topic != "clickstreams" || c.Output != Avro || c.MaxInterval != 500*time.Millisecond || c.Tasks != 1 ||
		c.KeyField != "ip" || c.Schema.name != "clickstream.events" || c.Subject != "clickstreams-value" || c.Seed != nil || c.Iterations != -1 {
		t.Errorf("got %+v", struct {
			Name, Topic, KeyField, Subject string
			Output                         Format
			MaxInterval                    time.Duration
		}{c.Name, c.Topic, c.KeyField, c.Subject, c.Output, c.MaxInterval})
	}
	want := []string{"kafka.auth.mode: the login is that of the Kafka connection", "kafka.api.key: the login is that of the Kafka connection",
		"kafka.api.secret: the login is that of the Kafka connection"}
	if diff := cmp.Diff(want, c.Notes); diff != "" {
		t.Error(diff)
	}
}

func TestAConnectorIsShownWithItsSecretsMasked(t *testing.T) {
	text, err := os.ReadFile("testdata/connectors/cloud.json")
	if err != nil {
		t.Fatal(err)
	}
	c := parse(t, string(text))
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{string(asJSON), c.String(), fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c, c), fmt.Sprint(&c)} {
		if strings.Contains(shown, "canary") {
			t.Errorf("a secret is shown: %s", shown)
		}
		if strings.Count(shown, mask) < 2 {
			t.Errorf("nothing is masked: %s", shown)
		}
	}
	var got, want any
	if err := json.Unmarshal([]byte(strings.NewReplacer("canary-api-key", mask, "canary-api-secret", mask).Replace(string(text))), &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(asJSON, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := len(c.Secrets()); n != 2 {
		t.Errorf("%d secrets, want 2", n)
	}
}

func TestFormsOfConnectors(t *testing.T) {
	const self = `"connector.class":"io.confluent.kafka.connect.datagen.DatagenConnector","name":"n","kafka.topic":"t",`
	const cloud = `"connector.class":"DatagenSource","name":"n","kafka.topic":"t",`
	const own = `"schema.string":"{\"type\":\"record\",\"name\":\"n.r\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}",`
	type shape struct {
		Output            Format
		Envelope, Numeric bool
		MaxInterval       time.Duration
		KeyField, Subject string
		Tasks             int
		Iterations        int64
		Registry          string
	}
	half, second := 500*time.Millisecond, time.Second
	tests := []struct {
		name, config string
		want         shape
	}{
		{"self-managed, defaults", self + `"quickstart":"pageviews"`, shape{Avro, false, false, half, "viewtime", "t-value", 1, -1, ""}},
		{"numbers and null as JSON has them", self + `"quickstart":"Pageviews","tasks.max":3,"iterations":7,"max.interval":0,"random.seed":null`,
			shape{Avro, false, false, 0, "viewtime", "t-value", 3, 7, ""}},
		{"a key field over the quickstart's", self + `"quickstart":"ORDERS","schema.keyfield":"itemid"`,
			shape{Avro, false, false, half, "itemid", "t-value", 1, -1, ""}},
		{"a schema of one's own has no key", self + own + `"max.interval":"-5"`, shape{Avro, false, false, 0, "", "t-value", 1, -1, ""}},
		{"a schema of the jar", self + `"schema.filename":"clickstream_schema.avro"`, shape{Avro, false, false, half, "", "t-value", 1, -1, ""}},
		{"JSON with its schema", self + own + `"value.converter":"org.apache.kafka.connect.json.JsonConverter","value.converter.decimal.format":"NUMERIC"`,
			shape{JSON, true, true, half, "", "t-value", 1, -1, ""}},
		{"JSON alone", self + own + `"value.converter":"org.apache.kafka.connect.json.JsonConverter","value.converter.schemas.enable":"false"`,
			shape{JSON, false, false, half, "", "t-value", 1, -1, ""}},
		{"a registry of its own", self + own + `"value.converter":"io.confluent.connect.avro.AvroConverter",
			"value.converter.schema.registry.url":"http://r:8081",
			"value.converter.value.subject.name.strategy":"io.confluent.kafka.serializers.subject.TopicRecordNameStrategy"`,
			shape{Avro, false, false, half, "", "t-n.r", 1, -1, "http://r:8081"}},
		{"cloud, defaults", cloud + own + `"output.data.format":"JSON"`, shape{JSON, false, false, second, "", "t-value", 1, -1, ""}},
		{"a context", cloud + own + `"output.data.format":"AVRO","schema.context.name":"c","value.subject.name.strategy":"RecordNameStrategy"`,
			shape{Avro, false, false, second, "", ":.c:n.r", 1, -1, ""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := parse(t, "{"+tt.config+"}")
			url, _ := c.Registry.Lookup("schema.registry.url")
			got := shape{c.Output, c.Envelope, c.NumericDecimals, c.MaxInterval, c.KeyField, c.Subject, c.Tasks, c.Iterations, url.Text}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			again := parse(t, c.String())
			if again.String() != c.String() {
				t.Errorf("what is shown reads as another connector:\n%s\n%s", c, again)
			}
		})
	}
}

func TestFilesThatAreNoConnector(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", "c.json:1:1  E1102 not a connector's JSON: the JSON has no end"},
		{"[]", "c.json:1:2  E1102 not a connector's JSON: want an object"},
		{"{\n\"name\": }", "c.json:2:9  E1102 not a connector's JSON: invalid character '}' looking for beginning of value"},
		{"{} {}", "c.json:1:5  E1102 not a connector's JSON: there is text after the object"},
		{strings.Repeat(`{"config":`, 20), "E1102 not a connector's JSON: it is nested too deeply"},
	}
	for _, tt := range tests {
		_, err := ParseConfig("c.json", []byte(tt.text), noFile)
		if err == nil || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("%.20s: got %v, want %s", tt.text, err, tt.want)
		}
	}
}

func TestKeysThatCannotBeTextAreRefused(t *testing.T) {
	for typ, want := range map[string]string{
		`\"bytes\"`: "a field of type bytes cannot be a key", `[\"int\",\"string\"]`: "a union cannot be a key", `[\"null\",\"string\"]`: "",
		`{\"type\":\"array\",\"items\":\"int\"}`: "a field of type array cannot be a key",
	} {
		_, err := ParseConfig("c.json", []byte(`{"name":"n","connector.class":"DatagenSource","kafka.topic":"t","output.data.format":"JSON","schema.keyfield":"a",
			"schema.string":"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":`+typ+`}]}"}`), noFile)
		if (err == nil) != (want == "") || err != nil && !strings.HasSuffix(err.Error(), "schema.keyfield: "+want) {
			t.Errorf("%s: got %v, want %s", typ, err, want)
		}
	}
}

func FuzzConfig(f *testing.F) {
	files, err := filepath.Glob("testdata/connectors/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds: ", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ParseConfig("c.json", text, noFile)
		if err != nil {
			if len(problem.Of(err)) == 0 {
				t.Errorf("%v is no problem", err)
			}
			return
		}
		if c.Schema == nil || c.Topic == "" || c.Name == "" || c.Tasks < 1 || c.Output == "" {
			t.Errorf("%s has gaps", c)
		}
		if !json.Valid([]byte(c.String())) {
			t.Errorf("%s is no JSON", c)
		}
	})
}

func FuzzSchema(f *testing.F) {
	for _, q := range []string{"CLICKSTREAM", "ORDERS", "USERS_", "PURCHASES", "FLEET_MGMT_LOCATION"} {
		q, _ := LookupQuickstart(q)
		f.Add(q.text())
	}
	f.Add([]byte(`{"type":"record","name":"n","fields":[{"name":"v","type":["null","n",{"type":"map","values":"n"}]}]} // c`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseSchema(text)
		if err != nil {
			return
		}
		g, err := NewGenerator(s, GeneratorOptions{Seed: 1, ReadFile: noFile})
		if err != nil {
			return
		}
		v, _, err := g.Next(nil)
		if err != nil {
			return
		}
		rest, err := checkedSkip(s, v)
		if err != nil || len(rest) > 0 {
			t.Fatalf("%s generates %x: %v, %d bytes left", text, v, err, len(rest))
		}
		decode(t, s, v)
		if out, _ := (jsonWriter{}).append(nil, s, v); !json.Valid(out) {
			t.Errorf("%s is no JSON", out)
		}
	})
}
