package microbatch

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/stream"
)

// Progress is Spark's StreamingQueryProgress of a query with one Kafka source: one for each batch, and at most every ten
// seconds one while there is no data.
type Progress struct {
	ID, RunID string
	Name      string    // "": null
	Timestamp time.Time // when the trigger fired
	BatchID   int64     // without data the id of the next batch
	// BatchDuration is from the trigger to the end.
	BatchDuration time.Duration
	// NumInputRows are the records that Kafka served.
	NumInputRows int64
	// InputRowsPerSecond is over the time since the trigger before, 0 at the first; ProcessedRowsPerSecond over BatchDuration. Infinity and
	// NaN are left out of the JSON.
	InputRowsPerSecond, ProcessedRowsPerSecond float64
	DurationMs                                 map[string]int64
	Source, Sink                               string // descriptions
	// Start is nil in the first batch, Latest where it is not known.
	Start, End, Latest stream.Offsets
}

// Extra is what silt knows beside Spark's progress.
type Extra struct {
	Idle    bool  // there was no data, and no batch
	Again   bool  // an earlier run had begun the batch
	Ahead   bool  // the batch was begun while the one before was committed
	Version int64 // of the table that the batch made; -1 none
	Lag     int64 // offsets that are left to read
	// Rows are in the table, Rejected are not, Nulled are with a null; served = rows + rejected.
	Rows, Rejected, Nulled int64
	Gaps                   []stream.Gap // offsets that Kafka no longer had
	Workers                int
	// Reading is the time from the batch's first chunk to its last one, as workers took them, and Waited what each worker waited for chunks
	// in it.
	Reading time.Duration
	Waited  []time.Duration
}

// The keys of durationMs. Batches overlap: one that was begun ahead has waited for the batch before between addBatch's two parts, which is in
// triggerExecution alone, and its walCommit ran beside the first of them. So phases do not add up to triggerExecution, nor
// triggerExecution of several batches to the time that has passed. ProcessedRowsPerSecond is what one batch made of its time, not
// the query's throughput; InputRowsPerSecond is over the time between triggers, and is.
const (
	latestOffset     = "latestOffset"     // what the topics hold
	getBatch         = "getBatch"         // the plan
	walCommit        = "walCommit"        // offsets/N
	queryPlanning    = "queryPlanning"    // opening the table
	addBatch         = "addBatch"         // fetch, decode, write, commit
	commitOffsets    = "commitOffsets"    // commits/N
	triggerExecution = "triggerExecution" // all of it
)

// report tells of a batch.
func (q *run) report(t turn, from stream.Offsets, w written) {
	served, rows, rejected, nulled := w.harvest.report.Totals()
	p := q.progress(t.firing, t.batch.ID, from, t.batch.End, served)
	x := Extra{Again: t.again, Ahead: t.ahead, Version: q.version, Lag: lag(t.batch.End, q.latest), Rows: rows, Rejected: rejected,
		Nulled: nulled, Workers: w.workers, Reading: w.reading, Waited: w.waited}
	for _, part := range w.harvest.report.Partitions {
		x.Gaps = append(x.Gaps, part.Gaps...)
	}
	sortGaps(x.Gaps)
	q.tell(p, x)
}

// idle tells, every ten seconds, that there is no data.
func (q *run) idle(f *firing) {
	if !q.lastReport.IsZero() && q.r.Now().Sub(q.lastReport) < idleInterval {
		return
	}
	f.end = q.r.Now()
	p := q.progress(f, q.nextID, q.startOffset(q.nextID), q.at.Offsets, 0)
	q.tell(p, Extra{Idle: true, Version: q.version, Lag: lag(q.at.Offsets, q.latest)})
}

func (q *run) progress(f *firing, id int64, from, to stream.Offsets, rows int64) Progress {
	took := max(f.end.Sub(f.at), 0)
	p := Progress{ID: q.queryID, RunID: q.runID, Name: q.o.Name, Timestamp: f.at, BatchID: id, BatchDuration: took, NumInputRows: rows,
		DurationMs: f.durations, Source: q.r.Source.Description(), Sink: q.o.SinkDescription, Start: from, End: to, Latest: q.latest}
	p.DurationMs[triggerExecution] = took.Milliseconds()
	if rows > 0 && !q.lastFired.IsZero() {
		p.InputRowsPerSecond = float64(rows) / (float64(f.at.Sub(q.lastFired).Milliseconds()) / 1000)
	}
	p.ProcessedRowsPerSecond = float64(rows) / (float64(max(took.Milliseconds(), 1)) / 1000)
	return p
}

