package microbatch

import (
	"strings"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

func TestParseTrigger(t *testing.T) {
	at := problem.Location{File: "p.yaml", Line: 3, Col: 1}
	v := func(key, text string) option.Value { return option.Value{Key: key, Text: text, Pos: at} }
	tests := []struct {
		name   string
		values []option.Value
		want   Trigger
		text   string
	}{
		{"none", nil, Trigger{}, ""},
		{"processingTime, as Spark writes it", []option.Value{v("processingTime", "10 seconds")}, Trigger{ProcessingTime, 10 * time.Second}, ""},
		{"processingTime of nothing", []option.Value{v("processingTime", "0 seconds")}, Trigger{Kind: ProcessingTime}, ""},
		{"availableNow", []option.Value{v("availableNow", "true")}, Trigger{Kind: AvailableNow}, ""},
		{"availableNow: false", []option.Value{v("availableNow", "false")}, Trigger{}, ""},
		{"both", []option.Value{v("processingTime", "1s"), v("availableNow", "true")}, Trigger{}, "exclude each other"},
		{"once", []option.Value{v("once", "true")}, Trigger{}, "once is not supported yet"},
		{"months have no length", []option.Value{v("processingTime", "1 month")}, Trigger{},
			`processingTime is "1 month"; want a duration of at least 0s, such as 10s or "10 seconds"`},
		{"a typo", []option.Value{v("processingTimes", "1s")}, Trigger{}, `did you mean "processingTime"?`},
	}
	for _, tt := range tests {
		got, ps := ParseTrigger(option.NewValues("trigger", at, tt.values...))
		if tt.text == "" {
			if len(ps) > 0 || got != tt.want {
				t.Errorf("%s: got %+v %v, want %+v", tt.name, got, ps, tt.want)
			}
			continue
		}
		if len(ps) != 1 || !strings.Contains(ps[0].Error(), tt.text) {
			t.Errorf("%s: got %v, want %q", tt.name, ps, tt.text)
		}
	}
}

func TestNextTrigger(t *testing.T) {
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	tests := []struct {
		name         string
		trigger      Trigger
		started, now int64
		ran          bool
		want         int64
	}{
		{"as data arrives: a second after the last batch began", Trigger{}, 100, 300, true, 1100},
		{"at once if the batch took longer", Trigger{}, 100, 1300, true, 1300},
		{"looking for data", Trigger{}, 100, 100, false, 200},
		{"at the multiples of the interval since 1970", Trigger{ProcessingTime, 10 * time.Second}, 12345, 13000, true, 20000},
		{"the same without data", Trigger{ProcessingTime, 10 * time.Second}, 12345, 12350, false, 20000},
		{"on a multiple: the next one", Trigger{ProcessingTime, 10 * time.Second}, 20000, 20001, true, 30000},
		{"an overrun starts at once, and missed ticks are not queued", Trigger{ProcessingTime, 10 * time.Second}, 12345, 47000, true, 47000},
		{"50 milliseconds", Trigger{ProcessingTime, 50 * time.Millisecond}, 1010, 1020, true, 1050},
		{"an interval of 0: at once", Trigger{Kind: ProcessingTime}, 100, 300, true, 300},
		{"and a short look for data", Trigger{Kind: ProcessingTime}, 100, 100, false, 110},
		{"available now: at once", Trigger{Kind: AvailableNow}, 100, 300, true, 300},
	}
	for _, tt := range tests {
		if got := tt.trigger.next(at(tt.started), at(tt.now), tt.ran); !got.Equal(at(tt.want)) {
			t.Errorf("%s: got %d, want %d", tt.name, got.UnixMilli(), tt.want)
		}
	}
	tr := Trigger{ProcessingTime, time.Second}
	if !tr.behind(at(0), at(1001)) || tr.behind(at(0), at(1000)) || (Trigger{}).behind(at(0), at(5000)) {
		t.Error("behind")
	}
}

func TestWhenTheNextBatchMayBeginAhead(t *testing.T) {
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	now := Trigger{Kind: AvailableNow}
	tests := []struct {
		name         string
		trigger      Trigger
		started, now int64
		end, target  stream.Offsets
		want         int64 // -1: never
	}{
		{"as data arrives: not before its second", Trigger{}, 100, 300, ofT(5), nil, 1100},
		{"at once if that has passed", Trigger{}, 100, 1300, ofT(5), nil, 1300},
		{"at the next tick", Trigger{ProcessingTime, 10 * time.Second}, 12345, 13000, ofT(5), nil, 20000},
		{"at once if that has passed", Trigger{ProcessingTime, 10 * time.Second}, 12345, 20001, ofT(5), nil, 20001},
		{"without a pause", Trigger{Kind: ProcessingTime}, 100, 300, ofT(5), nil, 300},
		{"available now, with more to read", now, 100, 300, ofT(5, 5), ofT(5, 6), 300},
		{"with a partition that was not read yet", now, 100, 300, ofT(5), ofT(5, 6), 300},
		{"with no more", now, 100, 300, ofT(5, 7), ofT(5, 6), -1},
		{"whose end is not known yet", now, 100, 300, ofT(5), nil, 300},
	}
	for _, tt := range tests {
		got, ok := tt.trigger.ahead(at(tt.started), at(tt.now), tt.end, tt.target)
		if ok != (tt.want >= 0) || ok && !got.Equal(at(tt.want)) {
			t.Errorf("%s: got %d %v, want %d", tt.name, got.UnixMilli(), ok, tt.want)
		}
	}
}
