package silt_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/problem"
)

// maxFileLines is the length of a file that nobody reads any more.
const maxFileLines = 900

// tracked lists the files of the repository; without git (a source archive) it walks the directory.
func tracked(t *testing.T) []string {
	t.Helper()
	if out, err := exec.Command("git", "ls-files", "-z").Output(); err == nil && len(out) > 0 {
		var names []string
		for _, name := range strings.Split(strings.TrimRight(string(out), "\x00"), "\x00") {
			if _, err := os.Stat(name); err == nil { // deleted and not committed yet
				names = append(names, name)
			}
		}
		return names
	}
	var names []string
	err := filepath.WalkDir(".", func(name string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// A source is a parsed Go file that is no test.
type source struct {
	name string // from the module's root, with slashes
	file *ast.File
	set  *token.FileSet
}

// sources are the Go files of the binary: no tests, and no tools of tests.
func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	for _, name := range tracked(t) {
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.Contains(name, "testdata/") ||
			strings.HasPrefix(name, "test/") {
			continue
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, source{name, f, set})
	}
	if len(out) == 0 {
		t.Fatal("no Go files found")
	}
	return out
}

// The patterns are written so that this file does not match them.
var (
	unfinished   = regexp.MustCompile(`\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b|(?i)not[ ]implemented`)
	machinePaths = regexp.MustCompile(`/(work|root|Users|home/[a-z][a-z0-9_-]*|tmp/[a-z]+)/`)
)

func TestFilesHoldNoUnfinishedWorkAndNoPathsOfOneMachine(t *testing.T) {
	for _, name := range tracked(t) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(data, 0) >= 0 || filepath.Base(name) == "go.sum" {
			continue
		}
		n := 0
		for line := range bytes.Lines(data) {
			n++
			for _, bad := range []*regexp.Regexp{unfinished, machinePaths} {
				if m := bad.Find(line); m != nil {
					t.Errorf("%s:%d: %q", name, n, m)
				}
			}
		}
		if strings.HasSuffix(name, ".go") && n > maxFileLines {
			t.Errorf("%s has %d lines; want at most %d", name, n, maxFileLines)
		}
	}
}

func TestTheLintFindsWhatItShall(t *testing.T) {
	for _, bad := range []string{"// FIX" + "ME later", "// TO" + "DO(x)", "panic(\"not " + "implemented\")", "open(\"/ro" + "ot/x\")",
		"/ho" + "me/someone/silt"} {
		if !unfinished.MatchString(bad) && !machinePaths.MatchString(bad) {
			t.Errorf("%s is not found", bad)
		}
	}
	for _, good := range []string{"fixmes", "/home/", "a/work", "/tmp/x", "XXXL"} {
		if unfinished.MatchString(good) || machinePaths.MatchString(good) {
			t.Errorf("%s is found", good)
		}
	}
}

func TestNothingRegistersItself(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: func init: formats, stores and commands are explicit lists", s.set.Position(f.Pos()))
			}
		}
	}
}

func TestEveryProblemCodeIsDocumentedWithItsExitStatus(t *testing.T) {
	page, err := os.ReadFile("docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for line := range strings.Lines(string(page)) {
		if h, ok := strings.CutPrefix(line, "### "); ok {
			got = append(got, strings.TrimSpace(h))
		}
	}
	for _, code := range problem.Codes() {
		want = append(want, string(code))
		status := fmt.Sprintf("Exit status %d.", code.Exit())
		_, section, _ := strings.Cut(string(page), "### "+string(code)+"\n")
		if section, _, _ = strings.Cut(section, "\n### "); !strings.Contains(section, status) {
			t.Errorf("docs/errors.md: %s does not say: %s", code, status)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("docs/errors.md has the codes\n%v\nwant\n%v", got, want)
	}
}

var (
	testFunc    = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	namedTest   = regexp.MustCompile("`(Test\\w+)`")
	chosenTests = regexp.MustCompile(` -run (\S+)`)
)

// What a document or a target of make calls a test is one: `go test -run` of a name that is gone passes.
func TestTestsThatAreNamedAreThere(t *testing.T) {
	named := func(file string, pattern *regexp.Regexp) (found []string) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range pattern.FindAllSubmatch(text, -1) {
			found = append(found, string(m[1]))
		}
		return found
	}
	var tests []string
	for _, name := range tracked(t) {
		if strings.HasSuffix(name, "_test.go") {
			tests = append(tests, named(name, testFunc)...)
		}
	}
	for _, page := range tracked(t) {
		if !strings.HasSuffix(page, ".md") {
			continue
		}
		for _, name := range named(page, namedTest) {
			if !slices.Contains(tests, name) {
				t.Errorf("%s names %s, which is not there", page, name)
			}
		}
	}
	targets := named("Makefile", chosenTests)
	if len(targets) == 0 {
		t.Fatal("the Makefile chooses no tests")
	}
	for _, target := range targets {
		for _, part := range strings.Split(strings.Trim(target, "'"), "|") {
			is := regexp.MustCompile(strings.ReplaceAll(part, "$$", "$"))
			if !slices.ContainsFunc(tests, is.MatchString) {
				t.Errorf("Makefile: no test is called %s", part)
			}
		}
	}
}
