package main

import "github.com/siltlake/silt/internal/term"

type secretListCmd struct {
	scopeFlags
	Scope string `arg:"" optional:"" help:"The scope; by default all that are declared or in the local store."`
	outputFlag
}

// A secretEntry is a scope with one of its keys. A scope without keys, or whose keys are not known, has one entry without a key.
type secretEntry struct {
	Scope string `json:"scope"`
	Key   string `json:"key,omitempty"`
	Place string `json:"place"`
	// Problem is why the keys are not known.
	Problem string `json:"problem,omitempty"`
}

// Run lists the keys.
func (c *secretListCmd) Run(a *app) error {
	set, err := c.scopes(a)
	if err != nil {
		return err
	}
	ctx, stop := a.interruptible("stopping")
	defer stop()
	listings, err := set.List(ctx, c.Scope)
	if err != nil {
		return err
	}
	list := []secretEntry{}
	for _, l := range listings {
		e := secretEntry{Scope: l.Scope, Place: l.Place}
		if l.Problem != nil {
			e.Problem = l.Problem.Error()
		}
		for _, key := range l.Keys {
			e.Key = key
			list = append(list, e)
		}
		if len(l.Keys) == 0 {
			list = append(list, e)
		}
	}
	if c.Output.Machine() {
		return term.WriteList(a.out, c.Output, list)
	}
	if len(list) == 0 {
		a.say("no scopes; declare one in a pipeline file, or put a secret into the local store: silt secret set SCOPE/KEY")
	}
	table := term.NewTable(term.Column{Name: "scope"}, term.Column{Name: "key"}, term.Column{Name: "place"})
	for _, e := range list {
		key := e.Key
		if e.Problem != "" {
			key = "(" + e.Problem + ")"
		}
		table.Row(e.Scope, key, e.Place)
	}
	return table.Write(a.out, "")
}
