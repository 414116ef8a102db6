// Package datagen is the Datagen connector: Confluent's kafka-connect-datagen with its generator language, avro-random-generator. A
// connector of a seed writes the records that the original writes, value for value, and goes on after a restart where it was.
//
// A Schema with its annotations is compiled into a Generator, which appends records in Avro's binary encoding; a Connector runs tasks, each
// of which has a Generator of its own, paces itself, and produces. ParseConfig reads a connector's JSON.
package datagen

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A Producer writes records; *kgo.Client is one.
type Producer interface {
	// Produce takes the record and calls promise, from any goroutine, once it is written or never will be. It may block while too much is
	// under way. The record is the callee's until then.
	Produce(ctx context.Context, r *kgo.Record, promise func(*kgo.Record, error))
}

// A Registrar registers a schema under a subject, or finds it there.
type Registrar interface {
	Register(ctx context.Context, subject, schema string) (id int32, err error)
}

// An Offset is where a task's next lifetime begins: the source offset that DatagenTask gives with each record.
type Offset struct {
	Generation int64 `json:"task.generation"`   // of the next lifetime
	Iteration  int64 `json:"current.iteration"` // of the next record
	Seed       int64 `json:"random.seed"`       // state of the next record
}

// Offsets keeps the tasks' offsets. Its methods may be called concurrently, for different tasks.
type Offsets interface {
	// Load returns the stored offset of a task, false if there is none.
	Load(ctx context.Context, task int) (Offset, bool, error)
	// Store keeps an offset all records before which were acknowledged. It is called every so often and when a task ends; records that were
	// written after the last one stored are written again after a kill, as by Connect.
	Store(ctx context.Context, task int, o Offset) error
}

// Deps are what a Connector takes from its surroundings.
type Deps struct {
	Producer  Producer
	Registrar Registrar // may be nil if the format is JSON
	Offsets   Offsets   // nil: every start is a first one
	// ReadFile reads files of options; nil: os.ReadFile.
	ReadFile func(name string) ([]byte, error)
	Now      func() time.Time                           // nil: time.Now
	Sleep    func(context.Context, time.Duration) error // nil: the real one
	// Rand gives the pauses, and the seeds where the config has none; nil: math/rand/v2. It may be called concurrently.
	Rand func() uint64
	// Rate is how many records a second the connector writes, all tasks together; 0: as max.interval says. With a rate max.interval has no
	// effect.
	Rate float64
}

// A State is one of Connect's.
type State string

// The states of connectors and tasks.
const (
	Unassigned State = "UNASSIGNED" // not started yet
	Running    State = "RUNNING"
	Restarting State = "RESTARTING"
	Paused     State = "PAUSED"
	Stopped    State = "STOPPED"
	Failed     State = "FAILED"
)

// A Status is what a connector is doing; its JSON is that of Connect's GET /connectors/NAME/status, and the tasks' records beside.
type Status struct {
	Name      string         `json:"name"`
	Connector ConnectorState `json:"connector"`
	Tasks     []TaskState    `json:"tasks"`
	Type      string         `json:"type"`
}

// A ConnectorState is the state of the connector itself.
type ConnectorState struct {
	State State  `json:"state"`
	Trace string `json:"trace,omitempty"` // why its start failed
	Err   error  `json:"-"`               // what Trace says
}

// A TaskState is the state of one task.
type TaskState struct {
	ID    int    `json:"id"`
	State State  `json:"state"`
	Trace string `json:"trace,omitempty"` // why it failed
	// Records were acknowledged since the task was started.
	Records int64 `json:"records"`
	Err     error `json:"-"` // what Trace says
}

// Ended says that no task runs, nor will before the connector is started again.
func (s Status) Ended() bool {
	switch s.Connector.State {
	case Stopped, Failed:
		return true
	case Restarting:
		return false
	}
	// A task that has stopped is of a connector that is being stopped, or started again: which one is not known yet.
	return !slices.ContainsFunc(s.Tasks, func(t TaskState) bool { return t.State != Failed })
}

// Records is how many records all tasks wrote since they were started.
func (s Status) Records() int64 {
	var n int64
	for _, t := range s.Tasks {
		n += t.Records
	}
	return n
}

// Failure is why the connector could not start, or the error of the first task that failed, but not by ErrDone.
func (s Status) Failure() error {
	if s.Connector.Err != nil {
		return s.Connector.Err
	}
	for _, t := range s.Tasks {
		if t.Err != nil && !errors.Is(t.Err, ErrDone) {
			return fmt.Errorf("task %d: %w", t.ID, t.Err)
		}
	}
	return nil
}

// ErrClosed says that a connector was closed, and is not started any more.
var ErrClosed = errors.New("the connector is closed")

// ErrDone says that a task made all the records it was asked for. As in Datagen, it has failed then.
var ErrDone = errors.New("the configured number of records is generated")

// A doneError is ErrDone in Datagen's words.
type doneError struct{ n int64 }

func (e *doneError) Error() string {
	return fmt.Sprintf("Stopping connector: generated the configured %d number of messages", e.n)
}

func (e *doneError) Is(target error) bool { return target == ErrDone }

// A Connector runs a Config. Its methods may be called concurrently.
type Connector struct {
	c    Config
	d    Deps
	base []byte // before each value: the wire header or the envelope

	change sync.Mutex // of Start, Pause, Resume, Restart, Stop and Close
	closed bool       // guarded by change

	mu     sync.Mutex
	state  State
	tasks  []*task
	err    error         // why it has failed
	moved  chan struct{} // closed when a state changes
	cancel context.CancelFunc
}

