package checkpoint

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/stream"
)

func TestOpenRefusesWhatCannotBeExplained(t *testing.T) {
	const torn = "v1\n{\"batch"
	tests := []struct {
		name   string
		change func(t *testing.T, m store.Store)
		code   problem.Code
		want   string // in the message
	}{
		{"batches without metadata: a new id would double every row", func(t *testing.T, m store.Store) { remove(t, m, "metadata") },
			problem.CorruptCheckpoint, "memory:/metadata"},
		{"commits alone", func(t *testing.T, m store.Store) {
			remove(t, m, "metadata", "offsets/0", "offsets/1", "offsets/2")
		}, problem.CorruptCheckpoint, "memory:/metadata"},
		{"metadata unreadable", func(t *testing.T, m store.Store) { put(t, m, "metadata", `{"id":"03`) }, problem.CorruptCheckpoint,
			"memory:/metadata"},
		{"C > L", func(t *testing.T, m store.Store) { remove(t, m, "offsets/2") }, problem.CorruptCheckpoint, "memory:/commits/2"},
		{"commits without offsets", func(t *testing.T, m store.Store) { remove(t, m, "offsets/0", "offsets/1", "offsets/2") },
			problem.CorruptCheckpoint, "memory:/commits/2"},
		{"L > 0 without offsets/(L-1)", func(t *testing.T, m store.Store) { remove(t, m, "offsets/1") }, problem.CorruptCheckpoint,
			"memory:/offsets/1"},
		{"L > C+1", func(t *testing.T, m store.Store) { remove(t, m, "commits/1", "commits/2") }, problem.CorruptCheckpoint, "memory:/commits/1"},
		{"L > 0 without any commit", func(t *testing.T, m store.Store) { remove(t, m, "commits/0", "commits/1", "commits/2") },
			problem.CorruptCheckpoint, "memory:/commits/1"},
		{"offsets/(L-1) unreadable", func(t *testing.T, m store.Store) { put(t, m, "offsets/1", torn) }, problem.CorruptCheckpoint,
			"memory:/offsets/1"},
		{"two newest commits unreadable", func(t *testing.T, m store.Store) { put(t, m, "commits/1", ""); put(t, m, "commits/2", "") },
			problem.CorruptCheckpoint, "memory:/commits/1"},
		{"L = 0 without sources/0/0", func(t *testing.T, m store.Store) {
			remove(t, m, "sources/0/0", "offsets/1", "offsets/2", "commits/1", "commits/2")
		}, problem.CorruptCheckpoint, "memory:/sources/0/0"},
		{"L = 0, sources/0/0 unreadable", func(t *testing.T, m store.Store) {
			put(t, m, "sources/0/0", "\x00v1\n{")
			remove(t, m, "offsets/1", "offsets/2", "commits/1", "commits/2")
		}, problem.CorruptCheckpoint, "memory:/sources/0/0"},
		{"offsets of another source", func(t *testing.T, m store.Store) { rewrite(t, m, "offsets/2", "v1\n{}\n{\"logOffset\":3}") },
			problem.OtherSource, "memory:/offsets/2"},
		{"offsets of two sources", func(t *testing.T, m store.Store) {
			rewrite(t, m, "offsets/2", "v1\n{}\n{\"a\":{\"0\":1}}\n{\"b\":{\"0\":1}}")
		}, problem.OtherSource, "memory:/offsets/2"},
		{"a version of tomorrow is not torn", func(t *testing.T, m store.Store) { rewrite(t, m, "offsets/2", "v3\n{}\n{}") },
			problem.CorruptCheckpoint, "newer"},
		{"commits of tomorrow are not torn", func(t *testing.T, m store.Store) { rewrite(t, m, "commits/2", "v3\n{}") },
			problem.CorruptCheckpoint, "newer"},
		{"a flipped bit in offsets/(L-1)", func(t *testing.T, m store.Store) {
			put(t, m, "offsets/1", strings.Replace(get(t, m, "offsets/1"), `"0":100`, `"0":140`, 1))
		}, problem.CorruptCheckpoint, "memory:/offsets/1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := load(t, "testdata/spark4-direct")
			tt.change(t, m)
			before := snapshot(t, m)
			l := New(m, Options{CRC: true})
			defer func() { _ = l.Close() }()
			_, err := l.Open(t.Context())
			ps := problem.Of(err)
			if len(ps) != 1 || ps[0].Code != tt.code || !strings.Contains(err.Error(), tt.want) || ps[0].Hint == "" {
				t.Fatalf("got %v, want %s with %q and a hint", err, tt.code, tt.want)
			}
			if d := cmp.Diff(before, snapshot(t, m)); d != "" {
				t.Errorf("Open changed the checkpoint: %s", d)
			}
		})
	}
}

