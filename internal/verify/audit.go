// Package verify proves from a table's own log and files, and from the topic itself where it is given, that every offset that was read is
// in the table once: nothing lost, nothing doubled.
//
// There are three proofs, each stronger and slower than the one before. Audit reads only the log: ranges that follow each other, counts
// that add up. Scan reads topic, partition and offset of every live row. Compare fetches the topic again.
package verify

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/siltlake/silt/internal/stream"
)

// A Commit is what the audit needs of one version of the log.
type Commit struct {
	Version   int64
	Operation string // commitInfo.operation
	Engine    string // commitInfo.engineInfo
	// Batch is commitInfo.silt; nil if the commit is not silt's. BatchErr says why a commit that has the key cannot be read.
	Batch    *stream.BatchInfo
	BatchErr error
	Txns     map[string]int64
	Added    []File
	Removed  []File
}

// A File is one add or remove action.
type File struct {
	Path       string
	Rows       int64 // numRecords; -1 not known
	DataChange bool
}

// dataChanged says that the commit added or removed rows.
func (c Commit) dataChanged() bool {
	changes := func(f File) bool { return f.DataChange }
	return slices.ContainsFunc(c.Added, changes) || slices.ContainsFunc(c.Removed, changes)
}

// A Kind says what a finding is about; it decides the exit status.
type Kind string

// The kinds of findings.
const (
	Missing   Kind = "missing"   // offsets that were skipped, or rows that are gone
	Duplicate Kind = "duplicate" // offsets that are in the table twice
	Count     Kind = "count"     // counts that do not add up
	Disorder  Kind = "disorder"  // rows of a partition out of order within a file, batches out of step
)

// A Finding is one thing that is wrong, at the first place where it shows.
type Finding struct {
	Kind      Kind   `json:"kind"`
	Version   int64  `json:"version"` // of the table; -1 if no single one
	Query     string `json:"query,omitempty"`
	Topic     string `json:"topic,omitempty"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"` // the first offending offset; -1 none
	N         int64  `json:"n"`      // how many offsets or rows
	Text      string `json:"text"`
}

// A Segment is a contiguous range of offsets that a query landed, [Start, End).
type Segment struct {
	Start int64 `json:"start"`
	End   int64 `json:"end"`
	// Note says why it does not follow the one before: "continued by another engine", "topic made again".
	Note string `json:"note,omitempty"`
}

// A Partition is what the log says of one partition of a query. A topic that was deleted and made again has a Partition for each of its ids,
// the oldest first: offsets are unique within one.
type Partition struct {
	Topic     string     `json:"topic"`
	TopicID   string     `json:"topicId,omitempty"` // empty if the commits do not say it
	Partition int32      `json:"partition"`
	Segments  []Segment  `json:"segments"`
	Served    int64      `json:"served"`
	Rows      int64      `json:"rows"`
	Rejected  int64      `json:"rejected"`
	Nulled    int64      `json:"nulled"`
	Gaps      [][2]int64 `json:"gaps,omitempty"` // offsets that Kafka no longer had, as the commits recorded them
	// Scanned is how many offsets the files have; Holes how many in the ranges have no record: transaction markers, aborted and compacted
	// records, and, unless the topic was asked, rejected ones. Both 0 unless the files were scanned, and their rows could be told apart.
	Scanned int64 `json:"scanned,omitempty"`
	Holes   int64 `json:"holes,omitempty"`

	replaced bool // the query reads another topic of the name since
}

// holds says whether an offset lies in one of the segments.
func (p *Partition) holds(offset int64) bool {
	i, _ := slices.BinarySearchFunc(p.Segments, offset, func(s Segment, o int64) int {
		if s.End <= o {
			return -1
		}
		return 1
	})
	return i < len(p.Segments) && p.Segments[i].Start <= offset
}

// Offsets is how many offsets the segments span.
func (p *Partition) Offsets() int64 {
	var n int64
	for _, s := range p.Segments {
		n += s.End - s.Start
	}
	return n
}

// A Query is what the log says of one query.
type Query struct {
	ID         string       `json:"id"`
	FirstBatch int64        `json:"firstBatch"`
	LastBatch  int64        `json:"lastBatch"`
	Batches    int64        `json:"batches"`
	Partitions []*Partition `json:"partitions"`
}

// A Foreign is a commit of another writer: listed, not judged.
type Foreign struct {
	Version     int64  `json:"version"`
	Operation   string `json:"operation"`
	Engine      string `json:"engine"`
	RowsAdded   int64  `json:"rowsAdded"`
	RowsRemoved int64  `json:"rowsRemoved"`
	DataChange  bool   `json:"dataChange"`
}

