//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/siltlake/silt/test/parts"
)

const (
	flatRate = "50000/s"
	// flatRetention is how many bytes of a partition the topic keeps: little, so that a short run comes to it.
	flatRetention = 8 << 20
	// The broker deletes whole segments of 8 MiB, twice a minute, so that there may be more of a partition: the oldest segment that is kept,
	// the newest, and what half a minute brings.
	flatDisk = topicPartitions * (flatRetention + 3*(8<<20))
	// Checkpoints keep 100 batches of four files, with what is being removed.
	flatCheckpoint = 600
	// What the process may have at any time, far below what a leak of 20 minutes would make of it.
	flatMemory = 512 << 20
	flatOpen   = 400
)

// TestDemoStaysFlat runs the demo at full rate, for ten seconds or $SILT_DEMO_FOR, and watches what its process and its folder need. `make
// soak-demo` runs it for 20 minutes.
func TestDemoStaysFlat(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		parts.Need(t, &parts.Missing{Part: "Linux's /proc", Why: "memory and descriptors of a process are read there"})
	}
	long := 10 * time.Second
	if text := os.Getenv("SILT_DEMO_FOR"); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil {
			t.Fatal("SILT_DEMO_FOR: ", err)
		}
	}
	d := newDemo(t)
	p := d.begin("--rate", flatRate)
	d.ready(p)
	d.keepLittle()
	var samples []sample
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for begun := time.Now(); time.Since(begun) < long; {
		select {
		case <-tick.C:
			samples = append(samples, d.sample(p))
		case <-p.ended:
			t.Fatalf("the demo ended:\n%s", tail(p.stderr.String(), 40))
		}
		if n := len(samples); n%60 == 0 {
			t.Logf("after %d minutes: %v", n/60, samples[n-1])
		}
	}
	p.stop(t)
	stdout, _ := d.run(0, "table", "verify", d.clicks(), "--scan")
	checkFlat(t, samples)
	tell(t, fmt.Sprintf("a demo at %s for %v; in the middle third %v, in the last %v\n%s", flatRate, long,
		medians(samples[len(samples)/3:2*len(samples)/3]), medians(samples[2*len(samples)/3:]), strings.TrimSpace(tail(stdout, 1))))
}

// keepLittle gives the topic a small retention, as a user can.
func (d *demo) keepLittle() {
	d.t.Helper()
	cl, err := kgo.NewClient(d.clientOpts()...)
	if err != nil {
		d.t.Fatal(err)
	}
	defer cl.Close()
	size := strconv.Itoa(flatRetention)
	altered, err := kadm.NewClient(cl).AlterTopicConfigs(d.t.Context(), []kadm.AlterConfig{{Name: "retention.bytes", Value: &size}}, demoTopic)
	if err == nil {
		_, err = altered.On(demoTopic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// A sample is what a demo needs at a moment.
type sample struct {
	memory     int64 // bytes, resident
	open       int64 // descriptors
	disk       int64 // bytes in the broker's folder
	checkpoint int64 // files
}

func (s sample) String() string {
	return fmt.Sprintf("%d MiB resident, %d descriptors, %d MiB of the broker, %d files of the checkpoint", s.memory>>20, s.open, s.disk>>20, s.checkpoint)
}

func (d *demo) sample(p *process) sample {
	d.t.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid))
	open, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		d.t.Fatal(err)
	}
	s := sample{memory: resident(d.t, filepath.Join(proc, "status")), open: int64(len(open))}
	s.disk, _ = d.sizeOf("broker")
	_, s.checkpoint = d.sizeOf("_checkpoints")
	return s
}

// sizeOf counts the bytes and the files below a folder of the demo, which come and go meanwhile.
func (d *demo) sizeOf(name string) (bytes, files int64) {
	d.t.Helper()
	err := filepath.WalkDir(d.path(name), func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			if os.IsNotExist(err) {
				return nil
			}
			return err
		}
		if info, err := e.Info(); err == nil {
			bytes += info.Size()
			files++
		}
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return bytes, files
}

// resident reads VmRSS, which is in KiB.
func resident(t *testing.T, status string) int64 {
	t.Helper()
	f, err := os.Open(status)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) == 3 && fields[0] == "VmRSS:" {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatalf("%s has no VmRSS", status)
	return 0
}

// checkFlat wants every sample below what a demo may need, and the last third no higher than the one before it, in which the retention and
// the removal of old batches are at work if the run is long enough.
func checkFlat(t *testing.T, samples []sample) {
	t.Helper()
	for i, s := range samples {
		if s.memory > flatMemory || s.open > flatOpen || s.disk > flatDisk || s.checkpoint > flatCheckpoint {
			t.Errorf("after %d s: %v", i+1, s)
			break
		}
	}
	if len(samples) < 300 {
		return // it is still growing into what it needs
	}
	before, last := medians(samples[len(samples)/3:2*len(samples)/3]), medians(samples[2*len(samples)/3:])
	if last.memory > before.memory*5/4+8<<20 || last.open > before.open+6 || last.disk > before.disk*5/4 || last.checkpoint > before.checkpoint+50 {
		t.Errorf("in the middle third: %v\nin the last: %v", before, last)
	}
}

// medians are those of each quantity by itself.
func medians(samples []sample) sample {
	return sample{
		median(samples, func(s sample) int64 { return s.memory }), median(samples, func(s sample) int64 { return s.open }),
		median(samples, func(s sample) int64 { return s.disk }), median(samples, func(s sample) int64 { return s.checkpoint }),
	}
}

// median is that of one quantity of samples.
func median[S any](samples []S, quantity func(S) int64) int64 {
	var all []int64
	for _, s := range samples {
		all = append(all, quantity(s))
	}
	slices.Sort(all)
	return all[len(all)/2]
}
