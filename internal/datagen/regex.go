package datagen

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Limits of a regex. Its automaton can be exponentially larger than its text.
const (
	maxRegexBytes  = 4096
	maxRegexStates = 2_000
	maxRegexWork   = 2_000_000 // operands of expressions that are made: about a second
	maxRegexDepth  = 200
	// maxRegexDraws bounds the search for one string of the wanted length, which backs out of dead ends.
	maxRegexDraws = 100_000
)

// A regexError says where a regex is wrong.
type regexError struct {
	Pos int // in characters of the regex, after \d and its like were replaced
	Why string
}

func (e *regexError) Error() string { return e.Why + " at position " + strconv.Itoa(e.Pos) }

// regexClasses are the classes that are replaced in the text before it is parsed, inside of brackets too: [\d_] has become [[0-9]_], which
// is the set of [ and digits, then _ and ].
var regexClasses = strings.NewReplacer(
	`\d`, `[0-9]`, `\D`, `[^0-9]`, `\s`, "[ \t\n\f\r]", `\S`, "[^ \t\n\f\r]", `\w`, `[a-zA-Z_0-9]`, `\W`, `[^a-zA-Z_0-9]`,
)

// unquote replaces \Q...\E by its text with every special character escaped.
func unquote(text string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, `\Q`)
		quoted, after, ended := strings.Cut(rest, `\E`)
		if !found || !ended || strings.Contains(quoted, "\n") {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(before)
		for _, r := range quoted {
			if strings.ContainsRune(`.^$*+?(){|[\@`, r) {
				b.WriteByte('\\')
			}
			b.WriteRune(r)
		}
		text = after
	}
}

// A regexParser builds the expression of a text in the syntax of dk.brics.automaton's RegExp, all of its operators on: union |,
// intersection &, complement ~, the empty language #, any string @, quoted "text", and numbers <n-m>. There are no anchors, assertions or
// back references. Characters are UTF-16 code units, as in Java.
type regexParser struct {
	*exprs
	text  []uint16
	pos   int
	depth int
}

// parseRegex returns the expression of the text.
func parseRegex(x *exprs, text string) (e int32, err error) {
	if len(text) > maxRegexBytes {
		return 0, fmt.Errorf("the regex is %d bytes long; want at most %d", len(text), maxRegexBytes)
	}
	p := &regexParser{exprs: x, text: utf16Of(regexClasses.Replace(unquote(text)))}
	defer func() {
		if r := recover(); r != nil {
			fault, ok := r.(*regexError)
			if !ok {
				panic(r)
			}
			err = fault
		}
	}()
	if len(p.text) == 0 {
		return p.epsilon(), nil
	}
	e = p.union()
	if p.pos < len(p.text) {
		p.fail("end of the regex expected")
	}
	return e, nil
}

// fail ends the parse; parseRegex recovers.
func (p *regexParser) fail(format string, args ...any) {
	panic(&regexError{p.pos, fmt.Sprintf(format, args...)})
}

func (p *regexParser) more() bool { return p.pos < len(p.text) }

func (p *regexParser) peek(any string) bool {
	return p.more() && p.text[p.pos] < 0x80 && strings.IndexByte(any, byte(p.text[p.pos])) >= 0
}

func (p *regexParser) match(c byte) bool {
	if p.more() && p.text[p.pos] == uint16(c) {
		p.pos++
		return true
	}
	return false
}

func (p *regexParser) char() uint16 {
	p.match('\\')
	if !p.more() {
		p.fail("unexpected end of the regex")
	}
	c := p.text[p.pos]
	p.pos++
	return c
}

func (p *regexParser) union() int32 {
	if p.depth++; p.depth > maxRegexDepth {
		p.fail("the regex is nested deeper than %d", maxRegexDepth)
	}
	alternatives := []int32{p.intersection()}
	for p.match('|') {
		alternatives = append(alternatives, p.intersection())
	}
	p.depth--
	return p.or(alternatives...)
}

func (p *regexParser) intersection() int32 {
	all := []int32{p.sequence()}
	for p.match('&') {
		all = append(all, p.sequence())
	}
	return p.and(all...)
}

func (p *regexParser) sequence() int32 {
	parts := []int32{p.repetition()}
	for p.more() && !p.peek(")|&") {
		parts = append(parts, p.repetition())
	}
	e := parts[len(parts)-1]
	for i := len(parts) - 2; i >= 0; i-- {
		e = p.concat(parts[i], e)
	}
	return e
}

func (p *regexParser) repetition() int32 {
	e := p.complement()
	for p.peek("?*+{") {
		switch {
		case p.match('?'):
			e = p.repeat(e, 0, 1)
		case p.match('*'):
			e = p.repeat(e, 0, unbounded)
		case p.match('+'):
			e = p.repeat(e, 1, unbounded)
		case p.match('{'):
			least := p.integer()
			most := least
			if p.match(',') {
				if most = unbounded; p.peek("0123456789") {
					most = p.integer()
				}
			}
			if !p.match('}') {
				p.fail("'}' expected")
			}
			e = p.repeat(e, least, most)
		}
	}
	return e
}