// An Audit is the verdict from the log.
type Audit struct {
	// From is the first version whose commit still exists: what came before cannot be judged.
	From, To int64
	Queries  []*Query
	Foreign  []Foreign
	Findings []Finding

	files map[string]added // every file that a commit added and none removed
}

type added struct {
	// partitions are those of its batch; nil if the file is not silt's.
	partitions map[stream.TopicPartition]*Partition
	version    int64
	rows       int64
}

// auditor is the state between two commits.
type auditor struct {
	Audit
	queries     map[string]*queryState
	foreignData int64 // version of the newest data commit of another writer
}

type queryState struct {
	*Query
	partitions map[incarnation]*Partition
	topics     map[string]*lineage
	version    int64 // of its newest commit
}

// AuditLog judges the commits of a log, oldest first. It is pure.
func AuditLog(commits []Commit) Audit {
	a := auditor{queries: map[string]*queryState{}, foreignData: -1}
	a.From, a.To = -1, -1
	a.files = map[string]added{}
	for _, c := range commits {
		if a.From < 0 {
			a.From = c.Version
		}
		a.To = c.Version
		a.commit(c)
	}
	for _, id := range slices.Sorted(maps.Keys(a.queries)) {
		q := a.queries[id]
		for _, key := range slices.SortedFunc(maps.Keys(q.partitions), compareIncarnations) {
			p := q.partitions[key]
			p.replaced = key.n != q.topics[key.Topic].at
			q.Partitions = append(q.Partitions, p)
		}
		a.Queries = append(a.Queries, q.Query)
	}
	return a.Audit
}

