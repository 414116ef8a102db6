package delta

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/store"
)

var ctx = context.Background()

func openLocal(t testing.TB, dir string) *Log {
	t.Helper()
	s, err := store.NewLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	return Open(s, Options{})
}

// tableCounts is what an independent replay found in a table of another writer.
type tableCounts struct {
	Error            string
	Version          int64
	Reader, Writer   int
	ReaderFeatures   []string
	WriterFeatures   []string
	PartitionColumns []string
	Columns          int
	NumFiles         int
	SizeInBytes      int64
	DeletionVectors  int
	DeletedRows      int64
	NumRows          *int64
	Txn              map[string]int64
	Domains          []string
}

// differs are the tables that are not read as the replay read them, and why.
var differs = map[string]struct {
	refused string // what the error says; the table is not read
	why     string
}{
	"kernel-java/catalog-owned-preview":                                           {refused: "reader feature catalogManaged"},
	"delta-rs/simple_table_features":                                              {refused: "reader version 5"},
	"golden/deltalog-invalid-protocol-version/delta":                              {refused: "reader version 99"},
	"golden/data-reader-absolute-paths-escaped-chars/delta":                       {refused: "no metaData"},
	"golden/deltalog-state-reconstruction-without-metadata/delta":                 {refused: "no metaData"},
	"golden/deltalog-state-reconstruction-without-protocol/delta":                 {refused: "no protocol"},
	"golden/versions-not-contiguous/delta":                                        {refused: "version 1 is not in it, and versions after it are"},
	"golden/canonicalized-paths-normal-a/delta":                                   {why: "file:/x is /x: the file is removed, as in Spark"},
	"golden/canonicalized-paths-normal-b/delta":                                   {why: "file:///x is /x"},
	"golden/canonicalized-paths-special-a/delta":                                  {why: "file:/x is /x"},
	"golden/canonicalized-paths-special-b/delta":                                  {why: "file:///x is /x"},
	"golden/corrupted-last-checkpoint/delta":                                      {why: "no schemaString is a table without columns, as in Spark"},
	"golden/deltalog-commit-info/delta":                                           {why: "no schemaString"},
	"golden/update-deleted-directory/delta":                                       {why: "no schemaString"},
	"golden/deltalog-state-reconstruction-from-checkpoint-missing-metadata/delta": {why: "the checkpoint is passed over, all commits are there"},
	"golden/deltalog-state-reconstruction-from-checkpoint-missing-protocol/delta": {why: "the checkpoint is passed over, all commits are there"},
}

func TestTablesOfOtherWritersAreReadAsAnIndependentReplayReadsThem(t *testing.T) {
	dir := sharedFolder(t, "delta-tables")
	data, err := os.ReadFile(filepath.Join(dir, "counts.json"))
	if err != nil {
		t.Fatal(err)
	}
	var tables map[string]tableCounts
	if err := json.Unmarshal(data, &tables); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		t.Run(name, func(t *testing.T) { checkTable(t, filepath.Join(dir, name), name, tables[name]) })
	}
}

func checkTable(t *testing.T, dir, name string, want tableCounts) {
	s, err := openLocal(t, dir).Snapshot(ctx)
	if d := differs[name]; d.refused != "" {
		if err == nil || !strings.Contains(err.Error(), d.refused) {
			t.Errorf("got %v, want a refusal that says %q", err, d.refused)
		}
		return
	} else if d.why != "" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	if err != nil || want.Error != "" {
		t.Fatalf("got %v; the replay: %q", err, want.Error)
	}
	var files, vectors int
	var size, rows, deleted int64
	known := true
	for a, err := range s.Files(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		files++
		size += a.Size
		n, ok := a.Rows()
		rows += n
		known = known && ok
		if a.DeletionVector != nil {
			vectors++
			deleted += a.DeletionVector.Cardinality
		}
	}
	if s.Version() != want.Version || files != want.NumFiles || size != want.SizeInBytes || vectors != want.DeletionVectors ||
		deleted != want.DeletedRows {
		t.Errorf("got version %d, %d files, %d bytes, %d vectors, %d deleted; want %d, %d, %d, %d, %d",
			s.Version(), files, size, vectors, deleted, want.Version, want.NumFiles, want.SizeInBytes, want.DeletionVectors, want.DeletedRows)
	}
	if want.NumRows != nil && known && rows-deleted != *want.NumRows {
		t.Errorf("got %d rows, want %d", rows-deleted, *want.NumRows)
	}
	if p := s.Protocol(); p.MinReaderVersion != want.Reader || p.MinWriterVersion != want.Writer ||
		!slices.Equal(p.ReaderFeatures, want.ReaderFeatures) ||
		!slices.Equal(p.WriterFeatures, want.WriterFeatures) {
		t.Errorf("got protocol %+v, want %d, %d, %q, %q", p, want.Reader, want.Writer, want.ReaderFeatures, want.WriterFeatures)
	}
	if !slices.Equal(s.MetaData().PartitionColumns, want.PartitionColumns) || len(s.Schema().Fields) != want.Columns {
		t.Errorf("got %d columns, partitioned by %q; want %d, %q", len(s.Schema().Fields), s.MetaData().PartitionColumns, want.Columns,
			want.PartitionColumns)
	}
	txns := map[string]int64{}
	for _, x := range s.Txns() {
		txns[x.AppID] = x.Version
	}
	if !maps.Equal(txns, want.Txn) {
		t.Errorf("got txns %v, want %v", txns, want.Txn)
	}
	slices.Sort(want.Domains)
	if got := sortedKeys(s.domains); !slices.Equal(got, want.Domains) {
		t.Errorf("got domains %q, want %q", got, want.Domains)
	}
}
