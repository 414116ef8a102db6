// Package shapes has the kinds of records that benchmarks and the second oracle read: a schema, a maker of records, and the Go struct that a
// program of libraries would decode them into.
package shapes

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/siltlake/silt/test/clickstream"
)

// A Shape is a kind of records.
type Shape struct {
	Name   string
	Schema string
	// encode appends the Avro encoding of record i.
	encode func(r *rand.Rand, i int64, b []byte) []byte
}

// Make returns a maker of records in Confluent's wire format, for package load. Makers of the same shape and seed make the same records.
func (s Shape) Make(seed uint64, id int32) func(i int64, key, value []byte) (k, v []byte) {
	if s.encode == nil {
		return clickstream.Mixed(seed, id, 0)
	}
	r := rand.New(rand.NewPCG(seed, 2))
	return func(i int64, key, value []byte) (k, v []byte) {
		value = append(value, 0)
		value = binary.BigEndian.AppendUint32(value, uint32(id))
		return fmt.Appendf(key, "key-%d", i%40), s.encode(r, i, value)
	}
}

// All lists the shapes. Their order is fixed: a registry that is given their schemas in it gives each the same id every time.
func All() []Shape {
	return []Shape{
		{"clickstream", clickstream.Schema, nil},
		{"nullable", nullableSchema, encodeNullable},
		{"nested", nestedSchema, encodeNested},
		{"arrays", arraysSchema, encodeArrays},
		{"maps", mapsSchema, encodeMaps},
		{"wide", wideSchema(), encodeWide(fewValues)},
		{"distinct", distinctSchema, encodeDistinct},
		{"widemany", wideSchema(), encodeWide(manyValues)},
	}
}

// Click is a record of the shape clickstream.
type Click struct {
	IP         string `avro:"ip" parquet:"ip,optional,dict"`
	UserID     int32  `avro:"userid" parquet:"userid,optional"`
	RemoteUser string `avro:"remote_user" parquet:"remote_user,optional,dict"`
	Time       string `avro:"time" parquet:"time,optional,dict"`
	Millis     int64  `avro:"_time" parquet:"_time,optional,delta"`
	Request    string `avro:"request" parquet:"request,optional,dict"`
	Status     string `avro:"status" parquet:"status,optional,dict"`
	Bytes      string `avro:"bytes" parquet:"bytes,optional,dict"`
	Referrer   string `avro:"referrer" parquet:"referrer,optional,dict"`
	Agent      string `avro:"agent" parquet:"agent,optional,dict"`
}

// Nullable is a record of the shape nullable: ten fields, each null once in ten records.
type Nullable struct {
	IP         *string `avro:"ip" parquet:"ip,optional,dict"`
	UserID     *int32  `avro:"userid" parquet:"userid,optional"`
	RemoteUser *string `avro:"remote_user" parquet:"remote_user,optional,dict"`
	Time       *string `avro:"time" parquet:"time,optional,dict"`
	Millis     *int64  `avro:"_time" parquet:"_time,optional"`
	Request    *string `avro:"request" parquet:"request,optional,dict"`
	Status     *string `avro:"status" parquet:"status,optional,dict"`
	Bytes      *string `avro:"bytes" parquet:"bytes,optional,dict"`
	Referrer   *string `avro:"referrer" parquet:"referrer,optional,dict"`
	Agent      *string `avro:"agent" parquet:"agent,optional,dict"`
}

const nullableSchema = `{"type":"record","name":"nullable","fields":[
	{"name":"ip","type":["null","string"]},{"name":"userid","type":["null","int"]},{"name":"remote_user","type":["null","string"]},
	{"name":"time","type":["null","string"]},{"name":"_time","type":["null","long"]},{"name":"request","type":["null","string"]},
	{"name":"status","type":["null","string"]},{"name":"bytes","type":["null","string"]},{"name":"referrer","type":["null","string"]},
	{"name":"agent","type":["null","string"]}]}`

// present appends a union's branch: 1, the value's, or 0, the null's, once in ten times.
func present(r *rand.Rand, b []byte) ([]byte, bool) {
	if r.IntN(10) == 0 {
		return append(b, 0), false
	}
	return append(b, 2), true
}

func encodeNullable(r *rand.Rand, i int64, b []byte) []byte {
	text := func(format string, of int) {
		var ok bool
		if b, ok = present(r, b); ok {
			b = appendText(b, format, r.IntN(of))
		}
	}
	text("111.152.45.%d", 40)
	var ok bool
	if b, ok = present(r, b); ok {
		b = binary.AppendVarint(b, int64(r.IntN(40)))
	}
	text("user-%d", 3)
	if b, ok = present(r, b); ok {
		b = appendText(b, "[18/Jul/2024:12:00:%02d +0000]", int(i/100%60))
	}
	if b, ok = present(r, b); ok {
		b = binary.AppendVarint(b, 1+10*i)
	}
	text("GET /site/page-%d.html HTTP/1.1", 6)
	text("%d", 6)
	text("40%d", 7)
	text("referrer-%d", 2)
	text("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.%d (KHTML, like Gecko)", 5)
	return b
}

// Nested is a record of the shape nested: three records within, ten leaves.
type Nested struct {
	ID   int64 `avro:"id" parquet:"id,optional,delta"`
	User struct {
		Name    string `avro:"name" parquet:"name,optional,dict"`
		Level   int32  `avro:"level" parquet:"level,optional"`
		Address struct {
			Street string `avro:"street" parquet:"street,optional,dict"`
			City   string `avro:"city" parquet:"city,optional,dict"`
			Zip    int32  `avro:"zip" parquet:"zip,optional"`
		} `avro:"address" parquet:"address,optional"`
	} `avro:"user" parquet:"user,optional"`
	Device struct {
		OS      string  `avro:"os" parquet:"os,optional,dict"`
		Version string  `avro:"version" parquet:"version,optional,dict"`
		Screen  float64 `avro:"screen" parquet:"screen,optional"`
	} `avro:"device" parquet:"device,optional"`
	Page string `avro:"page" parquet:"page,optional,dict"`
}

