//go:build e2e

package e2e

type schemaPair struct{ name, old, new string }

// record is a record with the fields given as JSON.
func record(fields string) string { return `{"type":"record","name":"R","fields":[` + fields + `]}` }

// of is a record with one field of a type.
func of(typ string) string { return record(`{"name":"f","type":` + typ + `}`) }

const (
	fieldA     = `{"name":"a","type":"int"}`
	enumAB     = `{"type":"enum","name":"E","symbols":["A","B"]}`
	enumABC    = `{"type":"enum","name":"E","symbols":["A","B","C"]}`
	enumABWith = `{"type":"enum","name":"E","symbols":["A","B"],"default":"A"}`
	fixed4     = `{"type":"fixed","name":"F","size":4}`
	fixed8     = `{"type":"fixed","name":"F","size":8}`
	innerA     = `{"type":"record","name":"I","fields":[` + fieldA + `]}`
	innerAB    = `{"type":"record","name":"I","fields":[` + fieldA + `,{"name":"b","type":"int"}]}`
	innerABDef = `{"type":"record","name":"I","fields":[` + fieldA + `,{"name":"b","type":"int","default":0}]}`
)

var schemaPairs = []schemaPair{
	{"the same", record(fieldA), record(fieldA)},
	{"field added with a default", record(fieldA), record(fieldA + `,{"name":"b","type":"int","default":0}`)},
	{"field added without a default", record(fieldA), record(fieldA + `,{"name":"b","type":"int"}`)},
	{"nullable field added without a default", record(fieldA), record(fieldA + `,{"name":"b","type":["null","int"]}`)},
	{"nullable field added with null", record(fieldA), record(fieldA + `,{"name":"b","type":["null","int"],"default":null}`)},
	{"field removed that had a default", record(fieldA + `,{"name":"b","type":"int","default":0}`), record(fieldA)},
	{"field removed that had none", record(fieldA + `,{"name":"b","type":"int"}`), record(fieldA)},
	{"fields in another order", record(fieldA + `,{"name":"b","type":"int"}`), record(`{"name":"b","type":"int"},` + fieldA)},
	{"field renamed", record(fieldA), record(`{"name":"z","type":"int"}`)},
	{"field renamed with an alias", record(fieldA), record(`{"name":"z","type":"int","aliases":["a"]}`)},
	{"default changed", record(`{"name":"a","type":"int","default":1}`), record(`{"name":"a","type":"int","default":2}`)},
	{"doc added", record(fieldA), record(`{"name":"a","type":"int","doc":"a number"}`)},
	{"int to long", of(`"int"`), of(`"long"`)},
	{"int to float", of(`"int"`), of(`"float"`)},
	{"int to double", of(`"int"`), of(`"double"`)},
	{"long to float", of(`"long"`), of(`"float"`)},
	{"float to double", of(`"float"`), of(`"double"`)},
	{"long to int", of(`"long"`), of(`"int"`)},
	{"string to bytes", of(`"string"`), of(`"bytes"`)},
	{"int to string", of(`"int"`), of(`"string"`)},
	{"boolean to int", of(`"boolean"`), of(`"int"`)},
	{"symbol added", of(enumAB), of(enumABC)},
	{"symbol added to an enum with a default", of(enumABWith), of(`{"type":"enum","name":"E","symbols":["A","B","C"],"default":"A"}`)},
	{"symbol removed, and a default added", of(enumABC), of(enumABWith)},
	{"symbols in another order", of(enumAB), of(`{"type":"enum","name":"E","symbols":["B","A"]}`)},
	{"enum renamed", of(enumAB), of(`{"type":"enum","name":"G","symbols":["A","B"]}`)},
	{"enum renamed with an alias", of(enumAB), of(`{"type":"enum","name":"G","aliases":["E"],"symbols":["A","B"]}`)},
	{"enum to string", of(enumAB), of(`"string"`)},
	{"type to a union with it", of(`"int"`), of(`["null","int"]`)},
	{"type to a union with a wider one", of(`"int"`), of(`["null","long"]`)},
	{"branch added", of(`["null","int"]`), of(`["null","int","string"]`)},
	{"branches in another order", of(`["null","int"]`), of(`["int","null"]`)},
	{"branch to a wider one", of(`["null","int"]`), of(`["null","long"]`)},
	{"record in a union renamed", of(`["null",` + innerA + `]`), of(`["null",{"type":"record","name":"J","fields":[` + fieldA + `]}]`)},
	{"fixed of another size", of(fixed4), of(fixed8)},
	{"fixed renamed", of(fixed4), of(`{"type":"fixed","name":"G","size":4}`)},
	{"fixed to bytes", of(fixed4), of(`"bytes"`)},
	{"record renamed", record(fieldA), `{"type":"record","name":"S","fields":[` + fieldA + `]}`},
	{"record renamed with an alias", record(fieldA), `{"type":"record","name":"S","aliases":["R"],"fields":[` + fieldA + `]}`},
	{"namespace added", record(fieldA), `{"type":"record","name":"R","namespace":"n","fields":[` + fieldA + `]}`},
	{"namespace changed", `{"type":"record","name":"m.R","fields":[` + fieldA + `]}`, `{"type":"record","name":"n.R","fields":[` + fieldA + `]}`},
	{"nested field added with a default", of(innerA), of(innerABDef)},
	{"nested field added without a default", of(innerA), of(innerAB)},
	{"items to wider ones", of(`{"type":"array","items":"int"}`), of(`{"type":"array","items":"long"}`)},
	{"values to nullable ones", of(`{"type":"map","values":"int"}`), of(`{"type":"map","values":["null","int"]}`)},
	{"array to map", of(`{"type":"array","items":"int"}`), of(`{"type":"map","values":"int"}`)},
	{"logical type added", of(`"long"`), of(`{"type":"long","logicalType":"timestamp-millis"}`)},
	{"decimal of another scale", of(`{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}`),
		of(`{"type":"bytes","logicalType":"decimal","precision":9,"scale":3}`)},
	{"recursive record gets a field", of(`["null","R"]`), record(`{"name":"f","type":["null","R"]},{"name":"b","type":"int","default":0}`)},
}
