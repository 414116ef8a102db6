package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/registry"
	"github.com/siltlake/silt/internal/term"
)

type registryDeleteCmd struct {
	clusterFlags
	Subject   string `arg:"" help:"The subject."`
	Version   string `arg:"" optional:"" help:"Delete this version only: a number, or latest."`
	Permanent bool   `help:"Remove it for good: records that were written with it cannot be decoded any more."`
	Yes       string `short:"y" placeholder:"NAME" help:"The subject's name once more; without it silt asks on a terminal."`
	dryRunFlag
	outputFlag
}

// Validate is called by kong after the flags were read.
func (c *registryDeleteCmd) Validate() error {
	if c.Version == "" {
		return nil
	}
	return parseVersion(c.Version)
}

// A deletedSubject is what programs read of a deletion.
type deletedSubject struct {
	Subject   string `json:"subject"`
	Versions  []int  `json:"versions"`
	Permanent bool   `json:"permanent"`
	DryRun    bool   `json:"dryRun"`
}

// Run deletes after a confirmation.
func (c *registryDeleteCmd) Run(a *app) error {
	return c.withRegistry(a, func(ctx context.Context, r *registry.Client, _ *config.Pipeline) error {
		versions, err := c.meant(ctx, r)
		if err != nil {
			return err
		}
		out := deletedSubject{Subject: c.Subject, Versions: versions, Permanent: c.Permanent, DryRun: c.DryRun}
		what := fmt.Sprintf("%s of subject %s", versionsText(versions), c.Subject)
		if c.DryRun {
			return a.result(c.Output, out, "silt would delete %s%s", what, c.how())
		}
		if c.Yes == "" {
			a.say("about to delete %s%s", what, c.how())
		}
		if err := a.confirm("subject", c.Subject, c.Yes); err != nil {
			return err
		}
		version := c.Version
		if version != "" { // latest is another one once the first is softly deleted
			version = strconv.Itoa(versions[0])
		}
		if out.Versions, err = r.Delete(ctx, c.Subject, version, c.Permanent); err != nil {
			return err
		}
		return a.result(c.Output, out, "deleted %s of subject %s%s", versionsText(out.Versions), c.Subject, c.how())
	})
}

// meant are the versions that the command is about.
func (c *registryDeleteCmd) meant(ctx context.Context, r *registry.Client) ([]int, error) {
	if c.Version == "" {
		return r.Versions(ctx, c.Subject, c.Permanent)
	}
	v, err := r.Version(ctx, c.Subject, c.Version, c.Permanent)
	return []int{v.Version}, err
}

func (c *registryDeleteCmd) how() string {
	if c.Permanent {
		return ", for good"
	}
	return "; its schemas can still be read by id"
}

func versionsText(numbers []int) string {
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = fmt.Sprint(n)
	}
	if len(numbers) == 1 {
		return "version " + texts[0]
	}
	return term.Plural(int64(len(numbers)), "version") + " (" + strings.Join(texts, ", ") + ")"
}
