package microbatch

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// An Action is what a start does before it plans on.
type Action uint8

// The actions.
const (
	PlanNext  Action = iota // plan Batch.ID, from Batch.Start
	RunAgain                // Batch was planned and is not in the table: run it
	MarkDone                // Batch is in the table: write commits/N
	PlanAgain               // offsets/N cannot be read and nothing of it is in the table: remove it, then as PlanNext
	Rebuild                 // offsets/N cannot be read and the table has the batch: write it anew as Batch, and commits/N
	Refuse                  // Problem says why
)

var actionNames = [...]string{"plan next", "run again", "mark done", "plan again", "rebuild", "refuse"}

func (a Action) String() string { return actionNames[a] }

// A Decision is what a start does, given what it found.
type Decision struct {
	Action  Action
	Batch   stream.Batch
	Problem *problem.Problem
}

// A RecoverInput is what Recover has to know beside checkpoint and table.
type RecoverInput struct {
	// Topics are those that the query reads now and that exist.
	Topics []string
	// First is where a new checkpoint would begin; it has every partition that the query reads. Looked at only if nothing was planned.
	First stream.Offsets
	// NewQuery is --new-query: rows of the same topic from another query are no reason to refuse a new checkpoint.
	NewQuery bool
	// Table and Checkpoint are the places, as the user typed them.
	Table, Checkpoint string
}

// Recover decides what a start does (docs/recovery.md). L is the newest planned batch, C the newest committed one, T the newest batch that
// the table has of this query; -1 is none. It has no effects, and nothing may be written before it was asked.
func Recover(s stream.State, t stream.InTable, o RecoverInput) Decision {
	l, c := s.Planned, s.Done
	if p := otherSource(s, o); p != nil {
		return refuse(p)
	}
	switch {
	case c > l || l > c+1: // the Log refuses it, and names the file
		return refuse(problem.New(problem.CorruptCheckpoint, "batch %d is planned and batch %d is committed", l,
			c).At(problem.File(o.Checkpoint)))
	case l < 0 && t.Batch >= 0:
		return refuse(ahead(s, t, o))
	case l < 0:
		if p := tableInUse(t, o); p != nil && !o.NewQuery {
			return refuse(p)
		}
		return Decision{Action: PlanNext, Batch: next(s, 0, o.First)}
	case t.Batch > l:
		return refuse(ahead(s, t, o))
	case s.Unreadable != nil:
		return torn(s, t, o)
	case t.Batch == l && c == l:
		return Decision{Action: PlanNext, Batch: next(s, l+1, s.Batch.End)}
	case t.Batch == l:
		return Decision{Action: MarkDone, Batch: s.Batch}
	case t.Batch == c && c < l:
		return Decision{Action: RunAgain, Batch: s.Batch}
	}
	return refuse(behind(s, t, o))
}

// next is a batch that is to be planned.
func next(s stream.State, id int64, start stream.Offsets) stream.Batch {
	return stream.Batch{QueryID: s.Batch.QueryID, ID: id, Start: start, ShufflePartitions: s.Batch.ShufflePartitions}
}

func refuse(p *problem.Problem) Decision { return Decision{Action: Refuse, Problem: p} }

// otherSource refuses the checkpoint of other topics. Where nothing was planned yet, the start tells. Without any topic the planner says
// what is lost.
func otherSource(s stream.State, o RecoverInput) *problem.Problem {
	offsets := s.Batch.End
	if offsets == nil {
		offsets = s.Batch.Start
	}
	if len(offsets) == 0 || len(o.Topics) == 0 || slices.ContainsFunc(o.Topics, func(t string) bool { return offsets[t] != nil }) {
		return nil
	}
	return problem.New(problem.OtherSource, "%s is the checkpoint of a query that reads %s, and this one reads %s", o.Checkpoint,
		some(slices.Sorted(maps.Keys(offsets))), some(slices.Sorted(slices.Values(o.Topics)))).
		At(problem.File(o.Checkpoint)).Fix("give each query a checkpointLocation of its own")
}

// ahead is a table that has more of the query than its checkpoint.
func ahead(s stream.State, t stream.InTable, o RecoverInput) *problem.Problem {
	planned := "has planned none"
	if s.Planned >= 0 {
		planned = fmt.Sprintf("ends with batch %d", s.Planned)
	}
	return diverged("%s holds batch %d of query %s, and the checkpoint %s", o.Table, t.Batch, s.Batch.QueryID, planned).
		At(problem.File(o.Checkpoint)).
		Fix("stop other runs of the query; if there are none, restore the checkpoint as it was after batch %d: with an older one "+
			"rows would be landed twice", t.Batch)
}

func diverged(format string, args ...any) *problem.Problem {
	p := problem.New(problem.Diverged, format, args...)
	p.Err = stream.ErrDiverged
	return p
}

