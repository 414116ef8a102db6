//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siltlake/silt/test/clickstream"
	"github.com/siltlake/silt/test/load"
)

// TestObjectStoresHoldWhatTheTopicHolds runs the tutorial's pipeline into each object store, and delta-rs reads there, row by row, what the
// simple way reads from the topic.
func TestObjectStoresHoldWhatTheTopicHolds(t *testing.T) {
	onEveryEmulator(t, func(t *testing.T, e *emulator) {
		f := newFixture(t, checked)
		f.moveTo(e, e.url, f.topic)
		const records = 6_000
		f.produce(t.Context(), load.Options{Records: records, Run: 70})
		f.set(2_000, "source", "kafka", "maxOffsetsPerTrigger")
		f.runOnce()
		want := f.simpleRows(map[int32]string{f.id: clickstream.Schema, f.id2: clickstream.SchemaV2}, records)
		for at, row := range f.rowsByDeltaRS() {
			w, ok := want[at]
			if !ok {
				t.Fatalf("partition %d offset %d is in the table and not in the topic, or twice in the table", at.partition, at.offset)
			}
			delete(want, at)
			addNulls(w["parsedValue"], row["parsedValue"])
			if diff := cmp.Diff(w, row); diff != "" {
				t.Fatalf("partition %d offset %d, -topic +table:\n%s", at.partition, at.offset, diff)
			}
		}
		if len(want) > 0 {
			t.Errorf("%d records of the topic are not in the table", len(want))
		}
		f.checkComplete()

		// A second run finds everything done, and adds only what is new.
		before := f.count().Version
		f.runOnce()
		if after := f.count().Version; after != before {
			t.Errorf("a run without new records made version %d of %d", after, before)
		}
		f.produce(t.Context(), load.Options{Records: 500})
		f.runOnce()
		f.checkComplete()
	})
}

// rowsByDeltaRS reads the table; values have the form that simpleRows gives them.
func (f *fixture) rowsByDeltaRS() map[place]map[string]any {
	f.t.Helper()
	out := filepath.Join(f.dir, "rows.jsonl")
	var answer struct{ Rows int }
	needReaders(f.t).mustAsk(f.t, map[string]any{"do": "rows", "table": f.table(), "options": f.readerOptions(), "out": out}, &answer)
	file, err := os.Open(out)
	if err != nil {
		f.t.Fatal(err)
	}
	defer file.Close()
	rows := map[place]map[string]any{}
	dec := json.NewDecoder(bufio.NewReader(file))
	for dec.UseNumber(); dec.More(); {
		var row map[string]any
		if err := dec.Decode(&row); err != nil {
			f.t.Fatal(err)
		}
		row = integers(row).(map[string]any)
		at := place{row["partition"].(int64), row["offset"].(int64)}
		if rows[at] != nil {
			f.t.Errorf("partition %d offset %d is in the table twice", at.partition, at.offset)
		}
		rows[at] = row
	}
	if len(rows) != answer.Rows {
		f.t.Errorf("%d rows, %d of them different", answer.Rows, len(rows))
	}
	return rows
}

// integers makes numbers of decoded JSON int64, where they are.
func integers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
	case map[string]any:
		for name, item := range v {
			v[name] = integers(item)
		}
	case []any:
		for i, item := range v {
			v[i] = integers(item)
		}
	}
	return v
}

// addNulls gives a record the fields that the table has and its own schema has not.
func addNulls(record, row any) {
	fields, ok := record.(map[string]any)
	columns, also := row.(map[string]any)
	if !ok || !also {
		return
	}
	for name, value := range columns {
		if _, has := fields[name]; !has && value == nil {
			fields[name] = nil
		}
	}
}
