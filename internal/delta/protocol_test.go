package delta

import (
	"strings"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
)

// snapshotOf returns the snapshot of a table that has the protocol and metadata.
func snapshotOf(t *testing.T, p *Protocol, m *MetaData) (*Snapshot, error) {
	t.Helper()
	st := store.NewMemory(nil)
	mustPut(t, st, commitKey(0), string(encodeLines([]Action{p, m})))
	return Open(st, testOptions()).Snapshot(ctx)
}

func features37(names ...string) *Protocol { return &Protocol{3, 7, names, names} }

func TestUnknownFeaturesAreRefusedByName(t *testing.T) {
	tests := []struct {
		p     *Protocol
		read  string // what the refusal to read says, "" if it is read
		write string
	}{
		{&Protocol{1, 1, nil, nil}, "", ""},
		{&Protocol{1, 2, nil, nil}, "", ""},
		{&Protocol{2, 6, nil, nil}, "", ""}, // legacy: all features implied, none active
		{&Protocol{1, 7, nil, []string{"appendOnly", "invariants", "checkConstraints", "changeDataFeed", "generatedColumns", "identityColumns"}},
			"", ""},
		{&Protocol{1, 7, nil, []string{"allowColumnDefaults", "domainMetadata", "clustering", "inCommitTimestamp", "checkpointProtection"}}, "",
			""},
		{features37("columnMapping", "deletionVectors", "timestampNtz", "typeWidening", "v2Checkpoint", "vacuumProtocolCheck"), "", ""},
		{&Protocol{1, 7, nil, []string{"rowTracking"}}, "", "writer feature rowTracking"},
		{&Protocol{1, 7, nil, []string{"zeta", "appendOnly", "alpha"}}, "", "writer features alpha, zeta"},
		{&Protocol{1, 7, nil, []string{"coordinatedCommits-preview"}}, "", "coordinatedCommits-preview"},
		{features37("variantType"), "", "writer feature variantType"},
		{features37("catalogManaged"), "reader feature catalogManaged", ""},
		{features37("deletionVectors", "telepathy"), "reader feature telepathy", ""},
		{&Protocol{4, 7, nil, nil}, "reader version 4", ""},
		{&Protocol{1, 8, nil, nil}, "", "writer version 8"},
		{&Protocol{0, 0, nil, nil}, "reader version 0", ""},
	}
	for _, tt := range tests {
		s, err := snapshotOf(t, tt.p, NewMetaData("i", testSchema, 1))
		if !refusedWith(err, tt.read) {
			t.Errorf("%+v: reading: got %v, want %q", tt.p, err, tt.read)
		}
		if s == nil {
			continue
		}
		if err := s.CheckAppend(); !refusedWith(err, tt.write) {
			t.Errorf("%+v: appending: got %v, want %q", tt.p, err, tt.write)
		}
	}
}

// refusedWith says whether err is a refusal that says what, or nil if what is "".
func refusedWith(err error, what string) bool {
	if what == "" {
		return err == nil
	}
	p := problem.Of(err)
	return len(p) == 1 && p[0].Code == problem.UnsupportedProtocol && strings.Contains(err.Error(), what) && p[0].Hint != ""
}

