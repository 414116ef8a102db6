package silt

import (
	"context"
	"log/slog"

	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/delta"
	"github.com/siltlake/silt/internal/kafka"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/verify"
)

// VerifyOptions say how deep Verify looks.
type VerifyOptions struct {
	Scan bool // read topic, partition and offset of every row
	// Pipeline names the topic to compare with; nil: only the table is read.
	Pipeline *config.Pipeline
	Progress func(done, of int) // files read; may be nil
	Log      *slog.Logger       // may be nil
}

// Verify verifies the table in a local folder. The error is of reading; the Result's Err says what is wrong with the table.
func Verify(ctx context.Context, dir string, o VerifyOptions) (verify.Result, error) {
	log, err := openLog(dir, o.Log)
	if err != nil {
		return verify.Result{}, err
	}
	vo := verify.Options{Scan: o.Scan, Progress: o.Progress}
	if p := o.Pipeline; p != nil {
		s, err := parse(p)
		if err != nil {
			return verify.Result{}, err
		}
		client, err := kafka.Connect(ctx, s.kafka, o.Log)
		if err != nil {
			return verify.Result{}, err
		}
		defer client.Close()
		vo.Source = kafka.NewSource(client, kafka.SourceConfig{})
	}
	return verify.Table(ctx, log, vo)
}

// History returns at most limit of the newest commits of the table in a local folder, the newest first; limit 0 is all.
func History(ctx context.Context, dir string, limit int) ([]*delta.Commit, error) {
	log, err := openLog(dir, nil)
	if err != nil {
		return nil, err
	}
	s, err := log.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if !s.Exists() {
		return nil, problem.New(problem.NoTable, "%s holds no Delta table", dir).At(problem.File(dir)).
			Fix("name the table's folder: the one with _delta_log in it")
	}
	var out []*delta.Commit
	for c, err := range log.History(ctx, s.Version()) {
		if err != nil {
			return nil, err
		}
		if out = append(out, c); len(out) == limit {
			break
		}
	}
	return out, nil
}

func openLog(dir string, log *slog.Logger) (*delta.Log, error) {
	s, err := store.NewLocal(dir)
	if err != nil {
		return nil, problem.New(problem.NoTable, "%s: %w", dir, err).At(problem.File(dir)).Fix("name the table's folder")
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return delta.Open(s, delta.Options{Log: log}), nil
}
