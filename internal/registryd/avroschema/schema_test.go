package avroschema

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func golden(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(text), "\n")
}

// rows yields the fields of a golden file's lines, without comments.
func rows(t *testing.T, name string) [][]string {
	t.Helper()
	var out [][]string
	for _, line := range strings.Split(golden(t, name), "\n") {
		if !strings.HasPrefix(line, "#") {
			out = append(out, strings.Split(line, "\t"))
		}
	}
	return out
}

var unescape = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t")

func TestSchemasAreTakenAndRenderedAsByAvroJava(t *testing.T) {
	for _, row := range rows(t, "text.tsv") {
		s, err := Parse(row[0], nil, true)
		if row[1] == "err" {
			if err == nil {
				t.Errorf("%s\nis taken, as %s; Avro Java refuses it", row[0], s)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s\nis refused: %v", row[0], err)
			continue
		}
		if want := unescape.Replace(row[2]); s.String() != want {
			t.Errorf("%s\ngot  %s\nwant %s", row[0], s, want)
		}
	}
}

func TestSchemasAreComparedAsByAvroJava(t *testing.T) {
	for _, row := range rows(t, "compat.tsv") {
		reader, err := Parse(row[0], nil, false)
		if err != nil {
			t.Fatalf("%s: %v", row[0], err)
		}
		writer, err := Parse(row[1], nil, false)
		if err != nil {
			t.Fatalf("%s: %v", row[1], err)
		}
		differences, err := Compare(reader, writer)
		if row[2] == "err" {
			if err == nil {
				t.Errorf("%s\n%s\ngot no error, Avro Java says %s", row[0], row[1], row[3])
			}
			continue
		}
		if err != nil {
			t.Errorf("%s\n%s\n%v", row[0], row[1], err)
			continue
		}
		var got, want []string
		for _, d := range differences {
			got = append(got, d.Type+"|"+d.Path+"|"+d.Message)
		}
		for _, d := range row[3:] {
			want = append(want, unescape.Replace(d))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("reader %s\nwriter %s\n%s", row[0], row[1], diff)
		}
	}
}
