package option

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

func at(line, col int) problem.Location {
	return problem.Location{File: "pipeline.yaml", Line: line, Col: col}
}

func TestParserReportsEveryProblemWithItsPlace(t *testing.T) {
	p := NewParser(NewValues("source.kafka", at(1, 1),
		Value{Key: "SUBSCRIBE", Text: "clicks", Pos: at(2, 3)},
		Value{Key: "failOnDataLos", Text: "false", Pos: at(3, 3)},
		Value{Key: "maxOffsetsPerTrigger", Text: "many", Pos: at(4, 3)},
		Value{Key: "mode", Secret: secret.New("canary-value"), IsSecret: true, Pos: at(5, 3)},
		Value{Key: "assign", Text: "{}", Pos: at(6, 3)}))
	if got := p.String("subscribe", ""); got != "clicks" {
		t.Errorf("keys are compared ignoring case: got %q", got)
	}
	p.Bool("failOnDataLoss", true)
	p.Int("maxOffsetsPerTrigger", 0, 1, 1<<40)
	p.Enum("mode", "FAILFAST", "FAILFAST", "PERMISSIVE")
	p.Unsupported("use subscribe", "assign")
	p.Missing("kafka.bootstrap.servers", "name a broker")
	var got []string
	for _, pr := range p.Finish() {
		got = append(got, pr.Error())
	}
	want := []string{
		"pipeline.yaml:1:1  E1205 kafka.bootstrap.servers is missing in source.kafka",
		`pipeline.yaml:3:3  E1203 unknown option "failOnDataLos" in source.kafka; did you mean "failOnDataLoss"?`,
		`pipeline.yaml:4:3  E1204 maxOffsetsPerTrigger is "many"; want a whole number from 1 to 1099511627776`,
		`pipeline.yaml:5:3  E1204 mode is "[REDACTED]"; want FAILFAST, PERMISSIVE`,
		"pipeline.yaml:6:3  E1206 assign is not supported yet",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestParseDuration(t *testing.T) {
	tests := []struct {
		in   string
		want time.Duration
		ok   bool
	}{
		{"10s", 10 * time.Second, true},
		{"10 seconds", 10 * time.Second, true},
		{"interval 1 minute", time.Minute, true},
		{"1 hour 30 minutes", 90 * time.Minute, true},
		{"50 milliseconds", 50 * time.Millisecond, true},
		{"0 seconds", 0, true},
		{"1 month", 0, false},             // no fixed length
		{"-5s", 0, false},                 // negative
		{"10", 0, false},                  // no unit
		{"9999999999999 weeks", 0, false}, // overflow
	}
	for _, tt := range tests {
		got, ok := ParseDuration(tt.in)
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("%q: got %v %v, want %v %v", tt.in, got, ok, tt.want, tt.ok)
		}
	}
}

func TestParseSize(t *testing.T) {
	tests := []struct {
		in   string
		want int64
		ok   bool
	}{
		{"128MiB", 128 << 20, true}, {"16 mib", 16 << 20, true}, {"64k", 64 << 10, true}, {"1048576", 1 << 20, true},
		{"1.5GiB", 0, false}, {"-1", 0, false}, {"9999999999999TiB", 0, false}, {"10 parsecs", 0, false},
	}
	for _, tt := range tests {
		if got, ok := ParseSize(tt.in); ok != tt.ok || got != tt.want && ok {
			t.Errorf("%q: got %v %v, want %v %v", tt.in, got, ok, tt.want, tt.ok)
		}
	}
	if got := FormatSize(128 << 20); got != "128MiB" {
		t.Error(got)
	}
}

func TestDurationsSayTheirBounds(t *testing.T) {
	tests := []struct {
		most time.Duration
		want string
	}{
		{time.Hour, `p is "2h30x"; want a duration from 1s to 1h0m0s, such as 10s or "10 seconds"`},
		{math.MaxInt64, `p is "2h30x"; want a duration of at least 1s, such as 10s or "10 seconds"`},
	}
	for _, tt := range tests {
		p := NewParser(NewValues("s", at(1, 1), Value{Key: "p", Text: "2h30x", Pos: at(2, 3)}))
		if got := p.Duration("p", time.Minute, time.Second, tt.most); got != time.Minute {
			t.Errorf("got %v in place of the default", got)
		}
		if ps := p.Finish(); len(ps) != 1 || ps[0].Message != tt.want {
			t.Errorf("got %v, want %s", ps, tt.want)
		}
	}
}

func TestOptionsAreReadByOneNameAndReportedByTheirs(t *testing.T) {
	p := NewParser(Named(map[string]Value{"allow_http": {Key: "AWS_Allow_HTTP", Text: "perhaps", Pos: at(2, 3)}, "region": {Key: "aws_region", Text: "x"}}))
	if got := p.String("Region", ""); got != "x" {
		t.Errorf("got %q", got)
	}
	if got := p.Bool("allow_http", true); !got {
		t.Error("got false, want the fallback")
	}
	found := p.Reported()
	if len(found) != 1 || found[0].Where != at(2, 3) || found[0].Message != `AWS_Allow_HTTP is "perhaps"; want true or false` {
		t.Errorf("got %v", found)
	}
}

func TestWhatIsThereIsNotMissingToo(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values []Value
		want   string // messages
	}{
		{"nothing", nil, "topic is missing in s"},
		{"a value that was refused", []Value{{Key: "Topic", Refused: true}}, ""},
		{"a misspelt name", []Value{{Key: "topci"}}, `unknown option "topci" in s; did you mean "topic"?`},
		{"the name of another in its place, misspelt", []Value{{Key: "assing"}}, `unknown option "assing" in s; did you mean "assign"?`},
		{"another misspelt name", []Value{{Key: "limt"}}, `topic is missing in s; unknown option "limt" in s; did you mean "limit"?`},
	} {
		p := NewParser(NewValues("s", at(1, 1), tt.values...))
		p.Missing("topic", "", "assign")
		p.Value("assign")
		p.Int("limit", 0, 0, 9)
		var got []string
		for _, q := range p.Finish() {
			got = append(got, q.Message)
		}
		slices.Sort(got)
		if text := strings.Join(got, "; "); text != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, text, tt.want)
		}
	}
}
