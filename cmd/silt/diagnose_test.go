package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/microbatch"
)

func TestDiagnosisAddsUpWhatWorkersWaited(t *testing.T) {
	env := map[string]string{"SILT_STATS": filepath.Join(t.TempDir(), "stats.json")}
	d, err := diagnose(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	d.batch(microbatch.Extra{Reading: 2 * time.Second, Waited: []time.Duration{time.Second}})
	d.batch(microbatch.Extra{Reading: 4 * time.Second, Waited: []time.Duration{time.Second, 3 * time.Second}})
	d.batch(microbatch.Extra{Idle: true})
	if err := d.end(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(env["SILT_STATS"])
	if err != nil {
		t.Fatal(err)
	}
	var s stats
	if err := json.Unmarshal(text, &s); err != nil || s.Mallocs == 0 || s.TotalAlloc == 0 {
		t.Errorf("%v in %s", err, text)
	}
	if want := []workerStats{{6, 2}, {4, 3}}; !slices.Equal(s.Workers, want) {
		t.Errorf("got %+v, want %+v", s.Workers, want)
	}
}
