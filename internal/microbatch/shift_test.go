package microbatch

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siltlake/silt/internal/stream"
)

func TestWaiting(t *testing.T) {
	ms := func(n int) time.Time { return time.UnixMilli(int64(n)) }
	// work is a shift that is ready at began and takes chunks from the first to the second moment of each pair.
	work := func(began int, chunks ...[2]int) *shift {
		s := &shift{}
		s.waits(ms(began))
		for _, c := range chunks {
			s.takes(ms(c[0]))
			s.waits(ms(c[1]))
		}
		return s
	}
	tests := []struct {
		name    string
		shifts  []*shift
		reading int
		waited  []int
	}{
		{"one chunk: no time from the first to the last", []*shift{work(0, [2]int{10, 30})}, 0, []int{0}},
		{"what is waited for the first chunk does not count", []*shift{work(0, [2]int{50, 60}, [2]int{60, 90})}, 10, []int{0}},
		{"a wait between chunks", []*shift{work(0, [2]int{50, 60}, [2]int{75, 90}, [2]int{92, 99})}, 42, []int{17}},
		{"the other has the first chunk", []*shift{work(0, [2]int{10, 40}, [2]int{40, 50}), work(0, [2]int{15, 45})}, 30, []int{0, 5}},
		{"the other has the last chunk", []*shift{work(0, [2]int{10, 20}), work(0, [2]int{12, 40}, [2]int{50, 99})}, 40, []int{30, 12}},
		{"one was not ready for the first chunk", []*shift{work(0, [2]int{10, 20}, [2]int{20, 90}), work(15, [2]int{18, 90})}, 10, []int{0, 3}},
		{"one got no chunk", []*shift{work(0, [2]int{10, 30}, [2]int{30, 40}), work(0)}, 20, []int{0, 20}},
		{"one was ready after the last chunk", []*shift{work(0, [2]int{10, 30}, [2]int{30, 40}), work(35)}, 20, []int{0, 0}},
		{"one worked beyond the last chunk", []*shift{work(0, [2]int{10, 12}, [2]int{20, 30}), work(0, [2]int{10, 99})}, 10, []int{8, 0}},
		{"no chunk at all", []*shift{work(5), work(7)}, 0, []int{0, 0}},
	}
	for _, tt := range tests {
		reading, waited := waiting(tt.shifts)
		want := make([]time.Duration, len(tt.waited))
		for i, n := range tt.waited {
			want[i] = time.Duration(n) * time.Millisecond
		}
		if reading != time.Duration(tt.reading)*time.Millisecond || !slices.Equal(waited, want) {
			t.Errorf("%s: got %v, %v; want %d, %v", tt.name, reading, waited, tt.reading, want)
		}
	}
}

// TestProgressTellsHowLongWorkersWaited runs three workers on chunks of which each takes a second to decode.
func TestProgressTellsHowLongWorkersWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 100}, [2]int64{0, 100}))
		var told []Extra
		err := w.run(func(r *Runner, _ *fakeSink) {
			r.Decoding = &fakeDecoding{before: func(context.Context, *stream.Records) error { time.Sleep(time.Second); return nil }}
			r.Progress = func(_ Progress, x Extra) { told = append(told, x) }
		})
		if err != nil || len(told) != 1 {
			t.Fatalf("%v, told %d times", err, len(told))
		}
		x := told[0]
		if x.Reading <= 0 || len(x.Waited) != x.Workers {
			t.Errorf("reading took %v, workers %d waited %v", x.Reading, x.Workers, x.Waited)
		}
		for i, d := range x.Waited {
			if d != 0 {
				t.Errorf("worker %d waited %v of %v, with chunks there for all", i, d, x.Reading)
			}
		}
	})
}
