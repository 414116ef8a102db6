package delta

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/store"
)

// decodeLines returns the actions of a commit.
func decodeLines(data []byte) ([]Action, error) {
	var actions []Action
	keep := func(a Action) error { actions = append(actions, a); return nil }
	err := readLines(bytes.NewReader(data), &visitor{
		other:  keep,
		add:    func(a *Add) error { return keep(a) },
		remove: func(r *Remove) error { return keep(r) },
	})
	return actions, err
}

func encodeLines(actions []Action) []byte {
	var b []byte
	for _, a := range actions {
		b = append(a.appendJSON(b), '\n')
	}
	return b
}

// The commits that Spark 4.1.1 with Delta 4.4.0 made of the tutorial, and of its streaming sink, are written back byte for byte.
func TestActionsAreWrittenAsSparkWritesThem(t *testing.T) {
	files, err := filepath.Glob("testdata/spark/*/*.json")
	if err != nil || len(files) != 9 {
		t.Fatalf("got %q, %v", files, err)
	}
	for _, name := range files {
		want := must[[]byte](t)(os.ReadFile(name))
		actions, err := decodeLines(want)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(encodeLines(actions)), "\n")); diff != "" {
			t.Errorf("%s (-Spark +ours):\n%s", name, diff)
		}
	}
}

