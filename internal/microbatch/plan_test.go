package microbatch

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// bounds of one topic with the id "T"; each pair is a partition's first and next offset.
func bounds(pairs ...[2]int64) stream.Bounds {
	b := stream.Bounds{First: stream.Offsets{}, Next: stream.Offsets{}, TopicIDs: map[string]string{"t": "T"}}
	for p, o := range pairs {
		b.First.Set("t", int32(p), o[0])
		b.Next.Set("t", int32(p), o[1])
	}
	return b
}

// ofT are the offsets of t's partitions from 0 on.
func ofT(offsets ...int64) stream.Offsets {
	o := stream.Offsets{}
	for p, v := range offsets {
		o.Set("t", int32(p), v)
	}
	return o
}

func TestInitial(t *testing.T) {
	b := bounds([2]int64{5, 10}, [2]int64{0, 20})
	tests := []struct {
		name string
		s    stream.Starting
		want stream.Offsets
		text string // of the error
	}{
		{"earliest", stream.Starting{All: stream.Earliest}, ofT(5, 0), ""},
		{"latest", stream.Starting{All: stream.Latest}, ofT(10, 20), ""},
		{"one by one", stream.Starting{Each: ofT(7, 8)}, ofT(7, 8), ""},
		{"positions among them", stream.Starting{Each: ofT(-2, -1)}, ofT(5, 20), ""},
		{"a partition is missing", stream.Starting{Each: ofT(7)}, nil, "not t-1"},
		{"a partition too many", stream.Starting{Each: ofT(7, 8, 9)}, nil, "t-2"},
		{"another topic", stream.Starting{Each: stream.Offsets{"u": {0: 1}}}, nil, "not t-0, t-1"},
	}
	for _, tt := range tests {
		got, err := Initial(tt.s, b)
		if tt.text != "" {
			if err == nil || !strings.Contains(err.Error(), tt.text) || problem.ExitStatus(err) != problem.ExitUsage {
				t.Errorf("%s: got %v", tt.name, err)
			}
			continue
		}
		if err != nil || !got.Equal(tt.want) {
			t.Errorf("%s: got %v %v, want %v", tt.name, got, err, tt.want)
		}
	}
}

