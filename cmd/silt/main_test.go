package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/siltlake/silt"
	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/microbatch"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
	"github.com/siltlake/silt/internal/stream"
	"github.com/siltlake/silt/test/golden"
	"github.com/siltlake/silt/test/guide"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"silt": main})
}

func TestScripts(t *testing.T) {
	defer guide.TakePorts()()
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       golden.Update(),
		Cmds: withCommands(clusterCommands, map[string]func(*testscript.TestScript, bool, []string){
			// status N PROGRAM ARGS...: the exit status is N.
			"status": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 {
					ts.Fatalf("usage: status N PROGRAM ARGS...")
				}
				want, err := strconv.Atoi(args[0])
				ts.Check(err)
				got := 0
				if err := ts.Exec(args[1], args[2:]...); err != nil {
					var exit *exec.ExitError
					if !errors.As(err, &exit) {
						ts.Fatalf("%v", err)
					}
					got = exit.ExitCode()
				}
				if got != want {
					ts.Fatalf("exit status %d, want %d", got, want)
				}
			},
			// large FILE N: a file of N bytes that would be valid YAML.
			"large": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 2 {
					ts.Fatalf("usage: large FILE N")
				}
				n, err := strconv.Atoi(args[1])
				ts.Check(err)
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), bytes.Repeat([]byte("#"), n), 0o666))
			},
		}),
	})
}

// withCommands is both sets of commands together.
func withCommands(a, b map[string]func(*testscript.TestScript, bool, []string)) map[string]func(*testscript.TestScript, bool, []string) {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// A buffer is an output that goroutines share.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// A fakeProcess is a process of which the test holds every end.
type fakeProcess struct {
	name           string
	stdin          io.Reader
	stdout, stderr buffer
	screen         bool // stderr goes where stdout goes, as on a terminal
	interactive    bool
	signals        chan os.Signal
	exited         chan int
	env            map[string]string
	terminal       bool
	engine         engine
}

func newFakeProcess(e engine) *fakeProcess {
	return &fakeProcess{signals: make(chan os.Signal, 2), exited: make(chan int, 1), env: map[string]string{}, engine: e}
}

func (f *fakeProcess) main(args ...string) int {
	stderr := &f.stderr
	if f.screen {
		stderr = &f.stdout
	}
	return newApp(process{
		name: f.name, stdin: f.stdin, stdout: &f.stdout, stderr: stderr, interactive: f.interactive,
		signals:  func() (<-chan os.Signal, func()) { return f.signals, func() {} },
		env:      func(k string) (string, bool) { v, ok := f.env[k]; return v, ok },
		exit:     func(status int) { f.exited <- status; select {} },
		terminal: f.terminal,
		width:    func() int { return 120 },
		build: &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.time", Value: "2025-03-01T10:00:00Z"}, {Key: "vcs.modified", Value: "true"}}},
		engine: f.engine,
	}).main(args)
}

// pipeline writes a pipeline file and returns its name.
func pipeline(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "pipeline.yaml")
	if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return name
}

const clicks = `name: clicks
source:
  kafka:
    kafka.bootstrap.servers: broker:9092
    kafka.sasl.password: ${env:PASSWORD}
    subscribe: clicks, views
sink: {delta: {path: /data/clicks}}
checkpointLocation: /data/_checkpoints/clicks
`

