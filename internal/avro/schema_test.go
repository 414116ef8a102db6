package avro

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/column"
)

func TestTypesAreSparks(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		// primitives
		{`"boolean"`, "boolean"},
		{`{"type":"int"}`, "int"},
		{`"long"`, "bigint"},
		{`"float"`, "float"},
		{`"double"`, "double"},
		{`"bytes"`, "binary"},
		{`"string"`, "string"},
		// named types that are one value
		{`{"type":"enum","name":"E","symbols":["A","B"]}`, "string"},
		{`{"type":"fixed","name":"F","size":3}`, "binary"},
		// logical types
		{`{"type":"int","logicalType":"date"}`, "date"},
		{`{"type":"long","logicalType":"timestamp-millis"}`, "timestamp"},
		{`{"type":"long","logicalType":"timestamp-micros"}`, "timestamp"},
		{`{"type":"string","logicalType":"uuid"}`, "string"},
		{`{"type":"bytes","logicalType":"decimal","precision":38,"scale":38}`, "decimal(38,38)"},
		{`{"type":"bytes","logicalType":"decimal","precision":5}`, "decimal(5,0)"},
		{`{"type":"fixed","name":"F","size":16,"logicalType":"decimal","precision":38,"scale":2}`, "decimal(38,2)"},
		// logical types that are unknown or on the wrong type are ignored (Avro specification, "Logical Types")
		{`{"type":"string","logicalType":"date"}`, "string"},
		{`{"type":"long","logicalType":"date"}`, "bigint"},
		{`{"type":"int","logicalType":"timestamp-millis"}`, "int"},
		{`{"type":"long","logicalType":"time-millis"}`, "bigint"},
		{`{"type":"bytes","logicalType":"uuid"}`, "binary"},
		{`{"type":"fixed","name":"F","size":15,"logicalType":"uuid"}`, "binary"},
		{`{"type":"fixed","name":"F","size":11,"logicalType":"duration"}`, "binary"},
		{`{"type":"fixed","name":"F","size":11,"logicalType":"big-decimal"}`, "binary"},
		{`{"type":"int","logicalType":"io.debezium.time.Date"}`, "int"},
		{`{"type":"long","logicalType":17}`, "bigint"},
		// so are decimals that are none: without precision, of precision 0, scale above precision, more digits than the fixed holds
		{`{"type":"bytes","logicalType":"decimal"}`, "binary"},
		{`{"type":"bytes","logicalType":"decimal","precision":"5"}`, "binary"},
		{`{"type":"bytes","logicalType":"decimal","precision":5.5}`, "binary"},
		{`{"type":"bytes","logicalType":"decimal","precision":0}`, "binary"},
		{`{"type":"bytes","logicalType":"decimal","precision":5,"scale":6}`, "binary"},
		{`{"type":"bytes","logicalType":"decimal","precision":5,"scale":-1}`, "binary"},
		{`{"type":"fixed","name":"F","size":4,"logicalType":"decimal","precision":10}`, "binary"},
		{`{"type":"fixed","name":"F","size":4,"logicalType":"decimal","precision":9}`, "decimal(9,0)"},
		{`{"type":"fixed","name":"F","size":5,"logicalType":"decimal","precision":12}`, "binary"},
		{`{"type":"fixed","name":"F","size":5,"logicalType":"decimal","precision":11}`, "decimal(11,0)"},
		{`{"type":"string","logicalType":"decimal","precision":5}`, "string"},
		// unions of one type, with null or without
		{`["null","int"]`, "int"},
		{`["int","null"]`, "int"},
		{`["int"]`, "int"},
		{`[{"type":"null"},{"type":"array","items":["null","int"]}]`, "array<int>"},
		// nesting
		{`{"type":"array","items":{"type":"map","values":["null","double"]}}`, "array<map<string,double>>"},
		{`{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"record","name":"S","fields":[{"name":"b","type":"int"}]}}]}`,
			"struct<a:struct<b:int>>"},
		{`{"type":"error","name":"R","fields":[{"name":"a","type":"int"}]}`, "struct<a:int>"},
		// a null has no values; Spark keeps the column in the schema
		{`{"type":"record","name":"R","fields":[{"name":"a","type":"null"},{"name":"b","type":"int"}]}`, "struct<a:void,b:int>"},
		// a named type that is used again is written out
		{`{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"record","name":"P","fields":[{"name":"x","type":"int"}]}},
			{"name":"b","type":["null","P"]},{"name":"c","type":{"type":"array","items":{"type":"P","doc":"again"}}}]}`,
			"struct<a:struct<x:int>,b:struct<x:int>,c:array<struct<x:int>>>"},
		// names are found in the record's own namespace first, then without one
		{`{"type":"record","name":"n.R","fields":[
			{"name":"a","type":{"type":"enum","name":"E","namespace":"","symbols":["A"]}},
			{"name":"b","type":{"type":"fixed","name":"F","size":2}},
			{"name":"c","type":{"type":"record","name":"S","namespace":"m","fields":[{"name":"x","type":"n.F"},{"name":"y","type":"E"}]}},
			{"name":"d","type":"F"},{"name":"e","type":"m.S"}]}`,
			"struct<a:string,b:binary,c:struct<x:binary,y:string>,d:binary,e:struct<x:binary,y:string>>"},
		{`{"type":"record","name":"n.R","fields":[
			{"name":"a","type":{"type":"enum","name":"T","namespace":"","symbols":["A"]}},
			{"name":"b","type":{"type":"fixed","name":"T","size":2}},
			{"name":"c","type":"T"},{"name":"d","type":"n.T"}]}`, "struct<a:string,b:binary,c:binary,d:binary>"},
		// what has no effect is not looked at: bad defaults, odd names, logicalType beside the type, aliases, order
		{`{"type":"record","name":"R","aliases":["1"],"fields":[
			{"name":"user-id","type":"int","default":"5"},
			{"name":"e","type":["null","int"],"default":7},
			{"name":"ts","type":"long","logicalType":"timestamp-millis"},
			{"name":"d","type":"bytes","logicalType":"decimal","precision":500,"scale":900},
			{"name":"o","type":"int","order":"sideways","aliases":"x","doc":17}]}`, "struct<user-id:int,e:int,ts:bigint,d:binary,o:int>"},
		{`["null",{"type":"array","items":{"type":"map","values":` + record(`{"name":"a","type":"int","default":"5"}`) + `}}]`,
			"array<map<string,struct<a:int>>>"},
		// properties of Kafka Connect and of the Java library
		{`{"type":"record","name":"R","connect.name":"x","fields":[{"name":"a","type":{"type":"string","avro.java.string":"String"}},
			{"name":"b","type":{"type":"int","connect.version":1,"connect.name":"y"}}]}`, "struct<a:string,b:int>"},
	} {
		s, err := Parse(c.text, nil)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := s.Type().String(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.text, got, c.want)
		}
		if err := allNullable(s.Type()); err != nil {
			t.Errorf("%s: %v", c.text, err)
		}
	}
}

