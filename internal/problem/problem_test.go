package problem

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
)

func TestErrorIsTheFirstLineOfTheBlock(t *testing.T) {
	tests := []struct {
		p    *Problem
		want string
	}{
		{New(UnknownOption, "unknown option %q", "failOnDataLos").At(Location{File: "pipeline.yaml", Line: 9, Col: 7}),
			`pipeline.yaml:9:7  E1203 unknown option "failOnDataLos"`},
		{New(BadRecord, "truncated").At(Location{Topic: "clicks", Partition: 3, Offset: 17, HasPartition: true, HasOffset: true, SchemaID: 100001,
			HasSchemaID: true, Field: "parsedValue.ip"}),
			"topic clicks partition 3 offset 17, schema id 100001, field parsedValue.ip  E4001 truncated"},
		{New(Usage, "no file"), "E1100 no file"},
	}
	for _, tt := range tests {
		if got := tt.p.Error(); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

func TestExitStatusIsThatOfTheFirstProblem(t *testing.T) {
	wrapped := fmt.Errorf("run: %w", New(Fenced, "other run: %w", fs.ErrExist))
	if got := ExitStatus(wrapped); got != ExitFenced {
		t.Errorf("got %d, want %d", got, ExitFenced)
	}
	if !errors.Is(wrapped, fs.ErrExist) {
		t.Error("the cause is lost")
	}
	if got := ExitStatus(List{New(DataLoss, "a"), New(Usage, "b")}); got != ExitDataLoss {
		t.Errorf("got %d, want %d", got, ExitDataLoss)
	}
	if ExitStatus(nil) != ExitOK || ExitStatus(errors.New("x")) != ExitFailed {
		t.Error("nil is 0 and a plain error 1")
	}
}

func TestNearest(t *testing.T) {
	options := []string{"failOnDataLoss", "startingOffsets", "subscribe", "Clickstreams"}
	tests := []struct{ name, want string }{
		{"failOnDataLos", "failOnDataLoss"}, // a letter short
		{"failondataloss", "failOnDataLoss"},
		{"clickstreams", "Clickstreams"}, // case only
		{"subscrieb", "subscribe"},       // two letters swapped
		{"topic", ""},
	}
	for _, tt := range tests {
		if got := Nearest(tt.name, options); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestCatchMakesAPanicAnError(t *testing.T) {
	for name, f := range map[string]func() error{
		"text":                   func() error { panic("index out of range") },
		"error":                  func() error { panic(fs.ErrExist) },
		"a fault of the runtime": func() error { return []error{}[len(os.Args)] },
	} {
		err := Catch("counting", f)
		var p *Problem
		if !errors.As(err, &p) || p.Code != Internal || !strings.HasPrefix(p.Message, "panic while counting: ") ||
			!strings.Contains(p.Why, "problem_test.go") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := Catch("counting", func() error { return fs.ErrExist }); err != fs.ErrExist {
		t.Errorf("an error became %v", err)
	}
	if err := Catch("counting", func() error { return nil }); err != nil {
		t.Errorf("success became %v", err)
	}
}
