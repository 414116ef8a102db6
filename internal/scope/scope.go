// Package scope gives secrets by scope and key, as Databricks does: ${secret:scope/key}. A scope is a name for a place where secrets are
// kept: an Azure Key Vault, a HashiCorp Vault, a folder of files, the environment, or the local encrypted store.
//
// Values are read when they are asked for and not kept. No error holds one.
package scope

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// Limits of what a provider may take and give.
const (
	MaxValueBytes = 64 << 10
	maxAnswer     = 1 << 20
	maxKeys       = 10_000 // of a list
	// getTimeout bounds the reading of one secret, retries included.
	getTimeout = 30 * time.Second
	// downFor is how long a place that did not answer is not asked again: a file with ten secrets of it shall not wait ten times.
	downFor = 5 * time.Second
)

// An Env is what a Set uses of the world. Its zero fields are the process's own.
type Env struct {
	Getenv  func(name string) (string, bool)
	Environ func() []string
	// Home is the user's folder, of ~/.vault-token; "" is none.
	Home string
	// LocalFile is the local store; "" is none.
	LocalFile string
	// Ask asks the user for a passphrase, twice if it is a new one; nil: there is nobody to ask.
	Ask func(isNew bool) (secret.Secret, error)
	// Secrets is told the credentials with which secrets are read; nil tells nobody.
	Secrets *secret.Scrubber
	// Log gets warnings; nil logs nothing.
	Log *slog.Logger
	Now func() time.Time

	// Transport sends requests; nil is one with the limits of this package.
	Transport *http.Transport
	// Credential logs in to Azure; nil is Azure's default chain: environment, workload identity, managed identity, command lines.
	Credential azcore.TokenCredential
	// Sleep waits between two tries; nil is the real thing.
	Sleep func(context.Context, time.Duration) error
}

func (e Env) withDefaults() Env {
	if e.Getenv == nil {
		e.Getenv = os.LookupEnv
	}
	if e.Environ == nil {
		e.Environ = os.Environ
	}
	if e.Secrets == nil {
		e.Secrets = new(secret.Scrubber)
	}
	if e.Log == nil {
		e.Log = slog.New(slog.DiscardHandler)
	}
	if e.Now == nil {
		e.Now = time.Now
	}
	if e.Sleep == nil {
		e.Sleep = sleep
	}
	if e.Transport == nil {
		e.Transport = newTransport()
	}
	return e
}

// A provider is a place where secrets are kept. Its methods may be called concurrently.
type provider interface {
	// get returns the value of a key; errors are of type *refusal where a person can do something about them.
	get(ctx context.Context, key string) (string, error)
	// list returns the keys; errNoList if the place cannot say them cheaply.
	list(ctx context.Context) ([]string, error)
	// String says what kind of place it is, and which: Azure Key Vault https://NAME.vault.azure.net.
	String() string
	// edit says with which tool a secret is set there; "" for the local store, in which silt does it.
	edit(scope, key string) string
}

// A refusal is why a place gives no value, in words that hold none.
type refusal struct {
	text, hint string
	down       bool // the place does not answer: nor will it for the next key
	login      bool // the credentials may be out of date
}

func (r *refusal) Error() string { return r.text }

func refuse(hint, format string, args ...any) *refusal {
	return &refusal{text: fmt.Sprintf(format, args...), hint: hint}
}

var errNoList = errors.New("the keys cannot be listed")

// A Set is the scopes that a pipeline may use. Its methods may be called concurrently.
type Set struct {
	env    Env
	scopes map[string]*declared // by lower-case name
	local  *localStore          // nil: none

	mu   sync.Mutex
	down map[*declared]outage
}

// A declared scope is one that a file declares.
type declared struct {
	name     string
	provider provider
}

type outage struct {
	until time.Time
	why   *refusal
}

