package silt

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/decode"
	"github.com/siltlake/silt/internal/kafka"
	"github.com/siltlake/silt/internal/microbatch"
	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/registry"
	"github.com/siltlake/silt/internal/table"
	"github.com/siltlake/silt/test/golden"
)

const pipelinePage = "docs/pipeline.md"

// A pageSection is a section of the pipeline file and of docs/pipeline.md, whose package knows its options.
type pageSection struct {
	heading, folder string
	parse           func(option.Values) (any, []*problem.Problem)
}

var pageSections = []pageSection{
	{"The file", "internal/config", parseTop},
	{"source.kafka", "internal/kafka", func(vs option.Values) (any, []*problem.Problem) { return kafka.ParseOptions(vs, false) }},
	{"registry", "internal/registry", func(vs option.Values) (any, []*problem.Problem) { return registry.ParseOptions(vs, false) }},
	{"decode", "internal/decode", func(vs option.Values) (any, []*problem.Problem) { return decode.ParseOptions(vs, nil) }},
	{"sink.delta", "internal/table", func(vs option.Values) (any, []*problem.Problem) { return table.ParseOptions(vs) }},
	{"trigger", "internal/microbatch", func(vs option.Values) (any, []*problem.Problem) { return microbatch.ParseTrigger(vs) }},
}

// parseTop reads the keys as those of a pipeline file.
func parseTop(vs option.Values) (any, []*problem.Problem) {
	var members []string
	for _, v := range vs.All() {
		members = append(members, fmt.Sprintf("%q: %q", v.Key, v.Text))
	}
	p, err := config.Load("pipeline.yaml", config.Options{ReadFile: func(string, int64) ([]byte, error) {
		return []byte("{" + strings.Join(members, ", ") + "}"), nil
	}})
	if err != nil {
		return nil, problem.Of(err)
	}
	return p.AllowInsecure, problem.Of(p.Err())
}

// with parses a section that has one option, or none if key is "".
func (s pageSection) with(key, value string) (any, []*problem.Problem) {
	if key == "" {
		return s.parse(option.NewValues(s.heading, problem.Location{}))
	}
	return s.parse(option.NewValues(s.heading, problem.Location{}, option.Value{Key: key, Text: value}))
}

// options tries each text of the package's source as an option: the names that are known, and those that are known and refused, with what to
// do instead. A name that ends with a dot stands for all that begin with it.
func (s pageSection) options(t *testing.T) (known []string, refused map[string]string) {
	t.Helper()
	refused = map[string]string{}
	for _, key := range literals(t, s.folder) {
		_, problems := s.with(key, "perhaps")
		is := true
		for _, p := range problems {
			switch {
			case p.Code == problem.UnknownOption:
				is = false
			case strings.HasPrefix(p.Message, key+" is not supported") || strings.HasPrefix(p.Message, key+" cannot be set"):
				is = false
				refused[key] = p.Hint
			}
		}
		if is {
			known = append(known, key)
		}
	}
	for key := range refused { // that a shorter one stands for
		for prefix := range refused {
			if strings.HasSuffix(prefix, ".") && key != prefix && strings.HasPrefix(key, prefix) && refused[key] == refused[prefix] {
				delete(refused, key)
			}
		}
	}
	return known, refused
}

var keyForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*([.][A-Za-z0-9]+)*[.]?$`)

// literals are the texts of a package's source that may be names of options.
func literals(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal("no source in ", folder, err)
	}
	found := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				if text, err := strconv.Unquote(l.Value); err == nil && keyForm.MatchString(text) {
					found[text] = true
				}
			}
			return true
		})
	}
	return slices.Sorted(maps.Keys(found))
}

// An optionRow is a row of a table of options.
type optionRow struct{ key, kind, fallback string }

var (
	optionTable  = regexp.MustCompile(`(?m)^\| (?:option|key) \| type \| default \| meaning \|\n\|---\|---\|---\|---\|\n((?:\|.*\n)+)`)
	refusedTable = regexp.MustCompile(`(?m)^\| option \| instead \|\n\|---\|---\|\n(?:\|.*\n)*`)
	quoted       = regexp.MustCompile("`([^`]+)`")
)

func optionRows(t *testing.T, chapter string) (rows []optionRow) {
	t.Helper()
	m := optionTable.FindStringSubmatch(chapter)
	if m == nil {
		t.Fatal("no table of options")
	}
	for line := range strings.Lines(m[1]) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if len(cells) != 4 {
			t.Fatalf("%q has %d cells", line, len(cells))
		}
		rows = append(rows, optionRow{strings.Trim(cells[0], "`"), cells[1], cells[2]})
	}
	return rows
}

// chapters are the parts of the page, by heading.
func chapters(page string) map[string]string {
	found := map[string]string{}
	for i, part := range strings.Split(page, "\n## ") {
		if heading, text, ok := strings.Cut(part, "\n"); ok && i > 0 {
			found[heading] = text
		}
	}
	return found
}

