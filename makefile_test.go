package silt_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	makeTarget = regexp.MustCompile(`(?m)^([a-z0-9-]+):`)
	makeRun    = regexp.MustCompile(`-run '?([^' ]+)'? \./(\S+)`)
	testName   = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
)

// TestMakeRunsTheTestsThatItNames: go test passes where -run matches nothing.
func TestMakeRunsTheTestsThatItNames(t *testing.T) {
	text, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	var soak *regexp.Regexp
	target, runs := "", 0
	for line := range strings.Lines(string(text)) {
		if m := makeTarget.FindStringSubmatch(line); m != nil {
			target = m[1]
		}
		m := makeRun.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		runs++
		if target == "soak" {
			soak = regexp.MustCompile(m[1])
		}
		for one := range strings.SplitSeq(m[1], "|") {
			if len(testsOf(t, m[2], regexp.MustCompile(one))) == 0 {
				t.Errorf("make %s: no test of %s matches %q", target, m[2], one)
			}
		}
	}
	if runs < 2 || soak == nil {
		t.Fatalf("%d lines with -run were found, that of soak among them: %v", runs, soak != nil)
	}
	// What has larger counts in a soak is run by it.
	for name, tests := range testsOf(t, "test/e2e", regexp.MustCompile("")) {
		if file, err := os.ReadFile(name); err != nil || !strings.Contains(string(file), "theCounts()") {
			continue
		}
		for _, test := range tests {
			if !soak.MatchString(test) {
				t.Errorf("make soak does not run %s of %s, which has the counts of a soak", test, name)
			}
		}
	}
}

// testsOf returns the tests of a folder that match, by file.
func testsOf(t *testing.T, dir string, match *regexp.Regexp) map[string][]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string][]string{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testName.FindAllStringSubmatch(string(text), -1) {
			if match.MatchString(m[1]) {
				tests[name] = append(tests[name], m[1])
			}
		}
	}
	return tests
}