func TestTablesMadeBySparkAreRead(t *testing.T) {
	for name, want := range map[string]struct {
		version, rows int64
		columns       int
		txn           int64
	}{
		"direct":   {version: 2, rows: 300, columns: 7, txn: 2},
		"tutorial": {version: 5, rows: 300, columns: 7, txn: -1},
	} {
		m := store.NewMemory(nil)
		for i, err := range must[*store.Local](t)(store.NewLocal(filepath.Join("testdata/spark", name))).List(ctx, "", "") {
			if err != nil {
				t.Fatal(err)
			}
			mustPut(t, m, logFolder+i.Key, string(must[[]byte](t)(os.ReadFile(filepath.Join("testdata/spark", name, i.Key)))))
		}
		s := must[*Snapshot](t)(Open(m, testOptions()).Snapshot(ctx))
		rows := int64(0)
		for a, err := range s.Files(ctx) {
			n, ok := a.Rows()
			if err != nil || !ok {
				t.Fatal(a, err)
			}
			rows += n
		}
		txn := int64(-1)
		if x, ok := s.Txn("030bd9a4-b6df-45f4-95f5-796c194b724b"); ok {
			txn = x.Version
		}
		if s.Version() != want.version || rows != want.rows || len(s.Schema().Fields) != want.columns || txn != want.txn ||
			s.DataVersion() != want.version {
			t.Errorf("%s: got version %d, %d rows, %d columns, txn %d, data version %d", name, s.Version(), rows, len(s.Schema().Fields), txn,
				s.DataVersion())
		}
		if got := s.Schema().JSON(); got != s.MetaData().SchemaString {
			t.Errorf("%s: schema is written as\n%s\nand was\n%s", name, got, s.MetaData().SchemaString)
		}
		if err := s.CheckAppend(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func pointer[T any](v T) *T { return &v }

func TestLinesAreDecoded(t *testing.T) {
	tests := []struct {
		line string
		want Action // nil: ignored
	}{
		// Optional fields that are absent, and null.
		{`{"add":{"path":"a","partitionValues":{},"size":1,"modificationTime":2,"dataChange":true}}`,
			&Add{Path: "a", Size: 1, ModificationTime: 2, DataChange: true}},
		{`{"add":{"path":"a","size":1,"stats":null,"tags":null,"deletionVector":null,"baseRowId":null}}`, &Add{Path: "a", Size: 1}},
		// All fields, in another order, with white space.
		{"{ \"add\" : { \"clusteringProvider\":\"liquid\", \"size\" : 1,\t\"path\":\"a%20b\", \"partitionValues\":{\"p\":null,\"q\":\"1\"}, \"tags\":{\"t\":\"\"},\r" +
			`"deletionVector":{"storageType":"u","pathOrInlineDv":"x","offset":1,"sizeInBytes":2,"cardinality":3}, "baseRowId":7, "defaultRowCommitVersion":8 } }`,
			&Add{Path: "a%20b", Size: 1, PartitionValues: Values{"p": nil, "q": pointer("1")}, Tags: Values{"t": pointer("")},
				BaseRowID:               pointer(int64(7)),
				DefaultRowCommitVersion: pointer(int64(8)), ClusteringProvider: "liquid",
				DeletionVector: &DeletionVector{StorageType: "u", PathOrInlineDV: "x", Offset: pointer(int32(1)), SizeInBytes: 2, Cardinality: 3}}},
		// Statistics are a string that holds JSON; escapes of all kinds.
		{`{"add":{"path":"\u0061\/\ud83d\ude00\n","size":1e3,"stats":"{\"numRecords\":1,\"minValues\":{\"s\":\"\\\"\"}}"}}`,
			&Add{Path: "a/\U0001F600\n", Size: 1000, Stats: `{"numRecords":1,"minValues":{"s":"\""}}`}},
		// A number where a string belongs, as some writers print partition values.
		{`{"add":{"path":"a","partitionValues":{"p":12,"q":true},"size":1}}`,
			&Add{Path: "a", Size: 1, PartitionValues: Values{"p": pointer("12"), "q": pointer("true")}}},
		{`{"remove":{"path":"a","deletionTimestamp":5,"dataChange":false,"extendedFileMetadata":true,"partitionValues":{},"size":9}}`,
			&Remove{Path: "a", DeletionTimestamp: 5, ExtendedFileMetadata: true, Size: 9}},
		{`{"txn":{"appId":"q","version":3}}`, &Txn{AppID: "q", Version: 3}},
		{`{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":[],"writerFeatures":["appendOnly"]}}`,
			&Protocol{3, 7, []string{}, []string{"appendOnly"}}},
		{`{"domainMetadata":{"domain":"d","configuration":"{}","removed":true}}`, &DomainMetadata{"d", "{}", true}},
		// What metaData says that we do not know is kept.
		{`{"metaData":{"id":"i","format":{"provider":"parquet","options":{}},"schemaString":"s","partitionColumns":[],"configuration":{"k":"v"},"future":{"x":[1]}}}`,
			&MetaData{ID: "i", Format: Format{"parquet", map[string]string{}}, SchemaString: "s", PartitionColumns: []string{},
				Configuration: map[string]string{"k": "v"},
				Extra:         Object{{"future", json.RawMessage(`{"x":[1]}`)}}}},
		// A commitInfo is free JSON: keys of an odd type do not matter.
		{`{"commitInfo":{"timestamp":"yesterday","operation":"WRITE","operationParameters":{"b":1,"a":"[]"},"readVersion":4,"isBlindAppend":true,"txnId":"t","silt":{"v":1},"userName":"u"}}`,
			&CommitInfo{Operation: "WRITE", OperationParameters: Object{{"b", json.RawMessage("1")}, {"a", json.RawMessage(`"[]"`)}}, ReadVersion: 4,
				IsBlindAppend: pointer(true), TxnID: "t", Silt: json.RawMessage(`{"v":1}`),
				Extra: Object{{"timestamp", json.RawMessage(`"yesterday"`)}, {"userName", json.RawMessage(`"u"`)}}}},
		// Unknown actions and empty lines.
		{`{"cdc":{"path":"_change_data/x","size":1}}`, nil},
		{`{"future":[{"a":1e-5},null,true,"x"]}`, nil},
		{`{}`, nil},
		{`   `, nil},
		{`{"add":null,"txn":null}`, nil},
	}
	for _, tt := range tests {
		got, err := decodeLines([]byte(tt.line + "\n"))
		if err != nil {
			t.Errorf("%s: %v", tt.line, err)
			continue
		}
		var want []Action
		if tt.want != nil {
			want = []Action{tt.want}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.line, diff)
		}
	}
}

// Actions of other writers are written back with all that they have.
func TestActionsAreWrittenBackWhole(t *testing.T) {
	for _, line := range []string{
		`{"add":{"path":"a","partitionValues":{"p":null,"q":"<&>"},"size":1,"modificationTime":2,"dataChange":true,"stats":"{}","tags":{"t":"x"},` +
			`"deletionVector":{"storageType":"i","pathOrInlineDv":"^Bg9^0rr<>&","offset":1,"sizeInBytes":2,"cardinality":3,"maxRowIndex":4},` +
			`"baseRowId":5,"defaultRowCommitVersion":6,"clusteringProvider":"liquid"}}`,
		`{"remove":{"path":"a","deletionTimestamp":1,"dataChange":true,"extendedFileMetadata":true,"partitionValues":{},"size":2,"stats":"{}",` +
			`"deletionVector":{"storageType":"u","pathOrInlineDv":"x","sizeInBytes":2,"cardinality":3},"baseRowId":5,"defaultRowCommitVersion":6}}`,
		`{"remove":{"path":"a","dataChange":false}}`,
		`{"metaData":{"id":"i","name":"n","description":"d","format":{"provider":"parquet","options":{"k":"v"}},"schemaString":"s","partitionColumns":["a","b"],` +
			`"configuration":{"a":"1","b":"2"},"createdTime":3,"future":[1]}}`,
		`{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":[],"writerFeatures":["a","b"]}}`,
		`{"txn":{"appId":"a","version":-1}}`,
		`{"domainMetadata":{"domain":"d","configuration":"{\"a\":1}","removed":true}}`,
		`{"commitInfo":{"inCommitTimestamp":1,"timestamp":2,"operation":"o","operationParameters":{"z":1,"a":"[]"},"readVersion":3,"isolationLevel":"i",` +
			`"isBlindAppend":false,"operationMetrics":{"n":"1"},"userMetadata":"u","engineInfo":"e","txnId":"t","silt":{"v":1},"userName":"x","job":{"a":null}}}`,
	} {
		actions, err := decodeLines([]byte(line))
		if got := strings.TrimSuffix(string(encodeLines(actions)), "\n"); err != nil || got != line {
			t.Errorf("%v\ngot  %s\nwant %s", err, got, line)
		}
	}
}

func TestObjectsKeepTheirOrder(t *testing.T) {
	var c CommitInfo
	c.set("operationMetrics", []byte(`{"z":"1","a":{"x":2},"q":null}`))
	o := c.OperationMetrics
	if o.Text("z") != "1" || o.Text("a") != `{"x":2}` || o.Text("none") != "" || string(o.Get("q")) != "null" || o.Get("none") != nil {
		t.Errorf("got %v", o)
	}
	if b, err := json.Marshal(o); err != nil || string(b) != `{"z":"1","a":{"x":2},"q":null}` {
		t.Errorf("got %s, %v", b, err)
	}
}

func TestCloneSharesNothing(t *testing.T) {
	m := NewMetaData("i", "s", 1)
	m.Configuration, m.PartitionColumns, m.Format.Options = map[string]string{"a": "1"}, []string{"p"}, map[string]string{"o": "1"}
	before := string(m.appendJSON(nil))
	c := m.Clone()
	if got := string(c.appendJSON(nil)); got != before {
		t.Errorf("got %s, want %s", got, before)
	}
	c.Configuration["a"], c.PartitionColumns[0], c.Format.Options["o"] = "2", "q", "2"
	if got := string(m.appendJSON(nil)); got != before {
		t.Errorf("the original became %s", got)
	}
}

func TestLinesThatAreNoneAreRefused(t *testing.T) {
	for _, tt := range []struct{ lines, want string }{
		{"", "empty"},
		{"{", "line 1: invalid JSON"},
		{`{"txn":{"appId":"a","version":1}}` + "\n" + `{"add":{"path":"half`, "line 2: add: invalid JSON"},
		{`[]`, "want '{'"},
		{`{"add":{"size":1}}`, "no path"},
		{`{"remove":{"size":1}}`, "no path"},
		{`{"add":{"path":"a","size":"1"}}`, "want a value"},
		{`{"add":{"path":"a","size":1.5}}`, "1.5 is no integer"},
		{`{"add":{"path":"a","size":99999999999999999999}}`, "no integer"},
		{`{"add":{"path":"a","dataChange":1}}`, "want true or false"},
		{`{"add":{"path":"a"}} x`, "more after the value"},
		{`{"add":{"path":"a"}}{"add":{"path":"b"}}`, "more after the value"},
		{`{"add":{"path":"a` + "\x01" + `"}}`, "control character"},
		{`{"add":{"path":"\x"}}`, "unknown escape"},
		{`{"add":{"path":"` + "\xff" + `"}}`, "not UTF-8"},
		{`{"txn":{"appId":1}}`, "cannot unmarshal"},
		{`{"future":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}`, "nested too deep"},
		{`{"add":{"path":"` + strings.Repeat("a", maxLine) + `"}}`, "line 1 is longer than 16777216 bytes"},
	} {
		_, err := decodeLines([]byte(tt.lines))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60s: got %v, want %q", tt.lines, err, tt.want)
		}
	}
}

func TestPathsAreEncodedOnceAndDecodedOnce(t *testing.T) {
	for _, tt := range []struct{ name, path string }{
		{"part-00000-c000.zstd.parquet", "part-00000-c000.zstd.parquet"},
		{"p=US%2FEast/x.parquet", "p=US%252FEast/x.parquet"}, // a folder of Hive's: encoded already
		{"a b#c?d.parquet", "a%20b%23c%3Fd.parquet"},
		{"12:30/x", "12%3A30/x"}, // or 12 would be a scheme
		{"é", "%C3%A9"},
		{"a+b@c&d=e$f", "a+b@c&d=e$f"},
	} {
		if got := EncodePath(tt.name); got != tt.path {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.path)
		}
		if got := (&Add{Path: tt.path}).Name(); got != tt.name {
			t.Errorf("%s: got %s, want %s", tt.path, got, tt.name)
		}
	}
	for _, tt := range []struct{ path, name string }{ // of other writers
		{"é", "é"},               // not encoded by Spark
		{"100%", "100%"},         // not encoded at all
		{"file:/x/y", "/x/y"},    // three spellings of one file
		{"file:///x/y", "/x/y"},  //
		{"/x/y", "/x/y"},         //
		{"s3://b/x", "s3://b/x"}, // of another store
	} {
		if got := decodePath(tt.path); got != tt.name {
			t.Errorf("%s: got %s, want %s", tt.path, got, tt.name)
		}
	}
}

