package delta

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/siltlake/silt/internal/column"
)

// An Action is one line of a commit (Delta PROTOCOL.md, "Actions"): *CommitInfo, *Protocol, *MetaData, *Txn, *Add, *Remove or
// *DomainMetadata. Actions of other kinds, and fields of these that are not listed, are ignored when a log is read, as the protocol says.
type Action interface {
	// appendJSON appends the line without its end, keys in Spark's order; what is not set is left out, never null.
	appendJSON(b []byte) []byte
}

var _ = []Action{(*CommitInfo)(nil), (*Protocol)(nil), (*MetaData)(nil), (*Txn)(nil), (*Add)(nil), (*Remove)(nil), (*DomainMetadata)(nil)}

// Protocol says what a client must know to read and to write the table. The features are nil below reader version 3 and writer version 7.
type Protocol struct {
	MinReaderVersion int      `json:"minReaderVersion"`
	MinWriterVersion int      `json:"minWriterVersion"`
	ReaderFeatures   []string `json:"readerFeatures,omitzero"`
	WriterFeatures   []string `json:"writerFeatures,omitzero"`
}

// MetaData is the table's schema and properties. A commit that has one replaces the former wholly: copy what you do not change.
type MetaData struct {
	ID               string // a UUID, the same for the table's life
	Name             string
	Description      string
	Format           Format
	SchemaString     string // Spark's JSON of the schema, see column.ParseSchema
	PartitionColumns []string
	CreatedTime      int64 // milliseconds since 1970; 0 not known
	Configuration    map[string]string
	// Extra are fields that this package does not know; they are written back.
	Extra Object
}

// Format is how data files are written; the provider is parquet, always.
type Format struct {
	Provider string            `json:"provider"`
	Options  map[string]string `json:"options"`
}

// An Add puts a file into the table.
type Add struct {
	// Path is relative to the table's folder and URI-encoded, as the log has it; see Name and EncodePath. Tables of others have
	// absolute URIs, too.
	Path             string
	PartitionValues  Values
	Size             int64 // bytes
	ModificationTime int64 // milliseconds since 1970
	DataChange       bool
	Stats            string // JSON text, see StatsJSON; "" is not known
	Tags             Values
	DeletionVector   *DeletionVector

	BaseRowID, DefaultRowCommitVersion *int64
	ClusteringProvider                 string
}

// A Remove takes a file out of the table; until it expires it is a tombstone, which keeps the file from being vacuumed.
type Remove struct {
	Path                 string // as in Add
	DeletionTimestamp    int64  // milliseconds since 1970; 0 not known
	DataChange           bool
	ExtendedFileMetadata bool // PartitionValues and Size are set
	PartitionValues      Values
	Size                 int64
	// Stats are those of the file; in no log checkpoint.
	Stats          string
	DeletionVector *DeletionVector

	BaseRowID, DefaultRowCommitVersion *int64
}

// A DeletionVector says which rows of a file are deleted (PROTOCOL.md, "Deletion Vector Descriptor Schema").
type DeletionVector struct {
	StorageType    string `json:"storageType"`
	PathOrInlineDV string `json:"pathOrInlineDv"`
	Offset         *int32 `json:"offset,omitempty"`
	SizeInBytes    int32  `json:"sizeInBytes"`
	Cardinality    int64  `json:"cardinality"`
	MaxRowIndex    *int64 `json:"maxRowIndex,omitempty"`
}

// A Txn is the newest version of an application that the table holds: what makes a write idempotent.
type Txn struct {
	AppID   string `json:"appId"`
	Version int64  `json:"version"`
	// milliseconds since 1970; 0 is absent. Write it always (PROTOCOL.md, "Transaction Identifiers")
	LastUpdated int64 `json:"lastUpdated,omitempty"`
}

// DomainMetadata is the configuration of a named domain; Removed is its tombstone.
type DomainMetadata struct {
	Domain        string `json:"domain"`
	Configuration string `json:"configuration"`
	Removed       bool   `json:"removed"`
}

// Values are partition values or tags by name; nil is null.
type Values map[string]*string

// An Object is a JSON object in the order in which it was written.
type Object []Member

// A Member is a member of an Object.
type Member struct {
	Key   string
	Value json.RawMessage
}

// Text returns the JSON of a string, for a Member.
func Text(s string) json.RawMessage { return column.AppendString(nil, s) }

// Get returns the value of the key, nil if there is none.
func (o Object) Get(key string) json.RawMessage {
	for _, m := range o {
		if m.Key == key {
			return m.Value
		}
	}
	return nil
}

// Text returns the value of the key as text: a string's content, any other value's JSON, "" if there is none.
func (o Object) Text(key string) string {
	v := o.Get(key)
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s
	}
	return string(v)
}

// MarshalJSON keeps the order.
func (o Object) MarshalJSON() ([]byte, error) { return o.append(nil), nil }

