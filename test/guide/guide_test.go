package guide

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const page = "# A page\n\n`a.json`:\n\n```json\n{}\n```\n\nText.\n\n" +
	"```console\n$ serve\nlistening on :8081\n```\n\n```console\n$ look\n3 rows\n$ silt datagen\nE1100 no\n$ echo $?\n2\n```\n\n```console\n^Cstopping\nstopped\n```\n"

func TestAPageIsFilesAndSteps(t *testing.T) {
	p, err := parse("page.md", page)
	if err != nil {
		t.Fatal(err)
	}
	want := Page{Name: "page.md", Files: map[string]string{"a.json": "{}\n"}, Steps: []Step{
		{12, "serve", "listening on :8081\n"}, {17, "look", "3 rows\n"}, {19, "silt datagen", "E1100 no\n"}, {21, "echo $?", "2\n"},
		{26, Interrupt, "stopping\nstopped\n"},
	}}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := parse("page.md", "```console\noutput\n```\n"); err == nil || !strings.Contains(err.Error(), "page.md:2") {
		t.Errorf("a block without a command: %v", err)
	}
}

func TestShapes(t *testing.T) {
	for _, tt := range []struct {
		shown, printed string
		want           bool
	}{
		{"a\n", "a\n", true},
		{"a\n", "a", true}, // curl ends no line
		{"a\n", "b\n", false},
		{"a\n", "a\nb\n", false},
		{"3 rows, 1.5/s, 1,234 ms\n", "12 rows, 1,033/s, 7 ms\n", true}, // numbers are any
		{"1 row   in\n", "3 rows in\n", true},                           // and their plurals, and the width of a column
		{"3 rows\n", "rows\n", false},
		{"3 rows\n", "3 columns\n", false},
		{"0..3\n", "0..1893\n", true},
		{"E1100 no\n", "E8001 no\n", false}, // but the code of an error is that one
		{"id 4148ec41-6fbc-4cf0-9fb4-13ddfe89515c\n", "id abcdefab-6fbc-4cf0-9fb4-13ddfe895100\n", true},
		{"begin\n...\nend 3\n", "begin\nmore\nand more\nend 5\n", true}, // lines are left out
		{"{\"ip\":\"1.2.3.4\",...}\n", "{\"ip\":\"222.1.1.1\",\"agent\":\"Mozilla (...)\"}\n", true},
		{"begin\n...\nend\n", "begin\nend\n", true}, // or none are
		{"begin\n...\nend\n", "begin\nthe end\n", false},
		{"begin\n...\nend\n", "begin\nmore\n", false},
	} {
		if got := Matches(tt.shown, tt.printed); got != tt.want {
			t.Errorf("shown %q, printed %q: %v", tt.shown, tt.printed, got)
		}
	}
	if !Begins("a 1\n", "a 2\nb\n") || Begins("a\nb\n", "a\n") {
		t.Error("what goes on begins with what is shown")
	}
}

// A scripted shell prints what it is told to.
type scripted struct {
	prints  map[string][]string // by command, one run after the other
	status  map[string]int
	started string
	typed   []string
}

func (s *scripted) Run(command string) (string, int) {
	s.typed = append(s.typed, command)
	out := s.prints[command][0]
	if len(s.prints[command]) > 1 {
		s.prints[command] = s.prints[command][1:]
	}
	return out, s.status[command]
}
func (s *scripted) GoesOn(command string) bool { return command == "serve" }
func (s *scripted) Start(command string)       { s.started = s.prints[command][0] }
func (s *scripted) Printed() string            { return s.started }
func (s *scripted) Interrupt() int             { s.started += s.prints[Interrupt][0]; return 0 }

func TestPlayFindsWhatIsNotTrue(t *testing.T) {
	p, err := parse("page.md", strings.ReplaceAll(page, "look", "silt topic peek"))
	if err != nil {
		t.Fatal(err)
	}
	good := func() *scripted {
		return &scripted{
			prints: map[string][]string{
				"serve": {"listening on :9\n"}, "silt topic peek": {"0 columns\n", "9 rows\n"}, "silt datagen": {"E1100 no\n"},
				Interrupt: {"more\nstopping\nstopped\n"},
			},
			status: map[string]int{"silt datagen": 2},
		}
	}
	sh := good()
	if errs := p.Play(sh, nil); len(errs) != 0 || len(sh.typed) != 3 { // a look is typed again
		t.Errorf("%d typed: %v", len(sh.typed), errs)
	}
	sh = good()
	if errs := p.Play(sh, func(c string) bool { return c == "silt topic peek" }); len(errs) != 0 || len(sh.typed) != 1 {
		t.Errorf("%v typed: %v", sh.typed, errs)
	}
	for what, spoil := range map[string]func(*scripted){
		"page.md:19: silt datagen": func(s *scripted) { s.prints["silt datagen"] = []string{"E1101 no\n"} },
		"page.md:21: echo $?":      func(s *scripted) { s.status["silt datagen"] = 1 },
		"page.md:26: ^C":           func(s *scripted) { s.prints[Interrupt] = []string{"killed\n"} },
		"exit status 3, which":     func(s *scripted) { s.status["silt topic peek"] = 3 },
	} {
		sh := good()
		spoil(sh)
		errs := p.Play(sh, nil)
		if len(errs) != 1 || !strings.Contains(errs[0].Error(), what) {
			t.Errorf("want one error with %q, got %v", what, errs)
		}
	}
}
