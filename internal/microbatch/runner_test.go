package microbatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/stream"
)

func TestAvailableNowReadsWhatIsThereAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 50}, [2]int64{0, 50}))
		w.o.MaxOffsetsPerTrigger = 40
		w.source.holes[tp(0)] = map[int64]bool{3: true, 49: true}
		w.ok(func(r *Runner, _ *fakeSink) {
			r.Progress = func(p Progress, x Extra) { // the topic grows meanwhile
				w.progress, w.extra = append(w.progress, p), append(w.extra, x)
				w.source.grow(0, 5)
			}
		})
		if len(w.table.versions) != 3 {
			t.Errorf("%d batches", len(w.table.versions))
		}
		if rows := w.table.all(); len(rows[tp(0)]) != 48 || len(rows[tp(1)]) != 50 {
			t.Errorf("got %v", rows)
		}
		if !w.source.published.Equal(ofT(50, 50)) {
			t.Errorf("published %v", w.source.published)
		}
		last, x := w.progress[2], w.extra[2]
		if last.BatchID != 2 || !last.Start.Equal(ofT(40, 40)) || !last.End.Equal(ofT(50, 50)) || last.NumInputRows != 19 ||
			x.Version != 2 || x.Rows != 19 || x.Lag != 5 && x.Lag != 10 { // it may have looked before the batch before was told of
			t.Errorf("got %+v %+v", last, x)
		}
		if w.progress[0].Start != nil || w.progress[0].InputRowsPerSecond != 0 {
			t.Errorf("the first batch: %+v", w.progress[0])
		}
		w.ok(nil) // the next start takes the rest
		w.exactlyOnce(ofT(0, 0))
	})
}

func TestTheOrderOfEffects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 5}))
		w.ok(nil)
		want := []string{"begin plan 0", "end plan 0", "begin fetch 0", "end fetch 0", "begin commit 0", "end commit 0",
			"begin commits 0", "end commits 0"}
		if d := cmp.Diff(want, w.trace); d != "" {
			t.Error(d)
		}
		var keys []string
		for k := range w.progress[0].DurationMs {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		phases := []string{"addBatch", "commitOffsets", "getBatch", "latestOffset", "queryPlanning", "triggerExecution", "walCommit"}
		if d := cmp.Diff(phases, keys); d != "" {
			t.Error(d)
		}
	})
}

func TestWithoutATriggerThereIsAtMostOneBatchASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 0}))
		w.o.Trigger = Trigger{}
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		go func() {
			time.Sleep(2355 * time.Millisecond) // nothing before: the first look that finds something starts a batch
			for range 300 {
				w.source.grow(0, 1)
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(30 * time.Second)
			cancel()
		}()
		w.okUnder(ctx, nil)
		var batches, idles []time.Duration
		for i, p := range w.progress {
			if w.extra[i].Idle {
				idles = append(idles, p.Timestamp.Sub(began))
				if p.NumInputRows != 0 || !p.End.Equal(p.Latest) {
					t.Errorf("idle: %+v", p)
				}
			} else {
				batches = append(batches, p.Timestamp.Sub(began))
			}
		}
		// 2355 ms: the look at 2400 finds five records; then one batch a second until the 300 are read.
		const ms = time.Millisecond
		if d := cmp.Diff([]time.Duration{2400 * ms, 3400 * ms, 4400 * ms, 5400 * ms}, batches); d != "" {
			t.Error(d)
		}
		// At once, and then ten seconds after the last report at the earliest.
		if d := cmp.Diff([]time.Duration{0, 15400 * ms, 25400 * ms}, idles); d != "" {
			t.Errorf("idle: %s", d)
		}
		if w.progress[1].BatchID != 0 || w.progress[2].InputRowsPerSecond != 100 {
			t.Errorf("got %+v", w.progress[2])
		}
		w.exactlyOnce(ofT(0))
	})
}

func TestProcessingTimeTicksSinceTheEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 1}))
		w.o.Trigger = Trigger{ProcessingTime, 4 * time.Second}
		time.Sleep(time.Until(time.UnixMilli(time.Now().UnixMilli()/4000*4000 + 5000))) // a second after a tick
		began := time.Now().Truncate(time.Millisecond)
		ctx, cancel := context.WithCancel(t.Context())
		r, _, end := w.process(w.disk)
		defer end()
		takes := 0
		r.Decoding = &fakeDecoding{before: func(context.Context, *stream.Records) error {
			if takes++; takes == 2 {
				time.Sleep(9 * time.Second) // longer than two ticks
			}
			w.source.grow(0, 1)
			return nil
		}}
		var warned strings.Builder
		r.Logger = logTo(&warned)
		r.Progress = func(p Progress, _ Extra) {
			if w.progress = append(w.progress, p); len(w.progress) == 4 {
				cancel()
			}
		}
		if err := r.Run(ctx); err != nil {
			t.Fatal(err)
		}
		var at []time.Duration
		for _, p := range w.progress {
			at = append(at, p.Timestamp.Sub(began))
		}
		// At once, at the tick, nine seconds later at once, at the next tick.
		if d := cmp.Diff([]time.Duration{0, 3 * time.Second, 12 * time.Second, 15 * time.Second}, at); d != "" {
			t.Error(d)
		}
		if strings.Count(warned.String(), "longer than the trigger's interval") != 1 {
			t.Error(warned.String())
		}
		if w.progress[2].InputRowsPerSecond != 1.0/9 || w.progress[1].ProcessedRowsPerSecond != 1.0/9 ||
			w.progress[1].BatchDuration != 9*time.Second {
			t.Errorf("got %+v", w.progress[1:3])
		}
	})
}

// stopped runs a query whose batch is told to stop while it decodes, and needs so long.
func stopped(t *testing.T, needs time.Duration) (*world, *fakeSink, time.Duration) {
	w := newWorld(t, bounds([2]int64{0, 5}))
	var sink *fakeSink
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began := time.Now()
	w.okUnder(ctx, func(r *Runner, s *fakeSink) {
		sink, r.Decoding = s, &fakeDecoding{before: func(ctx context.Context, _ *stream.Records) error {
			cancel()
			return sleep(ctx, needs)
		}}
	})
	return w, sink, time.Since(began)
}

func TestAStoppedBatchMayCommitInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink, took := stopped(t, 2*time.Second)
		if len(w.table.versions) != 1 || sink.aborted != 0 || took > 5*time.Second {
			t.Errorf("%d versions, %d aborted, took %v", len(w.table.versions), sink.aborted, took)
		}
		w.exactlyOnce(ofT(0))
		w.o.Trigger = Trigger{Kind: AvailableNow}
		w.progress = nil
		w.ok(nil)
		if len(w.progress) != 0 {
			t.Errorf("commits/0 was not written: %+v", w.progress)
		}
	})
}

func TestAStoppedBatchIsAbandonedAfterItsTimeAndRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink, took := stopped(t, time.Minute)
		if len(w.table.versions) != 0 || sink.aborted != 1 || took != 10*time.Second {
			t.Errorf("%d versions, %d aborted, took %v", len(w.table.versions), sink.aborted, took)
		}
		w.source.grow(0, 5)
		w.ok(nil)
		if x := w.extra[0]; !x.Again || !w.progress[0].End.Equal(ofT(5)) {
			t.Errorf("batch 0 must be run again with its offsets: %+v %+v", w.progress[0], x)
		}
		if b := w.table.versions[0].batch; b.QueryID != w.progress[0].ID {
			t.Errorf("it is of this run: %+v", b)
		}
		for _, k := range []string{latestOffset, walCommit} {
			if _, ok := w.progress[0].DurationMs[k]; ok {
				t.Errorf("a batch that is run again has no %s", k)
			}
		}
		w.exactlyOnce(ofT(0))
	})
}

