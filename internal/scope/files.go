package scope

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
)

// A dirScope is a folder in which each file is a secret, as Kubernetes mounts them. The line break at a file's end is no part of the value.
type dirScope struct{ folder string }

func (d dirScope) get(_ context.Context, key string) (string, error) {
	if !filepath.IsLocal(filepath.FromSlash(key)) {
		return "", refuse("name a file of the folder", "a key may not lead out of the folder %s", d.folder)
	}
	data, err := option.ReadFileIn(d.folder, key, MaxValueBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(d.folder); errors.Is(err, fs.ErrNotExist) {
			return "", refuse("mount it", "there is no folder %s", d.folder)
		}
		r := refuse("", "the folder %s has no such file", d.folder)
		if keys, err := d.list(context.Background()); err == nil {
			r.hint = hintKeys(key, keys)
		}
		return "", r
	case err != nil:
		return "", refuse("let the user that runs silt read it", "the file cannot be read from the folder %s: %v", d.folder, err)
	}
	return option.Line(data), nil
}

// list returns the files; those that begin with two dots are Kubernetes' own.
func (d dirScope) list(context.Context) ([]string, error) {
	entries, err := os.ReadDir(d.folder)
	if err != nil {
		return nil, refuse("", "the folder %s cannot be read", d.folder)
	}
	var keys []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "..") || len(keys) >= maxKeys {
			continue
		}
		if info, err := os.Stat(filepath.Join(d.folder, e.Name())); err == nil && info.Mode().IsRegular() {
			keys = append(keys, e.Name())
		}
	}
	return keys, nil
}

func (d dirScope) String() string { return "the folder " + d.folder }
func (d dirScope) edit(string, key string) string {
	return "write the file " + filepath.Join(d.folder, key)
}

// An envScope is the environment's variables that begin with a prefix. A key is written in capitals there, with _ for what a variable's
// name cannot hold: api-key is PREFIX_API_KEY.
type envScope struct {
	prefix  string
	getenv  func(string) (string, bool)
	environ func() []string
}

func (e envScope) variable(key string) string {
	return e.prefix + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, key)
}

func (e envScope) get(_ context.Context, key string) (string, error) {
	name := e.variable(key)
	value, ok := e.getenv(name)
	if !ok {
		return "", refuse("set it", "the environment variable %s is not set", name)
	}
	if value == "" {
		return "", refuse("give it a value", "the environment variable %s is empty", name)
	}
	return value, nil
}

// list returns the variables without their prefix: that is one of a key's spellings.
func (e envScope) list(context.Context) ([]string, error) {
	if e.prefix == "" {
		return nil, errNoList
	}
	var keys []string
	for _, variable := range e.environ() {
		name, value, _ := strings.Cut(variable, "=")
		if key, ok := strings.CutPrefix(name, e.prefix); ok && key != "" && value != "" && len(keys) < maxKeys {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

func (e envScope) String() string { return "the environment, " + e.prefix + "…" }

func (e envScope) edit(_, key string) string {
	return "give silt the environment variable " + e.variable(key)
}

// hintKeys names what was meant, if it is like one of the keys.
func hintKeys(key string, keys []string) string {
	if n := problem.Nearest(key, keys); n != "" {
		return "did you mean " + n + "?"
	}
	return "silt secret list shows the keys"
}
