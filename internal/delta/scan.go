package delta

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A scanner walks JSON text in place. A log is opened by walking every line of it, and most lines are add files whose statistics nobody
// looks at then: walking is several times cheaper than decoding. It accepts what RFC 8259 says, in UTF-8.
type scanner struct {
	b []byte
	i int
}

// maxJSONDepth bounds the nesting of a line; Jackson's limit is 1000, real logs stay below 10.
const maxJSONDepth = 200

var errJSON = errors.New("invalid JSON")

func (s *scanner) fail(what string) error {
	return fmt.Errorf("%w at byte %d: %s", errJSON, s.i, what)
}

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\t' || s.b[s.i] == '\n' || s.b[s.i] == '\r') {
		s.i++
	}
}

// next skips white space and returns the byte after it without taking it, 0 at the end.
func (s *scanner) next() byte {
	if s.i < len(s.b) && s.b[s.i] > ' ' {
		return s.b[s.i]
	}
	s.space()
	if s.i == len(s.b) {
		return 0
	}
	return s.b[s.i]
}

// take takes the byte c.
func (s *scanner) take(c byte) error {
	if s.next() != c {
		return s.fail("want " + strconv.QuoteRune(rune(c)))
	}
	s.i++
	return nil
}

// object calls field with each key of an object; field takes the value, and does not keep the key.
func (s *scanner) object(field func(key []byte) error) error {
	if err := s.take('{'); err != nil {
		return err
	}
	if s.next() == '}' {
		s.i++
		return nil
	}
	for {
		raw, err := s.text()
		if err != nil {
			return err
		}
		if err := s.take(':'); err != nil {
			return err
		}
		if bytes.IndexByte(raw, '\\') >= 0 {
			key, err := unquote(raw)
			if err != nil {
				return err
			}
			raw = []byte(key)
		}
		if err := field(raw); err != nil {
			return err
		}
		if s.next() == ',' {
			s.i++
			s.next()
			continue
		}
		return s.take('}')
	}
}

// text takes a string and returns what is between its quotes, escapes and all.
func (s *scanner) text() ([]byte, error) {
	if err := s.take('"'); err != nil {
		return nil, err
	}
	start := s.i
	for {
		// IndexByte is many times faster than a loop, and a statistics string has few quotes that are not escaped.
		n := bytes.IndexByte(s.b[s.i:], '"')
		if n < 0 {
			return nil, s.fail("a string does not end")
		}
		s.i += n
		escapes := 0
		for p := s.i - 1; p >= start && s.b[p] == '\\'; p-- {
			escapes++
		}
		s.i++
		if escapes%2 == 0 {
			return s.b[start : s.i-1], nil
		}
	}
}

// raw takes a value and returns its text. Strings inside are walked, not checked.
func (s *scanner) raw() ([]byte, error) {
	s.next()
	start := s.i
	if err := s.skip(0); err != nil {
		return nil, err
	}
	return s.b[start:s.i], nil
}

func (s *scanner) skip(depth int) error {
	if depth > maxJSONDepth {
		return s.fail("nested too deep")
	}
	switch c := s.next(); c {
	case '"':
		_, err := s.text()
		return err
	case '{':
		return s.object(func([]byte) error { return s.skip(depth + 1) })
	case '[':
		s.i++
		if s.next() == ']' {
			s.i++
			return nil
		}
		for {
			if err := s.skip(depth + 1); err != nil {
				return err
			}
			if s.next() != ',' {
				return s.take(']')
			}
			s.i++
		}
	case 't', 'f', 'n':
		for _, word := range [...]string{"true", "false", "null"} {
			if strings.HasPrefix(string(s.b[s.i:min(len(s.b), s.i+5)]), word) {
				s.i += len(word)
				return nil
			}
		}
		return s.fail("want a value")
	default:
		_, err := s.number()
		return err
	}
}

