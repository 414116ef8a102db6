package term

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/test/golden"
)

// problems has one problem of every shape.
func problems() problem.List {
	return problem.List{
		problem.New(problem.UnknownOption, `unknown option "failOnDataLos" in source.kafka; did you mean "failOnDataLoss"?`).
			At(problem.Location{File: "pipeline.yaml", Line: 9, Col: 5}),
		problem.New(problem.BrokerUnreachable, "no broker of localhost:9092 answers").
			Because(errors.New("dial tcp 127.0.0.1:9092: connection refused\r\ndial tcp [::1]:9092: connection refused\n")).
			Fix("start the broker, or correct kafka.bootstrap.servers"),
		problem.New(problem.BadRecord, "enum index 7 of 3 symbols <&>").
			At(problem.Location{Topic: "clicks", Partition: 0, Offset: 0, HasPartition: true, HasOffset: true, SchemaID: 100001, HasSchemaID: true,
				Field: "parsedValue.status"}),
		problem.New(problem.UnknownTopic, "unknown topic \"a\x1b[2Jb\u202ec\x00\nd\"").At(problem.File("x\x1by.yaml")),
	}
}

func TestProblemBlocks(t *testing.T) {
	list := problems()
	list[1].Retryable = true
	var plain, color, machine bytes.Buffer
	for _, err := range []error{WriteProblems(&plain, list, false), WriteProblems(&color, list, true), WriteProblemsJSON(&machine, list)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	golden.Check(t, "testdata/problems.txt", plain.String())
	golden.Check(t, "testdata/problems.color.txt", color.String())
	golden.Check(t, "testdata/problems.json", machine.String())

	stripped := strings.NewReplacer(bold, "", red, "", faint, "", reset, "").Replace(color.String())
	if stripped != plain.String() {
		t.Error("colour must add nothing to the words")
	}
	for line := range strings.Lines(machine.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

func TestCleanKeepsTextAndDropsWhatMovesTheCursor(t *testing.T) {
	tests := []struct{ in, want string }{
		{"clicks-1_ü✓", "clicks-1_ü✓"},
		{"a\tb\nc\r\nd", "a b c  d"},                   // one line stays one line
		{"\x1b]0;title\x07x\x1b[31m", "]0;titlex[31m"}, // OSC and SGR lose their escape
		{"\u009b31mx\x7f", "31mx"},                     // C1's CSI, DEL
		{"user\u202egpj.exe", "usergpj.exe"},           // right-to-left override
		{"a\xffb", "a\ufffdb"},                         // not UTF-8
	}
	for _, tt := range tests {
		if got := Clean(tt.in); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x1b[31mb\u202ec\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := Clean(s)
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\n\r\t\x1b\x00\x07\x7f\u009b\u202e") {
			t.Errorf("%q: got %q", s, got)
		}
		if Clean(got) != got {
			t.Errorf("%q: cleaning twice changes it", s)
		}
	})
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 123456: "123,456", 1234567: "1,234,567", -1000: "-1,000",
		math.MinInt64: "-9,223,372,036,854,775,808"} {
		if got := Count(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
	for r, want := range map[float64]string{0: "0.0/s", 4.14: "4.1/s", 99.94: "99.9/s", 99.96: "100/s", 402.4: "402/s", 61249.6: "61,250/s",
		math.Inf(1): "-", 1e30: "-"} {
		if got := Rate(r); got != want {
			t.Errorf("%v: got %s, want %s", r, got, want)
		}
	}
	if got := Rate(math.NaN()); got != "-" {
		t.Error(got)
	}
	if Plural(1, "row") != "1 row" || Plural(0, "row") != "0 rows" || Plural(1200, "row") != "1,200 rows" {
		t.Error("a noun follows its number")
	}
}

func TestTableAlignsByCharacters(t *testing.T) {
	table := NewTable(Column{Name: "topic"}, Column{Name: "rows", Right: true}, Column{Name: "note"})
	var out bytes.Buffer
	if err := table.Write(&out, ""); err != nil || out.Len() != 0 {
		t.Errorf("without rows: %q %v", out.String(), err)
	}
	table.Row("clicks", "1,894", "ok\x1b[2J")
	table.Row("größe", "7")
	if err := table.Write(&out, "  "); err != nil {
		t.Fatal(err)
	}
	want := "  topic    rows  note\n  clicks  1,894  ok[2J\n  größe       7\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// screen is a terminal of one row in progress: it understands CR and EL, and keeps the rows above.
func screen(s string) (rows []string) {
	row := ""
	for s != "" {
		switch {
		case strings.HasPrefix(s, erase):
			row, s = "", s[len(erase):]
		case s[0] == '\n':
			rows, row, s = append(rows, row), "", s[1:]
		default:
			_, n := utf8.DecodeRuneInString(s)
			row, s = row+s[:n], s[n:]
		}
	}
	return append(rows, row)
}

func TestStatusIsRedrawnOnATerminalBelowOtherLines(t *testing.T) {
	var out bytes.Buffer
	s := NewStatus(&out, true, func() int { return 16 })
	step := func(err error, want ...string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, screen(out.String())); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	write := func(line string) error { _, err := s.Write([]byte(line)); return err }
	step(write("first\n"), "first", "")
	step(s.Show("batch 1   214 rows"), "first", "batch 1   214 …")
	step(write("warning\n"), "first", "warning", "batch 1   214 …")
	step(s.Show("batch 2\n"), "first", "warning", "batch 2 ")
	step(s.Close(), "first", "warning", "batch 2 ", "")
	step(s.Close(), "first", "warning", "batch 2 ", "")
	step(write("last\n"), "first", "warning", "batch 2 ", "last", "")
	step(s.Show("file 1"), "first", "warning", "batch 2 ", "last", "file 1")
	step(s.Clear(), "first", "warning", "batch 2 ", "last", "")
}

func TestStatusIsALineABatchElsewhere(t *testing.T) {
	var out bytes.Buffer
	s := NewStatus(&out, false, nil)
	for _, err := range []error{s.Show("batch 1"), s.Show("batch 2"), s.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, want := out.String(), "batch 1\nbatch 2\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFormats(t *testing.T) {
	tests := []struct {
		in   string
		want string // format, or the problem's first line
	}{
		{"table", "table"}, {"json", "json"}, {"ndjson", "ndjson"},
		{"yaml", "E1206 output format yaml is not supported yet"},
		{"csv", "E1206 output format csv is not supported yet"},
		{"jsno", `E1100 unknown output format "jsno"; did you mean "json"?`},
		{"", `E1100 unknown output format ""`},
	}
	for _, tt := range tests {
		var f Format
		got := ""
		if err := f.UnmarshalText([]byte(tt.in)); err != nil {
			got = err.Error()
		} else {
			got = string(f)
		}
		if got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.in, got, tt.want)
		}
	}
	if Text.Machine() || !JSON.Machine() || !NDJSON.Machine() {
		t.Error("programs read json and ndjson")
	}
}

func TestListsAsArrayAndAsLines(t *testing.T) {
	write := func(f Format, items []int) string {
		var b bytes.Buffer
		if err := WriteList(&b, f, items); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for _, tt := range []struct{ got, want string }{
		{write(JSON, []int{1, 2}), "[1,2]\n"}, {write(NDJSON, []int{1, 2}), "1\n2\n"},
		{write(JSON, nil), "[]\n"}, {write(NDJSON, nil), ""},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func TestColor(t *testing.T) {
	env := func(pairs ...string) func(string) (string, bool) {
		return func(k string) (string, bool) {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == k {
					return pairs[i+1], true
				}
			}
			return "", false
		}
	}
	tests := []struct {
		mode     string
		terminal bool
		env      func(string) (string, bool)
		want     bool
	}{
		{"auto", true, env("TERM", "xterm"), true},
		{"auto", false, env("TERM", "xterm"), false},
		{"auto", true, env("NO_COLOR", "1"), false},
		{"auto", true, env("NO_COLOR", ""), true}, // no-color.org: not empty
		{"auto", true, env("TERM", "dumb"), false},
		{"always", false, env("NO_COLOR", "1"), true}, // the flag beats the environment
		{"never", true, env(), false},
	}
	for _, tt := range tests {
		if got := UseColor(tt.mode, tt.terminal, tt.env); got != tt.want {
			t.Errorf("%s terminal=%v: got %v", tt.mode, tt.terminal, got)
		}
	}
}
