package table

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
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

var kafkaColumns = column.Of(
	column.Nullable("topic", column.Primitive(column.String)),
	column.Nullable("partition", column.Primitive(column.Integer)),
	column.Nullable("offset", column.Primitive(column.Long)))

func withValue(fields ...column.Field) column.Schema {
	return column.Schema{Fields: append(slices.Clip(kafkaColumns.Fields), column.Nullable(stream.ParsedValue, column.StructOf(fields...)))}
}

// testClock stands.
func testClock() time.Time { return time.UnixMilli(1_700_000_000_000) }

// testSink returns a sink over s with ids that count under a run's number: no two runs make the same.
func testSink(s store.Store, o Options, run int) *Sink {
	n := 0
	return New(o, Deps{Store: s, Engine: "silt/test", CreatedBy: "silt version test", Now: testClock,
		NewID:   func() string { n++; return fmt.Sprintf("%08d-0000-4000-8000-%012d", run, n) },
		Workers: 2, Log: slog.New(slog.DiscardHandler)})
}

func testBatch(id int64) stream.Batch {
	return stream.Batch{QueryID: "q", ID: id, Start: stream.Offsets{"t": {0: 10 * id}}, End: stream.Offsets{"t": {0: 10*id + 10}}, ShufflePartitions: 200}
}

// appendRows writes the offsets [from, to) of partition 0, with the text "v<offset>" in the leaf parsedValue.<name>.
func appendRows(t *testing.T, w stream.Writer, s column.Schema, name string, from, to int64) {
	t.Helper()
	b, err := w.Block(s)
	if err != nil {
		t.Fatal(err)
	}
	rows := column.NewRows(b.Layout)
	buf := []byte("t")
	for o := from; o < to; o++ {
		text := fmt.Appendf(nil, "v%d", o)
		at := uint32(len(buf))
		buf = append(buf, text...)
		slot := rows.Len()
		for i, f := range b.Layout.Leaves {
			leaf := rows.Leaves[i]
			switch f.Field[len(f.Field)-1] {
			case "topic":
				leaf.Spans[slot] = column.Span{Off: 0, Len: 1}
			case "partition":
				leaf.Ints[slot] = 0
			case "offset":
				leaf.Ints[slot] = o
			case name:
				leaf.Spans[slot] = column.Span{Off: at, Len: uint32(len(text))}
			default:
				leaf.Valid[slot] = 0
			}
		}
		for _, n := range rows.Nodes { // parsedValue
			n.Child.N++
		}
		rows.AddRow()
	}
	b.Append(append(buf, make([]byte, column.Slack)...), rows)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

func testReport(b stream.Batch, schemas map[int32]column.Schema) stream.Report {
	r := stream.Report{Columns: kafkaColumns, Schemas: schemas}
	p := r.Partition(stream.TopicPartition{Topic: "t", Partition: 0})
	p.Served = b.End["t"][0] - b.Start["t"][0]
	p.Rows = p.Served
	return r
}

// land runs one batch of ten rows of one schema.
func land(t *testing.T, k *Sink, b stream.Batch, s column.Schema) error {
	t.Helper()
	ctx := context.Background()
	tx, err := k.Begin(ctx, b)
	if err != nil {
		return err
	}
	w, err := tx.Writer()
	if err != nil {
		return err
	}
	if _, err := w.Block(s); err != nil { // the store may fail here; appendRows does not expect it
		return errors.Join(err, tx.Abort(ctx))
	}
	appendRows(t, w, s, "a", b.Start["t"][0], b.End["t"][0])
	if err := w.Close(); err != nil {
		return errors.Join(err, tx.Abort(ctx))
	}
	if _, err = tx.Commit(ctx, testReport(b, map[int32]column.Schema{1: s})); err != nil {
		return errors.Join(err, tx.Abort(ctx))
	}
	return nil
}

// offsets reads the table's offsets back, in order, through its log.
func offsets(t *testing.T, s store.Store) []int64 {
	t.Helper()
	ctx := context.Background()
	snap, err := delta.Open(s, delta.Options{}).Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var out []int64
	for a, err := range snap.Files(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		o, err := s.Open(ctx, a.Name())
		if err != nil {
			t.Fatal(err)
		}
		r, err := parquet.Open(o, o.Size())
		if err != nil {
			t.Fatal(err)
		}
		for v, err := range r.Columns("offset") {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, v[0].Ints[:v[0].N]...)
		}
	}
	slices.Sort(out)
	return out
}

