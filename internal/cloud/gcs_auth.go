package cloud

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/siltlake/silt/internal/secret"
)

const (
	// gcsScope is what tokens are asked for: objects, and nothing of how buckets are set up.
	gcsScope = "https://www.googleapis.com/auth/devstorage.read_write"

	// A token is replaced this long before it expires (metadata servers give the same one again until four minutes before), and a short-lived
	// one when a quarter of its life is left.
	gcsEarly = 225 * time.Second
	// If that fails, the old one serves, and this much later the next is asked for.
	gcsRefreshPause = 15 * time.Second
)

// A gcsAccess is an access token. No scrubber is told of it: nothing prints headers or answers of token servers, there is another each hour,
// and a scrubber forgets none.
type gcsAccess struct {
	token   secret.Secret
	expires time.Time // zero: not known
}

// gcsTokens keeps an access token and gets the next. Its methods may be called concurrently.
type gcsTokens struct {
	fetch func(context.Context) (gcsAccess, error)
	// reread reads the secrets behind fetch anew.
	reread func(context.Context) error
	now    func() time.Time

	busy chan struct{} // one token: whoever put it there may fetch

	mu      sync.Mutex
	have    gcsAccess // token zero: none
	refresh time.Time // when the next is fetched; zero: when the store refuses this one
}

// get returns a token. One caller fetches, within its own time, and the others wait for it.
func (t *gcsTokens) get(ctx context.Context) (secret.Secret, error) {
	if a, ok := t.fresh(); ok {
		return a.token, nil
	}
	if err := t.enter(ctx); err != nil {
		return secret.Secret{}, err
	}
	defer t.leave()
	old, ok := t.fresh()
	if ok {
		return old.token, nil
	}
	next, err := t.fetch(ctx)
	now := t.now()
	switch {
	case err == nil:
		t.keep(next, refreshAt(next.expires, now))
		return next.token, nil
	case !old.token.IsZero() && now.Before(old.expires):
		t.keep(old, now.Add(gcsRefreshPause))
		return old.token, nil
	}
	return secret.Secret{}, err
}

// renew fetches another token with secrets that are read anew. changed says whether it is another.
func (t *gcsTokens) renew(ctx context.Context) (changed bool, err error) {
	if err := t.enter(ctx); err != nil {
		return false, err
	}
	defer t.leave()
	if err := t.reread(ctx); err != nil {
		return false, err
	}
	old, _ := t.fresh()
	t.keep(gcsAccess{}, time.Time{}) // it was refused
	next, err := t.fetch(ctx)
	if err != nil {
		return false, err
	}
	t.keep(next, refreshAt(next.expires, t.now()))
	return next.token.Reveal() != old.token.Reveal(), nil
}

// refreshAt is when a token that expires then is replaced.
func refreshAt(expires, now time.Time) time.Time {
	if expires.IsZero() {
		return expires
	}
	return expires.Add(-min(gcsEarly, expires.Sub(now)/4))
}

func (t *gcsTokens) fresh() (a gcsAccess, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.have, !t.have.token.IsZero() && (t.refresh.IsZero() || t.now().Before(t.refresh))
}

func (t *gcsTokens) keep(a gcsAccess, refresh time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.have, t.refresh = a, refresh
}

func (t *gcsTokens) enter(ctx context.Context) error {
	select {
	case t.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *gcsTokens) leave() { <-t.busy }

// newGCSTokens returns where the tokens of a bucket come from, nil for none. What can be found wrong without a request is found here.
func newGCSTokens(c gcsConfig, env Env, transport http.RoundTripper) (*gcsTokens, error) {
	t := &gcsTokens{now: env.now, busy: make(chan struct{}, 1), reread: c.reread}
	assumed := false
	if c.login == gcsDefault {
		c.login, assumed = gcsMetadata, true
		if _, err := os.Stat(c.file); c.file != "" && !errors.Is(err, fs.ErrNotExist) {
			c.login = gcsFile
		}
	}
	switch c.login {
	case gcsAnonymous:
		return nil, nil
	case gcsToken:
		// A value of its own: c.secret becomes another when it is renewed.
		t.fetch = func(context.Context) (gcsAccess, error) { return gcsAccess{token: secret.New(c.secret.Reveal())}, nil }
	case gcsMetadata:
		m := &gcsMetadataServer{host: c.metadataHost, transport: env.Transport, now: env.now}
		if assumed {
			m.why = fmt.Sprintf("no credentials: sink.storageOptions gives none, GOOGLE_APPLICATION_CREDENTIALS is not set, "+
				"gcloud has none (%s), and there is no metadata server", cmp.Or(c.file, "no home directory"))
		}
		if m.transport == nil {
			// Never through a proxy, and a machine without such a server finds that out soon.
			m.transport = &http.Transport{DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext, DisableKeepAlives: true}
		}
		t.fetch = m.fetch
	default:
		k := &gcsKeyring{config: c, name: c.name(assumed), env: env, transport: transport}
		if _, _, p := k.load(); p != nil {
			return nil, p
		}
		t.fetch = k.fetch
	}
	return t, nil
}

// reread reads the secret of the options anew, if it came from where that can be done.
func (c gcsConfig) reread(ctx context.Context) error {
	_, err := c.secret.Renew(ctx)
	return err
}

// A gcsWatch sends the requests of Google's library, which leaves the context out of some and the causes out of its errors: it remembers what
// became of the last request.
type gcsWatch struct {
	ctx   context.Context
	base  http.RoundTripper
	quote quoter

	sent   *http.Request
	err    error
	status int
	header http.Header
	body   []byte // of an answer that is an error
}

func (w *gcsWatch) RoundTrip(req *http.Request) (*http.Response, error) {
	w.sent, w.err, w.status, w.body = req, nil, 0, nil
	resp, err := w.base.RoundTrip(req.WithContext(w.ctx))
	if err != nil {
		w.err = err
		return nil, err
	}
	w.status, w.header = resp.StatusCode, resp.Header
	if resp.StatusCode >= 400 {
		w.body, w.err = io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		_ = resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(w.body))
	}
	return resp, nil
}

