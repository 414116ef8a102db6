package store

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTracedSaysEachOperation(t *testing.T) {
	var lines []string
	s := Traced(NewFaulty(NewMemory(nil), At(13, FailAfter)), func(line string) { lines = append(lines, line) })
	_ = s.Put(ctx, "a", nil)
	_, _ = s.PutIfAbsent(ctx, "b", nil)
	_, _ = s.PutIfAbsent(ctx, "b", nil)
	_, _ = s.Get(ctx, "b", 1)
	_, _ = s.Get(ctx, "c", 1)
	_, _ = s.Open(ctx, "a")
	for range s.List(ctx, "", "a") {
	}
	u, _ := s.Create(ctx, "u")
	_, _ = u.Write(nil)
	_ = u.Commit(ctx)
	_ = u.Abort(ctx)
	_ = s.Delete(ctx, "u")
	_, _ = s.PutIfAbsent(ctx, "d", nil)
	_, _ = Clean(ctx, s, "", time.Time{})
	want := `put a
put-if-absent b: created
put-if-absent b: exists
get b
get c: not there
open a
list * after a: 1
create u
commit u
abort u
delete u
put-if-absent d: unknown (put-if-absent d: injected fault)
clean: 0`
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestFaultsStrikeBeforeOrAfterTheEffect(t *testing.T) {
	tests := []struct {
		fault   Fault
		effect  bool  // of the operation that it strikes
		err     error // of that operation
		nextErr error // of the operation after it
	}{
		{NoFault, true, nil, nil},
		{FailBefore, false, ErrInjected, nil},
		{FailAfter, true, ErrInjected, nil},
		{CrashBefore, false, ErrCrashed, ErrCrashed},
		{CrashAfter, true, ErrCrashed, ErrCrashed},
	}
	for _, tt := range tests {
		m := NewMemory(nil)
		f := NewFaulty(m, At(2, tt.fault))
		_ = f.Put(ctx, "first", nil)
		o, err := f.PutIfAbsent(ctx, "second", nil)
		if !errors.Is(err, tt.err) || (err != nil) != (o == Unknown) {
			t.Errorf("%v: got %v, %v, want %v", tt.fault, o, err, tt.err)
		}
		if err := f.Put(ctx, "third", nil); !errors.Is(err, tt.nextErr) {
			t.Errorf("%v: afterwards got %v, want %v", tt.fault, err, tt.nextErr)
		}
		_, err = m.Get(ctx, "second", 1)
		if (err == nil) != tt.effect {
			t.Errorf("%v: effect %v, want %v", tt.fault, err == nil, tt.effect)
		}
		if _, err := m.Get(ctx, "third", 1); (err == nil) != (tt.nextErr == nil) {
			t.Errorf("%v: a later write has an effect: %v", tt.fault, err == nil)
		}
	}
}

func TestFaultsOfListsAndUploads(t *testing.T) {
	m := NewMemory(nil)
	for _, k := range []string{"a", "b"} {
		must(t, m.Put(ctx, k, nil))
	}
	for fault, want := range map[Fault][]string{FailBefore: nil, FailAfter: {"a", "b"}} {
		f := NewFaulty(m, At(1, fault))
		var got []string
		var last error
		for i, err := range f.List(ctx, "", "") {
			if last = err; err == nil {
				got = append(got, i.Key)
			}
		}
		if !slices.Equal(got, want) || !errors.Is(last, ErrInjected) {
			t.Errorf("%v: got %q, %v, want %q and then the fault", fault, got, last, want)
		}
	}
	f := NewFaulty(m, At(3, CrashBefore)) // create, write, commit
	u, err := f.Create(ctx, "u")
	must(t, err)
	_, err = u.Write([]byte("x"))
	must(t, err)
	if err := u.Commit(ctx); !errors.Is(err, ErrCrashed) || f.Ops() != 3 {
		t.Errorf("got %v after %d operations", err, f.Ops())
	}
	if _, err := m.Get(ctx, "u", 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}
