package main

import (
	"encoding/json"
	"os"
	"runtime"
	"runtime/pprof"
)

// diagnose writes what a measurement needs to the files that the environment names: SILT_CPUPROFILE a CPU profile of the run, SILT_MEMSTATS
// what it allocated in all, as JSON. The function that it returns ends the run.
func diagnose(env func(string) (string, bool)) (end func() error, err error) {
	var profile *os.File
	if name, ok := env("SILT_CPUPROFILE"); ok {
		if profile, err = os.Create(name); err != nil {
			return nil, err
		}
		if err := pprof.StartCPUProfile(profile); err != nil {
			return nil, err
		}
	}
	stats, ok := env("SILT_MEMSTATS")
	return func() error {
		if profile != nil {
			pprof.StopCPUProfile()
			if err := profile.Close(); err != nil {
				return err
			}
		}
		if !ok {
			return nil
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		text, err := json.Marshal(map[string]uint64{"mallocs": m.Mallocs, "totalAlloc": m.TotalAlloc, "numGC": uint64(m.NumGC)})
		if err != nil {
			return err
		}
		return os.WriteFile(stats, text, 0o644)
	}, nil
}
