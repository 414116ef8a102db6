package cloud

import (
	"context"
	"crypto/x509"

	"github.com/siltlake/silt/internal/problem"
)

// A driver is what is the same of each cloud.
type driver struct {
	// check returns what is wrong with the options of a place.
	check func(Place, given, Env) []*problem.Problem
	open  func(context.Context, Place, given, Env) (backend, error)
	// service is the URL of the service that the requests go to, "" if that depends on what is not known yet.
	service func(Place, given, Env) string
}

// driver returns that of the place's cloud.
func (p Place) driver() driver {
	switch p.Cloud {
	case Azure:
		return driverOf(azureSettings, newAzure)
	case S3:
		return driverOf(s3Settings, newS3)
	case GCS:
		return driverOf(gcsSettings, newGCS)
	}
	panic("a place in no cloud: ParsePlace makes none")
}

// driverOf makes a driver of the settings that a cloud combines of its options and the environment, and of its backend.
func driverOf[Config interface{ serviceURL() string }](settings func(Place, given, Env) (Config, []*problem.Problem),
	backendOf func(context.Context, Config, Env) (backend, error)) driver {
	return driver{
		check: func(p Place, g given, env Env) []*problem.Problem {
			_, problems := settings(p, g, env)
			return problems
		},
		open: func(ctx context.Context, p Place, g given, env Env) (backend, error) {
			c, problems := settings(p, g, env)
			if len(problems) > 0 {
				return nil, problem.List(problems)
			}
			return backendOf(ctx, c, env)
		},
		service: func(p Place, g given, env Env) string {
			c, problems := settings(p, g, env)
			if len(problems) > 0 {
				return ""
			}
			return c.serviceURL()
		},
	}
}

// Open returns the store of a place, by the options of the file and what the environment's standard variables say. It asks the place for
// nothing yet. onState is told when the store stops answering and why, and when it answers again; it may be nil.
func Open(ctx context.Context, p Place, o Options, env Env, onState func(ready bool, why string)) (*Store, error) {
	b, err := p.driver().open(ctx, p, o.given(p), env)
	if err != nil {
		return nil, err
	}
	return newStore(b, p, storeOptions{log: env.Log, now: env.Now, onState: onState}), nil
}

// Service is the URL of the service that has a place, without a login, "" if it depends on what only its credentials say, and the authorities
// that may sign its certificate, nil being the system's.
func Service(p Place, o Options, env Env) (url string, roots *x509.CertPool) {
	if p.Cloud == S3 {
		roots, _ = s3Authorities(env) // Open says what is wrong with them
	}
	return p.driver().service(p, o.given(p), env), roots
}
