//go:build e2e

package e2e

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/siltlake/silt/test/load"
	"github.com/siltlake/silt/test/parts"
)

// atStart bounds how long a start takes to say what is wrong: 30 s a check, and most need none of them.
const atStart = 35 * time.Second

// TestErrorsNameTheThingAndTheFix breaks one thing each, against the real broker, and reads what silt says of it.
func TestErrorsNameTheThingAndTheFix(t *testing.T) {
	tests := map[string]struct {
		// prepare breaks something; the topic holds ten good records before it.
		prepare func(f *fixture)
		exit    int
		// says are texts of the error block; TOPIC, TABLE, BROKER and REGISTRY stand for the fixture's.
		says []string
	}{
		"wrong password": {func(f *fixture) {
			f.set("org.apache.kafka.common.security.plain.PlainLoginModule required username='"+f.kafka.User+"' password='wrong-password';",
				"source", "kafka", "kafka.sasl.jaas.config")
		}, 69, []string{"E2003", "BROKER", "kafka.sasl.jaas.config"}},
		"nobody listens at the broker's address": {func(f *fixture) {
			f.set(closedPort(f.t), "source", "kafka", "kafka.bootstrap.servers")
		}, 69, []string{"E2001", "127.0.0.1:", "kafka.bootstrap.servers"}},
		"another authority signed the broker's certificate": {func(f *fixture) {
			dir := f.t.TempDir()
			if err := parts.WriteTLS(dir); err != nil {
				f.t.Fatal(err)
			}
			f.set(filepath.Join(dir, "ca.pem"), "source", "kafka", "kafka.ssl.truststore.location")
		}, 69, []string{"E2002", "BROKER", "kafka.ssl.truststore"}},
		"TLS at a listener without": {func(f *fixture) {
			f.set(f.kafka.Plain, "source", "kafka", "kafka.bootstrap.servers")
		}, 69, []string{"E2002", "127.0.0.1:", "SASL_SSL", "kafka.bootstrap.servers"}},
		"unknown topic": {func(f *fixture) {
			f.set(strings.ToUpper(f.topic), "source", "kafka", "subscribe")
		}, 2, []string{"E2004", `did you mean "TOPIC"?`}},
		"registry refuses the login": {func(f *fixture) {
			f.set("SRKEY:wrong-secret", "registry", "basic.auth.user.info")
		}, 69, []string{"E3002", "REGISTRY", "basic.auth.user.info"}},
		"registry answers 500": {func(f *fixture) {
			f.registry.Fault(func(*http.Request) int { return http.StatusInternalServerError })
		}, 69, []string{"E3001", "REGISTRY", "500"}},
		"nobody listens at the registry's address": {func(f *fixture) {
			f.set("http://"+closedPort(f.t), "registry", "schema.registry.url")
		}, 69, []string{"E3001", "127.0.0.1:", "schema.registry.url"}},
		"table below a file": {func(f *fixture) {
			file := filepath.Join(f.dir, "file")
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				f.t.Fatal(err)
			}
			f.set(filepath.Join(file, "table"), "sink", "delta", "path")
		}, 2, []string{"E5001", "file/table"}},
		"a schema id that the registry does not know": {func(f *fixture) {
			f.send(2, wire(7, 0))
		}, 5, []string{"E4002", "schema id 7", "TOPIC", "partition 2", "offset"}},
		"a record that its schema cannot read": {func(f *fixture) {
			f.send(3, wire(f.id, 0xff, 0xff, 0xff))
		}, 5, []string{"E4001", "TOPIC", "partition 3", "offset", "decode.mode"}},
		"a record without a schema id": {func(f *fixture) {
			f.send(1, []byte("{}"))
		}, 5, []string{"E4001", "TOPIC", "partition 1", "offset"}},
		"a type that is not supported": {func(f *fixture) {
			id := f.registry.Add(f.topic+"-value", `{"type":"record","name":"r","fields":[{"name":"either","type":["int","string"]}]}`)
			f.send(0, wire(id, 0, 2))
		}, 6, []string{"E4003", "either"}},
		"an option that nobody knows": {func(f *fixture) {
			f.set(true, "source", "kafka", "failOnDataLos")
		}, 2, []string{"E1203", "pipeline.yaml:", `did you mean "failOnDataLoss"?`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, checked)
			f.produce(t.Context(), load.Options{Records: 10})
			test.prepare(f)
			text := f.fails(test.exit, "run", "-c", f.file())
			f.says(text, test.says...)
			if v := f.version(); v != -1 {
				t.Errorf("a table of version %d was made", v)
			}
		})
	}
}

