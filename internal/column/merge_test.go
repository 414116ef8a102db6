package column

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// parse reads a schema as tests write it: "a int, s struct<b string, c array<long>>, d decimal(4,2)". A type that is not known is Other.
func parse(t testing.TB, text string) Schema {
	t.Helper()
	p := &schemaParser{text: text}
	s := Schema{p.fields("")}
	if p.text != "" {
		t.Fatalf("%s: %q is left", text, p.text)
	}
	return s
}

type schemaParser struct{ text string }

func (p *schemaParser) until(stops string) string {
	p.text = strings.TrimLeft(p.text, " ")
	i := strings.IndexAny(p.text, stops)
	if i < 0 {
		i = len(p.text)
	}
	word := p.text[:i]
	p.text = p.text[i:]
	return word
}

func (p *schemaParser) take(c string) bool {
	p.text = strings.TrimLeft(p.text, " ")
	rest, ok := strings.CutPrefix(p.text, c)
	p.text = rest
	return ok
}

func (p *schemaParser) fields(end string) (fields []Field) {
	for p.text != "" && (end == "" || !p.take(end)) {
		name := p.until(" ")
		fields = append(fields, Nullable(name, p.typ()))
		p.take(",")
	}
	return fields
}

func (p *schemaParser) typ() Type {
	switch name := p.until(",<>("); {
	case p.take("("):
		args := p.until(")")
		p.take(")")
		return parseSimple(name+"("+args+")", nil)
	case !p.take("<"):
		if name == "int" {
			name = "integer"
		}
		return parseSimple(name, []byte(`"`+name+`"`))
	case name == "array":
		t := ArrayOf(p.typ())
		p.take(">")
		return t
	case name == "map":
		t := MapOf(p.typ())
		p.take(">")
		return t
	default:
		return StructOf(p.fields(">")...)
	}
}

func text(s Schema) string {
	return strings.TrimSuffix(strings.TrimPrefix(StructOf(s.Fields...).String(), "struct<"), ">")
}

