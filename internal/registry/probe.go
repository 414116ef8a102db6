package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/siltlake/silt/internal/problem"
)

// Probe asks the registry once, at the start, whether it is there and lets us in: any answer but 401, 403 and 5xx will do
// (docs/bad-records.md). It tries a few times, for at most 30 seconds in all. The error is a *problem.Problem, or the context's.
func (c *Client) Probe(ctx context.Context) error {
	limited, cancel := context.WithTimeoutCause(ctx, probeTime, fmt.Errorf("no answer within %s", probeTime))
	defer cancel()
	var r reply
	for attempt := range probeAttempts {
		r = c.get(limited, "/schemas/types")
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case r.status == http.StatusUnauthorized || r.status == http.StatusForbidden:
			return c.loginProblem(r)
		case r.err == nil && r.status < 500:
			return nil
		case isCertificateError(r.err) || isForeign(r.err): // waiting does not mend it
			return c.unreachable(r)
		}
		if attempt == probeAttempts-1 || c.env.Sleep(limited, c.wait(attempt, r.retryAfter)) != nil {
			break
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return c.unreachable(r)
}

func (c *Client) loginProblem(r reply) error {
	e := c.o.Endpoints[r.endpoint]
	p := problem.New(problem.RegistryLogin, "the schema registry %s refuses the login: status %d", e.Name, r.status).At(c.o.loginAt)
	if c.o.loginAt == (problem.Location{}) {
		p.At(c.o.at)
	}
	if _, message := r.code(); message != "" {
		p.Why = c.scrub.String(message)
	}
	switch {
	case e.Login.IsZero():
		p.Fix("give a login: basic.auth.credentials.source: USER_INFO and basic.auth.user.info: KEY:SECRET")
	case r.status == http.StatusForbidden:
		p.Fix("let this key read the registry's subjects (Confluent Cloud: role DeveloperRead)")
	default:
		p.Fix("check basic.auth.user.info: a registry has keys of its own, those of the Kafka cluster do not work for it")
	}
	return p
}

func (c *Client) unreachable(r reply) error {
	e := c.o.Endpoints[r.endpoint]
	p := problem.New(problem.RegistryUnreachable, "the schema registry %s does not answer", e.Name).At(c.o.at)
	p.Retryable = true
	err := r.err
	if err == nil {
		p.Message = "the schema registry " + e.Name + " answers with an error"
		err = r.refusal()
	}
	p.Err, p.Why = err, c.scrub.String(err.Error())
	switch {
	case isCertificateError(err):
		p.Retryable = false
		p.Fix("name the certificate authority's PEM file in schema.registry.ssl.truststore.location")
	case errors.Is(err, http.ErrSchemeMismatch):
		p.Code, p.Message, p.Retryable = problem.RegistryAnswer, "what answers at "+e.Name+" does not speak TLS", false
		p.Fix("write http:// in schema.registry.url, or the port at which the registry speaks TLS")
	case isForeign(err):
		p.Code, p.Message, p.Retryable = problem.RegistryAnswer, "what answers at "+e.Name+" is no schema registry", false
		p.Fix("check the host and port in schema.registry.url")
	case isNameError(err):
		p.Fix("check the host name in schema.registry.url")
	case r.err == nil:
		p.Fix("wait until the registry is well again")
	default:
		p.Fix("check schema.registry.url, and that this machine reaches it: curl %s/schemas/types", strings.TrimSuffix(e.Name, "/"))
	}
	return p
}

func isCertificateError(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	return verification || authority
}

// isForeign says that something answered that does not speak HTTP, or not over TLS.
func isForeign(err error) bool {
	return errors.Is(err, http.ErrSchemeMismatch) || err != nil && strings.Contains(err.Error(), "malformed HTTP")
}