// What goes wrong in a batch that may no longer commit is said: as an error if somebody has to act, else in the log.
func TestAStopHidesNoError(t *testing.T) {
	tests := []struct {
		name string
		err  error // of the batch, after the time to stop; nil: the context's
		exit int
		log  string
	}{
		{"a bad record", problem.New(problem.BadRecord, "the payload ends"), problem.ExitBadRecord, ""},
		{"a fault without a code", errors.New("no space left on device"), problem.ExitFailed, ""},
		{"an outage", outage(), 0, "503"},
		{"none but the end of the time", nil, 0, "context canceled"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, bounds([2]int64{0, 5}))
			r, _, end := w.process(w.disk)
			defer end()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var log strings.Builder
			r.Logger = logTo(&log)
			r.Decoding = &fakeDecoding{before: func(ctx context.Context, _ *stream.Records) error {
				cancel()
				if err := sleep(ctx, time.Minute); tt.err == nil {
					return err
				}
				return tt.err
			}}
			err := r.Run(ctx)
			if problem.ExitStatus(err) != tt.exit || tt.exit != 0 && !errors.Is(err, tt.err) || !strings.Contains(log.String(), tt.log) {
				t.Errorf("%s: got %v, %s", tt.name, err, &log)
			}
			if tt.exit != 0 && strings.Contains(log.String(), "abandoned") {
				t.Errorf("%s: it is an error, not an abandoned batch: %s", tt.name, &log)
			}
		})
	}
}

func TestStoppingWhileWaitingIsPrompt(t *testing.T) {
	for name, change := range map[string]func(*world, *Runner){
		"for the trigger": func(w *world, r *Runner) { r.Options.Trigger = Trigger{ProcessingTime, time.Hour} },
		"for the brokers": func(w *world, r *Runner) {
			r.Options.Trigger = Trigger{}
			looks := 0
			w.source.onBounds = func(ctx context.Context) error {
				if looks++; looks < 3 {
					return nil
				}
				<-ctx.Done()
				return ctx.Err()
			}
		},
		"for the store": func(w *world, r *Runner) {
			r.Sink.(*fakeSink).onBegin = func() error { return outage() }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, bounds([2]int64{0, 5}))
				began := time.Now()
				w.okFor(90*time.Second, func(r *Runner, _ *fakeSink) { change(w, r) })
				if took := time.Since(began); took != 90*time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func outage() error {
	p := problem.New(problem.StoreFailed, "503")
	p.Retryable = true
	return p
}

func TestAMovedSchemaMakesTheBatchAnew(t *testing.T) {
	for moves, want := range map[int]string{1: "", 3: "", 4: "changed under batch 0"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, bounds([2]int64{0, 9}))
			var sink *fakeSink
			var warned strings.Builder
			w.okFor(500*time.Millisecond, func(r *Runner, s *fakeSink) {
				left := moves
				s.onCommit = func(context.Context, stream.Batch) (error, error) {
					if left > 0 {
						left--
						w.table.fields++ // somebody else's commit
					}
					return nil, nil
				}
				sink, r.Logger = s, logTo(&warned)
			})
			if want == "" {
				w.exactlyOnce(ofT(0))
			} else if len(w.table.versions) != 0 || !strings.Contains(warned.String(), want) {
				t.Errorf("it must wait before it goes on: %d versions, %s", len(w.table.versions), warned.String())
			}
			if sink.begun != min(moves, 3)+1 || sink.aborted != moves {
				t.Errorf("%d moves: %d begun, %d aborted", moves, sink.begun, sink.aborted)
			}
		})
	}
}

func TestACommitWhoseAnswerIsLost(t *testing.T) {
	tests := []struct {
		name          string
		before, after error
		waits         bool // the query goes on by itself
		exit          int
	}{
		{"done, the store will answer again", nil, outage(), true, 0},
		{"not done, the store will answer again", outage(), nil, true, 0},
		{"done, and nobody knows more", nil, errors.New("connection reset"), false, 1},
		{"not done, and nobody knows more", errors.New("connection reset"), nil, false, 1},
		{"refused", fmt.Errorf("a conflict: %w", stream.ErrNotCommitted), nil, false, 1},
		{"another run was faster", stream.ErrFenced, nil, false, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, bounds([2]int64{0, 9}))
				w.o.MaxOffsetsPerTrigger = 3
				err := w.run(func(r *Runner, s *fakeSink) {
					once := true
					s.onCommit = func(_ context.Context, b stream.Batch) (error, error) {
						if b.ID == 1 && once {
							once = false
							return tt.before, tt.after
						}
						return nil, nil
					}
				})
				if (err == nil) != tt.waits || problem.ExitStatus(err) != tt.exit {
					t.Fatalf("got %v", err)
				}
				w.ok(nil)
				w.exactlyOnce(ofT(0))
				if len(w.table.versions) != 3 {
					t.Errorf("%d versions", len(w.table.versions))
				}
			})
		})
	}
}

