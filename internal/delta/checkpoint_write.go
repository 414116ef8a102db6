package delta

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/siltlake/silt/internal/store"
)

// row is a row of a log checkpoint: one action, the others null. Names, order and types are those that Spark writes (delta.md 2.2).
type row struct {
	Txn            *txnRow    `parquet:"txn,optional"`
	Add            *addRow    `parquet:"add,optional"`
	Remove         *removeRow `parquet:"remove,optional"`
	MetaData       *metaRow   `parquet:"metaData,optional"`
	Protocol       *protoRow  `parquet:"protocol,optional"`
	DomainMetadata *domainRow `parquet:"domainMetadata,optional"`
}

// rowV2 is a row of a checkpoint of a table that has the feature v2Checkpoint: the classic name, without sidecars, plus one row that says
// that it is one of version 2.
type rowV2 struct {
	row
	CheckpointMetadata *checkpointMetadataRow `parquet:"checkpointMetadata,optional"`
}

type checkpointMetadataRow struct {
	Version *int64             `parquet:"version,optional"`
	Tags    map[string]*string `parquet:"tags,optional"`
}

type txnRow struct {
	AppID       *string `parquet:"appId,optional"`
	Version     *int64  `parquet:"version,optional"`
	LastUpdated *int64  `parquet:"lastUpdated,optional"`
}

type addRow struct {
	Path                    *string            `parquet:"path,optional,dict"`
	PartitionValues         map[string]*string `parquet:"partitionValues,optional"`
	Size                    *int64             `parquet:"size,optional"`
	ModificationTime        *int64             `parquet:"modificationTime,optional"`
	DataChange              *bool              `parquet:"dataChange,optional"`
	Tags                    map[string]*string `parquet:"tags,optional"`
	DeletionVector          *vectorRow         `parquet:"deletionVector,optional"`
	BaseRowID               *int64             `parquet:"baseRowId,optional"`
	DefaultRowCommitVersion *int64             `parquet:"defaultRowCommitVersion,optional"`
	ClusteringProvider      *string            `parquet:"clusteringProvider,optional"`
	Stats                   *string            `parquet:"stats,optional"`
}

type vectorRow struct {
	StorageType    *string `parquet:"storageType,optional"`
	PathOrInlineDV *string `parquet:"pathOrInlineDv,optional"`
	Offset         *int32  `parquet:"offset,optional"`
	SizeInBytes    *int32  `parquet:"sizeInBytes,optional"`
	Cardinality    *int64  `parquet:"cardinality,optional"`
	MaxRowIndex    *int64  `parquet:"maxRowIndex,optional"`
}

type removeRow struct {
	Path                    *string            `parquet:"path,optional"`
	DeletionTimestamp       *int64             `parquet:"deletionTimestamp,optional"`
	DataChange              *bool              `parquet:"dataChange,optional"`
	ExtendedFileMetadata    *bool              `parquet:"extendedFileMetadata,optional"`
	PartitionValues         map[string]*string `parquet:"partitionValues,optional"`
	Size                    *int64             `parquet:"size,optional"`
	DeletionVector          *vectorRow         `parquet:"deletionVector,optional"`
	BaseRowID               *int64             `parquet:"baseRowId,optional"`
	DefaultRowCommitVersion *int64             `parquet:"defaultRowCommitVersion,optional"`
}

type formatRow struct {
	Provider *string            `parquet:"provider,optional"`
	Options  map[string]*string `parquet:"options,optional"`
}

type metaRow struct {
	ID               *string            `parquet:"id,optional"`
	Name             *string            `parquet:"name,optional"`
	Description      *string            `parquet:"description,optional"`
	Format           *formatRow         `parquet:"format,optional"`
	SchemaString     *string            `parquet:"schemaString,optional"`
	PartitionColumns []string           `parquet:"partitionColumns,optional,list"`
	Configuration    map[string]*string `parquet:"configuration,optional"`
	CreatedTime      *int64             `parquet:"createdTime,optional"`
}

type protoRow struct {
	MinReaderVersion *int32   `parquet:"minReaderVersion,optional"`
	MinWriterVersion *int32   `parquet:"minWriterVersion,optional"`
	ReaderFeatures   []string `parquet:"readerFeatures,optional,list"`
	WriterFeatures   []string `parquet:"writerFeatures,optional,list"`
}

type domainRow struct {
	Domain        *string `parquet:"domain,optional"`
	Configuration *string `parquet:"configuration,optional"`
	Removed       *bool   `parquet:"removed,optional"`
}

// Sizes of a log checkpoint's parts. Memory is a row group's, however many files the table has.
const (
	groupBytes = 8 << 20
	groupRows  = 64 << 10
	batchRows  = 256
)