func (p *regexParser) integer() int32 {
	start := p.pos
	for p.peek("0123456789") {
		p.pos++
	}
	if start == p.pos {
		p.fail("integer expected")
	}
	n, err := strconv.ParseInt(stringOf(p.text[start:p.pos]), 10, 32)
	if err != nil || n == math.MaxInt32 {
		p.fail("the count is too large")
	}
	return int32(n)
}

func (p *regexParser) complement() int32 {
	negations := 0
	for p.match('~') {
		negations++
	}
	e := p.class()
	if negations%2 == 1 {
		return p.not(e)
	}
	return e
}

func (p *regexParser) class() int32 {
	if !p.match('[') {
		return p.simple()
	}
	negated := p.match('^')
	var set charSet
	for first := true; first || p.more() && !p.peek("]"); first = false {
		set = append(set, p.classRange())
	}
	if !p.match(']') {
		p.fail("']' expected")
	}
	set = set.normal()
	if negated {
		set = set.inverse()
	}
	return p.chars(set)
}

func (p *regexParser) classRange() charRange {
	c := p.char()
	if !p.match('-') {
		return charRange{c, c}
	}
	if p.peek("]") {
		p.pos-- // a dash at the end is one
		return charRange{c, c}
	}
	return charRange{c, p.char()} // the wrong way round it holds nothing
}

func (p *regexParser) simple() int32 {
	switch {
	case p.match('.'):
		return p.chars(anyChar)
	case p.match('#'):
		return p.nothing()
	case p.match('@'):
		return p.repeat(p.chars(anyChar), 0, unbounded)
	case p.match('"'):
		return p.quoted()
	case p.match('('):
		if p.match(')') {
			return p.epsilon()
		}
		e := p.union()
		if !p.match(')') {
			p.fail("')' expected")
		}
		return e
	case p.match('<'):
		return p.numbers()
	}
	c := p.char()
	return p.chars(charSet{{c, c}})
}

func (p *regexParser) quoted() int32 {
	start := p.pos
	for p.more() && !p.peek(`"`) {
		p.pos++
	}
	text := p.text[start:p.pos]
	if !p.match('"') {
		p.fail("'\"' expected")
	}
	return p.literal(text)
}

func (x *exprs) literal(text []uint16) int32 {
	e := x.epsilon()
	for i := len(text) - 1; i >= 0; i-- {
		e = x.concat(x.chars(charSet{{text[i], text[i]}}), e)
	}
	return e
}

// numbers parses the rest of <n-m>: the decimal numbers between, with as many digits as both ends have if they have equally many, else with
// any number of leading zeros.
func (p *regexParser) numbers() int32 {
	start := p.pos
	for p.more() && !p.peek(">") {
		p.pos++
	}
	text := stringOf(p.text[start:p.pos])
	if !p.match('>') {
		p.fail("'>' expected")
	}
	from, to, ok := strings.Cut(text, "-")
	low, err := strconv.ParseInt(from, 10, 32)
	high, err2 := strconv.ParseInt(to, 10, 32)
	if !ok || err != nil || err2 != nil || low < 0 || high < 0 {
		p.fail("<%s> is no interval of numbers", text)
	}
	if low > high {
		low, high = high, low
	}
	if len(from) == len(to) {
		return p.between(fmt.Sprintf("%0*d", len(from), low), fmt.Sprintf("%0*d", len(from), high))
	}
	var widths []int32
	for first := low; first <= high; {
		digits := len(strconv.FormatInt(first, 10))
		last := min(high, int64(math.Pow10(digits))-1)
		widths = append(widths, p.between(strconv.FormatInt(first, 10), strconv.FormatInt(last, 10)))
		first = last + 1
	}
	return p.concat(p.repeat(p.chars(charSet{{'0', '0'}}), 0, unbounded), p.or(widths...))
}

// between is the decimal numbers from low to high, two texts of one length.
func (x *exprs) between(low, high string) int32 {
	if low == "" {
		return x.epsilon()
	}
	digit := func(from, to byte) int32 { return x.chars(charSet{{uint16(from), uint16(to)}}) }
	if low[0] == high[0] {
		return x.concat(digit(low[0], low[0]), x.between(low[1:], high[1:]))
	}
	rest := len(low) - 1
	parts := []int32{
		x.concat(digit(low[0], low[0]), x.between(low[1:], strings.Repeat("9", rest))),
		x.concat(digit(high[0], high[0]), x.between(strings.Repeat("0", rest), high[1:])),
	}
	if low[0]+1 < high[0] {
		parts = append(parts, x.concat(digit(low[0]+1, high[0]-1), x.repeat(digit('0', '9'), int32(rest), int32(rest))))
	}
	return x.or(parts...)
}
