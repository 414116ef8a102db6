// Package problem is the error that users see: a stable code, what is wrong, where, why, and how to fix it.
//
// Any package may import it. Code that callers branch on stays an ordinary Go error (a sentinel or a struct); a Problem is
// made where a person has to act, and travels unchanged to the edge, where package term prints it.
package problem

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Problem is an error with everything a person needs to act on it. The zero value of every field but Code and Message is
// "not known"; a Problem is immutable once returned.
type Problem struct {
	Code    Code
	Message string   // what is wrong, in lower case, without a final dot, naming both values
	Where   Location // where it is
	Why     string   // the cause in other words than the message's, may be empty
	Hint    string   // how to fix it: an imperative sentence, may be empty
	// Retryable says that the same call may succeed later without anyone changing anything.
	Retryable bool
	Err       error // the cause, for errors.Is; may be nil
}

// New returns a Problem of the code with a formatted message. A %w verb sets Err as in fmt.Errorf.
func New(code Code, format string, args ...any) *Problem {
	err := fmt.Errorf(format, args...)
	return &Problem{Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// At returns p with its location set.
func (p *Problem) At(where Location) *Problem { p.Where = where; return p }

// Because returns p with the cause's text as Why and the cause as Err.
func (p *Problem) Because(err error) *Problem {
	if err != nil {
		p.Why, p.Err = err.Error(), err
	}
	return p
}

// Fix returns p with a formatted hint.
func (p *Problem) Fix(format string, args ...any) *Problem {
	p.Hint = fmt.Sprintf(format, args...)
	return p
}

// Error is the first line of the error block: location, code, message.
func (p *Problem) Error() string {
	var b strings.Builder
	if w := p.Where.String(); w != "" {
		b.WriteString(w)
		b.WriteString("  ")
	}
	b.WriteString(string(p.Code))
	b.WriteByte(' ')
	b.WriteString(p.Message)
	return b.String()
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Err }

// Exit is the process's exit status for the problem (docs/errors.md; see Codes).
func (p *Problem) Exit() int { return p.Code.Exit() }

// A Location says where a problem is. Only the fields that are known are set; they are printed in this order.
type Location struct {
	File      string // a file or directory, as the user would type it
	Line, Col int    // 1-based; 0 unknown

	Topic     string
	Partition int32  // meaningful if Topic is set and HasOffset or HasPartition is
	Offset    int64  // meaningful if HasOffset
	SchemaID  int32  // meaningful if HasSchemaID
	Field     string // dotted path of a field of the record

	HasPartition, HasOffset, HasSchemaID bool
}

// File returns the location of a file as a whole.
func File(name string) Location { return Location{File: name} }

// Record returns the location of one Kafka record.
func Record(topic string, partition int32, offset int64) Location {
	return Location{Topic: topic, Partition: partition, Offset: offset, HasPartition: true, HasOffset: true}
}

// String is file:line:col, or topic/partition/offset with schema id and field path, or "".
func (l Location) String() string {
	var parts []string
	if l.File != "" {
		f := l.File
		if l.Line > 0 {
			f += ":" + strconv.Itoa(l.Line)
			if l.Col > 0 {
				f += ":" + strconv.Itoa(l.Col)
			}
		}
		parts = append(parts, f)
	}
	if l.Topic != "" {
		t := "topic " + l.Topic
		if l.HasPartition {
			t += " partition " + strconv.Itoa(int(l.Partition))
		}
		if l.HasOffset {
			t += " offset " + strconv.FormatInt(l.Offset, 10)
		}
		parts = append(parts, t)
	}
	if l.HasSchemaID {
		parts = append(parts, "schema id "+strconv.Itoa(int(l.SchemaID)))
	}
	if l.Field != "" {
		parts = append(parts, "field "+l.Field)
	}
	return strings.Join(parts, ", ")
}

// A List is several problems found at once (all errors of a configuration file); it is an error itself.
type List []*Problem

// Error joins the problems' first lines.
func (l List) Error() string {
	s := make([]string, len(l))
	for i, p := range l {
		s[i] = p.Error()
	}
	return strings.Join(s, "\n")
}

// Unwrap gives the problems to errors.Is and errors.As.
func (l List) Unwrap() []error {
	s := make([]error, len(l))
	for i, p := range l {
		s[i] = p
	}
	return s
}

// Sort orders the problems by file, line and column.
func (l List) Sort() {
	slices.SortStableFunc(l, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Where.File, b.Where.File), cmp.Compare(a.Where.Line, b.Where.Line), cmp.Compare(a.Where.Col, b.Where.Col))
	})
}

// Of returns the problems that err carries: those of a List, a single Problem, or nil.
func Of(err error) List {
	var l List
	if errors.As(err, &l) {
		return l
	}
	var p *Problem
	if errors.As(err, &p) {
		return List{p}
	}
	return nil
}

// ExitStatus is the exit status for err: 0 for nil, that of its first Problem, else ExitFailed.
func ExitStatus(err error) int {
	if err == nil {
		return ExitOK
	}
	if l := Of(err); len(l) > 0 {
		return l[0].Exit()
	}
	return ExitFailed
}
