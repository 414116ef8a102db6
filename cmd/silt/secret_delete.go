package main

type secretDeleteCmd struct {
	scopeFlags
	secretName
	Yes string `short:"y" placeholder:"NAME" help:"SCOPE/KEY once more; without it silt asks on a terminal."`
	dryRunFlag
	outputFlag
}

// A deletedSecret is what programs read of a deletion.
type deletedSecret struct {
	Scope  string `json:"scope"`
	Key    string `json:"key"`
	DryRun bool   `json:"dryRun"`
}

// Run deletes the secret after a confirmation.
func (c *secretDeleteCmd) Run(a *app) error {
	set, err := c.scopes(a)
	if err != nil {
		return err
	}
	edit := c.edit(c.DryRun)
	out := deletedSecret{Scope: edit.Scope, Key: edit.Key, DryRun: c.DryRun}
	if c.DryRun {
		if err := set.Delete(edit); err != nil {
			return err
		}
		return a.result(c.Output, out, "silt would delete %s", c.Name)
	}
	if err := a.confirm("secret", c.Name, c.Yes); err != nil {
		return err
	}
	if err := set.Delete(edit); err != nil {
		return err
	}
	return a.result(c.Output, out, "deleted %s", c.Name)
}
