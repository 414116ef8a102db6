package microbatch

import (
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

func TestOnlyAWholeBatchIsCommitted(t *testing.T) {
	part := func(p int32, start, end int64) stream.Range {
		return stream.Range{TopicPartition: tp(p), Start: start, End: end}
	}
	b := stream.Batch{ID: 7, Start: ofT(10, 0, 5), End: ofT(20, 3, 5)}
	tests := []struct {
		name  string
		parts []stream.Range
		text  string
	}{
		{"whole, in any order", []stream.Range{part(0, 15, 20), part(1, 0, 3), part(0, 10, 15)}, ""},
		{"nothing was read", nil, "partition t-0: it ends at offset 20, but was read up to 10"},
		{"the begin is missing", []stream.Range{part(0, 11, 20), part(1, 0, 3)}, "offset 10 comes next, but 11 to 20 were read"},
		{"the end is missing", []stream.Range{part(0, 10, 19), part(1, 0, 3)}, "it ends at offset 20, but was read up to 19"},
		{"a hole, and as much twice", []stream.Range{part(0, 10, 14), part(0, 10, 14), part(0, 18, 20), part(1, 0, 3)}, "14 comes next, but 10 to 14"},
		{"beyond the end", []stream.Range{part(0, 10, 21), part(1, 0, 3)}, "it ends at offset 20, but was read up to 21"},
		{"of another partition", []stream.Range{part(0, 10, 20), part(1, 0, 3), part(3, 0, 1)}, "partition t-3"},
		{"of one that did not move", []stream.Range{part(0, 10, 20), part(1, 0, 3), part(2, 5, 6)}, "partition t-2"},
	}
	for _, tt := range tests {
		err := checkCovered(b, tt.parts)
		if (err == nil) != (tt.text == "") {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.text)
		}
		if ps := problem.Of(err); err != nil && (len(ps) != 1 || ps[0].Code != problem.CountMismatch || !strings.Contains(err.Error(), tt.text)) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.text)
		}
	}
}