func (q *run) tell(p Progress, x Extra) {
	q.lastReport = q.r.Now()
	if q.r.Progress != nil {
		q.r.Progress(p, x)
	}
}

// MarshalJSON gives the bytes of Spark's StreamingQueryProgress.json. (encoding/json escapes <, > and & in what it gets from here.)
func (p Progress) MarshalJSON() ([]byte, error) {
	var b []byte
	b = column.AppendString(append(b, `{"id":`...), p.ID)
	b = column.AppendString(append(b, `,"runId":`...), p.RunID)
	b = append(b, `,"name":`...)
	if p.Name == "" {
		b = append(b, "null"...)
	} else {
		b = column.AppendString(b, p.Name)
	}
	b = column.AppendString(append(b, `,"timestamp":`...), p.Timestamp.UTC().Format("2006-01-02T15:04:05.000Z"))
	b = appendInt(append(b, `,"batchId":`...), p.BatchID)
	b = appendInt(append(b, `,"batchDuration":`...), p.BatchDuration.Milliseconds())
	b = p.appendRows(append(b, ','))
	if len(p.DurationMs) > 0 {
		b = append(b, `,"durationMs":{`...)
		for i, k := range slices.Sorted(maps.Keys(p.DurationMs)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendInt(append(column.AppendString(b, k), ':'), p.DurationMs[k])
		}
		b = append(b, '}')
	}
	b = column.AppendString(append(b, `,"stateOperators":[],"sources":[{"description":`...), p.Source)
	b = appendOffsets(append(b, `,"startOffset":`...), p.Start)
	b = appendOffsets(append(b, `,"endOffset":`...), p.End)
	b = appendOffsets(append(b, `,"latestOffset":`...), p.Latest)
	b = p.appendRows(append(b, ','))
	b = p.appendMetrics(b)
	b = column.AppendString(append(b, `}],"sink":{"description":`...), p.Sink)
	return append(b, `,"numOutputRows":-1}}`...), nil // -1: Spark's file sinks do not know it either
}

// appendRows appends the three counts that the whole and its only source share.
func (p Progress) appendRows(b []byte) []byte {
	b = appendInt(append(b, `"numInputRows":`...), p.NumInputRows)
	for _, r := range []struct {
		name  string
		value float64
	}{{"inputRowsPerSecond", p.InputRowsPerSecond}, {"processedRowsPerSecond", p.ProcessedRowsPerSecond}} {
		if !math.IsNaN(r.value) && !math.IsInf(r.value, 0) {
			b = append(b, `,"`+r.name+`":`+tenths(r.value)...)
		}
	}
	return b
}

// appendMetrics appends how far the batch's end is behind the latest offsets. A partition that was not read counts from 0.
func (p Progress) appendMetrics(b []byte) []byte {
	if len(p.Latest) == 0 || p.End == nil {
		return b
	}
	var sum, n int64
	least, most := int64(math.MaxInt64), int64(math.MinInt64)
	for tp, latest := range p.Latest.All() {
		end, _ := p.End.Get(tp.Topic, tp.Partition)
		behind := latest - end
		sum, n, least, most = sum+behind, n+1, min(least, behind), max(most, behind)
	}
	b = append(b, `,"metrics":{"avgOffsetsBehindLatest":"`+tenths(float64(sum)/float64(n))...)
	b = appendInt(append(b, `","maxOffsetsBehindLatest":"`...), most)
	b = appendInt(append(b, `","minOffsetsBehindLatest":"`...), least)
	return append(b, `"}`...)
}

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }

func appendOffsets(b []byte, o stream.Offsets) []byte {
	if o == nil {
		return append(b, "null"...)
	}
	return append(b, o.JSON(stream.Scala213)...)
}

// tenths prints BigDecimal(v).setScale(1, HALF_UP): the shortest digits that are v, rounded to one after the point.
func tenths(v float64) string {
	sign := ""
	if v < 0 {
		sign, v = "-", -v
	}
	whole, frac, _ := strings.Cut(strconv.FormatFloat(v, 'f', -1, 64), ".")
	frac += "00"
	digits := []byte(whole + frac[:1])
	if frac[1] >= '5' {
		i := len(digits) - 1
		for ; i >= 0 && digits[i] == '9'; i-- {
			digits[i] = '0'
		}
		if i < 0 {
			digits = append([]byte{'1'}, digits...)
		} else {
			digits[i]++
		}
	}
	n := len(digits) - 1
	if strings.Trim(string(digits), "0") == "" { // BigDecimal has no negative zero
		sign = ""
	}
	return sign + string(digits[:n]) + "." + string(digits[n:])
}
