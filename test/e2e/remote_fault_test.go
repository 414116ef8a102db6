//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siltlake/silt"
	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/test/faultproxy"
	"github.com/siltlake/silt/test/load"
	"github.com/siltlake/silt/test/parts"
)

// ambiguousBatches is how many batches a run of TestEveryRequestMayLoseItsAnswer has.
const ambiguousBatches = 3

// TestEveryRequestMayLoseItsAnswer counts the requests of a run of a few batches, and then lets the run happen once for each of them: the
// store applies that request, and its answer is lost. Each batch must be one version, and each record one row.
func TestEveryRequestMayLoseItsAnswer(t *testing.T) {
	onEveryEmulator(t, func(t *testing.T, e *emulator) {
		f := newFixture(t, release)
		// 50 records a partition, of which a batch takes 20, 20 and 10
		f.produce(t.Context(), load.Options{Records: 50 * topicPartitions, Run: 50})
		f.set(20*topicPartitions, "source", "kafka", "maxOffsetsPerTrigger")
		a := &ambiguity{f: f, e: e, ends: f.ends()}
		calm := a.run(0)
		if t.Failed() {
			t.Fatal("without a fault")
		}
		// Others' requests may come before or after each other, so a run can have a few more than another.
		var cut sync.Map
		var group sync.WaitGroup
		slots := make(chan struct{}, 4) // they wait more than they work
		for n := 1; n <= len(calm)+2; n++ {
			slots <- struct{}{}
			group.Go(func() {
				defer func() { <-slots }()
				if records := a.run(n); len(records) >= n {
					cut.Store(kindOfRequest(records[n-1].Request), true)
				}
			})
		}
		group.Wait()
		// What a run does, the runs with faults have cut. One that comes beside others has a number of its own in each run: it may have
		// slipped through, and is cut by what it is.
		for _, r := range calm {
			kind := kindOfRequest(r.Request)
			if _, ok := cut.LoadOrStore(kind, true); ok {
				continue
			}
			records := a.runUnder("kind of request "+strconv.Itoa(r.N), firstOf(kind))
			if !slices.ContainsFunc(records, func(r faultproxy.Record) bool { return r.Fault.Kind == faultproxy.Cut }) {
				t.Errorf("never cut: %s", kind)
			}
		}
		tell(t, fmt.Sprintf("%d runs of %d batches, each with another request applied and its answer lost", len(calm)+2, ambiguousBatches))
	})
}

// An ambiguity runs one query again and again, each time into a folder of its own. Its runs may go on at the same time.
type ambiguity struct {
	f    *fixture
	e    *emulator
	ends map[int32]int64

	mu sync.Mutex // of f, whose pipeline changes from run to run
}

// firstOf cuts the answer to the first request of a kind.
func firstOf(kind string) faultproxy.Plan {
	var once sync.Once
	return func(r faultproxy.Request) (fault faultproxy.Fault) {
		if kindOfRequest(r) == kind {
			once.Do(func() { fault.Kind = faultproxy.Cut })
		}
		return fault
	}
}

// run runs the query with the answer to request n lost, 0 being none, checks the table, and returns the requests of the run.
func (a *ambiguity) run(n int) []faultproxy.Record {
	return a.runUnder(strconv.Itoa(n), faultproxy.Nth(n, faultproxy.Fault{Kind: faultproxy.Cut}))
}

