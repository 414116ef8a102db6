package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/siltlake/silt"
	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/microbatch"
	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
	"github.com/siltlake/silt/internal/stream"
	"github.com/siltlake/silt/internal/term"
)

// A process is what the command line uses of the operating system; tests give another one.
type process struct {
	name           string // how it was called: build/silt; "": silt
	stdin          io.Reader
	stdout, stderr io.Writer
	signals        func() (c <-chan os.Signal, stop func())
	env            func(name string) (string, bool)
	exit           func(status int) // of a second interrupt; does not return in a real process
	terminal       bool             // stderr is one
	interactive    bool             // so is stdin: somebody can be asked
	// askSecret asks on the terminal for what is not to be seen, whatever stdin is; nil: there is nobody to ask.
	askSecret func(prompt string) (string, error)
	width     func() int       // of the terminal
	build     *debug.BuildInfo // may be nil
	engine    engine
}

// An app is one run of the command line. Everything that it prints passes the scrubber, which knows every secret of the pipeline file.
type app struct {
	process
	secrets *secret.Scrubber
	out     io.Writer    // stdout, scrubbed
	records io.Writer    // the same for records of a topic, in which nothing but known secrets is one
	status  *term.Status // stderr, scrubbed; also the writer of everything else that goes there
	color   bool
	machine bool // -o json or ndjson: errors are JSON too
	quiet   bool
	log     *slog.Logger
}

func newApp(p process) *app {
	p.name = cmp.Or(p.name, "silt")
	a := &app{process: p, secrets: new(secret.Scrubber)}
	a.out, a.records = a.secrets.Writer(p.stdout), a.secrets.Data(p.stdout)
	a.status = term.NewStatus(a.secrets.Writer(p.stderr), p.terminal, p.width)
	return a
}

// cli is the tree of subcommands and flags.
type cli struct {
	Color   string `enum:"auto,always,never" default:"auto" help:"Colour on stderr: ${enum}."`
	Quiet   bool   `short:"q" help:"Print results and errors only."`
	Verbose int    `short:"v" type:"counter" help:"Log what happens to stderr; -vv logs more."`
	// What many type first; the same as the command.
	PrintVersion kong.VersionFlag `name:"version" help:"Print the version of silt."`

	Demo     demoCmd     `cmd:"" help:"Run a broker, a registry, a Datagen connector and a pipeline in one process, to try silt."`
	Run      runCmd      `cmd:"" help:"Run a pipeline: Kafka topics into a Delta table, exactly once."`
	Doctor   doctorCmd   `cmd:"" help:"Look at all that a pipeline needs, and say what is wrong and what to do."`
	Table    tableCmd    `cmd:"" help:"Look at a table and prove what is in it."`
	Topic    topicCmd    `cmd:"" help:"Look at Kafka topics, make them, and write to them."`
	Registry registryCmd `cmd:"" help:"Look at the schemas of a registry, compare, check and register them."`
	Secret   secretCmd   `cmd:"" help:"Keep secrets in a local encrypted store, and check those that a pipeline refers to."`
	Datagen  datagenCmd  `cmd:"" help:"Write generated records to a topic, as the Datagen connector does."`
	Version  versionCmd  `cmd:"" help:"Print the version of silt."`
}

type tableCmd struct {
	Verify  verifyCmd  `cmd:"" help:"Prove that every offset that was read is in the table once."`
	History historyCmd `cmd:"" help:"List the versions of a table, the newest first."`
}

// outputFlag is embedded in every command that has a result.
type outputFlag struct {
	Output term.Format `short:"o" default:"table" placeholder:"FORM" help:"Form of the result: table, json or ndjson."`
}

// An exited is how kong leaves after --help.
type exited int

// main runs the command line and returns the exit status. A panic becomes an error block like any other: its stack could hold a secret
// and says nothing to most people, so it is printed only with SILT_DEBUG, scrubbed.
func (a *app) main(args []string) (status int) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case exited:
			status = int(r)
		default:
			stack := debug.Stack()
			status = a.fail(problem.New(problem.Internal, "silt panicked: %v", r).Fix("please report it, with the output of SILT_DEBUG=1"))
			if v, ok := a.env("SILT_DEBUG"); ok && v != "" {
				_, _ = a.status.Write(stack)
			}
		}
	}()
	a.machine = wantsJSON(args)
	var flags cli
	parser := a.parser(&flags)
	command, err := parser.Parse(args)
	a.configure(flags)
	if err != nil {
		return a.fail(usage(err))
	}
	command.Bind(a)
	return a.fail(command.Run())
}

