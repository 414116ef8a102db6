package main

import (
	"context"

	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/registry"
	"github.com/siltlake/silt/internal/term"
)

type registrySubjectsCmd struct {
	clusterFlags
	Deleted bool `help:"List subjects that are softly deleted too."`
	outputFlag
}

// Run lists the subjects, a line each.
func (c *registrySubjectsCmd) Run(a *app) error {
	return c.withRegistry(a, func(ctx context.Context, r *registry.Client, _ *config.Pipeline) error {
		names, err := r.Subjects(ctx, c.Deleted)
		if err != nil {
			return err
		}
		if c.Output.Machine() {
			return term.WriteList(a.out, c.Output, names)
		}
		if len(names) == 0 {
			a.say("no subjects; silt registry register -f FILE makes one")
		}
		table := term.NewTable(term.Column{Name: "subject"})
		for _, n := range names {
			table.Row(n)
		}
		return table.Write(a.out, "")
	})
}
