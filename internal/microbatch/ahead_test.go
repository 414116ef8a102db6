package microbatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

const commitTime = 5 * time.Second

// slowCommits makes every commit take commitTime; what is returned then is done's to say, which may be nil.
func slowCommits(s *fakeSink, done func(stream.Batch) (before, after error)) {
	s.onCommit = func(ctx context.Context, b stream.Batch) (error, error) {
		if err := sleep(ctx, commitTime); err != nil {
			return err, nil
		}
		if done == nil {
			return nil, nil
		}
		return done(b)
	}
}

// twoBatches is a world with two batches to read: ten offsets and ten.
func twoBatches(t *testing.T) *world {
	w := newWorld(t, bounds([2]int64{0, 20}))
	w.o.MaxOffsetsPerTrigger = 10
	return w
}

func (w *world) has(key string) bool {
	_, err := w.disk.Get(w.t.Context(), key, 1<<20)
	return err == nil
}

// steps are the lines of the trace that begin a step, without those of other batches than n.
func (w *world) steps(n int64) []string {
	var steps []string
	for _, line := range w.trace {
		if step, ok := strings.CutPrefix(line, "begin "); ok && strings.HasSuffix(line, fmt.Sprint(" ", n)) {
			steps = append(steps, step)
		}
	}
	return steps
}

func TestABatchIsWrittenWhileTheOneBeforeCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := twoBatches(t)
		began := time.Now()
		w.ok(func(r *Runner, s *fakeSink) {
			slowCommits(s, nil)
			r.Decoding = &fakeDecoding{before: func(context.Context, *stream.Records) error { time.Sleep(time.Second); return nil }}
		})
		w.exactlyOnce(ofT(0))
		// 10 offsets in chunks of 4, 4 and 2, of at most 3 records: 5 s with one worker, 2 s with three. Then 5 s for a commit, in which the second
		// batch is written, and 5 s for that.
		if took := time.Since(began); took != 12*time.Second {
			t.Errorf("took %v", took)
		}
		first, second := w.progress[0], w.progress[1]
		if w.extra[0].Ahead || !w.extra[1].Ahead || second.Timestamp.Sub(began) != 2*time.Second {
			t.Errorf("the second began after %v: %+v", second.Timestamp.Sub(began), w.extra)
		}
		if first.BatchDuration != 7*time.Second || first.DurationMs[addBatch] != 7000 {
			t.Errorf("the first: %+v", first)
		}
		if second.BatchDuration != 10*time.Second || second.DurationMs[addBatch] != 10_000 || second.DurationMs[triggerExecution] != 10_000 {
			t.Errorf("the second: %+v", second)
		}
		if got, want := w.steps(1), []string{"fetch 1", "plan 1", "commit 1", "commits 1"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// A batch ahead begins when it would begin if the one before were done, and not at all if that is done by then.
func TestWhenABatchAheadBegins(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	tests := []struct {
		name         string
		trigger      Trigger
		work, commit time.Duration // of the first batch
		at           time.Duration // when the second begins
		ahead        bool
	}{
		{"the trigger fires after the commit", Trigger{}, 100 * ms, 300 * ms, s, false},
		{"it fires during the commit", Trigger{}, 500 * ms, 3 * s, s, true},
		{"it has fired before", Trigger{}, 1500 * ms, 3 * s, 1500 * ms, true},
		{"the next tick is after the commit", Trigger{ProcessingTime, 10 * s}, 500 * ms, 3 * s, 10 * s, false},
		{"the next tick is during the commit", Trigger{ProcessingTime, s}, 500 * ms, 3 * s, s, true},
		{"the next tick was before", Trigger{ProcessingTime, s}, 1500 * ms, 3 * s, 1500 * ms, true},
		{"no pause", Trigger{Kind: ProcessingTime}, 500 * ms, 3 * s, 500 * ms, true},
		{"available now", Trigger{Kind: AvailableNow}, 500 * ms, 3 * s, 500 * ms, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, bounds([2]int64{0, 2}))
				w.o.Trigger, w.o.MaxOffsetsPerTrigger = tt.trigger, 1
				began := time.Now() // a multiple of all intervals: the bubble's clock begins at midnight
				w.okFor(time.Minute, func(r *Runner, s *fakeSink) {
					r.Decoding = &fakeDecoding{before: func(ctx context.Context, _ *stream.Records) error { return sleep(ctx, tt.work) }}
					s.onCommit = func(ctx context.Context, _ stream.Batch) (error, error) { return sleep(ctx, tt.commit), nil }
				})
				if at := w.progress[1].Timestamp.Sub(began); at != tt.at || w.extra[1].Ahead != tt.ahead {
					t.Errorf("began at %v, ahead %v, want %v, %v", at, w.extra[1].Ahead, tt.at, tt.ahead)
				}
				w.exactlyOnce(ofT(0))
			})
		})
	}
}