// TestMerge has a row for each rule of Delta's SchemaMergingUtils and for each change of an Avro schema that a merge decides.
func TestMerge(t *testing.T) {
	for _, tt := range []struct {
		name, current, data string
		want                string // the merged schema; "" is an error that has the text of changes
		changes             string
	}{
		// 8.1
		{"the first schema is all new", "", "a int, s struct<b string>", "a:int,s:struct<b:string>", "+ a int; + s struct<b:string>"},
		{"equal schemas change nothing", "a int, d decimal(4,2)", "a int, d decimal(4,2)", "a:int,d:decimal(4,2)", ""},
		{"unknown fields are appended at the end, in the order of the data", "b int", "z int, b int, a int", "b:int,z:int,a:int",
			"+ z int; + a int"},
		{"columns that the data lacks stay", "a int, b int", "b int", "a:int,b:int", ""},
		{"names are matched ignoring case, the current spelling stays", "Foo int", "fOO int", "Foo:int", ""},
		{"... in every struct", "s struct<Foo int>", "S struct<foo int, bar int>", "s:struct<Foo:int,bar:int>", "+ s.bar int"},
		{"... as Unicode folds it", "straße int, K int", "STRAßE int, \u212a int", "straße:int,K:int", ""},
		{"structs are merged", "s struct<a int>", "s struct<b int>", "s:struct<a:int,b:int>", "+ s.b int"},
		{"structs in arrays are merged", "s array<struct<a int>>", "s array<struct<b int>>", "s:array<struct<a:int,b:int>>", "+ s.element.b int"},
		{"structs in maps are merged", "s map<struct<a int>>", "s map<struct<b int>>", "s:map<string,struct<a:int,b:int>>", "+ s.value.b int"},
		{"structs in structs in arrays are merged", "s array<struct<a struct<x int>>>", "s array<struct<a struct<y int>>>",
			"s:array<struct<a:struct<x:int,y:int>>>",
			"+ s.element.a.y int"},
		{"byte becomes short", "a byte", "a short", "a:smallint", "~ a tinyint -> smallint"},
		{"byte becomes int", "a byte", "a int", "a:int", "~ a tinyint -> int"},
		{"short becomes int, in an array too", "a array<short>", "a array<int>", "a:array<int>", "~ a.element smallint -> int"},
		{"a narrower integer changes nothing", "a int, b short", "a byte, b byte", "a:int,b:smallint", ""},
		{"void becomes any type", "a void", "a struct<b int>", "a:struct<b:int>", "~ a void -> struct<b:int>"},
		{"a void in the data changes nothing", "a int, s array<string>", "a void, s array<void>", "a:int,s:array<string>", ""},
		{"void and void", "a void", "a void", "a:void", ""},
		{"a new void column is kept without values", "", "a void", "a:void", "+ a void"},
		{"a new array of void cannot be written", "", "a array<void>", "", "field a: array<void> cannot be written"},
		{"... nor a map, however deep", "", "s struct<m array<map<void>>>", "", "field s.m.element: map<string,void> cannot be written"},
		{"... nor one that takes the place of void", "a void", "a array<void>", "", "field a: array<void> cannot be written"},
		{"decimals of another precision", "a decimal(4,2)", "a decimal(5,2)", "",
			"field a: failed to merge decimal types with incompatible precision or scale: decimal(4,2) and decimal(5,2)"},
		{"decimals of another scale", "a decimal(4,2)", "a decimal(4,1)", "", "incompatible precision or scale"},
		{"a type that silt does not know equals itself", "a variant", "a variant", "a:\"variant\"", ""},
		{"... and nothing else", "a variant", "a interval", "", "incompatible data types"},
		{"names of the data that differ in case only", "", "a int, A int", "", "field A: the names a, A are equal ignoring case"},
		{"... in a struct that is merged", "s struct<a int>", "s struct<b int, B int>", "", "field s.B: the names b, B"},
		{"... in a struct that is new", "", "s array<struct<b int, B int>>", "", "field s.element.B: the names b, B"},

		// 8.2
		{"add a field", "v struct<a int>", "v struct<a int, b string>", "v:struct<a:int,b:string>", "+ v.b string"},
		{"remove a field", "v struct<a int, b string>", "v struct<a int>", "v:struct<a:int,b:string>", ""},
		{"rename a field", "v struct<a int>", "v struct<b int>", "v:struct<a:int,b:int>", "+ v.b int"},
		{"reorder fields", "v struct<a int, b string>", "v struct<b string, a int>", "v:struct<a:int,b:string>", ""},
		{"int to long", "v struct<a int>", "v struct<a long>", "", "field v.a: failed to merge incompatible data types int and bigint"},
		{"long to int, which is never merged either", "v struct<a long>", "v struct<a int>", "",
			"field v.a: failed to merge incompatible data types bigint and int"},
		{"float to double", "v struct<a float>", "v struct<a double>", "", "incompatible data types float and double"},
		{"int to float", "v struct<a int>", "v struct<a float>", "", "incompatible data types int and float"},
		{"int to double", "v struct<a int>", "v struct<a double>", "", "incompatible data types int and double"},
		{"long to float", "v struct<a long>", "v struct<a float>", "", "incompatible data types bigint and float"},
		{"long to double", "v struct<a long>", "v struct<a double>", "", "incompatible data types bigint and double"},
		{"string to bytes", "v struct<a string>", "v struct<a binary>", "", "incompatible data types string and binary"},
		{"a value to a record", "v struct<a int>", "v struct<a struct<b int>>", "", "incompatible data types int and struct<b:int>"},
		{"a value to an array", "v struct<a int>", "v struct<a array<int>>", "", "incompatible data types int and array<int>"},
		{"an array to a map", "v struct<a array<int>>", "v struct<a map<int>>", "", "incompatible data types array<int> and map<string,int>"},
		{"one branch to two", "v struct<a int>", "v struct<a struct<member0 int, member1 string>>", "",
			"incompatible data types int and struct<member0:int,member1:string>"},
		{"a third branch at the end", "v struct<a struct<member0 int, member1 string>>",
			"v struct<a struct<member0 int, member1 string, member2 double>>",
			"v:struct<a:struct<member0:int,member1:string,member2:double>>", "+ v.a.member2 double"},
		{"a branch before others shifts them", "v struct<a struct<member0 int, member1 string>>",
			"v struct<a struct<member0 double, member1 int>>", "",
			"field v.a.member0: failed to merge incompatible data types int and double"},
		{"a decimal's precision", "v struct<a decimal(10,2)>", "v struct<a decimal(12,2)>", "", "incompatible precision or scale"},
		{"add timestamp-millis to a long", "v struct<a long>", "v struct<a timestamp>", "", "incompatible data types bigint and timestamp"},
		{"take date from an int", "v struct<a date>", "v struct<a int>", "", "incompatible data types date and int"},
		{"add fields to records in arrays and maps", "v struct<a array<struct<x int>>, m map<struct<x int>>>",
			"v struct<a array<struct<x int, y int>>, m map<struct<y int>>>",
			"v:struct<a:array<struct<x:int,y:int>>,m:map<string,struct<x:int,y:int>>>", "+ v.a.element.y int; + v.m.value.y int"},
		{"a field that differs only in case", "v struct<userId int>", "v struct<userid int>", "v:struct<userId:int>", ""},
		{"the first local timestamp", "v struct<a int>", "v struct<t timestamp_ntz>", "v:struct<a:int,t:timestamp_ntz>", "+ v.t timestamp_ntz"},
		{"the first field of type null", "v struct<a int>", "v struct<n void>", "v:struct<a:int,n:void>", "+ v.n void"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			current, data := parse(t, tt.current), parse(t, tt.data)
			before := [2]string{current.JSON(), data.JSON()}
			got, changes, err := Merge(current, data)
			if before != [2]string{current.JSON(), data.JSON()} {
				t.Fatal("an argument changed")
			}
			if tt.want == "" {
				var me *MergeError
				if !errors.As(err, &me) || !strings.Contains(err.Error(), tt.changes) {
					t.Fatalf("got %v, want a MergeError with %q", err, tt.changes)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var list []string
			for _, c := range changes {
				list = append(list, c.String())
			}
			if d := cmp.Diff(tt.want, text(got)); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tt.changes, strings.Join(list, "; ")); d != "" {
				t.Error(d)
			}
			if !got.Contains(current) && len(changes) == 0 {
				t.Error("the merged schema lacks the current one")
			}
			again, changes, err := Merge(got, data)
			if err != nil || len(changes) > 0 || !again.Equal(got) {
				t.Errorf("merging again changes %v, %v", changes, err)
			}
		})
	}
}