func snapshot(t *testing.T, s store.Store) map[string]string {
	t.Helper()
	found := map[string]string{}
	for info, err := range s.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		found[info.Key] = get(t, s, info.Key)
		if sum := get(t, s, sumKey(info.Key)); sum != "(not there)" {
			found[sumKey(info.Key)] = sum
		}
	}
	return found
}

func TestOpenIgnoresWhatIsNoBatch(t *testing.T) {
	m := load(t, "testdata/spark4-direct")
	for _, key := range []string{"offsets/__tmp_path_dir/7", "__tmp_path_dir/x", "offsets/9.tmp", "offsets/007", "offsets/+8",
		"offsets/-1", "commits/x", "offsets/9223372036854775808"} {
		put(t, m, key, "whatever")
	}
	if _, state := opened(t, m, Options{CRC: true}); state.Planned != 2 || state.Done != 2 {
		t.Errorf("got %+v", state)
	}
}

func TestTheNewestOffsetsMayBeTorn(t *testing.T) {
	for name, data := range map[string]string{
		"empty":         "",
		"half":          "v1\n{\"batch",
		"a flipped bit": strings.Replace(files(t, "testdata/spark4-direct")["offsets/2"], `"0":150`, `"0":151`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			m := load(t, "testdata/spark4-direct")
			remove(t, m, "commits/2", "commits/.2.crc")
			put(t, m, "offsets/2", data)
			l, state := opened(t, m, Options{CRC: true})
			if state.Unreadable == nil || state.Planned != 2 || state.Done != 1 || state.Batch.ID != 2 ||
				!state.Batch.Start.Equal(ends(100, 100)) || state.Batch.End != nil ||
				state.Batch.ShufflePartitions != 4 || !strings.Contains(state.Unreadable.Error(), "offsets/2") {
				t.Fatalf("got %+v", state)
			}
			for range 2 { // the second time it is gone already
				if err := l.Discard(t.Context(), 2); err != nil {
					t.Fatal(err)
				}
			}
			if get(t, m, "offsets/2") != "(not there)" || get(t, m, "offsets/.2.crc") != "(not there)" {
				t.Error("offsets/2 and its checksum file must be gone")
			}
			if err := l.Plan(t.Context(), batch(2, ends(100, 100), ends(130, 140), 1795476521843)); err != nil {
				t.Fatal(err)
			}
			_, state = opened(t, m, Options{CRC: true})
			if state.Unreadable != nil || !state.Batch.End.Equal(ends(130, 140)) || state.Batch.ShufflePartitions != 4 {
				t.Errorf("got %+v", state)
			}
		})
	}
}