func compareTP(a, b stream.TopicPartition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

func compareIncarnations(a, b incarnation) int {
	return cmp.Or(compareTP(a.TopicPartition, b.TopicPartition), cmp.Compare(a.n, b.n))
}

func (a *auditor) find(f Finding, format string, args ...any) {
	f.Text = fmt.Sprintf(format, args...)
	a.Findings = append(a.Findings, f)
}

func (a *auditor) commit(c Commit) {
	var partitions map[stream.TopicPartition]*Partition
	if c.BatchErr != nil {
		a.find(Finding{Kind: Count, Version: c.Version, Offset: -1}, "version %d: %v", c.Version, c.BatchErr)
	}
	if c.Batch != nil {
		partitions = a.batch(c)
	} else if c.dataChanged() || len(c.Removed) > 0 {
		a.foreign(c)
	}
	for _, f := range c.Removed {
		delete(a.files, f.Path)
	}
	for _, f := range c.Added {
		a.files[f.Path] = added{partitions, c.Version, f.Rows}
	}
}

func (a *auditor) foreign(c Commit) {
	f := Foreign{Version: c.Version, Operation: c.Operation, Engine: c.Engine, DataChange: c.dataChanged()}
	for _, x := range c.Added {
		f.RowsAdded += max(0, x.Rows)
	}
	for _, x := range c.Removed {
		n := x.Rows
		if n < 0 {
			n = max(0, a.files[x.Path].rows)
		}
		f.RowsRemoved += n
	}
	a.Audit.Foreign = append(a.Audit.Foreign, f)
	if f.DataChange {
		a.foreignData = c.Version
	}
}

// batch judges one commit of silt's and returns its partitions; nil if its query is not known.
func (a *auditor) batch(c Commit) map[stream.TopicPartition]*Partition {
	b := c.Batch
	id := ""
	for app, v := range c.Txns {
		if _, _, ok := stream.ParsePartitionAppID(app); !ok && v == b.BatchID {
			id = app
		}
	}
	if id == "" {
		a.find(Finding{Kind: Disorder, Version: c.Version, Offset: -1}, "version %d holds batch %d without a txn of its query", c.Version,
			b.BatchID)
		return nil
	}
	q := a.queries[id]
	if q == nil {
		q = &queryState{Query: &Query{ID: id, FirstBatch: b.BatchID, LastBatch: b.BatchID - 1},
			partitions: map[incarnation]*Partition{}, topics: map[string]*lineage{}, version: -1}
		a.queries[id] = q
	}
	foreign := a.foreignData > q.version
	if b.BatchID != q.LastBatch+1 && !(foreign && b.BatchID > q.LastBatch) {
		a.find(Finding{Kind: Disorder, Version: c.Version, Query: id, Offset: -1}, "version %d holds batch %d after batch %d", c.Version,
			b.BatchID, q.LastBatch)
	}
	q.LastBatch, q.Batches = max(q.LastBatch, b.BatchID), q.Batches+1
	a.topicIDs(c, q)
	partitions := make(map[stream.TopicPartition]*Partition, len(b.Partitions))
	var rows int64
	for _, p := range b.Partitions {
		s := q.partition(p)
		partitions[stream.TopicPartition{Topic: p.Topic, Partition: p.Partition}] = s
		a.partition(c, q, s, p, foreign)
		rows += p.Rows
	}
	a.counts(c, id, rows)
	q.version = c.Version
	return partitions
}

// counts compares the batch's rows with its files' own counts.
func (a *auditor) counts(c Commit, query string, rows int64) {
	var inFiles int64
	for _, f := range c.Added {
		if f.Rows < 0 {
			a.find(Finding{Kind: Count, Version: c.Version, Query: query, Offset: -1}, "version %d: file %s has no numRecords", c.Version, f.Path)
			return
		}
		inFiles += f.Rows
	}
	if inFiles != rows {
		a.find(Finding{Kind: Count, Version: c.Version, Query: query, Offset: -1, N: rows - inFiles},
			"version %d: the batch recorded %d rows, its files have %d", c.Version, rows, inFiles)
	}
}

func (a *auditor) partition(c Commit, q *queryState, s *Partition, p stream.PartitionInfo, foreign bool) {
	tp := stream.TopicPartition{Topic: p.Topic, Partition: p.Partition}
	at := Finding{Version: c.Version, Query: q.ID, Topic: p.Topic, Partition: p.Partition, Offset: -1}
	sum := sumReasons(p.Rejected)
	s.Served, s.Rows, s.Rejected, s.Nulled = s.Served+p.Served, s.Rows+p.Rows, s.Rejected+sum, s.Nulled+sumReasons(p.Nulled)
	s.Gaps = append(s.Gaps, p.Gaps...)
	if p.Served != p.Rows+sum {
		at.Kind, at.Offset, at.N = Count, p.Start, p.Served-p.Rows-sum
		a.find(at, "version %d, %s: %d records were served, %d landed and %d were rejected", c.Version, tp, p.Served, p.Rows, sum)
	}
	if n := p.End - p.Start - gapped(p.Gaps); p.Served > n {
		at.Kind, at.Offset, at.N = Duplicate, p.Start, p.Served-n
		a.find(at, "version %d, %s: %d records were served of %d offsets [%d, %d)", c.Version, tp, p.Served, n, p.Start, p.End)
	}
	if p.End > p.Start {
		if v, ok := c.Txns[stream.PartitionAppID(q.ID, tp)]; !ok || v != p.End {
			at.Kind, at.Offset, at.N = Disorder, p.End, 0
			a.find(at, "version %d, %s: the range ends at %d, the partition's txn says %d", c.Version, tp, p.End, v)
		}
	}
	a.extend(c, s, at, p, foreign)
}

// extend holds the range against the one before it.
func (a *auditor) extend(c Commit, s *Partition, at Finding, p stream.PartitionInfo, foreign bool) {
	if p.End < p.Start {
		at.Kind, at.Offset = Disorder, p.Start
		a.find(at, "version %d, %s-%d: the range ends at %d before it starts at %d", c.Version, p.Topic, p.Partition, p.End, p.Start)
		return
	}
	if len(s.Segments) == 0 {
		s.Segments = append(s.Segments, Segment{Start: p.Start, End: p.End})
		return
	}
	last := &s.Segments[len(s.Segments)-1]
	switch {
	case p.Start == last.End:
		last.End = p.End
	case p.Start > last.End && foreign:
		s.Segments = append(s.Segments, Segment{p.Start, p.End, "continued by another engine"})
	case p.Start > last.End:
		at.Kind, at.Offset, at.N = Missing, last.End, p.Start-last.End
		a.find(at, "version %d, %s-%d: offsets [%d, %d) were skipped", c.Version, p.Topic, p.Partition, last.End, p.Start)
		s.Segments = append(s.Segments, Segment{Start: p.Start, End: p.End})
	default:
		at.Kind, at.Offset, at.N = Duplicate, p.Start, min(last.End, p.End)-p.Start
		if at.N > 0 {
			a.find(at, "version %d, %s-%d: offsets [%d, %d) were landed before", c.Version, p.Topic, p.Partition, p.Start, min(last.End, p.End))
		}
		last.End = max(last.End, p.End)
	}
}

func sumReasons(m map[stream.Reason]int64) int64 {
	var n int64
	for _, v := range m {
		n += v
	}
	return n
}

func gapped(gaps [][2]int64) int64 {
	var n int64
	for _, g := range gaps {
		n += g[1] - g[0]
	}
	return n
}
