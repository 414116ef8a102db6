package delta

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/test/golden"
)

// The order of effects of a table's first commits, of one that is beaten by another writer, and of a log checkpoint.
func TestOrderOfEffects(t *testing.T) {
	var mu sync.Mutex // commits are read at the same time
	var trace strings.Builder
	say := func(line string) { mu.Lock(); defer mu.Unlock(); trace.WriteString(line + "\n") }
	m := store.NewMemory(nil)
	l := Open(store.Traced(m, say), testOptions())
	say("# open a table that is not there")
	s := must[*Snapshot](t)(l.Snapshot(ctx))
	say("# first commit")
	s = must[*Snapshot](t)(l.Commit(ctx, appendOf(s, "a", 0)))
	say("# second commit")
	s = must[*Snapshot](t)(l.Commit(ctx, appendOf(s, "a", 1)))
	say("# look for others")
	s = must[*Snapshot](t)(l.Update(ctx, s))
	other := must[*Snapshot](t)(Open(m, testOptions()).Snapshot(ctx))
	o2 := testOptions()
	o2.NewID = counting("other")
	must[*Snapshot](t)(Open(m, o2).Commit(ctx, appendOf(other, "b", 0)))
	say("# beaten by another writer")
	s = must[*Snapshot](t)(l.Commit(ctx, appendOf(s, "a", 2)))
	say("# log checkpoint")
	if err := l.WriteCheckpoint(ctx, s); err != nil {
		t.Fatal(err)
	}
	say("# commit after it")
	s = must[*Snapshot](t)(l.Commit(ctx, appendOf(s, "a", 3)))
	say("# files")
	liveFiles(t, s)
	say("# open again")
	must[*Snapshot](t)(l.Snapshot(ctx))
	golden.Check(t, "testdata/effects.txt", inOrder(trace.String()))
}

// inOrder sorts what is read at the same time.
func inOrder(trace string) string {
	lines := strings.Split(trace, "\n")
	for from := 0; from < len(lines); from++ {
		to := from
		for to < len(lines) && strings.HasPrefix(lines[to], "get ") {
			to++
		}
		slices.Sort(lines[from:to])
		from = to
	}
	return strings.Join(lines, "\n")
}

// What a commit that came first means for ours, by values alone.
func TestJudge(t *testing.T) {
	info := func(id string) *CommitInfo { return &CommitInfo{TxnID: id} }
	tests := []struct {
		what  string
		w     summary
		ours  bool
		ended bool
	}{
		{"a foreign append", summary{info: info("other"), dataChange: true}, false, false},
		{"our own commit, whose answer was lost", summary{info: info("mine"), txns: []*Txn{{"q", 7, 0}}}, true, false},
		{"the same batch by another run", summary{info: info("other"), txns: []*Txn{{"q", 7, 0}}}, false, true},
		{"an older batch of our query, by another run", summary{info: info("other"), txns: []*Txn{{"x", 1, 0}, {"q", 3, 0}}}, false, true},
		{"a partition that we write, too", summary{info: info("other"), txns: []*Txn{{"q/t/0", 100, 0}}}, false, true},
		{"another query", summary{info: info("other"), txns: []*Txn{{"p", 7, 0}, {"p/t/0", 100, 0}}}, false, false},
		{"no commitInfo", summary{dataChange: true}, false, false},
		{"no commitInfo, our application", summary{txns: []*Txn{{"q", 7, 0}}}, false, true},
		{"a schema change", summary{info: info("other"), metaData: &MetaData{}}, false, false},
		{"a protocol change", summary{info: info("other"), protocol: &Protocol{}}, false, false},
		{"foreign domain metadata", summary{info: info("other"), domains: []*DomainMetadata{{Domain: "d"}}}, false, false},
	}
	for _, tt := range tests {
		v := judge("mine", []string{"q", "q/t/0"}, 5, &tt.w)
		var c *ConcurrentTransactionError
		if v.ours != tt.ours || errors.As(v.err, &c) != tt.ended || (v.err != nil) != tt.ended {
			t.Errorf("%s: got %+v", tt.what, v)
		}
		if tt.ended && (!errors.Is(v.err, ErrNotCommitted) || c.Version != 5) {
			t.Errorf("%s: got %v", tt.what, v.err)
		}
	}
}

