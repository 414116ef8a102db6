package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// A result is one object of bench.json.
type result struct {
	Case             string   `json:"case"`
	Rows             int64    `json:"rows"`
	Seconds          float64  `json:"seconds"`
	CPUSeconds       float64  `json:"cpuSeconds"`
	RowsPerCPUSecond float64  `json:"rowsPerCpuSecond"`
	MaxRSSBytes      int64    `json:"maxRssBytes"`
	AllocsPerRow     *float64 `json:"allocsPerRow"` // null if the program does not say
	Peer             string   `json:"peer,omitempty"`
	// Ratio is silt's rows a CPU second over the peer's, or, where Peer says so, of another quantity; null if the peer did not run.
	Ratio *float64 `json:"ratio"`
	Want  float64  `json:"want,omitempty"` // the least ratio that is good enough
	Note  string   `json:"note,omitempty"`
	// WaitedShare is, a worker, the share of the time from a batch's first chunk to its last one in which it waited for a chunk.
	WaitedShare []float64 `json:"waitedShare,omitempty"`
}

func (s sample) result(name string, rows int64) result {
	r := result{
		Case: name, Rows: rows, Seconds: s.seconds, CPUSeconds: s.cpuSeconds, MaxRSSBytes: s.maxRSS,
		RowsPerCPUSecond: float64(rows) / s.cpuSeconds, WaitedShare: s.waited,
	}
	if s.mallocs >= 0 {
		allocs := s.mallocs / float64(rows)
		r.AllocsPerRow = &allocs
	}
	return r
}

// against returns the result compared with a peer's.
func (r result) against(peer result, name string, want float64) result {
	ratio := r.RowsPerCPUSecond / peer.RowsPerCPUSecond
	r.Peer, r.Ratio, r.Want = name, &ratio, want
	return r
}

type benchCase struct {
	name string
	run  func(ctx context.Context, b *bench, name string) ([]result, error)
}

const (
	libraryPath = "library path"
	yardstick   = "yardstick"
)

// Least ratios of rows a CPU second that are good enough.
const (
	wantLibrary   = 4.5      // clickstream
	wantShape     = 4.0      // every other kind of records
	wantYardstick = 1 / 1.25 // a program without Delta, nulls and nested types
	wantSame      = 1 / 1.15 // two workers, two schema ids
	wantFlat      = 1 / 1.2  // many rows, many commits
)

// allCases lists what is measured, with topics of n records.
func allCases(n int64) []benchCase {
	clicks := topic{Shape: "clickstream", Records: n, Compression: "lz4"}
	with := func(change func(*topic)) topic {
		t := clicks
		change(&t)
		return t
	}
	cases := []benchCase{
		{"clickstream", mainCase(clicks)},
		{"two workers", twoWorkersCase(clicks)},
		{"two schema ids", sameCostCase(siltRun{topic: with(func(t *topic) { t.TwoIDs = true }), workers: 1}, "one schema id", clicks, false)},
		{"four times the rows", flatRowsCase(clicks, with(func(t *topic) { t.Records = 4 * n }))},
		{"2,000 commits", commitsCase(clicks, 2000)},
		{"zstd topic", libraryCase(with(func(t *topic) { t.Compression = "zstd" }), 0)},
		{"uncompressed topic", libraryCase(with(func(t *topic) { t.Compression = "none" }), 0)},
		{"into Azurite", storeCase(clicks, azurite)},
		{"into versitygw", storeCase(clicks, versitygw)},
		{"batches of 10 records", libraryCase(with(func(t *topic) { t.BatchBytes = 2500 }), 0)},
	}
	for _, shape := range []string{"nullable", "nested", "arrays", "maps", "wide", "widemany", "distinct"} {
		t := with(func(t *topic) { t.Shape = shape })
		want := wantShape
		if shape == "distinct" || shape == "widemany" {
			want = 0 // strings of many values are reported only
		}
		if strings.HasPrefix(shape, "wide") {
			t.Records = n / 4 // 600 bytes each
		}
		cases = append(cases, benchCase{shape, libraryCase(t, want)})
	}
	return append(cases,
		benchCase{"latency, default trigger", latencyCase(map[string]any{})},
		benchCase{"latency, 50 milliseconds", latencyCase(map[string]any{"processingTime": "50 milliseconds"})},
	)
}

