package stream

import (
	"maps"

	"github.com/siltlake/silt/internal/column"
)

// A Reason says why a record was nulled or dropped; the name is what commitInfo and messages show.
type Reason string

// The reasons (docs/bad-records.md).
const (
	BadHeader    Reason = "header"     // shorter than 5 bytes, or the magic byte is not 0
	UnknownID    Reason = "unknown-id" // the registry has no such schema id
	BadPayload   Reason = "payload"    // the schema cannot read the payload
	InvalidUTF8  Reason = "utf8"       // a string that is not UTF-8
	RecordTooBig Reason = "too-large"  // limits.maxRecordBytes
	TooDeep      Reason = "too-deep"   // limits.maxDepth
)

// ParsedValue is the column that holds the decoded value: the one that no row has before the first schema id is met.
const ParsedValue = "parsedValue"

// A PartitionReport counts the records of one partition in one batch. Served = Rows + the sum of Rejected.
type PartitionReport struct {
	Served   int64            // records that Kafka served
	Rows     int64            // of them in the table
	Rejected map[Reason]int64 // not in the table
	Nulled   map[Reason]int64 // in the table with a null; part of Rows
	Gaps     []Gap            // offsets that Kafka no longer had
}

// A Report is what workers met. Reports add; the zero value is an empty one.
type Report struct {
	Partitions map[TopicPartition]*PartitionReport
	// Columns is the row schema of records of which no schema is known: the select's columns without parsedValue.
	Columns column.Schema
	// Schemas are the row schemas of the schema ids met: what a table of this id alone would have.
	Schemas map[int32]column.Schema
}

// Partition returns the partition's report, made if there is none.
func (r *Report) Partition(tp TopicPartition) *PartitionReport {
	p := r.Partitions[tp]
	if p == nil {
		if r.Partitions == nil {
			r.Partitions = map[TopicPartition]*PartitionReport{}
		}
		p = &PartitionReport{}
		r.Partitions[tp] = p
	}
	return p
}

// Add adds o to r; o is not changed and shares nothing with r that changes.
func (r *Report) Add(o Report) {
	for tp, q := range o.Partitions {
		p := r.Partition(tp)
		p.Served += q.Served
		p.Rows += q.Rows
		p.Rejected = addCounts(p.Rejected, q.Rejected)
		p.Nulled = addCounts(p.Nulled, q.Nulled)
		p.Gaps = append(p.Gaps, q.Gaps...)
	}
	if len(o.Columns.Fields) > 0 {
		r.Columns = o.Columns
	}
	if len(o.Schemas) > 0 && r.Schemas == nil {
		r.Schemas = map[int32]column.Schema{}
	}
	maps.Copy(r.Schemas, o.Schemas)
}

// addCounts adds the counts of src to those of dst and returns it, made if it was nil.
func addCounts(dst, src map[Reason]int64) map[Reason]int64 {
	if len(src) > 0 && dst == nil {
		dst = map[Reason]int64{}
	}
	for k, n := range src {
		dst[k] += n
	}
	return dst
}

// Totals sums the partitions: served records, rows in the table, rejected and nulled records.
func (r Report) Totals() (served, rows, rejected, nulled int64) {
	for _, p := range r.Partitions {
		served += p.Served
		rows += p.Rows
		for _, n := range p.Rejected {
			rejected += n
		}
		for _, n := range p.Nulled {
			nulled += n
		}
	}
	return
}

// A RecordError is the bad record that stops a FAILFAST query: of its partition, no record of the batch with a lower offset is bad.
type RecordError struct {
	TopicPartition
	Offset int64
	Reason Reason
	Err    error // what people read: it names the record
}

func (e *RecordError) Error() string { return e.Err.Error() }

func (e *RecordError) Unwrap() error { return e.Err }
