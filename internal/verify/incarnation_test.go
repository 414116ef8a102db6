package verify

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siltlake/silt/internal/delta"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// of gives the batch's partitions the topic's id.
func of(topicID string, info *stream.BatchInfo) *stream.BatchInfo {
	for i := range info.Partitions {
		info.Partitions[i].TopicID = topicID
	}
	return info
}

// logOf returns commits that land ranges of partition 0 of topic t, 10 offsets each: a range is a topic id and where it starts.
func logOf(ranges ...landing) []Commit {
	var cs []Commit
	for i, r := range ranges {
		id := int64(i)
		cs = append(cs, Commit{Version: id, Batch: of(r.id, batch(id, r.start, r.start+10, 10, 0)), Added: []File{{"f", 10, true}},
			Txns: map[string]int64{"q": id, "q/t/0": r.start + 10}})
	}
	return cs
}

type landing struct {
	id    string
	start int64
}

// remembers lets the commit name where a partition ended that is not there any more.
func remembers(c Commit, id string) {
	c.Batch.Landed = []stream.LandedInfo{{Topic: "t", TopicID: id, Partition: 1, End: 5}}
}

func TestAuditOfATopicMadeAgain(t *testing.T) {
	cs := logOf(landing{"A", 0}, landing{"A", 10}, landing{"B", 0}, landing{"B", 10}, landing{"B", 20}, landing{"C", 4})
	remembers(cs[1], "A")
	remembers(cs[4], "B")
	a := AuditLog(cs)
	if len(a.Findings) > 0 {
		t.Fatalf("findings: %+v", a.Findings)
	}
	want := []*Partition{
		{Topic: "t", TopicID: "A", Segments: []Segment{{0, 20, ""}}, Served: 20, Rows: 20, replaced: true},
		{Topic: "t", TopicID: "B", Segments: []Segment{{0, 30, "topic made again"}}, Served: 30, Rows: 30, replaced: true},
		{Topic: "t", TopicID: "C", Segments: []Segment{{4, 14, "topic made again"}}, Served: 10, Rows: 10},
	}
	if d := cmp.Diff(want, a.Queries[0].Partitions, cmp.AllowUnexported(Partition{})); d != "" {
		t.Error(d)
	}
}

// A broker without ids, and commits from before ids were recorded, begin no topic anew.
func TestAuditGoesOnWhereNoIDIsKnown(t *testing.T) {
	a := AuditLog(logOf(landing{"", 0}, landing{"A", 10}, landing{"", 20}, landing{"A", 30}, landing{"", 40}, landing{"B", 50}))
	if p := a.Queries[0].Partitions; len(a.Findings) > 0 || len(p) != 1 || p[0].TopicID != "B" || p[0].Segments[0] != (Segment{0, 60, ""}) {
		t.Errorf("findings %+v, partitions %+v", a.Findings, p)
	}
}

// Two queries read the topics each on its own.
func TestAuditOfTwoQueriesOfATopicMadeAgain(t *testing.T) {
	cs := logOf(landing{"A", 0}, landing{"B", 0})
	for i, c := range logOf(landing{"B", 0}, landing{"B", 10}) {
		c.Version, c.Txns = int64(2+i), map[string]int64{"p": int64(i), "p/t/0": int64(10 * (i + 1))}
		cs = append(cs, c)
	}
	a := AuditLog(cs)
	if len(a.Findings) > 0 || len(a.Queries[0].Partitions) != 1 || len(a.Queries[1].Partitions) != 2 {
		t.Errorf("findings %+v, queries %+v", a.Findings, a.Queries)
	}
}

