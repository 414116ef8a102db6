package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// A sample is one run of a program.
type sample struct {
	seconds    float64
	cpuSeconds float64
	maxRSS     int64   // bytes
	mallocs    float64 // of the whole run; negative if the program does not say
	// waited is, a worker, the share of the time from a batch's first chunk to its last one in which it waited for a chunk; nil if the
	// program does not say.
	waited []float64
	stdout []byte
}

// pinned is the command that runs another one on some cores, where the machine has it.
func pinned(cpus string) []string {
	if _, err := exec.LookPath("taskset"); err != nil || cpus == "" {
		return nil
	}
	return []string{"taskset", "-c", cpus}
}

// measure runs a program on some cores to its end.
func (b *bench) measure(ctx context.Context, cpus, program string, args ...string) (sample, error) {
	stats := filepath.Join(b.work, "stats.json")
	if err := os.RemoveAll(stats); err != nil {
		return sample{}, err
	}
	line := append(append(pinned(cpus), program), args...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env = append(os.Environ(), "SILT_STATS="+stats)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	begin := time.Now()
	err := cmd.Run()
	took := time.Since(begin)
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w\n%s", filepath.Base(program), err, lastBytes(stderr.Bytes(), 4000))
	}
	s := sample{
		seconds: took.Seconds(), cpuSeconds: (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(),
		maxRSS: maxRSS(cmd.ProcessState), mallocs: -1, stdout: stdout.Bytes(),
	}
	var said struct {
		Mallocs float64
		Workers []struct{ ReadingSeconds, WaitedSeconds float64 }
	}
	if j, err := os.ReadFile(stats); err == nil && json.Unmarshal(j, &said) == nil {
		s.mallocs = said.Mallocs
		for _, w := range said.Workers {
			if w.ReadingSeconds > 0 {
				s.waited = append(s.waited, w.WaitedSeconds/w.ReadingSeconds)
			}
		}
	}
	return s, nil
}

func lastBytes(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

// median is the sample with the middle CPU time.
func median(samples []sample) sample {
	sorted := slices.Clone(samples)
	slices.SortFunc(sorted, func(a, b sample) int {
		switch {
		case a.cpuSeconds < b.cpuSeconds:
			return -1
		case a.cpuSeconds > b.cpuSeconds:
			return 1
		}
		return 0
	})
	return sorted[len(sorted)/2]
}

// A siltRun is how silt reads a topic.
type siltRun struct {
	topic   topic
	cpus    string
	workers int
	kafka   map[string]any // more options of source.kafka
	trigger map[string]any
	store   *emulator // nil: local disk
}

// pipeline writes the pipeline file of a run into a directory of its own and returns both.
func (b *bench) pipeline(r siltRun, topicName string) (file, dir string, err error) {
	if dir, err = os.MkdirTemp(b.work, "run-"); err != nil {
		return "", "", err
	}
	kafka := map[string]any{"kafka.bootstrap.servers": b.kafka.Plain, "subscribe": topicName, "startingOffsets": "earliest"}
	for key, value := range r.kafka {
		kafka[key] = value
	}
	trigger := r.trigger
	if trigger == nil {
		trigger = map[string]any{"availableNow": true}
	}
	sink := map[string]any{"delta": map[string]any{"path": filepath.Join(dir, "table"), "mergeSchema": true}}
	checkpoint := filepath.Join(dir, "checkpoint")
	if r.store != nil {
		run := filepath.Base(dir)
		sink = map[string]any{"delta": map[string]any{"path": r.store.folder(run + "/table"), "mergeSchema": true}, "storageOptions": r.store.Options}
		checkpoint = r.store.folder(run + "/checkpoint")
	}
	p := map[string]any{
		"name":   "bench",
		"source": map[string]any{"kafka": kafka},
		"registry": map[string]any{
			"schema.registry.url": b.registry.URL, "basic.auth.credentials.source": "USER_INFO",
			"basic.auth.user.info": b.registry.User + ":" + b.registry.Password,
		},
		"select":             []string{"topic", "partition", "offset", "timestamp", "timestampType", "key", "valueSchemaId", "parsedValue"},
		"sink":               sink,
		"checkpointLocation": checkpoint,
	}
	if len(trigger) > 0 {
		p["trigger"] = trigger
	}
	y, err := yaml.Marshal(p)
	if err != nil {
		return "", "", err
	}
	file = filepath.Join(dir, "pipeline.yaml")
	return file, dir, os.WriteFile(file, y, 0o600)
}

// runSilt measures one run of silt and checks that every record is in the table.
func (b *bench) runSilt(ctx context.Context, r siltRun) (sample, error) {
	file, dir, err := b.pipeline(r, r.topic.name())
	if err != nil {
		return sample{}, err
	}
	args := []string{"run", "-c", file, "-o", "json"}
	if r.workers > 0 {
		args = append(args, "--workers", strconv.Itoa(r.workers))
	}
	s, err := b.measure(ctx, r.cpus, b.silt, args...)
	if err != nil {
		return s, err
	}
	rows, err := b.rows(ctx, r, file, dir)
	if err != nil {
		return s, err
	}
	if rows != r.topic.Records {
		return s, fmt.Errorf("the table has %d rows of %d records", rows, r.topic.Records)
	}
	return s, os.RemoveAll(dir)
}

// runLibpath measures one run of the library path.
func (b *bench) runLibpath(ctx context.Context, cpus string, t topic) (sample, error) {
	dir, err := os.MkdirTemp(b.work, "libpath-")
	if err != nil {
		return sample{}, err
	}
	s, err := b.measure(ctx, cpus, b.libpath, "-addr", b.kafka.Plain, "-topic", t.name(), "-shape", t.Shape,
		"-n", strconv.FormatInt(t.Records, 10), "-out", dir)
	if err != nil {
		return s, err
	}
	return s, os.RemoveAll(dir)
}

// runYardstick measures one run of the study's program.
func (b *bench) runYardstick(ctx context.Context, cpus string, t topic) (sample, error) {
	dir, err := os.MkdirTemp(b.work, "yardstick-")
	if err != nil {
		return sample{}, err
	}
	s, err := b.measure(ctx, cpus, b.yardstick, "-addr", b.kafka.Plain, "-topic", t.name(), "-id", strconv.Itoa(int(b.ids[t.Shape])),
		"-p", strconv.Itoa(partitions), "-n", strconv.FormatInt(t.Records, 10), "-mode", "raw", "-out", dir)
	if err != nil {
		return s, err
	}
	return s, os.RemoveAll(dir)
}

// rows counts the rows of a run's table.
func (b *bench) rows(ctx context.Context, r siltRun, file, dir string) (rows int64, err error) {
	if r.store == nil {
		return rowsInLog(filepath.Join(dir, "table"))
	}
	table := r.store.folder(filepath.Base(dir) + "/table")
	out, err := exec.CommandContext(ctx, b.silt, "table", "history", table, "-c", file, "-o", "ndjson").Output()
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(out) {
		var version struct{ RowsAdded int64 }
		if err := json.Unmarshal(line, &version); err != nil {
			return 0, err
		}
		rows += version.RowsAdded
	}
	return rows, nil
}

// rowsInLog adds the numRecords of the files that a table's JSON log adds; a benchmark's table loses none.
func rowsInLog(table string) (int64, error) {
	commits, err := filepath.Glob(filepath.Join(table, "_delta_log", "*.json"))
	if err != nil {
		return 0, err
	}
	var rows int64
	for _, commit := range commits {
		j, err := os.ReadFile(commit)
		if err != nil {
			return 0, err
		}
		for line := range bytes.Lines(j) {
			var action struct{ Add *struct{ Stats string } }
			var stats struct{ NumRecords int64 }
			if err := json.Unmarshal(line, &action); err != nil {
				return 0, fmt.Errorf("%s: %w", commit, err)
			}
			if action.Add == nil {
				continue
			}
			if err := json.Unmarshal([]byte(action.Add.Stats), &stats); err != nil {
				return 0, fmt.Errorf("%s: stats: %w", commit, err)
			}
			rows += stats.NumRecords
		}
	}
	return rows, nil
}

// triggerTimes are the seconds that each batch took, of silt's progress objects.
func triggerTimes(stdout []byte) ([]float64, error) {
	var times []float64
	for dec := json.NewDecoder(bytes.NewReader(stdout)); dec.More(); {
		var p struct {
			NumInputRows int64
			DurationMs   map[string]float64
		}
		if err := dec.Decode(&p); err != nil {
			return nil, err
		}
		if p.NumInputRows > 0 {
			times = append(times, p.DurationMs["triggerExecution"]/1000)
		}
	}
	return times, nil
}

func goBuild(out, pkg string) error {
	if text, err := exec.Command("go", "build", "-trimpath", "-o", out, pkg).CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, text)
	}
	return nil
}

// machine names what the figures were measured on.
func machine() string {
	model := runtime.GOARCH
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				model = strings.TrimSpace(strings.TrimLeft(name, " \t:"))
				break
			}
		}
	}
	load, _, _ := strings.Cut(readOr("/proc/loadavg", "unknown"), " ")
	return fmt.Sprintf("machine: %s, %d cores, %s, load %s, %s", model, runtime.NumCPU(), runtime.GOOS, load, runtime.Version())
}

func readOr(file, otherwise string) string {
	if b, err := os.ReadFile(file); err == nil {
		return string(b)
	}
	return otherwise
}
