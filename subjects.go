package silt

import (
	"log/slog"

	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/registry"
)

// Registry returns a client of the registry that a pipeline file names, whether or not the pipeline needs one. It does no I/O.
func Registry(p *config.Pipeline, log *slog.Logger) (*registry.Client, error) {
	s, err := parse(p)
	if err != nil {
		return nil, err
	}
	if len(s.registry.Endpoints) == 0 { // a file without the section, whose values need none
		o, problems := registry.ParseOptions(p.Registry, p.AllowInsecure)
		if err := p.Err(problems); err != nil {
			return nil, err
		}
		s.registry = o
	}
	return registry.New(s.registry, registry.Env{Log: log}), nil
}
