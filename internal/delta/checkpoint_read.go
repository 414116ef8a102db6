package delta

import (
	"encoding/binary"
	"fmt"
	"io"

	pq "github.com/parquet-go/parquet-go"
)

// readParquet hands the actions of a Parquet log checkpoint, or of a sidecar, to v. What v does not want is not read.
func readParquet(r io.ReaderAt, size int64, v *visitor) error {
	if err := checkFooter(r, size); err != nil {
		return err
	}
	var f *pq.File
	err := guarded(func() (err error) {
		f, err = pq.OpenFile(r, size, pq.SkipPageIndex(true), pq.SkipBloomFilters(true), pq.ReadBufferSize(128<<10))
		return err
	})
	if err != nil {
		return err
	}
	var kinds []kindReader
	root := f.Root()
	if v.other != nil {
		kinds = append(kinds, others(root, v.other)...)
	}
	if v.sidecar != nil {
		kinds = append(kinds, sidecars(root.Column("sidecar"), v.sidecar))
	}
	if v.add != nil {
		kinds = append(kinds, adds(root.Column("add"), v.add))
	}
	if v.remove != nil {
		kinds = append(kinds, removes(root.Column("remove"), v.remove))
	}
	for i, g := range f.RowGroups() {
		for _, kind := range kinds { // one after the other: a row is of one kind and null in the columns of all others
			if err := readKind(&rowGroup{chunks: g.ColumnChunks(), meta: f.Metadata().RowGroups[i].Columns}, g.NumRows(), kind); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkFooter keeps parquet-go from making room for a footer of 4 GB because four bytes say so.
func checkFooter(r io.ReaderAt, size int64) error {
	const least = 12 // magic, footer's length, magic
	if size < least {
		return fmt.Errorf("invalid Parquet: %d bytes", size)
	}
	var end [8]byte
	if n, err := r.ReadAt(end[:], size-8); n < len(end) {
		return err
	}
	if n := int64(binary.LittleEndian.Uint32(end[:])); n > size-least {
		return fmt.Errorf("invalid Parquet: a footer of %d bytes in a file of %d", n, size)
	}
	return nil
}

// A kindReader opens the columns of one kind of action and returns what is called with each row.
type kindReader func(*rowGroup) (row func() error, err error)

func readKind(g *rowGroup, rows int64, kind kindReader) error {
	defer g.close()
	var row func() error
	err := guarded(func() (err error) { row, err = kind(g); return err })
	if err != nil || len(g.cursors) == 0 {
		return err
	}
	for range rows {
		if err := g.advance(); err != nil {
			return err
		}
		if err := row(); err != nil {
			return err
		}
	}
	return nil
}

// A builder opens the columns of one kind of action; it remembers the first error.
type builder struct {
	g   *rowGroup
	c   *pq.Column
	err error
}

func (b *builder) leaf(kinds []pq.Kind, path ...string) *cursor {
	if b.err != nil {
		return nil
	}
	var c *cursor
	c, b.err = b.g.leaf(child(b.c, path...), kinds...)
	return c
}

func (b *builder) text(path ...string) *cursor { return b.leaf([]pq.Kind{pq.ByteArray}, path...) }

func (b *builder) int(path ...string) *cursor { return b.leaf([]pq.Kind{pq.Int32, pq.Int64}, path...) }

func (b *builder) bool(path ...string) *cursor { return b.leaf([]pq.Kind{pq.Boolean}, path...) }

func (b *builder) mapping(path ...string) (m mapCursor) {
	if b.err == nil {
		m, b.err = b.g.mapping(child(b.c, path...))
	}
	return m
}

func (b *builder) list(path ...string) (l listCursor) {
	if b.err == nil {
		l, b.err = b.g.list(child(b.c, path...))
	}
	return l
}

func (b *builder) vector() vectorCursor {
	const v = "deletionVector"
	return vectorCursor{b.text(v, "storageType"), b.text(v, "pathOrInlineDv"), b.int(v, "offset"), b.int(v, "sizeInBytes"),
		b.int(v, "cardinality"), b.int(v, "maxRowIndex")}
}

type vectorCursor struct{ storage, path, offset, size, cardinality, maxRow *cursor }

func (c vectorCursor) read() *DeletionVector {
	if c.storage.isNull() {
		return nil
	}
	d := &DeletionVector{StorageType: c.storage.str(), PathOrInlineDV: c.path.str(), SizeInBytes: int32(c.size.int()),
		Cardinality: c.cardinality.int(), MaxRowIndex: c.maxRow.optionalInt()}
	if !c.offset.isNull() {
		offset := int32(c.offset.int())
		d.Offset = &offset
	}
	return d
}

func adds(c *pq.Column, do func(*Add) error) kindReader {
	return func(g *rowGroup) (func() error, error) {
		b := builder{g: g, c: c}
		path, size, modified, change := b.text("path"), b.int("size"), b.int("modificationTime"), b.bool("dataChange")
		values, tags, vector := b.mapping("partitionValues"), b.mapping("tags"), b.vector()
		baseRow, rowVersion, clustering := b.int("baseRowId"), b.int("defaultRowCommitVersion"), b.text("clusteringProvider")
		stats := b.text("stats")
		var parsed *parsedStats
		if b.err == nil && noValues(g, child(c, "stats")) {
			// A reader must fall back to the statistics as a struct (PROTOCOL.md, "Checkpoint Schema").
			parsed, b.err = openParsedStats(g, child(c, "stats_parsed"))
		}
		return func() error {
			if path.isNull() {
				return nil
			}
			a := &Add{Path: path.str(), PartitionValues: values.read(), Size: size.int(), ModificationTime: modified.int(),
				DataChange: change.bool(), Stats: stats.str(), Tags: tags.read(), DeletionVector: vector.read(), BaseRowID: baseRow.optionalInt(),
				DefaultRowCommitVersion: rowVersion.optionalInt(), ClusteringProvider: clustering.str()}
			if a.Stats == "" && parsed != nil {
				a.Stats = parsed.json()
			}
			return do(a)
		}, b.err
	}
}

func removes(c *pq.Column, do func(*Remove) error) kindReader {
	return func(g *rowGroup) (func() error, error) {
		b := builder{g: g, c: c}
		path, deleted, change, extended := b.text("path"), b.int("deletionTimestamp"), b.bool("dataChange"), b.bool("extendedFileMetadata")
		values, size, vector := b.mapping("partitionValues"), b.int("size"), b.vector()
		baseRow, rowVersion := b.int("baseRowId"), b.int("defaultRowCommitVersion")
		return func() error {
			if path.isNull() {
				return nil
			}
			return do(&Remove{Path: path.str(), DeletionTimestamp: deleted.int(), DataChange: change.bool(), ExtendedFileMetadata: extended.bool(),
				PartitionValues: values.read(), Size: size.int(), DeletionVector: vector.read(), BaseRowID: baseRow.optionalInt(),
				DefaultRowCommitVersion: rowVersion.optionalInt()})
		}, b.err
	}
}

func sidecars(c *pq.Column, do func(sidecar) error) kindReader {
	return func(g *rowGroup) (func() error, error) {
		b := builder{g: g, c: c}
		path, size := b.text("path"), b.int("sizeInBytes")
		return func() error {
			if path.isNull() {
				return nil
			}
			return do(sidecar{path.str(), size.int()})
		}, b.err
	}
}

// others reads the kinds of which a checkpoint has few.
func others(root *pq.Column, do func(Action) error) []kindReader {
	return []kindReader{
		func(g *rowGroup) (func() error, error) {
			b := builder{g: g, c: root.Column("protocol")}
			reader, writer := b.int("minReaderVersion"), b.int("minWriterVersion")
			readerFeatures, writerFeatures := b.list("readerFeatures"), b.list("writerFeatures")
			return func() error {
				if reader.isNull() {
					return nil
				}
				return do(&Protocol{int(reader.int()), int(writer.int()), readerFeatures.strings(), writerFeatures.strings()})
			}, b.err
		},
		func(g *rowGroup) (func() error, error) {
			b := builder{g: g, c: root.Column("metaData")}
			id, name, description, schema := b.text("id"), b.text("name"), b.text("description"), b.text("schemaString")
			provider, options, created := b.text("format", "provider"), b.mapping("format", "options"), b.int("createdTime")
			partitions, configuration := b.list("partitionColumns"), b.mapping("configuration")
			return func() error {
				if id.isNull() {
					return nil
				}
				return do(&MetaData{ID: id.str(), Name: name.str(), Description: description.str(),
					Format: Format{provider.str(), options.strings()}, SchemaString: schema.str(), PartitionColumns: partitions.strings(),
					CreatedTime: created.int(), Configuration: configuration.strings()})
			}, b.err
		},
		func(g *rowGroup) (func() error, error) {
			b := builder{g: g, c: root.Column("txn")}
			app, version, updated := b.text("appId"), b.int("version"), b.int("lastUpdated")
			return func() error {
				if app.isNull() {
					return nil
				}
				return do(&Txn{app.str(), version.int(), updated.int()})
			}, b.err
		},
		func(g *rowGroup) (func() error, error) {
			b := builder{g: g, c: root.Column("domainMetadata")}
			domain, configuration, removed := b.text("domain"), b.text("configuration"), b.bool("removed")
			return func() error {
				if domain.isNull() {
					return nil
				}
				return do(&DomainMetadata{domain.str(), configuration.str(), removed.bool()})
			}, b.err
		},
	}
}
