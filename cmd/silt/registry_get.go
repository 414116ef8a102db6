package main

import (
	"context"
	"io"
	"strings"

	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/registry"
	"github.com/siltlake/silt/internal/term"
)

type registryGetCmd struct {
	clusterFlags
	Subject string `arg:"" optional:"" help:"The subject; by default that of the values of the pipeline's topic."`
	Version string `arg:"" optional:"" default:"latest" help:"The version: a number, or latest (${default})."`
	ID      *int32 `placeholder:"N" help:"The schema of this id, of whatever subject."`
	Deleted bool   `help:"Take a version that is softly deleted too."`
	outputFlag
}

// Validate is called by kong after the flags were read.
func (c *registryGetCmd) Validate() error {
	switch {
	case c.ID != nil && (c.Subject != "" || c.Version != registry.Latest || c.Deleted):
		return problem.New(problem.Usage, "an id names a schema without a subject, a version or --deleted")
	case c.ID != nil && *c.ID < 0:
		return problem.New(problem.Usage, "--id is %d; want 0 or more", *c.ID)
	}
	return parseVersion(c.Version)
}

// Run prints the schema: its text for people, with everything around it for programs.
func (c *registryGetCmd) Run(a *app) error {
	return c.withRegistry(a, func(ctx context.Context, r *registry.Client, p *config.Pipeline) error {
		var v registry.Version
		if c.ID != nil {
			s, err := r.ByID(ctx, *c.ID)
			if err != nil {
				return err
			}
			v = registry.Version{ID: s.ID, Type: s.Type, Text: s.Text}
		} else {
			subject, err := subjectOf(p, c.Subject)
			if err != nil {
				return err
			}
			if v, err = r.Version(ctx, subject, c.Version, c.Deleted); err != nil {
				return err
			}
			a.say("subject %s, version %d, id %d, %s", v.Subject, v.Version, v.ID, v.Type)
		}
		if len(v.References) > 0 {
			a.say("references: %s", referenceText(v.References))
		}
		if c.Output.Machine() {
			return term.WriteJSON(a.out, versionJSON(v))
		}
		var b strings.Builder
		for line := range strings.Lines(pretty(v.Text)) {
			b.WriteString(cleanLine(line) + "\n")
		}
		_, err := io.WriteString(a.out, b.String())
		return err
	})
}

// cleanLine is a line of a schema fit for a terminal, with its indentation.
func cleanLine(line string) string { return term.Clean(strings.TrimRight(line, "\r\n")) }
