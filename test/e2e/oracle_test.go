//go:build e2e

package e2e

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// oraclePartitions is how many partitions the oracle's topics have.
const oraclePartitions = 3

// TestTablesHoldTheValuesThatOthersEncoded lets Python make schemas and records, fastavro encode them, silt read them, and delta-rs and
// DuckDB compare the table with Python's own values. Every seed is a topic and a table.
func TestTablesHoldTheValuesThatOthersEncoded(t *testing.T) {
	o := startOracle(t)
	first := firstSeed(t)
	for seed := first; seed < first+int64(theCounts().oracleSeeds); seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			f := newFixture(t, checked)
			f.kafkaTopicFor(oraclePartitions)
			ids := o.produce(f, seed)
			// several batches, whose files have different columns
			f.set(300, "source", "kafka", "maxOffsetsPerTrigger")
			f.runOnce()
			compare := map[string]any{
				"do": "compare", "seed": seed, "table": f.table(), "ids": ids, "partitions": oraclePartitions,
			}
			got := o.ask(t, compare)
			if got.Differences > 0 {
				t.Errorf("%d differences in %d rows", got.Differences, got.Rows)
				for _, d := range got.First {
					t.Log(d)
				}
			}
			compare["plant"] = true
			if got := o.ask(t, compare); got.Differences == 0 {
				t.Error("the oracle does not find a planted difference")
			}
			f.verify()
		})
	}
}

// firstSeed is 0, in a soak another one each time, or what $SILT_ORACLE_SEED says, to repeat a seed that failed.
func firstSeed(t *testing.T) int64 {
	t.Helper()
	text := os.Getenv("SILT_ORACLE_SEED")
	switch {
	case text == "" && theCounts().soaking:
		return time.Now().Unix()
	case text == "":
		return 0
	}
	seed, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal("SILT_ORACLE_SEED: ", err)
	}
	return seed
}

// kafkaTopicFor gives the fixture another topic, with so many partitions.
func (f *fixture) kafkaTopicFor(partitions int32) {
	f.t.Helper()
	f.topic += "-p"
	f.createTopic(f.topic, partitions)
	f.set(f.topic, "source", "kafka", "subscribe")
}

// An oracle is the Python process of python/oracle.py.
type oracle struct{ script *script }

type oracleAnswer struct {
	Schemas     []string
	Records     int
	Rows        int
	Differences int
	First       []string
}

func startOracle(t *testing.T) *oracle {
	t.Helper()
	s, err := startScript(needPython(t), "oracle.py")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	return &oracle{s}
}

func (o *oracle) ask(t *testing.T, request map[string]any) (a oracleAnswer) {
	t.Helper()
	o.script.mustAsk(t, request, &a)
	return a
}

// produce sends the records of a seed and returns the ids of its schemas.
func (o *oracle) produce(f *fixture, seed int64) []int32 {
	f.t.Helper()
	file := filepath.Join(f.dir, "records.jsonl")
	made := o.ask(f.t, map[string]any{"do": "generate", "seed": seed, "out": file})
	ids := []int32{}
	for _, text := range made.Schemas {
		ids = append(ids, f.registry.Add(f.topic+"-value", text))
	}
	records, err := readOracleRecords(file, ids)
	if err != nil {
		f.t.Fatal(err)
	}
	opts, err := f.kafka.SecureOpts()
	if err != nil {
		f.t.Fatal(err)
	}
	cl, err := kgo.NewClient(append(opts, kgo.DefaultProduceTopic(f.topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		f.t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(f.t.Context(), records...).FirstErr(); err != nil {
		f.t.Fatal(err)
	}
	return ids
}

// readOracleRecords reads a file of python/oracle.py; record i goes to partition i mod oraclePartitions.
func readOracleRecords(file string, ids []int32) ([]*kgo.Record, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var records []*kgo.Record
	for dec := json.NewDecoder(bufio.NewReader(f)); dec.More(); {
		var line struct {
			Schema int
			Key    *string
			Value  string
		}
		if err := dec.Decode(&line); err != nil {
			return nil, err
		}
		r := &kgo.Record{Partition: int32(len(records) % oraclePartitions)}
		if line.Key != nil {
			r.Key = []byte(*line.Key)
		}
		if line.Schema >= 0 {
			payload, err := base64.StdEncoding.DecodeString(line.Value)
			if err != nil {
				return nil, err
			}
			r.Value = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(ids[line.Schema])), payload...)
		}
		records = append(records, r)
	}
	return records, nil
}