// Where a look ahead finds nothing the query looks again once the batch is done, and AvailableNow does not look past its end.
func TestALookAheadThatFindsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 5}))
		w.o.Trigger = Trigger{}
		began := time.Now()
		go func() {
			time.Sleep(3 * time.Second) // after the look at 1 s
			w.source.grow(0, 5)
		}()
		w.okFor(time.Minute, func(_ *Runner, s *fakeSink) { slowCommits(s, nil) })
		if at := w.progress[1].Timestamp.Sub(began); at != commitTime || w.extra[1].Ahead || w.progress[1].BatchID != 1 {
			t.Errorf("began at %v: %+v", at, w.progress[1])
		}
		w.exactlyOnce(ofT(0))
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 5}))
		w.ok(nil)
		if n := len(w.source.seen); n != 3 { // at the start, for the batch, and at the end
			t.Errorf("%d looks", n)
		}
	})
}

// undone is a log that cannot note what is done.
type undone struct {
	stream.Log
	err error
}

func (l undone) Done(context.Context, int64) error { return l.err }

// Whatever becomes of a batch's commit other than success, nothing of the batch ahead is in checkpoint or table, and its files are given back.
func TestABatchAheadIsGivenUpIfTheOneBeforeFails(t *testing.T) {
	reset := errors.New("connection reset")
	tests := []struct {
		name   string
		commit func(stream.Batch) (before, after error)
		done   error // of commits/0
		landed int
	}{
		{"not committed", func(stream.Batch) (error, error) { return fmt.Errorf("a conflict: %w", stream.ErrNotCommitted), nil }, nil, 0},
		{"another run was faster", func(stream.Batch) (error, error) { return stream.ErrFenced, nil }, nil, 0},
		{"nobody knows, and it was not", func(stream.Batch) (error, error) { return reset, nil }, nil, 0},
		{"nobody knows, and it was", func(stream.Batch) (error, error) { return nil, reset }, nil, 1},
		{"a panic", func(stream.Batch) (error, error) { panic("index out of range") }, nil, 0},
		{"committed, and commits/0 cannot be written", nil, reset, 1},
	}
	for _, tt := range tests {
		for _, work := range []time.Duration{0, time.Minute} { // the batch ahead is ready, or at work, when it is given up
			t.Run(fmt.Sprint(tt.name, ", work of ", work), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := twoBatches(t)
					var sink *fakeSink
					var began time.Time
					err := w.run(func(r *Runner, s *fakeSink) {
						sink = s
						if tt.done != nil {
							r.Log = undone{r.Log, tt.done}
						}
						slowCommits(s, func(b stream.Batch) (error, error) {
							began = time.Now()
							if tt.commit == nil {
								return nil, nil
							}
							return tt.commit(b)
						})
						r.Decoding = &fakeDecoding{before: func(ctx context.Context, r *stream.Records) error {
							if r.Offset[0] < 10 {
								return nil
							}
							return sleep(ctx, work)
						}}
					})
					if err == nil || time.Since(began) != 0 {
						t.Errorf("got %v after %v", err, time.Since(began))
					}
					if w.has("offsets/1") || len(w.table.versions) != tt.landed || w.source.open != 0 {
						t.Errorf("offsets/1 %v, %d versions, %d chunks open", w.has("offsets/1"), len(w.table.versions), w.source.open)
					}
					if sink.begun != 2 || !slices.Equal(w.steps(1), []string{"fetch 1"}) {
						t.Errorf("%d begun, %v", sink.begun, w.steps(1))
					}
					w.ok(nil)
					w.exactlyOnce(ofT(0))
				})
			})
		}
	}
}

// What is wrong with a batch ahead is said when its turn has come, as if it had been begun then.
func TestErrorsOfABatchAheadWaitForTheOneBefore(t *testing.T) {
	gone := &stream.DataLossError{Reason: "partition t-0 begins at offset 14 now", Gaps: []stream.Gap{{TopicPartition: tp(0), From: 10, To: 14}}}
	tests := []struct {
		name    string
		set     func(w *world, r *Runner, s *fakeSink)
		code    problem.Code
		planned bool
	}{
		{"a bad record", func(_ *world, r *Runner, _ *fakeSink) {
			r.Decoding = &fakeDecoding{bad: func(_ stream.TopicPartition, o int64) stream.Reason {
				if o >= 13 {
					return stream.BadPayload
				}
				return ""
			}}
		}, problem.BadRecord, true},
		{"data loss while fetching", func(w *world, _ *Runner, _ *fakeSink) {
			fetches := 0
			w.source.onFetch = func(context.Context) error {
				if fetches++; fetches > 1 {
					return gone
				}
				return nil
			}
		}, problem.DataLoss, true},
		{"data loss while planning", func(w *world, _ *Runner, _ *fakeSink) {
			looks := 0
			w.source.onBounds = func(context.Context) error {
				if looks++; looks == 3 { // the start, batch 0, batch 1
					w.source.retain(0, 14)
				}
				return nil
			}
		}, problem.DataLoss, false},
		{"the table holds the batch", func(_ *world, _ *Runner, s *fakeSink) {
			s.onBegin = func() error {
				if s.begun == 1 {
					return stream.ErrDiverged
				}
				return nil
			}
		}, problem.Diverged, true},
		{"a panic of the source", func(w *world, _ *Runner, _ *fakeSink) {
			fetches := 0
			w.source.onFetch = func(context.Context) error {
				if fetches++; fetches > 1 {
					panic("index out of range")
				}
				return nil
			}
		}, problem.Internal, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := twoBatches(t)
				began := time.Now()
				err := w.run(func(r *Runner, s *fakeSink) {
					slowCommits(s, nil)
					tt.set(w, r, s)
				})
				ps := problem.Of(err)
				if len(ps) != 1 || ps[0].Code != tt.code || time.Since(began) != commitTime {
					t.Errorf("got %v after %v, want %s", err, time.Since(began), tt.code)
				}
				if !w.has("commits/0") || w.has("offsets/1") != tt.planned || len(w.table.versions) != 1 || len(w.progress) != 1 || w.source.open != 0 {
					t.Errorf("commits/0 %v, offsets/1 %v, %d versions, %d told, %d chunks open", w.has("commits/0"), w.has("offsets/1"),
						len(w.table.versions), len(w.progress), w.source.open)
				}
			})
		})
	}
}