// torn is a newest offsets/N that cannot be read: a crash of the machine, or a damaged disk.
func torn(s stream.State, t stream.InTable, o RecoverInput) Decision {
	l := s.Planned
	switch {
	case t.Batch == l && t.Last != nil && t.Last.ID == l:
		b := s.Batch
		b.End, b.TopicIDs = t.Last.End, t.Last.TopicIDs
		return Decision{Action: Rebuild, Batch: b}
	case t.Batch == l-1 && s.Done == l-1:
		return Decision{Action: PlanAgain, Batch: next(s, l, s.Batch.Start)}
	}
	if ps := problem.Of(s.Unreadable); len(ps) > 0 {
		return refuse(ps[0])
	}
	return refuse(problem.New(problem.CorruptCheckpoint, "the offsets of batch %d cannot be read",
		l).At(problem.File(o.Checkpoint)).Because(s.Unreadable).
		Fix("restore the whole checkpoint from one moment"))
}

// behind is a table that lacks a batch which the checkpoint calls committed.
func behind(s stream.State, t stream.InTable, o RecoverInput) *problem.Problem {
	if !t.Exists {
		return diverged("batches 0..%d are committed but %s holds no table", s.Done, o.Table).At(problem.File(o.Checkpoint)).
			Fix("restore the table; to land the topic anew, use a new checkpointLocation")
	}
	var p *problem.Problem
	if t.Batch >= 0 {
		p = diverged("batch %d is committed, but the newest batch that %s holds of query %s is %d", s.Done, o.Table, s.Batch.QueryID, t.Batch)
		p.Why = fmt.Sprintf("either the table was restored to an older version, or another engine went on with the checkpoint and did not "+
			"record its batches in the table; "+
			"its data last changed in version %s", version(t.DataVersion))
	} else {
		p = diverged("batch %d is committed, but %s holds no batch of query %s", s.Done, o.Table, s.Batch.QueryID)
		p.Why = fmt.Sprintf("the table's data last changed in version %d: either it is another table, or Spark wrote it by foreachBatch "+
			"without txnAppId", t.DataVersion)
		if t.DataVersion < 0 {
			p.Why = "the table has never held data, as far as its log goes: it was replaced"
		}
	}
	return p.At(problem.File(o.Checkpoint)).
		Fix("restore table and checkpoint from one moment; to go on beside what the table holds, use a new checkpointLocation")
}

func version(n int64) string {
	if n < 0 {
		return "unknown"
	}
	return strconv.FormatInt(n, 10)
}

// tableInUse refuses a new checkpoint on a table that has rows of the same topics already: landed again, they would be there twice.
func tableInUse(t stream.InTable, o RecoverInput) *problem.Problem {
	for _, id := range slices.Sorted(maps.Keys(t.Others)) {
		for _, topic := range slices.Sorted(maps.Keys(t.Others[id])) {
			if o.First[topic] != nil {
				return inUse(o, landed(t, o), "%s already holds rows of topic %s, landed by query %s", o.Table, topic, id)
			}
		}
	}
	for tp, start := range o.First.All() {
		for _, f := range t.Foreign {
			if mayHold(f, tp, start) {
				return inUse(o, landed(t, o), "%s already holds rows of topic %s, partition %d, from offset %d on", o.Table, tp.Topic,
					tp.Partition, start)
			}
		}
	}
	return nil
}

// inUse names the two ways on.
func inUse(o RecoverInput, ends stream.Offsets, format string, args ...any) *problem.Problem {
	p := problem.New(problem.TableInUse, format, args...).At(problem.File(o.Checkpoint))
	p.Why = "the checkpoint is new, so what the table holds would be landed again"
	const copies = "and pass --new-query; --new-query alone makes a second copy"
	if ends == nil {
		return p.Fix("to continue, set startingOffsets to the offsets after the table's last rows %s", copies)
	}
	return p.Fix("to continue where the table ends, set startingOffsets: '%s' %s", ends.JSON(stream.Scala213), copies)
}

// landed is where the table ends, for every partition of the first plan; nil if the table does not tell.
func landed(t stream.InTable, o RecoverInput) stream.Offsets {
	ends := stream.Offsets{}
	for tp := range o.First.All() {
		end := stream.Earliest
		for _, other := range t.Others {
			if at, ok := other.Get(tp.Topic, tp.Partition); ok {
				end = max(end, at)
			}
		}
		for _, f := range t.Foreign {
			if !mayHold(f, tp, 0) {
				continue
			}
			last, ok := jsonNumber(f.Offset[1])
			if !ok || f.Topic[0] != f.Topic[1] || f.Partition[0] != f.Partition[1] { // the greatest offset of which partition?
				return nil
			}
			end = max(end, last+1)
		}
		ends.Set(tp.Topic, tp.Partition, end)
	}
	return ends
}

// mayHold says whether a file may have rows of the partition at the offset or beyond. What its statistics do not say may be.
func mayHold(f stream.FileOffsets, tp stream.TopicPartition, from int64) bool {
	for i, sign := range []int{-1, 1} {
		var topic string
		if json.Unmarshal([]byte(f.Topic[i]), &topic) == nil && cmp.Compare(tp.Topic, topic)*sign > 0 {
			return false
		}
		if n, ok := jsonNumber(f.Partition[i]); ok && cmp.Compare(int64(tp.Partition), n)*sign > 0 {
			return false
		}
	}
	last, ok := jsonNumber(f.Offset[1])
	return !ok || last >= from
}

func jsonNumber(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}
