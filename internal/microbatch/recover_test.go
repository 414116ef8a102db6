package microbatch

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

const query = "d4358946-170c-49a7-823b-d8e4e9126616"

func clicks(a, b int64) stream.Offsets { return stream.Offsets{"clicks": {0: a, 1: b}} }

// planned is the state of a log whose newest batches are l and c.
func planned(l, c int64) stream.State {
	s := stream.State{Planned: l, Done: c, Batch: stream.Batch{QueryID: query, ID: -1, ShufflePartitions: 7}}
	if l >= 0 {
		s.Batch = stream.Batch{QueryID: query, ID: l, Start: clicks(l*10, l*10), End: clicks(l*10+10, l*10+10), Time: time.UnixMilli(5),
			ShufflePartitions: 7}
	}
	return s
}

func unreadable(l, c int64) stream.State {
	s := planned(l, c)
	s.Batch.End, s.Unreadable = nil, problem.New(problem.CorruptCheckpoint, "offsets/%d cannot be read", l).At(problem.File("cp/offsets"))
	return s
}

// holds is a table whose newest batch of the query is n.
func holds(n int64) stream.InTable {
	t := stream.InTable{Exists: n >= 0, BySilt: true, Version: n, Batch: n, DataVersion: n}
	if n >= 0 {
		t.Last = &stream.Batch{QueryID: query, ID: n, Start: clicks(n*10, n*10), End: clicks(n*10+8, n*10+9),
			TopicIDs: map[string]string{"clicks": "T"}}
		t.End = t.Last.End
	}
	return t
}

// others is a table without a batch of the query, changed.
func others(change func(*stream.InTable)) stream.InTable {
	t := stream.InTable{Exists: true, Version: 4, Batch: -1, DataVersion: 4}
	change(&t)
	return t
}

