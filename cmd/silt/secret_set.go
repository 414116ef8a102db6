package main

import (
	"io"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/scope"
	"github.com/siltlake/silt/internal/secret"
)

type secretSetCmd struct {
	scopeFlags
	secretName
	dryRunFlag
	outputFlag
}

// A putSecret is what programs read of a secret that was set.
type putSecret struct {
	Scope    string `json:"scope"`
	Key      string `json:"key"`
	Replaced bool   `json:"replaced"` // there was another value
	DryRun   bool   `json:"dryRun"`
}

// Run sets the secret.
func (c *secretSetCmd) Run(a *app) error {
	set, err := c.scopes(a)
	if err != nil {
		return err
	}
	value, err := a.readSecret(c.Name)
	if err != nil {
		return err
	}
	a.secrets.Add(value)
	edit := c.edit(c.DryRun)
	replaced, err := set.Put(edit, value)
	if err != nil {
		return err
	}
	out := putSecret{Scope: edit.Scope, Key: edit.Key, Replaced: replaced, DryRun: c.DryRun}
	switch {
	case c.DryRun && replaced:
		return a.result(c.Output, out, "silt would replace %s", c.Name)
	case c.DryRun:
		return a.result(c.Output, out, "silt would set %s", c.Name)
	}
	return a.result(c.Output, out, "%s is set; a pipeline refers to it as ${secret:%s}", c.Name, c.Name)
}

// readSecret reads a value from standard input, without the line break at its end; on a terminal it asks for it and shows nothing of it.
func (a *app) readSecret(name string) (secret.Secret, error) {
	var text string
	if a.interactive && a.askSecret != nil {
		var err error
		if text, err = a.askSecret("  value of " + name + ": "); err != nil {
			return secret.Secret{}, problem.New(problem.FileUnreadable, "the value cannot be read: %w", err)
		}
	} else {
		data, err := io.ReadAll(io.LimitReader(a.stdin, scope.MaxValueBytes+1))
		if err != nil {
			return secret.Secret{}, problem.New(problem.FileUnreadable, "the value cannot be read from standard input: %w", err)
		}
		if len(data) > scope.MaxValueBytes {
			return secret.Secret{}, problem.New(problem.TooLarge, "the value is larger than %s", option.FormatSize(scope.MaxValueBytes))
		}
		text = option.Line(data)
	}
	if text == "" {
		return secret.Secret{}, problem.New(problem.Usage, "the value is empty").Fix("give it on standard input: silt secret set %s < FILE", name)
	}
	return secret.New(text), nil
}
