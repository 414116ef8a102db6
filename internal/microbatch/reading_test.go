package microbatch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// Workers race for chunks; whatever the order, the bad record that is reported is the lowest of its partition, and nothing lands.
func TestFailFastNamesTheLowestBadRecordOfItsPartition(t *testing.T) {
	for slow := int64(0); slow < 20; slow += 4 { // the chunk that takes longest
		t.Run(fmt.Sprint("slow chunk ", slow), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, bounds([2]int64{0, 400}, [2]int64{0, 400}))
				var decoded atomic.Bool // what should not be reached
				err := w.run(func(r *Runner, _ *fakeSink) {
					r.Decoding = &fakeDecoding{
						bad: func(p stream.TopicPartition, o int64) stream.Reason {
							if p == tp(1) && o >= 5 && o%3 == 2 {
								return stream.BadPayload
							}
							return ""
						},
						before: func(ctx context.Context, r *stream.Records) error {
							if r.Partition == 1 && r.Offset[0] == slow {
								time.Sleep(time.Minute)
							} else {
								time.Sleep(time.Millisecond)
							}
							if r.Partition == 1 && r.Offset[0] >= 100 {
								decoded.Store(true)
							}
							return ctx.Err()
						}}
				})
				ps := problem.Of(err)
				if len(ps) != 1 || ps[0].Code != problem.BadRecord || ps[0].Exit() != problem.ExitBadRecord {
					t.Fatalf("got %v", err)
				}
				const want = "topic t partition 1 offset 5  E4001 payload"
				if ps[0].Error() != want || err.Error() != want {
					t.Errorf("got %s", ps[0])
				}
				if len(w.table.versions) != 0 || w.source.open != 0 {
					t.Errorf("%d versions, %d chunks open", len(w.table.versions), w.source.open)
				}
				if decoded.Load() || w.source.sent > 100 {
					t.Errorf("fetching did not stop: %d chunks were sent", w.source.sent)
				}
			})
		})
	}
}

// lateSource sends two chunks of a partition; whoever receives the first one falls asleep before it begins.
type lateSource struct{ *fakeSource }

type lateChunk struct {
	*fakeChunk
	asked bool
}

func (c *lateChunk) Range() stream.Range {
	if !c.asked && c.rng.Start == 0 {
		time.Sleep(time.Minute)
	}
	c.asked = true
	return c.fakeChunk.Range()
}

func (s lateSource) Fetch(_ context.Context, ranges []stream.Range, out chan<- stream.Chunk) ([]stream.Gap, error) {
	for r := ranges[0]; r.Start < r.End; {
		c, _ := s.next(&r)
		r.Start = c.rng.End
		s.count(1)
		out <- &lateChunk{fakeChunk: c}
		time.Sleep(time.Second)
	}
	return nil, nil
}

func TestFailFastWaitsForAChunkThatSomebodyHasNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 8}))
		err := w.run(func(r *Runner, _ *fakeSink) {
			r.Source = lateSource{w.source}
			r.Decoding = &fakeDecoding{bad: func(_ stream.TopicPartition, o int64) stream.Reason {
				if o == 1 || o == 5 {
					return stream.BadPayload
				}
				return ""
			}}
		})
		var record *stream.RecordError
		if !errors.As(err, &record) || record.Offset != 1 || w.source.open != 0 {
			t.Errorf("got %v, %d chunks open", err, w.source.open)
		}
	})
}

// A worker that waits for a registry with a chunk that cannot matter does not hold the report up.
func TestABadRecordIsNotHeldUpByOtherPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 4}, [2]int64{0, 4}))
		began := time.Now()
		err := w.run(func(r *Runner, _ *fakeSink) {
			r.Decoding = &fakeDecoding{bad: func(p stream.TopicPartition, o int64) stream.Reason {
				if p == tp(1) {
					return stream.UnknownID
				}
				return ""
			}, before: func(ctx context.Context, r *stream.Records) error {
				if r.Partition == 0 {
					<-ctx.Done()
					return ctx.Err()
				}
				return sleep(ctx, time.Second)
			}}
		})
		if ps := problem.Of(err); len(ps) != 1 || ps[0].Code != problem.BadRecord || time.Since(began) > 2*time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}

func TestRejectsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 10}))
		w.ok(func(r *Runner, _ *fakeSink) {
			r.Decoding = &fakeDecoding{drop: true, bad: func(_ stream.TopicPartition, o int64) stream.Reason {
				if o%4 == 0 {
					return stream.BadHeader
				}
				return ""
			}}
		})
		if x := w.extra[0]; x.Rows != 7 || x.Rejected != 3 || w.progress[0].NumInputRows != 10 {
			t.Errorf("got %+v", x)
		}
	})
}

func TestABatchWithoutRowsCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 2}))
		w.source.holes[tp(0)] = map[int64]bool{0: true, 1: true} // transaction markers only
		w.ok(nil)
		if len(w.table.versions) != 1 || w.table.versions[0].report.Partitions[tp(0)] == nil {
			t.Errorf("got %+v", w.table.versions)
		}
	})
}

func TestPanicsBecomeErrorsAndLandNothing(t *testing.T) {
	tests := map[string]func(*world, *Runner, *fakeSink){
		"a decoder": func(w *world, r *Runner, _ *fakeSink) {
			r.Decoding = &fakeDecoding{before: func(_ context.Context, r *stream.Records) error {
				if r.Offset[0] > 10 {
					panic("index out of range")
				}
				return nil
			}}
		},
		"the source": func(w *world, r *Runner, _ *fakeSink) {
			w.source.onFetch = func(context.Context) error { panic("index out of range") }
		},
		"the commit": func(w *world, r *Runner, s *fakeSink) {
			s.onCommit = func(context.Context, stream.Batch) (error, error) { panic("index out of range") }
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, bounds([2]int64{0, 100}, [2]int64{0, 100}))
				var sink *fakeSink
				err := w.run(func(r *Runner, s *fakeSink) { sink = s; change(w, r, s) })
				ps := problem.Of(err)
				if len(ps) != 1 || ps[0].Code != problem.Internal || !strings.Contains(ps[0].Message, "index out of range") ||
					!strings.Contains(ps[0].Why, "fake_test.go") && !strings.Contains(ps[0].Why, "runner_test.go") {
					t.Fatalf("got %v", err)
				}
				if len(w.table.versions) != 0 || w.source.open != 0 || sink.aborted != 1 {
					t.Errorf("%d versions, %d chunks open, %d aborted", len(w.table.versions), w.source.open, sink.aborted)
				}
			})
		})
	}
}

// miscount sends the chunk at offset 4 so many times.
type miscount struct {
	*fakeSource
	times int
}

func (m miscount) Fetch(_ context.Context, ranges []stream.Range, out chan<- stream.Chunk) ([]stream.Gap, error) {
	for r := ranges[0]; r.Start < r.End; {
		c, _ := m.next(&r)
		times := 1
		if r.Start == 4 {
			times = m.times
		}
		r.Start = c.rng.End
		for range times {
			again := *c
			m.count(1)
			out <- &again
		}
	}
	return nil, nil
}

// forgetful loses a row between decoding and reporting.
type forgetful struct {
	stream.Decoding
	lost atomic.Bool
}

type forgetfulDecoder struct {
	stream.Decoder
	lost *atomic.Bool
}

func (f *forgetful) Begin(s schema) func() stream.Decoder {
	begun := f.Decoding.Begin(s)
	return func() stream.Decoder { return forgetfulDecoder{begun(), &f.lost} }
}

func (f forgetfulDecoder) Report() stream.Report {
	r := f.Decoder.Report()
	if p := r.Partitions[tp(0)]; p != nil && p.Rows > 0 && f.lost.CompareAndSwap(false, true) {
		p.Rows--
	}
	return r
}

func TestWorkersFollowTheSizeOfTheBatch(t *testing.T) {
	rs := []stream.Range{{Start: 0, End: 1 << 20}}
	for _, tt := range []struct {
		bytesPerOffset float64
		most, want     int
	}{{0, 8, 8}, {1, 8, 1}, {16, 8, 1}, {40, 8, 2}, {1000, 8, 8}, {1000, 1, 1}} {
		if got := workersFor(rs, tt.bytesPerOffset, tt.most); got != tt.want {
			t.Errorf("%v bytes: got %d, want %d", tt.bytesPerOffset, got, tt.want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 9}))
		w.o.MaxOffsetsPerTrigger = 5
		var sink *fakeSink
		w.ok(func(_ *Runner, s *fakeSink) { sink = s })
		if d := cmp.Diff([]int{3, 1}, sink.workers); d != "" { // all, while nothing is known; then one for a few bytes
			t.Error(d)
		}
	})
}
