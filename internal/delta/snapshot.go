package delta

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/siltlake/silt/internal/column"
)

// A Snapshot is a table at a version: everything but its files, which Files reads. A stream that appends to a table of millions of files
// needs none of them, and its memory must not grow with their number.
//
// A Snapshot never changes and may be shared. Nothing that it returns may be changed.
type Snapshot struct {
	log     *Log
	version int64 // -1: there is no table
	state
	segment
	// checked is when the version was last known to be the newest one, see Log.stale.
	checked time.Time
}

// A state is what the newest action of each kind and name says.
type state struct {
	protocol *Protocol
	metaData *MetaData
	schema   column.Schema
	txns     map[string]Txn
	domains  map[string]DomainMetadata
	// dataVersion is the newest version that is known to have added or removed data, -1 if none is.
	dataVersion int64
	// commitTime is the in-commit timestamp of the newest version, 0 if it has none or was not read.
	commitTime int64
}

// A segment is the part of the log that makes the version: a checkpoint, if there is one, and the commits after it.
type segment struct {
	base *base
	// tailBytes is the size of the commits after the checkpoint.
	tailBytes int64
}

// A base is where a segment begins. Snapshots that follow one another share it.
type base struct {
	checkpoint *checkpoint // nil: the commits begin with version 0
}

// version is that of the checkpoint, -1 if there is none.
func (b *base) version() int64 {
	if b.checkpoint == nil {
		return -1
	}
	return b.checkpoint.version
}

// Version is the table's version, -1 if there is no table.
func (s *Snapshot) Version() int64 { return s.version }

// Exists says whether there is a table.
func (s *Snapshot) Exists() bool { return s.version >= 0 }

// Protocol is the table's protocol; nil if there is no table.
func (s *Snapshot) Protocol() *Protocol { return s.protocol }

// MetaData is the table's metadata; nil if there is no table. Clone it to change it.
func (s *Snapshot) MetaData() *MetaData { return s.metaData }

// Schema is the table's schema; it has no column if there is no table.
func (s *Snapshot) Schema() column.Schema { return s.schema }

// Txn returns the application's newest version in the table.
func (s *Snapshot) Txn(appID string) (Txn, bool) { t, ok := s.txns[appID]; return t, ok }

// Txns returns all applications' newest versions, by appId.
func (s *Snapshot) Txns() []Txn {
	txns := make([]Txn, 0, len(s.txns))
	for _, id := range sortedKeys(s.txns) {
		txns = append(txns, s.txns[id])
	}
	return txns
}

// Domain returns the configuration of a metadata domain.
func (s *Snapshot) Domain(name string) (string, bool) {
	d, ok := s.domains[name]
	return d.Configuration, ok
}

// DataVersion is the newest version that added or removed data, so far as the commits after the log checkpoint tell; -1 if they do not.
func (s *Snapshot) DataVersion() int64 { return s.dataVersion }

// A summary is what a commit does to a state, and all that other writers have to know of it.
type summary struct {
	info       *CommitInfo // nil if it has none
	protocol   *Protocol
	metaData   *MetaData
	txns       []*Txn
	domains    []*DomainMetadata
	dataChange bool
}

// visitor returns the visitor that fills the summary; files are counted, not kept.
func (c *summary) visitor() *visitor {
	return &visitor{
		file:  func(change bool) { c.dataChange = c.dataChange || change },
		other: func(a Action) error { c.add(a); return nil },
	}
}

func (c *summary) add(a Action) {
	switch a := a.(type) {
	case *CommitInfo:
		c.info = a
	case *Protocol:
		c.protocol = a
	case *MetaData:
		c.metaData = a
	case *Txn:
		c.txns = append(c.txns, a)
	case *DomainMetadata:
		c.domains = append(c.domains, a)
	case *Add:
		c.dataChange = c.dataChange || a.DataChange
	case *Remove:
		c.dataChange = c.dataChange || a.DataChange
	}
}

func newState() state {
	return state{txns: map[string]Txn{}, domains: map[string]DomainMetadata{}, dataVersion: -1}
}

// clone returns a copy that apply may change.
func (s state) clone() state {
	s.txns, s.domains = maps.Clone(s.txns), maps.Clone(s.domains)
	return s
}

// apply changes the state to what it is after a commit (PROTOCOL.md, "Action Reconciliation"), but for the schema, see complete. The
// version of a txn may go down.
func (s *state) apply(version int64, c *summary) {
	if c.protocol != nil {
		s.protocol = c.protocol
	}
	if c.metaData != nil {
		s.metaData = c.metaData
	}
	for _, t := range c.txns {
		s.txns[t.AppID] = *t
	}
	for _, d := range c.domains {
		if d.Removed {
			delete(s.domains, d.Domain)
		} else {
			s.domains[d.Domain] = *d
		}
	}
	if c.dataChange {
		s.dataVersion = version
	}
	if s.commitTime = 0; c.info != nil {
		s.commitTime = c.info.InCommitTimestamp
	}
}

// complete is called after the last apply: it reads the schema, and says what a table cannot be without. Databricks makes tables whose
// first metaData has no schema yet; Spark takes that for one without columns.
func (s *state) complete() (err error) {
	switch {
	case s.protocol == nil:
		return errors.New("no protocol in it")
	case s.metaData == nil:
		return errors.New("no metaData in it")
	}
	if s.schema = (column.Schema{}); s.metaData.SchemaString != "" {
		s.schema, err = column.ParseSchema(s.metaData.SchemaString)
	}
	if err != nil {
		return fmt.Errorf("metaData: %w", err)
	}
	return nil
}

// next returns the snapshot after one more commit of the given size.
func (s *Snapshot) next(c *summary, bytes int64) (*Snapshot, error) {
	n := *s
	n.version++
	n.state = s.state
	if len(c.txns) > 0 || len(c.domains) > 0 {
		n.state = s.state.clone()
	}
	n.tailBytes += bytes
	n.checked = s.log.options.Now()
	n.apply(n.version, c)
	if c.metaData != nil || c.protocol != nil {
		if err := n.complete(); err != nil {
			return nil, err
		}
	}
	return s.log.rebased(&n), nil
}

// inCommitTimestamps says whether commits have to carry their time (PROTOCOL.md, "In-Commit Timestamps").
func (s *state) inCommitTimestamps() bool {
	return s.metaData != nil && s.protocol.HasWriterFeature("inCommitTimestamp", 0) &&
		s.metaData.Configuration["delta.enableInCommitTimestamps"] == "true"
}