func TestConflictIsPreparedAnewOnTheNewestSnapshot(t *testing.T) {
	m := store.NewMemory(nil)
	l := Open(m, testOptions())
	s := commitFiles(t, l, 1)
	o2 := testOptions()
	o2.NewID = counting("other")
	other := Open(m, o2)
	so := must[*Snapshot](t)(other.Snapshot(ctx))
	changed := NewMetaData("table-id",
		`{"type":"struct","fields":[{"name":"id","type":"long","nullable":true,"metadata":{}},{"name":"b","type":"string","nullable":true,"metadata":{}}]}`, 1)
	so = must[*Snapshot](t)(other.Commit(ctx, Transaction{Read: so,
		Prepare: func(context.Context, *Snapshot) ([]Action, error) { return []Action{changed}, nil }}))
	must[*Snapshot](t)(other.Commit(ctx, appendOf(so, "b", 9)))

	var seen []string
	tr := appendOf(s, "app", 1)
	prepare := tr.Prepare
	tr.Prepare = func(ctx context.Context, s *Snapshot) ([]Action, error) {
		seen = append(seen, fmt.Sprint(s.Version(), len(s.Schema().Fields)))
		return prepare(ctx, s)
	}
	s = must[*Snapshot](t)(l.Commit(ctx, tr))
	if got := strings.Join(seen, ", "); got != "0 1, 2 2" {
		t.Errorf("prepared for %s, want version 0 with 1 column, then 2 with 2", got)
	}
	if x, _ := s.Txn("b"); s.Version() != 3 || x.Version != 9 {
		t.Errorf("got version %d, txns %v", s.Version(), s.Txns())
	}
	if c := must[*Commit](t)(l.Read(ctx, 3)); c.Info.ReadVersion != 2 || c.Info.TxnID != "id-2" {
		t.Errorf("got read version %d, txnId %s", c.Info.ReadVersion, c.Info.TxnID)
	}
}