func TestAuditFindsWhatIsPlantedInATopicMadeAgain(t *testing.T) {
	sound := []landing{{"A", 0}, {"A", 10}, {"B", 0}, {"B", 10}}
	tests := []struct {
		name  string
		plant func([]Commit) []Commit
		kind  Kind
		text  string
	}{
		{"a range of the new topic landed twice", func(cs []Commit) []Commit {
			return append(cs, logOf(append(sound, landing{"B", 10})...)[4])
		}, Duplicate, "version 4, t-0: offsets [10, 20) were landed before"},
		{"a range of the old topic landed twice", func([]Commit) []Commit {
			return logOf(landing{"A", 0}, landing{"A", 0}, landing{"B", 0})
		}, Duplicate, "version 1, t-0: offsets [0, 10) were landed before"},
		{"the old topic lost its end", func(cs []Commit) []Commit { return slices.Delete(cs, 1, 2) }, Disorder, "holds batch 2 after batch 0"},
		{"the new topic lost its begin", func(cs []Commit) []Commit { return slices.Delete(cs, 2, 3) }, Disorder, "holds batch 3 after batch 1"},
		{"the new topic lost the middle", func([]Commit) []Commit {
			return logOf(landing{"A", 0}, landing{"B", 0}, landing{"B", 20})
		}, Missing, "offsets [10, 20) were skipped"},
		{"an id comes back", func([]Commit) []Commit {
			return logOf(landing{"A", 0}, landing{"B", 0}, landing{"A", 10})
		}, Disorder, "version 2, topic t: its id is A again, which B had replaced"},
		{"an id comes back, and its offsets again", func([]Commit) []Commit {
			return logOf(landing{"A", 0}, landing{"B", 0}, landing{"A", 0})
		}, Duplicate, "version 2, t-0: offsets [0, 10) were landed before"},
		{"one commit lies", func([]Commit) []Commit {
			return logOf(landing{"A", 0}, landing{"B", 10}, landing{"A", 20})
		}, Disorder, "its id is A again"},
		{"an id that hides that the topic was made again", func(cs []Commit) []Commit {
			for _, c := range cs {
				of("A", c.Batch)
			}
			return cs
		}, Duplicate, "version 2, t-0: offsets [0, 10) were landed before"},
		{"no id where the topic was made again", func(cs []Commit) []Commit {
			of("", cs[2].Batch)
			return cs
		}, Duplicate, "version 2, t-0: offsets [0, 10) were landed before"},
		{"two ids in a commit", func(cs []Commit) []Commit {
			cs[1].Batch.Partitions = append(cs[1].Batch.Partitions, stream.PartitionInfo{Topic: "t", TopicID: "C", Partition: 1})
			return cs
		}, Disorder, `version 1 names two ids of topic t: "A" and "C"`},
		{"another id is remembered", func(cs []Commit) []Commit { remembers(cs[3], "A"); return cs }, Disorder,
			"version 3 remembers topic t by id A, and what was read last has id B"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := AuditLog(tt.plant(logOf(sound...)))
			if !slices.ContainsFunc(a.Findings, func(f Finding) bool { return f.Kind == tt.kind && strings.Contains(f.Text, tt.text) }) {
				t.Errorf("not found: %s %q in %+v", tt.kind, tt.text, a.Findings)
			}
		})
	}
}

// again lands [0, 20) of topic A, where 7 is a marker and 13 was rejected, and then of topic B, where 3 is one.
func (b *builder) again() {
	b.commit(of("A", batch(0, 0, 10, 9, 0)), b.file(without(span(0, 10), 7)...))
	b.commit(of("A", batch(1, 10, 20, 9, 1)), b.file(without(span(10, 20), 13)...))
	b.commit(of("B", batch(2, 0, 10, 9, 0)), b.file(without(span(0, 10), 3)...))
	b.commit(of("B", batch(3, 10, 20, 10, 0)), b.file(span(10, 20)...))
}

func without(offsets []int64, some ...int64) []int64 {
	return slices.DeleteFunc(offsets, func(o int64) bool { return slices.Contains(some, o) })
}

// optimize replaces files by one with these offsets, as OPTIMIZE does.
func (b *builder) optimize(offsets []int64, files ...string) {
	all := b.file(offsets...)
	all.DataChange = false
	actions := []delta.Action{all}
	for _, name := range files {
		actions = append(actions, &delta.Remove{Path: name, DeletionTimestamp: 1})
	}
	b.commit(nil, actions...)
}

var allFiles = []string{"f1.parquet", "f2.parquet", "f3.parquet", "f4.parquet"}

func allOffsets() []int64 { return append(without(span(0, 20), 7, 13), without(span(0, 20), 3)...) }

