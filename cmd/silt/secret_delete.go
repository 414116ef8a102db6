package main

type secretDeleteCmd struct {
	scopeFlags
	secretName
	Yes string `short:"y" placeholder:"NAME" help:"SCOPE/KEY once more; without it silt asks on a terminal."`
}

// Run deletes the secret after a confirmation.
func (c *secretDeleteCmd) Run(a *app) error {
	set, err := c.scopes(a)
	if err != nil {
		return err
	}
	if err := a.confirm("secret", c.Name, c.Yes); err != nil {
		return err
	}
	name, key := c.split()
	if err := set.Delete(name, key); err != nil {
		return err
	}
	a.say("deleted %s", c.Name)
	return nil
}
