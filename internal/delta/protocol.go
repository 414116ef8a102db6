package delta

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/problem"
)

// Which tables are read and which are written (PROTOCOL.md, "Table Features"). A feature that is not in these lists is
// refused by name; a writer feature that is in them may still be refused when the table's metadata makes it active, see activeFeature.
var (
	readable = []string{"columnMapping", "deletionVectors", "timestampNtz", "typeWidening", "typeWidening-preview", "v2Checkpoint",
		"vacuumProtocolCheck", "variantType", "variantType-preview", "variantShredding", "variantShredding-preview"}
	appendable = []string{"allowColumnDefaults", "appendOnly", "changeDataFeed", "checkConstraints", "checkpointProtection", "clustering",
		"columnMapping", "deletionVectors", "domainMetadata", "generatedColumns", "icebergCompatV1", "icebergCompatV2", "identityColumns",
		"inCommitTimestamp", "invariants", "materializePartitionColumns",
		"timestampNtz", "typeWidening", "typeWidening-preview", "v2Checkpoint", "vacuumProtocolCheck"}
)

// The newest protocol versions that are known; from these on features are listed by name.
const (
	maxReader = 3
	maxWriter = 7
)

// HasWriterFeature says whether a writer has to honour the feature, which is listed, or implied by a legacy version of at least implied
// (0: by none).
func (p *Protocol) HasWriterFeature(name string, implied int) bool {
	if p.MinWriterVersion >= maxWriter {
		return slices.Contains(p.WriterFeatures, name)
	}
	return implied > 0 && p.MinWriterVersion >= implied
}

// ProtocolFor returns the protocol that a new table of the schema needs: (1,2), which everything reads, unless a type is a feature.
func ProtocolFor(s column.Schema) *Protocol {
	if !hasKind(s.Fields, column.TimestampNTZ) {
		return NewProtocol()
	}
	return &Protocol{maxReader, maxWriter, []string{"timestampNtz"}, []string{"appendOnly", "invariants", "timestampNtz"}}
}

func hasKind(fields []column.Field, k column.Kind) bool {
	found := false
	eachField(fields, nil, func(_ []string, f column.Field) { found = found || hasKindItself(f.Type, k) })
	return found
}

// hasKindItself says whether a type is of the kind, or a list or map of it; fields of structs are fields of their own.
func hasKindItself(t column.Type, k column.Kind) bool {
	return t.Kind == k || t.Element != nil && hasKindItself(*t.Element, k) || t.Key != nil && hasKindItself(*t.Key, k)
}

// eachField calls do with every field at every level, structs inside arrays and maps as well, and its path.
func eachField(fields []column.Field, path []string, do func(path []string, f column.Field)) {
	for _, f := range fields {
		p := append(slices.Clone(path), f.Name)
		do(p, f)
		eachNested(f.Type, p, do)
	}
}

func eachNested(t column.Type, path []string, do func([]string, column.Field)) {
	switch t.Kind {
	case column.Struct:
		eachField(t.Fields, path, do)
	case column.Array:
		eachNested(*t.Element, append(slices.Clone(path), "element"), do)
	case column.Map:
		eachNested(*t.Key, append(slices.Clone(path), "key"), do)
		eachNested(*t.Element, append(slices.Clone(path), "value"), do)
	}
}

// checkRead returns a problem if the table must not be read by us.
func (p *Protocol) checkRead(where problem.Location) error {
	if p.MinReaderVersion > maxReader || p.MinReaderVersion < 1 {
		return refuse(where, "the table needs reader version %d, and silt knows versions 1 to %d", p.MinReaderVersion, maxReader)
	}
	if p.MinReaderVersion == maxReader {
		if unknown := without(p.ReaderFeatures, readable); len(unknown) > 0 {
			return refuse(where, "the table needs reader %s, which silt does not support", features(unknown))
		}
	}
	return nil
}