func TestTornOffsetsAreRestoredInPlace(t *testing.T) {
	m := load(t, "testdata/spark4-direct")
	put(t, m, "offsets/2", "")
	var lines []string
	l, state := opened(t, store.Traced(m, func(line string) {
		if !strings.HasPrefix(line, "get") {
			lines = append(lines, line)
		}
	}), Options{CRC: true})
	if state.Unreadable == nil {
		t.Fatalf("got %+v", state)
	}
	lines = nil
	if err := l.Restore(t.Context(), batch(2, ends(100, 100), ends(150, 150), 1795476521843)); err != nil {
		t.Fatal(err)
	}
	golden := files(t, "testdata/spark4-direct")
	for _, key := range []string{"offsets/2", "offsets/.2.crc"} {
		if got := get(t, m, key); got != golden[key] {
			t.Errorf("%s: got %q, want %q", key, got, golden[key])
		}
	}
	if d := cmp.Diff([]string{"delete offsets/.2.crc", "put offsets/2", "put offsets/.2.crc"}, lines); d != "" { // at no moment is it missing
		t.Error(d)
	}
	if err := l.Plan(t.Context(), batch(3, ends(150, 150), ends(160, 160), 1)); err != nil {
		t.Errorf("the log goes on: %v", err)
	}
	// Another run restored it meanwhile, or wrote something else.
	put(t, m, "offsets/3", "")
	a, _ := opened(t, m, Options{CRC: true})
	b, _ := opened(t, m, Options{CRC: true})
	c, _ := opened(t, m, Options{CRC: true})
	for _, l := range []*Log{a, b} {
		if err := l.Restore(t.Context(), batch(3, ends(150, 150), ends(160, 160), 1)); err != nil {
			t.Error(err)
		}
	}
	if err := c.Restore(t.Context(), batch(3, ends(150, 150), ends(170, 170), 1)); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("got %v", err)
	}
	if err := a.Restore(t.Context(), batch(9, ends(150, 150), ends(170, 170), 1)); problem.ExitStatus(err) != problem.ExitFailed {
		t.Errorf("got %v", err)
	}
}

// A run that goes on while the log is opened makes the two listings differ; that is no corruption.
func TestOpenListsAgainWhileAnotherRunGoesOn(t *testing.T) {
	for moves, ok := range map[int]bool{1: true, 100: false} {
		m := load(t, "testdata/spark4-direct")
		other, _ := opened(t, m, Options{})
		n := int64(3)
		l := New(between{m, func(prefix string) {
			for i := 0; prefix == offsetsDir && moves > 0 && i < 2; i++ { // two batches after commits was listed
				moves--
				if err := other.Plan(t.Context(), batch(n, ends(n, n), ends(n+1, n+1), n)); err != nil {
					t.Fatal(err)
				}
				if err := other.Done(t.Context(), n); err != nil {
					t.Fatal(err)
				}
				n++
			}
		}}, Options{})
		state, err := l.Open(t.Context())
		if ok && (err != nil || state.Planned != n-1) || !ok && !errors.Is(err, stream.ErrFenced) {
			t.Errorf("got %+v, %v", state, err)
		}
		_ = l.Close()
	}
}

// between is a store where something happens before each listing.
type between struct {
	*store.Memory
	before func(prefix string)
}

func (b between) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	b.before(prefix)
	return b.Memory.List(ctx, prefix, after)
}

// On an object store there is no checksum: the bytes alone tell.
func TestTornFilesAreNoticedWithoutChecksums(t *testing.T) {
	m := load(t, "testdata/spark4-direct")
	put(t, m, "offsets/2", "v1\n{\"batch")
	remove(t, m, "commits/2")
	l, state := opened(t, m, Options{})
	if state.Unreadable == nil || state.Planned != 2 {
		t.Fatalf("got %+v", state)
	}
	if err := l.Discard(t.Context(), 2); err != nil || get(t, m, "offsets/2") != "(not there)" {
		t.Errorf("got %v", err)
	}
	remove(t, m, "offsets/1", "offsets/2", "commits/1", "commits/2")
	put(t, m, "sources/0/0", "\x00v1\n{")
	l = New(m, Options{})
	defer func() { _ = l.Close() }()
	_, err := l.Open(t.Context())
	if ps := problem.Of(err); len(ps) != 1 || ps[0].Code != problem.CorruptCheckpoint || ps[0].Where.File != "memory:/sources/0/0" {
		t.Errorf("got %v", err)
	}
}

// What is there but cannot be read back is not put again: nobody knows whose it is.
func TestAFailedReadBackEndsAPut(t *testing.T) {
	m := store.NewMemory(nil)
	l, _ := opened(t, m, Options{})
	if err := l.Plan(t.Context(), batch(0, ends(0, 0), ends(1, 1), 1)); err != nil {
		t.Fatal(err)
	}
	puts := 0
	l.store = store.NewFaulty(m, func(op store.Op) store.Fault {
		if op.Name == "put-if-absent" {
			puts++
		}
		if op.Name == "get" {
			return store.FailBefore
		}
		return store.NoFault
	})
	err := l.Plan(t.Context(), batch(0, ends(0, 0), ends(1, 1), 1))
	if ps := problem.Of(err); len(ps) != 1 || !ps[0].Retryable || puts != 1 {
		t.Errorf("got %v after %d puts", err, puts)
	}
}