// batches is an engine that reports three batches and a wait.
func batches(_ context.Context, p *config.Pipeline, o silt.RunOptions) error {
	if err := p.Err(); err != nil {
		return err
	}
	o.OnStart()
	at := time.Date(2025, 3, 1, 10, 0, 0, 0, time.UTC)
	end := stream.Offsets{"clicks": {0: 214}}
	q := microbatch.Progress{ID: "id", RunID: "run", Name: p.Name, Timestamp: at, BatchID: 0, NumInputRows: 214, InputRowsPerSecond: 4.14,
		ProcessedRowsPerSecond: 402.2, Source: "KafkaV2[Subscribe[clicks]]", End: end, Latest: end, Sink: "DeltaSink[/data/clicks]"}
	o.OnProgress(q, microbatch.Extra{Rows: 214, Version: 0})
	q.BatchID, q.NumInputRows, q.InputRowsPerSecond, q.ProcessedRowsPerSecond, q.Start = 1, 61250, 61250, 123456.7, end
	gap := stream.Gap{TopicPartition: stream.TopicPartition{Topic: "clicks"}, From: 10, To: 1010}
	o.OnProgress(q, microbatch.Extra{Rows: 61248, Rejected: 2, Nulled: 3, Lag: 1234567, Version: 1, Again: true, Gaps: []stream.Gap{gap}})
	q.BatchID = 2
	o.OnProgress(q, microbatch.Extra{Idle: true, Version: -1})
	o.Log.Warn("a warning", "topic", "clicks")
	return nil
}

func check(t *testing.T, what, got, want string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// withoutTime takes the time out of slog's lines.
func withoutTime(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if _, rest, ok := strings.Cut(line, " level="); ok && strings.HasPrefix(line, "time=") {
			line = "level=" + rest
		}
		b.WriteString(line)
	}
	return b.String()
}

const announced = "  topic clicks, views · isolation level read_committed (Spark's default is read_uncommitted)\n" +
	"  table /data/clicks · checkpoint /data/_checkpoints/clicks\n"

func TestRunShowsALineABatchOnStderr(t *testing.T) {
	f := newFakeProcess(engine{run: batches})
	f.env["PASSWORD"] = "canary-password"
	if status := f.main("run", "-c", pipeline(t, clicks)); status != 0 {
		t.Errorf("exit status %d", status)
	}
	check(t, "stdout", f.stdout.String(), "")
	check(t, "stderr", withoutTime(f.stderr.String()), announced+
		"  batch 0   214 rows   in 4.1/s   out 402/s   lag 0   v0\n"+
		"  batch 1   61,248 rows   in 61,250/s   out 123,457/s   lag 1,234,567   v1   2 dropped   3 nulled   1,000 offsets lost to Kafka   begun by an earlier run\n"+
		"level=WARN msg=\"a warning\" topic=clicks\n")
}

func TestRunRedrawsItsLineOnATerminal(t *testing.T) {
	f := newFakeProcess(engine{run: batches})
	f.env["PASSWORD"] = "canary-password"
	f.terminal = true
	if status := f.main("run", "-c", pipeline(t, clicks)); status != 0 {
		t.Errorf("exit status %d", status)
	}
	const erase = "\r\x1b[K"
	waiting := "  waiting for batch 2   lag 0   Ctrl-C stops; run again to resume"
	lines := strings.Split(f.stderr.String(), erase)
	if len(lines) != 5 || lines[0] != announced || lines[1] != "  batch 0   214 rows   in 4.1/s   out 402/s   lag 0   v0   Ctrl-C stops; run again to resume" ||
		!strings.HasSuffix(lines[2], "…") || lines[3] != waiting || !strings.HasSuffix(lines[4], "topic=clicks\n"+waiting+"\n") {
		t.Errorf("got %q", lines)
	}
}

func TestRunPrintsSparksProgressAsJSON(t *testing.T) {
	f := newFakeProcess(engine{run: batches})
	f.env["PASSWORD"] = "canary-password"
	if status := f.main("run", "-c", pipeline(t, clicks), "-o", "json"); status != 0 {
		t.Errorf("exit status %d", status)
	}
	var ids []any
	for line := range strings.Lines(f.stdout.String()) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		ids = append(ids, o["batchId"])
	}
	if diff := cmp.Diff([]any{0.0, 1.0}, ids); diff != "" {
		t.Errorf("one object a batch, none while there is no data (-want +got):\n%s", diff)
	}
	check(t, "stderr", withoutTime(f.stderr.String()), "level=WARN msg=\"a warning\" topic=clicks\n")
}

