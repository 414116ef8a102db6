//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/siltlake/silt/test/load"
	"github.com/siltlake/silt/test/shapes"
)

// place is where a record is in its topic.
type place struct {
	partition int64
	offset    int64
}

// TestTableHoldsWhatTheSimplePathReads reads the same topic the simple way, kgo's records decoded to any by twmb/avro, and compares it, row
// by row, with what parquet-go reads from silt's files.
func TestTableHoldsWhatTheSimplePathReads(t *testing.T) {
	for _, shape := range shapes.All() {
		t.Run(shape.Name, func(t *testing.T) {
			f := newFixture(t, checked)
			id := f.registry.Add(f.topic+"-value", shape.Schema)
			f.produce(t.Context(), load.Options{Records: 3_000, Run: 70, Make: shape.Make(7, id)})
			f.set(1_000, "source", "kafka", "maxOffsetsPerTrigger")
			f.runOnce()
			want := f.simpleRows(map[int32]string{id: shape.Schema}, 3_000)
			got := f.rowsOfFiles()
			if len(got) != len(want) {
				t.Errorf("%d rows, want %d", len(got), len(want))
			}
			different := 0
			for at, w := range want {
				if diff := cmp.Diff(w, got[at]); diff != "" {
					if different++; different <= 3 {
						t.Errorf("partition %d offset %d, -simple path +silt:\n%s", at.partition, at.offset, diff)
					}
				}
			}
			if different > 3 {
				t.Errorf("%d rows differ", different)
			}
		})
	}
}

// simpleRows reads n records of the topic and decodes them by the schemas.
func (f *fixture) simpleRows(texts map[int32]string, n int) map[place]map[string]any {
	f.t.Helper()
	schemas := map[int32]*avro.Schema{}
	for id, text := range texts {
		s, err := avro.Parse(text)
		if err != nil {
			f.t.Fatal(err)
		}
		schemas[id] = s
	}
	cl, err := f.kafka.Client(kgo.ConsumeTopics(f.topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		f.t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	rows := map[place]map[string]any{}
	for len(rows) < n {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			f.t.Fatalf("after %d records: %v", len(rows), err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			id := int32(binary.BigEndian.Uint32(r.Value[1:]))
			var value any
			if _, err := schemas[id].Decode(r.Value[5:], &value); err != nil {
				f.t.Fatalf("partition %d offset %d: %v", r.Partition, r.Offset, err)
			}
			rows[place{int64(r.Partition), r.Offset}] = map[string]any{
				"topic": r.Topic, "partition": int64(r.Partition), "offset": r.Offset, "timestamp": r.Timestamp.UnixMicro(),
				"timestampType": int64(r.Attrs.TimestampType()), "key": string(r.Key), "valueSchemaId": int64(id), "parsedValue": plain(value),
			}
		})
	}
	return rows
}

// rowsOfFiles reads the table's files, which are those that its JSON log adds, since nothing removes any.
func (f *fixture) rowsOfFiles() map[place]map[string]any {
	f.t.Helper()
	rows := map[place]map[string]any{}
	for _, name := range f.addedFiles() {
		err := readRows(filepath.Join(f.table(), name), func(row map[string]any) {
			at := place{row["partition"].(int64), row["offset"].(int64)}
			if _, twice := rows[at]; twice {
				f.t.Errorf("partition %d offset %d is in the table twice", at.partition, at.offset)
			}
			rows[at] = row
		})
		if err != nil {
			f.t.Fatalf("%s: %v", name, err)
		}
	}
	return rows
}

func (f *fixture) addedFiles() []string {
	f.t.Helper()
	commits, err := filepath.Glob(filepath.Join(f.table(), "_delta_log", "*.json"))
	if err != nil {
		f.t.Fatal(err)
	}
	var files []string
	for _, commit := range commits {
		text, err := os.ReadFile(commit)
		if err != nil {
			f.t.Fatal(err)
		}
		for dec := json.NewDecoder(bytes.NewReader(text)); dec.More(); {
			var action struct{ Add *struct{ Path string } }
			if err := dec.Decode(&action); err != nil {
				f.t.Fatalf("%s: %v", commit, err)
			}
			if action.Add != nil {
				files = append(files, action.Add.Path)
			}
		}
	}
	return files
}

func readRows(name string, each func(row map[string]any)) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	file, err := parquet.OpenFile(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		return err
	}
	r := parquet.NewGenericReader[any](bytes.NewReader(text), file.Schema())
	defer r.Close()
	read := make([]any, file.NumRows())
	n, err := r.Read(read)
	if int64(n) != file.NumRows() {
		return fmt.Errorf("%d of %d rows: %w", n, file.NumRows(), err)
	}
	for _, row := range read {
		fields, ok := plain(row).(map[string]any)
		if !ok {
			return fmt.Errorf("a row is a %T", row)
		}
		each(fields)
	}
	return nil
}

// plain gives the two libraries' values one form: every integer an int64, every byte string a string.
func plain(v any) any {
	switch v := v.(type) {
	case int32:
		return int64(v)
	case int:
		return int64(v)
	case []byte:
		return string(v)
	// parquet-go gives a map's values as pointers
	case *int64:
		return *v
	case *[]byte:
		return string(*v)
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = plain(item)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, item := range v {
			out[name] = plain(item)
		}
		return out
	}
	return v
}