// A commit without an answer gets into the table after the query has looked there and begun the batch again.
func TestACommitThatArrivesLate(t *testing.T) {
	for _, when := range []string{"before the batch is begun again", "before it is committed again"} {
		t.Run(when, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, bounds([2]int64{0, 9}))
				w.o.MaxOffsetsPerTrigger = 3
				w.ok(func(_ *Runner, s *fakeSink) {
					var mu sync.Mutex // a batch ahead begins while the one before is committed
					var sent *stream.Batch
					arrive := func() {
						if sent != nil {
							s.land(*sent)
							sent = nil
						}
					}
					commits := 0
					s.onBegin = func() error {
						mu.Lock()
						defer mu.Unlock()
						if commits == 2 && when == "before the batch is begun again" {
							arrive()
						}
						return nil
					}
					s.onCommit = func(_ context.Context, b stream.Batch) (error, error) {
						mu.Lock()
						defer mu.Unlock()
						if commits++; commits == 2 {
							sent = &b
							return outage(), nil
						}
						arrive()
						return nil, nil
					}
				})
				w.exactlyOnce(ofT(0))
				if len(w.table.versions) != 3 {
					t.Errorf("%d versions", len(w.table.versions))
				}
			})
		})
	}
}

// A lateLog loses the answer of the first Plan of batch 1. What that wrote gets there when batch 1 is planned again.
type lateLog struct {
	stream.Log
	disk store.Store
	sent []byte
	lost bool
}

func (l *lateLog) Plan(ctx context.Context, b stream.Batch) error {
	const key = "offsets/1"
	if b.ID == 1 && l.sent != nil {
		if _, err := l.disk.PutIfAbsent(ctx, key, l.sent); err != nil {
			return err
		}
		l.sent = nil
	}
	err := l.Log.Plan(ctx, b)
	if b.ID != 1 || l.lost || err != nil {
		return err
	}
	l.lost = true
	if l.sent, err = l.disk.Get(ctx, key, 1<<20); err != nil {
		return err
	}
	return errors.Join(l.disk.Delete(ctx, key), l.disk.Delete(ctx, "offsets/.1.crc"), outage())
}

func TestAPlanThatArrivesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 9}))
		w.o.MaxOffsetsPerTrigger = 3
		w.ok(func(r *Runner, _ *fakeSink) { r.Log = &lateLog{Log: r.Log, disk: w.disk} })
		w.exactlyOnce(ofT(0))
		if len(w.table.versions) != 3 {
			t.Errorf("%d versions", len(w.table.versions))
		}
	})
}

// After a lost answer the query looks once whether what it meets is its own. What it meets again is another run's.
func TestAnotherRunIsToldFromALateAnswerAtTheSecondMeeting(t *testing.T) {
	for name, set := range map[string]func(s *fakeSink, meets func() error){
		"when a batch is begun": func(s *fakeSink, meets func() error) { s.onBegin = meets },
		"when a batch is committed": func(s *fakeSink, meets func() error) {
			s.onCommit = func(context.Context, stream.Batch) (error, error) { return meets(), nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, bounds([2]int64{0, 9}))
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				meetings := 0
				err := w.runUnder(ctx, func(_ *Runner, s *fakeSink) {
					set(s, func() error {
						if meetings++; meetings == 1 {
							return outage()
						}
						return stream.ErrFenced
					})
				})
				if problem.ExitStatus(err) != problem.ExitFenced || meetings != 3 {
					t.Errorf("got %v after %d meetings", err, meetings)
				}
			})
		})
	}
}