func TestPlan(t *testing.T) {
	withID := func(b stream.Bounds, id string) stream.Bounds { b.TopicIDs = map[string]string{"t": id}; return b }
	known := map[string]string{"t": "T"}
	with := func(b stream.Bounds, topic, id string, next int64) stream.Bounds {
		b.First.Set(topic, 0, 0)
		b.Next.Set(topic, 0, next)
		b.TopicIDs[topic] = id
		return b
	}
	tests := []struct {
		name       string
		at         Position
		b          stream.Bounds
		r          Rules
		start, end stream.Offsets
		landed     stream.Offsets    // of the batch
		ids        map[string]string // of the batch; nil: those of the bounds
		loss       string            // what is lost; with FailOnDataLoss it is the error
		gaps       []stream.Gap
		always     bool // an error whatever FailOnDataLoss says
	}{
		{name: "all that there is", at: Position{Offsets: ofT(3, 4)}, b: bounds([2]int64{0, 10}, [2]int64{0, 20}), start: ofT(3, 4),
			end: ofT(10, 20)},
		{name: "nothing new", at: Position{Offsets: ofT(10, 20)}, b: bounds([2]int64{0, 10}, [2]int64{0, 20}), start: ofT(10, 20),
			end: ofT(10, 20)},
		{name: "a new partition begins at its first offset", at: Position{Offsets: ofT(3)}, b: bounds([2]int64{0, 10}, [2]int64{0, 5}),
			start: ofT(3, 0), end: ofT(10, 5)},
		{name: "a new topic begins at earliest, which is no loss", at: Position{Offsets: stream.Offsets{"t": {0: 3}}},
			b:     stream.Bounds{First: stream.Offsets{"t": {0: 0}, "u": {0: 7}}, Next: stream.Offsets{"t": {0: 3}, "u": {0: 9}}},
			start: stream.Offsets{"t": {0: 3}, "u": {0: 7}}, end: stream.Offsets{"t": {0: 3}, "u": {0: 9}}},
		{name: "a topic that was taken out and put back goes on where the table ends",
			at:    Position{Offsets: ofT(3), Landed: stream.Offsets{"u": {0: 8}, "t": {0: 1}}},
			b:     stream.Bounds{First: stream.Offsets{"t": {0: 0}, "u": {0: 0}}, Next: stream.Offsets{"t": {0: 3}, "u": {0: 9}}},
			start: stream.Offsets{"t": {0: 3}, "u": {0: 8}}, end: stream.Offsets{"t": {0: 3}, "u": {0: 9}}},
		{name: "the same with ids", at: Position{Offsets: stream.Offsets{"u": {0: 5}}, TopicIDs: map[string]string{"u": "U", "t": "T"},
			Landed: ofT(1000)}, b: with(bounds([2]int64{0, 1500}), "u", "U", 7),
			start: stream.Offsets{"t": {0: 1000}, "u": {0: 5}}, end: stream.Offsets{"t": {0: 1500}, "u": {0: 7}}},
		{name: "a topic that comes back as another begins anew, though it has passed the old one's end",
			at:    Position{Offsets: stream.Offsets{"u": {0: 5}}, TopicIDs: map[string]string{"u": "U", "t": "O"}, Landed: ofT(1000, 40)},
			b:     with(bounds([2]int64{2, 1500}), "u", "U", 7),
			start: stream.Offsets{"t": {0: 2}, "u": {0: 5}}, end: stream.Offsets{"t": {0: 1500}, "u": {0: 7}},
			loss: "topic t was deleted and made again: its id was O and is T"},
		{name: "a topic that comes back, and nothing says that it is the same", at: Position{Offsets: stream.Offsets{"u": {0: 5}},
			TopicIDs: map[string]string{"u": "U"}, Landed: ofT(1000)}, b: with(bounds([2]int64{0, 1500}), "u", "U", 7),
			start: stream.Offsets{"t": {0: 1000}, "u": {0: 5}}, end: stream.Offsets{"t": {0: 1500}, "u": {0: 7}},
			loss: `topic t was read before, up to {"t":{"0":1000}}, and nothing says that it is the same topic`},
		{name: "what is not there now is remembered", at: Position{Offsets: stream.Offsets{"t": {0: 3, 1: 4}, "u": {0: 9}},
			Landed: stream.Offsets{"v": {0: 2}}, TopicIDs: map[string]string{"t": "T", "u": "U", "v": "V"}}, b: bounds([2]int64{0, 10}),
			start: ofT(3), end: ofT(10), landed: stream.Offsets{"t": {1: 4}, "u": {0: 9}, "v": {0: 2}},
			ids: map[string]string{"t": "T", "u": "U", "v": "V"}, loss: "topic u was deleted or taken out"},
		{name: "a partition that comes back goes on", at: Position{Offsets: ofT(3), Landed: stream.Offsets{"t": {1: 4}}, TopicIDs: known},
			b: bounds([2]int64{0, 3}, [2]int64{0, 9}), start: ofT(3, 4), end: ofT(3, 9)},

		{name: "retention passed the position", at: Position{Offsets: ofT(3)}, b: bounds([2]int64{5, 10}), start: ofT(3), end: ofT(10),
			loss: "partition t-0 begins at offset 5, and the query was at 3", gaps: []stream.Gap{{TopicPartition: tp(0), From: 3, To: 5}}},
		{name: "retention passed it and took all", at: Position{Offsets: ofT(3)}, b: bounds([2]int64{10, 10}), start: ofT(3), end: ofT(10),
			loss: "partition t-0 begins at offset 10", gaps: []stream.Gap{{TopicPartition: tp(0), From: 3, To: 10}}},
		{name: "a log that was cut is waited for", at: Position{Offsets: ofT(30)}, b: bounds([2]int64{0, 10}), start: ofT(30),
			end: ofT(30), loss: "partition t-0 ends at offset 10, and the query was at 30"},
		{name: "a new partition that does not begin at 0", at: Position{Offsets: ofT(3)}, b: bounds([2]int64{0, 3}, [2]int64{4, 5}),
			start: ofT(3, 0), end: ofT(3, 5),
			loss: "partition t-1 is new and begins at offset 4", gaps: []stream.Gap{{TopicPartition: tp(1), From: 0, To: 4}}},
		{name: "a partition is gone", at: Position{Offsets: ofT(3, 4)}, b: bounds([2]int64{0, 10}), start: ofT(3), end: ofT(10),
			landed: stream.Offsets{"t": {1: 4}}, loss: "partition t-1 is gone; the query was at offset 4"},
		{name: "a topic is taken out", at: Position{Offsets: stream.Offsets{"t": {0: 3}, "u": {0: 9}}}, b: bounds([2]int64{0, 10}),
			start: ofT(3), end: ofT(10), landed: stream.Offsets{"u": {0: 9}},
			loss: `topic u was deleted or taken out of the subscription; the query was at {"u":{"0":9}}`},
		{name: "a topic made again with fewer records", at: Position{Offsets: ofT(30, 30), TopicIDs: known},
			b: withID(bounds([2]int64{0, 5}), "N"), start: ofT(0), end: ofT(5),
			loss: "topic t was deleted and made again: its id was T and is N"},
		{name: "a topic made again with more records", at: Position{Offsets: ofT(30), TopicIDs: known},
			b: withID(bounds([2]int64{2, 500}), "N"), start: ofT(2), end: ofT(500), loss: "made again"},
		{name: "a topic made again with fewer partitions: those of the old one are no more", at: Position{Offsets: ofT(30, 40), TopicIDs: known},
			b: withID(bounds([2]int64{0, 5}), "N"), start: ofT(0), end: ofT(5), loss: "made again"},
		{name: "a topic made again, and still empty", at: Position{Offsets: ofT(30), TopicIDs: known}, b: withID(bounds([2]int64{0, 0}), "N"),
			start: ofT(0), end: ofT(0), loss: "made again"},
		{name: "a topic made again that AvailableNow does not read: it is remembered as it was", at: Position{Offsets: ofT(30), TopicIDs: known},
			b: withID(bounds([2]int64{0, 5}), "N"), r: Rules{Target: stream.Offsets{}}, start: stream.Offsets{}, end: stream.Offsets{},
			landed: ofT(30), ids: known, loss: "made again"},
		{name: "the same id", at: Position{Offsets: ofT(30), TopicIDs: known}, b: bounds([2]int64{0, 31}), start: ofT(30), end: ofT(31)},
		{name: "a broker without ids", at: Position{Offsets: ofT(30), TopicIDs: known}, b: withID(bounds([2]int64{0, 31}), ""),
			start: ofT(30), end: ofT(31)},

		// The sizes of KafkaMicroBatchSourceSuite's test of maxOffsetsPerTrigger, with its results.
		{name: "prorated: 8 + 1 + 1", at: Position{Offsets: ofT(0, 0, 0)}, b: bounds([2]int64{0, 101}, [2]int64{0, 11}, [2]int64{0, 1}),
			r: Rules{MaxOffsetsPerTrigger: 10}, start: ofT(0, 0, 0), end: ofT(8, 1, 1)},
		{name: "then 9 + 1", at: Position{Offsets: ofT(8, 1, 1)}, b: bounds([2]int64{0, 101}, [2]int64{0, 11}, [2]int64{0, 1}),
			r: Rules{MaxOffsetsPerTrigger: 10}, start: ofT(8, 1, 1), end: ofT(17, 2, 1)},
		{name: "then 9 + 1 again", at: Position{Offsets: ofT(17, 2, 1)}, b: bounds([2]int64{0, 101}, [2]int64{0, 11}, [2]int64{0, 1}),
			r: Rules{MaxOffsetsPerTrigger: 10}, start: ofT(17, 2, 1), end: ofT(26, 3, 1)},
		{name: "every lagging partition gets one", at: Position{Offsets: ofT(0, 0, 0)},
			b: bounds([2]int64{0, 9}, [2]int64{0, 9}, [2]int64{0, 9}), r: Rules{MaxOffsetsPerTrigger: 1}, start: ofT(0, 0, 0), end: ofT(1, 1, 1)},
		{name: "a bound beyond what there is", at: Position{Offsets: ofT(0, 0)}, b: bounds([2]int64{0, 9}, [2]int64{0, 3}),
			r: Rules{MaxOffsetsPerTrigger: 1 << 62}, start: ofT(0, 0), end: ofT(9, 3)},
		{name: "a gap is passed at once and does not count", at: Position{Offsets: ofT(0)}, b: bounds([2]int64{1000, 1100}),
			r: Rules{MaxOffsetsPerTrigger: 10}, start: ofT(0), end: ofT(1010),
			loss: "begins at offset 1000", gaps: []stream.Gap{{TopicPartition: tp(0), From: 0, To: 1000}}},

		{name: "AvailableNow ends at its target", at: Position{Offsets: ofT(3)}, b: bounds([2]int64{0, 100}), r: Rules{Target: ofT(10)},
			start: ofT(3), end: ofT(10)},
		{name: "and does not read later partitions", at: Position{Offsets: ofT(10)}, b: bounds([2]int64{0, 100}, [2]int64{0, 9}),
			r: Rules{Target: ofT(10)}, start: ofT(10), end: ofT(10)},
		{name: "its bound is of what is left to the target", at: Position{Offsets: ofT(0, 0)},
			b: bounds([2]int64{0, 100}, [2]int64{0, 1000}),
			r: Rules{Target: ofT(10, 10), MaxOffsetsPerTrigger: 10}, start: ofT(0, 0), end: ofT(5, 5)},
		{name: "a partition of the target is gone", at: Position{Offsets: ofT(3, 0)}, b: bounds([2]int64{0, 100}),
			r: Rules{Target: ofT(10, 5)}, loss: "partition t-1 is gone before it was read up to offset 5", always: true},
		{name: "a log that was cut after it was read up to the target is waited for", at: Position{Offsets: ofT(10)},
			b: bounds([2]int64{0, 7}), r: Rules{Target: ofT(10)}, start: ofT(10), end: ofT(10), loss: "ends at offset 7, and the query was"},
		{name: "a partition ends before the target", at: Position{Offsets: ofT(3)}, b: bounds([2]int64{0, 7}),
			r: Rules{Target: ofT(10)}, loss: "ends at offset 7 before it was read up to 10", always: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, fail := range []bool{true, false} {
				tt.r.FailOnDataLoss = fail
				p, err := Plan(tt.at, tt.b, tt.r)
				if tt.loss != "" && (fail || tt.always) {
					var loss *stream.DataLossError
					if !errors.As(err, &loss) || !strings.Contains(loss.Reason, tt.loss) {
						t.Fatalf("got %v, want %q", err, tt.loss)
					}
					if d := cmp.Diff(tt.gaps, loss.Gaps); d != "" && !tt.always {
						t.Error(d)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if !p.Start.Equal(tt.start) || !p.End.Equal(tt.end) {
					t.Errorf("got %v to %v, want %v to %v", p.Start, p.End, tt.start, tt.end)
				}
				want := tt.loss
				if len(tt.gaps) > 0 { // the source tells of it
					want = ""
				}
				if text := strings.Join(p.Losses, "\n"); (want == "") != (text == "") || !strings.Contains(text, want) {
					t.Errorf("got losses %q, want %q", text, want)
				}
				ids := tt.ids
				if ids == nil {
					ids = tt.b.TopicIDs
				}
				if p.TopicIDs["t"] != ids["t"] || len(tt.ids) > 0 && !maps.Equal(p.TopicIDs, ids) {
					t.Errorf("got topic ids %v, want %v", p.TopicIDs, ids)
				}
				if !p.Landed.Equal(tt.landed) {
					t.Errorf("got landed %v, want %v", p.Landed, tt.landed)
				}
				if p.Empty() != tt.start.Equal(tt.end) {
					t.Errorf("empty is %v", p.Empty())
				}
			}
		})
	}
}

func tp(n int32) stream.TopicPartition { return stream.TopicPartition{Topic: "t", Partition: n} }

func TestResume(t *testing.T) {
	tests := []struct {
		name        string
		end         stream.Offsets
		at          Position
		b           stream.Bounds
		start, ends stream.Offsets
		loss        string
	}{
		{"as it was planned", ofT(10, 10), Position{Offsets: ofT(3, 4)}, bounds([2]int64{0, 50}, [2]int64{0, 50}), ofT(3, 4), ofT(10, 10), ""},
		{"a partition that was new in it", ofT(10, 10), Position{Offsets: ofT(3)}, bounds([2]int64{0, 50}, [2]int64{0, 50}), ofT(3, 0),
			ofT(10, 10), ""},
		{"a topic that was new in it", stream.Offsets{"t": {0: 9}}, Position{Offsets: stream.Offsets{"u": {0: 1}}},
			bounds([2]int64{4, 9}), ofT(4), ofT(9), ""},
		{"a partition that was left out of it", ofT(10), Position{Offsets: ofT(3, 4)}, bounds([2]int64{0, 50}), ofT(3), ofT(10), ""},
		{"a topic that is not read any more is finished", ofT(10), Position{Offsets: ofT(3)},
			stream.Bounds{First: stream.Offsets{"u": {0: 0}}, Next: stream.Offsets{"u": {0: 5}}}, ofT(3), ofT(10), ""},
		{"retention passed its start", ofT(10), Position{Offsets: ofT(3)}, bounds([2]int64{5, 50}), ofT(3), ofT(10), "begins at offset 5"},
		{"its end is not there any more", ofT(10), Position{Offsets: ofT(3)}, bounds([2]int64{0, 7}), ofT(3), ofT(10),
			"ends at offset 7, and the batch was planned up to 10"},
		{"the topic was made again", ofT(10), Position{Offsets: ofT(3), TopicIDs: map[string]string{"t": "O"}}, bounds([2]int64{1, 50}),
			ofT(1), ofT(10), "made again"},
		{"it was planned after the topic was made again", ofT(5), Position{Offsets: ofT(100), TopicIDs: map[string]string{"t": "O"}},
			bounds([2]int64{0, 5}), ofT(0), ofT(5), "made again"},
		{"the topic was made again and does not reach the end: it is the old one's", ofT(1000), Position{Offsets: ofT(900),
			TopicIDs: map[string]string{"t": "O"}}, bounds([2]int64{0, 10}), ofT(900), ofT(1000), "of partition t-0 the offsets 900 to 999 are lost"},
		{"one partition does not reach its end: no end is the new one's", ofT(10, 1000), Position{Offsets: ofT(3, 900),
			TopicIDs: map[string]string{"t": "O"}}, bounds([2]int64{0, 50}, [2]int64{0, 10}), ofT(3, 900), ofT(10, 1000), "made again"},
		{"one partition is not there any more", ofT(10, 7), Position{Offsets: ofT(3), TopicIDs: map[string]string{"t": "O"}},
			bounds([2]int64{0, 50}), ofT(3, 7), ofT(10, 7), "made again"},
		{"planned after the topic was made again, and cut since", ofT(5), Position{Offsets: ofT(100), TopicIDs: map[string]string{"t": "O"}},
			bounds([2]int64{0, 4}), ofT(5), ofT(5), "made again"},
		{"Spark had moved back", ofT(5), Position{Offsets: ofT(100)}, bounds([2]int64{0, 500}), ofT(5), ofT(5), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Resume(tt.end, tt.at, tt.b, false)
			if err != nil || !p.Start.Equal(tt.start) || !p.End.Equal(tt.ends) {
				t.Errorf("got %v to %v, %v", p.Start, p.End, err)
			}
			_, err = Resume(tt.end, tt.at, tt.b, true)
			if (err != nil) != (tt.loss != "") || err != nil && (!errors.As(err, new(*stream.DataLossError)) || !strings.Contains(err.Error(), tt.loss)) {
				t.Errorf("failOnDataLoss: got %v, want %q", err, tt.loss)
			}
		})
	}
}