// inTurn runs programs in turn, so that a change of the machine's speed meets them all, and returns the median of each.
func (b *bench) inTurn(programs ...func() (sample, error)) ([]sample, error) {
	all := make([][]sample, len(programs))
	for range b.rounds {
		for i, program := range programs {
			s, err := program()
			if err != nil {
				return nil, err
			}
			all[i] = append(all[i], s)
		}
	}
	medians := make([]sample, len(programs))
	for i, samples := range all {
		medians[i] = median(samples)
	}
	return medians, nil
}

// mainCase compares one core's work with the library path's and the yardstick's.
func mainCase(t topic) func(context.Context, *bench, string) ([]result, error) {
	return func(ctx context.Context, b *bench, name string) ([]result, error) {
		if err := b.fill(ctx, t); err != nil {
			return nil, err
		}
		programs := []func() (sample, error){
			func() (sample, error) { return b.runSilt(ctx, siltRun{topic: t, cpus: b.siltCPU, workers: 1}) },
			func() (sample, error) { return b.runLibpath(ctx, b.siltCPU, t) },
		}
		if b.yardstick != "" {
			programs = append(programs, func() (sample, error) { return b.runYardstick(ctx, b.siltCPU, t) })
		}
		medians, err := b.inTurn(programs...)
		if err != nil {
			return nil, err
		}
		silt, library := medians[0].result(name, t.Records), medians[1].result(name+": "+libraryPath, t.Records)
		results := []result{silt.against(library, libraryPath, wantLibrary), library}
		if b.yardstick == "" {
			silt.Peer, silt.Want, silt.Note = yardstick, wantYardstick, "not run: $SILT_YARDSTICK names no program"
			return append(results, silt), nil
		}
		study := medians[2].result(name+": "+yardstick, t.Records)
		return append(results, silt.against(study, yardstick, wantYardstick), study), nil
	}
}

// libraryCase compares one core's work with the library path's.
func libraryCase(t topic, want float64) func(context.Context, *bench, string) ([]result, error) {
	return func(ctx context.Context, b *bench, name string) ([]result, error) {
		if err := b.fill(ctx, t); err != nil {
			return nil, err
		}
		medians, err := b.inTurn(
			func() (sample, error) { return b.runSilt(ctx, siltRun{topic: t, cpus: b.siltCPU, workers: 1}) },
			func() (sample, error) { return b.runLibpath(ctx, b.siltCPU, t) },
		)
		if err != nil {
			return nil, err
		}
		library := medians[1].result(name+": "+libraryPath, t.Records)
		return []result{medians[0].result(name, t.Records).against(library, libraryPath, want), library}, nil
	}
}

// sameCostCase compares r with one worker on one core that reads base. everywhere: r runs on the broker's core too.
func sameCostCase(r siltRun, peer string, base topic, everywhere bool) func(context.Context, *bench, string) ([]result, error) {
	return func(ctx context.Context, b *bench, name string) ([]result, error) {
		for _, t := range []topic{base, r.topic} {
			if err := b.fill(ctx, t); err != nil {
				return nil, err
			}
		}
		r.cpus = b.siltCPU
		if everywhere {
			r.cpus = b.siltCPU + "," + b.brokerCPU
		}
		medians, err := b.inTurn(
			func() (sample, error) { return b.runSilt(ctx, r) },
			func() (sample, error) { return b.runSilt(ctx, siltRun{topic: base, cpus: b.siltCPU, workers: 1}) },
		)
		if err != nil {
			return nil, err
		}
		one := medians[1].result(name+": "+peer, base.Records)
		return []result{medians[0].result(name, r.topic.Records).against(one, peer, wantSame), one}, nil
	}
}

// mostWaited is the largest share of the time that a worker may wait for chunks while there are some to come.
const mostWaited = 0.2