// parser is the grammar of the command line; it fills in flags.
func (a *app) parser(flags *cli) *kong.Kong {
	parser, err := kong.New(flags, kong.Name("silt"),
		kong.Description("Kafka to Delta Lake, exactly once, in one binary."),
		kong.Writers(a.out, a.status),
		kong.Vars{"version": versionOf(a.build).String(), "stopTimeout": microbatch.DefaultStopTimeout.String(),
			"memory": option.FormatSize(stream.DefaultMemory)},
		kong.Exit(func(status int) { panic(exited(status)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 100}),
	)
	if err != nil {
		panic(err) // the struct tags above are wrong
	}
	return parser
}

// configure applies the global flags; those of a command line that does not parse are as far as they were read.
func (a *app) configure(flags cli) {
	a.color = term.UseColor(flags.Color, a.terminal, a.env)
	a.quiet = flags.Quiet
	level := slog.LevelWarn
	switch {
	case flags.Verbose > 1:
		level = slog.LevelDebug
	case flags.Verbose == 1:
		level = slog.LevelInfo
	case flags.Quiet:
		level = slog.LevelError
	}
	a.log = slog.New(slog.NewTextHandler(a.status, &slog.HandlerOptions{Level: level}))
}

// wantsJSON looks for -o json before the command line is parsed: the error that it does not parse shall be JSON too.
func wantsJSON(args []string) bool {
	for i, arg := range args {
		value := ""
		switch {
		case (arg == "-o" || arg == "--output") && i+1 < len(args):
			value = args[i+1]
		case strings.HasPrefix(arg, "--output="):
			value = arg[len("--output="):]
		case strings.HasPrefix(arg, "-o"):
			value = strings.TrimPrefix(arg[len("-o"):], "=")
		case arg == "--":
			return false
		}
		if f := term.Format(value); f == term.JSON || f == term.NDJSON {
			return true
		}
	}
	return false
}

// missingValue is what kong says of a flag at the end of the line.
var missingValue = regexp.MustCompile(`^(--\S+): expected .* but got "EOL".*$`)

// usage turns kong's error into a problem.
func usage(err error) error {
	text := err.Error()
	if list := problem.Of(err); len(list) > 0 {
		if flag, _, ok := strings.Cut(text, ": "); ok && strings.HasPrefix(flag, "--") {
			list[0].Message = flag + ": " + list[0].Message
		}
		return list
	}
	text = missingValue.ReplaceAllString(text, "$1 needs a value")
	text = strings.ReplaceAll(text, ", did you mean", "; did you mean")
	p := problem.New(problem.Usage, "%s", text).Fix("silt --help lists commands and flags")
	var pe *kong.ParseError
	if !errors.As(err, &pe) || pe.Context == nil {
		return p
	}
	at := pe.Context.Selected()
	if at == nil {
		at = pe.Context.Model.Node
	} else {
		p.Fix("silt %s --help describes the command", at.Path())
	}
	if at.DefaultCmd != nil { // no command is one, too
		p.Fix("silt %s --help describes the command", at.DefaultCmd.Path())
		return p
	}
	var commands []string
	for _, c := range at.Children {
		if c.Type == kong.CommandNode {
			commands = append(commands, c.Name)
		}
	}
	if len(commands) == 0 {
		return p
	}
	p.Fix("the commands are: %s", strings.Join(commands, ", "))
	name, unexpected := strings.CutPrefix(text, "unexpected argument ")
	if !unexpected {
		p.Message = "a command is missing"
		return p
	}
	name, _, _ = strings.Cut(name, "; did you mean")
	p.Message = fmt.Sprintf("unknown command %q", name)
	if n := problem.Nearest(name, commands); n != "" {
		p.Message += fmt.Sprintf("; did you mean %q?", n)
	}
	return p
}

// fail prints err and returns the exit status for it; nil is success.
func (a *app) fail(err error) int {
	closed := a.status.Close()
	if err == nil && closed != nil {
		err = closed
	}
	if err == nil {
		return problem.ExitOK
	}
	list := problem.Of(err)
	if len(list) == 0 {
		p := problem.New(problem.Internal, "%w", err)
		if errors.Is(err, context.Canceled) {
			p = problem.New(problem.Interrupted, "interrupted before the answer was known")
		}
		list = problem.List{p}
	}
	status := problem.ExitStatus(list)
	list = a.scrubbed(list)
	var printed error
	if a.machine {
		printed = term.WriteProblemsJSON(a.status, list)
	} else {
		printed = term.WriteProblems(a.status, list, a.color)
	}
	if printed != nil && status == problem.ExitOK {
		return problem.ExitFailed
	}
	return status
}

// scrubbed takes secrets out of the problems before they are quoted, escaped or broken into lines: the scrubber under the writer looks
// for whole values.
func (a *app) scrubbed(list problem.List) problem.List {
	out := make(problem.List, len(list))
	for i, p := range list {
		q := *p
		q.Message, q.Why, q.Hint = a.secrets.String(p.Message), a.secrets.String(p.Why), a.secrets.String(p.Hint)
		q.Where.File, q.Where.Field = a.secrets.String(p.Where.File), a.secrets.String(p.Where.Field)
		out[i] = &q
	}
	return out
}

// load reads a pipeline file. Its sections are not parsed yet.
func (a *app) load(file string, set []string) (*config.Pipeline, error) {
	o := a.configOptions()
	o.Set = set
	return silt.Load(file, o, a.scopeOptions())
}

// table is the path of the table that a command works on, and how its store is reached: PATH, by the paths of the pipeline file if there is
// one, or by default the pipeline's table.
func (a *app) table(text, file string, set []string) (path config.Path, o silt.TableOptions, err error) {
	o = silt.TableOptions{Env: a.env, Secrets: a.secrets, Log: a.log}
	var paths config.Paths
	if file != "" {
		if o.Pipeline, err = a.load(file, set); err != nil {
			return path, o, err
		}
		if paths, path = o.Pipeline.Paths, o.Pipeline.Table; path.IsZero() && text == "" {
			return path, o, o.Pipeline.Err() // which says why there is no path
		}
	}
	if text != "" {
		var q *problem.Problem
		if path, q = paths.Resolve(text); q != nil {
			return path, o, q.At(problem.File(text))
		}
	}
	return path, o, nil
}

// A tableFlag names a table, in every command that works on one.
type tableFlag struct {
	Path   string   `arg:"" optional:"" help:"The table: a directory, or a URL such as abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH; with -c by default the pipeline's."`
	Config string   `short:"c" placeholder:"FILE" help:"${tableConfig}"`
	Set    []string `short:"s" placeholder:"PATH=VALUE" sep:"none" help:"Override a value of the file; may be repeated."`
}

// check is what Validate says of the flags; command is the command's name.
func (f *tableFlag) check(command string) error {
	switch {
	case f.Path == "" && f.Config == "":
		return problem.New(problem.Usage, "%s needs a table", command).Fix("%s PATH, or -c pipeline.yaml", command)
	case f.Config == "" && len(f.Set) > 0:
		return problem.New(problem.Usage, "-s overrides a value of a pipeline file, and there is none").Fix("name it: -c pipeline.yaml")
	}
	return nil
}

// say prints a line for people, unless -q or -o json ask for silence.
func (a *app) say(format string, args ...any) {
	if a.quiet || a.machine {
		return
	}
	line := term.Clean(fmt.Sprintf(format, args...))
	if line != "" {
		line = "  " + line
	}
	_, _ = io.WriteString(a.status, line+"\n")
}

// interruptible returns a context that ends with the first SIGINT or SIGTERM; message is what is said then. The second one ends the
// process at once: whatever it leaves behind, the next start of a query cleans up.
func (a *app) interruptible(message string) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	c, stop := a.signals()
	done := make(chan struct{})
	wait := func() error {
		for n := 0; ; n++ {
			select {
			case <-done:
				return nil
			case <-c:
			}
			if n > 0 {
				_, _ = io.WriteString(a.status, "  stopped at once\n")
				_ = a.status.Close() // the shell's prompt gets a line of its own
				a.exit(problem.ExitFailed)
			}
			a.say("%s", message)
			cancel()
		}
	}
	go func() {
		if err := problem.Catch("handling a signal", wait); err != nil {
			a.log.Error("the query stops", "error", err)
			stop() // the next signal ends the process
			cancel()
		}
	}()
	return ctx, func() { stop(); close(done); cancel() }
}