func TestErrorsOfACommitSayWhetherItMayBeVisible(t *testing.T) {
	base := func() (*store.Memory, *Snapshot) {
		m := store.NewMemory(nil)
		return m, commitFiles(t, Open(m, testOptions()), 1)
	}
	schemaMoved := errors.New("the schema moved")
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	foreign := func(line string) func(*store.Memory, *Transaction) {
		return func(m *store.Memory, _ *Transaction) { mustPut(t, m, commitKey(1), line) }
	}
	tests := []struct {
		what  string
		ctx   context.Context
		setup func(*store.Memory, *Transaction)
		plan  func(store.Op) store.Fault
		is    error // besides ErrNotCommitted
		code  problem.Code
		// unknown: *UnknownError
		unknown bool
	}{
		{what: "Prepare refuses", setup: func(_ *store.Memory, tr *Transaction) {
			tr.Prepare = func(context.Context, *Snapshot) ([]Action, error) { return nil, schemaMoved }
		}, is: schemaMoved},
		{what: "the context ended before", ctx: cancelled, is: context.Canceled},
		{what: "the table holds the version", setup: func(_ *store.Memory, tr *Transaction) { *tr = appendOf(tr.Read, "app", 0) }},
		{what: "another run committed", setup: foreign(`{"txn":{"appId":"app","version":1}}`)},
		{what: "a winner needs an unknown writer feature",
			setup: foreign(`{"protocol":{"minReaderVersion":1,"minWriterVersion":7,"writerFeatures":["telepathy"]}}`),
			code:  problem.UnsupportedProtocol},
		{what: "a winner needs an unknown reader feature",
			setup: foreign(`{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["telepathy"],"writerFeatures":["telepathy"]}}`),
			code:  problem.UnsupportedProtocol},
		{what: "a winner adds a constraint",
			setup: foreign(`{"metaData":{"id":"i","format":{"provider":"parquet","options":{}},"schemaString":"","partitionColumns":[],"configuration":{"delta.constraints.c":"id > 0"}}}`),
			code:  problem.UnsupportedProtocol},
		{what: "a winner is no commit", setup: foreign(`{"add":{`), code: problem.CorruptLog, unknown: true}, // it might be our own, torn
		{what: "actions that Delta does not allow", setup: func(_ *store.Memory, tr *Transaction) {
			tr.Prepare = func(context.Context, *Snapshot) ([]Action, error) {
				return []Action{&Txn{AppID: "a"}, &Txn{AppID: "a"}}, nil
			}
		}, code: problem.Internal},
		{what: "metadata that silt itself could not append to", setup: func(_ *store.Memory, tr *Transaction) {
			tr.Prepare = func(context.Context, *Snapshot) ([]Action, error) {
				return []Action{NewMetaData("i", strings.ReplaceAll(testSchema, `"nullable":true`, `"nullable":false`), 1)}, nil
			}
		}, code: problem.UnsupportedProtocol},
		{what: "the store never answers", plan: func(op store.Op) store.Fault { return store.FailBefore }, is: store.ErrInjected, unknown: true},
		{what: "the put never works", plan: func(op store.Op) store.Fault {
			if op.Name == "put-if-absent" {
				return store.FailBefore
			}
			return store.NoFault
		}, is: store.ErrInjected, unknown: true},
		{what: "the answer is lost and nothing can be read", plan: func(op store.Op) store.Fault {
			if op.Name == "put-if-absent" {
				return store.FailAfter
			}
			return store.FailBefore
		}, is: store.ErrInjected, unknown: true},
	}
	for _, tt := range tests {
		m, s := base()
		tr := appendOf(s, "app", 1)
		if tt.setup != nil {
			tt.setup(m, &tr)
		}
		var st store.Store = m
		if tt.plan != nil {
			st = store.NewFaulty(m, tt.plan)
		}
		c := tt.ctx
		if c == nil {
			c = ctx
		}
		o := testOptions()
		o.NewID = counting("again")
		s.checked = o.Now()
		next, err := Open(st, o).Commit(c, tr)
		var unknown *UnknownError
		if next != nil || err == nil || errors.As(err, &unknown) != tt.unknown || errors.Is(err, ErrNotCommitted) == tt.unknown {
			t.Errorf("%s: got %v, %v", tt.what, next, err)
		}
		if tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s: got %v, want %v", tt.what, err, tt.is)
		}
		if p := problem.Of(err); tt.code != "" && (len(p) == 0 || p[0].Code != tt.code) {
			t.Errorf("%s: got %v, want %s", tt.what, err, tt.code)
		}
		if unknown != nil && (unknown.Version != 1 || unknown.TxnID != "again-1") {
			t.Errorf("%s: got %+v", tt.what, unknown)
		}
	}
}

func TestOneTxnMayGoDownButNotAll(t *testing.T) {
	l := Open(store.NewMemory(nil), testOptions())
	s := must[*Snapshot](t)(l.Snapshot(ctx))
	commit := func(batch, offset int64) error {
		tr := appendOf(s, "q", batch)
		prepare := tr.Prepare
		tr.Prepare = func(ctx context.Context, s *Snapshot) ([]Action, error) {
			actions, err := prepare(ctx, s)
			return append(actions, &Txn{AppID: "q/t/0", Version: offset}), err
		}
		next, err := l.Commit(ctx, tr)
		if err == nil {
			s = next
		}
		return err
	}
	for _, step := range []struct {
		why           string
		batch, offset int64
		refused       bool
	}{
		{"the first batch", 0, 100, false},
		{"the same again", 0, 100, true},
		{"an older plan", 0, 90, true},
		{"the topic was made anew: offsets begin again", 1, 5, false},
		{"the next batch, of no offset", 2, 5, false},
	} {
		err := commit(step.batch, step.offset)
		var c *ConcurrentTransactionError
		if errors.As(err, &c) != step.refused || (err != nil) != step.refused {
			t.Errorf("%s: got %v", step.why, err)
		}
	}
}

// refusing is a store that may not be written to.
type refusing struct{ store.Store }

func (refusing) PutIfAbsent(context.Context, string, []byte) (store.Outcome, error) {
	return store.Unknown, store.NotWritten(&fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission})
}

// failing is a store whose puts fail with the errors of a row, the last one again and again.
type failing struct {
	store.Store
	errs []error
}