// twoWorkersCase compares the cost of two workers with that of one, and tells how long each of the two waited for chunks.
func twoWorkersCase(t topic) func(context.Context, *bench, string) ([]result, error) {
	same := sameCostCase(siltRun{topic: t, workers: 2}, "one worker", t, true)
	return func(ctx context.Context, b *bench, name string) ([]result, error) {
		results, err := same(ctx, b, name)
		if err != nil {
			return nil, err
		}
		var shares []string
		for _, share := range results[0].WaitedShare {
			shares = append(shares, fmt.Sprintf("%.2f %%", 100*share))
		}
		results[0].Note = fmt.Sprintf("between the first and the last chunk the workers waited %s of the time for one; want at most %.0f %%",
			strings.Join(shares, " and "), 100*mostWaited)
		return results, nil
	}
}

func flatRowsCase(base, more topic) func(context.Context, *bench, string) ([]result, error) {
	same := sameCostCase(siltRun{topic: more, workers: 1}, strconv.FormatInt(base.Records, 10)+" rows", base, false)
	return func(ctx context.Context, b *bench, name string) ([]result, error) {
		results, err := same(ctx, b, name)
		if err == nil {
			results[0].Want = wantFlat
		}
		return results, err
	}
}

// commitsCase compares the time of the last tenth of many batches with that of the first.
func commitsCase(t topic, commits int64) func(context.Context, *bench, string) ([]result, error) {
	return func(ctx context.Context, b *bench, name string) ([]result, error) {
		if err := b.fill(ctx, t); err != nil {
			return nil, err
		}
		r := siltRun{topic: t, cpus: b.siltCPU, workers: 1, kafka: map[string]any{"maxOffsetsPerTrigger": max(1, t.Records/commits)}}
		s, err := b.runSilt(ctx, r)
		if err != nil {
			return nil, err
		}
		times, err := triggerTimes(s.stdout)
		if err != nil {
			return nil, err
		}
		tenth := len(times) / 10
		if tenth == 0 {
			return nil, fmt.Errorf("%d batches are too few to compare", len(times))
		}
		first, last := mean(times[:tenth]), mean(times[len(times)-tenth:])
		res := s.result(name, t.Records)
		ratio := first / last
		res.Peer, res.Ratio, res.Want = "a batch of the first 10 %", &ratio, wantFlat
		res.Note = fmt.Sprintf("%d batches: %.1f ms each in the first tenth, %.1f ms in the last; %.2f ms of CPU each over all", len(times),
			1000*first, 1000*last, 1000*s.cpuSeconds/float64(len(times)))
		return []result{res}, nil
	}
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// latencyFor is how long records arrive in a latency case.
const latencyFor = 30 * time.Second

func printTable(w io.Writer, results []result) error {
	const line = "%-40s %10s %8s %8s %12s %12s %7s %11s  %-24s %8s %8s\n"
	var b strings.Builder
	fmt.Fprintf(&b, line, "case", "rows", "s", "CPU s", "CPU s/M rows", "M rows/CPU s", "RSS MB", "allocs/row", "peer", "ratio", "want")
	for _, r := range results {
		allocs, ratio, want := "-", "-", "-"
		if r.AllocsPerRow != nil {
			allocs = fmt.Sprintf("%.4f", *r.AllocsPerRow)
		}
		if r.Ratio != nil {
			ratio = fmt.Sprintf("%.2f", *r.Ratio)
		} else if r.Peer != "" {
			ratio = "not run"
		}
		if r.Want > 0 {
			want = fmt.Sprintf(">= %.2f", r.Want)
		}
		fmt.Fprintf(&b, line, r.Case, strconv.FormatInt(r.Rows, 10), fmt.Sprintf("%.2f", r.Seconds), fmt.Sprintf("%.2f", r.CPUSeconds),
			fmt.Sprintf("%.3f", 1e6/r.RowsPerCPUSecond), fmt.Sprintf("%.2f", r.RowsPerCPUSecond/1e6), fmt.Sprintf("%.0f", float64(r.MaxRSSBytes)/1e6),
			allocs, r.Peer, ratio, want)
	}
	for _, r := range results {
		if r.Note != "" {
			fmt.Fprintf(&b, "%s: %s\n", r.Case, r.Note)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