// The page of the pipeline file has every option that silt knows, with its true default, and each that it refuses; -update writes the tables
// of the latter.
func TestThePageOfThePipelineFileHasEveryOption(t *testing.T) {
	text, err := os.ReadFile(pipelinePage)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, s := range pageSections {
		t.Run(s.heading, func(t *testing.T) {
			chapter := chapters(page)[s.heading]
			rows := optionRows(t, chapter)
			known, refused := s.options(t)
			for _, key := range known {
				// In the page a section of a section is one key.
				if !slices.ContainsFunc(rows, func(r optionRow) bool {
					return strings.EqualFold(r.key, key) || strings.HasPrefix(r.key, key+".")
				}) {
					t.Errorf("the page lacks %s", key)
				}
			}
			for _, r := range rows {
				if !slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, r.key) }) {
					t.Errorf("silt does not know %s", r.key)
				}
				s.check(t, r)
			}
			if len(refused) > 0 != refusedTable.MatchString(chapter) {
				t.Fatalf("%d options are refused, and the page has a table of them: %v", len(refused), refusedTable.MatchString(chapter))
			}
			page = strings.Replace(page, chapter, refusedTable.ReplaceAllLiteralString(chapter, writeRefused(refused)), 1)
		})
	}
	golden.Check(t, pipelinePage, page)
}

// check holds type and default of a row against the package.
func (s pageSection) check(t *testing.T, r optionRow) {
	t.Helper()
	if r.kind == "section" || r.kind == "path" && s.heading == "sink.delta" { // which the wiring reads
		return
	}
	without, missing := s.with("", "")
	required := slices.ContainsFunc(missing, func(p *problem.Problem) bool { return strings.HasPrefix(p.Message, r.key+" is missing") })
	if required != (r.fallback == "required") {
		t.Errorf("%s is required: %v; the page says its default is %s", r.key, required, r.fallback)
	}
	if m := quoted.FindStringSubmatch(r.fallback); m != nil && m[0] == r.fallback {
		if with, _ := s.with(r.key, m[1]); !reflect.DeepEqual(with, without) {
			t.Errorf("%s: %s is not the default", r.key, m[1])
		}
	}
	refuses := func(value string) bool {
		_, problems := s.with(r.key, value)
		return slices.ContainsFunc(problems, func(p *problem.Problem) bool {
			return strings.HasPrefix(p.Message, r.key+" is ") && p.Code == problem.InvalidValue
		})
	}
	choices := quoted.FindAllStringSubmatch(r.kind, -1)
	for _, c := range choices {
		if refuses(c[1]) {
			t.Errorf("%s cannot be %s", r.key, c[1])
		}
	}
	narrow := choices != nil || slices.Contains([]string{"true or false", "whole number", "size", "duration"}, r.kind)
	if narrow && !strings.HasPrefix(r.fallback, "required with") { // which nobody looks at without the other
		if _, problems := s.with(r.key, "perhaps"); len(problems) <= len(missing) {
			t.Errorf("%s is %s, and takes any value", r.key, r.kind)
		}
	}
}

// writeRefused is the table of refused options: those with the same advice in one row.
func writeRefused(refused map[string]string) string {
	names := map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(refused)) {
		name := key
		if strings.HasSuffix(name, ".") {
			name += "*"
		}
		names[refused[key]] = append(names[refused[key]], "`"+name+"`")
	}
	rows := []string{}
	for instead, keys := range names {
		rows = append(rows, "| "+strings.Join(keys, " ")+" | "+instead+" |\n")
	}
	slices.Sort(rows)
	return "| option | instead |\n|---|---|\n" + strings.Join(rows, "")
}

var columnTable = regexp.MustCompile(`(?m)^\| column \| type \| what it is \|\n\|---\|---\|---\|\n((?:\|.*\n)+)`)

// The page has the columns that can be selected, in the order of the default ones.
func TestThePageOfThePipelineFileHasEveryColumn(t *testing.T) {
	page, err := os.ReadFile(pipelinePage)
	if err != nil {
		t.Fatal(err)
	}
	m := columnTable.FindStringSubmatch(chapters(string(page))["select"])
	if m == nil {
		t.Fatal("no table of columns")
	}
	var names []string
	var sel []option.Value
	for line := range strings.Lines(m[1]) {
		name := quoted.FindStringSubmatch(line)[1]
		names, sel = append(names, name), append(sel, option.Value{Text: name})
	}
	if _, problems := decode.ParseOptions(option.Values{}, sel); len(problems) > 0 {
		t.Error(problems[0])
	}
	_, problems := decode.ParseOptions(option.Values{}, []option.Value{{Text: "no such column"}})
	if want := "the columns are " + strings.Join(names, ", "); len(problems) == 0 || problems[0].Hint != want {
		t.Errorf("%s; silt says: %v", want, problems)
	}
	o, _ := decode.ParseOptions(option.Values{}, nil)
	if first := names[:len(o.Columns)]; fmt.Sprint(first) != fmt.Sprint(o.Columns) {
		t.Errorf("the first columns are %v, and the default ones %v", first, o.Columns)
	}
}