// New returns the scopes that the section secrets of a pipeline file declares, and those of the user's own file that the first does not.
func New(file, user option.Values, env Env) (*Set, []*problem.Problem) {
	env = env.withDefaults()
	s := &Set{env: env, scopes: map[string]*declared{}, down: map[*declared]outage{}}
	if env.LocalFile != "" {
		s.local = newLocalStore(env.LocalFile, env)
	}
	var problems []*problem.Problem
	for _, values := range []option.Values{file, user} {
		found, ps := parse(values, s)
		problems = append(problems, ps...)
		for _, d := range found {
			if low := strings.ToLower(d.name); s.scopes[low] == nil {
				s.scopes[low] = d
			}
		}
	}
	return s, problems
}

// Secret reads the value of a key of a scope. The problem names both, never a value, and has no location.
func (s *Set) Secret(ctx context.Context, scope, key string) (string, *problem.Problem) {
	d, p := s.find(scope)
	if p != nil {
		return "", p
	}
	value, err := s.get(ctx, d, key)
	switch {
	case err != nil:
	case value == "":
		err = refuse("give it a value", "%s has an empty value for it", d.provider)
	case len(value) > MaxValueBytes:
		err = refuse("", "%s has a value of more than %s for it", d.provider, option.FormatSize(MaxValueBytes))
	}
	if err == nil {
		return value, nil
	}
	p = problem.New(problem.SecretUnresolved, "the secret %s/%s: %w", d.name, key, err)
	if r, ok := errors.AsType[*refusal](err); ok {
		p.Hint, p.Retryable = r.hint, r.down
	}
	return "", p
}

func (s *Set) get(ctx context.Context, d *declared, key string) (string, error) {
	s.mu.Lock()
	o, down := s.down[d]
	s.mu.Unlock()
	if down && s.env.Now().Before(o.until) {
		return "", o.why
	}
	limited, cancel := context.WithTimeoutCause(ctx, getTimeout, fmt.Errorf("no answer within %s", getTimeout))
	defer cancel()
	value, err := d.provider.get(limited, key)
	if r, ok := errors.AsType[*refusal](err); ok && r.down && ctx.Err() == nil { // the caller's end says nothing of the place
		s.mu.Lock()
		s.down[d] = outage{s.env.Now().Add(downFor), r}
		s.mu.Unlock()
	}
	return value, err
}

// find returns a scope: one that is declared, or else one of the local store.
func (s *Set) find(name string) (*declared, *problem.Problem) {
	if d := s.scopes[strings.ToLower(name)]; d != nil {
		return d, nil
	}
	var problemOfLocal error
	known := s.names()
	if s.local != nil && s.local.exists() {
		names, err := s.local.scopes()
		known = append(known, names...)
		if i := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, name) }); i >= 0 {
			return &declared{names[i], s.local.scope(names[i])}, nil
		}
		problemOfLocal = err
	}
	p := problem.New(problem.SecretUnresolved, "unknown scope %q", name).
		Fix("declare it: secrets: {scopes: {%s: {keyvault: https://NAME.vault.azure.net}}}, or vault:, dir:, env: or local:; "+
			"or put it into the local store: silt secret set %s/KEY", name, name)
	if n := problem.Nearest(name, known); n != "" {
		p.Message += fmt.Sprintf("; did you mean %q?", n)
	}
	if problemOfLocal != nil {
		p.Message = fmt.Sprintf("the scope %s is not declared, and %v", name, problemOfLocal)
		if r, ok := errors.AsType[*refusal](problemOfLocal); ok && r.hint != "" {
			p.Fix("%s; or declare the scope: secrets: {scopes: {%s: …}}", r.hint, name)
		}
	}
	return nil, p
}

func (s *Set) names() []string {
	var names []string
	for _, low := range slices.Sorted(maps.Keys(s.scopes)) {
		names = append(names, s.scopes[low].name)
	}
	return names
}

// A Listing is a scope with its keys.
type Listing struct {
	Scope, Place string
	Keys         []string
	// Problem is why the keys are not known; nil: they are.
	Problem error
}

