package scope

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/siltlake/silt/internal/option"
)

const (
	// tryTimeout bounds one try of a request.
	tryTimeout = 10 * time.Second
	tries      = 3
	firstPause = 500 * time.Millisecond
	// longestPause is the longest Retry-After that is waited for.
	longestPause = 5 * time.Second
)

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: tryTimeout}).DialContext,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   tryTimeout,
		ResponseHeaderTimeout: tryTimeout,
		MaxIdleConnsPerHost:   2,
		IdleConnTimeout:       30 * time.Second,
		ForceAttemptHTTP2:     true,
	}
}

// trusting returns the transport with the certificate authorities of a PEM file in place of the system's.
func trusting(t *http.Transport, file string) (*http.Transport, error) {
	pem, err := option.ReadFile(file, maxCABytes)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("it holds no certificate in PEM form")
	}
	t = t.Clone()
	t.TLSClientConfig.RootCAs = roots
	return t, nil
}

var errTooLarge = errors.New("the answer is larger than 1 MiB")

// A bounded transport cuts answers at a megabyte, whoever reads them.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = &boundedBody{resp.Body, maxAnswer}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// sameHost lets a redirect through that stays on the host and does not leave TLS; the token goes nowhere else.
func sameHost(r *http.Request, via []*http.Request) error {
	from := via[0].URL
	const most = 3
	if !strings.EqualFold(r.URL.Host, from.Host) || r.URL.Scheme != from.Scheme || len(via) > most {
		return http.ErrUseLastResponse
	}
	return nil
}

// unanswered says why there is no answer, without the request that net/http repeats.
func unanswered(ctx context.Context, err error) string {
	if cause := context.Cause(ctx); cause != nil {
		return cause.Error()
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		if u.Timeout() {
			return "no answer within " + tryTimeout.String()
		}
		err = u.Err
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	return err.Error()
}
