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

// Scopes returns the user's own file of scopes, "" if there can be none, and what makes scopes of what it and a pipeline file declare:
// options of config.Options.
func Scopes(o ScopeOptions) (userFile string, scopes func(file, user option.Values) (*scope.Set, []*problem.Problem)) {
	if o.Env == nil {
		o.Env = os.LookupEnv
	}
	userFile = userConfig(o.Env)
	return userFile, func(file, user option.Values) (*scope.Set, []*problem.Problem) {
		e := scope.Env{Getenv: o.Env, Secrets: o.Secrets, Log: o.Log, Ask: o.Ask}
		e.Home, _ = o.Env("HOME")
		if userFile != "" {
			e.LocalFile = filepath.Join(filepath.Dir(userFile), "secrets.age")
		}
		return scope.New(file, user, e)
	}
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

// withScopes adds the scopes, unless there are some.
func withScopes(o config.Options, s ScopeOptions) config.Options {
	if o.Scopes != nil {
		return o
	}
	user, scopes := Scopes(s)
	o.UserFile = user
	o.Scopes = func(file, user option.Values) (config.Scopes, []*problem.Problem) {
		set, problems := scopes(file, user)
		return set, problems
	}
	return o
}
