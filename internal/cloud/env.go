package cloud

import (
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/siltlake/silt/internal/secret"
)

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

// variable returns the first of the environment's variables that is set to more than blanks, without those at its ends; "" if none is.
func (e Env) variable(names ...string) string {
	getenv := e.Getenv
	if getenv == nil {
		getenv = os.LookupEnv
	}
	for _, name := range names {
		text, _ := getenv(name)
		if text = strings.TrimSpace(text); text != "" {
			return text
		}
	}
	return ""
}

// tell has secrets taken out of what is printed. Without a Scrubber it does nothing.
func (e Env) tell(secrets ...secret.Secret) {
	if e.Secrets == nil {
		return
	}
	for _, s := range secrets {
		e.Secrets.Add(s)
	}
}

// now is the time.
func (e Env) now() time.Time {
	if e.Now == nil {
		return time.Now()
	}
	return e.Now()
}
