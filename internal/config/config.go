// Package config reads a pipeline file: strict YAML in, options with their positions out.
//
// It knows the file's sections and nothing of what is in them. Each package that has options parses its own section (ParseOptions), and
// Pipeline.Err puts what they found beside what config found, so that a user sees every error of a file at once.
package config

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// Limits of a pipeline file. They are far above what a pipeline needs and far below what would hurt.
const (
	MaxFileBytes   = 1 << 20  // of the file
	MaxSecretBytes = 64 << 10 // of a file that ${file:...} names
	maxValueBytes  = 4 << 20  // of all values together, references resolved and anchors expanded
	maxNodes       = 10_000   // of the YAML tree, anchors expanded
	maxDepth       = 32       // of the YAML tree
	maxNameRunes   = 256      // of the query's name
)

// Options are what Load needs beside the file's name. The zero value reads the process's environment and files.
type Options struct {
	// Set are overrides, each path=value, as -s gives them; of two for one path the last wins.
	Set []string
	// Env looks up an environment variable; nil is os.LookupEnv.
	Env func(name string) (string, bool)
	// ReadFile reads a file of at most limit bytes; a larger one gives at least one byte more. Nil reads the file system.
	ReadFile func(name string, limit int64) ([]byte, error)
	// Storage says of an option of sink.storageOptions whether its value is a secret by nature, and whether there is such an option: the
	// clouds know theirs. Nil knows none.
	Storage func(key string) (sensitive, known bool)
	// ReadFileIn reads a file of at most limit bytes of a folder, and none outside of it; a larger one is an error. Nil reads the file system.
	ReadFileIn func(folder, name string, limit int64) ([]byte, error)
	// UserFile is the user's own file of scopes, "" for none. It need not exist.
	UserFile string
	// UserFileNamed is the variable by which the user named it, "" if it is in its usual place.
	UserFileNamed string
	// Scopes makes the scopes of what the sections secrets of the pipeline file and of the user's file declare. Nil: there can be none.
	Scopes func(file, user option.Values) (Scopes, []*problem.Problem)
	// Secrets is told every secret of the file; nil tells nobody.
	Secrets *secret.Scrubber
}

// A Scopes gives secrets by scope and key. Its methods may be called concurrently, also long after the file was read.
type Scopes interface {
	// Secret reads a value, within 30 seconds. The problem names scope and key, never a value, and has no location.
	Secret(ctx context.Context, scope, key string) (string, *problem.Problem)
}

// A Pipeline is a pipeline file with references resolved and overrides applied. A section that the file lacks is empty, with the file's
// begin as its position. It is not checked before Err was asked.
type Pipeline struct {
	File string // as the user named it
	Name string // Spark's queryName; may be empty

	Kafka    option.Values // source.kafka
	Registry option.Values // registry
	Decode   option.Values // decode; nested keys joined by dots: limits.maxDepth
	Select   []option.Value
	Delta    option.Values // sink.delta; path is in it as it was written
	Storage  option.Values // sink.storageOptions, of the stores of table and checkpoint
	Trigger  option.Values // trigger: processingTime, availableNow

	Table      Path // sink.delta.path
	Checkpoint Path // checkpointLocation
	Paths      Paths

	AllowInsecure bool

	// References are all that the file makes, in its order, whether or not they give a value.
	References []Reference
	// ScopeProblems is what is wrong with the declared scopes; Err has it too.
	ScopeProblems problem.List

	// Env and Secrets are those of Options: for what a package takes from the environment where the file says nothing.
	Env     func(name string) (string, bool)
	Secrets *secret.Scrubber

	problems problem.List
	// faulty are the places of values that config refused: what a section's package says of the same value is an echo.
	faulty map[problem.Location]bool
}

// Load reads the file. Its error is about the file as a whole: it cannot be read, is too large, or is no YAML; then there is no Pipeline.
// Everything else that is wrong is kept for Err. Errors are *problem.Problem or problem.List.
func Load(file string, o Options) (*Pipeline, error) {
	o = o.withDefaults()
	root, problems, err := read(file, o)
	if err != nil {
		return nil, err
	}
	w := newWalker(file, o)
	w.problems = problems
	scopeProblems := w.declare(root, o)
	w.group("", root)
	w.assume()
	w.override(o.Set)
	p := w.pipeline()
	p.ScopeProblems = scopeProblems
	return p, nil
}

func (o Options) withDefaults() Options {
	if o.Env == nil {
		o.Env = os.LookupEnv
	}
	if o.ReadFile == nil {
		o.ReadFile = readFile
	}
	if o.Storage == nil {
		o.Storage = func(string) (sensitive, known bool) { return false, false }
	}
	if o.ReadFileIn == nil {
		o.ReadFileIn = option.ReadFileIn
	}
	if o.Secrets == nil {
		o.Secrets = new(secret.Scrubber)
	}
	return o
}

