// Package clickstream makes records like those of Confluent's CLICKSTREAM quickstart: ten fields, about 194 bytes of Avro, in Confluent's
// wire format. A generator of the same seed makes the same records.
package clickstream

import (
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"time"
)

// Schema is the writer schema of the quickstart's records.
const Schema = `{"type":"record","name":"clickstream","namespace":"ksql","fields":[` + fields + `]}`

// SchemaV2 has one more field, a nullable string.
const SchemaV2 = `{"type":"record","name":"clickstream","namespace":"ksql","fields":[` + fields +
	`,{"name":"campaign","type":["null","string"],"default":null}]}`

const fields = `{"name":"ip","type":"string"},{"name":"userid","type":"int"},{"name":"remote_user","type":"string"},` +
	`{"name":"time","type":"string"},{"name":"_time","type":"long"},{"name":"request","type":"string"},{"name":"status","type":"string"},` +
	`{"name":"bytes","type":"string"},{"name":"referrer","type":"string"},{"name":"agent","type":"string"}`

var (
	ips = []string{
		"111.152.45.45", "111.203.236.146", "111.168.57.122", "111.249.79.93", "111.90.225.227", "111.173.165.103", "111.145.8.144",
		"111.245.174.248", "222.152.45.45", "222.203.236.146", "222.168.57.122", "222.249.79.93", "222.90.225.227", "222.173.165.103",
		"222.145.8.144", "222.245.174.248", "122.152.45.245", "122.203.236.246", "122.168.57.222", "122.249.79.233", "122.173.165.203",
		"122.145.8.244", "233.152.245.45", "233.203.236.146",
	}
	requests = []string{
		"GET /index.html HTTP/1.1", "GET /site/user_status.html HTTP/1.1", "GET /site/login.html HTTP/1.1",
		"GET /images/track.png HTTP/1.1", "GET /images/logo-small.png HTTP/1.1",
	}
	statuses = []string{"200", "302", "404", "405", "406", "407"}
	sizes    = []string{"278", "1289", "2048", "4096", "4006", "4196", "14096"}
	agents   = []string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/59.0.3071.115 Safari/537.36",
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
	}
)

// start is the time of the first click.
var start = time.Date(2024, 7, 18, 12, 0, 0, 0, time.UTC)

// step is the time between two clicks: a hundred of them share the text of a second.
const step = 10 * time.Millisecond

// A Generator makes records. It is not safe for concurrent use.
type Generator struct {
	rand   *rand.Rand
	made   int64
	second int64  // of time
	time   string // the text of second
}

// New returns a generator.
func New(seed uint64) *Generator { return &Generator{rand: rand.New(rand.NewPCG(seed, 1)), second: -1} }

// Append appends the next record to value, in wire format with schema id, and its key, the ip, to key. With campaign it is a record of
// SchemaV2; every fifth campaign is null.
func (g *Generator) Append(key, value []byte, id int32, campaign bool) (k, v []byte) {
	r := g.rand
	at := time.Duration(g.made) * step
	g.made++
	if second := int64(at / time.Second); second != g.second {
		g.second = second
		g.time = start.Add(at).Format("[02/Jan/2006:15:04:05 -0700]")
	}
	ip := pick(r, ips)
	v = append(value, 0)
	v = binary.BigEndian.AppendUint32(v, uint32(id))
	v = appendString(v, ip)
	v = binary.AppendVarint(v, int64(1+r.IntN(40)))
	v = appendString(v, "-")
	v = appendString(v, g.time)
	v = binary.AppendVarint(v, 1+at.Milliseconds())
	v = appendString(v, pick(r, requests))
	v = appendString(v, pick(r, statuses))
	v = appendString(v, pick(r, sizes))
	v = appendString(v, "-")
	v = appendString(v, pick(r, agents))
	if campaign {
		if g.made%5 == 0 {
			v = append(v, 0)
		} else {
			v = append(v, 2) // the union's branch 1
			v = appendString(v, "spring-"+strconv.FormatInt(g.made%20, 10))
		}
	}
	return append(key, ip...), v
}

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

// appendString appends a string as Avro encodes it.
func appendString(b []byte, s string) []byte {
	b = binary.AppendVarint(b, int64(len(s)))
	return append(b, s...)
}

// Mixed returns a maker of records for package load: all of schema id, or, if id2 is not 0, every second one of id2 with a campaign.
func Mixed(seed uint64, id, id2 int32) func(i int64, key, value []byte) (k, v []byte) {
	g := New(seed)
	return func(i int64, key, value []byte) (k, v []byte) {
		if id2 != 0 && i%2 == 1 {
			return g.Append(key, value, id2, true)
		}
		return g.Append(key, value, id, false)
	}
}
