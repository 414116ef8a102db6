package microbatch

import (
	"sync"
	"time"
)

// A firing of the trigger is what Progress tells of: a batch, or a look that found no data.
type firing struct {
	r       *Runner
	at, end time.Time

	mu        sync.Mutex
	durations map[string]int64 // milliseconds a phase
}

// fire begins a firing of the trigger.
func (q *run) fire() *firing {
	return &firing{r: q.r, at: q.r.Now(), durations: map[string]int64{}}
}

// timed measures a phase and traces the step, if it is named. It may be called concurrently: offsets/N of a batch ahead is written while
// its files are.
func (f *firing) timed(phase, step string, do func() error) error {
	from := f.r.Now()
	end := func() {}
	if step != "" {
		end = f.r.Trace.Step(step)
	}
	err := do()
	end()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.durations[phase] += max(f.r.Now().Sub(from).Milliseconds(), 0)
	return err
}
