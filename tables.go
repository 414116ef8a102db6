package silt

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/delta"
	"github.com/siltlake/silt/internal/kafka"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
	"github.com/siltlake/silt/internal/verify"
)

// TableOptions say how the store of a table is reached.
type TableOptions struct {
	// Pipeline has the store's options; nil: there are none, and the environment's standard variables hold the credentials.
	Pipeline *config.Pipeline
	// Env looks up an environment variable, and Secrets is told the secrets of the environment, where there is no Pipeline; nil is
	// os.LookupEnv, and nobody.
	Env     func(name string) (string, bool)
	Secrets *secret.Scrubber
	Log     *slog.Logger // may be nil
}

// VerifyOptions say how deep Verify looks. With a Pipeline it compares with the topic, too.
type VerifyOptions struct {
	TableOptions
	Scan     bool               // read topic, partition and offset of every row
	Progress func(done, of int) // files read; may be nil
}

// Verify verifies the table of a path. The error is of reading; the Result's Err says what is wrong with the table.
func Verify(ctx context.Context, path config.Path, o VerifyOptions) (verify.Result, error) {
	var s sections
	var err error
	if o.Pipeline == nil {
		s.storage, err = o.parse(path)
	} else {
		s, err = parseWith(o.Pipeline, path)
	}
	if err != nil {
		return verify.Result{}, err
	}
	vo := verify.Options{Scan: o.Scan, Progress: o.Progress}
	if o.Pipeline != nil {
		client, err := kafka.Connect(ctx, s.kafka, o.Log)
		if err != nil {
			return verify.Result{}, err
		}
		defer client.Close()
		vo.Source = kafka.NewSource(client, kafka.SourceConfig{})
	}
	log, err := s.storage.openLog(ctx, o.Log)
	if err != nil {
		return verify.Result{}, err
	}
	return verify.Table(ctx, log, vo)
}

// History returns at most limit of the newest commits of the table of a path, the newest first; limit 0 is all.
func History(ctx context.Context, path config.Path, limit int, o TableOptions) ([]*delta.Commit, error) {
	storage, err := o.parse(path)
	if err != nil {
		return nil, err
	}
	log, err := storage.openLog(ctx, o.Log)
	if err != nil {
		return nil, err
	}
	s, err := log.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if !s.Exists() {
		return nil, problem.New(problem.NoTable, "%s holds no Delta table", path).At(problem.File(path.Text)).
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

// parse finds out where the table is, and reads the options of its store.
func (o TableOptions) parse(table config.Path) (storage, error) {
	p := cmp.Or(o.Pipeline, &config.Pipeline{Env: o.Env, Secrets: o.Secrets})
	s, problems := parseStorage(p, table)
	return s, p.Err(problems)
}

// openLog opens the log of the table that a command names.
func (s storage) openLog(ctx context.Context, log *slog.Logger) (*delta.Log, error) {
	log = cmp.Or(log, slog.New(slog.DiscardHandler))
	path := s.other.path
	opened, err := s.open(ctx, s.other, log)
	if err != nil && s.other.place.Cloud == 0 {
		return nil, problem.New(problem.NoTable, "%s: %w", path, err).At(problem.File(path.Text)).Fix("name the table's folder")
	}
	if err != nil {
		return nil, err
	}
	return delta.Open(opened, delta.Options{Log: log}), nil
}