func TestRetentionBeginsAtTheOldestEntry(t *testing.T) {
	m := store.NewMemory(nil)
	put(t, m, metadataKey, string(formatMetadata(queryID)))
	for n := int64(5000); n <= 5110; n++ {
		put(t, m, offsetsKey(n), string(entry{}.following(ends(n, n), time.UnixMilli(n)).format()))
		put(t, m, commitsKey(n), commitEntry)
	}
	l, _ := opened(t, m, Options{})
	if err := l.Plan(t.Context(), batch(5111, ends(5110, 5110), ends(5111, 5111), 1)); err != nil {
		t.Fatal(err)
	}
	l.purge.wg.Wait()
	if ids, err := l.ids(t.Context(), offsetsDir); err != nil || len(ids) != 101 || ids[0] != 5011 {
		t.Errorf("got %v %v", ids, err)
	}
}

func TestDiscardLeavesWhatCanBeRead(t *testing.T) {
	m := load(t, "testdata/spark4-direct")
	l, _ := opened(t, m, Options{CRC: true})
	if err := l.Discard(t.Context(), 2); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("got %v", err)
	}
	put(t, m, "offsets/2", "v3\n{}\n{}")
	remove(t, m, "offsets/.2.crc")
	if err := l.Discard(t.Context(), 2); problem.ExitStatus(err) != problem.ExitFailed {
		t.Errorf("got %v", err)
	}
	if get(t, m, "offsets/2") == "(not there)" {
		t.Error("offsets/2 is gone")
	}
}

func TestTheNewestCommitMayBeTornAndIsWrittenAnew(t *testing.T) {
	for name, change := range map[string]func(m store.Store){
		"empty":              func(m store.Store) { put(t, m, "commits/2", "") },
		"the checksum's bit": func(m store.Store) { put(t, m, "commits/.2.crc", string(sumOf([]byte("other")))) },
	} {
		t.Run(name, func(t *testing.T) {
			m := load(t, "testdata/spark4-direct")
			change(m)
			l, state := opened(t, m, Options{CRC: true})
			if state.Planned != 2 || state.Done != 1 {
				t.Fatalf("got %+v", state)
			}
			if err := l.Done(t.Context(), 2); err != nil {
				t.Fatal(err)
			}
			if _, state := opened(t, m, Options{CRC: true}); state.Done != 2 || get(t, m, "commits/2") != commitEntry {
				t.Errorf("got %+v, commits/2 is %q", state, get(t, m, "commits/2"))
			}
		})
	}
}

// A second run may tear commits/N after Open saw none; and what another version of Spark wrote is success.
func TestDoneReplacesTornBytesOnly(t *testing.T) {
	m := load(t, "testdata/spark4-direct")
	l, _ := opened(t, m, Options{CRC: true})
	put(t, m, "commits/2", "v1\n{\"next")
	if err := l.Done(t.Context(), 2); err != nil || get(t, m, "commits/2") != commitEntry {
		t.Errorf("got %v, commits/2 is %q", err, get(t, m, "commits/2"))
	}
	const other = "v2\n{\"nextBatchWatermarkMs\":0,\"stateUniqueIds\":{}}"
	put(t, m, "commits/2", other)
	if err := l.Done(t.Context(), 2); err != nil || get(t, m, "commits/2") != other {
		t.Errorf("got %v, commits/2 is %q", err, get(t, m, "commits/2"))
	}
}

func TestAStaleChecksumFileDoesNotOutliveItsFile(t *testing.T) {
	m := load(t, "testdata/spark4-direct")
	put(t, m, "offsets/.3.crc", string(sumOf([]byte("what was here before the checkpoint was restored"))))
	l, _ := opened(t, m, Options{CRC: true})
	if err := l.Plan(t.Context(), batch(3, ends(150, 150), ends(160, 160), 1)); err != nil {
		t.Fatal(err)
	}
	if _, state := opened(t, m, Options{CRC: true}); state.Planned != 3 || state.Unreadable != nil {
		t.Errorf("got %+v", state)
	}
}
