package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// An answer of GET /schemas/ids/{id} or GET /subjects/{subject}/versions/{version} (Schema Registry API), as far as it is used.
type answer struct {
	Schema     string      `json:"schema"`
	SchemaType string      `json:"schemaType"` // left out for AVRO
	References []reference `json:"references"`
}

type reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// typ is the schema's type; the field is left out for Avro.
func (a *answer) typ() string {
	if a.SchemaType == "" {
		return "AVRO"
	}
	return a.SchemaType
}

// parseAnswer reads an answer of status 200.
func parseAnswer(body []byte) (*answer, error) {
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, fmt.Errorf("the answer is not the JSON of a schema: %w", err)
	}
	if a.Schema == "" {
		return nil, errors.New("the answer holds no schema")
	}
	for _, r := range a.References {
		if r.Subject == "" || r.Version < -1 || r.Version == 0 {
			return nil, fmt.Errorf("reference %q names subject %q version %d", r.Name, r.Subject, r.Version)
		}
	}
	return &a, nil
}

// errNotThere is the registry's own "no such schema" (404 with 40401, 40402 or 40403), unlike a 404 of whatever stands in front of it.
var errNotThere = errors.New("not found")

// fetch gets the schema of an id and all it refers to.
func (c *Client) fetch(ctx context.Context, id int32) (Schema, error) {
	root, err := c.askTwice(ctx, id, "/schemas/ids/"+strconv.Itoa(int(id)))
	if errors.Is(err, errNotThere) {
		return Schema{}, ErrUnknownID
	}
	if err != nil {
		return Schema{}, err
	}
	w := walk{c: c, id: id, typ: root.typ(), state: map[reference]bool{}, bytes: len(root.Schema)}
	if err := w.visit(ctx, root.References, 1); err != nil {
		return Schema{}, err
	}
	return Schema{ID: id, Type: root.typ(), Text: root.Schema, References: w.texts}, nil
}

// A walk collects the texts that a schema refers to, depth first: a text comes after those it needs.
type walk struct {
	c     *Client
	id    int32
	typ   string
	state map[reference]bool // by subject and version: false while its own references are walked, true once its text is taken
	texts []string
	bytes int
}

func (w *walk) visit(ctx context.Context, refs []reference, depth int) error {
	for _, r := range refs {
		r.Name = "" // Avro finds a type by its full name, whatever the reference calls it
		taken, met := w.state[r]
		switch {
		case taken:
			continue
		case met:
			return w.broken("subject %s version %d refers to itself", r.Subject, r.Version)
		case depth > maxReferenceDepth:
			return w.broken("references are nested deeper than %d", maxReferenceDepth)
		case len(w.state) >= w.c.maxReferences:
			return w.broken("more than %d references", w.c.maxReferences)
		}
		w.state[r] = false
		a, err := w.c.askTwice(ctx, w.id, "/subjects/"+url.PathEscape(r.Subject)+"/versions/"+strconv.Itoa(r.Version)+"?deleted=true")
		if errors.Is(err, errNotThere) {
			return w.broken("it refers to subject %s version %d, which the registry does not have", r.Subject, r.Version)
		}
		if err != nil {
			return err
		}
		if a.typ() != w.typ {
			return w.broken("it is %s and refers to subject %s version %d, which is %s", w.typ, r.Subject, r.Version, a.typ())
		}
		if err := w.visit(ctx, a.References, depth+1); err != nil {
			return err
		}
		if w.bytes += len(a.Schema); w.bytes > w.c.maxBytes {
			return w.broken("it has more than %d bytes with its references", w.c.maxBytes)
		}
		w.state[r] = true
		w.texts = append(w.texts, a.Schema)
	}
	return nil
}

func (w *walk) broken(format string, args ...any) error {
	return &BrokenError{ID: w.id, Why: fmt.Sprintf(format, args...)}
}

// askTwice asks again after a second for what the registry says it does not have.
func (c *Client) askTwice(ctx context.Context, id int32, path string) (*answer, error) {
	a, err := c.ask(ctx, id, path)
	if !errors.Is(err, errNotThere) {
		return a, err
	}
	if err := c.env.Sleep(ctx, askAgainAfter); err != nil {
		return nil, err
	}
	return c.ask(ctx, id, path)
}

// ask repeats the request until there is an answer that makes sense, or ctx ends.
func (c *Client) ask(ctx context.Context, id int32, path string) (*answer, error) {
	for attempt := 0; ; attempt++ {
		r := c.get(ctx, path)
		var a *answer
		err := r.err
		switch {
		case err != nil:
		case r.status == http.StatusOK:
			a, err = parseAnswer(r.body)
		case r.notThere():
			return nil, errNotThere
		default:
			err = r.refusal()
		}
		if err == nil {
			if attempt > 0 {
				c.env.Log.Warn("the schema registry answers again", "url", c.name(r.endpoint), "schemaId", id)
			}
			return a, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		c.leave(r.endpoint)
		wait := c.wait(attempt, r.retryAfter)
		c.warn(r.endpoint, id, attempt, err, wait)
		if err := c.env.Sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// leave makes the next request go to another endpoint, if there is one: an answer that makes no sense may be a proxy's before this one.
func (c *Client) leave(endpoint int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.endpoint == endpoint {
		c.endpoint = (endpoint + 1) % len(c.o.Endpoints)
	}
}

// wait is how long to wait after an attempt (from 0): doubling, spread over its upper half, and at least what the registry asked for.
func (c *Client) wait(attempt int, asked time.Duration) time.Duration {
	d := longestWait
	if attempt < 7 {
		d = min(d, firstWait<<attempt)
	}
	d = d/2 + time.Duration(c.env.Rand()*float64(d/2))
	return max(d, min(asked, longestAsked))
}

// warn logs an attempt in vain, at most once in logEvery whatever the number of ids that wait.
func (c *Client) warn(endpoint int, id int32, attempt int, err error, wait time.Duration) {
	c.mu.Lock()
	now := c.env.Now()
	quiet := !c.logged.IsZero() && now.Sub(c.logged) < logEvery
	if !quiet {
		c.logged = now
	}
	c.mu.Unlock()
	if !quiet {
		c.env.Log.Warn("the schema registry does not give a schema; trying again", "url", c.name(endpoint), "schemaId", id, "attempt", attempt+1,
			"error", c.scrub.String(err.Error()), "nextTry", wait)
	}
}

func (c *Client) name(endpoint int) string { return c.o.Endpoints[endpoint].Name }