// fails runs silt, which must end with the exit status soon, and returns what it said. Secrets must not be in it.
func (f *fixture) fails(want int, args ...string) string {
	f.t.Helper()
	p := f.start(nil, args...)
	got := p.wait(f.t, atStart)
	text := p.stderr.String()
	if got != want {
		f.t.Errorf("exit status %d, want %d", got, want)
	}
	for _, secret := range []string{f.kafka.Password, f.registry.Password, "wrong-password", "wrong-secret"} {
		if strings.Contains(text+p.stdout.String(), secret) {
			f.t.Errorf("the output holds the secret %s", secret)
		}
	}
	return text
}

// says checks that the text holds every want.
func (f *fixture) says(text string, wants ...string) {
	f.t.Helper()
	names := strings.NewReplacer("TOPIC", f.topic, "TABLE", f.table(), "BROKER", f.kafka.TLS, "REGISTRY",
		strings.TrimPrefix(f.registry.URL, "http://"))
	flat := strings.Join(strings.Fields(text), " ") // lines are broken for people
	for _, want := range wants {
		if want = names.Replace(want); !strings.Contains(flat, want) {
			f.t.Errorf("%q is not in:\n%s", want, text)
		}
	}
}

// closedPort is an address that nobody listens at.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// wire is a value in Confluent's wire format.
func wire(id int32, payload ...byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), payload...)
}

// send adds a record with this value to a partition.
func (f *fixture) send(partition int32, value []byte) {
	f.t.Helper()
	cl, err := f.kafka.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		f.t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(f.t.Context(), &kgo.Record{Topic: f.topic, Partition: partition, Value: value}).FirstErr(); err != nil {
		f.t.Fatal(err)
	}
}

func TestRegistryThatGoesAwayIsWaitedFor(t *testing.T) {
	f := newFixture(t, checked)
	f.set(pipeline{"processingTime": "200 milliseconds"}, "trigger")
	f.produce(t.Context(), load.Options{Records: 100})
	// the probe at the start passes, the schema does not come
	for _, status := range []int{http.StatusNotFound, http.StatusInternalServerError, http.StatusUnauthorized} {
		f.registry.Fault(func(r *http.Request) int {
			if strings.HasPrefix(r.URL.Path, "/schemas/ids/") {
				return status
			}
			return 0
		})
		p := f.start(nil, "run", "-c", f.file())
		code := fmt.Sprint(status)
		eventually(t, atStart, "a word about status "+code, func() bool { return strings.Contains(p.stderr.String(), code) })
		if !p.running() {
			t.Errorf("status %s ended silt:\n%s", code, p.stderr.String())
		}
		p.stop(t)
		if v := f.version(); v != -1 {
			t.Fatalf("version %d without a schema", v)
		}
	}
	f.registry.Fault(nil)
	f.runOnce()
	f.checkComplete()
}

func TestModesOfBadRecords(t *testing.T) {
	for mode, wantRows := range map[string]int64{"PERMISSIVE": 13, "DROP": 11} {
		t.Run(mode, func(t *testing.T) {
			f := newFixture(t, checked)
			f.produce(t.Context(), load.Options{Records: 10})
			f.send(0, []byte("{}"))
			f.send(1, wire(f.id, 0xff, 0xff, 0xff))
			f.send(2, nil) // a tombstone is a row in every mode
			f.set(mode, "decode", "mode")
			f.runOnce()
			if got := f.count(); got.Rows != wantRows {
				t.Errorf("%d rows, want %d", got.Rows, wantRows)
			}
			f.verify("-c", f.file())
		})
	}
}

func TestSchemaChangeNeedsMergeSchema(t *testing.T) {
	f := newFixture(t, checked)
	f.set(nil, "sink", "delta", "mergeSchema")
	f.produce(t.Context(), load.Options{Records: 100, Make: clicks(f, f.id)})
	f.runOnce()
	before := f.version()
	f.produce(t.Context(), load.Options{Records: 100, Make: clicks(f, f.id2)})
	text := f.fails(6, "run", "-c", f.file())
	f.says(text, "E4006", "campaign", "mergeSchema")
	if v := f.version(); v != before {
		t.Errorf("the refused batch made version %d", v)
	}
	f.set(true, "sink", "delta", "mergeSchema")
	f.runOnce()
	f.checkComplete()
}

