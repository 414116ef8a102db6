package parquet

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	pq "github.com/parquet-go/parquet-go"
)

// record has the shapes of a log checkpoint's actions.
type recordAdd struct {
	Path            *string           `parquet:"path,optional"`
	PartitionValues map[string]string `parquet:"partitionValues,optional"`
	Size            *int64            `parquet:"size,optional"`
	DataChange      *bool             `parquet:"dataChange,optional"`
}

type recordProtocol struct {
	MinReaderVersion *int32   `parquet:"minReaderVersion,optional"`
	Features         []string `parquet:"features,optional,list"`
}

type recordAction struct {
	Add      *recordAdd      `parquet:"add,optional"`
	Protocol *recordProtocol `parquet:"protocol,optional"`
}

func actions(n int) (all []recordAction) {
	version := int32(0)
	all = append(all, recordAction{Protocol: &recordProtocol{&version, []string{"a", "b"}}})
	for i := range n {
		path, size, change := fmt.Sprint("part-", i), int64(i%3), i%2 == 0
		add := &recordAdd{Path: &path, Size: &size, DataChange: &change}
		if i%2 == 0 {
			add.PartitionValues = map[string]string{"date": fmt.Sprint(i), "": ""}
		}
		all = append(all, recordAction{Add: add})
	}
	return all
}

func readActions(file []byte) (all []recordAction, err error) {
	for a, err := range ReadRecords[recordAction](bytes.NewReader(file), int64(len(file))) {
		if err != nil {
			return all, err
		}
		all = append(all, a)
	}
	return all, nil
}

// TestRecordsReadBackAsWritten: nulls, zeros, maps and lists, over more than one batch.
func TestRecordsReadBackAsWritten(t *testing.T) {
	want := actions(3*recordBatch + 7)
	for _, c := range []Codec{Zstd, Snappy, Gzip, Uncompressed} {
		var out bytes.Buffer
		n, err := WriteRecords(&out, slices.Values(want), Options{Compression: c, Metadata: []KeyValue{{"k", "v"}}})
		if err != nil || n != int64(len(want)) {
			t.Fatal(n, err)
		}
		got, err := readActions(out.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmp.Comparer(func(a, b map[string]string) bool { return fmt.Sprint(a) == fmt.Sprint(b) })); d != "" {
			t.Fatalf("%s (-want +got): %s", c, d)
		}
		f := open(t, out.Bytes())
		if v, _ := f.Lookup("k"); v != "v" {
			t.Errorf("metadata %q", v)
		}
		for _, chunk := range f.Metadata().RowGroups[0].Columns {
			for _, e := range chunk.MetaData.Encoding {
				if e.String() == "DELTA_LENGTH_BYTE_ARRAY" { // old Spark cannot read it
					t.Errorf("column %v has encoding %s", chunk.MetaData.PathInSchema, e)
				}
			}
		}
	}
}

func TestRecordsOfNoRow(t *testing.T) {
	var out bytes.Buffer
	if n, err := WriteRecords(&out, slices.Values([]recordAction(nil)), Options{}); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if got, err := readActions(out.Bytes()); len(got) != 0 || err != nil {
		t.Fatal(got, err)
	}
}

// TestDamagedRecordsAreErrors: parquet-go panics on some.
func TestDamagedRecordsAreErrors(t *testing.T) {
	var out bytes.Buffer
	if _, err := WriteRecords(&out, slices.Values(actions(5)), Options{Compression: Uncompressed}); err != nil {
		t.Fatal(err)
	}
	file := out.Bytes()
	failed := 0
	for i := range file {
		file[i] ^= 0x55
		if _, err := readActions(file); err != nil {
			if failed++; !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) {
				t.Fatalf("byte %d: %v", i, err)
			}
		}
		file[i] ^= 0x55
	}
	if failed < len(file)/10 {
		t.Errorf("%d of %d damaged files are noticed", failed, len(file))
	}
}

func TestRecordsInLZ4AreRefused(t *testing.T) {
	var out bytes.Buffer
	w := pq.NewGenericWriter[recordAction](&out, pq.Compression(&pq.Lz4Raw))
	if _, err := w.Write(actions(5)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := readActions(out.Bytes()); !errors.Is(err, ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

func TestErrorsOfRecordsStayTheirs(t *testing.T) {
	if _, err := WriteRecords(&failing{10}, slices.Values(actions(5)), Options{}); !errors.Is(err, errFull) {
		t.Errorf("write: %v", err)
	}
	for _, err := range ReadRecords[recordAction](erring{errFull}, 1000) {
		if !errors.Is(err, errFull) || errors.Is(err, ErrCorrupt) {
			t.Errorf("read: %v", err)
		}
	}
}
