package microbatch

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

func TestGapsAreReportedWhenDataLossIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 9}, [2]int64{0, 9}))
		w.o.FailOnDataLoss, w.source.failOnLoss = false, false
		w.ok(nil)
		w.source.grow(0, 20)
		w.source.retain(0, 15)
		var warned strings.Builder
		w.ok(func(r *Runner, _ *fakeSink) { r.Logger = logTo(&warned) })
		if d := cmp.Diff([]stream.Gap{{TopicPartition: tp(0), From: 9, To: 15}}, w.extra[1].Gaps); d != "" {
			t.Error(d)
		}
		if warned.Len() > 0 {
			t.Errorf("of a gap the source tells: %s", &warned)
		}
		w.exactlyOnce(ofT(0, 0))
	})
}

func TestATopicThatIsTakenOutAndPutBackIsReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 9}))
		w.o.FailOnDataLoss, w.source.failOnLoss = false, false
		set := func(topic string, next int64) {
			w.source.held.First.Set(topic, 0, 0)
			w.source.held.Next.Set(topic, 0, next)
		}
		set("u", 5)
		w.ok(nil)
		delete(w.source.held.Next, "u")
		delete(w.source.held.First, "u")
		set("t", 12)
		w.ok(nil) // its offsets are not in the checkpoint any more
		set("u", 8)
		w.ok(nil)
		if len(w.table.versions) != 3 {
			t.Errorf("%d versions", len(w.table.versions))
		}
		w.exactlyOnce(stream.Offsets{"t": {0: 0}, "u": {0: 0}})
	})
}

// A topic is gone for a batch and comes back as another, which has passed the old one's end. Only its id tells, whatever process looks.
func TestATopicThatComesBackAsAnotherIsReadFromItsBegin(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, bounds([2]int64{0, 9}))
			w.o.FailOnDataLoss, w.source.failOnLoss = false, false
			with := func(next int64) {
				w.source.held.First.Set("u", 0, 0)
				w.source.held.Next.Set("u", 0, next)
				w.source.held.TopicIDs["u"] = "T7"
			}
			steps := []func(){
				func() { with(5) },
				func() {
					w.source.held = stream.Bounds{First: stream.Offsets{}, Next: stream.Offsets{}, TopicIDs: map[string]string{}}
					with(6)
				},
				func() { w.source.held.TopicIDs = map[string]string{"t": "T"}; w.source.remake(20); with(7) },
			}
			if restarts {
				for _, step := range steps {
					step()
					w.ok(nil)
				}
			} else {
				w.o.Trigger = Trigger{}
				looks := 0
				w.source.onBounds = func(context.Context) error {
					if looks%30 == 0 && looks/30 < len(steps) {
						steps[looks/30]()
					}
					looks++
					return nil
				}
				w.okFor(10*time.Second, nil)
			}
			if len(w.table.versions) != 3 || len(w.table.versions[2].rows[tp(0)]) != 20 {
				t.Errorf("restarts %v: got %+v", restarts, w.table.versions)
			}
		})
	}
}

// What the source is told to doubt an end by: at a start the query's position, then the ends that it saw last.
func TestEndsAreDoubtedByWhatWasSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 9}))
		w.o.MaxOffsetsPerTrigger = 7
		w.ok(nil)
		want := []stream.Offsets{nil, ofT(9), ofT(9), ofT(9)}
		if d := cmp.Diff(want, w.source.seen); d != "" {
			t.Error(d)
		}
		w.source.seen = nil
		w.source.grow(0, 1)
		w.ok(nil)
		if d := cmp.Diff([]stream.Offsets{ofT(9), ofT(10), ofT(10)}, w.source.seen); d != "" {
			t.Error(d)
		}
	})
}

func TestAQueryThatStartsAtLatestRemembersWhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 7}))
		w.o.Starting.All = stream.Latest
		w.ok(nil)
		if len(w.table.versions) != 0 {
			t.Fatal("there was nothing to read")
		}
		w.source.grow(0, 3) // while it does not run
		w.ok(nil)
		w.exactlyOnce(ofT(7))
	})
}

func TestATopicMadeAgainIsReadFromItsBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 9}))
		w.ok(nil)
		w.source.held = bounds([2]int64{0, 20})
		w.source.held.TopicIDs = map[string]string{"t": "N"}
		if err := w.run(nil); problem.ExitStatus(err) != problem.ExitDataLoss || !strings.Contains(err.Error(), "made again") {
			t.Fatalf("got %v", err)
		}
		w.o.FailOnDataLoss = false
		w.ok(func(r *Runner, s *fakeSink) { // and the same when that batch has to be run again
			s.onCommit = func(context.Context, stream.Batch) (error, error) { return errors.New("reset"), nil }
			if err := r.Run(t.Context()); err == nil {
				t.Fatal("no error")
			}
			s.onCommit = nil
		})
		last := w.table.versions[1]
		if last.batch.TopicIDs["t"] != "N" || len(last.rows[tp(0)]) != 20 {
			t.Errorf("got %+v", last)
		}
	})
}

func TestNewPartitionsAreReadWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 9}))
		w.o.Trigger = Trigger{}
		go func() {
			time.Sleep(5 * time.Second)
			w.source.grow(1, 6)
			w.source.grow(0, 1)
		}()
		w.okFor(time.Minute, nil)
		w.exactlyOnce(ofT(0, 0))
	})
}