func TestCheckpointAndTableThatDoNotFit(t *testing.T) {
	remove := func(f *fixture, path ...string) {
		if err := os.RemoveAll(filepath.Join(append([]string{f.dir}, path...)...)); err != nil {
			f.t.Fatal(err)
		}
	}
	overwrite := func(f *fixture, text string, path ...string) {
		if err := os.WriteFile(filepath.Join(append([]string{f.dir}, path...)...), []byte(text), 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
	tests := map[string]struct {
		// change happens after two batches, 0 and 1.
		change func(f *fixture)
		exit   int
		says   []string
	}{
		"checkpoint of another topic": {func(f *fixture) {
			f.createTopic(f.topic+"-other", 1)
			f.set(f.topic+"-other", "source", "kafka", "subscribe")
		}, 2, []string{"E6005", "TOPIC"}},
		"table deleted": {func(f *fixture) { remove(f, "table") }, 4, []string{"E6003", "TABLE"}},
		"checkpoint deleted": {func(f *fixture) { remove(f, "checkpoint") }, 4,
			[]string{"E6004", "--new-query", "startingOffsets"}},
		"offsets of the batch before are gone": {func(f *fixture) { remove(f, "checkpoint", "offsets", "0") }, 1,
			[]string{"E6001", "offsets/0"}},
		"metadata is gone": {func(f *fixture) { remove(f, "checkpoint", "metadata") }, 1, []string{"E6001", "metadata"}},
		"an offset file is not what Spark wrote": {func(f *fixture) { overwrite(f, "v9\n{}", "checkpoint", "offsets", "0") }, 1,
			[]string{"E6001", "offsets/0"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, checked)
			for range 2 {
				f.produce(t.Context(), load.Options{Records: 100})
				f.runOnce()
			}
			test.change(f)
			before := f.version()
			f.says(f.fails(test.exit, "run", "-c", f.file()), test.says...)
			if v := f.version(); v != before {
				t.Errorf("version %d became %d", before, v)
			}
		})
	}
	t.Run("newest offsets torn", func(t *testing.T) {
		f := newFixture(t, checked)
		for range 2 {
			f.produce(t.Context(), load.Options{Records: 100})
			f.runOnce()
		}
		overwrite(f, "v1\n{\"batchWat", "checkpoint", "offsets", "1")
		f.produce(t.Context(), load.Options{Records: 100})
		f.runOnce()
		f.checkComplete()
	})
}

func TestNewQueryGoesOnWhereTheMessageSays(t *testing.T) {
	f := newFixture(t, checked)
	f.produce(t.Context(), load.Options{Records: 100})
	f.runOnce()
	if err := os.RemoveAll(filepath.Join(f.dir, "checkpoint")); err != nil {
		t.Fatal(err)
	}
	f.produce(t.Context(), load.Options{Records: 50})
	text := f.fails(4, "run", "-c", f.file())
	offsets := regexp.MustCompile(`\{"` + regexp.QuoteMeta(f.topic) + `":\{[^}]*\}\}`).FindString(strings.Join(strings.Fields(text), ""))
	if offsets == "" {
		t.Fatalf("no offsets to go on from in:\n%s", text)
	}
	f.set(offsets, "source", "kafka", "startingOffsets")
	f.run(0, "run", "-c", f.file(), "--new-query")
	f.produce(t.Context(), load.Options{Records: 30})
	f.runOnce() // the flag is not needed again
	f.checkComplete()
}

func TestSecondRunOfAQueryIsFenced(t *testing.T) {
	f := newFixture(t, checked)
	f.set(pipeline{"processingTime": "100 milliseconds"}, "trigger")
	f.produce(t.Context(), load.Options{Records: 100})
	runs := []*process{f.start(nil, "run", "-c", f.file()), f.start(nil, "run", "-c", f.file())}
	ended := func() *process {
		for _, p := range runs {
			if !p.running() {
				return p
			}
		}
		return nil
	}
	for deadline := time.Now().Add(time.Minute); ended() == nil; {
		if time.Now().After(deadline) {
			t.Fatal("two runs of one query went on side by side")
		}
		f.produce(t.Context(), load.Options{Records: 100})
	}
	loser := ended()
	if code := loser.wait(t, time.Second); code != 4 {
		t.Errorf("exit status %d of the loser, want 4:\n%s", code, loser.stderr.String())
	}
	for _, p := range runs {
		if p != loser {
			p.stop(t)
		}
	}
	f.runOnce()
	f.checkComplete()
}

func TestDeletedTopicIsDataLoss(t *testing.T) {
	f := newFixture(t, checked)
	f.produce(t.Context(), load.Options{Records: 100})
	f.runOnce()
	if err := f.kafka.DeleteTopic(t.Context(), f.topic); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "the topic can be made again", func() bool {
		return f.kafka.CreateTopic(t.Context(), f.topic, topicPartitions, nil) == nil
	})
	// more records than before: the offsets alone show nothing
	f.produce(t.Context(), load.Options{Records: 5_000})
	f.says(f.fails(3, "run", "-c", f.file()), "E2006", "TOPIC", "failOnDataLoss")

	// Whoever says that it is none has the rows of both topics, and each has its own offsets.
	f.set(false, "source", "kafka", "failOnDataLoss")
	f.runOnce()
	f.verify()
	stdout, _ := f.run(0, "table", "verify", f.table(), "-c", f.file())
	const verdict = "offsets 5,100 · rows 5,100 · missing 0 · duplicate 0 · OK"
	if n := strings.Count(stdout, "topic made again"); n != topicPartitions || !strings.Contains(stdout, verdict) {
		t.Errorf("%d partitions were made again, want %d, and the verdict %q:\n%s", n, topicPartitions, verdict, stdout)
	}
}
