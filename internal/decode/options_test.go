package decode

import (
	"fmt"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

func TestParseOptions(t *testing.T) {
	tests := []struct {
		name string
		in   []string // key, value, ...; line 1, 2, ...
		sel  []string // nil: not given; a leading bang makes an item secret
		want string   // columns and options
		bad  []string
	}{
		{name: "nothing given: the tutorial's columns",
			want: "[topic partition offset timestamp timestampType key parsedValue] key text FAILFAST reject 16777216 64 64"},
		{name: "the values as they are", in: []string{"value", "binary", "key", "Binary"},
			want: "[topic partition offset timestamp timestampType key value] key binary FAILFAST reject 16777216 64 64"},
		{name: "everything given", in: []string{"KEY", "string", "value", "AVRO", "mode", "permissive", "invalidUtf8", "keep",
			"limits.maxRecordBytes", "1MiB", "limits.maxDepth", "7", "limits.maxSchemasPerBatch", "9"},
			sel:  []string{"parsedValue", "VALUESCHEMAID", "offset", "fixedValue", "value", " topic "},
			want: "[parsedValue valueSchemaId offset fixedValue value topic] key text PERMISSIVE keep 1048576 7 9"},
		{name: "values that are decoded by others", in: []string{"key", "avro", "value", "protobuf"},
			bad: []string{"p.yaml:1:3  E1206 key: avro is not supported yet", "p.yaml:2:3  E1206 value: protobuf is not supported yet"}},
		{name: "dead letters", in: []string{"mode", "DEADLETTER"}, bad: []string{"p.yaml:1:3  E1206 mode: DEADLETTER is not supported yet"}},
		{name: "values that nobody knows", in: []string{"mode", "FAILFASTT", "value", "xml", "limits.maxDepth", "0",
			"limits.maxRecordBytes", "2GiB",
			"invalidUtf8", "replace", "limits.maxDepht", "3"}, bad: []string{`1:3  E1204 mode is "FAILFASTT"; want FAILFAST, PERMISSIVE, DROP`,
			`2:3  E1204 value is "xml"`, `3:3  E1204 limits.maxDepth is "0"; want a whole number from 1`,
			`4:3  E1204 limits.maxRecordBytes is "2GiB"`,
			`5:3  E1204 invalidUtf8 is "replace"; want reject, keep`,
			`6:3  E1203 unknown option "limits.maxDepht" in decode; did you mean "limits.maxDepth"?`}},
		{name: "columns that are not there", sel: []string{"offset", "headers", "parsedvalu", "offset", "Offset", "!hush"}, bad: []string{
			"9:2  E1206 select: headers is not supported yet", `9:3  E1204 select: unknown column "parsedvalu"; did you mean "parsedValue"?`,
			"9:4  E1208 select: offset occurs twice", "9:5  E1208 select: offset occurs twice", `9:6  E1204 select: unknown column "[REDACTED]"`}},
		{name: "a decoded value of what is not decoded", in: []string{"value", "binary"}, sel: []string{"offset", "parsedValue"},
			bad: []string{"9:2  E1207 select: parsedValue needs decode.value: avro"}},
		{name: "no column", sel: []string{}, bad: []string{"1:1  E1204 select names no column"}},
		{name: "no column that every record has", sel: []string{"parsedValue"}, bad: []string{"9:1  E1204 select names parsedValue alone"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var vs, sel []option.Value
			for i := 0; i < len(tt.in); i += 2 {
				vs = append(vs, option.Value{Key: tt.in[i], Text: tt.in[i+1], Pos: problem.Location{File: "p.yaml", Line: 1 + i/2, Col: 3}})
			}
			if tt.sel != nil {
				sel = []option.Value{}
			}
			for i, s := range tt.sel {
				v := option.Value{Text: s, Pos: problem.Location{File: "p.yaml", Line: 9, Col: 1 + i}}
				if text, ok := strings.CutPrefix(s, "!"); ok {
					v.Text, v.Secret, v.IsSecret = "", secret.New(text), true
				}
				sel = append(sel, v)
			}
			o, problems := ParseOptions(option.NewValues("decode", problem.Location{File: "p.yaml", Line: 1, Col: 1}, vs...), sel)
			if len(tt.bad) == 0 {
				key, utf8 := "binary", "reject"
				if o.KeyString {
					key = "text"
				}
				if o.KeepInvalidUTF8 {
					utf8 = "keep"
				}
				got := fmt.Sprintf("%v key %s %s %s %d %d %d", o.Columns, key, o.Mode, utf8, o.MaxRecordBytes, o.MaxDepth, o.MaxSchemasPerBatch)
				if got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
			}
			if len(problems) != len(tt.bad) {
				t.Errorf("got problems %v, want %q", problems, tt.bad)
			}
			for i, p := range problems {
				if i < len(tt.bad) && !strings.Contains(p.Error(), tt.bad[i]) {
					t.Errorf("problem %d is %s, want %s", i, p, tt.bad[i])
				}
			}
		})
	}
}