const mixed = "t-0: offsets of 2 incarnations are mixed in files that are not silt's"

// A sound table of a topic that was made again is judged sound; what cannot be told is said.
func TestScanOfATopicMadeAgain(t *testing.T) {
	tests := []struct {
		name   string
		more   func(b *builder)
		source stream.Source
		note   string
	}{
		{"silt's own files", nil, nil, ""},
		{"the topic is the newest", nil, topic{lacks: []int64{3}, id: "B"}, ""},
		{"a broker without ids", nil, topic{lacks: []int64{3}}, ""},
		{"the topic was made again since", nil, topic{id: "C"}, "topic t was made again since its newest batch: its id is C and was B"},
		{"OPTIMIZE mixed both", func(b *builder) { b.optimize(allOffsets(), allFiles...) }, topic{lacks: []int64{3}, id: "B"}, mixed},
		{"OPTIMIZE took one of each", func(b *builder) {
			b.optimize(append(span(10, 20), without(span(0, 10), 7)...), "f4.parquet", "f1.parquet")
		}, topic{lacks: []int64{3}, id: "B"}, mixed},
		{"another engine went on with the old topic", func(b *builder) { b.commit(nil, b.file(span(20, 40)...)) }, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBuilder(t)
			b.again()
			if tt.more != nil {
				tt.more(b)
			}
			r, err := Table(context.Background(), b.log, Options{Scan: true, Source: tt.source})
			if err != nil || r.Err() != nil || len(r.Findings) > 0 {
				t.Fatalf("%v %v: %+v", err, r.Err(), r.Findings)
			}
			if notes := strings.Join(r.Notes, "\n"); (notes == "") != (tt.note == "") || !strings.Contains(notes, tt.note) {
				t.Errorf("notes %q, want %q", notes, tt.note)
			}
			p := r.Queries[0].Partitions
			if mixed := tt.note == mixed; len(p) != 2 || !mixed && (p[0].Scanned != 18 || p[0].Holes != 2 || p[1].Scanned != 19 || p[1].Holes != 1) {
				t.Errorf("partitions %+v", p)
			}
		})
	}
}

