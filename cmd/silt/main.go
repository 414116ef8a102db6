// Command silt reads Kafka topics with a Schema Registry and lands them in Delta Lake tables, exactly once.
//
// There is one file for each subcommand. Results go to stdout, everything else to stderr; the exit status is one of package problem's.
package main

import (
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"golang.org/x/term"
)

func main() {
	build, _ := debug.ReadBuildInfo()
	a := newApp(process{
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
		terminal:    term.IsTerminal(int(os.Stderr.Fd())),
		interactive: term.IsTerminal(int(os.Stderr.Fd())) && term.IsTerminal(int(os.Stdin.Fd())),
		width: func() int {
			if w, _, err := term.GetSize(int(os.Stderr.Fd())); err == nil && w > 0 {
				return w
			}
			return 80
		},
		build:  build,
		engine: newEngine(),
	})
	os.Exit(a.main(os.Args[1:]))
}
