package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestTheCommandsWorkTogether lands a topic of an in-process broker with the binary's own engine, and looks at the table.
func TestTheCommandsWorkTogether(t *testing.T) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "clicks"))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	produce := func(n int) {
		t.Helper()
		client, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.DefaultProduceTopic("clicks"))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		for i := range n {
			r := &kgo.Record{Key: fmt.Append(nil, "key", i), Value: fmt.Append(nil, "value", i)}
			if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir := t.TempDir()
	file := pipeline(t, fmt.Sprintf(`name: clicks
source:
  kafka: {kafka.bootstrap.servers: "%s", subscribe: clicks, startingOffsets: earliest}
decode: {value: binary}
sink: {delta: {path: "%s/clicks"}}
checkpointLocation: "%s/checkpoint"
`, strings.Join(broker.ListenAddrs(), ","), filepath.ToSlash(dir), filepath.ToSlash(dir)))
	silt := func(want int, args ...string) (stdout string) {
		t.Helper()
		f := newFakeProcess(newEngine())
		if got := f.main(args...); got != want {
			t.Fatalf("silt %v: exit status %d, want %d\n%s%s", args, got, want, f.stdout.String(), f.stderr.String())
		}
		return f.stdout.String()
	}
	table := filepath.Join(dir, "clicks")

	produce(20)
	var progress struct {
		BatchID      int64
		NumInputRows int64
		Name         string
	}
	if err := json.Unmarshal([]byte(silt(0, "run", "-c", file, "--once", "-o", "json")), &progress); err != nil ||
		progress.BatchID != 0 || progress.NumInputRows != 20 || progress.Name != "clicks" {
		t.Errorf("first run: %+v %v", progress, err)
	}
	produce(10)
	silt(0, "run", "-c", file, "--once")

	last := func(out string) string {
		lines := strings.Split(strings.TrimSpace(out), "\n")
		return lines[len(lines)-1]
	}
	want := "2 partitions · offsets 30 · rows 30 · missing 0 · duplicate 0 · OK"
	for _, args := range [][]string{{table}, {table, "--scan"}, {"-c", file}, {table, "-c", file}} {
		if got := last(silt(0, append([]string{"table", "verify"}, args...)...)); got != want {
			t.Errorf("verify %v: got %s", args, got)
		}
	}
	var versions []struct {
		Version   int64
		RowsAdded int64
		Silt      struct{ BatchID int64 }
	}
	if err := json.Unmarshal([]byte(silt(0, "table", "history", table, "-o", "json")), &versions); err != nil || len(versions) != 2 ||
		versions[0].Version != 1 || versions[0].RowsAdded != 10 || versions[0].Silt.BatchID != 1 || versions[1].RowsAdded != 20 {
		t.Errorf("history: %+v %v", versions, err)
	}
	if out := silt(0, "table", "history", table, "-n", "1"); strings.Count(out, "\n") != 2 {
		t.Errorf("history of one version:\n%s", out)
	}
	silt(2, "table", "verify", dir)
	silt(2, "table", "history", dir)
}