func (f *failing) PutIfAbsent(context.Context, string, []byte) (store.Outcome, error) {
	err := f.errs[0]
	if len(f.errs) > 1 {
		f.errs = f.errs[1:]
	}
	return store.Unknown, err
}

// A full disk refuses a commit, and its files can be removed; after one answer that was lost nothing is certain any more.
func TestACommitIsUnknownOnlyIfItMayBeThere(t *testing.T) {
	full, lost := store.NotWritten(syscall.ENOSPC), errors.New("reset")
	denied := store.NotWritten(fs.ErrPermission)
	for _, tt := range []struct {
		errs []error
		sure bool
	}{
		{[]error{full}, true},
		{[]error{denied}, true},
		{[]error{full, full, denied}, true},
		{[]error{lost}, false},
		{[]error{lost, full}, false},
		{[]error{lost, denied}, false},
		{[]error{full, lost, full}, false},
	} {
		l := Open(&failing{store.NewMemory(nil), tt.errs}, testOptions())
		_, err := l.Commit(ctx, appendOf(must[*Snapshot](t)(l.Snapshot(ctx)), "app", 0))
		var unknown *UnknownError
		if errors.Is(err, ErrNotCommitted) != tt.sure || errors.As(err, &unknown) == tt.sure {
			t.Errorf("%v: got %v", tt.errs, err)
		}
	}
}

func TestALogThatMayNotBeWrittenIsNotCommittedTo(t *testing.T) {
	l := Open(refusing{store.NewMemory(nil)}, testOptions())
	_, err := l.Commit(ctx, appendOf(must[*Snapshot](t)(l.Snapshot(ctx)), "app", 0))
	if p := problem.Of(err); !errors.Is(err, ErrNotCommitted) || len(p) != 1 || p[0].Code != problem.PathNotWritable {
		t.Errorf("got %v", err)
	}
}

func TestActionsThatDeltaDoesNotAllowAreRefused(t *testing.T) {
	file := &Add{Path: "f", Size: 1, ModificationTime: 1}
	for _, tt := range []struct {
		want    string
		actions []Action
	}{
		{"two of metaData", []Action{NewMetaData("a", "", 0), NewMetaData("a", "", 0)}},
		{"two of protocol", []Action{NewProtocol(), NewProtocol()}},
		{"two of txn of a", []Action{&Txn{AppID: "a"}, &Txn{AppID: "b"}, &Txn{AppID: "a", Version: 1}}},
		{"two of domainMetadata of d", []Action{&DomainMetadata{Domain: "d"}, &DomainMetadata{Domain: "d"}}},
		{"two of add of f", []Action{file, &Add{Path: "f", Size: 2, ModificationTime: 1}}},
		{"without path", []Action{&Add{Size: 1}}},
		{"commitInfo among", []Action{&CommitInfo{}}},
		{"without protocol or metaData", []Action{file}},
		{"", []Action{NewMetaData("a", "", 0), NewProtocol(), file, &Remove{Path: "f"}}},
	} {
		s := &Snapshot{version: -1, state: newState()}
		sum := &summary{}
		for _, a := range tt.actions {
			sum.add(a)
		}
		err := checkActions(s, tt.actions, sum)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v", tt.want, err)
		}
	}
	s := &Snapshot{version: 1, state: state{metaData: &MetaData{Configuration: map[string]string{"delta.appendOnly": "true"}}}}
	if err := checkActions(s, []Action{&Remove{Path: "f", DataChange: true}}, &summary{}); err == nil {
		t.Error("an append-only table loses data")
	}
	if err := checkActions(s, []Action{&Remove{Path: "f"}}, &summary{}); err != nil {
		t.Errorf("an append-only table may be compacted: %v", err)
	}
}

