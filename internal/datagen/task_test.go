package datagen

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAStartGoesOnWhereTheLastOneStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, offsets := &fakeProducer{}, &MemoryOffsets{}
		config := clicks(t, "")
		config.MaxInterval = 10 * time.Millisecond
		c := New(config, deps(p, offsets))
		for range 5 {
			start(t, c)
			time.Sleep(100 * time.Millisecond)
			c.Stop()
			if s := c.Status(); s.Connector.State != Stopped || s.Tasks[0].State != Stopped {
				t.Errorf("got %v", s)
			}
		}
		records := p.made()
		if len(records) < 50 {
			t.Fatalf("only %d records", len(records))
		}
		if diff := cmp.Diff(sequence(t, config, 42, len(records)), values(records)); diff != "" {
			t.Error(diff)
		}
		for i, r := range records {
			if string(r.Headers[2].Value) != strconv.Itoa(i) {
				t.Fatalf("record %d has %s", i, headers(r))
			}
		}
		if got := headers(records[len(records)-1]); !strings.HasPrefix(got, "task.generation=4 ") {
			t.Errorf("the last generation: %s", got)
		}
	})
}

// What is not stored is made again after a kill: the same records, none left out.
func TestAfterAKillRecordsAreMadeAgainFromTheStoredOffset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, offsets := &fakeProducer{}, &MemoryOffsets{}
		config := clicks(t, "")
		config.MaxInterval = 50 * time.Millisecond
		c := New(config, deps(p, offsets))
		start(t, c)
		time.Sleep(2500 * time.Millisecond)
		stored, ok, _ := offsets.Load(t.Context(), 0) // as a kill would leave it
		killed := len(p.made())
		c.Stop()
		if !ok || stored.Iteration == 0 || stored.Iteration > int64(killed) {
			t.Fatalf("stored %+v after %d records", stored, killed)
		}
		second, again := &fakeProducer{}, &MemoryOffsets{}
		if err := again.Store(t.Context(), 0, stored); err != nil {
			t.Fatal(err)
		}
		c = New(config, deps(second, again))
		start(t, c)
		time.Sleep(time.Second)
		c.Stop()
		records := append(p.made()[:stored.Iteration:stored.Iteration], second.made()...)
		if diff := cmp.Diff(sequence(t, config, 42, len(records)), values(records)); diff != "" {
			t.Error(diff)
		}
	})
}

// A seed that was drawn is kept from the start on: what was written before the first record was acknowledged is made again, too.
func TestAfterAKillBeforeAnyOffsetTheDrawnSeedIsTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, offsets := &fakeProducer{hold: true}, &MemoryOffsets{}
		config := clicks(t, "")
		config.Seed = nil
		config.MaxInterval = 50 * time.Millisecond
		c := New(config, deps(p, offsets))
		start(t, c)
		stored, ok, _ := offsets.Load(t.Context(), 0)
		if !ok || stored.Iteration != 0 || stored.Generation != 0 {
			t.Fatalf("stored at the start: %+v, %v", stored, ok)
		}
		time.Sleep(time.Second)
		killed := values(p.made())

		again := &MemoryOffsets{}
		if err := again.Store(t.Context(), 0, stored); err != nil {
			t.Fatal(err)
		}
		second := &fakeProducer{}
		d := deps(second, again)
		d.Rand = func() uint64 { return 99 } // draws another seed
		d.Rate = 100
		after := New(config, d)
		start(t, after)
		time.Sleep(time.Second)
		after.Stop()
		if made := values(second.made()); len(killed) == 0 || len(made) < len(killed) {
			t.Errorf("%d records before the kill, %d after it", len(killed), len(made))
		} else if diff := cmp.Diff(killed, made[:len(killed)]); diff != "" {
			t.Error(diff)
		}
		p.mu.Lock()
		for _, promise := range p.held {
			promise(nil)
		}
		p.mu.Unlock()
		c.Stop()
	})
}

func TestAnOffsetIsStoredOnlyAfterAllRecordsBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, offsets := &fakeProducer{hold: true}, &MemoryOffsets{}
		config := clicks(t, "")
		d := deps(p, offsets)
		d.Rate = 10
		c := New(config, d)
		start(t, c)
		time.Sleep(950 * time.Millisecond)
		acknowledge := func(order ...int) {
			for _, i := range order {
				p.mu.Lock()
				promise := p.held[i]
				p.mu.Unlock()
				promise(nil)
			}
		}
		iteration := func() int64 {
			time.Sleep(1100 * time.Millisecond)
			o, _, _ := offsets.Load(t.Context(), 0)
			return o.Iteration
		}
		acknowledge(1, 2, 4)
		if got := iteration(); got != 0 {
			t.Errorf("the first record is open: got %d", got)
		}
		acknowledge(0)
		if got := iteration(); got != 3 {
			t.Errorf("the fourth record is open: got %d, want 3", got)
		}
		acknowledge(3)
		if got := iteration(); got != 5 {
			t.Errorf("got %d, want 5", got)
		}
		p.mu.Lock()
		p.hold = false
		for i, promise := range p.held {
			if i > 4 {
				go promise(nil)
			}
		}
		p.mu.Unlock()
		c.Stop()
		if got, _, _ := offsets.Load(t.Context(), 0); got.Iteration != int64(len(p.made())) {
			t.Errorf("a stop stores what is acknowledged: got %d, want %d", got.Iteration, len(p.made()))
		}
	})
}
