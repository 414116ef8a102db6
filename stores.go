package silt

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/siltlake/silt/internal/cloud"
	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
)

// Load reads a pipeline file, as config.Load does, with what the clouds know of their options, and with the scopes of secrets if o has none.
func Load(file string, o config.Options, s ScopeOptions) (*config.Pipeline, error) {
	o.Storage = cloud.Sensitive
	if o.Scopes == nil {
		o = withScopes(o, s)
	}
	return config.Load(file, o)
}

// A folder is where a table or a checkpoint is: a local directory, or a place in an object store.
type folder struct {
	path  config.Path
	place cloud.Place // its zero value: the path is local
}

// storage is where the table and the checkpoint of a pipeline are, and another table that a command names, and the options of the stores
// there.
type storage struct {
	table, checkpoint, other folder
	options                  cloud.Options
	env                      cloud.Env
	ready                    *readiness // is told when a store stops answering; nil: nobody is
}

// parseStorage reads the paths of a pipeline, that of another table (its zero value: there is none), and the options of the stores that they
// are in.
func parseStorage(p *config.Pipeline, other config.Path) (s storage, problems []*problem.Problem) {
	s = storage{table: folder{path: p.Table}, checkpoint: folder{path: p.Checkpoint}, other: folder{path: other},
		env: cloud.Env{Getenv: p.Env, Secrets: p.Secrets}}
	var places []cloud.Place
	for _, f := range []*folder{&s.table, &s.checkpoint, &s.other} {
		if q := f.locate(); q != nil {
			problems = append(problems, q)
		} else if f.place.Cloud != 0 {
			places = append(places, f.place)
		}
	}
	for _, m := range p.Paths {
		mounted := folder{path: config.Path{Text: m.To, URL: m.URL(), Pos: m.Pos}}
		if q := mounted.locate(); q != nil {
			problems = append(problems, q)
		}
	}
	var more []*problem.Problem
	s.options, more = cloud.ParseOptions(p.Storage, s.env, places...)
	refused := p.File != "" && (p.Table.IsZero() || p.Checkpoint.IsZero()) // config has reported it
	if len(problems) > 0 || refused {
		// What the options are for is not known: only that there is none of the name is.
		more = slices.DeleteFunc(more, func(q *problem.Problem) bool { return q.Code != problem.UnknownOption })
	} else if q := config.Apart(p.Table, p.Checkpoint, s.inside); q != nil {
		problems = append(problems, q)
	}
	return s, append(problems, more...)
}

// locate finds the place of a path that is a URL.
func (f *folder) locate() (q *problem.Problem) {
	if f.path.URL == "" {
		return nil
	}
	if f.place, q = cloud.ParsePlace(f.path.URL); q != nil {
		if f.path.Pos.File == "" { // of the command line
			return q.At(problem.File(f.place.Text))
		}
		return q.At(f.path.Pos)
	}
	f.place.Text = f.path.Text
	return nil
}

// uploadMemory is what the table's store holds of a file that is written, in bytes.
func (s storage) uploadMemory() int64 {
	if s.table.place.Cloud == 0 {
		return 0
	}
	return cloud.UploadMemory
}

// inside is that of config.Apart for paths in object stores.
func (s storage) inside(p, root config.Path) (rel string, ok bool) {
	of := map[config.Path]cloud.Place{s.table.path: s.table.place, s.checkpoint.path: s.checkpoint.place}
	if of[p].Cloud == 0 {
		return "", false
	}
	return of[p].Inside(of[root])
}

// onState tells of a folder's store whether it answers.
func (s storage) onState(f folder) func(ready bool, why string) {
	if s.ready == nil {
		return nil
	}
	return func(ready bool, why string) { s.ready.set("the store of "+f.path.String(), ready, why) }
}

// open opens the store of a folder. It writes nothing.
func (s storage) open(ctx context.Context, f folder, log *slog.Logger) (store.Store, error) {
	if f.place.Cloud == 0 {
		return store.NewLocal(f.path.Dir)
	}
	env := s.env
	env.Log = log
	opened, err := cloud.Open(ctx, f.place, s.options, env, s.onState(f))
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// probeTime bounds the look at a store at the start.
const probeTime = 30 * time.Second

// writable opens the stores of the table and of the checkpoint after a look whether they can be written, and whether they are safe: whether
// of two puts of one object one is refused. Nothing stays of that but, where the right to delete is missing, a hidden object; log says so.
func (s storage) writable(ctx context.Context, log *slog.Logger) (table, checkpoint store.Store, err error) {
	kept := false
	look := func(f folder, below, option string) (store.Store, error) {
		if f.place.Cloud == 0 {
			return openLocal(f.path, option)
		}
		opened, err := s.open(ctx, f, log)
		if err != nil {
			return nil, err
		}
		stays, err := probe(ctx, opened, below)
		kept = kept || stays
		return opened, err
	}
	if table, err = look(s.table, "_delta_log/", "sink.delta.path"); err != nil {
		return nil, nil, err
	}
	if checkpoint, err = look(s.checkpoint, "", "checkpointLocation"); err != nil {
		return nil, nil, err
	}
	if kept {
		log.Warn("the credentials lack the right to delete: each start leaves a small hidden object, .silt-probe-*, and so do old entries of the checkpoint",
			"table", s.table.path, "checkpoint", s.checkpoint.path)
	}
	return table, checkpoint, nil
}

// probe is store.Probe, bounded in time.
func probe(ctx context.Context, s store.Store, folder string) (kept bool, err error) {
	bounded, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	kept, err = store.Probe(bounded, s, folder, uuid.NewString())
	if err == nil || ctx.Err() != nil || len(problem.Of(err)) > 0 {
		return kept, err
	}
	p := problem.New(problem.StoreFailed, "the store of %s does not work", s.URL()).At(problem.File(s.URL())).Because(err)
	if bounded.Err() != nil {
		p.Message = fmt.Sprintf("the store of %s did not answer within %s", s.URL(), probeTime)
	}
	p.Retryable = true
	return kept, p.Fix("look whether it can be reached from here, and whether the endpoint is right")
}

// openLocal opens the store of a local directory; option names the path in messages.
func openLocal(path config.Path, option string) (store.Store, error) {
	refuse := func(format string, args ...any) *problem.Problem {
		return problem.New(problem.PathNotWritable, format, args...).At(problem.File(path.String()))
	}
	if err := store.Writable(path.Dir); err != nil {
		return nil, refuse("%s is %s, which cannot be written: %w", option, path, err).
			Fix("let the user that runs silt write there, or choose another %s", option)
	}
	s, err := store.NewLocal(path.Dir)
	if err != nil {
		return nil, refuse("%s is %s: %w", option, path, err).Fix("choose another %s", option)
	}
	return s, nil
}