// Whatever fails, and wherever the process dies: the log stays readable, and starting again commits the same version of the application
// exactly once.
func TestCommitHappensOnceWhateverFails(t *testing.T) {
	for _, fault := range []store.Fault{store.FailBefore, store.FailAfter, store.CrashBefore, store.CrashAfter} {
		for n := 1; ; n++ {
			m := store.NewMemory(nil)
			commitFiles(t, Open(m, testOptions()), 2)
			f := store.NewFaulty(m, store.At(n, fault))
			o := testOptions()
			o.NewID = counting("faulty")
			appendOnce(Open(f, o), 2)
			if f.Ops() < n { // the fault was not reached: all operations had theirs
				break
			}
			o.NewID = counting("healthy")
			if err := appendOnce(Open(m, o), 2); err != nil {
				t.Errorf("%v at %d: then %v", fault, n, err)
			}
			s := must[*Snapshot](t)(Open(m, testOptions()).Snapshot(ctx))
			if got := liveFiles(t, s); strings.Join(got, " ") != "app-0.parquet app-1.parquet app-2.parquet" || s.Version() != 2 {
				t.Errorf("%v at %d: version %d, files %q", fault, n, s.Version(), got)
			}
		}
	}
}

// appendOnce commits a version of app unless the table has it, as a stream does.
func appendOnce(l *Log, version int64) error {
	s, err := l.Snapshot(ctx)
	if err != nil {
		return err
	}
	if x, ok := s.Txn("app"); ok && x.Version >= version {
		return nil
	}
	_, err = l.Commit(ctx, appendOf(s, "app", version))
	return err
}

// 8 writers make 50 versions each, with answers lost on the way: all land, each once, and versions have no gap.
func TestRacingWritersAllLandOnce(t *testing.T) {
	const writers, commits = 8, 50
	lossy := func(seed uint64) func(op store.Op) store.Fault {
		chance := rand.New(rand.NewPCG(seed, 1))
		return func(op store.Op) store.Fault { // called one at a time
			if op.Name != "put-if-absent" && op.Name != "get" || chance.IntN(10) > 0 {
				return store.NoFault
			}
			return store.FailBefore + store.Fault(chance.IntN(2))
		}
	}
	for name, open := range map[string]func(w uint64) store.Store{ // of writer w; 0 is a healthy one
		"memory": func() func(uint64) store.Store {
			m := store.NewMemory(nil)
			return func(uint64) store.Store { return m }
		}(),
		"memory, answers lost": func() func(uint64) store.Store {
			m := store.NewMemory(nil)
			return func(w uint64) store.Store {
				if w == 0 {
					return m
				}
				return store.NewFaulty(m, lossy(w))
			}
		}(),
		"local": func() func(uint64) store.Store {
			dir := t.TempDir()
			return func(uint64) store.Store { return must[*store.Local](t)(store.NewLocal(dir)) }
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					o := testOptions()
					o.NewID = counting(fmt.Sprint("writer ", w))
					s, err := Open(open(0), o).Snapshot(ctx)
					l := Open(open(uint64(w)+1), o)
					for i := int64(0); i < commits && err == nil; i++ {
						s, err = l.Commit(ctx, appendOf(s, fmt.Sprint("w", w), i))
					}
					if err != nil {
						t.Errorf("writer %d: %v", w, err)
					}
				})
			}
			wg.Wait()
			s := must[*Snapshot](t)(Open(open(0), testOptions()).Snapshot(ctx))
			if got := liveFiles(t, s); s.Version() != writers*commits-1 || len(got) != writers*commits {
				t.Errorf("got version %d and %d files, want %d and %d", s.Version(), len(got), writers*commits-1, writers*commits)
			}
			for _, x := range s.Txns() {
				if x.Version != commits-1 {
					t.Errorf("%s stands at %d", x.AppID, x.Version)
				}
			}
		})
	}
}

// The cost of a commit does not grow with the number of those before it: it is one request, log checkpoints included.
func TestCommitIsOneRequestHoweverLongTheLog(t *testing.T) {
	m := store.NewMemory(nil)
	f := store.NewFaulty(m, store.At(0, store.NoFault))
	l := Open(f, testOptions())
	s := must[*Snapshot](t)(l.Snapshot(ctx))
	checkpoints := 0
	for i := range int64(600) {
		before := f.Ops()
		s = must[*Snapshot](t)(l.Commit(ctx, appendOf(s, "app", i)))
		if n := f.Ops() - before; n != 1 {
			t.Fatalf("commit %d took %d requests", i, n)
		}
		if l.CheckpointDue(s) {
			if err := l.WriteCheckpoint(ctx, s); err != nil {
				t.Fatal(err)
			}
			checkpoints++
		}
	}
	if s.tailBytes > 100_000 || checkpoints < 10 || checkpoints > 60 {
		t.Errorf("%d log checkpoints, %d bytes after the last", checkpoints, s.tailBytes)
	}
	if got := len(liveFiles(t, must[*Snapshot](t)(Open(m, testOptions()).Snapshot(ctx)))); got != 600 {
		t.Errorf("got %d files", got)
	}
}

