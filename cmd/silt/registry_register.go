package main

import (
	"context"

	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/registry"
)

type registryRegisterCmd struct {
	clusterFlags
	Subject string `arg:"" optional:"" help:"The subject; by default that of the values of the pipeline's topic."`
	schemaFlags
	dryRunFlag
	outputFlag
}

// Validate is called by kong after the flags were read.
func (c *registryRegisterCmd) Validate() error { return c.check() }

// A registered is what programs read of a registration.
type registered struct {
	schemaVersion
	New    bool `json:"new"` // false: an equal schema was there already
	DryRun bool `json:"dryRun"`
}

// Run registers the schema and prints its id.
func (c *registryRegisterCmd) Run(a *app) error {
	return c.withRegistry(a, func(ctx context.Context, r *registry.Client, p *config.Pipeline) error {
		subject, err := subjectOf(p, c.Subject)
		if err != nil {
			return err
		}
		s, err := c.schema(a)
		if err != nil {
			return err
		}
		out := registered{DryRun: c.DryRun}
		v, found, err := r.Find(ctx, subject, s)
		switch {
		case err != nil:
			return err
		case found:
			out.schemaVersion = versionJSON(v)
			return a.result(c.Output, out, "subject %s has the schema already: version %d, id %d", subject, v.Version, v.ID)
		case c.DryRun:
			return c.dryRun(ctx, a, r, subject, s)
		}
		if _, err := r.Register(ctx, subject, s); err != nil {
			return err
		}
		// The answer to a registration has the id only.
		if v, _, err = r.Find(ctx, subject, s); err != nil {
			return err
		}
		out.schemaVersion, out.New = versionJSON(v), true
		return a.result(c.Output, out, "registered version %d of subject %s with id %d", v.Version, subject, v.ID)
	})
}

// dryRun asks the registry whether it would take the schema.
func (c *registryRegisterCmd) dryRun(ctx context.Context, a *app, r *registry.Client, subject string, s registry.NewSchema) error {
	result, err := r.Check(ctx, subject, "", s)
	if err != nil {
		return err
	}
	if !result.Compatible {
		level, err := r.Level(ctx, subject)
		if err != nil {
			return err
		}
		return incompatible(subject, level, result.Messages)
	}
	v := schemaVersion{Subject: subject, Type: s.Type, Schema: s.Text, References: s.References}
	out := registered{schemaVersion: v, New: true, DryRun: true}
	return a.result(c.Output, out, "the registry would take the schema as a new version of subject %s", subject)
}