func allNullable(t column.Type) error {
	for _, f := range t.Fields {
		if !f.Nullable {
			return fmt.Errorf("field %s is not nullable", f.Name)
		}
		if err := allNullable(f.Type); err != nil {
			return err
		}
	}
	if t.Element != nil {
		if !t.ElementNulls {
			return fmt.Errorf("items of %s are not nullable", t)
		}
		return allNullable(*t.Element)
	}
	return nil
}

func record(fields string) string { return `{"type":"record","name":"R","fields":[` + fields + `]}` }

func TestUnsupportedTypesAreNamed(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		// unions of several types
		{`["int","long"]`, "avro type union [int, long]: silt reads unions of null and one type"},
		{record(`{"name":"a","type":["null","int","string"]}`), "field a: avro type union [int, string]: silt reads unions of null and one type"},
		// unions of none
		{record(`{"name":"a","type":["null"]}`), "field a: avro type union []: it has no type but null"},
		{record(`{"name":"a","type":[]}`), "field a: avro type union []: it has no type but null"},
		// recursion, direct, through a list and through another record
		{record(`{"name":"next","type":["null","R"]}`), "field next: avro type R: the type contains itself, which columns cannot hold"},
		{record(`{"name":"kids","type":{"type":"array","items":"R"}}`),
			"field kids.element: avro type R: the type contains itself, which columns cannot hold"},
		{`{"type":"record","name":"n.R","fields":[{"name":"a","type":{"type":"record","name":"S","fields":[{"name":"b","type":"R"}]}}]}`,
			"field a.b: avro type n.R: the type contains itself, which columns cannot hold"},
		// logical types that come later
		{record(`{"name":"a","type":{"type":"int","logicalType":"time-millis"}}`),
			"field a: avro type int: silt does not read the logical type time-millis"},
		{`{"type":"long","logicalType":"time-micros"}`, "avro type long: silt does not read the logical type time-micros"},
		{`{"type":"long","logicalType":"timestamp-nanos"}`, "avro type long: silt does not read the logical type timestamp-nanos"},
		{`{"type":"long","logicalType":"local-timestamp-millis"}`, "avro type long: silt does not read the logical type local-timestamp-millis"},
		{`{"type":"long","logicalType":"local-timestamp-micros"}`, "avro type long: silt does not read the logical type local-timestamp-micros"},
		{`{"type":"long","logicalType":"local-timestamp-nanos"}`, "avro type long: silt does not read the logical type local-timestamp-nanos"},
		{`{"type":"bytes","logicalType":"big-decimal"}`, "avro type bytes: silt does not read the logical type big-decimal"},
		{`{"type":"fixed","name":"F","size":16,"logicalType":"uuid"}`, "avro type fixed: silt does not read the logical type uuid"},
		{`{"type":"fixed","name":"F","size":12,"logicalType":"duration"}`, "avro type fixed: silt does not read the logical type duration"},
		{`{"type":"long","spark.sql.catalyst.type":"interval day to second"}`,
			"avro type long: the property spark.sql.catalyst.type makes it interval day to second"},
		// decimals that Spark cannot hold either
		{`{"type":"bytes","logicalType":"decimal","precision":39}`, "avro type bytes: decimal precision 39 is above 38"},
		{`{"type":"fixed","name":"F","size":20,"logicalType":"decimal","precision":40}`, "avro type fixed: decimal precision 40 is above 38"},
		// types without a column
		{record(``), "avro type record R: a record without fields has no columns"},
		{record(`{"name":"a","type":"null"}`), "avro type record R: a record whose fields are all null has no columns"},
		{record(`{"name":"a","type":{"type":"record","name":"n.S","fields":[]}}`),
			"field a: avro type record n.S: a record without fields has no columns"},
		{`"null"`, "avro type null: a column of nulls alone has no values"},
		{record(`{"name":"a","type":{"type":"array","items":"null"}}`), "field a: avro type array of null: items without a value are in no file"},
		{record(`{"name":"a","type":{"type":"map","values":"null"}}`), "field a: avro type map of null: items without a value are in no file"},
		{`{"type":"fixed","name":"F","size":0}`, "avro type fixed: silt does not read a fixed of no bytes"},
		{`{"type":"fixed","name":"F","size":1073741825}`, "avro type fixed: 1073741825 bytes are more than a record can have"},
		// names that are one column in Delta
		{record(`{"name":"a","type":{"type":"map","values":{"type":"record","name":"S","fields":[{"name":"Id","type":"int"},{"name":"ID","type":"int"}]}}}`),
			"field a.value.ID: avro type record: the names Id and ID are equal ignoring case"},
		{record(`{"name":"a b","type":"string"}`),
			`field a b: avro type record: the name "a b" has a character that Delta refuses without column mapping`},
		// size: each link doubles the fields
		{repeated(40, 3), "avro type record: it has more than 16384 fields, counting those of each use of a named type"},
		{repeated(20, 2), "avro type record: it has more than 16384 fields, counting those of each use of a named type"},
		{nested(46, "array"), "avro type array: records, arrays and maps are nested 46 deep, which takes 92 definition levels; silt writes 90"},
		{nested(91, "record"), "avro type record: records, arrays and maps are nested 91 deep, which takes 91 definition levels; silt writes 90"},
	} {
		_, err := Parse(c.text, nil)
		if u := (*UnsupportedError)(nil); !errors.As(err, &u) || err.Error() != c.want {
			t.Errorf("%.300s\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

// repeated is a record of records of records..., n deep, that uses each of them so many times.
func repeated(n, times int) string {
	s := `"int"`
	for i := range n {
		fields := []string{fmt.Sprintf(`{"name":"f0","type":%s}`, s)}
		for k := 1; k < times && i > 0; k++ {
			fields = append(fields, fmt.Sprintf(`{"name":"f%d","type":"R%d"}`, k, i-1))
		}
		s = fmt.Sprintf(`{"type":"record","name":"R%d","fields":[%s]}`, i, strings.Join(fields, ","))
	}
	return s
}

// nested is an int in n arrays, maps or records.
func nested(n int, kind string) string {
	s := `"int"`
	for i := range n {
		switch kind {
		case "array":
			s = `{"type":"array","items":` + s + `}`
		case "map":
			s = `{"type":"map","values":` + s + `}`
		default:
			s = fmt.Sprintf(`{"type":"record","name":"R%d","fields":[{"name":"f","type":%s}]}`, i, s)
		}
	}
	return s
}

func TestTextsThatAreNoSchemaAreInvalid(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{``, "empty"},
		{`{"type":"record"`, "unexpected EOF"},
		{`"int" "int"`, "something follows the schema"},
		{`int`, "invalid character"},
		{`"strin"`, "strin"},
		{record(`{"name":"a","type":"Missing"}`), "Missing"},
		{record(`{"name":"a","type":"int"},{"name":"a","type":"int"}`), "duplicate"},
		{record(`{"name":"","type":"int"}`), "name"},
		{record(`{"type":"int"}`), "name"},
		{`["int","int"]`, "duplicate"},
		{`["null",["null","int"]]`, "union"},
		{`{"type":"enum","name":"E","symbols":["A","A"]}`, "duplicate"},
		{`{"type":"fixed","name":"F","size":-1}`, "size"},
		{`{"type":"array"}`, "items"},
		{strings.Repeat(`[`, 20000), "depth"},
		{strings.Repeat(`{"type":"array","items":`, 3000) + `"int"` + strings.Repeat(`}`, 3000), "nest"},
		{`"` + strings.Repeat("x", maxTextBytes) + `"`, "more than 4194304 bytes"},
	} {
		_, err := Parse(c.text, nil)
		i := (*InvalidError)(nil)
		if !errors.As(err, &i) || i.Reference != -1 || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.100s: got %v, want an InvalidError with %q", c.text, err, c.want)
		}
	}
}

func TestReferencesAreFollowed(t *testing.T) {
	address := `{"type":"record","name":"Address","namespace":"com.x","fields":[{"name":"street","type":"string"},{"name":"country","type":"Country"}]}`
	country := `{"type":"enum","name":"com.x.Country","symbols":["DE","FR"]}`
	person := `{"type":"record","name":"Person","namespace":"com.x","fields":[{"name":"home","type":"Address"},{"name":"work","type":["null","com.x.Address"]},
		{"name":"born","type":"com.x.Country"}]}`
	want := "struct<home:struct<street:string,country:string>,work:struct<street:string,country:string>,born:string>"
	for _, references := range [][]string{
		{country, address},
		{country, address, country}, // met twice, on two ways
	} {
		s, err := Parse(person, references)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Type().String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for _, c := range []struct {
		references []string
		want       string
	}{
		{[]string{address}, "avro schema, reference 1: "},                // country is missing
		{[]string{country, `{"type":"re`}, "avro schema, reference 2: "}, // no JSON
		{[]string{country}, "avro schema: "},                             // address is missing
		{[]string{`"int"` + strings.Repeat(" ", maxTextBytes-10), country},
			"avro schema, reference 2: the text and its references have more than"},
	} {
		if _, err := Parse(person, c.references); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestDepthCountsRecordsArraysAndMaps(t *testing.T) {
	for _, c := range []struct {
		text string
		want int
	}{
		{`"int"`, 0},
		{`["null","string"]`, 0},
		{record(`{"name":"a","type":"int"}`), 1},
		{record(`{"name":"a","type":{"type":"array","items":{"type":"map","values":"int"}}},{"name":"b","type":"int"}`), 3},
		{nested(45, "array"), 45},
		{nested(45, "map"), 45},
		{nested(90, "record"), 90},
	} {
		s, err := Parse(c.text, nil)
		if err != nil {
			t.Fatal(err)
		}
		if s.Depth() != c.want {
			t.Errorf("%.80s: got %d, want %d", c.text, s.Depth(), c.want)
		}
		l, err := column.NewLayout(column.Of(column.Nullable("parsedValue", s.Type())))
		if err != nil {
			t.Fatalf("%.80s: %v", c.text, err) // what Parse takes can be laid out
		}
		if n := len(l.Leaves) + len(l.Nodes); n != 1+s.root.node.fieldCount {
			t.Errorf("%.80s: %d leaves and nodes, but %d fields", c.text, n, s.root.node.fieldCount)
		}
		rows := column.NewRows(l)
		if _, err := s.Bind(rows, l.Tree[0], Options{}); err != nil {
			t.Errorf("depth %d: %v", c.want, err)
		}
	}
}

func TestBindRefusesALayoutThatDoesNotFit(t *testing.T) {
	s, err := Parse(record(`{"name":"a","type":"int"},{"name":"b","type":{"type":"array","items":"string"}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	integer, text := column.Primitive(column.Integer), column.Primitive(column.String)
	for _, c := range []struct {
		t    column.Type
		want string
	}{
		{column.StructOf(column.Nullable("a", integer)), `field "b" is not in the column struct<a:int>`},
		{column.StructOf(column.Nullable("a", text), column.Nullable("b", column.ArrayOf(text))), `field "a" is int, the column string`},
		{column.StructOf(column.Nullable("a", integer), column.Nullable("b", column.ArrayOf(integer))),
			`field "b.element" is string, the column int`},
		{column.StructOf(column.Nullable("a", integer), column.Nullable("b", text)), `field "b" is array<string>, the column string`},
		{column.ArrayOf(text), `field "" is struct<a:int,b:array<string>>, the column array<string>`},
	} {
		l, err := column.NewLayout(column.Of(column.Nullable("v", c.t)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Bind(column.NewRows(l), l.Tree[0], Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	l, err := column.NewLayout(column.Of(column.Nullable("v", column.StructOf(column.Nullable("in", s.Type())))))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Bind(column.NewRows(l), l.Tree[0].Kids[0], Options{}); err == nil {
		t.Error("bound to a place that is not at the root")
	}
}

func TestOfColumnsEqualIgnoringCaseTheFirstIsBound(t *testing.T) {
	s, err := Parse(record(`{"name":"a","type":"int"}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	integer := column.Primitive(column.Integer)
	l, err := column.NewLayout(column.Of(column.Nullable("v", column.StructOf(column.Nullable("A", integer), column.Nullable("a", integer)))))
	if err != nil {
		t.Fatal(err)
	}
	rows := column.NewRows(l)
	p, err := s.Bind(rows, l.Tree[0], Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !p.Walk(padded([]byte{2}), 0, 1) || rows.Leaves[0].Valid[0] != 1 || rows.Leaves[1].Valid[0] != 0 {
		t.Errorf("got %v", got(rows, nil, l.Tree[0], 0))
	}
}