// New returns a connector that is not started.
func New(c Config, d Deps) *Connector {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Sleep == nil {
		d.Sleep = sleep
	}
	if d.Rand == nil {
		d.Rand = rand.Uint64
	}
	return &Connector{c: c, d: d, state: Unassigned, moved: make(chan struct{})}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Config is what the connector runs.
func (c *Connector) Config() Config { return c.c }

// Start registers the schema and starts the tasks, which run until Stop; ctx bounds the start alone. After an error nothing
// runs and the connector has failed.
func (c *Connector) Start(ctx context.Context) error {
	c.change.Lock()
	defer c.change.Unlock()
	return c.start(ctx)
}

// start is Start.
//
// REQUIRES: c.change.
func (c *Connector) start(ctx context.Context) error {
	if c.closed {
		return ErrClosed
	}
	c.stop(Restarting)
	tasks, err := c.prepare(ctx)
	if err != nil {
		c.set(func() { c.state, c.err, c.tasks = Failed, err, nil })
		return err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.set(func() { c.state, c.err, c.tasks, c.cancel = Running, nil, tasks, cancel })
	for _, t := range tasks {
		go t.run(running)
	}
	return nil
}

// prepare registers the schema and makes the tasks, each at its stored offset.
func (c *Connector) prepare(ctx context.Context) ([]*task, error) {
	base, err := c.header(ctx)
	if err != nil {
		return nil, err
	}
	c.base = base
	var tasks []*task
	for id := range max(c.c.Tasks, 1) {
		t, err := c.newTask(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("task %d: %w", id, err)
		}
		tasks = append(tasks, t)
	}
	return tasks, nil
}

// header is what comes before each value.
func (c *Connector) header(ctx context.Context) ([]byte, error) {
	if c.c.Output == JSON {
		if !c.c.Envelope {
			return nil, nil
		}
		envelope, err := c.c.Schema.envelope()
		return []byte(envelope), err
	}
	if c.d.Registrar == nil {
		return nil, errors.New("there is no registry to register the schema with")
	}
	id, err := c.d.Registrar.Register(ctx, c.c.Subject, c.c.Schema.AvroText())
	if err != nil {
		return nil, fmt.Errorf("register the schema under %s: %w", c.c.Subject, err)
	}
	return []byte{0, byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)}, nil
}

// set changes the state and tells who waits for a change.
func (c *Connector) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	close(c.moved)
	c.moved = make(chan struct{})
}

// stop ends the tasks, waits for what they produced, and leaves the connector in the state.
//
// REQUIRES: c.change.
func (c *Connector) stop(to State) {
	c.mu.Lock()
	tasks, cancel := c.tasks, c.cancel
	c.cancel = nil
	c.mu.Unlock()
	if cancel != nil {
		cancel()
		for _, t := range tasks {
			<-t.ended
		}
	}
	c.set(func() {
		c.state, c.err = to, nil
		for _, t := range c.tasks {
			if t.state != Failed {
				t.state = to
			}
		}
	})
}

// Stop ends the tasks, waits until what they produced is acknowledged or has failed, and stores their offsets. It may be started again.
func (c *Connector) Stop() {
	c.change.Lock()
	defer c.change.Unlock()
	c.stop(Stopped)
}

// Close is Stop for good: a Start after it gives ErrClosed.
func (c *Connector) Close() {
	c.change.Lock()
	defer c.change.Unlock()
	c.closed = true
	c.stop(Stopped)
}

// Restart stops the tasks and starts them at their stored offsets, failed ones too.
func (c *Connector) Restart(ctx context.Context) error { return c.Start(ctx) }

// Pause makes the tasks wait before their next record; Resume lets them go on. Neither changes a connector that does not run.
func (c *Connector) Pause() { c.turn(Running, Paused) }

// Resume is the contrary of Pause.
func (c *Connector) Resume() { c.turn(Paused, Running) }

func (c *Connector) turn(from, to State) {
	c.change.Lock()
	defer c.change.Unlock()
	c.set(func() {
		if c.state != from {
			return
		}
		c.state = to
		for _, t := range c.tasks {
			if t.state == from {
				t.state = to
			}
		}
	})
}

// Status returns what the connector is doing.
func (c *Connector) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Status{Name: c.c.Name, Connector: ConnectorState{State: c.state, Err: c.err}, Tasks: []TaskState{}, Type: "source"}
	if c.err != nil {
		s.Connector.Trace = c.err.Error()
	}
	for _, t := range c.tasks {
		state := TaskState{ID: t.id, State: t.state, Records: t.records(), Err: t.err}
		if t.err != nil {
			state.Trace = t.err.Error()
		}
		s.Tasks = append(s.Tasks, state)
	}
	return s
}

// Wait returns when the connector has ended, with its status's failure, or with the context's. A restart does not end it.
func (c *Connector) Wait(ctx context.Context) error {
	s, err := c.Await(ctx, Status.Ended)
	if err != nil {
		return err
	}
	return s.Failure()
}

// Await returns the status once its states are as wanted, or the context's error. It looks again when a state changes, not when a record is
// written; a state that lasted a moment only may be missed.
func (c *Connector) Await(ctx context.Context, wanted func(Status) bool) (Status, error) {
	for {
		c.mu.Lock()
		moved := c.moved
		c.mu.Unlock()
		s := c.Status() // after moved, so that no change is missed
		if wanted(s) {
			return s, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return s, ctx.Err()
		}
	}
}

func (c *Connector) paused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == Paused
}

// resumed returns when the connector is not paused any more.
func (c *Connector) resumed(ctx context.Context) error {
	for {
		c.mu.Lock()
		paused, moved := c.state == Paused, c.moved
		c.mu.Unlock()
		if !paused {
			return ctx.Err()
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
