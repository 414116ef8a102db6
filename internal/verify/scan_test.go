package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/delta"
	"github.com/siltlake/silt/internal/parquet"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/stream"
)

// A builder makes tables version by version, sound or not.
type builder struct {
	t      *testing.T
	store  store.Store
	log    *delta.Log
	snap   *delta.Snapshot
	layout *column.Layout
	query  string // whose batches are committed
	files  int
}

func newBuilder(t *testing.T) *builder {
	t.Helper()
	l, err := column.NewLayout(column.Of(
		column.Nullable("topic", column.Primitive(column.String)),
		column.Nullable("partition", column.Primitive(column.Integer)),
		column.Nullable("offset", column.Primitive(column.Long))))
	if err != nil {
		t.Fatal(err)
	}
	s := store.NewMemory(func() time.Time { return time.UnixMilli(1_700_000_000_000) })
	b := &builder{t: t, store: s, log: delta.Open(s, delta.Options{}), layout: l, query: "q"}
	if b.snap, err = b.log.Snapshot(context.Background()); err != nil {
		t.Fatal(err)
	}
	return b
}

// file writes a file with these offsets of partition 0 of topic t, in this order.
func (b *builder) file(offsets ...int64) *delta.Add {
	b.t.Helper()
	var out bytes.Buffer
	f := parquet.NewFile(&out, b.layout, parquet.Options{})
	rows := column.NewRows(b.layout)
	for _, o := range offsets {
		rows.Leaves[0].Spans[rows.Len()] = column.Span{Len: 1}
		rows.Leaves[1].Ints[rows.Len()] = 0
		rows.Leaves[2].Ints[rows.Len()] = o
		rows.AddRow()
	}
	f.Block().Append(append([]byte("t"), make([]byte, column.Slack)...), rows)
	if err := f.EndBlock(); err != nil {
		b.t.Fatal(err)
	}
	stats, err := f.Close()
	if err != nil {
		b.t.Fatal(err)
	}
	b.files++
	name := fmt.Sprintf("f%d.parquet", b.files)
	if err := b.store.Put(context.Background(), name, out.Bytes()); err != nil {
		b.t.Fatal(err)
	}
	return &delta.Add{Path: name, PartitionValues: delta.Values{}, Size: stats.Bytes, DataChange: true,
		Stats: delta.StatsJSON(b.layout, stats, delta.DefaultStats())}
}

// commit makes a version; info may be nil for a foreign one.
func (b *builder) commit(info *stream.BatchInfo, actions ...delta.Action) {
	b.t.Helper()
	ci := delta.CommitInfo{Operation: "WRITE", EngineInfo: "another/1"}
	if info != nil {
		text, err := json.Marshal(info)
		if err != nil {
			b.t.Fatal(err)
		}
		ci = delta.CommitInfo{Operation: "STREAMING UPDATE", EngineInfo: "silt/test", Silt: text}
		actions = append(actions, &delta.Txn{AppID: b.query, Version: info.BatchID, LastUpdated: 1})
		for _, p := range info.Partitions {
			actions = append(actions, &delta.Txn{AppID: b.query + "/t/0", Version: p.End, LastUpdated: 1})
		}
	}
	snap, err := b.log.Commit(context.Background(), delta.Transaction{Read: b.snap, Info: ci,
		Prepare: func(_ context.Context, s *delta.Snapshot) ([]delta.Action, error) {
			if !s.Exists() {
				return append(actions, delta.NewMetaData("id", b.layout.Schema.JSON(), 1), delta.NewProtocol()), nil
			}
			return actions, nil
		}})
	if err != nil {
		b.t.Fatal(err)
	}
	b.snap = snap
}

func batch(id, start, end, rows int64, rejected int64) *stream.BatchInfo {
	p := stream.PartitionInfo{Topic: "t", Start: start, End: end, Served: rows + rejected, Rows: rows}
	if rejected > 0 {
		p.Rejected = map[stream.Reason]int64{stream.BadPayload: rejected}
	}
	return &stream.BatchInfo{V: 1, BatchID: id, Partitions: []stream.PartitionInfo{p}}
}

func span(from, to int64) []int64 {
	var out []int64
	for o := from; o < to; o++ {
		out = append(out, o)
	}
	return out
}

