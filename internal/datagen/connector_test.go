package datagen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/siltlake/silt/test/golden"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A fakeProducer keeps records. Without hold it acknowledges them at once.
type fakeProducer struct {
	mu      sync.Mutex
	records []*kgo.Record
	held    []func(error)
	hold    bool
	fail    func(r *kgo.Record) error // nil: none
	limit   int                       // records after which Produce blocks; 0: never
}

func (p *fakeProducer) Produce(ctx context.Context, r *kgo.Record, promise func(*kgo.Record, error)) {
	p.mu.Lock()
	if p.limit > 0 && len(p.records) >= p.limit {
		p.mu.Unlock()
		<-ctx.Done()
		promise(r, ctx.Err())
		return
	}
	defer p.mu.Unlock()
	p.records = append(p.records, r)
	var err error
	if p.fail != nil {
		err = p.fail(r)
	}
	if p.hold {
		p.held = append(p.held, func(e error) { promise(r, e) })
		return
	}
	promise(r, err)
}

func (p *fakeProducer) made() []*kgo.Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.records
}

// A fakeRegistry gives every schema the id 100007.
type fakeRegistry struct {
	subject, schema string
	err             error
}

func (r *fakeRegistry) Register(_ context.Context, subject, schema string) (int32, error) {
	r.subject, r.schema = subject, schema
	return 100007, r.err
}

func clicks(t *testing.T, more string) Config {
	t.Helper()
	return parse(t, `{"name":"clicks","connector.class":"DatagenSource","kafka.topic":"clickstreams","output.data.format":"AVRO",
		"quickstart":"CLICKSTREAM","max.interval":"0","random.seed":"42"`+more+`}`)
}

func deps(p *fakeProducer, o Offsets) Deps {
	r := rand.New(rand.NewPCG(1, 1))
	var mu sync.Mutex
	return Deps{Producer: p, Registrar: &fakeRegistry{}, Offsets: o, Rand: func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		return r.Uint64()
	}}
}

func start(t *testing.T, c *Connector) {
	t.Helper()
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// sequence makes the values that a task without a break makes.
func sequence(t *testing.T, c Config, seed int64, n int) []string {
	t.Helper()
	g := mustGenerator(t, c.Schema, GeneratorOptions{Seed: seed})
	var out []string
	for range n {
		v, _, err := g.Next(nil)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(v))
		g.Reseed()
	}
	return out
}

func values(records []*kgo.Record) []string {
	var out []string
	for _, r := range records {
		out = append(out, string(r.Value[5:]))
	}
	return out
}

func headers(r *kgo.Record) string {
	var parts []string
	for _, h := range r.Headers {
		parts = append(parts, h.Key+"="+string(h.Value))
	}
	return strings.Join(parts, " ")
}

func TestRecordsAreThoseOfDatagenTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fakeProducer{}
		d := deps(p, nil)
		registry := d.Registrar.(*fakeRegistry)
		config := clicks(t, `,"iterations":"300"`)
		c := New(config, d)
		start(t, c)
		if err := c.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		records := p.made()
		if len(records) != 300 {
			t.Fatalf("%d records, want 300", len(records))
		}
		if diff := cmp.Diff(sequence(t, config, 42, 300), values(records)); diff != "" {
			t.Error(diff)
		}
		for i, r := range records {
			fields := decode(t, config.Schema, r.Value[5:])
			if string(r.Value[:5]) != "\x00\x00\x01\x86\xa7" || string(r.Key) != fields["ip"] || r.Topic != "clickstreams" ||
				r.Partition != -1 || !r.Timestamp.IsZero() {
				t.Fatalf("record %d: header %x, key %s, topic %s, partition %d, timestamp %s", i, r.Value[:5], r.Key, r.Topic, r.Partition, r.Timestamp)
			}
			if got, want := headers(r), fmt.Sprintf("task.generation=0 task.id=0 current.iteration=%d", i); got != want {
				t.Fatalf("got headers %s, want %s", got, want)
			}
		}
		if registry.subject != "clickstreams-value" || registry.schema != config.Schema.AvroText() {
			t.Errorf("registered %s under %s", registry.schema, registry.subject)
		}
	})
}