// explain says why there is no token.
func (w *gcsWatch) explain(err error, name string, now time.Time) error {
	if w.ctx.Err() != nil {
		return w.ctx.Err()
	}
	e := &gcsTokenError{}
	why := w.quote.text(err.Error(), w.sent)
	switch {
	case w.err != nil:
		if e.failure.kind = unanswered(w.err).kind; e.failure.kind == transient {
			e.failure.kind = refused // to ask for a token changes nothing
		}
		why = "no answer of the token server: " + w.quote.text(withoutURL(w.err).Error(), w.sent)
	case w.status >= 500 || w.status == http.StatusTooManyRequests || w.status == http.StatusRequestTimeout:
		e.failure = failure{kind: refused, after: retryAfter(w.header, now)}
		why = fmt.Sprintf("the token server answers with status %d", w.status)
	default:
		e.failure = failure{kind: loggedOut}
		if w.status >= 300 {
			e.failure.code, why = w.oauthError()
		}
	}
	e.text = fmt.Sprintf("no access token for %s: %s", name, why)
	return e
}

// oauthError reads the error of a token server (RFC 6749 section 5.2) or of Google's IAM.
func (w *gcsWatch) oauthError() (code, text string) {
	var oauth struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(w.body, &oauth) == nil && oauth.Error != "" {
		if oauth.Description == "" {
			return oauth.Error, w.quote.text(oauth.Error, w.sent)
		}
		return oauth.Error, w.quote.text(oauth.Error+": "+oauth.Description, w.sent)
	}
	var iam struct {
		Error struct {
			Status, Message string
		}
	}
	if json.Unmarshal(w.body, &iam) == nil && iam.Error.Message != "" {
		return iam.Error.Status, w.quote.text(iam.Error.Message, w.sent)
	}
	return "", fmt.Sprintf("the token server answers with status %d", w.status)
}

// A gcsTokenError says why there is no access token.
type gcsTokenError struct {
	text    string
	failure failure
}

func (e *gcsTokenError) Error() string { return e.text }

// A gcsMetadataServer gives the tokens of the machine's service account
// (https://cloud.google.com/compute/docs/access/authenticate-workloads#applications).
type gcsMetadataServer struct {
	host      string
	transport http.RoundTripper
	now       func() time.Time
	// why is what to say if nothing answers, for a server that nobody said is there; "" if somebody did, or it answered before.
	why string
}

func (m *gcsMetadataServer) fetch(ctx context.Context) (gcsAccess, error) {
	u := url.URL{Scheme: "http", Host: m.host, Path: "/computeMetadata/v1/instance/service-accounts/default/token",
		RawQuery: url.Values{"scopes": {gcsScope}}.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return gcsAccess{}, &gcsTokenError{text: "the metadata server's address is none: " + quoter{}.text(m.host, nil), failure: failure{kind: unworkable}}
	}
	req.Header.Set("Metadata-Flavor", "Google")
	w := &gcsWatch{ctx: ctx, base: m.transport}
	resp, err := newClient(w).Do(req)
	if err != nil {
		if m.why != "" && ctx.Err() == nil {
			return gcsAccess{}, &gcsTokenError{text: m.why, failure: failure{kind: loggedOut, noLogin: true}}
		}
		return gcsAccess{}, w.explain(err, "this machine", m.now())
	}
	var answer struct {
		Token   string `json:"access_token"`
		Seconds int64  `json:"expires_in"`
	}
	body, err := readAnswer(resp, maxAnswer)
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return gcsAccess{}, &gcsTokenError{text: "this machine has no service account", failure: failure{kind: loggedOut}}
	case err != nil || resp.StatusCode != http.StatusOK:
		return gcsAccess{}, w.explain(cmp.Or(err, errors.New("no token")), "this machine", m.now())
	case resp.Header.Get("Metadata-Flavor") != "Google" || json.Unmarshal(body, &answer) != nil || answer.Token == "" || answer.Seconds <= 0:
		return gcsAccess{}, &gcsTokenError{text: "what answers at " + m.host + " is no metadata server", failure: failure{kind: loggedOut}}
	}
	m.why = ""
	return gcsAccess{secret.New(answer.Token), m.now().Add(time.Duration(answer.Seconds) * time.Second)}, nil
}
