//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/siltlake/silt/test/clickstream"
	"github.com/siltlake/silt/test/load"
	"github.com/siltlake/silt/test/parts"
)

const topicPartitions = 6

// notInTopics is what the name of a topic must not have.
var notInTopics = regexp.MustCompile(`[^a-zA-Z0-9_-]+`)

// A fixture is what one test works with: a topic of its own, a registry, a pipeline over SASL_SSL, and a directory for table and
// checkpoint.
type fixture struct {
	t        *testing.T
	dir      string
	kafka    *parts.Kafka
	registry *parts.Registry
	topic    string
	id, id2  int32 // of clickstream.Schema and SchemaV2 in the registry
	silt     string
	pipeline pipeline
	remote   *remote // where table and checkpoint are; nil: in dir
}

// A pipeline is a pipeline file as nested maps.
type pipeline map[string]any

// newFixture gives a fixture with an empty topic; of is release or checked.
func newFixture(t *testing.T, of func() (string, error)) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: t.TempDir(), kafka: needKafka(t), silt: built(t, of)}
	var err error
	if f.registry, err = parts.StartRegistry("SRKEY", "SRSECRET"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.registry.Close() })
	f.topic = strings.ToLower(notInTopics.ReplaceAllString(t.Name(), "-"))
	f.id = f.registry.Add(f.topic+"-value", clickstream.Schema)
	f.id2 = f.registry.Add(f.topic+"-value", clickstream.SchemaV2)
	f.createTopic(f.topic, topicPartitions)
	f.pipeline = f.newPipeline()
	return f
}

func (f *fixture) createTopic(topic string, partitions int32) {
	f.t.Helper()
	if err := f.kafka.CreateTopic(f.t.Context(), topic, partitions, nil); err != nil {
		f.t.Fatal(err)
	}
}

// newPipeline is the tutorial's pipeline: everything there is in the topic, and then the end.
func (f *fixture) newPipeline() pipeline {
	jaas := fmt.Sprintf("kafkashaded.org.apache.kafka.common.security.plain.PlainLoginModule required username='%s' password='%s';",
		f.kafka.User, f.kafka.Password)
	return pipeline{
		"name": f.topic,
		"source": pipeline{"kafka": pipeline{
			"kafka.bootstrap.servers":       f.kafka.TLS,
			"kafka.security.protocol":       "SASL_SSL",
			"kafka.sasl.mechanism":          "PLAIN",
			"kafka.sasl.jaas.config":        jaas,
			"kafka.ssl.truststore.type":     "PEM",
			"kafka.ssl.truststore.location": f.kafka.CA,
			"subscribe":                     f.topic,
			"startingOffsets":               "earliest",
		}},
		"registry": pipeline{
			"schema.registry.url":           f.registry.URL,
			"basic.auth.credentials.source": "USER_INFO",
			"basic.auth.user.info":          f.registry.User + ":" + f.registry.Password,
		},
		"select": []string{"topic", "partition", "offset", "timestamp", "timestampType", "key", "valueSchemaId", "parsedValue"},
		"sink": pipeline{"delta": pipeline{
			"path": f.table(), "mergeSchema": true,
		}},
		"checkpointLocation": filepath.Join(f.dir, "checkpoint"),
		"trigger":            pipeline{"availableNow": true},
	}
}

// table is where the table is, as the pipeline file says.
func (f *fixture) table() string {
	if f.remote != nil {
		return f.remote.emulator.folder(f.remote.folder + "/table")
	}
	return filepath.Join(f.dir, "table")
}

// set changes an option; path names the sections, such as source, kafka, subscribe. A nil value removes it.
func (f *fixture) set(value any, path ...string) {
	f.t.Helper()
	at := f.pipeline
	for _, name := range path[:len(path)-1] {
		next, ok := at[name].(pipeline)
		if !ok {
			next = pipeline{}
			at[name] = next
		}
		at = next
	}
	last := path[len(path)-1]
	if value == nil {
		delete(at, last)
	} else {
		at[last] = value
	}
}

// file writes the pipeline file and returns its path.
func (f *fixture) file() string {
	f.t.Helper()
	b, err := yaml.Marshal(f.pipeline)
	if err != nil {
		f.t.Fatal(err)
	}
	path := filepath.Join(f.dir, "pipeline.yaml")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		f.t.Fatal(err)
	}
	return path
}