func TestRecover(t *testing.T) {
	fork := func(s stream.State, change func(*stream.State)) stream.State { change(&s); return s }
	newQuery := func(o *RecoverInput) { o.NewQuery = true }
	topics := func(names ...string) func(*RecoverInput) { return func(o *RecoverInput) { o.Topics = names } }
	single := func(topic, partition, first, last string) stream.FileOffsets {
		return stream.FileOffsets{Topic: [2]string{topic, topic}, Partition: [2]string{partition, partition}, Offset: [2]string{first, last}}
	}
	foreign := func(fs ...stream.FileOffsets) stream.InTable {
		return others(func(t *stream.InTable) { t.Foreign = fs })
	}
	landedBy := others(func(t *stream.InTable) {
		t.Others = map[string]stream.Offsets{"q1": {"clicks": {0: 40}}, "q2": {"clicks": {0: 55}, "other": {0: 1}}}
	})
	tests := []struct {
		name  string
		state stream.State
		table stream.InTable
		o     func(*RecoverInput)

		kind  Action
		id    int64 // of the batch
		start stream.Offsets
		end   stream.Offsets
		code  problem.Code // of a refusal
		text  string       // in its message or hint
	}{
		// The table of docs/recovery.md, in its order.
		{name: "L-, C-, T-: plan 0", state: planned(-1, -1), table: holds(-1), kind: PlanNext, start: clicks(3, 4)},
		{name: "L- with T: the checkpoint was restored or deleted in part", state: planned(-1, -1), table: holds(2), kind: Refuse,
			code: problem.Diverged, text: "has planned none"},
		{name: "T > L: the checkpoint was restored from an older copy", state: planned(1, 1), table: holds(2), kind: Refuse,
			code: problem.Diverged, text: "ends with batch 1"},
		{name: "T > L, L uncommitted", state: planned(1, 0), table: holds(2), kind: Refuse, code: problem.Diverged, text: "holds batch 2"},
		{name: "L = C+1, T = L: write commits/L", state: planned(3, 2), table: holds(3), kind: MarkDone, id: 3, start: clicks(30, 30),
			end: clicks(40, 40)},
		{name: "L=0, C-, T=0: write commits/0", state: planned(0, -1), table: holds(0), kind: MarkDone, id: 0, start: clicks(0, 0),
			end: clicks(10, 10)},
		{name: "L = C+1, T = C: run L again", state: planned(3, 2), table: holds(2), kind: RunAgain, id: 3, start: clicks(30, 30),
			end: clicks(40, 40)},
		{name: "L=0, C-, T-: run 0 again, from sources/0/0", state: planned(0, -1), table: holds(-1), kind: RunAgain, id: 0,
			start: clicks(0, 0), end: clicks(10, 10)},
		{name: "the same when another tool made the table", state: planned(0, -1),
			table: others(func(t *stream.InTable) { t.Foreign = []stream.FileOffsets{{}} }),
			kind:  RunAgain, id: 0, start: clicks(0, 0), end: clicks(10, 10)},
		{name: "L = C = T: plan L+1", state: planned(3, 3), table: holds(3), kind: PlanNext, id: 4, start: clicks(40, 40)},
		{name: "L = C = T = 0", state: planned(0, 0), table: holds(0), kind: PlanNext, id: 1, start: clicks(10, 10)},
		{name: "C, table missing", state: planned(3, 3), table: holds(-1), kind: Refuse, code: problem.Diverged,
			text: "batches 0..3 are committed but dir/table holds no table"},
		{name: "C, table missing, L uncommitted", state: planned(4, 3), table: holds(-1), kind: Refuse, code: problem.Diverged,
			text: "batches 0..3 are committed"},
		{name: "T < C: the table was restored to an older version", state: planned(3, 3), table: holds(1), kind: Refuse,
			code: problem.Diverged, text: "is 1"},
		{name: "T < C, L uncommitted", state: planned(4, 3), table: holds(2), kind: Refuse, code: problem.Diverged, text: "is 2"},
		{name: "T- with C: Spark wrote without txn", state: planned(3, 3), table: others(func(*stream.InTable) {}), kind: Refuse,
			code: problem.Diverged, text: "last changed in version 4"},
		{name: "the same by one batch", state: planned(0, 0), table: others(func(t *stream.InTable) { t.DataVersion = 0 }), kind: Refuse,
			code: problem.Diverged, text: "last changed in version 0"},
		{name: "T- with C: the table was replaced by an empty one", state: planned(3, 3),
			table: others(func(t *stream.InTable) { t.DataVersion = -1 }), kind: Refuse, code: problem.Diverged, text: "never held data"},
		{name: "C > L, which the log refuses", state: planned(2, 3), table: holds(3), kind: Refuse, code: problem.CorruptCheckpoint,
			text: "batch 3 is committed"},
		{name: "L > C+1, which the log refuses", state: planned(4, 2), table: holds(2), kind: Refuse, code: problem.CorruptCheckpoint,
			text: "batch 4 is planned"},
		{name: "L unreadable, C = T = L-1: removed and planned again", state: unreadable(3, 2), table: holds(2), kind: PlanAgain, id: 3,
			start: clicks(30, 30)},
		{name: "L=0 unreadable, C-, T-", state: unreadable(0, -1), table: holds(-1), kind: PlanAgain, id: 0, start: clicks(0, 0)},
		{name: "L=0 unreadable on a table that is used: it was checked when 0 was planned", state: unreadable(0, -1), table: landedBy,
			kind: PlanAgain, id: 0, start: clicks(0, 0)},
		{name: "L unreadable, T = L: rebuilt from the commitInfo of L", state: unreadable(3, 2), table: holds(3), kind: Rebuild, id: 3,
			start: clicks(30, 30), end: clicks(38, 39)},
		{name: "the same with commits/L", state: unreadable(3, 3), table: holds(3), kind: Rebuild, id: 3, start: clicks(30, 30),
			end: clicks(38, 39)},
		{name: "L unreadable, T = L of Spark's", state: unreadable(3, 2),
			table: func() stream.InTable { t := holds(3); t.Last = nil; return t }(), kind: Refuse, code: problem.CorruptCheckpoint,
			text: "offsets/3"},
		{name: "L unreadable, C = L, T = L-1", state: unreadable(3, 3), table: holds(2), kind: Refuse, code: problem.CorruptCheckpoint,
			text: "offsets/3"},
		{name: "L unreadable, T < L-1", state: unreadable(3, 2), table: holds(0), kind: Refuse, code: problem.CorruptCheckpoint,
			text: "offsets/3"},
		{name: "L unreadable, T > L", state: unreadable(3, 2), table: holds(4), kind: Refuse, code: problem.Diverged, text: "holds batch 4"},

		// A new checkpoint.
		{name: "a table of somebody else without the topic's rows", state: planned(-1, -1), table: others(func(*stream.InTable) {}),
			kind: PlanNext, start: clicks(3, 4)},
		{name: "another query landed the topic", state: planned(-1, -1), table: landedBy, kind: Refuse, code: problem.TableInUse,
			text: "landed by query q1"},
		{name: "the way on names every partition", state: planned(-1, -1), table: landedBy, kind: Refuse, code: problem.TableInUse,
			text: `startingOffsets: '{"clicks":{"0":55,"1":-2}}' and pass --new-query`},
		{name: "another query landed another topic", state: planned(-1, -1),
			table: others(func(t *stream.InTable) { t.Others = map[string]stream.Offsets{"q": {"other": {0: 1}}} }),
			kind:  PlanNext, start: clicks(3, 4)},
		{name: "--new-query", state: planned(-1, -1), table: landedBy, o: newQuery, kind: PlanNext, start: clicks(3, 4)},
		{name: "once offsets/0 exists the flag is not needed", state: planned(0, -1), table: landedBy, kind: RunAgain,
			start: clicks(0, 0), end: clicks(10, 10)},
		{name: "foreign rows at the first plan", state: planned(-1, -1), table: foreign(single(`"clicks"`, "1", "0", "4")),
			kind: Refuse, code: problem.TableInUse, text: "partition 1, from offset 4"},
		{name: "their way on", state: planned(-1, -1),
			table: foreign(single(`"clicks"`, "1", "0", "4"), single(`"clicks"`, "1", "5", "9"), single(`"clicks"`, "0", "0", "1")),
			kind:  Refuse, code: problem.TableInUse, text: `'{"clicks":{"0":2,"1":10}}'`},
		{name: "files of several partitions do not tell where each ends", state: planned(-1, -1),
			table: foreign(stream.FileOffsets{Topic: [2]string{`"clicks"`, `"clicks"`}, Partition: [2]string{"0", "1"},
				Offset: [2]string{"0", "50"}}),
			kind: Refuse, code: problem.TableInUse, text: "the offsets after the table's last rows"},
		{name: "foreign rows before the first plan", state: planned(-1, -1),
			table: foreign(single(`"clicks"`, "1", "0", "3"), single(`"clicks"`, "0", "0", "2")), kind: PlanNext, start: clicks(3, 4)},
		{name: "foreign rows of other topics, by bounds around none of ours", state: planned(-1, -1),
			table: foreign(stream.FileOffsets{Topic: [2]string{`"a"`, `"b"`}, Offset: [2]string{"0", "99"}}),
			kind:  PlanNext, start: clicks(3, 4)},
		{name: "foreign rows of other partitions", state: planned(-1, -1), table: foreign(single(`"clicks"`, "2", "0", "99")),
			kind: PlanNext, start: clicks(3, 4)},
		{name: "a topic between the bounds of a file", state: planned(-1, -1),
			table: foreign(stream.FileOffsets{Topic: [2]string{`"a"`, `"z"`}, Partition: [2]string{"0", "9"}, Offset: [2]string{"0", "99"}}),
			kind:  Refuse, code: problem.TableInUse, text: "topic clicks"},
		{name: "files without statistics may hold anything", state: planned(-1, -1), table: foreign(stream.FileOffsets{}), kind: Refuse,
			code: problem.TableInUse, text: "topic clicks"},
		{name: "--new-query on foreign rows", state: planned(-1, -1), table: foreign(stream.FileOffsets{}), o: newQuery, kind: PlanNext,
			start: clicks(3, 4)},

		// Topics.
		{name: "no topic in common with the newest plan", state: planned(3, 3), table: holds(3), o: topics("orders"), kind: Refuse,
			code: problem.OtherSource, text: "clicks"},
		{name: "the same before anything else: the table may be another one, too", state: planned(3, 3), table: holds(-1),
			o: topics("orders"), kind: Refuse, code: problem.OtherSource, text: "orders"},
		{name: "no topic in common with a start that has no batch yet",
			state: fork(planned(-1, -1), func(s *stream.State) { s.Batch.Start = clicks(0, 0) }), table: holds(-1), o: topics("orders"),
			kind: Refuse, code: problem.OtherSource, text: "clicks"},
		{name: "no topic in common with a torn plan's start", state: unreadable(3, 2), table: holds(2), o: topics("orders"),
			kind: Refuse, code: problem.OtherSource, text: "clicks"},
		{name: "the topic was deleted: the planner says so", state: planned(3, 3), table: holds(3), o: topics(), kind: PlanNext, id: 4,
			start: clicks(40, 40)},
		{name: "one topic in common, others added: the planner starts them at earliest", state: planned(3, 3), table: holds(3),
			o: topics("orders", "clicks"), kind: PlanNext, id: 4, start: clicks(40, 40)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := RecoverInput{Topics: []string{"clicks"}, First: clicks(3, 4), Table: "dir/table", Checkpoint: "dir/checkpoint"}
			if tt.o != nil {
				tt.o(&o)
			}
			d := Recover(tt.state, tt.table, o)
			if d.Action != tt.kind {
				t.Fatalf("got %v (%v), want %v", d.Action, d.Problem, tt.kind)
			}
			if d.Action == Refuse {
				p := d.Problem
				text := p.Message + " " + p.Why + " " + p.Hint + " " + p.Where.File
				if p.Code != tt.code || !strings.Contains(text, tt.text) || p.Where.File == "" {
					t.Errorf("got %v, why %q, hint %q; want %s with %q", p, p.Why, p.Hint, tt.code, tt.text)
				}
				if p.Code == problem.Diverged && !errors.Is(p, stream.ErrDiverged) {
					t.Error("it must match ErrDiverged")
				}
				if p.Hint == "" && p.Code != problem.CorruptCheckpoint {
					t.Error("there must be a hint")
				}
				return
			}
			if d.Batch.ID != tt.id || !d.Batch.Start.Equal(tt.start) || !d.Batch.End.Equal(tt.end) || d.Batch.QueryID != query ||
				d.Batch.ShufflePartitions != 7 {
				t.Errorf("got %+v, want %d from %v to %v", d.Batch, tt.id, tt.start, tt.end)
			}
			if tt.kind == Rebuild && d.Batch.TopicIDs["clicks"] != "T" {
				t.Errorf("got topic ids %v", d.Batch.TopicIDs)
			}
		})
	}
}

