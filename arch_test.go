package silt_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/siltlake/silt"

// layers says what each package under internal may import of the others: what its row names, and what those may import. column and
// problem may be imported by all, and import nothing of ours. A row names lower layers only, so there are no arrows sideways: kafka,
// decode and table never meet, and microbatch sees contracts only.
var layers = []map[string][]string{
	0: {"column": nil, "problem": nil},
	1: {"secret": nil, "stream": nil, "avro": nil, "parquet": nil, "term": nil, "filelock": nil, "doctor": nil},
	2: {"option": {"secret"}, "broker": {"secret", "filelock"}, "httpd": {"secret"}},
	3: {
		"config": {"option"}, "scope": {"option", "filelock"}, "store": {"option"}, "registry": {"option"},
		"kafka": {"option", "stream"}, "microbatch": {"option", "stream"},
		"registryd": {"httpd"},
	},
	4: {
		"decode":     {"option", "stream", "registry", "avro"},
		"delta":      {"store", "parquet"},
		"checkpoint": {"store", "stream"},
		"datagen":    {"kafka", "registry", "avro"},
		"cloud":      {"option", "store"},
	},
	5: {
		"table":  {"option", "stream", "delta", "parquet", "store"},
		"verify": {"stream", "delta", "parquet", "store"},
	},
}

// everywhere are the packages that all may import.
var everywhere = []string{"column", "problem"}

// allowed returns, for every package, the closure of what it may import.
func allowed(t *testing.T) map[string]map[string]bool {
	t.Helper()
	may := map[string]map[string]bool{}
	for n, layer := range layers {
		closed := map[string]map[string]bool{}
		for name, imports := range layer {
			closed[name] = map[string]bool{}
			for _, i := range imports {
				below, ok := may[i]
				if !ok {
					t.Fatalf("layer %d: %s may import %s, which is not in a lower layer", n, name, i)
				}
				closed[name][i] = true
				maps.Copy(closed[name], below)
			}
			if n > 0 {
				for _, i := range everywhere {
					closed[name][i] = true
				}
			}
		}
		maps.Copy(may, closed)
	}
	return may
}

// goPackage is what `go list -json` says of a package; Imports are those of files that are not tests.
type goPackage struct {
	ImportPath string
	Imports    []string
}

func goPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if len(packages) == 0 {
		t.Fatal("go list gave no package")
	}
	return packages
}

// internalName is the package under internal that a path belongs to, "" if none: store/storetest belongs to store.
func internalName(path string) string {
	rest, ok := strings.CutPrefix(path, module+"/internal/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// violation says what is wrong with an import, or "".
func violation(may map[string]map[string]bool, from, to string) string {
	if to != module && !strings.HasPrefix(to, module+"/") {
		return "" // not ours
	}
	name, target := internalName(from), internalName(to)
	switch {
	case strings.HasPrefix(from, module+"/test/") && strings.HasPrefix(to, module+"/test/"):
		return ""
	case strings.HasPrefix(to, module+"/cmd/") || strings.HasPrefix(to, module+"/test/"):
		return from + " imports " + to + ", which is for nobody else"
	case name == "":
		return "" // the wiring, the commands and the tools of the tests know all parts
	case target == "":
		return from + " imports " + to + ": what is above may not be seen from internal"
	case name != target && !may[name][target]:
		return from + " imports " + to + ", which is no lower layer of it"
	}
	return ""
}

func TestPackagesImportLowerLayersOnly(t *testing.T) {
	may := allowed(t)
	for _, p := range goPackages(t) {
		if name := internalName(p.ImportPath); name != "" && may[name] == nil {
			t.Errorf("%s has no layer: give it one here and in the design", p.ImportPath)
			continue
		}
		for _, i := range p.Imports {
			if v := violation(may, p.ImportPath, i); v != "" {
				t.Error(v)
			}
		}
	}
}

func TestTheLayersRefuseWhatTheyShall(t *testing.T) {
	may := allowed(t)
	tests := []struct {
		from, to string
		ok       bool
	}{
		{"/internal/decode", "/internal/avro", true},
		{"/internal/kafka", "/internal/secret", true}, // by way of option
		{"/internal/store/storetest", "/internal/store", true},
		{"/internal/column", "/internal/problem", false},
		{"/internal/kafka", "/internal/decode", false},
		{"/internal/decode", "/internal/kafka", false},
		{"/internal/table", "/internal/kafka", false},
		{"/internal/microbatch", "/internal/checkpoint", false},
		{"/internal/microbatch", "/internal/kafka", false}, // sideways
		{"/internal/stream", "/internal/option", false},    // upwards
		{"/internal/term", "", false},                      // the wiring
		{"/internal/term", "/cmd/silt", false},
		{"", "/internal/kafka", true},
		{"/cmd/silt", "", true},
		{"", "/cmd/silt", false},
	}
	for _, tt := range tests {
		if v := violation(may, module+tt.from, module+tt.to); (v == "") != tt.ok {
			t.Errorf("%s imports %s: got %q", tt.from, tt.to, v)
		}
	}
	for _, pair := range [][2]string{{"kafka", "decode"}, {"decode", "table"}, {"kafka", "table"}} {
		if may[pair[0]][pair[1]] || may[pair[1]][pair[0]] {
			t.Errorf("%s and %s meet", pair[0], pair[1])
		}
	}
	want := []string{"column", "option", "problem", "secret", "stream"}
	if got := slices.Sorted(maps.Keys(may["microbatch"])); !slices.Equal(got, want) {
		t.Errorf("microbatch sees %v, want contracts only: %v", got, want)
	}
}
