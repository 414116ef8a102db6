package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestCommandsOfTheREADMEExist: the README's indented lines need a cluster or minutes, and are not typed by the tests of the guides. What
// they name exists all the same: make's targets, silt's commands with their flags, packages.
func TestCommandsOfTheREADMEExist(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(string(readme), "") // fenced blocks have tests of their own
	seen := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^    (\S.*)$`).FindAllStringSubmatch(text, -1) {
		line, _, _ := strings.Cut(m[1], "#")
		words := strings.Fields(line)
		seen[words[0]]++
		switch words[0] {
		case "make":
			if !strings.Contains(string(makefile), "\n"+words[1]+": ") {
				t.Errorf("%s: there is no such target", m[1])
			}
		case "./silt":
			var flags cli
			if _, err := newApp(process{}).parser(&flags).Parse(words[1:]); err != nil {
				t.Errorf("%s: %v", m[1], err)
			}
		case "go":
			if _, err := os.Stat("../../" + words[len(words)-1]); err != nil {
				t.Errorf("%s: %v", m[1], err)
			}
		default:
			t.Errorf("%s: nobody looks whether that is true", m[1])
		}
	}
	if seen["make"] < 3 || seen["./silt"] < 3 {
		t.Errorf("found %v: the README's lines are written in another way", seen)
	}
}
