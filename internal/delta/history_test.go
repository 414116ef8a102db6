package delta

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
)

func TestHistoryGoesBackToTheFirstCommitThatIsLeft(t *testing.T) {
	for clean, want := range map[bool]string{false: "11 10 9 8 7 6 5 4 3 2 1 0", true: "11 10 9"} {
		l := Open(checkpointedTable(t, clean), testOptions())
		var got []string
		for c, err := range l.History(ctx, 11) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(c.Version))
			if n, ok := c.Adds[0].Rows(); len(c.Adds) != 1 || len(c.Txns) != 1 || !ok || n != 5 || c.Info.Operation != "STREAMING UPDATE" || c.Time() == 0 || c.Bytes == 0 {
				t.Errorf("got %+v", c)
			}
			if (c.Version == 0) != (c.MetaData != nil) || (c.Version == 0) != (c.Protocol != nil) || c.Info.ReadVersion != c.Version-1 {
				t.Errorf("version %d: got %+v", c.Version, c)
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("cleaned up %v: got %s, want %s", clean, s, want)
		}
	}
}

func TestHistoryStopsWhereItIsToldTo(t *testing.T) {
	m := checkpointedTable(t, false)
	n := 0
	for range Open(m, testOptions()).History(ctx, 11) {
		if n++; n == 3 {
			break
		}
	}
	mustPut(t, m, commitKey(10), "{")
	var last error
	n = 0
	for _, err := range Open(m, testOptions()).History(ctx, 11) {
		n++
		last = err
	}
	if p := problem.Of(last); n != 2 || len(p) != 1 || p[0].Code != problem.CorruptLog || !strings.HasSuffix(p[0].Where.File, commitKey(10)) {
		t.Errorf("got %v after %d commits", last, n)
	}
	if _, err := Open(m, testOptions()).Read(ctx, 99); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}

func TestTimeOfACommit(t *testing.T) {
	for want, c := range map[int64]*Commit{0: {}, 5: {Info: &CommitInfo{Timestamp: 5}}, 7: {Info: &CommitInfo{Timestamp: 5, InCommitTimestamp: 7}}} {
		if got := c.Time(); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
}

// A commit that is too large for one request is read piece by piece.
func TestLargeCommitsAreReadInPieces(t *testing.T) {
	m := store.NewMemory(nil)
	actions := []Action{NewProtocol(), NewMetaData("i", testSchema, 1)}
	for i := range 3000 {
		actions = append(actions, &Add{Path: fmt.Sprint("f", i), Size: 1, Stats: `{"numRecords":1,"x":"` + strings.Repeat("y", 1000) + `"}`})
	}
	data := encodeLines(actions)
	if len(data) <= 2*smallCommit {
		t.Fatal("too small to test")
	}
	mustPut(t, m, commitKey(0), string(data))
	var ops []string
	l := Open(store.Traced(m, func(line string) { ops = append(ops, line) }), testOptions())
	s := must[*Snapshot](t)(l.Snapshot(ctx))
	if got := len(liveFiles(t, s)); got != 3000 || s.tailBytes != int64(len(data)) {
		t.Errorf("got %d files, %d bytes", got, s.tailBytes)
	}
	if c := must[*Commit](t)(l.Read(ctx, 0)); len(c.Adds) != 3000 || c.Bytes != int64(len(data)) {
		t.Errorf("got %d adds of %d bytes", len(c.Adds), c.Bytes)
	}
	if c := must[*Commit](t)(l.ReadHead(ctx, 0)); c.Adds != nil || c.MetaData == nil || c.Protocol == nil || c.Bytes != int64(len(data)) {
		t.Errorf("got %d adds and %+v", len(c.Adds), c)
	}
	if got := strings.Join(ops, ", "); !strings.Contains(got, "object is larger than the limit: 3") || !strings.Contains(got, "open _delta_log/00000000000000000000.json") {
		t.Errorf("got %s", got)
	}
}

// broken is a store whose objects fail to be read.
type broken struct{ store.Store }

type brokenObject struct{ store.Object }

var errDisk = errors.New("input/output error")

func (brokenObject) ReadAt([]byte, int64) (int, error) { return 0, errDisk }

func (b broken) Get(_ context.Context, key string, limit int64) ([]byte, error) {
	if strings.HasSuffix(key, ".json") {
		return nil, fmt.Errorf("get: %w", store.ErrTooLarge)
	}
	return b.Store.Get(ctx, key, limit)
}

func (b broken) Open(_ context.Context, key string) (store.Object, error) {
	o, err := b.Store.Open(ctx, key)
	return brokenObject{o}, err
}

// What the store fails to read is not corrupt: nothing may be decided by it.
func TestAnErrorOfTheStoreIsNoCorruptLog(t *testing.T) {
	for _, clean := range []bool{false, true} {
		m := checkpointedTable(t, clean)
		_, err := Open(broken{m}, testOptions()).Snapshot(ctx)
		if !errors.Is(err, errDisk) || isCorrupt(err) {
			t.Errorf("got %v", err)
		}
	}
}

// bound is a store whose objects are read under the context that they were opened with, as those of object stores are.
type bound struct{ store.Store }

type boundObject struct {
	store.Object
	ctx context.Context
}

func (b bound) Open(ctx context.Context, key string) (store.Object, error) {
	o, err := b.Store.Open(ctx, key)
	return boundObject{o, ctx}, err
}

func (o boundObject) ReadAt(p []byte, off int64) (int, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	return o.Object.ReadAt(p, off)
}

func TestWhatIsOpenedIsReadUnderTheCallersContext(t *testing.T) {
	m := store.NewMemory(nil)
	mustPut(t, m, commitKey(0), string(encodeLines([]Action{NewProtocol(), NewMetaData("i", testSchema, 1),
		&Add{Path: "f", Size: 1, Stats: strings.Repeat("y", smallCommit)}})))
	l := Open(bound{m}, testOptions())
	if s := must[*Snapshot](t)(l.Snapshot(ctx)); len(liveFiles(t, s)) != 1 {
		t.Error("the file is not there")
	}
	if c := must[*Commit](t)(l.Read(ctx, 0)); len(c.Adds) != 1 {
		t.Errorf("got %d adds", len(c.Adds))
	}
}
