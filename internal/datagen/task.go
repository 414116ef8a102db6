package datagen

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/siltlake/silt/internal/problem"
)

const (
	// storeEvery is how long an acknowledged offset may wait until it is stored.
	storeEvery = time.Second
	// endTimeout bounds the wait for what a stopped task has under way.
	endTimeout = 10 * time.Second
	// bufferBytes is the size of the buffers that records lie in, several in each.
	bufferBytes = 64 << 10
	// maxBehind is how far a task with a rate may fall behind before it gives up catching up.
	maxBehind = time.Second
)

// A task is DatagenTask: it makes one record after the other, each from the random state that the one before it left.
type task struct {
	c          *Connector
	id         int
	g          *Generator
	generation int64
	count      int64 // records made in all lifetimes: current.iteration

	generationText, idText []byte // of the headers

	buf   []byte       // a record's bytes are never moved or used again: the buffer is left to the producer when it is full
	slots []recordSlot // likewise
	ended chan struct{}

	stored     Offset // given to Offsets
	storedTime time.Time

	// c.mu guards these two.
	state State
	err   error

	mu     sync.Mutex
	flight []flying      // from the first record that is not acknowledged, in order
	under  int           // records whose promise is open
	landed chan struct{} // closed and forgotten when none is
	acked  int64
	next   Offset // after the last record before flight
	failed error  // of the first record that was not written
}

// A recordSlot is a record and its headers, allocated together.
type recordSlot struct {
	record  kgo.Record
	headers [3]kgo.RecordHeader
}

// A flying is a record that may not be acknowledged yet, with the offset after it.
type flying struct {
	done bool
	next Offset
}

// newTask returns a task at its stored offset. Without one, each task advances the seed by one draw more than the one before it, so that
// all write other data; a seed that nobody chose is drawn and stored at once.
func (c *Connector) newTask(ctx context.Context, id int) (*task, error) {
	var at Offset
	at.Seed = int64(c.d.Rand())
	if c.c.Seed != nil {
		at.Seed = *c.c.Seed
		for range id {
			at.Seed = newRandom(at.Seed).nextLong()
		}
	}
	if c.d.Offsets != nil {
		stored, ok, err := c.d.Offsets.Load(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("load its offset: %w", err)
		}
		switch {
		case ok:
			at = stored
		case c.c.Seed == nil:
			// A lifetime that is killed before it stores an offset is then made again as it was, too.
			if err := c.d.Offsets.Store(ctx, id, at); err != nil {
				return nil, fmt.Errorf("store its first offset: %w", err)
			}
		}
	}
	g, err := NewGenerator(c.c.Schema, GeneratorOptions{Seed: at.Seed, Iteration: at.Iteration, KeyField: c.c.KeyField, ReadFile: c.d.ReadFile})
	if err != nil {
		return nil, err
	}
	return &task{
		c: c, id: id, g: g, generation: at.Generation, count: at.Iteration, state: Running, ended: make(chan struct{}),
		generationText: strconv.AppendInt(nil, at.Generation, 10), idText: strconv.AppendInt(nil, int64(id), 10),
		stored: at, next: at, storedTime: c.d.Now(),
	}, nil
}

// run makes records until it fails or ctx ends, and then waits for what is under way and stores the offset.
func (t *task) run(ctx context.Context) {
	defer close(t.ended)
	// What is under way when ctx ends is not given up at once.
	end, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(endTimeout, kill) })()
	err := problem.Catch("generating records", func() error { return t.loop(ctx, end) })
	if ctx.Err() != nil {
		err = nil
	}
	if failed := t.land(end); err == nil && ctx.Err() == nil {
		err = failed
	}
	if failed := t.store(end); err == nil {
		err = failed
	}
	t.c.set(func() {
		if err != nil {
			t.state, t.err = Failed, err
		} else {
			t.state = Stopped
		}
	})
}

// loop makes records until ctx ends; end is the context of their production.
func (t *task) loop(ctx, end context.Context) error {
	pace := pacer{d: t.c.d, interval: t.c.c.MaxInterval, rate: t.c.d.Rate / float64(max(t.c.c.Tasks, 1))}
	for {
		if ctx.Err() != nil { // without pauses nothing else looks
			return ctx.Err()
		}
		if t.c.paused() {
			if err := t.land(ctx); err != nil {
				return err
			}
			if err := t.store(ctx); err != nil {
				return err
			}
			if err := t.c.resumed(ctx); err != nil {
				return err
			}
		}
		if err := pace.wait(ctx); err != nil {
			return err
		}
		if t.c.d.Now().Sub(t.storedTime) >= storeEvery {
			if err := t.store(ctx); err != nil {
				return err
			}
		}
		r, next, err := t.make()
		if err != nil {
			return err
		}
		if err := t.send(end, r, next); err != nil {
			return err
		}
	}
}