// runUnder is run with what a plan says; name is that of the run's folder.
func (a *ambiguity) runUnder(name string, plan faultproxy.Plan) []faultproxy.Record {
	t := a.f.t
	proxy, err := faultproxy.Start(a.e.url)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer proxy.Close()
	proxy.Plan(plan)
	folder := a.f.topic + "/" + strings.ReplaceAll(name, " ", "-")
	p, err := a.pipeline(folder, proxy.URL)
	if err != nil {
		t.Error(err)
		return nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var log output
	// One worker: requests come in one order, nearly.
	err = silt.Run(ctx, p, silt.RunOptions{Workers: 1, Log: slog.New(slog.NewTextHandler(&log, nil))})
	records := proxy.Records()
	what := "no request"
	if i := slices.IndexFunc(records, func(r faultproxy.Record) bool { return r.Fault.Kind == faultproxy.Cut }); i >= 0 {
		what = fmt.Sprintf("request %d, %v", i+1, records[i])
	}
	if err == nil {
		err = a.check(ctx, p, folder)
	}
	if err == nil {
		err = ctx.Err() // an end of the time is a clean stop
	}
	if err != nil {
		t.Errorf("%s: %v\n%s", what, err, log.String())
	}
	return records
}

// pipeline makes the pipeline file of a run.
func (a *ambiguity) pipeline(folder, url string) (*config.Pipeline, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.f.moveTo(a.e, url, folder)
	return silt.Load(a.f.file(), config.Options{}, silt.ScopeOptions{})
}

// check wants one version for each batch, and each record once, from others and from silt.
func (a *ambiguity) check(ctx context.Context, p *config.Pipeline, folder string) error {
	var got tally
	request := map[string]any{"do": "count", "table": a.e.folder(folder + "/table"), "options": a.e.reader}
	if err := needReaders(a.f.t).ask(request, &got); err != nil {
		return err
	}
	if want := []int64{0, 1, 2}; !slices.Equal(got.Batches, want) || got.Version != ambiguousBatches-1 {
		return fmt.Errorf("batches %v in version %d, want %v", got.Batches, got.Version, want)
	}
	for partition, end := range a.ends {
		c := got.Partitions[a.f.topic+"/"+strconv.Itoa(int(partition))]
		if c.Count != end || c.Distinct != end || c.Min != 0 || c.Max != end-1 {
			return fmt.Errorf("partition %d: %+v, want %d records", partition, c, end)
		}
	}
	r, err := silt.Verify(ctx, p.Table, silt.VerifyOptions{TableOptions: silt.TableOptions{Pipeline: p}, Scan: true})
	if err != nil {
		return err
	}
	if err := r.Err(); err != nil || r.Missing+r.Duplicate != 0 {
		return fmt.Errorf("missing %d, duplicate %d: %w", r.Missing, r.Duplicate, err)
	}
	return nil
}

// ends are the offsets at which the topic's partitions end.
func (f *fixture) ends() map[int32]int64 {
	f.t.Helper()
	ends, err := f.kafka.Offsets(f.t.Context(), f.topic)
	if err != nil {
		f.t.Fatal(err)
	}
	return ends
}

// random matches what differs from run to run in a request's path: ids, numbers and what a query carries.
var random = regexp.MustCompile(`[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[A-Za-z0-9+/%_-]{24,}={0,2}|\d+`)

// kindOfRequest is a request without what differs from run to run.
func kindOfRequest(r faultproxy.Request) string {
	path, query, _ := strings.Cut(r.Path, "?")
	for _, folder := range []string{"/table/", "/checkpoint/"} {
		if i := strings.LastIndex(path, folder); i >= 0 {
			path = path[i:]
		}
	}
	var names []string
	for _, pair := range strings.Split(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name == "comp" || name == "uploadType" || name == "alt" {
			name += "=" + value
		}
		names = append(names, name)
	}
	return r.Method + " " + random.ReplaceAllString(path, "N") + "?" + strings.Join(names, "&")
}

// TestStormsArePassed lets records arrive while the store refuses, resets, cuts, slows and stalls: silt goes on by itself, needs no more
// memory or threads than before, and loses nothing.
func TestStormsArePassed(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		parts.Need(t, &parts.Missing{Part: "Linux's /proc", Why: "memory and threads of a process are read there"})
	}
	n := theCounts()
	onEveryEmulator(t, func(t *testing.T, e *emulator) {
		f := newFixture(t, release)
		needReaders(t)
		proxy := proxied(t, e)
		f.moveTo(e, proxy.URL, f.topic)
		f.set(pipeline{"processingTime": "200 milliseconds"}, "trigger")
		produced := f.produceOn(n.remoteRate)
		p := f.start(nil, "run", "-c", f.file())
		eventually(t, time.Minute, "three batches before the storm", func() bool { return batchesOf(p) >= 3 })

		seed := uint64(time.Now().UnixNano())
		t.Logf("seed of the storm: %d", seed)
		proxy.Plan(faultproxy.Storm(seed, 0.4, faultproxy.Weather()))
		before := batchesOf(p)
		samples := watch(t, p, n.storm)
		during := batchesOf(p) - before
		proxy.Plan(nil)

		calm := batchesOf(p)
		eventually(t, 90*time.Second, "five batches after the storm", func() bool { return batchesOf(p) >= calm+5 })
		report := produced()
		p.stop(t)
		f.runOnce()
		f.checkComplete()
		checkCalm(t, samples)
		faults := map[string]int{}
		for _, r := range proxy.Records() {
			faults[r.Fault.Kind.String()]++
		}
		tell(t, fmt.Sprintf("a storm of %v while %d records arrived: %d batches in it, %v\nrequests by what happened to them:\n%s", n.storm,
			report.Records, during, peaks(samples), strings.Join(table(faults), "\n")))
	})
}