func TestOutagesAreErrorsAtTheStartAndWaitedForLater(t *testing.T) {
	at := map[string]func(w *world, s *fakeSink, fail func() error){
		"the table's store": func(w *world, s *fakeSink, fail func() error) { s.onCommitted = fail },
		"the brokers": func(w *world, s *fakeSink, fail func() error) {
			w.source.onBounds = func(ctx context.Context) error {
				if fail() != nil {
					<-ctx.Done() // it tries for ever
				}
				return ctx.Err()
			}
		},
	}
	for name, set := range at {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, bounds([2]int64{0, 9}))
				began := time.Now()
				err := w.run(func(_ *Runner, s *fakeSink) { set(w, s, outage) })
				if problem.ExitStatus(err) != problem.ExitUnavailable || time.Since(began) > 31*time.Second {
					t.Errorf("got %v after %v", err, time.Since(began))
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 9}))
		w.o.MaxOffsetsPerTrigger = 3
		began := time.Now()
		var tries []time.Duration
		var log strings.Builder
		// By turns those that pass by themselves.
		failures := []error{
			outage(), problem.New(problem.PathNotWritable, "the table cannot be written").Because(errors.New("read-only file system")),
			problem.New(problem.StoreDenied, "the credentials lack the right to write"),
			problem.New(problem.StoreTLS, "the store's certificate does not verify"),
		}
		w.ok(func(r *Runner, s *fakeSink) {
			r.Logger = logTo(&log)
			s.onBegin = func() error {
				tries = append(tries, time.Since(began))
				w.table.mu.Lock()
				defer w.table.mu.Unlock()
				if passed := time.Since(began); passed > 0 && passed < 10*time.Minute || len(w.table.versions) == 1 && passed == 0 {
					return failures[len(tries)%len(failures)]
				}
				return nil
			}
		})
		for _, text := range []string{"503", "cannot be written", "read-only file system", "lack the right to write", "certificate"} {
			if !strings.Contains(log.String(), text) {
				t.Errorf("the log does not say %q:\n%s", text, &log)
			}
		}
		if took := time.Since(began); took < 10*time.Minute || took > 11*time.Minute {
			t.Errorf("took %v", took)
		}
		// Batch 0, then batch 1 after 0, 1, 3, 7, 15, 31, 61 seconds and so on.
		if len(tries) < 8 || tries[1] != 0 || tries[2] != time.Second || tries[3] != 3*time.Second || tries[7] != 61*time.Second {
			t.Errorf("tried at %v", tries)
		}
		w.exactlyOnce(ofT(0))
	})
}

func TestErrorsOfTheBatch(t *testing.T) {
	gone := &stream.DataLossError{Reason: "partition t-0 begins at offset 4 now", Gaps: []stream.Gap{{TopicPartition: tp(0), From: 2, To: 4}}}
	tests := []struct {
		name string
		set  func(w *world, r *Runner, s *fakeSink)
		code problem.Code
		text string
	}{
		{"data loss while fetching", func(w *world, _ *Runner, _ *fakeSink) {
			w.source.onFetch = func(context.Context) error { return gone }
		}, problem.DataLoss, "topic t partition 0 offset 2  E2006 partition t-0 begins at offset 4 now"},
		{"data loss while planning", func(w *world, r *Runner, _ *fakeSink) {
			r.Options.Starting = stream.Starting{Each: ofT(0)}
			w.source.retain(0, 4)
		}, problem.DataLoss, "begins at offset 4"},
		{"the table holds the batch", func(_ *world, _ *Runner, s *fakeSink) { s.onBegin = func() error { return stream.ErrDiverged } },
			problem.Diverged, "batch 0"},
		{"a problem of somebody else stays what it is", func(_ *world, _ *Runner, s *fakeSink) {
			s.onBegin = func() error { return problem.New(problem.SchemaMismatch, "a column more") }
		}, problem.SchemaMismatch, "a column more"},
		{"counts that do not add up", func(w *world, r *Runner, _ *fakeSink) { r.Decoding = &forgetful{Decoding: r.Decoding} },
			problem.CountMismatch, "9 records were served, but 8 rows"},
		{"a chunk that got lost", func(w *world, r *Runner, _ *fakeSink) { r.Source = miscount{w.source, 0} },
			problem.CountMismatch, "partition t-0: offset 4 comes next, but 8 to 9 were read"},
		{"a chunk that came twice", func(w *world, r *Runner, _ *fakeSink) { r.Source = miscount{w.source, 2} },
			problem.CountMismatch, "comes next, but 4 to "},
		{"startingOffsets that lack a partition", func(w *world, r *Runner, _ *fakeSink) {
			r.Options.Starting = stream.Starting{Each: stream.Offsets{"u": {0: 1}}}
		}, problem.InvalidValue, "t-0"},
		{"a writer that cannot be opened", func(_ *world, _ *Runner, s *fakeSink) { s.writerErr = errors.New("EMFILE") },
			problem.StoreFailed, "EMFILE"},
		{"a writer that cannot be closed", func(_ *world, _ *Runner, s *fakeSink) { s.closeErr = errors.New("ENOSPC") },
			problem.StoreFailed, "ENOSPC"},
		{"a table in use", func(_ *world, _ *Runner, s *fakeSink) {
			s.inTable = func(t *stream.InTable) { t.Others = map[string]stream.Offsets{"other": ofT(3)} }
		}, problem.TableInUse, "other"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, bounds([2]int64{0, 9}))
				err := w.run(func(r *Runner, s *fakeSink) { tt.set(w, r, s) })
				ps := problem.Of(err)
				if len(ps) != 1 || ps[0].Code != tt.code || !strings.Contains(ps[0].Error(), tt.text) {
					t.Errorf("got %v, want %s with %q", err, tt.code, tt.text)
				}
				if len(w.table.versions) != 0 || w.source.open != 0 {
					t.Errorf("%d versions, %d chunks open", len(w.table.versions), w.source.open)
				}
			})
		})
	}
}

func TestTornOffsetsAreRebuiltFromTheTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 9}))
		w.o.MaxOffsetsPerTrigger = 5
		w.ok(nil)
		for _, key := range []string{"offsets/1", "commits/1"} { // the machine crashed
			if err := w.disk.Put(t.Context(), key, nil); err != nil {
				t.Fatal(err)
			}
		}
		w.source.grow(0, 3)
		w.trace = nil
		w.ok(nil)
		w.exactlyOnce(ofT(0))
		if d := cmp.Diff([]string{"begin plan 1", "end plan 1", "begin commits 1", "end commits 1", "begin plan 2"}, w.trace[:5]); d != "" {
			t.Error(d)
		}
		data, err := w.disk.Get(t.Context(), "offsets/1", 1<<20)
		if err != nil || !strings.HasSuffix(string(data), `{"t":{"0":9}}`) {
			t.Errorf("got %q %v", data, err)
		}
	})
}

func TestTornOffsetsOfABatchThatDidNotLandArePlannedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 9}))
		err := w.run(func(_ *Runner, s *fakeSink) {
			s.onCommit = func(context.Context, stream.Batch) (error, error) { return errors.New("reset"), nil }
		})
		if err == nil {
			t.Fatal("no error")
		}
		if err := w.disk.Put(t.Context(), "offsets/0", []byte("v1\n{")); err != nil {
			t.Fatal(err)
		}
		w.source.grow(0, 3)
		w.ok(nil)
		w.exactlyOnce(ofT(0))
		if len(w.table.versions) != 1 {
			t.Errorf("%d versions", len(w.table.versions))
		}
	})
}

func TestPublishingIsNoPartOfTheBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 9}))
		w.o.MaxOffsetsPerTrigger = 3
		w.source.onPublish = func() { time.Sleep(time.Second) }
		w.ok(nil)
		w.exactlyOnce(ofT(0))
		if p := w.progress[0]; p.BatchDuration != 0 {
			t.Errorf("got %+v", p)
		}
		if p := w.progress[1]; p.BatchDuration != time.Second || p.DurationMs[addBatch]+p.DurationMs[commitOffsets] != 0 {
			t.Errorf("a batch that was begun ahead has waited for the one before, and did nothing then: got %+v", p)
		}
	})
}

// Two runs of one query at once: one goes on, the other exits 4, and every record is landed once.
func TestTwoRunsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 9}))
		w.o.Trigger = Trigger{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		errs := make(chan error, 2)
		for i := range 2 {
			r, _, end := w.process(w.disk)
			r.Progress, r.Trace = nil, nil
			r.NewID = func() string { return fmt.Sprintf("%08d-0000-4000-8000-00000000000%d", 1, i) }
			go func() {
				defer end()
				time.Sleep(time.Duration(i) * 300 * time.Millisecond)
				errs <- r.Run(ctx)
			}()
		}
		go func() {
			for range 50 {
				time.Sleep(700 * time.Millisecond)
				w.source.grow(0, 3)
			}
		}()
		first := <-errs
		if problem.ExitStatus(first) != problem.ExitFenced {
			t.Errorf("got %v", first)
		}
		if second := <-errs; second != nil {
			t.Errorf("got %v", second)
		}
		w.exactlyOnce(ofT(0))
	})
}