// List returns every scope that is declared or in the local store, or only the named one, with its keys.
func (s *Set) List(ctx context.Context, only string) ([]Listing, error) {
	var all []*declared
	if only != "" {
		d, p := s.find(only)
		if p != nil {
			return nil, p
		}
		all = append(all, d)
	} else {
		for _, name := range s.names() {
			all = append(all, s.scopes[strings.ToLower(name)])
		}
		if s.local != nil && s.local.exists() {
			names, err := s.local.scopes()
			if err != nil {
				return nil, asProblem("the local store", err)
			}
			for _, name := range names {
				if s.scopes[strings.ToLower(name)] == nil {
					all = append(all, &declared{name, s.local.scope(name)})
				}
			}
		}
	}
	var listings []Listing
	for _, d := range all {
		l := Listing{Scope: d.name, Place: d.provider.String()}
		ctx, cancel := context.WithTimeoutCause(ctx, getTimeout, fmt.Errorf("no answer within %s", getTimeout))
		l.Keys, l.Problem = d.provider.list(ctx)
		cancel()
		slices.Sort(l.Keys)
		listings = append(listings, l)
	}
	return listings, nil
}

// An Edit changes one secret of the local store.
type Edit struct {
	Scope, Key string
	// DryRun reads the store and leaves it as it is. Nobody is asked for the passphrase of a store that would be new.
	DryRun bool
}

// Check says what is wrong with the names; nil: they may be those of a secret somewhere.
func (e Edit) Check() *problem.Problem {
	if !validScope(e.Scope) {
		return problem.New(problem.Usage, "%q is no name of a scope; want letters, digits and . _ @ -, at most %d", e.Scope, maxScopeName)
	}
	if strings.Contains(e.Key, "=") { // what is behind it may be the value
		return problem.New(problem.Usage, "a key holds no =; a secret on the command line is seen by every process of the machine").
			Fix("give the value on standard input: silt secret set %s/KEY < FILE", e.Scope)
	}
	return nil
}

// Put sets a secret, and says whether it replaces one. A scope of another place is refused, with the tool to use there.
func (s *Set) Put(e Edit, value secret.Secret) (replaced bool, err error) {
	l, err := s.editable(&e)
	if err != nil {
		return false, err
	}
	replaced, err = l.put(e, value)
	return replaced, e.problem(err)
}

// Delete removes a secret, as Put sets it.
func (s *Set) Delete(e Edit) error {
	l, err := s.editable(&e)
	if err != nil {
		return err
	}
	return e.problem(l.remove(e))
}

func (e Edit) problem(err error) error { return asProblem(e.Scope+"/"+e.Key, err) }

// editable returns the local store of the edit's scope, whose name it spells as it is there.
func (s *Set) editable(e *Edit) (*localStore, error) {
	if p := e.Check(); p != nil {
		return nil, p
	}
	store := s.local
	if d := s.scopes[strings.ToLower(e.Scope)]; d != nil {
		l, ok := d.provider.(localScope)
		if !ok {
			return nil, problem.New(problem.Usage, "the scope %s is %s, which silt only reads", d.name, d.provider).
				Fix("set it there: %s", d.provider.edit(d.name, e.Key))
		}
		e.Scope, store = l.name, l.store
	}
	if !keyName.MatchString(e.Key) {
		return nil, problem.New(problem.Usage, "%q is no key; want letters, digits and . _ @ - /, at most %d", e.Key, maxScopeName)
	}
	if store == nil {
		return nil, problem.New(problem.Usage, "there is no local store: the user has no folder for configuration").
			Fix("set SILT_USER_CONFIG to a file in a folder of your own")
	}
	return store, nil
}

func asProblem(what string, err error) error {
	if err == nil {
		return nil
	}
	p := problem.New(problem.SecretUnresolved, "%s: %w", what, err)
	if r, ok := errors.AsType[*refusal](err); ok {
		p.Hint = r.hint
	}
	return p
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
