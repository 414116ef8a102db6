package delta

// row is a row of a log checkpoint: one action, the others null. Names, order and types are those that Spark writes (PROTOCOL.md,
// "Checkpoint Schema").
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
	Path                    *string            `parquet:"path,optional"`
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
	PartitionColumns []*string          `parquet:"partitionColumns,optional,list"`
	Configuration    map[string]*string `parquet:"configuration,optional"`
	CreatedTime      *int64             `parquet:"createdTime,optional"`
}

type protoRow struct {
	MinReaderVersion *int32    `parquet:"minReaderVersion,optional"`
	MinWriterVersion *int32    `parquet:"minWriterVersion,optional"`
	ReaderFeatures   []*string `parquet:"readerFeatures,optional,list"`
	WriterFeatures   []*string `parquet:"writerFeatures,optional,list"`
}

type domainRow struct {
	Domain        *string `parquet:"domain,optional"`
	Configuration *string `parquet:"configuration,optional"`
	Removed       *bool   `parquet:"removed,optional"`
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

// pointers returns the list with items that may be null, as Spark's lists are declared; nil stays nil, which is null.
func pointers(list []string) []*string {
	if list == nil {
		return nil
	}
	p := make([]*string, len(list))
	for i := range list {
		p[i] = &list[i]
	}
	return p
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
	return &protoRow{&reader, &writer, pointers(p.ReaderFeatures), pointers(p.WriterFeatures)}
}

func metaDataRow(m *MetaData) *metaRow {
	partitions := pointers(m.PartitionColumns)
	if partitions == nil {
		partitions = []*string{} // required
	}
	return &metaRow{ID: &m.ID, Name: nonEmpty(m.Name), Description: nonEmpty(m.Description),
		Format: &formatRow{&m.Format.Provider, values(m.Format.Options)}, SchemaString: &m.SchemaString, PartitionColumns: partitions,
		Configuration: values(m.Configuration), CreatedTime: nonZero(m.CreatedTime)}
}

func fileRow(a *Add) *addRow {
	dataChange := false // by convention, for all files of a checkpoint: nothing changes with it
	return &addRow{Path: &a.Path, PartitionValues: empty(a.PartitionValues), Size: &a.Size, ModificationTime: &a.ModificationTime,
		DataChange: &dataChange, Tags: a.Tags, DeletionVector: deletionVectorRow(a.DeletionVector), BaseRowID: a.BaseRowID,
		DefaultRowCommitVersion: a.DefaultRowCommitVersion, ClusteringProvider: nonEmpty(a.ClusteringProvider), Stats: nonEmpty(a.Stats)}
}

func tombstoneRow(r *Remove) *removeRow {
	dataChange := false
	t := &removeRow{Path: &r.Path, DeletionTimestamp: nonZero(r.DeletionTimestamp), DataChange: &dataChange,
		ExtendedFileMetadata: &r.ExtendedFileMetadata, DeletionVector: deletionVectorRow(r.DeletionVector), BaseRowID: r.BaseRowID,
		DefaultRowCommitVersion: r.DefaultRowCommitVersion}
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
