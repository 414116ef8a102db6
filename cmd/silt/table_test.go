package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/siltlake/silt"
	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/delta"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/verify"
	"github.com/siltlake/silt/test/golden"
)

// sound is a table that two engines wrote to, without a fault; topic orders was made again, and its files were optimized.
func sound() verify.Result {
	return verify.Result{Path: "/data/clicks", From: 0, To: 12, Scanned: true, Files: 7, FileRows: 1945, Other: 1,
		Queries: []*verify.Query{{ID: "7d0e1c1e-9d5e-4b0e-8a52-2f5f3b1a9c11", FirstBatch: 0, LastBatch: 10, Batches: 11, Partitions: []*verify.Partition{
			{Topic: "clicks", Partition: 0, Segments: []verify.Segment{{Start: 0, End: 900}, {Start: 1000, End: 1100, Note: "continued by another engine"}},
				Served: 998, Rows: 995, Rejected: 3, Nulled: 2, Gaps: [][2]int64{{10, 12}}},
			{Topic: "clicks", Partition: 1, Segments: []verify.Segment{{Start: 0, End: 899}}, Served: 899, Rows: 899},
			{Topic: "clicks", Partition: 2, Segments: []verify.Segment{{Start: 5, End: 5}}},
			{Topic: "orders", TopicID: "A", Partition: 0, Segments: []verify.Segment{{Start: 0, End: 40}}, Served: 40, Rows: 40},
			{Topic: "orders", TopicID: "B", Partition: 0, Segments: []verify.Segment{{Start: 0, End: 10, Note: "topic made again"}}, Served: 10, Rows: 10},
		}}},
		Foreign:  []verify.Foreign{{Version: 4, Operation: "WRITE", Engine: "Apache-Spark/4.1.1 Delta-Lake/4.1.0", RowsAdded: 1, DataChange: true}},
		Findings: []verify.Finding{},
		Notes:    []string{"orders-0: offsets of 2 incarnations are mixed"},
	}
}

// broken is the same table with faults of every kind, more than people want to read.
func broken() verify.Result {
	r := sound()
	r.Missing, r.Duplicate = 41, 1
	r.Findings = []verify.Finding{
		{Kind: verify.Duplicate, Version: 3, Query: r.Queries[0].ID, Topic: "clicks", Partition: 1, Offset: 17, N: 1, Text: "offset 17 is in the table twice"},
		{Kind: verify.Count, Version: 5, Offset: -1, Text: "the files hold 9 rows, the commit says 10"},
		{Kind: verify.Disorder, Version: -1, Offset: -1, Text: "a name with an escape \x1b[31m"},
	}
	for i := range int64(41) {
		r.Findings = append(r.Findings, verify.Finding{Kind: verify.Missing, Version: -1, Topic: "clicks", Offset: 100 + i, N: 1, Text: "an offset is missing"})
	}
	return r
}

func TestVerifyPrintsTheVerdict(t *testing.T) {
	for _, tt := range []struct {
		name   string
		result verify.Result
		status int
	}{
		{"sound", sound(), 0},
		{"broken", broken(), problem.ExitDataLoss}, // missing beats the rest
	} {
		t.Run(tt.name, func(t *testing.T) {
			var dir string
			var got silt.VerifyOptions
			f := newFakeProcess(engine{verify: func(_ context.Context, d config.Path, o silt.VerifyOptions) (verify.Result, error) {
				dir, got = d.Dir, o
				return tt.result, nil
			}})
			if status := f.main("table", "verify", "file:/data/clicks", "--scan"); status != tt.status {
				t.Errorf("exit status %d, want %d", status, tt.status)
			}
			if dir != "/data/clicks" || !got.Scan || got.Pipeline != nil || got.Progress != nil {
				t.Errorf("options %+v", got)
			}
			golden.Check(t, "testdata/verify-"+tt.name+".txt", f.stdout.String()+"--- stderr\n"+f.stderr.String())

			f = newFakeProcess(f.engine)
			if status := f.main("table", "verify", "/data/clicks", "-o", "json"); status != tt.status {
				t.Errorf("json: exit status %d, want %d", status, tt.status)
			}
			var r verify.Result
			if err := json.Unmarshal([]byte(f.stdout.String()), &r); err != nil || len(r.Findings) != len(tt.result.Findings) {
				t.Errorf("%v: %s", err, f.stdout.String())
			}
		})
	}
}