// WriteCheckpoint writes the log checkpoint of the snapshot's version and makes _last_checkpoint name it. It may run beside commits, of
// which it is no part: its failure fails nothing. What is there already is left alone, since all checkpoints of a version say the same.
//
// A table whose checkpoints must not have statistics as JSON (delta.checkpoint.writeStatsAsJson = false) is left to engines that write them
// as structs: ErrNoCheckpoint.
func (l *Log) WriteCheckpoint(ctx context.Context, s *Snapshot) error {
	if !s.Exists() {
		return fmt.Errorf("%w: there is no table", ErrNoCheckpoint)
	}
	if s.metaData.Configuration["delta.checkpoint.writeStatsAsJson"] == "false" {
		return fmt.Errorf("%w: delta.checkpoint.writeStatsAsJson is false", ErrNoCheckpoint)
	}
	step := fmt.Sprintf("log checkpoint %d", s.version)
	l.options.Trace("begin " + step)
	err := l.writeCheckpoint(ctx, s)
	if errors.Is(err, fs.ErrNotExist) { // a file that the snapshot builds on was cleaned up: build on what there is now
		var again *Snapshot
		if again, err = l.SnapshotAt(ctx, s.version); err == nil {
			err = l.writeCheckpoint(ctx, again)
		}
	}
	if err != nil {
		return fmt.Errorf("write log checkpoint %d: %w", s.version, err)
	}
	l.options.Trace("end " + step)
	return nil
}

// ErrNoCheckpoint: silt writes no log checkpoint for this table.
var ErrNoCheckpoint = errors.New("no log checkpoint")

func (l *Log) writeCheckpoint(ctx context.Context, s *Snapshot) error {
	key := checkpointKey(s.version)
	u, err := l.store.Create(ctx, key)
	if err != nil {
		return err
	}
	w := &rowWriter{snapshot: s, now: l.options.Now().UnixMilli(), out: counter{w: u}}
	if slices.Contains(s.protocol.ReaderFeatures, "v2Checkpoint") {
		version := s.version
		err = write(ctx, w, func(r row) rowV2 { return rowV2{row: r} }, &rowV2{CheckpointMetadata: &checkpointMetadataRow{Version: &version}})
	} else {
		err = write(ctx, w, func(r row) row { return r }, nil)
	}
	if err != nil {
		_ = u.Abort(context.WithoutCancel(ctx))
		return err
	}
	// fs.ErrExist: another engine, or an earlier run, made it; what it holds is the same.
	if err := u.Commit(ctx); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	l.checkpointed(s, key, w.out.n)
	return l.writeHint(ctx, lastCheckpoint{Version: s.version, Size: w.rows, SizeInBytes: w.out.n, NumOfAddFiles: w.adds})
}

// checkpointed remembers a checkpoint that was written, so that later snapshots build on it.
func (l *Log) checkpointed(s *Snapshot, key string, size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	to := &base{&checkpoint{version: s.version, files: []store.Info{{Key: key, Size: size}}}}
	l.latest = rebase{from: s.base, to: to, tailBytes: s.tailBytes}
}

// A rowWriter writes the rows of a log checkpoint.
type rowWriter struct {
	snapshot   *Snapshot
	now        int64 // milliseconds since 1970
	out        counter
	rows, adds int64
}

// counter counts the bytes that go to a writer.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// write writes the checkpoint with rows of type R, of which first is one more.
func write[R any](ctx context.Context, w *rowWriter, as func(row) R, first *R) error {
	// Pages of version 1 and PLAIN strings: what Spark's reader of any age reads. parquet-go would write DELTA_LENGTH_BYTE_ARRAY.
	file := pq.NewGenericWriter[R](&w.out, pq.DataPageVersion(1), pq.DefaultEncodingFor(pq.ByteArray, &pq.Plain), pq.Compression(&zstd.Codec{Level: zstd.SpeedFastest}),
		pq.SkipPageBounds("add", "stats"), pq.SkipPageBounds("metaData", "schemaString"))
	batch := make([]R, 0, batchRows)
	var held, inGroup int64 // bytes of the batch, and of the row group; rows of the row group are inRows
	inRows := 0
	flush := func() error {
		if _, err := file.Write(batch); err != nil {
			return err
		}
		w.rows += int64(len(batch))
		inGroup, inRows = inGroup+held, inRows+len(batch)
		clear(batch)
		batch, held = batch[:0], 0
		if inGroup < groupBytes && inRows < groupRows {
			return nil
		}
		inGroup, inRows = 0, 0
		return file.Flush()
	}
	var failed error
	put := func(r R, bytes int) bool {
		batch, held = append(batch, r), held+int64(bytes)
		if len(batch) == batchRows || held >= groupBytes/8 {
			failed = flush()
		}
		if failed == nil {
			failed = ctx.Err()
		}
		return failed == nil
	}
	if first != nil {
		put(*first, 0)
	}
	err := w.each(ctx, func(r row, bytes int) bool { return put(as(r), bytes) })
	if err = errors.Join(failed, err); err != nil {
		return err
	}
	if err := flush(); err != nil {
		return err
	}
	return file.Close()
}

