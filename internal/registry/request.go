package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/siltlake/silt/internal/secret"
)

// accept asks for the registry's own media types first, as Confluent's clients do.
const accept = "application/vnd.schemaregistry.v1+json, application/vnd.schemaregistry+json; q=0.9, application/json; q=0.5"

// contentType is that of a body that is sent.
const contentType = "application/vnd.schemaregistry.v1+json"

// A reply is what one request gave: a status with its body, or an error.
type reply struct {
	endpoint   int
	status     int
	body       []byte
	media      string
	retryAfter time.Duration
	scrub      *secret.Scrubber
	err        error // no status: unreachable, too slow, too large
}

// get sends a GET to the endpoint that answered last, and to the others in turn while they are unreachable or answer with 5xx or 429. path
// is escaped and begins with a slash. The reply is the last one's.
func (c *Client) get(ctx context.Context, path string) reply {
	return c.send(ctx, http.MethodGet, path, nil)
}

// send is get for any method; a body is JSON.
func (c *Client) send(ctx context.Context, method, path string, body []byte) reply {
	c.mu.Lock()
	first := c.endpoint
	c.mu.Unlock()
	var r reply
	for i := range c.o.Endpoints {
		n := (first + i) % len(c.o.Endpoints)
		if r = c.sendTo(ctx, n, method, path, body); r.passing() && ctx.Err() == nil {
			continue
		}
		c.mu.Lock()
		c.endpoint = n
		c.mu.Unlock()
		break
	}
	return r
}

// sendTo sends to one endpoint. A login that it refuses is read anew, and if it is another, the request is sent once more.
func (c *Client) sendTo(ctx context.Context, n int, method, path string, body []byte) reply {
	e := &c.o.Endpoints[n]
	login := e.Login.Reveal()
	r := c.try(ctx, n, login, method, path, body)
	if r.status != http.StatusUnauthorized || ctx.Err() != nil {
		return r
	}
	if _, err := e.Login.Renew(ctx); err != nil {
		c.env.Log.Warn("the schema registry refuses the login, which cannot be read again", "url", e.Name, "error", err)
	}
	if next := e.Login.Reveal(); next != login {
		c.env.Log.Info("the schema registry refuses the login; read again, it is another", "url", e.Name)
		r = c.try(ctx, n, next, method, path, body)
	}
	return r
}

func (c *Client) try(ctx context.Context, n int, login, method, path string, body []byte) reply {
	e := &c.o.Endpoints[n]
	r := reply{endpoint: n, scrub: &c.scrub}
	ctx, cancel := context.WithTimeoutCause(ctx, c.env.Timeout, fmt.Errorf("no answer within %s", c.env.Timeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, e.URL.String()+path, bytes.NewReader(body))
	if err != nil {
		r.err = err
		return r
	}
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("User-Agent", "silt")
	if login != "" {
		user, password, _ := strings.Cut(login, ":")
		req.SetBasicAuth(user, password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		r.err = plain(ctx, err)
		return r
	}
	defer resp.Body.Close()
	r.media = resp.Header.Get("Content-Type")
	r.retryAfter = retryAfter(resp.Header.Get("Retry-After"), c.env.Now())
	text, err := io.ReadAll(io.LimitReader(resp.Body, int64(c.maxBytes)+1))
	switch {
	case err != nil:
		r.err = plain(ctx, err)
	case len(text) > c.maxBytes:
		r.err = fmt.Errorf("the answer is larger than %d bytes", c.maxBytes)
	default:
		r.status, r.body = resp.StatusCode, text
	}
	return r
}

// passing says that another endpoint may do better.
func (r *reply) passing() bool {
	return r.err != nil || r.status >= 500 || r.status == http.StatusTooManyRequests
}

// notThere says that the registry itself, and not a proxy before it, does not have what was asked for.
func (r *reply) notThere() bool {
	code, _ := r.code()
	return r.status == http.StatusNotFound && code >= 40401 && code <= 40403
}

// code returns the error code and message, scrubbed and cut, of the registry's error body, 0 if it is none.
func (r *reply) code() (int, string) {
	var e struct {
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(r.body, &e) != nil {
		return 0, ""
	}
	e.Message = r.scrub.String(e.Message) // before it is cut: half a secret looks like none
	const most = 200
	if len(e.Message) > most {
		e.Message = strings.ToValidUTF8(e.Message[:most], "") + "…"
	}
	return e.Code, e.Message
}

// refusal describes a status that is no success.
func (r *reply) refusal() error {
	switch code, message := r.code(); {
	case code != 0:
		return fmt.Errorf("status %d, error %d: %s", r.status, code, message)
	case r.status >= 300 && r.status < 400:
		return fmt.Errorf("status %d: a redirect to another host, or one too many, is not followed", r.status)
	default:
		return fmt.Errorf("status %d with a body of %q", r.status, r.media)
	}
}

// plain takes the URL, which may hold a login, off the errors of net/http, and says what a timeout was.
func plain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return err
}

// sameHost lets redirects through that stay on the host and do not leave TLS; another answer is given back as it is.
func sameHost(req *http.Request, via []*http.Request) error {
	from := via[0].URL
	same := strings.EqualFold(req.URL.Hostname(), from.Hostname()) && (req.URL.Scheme == from.Scheme && req.URL.Port() == from.Port() ||
		from.Scheme == "http" && req.URL.Scheme == "https")
	if !same || len(via) > maxRedirects {
		return http.ErrUseLastResponse
	}
	return nil
}

// retryAfter reads the header of the name: seconds or a date (RFC 9110 10.2.3); 0 if there is none.
func retryAfter(text string, now time.Time) time.Duration {
	if text = strings.TrimSpace(text); text == "" {
		return 0
	}
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// isNameError says that a host's name is not known to DNS.
func isNameError(err error) bool {
	d, ok := errors.AsType[*net.DNSError](err)
	return ok && d.IsNotFound
}
