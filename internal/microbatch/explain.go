package microbatch

import (
	"errors"
	"fmt"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// explain makes an error of a batch what people read. What is a problem already stays as it is.
func explain(err error, b stream.Batch) error {
	var loss *stream.DataLossError
	switch {
	case len(problem.Of(err)) > 0:
		return err
	case errors.As(err, &loss):
		return dataLoss(loss)
	case errors.Is(err, stream.ErrFenced):
		p := problem.New(problem.Fenced, "another run of the query has committed batch %d", b.ID).Because(err)
		return p.Fix("stop the other run; then start again")
	case errors.Is(err, stream.ErrDiverged):
		p := problem.New(problem.Diverged, "the table holds batch %d already, and the checkpoint says that it is not committed", b.ID)
		return p.Because(err).Fix("look for another run of the query; then start again")
	case errors.Is(err, stream.ErrSchemaMoved):
		p := problem.New(problem.StoreFailed, "the table's schema changed under batch %d again and again", b.ID).Because(err)
		p.Retryable = true
		return p.Fix("look for another writer that changes the table's schema")
	}
	return fmt.Errorf("batch %d: %w", b.ID, err)
}

func dataLoss(e *stream.DataLossError) *problem.Problem {
	p := problem.New(problem.DataLoss, "%s", e.Reason)
	p.Err = e
	if len(e.Gaps) > 0 {
		p.Where = problem.Record(e.Gaps[0].Topic, e.Gaps[0].Partition, e.Gaps[0].From)
	}
	p.Why = "retention removed the records before they were read, or the topic was cut, deleted or made again"
	return p.Fix("to go on without them, set failOnDataLoss: false; the gap is recorded in the table")
}
