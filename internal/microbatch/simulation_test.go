package microbatch

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siltlake/silt/internal/checkpoint"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/stream"
)

var (
	simSeeds = flag.Int("sim.seeds", 25, "how many random histories the simulation runs")
	simSeed  = flag.Uint64("sim.seed", 0, "the only history to run, if not 0")
)

// A gate stands before every effect of a process, on checkpoint, table and topic alike, and decides what becomes of it.
type gate struct {
	plan  func(n int) store.Fault
	crash func() // the process dies

	mu   sync.Mutex
	n    int
	dead bool
}

func (g *gate) next() store.Fault {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dead {
		return store.CrashBefore
	}
	g.n++
	f := g.plan(g.n)
	if f == store.CrashBefore || f == store.CrashAfter {
		g.dead = true
		g.crash()
	}
	return f
}

var errDead = errors.New("the process is dead")

// around gives the errors before and after an effect.
func (g *gate) around() (before, after error) {
	switch g.next() {
	case store.FailBefore:
		return outage(), nil
	case store.FailAfter:
		return nil, outage()
	case store.CrashBefore:
		return errDead, nil
	case store.CrashAfter:
		return nil, errDead
	}
	return nil, nil
}

// effect is around an effect that is not ours to undo: a read, or something without a trace.
func (g *gate) effect() error {
	before, after := g.around()
	return errors.Join(before, after)
}

// live runs a process whose effects pass the gate, until it ends by itself, is stopped or dies.
func (w *world) live(ctx context.Context, plan func(n int) store.Fault) (*gate, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g := &gate{plan: plan, crash: cancel}
	r, sink, end := w.process(slowStore{store.NewFaulty(w.disk, func(store.Op) store.Fault { return g.next() }), w.request})
	defer end()
	r.Source = &gatedSource{w.source, g}
	slow := func() error {
		time.Sleep(w.request)
		return g.effect()
	}
	sink.onCommitted, sink.onBegin = slow, slow
	sink.onCommit = func(context.Context, stream.Batch) (before, after error) {
		time.Sleep(w.request)
		return g.around()
	}
	r.Progress, r.Trace = nil, nil
	return g, r.Run(ctx)
}

// gatedSource is a process's view of a fakeSource. Fetching retries inside, so it does not fail: it is slow, or the process dies.
type gatedSource struct {
	*fakeSource
	g *gate
}

func (s *gatedSource) Fetch(ctx context.Context, ranges []stream.Range, out chan<- stream.Chunk) ([]stream.Gap, error) {
	if before, after := s.g.around(); errors.Is(before, errDead) || errors.Is(after, errDead) {
		return nil, errDead
	}
	return s.fakeSource.Fetch(ctx, ranges, out)
}

func (s *gatedSource) Publish(ctx context.Context, end stream.Offsets) {
	if s.g.effect() == nil {
		s.fakeSource.Publish(ctx, end)
	}
}

// at is a plan in which the n-th effect has the fault.
func at(n int, f store.Fault) func(int) store.Fault {
	return func(i int) store.Fault {
		if i == n {
			return f
		}
		return store.NoFault
	}
}

