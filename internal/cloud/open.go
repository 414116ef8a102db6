package cloud

import (
	"context"

	"github.com/siltlake/silt/internal/problem"
)

// Open returns the store of a place, by the options of the file and what the environment's standard variables say. It may ask a token
// service; the place itself is not asked for anything. onState is as a Store tells it; it may be nil.
func Open(ctx context.Context, p Place, o Options, env Env, onState func(ready bool, why string)) (*Store, error) {
	b, err := newBackend(ctx, p, o.given(p), env)
	if err != nil {
		return nil, err
	}
	return newStore(b, p, storeOptions{log: env.Log, now: env.Now, onState: onState}), nil
}

// newBackend is the list of the clouds.
func newBackend(ctx context.Context, p Place, g given, env Env) (backend, error) {
	switch p.Cloud {
	case Azure:
		c, problems := azureSettings(p, g, env)
		if len(problems) > 0 {
			return nil, problem.List(problems)
		}
		return newAzure(ctx, c, env)
	}
	return nil, problem.New(problem.Unsupported, "the store of %s is not supported yet", p.Text).At(problem.File(p.Text))
}
