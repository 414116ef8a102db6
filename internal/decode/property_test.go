package decode

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
	"pgregory.net/rapid"
)

// kinds are records by what is wrong with them: the first is found in phase 1, the second in phase 2, where a whole block is looked at.
var kinds = []struct {
	name string
	bad  stream.Reason // "" is good
	make func(i int) message
}{
	{"flat", "", func(i int) message { return message{[]byte("k"), value(1, fmt.Sprint(i), 0), 0} }},
	{"rich", "", func(i int) message {
		return message{[]byte("k"), value(2, 0, []byte{1}, i, 1, "k", "v", 0, 1, "s", 0), 0}
	}},
	{"tombstone", "", func(i int) message { return message{[]byte("k"), nil, 0} }},
	{"short", stream.BadHeader, func(i int) message { return message{nil, []byte{0}, 0} }},
	{"unknown", stream.UnknownID, func(i int) message { return message{nil, value(9), 0} }},
	{"truncated", stream.BadPayload, func(i int) message { return message{nil, header(1), 0} }},
	{"truncated in a list", stream.BadPayload, func(i int) message {
		return message{nil, value(2, 0, []byte{1}, i, 1, "k", "v", 0, 3, "s"), 0}
	}},
	{"map key", stream.InvalidUTF8, func(i int) message { return message{nil, value(2, 0, []byte{1}, i, 1, "\xff", "v", 0, 0), 0} }},
	{"large", stream.RecordTooBig, func(i int) message { return message{[]byte(strings.Repeat("k", 301)), nil, 0} }},
	{"deep", stream.TooDeep, func(i int) message { return message{nil, value(3, 0), 0} }},
	{"key", stream.InvalidUTF8, func(i int) message { return message{[]byte("\xff"), value(1, fmt.Sprint(i), 0), 0} }},
	{"field", stream.InvalidUTF8, func(i int) message { return message{nil, value(1, "\xff", 0), 0} }},
	{"nested", stream.InvalidUTF8, func(i int) message { return message{nil, value(2, 0, []byte{1}, i, 0, 2, "s", "\xff", 0), 0} }},
}

// phase2 is the first of the kinds that only Block.Append finds.
const phase2 = 10

func propertyOptions(m Mode) (Options, texts) {
	o := options(m, Offset, Key, ValueSchemaID, ParsedValue)
	o.MaxRecordBytes, o.MaxDepth = 300, 3
	return o, texts{1: flat, 2: rich, 3: deep}
}

// drawRecords draws records, mostly good ones, in Records of any size, and says what is wrong with each.
func drawRecords(t *rapid.T) (rs []*stream.Records, bad []stream.Reason) {
	n := rapid.IntRange(1, 400).Draw(t, "records")
	turn := rapid.IntRange(1, 50).Draw(t, "records of a kind in turn")
	// Often only faults that phase 2 finds, so that several of them meet in a block.
	from := rapid.SampledFrom([]int{0, phase2}).Draw(t, "kinds from")
	at := map[int]int{} // what stands where, if not a good one
	for range rapid.IntRange(0, 12).Draw(t, "others") {
		at[rapid.IntRange(0, n-1).Draw(t, "place")] = rapid.IntRange(from, len(kinds)-1).Draw(t, "kind")
	}
	var ms []message
	for i := range n {
		k, ok := at[i]
		if !ok {
			k = i / turn % 3
		}
		ms, bad = append(ms, kinds[k].make(i)), append(bad, kinds[k].bad)
	}
	for at := 0; at < n; {
		end := min(n, at+rapid.IntRange(1, 350).Draw(t, "cut"))
		rs = append(rs, recordsOf(int64(at), ms[at:end]...))
		at = end
	}
	return rs, bad
}

func TestFailfastNamesTheLowestBadOffset(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs, bad := drawRecords(t)
		o, schemas := propertyOptions(Failfast)
		got := decodeAll(New(o, schemas), column.Schema{}, rs...)
		first := 0
		for first < len(bad) && bad[first] == "" {
			first++
		}
		if first == len(bad) {
			if got.err != nil || len(got.rows()) != len(bad) {
				t.Fatalf("%v, %d rows of %d", got.err, len(got.rows()), len(bad))
			}
			return
		}
		e, ok := errors.AsType[*stream.RecordError](got.err)
		if !ok || e.Offset != int64(first) || e.Reason != bad[first] || problem.ExitStatus(got.err) != problem.ExitBadRecord {
			t.Fatalf("got %v, want offset %d %s", got.err, first, bad[first])
		}
		if text := got.err.Error(); strings.Count(text, "offset") != 1 || strings.Count(text, " E4") != 1 {
			t.Fatalf("the record is named once: %s", text)
		}
		if len(got.rows()) < first { // every good row before it was appended
			t.Fatalf("%d rows, the first bad offset is %d", len(got.rows()), first)
		}
	})
}

