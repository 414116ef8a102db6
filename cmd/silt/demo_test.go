package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/siltlake/silt"
	"github.com/siltlake/silt/internal/problem"
)

// TestADemoThatFailsNamesItsPipeline: a bad record stops the demo at every start until somebody changes decode.mode, and where that is
// said the error does not know.
func TestADemoThatFailsNamesItsPipeline(t *testing.T) {
	dir := t.TempDir()
	f := newFakeProcess(engine{demo: func(_ context.Context, o silt.DemoOptions) error {
		o.OnReady(silt.DemoReady{Folder: dir, Pipeline: filepath.Join(dir, "pipeline.yaml"), Dir: filepath.Join(dir, "clicks")})
		return problem.New(problem.BadRecord, "the value has 4 bytes")
	}})
	if status := f.main("demo", "--dir", dir); status != problem.ExitBadRecord {
		t.Errorf("exit status %d", status)
	}
	pipeline := "the pipeline is " + filepath.Join(dir, "pipeline.yaml") + ": change it there"
	for _, want := range []string{"E4001 the value has 4 bytes", pipeline} {
		if !strings.Contains(f.stderr.String(), want) {
			t.Errorf("stderr lacks %q:\n%s", want, f.stderr.String())
		}
	}
}
