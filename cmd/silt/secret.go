package main

import (
	"fmt"
	"strings"

	"github.com/siltlake/silt"
	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/scope"
	"github.com/siltlake/silt/internal/secret"
)

type secretCmd struct {
	Set    secretSetCmd    `cmd:"" help:"Put a secret into the local encrypted store; its value is read from standard input."`
	List   secretListCmd   `cmd:"" help:"List the scopes and the keys in them, never values."`
	Check  secretCheckCmd  `cmd:"" help:"Say of each reference of a pipeline file whether it gives a value, not which."`
	Delete secretDeleteCmd `cmd:"" help:"Delete a secret from the local encrypted store."`
}

// scopeFlags say which scopes there are beside the user's own.
type scopeFlags struct {
	Config string `short:"c" placeholder:"FILE" env:"SILT_CONFIG" help:"A pipeline file that declares scopes, beside those of the user's own file; by default pipeline.yaml, else demo/pipeline.yaml, if there is one."`
}

// scopes makes the scopes of the pipeline file, if there is one, and of the user's own. No reference of the file is resolved but those of
// its scopes.
func (f scopeFlags) scopes(a *app) (*scope.Set, error) {
	return silt.LoadScopes(orDefaultConfig(f.Config), a.configOptions(), a.scopeOptions())
}

// secretName is the argument SCOPE/KEY, and whatever somebody wrote after it.
type secretName struct {
	Name string   `arg:"" name:"scope/key" help:"The secret: SCOPE/KEY."`
	Rest []string `arg:"" optional:"" hidden:""`
}

// Validate is called by kong after the flags were read. It does not print what is too much: that may be the value.
func (n secretName) Validate() error {
	if len(n.Rest) > 0 {
		return problem.New(problem.Usage, "there is more than SCOPE/KEY; a secret on the command line is seen by every process of the machine").
			Fix("give the value on standard input: silt secret set %s < FILE", n.Name)
	}
	e := n.edit(false)
	if e.Scope == "" || e.Key == "" {
		return problem.New(problem.Usage, "the name of a secret is SCOPE/KEY").Fix("for example: silt secret set confluentTest/api-key")
	}
	if p := e.Check(); p != nil {
		return p
	}
	return nil
}

// edit is the change of the secret.
func (n secretName) edit(dryRun bool) scope.Edit {
	name, key, _ := strings.Cut(n.Name, "/")
	return scope.Edit{Scope: name, Key: key, DryRun: dryRun}
}

// configOptions are those with which the process reads a pipeline file.
func (a *app) configOptions() config.Options { return config.Options{Env: a.env, Secrets: a.secrets} }

// scopeOptions are what scopes use of the process.
func (a *app) scopeOptions() silt.ScopeOptions {
	o := silt.ScopeOptions{Env: a.env, Secrets: a.secrets, Log: a.log}
	if a.askSecret != nil {
		o.Ask = a.passphrase
	}
	return o
}

// passphrase asks for that of the local store; a new one twice.
func (a *app) passphrase(isNew bool) (secret.Secret, error) {
	if !isNew {
		text, err := a.askSecret("  passphrase of the local store of secrets: ")
		return secret.New(text), err
	}
	text, err := a.askSecret("  a passphrase for the new local store of secrets: ")
	if err != nil {
		return secret.Secret{}, err
	}
	again, err := a.askSecret("  once more: ")
	if err == nil && again != text {
		err = fmt.Errorf("the two are not the same")
	}
	return secret.New(text), err
}
