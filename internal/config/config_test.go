package config_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
	"github.com/siltlake/silt/internal/term"
	"github.com/siltlake/silt/test/golden"
)

// The secrets of the test's environment and files.
const (
	canaryEnv  = "canary-from-env"
	canaryFile = "canary-from-file"
)

func env(name string) (string, bool) {
	v, ok := map[string]string{"REGISTRY_KEY": canaryEnv, "KEY": canaryEnv, "EMPTY": "", "TOPIC": "clickstreams", "OFFSET": "7",
		"BOOTSTRAP_SERVERS": "broker:9092"}[name]
	return v, ok
}

// readFile has the pipeline file and the secret files.
func readFile(data []byte) func(string, int64) ([]byte, error) {
	return func(name string, limit int64) ([]byte, error) {
		switch name {
		case "pipeline.yaml":
			return data, nil
		case "/run/secrets/registry":
			return []byte(canaryFile + "\r\n"), nil
		case "/run/secrets/large":
			return bytes.Repeat([]byte("x"), int(limit)+1), nil
		case "/run/secrets/empty":
			return []byte("\n"), nil
		case "/run/secrets/denied":
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
}

// storage knows two options of object stores.
func storage(key string) (sensitive, known bool) {
	sensitive = key == "the.key"
	return sensitive, sensitive || key == "the.token.endpoint"
}

// load reads data as pipeline.yaml; lines "# -s path=value" at its begin are overrides.
func load(data []byte, scrubber *secret.Scrubber) (*config.Pipeline, error) {
	var set []string
	for line := range strings.Lines(string(data)) {
		s, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "# -s ")
		if !ok {
			break
		}
		set = append(set, s)
	}
	return config.Load("pipeline.yaml", config.Options{Set: set, Env: env, ReadFile: readFile(data), Storage: storage, Secrets: scrubber})
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", dir, "*.yaml"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no files: %v", err)
	}
	return names
}

func TestBadFilesGiveAllTheirErrorsWithPlaces(t *testing.T) {
	for _, name := range files(t, "bad") {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			p, err := load(data, nil)
			if err == nil {
				err = p.Err()
			}
			list := problem.Of(err)
			if len(list) == 0 || problem.ExitStatus(err) != problem.ExitUsage {
				t.Fatalf("got %v", err)
			}
			var out bytes.Buffer
			if err := term.WriteProblems(&out, list, false); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(out.String(), "canary") {
				t.Error("a secret is in the output")
			}
			golden.Check(t, strings.TrimSuffix(name, ".yaml")+".golden", out.String())
		})
	}
}

// A password without quotes may be anything to YAML: an alias, a tag, a mapping, an error.
func TestNoErrorPrintsAPasswordThatYAMLMisreads(t *testing.T) {
	begins := []string{"", "!!int ", "!!bool ", "!!null ", "!!map ", "! ", "!<", "- ", "- - ", "? ", "{? ", "<<: ", "&a "}
	for _, a := range "!\"#%&'*,-./:;<>?@[\\]^`{|}~" {
		for _, b := range "!\"&'*,:<[{}|%" {
			begins = append(begins, string(a), string(a)+string(b))
		}
	}
	for _, begin := range begins {
		for _, end := range []string{"", ":", " x", "}", "}}", ": x", "{y", "*", "!", "%zz"} {
			text := "source:\n  kafka:\n    kafka.sasl.password: " + begin + "canary" + end + "\n"
			p, err := load([]byte(text), nil)
			if err == nil {
				err = p.Err()
			}
			var out bytes.Buffer
			if err := term.WriteProblems(&out, problem.Of(err), false); err != nil || strings.Contains(out.String(), "canary") {
				t.Fatalf("%s\n%s%v", text, out.String(), err)
			}
		}
	}
}