// each yields the rows and about how many bytes each takes: what is not a file first, so that a reader that looks for it finds it in the
// first row group; then files and tombstones as they are met.
func (w *rowWriter) each(ctx context.Context, yield func(r row, bytes int) bool) error {
	s := w.snapshot
	ok := yield(row{Protocol: protocolRow(s.protocol)}, 0) && yield(row{MetaData: metaDataRow(s.metaData)}, len(s.metaData.SchemaString))
	for _, t := range s.Txns() {
		ok = ok && yield(row{Txn: &txnRow{&t.AppID, &t.Version, nonZero(t.LastUpdated)}}, len(t.AppID))
	}
	for _, name := range sortedKeys(s.domains) {
		d := s.domains[name]
		ok = ok && yield(row{DomainMetadata: &domainRow{&d.Domain, &d.Configuration, &d.Removed}}, len(d.Configuration))
	}
	if !ok {
		return nil
	}
	expired := w.now - s.metaData.deletedFileRetention().Milliseconds()
	return s.walk(ctx, func(a *Add) bool {
		w.adds++
		return yield(row{Add: fileRow(a)}, len(a.Path)+len(a.Stats)+64)
	}, func(r *Remove) bool {
		return r.DeletionTimestamp <= expired || yield(row{Remove: tombstoneRow(r)}, len(r.Path)+64)
	})
}

func nonZero(n int64) *int64 {
	if n == 0 {
		return nil
	}
	return &n
}

func nonEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func values(m map[string]string) Values {
	v := make(Values, len(m))
	for k, s := range m {
		v[k] = &s
	}
	return v
}

// empty returns {} for nil: a map that the protocol requires is not null.
func empty(v Values) map[string]*string {
	if v == nil {
		return map[string]*string{}
	}
	return v
}

func protocolRow(p *Protocol) *protoRow {
	reader, writer := int32(p.MinReaderVersion), int32(p.MinWriterVersion)
	return &protoRow{&reader, &writer, p.ReaderFeatures, p.WriterFeatures}
}

func metaDataRow(m *MetaData) *metaRow {
	partitions := m.PartitionColumns
	if partitions == nil {
		partitions = []string{}
	}
	return &metaRow{ID: &m.ID, Name: nonEmpty(m.Name), Description: nonEmpty(m.Description), Format: &formatRow{&m.Format.Provider, values(m.Format.Options)},
		SchemaString: &m.SchemaString, PartitionColumns: partitions, Configuration: values(m.Configuration), CreatedTime: nonZero(m.CreatedTime)}
}

func fileRow(a *Add) *addRow {
	dataChange := false // by convention, for all files of a checkpoint: nothing changes with it
	return &addRow{Path: &a.Path, PartitionValues: empty(a.PartitionValues), Size: &a.Size, ModificationTime: &a.ModificationTime, DataChange: &dataChange,
		Tags: a.Tags, DeletionVector: deletionVectorRow(a.DeletionVector), BaseRowID: a.BaseRowID, DefaultRowCommitVersion: a.DefaultRowCommitVersion,
		ClusteringProvider: nonEmpty(a.ClusteringProvider), Stats: nonEmpty(a.Stats)}
}

func tombstoneRow(r *Remove) *removeRow {
	dataChange := false
	t := &removeRow{Path: &r.Path, DeletionTimestamp: nonZero(r.DeletionTimestamp), DataChange: &dataChange, ExtendedFileMetadata: &r.ExtendedFileMetadata,
		DeletionVector: deletionVectorRow(r.DeletionVector), BaseRowID: r.BaseRowID, DefaultRowCommitVersion: r.DefaultRowCommitVersion}
	if r.ExtendedFileMetadata {
		t.PartitionValues, t.Size = empty(r.PartitionValues), &r.Size
	}
	return t
}

func deletionVectorRow(d *DeletionVector) *vectorRow {
	if d == nil {
		return nil
	}
	return &vectorRow{&d.StorageType, &d.PathOrInlineDV, d.Offset, &d.SizeInBytes, &d.Cardinality, d.MaxRowIndex}
}