// make returns the next record and the offset after it.
func (t *task) make() (*kgo.Record, Offset, error) {
	c := t.c.c
	value, key, err := t.value()
	if err != nil {
		return nil, Offset{}, fmt.Errorf("record %d: %w", t.count, err)
	}
	if c.Iterations > 0 && t.count >= c.Iterations {
		return nil, Offset{}, &doneError{t.count}
	}
	next := Offset{Generation: t.generation + 1, Iteration: t.count + 1, Seed: t.g.Reseed()}
	if len(t.slots) == 0 {
		t.slots = make([]recordSlot, 256)
	}
	slot := &t.slots[0]
	t.slots = t.slots[1:]
	start := len(t.buf)
	t.buf = strconv.AppendInt(t.buf, t.count, 10)
	// The values of numbers in headers are their texts: SimpleHeaderConverter, Connect's default.
	slot.headers = [3]kgo.RecordHeader{
		{Key: "task.generation", Value: t.generationText},
		{Key: "task.id", Value: t.idText},
		{Key: "current.iteration", Value: t.buf[start:len(t.buf):len(t.buf)]},
	}
	slot.record = kgo.Record{Topic: c.Topic, Partition: -1, Key: key, Value: value, Headers: slot.headers[:]}
	t.count++
	return &slot.record, next, nil
}

// value appends the next record's value and key to the buffer. A key is nil or not: a null.
func (t *task) value() (value, key []byte, err error) {
	if cap(t.buf)-len(t.buf) < bufferBytes/16 {
		t.buf = make([]byte, 0, bufferBytes)
	}
	c := t.c.c
	start := len(t.buf)
	t.buf = append(t.buf, t.c.base...)
	all, field, err := t.g.Next(t.buf)
	if err != nil {
		return nil, nil, err
	}
	t.buf = all
	if c.Output == JSON {
		record := all[start+len(t.c.base):]
		text := append(make([]byte, 0, 2*len(record)+len(t.c.base)+1), t.c.base...)
		value, _ = jsonWriter{numeric: c.NumericDecimals}.append(text, c.Schema, record)
		if c.Envelope {
			value = append(value, '}')
		}
	} else {
		value = t.buf[start:len(t.buf):len(t.buf)]
	}
	if field == nil {
		return value, nil, nil
	}
	at := len(t.buf)
	out, ok := appendKey(t.buf, c.Schema.field(c.KeyField).schema, field)
	t.buf = out
	if !ok {
		return value, nil, nil
	}
	return value, out[at:len(out):len(out)], nil
}

// send produces the record. Once it is acknowledged, its offset may be stored when those of all records before it may. The error is of an
// earlier record.
func (t *task) send(ctx context.Context, r *kgo.Record, next Offset) error {
	t.mu.Lock()
	if t.failed != nil {
		defer t.mu.Unlock()
		return t.failed
	}
	t.flight = append(t.flight, flying{next: next})
	t.under++
	t.mu.Unlock()
	t.c.d.Producer.Produce(ctx, r, func(_ *kgo.Record, err error) { t.promised(next.Iteration, err) })
	return nil
}

// promised notes that a record is acknowledged, or has failed.
func (t *task) promised(iteration int64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.acked++
		// Iterations are consecutive, so that the distance to the first is the place.
		t.flight[iteration-t.flight[0].next.Iteration].done = true
		n := 0
		for ; n < len(t.flight) && t.flight[n].done; n++ {
			t.next = t.flight[n].next
		}
		t.flight = t.flight[n:]
	} else if t.failed == nil {
		t.failed = fmt.Errorf("record %d was not written: %w", iteration-1, err)
	}
	if t.under--; t.under == 0 && t.landed != nil {
		close(t.landed)
		t.landed = nil
	}
}

// land waits until no record is under way. Its error is of the first record that was not written.
func (t *task) land(ctx context.Context) error {
	t.mu.Lock()
	if t.under > 0 {
		if t.landed == nil {
			t.landed = make(chan struct{})
		}
		landed := t.landed
		t.mu.Unlock()
		select {
		case <-landed:
		case <-ctx.Done():
			return ctx.Err()
		}
		t.mu.Lock()
	}
	defer t.mu.Unlock()
	return t.failed
}

// store stores the offset up to which all records are acknowledged.
func (t *task) store(ctx context.Context) error {
	t.storedTime = t.c.d.Now()
	t.mu.Lock()
	next := t.next
	t.mu.Unlock()
	if t.c.d.Offsets == nil || next == t.stored {
		return nil
	}
	if err := t.c.d.Offsets.Store(ctx, t.id, next); err != nil {
		return fmt.Errorf("store the offset: %w", err)
	}
	t.stored = next
	return nil
}

func (t *task) records() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.acked
}

// A pacer says when the next record is due.
type pacer struct {
	d        Deps
	interval time.Duration
	rate     float64 // records a second; 0: interval
	begun    time.Time
	made     float64 // since begun
}

// wait returns when the next record is due. Without a rate it is a random part of the interval, in whole milliseconds, as in Datagen.
func (p *pacer) wait(ctx context.Context) error {
	if p.rate <= 0 {
		if p.interval <= 0 {
			return nil
		}
		part := float64(p.d.Rand()>>11) / (1 << 53)
		return p.d.Sleep(ctx, time.Duration(part*float64(p.interval.Milliseconds()))*time.Millisecond)
	}
	now := p.d.Now()
	due := p.begun.Add(time.Duration(p.made / p.rate * float64(time.Second)))
	if p.begun.IsZero() || now.Sub(due) > maxBehind {
		p.begun, p.made, due = now, 0, now
	}
	p.made++
	// A sleep lasts a millisecond or so: what is due earlier is made in one go.
	if ahead := due.Sub(now); ahead >= time.Millisecond {
		return p.d.Sleep(ctx, ahead)
	}
	return nil
}
