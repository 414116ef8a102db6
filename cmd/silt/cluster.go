package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/term"
)

// clusterFlags say where the broker and the registry are: in a pipeline file, so that there is one place for addresses and logins.
type clusterFlags struct {
	Config string   `short:"c" placeholder:"FILE" env:"SILT_CONFIG" help:"The pipeline file that says where broker and registry are; by default pipeline.yaml, else demo/pipeline.yaml."`
	Set    []string `short:"s" placeholder:"PATH=VALUE" sep:"none" help:"Override a value of the file; may be repeated."`
}

// defaultConfigs are looked for in this order.
var defaultConfigs = []string{"pipeline.yaml", "demo/pipeline.yaml"}

// pipeline loads the file.
func (f clusterFlags) pipeline(a *app) (*config.Pipeline, error) {
	if name := orDefaultConfig(f.Config); name != "" {
		return a.load(name, f.Set)
	}
	return nil, problem.New(problem.Usage, "no pipeline file says where broker and registry are").
		Fix("name it: -c FILE; without it silt looks for %s", strings.Join(defaultConfigs, " and "))
}

// orDefaultConfig returns the pipeline file that was named, else a default one that is there, else "".
func orDefaultConfig(named string) string {
	if named != "" {
		return named
	}
	for _, name := range defaultConfigs {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			return name
		}
	}
	return ""
}

// dryRunFlag is embedded in every command that changes something.
type dryRunFlag struct {
	DryRun bool `help:"Say what would be done, and do nothing."`
}

// confirm makes sure that the user means what is about to be deleted: by its name behind --yes, or typed on a terminal.
func (a *app) confirm(what, name, yes string) error {
	switch {
	case yes == name:
		return nil
	case yes != "":
		return problem.New(problem.Usage, "--yes is %q, and the %s is %q", yes, what, name).Fix("repeat the name: --yes %s", name)
	case !a.interactive:
		return problem.New(problem.Usage, "deleting the %s %s needs its name once more", what, name).Fix("add --yes %s", name)
	}
	if _, err := io.WriteString(a.status, fmt.Sprintf("  type the name of the %s to delete it: ", what)); err != nil {
		return err
	}
	line, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return problem.New(problem.FileUnreadable, "the answer cannot be read: %w", err)
	}
	if strings.TrimSpace(line) != name {
		return problem.New(problem.Usage, "that is not the name of the %s; nothing was deleted", what)
	}
	return nil
}

// result writes what a command did: v for programs, a line for people.
func (a *app) result(f term.Format, v any, format string, args ...any) error {
	if f.Machine() {
		return term.WriteJSON(a.out, v)
	}
	_, err := io.WriteString(a.out, term.Clean(fmt.Sprintf(format, args...))+"\n")
	return err
}

// maxInput bounds the files that commands read: schemas.
const maxInput = 4 << 20

// readInput reads the file, or stdin for "-".
func (a *app) readInput(name string) (string, error) {
	in := a.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			var pe *fs.PathError
			if errors.As(err, &pe) {
				err = pe.Err
			}
			return "", problem.New(problem.FileUnreadable, "the file cannot be read: %w", err).At(problem.File(name))
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	switch {
	case err != nil:
		return "", problem.New(problem.FileUnreadable, "the file cannot be read: %w", err).At(problem.File(name))
	case len(b) > maxInput:
		return "", problem.New(problem.TooLarge, "the file is larger than %d MiB", maxInput>>20).At(problem.File(name))
	case strings.TrimSpace(string(b)) == "":
		return "", problem.New(problem.Syntax, "the file is empty").At(problem.File(name))
	}
	return string(b), nil
}
