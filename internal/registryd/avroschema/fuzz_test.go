package avroschema

import (
	"errors"
	"strings"
	"testing"
)

// seeds are the schemas of the golden file.
func seeds(f *testing.F) []string {
	f.Helper()
	var out []string
	for _, line := range strings.Split(golden(f, "text.tsv"), "\n") {
		if text, _, ok := strings.Cut(line, "\t"); ok && !strings.HasPrefix(line, "#") {
			out = append(out, text)
		}
	}
	return out
}

// FuzzParse checks of every text that is a schema: its String and its normal form are schemas that render as themselves, and it reads
// what it writes.
func FuzzParse(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text, nil, false)
		if err != nil {
			return
		}
		for form, render := range map[string]func(*Schema) string{"String": (*Schema).String, "Resolved": (*Schema).Resolved} {
			rendered := render(s)
			again, err := Parse(rendered, nil, false)
			if err != nil {
				t.Fatalf("%s of %q is no schema: %v\n%s", form, text, err, rendered)
			}
			if got := render(again); got != rendered {
				t.Errorf("%s of %q\nfirst  %s\nsecond %s", form, text, rendered, got)
			}
		}
		differences, err := Compare(s, s)
		if _, quirk := errors.AsType[Error](err); len(differences) > 0 || err != nil && !quirk && !errors.Is(err, errTooComplex) {
			t.Errorf("%s does not read what it writes: %v, %v", s, differences, err)
		}
	})
}

func FuzzCompare(f *testing.F) {
	all := seeds(f)
	for i, s := range all {
		f.Add(s, all[(i+7)%len(all)])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		reader, err := Parse(a, nil, false)
		if err != nil {
			return
		}
		writer, err := Parse(b, nil, false)
		if err != nil {
			return
		}
		differences, err := Compare(reader, writer)
		if err == nil && reader.String() == writer.String() && len(differences) > 0 {
			t.Errorf("%s differs from itself: %v", reader, differences)
		}
		for _, d := range differences {
			if !strings.HasPrefix(d.Path, "/") || !strings.Contains(d.Describe("new", "old"), d.Type) {
				t.Errorf("%+v is described as %s", d, d.Describe("new", "old"))
			}
		}
	})
}