func TestWhatAnAppendWouldHaveToHonourIsRefusedByName(t *testing.T) {
	schema := func(field string) string { return `{"type":"struct","fields":[` + field + `]}` }
	field := func(name, typ, metadata string) string {
		return `{"name":"` + name + `","type":` + typ + `,"nullable":true,"metadata":` + metadata + `}`
	}
	with := func(conf ...string) *MetaData {
		m := NewMetaData("i", testSchema, 1)
		m.Configuration = map[string]string{}
		for i := 0; i < len(conf); i += 2 {
			m.Configuration[conf[i]] = conf[i+1]
		}
		return m
	}
	partitioned := NewMetaData("i", testSchema, 1)
	partitioned.PartitionColumns = []string{"day", "hour"}
	tests := []struct {
		p    *Protocol
		m    *MetaData
		want string
	}{
		{NewProtocol(), with("delta.appendOnly", "true", "delta.enableChangeDataFeed", "true", "delta.enableDeletionVectors", "true", "foo",
			"bar"), ""},
		{NewProtocol(), partitioned, "partition columns (day, hour)"},
		{NewProtocol(), with("delta.constraints.positive", "id > 0"), "a check constraint (positive: id > 0)"},
		{&Protocol{2, 5, nil, nil}, with("delta.columnMapping.mode", "name"), "column mapping (delta.columnMapping.mode = name)"},
		{features37("columnMapping"), with("delta.columnMapping.mode", "id"), "column mapping"},
		{&Protocol{2, 5, nil, nil}, with("delta.columnMapping.mode", "none"), ""},
		{NewProtocol(), with("delta.columnMapping.mode", "name"), ""}, // not supported by the protocol: it means nothing
		{&Protocol{1, 7, nil, []string{"icebergCompatV2"}}, with("delta.enableIcebergCompatV2", "true"), "Iceberg compatibility"},
		{&Protocol{1, 7, nil, []string{"icebergCompatV2"}}, with("delta.enableIcebergCompatV2", "false"), ""},
		{NewProtocol(), with("delta.compatibility.symlinkFormatManifest.enabled", "TRUE"), "symlink manifests"},
		{NewProtocol(), NewMetaData("i", schema(field("a", `"long"`, `{"delta.invariants":"{\"expression\":{\"expression\":\"a > 3\"}}"}`)), 1),
			"an invariant (column a)"},
		{NewProtocol(), NewMetaData("i", schema(field("a", `"long"`, `{"comment":"x","delta.generationExpression":"1"}`)), 1),
			"a generated column (column a)"},
		{NewProtocol(), NewMetaData("i", schema(field("a", `"long"`, `{"delta.identity.start":1}`)), 1), "an identity column (column a)"},
		{NewProtocol(), NewMetaData("i", schema(field("a", `"long"`, `{"CURRENT_DEFAULT":"1"}`)), 1), "a column default (column a)"},
		{NewProtocol(), NewMetaData("i", strings.ReplaceAll(testSchema, "true", "false"), 1), "a NOT NULL column (column id)"},
		{NewProtocol(), NewMetaData("i", schema(field("s",
			`{"type":"array","elementType":{"type":"struct","fields":[{"name":"x","type":"long","nullable":false,"metadata":{}}]},"containsNull":true}`, `{}`)), 1),
			"a NOT NULL column (column s.element.x)"},
		{NewProtocol(), NewMetaData("i", schema(field("a", `{"type":"array","elementType":"timestamp_ntz","containsNull":true}`, `{}`)), 1),
			"without the feature timestampNtz"},
		{features37("timestampNtz"), NewMetaData("i", schema(field("a", `"timestamp_ntz"`, `{}`)), 1), ""},
		{NewProtocol(), NewMetaData("i", schema(field("a", `"long"`, `{"comment":"delta.invariants"}`)), 1), ""},
	}
	for _, tt := range tests {
		s, err := snapshotOf(t, tt.p, tt.m)
		if err != nil {
			t.Errorf("%s: %v", tt.want, err)
			continue
		}
		if err := s.CheckAppend(); !refusedWith(err, tt.want) {
			t.Errorf("%+v, %+v: got %v, want %q", tt.p, tt.m, err, tt.want)
		}
	}
}

func TestNewTablesNeedNoFeatureUnlessATypeIsOne(t *testing.T) {
	ntz := column.Primitive(column.TimestampNTZ)
	for _, tt := range []struct {
		t    column.Type
		want string
	}{
		{column.Primitive(column.Timestamp), `{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}`},
		{column.ArrayOf(column.StructOf(column.Nullable("x", column.MapOf(ntz)))),
			`{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["timestampNtz"],"writerFeatures":["appendOnly","invariants","timestampNtz"]}}`},
	} {
		if got := string(ProtocolFor(column.Of(column.Nullable("a", tt.t))).appendJSON(nil)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.t, got, tt.want)
		}
	}
}

func TestIntervals(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"interval 1 week": 7 * 24 * time.Hour, "interval 30 days": 30 * 24 * time.Hour, "2 days 3 hours": 51 * time.Hour,
		"INTERVAL 90 Minutes": 90 * time.Minute,
		"interval 0 seconds":  0, "1 millisecond 1 microsecond": 1001 * time.Microsecond, "interval 9000000 weeks": maxInterval,
		"": -1, "interval": -1, "1": -1, "1 month": -1, "1 year": -1, "x days": -1, "-1 days": -1, "1 day 2": -1, "99999999999999999999 days": -1,
	} {
		got, err := parseInterval(text)
		if want == maxInterval && err != nil { // longer than a Duration: refused is as good as for ever
			continue
		}
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	m := NewMetaData("i", "", 0)
	if _, ok := m.TxnRetention(); ok || m.deletedFileRetention() != defaultDeletedFileRetention || m.checkpointInterval() != 0 {
		t.Error("a table without properties has the defaults")
	}
	m.Configuration = map[string]string{"delta.setTransactionRetentionDuration": "interval 1 day",
		"delta.deletedFileRetentionDuration": "interval 2 days", "delta.checkpointInterval": "20"}
	if d, ok := m.TxnRetention(); !ok || d != 24*time.Hour || m.deletedFileRetention() != 48*time.Hour || m.checkpointInterval() != 20 {
		t.Errorf("got %v, %v, %v, %v", d, ok, m.deletedFileRetention(), m.checkpointInterval())
	}
	m.Configuration = map[string]string{"delta.checkpointInterval": "0", "delta.deletedFileRetentionDuration": "forever"}
	if m.checkpointInterval() != 0 || m.deletedFileRetention() != defaultDeletedFileRetention {
		t.Error("properties that make no sense are as if not set")
	}
}
