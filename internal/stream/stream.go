// Package stream has the nouns and contracts of the pipeline; it does no I/O. Data goes one way:
//
//	Source -Chunk-> Records -> Decoder -Block-> Tx -> table version
//
// and package microbatch, which drives it, sees nothing else of Kafka, of decoding and of Delta.
package stream

import (
	"context"
	"errors"
	"time"

	"github.com/siltlake/silt/internal/column"
)

// A Range is the offsets Start <= offset < End of a partition.
type Range struct {
	TopicPartition
	Start, End int64
	// TopicID is the id of the topic that the offsets are of, as in Bounds.TopicIDs; "" is whichever topic has the name.
	TopicID string
}

// A Gap is the offsets From <= offset < To of a partition that Kafka no longer has.
type Gap struct {
	TopicPartition
	From, To int64
}

// Bounds are what a topic holds at one moment.
type Bounds struct {
	First Offsets // the first readable offset of every partition
	Next  Offsets // one past the last readable one (read_committed: the last stable offset)
	// TopicIDs are Kafka's ids of the topics, as UUID text: a topic that was deleted and made again has another. Topics of a broker
	// without ids are missing.
	TopicIDs map[string]string
}

// Records is a struct of arrays: positions into one buffer, never one struct a record. It is valid until the call that received it
// returns.
type Records struct {
	TopicPartition
	TimestampType int8 // 0 create, 1 log append, -1 none
	// Buf holds keys and values; it has column.Slack bytes of capacity past its length.
	Buf               []byte
	Offset, Timestamp []int64 // Timestamp in milliseconds
	Key, Value        []Span
}

// A Span is a place in Records.Buf; Len -1 is null (a tombstone is a null value).
type Span struct {
	Off uint32
	Len int32
}

// Starting is where a query without checkpoint begins to read (startingOffsets).
type Starting struct {
	// All is Earliest or Latest, for every partition; used if Each is nil.
	All int64
	// Each names every partition; an offset may be Earliest or Latest.
	Each Offsets
}

// A Source is a replayable log: fetching a range twice yields the same records. Its methods may be called concurrently.
type Source interface {
	// Bounds returns the first and one past the last readable offset of every partition that the query reads, and the topics' ids.
	// Metadata is fresh on every call. An end before that in seen is asked for again, a few times, before it is believed: a leader that was
	// elected a moment ago may not know its end yet. It retries passing faults until ctx ends.
	Bounds(ctx context.Context, seen Offsets) (Bounds, error)
	// Fetch sends every offset of ranges that the log still has in exactly one chunk, per partition in order, and returns when all were
	// sent. It retries inside, never closes out, and returns the gaps it met and logged (failOnDataLoss=false) or a *DataLossError: chunks
	// and gaps are the ranges, without a hole. A range of a topic that has another id now is a gap.
	Fetch(ctx context.Context, ranges []Range, out chan<- Chunk) ([]Gap, error)
	// Publish tells the consumer group how far the table is. Advisory: a failure is logged once, and never stops the query.
	Publish(ctx context.Context, end Offsets)
	// Description is as Spark's: KafkaV2[Subscribe[a, b]].
	Description() string
}

// A Chunk is fetched data of one partition, still compressed. It belongs to one worker, which walks it and then releases it.
type Chunk interface {
	Range() Range
	// Next fills dst with the next records inside Range (a planned end falls inside a record batch more often than not), false at the end.
	Next(dst *Records) (bool, error)
	// Served is final once Next returned false: records inside Range without control and aborted ones, counted here, never by the Decoder.
	Served() int64
	// Release gives the chunk's memory back; the chunk and the Records it filled are invalid afterwards.
	Release()
}

// Decoding makes the decoders of each attempt at a batch.
type Decoding interface {
	// Begin returns what makes a Decoder for each worker of one attempt; table is Tx.Schema(). What it returns may be called concurrently.
	Begin(table column.Schema) func() Decoder
}