// dump shows what a package receives; secrets are revealed and marked.
func dump(p *config.Pipeline) string {
	var b strings.Builder
	value := func(v option.Value) string {
		text := fmt.Sprintf("%q", v.Reveal())
		if v.IsSecret {
			text = "secret " + text
		}
		return text
	}
	place := func(v option.Value) string {
		if v.Pos.File == "pipeline.yaml" {
			return fmt.Sprintf("%d:%d", v.Pos.Line, v.Pos.Col)
		}
		return v.Pos.String()
	}
	fmt.Fprintf(&b, "name %q\nallowInsecure %v\ntable %s at %s\ncheckpoint %s at %s\n", p.Name, p.AllowInsecure,
		p.Table, filepath.ToSlash(p.Table.Dir)+p.Table.URL, p.Checkpoint, filepath.ToSlash(p.Checkpoint.Dir)+p.Checkpoint.URL)
	for _, v := range p.Select {
		fmt.Fprintf(&b, "select %s  %s\n", value(v), place(v))
	}
	for _, vs := range []option.Values{p.Kafka, p.Registry, p.Decode, p.Delta, p.Storage, p.Trigger} {
		fmt.Fprintf(&b, "%s  %d:%d\n", vs.Section, vs.Pos.Line, vs.Pos.Col)
		for _, v := range vs.All() {
			if !v.IsList {
				fmt.Fprintf(&b, "  %s = %s  %s\n", v.Key, value(v), place(v))
				continue
			}
			var items []string
			for _, item := range v.List {
				items = append(items, value(item)+"  "+place(item))
			}
			fmt.Fprintf(&b, "  %s = [%s]  %s\n", v.Key, strings.Join(items, ", "), place(v))
		}
	}
	return b.String()
}

func TestGoodFilesGiveOptionsWithPlaces(t *testing.T) {
	for _, name := range files(t, "good") {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			p, err := load(data, nil)
			if err == nil {
				err = p.Err()
			}
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, strings.TrimSuffix(name, ".yaml")+".golden", dump(p))
		})
	}
}