func upTo(n int64) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(i)
	}
	return out
}

var plain = Options{TargetFileSize: defaultFileSize}

func TestABatchIsOneVersion(t *testing.T) {
	s := store.NewMemory(testClock)
	k := testSink(s, plain, 1)
	for id := range int64(3) {
		if err := land(t, k, testBatch(id), withValue(str("a"))); err != nil {
			t.Fatal(err)
		}
	}
	if got := offsets(t, s); !slices.Equal(got, upTo(30)) {
		t.Errorf("got %v", got)
	}
	in, err := testSink(s, plain, 2).Committed(context.Background(), "q")
	if err != nil {
		t.Fatal(err)
	}
	if !in.Exists || !in.BySilt || in.Version != 2 || in.Batch != 2 || in.End["t"][0] != 30 || in.Last == nil || in.Last.Start["t"][0] != 20 || in.DataVersion != 2 {
		t.Errorf("got %+v", in)
	}
	other, err := testSink(s, plain, 3).Committed(context.Background(), "another")
	if err != nil || other.Batch != -1 || other.Others["q"]["t"][0] != 30 {
		t.Errorf("got %+v %v", other, err)
	}
}

func TestABatchThatTheTableHoldsIsRefused(t *testing.T) {
	s := store.NewMemory(testClock)
	if err := land(t, testSink(s, plain, 1), testBatch(0), withValue(str("a"))); err != nil {
		t.Fatal(err)
	}
	if _, err := testSink(s, plain, 2).Begin(context.Background(), testBatch(0)); !errors.Is(err, stream.ErrDiverged) {
		t.Errorf("got %v", err)
	}
}

// Two runs begin the same batch; both write; one commits.
func TestTheSecondOfTwoRunsIsFenced(t *testing.T) {
	ctx := context.Background()
	s := store.NewMemory(testClock)
	first, second := testSink(s, plain, 1), testSink(s, plain, 2)
	schema := withValue(str("a"))
	tx, err := second.Begin(ctx, testBatch(0))
	if err != nil {
		t.Fatal(err)
	}
	w, _ := tx.Writer()
	appendRows(t, w, schema, "a", 0, 10)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := land(t, first, testBatch(0), schema); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(ctx, testReport(testBatch(0), map[int32]column.Schema{1: schema})); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("got %v", err)
	}
	if err := tx.Abort(ctx); err != nil {
		t.Error(err)
	}
	if got := offsets(t, s); !slices.Equal(got, upTo(10)) {
		t.Errorf("got %v", got)
	}
}

func TestAWrongCountIsNotCommitted(t *testing.T) {
	ctx := context.Background()
	s := store.NewMemory(testClock)
	k := testSink(s, plain, 1)
	tx, err := k.Begin(ctx, testBatch(0))
	if err != nil {
		t.Fatal(err)
	}
	w, _ := tx.Writer()
	appendRows(t, w, withValue(str("a")), "a", 0, 9) // the report says 10
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = tx.Commit(ctx, testReport(testBatch(0), map[int32]column.Schema{1: withValue(str("a"))}))
	var p *problem.Problem
	if !errors.Is(err, stream.ErrNotCommitted) || !errors.As(err, &p) || p.Code != problem.CountMismatch {
		t.Errorf("got %v", err)
	}
	if err := tx.Abort(ctx); err != nil {
		t.Error(err)
	}
	for o, err := range s.List(ctx, "", "") {
		t.Errorf("%s is left behind (%v)", o.Key, err)
	}
}

