package delta

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	pq "github.com/parquet-go/parquet-go"
	"pgregory.net/rapid"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
)

// A model is the plain form of reconciliation: the newest action of every key.
type model struct {
	live  map[fileKey]*Add
	dead  map[fileKey]*Remove
	txns  map[string]Txn
	doms  map[string]DomainMetadata
	proto *Protocol
	meta  *MetaData
}

func newModel() *model {
	return &model{live: map[fileKey]*Add{}, dead: map[fileKey]*Remove{}, txns: map[string]Txn{}, doms: map[string]DomainMetadata{}}
}

func (m *model) apply(actions []Action) {
	for _, a := range actions {
		if r, ok := a.(*Remove); ok {
			delete(m.live, r.key())
			m.dead[r.key()] = r
		}
	}
	for _, a := range actions {
		switch a := a.(type) {
		case *Add:
			delete(m.dead, a.key())
			m.live[a.key()] = a
		case *Txn:
			m.txns[a.AppID] = *a
		case *DomainMetadata:
			if delete(m.doms, a.Domain); !a.Removed {
				m.doms[a.Domain] = *a
			}
		case *Protocol:
			m.proto = a
		case *MetaData:
			m.meta = a
		}
	}
}

// drawCommit makes the actions of a commit over few paths, so that files come and go.
func drawCommit(t *rapid.T, version int, v2 bool) []Action {
	var actions []Action
	if version == 0 || rapid.IntRange(0, 5).Draw(t, "metaData") == 0 {
		m := NewMetaData("id", testSchema, int64(version+1))
		m.Name, m.PartitionColumns = rapid.StringN(0, 3, -1).Draw(t, "name"), []string{}
		m.Configuration = map[string]string{"k": rapid.String().Draw(t, "v")}
		m.Format.Options = map[string]string{}
		actions = append(actions, m)
	}
	if version == 0 {
		if v2 {
			actions = append(actions, features37("v2Checkpoint"))
		} else {
			actions = append(actions, NewProtocol())
		}
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "txns") {
		actions = append(actions, &Txn{AppID: fmt.Sprint("app", i), Version: rapid.Int64().Draw(t, "txn"), LastUpdated: int64(version)})
	}
	if rapid.Bool().Draw(t, "domain") {
		actions = append(actions, &DomainMetadata{fmt.Sprint("d", rapid.IntRange(0, 2).Draw(t, "d")), "{}", rapid.Bool().Draw(t, "removed")})
	}
	used, removed := map[fileKey]bool{}, map[fileKey]bool{}
	for range rapid.IntRange(0, 6).Draw(t, "files") {
		path := EncodePath(fmt.Sprint("file ", rapid.IntRange(0, 5).Draw(t, "path")))
		var vector *DeletionVector
		if rapid.IntRange(0, 3).Draw(t, "vector") == 0 {
			vector = &DeletionVector{StorageType: "i", PathOrInlineDV: "x", Offset: pointer(int32(rapid.IntRange(0, 1).Draw(t, "offset"))),
				SizeInBytes: 3, Cardinality: 4}
		}
		if rapid.Bool().Draw(t, "remove") {
			r := &Remove{Path: path, DeletionTimestamp: int64(version + 1), ExtendedFileMetadata: true, Size: 3, DeletionVector: vector,
				PartitionValues: drawValues(t)}
			if !removed[r.key()] {
				actions = append(actions, r)
			}
			removed[r.key()] = true
			continue
		}
		a := &Add{Path: path, Size: rapid.Int64Min(0).Draw(t, "size"), ModificationTime: int64(version), DeletionVector: vector,
			PartitionValues: drawValues(t),
			Tags:            drawValues(t), Stats: rapid.SampledFrom([]string{"", `{"numRecords":1}`}).Draw(t, "stats")}
		if rapid.Bool().Draw(t, "rows") {
			a.BaseRowID, a.DefaultRowCommitVersion, a.ClusteringProvider = pointer(int64(7)), pointer(int64(8)), "liquid"
		}
		if !used[a.key()] {
			actions = append(actions, a)
		}
		used[a.key()] = true
	}
	return actions
}

