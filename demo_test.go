package silt

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/siltlake/silt/internal/microbatch"
	"github.com/siltlake/silt/test/guide"
)

// TestADemoThatFailsEndsItsQueryFirst: a part that fails must not take the broker from under a batch that is being committed.
func TestADemoThatFailsEndsItsQueryFirst(t *testing.T) {
	t.Cleanup(guide.TakePorts())
	dir := filepath.Join(t.TempDir(), "demo")
	d := &demo{o: DemoOptions{Dir: dir, Rate: 5000}.withDefaults()}
	t.Cleanup(func() {
		if err := d.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := d.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the registry broke")
	d.o.OnProgress = func(_ microbatch.Progress, e microbatch.Extra) {
		if e.Rows > 0 {
			select {
			case d.served <- broken:
			default:
			}
		}
	}
	if err := d.run(t.Context()); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	stacks := make([]byte, 1<<20)
	if stacks = stacks[:runtime.Stack(stacks, true)]; bytes.Contains(stacks, []byte("silt.Run(")) {
		t.Error("the query still runs")
	}
	planned, done := count(t, dir, "offsets"), count(t, dir, "commits")
	if planned == 0 || planned != done {
		t.Errorf("%d batches are planned, %d done", planned, done)
	}
}

// count is how many batches a log of the checkpoint holds.
func count(t *testing.T, dir, log string) (n int) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, demoCheckpoints, "clicks", log))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name()[0] != '.' {
			n++
		}
	}
	return n
}
