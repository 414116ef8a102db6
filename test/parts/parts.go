// Package parts brings real parts to silt's tests, its example and its benchmarks: Apache Kafka, and a Python with Confluent's client,
// fastavro, delta-rs and DuckDB. What has to be downloaded is downloaded once, into the user's cache directory, at exact versions.
//
// A part that cannot be had on a machine is a *Missing; a test says so and is skipped, but fails where CI=true.
package parts

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Missing says which part cannot be had on this machine, and why.
type Missing struct {
	Part, Why string
}

func (m *Missing) Error() string { return fmt.Sprintf("%s is missing: %s", m.Part, m.Why) }

// Dir returns the directory that holds the downloaded parts: $SILT_CACHE, or "silt" in the user's cache directory.
func Dir() (string, error) {
	if dir := os.Getenv("SILT_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a cache directory (set SILT_CACHE): %w", err)
	}
	return filepath.Join(cache, "silt"), nil
}

// Need ends the test if err is not nil: a missing part skips it and leaves a line, the reason and the test, in the file that $SILT_SKIPPED
// names, which `make test` sums up at its end; under CI=true, and for any other error, the test fails.
func Need(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	missing, ok := errors.AsType[*Missing](err)
	if !ok || os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	if err := noteSkipped(t.Name(), missing); err != nil {
		t.Fatal(err)
	}
	t.Skip(missing)
}

func noteSkipped(test string, missing *Missing) error {
	file := os.Getenv("SILT_SKIPPED")
	if file == "" {
		return nil
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%v\t%s\n", missing, test)
	return errors.Join(err, f.Close())
}

// An install is a directory of the cache that is filled once. Its name holds a hash of what decides its content, so that a changed pin
// makes another one.
type install struct {
	part string // as in Missing
	name string // of the directory
	pin  []byte // what decides its content
	// fill fills the empty directory dir; log is a file for what the installer prints.
	fill func(dir string, log *os.File) error
}

// get returns the filled directory. Two processes never fill at once: the second one waits for the first.
func (in install) get() (string, error) {
	root, err := Dir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(in.pin)
	dir := filepath.Join(root, in.name+"-"+hex.EncodeToString(sum[:6]))
	done := filepath.Join(dir, ".complete")
	if _, err := os.Stat(done); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", err
	}
	unlock, err := lockFile(dir + ".lock")
	if err != nil {
		return "", &Missing{in.part, err.Error()}
	}
	defer unlock()
	if _, err := os.Stat(done); err == nil {
		return dir, nil // another process filled it while this one waited
	}
	// What a killed installer left is not trusted.
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := in.run(dir); err != nil {
		return "", err
	}
	return dir, os.WriteFile(done, nil, 0o644)
}

func (in install) run(dir string) error {
	log, err := os.Create(dir + ".log")
	if err != nil {
		return err
	}
	defer log.Close()
	fmt.Fprintf(os.Stderr, "installing %s into %s (once; log: %s)\n", in.part, dir, log.Name())
	if err := in.fill(dir, log); err != nil {
		if missing, ok := errors.AsType[*Missing](err); ok {
			return missing
		}
		return &Missing{in.part, fmt.Sprintf("%v%s", err, lastLines(log.Name(), 5))}
	}
	return nil
}

// lastLines returns the last n lines of a log for an error message.
func lastLines(file string, n int) string {
	b, err := os.ReadFile(file)
	if err != nil || len(b) == 0 {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	lines = lines[max(0, len(lines)-n):]
	return "\n  " + file + ":\n    " + strings.Join(lines, "\n    ")
}

// runLogged runs a program at low priority, so that an install does not disturb what else the machine does.
func runLogged(log *os.File, dir, name string, args ...string) error {
	cmd := niced(name, args...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return nil
}

func niced(name string, args ...string) *exec.Cmd {
	if nice, err := exec.LookPath("nice"); err == nil {
		return exec.Command(nice, append([]string{"-n", "10", name}, args...)...)
	}
	return exec.Command(name, args...)
}
