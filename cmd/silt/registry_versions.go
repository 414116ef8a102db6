package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/registry"
	"github.com/siltlake/silt/internal/term"
)

type registryVersionsCmd struct {
	clusterFlags
	Subject string `arg:"" optional:"" help:"The subject; by default that of the values of the pipeline's topic."`
	Limit   int    `short:"n" name:"limit" default:"20" placeholder:"N" help:"At most so many versions, the newest (${default}); 0 is all."`
	Deleted bool   `help:"List versions that are softly deleted too."`
	outputFlag
}

// Validate is called by kong after the flags were read.
func (c *registryVersionsCmd) Validate() error { return checkLimit(c.Limit) }

// Run lists the versions, the oldest first.
func (c *registryVersionsCmd) Run(a *app) error {
	return c.withRegistry(a, func(ctx context.Context, r *registry.Client, p *config.Pipeline) error {
		subject, err := subjectOf(p, c.Subject)
		if err != nil {
			return err
		}
		numbers, err := r.Versions(ctx, subject, c.Deleted)
		if err != nil {
			return err
		}
		if c.Limit > 0 && len(numbers) > c.Limit {
			a.say("the newest %d of %d versions", c.Limit, len(numbers))
			numbers = numbers[len(numbers)-c.Limit:]
		}
		var list []schemaVersion
		for _, n := range numbers {
			v, err := r.Version(ctx, subject, strconv.Itoa(n), c.Deleted)
			if err != nil {
				return err
			}
			v.Text = ""
			list = append(list, versionJSON(v))
		}
		if c.Output.Machine() {
			return term.WriteList(a.out, c.Output, list)
		}
		level, err := r.Level(ctx, subject)
		if err != nil {
			return err
		}
		a.say("subject %s, compatibility %s", subject, level)
		table := term.NewTable(term.Column{Name: "version", Right: true}, term.Column{Name: "id", Right: true}, term.Column{Name: "type"},
			term.Column{Name: "references"})
		for _, v := range list {
			table.Row(fmt.Sprint(v.Version), fmt.Sprint(*v.ID), v.Type, referenceText(v.References))
		}
		return table.Write(a.out, "")
	})
}