// produce fills the topic; o needs neither a client nor the topic.
func (f *fixture) produce(ctx context.Context, o load.Options) load.Report {
	f.t.Helper()
	report, err := f.tryProduce(ctx, o)
	if err != nil {
		f.t.Fatal(err)
	}
	return report
}

func (f *fixture) tryProduce(ctx context.Context, o load.Options) (load.Report, error) {
	opts, err := f.kafka.SecureOpts()
	if err != nil {
		return load.Report{}, err
	}
	o.Client = opts
	if o.Topic == "" {
		o.Topic = f.topic
	}
	if o.Partitions == 0 {
		o.Partitions = topicPartitions
	}
	if o.Make == nil {
		o.Make = clickstream.Mixed(1, f.id, f.id2)
	}
	return load.Run(ctx, o)
}

// produceOn fills the topic at a rate until the function that it returns is called, or the test ends.
func (f *fixture) produceOn(rate int) (stop func() load.Report) {
	ctx, cancel := context.WithCancel(f.t.Context())
	produced := make(chan load.Report, 1)
	go func() {
		report, err := f.tryProduce(ctx, load.Options{Rate: rate})
		if err != nil {
			f.t.Error("produce: ", err)
		}
		produced <- report
	}()
	return func() load.Report {
		cancel()
		return <-produced
	}
}

// A process is a run of silt.
type process struct {
	cmd    *exec.Cmd
	stdout output
	stderr output
	ended  chan struct{}
	began  time.Time
	took   time.Duration
}

// output is what a process printed so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start starts silt with args; env are more variables. The process is killed with the test, if it still runs.
func (f *fixture) start(env []string, args ...string) *process {
	f.t.Helper()
	p := &process{cmd: exec.Command(f.silt, args...), ended: make(chan struct{}), began: time.Now()}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	go func() {
		// how it ended is in cmd.ProcessState
		_ = p.cmd.Wait()
		p.took = time.Since(p.began)
		close(p.ended)
	}()
	f.t.Cleanup(p.kill)
	return p
}

func (p *process) kill() {
	// A process that ended already is what is wanted.
	_ = p.cmd.Process.Kill()
	<-p.ended
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// wait waits for the end of the process and returns its exit status, -1 after a signal.
func (p *process) wait(t *testing.T, limit time.Duration) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		// The stacks say what it waits for.
		_ = p.cmd.Process.Signal(syscall.SIGQUIT)
		select {
		case <-p.ended:
		case <-time.After(5 * time.Second):
			p.kill()
		}
		t.Fatalf("silt did not end within %v; stderr:\n%s", limit, tail(p.stderr.String(), 200))
		return -1
	}
}

// stop ends silt as Ctrl-C does, which must take no longer than its deadline and give status 0.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	if code := p.wait(t, 20*time.Second); code != 0 {
		t.Fatalf("exit status %d after an interrupt; stderr:\n%s", code, tail(p.stderr.String(), 60))
	}
}

// run runs silt to its end, which must come with the given exit status, and returns what it printed.
func (f *fixture) run(want int, args ...string) (stdout, stderr string) {
	f.t.Helper()
	p := f.start(nil, args...)
	if got := p.wait(f.t, 2*time.Minute); got != want {
		f.t.Fatalf("silt %s: exit status %d, want %d\nstdout:\n%s\nstderr:\n%s", strings.Join(args, " "), got, want,
			tail(p.stdout.String(), 60), tail(p.stderr.String(), 60))
	}
	return p.stdout.String(), p.stderr.String()
}

// runOnce runs the pipeline until everything that was in the topic is in the table.
func (f *fixture) runOnce() {
	f.t.Helper()
	f.set(pipeline{"availableNow": true}, "trigger")
	f.run(0, "run", "-c", f.file())
}

// tail returns the last n lines of s.
func tail(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// stopAtEnd stops with the test what it started.
func stopAtEnd(t *testing.T, stop func() error) {
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// eventually waits until what holds.
func eventually(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// clicks makes records of one schema id.
func clicks(f *fixture, id int32) load.Make {
	g := clickstream.New(1)
	return func(_ int64, key, value []byte) (k, v []byte) { return g.Append(key, value, id, id == f.id2) }
}

// tell puts what a test found into its log, and into the file that $SILT_REPORT names, which `make test` prints at its end.
func tell(t *testing.T, text string) {
	t.Helper()
	t.Log(text)
	name := os.Getenv("SILT_REPORT")
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintf(f, "%s: %s\n", t.Name(), text)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}
