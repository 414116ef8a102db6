//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siltlake/silt/test/load"
)

func TestTopicOfTwoSchemaIDsIsInTheTableOnce(t *testing.T) {
	f := newFixture(t, checked)
	f.produce(t.Context(), load.Options{Records: 60_000})
	f.set(10_000, "source", "kafka", "maxOffsetsPerTrigger")
	f.runOnce()
	if v := f.version(); v < 5 {
		t.Errorf("version %d after 60,000 records in batches of 10,000", v)
	}
	f.checkComplete()

	// Nothing new: nothing happens. Something new: it alone is added.
	before := f.version()
	f.runOnce()
	if after := f.version(); after != before {
		t.Errorf("a run without new records made version %d of %d", after, before)
	}
	f.produce(t.Context(), load.Options{Records: 1_000})
	f.runOnce()
	f.checkComplete()
}

func TestOneSchemaIDsRecordsMakeOneCommitWithTheOther(t *testing.T) {
	f := newFixture(t, checked)
	f.produce(t.Context(), load.Options{Records: 1_000})
	stdout, _ := f.run(0, "run", "-c", f.file(), "-o", "json")
	progress := decodeLines(t, stdout)
	if len(progress) != 1 {
		t.Fatalf("%d progress objects for one batch:\n%s", len(progress), stdout)
	}
	if rows := progress[0]["numInputRows"]; rows != 1000.0 {
		t.Errorf("numInputRows %v, want 1000", rows)
	}
	if v := f.version(); v != 0 {
		t.Errorf("version %d, want 0: both ids in the first commit", v)
	}
	f.checkComplete()
}

// decodeLines decodes output of one JSON object a line.
func decodeLines(t *testing.T, out string) []map[string]any {
	t.Helper()
	var objects []map[string]any
	for dec := json.NewDecoder(strings.NewReader(out)); dec.More(); {
		var o map[string]any
		if err := dec.Decode(&o); err != nil {
			t.Fatalf("%v in:\n%s", err, out)
		}
		objects = append(objects, o)
	}
	return objects
}

func TestAbortedTransactionsAreNotInTheTable(t *testing.T) {
	f := newFixture(t, checked)
	report := f.produce(t.Context(), load.Options{Records: 20_000, Run: 500, Transaction: f.topic})
	if report.Aborted == 0 {
		t.Fatal("no transaction was aborted")
	}
	f.set(3_000, "source", "kafka", "maxOffsetsPerTrigger") // ends inside transactions
	f.runOnce()
	got := f.count()
	if want := report.Records - report.Aborted; got.Rows != want {
		t.Errorf("%d rows, %d records were committed", got.Rows, want)
	}
	if diff := cmp.Diff(f.consumed(), got.Partitions); diff != "" {
		t.Errorf("-a consumer's committed offsets +the table's:\n%s", diff)
	}
	f.verify()
	f.verify("-c", f.file())
}

func TestConfluentsPythonClientsRecordsAreInTheTable(t *testing.T) {
	for name, args := range map[string][]string{
		"plain":        {"--records", "20000"},
		"transactions": {"--records", "6000", "--transactions", "500"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, checked)
			cmd := exec.Command(needPython(t), append([]string{filepath.Join("..", "..", "scripts", "produce_clickstream.py"),
				"--topic", f.topic, "--transactional-id", f.topic}, args...)...)
			cmd.Env = append(os.Environ(), "BOOTSTRAP_SERVERS="+f.kafka.TLS, "KAFKA_CA="+f.kafka.CA,
				"KAFKA_API_KEY="+f.kafka.User, "KAFKA_API_SECRET="+f.kafka.Password, "SCHEMA_REGISTRY_URL="+f.registry.URL,
				"SCHEMA_REGISTRY_API_KEY="+f.registry.User, "SCHEMA_REGISTRY_API_SECRET="+f.registry.Password)
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("produce: %v\n%s", err, out)
			}
			var made struct{ Records, Aborted int64 }
			if err := json.Unmarshal(out, &made); err != nil {
				t.Fatal(err)
			}
			f.runOnce()
			got := f.count()
			if want := made.Records - made.Aborted; got.Rows != want {
				t.Errorf("%d rows, %d records were committed", got.Rows, want)
			}
			f.verify("-c", f.file())
		})
	}
}

func TestBrokerRestartInTheMiddleLosesNothing(t *testing.T) {
	f := newFixture(t, checked)
	f.set(pipeline{"processingTime": "200 milliseconds"}, "trigger")
	produced := f.produceOn(5_000)
	p := f.start(nil, "run", "-c", f.file())
	for _, crash := range []bool{true, false} {
		before := f.version()
		eventually(t, 30*time.Second, "three more batches", func() bool { return f.version() >= before+3 })
		end := f.kafka.Stop
		if crash {
			end = f.kafka.Kill
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // long enough for connections to be refused
		if !p.running() {
			t.Fatalf("silt ended while the broker was away:\n%s", p.stderr.String())
		}
		if err := f.kafka.Start(); err != nil {
			t.Fatal(err)
		}
	}
	before := f.version()
	eventually(t, 60*time.Second, "three batches after the last restart", func() bool { return f.version() >= before+3 })
	produced()
	p.stop(t)
	f.runOnce()
	f.checkComplete()
}

func TestPartitionsThatATopicGainsAreRead(t *testing.T) {
	f := newFixture(t, checked)
	f.set(pipeline{"processingTime": "200 milliseconds"}, "trigger")
	f.produce(t.Context(), load.Options{Records: 600, Run: 100})
	p := f.start(nil, "run", "-c", f.file())
	eventually(t, 30*time.Second, "the first batch", func() bool { return f.version() >= 0 })
	if err := f.kafka.AddPartitions(t.Context(), f.topic, 3); err != nil {
		t.Fatal(err)
	}
	before := f.version()
	f.produce(t.Context(), load.Options{Records: 900, Run: 100, Partitions: topicPartitions + 3})
	eventually(t, 30*time.Second, "a batch with the new partitions", func() bool { return f.version() > before })
	p.stop(t)
	f.runOnce()
	f.checkComplete()
}