func TestQuietPrintsErrorsOnly(t *testing.T) {
	f := newFakeProcess(engine{run: batches})
	f.env["PASSWORD"] = "canary-password"
	if status := f.main("-q", "run", "-c", pipeline(t, clicks)); status != 0 || f.stdout.String()+f.stderr.String() != "" {
		t.Errorf("status %d, stdout %q, stderr %q", status, f.stdout.String(), f.stderr.String())
	}
	if status := f.main("-q", "run", "-c", pipeline(t, "name: [")); status != 2 || !strings.Contains(f.stderr.String(), "E1102") {
		t.Errorf("status %d, stderr %q", status, f.stderr.String())
	}
}

func TestFlagsReachTheEngine(t *testing.T) {
	var got silt.RunOptions
	var trigger string
	e := engine{run: func(_ context.Context, p *config.Pipeline, o silt.RunOptions) error {
		got = o
		for _, v := range p.Trigger.All() {
			trigger += v.Key + "=" + v.Text + " "
		}
		return nil
	}}
	file := pipeline(t, clicks+"trigger: {processingTime: 10 seconds}\n")
	f := newFakeProcess(e)
	if f.main("run", "-c", file) != 0 || got.NewQuery || got.StopTimeout != 10*time.Second || got.Workers != 0 || got.Memory != 256<<20 ||
		got.Trace != nil || got.Log == nil || trigger != "processingTime=10 seconds " {
		t.Errorf("defaults: %+v, trigger %s", got, trigger)
	}
	trigger = ""
	// The flag beats -s, which beats the file.
	if f.main("run", "-c", file, "-s", "trigger.processingTime=1s", "--once", "--new-query", "--workers=3", "--memory=1GiB", "--stop-timeout", "2 minutes") != 0 ||
		!got.NewQuery || got.StopTimeout != 2*time.Minute || got.Workers != 3 || got.Memory != 1<<30 || trigger != "availableNow=true " {
		t.Errorf("flags: %+v, trigger %s", got, trigger)
	}
	trigger = ""
	t.Setenv("SILT_WORKERS", "5")
	t.Setenv("SILT_MEMORY", "64MiB")
	if f.main("run", "-c", file, "-s", "trigger.processingTime=1s", "--memory=128MiB") != 0 || got.Workers != 5 || got.Memory != 128<<20 ||
		trigger != "processingTime=1s " {
		t.Errorf("the environment is below flags: %+v, trigger %s", got, trigger)
	}
}

func TestTheFirstInterruptStopsCleanly(t *testing.T) {
	f := newFakeProcess(engine{run: func(ctx context.Context, _ *config.Pipeline, _ silt.RunOptions) error {
		<-ctx.Done()
		return nil
	}})
	f.signals <- syscall.SIGTERM
	if status := f.main("run", "-c", pipeline(t, clicks), "--stop-timeout=3s"); status != 0 {
		t.Errorf("exit status %d", status)
	}
	check(t, "stderr", f.stderr.String(), "  stopping: the running batch has 3s to commit; once more stops at once\n")
}

func TestTheSecondInterruptStopsAtOnce(t *testing.T) {
	stuck := make(chan struct{})
	f := newFakeProcess(engine{run: func(context.Context, *config.Pipeline, silt.RunOptions) error {
		<-stuck
		return nil
	}})
	f.signals <- os.Interrupt
	f.signals <- os.Interrupt
	ended := make(chan int)
	file := pipeline(t, clicks)
	go func() { ended <- f.main("run", "-c", file) }()
	select {
	case status := <-f.exited:
		if status != problem.ExitFailed {
			t.Errorf("exit status %d", status)
		}
	case status := <-ended:
		t.Errorf("the engine returned with %d", status)
	}
	if !strings.HasSuffix(f.stderr.String(), "  stopped at once\n") {
		t.Errorf("stderr %q", f.stderr.String())
	}
	close(stuck)
	<-ended
}