func TestRefusalsExitAsTheyMust(t *testing.T) {
	exits := map[problem.Code]int{problem.Diverged: 4, problem.TableInUse: 4, problem.OtherSource: 2, problem.CorruptCheckpoint: 1}
	for code, want := range exits {
		if got := code.Exit(); got != want {
			t.Errorf("%s: got %d, want %d", code, got, want)
		}
	}
}

// Whatever the numbers are, there is an answer, and a batch that the table has is never run again.
func TestRecoverHasAnAnswerForEverything(t *testing.T) {
	for l := int64(-1); l < 6; l++ {
		for c := int64(-1); c < 6; c++ {
			for in := int64(-1); in < 6; in++ {
				for _, s := range []stream.State{planned(l, c), unreadable(l, c)} {
					if l < 0 && s.Unreadable != nil {
						continue
					}
					d := Recover(s, holds(in), RecoverInput{Topics: []string{"clicks"}, First: clicks(0, 0)})
					switch d.Action {
					case RunAgain, PlanAgain, PlanNext:
						if d.Batch.ID != in+1 {
							t.Errorf("L %d, C %d, T %d: batch %d would be run", l, c, in, d.Batch.ID)
						}
					case MarkDone, Rebuild:
						if d.Batch.ID != in {
							t.Errorf("L %d, C %d, T %d: batch %d would be called done", l, c, in, d.Batch.ID)
						}
					case Refuse:
						if d.Problem == nil {
							t.Errorf("L %d, C %d, T %d: refused without a reason", l, c, in)
						}
					}
				}
			}
		}
	}
}
