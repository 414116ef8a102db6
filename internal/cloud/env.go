package cloud

import (
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/secret"
)

// given are the options of one cloud that the pipeline file gives, by the name of their spec.
type given map[string]option.Value

// An Env is what a store uses of the world. Its zero fields are the process's own.
type Env struct {
	Getenv func(name string) (string, bool)
	// Transport sends requests; nil is one with the limits of this package.
	Transport http.RoundTripper
	Now       func() time.Time
	Log       *slog.Logger
	// Secrets is told the credentials that came from elsewhere than the pipeline file: the environment, a profile, a token service.
	Secrets *secret.Scrubber
}

// getenv looks up a variable of the environment.
func (e Env) getenv(name string) (string, bool) {
	if e.Getenv == nil {
		return os.LookupEnv(name)
	}
	return e.Getenv(name)
}

// now is the time.
func (e Env) now() time.Time {
	if e.Now == nil {
		return time.Now()
	}
	return e.Now()
}
