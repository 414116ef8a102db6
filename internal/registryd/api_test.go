package registryd

import (
	"fmt"
	"github.com/siltlake/silt/test/golden"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheAPIAnswersAsItsScriptsSay runs every testdata/api/*.txt against an empty registry. A call is a line "> METHOD PATH [BODY]" or, with
// the header for newer fields, ">> ..."; its answer follows as status and body. "~ restart" opens the registry anew from its journal, and
// "~ journal" prints that. Lines with # are comments.
func TestTheAPIAnswersAsItsScriptsSay(t *testing.T) {
	files, err := filepath.Glob("testdata/api/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(script))
			if golden.Update() {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(script) {
				t.Errorf("%s differs:\n%s", file, firstDifference(string(script), got))
			}
		})
	}
}

func runScript(t *testing.T, script string) string {
	t.Helper()
	j := &memJournal{}
	r := open(t, j, Options{})
	var out strings.Builder
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		command, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			out.WriteString(line + "\n")
		case line == "~ restart":
			r = open(t, j, Options{})
			out.WriteString(line + "\n")
		case line == "~ journal":
			out.WriteString(line + "\n" + j.text())
		case command == ">" || command == ">>":
			method, rest, _ := strings.Cut(rest, " ")
			path, body, _ := strings.Cut(rest, " ")
			var header []string
			if command == ">>" {
				header = []string{"Confluent-Accept-Unknown-Properties", "true"}
			}
			status, answer := send(t, r, method, path, body, header...)
			fmt.Fprintf(&out, "%s\n%d %s\n", line, status, strings.TrimSuffix(answer, "\n"))
		}
	}
	return out.String()
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d\nwant %s\ngot  %s", i+1, w[i], g[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}
