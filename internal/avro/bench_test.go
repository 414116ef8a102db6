package avro

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/column"
)

// A shape is a schema and a writer of its records, with values like those of the CLICKSTREAM quickstart.
type shape struct {
	name, schema string
	row          func(r *rand.Rand, i int, b []byte) []byte
}

var clickFields = [...][2]string{{"ip", "string"}, {"userid", "int"}, {"remote_user", "string"}, {"time", "string"}, {"_time", "long"},
	{"request", "string"}, {"status", "string"}, {"bytes", "string"}, {"referrer", "string"}, {"agent", "string"}}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendVarint(b, int64(len(s))), s...)
}

func click(r *rand.Rand, field, i int, b []byte) []byte {
	pick := func(s ...string) []byte { return appendText(b, s[r.IntN(len(s))]) }
	switch field {
	case 0:
		n := r.IntN(24)
		return appendText(b, fmt.Sprintf("%d.%d.%d.%d", 111+n%3*56, 145+n*4, 8+n*9, 45+n*7))
	case 1:
		return binary.AppendVarint(b, int64(1+r.IntN(40)))
	case 3:
		return appendText(b, "["+time.Unix(1721304000+int64(i)/100, 0).UTC().Format("02/Jan/2006:15:04:05 -0700")+"]")
	case 4:
		return binary.AppendVarint(b, int64(1+i*10))
	case 5:
		return pick("GET /index.html HTTP/1.1", "GET /site/user_status.html HTTP/1.1", "GET /site/login.html HTTP/1.1",
			"GET /images/track.png HTTP/1.1")
	case 6:
		return pick("200", "302", "404", "405", "406", "407")
	case 7:
		return pick("278", "1289", "2048", "4096", "4006", "4196", "14096")
	case 9:
		return pick("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/59.0.3071.115 Safari/537.36",
			"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")
	}
	return appendText(b, "-")
}

func clickJSON(from, to int, null bool) string {
	var s []string
	for _, f := range clickFields[from:to] {
		t := `"` + f[1] + `"`
		if null {
			t = `["null",` + t + `]`
		}
		s = append(s, fmt.Sprintf(`{"name":%q,"type":%s}`, f[0], t))
	}
	return strings.Join(s, ",")
}

func recordJSON(name, fields string) string {
	return fmt.Sprintf(`{"type":"record","name":%q,"fields":[%s]}`, name, fields)
}

// flat is a CLICKSTREAM record; percent -1 is without unions.
func flat(name string, percent int) shape {
	return shape{name, recordJSON("click", clickJSON(0, 10, percent >= 0)), func(r *rand.Rand, i int, b []byte) []byte {
		for k := range clickFields {
			if percent >= 0 {
				if r.IntN(100) < percent {
					b = append(b, 0)
					continue
				}
				b = append(b, 2)
			}
			b = click(r, k, i, b)
		}
		return b
	}}
}

func shapes() []shape {
	number := func(r *rand.Rand, b []byte) []byte { return binary.AppendVarint(b, int64(r.IntN(1<<20))) }
	nested := recordJSON("a", clickJSON(0, 3, false)+`,{"name":"b","type":`+recordJSON("b", clickJSON(3, 7, false)+
		`,{"name":"c","type":`+recordJSON("c", clickJSON(7, 10, false))+`}`)+`}`)
	return []shape{
		flat("flat", -1), flat("null0", 0), flat("null10", 10), flat("null50", 50),
		{"nested", recordJSON("top", `{"name":"a","type":`+nested+`}`), flat("", -1).row},
		{"longs", recordJSON("top", `{"name":"v","type":{"type":"array","items":"long"}}`), func(r *rand.Rand, _ int, b []byte) []byte {
			b = append(b, 10)
			for range 5 {
				b = number(r, b)
			}
			return append(b, 0)
		}},
		{"records", recordJSON("top", `{"name":"v","type":{"type":"array","items":`+recordJSON("item",
			`{"name":"sku","type":"string"},{"name":"colour","type":"string"},{"name":"n","type":"long"}`)+`}}`),
			func(r *rand.Rand, _ int, b []byte) []byte {
				b = append(b, 6)
				for range 3 {
					b = appendText(b, fmt.Sprintf("sku-%05d", r.IntN(500)))
					b = appendText(b, []string{"red", "green", "blue", "yellow"}[r.IntN(4)])
					b = number(r, b)
				}
				return append(b, 0)
			}},
		{"map", recordJSON("top", `{"name":"m","type":{"type":"map","values":"long"}}`), func(r *rand.Rand, _ int, b []byte) []byte {
			b = append(b, 6)
			for _, k := range [...]string{"clicks", "views", "carts"} {
				b = number(r, appendText(b, k))
			}
			return append(b, 0)
		}},
	}
}

// BenchmarkWalk is phase 1 alone over 50,000 records in memory, in blocks as decode makes them.
func BenchmarkWalk(b *testing.B) {
	for _, s := range shapes() {
		b.Run(s.name, func(b *testing.B) {
			const rows = 50_000
			var buf []byte
			at := []int{0}
			r := rand.New(rand.NewPCG(1, 2))
			for i := range rows {
				buf = s.row(r, i, buf)
				at = append(at, len(buf))
			}
			buf = append(buf, make([]byte, column.Slack)...)
			p, target := bench(b, s.schema)
			for b.Loop() {
				for i := range rows {
					if !p.Walk(buf, at[i], at[i+1]) {
						b.Fatal(p.Fault())
					}
					target.AddRow()
					if target.Full() {
						for _, f := range target.Leaves {
							if n := len(f.Valid); f.LastSlots == 0 && n > 0 { // what Append notes
								f.LastSlots = 256
								for _, v := range f.Valid[:256] {
									f.LastNulls += 1 - int(v)
								}
							}
						}
						target.Reset()
						p.Learn()
					}
				}
				target.Reset()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
			b.ReportMetric(float64(len(buf))/rows, "B/row")
		})
	}
}

func bench(b *testing.B, text string) (*Program, *column.Rows) {
	s, err := Parse(text, nil)
	if err != nil {
		b.Fatal(err)
	}
	l, err := column.NewLayout(column.Of(column.Nullable("parsedValue", s.Type())))
	if err != nil {
		b.Fatal(err)
	}
	rows := column.NewRows(l)
	p, err := s.Bind(rows, l.Column("parsedValue"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	return p, rows
}