// CheckAppend returns a *problem.Problem (UnsupportedProtocol) if appending to the table is not supported, naming the feature or what in
// the table makes it active. It is to be asked before files are written; Commit asks again after every foreign commit.
func (s *Snapshot) CheckAppend() error {
	if !s.Exists() {
		return nil
	}
	where := s.log.where("")
	p := s.protocol
	if p.MinWriterVersion > maxWriter || p.MinWriterVersion < 1 {
		return refuse(where, "the table needs writer version %d, and silt knows versions 1 to %d", p.MinWriterVersion, maxWriter)
	}
	if p.MinWriterVersion == maxWriter {
		if unknown := without(p.WriterFeatures, appendable); len(unknown) > 0 {
			return refuse(where, "the table needs writer %s, which silt does not support", features(unknown))
		}
	}
	if active := activeFeature(p, s.metaData, s.schema); active != "" {
		return refuse(where, "the table has %s, which silt does not support", active)
	}
	return nil
}

// activeFeature names the first thing in the table's metadata that an append would have to honour and silt does not; "" if there is none.
// It goes by what is there, not by whether the protocol lists the feature: who set it up counts on it.
func activeFeature(p *Protocol, m *MetaData, schema column.Schema) string {
	if len(m.PartitionColumns) > 0 {
		return "partition columns (" + strings.Join(m.PartitionColumns, ", ") + ")"
	}
	if mode := m.Configuration["delta.columnMapping.mode"]; mode != "" && mode != "none" && p.HasWriterFeature("columnMapping", 5) {
		return "column mapping (delta.columnMapping.mode = " + mode + ")"
	}
	for _, key := range sortedKeys(m.Configuration) {
		value := m.Configuration[key]
		if name, ok := strings.CutPrefix(key, "delta.constraints."); ok {
			return fmt.Sprintf("a check constraint (%s: %s)", name, value)
		}
		if !strings.EqualFold(value, "true") {
			continue
		}
		switch string(key) {
		case "delta.enableIcebergCompatV1", "delta.enableIcebergCompatV2", "delta.enableIcebergCompatV3":
			return "Iceberg compatibility (" + key + ")"
		case "delta.compatibility.symlinkFormatManifest.enabled":
			return "symlink manifests (" + key + ")"
		}
	}
	active := ""
	eachField(schema.Fields, nil, func(path []string, f column.Field) {
		what := activeColumn(f)
		if hasKindItself(f.Type, column.TimestampNTZ) && !p.HasWriterFeature("timestampNtz", 0) {
			what = "a timestamp_ntz column without the feature timestampNtz"
		}
		if what != "" && active == "" {
			active = fmt.Sprintf("%s (column %s)", what, strings.Join(path, "."))
		}
	})
	return active
}

func activeColumn(f column.Field) string {
	what := ""
	if f.Metadata != "" {
		s := scanner{b: []byte(f.Metadata)}
		_ = s.object(func(key []byte) error {
			switch {
			case string(key) == "delta.invariants":
				what = "an invariant"
			case string(key) == "delta.generationExpression":
				what = "a generated column"
			case bytes.HasPrefix(key, []byte("delta.identity.")):
				what = "an identity column"
			case string(key) == "CURRENT_DEFAULT":
				what = "a column default"
			}
			return s.skip(0)
		})
	}
	if what == "" && !f.Nullable {
		what = "a NOT NULL column"
	}
	return what
}

func without(list, known []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(f string) bool { return slices.Contains(known, f) })
}

func features(names []string) string {
	slices.Sort(names)
	if len(names) == 1 {
		return "feature " + names[0]
	}
	return "features " + strings.Join(names, ", ")
}

func refuse(where problem.Location, format string, args ...any) error {
	return problem.New(problem.UnsupportedProtocol, format, args...).At(where).
		Fix("drop the feature from the table with an engine that supports it (ALTER TABLE ... DROP FEATURE), or use another table")
}