// sound lands [0, 20): offset 7 is a transaction marker, 13 was rejected.
func (b *builder) sound() {
	b.commit(batch(0, 0, 10, 9, 0), b.file(slices.DeleteFunc(span(0, 10), func(o int64) bool { return o == 7 })...))
	b.commit(batch(1, 10, 20, 9, 1), b.file(slices.DeleteFunc(span(10, 20), func(o int64) bool { return o == 13 })...))
}

// A topic is a Source that serves the offsets [0, 20) but the marker.
type topic struct {
	lacks []int64
	id    string // "" if the broker gives none
}

func (s topic) Bounds(context.Context, stream.Offsets) (stream.Bounds, error) {
	b := stream.Bounds{First: stream.Offsets{"t": {0: 0}}, Next: stream.Offsets{"t": {0: 20}}}
	if s.id != "" {
		b.TopicIDs = map[string]string{"t": s.id}
	}
	return b, nil
}

func (s topic) Fetch(ctx context.Context, ranges []stream.Range, out chan<- stream.Chunk) ([]stream.Gap, error) {
	for _, r := range ranges {
		out <- &topicChunk{r: r, lacks: s.lacks}
	}
	return nil, nil
}
func (s topic) Publish(context.Context, stream.Offsets) {}
func (s topic) Description() string                     { return "topic" }

type topicChunk struct {
	r     stream.Range
	lacks []int64
	done  bool
}

func (c *topicChunk) Range() stream.Range { return c.r }
func (c *topicChunk) Next(dst *stream.Records) (bool, error) {
	if c.done {
		return false, nil
	}
	c.done = true
	dst.TopicPartition = c.r.TopicPartition
	dst.Offset = slices.DeleteFunc(span(c.r.Start, c.r.End), func(o int64) bool { return slices.Contains(c.lacks, o) })
	return true, nil
}
func (c *topicChunk) Served() int64 { return int64(len(c.lacks)) }
func (c *topicChunk) Release()      {}

