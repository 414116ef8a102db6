package datagen

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

const (
	// callTimeout is more than what a restart waits for: records under way, then the registry.
	callTimeout = 60 * time.Second
	maxAnswer   = 1 << 20
)

// An Action is what a Client can ask a connector for.
type Action string

// The actions are the last parts of Connect's paths.
const (
	Pause   Action = "pause"
	Resume  Action = "resume"
	Restart Action = "restart"
	Stop    Action = "stop"
)

// A Client asks and tells a connector that runs in another process, which serves its Handler. Its methods may be called concurrently;
// their errors are a *problem.Problem or the context's.
type Client struct {
	URL         string
	Key, Secret secret.Secret
}

// Name is the name of the connector there.
func (c *Client) Name(ctx context.Context) (string, error) {
	var names []string
	if err := c.call(ctx, http.MethodGet, "/connectors", &names); err != nil {
		return "", err
	}
	if len(names) != 1 {
		return "", problem.New(problem.ConnectorRefused, "%s has %d connectors, where one runs", c.URL, len(names))
	}
	return names[0], nil
}

// Status is what the connector is doing.
func (c *Client) Status(ctx context.Context, name string) (Status, error) {
	var s Status
	err := c.call(ctx, http.MethodGet, "/connectors/"+url.PathEscape(name)+"/status", &s)
	return s, err
}

// Do asks the connector for an action, and returns when it is done.
func (c *Client) Do(ctx context.Context, name string, a Action) error {
	method := http.MethodPut
	if a == Restart {
		method = http.MethodPost
	}
	return c.call(ctx, method, "/connectors/"+url.PathEscape(name)+"/"+string(a), nil)
}

// call decodes the answer into out, unless that is nil.
func (c *Client) call(ctx context.Context, method, path string, out any) error {
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, method, strings.TrimSuffix(c.URL, "/")+path, nil)
	if err != nil {
		return problem.New(problem.InvalidValue, "%q is no URL of a connector", c.URL)
	}
	req.SetBasicAuth(c.Key.Reveal(), c.Secret.Reveal())
	// No proxy of the environment: it is on this machine. No redirects: the login is for nobody else.
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return problem.New(problem.ConnectorUnreachable, "no connector answers at %s: %w", c.URL, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	switch {
	case err != nil:
		return problem.New(problem.ConnectorUnreachable, "the connector at %s does not answer in whole: %w", c.URL, err)
	case res.StatusCode == http.StatusUnauthorized:
		return problem.New(problem.ConnectorRefused, "the connector at %s refuses the login", c.URL).
			Fix("it may be another one than the file was written for: start yours again")
	case res.StatusCode/100 != 2:
		return problem.New(problem.ConnectorRefused, "the connector answers %s", reason(res.Status, body))
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return problem.New(problem.ConnectorRefused, "what answers at %s is no connector: %w", c.URL, err)
	}
	return nil
}

// reason is what the body of an error says.
func reason(status string, body []byte) string {
	var e struct{ Message string }
	if json.Unmarshal(body, &e) != nil || e.Message == "" {
		return status
	}
	return fmt.Sprintf("%s: %s", status, e.Message)
}
