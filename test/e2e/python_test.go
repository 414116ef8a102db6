//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// A script is a Python process that answers JSON lines, one for each that it is sent. Its method ask may be called concurrently.
type script struct {
	name string
	cmd  *exec.Cmd

	mu  sync.Mutex
	in  io.WriteCloser
	out *bufio.Scanner
}

// startScript starts a script of the folder python.
func startScript(interpreter, name string) (*script, error) {
	s := &script{name: name, cmd: exec.Command(interpreter, filepath.Join("python", name))}
	s.cmd.Stderr = os.Stderr
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = bufio.NewScanner(out)
	s.out.Buffer(nil, 16<<20)
	return s, s.cmd.Start()
}

// stop lets the script end.
func (s *script) stop() error {
	if err := errors.Join(s.in.Close(), s.cmd.Wait()); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return nil
}

// ask sends a request and reads the answer; an answer with an error is one.
func (s *script) ask(request, answer any) error {
	b, err := json.Marshal(request)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.in.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("ask %s: %w", s.name, err)
	}
	if !s.out.Scan() {
		return fmt.Errorf("%s ended: %v", s.name, s.out.Err())
	}
	var failure struct{ Error string }
	if err := json.Unmarshal(s.out.Bytes(), &failure); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	if failure.Error != "" {
		return fmt.Errorf("%s on %s: %s", s.name, b, failure.Error)
	}
	return json.Unmarshal(s.out.Bytes(), answer)
}

// mustAsk is ask for a test's own goroutine.
func (s *script) mustAsk(t *testing.T, request, answer any) {
	t.Helper()
	if err := s.ask(request, answer); err != nil {
		t.Fatal(err)
	}
}