// A vital is what a process needs at a moment.
type vital struct {
	memory  int64 // bytes, resident
	threads int64
	open    int64 // descriptors
}

// watch samples a process every second.
func watch(t *testing.T, p *process, long time.Duration) []vital {
	t.Helper()
	var samples []vital
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for begun := time.Now(); time.Since(begun) < long; {
		select {
		case <-tick.C:
			proc := filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid))
			open, err := os.ReadDir(filepath.Join(proc, "fd"))
			if err != nil {
				t.Fatal(err)
			}
			threads, err := os.ReadDir(filepath.Join(proc, "task"))
			if err != nil {
				t.Fatal(err)
			}
			samples = append(samples, vital{resident(t, filepath.Join(proc, "status")), int64(len(threads)), int64(len(open))})
		case <-p.ended:
			t.Fatalf("silt ended in the storm:\n%s", tail(p.stderr.String(), 40))
		}
	}
	return samples
}

// What silt may need at any time of a storm: its memory budget and what the program itself takes, and no more threads and descriptors than
// a store's requests in flight explain.
const (
	stormMemory  = 384 << 20
	stormThreads = 40
	stormOpen    = 120
)

// checkCalm wants every sample below those, and in a storm that is long enough the last third to need no more than the one before it. Their
// medians are compared: how high a peak is depends on how much had gathered while nothing could be written.
func checkCalm(t *testing.T, samples []vital) {
	t.Helper()
	if p := peaks(samples); p.memory > stormMemory || p.threads > stormThreads || p.open > stormOpen {
		t.Errorf("in the storm silt needed %v", p)
	}
	if len(samples) < 200 {
		return
	}
	before, last := middling(samples[len(samples)/3:2*len(samples)/3]), middling(samples[2*len(samples)/3:])
	t.Logf("medians: in the middle third of the storm %v, in the last %v", before, last)
	if last.memory > before.memory*5/4+16<<20 || last.threads > before.threads+4 || last.open > before.open+20 {
		t.Errorf("in the middle third of the storm %v, in the last %v", before, last)
	}
}

// middling are the medians of each quantity by itself.
func middling(samples []vital) vital {
	return vital{median(samples, func(v vital) int64 { return v.memory }), median(samples, func(v vital) int64 { return v.threads }),
		median(samples, func(v vital) int64 { return v.open })}
}

// peaks are the highest of each quantity by itself.
func peaks(samples []vital) (p vital) {
	for _, s := range samples {
		p = vital{max(p.memory, s.memory), max(p.threads, s.threads), max(p.open, s.open)}
	}
	return p
}

func (v vital) String() string {
	return fmt.Sprintf("%d MiB resident, %d threads, %d descriptors", v.memory>>20, v.threads, v.open)
}
