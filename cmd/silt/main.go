// Command silt reads Kafka topics with a Schema Registry and lands them in Delta Lake tables, exactly once.
//
// There is one file for each subcommand. Results go to stdout, everything else to stderr; the exit status is one of package problem's.
package main

import (
	"errors"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"golang.org/x/term"
)

func main() {
	build, _ := debug.ReadBuildInfo()
	terminal := term.IsTerminal(int(os.Stderr.Fd()))
	p := process{
		name:   os.Args[0],
		stdin:  os.Stdin,
		stdout: os.Stdout,
		stderr: os.Stderr,
		// Two signals may come before anybody looks.
		signals: func() (<-chan os.Signal, func()) {
			c := make(chan os.Signal, 2)
			signal.Notify(c, os.Interrupt, syscall.SIGTERM)
			return c, func() { signal.Stop(c) }
		},
		env:         os.LookupEnv,
		exit:        os.Exit,
		terminal:    terminal,
		interactive: terminal && term.IsTerminal(int(os.Stdin.Fd())),
		width: func() int {
			if w, _, err := term.GetSize(int(os.Stderr.Fd())); err == nil && w > 0 {
				return w
			}
			return 80
		},
		build:  build,
		engine: newEngine(),
	}
	if terminal {
		p.askSecret = askSecret
	}
	a := newApp(p)
	a.takeLog()
	os.Exit(a.main(os.Args[1:]))
}

// takeLog makes what libraries print with package log come out as everything else does: net/http does so with the beginning of an answer that
// nobody asked for.
func (a *app) takeLog() { log.SetOutput(a.status) }

// askSecret asks on the process's terminal and shows nothing of the answer. Stdin may be something else.
func askSecret(prompt string) (string, error) {
	name := "/dev/tty"
	if runtime.GOOS == "windows" {
		name = "CONIN$"
	}
	tty, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return "", errors.New("there is no terminal")
	}
	defer tty.Close()
	if _, err := io.WriteString(os.Stderr, prompt); err != nil {
		return "", err
	}
	text, err := term.ReadPassword(int(tty.Fd()))
	_, _ = io.WriteString(os.Stderr, "\n")
	return string(text), err
}