func TestScanOfASoundTable(t *testing.T) {
	b := newBuilder(t)
	b.sound()
	r, err := Table(context.Background(), b.log, Options{Source: topic{lacks: []int64{7}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Err(); err != nil || len(r.Findings) > 0 {
		t.Fatalf("%v: %+v", err, r.Findings)
	}
	p := r.Queries[0].Partitions[0]
	if p.Scanned != 18 || p.Holes != 1 || r.Files != 2 || r.FileRows != 18 || !r.Compared {
		t.Errorf("got %+v %+v", r, p)
	}
}

// Every fault that is planted in files or commits must be found, and the exit status must say what it is.
func TestScanFindsWhatIsPlanted(t *testing.T) {
	tests := []struct {
		name   string
		make   func(b *builder)
		source stream.Source
		exit   int
		text   string
	}{
		{"a row twice in one file", func(b *builder) { b.commit(batch(0, 0, 10, 10, 0), b.file(0, 1, 2, 3, 4, 5, 5, 6, 7, 8)) }, nil,
			problem.ExitDataLoss, "the log says 10 rows, the files have 9"},
		{"a row in two files", func(b *builder) { b.sound(); b.commit(nil, b.file(3)) }, nil, problem.ExitFailed,
			"1 rows have an offset that another row has, the first is 3"},
		{"a row is gone and another is double", func(b *builder) { b.commit(batch(0, 0, 4, 4, 0), b.file(0, 1, 1, 3)) }, nil,
			problem.ExitDataLoss, "the first offset without a row is 2"},
		{"a row outside the range", func(b *builder) { b.commit(batch(0, 0, 4, 4, 0), b.file(0, 1, 2, 9)) }, nil, problem.ExitDataLoss,
			"lie in no range of the log, the first is offset 9"},
		{"rows out of order", func(b *builder) { b.commit(batch(0, 0, 4, 4, 0), b.file(0, 2, 1, 3)) }, nil, problem.ExitFailed,
			"offset 1 of t-0 comes after 2"},
		{"a dropped reject", func(b *builder) {
			b.commit(batch(0, 0, 20, 18, 0), b.file(slices.DeleteFunc(span(0, 20), func(o int64) bool { return o == 7 || o == 13 })...))
		},
			topic{lacks: []int64{7}}, problem.ExitDataLoss,
			"the topic serves 1 records that the table lacks, and 0 were rejected; the first is offset 13"},
		{"a hole that the topic does not have", func(b *builder) { b.sound() }, topic{}, problem.ExitDataLoss,
			"the topic serves 2 records that the table lacks, and 1 were rejected; the first is offset 7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBuilder(t)
			tt.make(b)
			r, err := Table(context.Background(), b.log, Options{Scan: true, Source: tt.source})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(r.Findings, func(f Finding) bool { return strings.Contains(f.Text, tt.text) }) {
				t.Errorf("not found: %q in %+v", tt.text, r.Findings)
			}
			if got := problem.ExitStatus(r.Err()); got != tt.exit {
				t.Errorf("exit status %d, want %d: %v", got, tt.exit, r.Err())
			}
		})
	}
}

// Two queries that landed the same topic are each held against it, once, and OPTIMIZE may mix their rows.
func TestQueriesOfOneTopicAreComparedEach(t *testing.T) {
	b := newBuilder(t)
	b.sound()
	b.query = "p"
	b.sound()
	rows := without(span(0, 20), 7, 13)
	for _, note := range []string{"", "offsets of 2 queries and incarnations are mixed"} {
		r, err := Table(context.Background(), b.log, Options{Source: topic{lacks: []int64{7}}})
		if err != nil || r.Err() != nil || r.FileRows != 36 || r.Other != 0 || !strings.Contains(strings.Join(r.Notes, ""), note) {
			t.Errorf("%v %v %+v", err, r.Err(), r)
		}
		b.optimize(append(rows, rows...), allFiles...)
	}
}

func TestOptimizedFilesCountForTheirQuery(t *testing.T) {
	b := newBuilder(t)
	b.sound()
	all := b.file(slices.DeleteFunc(span(0, 20), func(o int64) bool { return o == 7 || o == 13 })...)
	all.DataChange = false
	b.commit(nil, all, &delta.Remove{Path: "f1.parquet", DeletionTimestamp: 1}, &delta.Remove{Path: "f2.parquet", DeletionTimestamp: 1})
	r, err := Table(context.Background(), b.log, Options{Scan: true})
	if err != nil || r.Err() != nil || r.Files != 1 || r.Queries[0].Partitions[0].Scanned != 18 {
		t.Errorf("%v %v %+v", err, r.Err(), r)
	}
}

// A file of another writer that lacks the columns of a Kafka record is listed with the rows of others, and breaks nothing.
func TestFilesWithoutOffsetsAreOthers(t *testing.T) {
	b := newBuilder(t)
	b.sound()
	l, err := column.NewLayout(column.Of(column.Nullable("note", column.Primitive(column.Long))))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	f := parquet.NewFile(&out, l, parquet.Options{})
	rows := column.NewRows(l)
	for range 3 {
		rows.AddRow()
	}
	f.Block().Append(make([]byte, column.Slack), rows)
	stats, err := f.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.store.Put(context.Background(), "other.parquet", out.Bytes()); err != nil {
		t.Fatal(err)
	}
	b.commit(nil, &delta.Add{Path: "other.parquet", PartitionValues: delta.Values{}, Size: stats.Bytes, DataChange: true,
		Stats: `{"numRecords":3}`})
	r, err := Table(context.Background(), b.log, Options{Scan: true})
	if err != nil || r.Err() != nil || r.Other != 3 || r.FileRows != 21 {
		t.Errorf("%v %v, %d rows of others, %d in all", err, r.Err(), r.Other, r.FileRows)
	}
}

func TestWhatIsNoTableIsAUsageError(t *testing.T) {
	b := newBuilder(t)
	_, err := Table(context.Background(), b.log, Options{})
	var p *problem.Problem
	if !errors.As(err, &p) || p.Code != problem.NoTable || p.Exit() != problem.ExitUsage {
		t.Errorf("got %v", err)
	}
}

func TestBitmap(t *testing.T) {
	b := newBitmap()
	for _, o := range []int64{0, 63, 64, pageBits - 1, pageBits, 1 << 40} {
		if !b.add(o) || b.add(o) || !b.has(o) || b.has(o+1) && o != 63 && o != pageBits-1 {
			t.Errorf("offset %d", o)
		}
	}
	if b.n != 6 || b.firstMissing(63, 70) != 65 || b.firstMissing(63, 65) != -1 {
		t.Errorf("n %d, first missing %d", b.n, b.firstMissing(63, 70))
	}
}
