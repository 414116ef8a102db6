package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/stream"
)

// load puts a folder's files into a memory store, hidden ones too.
func load(t *testing.T, dir string) *store.Memory {
	t.Helper()
	m := store.NewMemory(nil)
	for key, data := range files(t, dir) {
		put(t, m, key, data)
	}
	return m
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		key, _ := filepath.Rel(dir, path)
		found[filepath.ToSlash(key)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func put(t *testing.T, s store.Store, key, data string) {
	t.Helper()
	if err := s.Put(t.Context(), key, []byte(data)); err != nil {
		t.Fatal(err)
	}
}

// rewrite puts other bytes into a file that has a checksum file.
func rewrite(t *testing.T, s store.Store, key, data string) {
	t.Helper()
	put(t, s, key, data)
	put(t, s, sumKey(key), string(sumOf([]byte(data))))
}

func remove(t *testing.T, s store.Store, keys ...string) {
	t.Helper()
	for _, k := range keys {
		if err := s.Delete(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
}

func get(t *testing.T, s store.Store, key string) string {
	t.Helper()
	data, err := s.Get(t.Context(), key, maxFileSize)
	if errors.Is(err, fs.ErrNotExist) {
		return "(not there)"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func opened(t *testing.T, s store.Store, o Options) (*Log, stream.State) {
	t.Helper()
	l := New(s, o)
	t.Cleanup(func() { _ = l.Close() })
	state, err := l.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l, state
}

func ends(a, b int64) stream.Offsets { return stream.Offsets{"goldens": {0: a, 1: b}} }

func batch(n int64, start, end stream.Offsets, ms int64) stream.Batch {
	return stream.Batch{QueryID: queryID, ID: n, Start: start, End: end, Time: time.UnixMilli(ms)}
}

// The checkpoint of a real Spark 4.1.1 and ours are the same bytes, with Hadoop's checksum files.
func TestANewCheckpointIsSparksByteForByte(t *testing.T) {
	l, state := opened(t, store.NewMemory(nil), Options{CRC: true})
	want := stream.State{Planned: -1, Done: -1, Batch: stream.Batch{ID: -1, ShufflePartitions: 200}}
	if d := cmp.Diff(want, state); d != "" {
		t.Error(d)
	}
	for _, b := range []stream.Batch{
		batch(0, ends(0, 0), ends(50, 50), 1795477284418),
		batch(1, ends(50, 50), ends(100, 100), 1795477339750),
		batch(2, ends(100, 100), ends(150, 150), 1795477437416),
	} {
		if err := l.Plan(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if err := l.Done(t.Context(), b.ID); err != nil {
			t.Fatal(err)
		}
	}
	for key, want := range files(t, "testdata/spark4-tutorial") {
		if got := get(t, l.store, key); got != want {
			t.Errorf("%s:\ngot  %q\nwant %q", key, got, want)
		}
	}
}

func TestACheckpointOfSparkIsContinued(t *testing.T) {
	golden := files(t, "testdata/spark4-direct")
	m := load(t, "testdata/spark4-direct")
	remove(t, m, "offsets/1", "offsets/.1.crc", "offsets/2", "offsets/.2.crc", "commits/1", "commits/.1.crc", "commits/2", "commits/.2.crc")
	l, state := opened(t, m, Options{CRC: true})
	want := stream.State{Planned: 0, Done: 0, Batch: stream.Batch{
		QueryID: "030bd9a4-b6df-45f4-95f5-796c194b724b", ID: 0, Start: ends(0, 0), End: ends(50, 50),
		Time: time.UnixMilli(1795476480203).UTC(), ShufflePartitions: 4}}
	if d := cmp.Diff(want, state); d != "" {
		t.Error(d)
	}
	if err := l.Plan(t.Context(), batch(1, ends(50, 50), ends(100, 100), 1795476504953)); err != nil {
		t.Fatal(err)
	}
	if err := l.Done(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	l, state = opened(t, m, Options{CRC: true}) // as after a restart
	if state.Planned != 1 || state.Done != 1 || !state.Batch.Start.Equal(ends(50, 50)) || state.Batch.ShufflePartitions != 4 {
		t.Errorf("got %+v", state)
	}
	if err := l.Plan(t.Context(), batch(2, ends(100, 100), ends(150, 150), 1795476521843)); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"offsets/1", "offsets/.1.crc", "offsets/2", "offsets/.2.crc", "commits/1", "commits/.1.crc",
		"metadata", "sources/0/0"} {
		if got := get(t, m, key); got != golden[key] {
			t.Errorf("%s:\ngot  %q\nwant %q", key, got, golden[key])
		}
	}
}

func TestObjectStoresGetNoChecksumFiles(t *testing.T) {
	l, _ := opened(t, store.NewMemory(nil), Options{})
	if err := l.Plan(t.Context(), batch(0, ends(0, 0), ends(1, 1), 1)); err != nil {
		t.Fatal(err)
	}
	if err := l.Done(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"metadata", "sources/0/0", "offsets/0", "commits/0"} {
		if get(t, l.store, key) == "(not there)" || get(t, l.store, sumKey(key)) != "(not there)" {
			t.Errorf("%s: it must be there without %s", key, sumKey(key))
		}
	}
}

func TestStartIsRememberedBeforeTheFirstBatch(t *testing.T) {
	m := store.NewMemory(nil)
	l, _ := opened(t, m, Options{})
	for range 2 { // the second time it is there already
		if err := l.Start(t.Context(), queryID, ends(7, 8)); err != nil {
			t.Fatal(err)
		}
	}
	l, state := opened(t, m, Options{})
	if state.Batch.QueryID != queryID || state.Planned != -1 || !state.Batch.Start.Equal(ends(7, 8)) {
		t.Fatalf("got %+v", state)
	}
	if err := l.Start(t.Context(), queryID, ends(7, 9)); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("another start: got %v", err)
	}
	if err := l.Start(t.Context(), strings.Repeat("0", 8)+queryID[8:], ends(7, 8)); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("another id: got %v", err)
	}
	// Batch 0 may have a partition that the topic got since.
	three := func(a, b, c int64) stream.Offsets { return stream.Offsets{"goldens": {0: a, 1: b, 2: c}} }
	if err := l.Plan(t.Context(), batch(0, three(7, 8, 0), three(9, 9, 1), 1)); err != nil {
		t.Fatal(err)
	}
	if _, state := opened(t, m, Options{}); !state.Batch.Start.Equal(ends(7, 8)) || len(state.Batch.End["goldens"]) != 3 {
		t.Errorf("got %+v", state.Batch)
	}
}

// Spark 3 and silt wrote a start; silt keeps the order of keys in every entry that follows.
func TestTheOrderOfKeysIsThatOfTheStart(t *testing.T) {
	m := store.NewMemory(nil)
	put(t, m, metadataKey, `{"id":"`+queryID+`"}`)
	put(t, m, initialKey, "\x00v1\n"+`{"goldens":{"1":8,"0":7}}`)
	l, _ := opened(t, m, Options{})
	if err := l.Plan(t.Context(), batch(0, ends(7, 8), ends(9, 10), 1)); err != nil {
		t.Fatal(err)
	}
	if got := get(t, m, "offsets/0"); !strings.HasSuffix(got, `{"goldens":{"1":10,"0":9}}`) {
		t.Error(got)
	}
}

func TestTwoRunsOfOneQueryAreFenced(t *testing.T) {
	m := store.NewMemory(nil)
	a, _ := opened(t, m, Options{CRC: true})
	b, _ := opened(t, m, Options{CRC: true})
	first := batch(0, ends(0, 0), ends(5, 5), 1000)
	if err := a.Plan(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if err := a.Plan(t.Context(), first); err != nil {
		t.Errorf("the same bytes again: %v", err)
	}
	later := first
	later.Time = time.UnixMilli(1001)
	err := b.Plan(t.Context(), later)
	if !errors.Is(err, stream.ErrFenced) || problem.ExitStatus(err) != problem.ExitFenced || !strings.Contains(err.Error(), "offsets/0") {
		t.Errorf("got %v", err)
	}
	other := first
	other.QueryID = "030bd9a4-b6df-45f4-95f5-796c194b724b"
	c, _ := opened(t, store.NewMemory(nil), Options{})
	c.store = m // it opened before there was anything
	if err := c.Plan(t.Context(), other); !errors.Is(err, stream.ErrFenced) || !strings.Contains(err.Error(), "metadata") {
		t.Errorf("another id: got %v", err)
	}
	if err := a.Done(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := b.Done(t.Context(), 0); err != nil {
		t.Errorf("commits/0 there already is success: %v", err)
	}
	if _, state := opened(t, m, Options{CRC: true}); state.Planned != 0 || state.Done != 0 {
		t.Errorf("got %+v", state)
	}
}

func TestAPlanMustFollowTheNewestBatch(t *testing.T) {
	l, _ := opened(t, load(t, "testdata/spark4-direct"), Options{})
	for _, n := range []int64{1, 4, -1} {
		if err := l.Plan(t.Context(), batch(n, ends(1, 1), ends(2, 2), 1)); err == nil {
			t.Errorf("batch %d after batch 2: no error", n)
		}
	}
}

func TestRetentionKeeps101Batches(t *testing.T) {
	m := store.NewMemory(nil)
	l, _ := opened(t, m, Options{CRC: true})
	for n := range int64(131) {
		if err := l.Plan(t.Context(), batch(n, ends(n, n), ends(n+1, n+1), n)); err != nil {
			t.Fatal(err)
		}
		l.purge.wg.Wait()
		if err := l.Done(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{offsetsDir, commitsDir} {
		ids, err := l.ids(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(ids) != 101 || ids[0] != 30 || ids[100] != 130 {
			t.Errorf("%s: %d entries, %v", dir, len(ids), ids)
		}
		if get(t, m, sumKey(fmt.Sprint(dir, 29))) != "(not there)" {
			t.Errorf("%s: the checksum file of 29 is left", dir)
		}
	}
	if get(t, m, initialKey) == "(not there)" || get(t, m, metadataKey) == "(not there)" {
		t.Error("the start and the id stay for ever")
	}
	// A restart goes on where the entries begin.
	l, _ = opened(t, m, Options{CRC: true})
	if err := l.Plan(t.Context(), batch(131, ends(131, 131), ends(132, 132), 1)); err != nil {
		t.Fatal(err)
	}
	l.purge.wg.Wait()
	if ids, _ := l.ids(t.Context(), offsetsDir); len(ids) != 101 || ids[0] != 31 {
		t.Errorf("after a restart: %v", ids)
	}
}

func TestARemovalThatFailsIsTriedAgain(t *testing.T) {
	broken := true
	m := store.NewMemory(nil)
	f := store.NewFaulty(m, func(op store.Op) store.Fault {
		if broken && op.Name == "delete" && op.Key == "commits/2" {
			return store.FailBefore
		}
		return store.NoFault
	})
	l, _ := opened(t, f, Options{})
	for n := range int64(105) {
		if err := l.Plan(t.Context(), batch(n, ends(n, n), ends(n+1, n+1), n)); err != nil {
			t.Fatal(err)
		}
		l.purge.wg.Wait()
	}
	if ids, _ := l.ids(t.Context(), offsetsDir); ids[0] != 3 {
		t.Errorf("got %v", ids)
	}
	broken = false
	if err := l.Plan(t.Context(), batch(105, ends(1, 1), ends(2, 2), 1)); err != nil {
		t.Fatal(err)
	}
	l.purge.wg.Wait()
	if ids, _ := l.ids(t.Context(), offsetsDir); ids[0] != 5 {
		t.Errorf("got %v", ids)
	}
}

func TestErrorsOfTheStoreNameTheFile(t *testing.T) {
	tests := []struct {
		err       error
		exit      int
		retryable bool
	}{
		{errors.New("503"), problem.ExitUnavailable, true},
		{fs.ErrPermission, problem.ExitUsage, false},
	}
	for _, tt := range tests {
		l := New(failing{store.NewMemory(nil), tt.err}, Options{})
		_, err := l.Open(t.Context())
		ps := problem.Of(err)
		if len(ps) != 1 || ps[0].Exit() != tt.exit || ps[0].Retryable != tt.retryable || ps[0].Where.File != "memory:/metadata" {
			t.Errorf("%v: got %v", tt.err, err)
		}
		_ = l.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := New(store.NewMemory(nil), Options{})
	defer func() { _ = l.Close() }()
	if _, err := l.Open(ctx); !errors.Is(err, context.Canceled) || len(problem.Of(err)) > 0 {
		t.Errorf("the end of a context is nobody's problem: %v", err)
	}
}

// failing is a store whose reads fail.
type failing struct {
	*store.Memory
	err error
}

func (f failing) Get(context.Context, string, int64) ([]byte, error) { return nil, f.err }

// Every operation of the store fails, with and without its effect, at every place of three batches: the log either says so and can be
// tried again, or has done it. Afterwards it is as if nothing had happened.
func TestEveryOperationMayFailOnce(t *testing.T) {
	run := func(t *testing.T, s store.Store, o Options, retry bool) {
		t.Helper()
		again := func(what string, f func() error) {
			for range 3 {
				err := f()
				if err == nil {
					return
				}
				if ps := problem.Of(err); !retry || len(ps) != 1 || !ps[0].Retryable {
					t.Fatalf("%s: %v", what, err)
				}
			}
			t.Fatalf("%s: still failing", what)
		}
		l := New(s, o)
		defer func() { _ = l.Close() }()
		again("open", func() error { _, err := l.Open(t.Context()); return err })
		again("start", func() error { return l.Start(t.Context(), queryID, ends(0, 0)) })
		for n := range int64(3) {
			again("plan", func() error { return l.Plan(t.Context(), batch(n, ends(n, n), ends(n+1, n+1), n)) })
			again("done", func() error { return l.Done(t.Context(), n) })
		}
	}
	for _, o := range []Options{{}, {CRC: true}} {
		clean := store.NewMemory(nil)
		count := store.NewFaulty(clean, func(store.Op) store.Fault { return store.NoFault })
		run(t, count, o, false)
		want := snapshot(t, clean)
		if count.Ops() < 10 {
			t.Fatalf("only %d operations", count.Ops())
		}
		for n := range count.Ops() {
			for _, fault := range []store.Fault{store.FailBefore, store.FailAfter} {
				m := store.NewMemory(nil)
				run(t, store.NewFaulty(m, store.At(n+1, fault)), o, true)
				got := snapshot(t, m)
				maps.DeleteFunc(want, func(k, _ string) bool { return strings.HasSuffix(k, ".crc") }) // they may be missing
				maps.DeleteFunc(got, func(k, v string) bool {
					if strings.HasSuffix(k, ".crc") {
						if data, _ := strings.CutSuffix(strings.Replace(k, ".", "", 1), ".crc"); v != string(sumOf([]byte(get(t, m, data)))) {
							t.Errorf("%s at operation %d: %s does not fit its file", fault, n+1, k)
						}
						return true
					}
					return false
				})
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("%s at operation %d: %s", fault, n+1, d)
				}
			}
		}
	}
}

func TestTheOrderOfEffects(t *testing.T) {
	var lines []string
	s := store.Traced(store.NewMemory(nil), func(line string) { lines = append(lines, line) })
	l, _ := opened(t, s, Options{CRC: true})
	if err := l.Plan(t.Context(), batch(0, ends(0, 0), ends(1, 1), 1)); err != nil {
		t.Fatal(err)
	}
	if err := l.Done(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	lines = slices.DeleteFunc(lines, func(s string) bool {
		return strings.HasPrefix(s, "get") || strings.HasPrefix(s, "list") || strings.HasPrefix(s, "clean")
	})
	want := []string{
		"delete .metadata.crc", "put-if-absent metadata: created", "put .metadata.crc",
		"delete sources/0/.0.crc", "put-if-absent sources/0/0: created", "put sources/0/.0.crc",
		"delete offsets/.0.crc", "put-if-absent offsets/0: created", "put offsets/.0.crc",
		"delete commits/.0.crc", "put-if-absent commits/0: created", "put commits/.0.crc",
	}
	if d := cmp.Diff(want, lines); d != "" {
		t.Error(d)
	}
}

// A guarded store has uploads that are nobody's business, and credentials that may not list them.
type guarded struct{ store.Store }

func (guarded) Clean(context.Context, string, time.Time) (int, error) {
	return 0, fmt.Errorf("list uploads: %w", fs.ErrPermission)
}

func TestACheckpointInAnObjectStoreAsksForNoUploads(t *testing.T) {
	if _, state := opened(t, guarded{store.NewMemory(nil)}, Options{}); state.Planned != -1 {
		t.Errorf("planned %d", state.Planned)
	}
}

func TestALocalCheckpointIsCleanedOfTemporaryFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "offsets"), 0o777); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(dir, "offsets", ".silt-0123456789abcdef.tmp")
	if err := os.WriteFile(left, []byte("v1"), 0o666); err != nil {
		t.Fatal(err)
	}
	s, err := store.NewLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	l, _ := opened(t, s, Options{CRC: true})
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	for n := range int64(3) {
		if err := l.Plan(t.Context(), batch(n, ends(n, n), ends(n+1, n+1), n)); err != nil {
			t.Fatal(err)
		}
		if err := l.Done(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{".metadata.crc", "metadata", "sources/0/.0.crc", "sources/0/0"}
	for _, d := range []string{"commits/", "offsets/"} {
		for n := range 3 {
			want = append(want, fmt.Sprintf("%s.%d.crc", d, n), fmt.Sprint(d, n))
		}
	}
	slices.Sort(want)
	if d := cmp.Diff(want, slices.Sorted(maps.Keys(files(t, dir)))); d != "" {
		t.Error(d)
	}
}

// panics is a store in which nothing can be removed.
type panics struct{ store.Store }

func (panics) Delete(context.Context, string) error { panic("delete") }

func TestAPanicOfTheRemovalIsTheNextPlansError(t *testing.T) {
	m := store.NewMemory(nil)
	put(t, m, metadataKey, string(formatMetadata(queryID)))
	for n := int64(0); n <= 200; n++ {
		put(t, m, offsetsKey(n), string(entry{}.following(ends(n, n), time.UnixMilli(n)).format()))
		put(t, m, commitsKey(n), commitEntry)
	}
	l, _ := opened(t, panics{m}, Options{})
	if err := l.Plan(t.Context(), batch(201, ends(200, 200), ends(201, 201), 1)); err != nil {
		t.Fatal(err)
	}
	l.purge.wg.Wait()
	err := l.Plan(t.Context(), batch(202, ends(201, 201), ends(202, 202), 1))
	if ps := problem.Of(err); len(ps) != 1 || ps[0].Code != problem.Internal || ps[0].Retryable {
		t.Errorf("got %v", err)
	}
}