func drawValues(t *rapid.T) Values {
	if rapid.Bool().Draw(t, "no values") {
		return nil
	}
	return Values{"p": pointer(rapid.String().Draw(t, "p")), "q": nil}
}

// checkAgainst compares a snapshot with the model; tombstones only if they are all kept.
func (m *model) checkAgainst(t *rapid.T, what string, s *Snapshot) {
	live, dead := map[fileKey]*Add{}, map[fileKey]*Remove{}
	err := s.walk(ctx, func(a *Add) bool {
		if live[a.key()] != nil {
			t.Fatalf("%s: %v twice", what, a.key())
		}
		live[a.key()] = a
		return true
	}, func(r *Remove) bool {
		dead[r.key()] = r
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	none := cmpopts.EquateEmpty()
	for _, d := range []string{
		gocmp.Diff(m.live, live, none), gocmp.Diff(m.dead, dead, none), gocmp.Diff(m.txns, s.txns), gocmp.Diff(m.doms, s.domains),
		gocmp.Diff(m.proto, s.protocol), gocmp.Diff(m.meta, s.metaData, none),
	} {
		if d != "" {
			t.Fatalf("%s at version %d (-model +ours):\n%s", what, s.Version(), d)
		}
	}
}

// Random logs give the same state read from their commits, from a log checkpoint, and from a checkpoint and the commits after it.
func TestLogCheckpointsSayWhatTheCommitsSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := store.NewMemory(nil)
		o := testOptions()
		o.Now = func() time.Time { return time.UnixMilli(5) } // no tombstone expires
		l := Open(m, o)
		want := newModel()
		n := rapid.IntRange(1, 6).Draw(t, "commits")
		v2 := rapid.Bool().Draw(t, "v2")
		checkpoints := rapid.SliceOfNDistinct(rapid.IntRange(0, n-1), 0, 2, rapid.ID).Draw(t, "checkpoints")
		var follow *Snapshot // updated from commit to commit, on the checkpoints that were written
		for v := range n {
			actions := drawCommit(t, v, v2)
			if err := m.Put(ctx, commitKey(int64(v)), append(encodeLines(actions), "{}\n"...)); err != nil {
				t.Fatal(err)
			}
			want.apply(actions)
			s, err := l.Snapshot(ctx)
			if err == nil && follow == nil {
				follow = s
			} else if err == nil {
				follow, err = l.Update(ctx, follow)
			}
			if err != nil {
				t.Fatal(err)
			}
			want.checkAgainst(t, "opened", s)
			want.checkAgainst(t, "followed", follow)
			if slices.Contains(checkpoints, v) {
				if err := l.WriteCheckpoint(ctx, follow); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func TestTombstonesExpire(t *testing.T) {
	m := store.NewMemory(nil)
	day := int64(24 * time.Hour / time.Millisecond)
	o := testOptions()
	o.Now = func() time.Time { return time.UnixMilli(100 * day) }
	meta := NewMetaData("i", testSchema, 1)
	meta.Configuration = map[string]string{"delta.deletedFileRetentionDuration": "interval 2 days"}
	mustPut(t, m, commitKey(0), string(encodeLines([]Action{NewProtocol(), meta,
		&Remove{Path: "old", DeletionTimestamp: 98 * day}, &Remove{Path: "young", DeletionTimestamp: 98*day + 1}, &Remove{Path: "undated"}})))
	l := Open(m, o)
	if err := l.WriteCheckpoint(ctx, must[*Snapshot](t)(l.Snapshot(ctx))); err != nil {
		t.Fatal(err)
	}
	var got []string
	s := must[*Snapshot](t)(l.Snapshot(ctx))
	if err := s.walk(ctx, func(*Add) bool { return true }, func(r *Remove) bool { got = append(got, r.Path); return true }); err != nil {
		t.Fatal(err)
	}
	if s.base.checkpoint == nil || !slices.Equal(got, []string{"young"}) {
		t.Errorf("got %q, want the one that is younger than two days", got)
	}
}

// checkpointedTable returns a table of 12 commits with a log checkpoint at version 9, whose older commits are there or not.
func checkpointedTable(t testing.TB, clean bool) *store.Memory {
	t.Helper()
	m := store.NewMemory(nil)
	l := Open(m, testOptions())
	s := commitFiles(t, l, 10)
	if err := l.WriteCheckpoint(ctx, s); err != nil {
		t.Fatal(err)
	}
	commitFiles(t, l, 2)
	for v := range int64(9) {
		if clean {
			if err := m.Delete(ctx, commitKey(v)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return m
}

func TestLastCheckpointIsOnlyAHint(t *testing.T) {
	table := checkpointedTable(t, true)
	for _, hint := range []string{"-", "", "{", "[]", `"x"`, `{"version":"9"}`, `{"version":9}`, `{"version":9,"size":1,"parts":3}`,
		`{"version":3}`, `{"version":8}`,
		`{"version":11}`, `{"version":1000}`, `{"version":-5}`, `{"version":9.5}`, `{"version":99999999999999999999}`, `{"size":4}`} {
		m := cloneTable(t, table)
		if hint == "-" {
			if err := m.Delete(ctx, hintKey); err != nil {
				t.Fatal(err)
			}
		} else {
			mustPut(t, m, hintKey, hint)
		}
		s, err := Open(m, testOptions()).Snapshot(ctx)
		if err != nil || s.Version() != 11 || s.base.version() != 9 || len(liveFiles(t, s)) != 12 {
			t.Errorf("%s: got %v, %v", hint, s, err)
		}
	}
}

func TestACheckpointThatCannotBeReadIsPassedOver(t *testing.T) {
	whole := must[[]byte](t)(checkpointedTable(t, false).Get(ctx, checkpointKey(9), 1<<20))
	for what, data := range map[string][]byte{
		"cut": whole[:len(whole)/2], "no Parquet": []byte("hello, world: no Parquet"), "empty": nil,
		"another file's end": append(slices.Clone(whole[:100]), whole[200:]...),
	} {
		for _, clean := range []bool{false, true} {
			m := checkpointedTable(t, clean)
			mustPut(t, m, checkpointKey(9), string(data))
			s, err := Open(m, testOptions()).Snapshot(ctx)
			if clean {
				if p := problem.Of(err); len(p) != 1 || p[0].Code != problem.CorruptLog {
					t.Errorf("%s, without its commits: got %v, %v", what, s, err)
				}
				continue
			}
			if err != nil || s.Version() != 11 || s.base.checkpoint != nil || len(liveFiles(t, s)) != 12 {
				t.Errorf("%s: got %v, %v", what, s, err)
			}
		}
	}
}

func TestAnOlderVersionIsReadFromWhatIsLeft(t *testing.T) {
	for _, clean := range []bool{false, true} {
		l := Open(checkpointedTable(t, clean), testOptions())
		for v := range int64(14) {
			s, err := l.SnapshotAt(ctx, v)
			gone := clean && v < 9 || v > 11
			if gone {
				if p := problem.Of(err); len(p) != 1 || p[0].Code != problem.CorruptLog ||
					!strings.Contains(err.Error(), fmt.Sprintf("version %d", v)) {
					t.Errorf("clean %v, version %d: got %v", clean, v, err)
				}
				continue
			}
			if err != nil || s.Version() != v || len(liveFiles(t, s)) != int(v)+1 {
				t.Errorf("clean %v, version %d: got %v, %v", clean, v, s, err)
			}
		}
	}
	if _, err := Open(store.NewMemory(nil), testOptions()).SnapshotAt(ctx, 0); err == nil {
		t.Error("a table that is not there has no version 0")
	}
}

// Whatever fails while a log checkpoint is written, and wherever the process dies, the table stays the same and can be checkpointed.
func TestCheckpointFaultsNeverHurtTheTable(t *testing.T) {
	table := checkpointedTable(t, false)
	for _, fault := range []store.Fault{store.FailBefore, store.FailAfter, store.CrashBefore, store.CrashAfter} {
		for n := 1; ; n++ {
			m := cloneTable(t, table)
			f := store.NewFaulty(m, store.At(n, fault))
			l := Open(f, testOptions())
			s, err := l.Snapshot(ctx)
			if err == nil {
				err = l.WriteCheckpoint(ctx, s)
			}
			if f.Ops() < n {
				break
			}
			_ = err // a fault in reading the hint is none
			l = Open(m, testOptions())
			s = must[*Snapshot](t)(l.Snapshot(ctx))
			if got := len(liveFiles(t, s)); got != 12 || s.Version() != 11 {
				t.Fatalf("%v at %d: version %d, %d files", fault, n, s.Version(), got)
			}
			if err := l.WriteCheckpoint(ctx, s); err != nil {
				t.Fatalf("%v at %d: then %v", fault, n, err)
			}
			s = must[*Snapshot](t)(l.Snapshot(ctx))
			if got := len(liveFiles(t, s)); got != 12 || s.base.version() != 11 {
				t.Fatalf("%v at %d: then %d files from checkpoint %d", fault, n, got, s.base.version())
			}
		}
	}
}

func TestCheckpointBuildsOnWhatIsLeftWhenItsOwnBaseWasCleanedUp(t *testing.T) {
	m := store.NewMemory(nil)
	l := Open(m, testOptions())
	s := commitFiles(t, l, 6)
	other := Open(m, testOptions())
	if err := other.WriteCheckpoint(ctx, must[*Snapshot](t)(other.SnapshotAt(ctx, 4))); err != nil {
		t.Fatal(err)
	}
	for v := range int64(4) {
		if err := m.Delete(ctx, commitKey(v)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.WriteCheckpoint(ctx, s); err != nil {
		t.Fatal(err)
	}
	s = must[*Snapshot](t)(l.Update(ctx, s))
	if got := liveFiles(t, s); len(got) != 6 || s.base.version() != 5 {
		t.Errorf("got %q from checkpoint %d", got, s.base.version())
	}
}

func TestLastCheckpointIsReplacedWithoutItsChecksumAndNeverGoesBack(t *testing.T) {
	m := checkpointedTable(t, false)
	mustPut(t, m, hintCRCKey, "crc")
	l := Open(m, testOptions())
	s := must[*Snapshot](t)(l.Snapshot(ctx))
	if err := l.WriteCheckpoint(ctx, s); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Get(ctx, hintCRCKey, 9); err == nil {
		t.Error("the old file's checksum is left: Spark would fail on it")
	}
	got := string(must[[]byte](t)(m.Get(ctx, hintKey, 1<<20)))
	size := len(must[[]byte](t)(m.Get(ctx, checkpointKey(11), 1<<20)))
	if want := fmt.Sprintf(`{"version":11,"size":15,"sizeInBytes":%d,"numOfAddFiles":12}`, size); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := l.WriteCheckpoint(ctx, must[*Snapshot](t)(l.SnapshotAt(ctx, 5))); err != nil {
		t.Fatal(err)
	}
	if now := string(must[[]byte](t)(m.Get(ctx, hintKey, 1<<20))); now != got {
		t.Errorf("an older checkpoint changed the hint to %s", now)
	}
}

func TestCheckpointsThatOthersHaveToWrite(t *testing.T) {
	l := Open(store.NewMemory(nil), testOptions())
	if err := l.WriteCheckpoint(ctx, must[*Snapshot](t)(l.Snapshot(ctx))); !errors.Is(err, ErrNoCheckpoint) {
		t.Errorf("no table: got %v", err)
	}
	m := NewMetaData("i", testSchema, 1)
	m.Configuration = map[string]string{"delta.checkpoint.writeStatsAsJson": "false"}
	s := must[*Snapshot](t)(snapshotOf(t, NewProtocol(), m))
	if err := s.log.WriteCheckpoint(ctx, s); !errors.Is(err, ErrNoCheckpoint) {
		t.Errorf("statistics as structs only: got %v", err)
	}
}

func TestPolicyOfLogCheckpoints(t *testing.T) {
	for _, tt := range []struct {
		why string
		f   Facts
		due bool
	}{
		{"a new table", Facts{Commits: 9, Bytes: 1 << 30}, false},
		{"the first one", Facts{Commits: 10, Bytes: 1}, true},
		{"ten commits, half of the last one's bytes", Facts{Commits: 10, Bytes: 500, Last: 1000}, false},
		{"ten commits, more than half", Facts{Commits: 10, Bytes: 501, Last: 1000}, true},
		{"large commits, too few of them", Facts{Commits: 9, Bytes: 5000, Last: 1000}, false},
		{"many commits, a large table", Facts{Commits: 1000, Bytes: 1 << 20, Last: 1 << 30}, false},
		{"the owner wants every commit", Facts{Commits: 1, Bytes: 1, Last: 1 << 30, Interval: 1}, true},
		{"the owner wants every hundredth", Facts{Commits: 99, Bytes: 1 << 30, Interval: 100}, false},
		{"the hundredth", Facts{Commits: 100, Interval: 100}, true},
		{"nothing since the last one", Facts{Commits: 0, Interval: 1}, false},
	} {
		if got := tt.f.Due(); got != tt.due {
			t.Errorf("%s: %+v: got %v", tt.why, tt.f, got)
		}
	}
}

// Commits go on while a checkpoint is written: those after it count for the next one, and snapshots build on it from the next commit on.
func TestSnapshotsBuildOnTheCheckpointThatWasWrittenMeanwhile(t *testing.T) {
	m := store.NewMemory(nil)
	l := Open(m, testOptions())
	at := commitFiles(t, l, 10)
	if !l.CheckpointDue(at) {
		t.Error("not due after 10 commits")
	}
	s := commitFiles(t, l, 3) // a snapshot of another line: opened anew
	own := at
	for v := at.Version() + 1; v <= s.Version(); v++ {
		own = must[*Snapshot](t)(l.Update(ctx, own))
	}
	if err := l.WriteCheckpoint(ctx, at); err != nil {
		t.Fatal(err)
	}
	if l.CheckpointDue(own) {
		t.Error("due 3 commits after the last one")
	}
	next := must[*Snapshot](t)(l.Commit(ctx, appendOf(own, "app", own.Version()+1)))
	size := int64(0)
	for v := int64(10); v <= next.Version(); v++ {
		size += must[*Commit](t)(l.Read(ctx, v)).Bytes
	}
	if next.base.version() != 9 || next.tailBytes != size || len(liveFiles(t, next)) != 14 {
		t.Errorf("got checkpoint %d and %d bytes, want 9 and %d", next.base.version(), next.tailBytes, size)
	}
}

// Row groups end by size, so that writing takes the memory of one however many files there are.
func TestCheckpointsAreWrittenInBoundedRowGroups(t *testing.T) {
	m := store.NewMemory(nil)
	stats := `{"numRecords":1,"minValues":{"s":"` + strings.Repeat("x", 20_000) + `"}}`
	actions := []Action{NewProtocol(), NewMetaData("i", testSchema, 1)}
	for i := range 900 {
		actions = append(actions, &Add{Path: fmt.Sprint("f", i), Size: 1, Stats: stats})
	}
	mustPut(t, m, commitKey(0), string(encodeLines(actions)))
	l := Open(m, testOptions())
	if err := l.WriteCheckpoint(ctx, must[*Snapshot](t)(l.Snapshot(ctx))); err != nil {
		t.Fatal(err)
	}
	data := must[[]byte](t)(m.Get(ctx, checkpointKey(0), 1<<30))
	f := must[*pq.File](t)(pq.OpenFile(bytes.NewReader(data), int64(len(data))))
	if n := len(f.RowGroups()); n < 2 || n > 3 { // 18 MB of statistics
		t.Errorf("got %d row groups", n)
	}
	if got := len(liveFiles(t, must[*Snapshot](t)(l.Snapshot(ctx)))); got != 900 {
		t.Errorf("got %d files", got)
	}
}

// V2 checkpoints of others: a JSON or Parquet file of a UUID, files in sidecars.
func TestV2CheckpointsAreRead(t *testing.T) {
	m := checkpointedTable(t, true)
	classic := must[[]byte](t)(m.Get(ctx, checkpointKey(9), 1<<20))
	if err := m.Delete(ctx, checkpointKey(9)); err != nil {
		t.Fatal(err)
	}
	// Our own classic checkpoint serves as the sidecar: of a sidecar only adds and removes are read.
	mustPut(t, m, sidecarsKey+"a b.parquet", string(classic))
	mustPut(t, m, v9+".checkpoint.0a.json", strings.Join([]string{
		`{"checkpointMetadata":{"version":9}}`, `{"sidecar":{"path":"a%20b.parquet","sizeInBytes":1,"modificationTime":1}}`,
		`{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["v2Checkpoint"],"writerFeatures":["v2Checkpoint"]}}`,
		string(NewMetaData("i", testSchema, 1).appendJSON(nil)), `{"txn":{"appId":"x","version":4}}`}, "\n"))
	s := must[*Snapshot](t)(Open(m, testOptions()).Snapshot(ctx))
	if x, ok := s.Txn("x"); len(liveFiles(t, s)) != 12 || !ok || x.Version != 4 || s.Version() != 11 {
		t.Errorf("got version %d, files %q, txns %v", s.Version(), liveFiles(t, s), s.Txns())
	}
	if err := m.Delete(ctx, sidecarsKey+"a b.parquet"); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range s.Files(ctx) {
		if n++; err != nil && n != 3 { // two from the commits
			t.Errorf("got %v after %d files", err, n-1)
		}
	}
}

const v9 = "_delta_log/00000000000000000009"

// A checkpoint whose statistics are structs only, as Databricks and Spark can be told to write them.
func TestStatisticsAsStructsBecomeText(t *testing.T) {
	type values struct {
		I *int32             `parquet:"i,optional"`
		L *int64             `parquet:"l,optional"`
		S *string            `parquet:"s,optional"`
		D *int32             `parquet:"d,optional,date"`
		T *int64             `parquet:"t,optional,timestamp(microsecond)"`
		M *int64             `parquet:"m,optional,timestamp(millisecond)"`
		C *int64             `parquet:"c,optional,decimal(2:10)"`
		F *float32           `parquet:"f,optional"`
		N *struct{ X *bool } `parquet:"n,optional"`
	}
	type stats struct {
		NumRecords  *int64  `parquet:"numRecords,optional"`
		MinValues   *values `parquet:"minValues,optional"`
		TightBounds *bool   `parquet:"tightBounds,optional"`
	}
	type add struct {
		Path  *string `parquet:"path,optional"`
		Size  *int64  `parquet:"size,optional"`
		Stats *stats  `parquet:"stats_parsed,optional"`
	}
	type line struct {
		Add *add `parquet:"add,optional"`
	}
	var b bytes.Buffer
	err := pq.Write(&b, []line{
		{&add{pointer("none"), pointer(int64(1)), nil}},
		{&add{pointer("rows"), pointer(int64(1)), &stats{NumRecords: pointer(int64(5))}}},
		{},
		{&add{pointer("all"), pointer(int64(1)), &stats{pointer(int64(6)),
			&values{pointer(int32(-1)), pointer(int64(1 << 60)), pointer("a\"b"), pointer(int32(-1)),
				pointer(int64(-1)), pointer(int64(1500)), pointer(int64(-5)), pointer(float32(0.1)), nil}, pointer(true)}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	err = readParquet(bytes.NewReader(b.Bytes()), int64(b.Len()), &visitor{add: func(a *Add) error { got[a.Path] = a.Stats; return nil }})
	want := map[string]string{"none": "", "rows": `{"numRecords":5}`,
		"all": `{"numRecords":6,"minValues":{"i":-1,"l":1152921504606846976,"s":"a\"b","d":"1969-12-31",` +
			`"t":"1969-12-31T23:59:59.999Z","m":"1970-01-01T00:00:01.500Z","c":-0.05,"f":0.10000000149011612},"tightBounds":true}`}
	if d := gocmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
}

func TestColumnsOfOddTypesAreRefusedByName(t *testing.T) {
	type add struct {
		Path *string  `parquet:"path,optional"`
		Size *float64 `parquet:"size,optional"`
	}
	type line struct {
		Add *add `parquet:"add,optional"`
	}
	var b bytes.Buffer
	if err := pq.Write(&b, []line{{&add{pointer("a"), pointer(1.0)}}}); err != nil {
		t.Fatal(err)
	}
	err := readParquet(bytes.NewReader(b.Bytes()), int64(b.Len()), &visitor{add: func(*Add) error { return nil }})
	if err == nil || !strings.Contains(err.Error(), "column add.size is DOUBLE") {
		t.Errorf("got %v", err)
	}
}

// FuzzCheckpoint: no bytes make the reader of Parquet checkpoints panic.
func FuzzCheckpoint(f *testing.F) {
	f.Add(must[[]byte](f)(checkpointedTable(f, true).Get(ctx, checkpointKey(9), 1<<20)))
	f.Fuzz(func(t *testing.T, data []byte) {
		v := &visitor{add: func(*Add) error { return nil }, remove: func(*Remove) error { return nil }, other: func(Action) error { return nil },
			sidecar: func(sidecar) error { return nil }}
		_ = readParquet(bytes.NewReader(data), int64(len(data)), v)
	})
}

// Statistics of tables in the wild that have them as structs only.
func TestStatisticsAsStructsOfOtherWriters(t *testing.T) {
	dir := sharedFolder(t, "delta-tables/delta-rs/delta-1.2.1-only-struct-stats")
	s := must[*Snapshot](t)(openLocal(t, dir).Snapshot(ctx))
	stats := map[string]int{}
	for a, err := range s.Files(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		stats[a.Stats]++
	}
	const want = `{"numRecords":1,"minValues":{"integer":9,"double":1.234,"decimal":-5.67800,"string":"string","date":"2022-10-24","timestamp":"2022-10-24T22:59:42.908Z",` +
		`"struct":{"struct_element":"struct_value"},"nested_struct":{"struct_element":{"nested_struct_element":"nested_struct_value"}},"new_column":0},"maxValues":{"integer":9,`
	found := false
	for text := range stats {
		found = found || strings.HasPrefix(text, want)
	}
	if stats[""] > 0 || !found {
		t.Errorf("%d files have none; got %v", stats[""], stats)
	}
}

func TestLastCheckpointIsWrittenOnceASecond(t *testing.T) {
	m := checkpointedTable(t, false)
	now := time.UnixMilli(1_700_000_000_000)
	var slept []time.Duration
	o := testOptions()
	o.Now = func() time.Time { return now }
	o.Sleep = func(_ context.Context, d time.Duration) error {
		slept = append(slept, d)
		now = now.Add(d)
		return nil
	}
	l := Open(m, o)
	s := must[*Snapshot](t)(l.Snapshot(ctx))
	for _, step := range []struct{ later, want time.Duration }{
		{0, 0}, // the first
		{300 * time.Millisecond, 700 * time.Millisecond},
		{time.Second, 0},
		{-time.Hour, time.Second}, // the clock was set back
	} {
		now = now.Add(step.later)
		slept = nil
		if err := l.WriteCheckpoint(ctx, s); err != nil {
			t.Fatal(err)
		}
		if len(slept) == 0 && step.want != 0 || len(slept) > 0 && slept[0] != step.want {
			t.Errorf("%s later: slept %v, want %s", step.later, slept, step.want)
		}
	}
}