// An outage of a batch ahead is waited for as any is: the batch is run again by what the checkpoint says.
func TestAnOutageOfABatchAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := twoBatches(t)
		w.ok(func(_ *Runner, s *fakeSink) {
			slowCommits(s, nil)
			s.onBegin = func() error {
				if s.begun == 1 && time.Now().Second() < 30 {
					return outage()
				}
				return nil
			}
		})
		w.exactlyOnce(ofT(0))
		if x := w.extra[1]; !x.Again || x.Ahead {
			t.Errorf("got %+v", x)
		}
	})
}

func TestStoppingWithABatchAhead(t *testing.T) {
	tests := []struct {
		name     string
		stop     time.Duration // the first batch is committed at 5 s
		work     time.Duration // of the second, from 0 s on
		took     time.Duration
		gaveUp   time.Duration // when the second's work ended, if it did not end by itself
		versions int
		planned  bool // the second
	}{
		{"one that is not planned is given up at once", time.Second, time.Minute, 5 * time.Second, time.Second, 1, false},
		{"even if it is ready", time.Second, 0, 5 * time.Second, 0, 1, false},
		{"one that is planned may commit", 6 * time.Second, 8 * time.Second, 13 * time.Second, 0, 2, true},
		{"within its time", 6 * time.Second, time.Minute, 16 * time.Second, 16 * time.Second, 1, true},
		{"while it commits too", 7 * time.Second, time.Second, 10 * time.Second, 0, 2, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := twoBatches(t)
				began := time.Now()
				var gaveUp time.Duration
				w.okFor(tt.stop, func(r *Runner, s *fakeSink) {
					slowCommits(s, nil)
					r.Decoding = &fakeDecoding{before: func(ctx context.Context, r *stream.Records) error {
						if r.Offset[0] != 10 {
							return nil
						}
						err := sleep(ctx, tt.work)
						if err != nil {
							gaveUp = time.Since(began)
						}
						return err
					}}
				})
				if took := time.Since(began); took != tt.took || gaveUp != tt.gaveUp || len(w.table.versions) != tt.versions ||
					w.has("offsets/1") != tt.planned {
					t.Errorf("took %v, gave up after %v, %d versions, offsets/1 %v", took, gaveUp, len(w.table.versions), w.has("offsets/1"))
				}
				w.ok(nil)
				w.exactlyOnce(ofT(0))
			})
		})
	}
}

// A batch ahead is written anew only where the schema moved under it.
func TestASchemaThatMovesUnderABatchAhead(t *testing.T) {
	tests := []struct {
		name  string
		moves map[int64]bool // by the batch itself
		other int64          // the commit under which somebody else moves it; -1 none
		begun int            // of 5 batches
	}{
		{"none", nil, -1, 5},
		{"batch 2 changes it: 3 is written twice, and 4 is dropped meanwhile and begun again", map[int64]bool{2: true}, -1, 7},
		{"all do: so it is with each of 1, 2 and 3, and 4 is written twice", map[int64]bool{0: true, 1: true, 2: true, 3: true, 4: true}, -1, 12},
		{"under a batch with one ahead: that is dropped and begun again", nil, 1, 7},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, bounds([2]int64{0, 50}))
				w.o.MaxOffsetsPerTrigger = 10
				var sink *fakeSink
				w.ok(func(_ *Runner, s *fakeSink) {
					sink, s.moves = s, tt.moves
					once := true
					slowCommits(s, func(b stream.Batch) (error, error) {
						if b.ID == tt.other && once {
							once = false
							w.table.mu.Lock()
							w.table.fields++
							w.table.mu.Unlock()
						}
						return nil, nil
					})
				})
				w.exactlyOnce(ofT(0))
				if len(w.table.versions) != 5 || sink.begun != tt.begun || sink.aborted != tt.begun-5 {
					t.Errorf("%d versions, %d begun, %d aborted", len(w.table.versions), sink.begun, sink.aborted)
				}
			})
		})
	}
}