func TestVerifyTakesTheTableOfItsPipeline(t *testing.T) {
	file := pipeline(t, "paths: {dbfs: /mnt, dbfs:/mnt/lake: s3://bucket/top}\n"+clicks)
	for _, tt := range []struct {
		args []string
		dir  string
	}{
		{[]string{"-c", file}, "/data/clicks"},
		{[]string{"-c", file, "-s", "sink.delta.path=/data/views"}, "/data/views"},
		{[]string{"-c", file, "dbfs:/clicks"}, "/mnt/clicks"}, // by the pipeline's paths
		{[]string{"-c", file, "dbfs:/mnt/lake/clicks"}, "s3://bucket/top/clicks"},
		{[]string{"-c", file, "gs://bucket/clicks"}, "gs://bucket/clicks"},
	} {
		var dir string
		f := newFakeProcess(engine{verify: func(_ context.Context, d config.Path, o silt.VerifyOptions) (verify.Result, error) {
			dir = d.Dir + d.URL
			return sound(), o.Pipeline.Err()
		}})
		f.env["PASSWORD"] = "canary-password"
		if status := f.main(append([]string{"table", "verify"}, tt.args...)...); status != 0 || filepath.ToSlash(dir) != tt.dir {
			t.Errorf("%v: status %d, %s: %s", tt.args, status, dir, f.stderr.String())
		}
	}
}

func TestVerifyShowsItsProgressOnATerminalOnly(t *testing.T) {
	f := newFakeProcess(engine{verify: func(_ context.Context, d config.Path, o silt.VerifyOptions) (verify.Result, error) {
		o.Progress(1200, 3000)
		return sound(), nil
	}})
	f.terminal = true
	f.main("table", "verify", "/data/clicks", "--scan")
	check(t, "stderr", f.stderr.String(), "\r\x1b[K  file 1,200 of 3,000\r\x1b[K")
}

func TestHistoryListsVersions(t *testing.T) {
	blind := true
	commits := []*delta.Commit{
		{Version: 12, Info: &delta.CommitInfo{Timestamp: 1740823200123, Operation: "STREAMING UPDATE", ReadVersion: 11, IsBlindAppend: &blind,
			OperationParameters: delta.Object{{Key: "outputMode", Value: delta.Text("Append")}}, EngineInfo: "silt/1.2.3",
			Silt: json.RawMessage(`{"v":1,"batchId":10,"partitions":[],"schemaIds":[]}`)},
			Adds: []*delta.Add{{Path: "a", Stats: `{"numRecords":1200}`}, {Path: "b", Stats: `{"numRecords":34}`}}},
		{Version: 11, Info: &delta.CommitInfo{Timestamp: 1740823100000, Operation: "OPTIMIZE", ReadVersion: -1, EngineInfo: "Apache-Spark/4.1.1"},
			Adds: []*delta.Add{{Path: "c"}}, Removes: []*delta.Remove{{Path: "a"}, {Path: "b"}}}, // no statistics
		{Version: 10}, // a writer that says nothing
	}
	var dir string
	var limit int
	var options silt.TableOptions
	f := newFakeProcess(engine{history: func(_ context.Context, d config.Path, n int, o silt.TableOptions) ([]*delta.Commit, error) {
		dir, limit, options = d.Dir, n, o
		return commits, nil
	}})
	for _, form := range []string{"table", "json", "ndjson"} {
		if status := f.main("table", "history", "/data/clicks", "-o", form); status != 0 {
			t.Errorf("exit status %d", status)
		}
	}
	if dir != "/data/clicks" || limit != 20 || options.Env == nil || options.Pipeline != nil {
		t.Errorf("asked for %d of %s", limit, dir)
	}
	golden.Check(t, "testdata/history.txt", f.stdout.String())
	check(t, "stderr", f.stderr.String(), "")

	f = newFakeProcess(engine{history: func(context.Context, config.Path, int, silt.TableOptions) ([]*delta.Commit, error) {
		return nil, problem.New(problem.NoTable, "no table")
	}})
	if status := f.main("table", "history", "/data/clicks"); status != problem.ExitUsage {
		t.Errorf("exit status %d", status)
	}
}
