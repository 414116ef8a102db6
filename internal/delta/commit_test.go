package delta

import (
	"testing"

	"github.com/siltlake/silt/internal/store"
)

func TestFirstCommitMakesTheTable(t *testing.T) {
	m := store.NewMemory(nil)
	l := Open(m, testOptions())
	s := commitFiles(t, l, 25)
	if err := l.WriteCheckpoint(ctx, s); err != nil {
		t.Fatal(err)
	}
	again := must[*Snapshot](t)(Open(m, testOptions()).Snapshot(ctx))
	if got := liveFiles(t, again); len(got) != 25 {
		t.Errorf("got %q", got)
	}
	if again.base.checkpoint == nil {
		t.Error("not read from the checkpoint")
	}
}