func TestPermissiveLandsEveryRecordAndDropTheGoodOnes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs, bad := drawRecords(t)
		byReason := map[stream.Reason]int64{}
		dropped := 0
		for _, r := range bad {
			if r != "" {
				byReason[r]++
				dropped++
			}
		}
		o, schemas := propertyOptions(Permissive)
		kept := decodeAll(New(o, schemas), column.Schema{}, rs...)
		o.Mode = Drop
		good := decodeAll(New(o, schemas), column.Schema{}, rs...)
		if kept.err != nil || good.err != nil {
			t.Fatal(kept.err, good.err)
		}
		tp := stream.TopicPartition{Topic: "clicks", Partition: 3}
		if p := kept.report.Partitions[tp]; p.Rows != int64(len(bad)) || showCounts(p.Nulled) != showCounts(byReason) || len(p.Rejected) > 0 {
			t.Fatalf("permissive: %s, want %v", showReport(kept.report), byReason)
		}
		p := good.report.Partitions[tp]
		if p.Rows != int64(len(bad)-dropped) || showCounts(p.Rejected) != showCounts(byReason) || len(p.Nulled) > 0 {
			t.Fatalf("drop: %s, want %v", showReport(good.report), byReason)
		}
		if len(kept.rows()) != len(bad) || len(good.rows()) != len(bad)-dropped {
			t.Fatalf("%d and %d rows", len(kept.rows()), len(good.rows()))
		}
		// What DROP lands is what PERMISSIVE lands, without the bad ones; their files may begin elsewhere, so fields that are absent are cut.
		want := kept.rows()
		next := good.rows()
		for i, r := range bad {
			if r != "" {
				continue
			}
			if core(next[0]) != core(want[i]) {
				t.Fatalf("row %d is %s under DROP, %s under PERMISSIVE", i, next[0], want[i])
			}
			next = next[1:]
		}
	})
}

// core is a row without fields that are null.
func core(row string) string {
	var parts []string
	for f := range strings.FieldsSeq(strings.NewReplacer("{", "{ ", "}", " }").Replace(row)) {
		if !strings.HasSuffix(f, ":null") && !strings.HasSuffix(f, "=null") {
			parts = append(parts, f)
		}
	}
	return strings.Join(parts, " ")
}

func FuzzDecode(f *testing.F) {
	for _, k := range kinds {
		m := k.make(7)
		f.Add(m.key, m.value, uint8(1))
	}
	f.Add([]byte(nil), value(2, 0, []byte{1}, 5, -1, 3, "k", "v", 0, 0), uint8(2))
	f.Fuzz(func(t *testing.T, key, v []byte, mode uint8) {
		good := message{[]byte("k"), value(1, "x", 1, 5), 0}
		o, schemas := propertyOptions(Mode(mode % 3))
		got := decodeAll(New(o, schemas), column.Schema{}, recordsOf(0, good, message{key, v, 0}, good))
		n := len(got.rows())
		switch o.Mode {
		case Failfast:
			e, ok := errors.AsType[*stream.RecordError](got.err)
			if got.err == nil && n != 3 || got.err != nil && (!ok || e.Offset != 1 || n == 0) {
				t.Fatalf("%v, rows %q", got.err, got.rows())
			}
		case Permissive:
			if got.err != nil || n != 3 {
				t.Fatalf("%v, rows %q", got.err, got.rows())
			}
		case Drop:
			if _, _, rejected, _ := got.report.Totals(); got.err != nil || int64(n)+rejected != 3 || n < 2 {
				t.Fatalf("%v, rows %q, %d rejected", got.err, got.rows(), rejected)
			}
		}
		for _, r := range []string{got.rows()[0], got.rows()[n-1]} { // the neighbours are as they were
			if o.Mode != Failfast && !strings.Contains(core(r), `key="k" valueSchemaId=1 parsedValue={ a:"x" n:5`) {
				t.Fatalf("a good row is %s", r)
			}
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0x86, 0xa1, 1})
	f.Add([]byte{1, 0, 0, 0, 1})
	f.Add([]byte{0, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, v []byte) {
		r := recordsOf(0, message{value: append([]byte{}, v...)})
		id, ok := schemaID(append(r.Buf, make([]byte, column.Slack)...), r.Value[0])
		if want := len(v) >= 5 && v[0] == 0; ok != want {
			t.Fatalf("%x: %v", v, ok)
		}
		if ok && uint32(id) != binary.BigEndian.Uint32(v[1:]) {
			t.Fatalf("%x: id %d", v, id)
		}
		o := options(Permissive, ValueSchemaID, FixedValue)
		out := &memory{}
		if err := New(o, nil).Begin(column.Schema{})().Decode(context.Background(), r, out); err != nil {
			t.Fatal(err)
		}
		wantID, wantFixed := "null", "null"
		if ok {
			wantID = fmt.Sprint(id)
		}
		if len(v) >= 5 {
			wantFixed = fmt.Sprintf("x%x", v[5:])
		}
		if want := "valueSchemaId=" + wantID + " fixedValue=" + wantFixed; out.rows()[0] != want {
			t.Fatalf("got %s, want %s", out.rows()[0], want)
		}
	})
}
