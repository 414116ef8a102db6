// Command libpath is what silt is measured against: the same records by the libraries as they are. kgo polls records, twmb/avro decodes each
// into a struct whose strings alias the record, parquet-go's generic writer makes files of them. It has no Delta log and no checkpoint.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/siltlake/silt/test/shapes"
)

type options struct {
	addr, topic, shape, out string
	rows                    int64
}

func main() {
	var o options
	flag.StringVar(&o.addr, "addr", "", "address of the broker, without TLS and login")
	flag.StringVar(&o.topic, "topic", "", "topic to read")
	flag.StringVar(&o.shape, "shape", "clickstream", "shape of its records")
	flag.Int64Var(&o.rows, "n", 0, "how many records it holds")
	flag.StringVar(&o.out, "out", "", "directory for the Parquet files")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(o options) error {
	paths := map[string]func(options, string) error{
		"clickstream": path[shapes.Click], "nullable": path[shapes.Nullable], "nested": path[shapes.Nested], "arrays": path[shapes.Arrays],
		"maps": path[shapes.Maps], "wide": path[shapes.Wide], "widemany": path[shapes.Wide], "distinct": path[shapes.Distinct],
	}
	for _, s := range shapes.All() {
		if s.Name == o.shape {
			if err := paths[s.Name](o, s.Schema); err != nil {
				return err
			}
			return writeMemStats()
		}
	}
	return fmt.Errorf("unknown shape %q", o.shape)
}

// row has the columns of silt's table.
type row[T any] struct {
	Topic         string `parquet:"topic,optional,dict"`
	Partition     int32  `parquet:"partition,optional"`
	Offset        int64  `parquet:"offset,optional,delta"`
	Timestamp     int64  `parquet:"timestamp,optional,timestamp(microsecond)"`
	TimestampType int32  `parquet:"timestampType,optional"`
	Key           []byte `parquet:"key,optional,dict"`
	SchemaID      int32  `parquet:"valueSchemaId,optional"`
	Value         T      `parquet:"parsedValue,optional"`
}

// rowsPerFile is the size of the study's files.
const rowsPerFile = 1_000_000

// path reads the whole topic into files of T.
func path[T any](o options, text string) error {
	schema, err := avro.Parse(text)
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(o.addr), kgo.ConsumeTopics(o.topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	w := files[T]{dir: o.out}
	for read := int64(0); read < o.rows; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		for it := fetches.RecordIter(); !it.Done(); read++ {
			r := it.Next()
			// Avro leaves a field alone that is null: the row must be new.
			out := row[T]{
				Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UnixMicro(), Key: r.Key,
				SchemaID: int32(binary.BigEndian.Uint32(r.Value[1:])),
			}
			if _, err := schema.Decode(r.Value[5:], &out.Value, avro.AliasInput()); err != nil {
				return fmt.Errorf("partition %d offset %d: %w", r.Partition, r.Offset, err)
			}
			if err := w.add(out); err != nil {
				return err
			}
		}
	}
	return w.close()
}

// files writes rows into one file after the other.
type files[T any] struct {
	dir   string
	n     int // files begun
	rows  int // in the open file
	file  *os.File
	w     *parquet.GenericWriter[row[T]]
	batch []row[T]
}

func (f *files[T]) add(r row[T]) error {
	f.batch = append(f.batch, r)
	if len(f.batch) < 512 {
		return nil
	}
	return f.flush()
}

func (f *files[T]) flush() error {
	if len(f.batch) == 0 {
		return nil
	}
	if f.file == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	if _, err := f.w.Write(f.batch); err != nil {
		return err
	}
	f.rows += len(f.batch)
	f.batch = f.batch[:0]
	if f.rows >= rowsPerFile {
		return f.end()
	}
	return nil
}

func (f *files[T]) open() error {
	file, err := os.Create(filepath.Join(f.dir, fmt.Sprintf("part-%05d.parquet", f.n)))
	if err != nil {
		return err
	}
	f.file, f.rows = file, 0
	f.n++
	if f.w == nil {
		f.w = parquet.NewGenericWriter[row[T]](file, parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}))
	} else {
		f.w.Reset(file)
	}
	return nil
}

func (f *files[T]) end() error {
	if err := f.w.Close(); err != nil {
		return err
	}
	if err := f.file.Sync(); err != nil {
		return err
	}
	err := f.file.Close()
	f.file = nil
	return err
}

func (f *files[T]) close() error {
	if err := f.flush(); err != nil {
		return err
	}
	if f.file == nil {
		return nil
	}
	return f.end()
}

// writeMemStats writes what was allocated to the file that SILT_STATS names, in silt's own form.
func writeMemStats() error {
	name := os.Getenv("SILT_STATS")
	if name == "" {
		return nil
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b, err := json.Marshal(map[string]uint64{"mallocs": m.Mallocs, "totalAlloc": m.TotalAlloc, "numGC": uint64(m.NumGC)})
	if err != nil {
		return err
	}
	return os.WriteFile(name, b, 0o644)
}
