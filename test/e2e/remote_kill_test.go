//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestKillsLoseNothingInObjectStores kills silt at random moments and at chosen lines of its trace, while table and checkpoint are in an
// object store.
func TestKillsLoseNothingInObjectStores(t *testing.T) {
	n := theCounts()
	onEveryEmulator(t, func(t *testing.T, e *emulator) {
		f := newFixture(t, release)
		needReaders(t)
		f.moveTo(e, e.url, f.topic)
		f.set(pipeline{"processingTime": "200 milliseconds"}, "trigger")
		k := newKiller(t, f)
		produced := f.produceOn(n.remoteRate)
		for i := 1; i <= n.remoteKills && !t.Failed(); i++ {
			k.round(i)
			if i%5 == 0 {
				f.checkSoFar()
				f.verify("-c", f.file())
			}
		}
		report := produced()
		f.runOnce()
		f.checkComplete()
		tell(t, fmt.Sprintf("%d kills while %d records arrived; table version %d\n%s", n.remoteKills, report.Records, f.count().Version, k.summary()))
	})
}

// TestOfTwoRunsInAnObjectStoreOneWins starts two runs of one query at once, again and again: one exits 4, the other goes on.
func TestOfTwoRunsInAnObjectStoreOneWins(t *testing.T) {
	n := theCounts()
	onEveryEmulator(t, func(t *testing.T, e *emulator) {
		f := newFixture(t, release)
		f.set(pipeline{"processingTime": "100 milliseconds"}, "trigger")
		f.set(500, "source", "kafka", "maxOffsetsPerTrigger")
		produced := f.produceOn(1_000)
		defer produced()
		for i := 1; i <= n.pairs && !t.Failed(); i++ {
			// Each pair begins a table of its own, so that the very first writes are raced for, too.
			f.moveTo(e, e.url, fmt.Sprint(f.topic, "/", i))
			f.race(i)
		}
	})
}

// race starts two runs at once and wants one of them to be fenced.
func (f *fixture) race(i int) {
	f.t.Helper()
	file := f.file()
	runs := []*process{f.start(nil, "run", "-c", file), f.start(nil, "run", "-c", file)}
	var loser, winner *process
	select {
	case <-runs[0].ended:
		loser, winner = runs[0], runs[1]
	case <-runs[1].ended:
		loser, winner = runs[1], runs[0]
	case <-time.After(time.Minute):
		f.t.Fatalf("pair %d: two runs of one query went on side by side", i)
	}
	if code := loser.wait(f.t, time.Second); code != 4 {
		f.t.Errorf("pair %d: exit status %d of the loser, want 4:\n%s", i, code, tail(loser.stderr.String(), 20))
	}
	// The winner goes on: it does not end, and it commits.
	before := batchesOf(winner)
	eventually(f.t, time.Minute, fmt.Sprintf("pair %d: two more batches of the winner", i), func() bool {
		return batchesOf(winner) >= before+2 || !winner.running()
	})
	if !winner.running() {
		f.t.Fatalf("pair %d: both ended; the second with status %d:\n%s", i, winner.cmd.ProcessState.ExitCode(), tail(winner.stderr.String(), 20))
	}
	winner.stop(f.t)
	f.checkSoFar()
	f.verify("-c", file)
}

// batchesOf is how many batches a run has told of.
func batchesOf(p *process) int { return strings.Count(p.stderr.String(), "  batch ") }
