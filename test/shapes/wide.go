package shapes

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
)

// wideKinds are the types of the columns of the shapes wide and widemany, in turn.
var wideKinds = []string{"string", "long", "int", "double", "boolean"}

// wideColumns is how many columns they have.
const wideColumns = 60

func wideSchema() string {
	var fields []string
	for i := range wideColumns {
		fields = append(fields, fmt.Sprintf(`{"name":"c%02d","type":"%s"}`, i, wideKinds[i%len(wideKinds)]))
	}
	return `{"type":"record","name":"wide","fields":[` + strings.Join(fields, ",") + `]}`
}

// encodeWide returns the encoder of records whose strings have so many values, by column.
func encodeWide(values func(c int) int) func(r *rand.Rand, i int64, b []byte) []byte {
	return func(r *rand.Rand, i int64, b []byte) []byte {
		for c := range wideColumns {
			switch wideKinds[c%len(wideKinds)] {
			case "string":
				b = appendText(b, "a value of this column %d", r.IntN(values(c)))
			case "long":
				b = binary.AppendVarint(b, i*10+int64(c))
			case "int":
				b = binary.AppendVarint(b, int64(r.IntN(1000)))
			case "double":
				b = appendDouble(b, float64(r.IntN(1000))/8)
			case "boolean":
				b = append(b, byte(r.IntN(2)))
			}
		}
		return b
	}
}

// fewValues are those of states, countries, names of events.
func fewValues(c int) int { return 5 + c }

// manyValues make dictionaries that together are larger than a core's second-level cache.
func manyValues(c int) int { return 50 * (c + 1) }

// Wide is a record of the shapes wide and widemany.
type Wide struct {
	C00 string  `avro:"c00" parquet:"c00,optional,dict"`
	C01 int64   `avro:"c01" parquet:"c01,optional,delta"`
	C02 int32   `avro:"c02" parquet:"c02,optional"`
	C03 float64 `avro:"c03" parquet:"c03,optional"`
	C04 bool    `avro:"c04" parquet:"c04,optional"`
	C05 string  `avro:"c05" parquet:"c05,optional,dict"`
	C06 int64   `avro:"c06" parquet:"c06,optional,delta"`
	C07 int32   `avro:"c07" parquet:"c07,optional"`
	C08 float64 `avro:"c08" parquet:"c08,optional"`
	C09 bool    `avro:"c09" parquet:"c09,optional"`
	C10 string  `avro:"c10" parquet:"c10,optional,dict"`
	C11 int64   `avro:"c11" parquet:"c11,optional,delta"`
	C12 int32   `avro:"c12" parquet:"c12,optional"`
	C13 float64 `avro:"c13" parquet:"c13,optional"`
	C14 bool    `avro:"c14" parquet:"c14,optional"`
	C15 string  `avro:"c15" parquet:"c15,optional,dict"`
	C16 int64   `avro:"c16" parquet:"c16,optional,delta"`
	C17 int32   `avro:"c17" parquet:"c17,optional"`
	C18 float64 `avro:"c18" parquet:"c18,optional"`
	C19 bool    `avro:"c19" parquet:"c19,optional"`
	C20 string  `avro:"c20" parquet:"c20,optional,dict"`
	C21 int64   `avro:"c21" parquet:"c21,optional,delta"`
	C22 int32   `avro:"c22" parquet:"c22,optional"`
	C23 float64 `avro:"c23" parquet:"c23,optional"`
	C24 bool    `avro:"c24" parquet:"c24,optional"`
	C25 string  `avro:"c25" parquet:"c25,optional,dict"`
	C26 int64   `avro:"c26" parquet:"c26,optional,delta"`
	C27 int32   `avro:"c27" parquet:"c27,optional"`
	C28 float64 `avro:"c28" parquet:"c28,optional"`
	C29 bool    `avro:"c29" parquet:"c29,optional"`
	C30 string  `avro:"c30" parquet:"c30,optional,dict"`
	C31 int64   `avro:"c31" parquet:"c31,optional,delta"`
	C32 int32   `avro:"c32" parquet:"c32,optional"`
	C33 float64 `avro:"c33" parquet:"c33,optional"`
	C34 bool    `avro:"c34" parquet:"c34,optional"`
	C35 string  `avro:"c35" parquet:"c35,optional,dict"`
	C36 int64   `avro:"c36" parquet:"c36,optional,delta"`
	C37 int32   `avro:"c37" parquet:"c37,optional"`
	C38 float64 `avro:"c38" parquet:"c38,optional"`
	C39 bool    `avro:"c39" parquet:"c39,optional"`
	C40 string  `avro:"c40" parquet:"c40,optional,dict"`
	C41 int64   `avro:"c41" parquet:"c41,optional,delta"`
	C42 int32   `avro:"c42" parquet:"c42,optional"`
	C43 float64 `avro:"c43" parquet:"c43,optional"`
	C44 bool    `avro:"c44" parquet:"c44,optional"`
	C45 string  `avro:"c45" parquet:"c45,optional,dict"`
	C46 int64   `avro:"c46" parquet:"c46,optional,delta"`
	C47 int32   `avro:"c47" parquet:"c47,optional"`
	C48 float64 `avro:"c48" parquet:"c48,optional"`
	C49 bool    `avro:"c49" parquet:"c49,optional"`
	C50 string  `avro:"c50" parquet:"c50,optional,dict"`
	C51 int64   `avro:"c51" parquet:"c51,optional,delta"`
	C52 int32   `avro:"c52" parquet:"c52,optional"`
	C53 float64 `avro:"c53" parquet:"c53,optional"`
	C54 bool    `avro:"c54" parquet:"c54,optional"`
	C55 string  `avro:"c55" parquet:"c55,optional,dict"`
	C56 int64   `avro:"c56" parquet:"c56,optional,delta"`
	C57 int32   `avro:"c57" parquet:"c57,optional"`
	C58 float64 `avro:"c58" parquet:"c58,optional"`
	C59 bool    `avro:"c59" parquet:"c59,optional"`
}
