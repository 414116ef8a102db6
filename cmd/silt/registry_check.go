package main

import (
	"context"
	"errors"
	"strings"

	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/registry"
	"github.com/siltlake/silt/internal/term"
)

type registryCheckCmd struct {
	clusterFlags
	Subject string `arg:"" optional:"" help:"The subject; by default that of the values of the pipeline's topic."`
	Version string `arg:"" optional:"" help:"Check against this version only, or latest; by default against those that the compatibility level names."`
	schemaFlags
	outputFlag
}

// Validate is called by kong after the flags were read.
func (c *registryCheckCmd) Validate() error {
	if c.Version != "" {
		if err := parseVersion(c.Version); err != nil {
			return err
		}
	}
	return c.check()
}

// Run prints what the registry says; a schema that is not compatible is an error.
func (c *registryCheckCmd) Run(a *app) error {
	return c.withRegistry(a, func(ctx context.Context, r *registry.Client, p *config.Pipeline) error {
		subject, err := subjectOf(p, c.Subject)
		if err != nil {
			return err
		}
		s, err := c.schema(a)
		if err != nil {
			return err
		}
		result, err := r.Check(ctx, subject, c.Version, s)
		if err != nil {
			return err
		}
		level, err := r.Level(ctx, subject)
		if err != nil {
			return err
		}
		if result.Messages == nil {
			result.Messages = []string{}
		}
		out := struct {
			Subject string `json:"subject"`
			Level   string `json:"compatibilityLevel"`
			registry.Compatibility
		}{subject, level, result}
		verdict := "compatible with subject %s (%s)"
		if !result.Compatible {
			verdict = "not " + verdict
		}
		if err := a.result(c.Output, out, verdict, subject, level); err != nil || result.Compatible {
			return err
		}
		return incompatible(subject, level, result.Messages)
	})
}

// incompatible is the problem of a schema that the registry would not take.
func incompatible(subject, level string, messages []string) error {
	p := problem.New(problem.IncompatibleSchema, "the schema is not compatible with subject %s, whose level is %s", subject, level).
		Fix("change the schema; silt registry diff %s -f FILE shows what differs", term.Clean(subject))
	if len(messages) > 0 {
		return p.Because(errors.New(strings.Join(messages, "\n")))
	}
	return p
}