const nestedSchema = `{"type":"record","name":"nested","fields":[{"name":"id","type":"long"},
	{"name":"user","type":{"type":"record","name":"user","fields":[{"name":"name","type":"string"},{"name":"level","type":"int"},
		{"name":"address","type":{"type":"record","name":"address","fields":[
			{"name":"street","type":"string"},{"name":"city","type":"string"},{"name":"zip","type":"int"}]}}]}},
	{"name":"device","type":{"type":"record","name":"device","fields":[
		{"name":"os","type":"string"},{"name":"version","type":"string"},{"name":"screen","type":"double"}]}},
	{"name":"page","type":"string"}]}`

func encodeNested(r *rand.Rand, i int64, b []byte) []byte {
	b = binary.AppendVarint(b, i)
	b = appendText(b, "user number %d", r.IntN(500))
	b = binary.AppendVarint(b, int64(r.IntN(10)))
	b = appendText(b, "%d Long Street of the Town", r.IntN(200))
	b = appendText(b, "city-%d", r.IntN(50))
	b = binary.AppendVarint(b, int64(10_000+r.IntN(1_000)))
	b = appendText(b, "os-%d", r.IntN(5))
	b = appendText(b, "%d.0.1", r.IntN(30))
	b = appendDouble(b, 5+float64(r.IntN(20))/10)
	return appendText(b, "/site/page-%d.html", r.IntN(40))
}

// Arrays is a record of the shape arrays: five longs, and three records of two strings and a long.
type Arrays struct {
	ID     int64   `avro:"id" parquet:"id,optional,delta"`
	Longs  []int64 `avro:"longs" parquet:"longs,list"`
	Clicks []struct {
		Page   string `avro:"page" parquet:"page,optional,dict"`
		Button string `avro:"button" parquet:"button,optional,dict"`
		At     int64  `avro:"at" parquet:"at,optional"`
	} `avro:"clicks" parquet:"clicks,list"`
}

const arraysSchema = `{"type":"record","name":"arrays","fields":[{"name":"id","type":"long"},
	{"name":"longs","type":{"type":"array","items":"long"}},
	{"name":"clicks","type":{"type":"array","items":{"type":"record","name":"click","fields":[
		{"name":"page","type":"string"},{"name":"button","type":"string"},{"name":"at","type":"long"}]}}}]}`

func encodeArrays(r *rand.Rand, i int64, b []byte) []byte {
	b = binary.AppendVarint(b, i)
	b = binary.AppendVarint(b, 5)
	for range 5 {
		b = binary.AppendVarint(b, r.Int64N(1<<20))
	}
	b = append(b, 0)
	b = binary.AppendVarint(b, 3)
	for range 3 {
		b = appendText(b, "/page-%d.html", r.IntN(40))
		b = appendText(b, "b%d", r.IntN(5))
		b = binary.AppendVarint(b, 1_700_000_000_000+i*10+int64(r.IntN(10)))
	}
	return append(b, 0)
}

// Maps is a record of the shape maps: three entries to longs and two to strings.
type Maps struct {
	ID       int64             `avro:"id" parquet:"id,optional,delta"`
	Counters map[string]int64  `avro:"counters" parquet:"counters,optional"`
	Labels   map[string]string `avro:"labels" parquet:"labels,optional"`
}

const mapsSchema = `{"type":"record","name":"maps","fields":[{"name":"id","type":"long"},
	{"name":"counters","type":{"type":"map","values":"long"}},{"name":"labels","type":{"type":"map","values":"string"}}]}`

func encodeMaps(r *rand.Rand, i int64, b []byte) []byte {
	b = binary.AppendVarint(b, i)
	b = binary.AppendVarint(b, 3)
	for n := range 3 {
		b = appendText(b, "counter-%d", n*10+r.IntN(10))
		b = binary.AppendVarint(b, r.Int64N(1000))
	}
	b = append(b, 0)
	b = binary.AppendVarint(b, 2)
	for n := range 2 {
		b = appendText(b, "label-%d", n*10+r.IntN(10))
		b = appendText(b, "value-%d", r.IntN(100))
	}
	return append(b, 0)
}

// Distinct is a record of the shape distinct: strings that hardly ever come twice.
type Distinct struct {
	Session string `avro:"session" parquet:"session,optional"`
	Request string `avro:"request" parquet:"request,optional"`
	Token   string `avro:"token" parquet:"token,optional"`
	At      int64  `avro:"at" parquet:"at,optional,delta"`
}

const distinctSchema = `{"type":"record","name":"distinct","fields":[{"name":"session","type":"string"},
	{"name":"request","type":"string"},{"name":"token","type":"string"},{"name":"at","type":"long"}]}`

func encodeDistinct(r *rand.Rand, i int64, b []byte) []byte {
	b = appendHex(b, r.Uint64(), r.Uint64())
	b = appendHex(b, r.Uint64(), uint64(i))
	b = appendHex(b, r.Uint64())
	return binary.AppendVarint(b, 1_700_000_000_000+i)
}

func appendHex(b []byte, words ...uint64) []byte {
	b = binary.AppendVarint(b, int64(16*len(words)))
	for _, w := range words {
		b = fmt.Appendf(b, "%016x", w)
	}
	return b
}

func appendText(b []byte, format string, n int) []byte {
	text := fmt.Sprintf(format, n)
	b = binary.AppendVarint(b, int64(len(text)))
	return append(b, text...)
}

func appendDouble(b []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
}
