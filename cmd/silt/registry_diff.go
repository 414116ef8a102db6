package main

import (
	"context"
	"strconv"

	"github.com/siltlake/silt/internal/avro"
	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/registry"
	"github.com/siltlake/silt/internal/term"
)

type registryDiffCmd struct {
	clusterFlags
	Subject string `arg:"" optional:"" help:"The subject; by default that of the values of the pipeline's topic."`
	From    string `arg:"" optional:"" help:"The older version; by default the one before To."`
	To      string `arg:"" optional:"" help:"The newer version; by default the latest."`
	File    string `short:"f" placeholder:"FILE" help:"Compare this schema with From, by default the latest version; - is stdin."`
	outputFlag
}

// Validate is called by kong after the flags were read.
func (c *registryDiffCmd) Validate() error {
	if c.File != "" && c.To != "" {
		return problem.New(problem.Usage, "a file is compared with one version, and two are given")
	}
	for _, v := range []string{c.From, c.To} {
		if v != "" {
			if err := parseVersion(v); err != nil {
				return err
			}
		}
	}
	return nil
}

// A schemaDiff is what differs between two schemas.
type schemaDiff struct {
	Subject string        `json:"subject"`
	From    string        `json:"from"` // a version
	To      string        `json:"to"`   // a version, or the file
	Changes []avro.Change `json:"changes"`
}

// Run prints the fields that differ.
func (c *registryDiffCmd) Run(a *app) error {
	return c.withRegistry(a, func(ctx context.Context, r *registry.Client, p *config.Pipeline) error {
		d := schemaDiff{Changes: []avro.Change{}}
		var err error
		if d.Subject, err = subjectOf(p, c.Subject); err != nil {
			return err
		}
		from, to, err := c.schemas(ctx, a, r, &d)
		if err != nil {
			return err
		}
		d.Changes = append(d.Changes, avro.Diff(from, to)...)
		if c.Output == term.NDJSON {
			return term.WriteList(a.out, c.Output, d.Changes)
		}
		if c.Output.Machine() {
			return term.WriteJSON(a.out, d)
		}
		a.say("subject %s, from version %s to %s", d.Subject, d.From, d.To)
		if len(d.Changes) == 0 {
			a.say("the schemas do not differ in any field")
		}
		table := term.NewTable(term.Column{Name: "change"}, term.Column{Name: "field"}, term.Column{Name: "from"}, term.Column{Name: "to"})
		for _, change := range d.Changes {
			field := change.Path
			if field == "" {
				field = "(the schema)"
			}
			table.Row(change.Kind, field, dash(change.From), dash(change.To))
		}
		return table.Write(a.out, "")
	})
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// schemas finds both sides and says in d what they are.
func (c *registryDiffCmd) schemas(ctx context.Context, a *app, r *registry.Client, d *schemaDiff) (from, to *avro.Codec, err error) {
	older, newer := c.From, c.To
	if older == "" && c.File == "" {
		numbers, err := r.Versions(ctx, d.Subject, false)
		if err != nil {
			return nil, nil, err
		}
		if len(numbers) < 2 {
			return nil, nil, problem.New(problem.Usage, "subject %s has one version only", d.Subject).Fix("compare it with a file: -f FILE")
		}
		older, newer = strconv.Itoa(numbers[len(numbers)-2]), strconv.Itoa(numbers[len(numbers)-1])
	}
	if older == "" {
		older = registry.Latest
	}
	if newer == "" {
		newer = registry.Latest
	}
	v, err := r.Version(ctx, d.Subject, older, true)
	if err != nil {
		return nil, nil, err
	}
	d.From = strconv.Itoa(v.Version)
	if from, err = codecOf(ctx, r, v, "version "+d.From); err != nil {
		return nil, nil, err
	}
	if c.File != "" {
		text, err := a.readInput(c.File)
		if err != nil {
			return nil, nil, err
		}
		d.To = c.File
		// A file may refer to the same schemas as the version before it.
		to, err = codecOf(ctx, r, registry.Version{Type: "AVRO", Text: text, References: v.References}, c.File)
		return from, to, err
	}
	if v, err = r.Version(ctx, d.Subject, newer, true); err != nil {
		return nil, nil, err
	}
	d.To = strconv.Itoa(v.Version)
	to, err = codecOf(ctx, r, v, "version "+d.To)
	return from, to, err
}

// codecOf compiles a schema with its references; name is what messages call it.
func codecOf(ctx context.Context, r *registry.Client, v registry.Version, name string) (*avro.Codec, error) {
	if v.Type != "AVRO" {
		return nil, problem.New(problem.Unsupported, "%s is %s; silt compares Avro schemas only", name, v.Type).
			Fix("silt registry get prints the texts")
	}
	texts, err := r.Texts(ctx, v.Type, v.References)
	if err != nil {
		return nil, err
	}
	c, err := avro.ParseCodec(v.Text, texts)
	if err != nil {
		return nil, problem.New(problem.InvalidSchema, "%s is no Avro schema", name).Because(err)
	}
	return c, nil
}
