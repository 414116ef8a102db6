package cloud

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// inFlight is how many requests of one Store are under way at most. What is more waits, and costs neither a connection nor a deadline.
const inFlight = 32

// newTransport returns a transport for one Store: proxies as the environment says, TLS 1.2 or newer, connections that are kept for as many
// requests as there are at a time. How long an answer may take is the Store's to say, since that depends on the bytes of the request; the
// limits here are for what happens before.
func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   5 * time.Second,
		ExpectContinueTimeout: time.Second,
		MaxIdleConns:          2 * inFlight,
		MaxIdleConnsPerHost:   inFlight,
		MaxConnsPerHost:       2 * inFlight,
		IdleConnTimeout:       30 * time.Second, // shorter than the clouds' own: a connection that they close first costs a retry
		ForceAttemptHTTP2:     false,            // one connection a request: a stalled body holds up no other
	}
}

// newClient returns a client over t that gives a redirect back as the answer: logins go to no other host, and a signature fits one.
func newClient(t http.RoundTripper) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