func TestEverySecretIsKnownToTheScrubber(t *testing.T) {
	for _, name := range []string{"tutorial", "references"} {
		data, err := os.ReadFile(filepath.Join("testdata", "good", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var c secret.Scrubber
		if _, err := load(data, &c); err != nil {
			t.Fatal(err)
		}
		canaries := map[string][]string{
			"tutorial":   {canaryEnv, canaryFile, "canary-jaas", base64.StdEncoding.EncodeToString([]byte(canaryEnv + ":" + canaryFile))},
			"references": {canaryEnv, "literal-canary", "canary-in-url"},
		}
		for _, s := range canaries[name] {
			if got := c.String("<" + s + ">"); got != "<"+secret.Redacted+">" {
				t.Errorf("%s: %s is not scrubbed: %s", name, s, got)
			}
		}
		// What helps in a message, and would spoil every output if it were looked for.
		for _, s := range []string{"clickstreams", "broker:9092", "true", "false", "earliest", "10 seconds", "SASL_SSL", "/data/_checkpoints"} {
			if got := c.String(s); got != s {
				t.Errorf("%s: %s became %s", name, s, got)
			}
		}
	}
}

func TestErrAddsWhatTheSectionsFound(t *testing.T) {
	data := []byte("name:\nsource:\n  kafka:\n    subscribe: ${env:NOPE}\n    failOnDataLos: false\nsink: {delta: {path: /data/t}}\n")
	p, err := load(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	kafka := option.NewParser(p.Kafka)
	topic, _ := kafka.Value("subscribe")
	kafka.Report(topic, problem.InvalidValue, "an echo of the reference that config reported")
	kafka.Bool("failOnDataLoss", true)
	found := kafka.Finish()
	registry := option.NewParser(p.Registry)
	registry.Missing("schema.registry.url", "")
	found = append(found, registry.Finish()...)
	var got []string
	for _, q := range problem.Of(p.Err(found, found)) {
		got = append(got, q.Error())
	}
	want := []string{
		"pipeline.yaml:1:1  E1204 name has no value",
		"pipeline.yaml:1:1  E1205 checkpointLocation is missing",
		"pipeline.yaml:1:1  E1205 schema.registry.url is missing in registry",
		"pipeline.yaml:4:16  E1210 the environment variable NOPE is not set",
		`pipeline.yaml:5:5  E1203 unknown option "failOnDataLos" in source.kafka; did you mean "failOnDataLoss"?`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, bytes.Repeat([]byte("# x\n"), config.MaxFileBytes/4+1), 0o666); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		file string
		code problem.Code
	}{
		{filepath.Join(dir, "missing.yaml"), problem.FileUnreadable},
		{dir, problem.FileUnreadable},
		{large, problem.TooLarge},
	}
	for _, tt := range tests {
		p, err := config.Load(tt.file, config.Options{})
		list := problem.Of(err)
		if p != nil || len(list) != 1 || list[0].Code != tt.code || list[0].Where.File != tt.file || strings.Count(list[0].Error(), dir) != 1 {
			t.Errorf("%s: got %v", tt.file, err)
		}
	}
}

func TestTheProcessIsReadByDefault(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "pipeline.yaml")
	t.Setenv("SILT_TEST_TABLE", dir)
	text := "sink: {delta: {path: \"${env:SILT_TEST_TABLE}\"}}\ncheckpointLocation: " + filepath.ToSlash(dir) + "/_c\n"
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	p, err := config.Load(file, config.Options{})
	if err != nil || p.Err() != nil || p.Table.Dir != dir {
		t.Errorf("got %+v %v", p, err)
	}
}

func TestResolvedValuesAreBounded(t *testing.T) {
	// A variable of 128 KiB, Linux's limit, named 64 times.
	data := []byte("name: \"" + strings.Repeat("${env:BIG}", 64) + "\"\nsink: {delta: {path: /t}}\ncheckpointLocation: /c\n")
	big := strings.Repeat("x", 128<<10)
	p, err := config.Load("pipeline.yaml", config.Options{Env: func(string) (string, bool) { return big, true }, ReadFile: readFile(data)})
	if err != nil {
		t.Fatal(err)
	}
	list := problem.Of(p.Err())
	if !slices.ContainsFunc(list, func(q *problem.Problem) bool { return q.Code == problem.TooLarge }) {
		t.Errorf("got %v", list)
	}
}

func TestPaths(t *testing.T) {
	paths := config.Paths{{From: "dbfs:/mnt/lake", To: "abfss://c@a.dfs.core.windows.net/top/"}, {From: "dbfs:/", To: "/data"},
		{From: "dbfs:/mnt/lake/here", To: "/here"}, {From: "hive:/w", To: "s3://b"}}
	tests := []struct{ in, want string }{
		{"/a/b/", "/a/b"},
		{"a/../b", "b"},
		{".", "."},
		{"file:/a", "/a"}, {"file:///a", "/a"}, {"file://localhost/a", "/a"}, {"FILE:/a", "/a"},
		{"dbfs:/a/b", "/data/a/b"}, {"dbfs:///a", "/data/a"},
		{"dbfs:/../../etc/passwd", "/data/etc/passwd"}, // .. stays below the root
		{"dbfs:/mnt/lake/t", "abfss://c@a.dfs.core.windows.net/top/t"}, {"DBFS:/mnt/lake", "abfss://c@a.dfs.core.windows.net/top"},
		{"dbfs:/mnt/lakes", "/data/mnt/lakes"}, // another folder
		{"dbfs:/mnt/lake/here/t", "/here/t"},   // the longest mount wins
		{"dbfs:/mnt/x/../lake/t", "abfss://c@a.dfs.core.windows.net/top/t"},
		{"hive:/w", "s3://b"}, {"hive:/w/t", "s3://b/t"}, {"hive:/x", "E1204"},
		{"file:/a%20b", "/a%20b"}, // Hadoop's paths are not percent-encoded
		{"./a:b", "a:b"},
		{`C:\data`, `C:\data`}, // a drive is no scheme
		{"", "E1204"}, {"  ", "E1204"}, {"~", "E1204"}, {"~/x", "E1204"}, {"x\x00", "E1204"},
		{"file:a", "E1204"}, {"file://host/a", "E1204"}, {"file:", "E1204"}, {"file://", "E1204"},
		{"hives:/a", "E1204"}, {"dbfs:x", "E1204"},
		// what a URL of a store says is checked where the stores are known
		{"abfss://c@a.dfs.core.windows.net/x", "abfss://c@a.dfs.core.windows.net/x"}, {"s3://b/../x", "s3://b/../x"}, {"hdfs://n/x", "hdfs://n/x"},
		{"https://a.blob.core.windows.net/c", "https://a.blob.core.windows.net/c"},
	}
	for _, tt := range tests {
		path, p := paths.Resolve(tt.in)
		got := filepath.ToSlash(path.Dir) + path.URL
		if p != nil {
			got = string(p.Code)
		}
		if got != filepath.ToSlash(tt.want) {
			t.Errorf("%q: got %s, want %s", tt.in, got, tt.want)
		}
	}
	if _, p := config.Paths(nil).Resolve("dbfs:/x"); p == nil || !strings.Contains(p.Hint, "paths: {dbfs:") {
		t.Errorf("dbfs: without paths: got %v", p)
	}
}

// What a notebook has mounted is a path like any other to the operating system.
func TestPathsOfANotebookThatWouldBeFoldersOfThisMachineAreRefused(t *testing.T) {
	const aside = ", or file:/mnt/lake/t if the folder of this machine is meant"
	lake := config.Paths{{From: "dbfs:/mnt/lake", To: "s3://bucket/lake"}, {From: "dbfs:/", To: "/data"}}
	here := config.Paths{{From: "dbfs:/mnt/lake", To: "/mnt/lake"}, {From: "dbfs:/mnt", To: "/dbfs/mnt"}}
	for _, tt := range []struct {
		paths config.Paths
		in    string
		want  string // where it is, or what to do
	}{
		{lake, "/mnt/lake/t", "write dbfs:/mnt/lake/t" + aside},
		{lake, "/mnt/x/../lake//t/", "write dbfs:/mnt/lake/t" + aside},
		{lake, "/dbfs/mnt/lake/t", "write dbfs:/mnt/lake/t"},
		{lake, "/dbfs", "write dbfs:/"},
		{lake, "file:/dbfs/t", "write dbfs:/t, and say where that is"},
		{nil, "/dbfs/t", "write dbfs:/t, and say where that is"},
		{nil, "/mnt/lake/t", "/mnt/lake/t"},          // a mount of this machine, as far as anybody knows
		{lake, "file:/mnt/lake/t", "/mnt/lake/t"},    // what a notebook means by that, too
		{lake, "/mnt/lakes/t", "/mnt/lakes/t"},       // another folder: that of all of DBFS is no mount
		{lake, "mnt/lake/t", "mnt/lake/t"},           // relative
		{lake, "/dbfsx", "/dbfsx"},                   // not below it
		{here, "/mnt/lake/t", "/mnt/lake/t"},         // the same folder
		{here, "dbfs:/mnt/other", "/dbfs/mnt/other"}, // on a machine that has DBFS there
	} {
		path, p := tt.paths.Resolve(tt.in)
		got := filepath.ToSlash(path.Dir)
		if p != nil {
			got = p.Hint
		}
		if got != tt.want && (p == nil || !strings.HasPrefix(got, tt.want)) {
			t.Errorf("%q: got %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestMappedPathsSayWhereTheyAre(t *testing.T) {
	paths := config.Paths{{From: "dbfs:/mnt/lake", To: "s3://bucket/lake"}, {From: "dbfs:/", To: "/data"}}
	for in, want := range map[string]string{"dbfs:/mnt/lake/t": "s3://bucket/lake/t", "dbfs:/mnt/Lake/t": "/data/mnt/Lake/t",
		"/data/t": "", "file:/data/t": "", "t": "", "s3://bucket/t": ""} {
		path, p := paths.Resolve(in)
		if got := filepath.ToSlash(path.Mapped()); p != nil || got != want {
			t.Errorf("%s: got %q %v, want %q", in, got, p, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, dir := range []string{"good", "bad"} {
		names, err := filepath.Glob(filepath.Join("testdata", dir, "*.yaml"))
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := load(data, nil)
		if (p == nil) == (err == nil) {
			t.Fatalf("a pipeline or an error, not both: %v %v", p, err)
		}
		if err == nil {
			err = p.Err()
		}
		if err == nil && (p.Table.IsZero() || p.Checkpoint.IsZero()) {
			t.Errorf("no error, and no table or checkpoint: %+v", p)
		}
		lines := bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) + 2
		for _, q := range problem.Of(err) {
			if q.Where.File == "" || q.Where.Line > lines || q.Message == "" || q.Exit() != problem.ExitUsage {
				t.Errorf("got %+v", q)
			}
			// Secrets of the environment are never in a message; the file's own text may be.
			if text := q.Error() + q.Why + q.Hint; !bytes.Contains(data, []byte("canary")) && strings.Contains(text, "canary") {
				t.Errorf("a secret is in %s", text)
			}
		}
	})
}