// Two workers meet Foo and foo at once: the batch does not land, and the next attempt is laid out by the folded schema.
func TestTwoSpellingsRunTheBatchOnceMore(t *testing.T) {
	ctx := context.Background()
	s := store.NewMemory(testClock)
	k := testSink(s, Options{MergeSchema: true, TargetFileSize: defaultFileSize}, 1)
	upper, lower := withValue(str("Foo")), withValue(str("foo"))
	begun, err := k.Begin(ctx, testBatch(0))
	if err != nil {
		t.Fatal(err)
	}
	for i, schema := range []column.Schema{upper, lower} {
		w, _ := begun.Writer()
		appendRows(t, w, schema, schema.Fields[3].Type.Fields[0].Name, int64(5*i), int64(5*i+5))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	r := testReport(testBatch(0), map[int32]column.Schema{1: upper, 2: lower})
	if _, err := begun.Commit(ctx, r); !errors.Is(err, stream.ErrSchemaMoved) {
		t.Fatalf("got %v", err)
	}
	if err := begun.Abort(ctx); err != nil {
		t.Fatal(err)
	}
	again, err := k.Begin(ctx, testBatch(0))
	if err != nil {
		t.Fatal(err)
	}
	folded := again.Schema()
	if len(folded.Fields) != 4 || len(folded.Fields[3].Type.Fields) != 1 {
		t.Fatalf("the next attempt is laid out by %v", folded)
	}
	w, _ := again.Writer()
	appendRows(t, w, folded, folded.Fields[3].Type.Fields[0].Name, 0, 10)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Commit(ctx, r); err != nil {
		t.Fatal(err)
	}
	if got := offsets(t, s); !slices.Equal(got, upTo(10)) {
		t.Errorf("got %v", got)
	}
}

func TestAFileEndsAtANewSchema(t *testing.T) {
	ctx := context.Background()
	s := store.NewMemory(testClock)
	k := testSink(s, Options{MergeSchema: true, TargetFileSize: defaultFileSize}, 1)
	begun, err := k.Begin(ctx, testBatch(0))
	if err != nil {
		t.Fatal(err)
	}
	w, _ := begun.Writer()
	one, two := withValue(str("a")), withValue(str("a"), str("b"))
	appendRows(t, w, one, "a", 0, 5)
	appendRows(t, w, two, "a", 5, 10)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(begun.(*tx).adds); n != 2 {
		t.Errorf("%d files, want 2", n)
	}
	if _, err := begun.Commit(ctx, testReport(testBatch(0), map[int32]column.Schema{1: one, 2: two})); err != nil {
		t.Fatal(err)
	}
	if got := offsets(t, s); !slices.Equal(got, upTo(10)) {
		t.Errorf("got %v", got)
	}
}

func TestABatchWithoutRowsCommits(t *testing.T) {
	ctx := context.Background()
	s := store.NewMemory(testClock)
	k := testSink(s, plain, 1)
	begun, err := k.Begin(ctx, testBatch(0))
	if err != nil {
		t.Fatal(err)
	}
	if v, err := begun.Commit(ctx, stream.Report{Columns: kafkaColumns}); err != nil || v != 0 {
		t.Fatalf("version %d, %v", v, err)
	}
	snap, err := delta.Open(s, delta.Options{}).Snapshot(ctx)
	if err != nil || !snap.Schema().Equal(kafkaColumns) {
		t.Fatalf("%v %v", snap.Schema(), err)
	}
	// The first schema id adds parsedValue though mergeSchema is false.
	if err := land(t, k, testBatch(1), withValue(str("a"))); err != nil {
		t.Fatal(err)
	}
}

// Of what killed runs left, the old is removed and the young stays: somebody may be writing it.
func TestUnfinishedFilesOfOldRunsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	s, err := store.NewLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]time.Duration{".silt-0000000000000001.tmp": 2 * store.Abandoned, ".silt-0000000000000002.tmp": time.Minute}
	now := time.Now()
	for name, age := range left {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	k := testSink(s, plain, 1)
	k.upkeep.deps.Now = func() time.Time { return now }
	if err := land(t, k, testBatch(0), withValue(str("a"))); err != nil {
		t.Fatal(err)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	for name, age := range left {
		_, err := os.Stat(filepath.Join(dir, name))
		if gone := errors.Is(err, fs.ErrNotExist); gone != (age > store.Abandoned) {
			t.Errorf("%s, %v old: gone is %v", name, age, gone)
		}
	}
}

func TestARefusedSchemaLeavesNothing(t *testing.T) {
	ctx := context.Background()
	s := store.NewMemory(testClock)
	k := testSink(s, plain, 1)
	if err := land(t, k, testBatch(0), withValue(str("a"))); err != nil {
		t.Fatal(err)
	}
	err := land(t, k, testBatch(1), withValue(str("a"), str("campaign")))
	var p *problem.Problem
	if !errors.Is(err, stream.ErrNotCommitted) || !errors.As(err, &p) || p.Code != problem.SchemaMismatch || p.Why != "+ parsedValue.campaign string" {
		t.Errorf("got %v", err)
	}
	files := 0
	for o, err := range s.List(ctx, "part-", "") {
		if err != nil {
			t.Fatal(err)
		}
		files++
		_ = o
	}
	if got := offsets(t, s); files != 1 || !slices.Equal(got, upTo(10)) {
		t.Errorf("%d files, offsets %v", files, got)
	}
}

// A worker that meets types which do not merge counts rows that it does not write: the conflict is what the user hears of.
func TestATypeConflictIsReportedBeforeTheCounts(t *testing.T) {
	ctx := context.Background()
	k := testSink(store.NewMemory(testClock), Options{MergeSchema: true, TargetFileSize: defaultFileSize}, 1)
	if err := land(t, k, testBatch(0), withValue(str("a"))); err != nil {
		t.Fatal(err)
	}
	begun, err := k.Begin(ctx, testBatch(1))
	if err != nil {
		t.Fatal(err)
	}
	_, err = begun.Commit(ctx, testReport(testBatch(1), map[int32]column.Schema{2: withValue(column.Nullable("a", column.Primitive(column.Long)))}))
	var p *problem.Problem
	if !errors.Is(err, stream.ErrNotCommitted) || !errors.As(err, &p) || p.Code != problem.IncompatibleTypes || p.Where.SchemaID != 2 {
		t.Errorf("got %v", err)
	}
}

// Whatever store operation fails or is the last before a crash: afterwards the batch is run again until it is in, and it is in once.
func TestEveryFaultOfABatchLeavesItInTheTableOnce(t *testing.T) {
	for _, fault := range []store.Fault{store.FailBefore, store.FailAfter, store.CrashBefore, store.CrashAfter} {
		for n := 0; ; n++ {
			mem := store.NewMemory(testClock)
			if err := land(t, testSink(mem, plain, 1), testBatch(0), withValue(str("a"))); err != nil {
				t.Fatal(err)
			}
			faulty := store.NewFaulty(mem, store.At(n, fault))
			killed := testSink(faulty, plain, 2)
			err := land(t, killed, testBatch(1), withValue(str("a")))
			if closeErr := killed.Close(); closeErr != nil {
				t.Fatal(closeErr)
			}
			for run := 3; err != nil; run++ { // a restart: look, then run again or not
				if run == 6 {
					t.Fatalf("%v at %d: %v", fault, n, err)
				}
				k := testSink(mem, plain, run)
				in, lookErr := k.Committed(context.Background(), "q")
				if lookErr != nil {
					t.Fatal(lookErr)
				}
				if in.Batch == 1 {
					break
				}
				err = land(t, k, testBatch(1), withValue(str("a")))
			}
			if got := offsets(t, mem); !slices.Equal(got, upTo(20)) {
				t.Fatalf("%v at %d: got %v", fault, n, got)
			}
			if n >= faulty.Ops() {
				break
			}
		}
	}
}

// The order of effects is a contract: data is durable before the commit names it.
func TestOrderOfEffects(t *testing.T) {
	var lines []string
	s := store.Traced(store.NewMemory(testClock), func(line string) { lines = append(lines, line) })
	k := testSink(s, plain, 1)
	if err := errors.Join(land(t, k, testBatch(0), withValue(str("a"))), k.Close()); err != nil {
		t.Fatal(err)
	}
	var effects []string
	for _, l := range lines {
		if !strings.HasPrefix(l, "list") && !strings.HasPrefix(l, "get") && !strings.HasPrefix(l, "clean") {
			effects = append(effects, l)
		}
	}
	const file = "part-00000-00000001-0000-4000-8000-000000000001-c000.zstd.parquet"
	want := "create " + file + "\ncommit " + file + "\nput-if-absent _delta_log/00000000000000000000.json: created"
	if got := strings.Join(effects, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