func (o Object) append(b []byte) []byte {
	b = append(b, '{')
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(column.AppendString(b, m.Key), ':')
		b = append(b, m.Value...)
	}
	return append(b, '}')
}

func parseObject(raw []byte) (Object, error) {
	var o Object
	s := scanner{b: raw}
	err := s.object(func(key []byte) error {
		v, err := s.raw()
		o = append(o, Member{string(key), slices.Clone(v)})
		return err
	})
	return o, err
}

// A writer appends members to an object under construction.
type writer struct {
	b     []byte
	first bool
}

func open(b []byte, kind string) *writer {
	b = append(b, `{"`...)
	b = append(b, kind...)
	return &writer{append(b, `":{`...), true}
}

func (w *writer) key(k string) {
	if !w.first {
		w.b = append(w.b, ',')
	}
	w.first = false
	w.b = append(w.b, '"')
	w.b = append(w.b, k...)
	w.b = append(w.b, '"', ':')
}

func (w *writer) text(k, v string) { w.key(k); w.b = column.AppendString(w.b, v) }

func (w *writer) int(k string, v int64) { w.key(k); w.b = strconv.AppendInt(w.b, v, 10) }

func (w *writer) bool(k string, v bool) { w.key(k); w.b = strconv.AppendBool(w.b, v) }

func (w *writer) raw(k string, v []byte) { w.key(k); w.b = append(w.b, v...) }

func (w *writer) list(k string, v []string) {
	w.key(k)
	w.b = append(w.b, '[')
	for i, s := range v {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = column.AppendString(w.b, s)
	}
	w.b = append(w.b, ']')
}

func (w *writer) vector(d *DeletionVector) {
	w.key("deletionVector")
	v := &writer{append(w.b, '{'), true}
	v.text("storageType", d.StorageType)
	v.text("pathOrInlineDv", d.PathOrInlineDV)
	if d.Offset != nil {
		v.int("offset", int64(*d.Offset))
	}
	v.int("sizeInBytes", int64(d.SizeInBytes))
	v.int("cardinality", d.Cardinality)
	v.optionalInt("maxRowIndex", d.MaxRowIndex)
	w.b = append(v.b, '}')
}

func (w *writer) optionalText(k, v string) {
	if v != "" {
		w.text(k, v)
	}
}

func (w *writer) optionalInt(k string, v *int64) {
	if v != nil {
		w.int(k, *v)
	}
}

func (w *writer) values(k string, v Values) {
	w.key(k)
	w.b = append(w.b, '{')
	for i, name := range slices.Sorted(maps.Keys(v)) {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = append(column.AppendString(w.b, name), ':')
		if p := v[name]; p == nil {
			w.b = append(w.b, "null"...)
		} else {
			w.b = column.AppendString(w.b, *p)
		}
	}
	w.b = append(w.b, '}')
}

func (w *writer) strings(k string, v map[string]string) {
	values := make(Values, len(v))
	for name, s := range v {
		values[name] = &s
	}
	w.values(k, values)
}

// members appends more members, whose keys may be any.
func (w *writer) members(o Object) {
	for _, m := range o {
		w.b = append(column.AppendString(append(w.b, ','), m.Key), ':')
		w.b = append(w.b, m.Value...)
	}
}

func (w *writer) close() []byte { return append(w.b, '}', '}') }

func (p *Protocol) appendJSON(b []byte) []byte {
	w := open(b, "protocol")
	w.int("minReaderVersion", int64(p.MinReaderVersion))
	w.int("minWriterVersion", int64(p.MinWriterVersion))
	if p.ReaderFeatures != nil {
		w.list("readerFeatures", p.ReaderFeatures)
	}
	if p.WriterFeatures != nil {
		w.list("writerFeatures", p.WriterFeatures)
	}
	return w.close()
}

func (m *MetaData) appendJSON(b []byte) []byte {
	w := open(b, "metaData")
	w.text("id", m.ID)
	w.optionalText("name", m.Name)
	w.optionalText("description", m.Description)
	w.key("format")
	f := &writer{append(w.b, '{'), true}
	f.text("provider", m.Format.Provider)
	f.strings("options", m.Format.Options)
	w.b = append(f.b, '}')
	w.text("schemaString", m.SchemaString)
	w.list("partitionColumns", m.PartitionColumns)
	w.strings("configuration", m.Configuration)
	if m.CreatedTime != 0 {
		w.int("createdTime", m.CreatedTime)
	}
	w.members(m.Extra)
	return w.close()
}

func (a *Add) appendJSON(b []byte) []byte {
	w := open(b, "add")
	w.text("path", a.Path)
	w.values("partitionValues", a.PartitionValues)
	w.int("size", a.Size)
	w.int("modificationTime", a.ModificationTime)
	w.bool("dataChange", a.DataChange)
	w.optionalText("stats", a.Stats)
	if len(a.Tags) > 0 {
		w.values("tags", a.Tags)
	}
	if a.DeletionVector != nil {
		w.vector(a.DeletionVector)
	}
	w.optionalInt("baseRowId", a.BaseRowID)
	w.optionalInt("defaultRowCommitVersion", a.DefaultRowCommitVersion)
	w.optionalText("clusteringProvider", a.ClusteringProvider)
	return w.close()
}

