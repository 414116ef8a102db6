package avro

import (
	"fmt"
	"math"
)

// A Fault says why the last record was refused.
type Fault struct {
	Field  string // dotted path; element, key and value stand for the parts of arrays and maps; "" is the record itself
	Reason string // in words
	// InvalidUTF8 says that the record is well formed but for a string that is not UTF-8.
	InvalidUTF8 bool
}

func (f Fault) Error() string {
	if f.Field == "" {
		return f.Reason
	}
	return "field " + f.Field + ": " + f.Reason
}

// A failure is what Walk notes; Fault makes words of it.
type failure struct {
	op    int
	why   why
	value int64
}

type why uint8

const (
	truncated why = iota
	badVarint
	badInt
	badBoolean
	badSymbol
	badBranch
	badLength
	longLength
	badCount
	longCount
	tooMany
	badDecimal
	badTimestamp
	badText
)

// Fault describes the failure of the last Walk that returned false.
func (p *Program) Fault() Fault {
	f := Fault{Field: p.paths[p.failed.op]}
	v := p.failed.value
	switch p.failed.why {
	case truncated:
		f.Reason = "the record ends before the value does"
	case badVarint:
		f.Reason = "a number has too many bytes"
	case badInt:
		f.Reason = fmt.Sprintf("%d is no 32-bit number", v)
	case badBoolean:
		f.Reason = fmt.Sprintf("%d is no boolean", v)
	case badSymbol:
		f.Reason = fmt.Sprintf("symbol %d of an enum of %d", v, len(p.symbols[p.ops[p.failed.op].size]))
	case badBranch:
		f.Reason = fmt.Sprintf("branch %d of a union of %d", v, p.ops[p.failed.op].branches())
	case badLength:
		f.Reason = fmt.Sprintf("the length is %d", v)
	case longLength:
		f.Reason = fmt.Sprintf("the length is %d, which is more than the rest of the record", v)
	case badCount:
		f.Reason = fmt.Sprintf("the count is %d", v)
	case longCount:
		f.Reason = fmt.Sprintf("the count is %d, which is more than the rest of the record can hold", v)
	case tooMany:
		f.Reason = fmt.Sprintf("the record's arrays and maps take more than %d values", v)
	case badDecimal:
		f.Reason = fmt.Sprintf("the decimal is empty or has more than %d digits", v)
	case badTimestamp:
		f.Reason = fmt.Sprintf("%d milliseconds are out of the range of a timestamp", v)
	case badText:
		f.Reason, f.InvalidUTF8 = "the string is not UTF-8", true
	}
	return f
}

func (o *op) branches() int {
	if o.yes == o.no {
		return 1
	}
	return 2
}

// The fail methods return false, which Walk returns. Where the walk knows only that a number is wrong, it is read again to say how.

func (p *Program) fail(op int, w why, value int64) bool {
	p.failed = failure{op, w, value}
	return false
}

func (p *Program) failInt(op int, v int64, n int) bool {
	if n == 0 || n > 5 {
		return p.fail(op, badVarint, 0)
	}
	return p.fail(op, badInt, v)
}

func (p *Program) failNumber(op int, b []byte, pos, end int, negative, large why) bool {
	v, n := varint(b, pos)
	switch {
	case n == 0:
		return p.fail(op, badVarint, 0)
	case pos+n > end:
		return p.fail(op, truncated, 0)
	case v < 0:
		return p.fail(op, negative, v)
	}
	return p.fail(op, large, v)
}

func (p *Program) failLength(op int, b []byte, pos, end int) bool {
	return p.failNumber(op, b, pos, end, badLength, longLength)
}

func (p *Program) failBranch(op int, b []byte, pos, end int) bool {
	return p.failNumber(op, b, pos, end, badBranch, badBranch)
}

func (p *Program) failCount(op int, b []byte, pos, end int) bool {
	v, n := varint(b, pos)
	if n == 0 || v >= 0 || pos+n > end {
		return p.failNumber(op, b, pos, end, badCount, longCount)
	}
	if v == math.MinInt64 {
		return p.fail(op, badCount, v)
	}
	if size, w := varint(b, pos+n); w == 0 { // the block's size
		return p.fail(op, badVarint, size)
	} else if pos+n+w > end {
		return p.fail(op, truncated, 0)
	}
	return p.fail(op, longCount, -v)
}
