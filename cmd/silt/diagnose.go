package main

import (
	"encoding/json"
	"os"
	"runtime"
	"runtime/pprof"

	"github.com/siltlake/silt/internal/microbatch"
)

// A diagnosis writes what a measurement needs to the files that the environment names: SILT_CPUPROFILE a CPU profile of the run, SILT_STATS
// what it did in all, as JSON.
type diagnosis struct {
	profile *os.File
	file    string // of stats; "": none
	workers []workerStats
}

// stats is the file of SILT_STATS.
type stats struct {
	Mallocs    uint64        `json:"mallocs"`
	TotalAlloc uint64        `json:"totalAlloc"` // bytes
	NumGC      uint32        `json:"numGC"`
	Workers    []workerStats `json:"workers"`
}

// workerStats are one worker's, over all batches that had so many workers.
type workerStats struct {
	ReadingSeconds float64 `json:"readingSeconds"` // from a batch's first chunk to its last one
	WaitedSeconds  float64 `json:"waitedSeconds"`  // for chunks, in that time
}

// diagnose begins what the environment asks for.
func diagnose(env func(string) (string, bool)) (*diagnosis, error) {
	d := &diagnosis{}
	d.file, _ = env("SILT_STATS")
	name, ok := env("SILT_CPUPROFILE")
	if !ok {
		return d, nil
	}
	var err error
	if d.profile, err = os.Create(name); err != nil {
		return nil, err
	}
	return d, pprof.StartCPUProfile(d.profile)
}

// batch counts a batch.
func (d *diagnosis) batch(x microbatch.Extra) {
	for i, waited := range x.Waited {
		if i == len(d.workers) {
			d.workers = append(d.workers, workerStats{})
		}
		d.workers[i].ReadingSeconds += x.Reading.Seconds()
		d.workers[i].WaitedSeconds += waited.Seconds()
	}
}

// end writes what was asked for.
func (d *diagnosis) end() error {
	if d.profile != nil {
		pprof.StopCPUProfile()
		if err := d.profile.Close(); err != nil {
			return err
		}
	}
	if d.file == "" {
		return nil
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	text, err := json.Marshal(stats{Mallocs: m.Mallocs, TotalAlloc: m.TotalAlloc, NumGC: m.NumGC, Workers: d.workers})
	if err != nil {
		return err
	}
	return os.WriteFile(d.file, text, 0o644)
}