func TestMergeKeepsWhatTheTableSays(t *testing.T) {
	current := Of(Field{Name: "a", Type: Primitive(Integer), Nullable: false, Metadata: `{"comment":"key"}`},
		Nullable("l", Type{Kind: Array, Element: &Type{Kind: Integer}, ElementNulls: false}))
	data := Of(Nullable("A", Primitive(Integer)), Nullable("l", ArrayOf(Primitive(Integer))),
		Field{Name: "s", Nullable: false, Type: StructOf(Field{Name: "x", Nullable: false,
			Type: Type{Kind: Array, Element: &Type{Kind: Integer}}})})
	got, _, err := Merge(current, data)
	if err != nil {
		t.Fatal(err)
	}
	// new: nullable throughout
	want := Of(current.Fields[0], current.Fields[1], Nullable("s", StructOf(Nullable("x", ArrayOf(Primitive(Integer))))))
	if got.JSON() != want.JSON() {
		t.Errorf("got  %s\nwant %s", got.JSON(), want.JSON())
	}
}

func TestSchemaContains(t *testing.T) {
	for _, tt := range []struct {
		name, has, file string
		want            bool
	}{
		{"equal", "a int, s struct<b string>", "a int, s struct<b string>", true},
		{"fewer columns in another order", "a int, s struct<b string, c int>", "s struct<c int>, a int", true},
		{"another spelling", "a int", "A int", false},
		{"two spellings", "A int, a int", "a int", true},
		{"another type", "a int", "a long", false},
		{"a column more", "a int", "a int, b int", false},
		{"a field more in an array", "a array<struct<x int>>", "a array<struct<x int, y int>>", false},
		{"fewer fields in a map", "a map<struct<x int, y int>>", "a map<struct<x int>>", true},
		{"another decimal", "a decimal(4,2)", "a decimal(4,1)", false},
	} {
		if got := parse(t, tt.has).Contains(parse(t, tt.file)); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

func TestLookupIgnoresCaseAsMergeDoes(t *testing.T) {
	names := []string{"a", "A", "ß", "ẞ", "K", "k", "\u212a", "ſ", "s", "S", "é", "É", "ı", "i", "I", "İ", "Σ", "σ", "ς"}
	for _, a := range names {
		for _, b := range names {
			_, i := Of(Nullable(a, Primitive(Integer))).Lookup(b)
			if (i == 0) != (fold(a) == fold(b)) {
				t.Errorf("%s and %s: found at %d, folded %q and %q", a, b, i, fold(a), fold(b))
			}
		}
	}
}