// A topic is made again while a batch is pending. Whatever offsets it has by then, all of it is read, by the batch or by those after it.
func TestATopicMadeAgainUnderAPendingBatchIsReadWhole(t *testing.T) {
	for _, next := range []int64{0, 10, 899, 900, 999, 1000, 1001, 1500} {
		b := bounds([2]int64{0, next})
		p, err := Resume(ofT(1000), Position{Offsets: ofT(900), TopicIDs: map[string]string{"t": "O"}}, b, false)
		if err != nil {
			t.Fatal(err)
		}
		begun := p.TopicIDs["t"] == "T"
		if begun && !p.Start.Equal(ofT(0)) || !begun && !p.Start.Equal(ofT(900)) || begun != (next >= 1000) {
			t.Errorf("next %d: the batch reads %v to %v of %v", next, p.Start, p.End, p.TopicIDs)
		}
		b.Next = ofT(1500)
		at := Position{Offsets: p.End, Landed: p.Landed, TopicIDs: p.TopicIDs}
		after, err := Plan(at, b, Rules{Target: targetOf(at, b)})
		if err != nil {
			t.Fatal(err)
		}
		if want := map[bool]stream.Offsets{true: ofT(1000), false: ofT(0)}[begun]; !after.Start.Equal(want) || !after.End.Equal(ofT(1500)) ||
			after.TopicIDs["t"] != "T" {
			t.Errorf("next %d: the batch after it reads %v to %v of %v", next, after.Start, after.End, after.TopicIDs)
		}
	}
}