func TestInCommitTimestampsNeverGoBack(t *testing.T) {
	m := store.NewMemory(nil)
	o := testOptions()
	at := time.UnixMilli(5000)
	o.Now = func() time.Time { return at }
	l := Open(m, o)
	s := must[*Snapshot](t)(l.Snapshot(ctx))
	first := appendOf(s, "app", 0)
	first.Prepare = func(context.Context, *Snapshot) ([]Action, error) {
		meta := NewMetaData("i", testSchema, 1)
		meta.Configuration = map[string]string{"delta.enableInCommitTimestamps": "true"}
		return []Action{meta, &Protocol{1, 7, nil, []string{"inCommitTimestamp"}}}, nil
	}
	s = must[*Snapshot](t)(l.Commit(ctx, first)) // the table has no such property before it
	var got []int64
	for i, now := range []int64{6000, 4000, 4000, 7000} {
		if i == 2 { // a snapshot that comes from a checkpoint does not know the time of its version
			if err := l.WriteCheckpoint(ctx, s); err != nil {
				t.Fatal(err)
			}
			s = must[*Snapshot](t)(l.Snapshot(ctx))
		}
		at = time.UnixMilli(now)
		s.checked = at // the clock goes back within the time that a snapshot is fresh
		s = must[*Snapshot](t)(l.Commit(ctx, appendOf(s, "app", int64(i)+1)))
		c := must[*Commit](t)(l.Read(ctx, s.Version()))
		got = append(got, c.Info.InCommitTimestamp)
		line := string(must[[]byte](t)(m.Get(ctx, commitKey(s.Version()), 1<<20)))
		if !strings.HasPrefix(line, `{"commitInfo":{"inCommitTimestamp":`) {
			t.Errorf("got %.80s", line)
		}
	}
	if fmt.Sprint(got) != "[6000 6001 6002 7000]" {
		t.Errorf("got %v", got)
	}
}

// After a long silence the log may have been cleaned up: the version after an old snapshot's is free again, and must not be taken.
func TestAnOldSnapshotIsReadAnewBeforeACommit(t *testing.T) {
	m := store.NewMemory(nil)
	now := time.UnixMilli(0)
	o := testOptions()
	o.Now = func() time.Time { return now }
	l := Open(m, o)
	s := commitFiles(t, l, 1)
	other := Open(m, testOptions())
	so := commitFiles(t, other, 20)
	if err := other.WriteCheckpoint(ctx, so); err != nil {
		t.Fatal(err)
	}
	for v := range so.Version() {
		if err := m.Delete(ctx, commitKey(v)); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(24 * time.Hour)
	if got := must[*Snapshot](t)(l.Update(ctx, s)); got.Version() != so.Version() {
		t.Errorf("update: got version %d, want %d", got.Version(), so.Version())
	}
	if s = must[*Snapshot](t)(l.Commit(ctx, appendOf(s, "late", 1))); s.Version() != so.Version()+1 {
		t.Errorf("commit: got version %d, want %d", s.Version(), so.Version()+1)
	}
}

func TestCommitGivesUpWhenOthersAreAlwaysFirst(t *testing.T) {
	m := store.NewMemory(nil)
	l := Open(m, testOptions())
	s := commitFiles(t, l, 1)
	tr := appendOf(s, "app", 1)
	prepare := tr.Prepare
	tr.Prepare = func(ctx context.Context, s *Snapshot) ([]Action, error) {
		mustPut(t, m, commitKey(s.Version()+1), `{"txn":{"appId":"fast","version":1}}`)
		return prepare(ctx, s)
	}
	if _, err := l.Commit(ctx, tr); !errors.Is(err, ErrNotCommitted) || !strings.Contains(err.Error(), "1000 commits of others") {
		t.Errorf("got %v", err)
	}
}