func TestScanFindsWhatIsPlantedInATopicMadeAgain(t *testing.T) {
	tests := []struct {
		name   string
		make   func(b *builder)
		source stream.Source
		exit   int
		text   string
	}{
		{"a row of the new topic is twice in a file", func(b *builder) {
			b.commit(of("A", batch(0, 0, 4, 4, 0)), b.file(0, 1, 2, 3))
			b.commit(of("B", batch(1, 0, 4, 4, 0)), b.file(0, 1, 1, 3))
		}, nil, problem.ExitDataLoss, "t-0 of topic id B: the log says 4 rows, the files have 3; the first offset without a row is 2"},
		{"a row of the old topic is twice in a file", func(b *builder) {
			b.commit(of("A", batch(0, 0, 4, 3, 0)), b.file(0, 1, 1))
			b.commit(of("B", batch(1, 0, 4, 4, 0)), b.file(0, 1, 2, 3))
		}, nil, problem.ExitDataLoss, "t-0 of topic id A: 1 rows have an offset that another row has, the first is 1"},
		{"the old topic's end has no rows", func(b *builder) {
			b.commit(of("A", batch(0, 0, 4, 4, 0)), b.file(0, 1))
			b.commit(of("B", batch(1, 0, 4, 4, 0)), b.file(0, 1, 2, 3))
		}, nil, problem.ExitDataLoss, "t-0 of topic id A: the log says 4 rows, the files have 2; the first offset without a row is 2"},
		{"a row of the new topic where only the old one was read", func(b *builder) {
			b.commit(of("A", batch(0, 0, 9, 3, 6)), b.file(0, 1, 2))
			b.commit(of("B", batch(1, 0, 2, 2, 0)), b.file(0, 8))
		}, nil, problem.ExitDataLoss, "lie in no range of the log, the first is offset 8"},
		{"a row was copied that both topics have", func(b *builder) { b.again(); b.commit(nil, b.file(5)) }, nil, problem.ExitFailed,
			"1 rows have an offset that another row has, the first is 5"},
		{"OPTIMIZE wrote a row three times", func(b *builder) { b.again(); b.optimize(append(allOffsets(), 5), allFiles...) }, nil,
			problem.ExitFailed, "1 rows have an offset that another row has, the first is 5"},
		{"OPTIMIZE wrote a row twice that one topic has", func(b *builder) { b.again(); b.optimize(append(allOffsets(), 3), allFiles...) }, nil,
			problem.ExitFailed, "t-0: the log says 37 rows of 2 incarnations, the files have 38"},
		{"OPTIMIZE wrote a row twice that only the old topic can have", func(b *builder) {
			b.commit(of("A", batch(0, 0, 20, 20, 0)), b.file(span(0, 20)...))
			b.commit(of("B", batch(1, 0, 10, 10, 0)), b.file(span(0, 10)...))
			b.optimize(append(span(0, 20), 15), "f1.parquet")
		}, nil, problem.ExitFailed, "t-0 of topic id A: 1 rows have an offset that another row has, the first is 15"},
		{"OPTIMIZE lost a row", func(b *builder) { b.again(); b.optimize(allOffsets()[1:], allFiles...) }, nil,
			problem.ExitDataLoss, "t-0: the log says 37 rows of 2 incarnations, the files have 36"},
		{"the new topic has a record that the table lacks", func(b *builder) { b.again() }, topic{id: "B"}, problem.ExitDataLoss,
			"t-0 of topic id B: the topic serves 1 records that the table lacks, and 0 were rejected; the first is offset 3"},
		{"the topic is that which was replaced", func(b *builder) { b.again() }, topic{lacks: []int64{7}, id: "A"}, problem.ExitFailed,
			"the id of topic t is A, which the log says was replaced"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBuilder(t)
			tt.make(b)
			r, err := Table(context.Background(), b.log, Options{Scan: true, Source: tt.source})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(r.Findings, func(f Finding) bool { return strings.Contains(f.Text, tt.text) }) {
				t.Errorf("not found: %q in %+v", tt.text, r.Findings)
			}
			if got := problem.ExitStatus(r.Err()); got != tt.exit {
				t.Errorf("exit status %d, want %d: %v", got, tt.exit, r.Err())
			}
		})
	}
}

// Another engine landed [10, 20) of the topic before it was made again: these are no duplicates of the offsets that silt landed then, nor
// what is missing of them.
func TestScanOfWhatAnotherEngineLandedOfTheOldTopic(t *testing.T) {
	b := newBuilder(t)
	b.commit(of("A", batch(0, 0, 10, 10, 0)), b.file(span(0, 10)...))
	b.commit(nil, b.file(span(10, 20)...))
	b.commit(of("B", batch(1, 0, 20, 19, 0)), b.file(without(span(0, 20), 12)...))
	r, err := Table(context.Background(), b.log, Options{Scan: true})
	if err != nil || r.Err() != nil || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], mixed) {
		t.Errorf("%v %v: %+v, %q", err, r.Err(), r.Findings, r.Notes)
	}
}

// What was landed before the log begins may be of a topic that the log does not know any more.
func TestRowsFromBeforeTheLogAreNotJudged(t *testing.T) {
	for _, known := range []bool{false, true} { // whether the log says who added the file
		cs := logOf(landing{"B", 0}, landing{"B", 10})
		for i := range cs {
			cs[i].Version += 5
		}
		s := newScanner(AuditLog(cs))
		own := fileScan{s: s, from: s.audit.files["f"], known: true, last: map[stream.TopicPartition]int64{}}
		for _, o := range span(0, 20) {
			own.row([]byte("t"), 0, o)
		}
		early := fileScan{s: s, known: known, last: map[stream.TopicPartition]int64{}}
		for _, o := range span(15, 25) {
			early.row([]byte("t"), 0, o)
		}
		s.judge(false)
		if len(s.findings) > 0 || s.other != 10 || len(s.notes) != 1 || !strings.Contains(s.notes[0], "t-0: 5 rows from before version 5") {
			t.Errorf("known %v: %+v, %d rows of others, %q", known, s.findings, s.other, s.notes)
		}
	}
}
