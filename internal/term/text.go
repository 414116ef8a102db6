// Package term is what people read: problem blocks, tables, the status line, and the -o forms that programs read instead.
//
// Writers are passed in, and every function makes one Write of whole lines, so that a scrubbing writer under it sees every value in one
// piece. Text that came from data or from a server goes through Clean before it reaches a terminal.
package term

import (
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean returns s fit for one line of a terminal: line breaks and tabs become spaces; other control characters, among them the escapes
// that move the cursor or set colours, and the marks that reverse the direction of text are taken out; invalid UTF-8 becomes U+FFFD.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t' || r == '\u2028' || r == '\u2029':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, s)
}

// cleanLines cleans a text of several lines, each by itself; empty lines at the end are left out.
func cleanLines(s string) []string {
	lines := strings.Split(strings.TrimRight(strings.ReplaceAll(s, "\r\n", "\n"), "\n"), "\n")
	for i, l := range lines {
		lines[i] = Clean(l)
	}
	return lines
}

// Count writes a whole number with thousands separators: 1,234,567.
func Count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	first := len(digits) % 3
	if first == 0 {
		first = 3
	}
	var b strings.Builder
	b.WriteString(sign)
	b.WriteString(digits[:first])
	for i := first; i < len(digits); i += 3 {
		b.WriteByte(',')
		b.WriteString(digits[i : i+3])
	}
	return b.String()
}

// Rate writes a number a second, with one decimal below 100 and none above: 4.1/s, 402/s, 61,250/s. A rate that is not a number is "-".
func Rate(perSecond float64) string {
	switch {
	case math.IsNaN(perSecond) || math.IsInf(perSecond, 0) || math.Abs(perSecond) >= 1<<62:
		return "-"
	case math.Abs(perSecond) < 99.95: // 99.95 is the least that would round to 100.0
		return strconv.FormatFloat(perSecond, 'f', 1, 64) + "/s"
	}
	return Count(int64(math.Round(perSecond))) + "/s"
}

// Plural writes a count and its noun: 1 row, 2 rows.
func Plural(n int64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return Count(n) + " " + noun
}

// truncate returns at most width characters of s; what is left out ends in an ellipsis.
func truncate(s string, width int) string {
	if width <= 0 || utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

// UseColor decides about colour: mode is auto, always or never. Auto is a terminal that understands it and no NO_COLOR
// (no-color.org: present and not empty); what the user asks for on the command line beats the environment.
func UseColor(mode string, terminal bool, env func(string) (string, bool)) bool {
	switch mode {
	case "always":
		return true
	case "never":
		return false
	}
	if v, ok := env("NO_COLOR"); ok && v != "" {
		return false
	}
	kind, _ := env("TERM")
	return terminal && kind != "dumb"
}