// Each effect of a query's life, in turn, fails or is the last before the process dies, once before and once after it is done. What the
// next process finds is always enough: every offset is in the table exactly once.
func TestEveryEffectMayFailOrBeTheLast(t *testing.T) {
	landed := func(w *world) { // two batches, and a third that was planned only
		w.o.MaxOffsetsPerTrigger = 12
		err := w.run(func(_ *Runner, s *fakeSink) {
			s.onCommit = func(_ context.Context, b stream.Batch) (error, error) {
				if b.ID == 2 {
					return errDead, nil
				}
				return nil, nil
			}
		})
		if !errors.Is(err, errDead) {
			w.t.Fatal(err)
		}
	}
	tear := func(w *world, keys ...string) {
		for _, key := range keys {
			if err := w.disk.Put(w.t.Context(), key, []byte("v1\n{")); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	tests := map[string]func(*world){
		"of a new query":                   func(*world) {},
		"of a query that goes on":          landed,
		"of a batch that is planned again": func(w *world) { landed(w); tear(w, "offsets/2") },
		"of a batch that is rebuilt from the table": func(w *world) {
			landed(w)
			if err := w.disk.Delete(w.t.Context(), "offsets/2"); err != nil {
				w.t.Fatal(err)
			}
			tear(w, "offsets/1", "commits/1")
		},
		"of a batch whose commit is noted": func(w *world) {
			landed(w)
			w.ok(nil)
			tear(w, "commits/2")
		},
	}
	for name, prepare := range tests {
		for _, fault := range []store.Fault{store.CrashBefore, store.CrashAfter, store.FailBefore, store.FailAfter} {
			for of, request := range map[string]time.Duration{"of a fast store": 0, "of a slow store, with a batch ahead": 300 * time.Millisecond} {
				t.Run(name+"/"+fault.String()+"/"+of, func(t *testing.T) {
					for n, more := 1, true; more; n++ {
						synctest.Test(t, func(t *testing.T) { more = faulty(t, prepare, n, fault, request) })
					}
				})
			}
		}
	}
}

// faulty runs a process in which effect n has the fault, and then one without. It returns false if there are fewer effects.
func faulty(t *testing.T, prepare func(*world), n int, fault store.Fault, request time.Duration) bool {
	w := newWorld(t, bounds([2]int64{0, 20}, [2]int64{0, 13}))
	prepare(w)
	w.o.MaxOffsetsPerTrigger, w.request = 12, request
	g, err := w.live(t.Context(), at(n, fault))
	if status := problem.ExitStatus(err); status != problem.ExitOK && status != problem.ExitUnavailable && !errors.Is(err, errDead) {
		t.Errorf("effect %d: %v", n, err) // an outage ends a start, and is waited for later
	}
	if err := w.run(nil); err != nil {
		t.Errorf("effect %d: the next start: %v", n, err)
	}
	if err := w.table.check(w.source, ofT(0, 0)); err != nil {
		t.Errorf("effect %d: %v", n, err)
	}
	if w.source.open != 0 {
		t.Errorf("effect %d: %d chunks were not released", n, w.source.open)
	}
	return g.n >= n
}

// Random histories: processes with random options die, fail, are stopped, and run two at a time, while the topic grows, gets partitions,
// loses records to retention and is made again, and crashes of the machine tear the newest files of the checkpoint. In the end every offset is in the
// table exactly once, or in a gap that it records.
func TestRandomHistories(t *testing.T) {
	if *simSeed != 0 {
		t.Run(fmt.Sprint(*simSeed), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { history(t, *simSeed) }) })
		return
	}
	first := uint64(time.Now().UnixNano())
	for i := range uint64(*simSeeds) {
		seed := first + i
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { history(t, seed) }) })
		if !ok {
			t.Fatalf("reproduce it by: go test ./internal/microbatch -run TestRandomHistories -sim.seed=%d", seed)
		}
	}
}

func history(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t, bounds([2]int64{0, rnd.Int64N(30)}, [2]int64{0, rnd.Int64N(30)}))
	lossy := rnd.IntN(3) > 0
	w.o.FailOnDataLoss, w.source.failOnLoss = !lossy, !lossy
	for p := range int32(4) {
		w.source.holes[tp(p)] = map[int64]bool{}
		for range rnd.IntN(20) {
			w.source.holes[tp(p)][rnd.Int64N(100)] = true
		}
	}
	start := w.source.held.First.Clone()
	for range 3 + rnd.IntN(8) {
		w.change(rnd, lossy)
		w.o.MaxOffsetsPerTrigger = rnd.Int64N(3) * rnd.Int64N(20)
		w.o.Workers, w.source.chunkSize = 1+rnd.IntN(4), 1+rnd.Int64N(9)
		w.request = time.Duration(rnd.IntN(2)*rnd.IntN(500)) * time.Millisecond
		w.o.Trigger = []Trigger{{}, {Kind: AvailableNow}, {ProcessingTime, 3 * time.Second}}[rnd.IntN(3)]
		processes := 1 + rnd.IntN(2)*rnd.IntN(2)
		if w.isTorn(t) {
			processes = 1 // two starts that both remove a torn offsets/N may remove each other's; then checkpoint and table diverge, and say so
		}
		w.generation(t, rnd, processes)
		w.tear(t, rnd)
	}
	w.o.Trigger = Trigger{Kind: AvailableNow}
	if err := w.run(nil); err != nil {
		t.Fatalf("the last start: %v", err)
	}
	if err := w.table.check(w.source, start); err != nil {
		t.Fatal(err)
	}
	if w.source.open != 0 {
		t.Errorf("%d chunks were not released", w.source.open)
	}
}

