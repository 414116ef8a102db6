package parquet

import (
	"errors"
	"fmt"
	"io"
	"iter"

	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/format"
)

// Records are nested rows in Go structs, which is what log checkpoints are: some thousand rows, off the hot path. They go through
// parquet-go; its traps are met here:
//   - it panics on damaged files, which becomes an error;
//   - v0.32.0 reads wrong bytes from LZ4_RAW pages that hardly shrank: such files are refused;
//   - an `optional` field that is no pointer, slice or map is null if it is zero: T must have pointers where zero is a value;
//   - strings are DELTA_LENGTH_BYTE_ARRAY by default, which old Spark cannot read: they are written PLAIN.

// recordBatch is how many rows are read or written at once.
const recordBatch = 256

// ReadRecords yields the rows of a file of any writer as values of T, a struct with parquet-go's tags. Columns that T lacks are not read,
// those that the file lacks are zero. A record does not refer to the next one's memory. After an error, which wraps ErrCorrupt or
// ErrUnsupported or is the reader's, there is nothing more.
func ReadRecords[T any](r io.ReaderAt, size int64) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if err := readRecords(r, size, func(v T) bool { return yield(v, nil) }); err != nil {
			var none T
			yield(none, err)
		}
	}
}

func readRecords[T any](r io.ReaderAt, size int64, yield func(T) bool) error {
	in := &source{in: r, size: size}
	reader, err := openRecords[T](in, size)
	if err != nil {
		return in.errOr(err)
	}
	defer reader.Close()
	for {
		batch := make([]T, recordBatch) // fresh: maps and slices of the rows before are the caller's
		n, err := readBatch(reader, batch)
		for _, v := range batch[:n] {
			if !yield(v) {
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return in.errOr(err)
		}
	}
}

// A source remembers the error of a store, which is not the file's fault, and asks it for nothing outside the file, which would be.
type source struct {
	in   io.ReaderAt
	size int64
	err  error
}

func (s *source) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 || off > s.size {
		return 0, corrupt("it refers to byte %d of %d", off, s.size)
	}
	n, err := s.in.ReadAt(b, off)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func (s *source) errOr(err error) error {
	if s.err != nil {
		return s.err
	}
	return err
}

func openRecords[T any](r io.ReaderAt, size int64) (reader *pq.GenericReader[T], err error) {
	defer recovered(&err)
	f, err := pq.OpenFile(r, size, pq.SkipPageIndex(true), pq.SkipBloomFilters(true))
	if err != nil {
		return nil, corrupt("%v", err)
	}
	for _, g := range f.Metadata().RowGroups {
		for _, c := range g.Columns {
			if c.MetaData.Codec == format.Lz4Raw {
				return nil, fmt.Errorf("%w: records in LZ4_RAW", ErrUnsupported)
			}
		}
	}
	return pq.NewGenericReader[T](f), nil
}

func readBatch[T any](r *pq.GenericReader[T], batch []T) (n int, err error) {
	defer recovered(&err)
	if n, err = r.Read(batch); err != nil && !errors.Is(err, io.EOF) {
		err = corrupt("%v", err)
	}
	return n, err
}

func recovered(err *error) {
	if p := recover(); p != nil {
		*err = corrupt("%v", p)
	}
}

// WriteRecords writes the rows as a Parquet file and returns how many there were. It does not close w.
func WriteRecords[T any](w io.Writer, rows iter.Seq[T], o Options) (n int64, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("write Parquet records: %v", p)
		}
	}()
	o = o.withDefaults()
	options := []pq.WriterOption{pq.DataPageVersion(1), pq.Compression(recordCodec(o.Compression)), pq.DefaultEncoding(&pq.Plain),
		pq.CreatedBy("silt", "", "")}
	for _, kv := range o.Metadata {
		options = append(options, pq.KeyValueMetadata(kv.Key, kv.Value))
	}
	out := pq.NewGenericWriter[T](w, options...)
	batch := make([]T, 0, recordBatch)
	for v := range rows {
		if batch = append(batch, v); len(batch) < cap(batch) {
			continue
		}
		if _, err := out.Write(batch); err != nil {
			return n, err
		}
		n += int64(len(batch))
		batch = batch[:0]
	}
	if _, err := out.Write(batch); err != nil {
		return n, err
	}
	return n + int64(len(batch)), out.Close()
}

func recordCodec(c Codec) compress.Codec {
	switch c {
	case Snappy:
		return &pq.Snappy
	case Gzip:
		return &pq.Gzip
	case LZ4:
		return &pq.Lz4Raw
	case Uncompressed:
		return &pq.Uncompressed
	}
	return &pq.Zstd
}
