package datagen

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// The golden file is what Generex 1.0.2 draws; testdata/RegexOracle.java writes it.
func TestRegexesDrawWhatGenerexDraws(t *testing.T) {
	golden := lines(t, "regex_golden.tsv")
	for i, c := range lines(t, "regex_cases.tsv") {
		t.Run(c[0], func(t *testing.T) {
			want := golden[i]
			x, err := compileRegex(c[0])
			if err != nil {
				t.Fatal(err)
			}
			r := newRandom(42)
			for k := range 20 {
				s, err := x.appendString(nil, r, int32(parseInt(t, c[1])), int32(parseInt(t, c[2])))
				if err != nil {
					t.Fatal(err)
				}
				if got := fmt.Sprintf("%x", s); got != want[1+k] {
					t.Fatalf("string %d: got %s, want %s", k, got, want[1+k])
				}
			}
			if got := fmt.Sprint(r.nextLong()); got != want[21] {
				t.Errorf("the state after it: got %s, want %s", got, want[21])
			}
		})
	}
}

func TestBadRegexesAreRefused(t *testing.T) {
	tests := []struct{ regex, want string }{
		{"(ab", "')' expected at position 3"},
		{"ab)", "end of the regex expected at position 2"},
		{"[ab", "']' expected at position 3"},
		{"a{", "integer expected at position 2"},
		{"a{1", "'}' expected at position 3"},
		{"a{99999999999}", "the count is too large at position 13"},
		{`a"b`, "'\"' expected at position 3"},
		{`a\`, "unexpected end of the regex at position 2"},
		{"<a-b>", "<a-b> is no interval of numbers at position 5"},
		{"<1-2", "'>' expected at position 4"},
		{"#", "no string matches it"},
		{"a&b", "no string matches it"},
		{"(a|b)*a(a|b){15}", "its automaton has more than 2000 states"}, // 2^16 states
		{strings.Repeat("(a?){1,9}", 300), "it is too complex"},
		{strings.Repeat("(", 300), "the regex is nested deeper than 200 at position 200"},
		{strings.Repeat("a", 5000), "the regex is 5000 bytes long; want at most 4096"},
	}
	for _, tt := range tests {
		_, err := compileRegex(tt.regex)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%.20s: got %v, want %s", tt.regex, err, tt.want)
		}
	}
}

// The original overflows its stack here, or searches for ever.
func TestARegexWithoutStringsOfTheLengthFails(t *testing.T) {
	tests := []struct {
		regex       string
		least, most int32
	}{
		{"(ax|by){20}", 8, 15}, // all are 40 long, and there are 2^20 ways to find out
		{"a*b", 0, 3},          // a walk that has missed the b goes on
	}
	for _, tt := range tests {
		x, err := compileRegex(tt.regex)
		if err != nil {
			t.Fatal(err)
		}
		r := newRandom(1)
		failed := false
		for range 200 {
			if _, err := x.appendString(nil, r, tt.least, tt.most); err != nil {
				failed = true
				break
			}
		}
		if !failed {
			t.Errorf("%s found strings of %d to %d characters", tt.regex, tt.least, tt.most)
		}
	}
}

// regexText makes regexes that mean the same to Go.
func regexText() *rapid.Generator[string] {
	atom := rapid.OneOf(rapid.SampledFrom([]string{"a", "b", "[a-c]", "[^ab]", `\d`, `\w`, ".", "x", "_", `\.`, "[1-9]"}))
	return rapid.Custom(func(t *rapid.T) string { return regexOf(t, atom, 3) })
}

func regexOf(t *rapid.T, atom *rapid.Generator[string], depth int) string {
	if depth == 0 {
		return atom.Draw(t, "atom")
	}
	var b strings.Builder
	for i := range rapid.IntRange(1, 3).Draw(t, "parts") {
		part := regexOf(t, atom, depth-1)
		switch rapid.IntRange(0, 5).Draw(t, "shape") {
		case 0:
			part = "(" + part + ")" + rapid.SampledFrom([]string{"?", "{2}", "{1,3}", "{0,2}"}).Draw(t, "repeat")
		case 1:
			part = "(" + part + "|" + regexOf(t, atom, depth-1) + ")"
		}
		if i > 0 && rapid.Bool().Draw(t, "alternative") {
			part = "|" + part
		}
		b.WriteString(part)
	}
	return "(" + b.String() + ")"
}

func TestStringsMatchTheirRegex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := regexText().Draw(t, "regex")
		x, err := compileRegex(text)
		if err != nil {
			if strings.Contains(err.Error(), "more than") {
				t.Skip(err)
			}
			t.Fatalf("%s: %s", text, err)
		}
		matcher, err := regexp.Compile(`(?s)^(` + text + `)$`)
		if err != nil {
			t.Fatal(err)
		}
		r := newRandom(rapid.Int64().Draw(t, "seed"))
		for range 5 {
			s, err := x.appendString(nil, r, 0, 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			// A surrogate alone is a question mark, and two are one character of Go's.
			if !matcher.Match(s) && utf8.RuneCount(s) == len(x.path) {
				t.Fatalf("%q does not match %s", s, text)
			}
		}
	})
}

func FuzzRegex(f *testing.F) {
	for _, seed := range []string{"User_[1-9]{0,1}", `\[[0-9][0-9],[0-9][0-9]\]`, "~(a|b)&@<1-20>", `"x"#*`, `\Q.\E(a{2,3}){4}`, "[^\\d-]+"} {
		f.Add(seed, int64(1))
	}
	f.Fuzz(func(t *testing.T, text string, seed int64) {
		x, err := compileRegex(text)
		if err != nil {
			return
		}
		s, err := x.appendString(nil, newRandom(seed), 8, 15)
		if err == nil && !utf8.Valid(s) {
			t.Errorf("%q is not UTF-8", s)
		}
	})
}

func compiled(text string) *regexp.Regexp { return regexp.MustCompile(`^(` + text + `)$`) }
