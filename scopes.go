package silt

import (
	"log/slog"
	"os"
	"path/filepath"
	"runtime"

	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/scope"
	"github.com/siltlake/silt/internal/secret"
)

// userConfigVariable names the user's own file of scopes, where it is not in the usual place.
const userConfigVariable = "SILT_USER_CONFIG"

// ScopeOptions are what scopes of secrets need of the process.
type ScopeOptions struct {
	Env     func(name string) (string, bool) // nil: os.LookupEnv
	Secrets *secret.Scrubber                 // told the credentials with which secrets are read; may be nil
	Log     *slog.Logger
	Ask     func(isNew bool) (secret.Secret, error) // asks for the local store's passphrase; nil: there is nobody to ask
}

// LoadScopes makes the scopes of secrets that the user's own file and a pipeline file declare, "" for none. It resolves no reference of the
// file but those of its scopes. The error is all that is wrong with them.
func LoadScopes(file string, o config.Options, s ScopeOptions) (*scope.Set, error) {
	scopes, err := config.LoadScopes(file, withScopes(o, s))
	if err != nil {
		return nil, err
	}
	return scopes.(*scope.Set), nil // withScopes makes no others
}

// withScopes adds the user's own file of scopes, if there can be one, and what makes scopes of what it and a pipeline file declare.
func withScopes(o config.Options, s ScopeOptions) config.Options {
	if s.Env == nil {
		s.Env = os.LookupEnv
	}
	e := scope.Env{Getenv: s.Env, Secrets: s.Secrets, Log: s.Log, Ask: s.Ask}
	e.Home, _ = s.Env("HOME")
	o.UserFile = userConfig(s.Env)
	if named, _ := s.Env(userConfigVariable); named != "" {
		o.UserFileNamed = userConfigVariable
	}
	if o.UserFile != "" {
		e.LocalFile = filepath.Join(filepath.Dir(o.UserFile), "secrets.age")
	}
	o.Scopes = func(file, user option.Values) (config.Scopes, []*problem.Problem) { return scope.New(file, user, e) }
	return o
}

// userConfig is where the user's own file is: what os.UserConfigDir says of this environment, and silt/config.yaml in it.
func userConfig(env func(string) (string, bool)) string {
	get := func(name string) string { v, _ := env(name); return v }
	if file := get(userConfigVariable); file != "" {
		return file
	}
	var dir string
	switch runtime.GOOS {
	case "windows":
		dir = get("AppData")
	case "darwin", "ios":
		if home := get("HOME"); home != "" {
			dir = filepath.Join(home, "Library", "Application Support")
		}
	default:
		dir = get("XDG_CONFIG_HOME")
		if home := get("HOME"); dir == "" && home != "" {
			dir = filepath.Join(home, ".config")
		}
	}
	if dir == "" || !filepath.IsAbs(dir) {
		return ""
	}
	return filepath.Join(dir, "silt", "config.yaml")
}