func TestTheRegisteredSchemaIsWhatConnectRegisters(t *testing.T) {
	var b strings.Builder
	for _, name := range []string{"CLICKSTREAM", "ORDERS", "PURCHASES", "STOCK_TRADES", "PIZZA_ORDERS", "USERS_", "PAYROLL_BONUS"} {
		q, _ := LookupQuickstart(name)
		fmt.Fprintf(&b, "%s\n%s\n", name, q.Schema().AvroText())
	}
	s := mustSchema(t, `{"type":"record","name":"a.r","doc":"D","fields":[{"name":"u","type":["null",{"type":"record","name":"b.s","fields":[
		{"name":"e","type":{"type":"enum","name":"e","symbols":["A"]}},{"name":"again","type":["null","s"],"doc":"F"}]}],"x":1},
		{"name":"f","type":{"type":"fixed","name":"f","size":3,"note":"gone"}},{"name":"t","type":{"type":"int","logicalType":"time-millis"}}]}`)
	fmt.Fprintf(&b, "unions, enums and fixed\n%s\n", s.AvroText())
	golden.Check(t, "testdata/registered.txt", b.String())
}

// The first failure of a task that has made its records is Datagen's way to end.
func TestATaskFailsOnceItsIterationsAreMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, offsets := &fakeProducer{}, &MemoryOffsets{}
		c := New(clicks(t, `,"iterations":"3","tasks.max":"2"`), deps(p, offsets))
		made := 3                          // by each task since it was started
		for _, want := range []int{6, 6} { // started again they make nothing
			start(t, c)
			if err := c.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := len(p.made()); n != want {
				t.Errorf("%d records, want %d", n, want)
			}
			s := c.Status()
			if !errors.Is(s.Tasks[0].Err, ErrDone) || s.Connector.State != Running {
				t.Errorf("got %v", s)
			}
			text, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			task := `"state":"FAILED","trace":"Stopping connector: generated the configured 3 number of messages","records":` + strconv.Itoa(made) + `}`
			made = 0
			want := `{"name":"clicks","connector":{"state":"RUNNING"},"tasks":[{"id":0,` + task + `,{"id":1,` + task + `],"type":"source"}`
			if string(text) != want {
				t.Errorf("got %s\nwant %s", text, want)
			}
		}
		c.Stop()
	})
}

func TestEachTaskHasASequenceOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fakeProducer{}
		config := clicks(t, `,"iterations":"20","tasks.max":"3"`)
		c := New(config, deps(p, nil))
		start(t, c)
		if err := c.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		byTask := map[string][]*kgo.Record{}
		for _, r := range p.made() {
			id := string(r.Headers[1].Value)
			byTask[id] = append(byTask[id], r)
		}
		seed := int64(42)
		for id := range 3 { // each advances the seed once more
			if diff := cmp.Diff(sequence(t, config, seed, 20), values(byTask[strconv.Itoa(id)])); diff != "" {
				t.Errorf("task %d: %s", id, diff)
			}
			seed = newRandom(seed).nextLong()
		}
	})
}

func TestARecordThatIsNotWrittenFailsItsTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		denied := errors.New("denied")
		p, offsets := &fakeProducer{}, &MemoryOffsets{}
		p.fail = func(r *kgo.Record) error {
			if string(r.Headers[2].Value) == "7" {
				return denied
			}
			return nil
		}
		config := clicks(t, "")
		config.MaxInterval = 10 * time.Millisecond
		c := New(config, deps(p, offsets))
		start(t, c)
		err := c.Wait(t.Context())
		if !errors.Is(err, denied) || err.Error() != "task 0: record 7 was not written: denied" {
			t.Errorf("got %v", err)
		}
		if s := c.Status(); s.Tasks[0].State != Failed || s.Tasks[0].Trace != "record 7 was not written: denied" || s.Tasks[0].Records != 7 {
			t.Errorf("got %v", s)
		}
		if o, _, _ := offsets.Load(t.Context(), 0); o.Iteration != 7 || o.Generation != 1 {
			t.Errorf("stored %+v, want iteration 7", o)
		}
		p.fail = nil
		if err := c.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		c.Stop()
		if got := headers(p.made()[8]); got != "task.generation=1 task.id=0 current.iteration=7" {
			t.Errorf("after a restart: %s", got)
		}
	})
}

func TestPauseAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, offsets := &fakeProducer{}, &MemoryOffsets{}
		config := clicks(t, "")
		config.MaxInterval = 10 * time.Millisecond
		c := New(config, deps(p, offsets))
		if got := c.Status().Connector.State; got != Unassigned {
			t.Errorf("got %s", got)
		}
		c.Pause() // not started: no effect
		start(t, c)
		time.Sleep(100 * time.Millisecond)
		c.Pause()
		time.Sleep(20 * time.Millisecond)
		n := len(p.made())
		time.Sleep(time.Hour)
		if len(p.made()) != n || n == 0 {
			t.Errorf("%d records before and %d after an hour", n, len(p.made()))
		}
		if s := c.Status(); s.Connector.State != Paused || s.Tasks[0].State != Paused {
			t.Errorf("got %v", s)
		}
		if o, _, _ := offsets.Load(t.Context(), 0); o.Iteration != int64(n) {
			t.Errorf("stored %+v, want iteration %d", o, n)
		}
		c.Resume()
		time.Sleep(100 * time.Millisecond)
		if len(p.made()) == n || c.Status().Tasks[0].State != Running {
			t.Errorf("it has not resumed: %v", c.Status())
		}
		c.Pause()
		c.Stop() // also from a pause
		if diff := cmp.Diff(sequence(t, config, 42, len(p.made())), values(p.made())); diff != "" {
			t.Error(diff)
		}
		if got := headers(p.made()[len(p.made())-1]); !strings.HasPrefix(got, "task.generation=0 ") {
			t.Errorf("a pause is no new generation: %s", got)
		}
	})
}

// Datagen sleeps a random part of max.interval before each record: 500 ms give about four records a second.
func TestPauses(t *testing.T) {
	tests := []struct {
		seconds     time.Duration
		interval    time.Duration
		rate        float64
		least, most int // records
	}{
		{100, 500 * time.Millisecond, 0, 370, 430},
		{100, 500 * time.Millisecond, 20, 2000, 2001}, // a rate in place of the interval
		{100, 0, 0.5, 50, 51},
		{10, 0, 2500, 24_990, 25_010}, // several in a millisecond
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			p := &fakeProducer{}
			config := clicks(t, "")
			config.MaxInterval = tt.interval
			d := deps(p, nil)
			d.Rate = tt.rate
			c := New(config, d)
			start(t, c)
			time.Sleep(tt.seconds * time.Second)
			c.Stop()
			if n := len(p.made()); n < tt.least || n > tt.most {
				t.Errorf("interval %s, rate %v: %d records, want %d to %d", tt.interval, tt.rate, n, tt.least, tt.most)
			}
		})
	}
}

func TestARateIsSharedByTheTasksAndNotCaughtUpForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fakeProducer{}
		config := clicks(t, `,"tasks.max":"4"`)
		d := deps(p, nil)
		d.Rate = 100
		c := New(config, d)
		start(t, c)
		time.Sleep(10 * time.Second)
		c.Pause()
		time.Sleep(time.Minute)
		before := len(p.made())
		c.Resume()
		time.Sleep(10 * time.Second)
		c.Stop()
		if before < 1000 || before > 1010 || len(p.made())-before > 1110 {
			t.Errorf("%d records in 10 s, %d in the 10 s after a pause", before, len(p.made())-before)
		}
	})
}

func TestAStopGivesUpOnABrokerThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, offsets := &fakeProducer{limit: 5}, &MemoryOffsets{}
		c := New(clicks(t, ""), deps(p, offsets))
		start(t, c)
		time.Sleep(time.Minute)
		started := time.Now()
		c.Stop()
		if took := time.Since(started); took != endTimeout {
			t.Errorf("took %s, want %s", took, endTimeout)
		}
		if s := c.Status(); s.Tasks[0].State != Stopped {
			t.Errorf("got %v", s)
		}
		if o, _, _ := offsets.Load(t.Context(), 0); o.Iteration != 5 {
			t.Errorf("stored %+v, want iteration 5", o)
		}
	})
}

// A brokenOffsets fails.
type brokenOffsets struct{ load, store error }

func (b brokenOffsets) Load(context.Context, int) (Offset, bool, error) {
	return Offset{}, false, b.load
}
func (b brokenOffsets) Store(_ context.Context, _ int, _ Offset) error { return b.store }

func TestFaultsOfTheStart(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		change func(*Deps)
		want   string
	}{
		{func(d *Deps) { d.Registrar = &fakeRegistry{err: broken} }, "register the schema under clickstreams-value: broken"},
		{func(d *Deps) { d.Registrar = nil }, "there is no registry to register the schema with"},
		{func(d *Deps) { d.Offsets = brokenOffsets{load: broken} }, "task 0: load its offset: broken"},
		{func(d *Deps) { d.Offsets = brokenOffsets{store: broken} }, "task 0: store its first offset: broken"},
	}
	for _, tt := range tests {
		d := deps(&fakeProducer{}, nil)
		tt.change(&d)
		config := clicks(t, "")
		config.Seed = nil
		c := New(config, d)
		if err := c.Start(t.Context()); err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
		if s := c.Status(); s.Connector.State != Failed || s.Connector.Trace != tt.want || len(s.Tasks) != 0 {
			t.Errorf("got %v", s)
		}
	}
}

func TestAnOffsetThatIsNotStoredFailsItsTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(clicks(t, ""), deps(&fakeProducer{}, brokenOffsets{store: errors.New("broken")}))
		c.d.Rate = 10
		start(t, c)
		if err := c.Wait(t.Context()); err == nil || err.Error() != "task 0: store the offset: broken" {
			t.Errorf("got %v", err)
		}
	})
}

func TestJSONValues(t *testing.T) {
	const schema = `"schema.string":"{\"type\":\"record\",\"name\":\"n.r\",\"fields\":[` +
		`{\"name\":\"k\",\"type\":{\"type\":\"string\",\"arg.properties\":{\"options\":[\"a\\\"b\\n\"]}}},` +
		`{\"name\":\"d\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":4,\"scale\":2,` +
		`\"arg.properties\":{\"options\":[\"\\u0001\\u0002\"]}}},` +
		`{\"name\":\"u\",\"type\":[\"null\",{\"type\":\"double\",\"arg.properties\":{\"options\":[1e7]}}]},` +
		`{\"name\":\"v\",\"type\":[{\"type\":\"int\",\"arg.properties\":{\"options\":[7]}},` +
		`{\"type\":\"string\",\"arg.properties\":{\"options\":[\"s\"]}}]},` +
		`{\"name\":\"t\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\",\"arg.properties\":{\"options\":[5]}}},` +
		`{\"name\":\"m\",\"type\":{\"type\":\"map\",\"values\":\"float\",\"arg.properties\":{\"options\":[{\"x\":0.5}]}}}]}","schema.keyfield":"k"`
	const class = `"name":"n","kafka.topic":"t","iterations":"8","max.interval":"0","random.seed":"3","connector.class":`
	var b strings.Builder
	for _, config := range []string{
		class + `"DatagenSource","output.data.format":"JSON",`,
		class + `"DatagenSource","output.data.format":"JSON","json.output.decimal.format":"NUMERIC",`,
		class + `"` + classSelfManaged + `","value.converter":"` + jsonConverter + `",`,
	} {
		p := &fakeProducer{}
		d := deps(p, nil)
		d.Registrar = nil
		c := New(parse(t, "{"+config+schema+"}"), d)
		start(t, c)
		if err := c.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.Stop()
		for _, r := range p.made() {
			if !json.Valid(r.Value) || string(r.Key) != "a\"b\n" {
				t.Errorf("key %q, value %s", r.Key, r.Value)
			}
			fmt.Fprintf(&b, "%s\n", r.Value)
		}
		b.WriteByte('\n')
	}
	golden.Check(t, "testdata/json.txt", b.String())
}