func TestAvailableNowReadsATopicMadeAgain(t *testing.T) {
	at, b := Position{Offsets: ofT(30, 7), TopicIDs: map[string]string{"t": "O"}}, bounds([2]int64{0, 5}, [2]int64{0, 9})
	p, err := Plan(at, b, Rules{Target: targetOf(at, b)})
	if err != nil || !p.Start.Equal(ofT(0, 0)) || !p.End.Equal(ofT(5, 9)) {
		t.Errorf("got %v to %v, %v", p.Start, p.End, err)
	}
}

// Batches of any bounds, planned one after the other over a growing topic, are contiguous, and read all that there is in the end.
func TestPlansAreContiguousAndReachTheEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := bounds()
		for p := range rapid.Int32Range(1, 5).Draw(t, "partitions") {
			b.First.Set("t", p, 0)
			b.Next.Set("t", p, rapid.Int64Range(0, 300).Draw(t, "next"))
		}
		at := Position{Offsets: stream.Offsets{}, TopicIDs: b.TopicIDs}
		for p := range b.Next["t"] {
			at.Offsets.Set("t", p, 0)
		}
		most := rapid.Int64Range(1, 50).Draw(t, "most")
		for range 1000 {
			p, err := Plan(at, b, Rules{MaxOffsetsPerTrigger: most, FailOnDataLoss: true})
			if err != nil {
				t.Fatal(err)
			}
			if p.Empty() {
				break
			}
			var sum int64
			for part, end := range p.End.All() {
				start, ok := p.Start.Get(part.Topic, part.Partition)
				was, known := at.Offsets.Get(part.Topic, part.Partition)
				next, _ := b.Next.Get(part.Topic, part.Partition)
				if !ok || known && start != was || !known && start != 0 || end < start || end > next || start < next && end == start {
					t.Fatalf("%v: %d to %d, was at %d, next %d", part, start, end, was, next)
				}
				sum += end - start
			}
			if sum > most+int64(len(p.End["t"])) {
				t.Fatalf("%d offsets, at most %d wanted", sum, most)
			}
			at.Offsets = p.End
			if rapid.Bool().Draw(t, "grows") && len(b.Next["t"]) < 8 {
				p := int32(len(b.Next["t"]))
				b.First.Set("t", p, 0)
				b.Next.Set("t", p, rapid.Int64Range(0, 50).Draw(t, "of a new partition"))
			}
		}
		if lag(at.Offsets, b.Next) != 0 {
			t.Fatalf("got %v, want %v", at.Offsets, b.Next)
		}
	})
}