// A Decoder appends rows to blocks that a Writer gives; it enforces the mode. It belongs to one goroutine.
type Decoder interface {
	// Decode appends r's rows to w. Under FAILFAST it returns a *RecordError for the first bad record; every good row before it was
	// appended.
	Decode(ctx context.Context, r *Records, w Writer) error
	// Report ends the decoder and returns what it met; Rows, Rejected and Nulled are its own counts, Served is not set. It is called by
	// the goroutine that decoded, after the last Decode, whose error it may be called after as well. Memory of a decoder that has reported
	// is used again; one that is dropped without a report costs only that.
	Report() Report
}

// A Batch is a micro-batch: planned ranges, then one table version.
type Batch struct {
	QueryID string // txn appId
	ID      int64
	// Start and End are the offsets of the same partitions; a partition new in this batch starts where it is read from.
	Start, End Offsets
	// Landed are the ends of partitions that earlier batches read and that are not in End: one that comes back goes on there.
	Landed Offsets
	// TopicIDs are those of the topics in End and Landed, as in Bounds; may be empty for a batch of another engine.
	TopicIDs map[string]string
	Time     time.Time // when it was planned; milliseconds
	// ShufflePartitions is the checkpoint's spark.sql.shuffle.partitions: it decides in which order schema ids are folded.
	ShufflePartitions int
}

// Ranges returns the batch's non-empty ranges in order of partition.
func (b Batch) Ranges() []Range {
	var rs []Range
	for tp, end := range b.End.All() {
		if start, ok := b.Start.Get(tp.Topic, tp.Partition); ok && start < end {
			rs = append(rs, Range{TopicPartition: tp, Start: start, End: end, TopicID: b.TopicIDs[tp.Topic]})
		}
	}
	return rs
}

// A Sink makes batches durable, each exactly once.
type Sink interface {
	// Committed returns what the table says of this query and of others. It writes nothing.
	Committed(ctx context.Context, queryID string) (InTable, error)
	// Begin refuses (ErrDiverged) a batch that the table's txn already holds. It may be called for the batch after one that is being
	// committed; the Tx is then written while that Commit runs, and committed on top of it. Of a Sink two Tx are open at most, and one is
	// committed at a time. ctx bounds what the Writers do.
	Begin(ctx context.Context, b Batch) (Tx, error)
}

// InTable is what a table's log says of a query.
type InTable struct {
	Exists  bool
	BySilt  bool  // silt created the table
	Version int64 // the newest; -1 without table
	Batch   int64 // the query's txn: the newest batch in the table, -1 none
	// Last is the batch that Batch names, as its commitInfo recorded it; nil if that is no longer in the log, or not silt's.
	Last *Batch
	End  Offsets // the query's txns "<query id>/<topic>/<partition>"
	// Others are the ends that other queries' txns name for the same topics, by query id.
	Others map[string]Offsets
	// Foreign are the offsets that files hold by their statistics, where no silt txn is in the table and it has columns topic, partition
	// and offset: rows that somebody else may have landed from the same topic.
	Foreign []FileOffsets
	// DataVersion is the newest version that added or removed data; -1 none, or not known from the log that is left.
	DataVersion int64
}

// FileOffsets are the bounds of the columns topic, partition and offset, by their statistics, of the files of which the first two are equal.
type FileOffsets struct {
	Topic, Partition, Offset [2]string // least and greatest, as JSON text; empty if not known
}