func TestARestartDoesNotEndTheWaitAndAStopDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := clicks(t, `,"tasks.max":"2"`)
		config.MaxInterval = 10 * time.Millisecond
		p := &fakeProducer{}
		c := New(config, deps(p, &MemoryOffsets{}))
		start(t, c)
		ended := make(chan error, 1)
		go func() { ended <- c.Wait(t.Context()) }()
		for range 3 {
			time.Sleep(time.Second)
			if err := c.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.Pause()
			synctest.Wait()
			c.Resume()
			synctest.Wait()
			select {
			case err := <-ended:
				t.Fatalf("the wait ended: %v", err)
			default:
			}
		}
		c.Stop()
		if err := <-ended; err != nil {
			t.Errorf("a stop is an end without an error: %v", err)
		}
		// A restart during which a record stays under way: the tasks have stopped for a while.
		start(t, c)
		p.mu.Lock()
		p.hold = true
		p.mu.Unlock()
		time.Sleep(time.Second)
		go func() { ended <- c.Wait(t.Context()) }()
		restarted := make(chan error, 1)
		go func() { restarted <- c.Restart(t.Context()) }()
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("the wait ended: %v", err)
		default:
		}
		p.mu.Lock()
		held := p.held
		p.hold, p.held = false, nil
		p.mu.Unlock()
		for _, f := range held {
			f(nil)
		}
		if err := <-restarted; err != nil {
			t.Fatal(err)
		}
		// A restart that fails ends it, with its error.
		c.d.Registrar.(*fakeRegistry).err = errors.New("gone")
		if err := c.Restart(t.Context()); err == nil {
			t.Error("it started without a registry")
		}
		if err := <-ended; err == nil || err.Error() != "register the schema under clickstreams-value: gone" {
			t.Errorf("got %v", err)
		}
	})
}

func TestAClosedConnectorIsNotStartedAgain(t *testing.T) {
	c := New(clicks(t, ""), deps(&fakeProducer{}, &MemoryOffsets{}))
	start(t, c)
	c.Close()
	if err := c.Restart(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	if s := c.Status(); s.Connector.State != Stopped || s.Failure() != nil {
		t.Errorf("got %+v", s)
	}
}

// TestEnded: what a program that waits for a connector has to tell apart.
func TestEnded(t *testing.T) {
	status := func(connector State, tasks ...State) Status {
		s := Status{Connector: ConnectorState{State: connector}}
		for _, state := range tasks {
			s.Tasks = append(s.Tasks, TaskState{State: state})
		}
		return s
	}
	tests := []struct {
		name string
		s    Status
		want bool
	}{
		{"never started", status(Unassigned), true},
		{"running", status(Running, Running, Running), false},
		{"one task failed", status(Running, Failed, Running), false},
		{"all failed", status(Running, Failed, Failed), true},
		{"paused", status(Paused, Paused), false},
		{"paused, after all had failed", status(Paused, Failed), true},
		{"its tasks stop: for a restart, or for good", status(Running, Stopped, Stopped), false},
		{"between two lives", status(Restarting, Restarting), false},
		{"all failed, and started again", status(Restarting, Failed), false},
		{"stopped", status(Stopped, Stopped), true},
		{"a start that failed", status(Failed), true},
	}
	for _, tt := range tests {
		if got := tt.s.Ended(); got != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
}