func TestExitStatusIsThatOfTheError(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		text   string
	}{
		{problem.New(problem.DataLoss, "offsets are gone"), 3, "E2006 offsets are gone\n"},
		{fmt.Errorf("run: %w", problem.New(problem.Fenced, "another run")), 4, "E6002 another run\n"},
		{problem.List{problem.New(problem.BrokerLogin, "a"), problem.New(problem.Usage, "b")}, 69, "E2003 a\n\nE1100 b\n"},
		{errors.New("something else"), 1, "E9001 something else\n"}, // a plain error is a fault of silt's own
		{context.Canceled, 1, "E9002 interrupted before the answer was known\n"},
	} {
		f := newFakeProcess(engine{run: func(context.Context, *config.Pipeline, silt.RunOptions) error { return tt.err }})
		if status := f.main("run", "-c", pipeline(t, clicks)); status != tt.status || !strings.HasPrefix(f.stderr.String(), tt.text) {
			t.Errorf("%v: status %d, stderr %q", tt.err, status, f.stderr.String())
		}
	}
}

func TestTheTraceIsWrittenLineByLine(t *testing.T) {
	f := newFakeProcess(engine{run: func(_ context.Context, _ *config.Pipeline, o silt.RunOptions) error {
		o.Trace.Step("plan 7")()
		return nil
	}})
	name := filepath.Join(t.TempDir(), "trace")
	f.env["SILT_TRACE"] = name
	if status := f.main("run", "-c", pipeline(t, clicks)); status != 0 {
		t.Errorf("exit status %d: %s", status, f.stderr.String())
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "trace", string(got), "begin plan 7\nend plan 7\n")

	f.env["SILT_TRACE"] = filepath.Join(name, "below-a-file")
	if status := f.main("run", "-c", pipeline(t, clicks)); status != 2 || !strings.Contains(f.stderr.String(), "E1101 SILT_TRACE") {
		t.Errorf("exit status %d: %s", status, f.stderr.String())
	}
}

func TestVersion(t *testing.T) {
	f := newFakeProcess(engine{})
	if f.main("version") != 0 || !strings.HasPrefix(f.stdout.String(), "silt 1.2.3 (commit 0123456789ab, 2025-03-01T10:00:00Z, modified) go") {
		t.Errorf("got %s", f.stdout.String())
	}
	if v := versionOf(nil); v.Version != "devel" || v.Go == "" {
		t.Errorf("without build information: %+v", v)
	}
}

// leaks is every way by which an engine could carry a secret outside.
func leaks(secrets []string) map[string]func(context.Context, *config.Pipeline, silt.RunOptions) error {
	text := "the secrets are " + strings.Join(secrets, " and ") + " " + base64.StdEncoding.EncodeToString([]byte(secrets[0])) + " " + url.QueryEscape(secrets[0])
	cause := errors.New(text)
	return map[string]func(context.Context, *config.Pipeline, silt.RunOptions) error{
		"error": func(context.Context, *config.Pipeline, silt.RunOptions) error { return cause },
		"problem": func(context.Context, *config.Pipeline, silt.RunOptions) error {
			return problem.New(problem.BrokerLogin, "message: %s", text).Because(cause).Fix("%s", text).At(problem.Location{File: text, Field: text})
		},
		"quoted": func(context.Context, *config.Pipeline, silt.RunOptions) error {
			return problem.New(problem.BrokerLogin, "message: %q", text).Because(fmt.Errorf("%q", text))
		},
		"panic": func(context.Context, *config.Pipeline, silt.RunOptions) error { panic(text) },
		"log": func(_ context.Context, p *config.Pipeline, o silt.RunOptions) error {
			o.Log.Debug(text, "error", cause, "options", p.Kafka.All())
			o.Log.Info(text, "error", cause, "pipeline", p)
			o.Log.Warn(text, "error", cause)
			o.Log.Error(text, "error", cause)
			return nil
		},
		"progress": func(_ context.Context, _ *config.Pipeline, o silt.RunOptions) error {
			o.OnProgress(microbatch.Progress{Name: text, Source: text, Sink: text}, microbatch.Extra{})
			return nil
		},
		"trace": func(_ context.Context, _ *config.Pipeline, o silt.RunOptions) error {
			o.Trace(text)
			return nil
		},
	}
}

