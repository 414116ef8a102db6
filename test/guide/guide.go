// Package guide reads the guides under docs: the files that they show, the commands that they type, and what these print. So the tests can
// do what a reader does.
//
// A file is its name in backquotes and a colon in a line of their own, and a block. What is typed is a console block: after "$ " a command,
// below it what it prints. A command that goes on prints more than its block shows; a block that begins with "^C" interrupts it and shows
// what it prints then. Numbers may be others, and "..." stands for anything that was left out.
package guide

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A Page is a guide.
type Page struct {
	Name  string
	Files map[string]string
	Steps []Step
}

// A Step is a command, or Interrupt, and what the page shows below it.
type Step struct {
	Line    int
	Command string
	Shown   string
}

// Interrupt is the command of a step that interrupts what goes on.
const Interrupt = "^C"

var (
	fileBlock    = regexp.MustCompile("(?ms)^`([\\w.-]+)`:\n\n```\\w+\n(.*?)^```$")
	consoleBlock = regexp.MustCompile("(?ms)^```console\n(.*?)^```$")
)

// Read reads a page.
func Read(name string) (Page, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return Page{}, err
	}
	return parse(name, string(text))
}

func parse(name, text string) (Page, error) {
	p := Page{Name: name, Files: map[string]string{}}
	for _, m := range fileBlock.FindAllStringSubmatch(text, -1) {
		p.Files[m[1]] = m[2]
	}
	for _, m := range consoleBlock.FindAllStringSubmatchIndex(text, -1) {
		at, first := strings.Count(text[:m[2]], "\n"), true
		for line := range strings.Lines(text[m[2]:m[3]]) {
			at++
			command, typed := strings.CutPrefix(line, "$ ")
			shown, interrupts := strings.CutPrefix(line, Interrupt)
			switch {
			case typed:
				p.Steps = append(p.Steps, Step{Line: at, Command: strings.TrimSuffix(command, "\n")})
			case interrupts:
				p.Steps = append(p.Steps, Step{Line: at, Command: Interrupt, Shown: strings.TrimPrefix(shown, "\n")})
			case first:
				return p, fmt.Errorf("%s:%d: a console block begins with a command", name, at)
			default:
				p.Steps[len(p.Steps)-1].Shown += line
			}
			first = false
		}
	}
	return p, nil
}

// shapes are what may be other than it is shown, in the order of the alternatives of one pattern.
var shapes = []struct{ find, match string }{
	{`^\.\.\.\n`, `(?:.*\n)*?`}, // lines, or none
	{`\.\.\.`, `(?s:.*?)`},
	{`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`, `[0-9a-f-]{36}`},
	{`\bE[0-9]{4}\b`, ""},                               // the codes of errors are what they are
	{`[0-9][0-9.,]*\.\.[0-9][0-9.,]*`, `[0-9][0-9.,]*`}, // a range; its end goes with its beginning
	{`[0-9](?:[0-9.,]*[0-9])?`, `[0-9](?:[0-9.,]*[0-9])?`},
	{` (?:row|record)s?\b`, ` (?:row|record)s?`},
	{` +`, ` +`},
	{`\n`, ` *\n`},
}

var anyShape = func() *regexp.Regexp {
	var finds []string
	for _, s := range shapes {
		finds = append(finds, "("+s.find+")")
	}
	return regexp.MustCompile("(?m)" + strings.Join(finds, "|"))
}()

// shape is the pattern of what is shown.
func shape(shown string) string {
	var b strings.Builder
	done := 0
	for _, m := range anyShape.FindAllStringSubmatchIndex(shown, -1) {
		b.WriteString(regexp.QuoteMeta(shown[done:m[0]]))
		done = m[1]
		which := slices.IndexFunc(m[2:], func(at int) bool { return at >= 0 }) / 2
		if pattern := shapes[which].match; pattern != "" {
			b.WriteString(pattern)
		} else {
			b.WriteString(regexp.QuoteMeta(shown[m[0]:m[1]]))
		}
	}
	return b.String() + regexp.QuoteMeta(shown[done:])
}

// Matches reports whether a command printed what is shown of it. A last line that was printed without its end counts as one.
func Matches(shown, printed string) bool {
	if printed != "" && !strings.HasSuffix(printed, "\n") {
		printed += "\n"
	}
	return regexp.MustCompile(`\A` + shape(shown) + `\z`).MatchString(printed)
}

// Begins reports whether what a command has printed until now begins as is shown.
func Begins(shown, printed string) bool {
	return regexp.MustCompile(`\A` + shape(shown)).MatchString(printed)
}

// A Shell is where a reader types.
type Shell interface {
	// Run types a command and returns what it prints, on stdout and stderr, and its exit status.
	Run(command string) (printed string, status int)
	// GoesOn reports whether a command does not end by itself. Start types it.
	GoesOn(command string) bool
	Start(command string)
	// Printed is what the started command has printed; Interrupt stops it and returns its exit status.
	Printed() string
	Interrupt() (status int)
}

// patience is how long a page may take to become true: a reader types slower than a test.
const patience = 20 * time.Second

// Play types the page's steps, but for those that skip names, and returns what was not as the page shows it. A command that only looks is
// typed again until the page is true, because what it looks at goes on meanwhile.
func (p Page) Play(sh Shell, skip func(command string) bool) []error {
	var wrong []error
	differ := func(s Step, printed string) {
		wrong = append(wrong, fmt.Errorf("%s:%d: %s\n--- shown\n%s--- printed\n%s", p.Name, s.Line, s.Command, s.Shown, printed))
	}
	var begun int // how much of what the started command printed is behind the reader
	status := 0
	for i, s := range p.Steps {
		switch {
		case s.Command == "echo $?":
			if want := fmt.Sprintln(status); s.Shown != want {
				differ(s, want)
			}
			continue
		case s.Command == Interrupt:
			status = sh.Interrupt()
			if printed := sh.Printed()[begun:]; !Matches("...\n"+s.Shown, printed) {
				differ(s, printed)
			}
		case skip != nil && skip(s.Command):
			continue
		case sh.GoesOn(s.Command):
			sh.Start(s.Command)
			if !await(func() bool { return Begins(s.Shown, sh.Printed()) }) {
				differ(s, sh.Printed())
			}
			begun = len(sh.Printed())
			continue
		default:
			var printed string
			match := func() bool {
				printed, status = sh.Run(s.Command)
				return Matches(s.Shown, printed)
			}
			if looks := onlyLooks(s.Command); !match() && (!looks || !await(match)) {
				differ(s, printed)
			}
		}
		if status != 0 && (i+1 == len(p.Steps) || p.Steps[i+1].Command != "echo $?") {
			wrong = append(wrong, fmt.Errorf("%s:%d: %s\nexit status %d, which the page does not show", p.Name, s.Line, s.Command, status))
		}
	}
	return wrong
}

var changing = regexp.MustCompile(`silt (-q )?(demo|datagen|run|topic (create|delete|produce)|registry (register|delete))\b`)

func onlyLooks(command string) bool { return !changing.MatchString(command) }

func await(done func() bool) bool {
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(50 * time.Millisecond) {
		if done() {
			return true
		}
	}
	return false
}