func (r *Remove) appendJSON(b []byte) []byte {
	w := open(b, "remove")
	w.text("path", r.Path)
	if r.DeletionTimestamp != 0 {
		w.int("deletionTimestamp", r.DeletionTimestamp)
	}
	w.bool("dataChange", r.DataChange)
	if r.ExtendedFileMetadata {
		w.bool("extendedFileMetadata", true)
		w.values("partitionValues", r.PartitionValues)
		w.int("size", r.Size)
	}
	w.optionalText("stats", r.Stats)
	if r.DeletionVector != nil {
		w.vector(r.DeletionVector)
	}
	w.optionalInt("baseRowId", r.BaseRowID)
	w.optionalInt("defaultRowCommitVersion", r.DefaultRowCommitVersion)
	return w.close()
}

func (t *Txn) appendJSON(b []byte) []byte {
	w := open(b, "txn")
	w.text("appId", t.AppID)
	w.int("version", t.Version)
	if t.LastUpdated != 0 {
		w.int("lastUpdated", t.LastUpdated)
	}
	return w.close()
}

func (d *DomainMetadata) appendJSON(b []byte) []byte {
	w := open(b, "domainMetadata")
	w.text("domain", d.Domain)
	w.text("configuration", d.Configuration)
	w.bool("removed", d.Removed)
	return w.close()
}

// NewMetaData returns the metaData of a new table of the schema, which nobody has partitioned or configured.
func NewMetaData(id, schemaString string, createdTime int64) *MetaData {
	return &MetaData{ID: id, Format: Format{Provider: "parquet"}, SchemaString: schemaString, CreatedTime: createdTime}
}

// NewProtocol returns the protocol of a new table that needs no feature: everything reads and writes it (PROTOCOL.md, "Protocol
// Evolution").
func NewProtocol() *Protocol { return &Protocol{MinReaderVersion: 1, MinWriterVersion: 2} }

// Clone returns a copy that shares nothing with m.
func (m *MetaData) Clone() *MetaData {
	c := *m
	c.Format.Options, c.Configuration = maps.Clone(m.Format.Options), maps.Clone(m.Configuration)
	c.PartitionColumns, c.Extra = slices.Clone(m.PartitionColumns), slices.Clone(m.Extra)
	return &c
}

// EncodePath returns the path of an Add for a file of the name, relative to the table's folder.
func EncodePath(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		// A colon that stays would make what is before it the scheme of a URI.
		parts[i] = strings.ReplaceAll(url.PathEscape(p), ":", "%3A")
	}
	return strings.Join(parts, "/")
}

// Name returns the file's name, relative to the table's folder, or an absolute path or URI.
func (a *Add) Name() string { return decodePath(a.Path) }

// Name is as Add.Name.
func (r *Remove) Name() string { return decodePath(r.Path) }

// decodePath decodes a path once. Two spellings of one file (file:/x, file:///x and /x; é and %C3%A9) become one, so that a remove finds
// its add.
func decodePath(path string) string {
	if strings.IndexByte(path, '%') >= 0 {
		if p, err := url.PathUnescape(path); err == nil { // otherwise somebody wrote it without encoding
			path = p
		}
	}
	if rest, ok := strings.CutPrefix(path, "file:/"); ok {
		return "/" + strings.TrimLeft(rest, "/")
	}
	return path
}

// A fileKey is what identifies a file of a table: its name and the deletion vector it has (PROTOCOL.md, "Action Reconciliation").
type fileKey struct{ name, vector string }

func (a *Add) key() fileKey    { return fileKey{a.Name(), a.DeletionVector.id()} }
func (r *Remove) key() fileKey { return fileKey{r.Name(), r.DeletionVector.id()} }

func (d *DeletionVector) id() string {
	if d == nil {
		return ""
	}
	id := d.StorageType + d.PathOrInlineDV
	if d.Offset != nil {
		id += "@" + strconv.Itoa(int(*d.Offset))
	}
	return id
}

// Rows returns the number of rows in the file, deleted ones included, as its statistics have it.
func (a *Add) Rows() (int64, bool) { return statsRows(a.Stats) }

// Rows is as Add.Rows.
func (r *Remove) Rows() (int64, bool) { return statsRows(r.Stats) }

// statsRows returns numRecords of a file's statistics. Bad statistics are no error anywhere: they are only not known (PROTOCOL.md,
// "Per-file Statistics").
func statsRows(stats string) (rows int64, ok bool) {
	s := scanner{b: []byte(stats)}
	err := s.object(func(key []byte) (err error) {
		if string(key) != "numRecords" || s.next() == 'n' {
			return s.skip(0)
		}
		rows, err = s.int()
		ok = err == nil
		return err
	})
	return rows, ok && err == nil && rows >= 0
}
