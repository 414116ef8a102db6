package microbatch

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// checkCounts refuses to commit what does not add up: every record that was served is a row or rejected.
func checkCounts(b stream.Batch, r stream.Report) error {
	for tp, p := range r.Partitions {
		var rejected int64
		for _, n := range p.Rejected {
			rejected += n
		}
		if p.Served != p.Rows+rejected {
			return problem.New(problem.CountMismatch,
				"batch %d, partition %v: %d records were served, but %d rows and %d rejected records were counted",
				b.ID, tp, p.Served, p.Rows, rejected).Fix("report this; nothing was committed")
		}
	}
	return nil
}

// checkCovered refuses to commit what is not the batch: the chunks that were read to their end, and the gaps, are its ranges, without a hole
// and without an offset twice. It sorts parts.
func checkCovered(b stream.Batch, parts []stream.Range) error {
	at := map[stream.TopicPartition]int64{}
	for _, r := range b.Ranges() {
		at[r.TopicPartition] = r.Start
	}
	slices.SortFunc(parts, func(x, y stream.Range) int {
		return cmp.Or(cmp.Compare(x.Topic, y.Topic), cmp.Compare(x.Partition, y.Partition), cmp.Compare(x.Start, y.Start))
	})
	mismatch := func(tp stream.TopicPartition, format string, args ...any) error {
		return problem.New(problem.CountMismatch, "batch %d, partition %v: %s", b.ID, tp, fmt.Sprintf(format, args...)).
			Fix("report this; nothing was committed")
	}
	for _, part := range parts {
		if next, ok := at[part.TopicPartition]; !ok || part.Start != next {
			return mismatch(part.TopicPartition, "offset %d comes next, but %d to %d were read", next, part.Start, part.End)
		}
		at[part.TopicPartition] = part.End
	}
	for _, r := range b.Ranges() {
		if at[r.TopicPartition] != r.End {
			return mismatch(r.TopicPartition, "it ends at offset %d, but was read up to %d", r.End, at[r.TopicPartition])
		}
	}
	return nil
}