// generation runs processes at once under random faults for a random time. What it returns must be an error that there is a
// reason for.
func (w *world) generation(t *testing.T, rnd *rand.Rand, processes int) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rnd.IntN(40_000))*time.Millisecond)
	defer cancel()
	var group sync.WaitGroup
	var growth sync.WaitGroup
	for range processes {
		own := rand.New(rand.NewPCG(rnd.Uint64(), 2)) // a process's own, so that its faults do not depend on the other's pace
		often := 5 + own.IntN(60)
		group.Go(func() {
			_, err := w.live(ctx, func(int) store.Fault {
				if own.IntN(often) == 0 {
					return store.Fault(1 + own.IntN(4))
				}
				return store.NoFault
			})
			switch problem.ExitStatus(err) {
			case problem.ExitOK, problem.ExitUnavailable, problem.ExitFenced:
			default:
				if problem.ExitStatus(err) == problem.ExitDataLoss && !w.o.FailOnDataLoss && w.o.Trigger.Kind == AvailableNow {
					return // what it was to read was deleted meanwhile
				}
				if !errors.Is(err, errDead) {
					t.Errorf("%v", err)
				}
			}
		})
	}
	grows, pace := rnd.IntN(10), time.Duration(1+rnd.IntN(4000))*time.Millisecond
	growth.Go(func() {
		for range grows {
			if sleep(ctx, pace) != nil {
				return
			}
			w.source.grow(int32(rnd.IntN(2)), rnd.Int64N(15))
			if !w.o.FailOnDataLoss && rnd.IntN(12) == 0 {
				w.remake(rnd)
			}
		}
	})
	group.Wait()
	cancel()
	growth.Wait()
}

// change is what happens to the topic while nobody reads.
func (w *world) change(rnd *rand.Rand, lossy bool) {
	w.source.grow(int32(rnd.IntN(len(w.source.held.Next["t"]))), rnd.Int64N(20))
	if n := len(w.source.held.Next["t"]); n < 4 && rnd.IntN(3) == 0 {
		w.source.grow(int32(n), rnd.Int64N(10))
	}
	if lossy && rnd.IntN(5) == 0 {
		w.remake(rnd)
	}
	if lossy && w.isRead() && rnd.IntN(3) == 0 { // the query began at offset 0
		p := int32(rnd.IntN(len(w.source.held.Next["t"])))
		first, next := w.source.held.First["t"][p], w.source.held.Next["t"][p]
		w.source.retain(p, first+rnd.Int64N(next-first+1))
	}
}

// remake makes the topic again, with as many partitions as it had, fewer or more. Not before the first commit: until then nothing says of
// which topic a pending batch is (docs/recovery.md).
func (w *world) remake(rnd *rand.Rand) {
	if w.table.isEmpty() {
		return
	}
	next := make([]int64, 1+rnd.IntN(3))
	for i := range next {
		next[i] = rnd.Int64N(60)
	}
	w.source.remake(next...)
}

// isRead says whether the table has a batch of the topic that is there now.
func (w *world) isRead() bool {
	return slices.ContainsFunc(w.table.versions, func(v fakeVersion) bool {
		return v.batch.TopicIDs["t"] == w.source.held.TopicIDs["t"]
	})
}

// tear leaves half of the newest files, as a crash of the machine may that lies about what is on its disk.
func (w *world) tear(t *testing.T, rnd *rand.Rand) {
	if rnd.IntN(3) > 0 {
		return
	}
	newest := func(dir string) int64 {
		n := int64(-1)
		for info, err := range w.disk.List(t.Context(), dir, "") {
			if err != nil {
				t.Fatal(err)
			}
			var id int64
			if _, err := fmt.Sscan(strings.TrimPrefix(info.Key, dir), &id); err == nil {
				n = max(n, id)
			}
		}
		return n
	}
	l, c := newest("offsets/"), newest("commits/")
	half := func(key string) {
		data, err := w.disk.Get(t.Context(), key, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.disk.Put(t.Context(), key, slices.Clone(data[:rnd.IntN(len(data)+1)])); err != nil {
			t.Fatal(err)
		}
	}
	if l >= 0 && rnd.IntN(2) == 0 {
		half(fmt.Sprint("offsets/", l))
	}
	if c == l && c >= 0 && rnd.IntN(2) == 0 { // an older one was on disk before offsets/L was begun
		half(fmt.Sprint("commits/", c))
	}
}

func (w *world) isTorn(t *testing.T) bool {
	log := checkpoint.New(w.disk, checkpoint.Options{CRC: true})
	defer func() { _ = log.Close() }()
	state, err := log.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return state.Unreadable != nil
}
