package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/siltlake/silt/internal/stream"
)

const queryID = "19203e6f-af4e-4f12-9ef5-b075099ec97c"

// dbrConf has the keys that Databricks Runtime writes beside Spark's.
const dbrConf = `{"spark.sql.streaming.stateStore.providerClass":"com.databricks.sql.streaming.state.RocksDBStateStoreProvider",` +
	`"spark.databricks.optimizer.joinOrToUnionAllExpansionWithEquiJoin.streaming":"true","spark.sql.shuffle.partitions":"16",` +
	`"spark.sql.streaming.failStatefulQuerySchemaEvolution":"false", "spark.sql.streaming.stateStore.rowChecksum.enabled":"false"}`

func TestParseEntry(t *testing.T) {
	const md = `{"batchWatermarkMs":0,"batchTimestampMs":1734074067729,"conf":{"spark.sql.shuffle.partitions":"4"}}`
	end := stream.Offsets{"t": {0: 30, 1: 28}}
	tests := []struct {
		name, in string
		want     stream.Offsets
		source   string
		shuffle  int
		err      error // nil: torn, if want is nil
	}{
		{"as Spark 4.1 writes it", "v1\n" + md + "\n" + `{"t":{"0":30,"1":28}}`, end, "", 4, nil},
		{"Spark 3's order", "v1\n" + md + "\n" + `{"t":{"1":28,"0":30}}`, end, "", 4, nil},
		{"one newline at the end", "v1\n" + md + "\n" + `{"t":{"0":30,"1":28}}` + "\n", end, "", 4, nil},
		{"no metadata: Spark 2.0", "v1\n\n" + `{"t":{"0":30,"1":28}}`, end, "", 200, nil},
		{"no conf: Spark 2.1", "v1\n" + `{"batchWatermarkMs":0,"batchTimestampMs":1}` + "\n" + `{"t":{"0":30,"1":28}}`, end, "", 200, nil},
		{"v2: the source's id", "v2\n" + md + "\n" + `0:{"t":{"0":30,"1":28}}`, end, "0", 4, nil},
		{"v2: a named source", "v2\n" + md + "\n" + `clicks:{"t":{"0":30,"1":28}}`, end, "clicks", 4, nil},
		{"empty", "", nil, "", 0, nil},
		{"zeros, as some file systems leave them after a crash", string(make([]byte, 700)), nil, "", 0, nil},
		{"no offsets", "v1\n" + md + "\n", nil, "", 0, nil},
		{"half of the offsets", "v1\n" + md + "\n" + `{"t":{"0":3`, nil, "", 0, nil},
		{"v2 without id", "v2\n" + md + "\n" + `{"t":{"0":30}}`, nil, "", 0, nil},
		{"two sources", "v1\n" + md + "\n" + `{"t":{"0":30}}` + "\n" + `{"u":{"0":30}}`, nil, "", 0, errOtherSource},
		{"a rate source", "v1\n" + md + "\n" + `1234`, nil, "", 0, errOtherSource},
		{"a file source", "v1\n" + md + "\n" + `{"logOffset":3}`, nil, "", 0, errOtherSource},
		{"a source without offset", "v1\n" + md + "\n-", nil, "", 0, errOtherSource},
		{"another version", "v3\n" + md + "\n" + `{"t":{"0":30}}`, nil, "", 0, errNewer},
		{"no version", md + "\n" + `{"t":{"0":30}}`, nil, "", 0, nil},
		{"a number of shuffle partitions that is none",
			"v1\n" + `{"conf":{"spark.sql.shuffle.partitions":"0"}}` + "\n" + `{"t":{"0":30}}`, nil, "", 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := parseEntry([]byte(tt.in))
			if tt.want == nil {
				torn := !errors.Is(err, errOtherSource) && !errors.Is(err, errNewer)
				if err == nil || tt.err == nil && !torn || tt.err != nil && !errors.Is(err, tt.err) {
					t.Fatalf("got %v, want %v (nil: torn)", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !e.offsets.Equal(tt.want) || e.sourceID != tt.source || e.shufflePartitions() != tt.shuffle {
				t.Errorf("got %v %q %d", e.offsets, e.sourceID, e.shufflePartitions())
			}
		})
	}
}

func TestFollowingEntryKeepsWhatThePreviousOneHas(t *testing.T) {
	at := time.UnixMilli(1734074067999)
	end := stream.Offsets{"t": {0: 40, 1: 50}}
	tests := []struct{ name, before, want string }{
		{"a conf of Databricks, spaces and all",
			"v1\n" + `{"batchWatermarkMs":0,"batchTimestampMs":1,"conf":` + dbrConf + "}\n" + `{"t":{"0":30,"1":28}}`,
			"v1\n" + `{"batchWatermarkMs":0,"batchTimestampMs":1734074067999,"conf":` + dbrConf + "}\n" + `{"t":{"0":40,"1":50}}`},
		{"Spark 3's order of partitions",
			"v1\n" + `{"batchWatermarkMs":0,"batchTimestampMs":1,"conf":{}}` + "\n" + `{"t":{"1":28,"0":30}}`,
			"v1\n" + `{"batchWatermarkMs":0,"batchTimestampMs":1734074067999,"conf":{}}` + "\n" + `{"t":{"1":50,"0":40}}`},
		{"v2 with what describes its source, without what described the batch",
			"v2\n" + `{"batchWatermarkMs":0,"batchTimestampMs":1,"conf":{"a":"b"},"sourceMetadataInfo":{"0":{"sourceId":"0"}},` +
				`"controlBatchInfo":{"operationType":"x"}}` +
				"\n" + `0:{"t":{"0":30,"1":28}}`,
			"v2\n" + `{"batchWatermarkMs":0,"batchTimestampMs":1734074067999,"conf":{"a":"b"},"sourceMetadataInfo":{"0":{"sourceId":"0"}}}` +
				"\n" + `0:{"t":{"0":40,"1":50}}`},
		{"no metadata: the defaults of a new checkpoint",
			"v1\n\n" + `{"t":{"0":30,"1":28}}`,
			"v1\n" + `{"batchWatermarkMs":0,"batchTimestampMs":1734074067999,"conf":` + newConf + "}\n" + `{"t":{"0":40,"1":50}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before, err := parseEntry([]byte(tt.before))
			if err != nil {
				t.Fatal(err)
			}
			if got := string(before.following(end, at).format()); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestParseInitial(t *testing.T) {
	want := stream.Offsets{"t": {0: 23, 1: 0}}
	for name, in := range map[string]string{
		"as written":            "\x00v1\n" + `{"t":{"0":23,"1":0}}`,
		"any first byte":        "2v1\n" + `{"t":{"0":23,"1":0}}`, // fixtures of Spark's begin with '2'
		"Spark 2.1.0":           "0" + `{"t":{"0":23,"1":0}}`,     // without version
		"Spark 3's order":       "\x00v1\n" + `{"t":{"1":0,"0":23}}`,
		"hexadecimal of a file": "\x00\x76\x31\x0a" + `{"t":{"0":23,"1":0}}`,
	} {
		got, _, err := parseInitial([]byte(in))
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: got %v %v", name, got, err)
		}
	}
	for _, in := range []string{"", "\x00", "\x00v1", "\x00v1\n", "\x00v2\n{}", "\x00v1\n{\"t\":{\"0\":2"} {
		if _, _, err := parseInitial([]byte(in)); err == nil {
			t.Errorf("%q: no error", in)
		}
	}
	const fresh = "\x00\x76\x31\x0a\x7b\x22\x74\x22\x3a\x7b\x22\x30\x22\x3a\x30\x7d\x7d" // as Spark writes it
	if got := formatInitial(stream.Offsets{"t": {0: 0}}, stream.Scala213); string(got) != fresh {
		t.Errorf("got % x", got)
	}
}

func TestParseMetadata(t *testing.T) {
	for _, in := range []string{`{"id":"` + queryID + `"}`, `{"id":"` + queryID + `"}` + "\n", `{"x":{"y":1}, "id":"` + queryID + `"}`} {
		if id, err := parseMetadata([]byte(in)); err != nil || id != queryID {
			t.Errorf("%s: got %q %v", in, id, err)
		}
	}
	for _, in := range []string{``, `{}`, `{"id":7}`, `{"id":""}`, `{"id":"a/b"}`, `{"id":"19203e6faf4e4f129ef5b075099ec97c"}`,
		`{"id":"` + queryID, `{"id":"` + queryID + `"}x`,
		`{"id":"` + queryID + `","id":"` + queryID + `"}`} {
		if id, err := parseMetadata([]byte(in)); err == nil {
			t.Errorf("%s: got %q", in, id)
		}
	}
}

func TestCommitEntries(t *testing.T) {
	for in, ok := range map[string]bool{
		commitEntry:        true,
		commitEntry + "\n": true,
		"v1":               true, // the second line is optional
		"v1\n{}":           true,
		"v2\n" + `{"nextBatchWatermarkMs":0,"stateUniqueIds":{}}`: true,
		"":                                false,
		"v":                               false,
		"v3\n{}":                          false,
		"v1\n" + `{"nextBatchWatermarkMs`: false,
		string(make([]byte, 29)):          false,
	} {
		if err := checkCommit([]byte(in)); (err == nil) != ok {
			t.Errorf("%q: got %v, want ok %v", in, err, ok)
		}
	}
}

// drawOffsets makes offsets of a few topics, as Kafka and Spark may have them.
func drawOffsets(t *rapid.T) stream.Offsets {
	o := stream.Offsets{}
	for _, topic := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-zA-Z0-9._-]{1,12}`), 1, 4, rapid.ID).Draw(t, "topics") {
		o[topic] = map[int32]int64{}
		for p := range rapid.Int32Range(0, 40).Draw(t, "partitions") {
			o.Set(topic, p, rapid.Int64Min(0).Draw(t, "offset"))
		}
	}
	return o
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start, end := drawOffsets(t), drawOffsets(t)
		order := rapid.SampledFrom([]stream.Order{stream.Scala213, stream.Scala212}).Draw(t, "order")
		at := time.UnixMilli(rapid.Int64Range(0, 1<<45).Draw(t, "time")).UTC()
		before := entry{version: rapid.SampledFrom([]string{version1, version2}).Draw(t, "version"), offsets: start, text: start.JSON(order)}
		if before.version == version2 {
			before.sourceID = rapid.StringMatching(`[a-z0-9_]{1,8}`).Draw(t, "source")
		}
		e := before.following(end, at)
		data := e.format()
		got, err := parseEntry(data)
		if err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if !got.offsets.Equal(end) || !got.time().Equal(at) || got.version != before.version || got.sourceID != before.sourceID ||
			got.shufflePartitions() != 200 {
			t.Fatalf("%s: got %+v", data, got)
		}
		if again := got.format(); !bytes.Equal(again, data) {
			t.Fatalf("got  %s\nwant %s", again, data)
		}
		if o, _, err := parseInitial(formatInitial(start, order)); err != nil || !o.Equal(start) {
			t.Fatalf("sources/0/0: %v %v", o, err)
		}
		if id, err := parseMetadata(formatMetadata(queryID)); err != nil || id != queryID {
			t.Fatalf("metadata: %q %v", id, err)
		}
	})
}

func TestNoStrictPrefixIsAnEntry(t *testing.T) {
	data := entry{}.following(stream.Offsets{"clicks": {0: 31, 1: 2}, "b": {0: 0}}, time.UnixMilli(1)).format()
	for n := range len(data) {
		if _, err := parseEntry(data[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are an entry", n, len(data))
		}
	}
	initial := formatInitial(stream.Offsets{"clicks": {0: 31, 1: 2}}, stream.Scala213)
	for n := range len(initial) {
		if _, _, err := parseInitial(initial[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are a start", n, len(initial))
		}
	}
}

func TestChecksums(t *testing.T) {
	files, err := filepath.Glob("testdata/spark4-*/[oc]*/[0-9]")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files { // Hadoop's own bytes
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(sumKey(filepath.ToSlash(f)))
		if err != nil {
			t.Fatal(err)
		}
		if got := sumOf(data); !bytes.Equal(got, want) {
			t.Errorf("%s: got % x, want % x", f, got, want)
		}
		if err := checkSum(data, want); err != nil {
			t.Errorf("%s: %v", f, err)
		}
		if checkSum(data[:len(data)-1], want) == nil {
			t.Errorf("%s: a byte less is not noticed", f)
		}
		data[len(data)/2] ^= 4
		if checkSum(data, want) == nil {
			t.Errorf("%s: a flipped bit is not noticed", f)
		}
	}
	if sumKey("metadata") != ".metadata.crc" || sumKey("offsets/7") != "offsets/.7.crc" {
		t.Error(sumKey("metadata"), sumKey("offsets/7"))
	}
	data := bytes.Repeat([]byte("x"), 1025)
	tests := []struct {
		name string
		sums []byte
		ok   bool
	}{
		{"three chunks", sumOf(data), true},
		{"empty: Hadoop ignores what is no checksum file", nil, true},
		{"another magic", []byte("abc\x00\x00\x00\x02\x00zzzz"), true},
		{"a chunk size of 0", []byte("crc\x00\x00\x00\x00\x00zzzz"), true},
		{"chunks missing", sumOf(data)[:12], false},
		{"chunks left over", sumOf(bytes.Repeat([]byte("x"), 1600)), false},
	}
	for _, tt := range tests {
		if err := checkSum(data, tt.sums); (err == nil) != tt.ok {
			t.Errorf("%s: got %v, want ok %v", tt.name, err, tt.ok)
		}
	}
}

func FuzzParseEntry(f *testing.F) {
	addGoldens(f, "offsets/*")
	f.Add([]byte("v2\n" + `{"batchTimestampMs":1,"conf":{"spark.sql.shuffle.partitions":"5"}}` + "\n0:1\n"))
	f.Add([]byte("v1\n\n" + `{"t":{"1":28,"0":30}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := parseEntry(data)
		if err != nil {
			return
		}
		next := e.following(e.offsets, e.time())
		again, err := parseEntry(next.format())
		if err != nil {
			t.Fatalf("%q gives %q: %v", data, next.format(), err)
		}
		if !again.offsets.Equal(e.offsets) || again.shufflePartitions() != e.shufflePartitions() || again.sourceID != e.sourceID {
			t.Fatalf("%q gives %q", data, next.format())
		}
	})
}

func FuzzParseMetadata(f *testing.F) {
	addGoldens(f, "metadata")
	f.Fuzz(func(t *testing.T, data []byte) {
		id, err := parseMetadata(data)
		if err != nil {
			return
		}
		if again, err := parseMetadata(formatMetadata(id)); err != nil || again != id {
			t.Fatalf("%q: %q %v", data, again, err)
		}
	})
}

func FuzzParseInitial(f *testing.F) {
	addGoldens(f, "sources/0/*")
	f.Add([]byte("2" + `{"t":{"0":-2}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, _, err := parseInitial(data)
		if err != nil {
			return
		}
		if again, _, err := parseInitial(formatInitial(o, stream.Scala212)); err != nil || !again.Equal(o) {
			t.Fatalf("%q: %v %v", data, again, err)
		}
	})
}

func FuzzCheckCommit(f *testing.F) {
	addGoldens(f, "commits/*")
	f.Fuzz(func(t *testing.T, data []byte) {
		if checkCommit(data) == nil && !bytes.HasPrefix(data, []byte("v")) {
			t.Fatalf("%q", data)
		}
	})
}

func FuzzCheckSum(f *testing.F) {
	f.Add([]byte("v1\n{}"), sumOf([]byte("v1\n{}")))
	f.Add([]byte{}, []byte("crc\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data, sums []byte) {
		_ = checkSum(data, sums) // reads within its bounds
		if err := checkSum(data, sumOf(data)); err != nil {
			t.Fatal(err)
		}
	})
}

func addGoldens(f *testing.F, pattern string) {
	f.Helper()
	files, err := filepath.Glob(filepath.FromSlash("testdata/spark4-*/" + pattern))
	if err != nil || len(files) == 0 {
		f.Fatal(fmt.Sprint(pattern, err))
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
}