// number takes a number and returns its text.
func (s *scanner) number() ([]byte, error) {
	s.next()
	start := s.i
	digits := func() bool {
		from := s.i
		for s.i < len(s.b) && s.b[s.i]-'0' <= 9 {
			s.i++
		}
		return s.i > from
	}
	is := func(c byte) bool { return s.i < len(s.b) && s.b[s.i] == c }
	if is('-') {
		s.i++
	}
	zero := is('0')
	first := s.i
	ok := digits() && !(zero && s.i > first+1)
	if ok && is('.') {
		s.i++
		ok = digits()
	}
	if ok && (is('e') || is('E')) {
		if s.i++; is('+') || is('-') {
			s.i++
		}
		ok = digits()
	}
	if !ok {
		return nil, s.fail("want a value")
	}
	return s.b[start:s.i], nil
}

// null takes a null, if the next value is one.
func (s *scanner) null() bool {
	if s.next() == 'n' && bytes.HasPrefix(s.b[s.i:], []byte("null")) {
		s.i += 4
		return true
	}
	return false
}

// str takes a string or null, which is "".
func (s *scanner) str() (string, error) {
	if s.null() {
		return "", nil
	}
	raw, err := s.text()
	if err != nil {
		return "", err
	}
	return unquote(raw)
}

// int takes an integer; null is 0. Some writers print 1.0 or 1e3.
func (s *scanner) int() (int64, error) {
	if s.null() {
		return 0, nil
	}
	raw, err := s.number()
	if err != nil {
		return 0, err
	}
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return n, nil
	}
	if f, err := strconv.ParseFloat(string(raw), 64); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int64(f), nil
	}
	return 0, s.fail(string(raw) + " is no integer")
}

// bool takes a truth value; null is false.
func (s *scanner) bool() (bool, error) {
	raw, err := s.raw()
	if err != nil {
		return false, err
	}
	switch string(raw) {
	case "true":
		return true, nil
	case "false", "null":
		return false, nil
	}
	return false, s.fail("want true or false")
}

// end checks that nothing but white space is left.
func (s *scanner) end() error {
	if s.next() != 0 || s.i < len(s.b) {
		return s.fail("more after the value")
	}
	return nil
}

// unquote returns the text of a JSON string, given what is between its quotes.
func unquote(raw []byte) (string, error) {
	plain := true
	for _, c := range raw {
		if c < ' ' {
			return "", fmt.Errorf("%w: control character in a string", errJSON)
		}
		plain = plain && c != '\\' && c < utf8.RuneSelf
	}
	if plain {
		return string(raw), nil
	}
	if !utf8.Valid(raw) {
		return "", fmt.Errorf("%w: a string is not UTF-8", errJSON)
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		n := bytes.IndexByte(raw[i:], '\\')
		if n < 0 {
			out = append(out, raw[i:]...)
			break
		}
		out = append(out, raw[i:i+n]...)
		if i += n + 1; i == len(raw) {
			return "", fmt.Errorf("%w: a string ends in a backslash", errJSON)
		}
		const escapes, meanings = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
		if e := strings.IndexByte(escapes, raw[i]); e >= 0 {
			out = append(out, meanings[e])
			continue
		}
		r, used := escaped(raw[i:])
		if used == 0 {
			return "", fmt.Errorf("%w: unknown escape in a string", errJSON)
		}
		out = utf8.AppendRune(out, r)
		i += used - 1
	}
	return string(out), nil
}

// escaped reads uXXXX, or a surrogate pair of them; half a pair is U+FFFD as in encoding/json.
func escaped(b []byte) (r rune, used int) {
	unit := func(b []byte) rune {
		if len(b) < 5 || b[0] != 'u' {
			return -1
		}
		n, err := strconv.ParseUint(string(b[1:5]), 16, 16)
		if err != nil {
			return -1
		}
		return rune(n)
	}
	r = unit(b)
	if r < 0 {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 5
	}
	if len(b) > 5 && b[5] == '\\' {
		if pair := utf16.DecodeRune(r, unit(b[6:])); pair != utf8.RuneError {
			return pair, 11
		}
	}
	return utf8.RuneError, 5
}