// A Tx writes one batch: nothing is visible before Commit, everything after.
type Tx interface {
	// Schema is the table's at Begin; empty before it exists. What the batch before does to it, if that commits later, Commit sees.
	Schema() column.Schema
	// Writer returns a writer for one worker; a closed Writer has registered its files with its Tx. May be called concurrently.
	Writer() (Writer, error)
	// Commit compares r's rows with the files' own counts and refuses a difference. After ErrNotCommitted, ErrSchemaMoved and
	// ErrFenced (the table holds a txn of our own query from another run) nothing is visible. After any other error the outcome is unknown.
	//
	// REQUIRES: every Writer is closed.
	Commit(ctx context.Context, r Report) (version int64, err error)
	// Abort deletes this Tx's files only if Commit was not called or returned ErrNotCommitted, ErrSchemaMoved or ErrFenced; otherwise
	// nothing.
	Abort(ctx context.Context) error
}

// A Writer writes files for one worker; it belongs to one goroutine.
type Writer interface {
	// Block returns a block of exactly schema s; if s differs from the open file's, that file is closed and a new one begun. It is valid
	// until the next call of Block, Flush or Close.
	Block(s column.Schema) (*column.Block, error)
	// Flush is called after rows were appended: it writes the open page if it is large enough, and ends a file of its target size.
	Flush() error
	Close() error
}

// A Log remembers what was planned and what was done: the checkpoint. Its methods belong to one goroutine.
type Log interface {
	// Open returns the query's id and its newest batches. It writes nothing but the removal of temporary files of a killed run.
	Open(ctx context.Context) (State, error)
	// Start writes what a new log begins with: the query's id and the offsets at which it begins to read, so that a query which is
	// stopped before its first batch loses nothing. There with the same values is success, with others ErrFenced.
	Start(ctx context.Context, queryID string, start Offsets) error
	// Plan writes offsets/N by put-if-absent; before batch 0 it does what Start does. N there with the same bytes is success, with
	// others ErrFenced.
	Plan(ctx context.Context, b Batch) error
	// Done writes commits/N; N already there is success.
	Done(ctx context.Context, n int64) error
	// Discard removes offsets/N that cannot be read, of which nothing is in the table, so that N can be planned again.
	Discard(ctx context.Context, n int64) error
	// Restore replaces offsets/N that cannot be read by what the table says of batch N. At no moment is N missing: a table that is ahead
	// of its log is refused.
	Restore(ctx context.Context, b Batch) error
}

// State is what a Log holds.
type State struct {
	Planned int64 // L: the newest offsets/N, -1 none
	Done    int64 // C: the newest commits/N that can be read, -1 none
	// Batch is L with Start (of offsets/(L-1) or sources/0/0) and End, without TopicIDs. Where Unreadable is set, End is missing. Where
	// nothing was planned, Start is sources/0/0 if Log.Start has been called, else nil. QueryID is "" if the log is new, and
	// ShufflePartitions Spark's default.
	Batch Batch
	// Unreadable says why offsets/L cannot be read: a write that a crash of the machine tore.
	Unreadable error
}

// Errors that callers branch on.
var (
	// ErrDiverged: checkpoint and table do not fit together; somebody has to decide.
	ErrDiverged = errors.New("checkpoint and table diverged")
	// ErrFenced: another run of the same query has written what this one wanted to write.
	ErrFenced = errors.New("another run owns the query")
	// ErrNotCommitted: the commit was refused and nothing is visible.
	ErrNotCommitted = errors.New("not committed")
	// ErrSchemaMoved: the table's schema is not what the files were written for; nothing is visible, run the batch once more.
	ErrSchemaMoved = errors.New("the table's schema moved")
)

// A DataLossError says which offsets Kafka no longer has (failOnDataLoss=true), or that a topic was deleted or made again.
type DataLossError struct {
	Gaps   []Gap
	Reason string // in words, naming topic and offsets
}

func (e *DataLossError) Error() string { return e.Reason }

// Trace receives one line before and after each step that changes something: "begin plan 7", "end plan 7". It may be nil. It may be called
// concurrently.
type Trace func(line string)

// Step traces the begin of a step and returns what traces its end.
func (t Trace) Step(step string) (end func()) {
	if t == nil {
		return func() {}
	}
	t("begin " + step)
	return func() { t("end " + step) }
}
