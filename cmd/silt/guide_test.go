package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/siltlake/silt/test/guide"
)

// The guides that start a demo are true: what they type into it prints what they show. Commands of other programs are typed by the test of
// the same guides in test/e2e, which has these programs.
func TestGuidesToTheDemoAreTrue(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^demo: build.*\n\tbuild/silt demo$`).Match(makefile) {
		t.Error("make demo does not run build/silt demo, as the README says")
	}
	defer guide.TakePorts()()
	for _, name := range []string{"README.md", "docs/demo.md", "docs/clients.md", "docs/from-databricks.md"} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			page, err := guide.Read(filepath.Join("..", "..", filepath.FromSlash(name)))
			if err != nil {
				t.Fatal(err)
			}
			page.Name = name
			t.Chdir(t.TempDir())
			for file, text := range page.Files {
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			sh := &demoShell{t: t}
			t.Cleanup(func() {
				if sh.running {
					sh.Interrupt()
				}
			})
			typed := 0
			for _, err := range page.Play(sh, func(command string) bool {
				if !sh.knows(command) {
					return true
				}
				typed++
				return false
			}) {
				t.Error(err)
			}
			if typed == 0 {
				t.Error("the page types nothing into silt")
			}
		})
	}
}

// A demoShell is a person at a terminal, with a demo running in another one.
type demoShell struct {
	t       *testing.T
	demo    *fakeProcess // the last one that was started
	running bool
	ended   chan int
}

// ourCommand is one of silt alone, in the foreground.
var ourCommand = regexp.MustCompile(`^(build/)?silt [^|&$;]*$`)

func (s *demoShell) knows(command string) bool {
	return command == "echo $?" || ourCommand.MatchString(command)
}

// process is one for a command, called as the command calls it.
func (s *demoShell) process(command string) *fakeProcess {
	f := newFakeProcess(newEngine())
	f.name, f.screen = strings.Fields(command)[0], true
	return f
}

func (s *demoShell) GoesOn(command string) bool {
	return !s.running && strings.Fields(command)[1] == "demo" && !strings.Contains(command, "--for") && !strings.Contains(command, "--clean")
}

func (s *demoShell) Run(command string) (string, int) {
	command, file, _ := strings.Cut(command, " < ")
	f := s.process(command)
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			s.t.Fatal(err)
		}
		f.stdin = bytes.NewReader(text)
	}
	status := f.main(strings.Fields(command)[1:]...)
	return f.stdout.String(), status
}

func (s *demoShell) Start(command string) {
	s.running, s.demo, s.ended = true, s.process(command), make(chan int, 1)
	go func() { s.ended <- s.demo.main(strings.Fields(command)[1:]...) }()
}

func (s *demoShell) Printed() string { return s.demo.stdout.String() }

func (s *demoShell) Interrupt() int {
	s.demo.signals <- os.Interrupt
	s.running = false
	return <-s.ended
}