func TestRowsOfBadStatisticsAreNotKnown(t *testing.T) {
	for stats, want := range map[string]int64{
		`{"numRecords":5}`: 5, `{"minValues":{"numRecords":3},"numRecords":6}`: 6, `{"numRecords":0}`: 0,
		"": -1, "{}": -1, "null": -1, `{"numRecords":null}`: -1, `{"numRecords":"5"}`: -1, `{"numRecords":5`: -1, `{"numRecords":-1}`: -1,
		"[5]": -1,
	} {
		n, ok := (&Add{Stats: stats}).Rows()
		if ok != (want >= 0) || ok && n != want {
			t.Errorf("%s: got %d, %v, want %d", stats, n, ok, want)
		}
	}
}

// FuzzLine: no line makes the reader panic, and an action that is read is written so that it reads the same.
func FuzzLine(f *testing.F) {
	files, _ := filepath.Glob("testdata/spark/*/*.json")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			f.Add(line)
		}
	}
	f.Add([]byte(`{"add":{"path":"a%20b","partitionValues":{"p":null,"q":"1"},"size":1,"tags":{"t":"x"},"deletionVector":{"storageType":"u","pathOrInlineDv":"x","offset":1,"sizeInBytes":2,"cardinality":3,"maxRowIndex":4},"baseRowId":1}}`))
	f.Add([]byte(`{"remove":{"path":"a","deletionTimestamp":1,"dataChange":true,"extendedFileMetadata":true,"size":2}}`))
	f.Add([]byte(`{"domainMetadata":{"domain":"d","configuration":"{}","removed":false}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		actions, err := decodeLines(append(line, '\n'))
		if err != nil {
			return
		}
		again, err := decodeLines(append(encodeLines(actions), '\n'))
		if err != nil {
			t.Fatalf("%q is written as %q: %v", line, encodeLines(actions), err)
		}
		if !reflect.DeepEqual(normal(actions), normal(again)) {
			t.Fatalf("%s", cmp.Diff(normal(actions), normal(again)))
		}
	})
}

// normal makes equal what is written alike: an empty list or map and none, an unset flag's companions.
func normal(actions []Action) []string {
	var out []string
	for _, a := range actions {
		out = append(out, string(a.appendJSON(nil)))
	}
	return out
}

// FuzzScanner compares the scanner with encoding/json.
func FuzzScanner(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.5e+7,"x\u00e9\\",{"b":null,"c":true}],"d":false}`, `"\ud800\udc00"`, `"\ud800"`, `-0`, `01`, `1.`,
		`[1,]`, `{"a":}`, ` [ ] `, `{,}`, `nul`, `"\u12g4"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := scanner{b: text}
		err := s.skip(0)
		if err == nil {
			err = s.end()
		}
		if json.Valid(text) && err != nil && !strings.Contains(err.Error(), "nested too deep") {
			t.Fatalf("%q is valid: %v", text, err)
		}
		var want string
		if json.Unmarshal(text, &want) == nil && utf8.Valid(text) && !bytes.Equal(bytes.TrimSpace(text), []byte("null")) {
			s := scanner{b: text}
			if got, err := s.str(); got != want || err != nil {
				t.Fatalf("%q: got %q, %v, want %q", text, got, err, want)
			}
			if back := column.AppendString(nil, want); json.Unmarshal(back, &want) != nil || !bytes.Equal(column.AppendString(nil, want), back) {
				t.Fatalf("%q is written as %q", want, back)
			}
		}
		var n int64
		if json.Unmarshal(text, &n) == nil {
			s := scanner{b: text}
			if got, err := s.int(); got != n || err != nil {
				t.Fatalf("%q: got %d, %v, want %d", text, got, err, n)
			}
		}
	})
}