// read reads the file's tree, a mapping.
func read(file string, o Options) (*node, problem.List, error) {
	data, err := o.ReadFile(file, MaxFileBytes)
	if err != nil {
		return nil, nil, unreadable(file, err)
	}
	if len(data) > MaxFileBytes {
		return nil, nil, problem.New(problem.TooLarge, "the pipeline file is larger than %s", option.FormatSize(MaxFileBytes)).At(problem.File(file))
	}
	root, problems, err := parse(file, data)
	if err != nil {
		return nil, nil, err
	}
	if root.kind != mapping && !root.bad {
		return nil, nil, problem.New(problem.InvalidValue, "the file is %s; want source, registry, sink and checkpointLocation", root.kind).
			At(root.pos)
	}
	return root, problems, nil
}

// notOfValues are the codes of what is no echo of a wrong value at the same place: a wrong name, two options that exclude each other, and what a
// section lacks that is not in the file, whose place is the file's begin.
var notOfValues = []problem.Code{problem.MissingOption, problem.UnknownOption, problem.Conflict}

// Err returns everything that is wrong with the pipeline, sorted by place, or nil: what Load found, and what the packages found in their
// sections.
func (p *Pipeline) Err(sections ...[]*problem.Problem) error {
	list := slices.Clone(p.problems)
	for _, problems := range sections {
		for _, q := range problems {
			if !p.faulty[q.Where] || slices.Contains(notOfValues, q.Code) {
				list = append(list, q)
			}
		}
	}
	list.Sort()
	seen := map[string]bool{}
	list = slices.DeleteFunc(list, func(q *problem.Problem) bool {
		text := q.Error()
		twice := seen[text] // an anchor is walked wherever it is used
		seen[text] = true
		return twice
	})
	if len(list) == 0 {
		return nil
	}
	return list
}

// pipeline builds the Pipeline from the sections and parses config's own options.
func (w *walker) pipeline() *Pipeline {
	p := &Pipeline{
		File:     w.file,
		Env:      w.env,
		Secrets:  w.scrubber,
		Kafka:    w.values("source.kafka"),
		Registry: w.values("registry"),
		Decode:   w.values("decode"),
		Delta:    w.values("sink.delta"),
		Storage:  w.values("sink.storageOptions"),
		Trigger:  w.values("trigger"),
	}
	own := option.NewParser(w.values(""))
	p.Name = own.String("name", "")
	if v, ok := own.Value("name"); ok && (utf8.RuneCountInString(p.Name) > maxNameRunes || strings.ContainsFunc(p.Name, unicode.IsControl)) {
		own.Report(v, problem.InvalidValue, "name is longer than %d characters, or holds control characters", maxNameRunes)
	}
	p.AllowInsecure = own.Bool("allowInsecure", false)
	p.Select, _ = own.List("select")
	p.Paths = w.paths(w.values("paths"))
	if v, ok := p.Delta.Lookup("path"); ok {
		p.Table = w.path(p.Paths, v)
	} else {
		w.report(p.Delta.Pos, problem.MissingOption, "path is missing in sink.delta").Fix("say where the table is: sink.delta.path: /data/clicks")
	}
	if v, ok := own.Value("checkpointLocation"); ok {
		p.Checkpoint = w.path(p.Paths, v)
	} else {
		w.report(w.begin, problem.MissingOption, "checkpointLocation is missing").
			Fix("say where the stream keeps its progress: checkpointLocation: /data/_checkpoints/clicks")
	}
	if q := Apart(p.Table, p.Checkpoint, insideLocal); q != nil {
		w.problems = append(w.problems, q)
	}
	for _, q := range own.Finish() {
		if !w.faulty[q.Where] {
			w.problems = append(w.problems, q)
		}
	}
	p.problems, p.faulty = w.problems, w.faulty
	p.References = w.references
	return p
}

// path resolves the value of an option that is a path.
func (w *walker) path(paths Paths, v option.Value) Path {
	if w.faulty[v.Pos] {
		return Path{}
	}
	if v.IsList {
		w.report(v.Pos, problem.InvalidValue, "%s is a list; want a path", v.Key)
		w.faulty[v.Pos] = true
		return Path{}
	}
	path, q := paths.Resolve(v.Reveal())
	if q != nil {
		w.problems = append(w.problems, q.At(v.Pos))
		w.faulty[v.Pos] = true
	}
	path.Pos = v.Pos
	return path
}

// unreadable says why a file cannot be read, without the path that the operating system repeats.
func unreadable(file string, err error) *problem.Problem {
	p := problem.New(problem.FileUnreadable, "the file cannot be read").At(problem.File(file)).Because(option.Reason(err))
	if errors.Is(err, fs.ErrNotExist) {
		p.Message = "there is no such file"
		p.Why = ""
	}
	return p
}

// readFile reads at most one byte more than limit, so that the caller sees that a file is too large.
func readFile(name string, limit int64) (data []byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = cmp.Or(err, f.Close()) }()
	return io.ReadAll(io.LimitReader(f, limit+1))
}

// report adds a problem.
func (w *walker) report(where problem.Location, code problem.Code, format string, args ...any) *problem.Problem {
	p := problem.New(code, format, args...).At(where)
	w.problems = append(w.problems, p)
	return p
}

// refuse is report for a value, which then counts as faulty.
func (w *walker) refuse(v option.Value, code problem.Code, format string, args ...any) *problem.Problem {
	w.faulty[v.Pos] = true
	return w.report(v.Pos, code, "%s", fmt.Sprintf(format, args...))
}