func TestNoSecretIsEverPrinted(t *testing.T) {
	const fromEnv, fromFile, written, inURL = `canary-"env"+/ü`, "canary-file-0123456789", "canary-written", "canary-url"
	dir := t.TempDir()
	file := filepath.Join(dir, "secret")
	if err := os.WriteFile(file, []byte(fromFile+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := clicks + "registry:\n  basic.auth.user.info: key:${file:" + filepath.ToSlash(file) + "}\n" +
		"  schema.registry.url: https://user:" + inURL + "@registry\n"
	text = strings.Replace(text, "    subscribe", "    kafka.ssl.key.password: "+written+"\n    subscribe", 1)
	secrets := []string{fromEnv, fromFile, written, inURL}
	var forms []string
	for _, s := range secrets {
		quoted, _ := json.Marshal(s)
		forms = append(forms, s, string(quoted[1:len(quoted)-1]), base64.StdEncoding.EncodeToString([]byte(s)), url.QueryEscape(s))
	}
	for name, run := range leaks(secrets) {
		for _, args := range [][]string{{}, {"-v"}, {"-vv"}, {"-o", "json"}, {"-q", "-o", "ndjson", "-vv"}} {
			f := newFakeProcess(engine{run: run})
			f.env = map[string]string{"PASSWORD": fromEnv, "SILT_DEBUG": "1", "SILT_TRACE": filepath.Join(dir, "trace")}
			f.main(append([]string{"run", "-c", pipeline(t, text)}, args...)...)
			trace, err := os.ReadFile(f.env["SILT_TRACE"])
			if err != nil {
				t.Fatal(err)
			}
			out := f.stdout.String() + f.stderr.String() + string(trace)
			for _, form := range forms {
				if strings.Contains(out, form) {
					t.Errorf("%s %v: %s is in\n%s", name, args, form, out)
				}
			}
			shown := name != "log" && (name != "progress" || slices.Contains(args, "-o"))
			if shown && !strings.Contains(out, "[REDACTED]") {
				t.Errorf("%s %v printed nothing: the test is blind\n%s", name, args, out)
			}
		}
	}
}

func TestAPanicIsAnErrorBlockWithoutItsStack(t *testing.T) {
	f := newFakeProcess(engine{run: func(context.Context, *config.Pipeline, silt.RunOptions) error { panic("boom") }})
	if status := f.main("run", "-c", pipeline(t, clicks)); status != problem.ExitFailed {
		t.Errorf("exit status %d", status)
	}
	if got := f.stderr.String(); !strings.HasPrefix(got, "E9001 silt panicked: boom\n") || strings.Contains(got, "goroutine") {
		t.Errorf("stderr %s", got)
	}
	f.env["SILT_DEBUG"] = "1"
	f.main("run", "-c", pipeline(t, clicks))
	if got := f.stderr.String(); !strings.Contains(got, "goroutine") || !strings.Contains(got, "main_test.go") {
		t.Errorf("with SILT_DEBUG: stderr %s", got)
	}
}

// net/http prints with package log what it makes of odd answers, with a part of them.
func TestWhatLibrariesPrintIsScrubbed(t *testing.T) {
	var stderr bytes.Buffer
	a := newApp(process{stdout: io.Discard, stderr: &stderr})
	a.secrets.Add(secret.New("canary-value"))
	defer log.SetOutput(log.Writer())
	a.takeLog()
	log.Print("an answer that begins with canary-value")
	if said := stderr.String(); strings.Contains(said, "canary-value") || !strings.Contains(said, secret.Redacted) {
		t.Errorf("got %q", said)
	}
}
