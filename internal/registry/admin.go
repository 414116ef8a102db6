package registry

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/siltlake/silt/internal/problem"
)

// What follows is for people at a command line: each call is answered or fails within a few tries, unlike Client.Schema, which a query
// waits for. Errors are *problem.Problem, or the context's.

// A Reference is a schema that another one refers to.
type Reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// A Version is a version of a subject (GET /subjects/{subject}/versions/{version}).
type Version struct {
	Subject    string
	Version    int
	ID         int32
	Type       string // AVRO, JSON or PROTOBUF
	Text       string
	References []Reference
}

// A NewSchema is a schema to be registered or checked.
type NewSchema struct {
	Type       string // "" is AVRO
	Text       string
	References []Reference
}

// A Compatibility is what the registry says of a schema that is not registered yet.
type Compatibility struct {
	Compatible bool     `json:"is_compatible"`
	Messages   []string `json:"messages"`
}

// Latest is the newest version of a subject that is not deleted.
const Latest = "latest"

// Error codes of the Schema Registry API.
const (
	codeNoSubject      = 40401
	codeNoVersion      = 40402
	codeNoSchema       = 40403
	codeDeletedAlready = 40404 // a subject
	codeVersionDeleted = 40406
	codeNoConfig       = 40408
	codeReferenced     = 42206
)

// Subjects returns the names of all subjects, in order; of those that are softly deleted too if deleted.
func (c *Client) Subjects(ctx context.Context, deleted bool) ([]string, error) {
	var names []string
	if err := c.call(ctx, http.MethodGet, "/subjects"+deletedQuery(deleted), nil, &names); err != nil {
		return nil, c.asProblem(err, "list the subjects")
	}
	slices.Sort(names)
	return names, nil
}

// Versions returns the numbers of a subject's versions, in order.
func (c *Client) Versions(ctx context.Context, subject string, deleted bool) ([]int, error) {
	var numbers []int
	err := c.call(ctx, http.MethodGet, subjectPath(subject)+"/versions"+deletedQuery(deleted), nil, &numbers)
	if err != nil {
		return nil, c.subjectProblem(ctx, subject, err)
	}
	slices.Sort(numbers)
	return numbers, nil
}

// Version returns a version of a subject: its number, or Latest.
func (c *Client) Version(ctx context.Context, subject, version string, deleted bool) (Version, error) {
	var a struct {
		answer
		Subject    string      `json:"subject"`
		Version    int         `json:"version"`
		ID         int32       `json:"id"`
		References []Reference `json:"references"`
	}
	path := subjectPath(subject) + "/versions/" + url.PathEscape(version) + deletedQuery(deleted)
	err := c.call(ctx, http.MethodGet, path, nil, &a)
	switch {
	case isCode(err, codeNoVersion):
		return Version{}, c.unknownVersion(ctx, subject, version, deleted)
	case err != nil:
		return Version{}, c.subjectProblem(ctx, subject, err)
	case a.Schema == "" || a.Version < 1 || a.ID < 0:
		return Version{}, c.asProblem(errors.New("the answer holds no schema"), "get "+subject)
	}
	return Version{Subject: cmp.Or(a.Subject, subject), Version: a.Version, ID: a.ID, Type: a.typ(), Text: a.Schema, References: a.References},
		nil
}

// ByID returns the schema of an id with what it refers to. Unlike Schema it gives up.
func (c *Client) ByID(ctx context.Context, id int32) (Schema, error) {
	var a answer
	err := c.call(ctx, http.MethodGet, "/schemas/ids/"+strconv.Itoa(int(id)), nil, &a)
	switch {
	case isCode(err, codeNoSchema) || isCode(err, codeNoSubject):
		p := problem.New(problem.UnknownSchemaID, "the registry %s has no schema of id %d", c.o.Endpoints[0].Name, id)
		p.Where = problem.Location{SchemaID: id, HasSchemaID: true}
		return Schema{}, p.Fix("check that schema.registry.url is the registry of the topic's producer")
	case err != nil:
		return Schema{}, c.asProblem(err, fmt.Sprintf("get schema id %d", id))
	case a.Schema == "":
		return Schema{}, c.asProblem(errors.New("the answer holds no schema"), fmt.Sprintf("get schema id %d", id))
	}
	if len(a.References) == 0 {
		return Schema{ID: id, Type: a.typ(), Text: a.Schema}, nil
	}
	// The registry is well, and the walk of the references is the same.
	s, err := c.Schema(ctx, id)
	if b, ok := errors.AsType[*BrokenError](err); ok {
		return Schema{}, problem.New(problem.InvalidSchema, "schema id %d cannot be used: %s", id, b.Why)
	}
	return s, err
}

// Texts returns the texts that references name, with theirs, each once and before those that use it.
func (c *Client) Texts(ctx context.Context, typ string, refs []Reference) ([]string, error) {
	taken := map[Reference]bool{}
	var texts []string
	bytes := 0
	var visit func(refs []Reference, depth int) error
	visit = func(refs []Reference, depth int) error {
		for _, r := range refs {
			r.Name = ""
			done, met := taken[r]
			switch {
			case done:
				continue
			case met || depth > maxReferenceDepth || len(taken) >= c.maxReferences:
				return problem.New(problem.InvalidSchema, "the references by way of subject %s version %d form a circle, or are too many", r.Subject,
					r.Version)
			}
			taken[r] = false
			v, err := c.Version(ctx, r.Subject, versionText(r.Version), true)
			if err != nil {
				return err
			}
			if v.Type != typ {
				return problem.New(problem.InvalidSchema, "the schema is %s and refers to subject %s version %d, which is %s", typ, r.Subject,
					v.Version, v.Type)
			}
			if err := visit(v.References, depth+1); err != nil {
				return err
			}
			if bytes += len(v.Text); bytes > c.maxBytes {
				return problem.New(problem.InvalidSchema, "the referenced schemas have more than %d bytes", c.maxBytes)
			}
			taken[r] = true
			texts = append(texts, v.Text)
		}
		return nil
	}
	return texts, visit(refs, 1)
}

func versionText(n int) string {
	if n == -1 {
		return Latest
	}
	return strconv.Itoa(n)
}

// Register registers a schema under a subject and returns its id, that of an equal schema if there is one.
func (c *Client) Register(ctx context.Context, subject string, s NewSchema) (int32, error) {
	var a struct {
		ID *int32 `json:"id"`
	}
	err := c.call(ctx, http.MethodPost, subjectPath(subject)+"/versions", s.body(), &a)
	if err == nil && a.ID == nil {
		err = errors.New("the answer holds no id")
	}
	if err != nil {
		return 0, c.schemaProblem(err, subject, "register the schema under")
	}
	return *a.ID, nil
}

// Find returns the version of a subject that is an equal schema; false if there is none.
func (c *Client) Find(ctx context.Context, subject string, s NewSchema) (Version, bool, error) {
	var a struct {
		Version int   `json:"version"`
		ID      int32 `json:"id"`
	}
	err := c.call(ctx, http.MethodPost, subjectPath(subject), s.body(), &a)
	switch {
	case isCode(err, codeNoSubject) || isCode(err, codeNoSchema):
		return Version{}, false, nil
	case err != nil:
		return Version{}, false, c.schemaProblem(err, subject, "look for the schema under")
	}
	return Version{Subject: subject, Version: a.Version, ID: a.ID, Type: cmp.Or(s.Type, "AVRO"), Text: s.Text, References: s.References}, true,
		nil
}

// Check asks whether the schema could be registered under the subject: against the versions that its compatibility level names, or against
// one of them if version is not "".
func (c *Client) Check(ctx context.Context, subject, version string, s NewSchema) (Compatibility, error) {
	path := "/compatibility" + subjectPath(subject) + "/versions"
	if version != "" {
		path += "/" + url.PathEscape(version)
	}
	var a struct {
		Compatible *bool    `json:"is_compatible"`
		Messages   []string `json:"messages"`
	}
	err := c.call(ctx, http.MethodPost, path+"?verbose=true", s.body(), &a)
	switch {
	case isCode(err, codeNoVersion):
		return Compatibility{}, c.unknownVersion(ctx, subject, version, false)
	case isCode(err, codeNoSubject):
		return Compatibility{}, c.subjectProblem(ctx, subject, err)
	case err == nil && a.Compatible == nil:
		err = errors.New("the answer does not say whether the schema is compatible")
	}
	if err != nil {
		return Compatibility{}, c.schemaProblem(err, subject, "check the schema against")
	}
	return Compatibility{*a.Compatible, a.Messages}, nil
}

// Level returns the compatibility level that counts for a subject.
func (c *Client) Level(ctx context.Context, subject string) (string, error) {
	var a struct {
		Level string `json:"compatibilityLevel"`
	}
	path := "/config/" + url.PathEscape(subject)
	err := c.call(ctx, http.MethodGet, path+"?defaultToGlobal=true", nil, &a)
	if isCode(err, codeNoConfig) || isCode(err, codeNoSubject) { // registries that do not know defaultToGlobal
		err = c.call(ctx, http.MethodGet, "/config", nil, &a)
	}
	if err != nil {
		return "", c.asProblem(err, "get the compatibility level of "+subject)
	}
	return a.Level, nil
}

// Delete deletes a version of a subject, or all if version is "", and returns the numbers of what it deleted. A soft deletion keeps the
// schemas readable by id; a permanent one wants a soft one first, which Delete makes where it is missing.
func (c *Client) Delete(ctx context.Context, subject, version string, permanent bool) ([]int, error) {
	path := subjectPath(subject)
	if version != "" {
		path += "/versions/" + url.PathEscape(version)
	}
	gone, err := c.deleteOnce(ctx, path, false)
	already := func() bool { return isCode(err, codeDeletedAlready) || isCode(err, codeVersionDeleted) }
	// Some registries say of what is softly deleted that it is not there.
	if permanent && (err == nil || already() || isCode(err, codeNoSubject) || isCode(err, codeNoVersion)) {
		gone, err = c.deleteOnce(ctx, path, true)
	}
	switch {
	case err == nil:
		return gone, nil
	case already():
		return nil, problem.New(problem.Usage, "subject %s is deleted already", describe(subject, version)).Because(err).
			Fix("--permanent removes it for good")
	case isCode(err, codeNoVersion):
		return nil, c.unknownVersion(ctx, subject, version, permanent)
	case isCode(err, codeReferenced):
		return nil, problem.New(problem.RegistryRefused, "subject %s is referred to by other schemas", describe(subject, version)).Because(err).
			Fix("delete those first")
	}
	return nil, c.subjectProblem(ctx, subject, err)
}

func (c *Client) deleteOnce(ctx context.Context, path string, permanent bool) ([]int, error) {
	if permanent {
		path += "?permanent=true"
	}
	var raw json.RawMessage
	if err := c.call(ctx, http.MethodDelete, path, nil, &raw); err != nil {
		return nil, err
	}
	var one int // of a version
	if json.Unmarshal(raw, &one) == nil {
		return []int{one}, nil
	}
	var all []int // of a subject
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("the answer is no list of versions: %w", err)
	}
	return all, nil
}

func describe(subject, version string) string {
	if version == "" {
		return subject
	}
	return subject + " version " + version
}

func subjectPath(subject string) string { return "/subjects/" + url.PathEscape(subject) }

func deletedQuery(deleted bool) string {
	if deleted {
		return "?deleted=true"
	}
	return ""
}

func (s NewSchema) body() []byte {
	b := struct {
		Schema     string      `json:"schema"`
		Type       string      `json:"schemaType,omitempty"`
		References []Reference `json:"references,omitempty"`
	}{s.Text, s.Type, s.References}
	if b.Type == "AVRO" {
		b.Type = "" // the default, which registries before 5.5 do not know by name
	}
	var w bytes.Buffer
	e := json.NewEncoder(&w)
	e.SetEscapeHTML(false)
	if err := e.Encode(b); err != nil {
		panic(err) // strings and numbers have JSON
	}
	return w.Bytes()
}

// A refusedError is an error body of the registry.
type refusedError struct {
	reply   reply
	code    int
	message string
}

func (e *refusedError) Error() string { return e.reply.refusal().Error() }

func isCode(err error, code int) bool {
	e, ok := errors.AsType[*refusedError](err)
	return ok && e.code == code
}

// callTries is how often a request is sent that nothing answers, or that the registry answers with 5xx or 429.
const callTries = 3

// call sends a request until there is an answer, and reads it into v. Writing twice is safe: registering is idempotent, and deleting what
// is deleted already is told apart by its code.
func (c *Client) call(ctx context.Context, method, path string, body []byte, v any) error {
	for attempt := 0; ; attempt++ {
		r := c.send(ctx, method, path, body)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if r.passing() && attempt < callTries-1 && !isCertificateError(r.err) && !isForeign(r.err) {
			if err := c.env.Sleep(ctx, min(c.wait(attempt, r.retryAfter), longestWait)); err != nil {
				return err
			}
			continue
		}
		switch {
		case r.err != nil:
			return &unansweredError{r}
		case r.status < 200 || r.status > 299:
			code, message := r.code()
			return &refusedError{r, code, message}
		}
		if err := json.Unmarshal(r.body, v); err != nil {
			return fmt.Errorf("the answer is not the JSON that a registry gives: %w", err)
		}
		return nil
	}
}

// An unansweredError says that nothing came.
type unansweredError struct{ reply reply }

func (e *unansweredError) Error() string { return e.reply.err.Error() }

// asProblem says why a call failed; what is what it was for.
func (c *Client) asProblem(err error, what string) error {
	if errors.Is(err, context.Canceled) || len(problem.Of(err)) > 0 {
		return err
	}
	if e, ok := errors.AsType[*unansweredError](err); ok {
		return c.unreachable(e.reply)
	}
	e, ok := errors.AsType[*refusedError](err)
	switch {
	case !ok:
		return problem.New(problem.RegistryAnswer, "the registry cannot %s", what).At(c.o.at).Because(errors.New(c.scrub.String(err.Error()))).
			Fix("check that schema.registry.url is the URL of a Schema Registry")
	case e.reply.status == http.StatusUnauthorized || e.reply.status == http.StatusForbidden:
		return c.loginProblem(e.reply)
	case e.reply.passing(): // of a proxy, too
		return c.unreachable(e.reply)
	case e.code == 0:
		return problem.New(problem.RegistryAnswer, "what answers at %s is no schema registry", c.name(e.reply.endpoint)).At(c.o.at).
			Because(errors.New(c.scrub.String(err.Error()))).Fix("check schema.registry.url: its path, too")
	}
	return problem.New(problem.RegistryRefused, "the registry refuses to %s", what).Because(errors.New(c.scrub.String(err.Error())))
}

// subjectProblem is asProblem for a call about a subject, which may not be there.
func (c *Client) subjectProblem(ctx context.Context, subject string, err error) error {
	if !isCode(err, codeNoSubject) && !isCode(err, codeDeletedAlready) {
		return c.asProblem(err, "answer for subject "+subject)
	}
	p := problem.New(problem.UnknownSubject, "unknown subject %q", subject)
	names, err := c.Subjects(ctx, false)
	if err != nil {
		return p.Fix("silt registry subjects lists them")
	}
	if n := problem.Nearest(subject, names); n != "" {
		p.Message += fmt.Sprintf("; did you mean %q?", n)
	}
	switch {
	case len(names) == 0:
		return p.Fix("the registry has no subjects yet")
	case len(names) > 10:
		return p.Fix("silt registry subjects lists the %d there are", len(names))
	}
	return p.Fix("the registry has: %s", strings.Join(names, ", "))
}

func (c *Client) unknownVersion(ctx context.Context, subject, version string, deleted bool) error {
	p := problem.New(problem.UnknownSubject, "subject %s has no version %s", subject, version)
	numbers, err := c.Versions(ctx, subject, deleted)
	if err != nil || len(numbers) == 0 {
		return p.Fix("silt registry versions %s lists them", subject)
	}
	return p.Fix("it has %s", joinInts(numbers))
}

func joinInts(numbers []int) string {
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = strconv.Itoa(n)
	}
	return strings.Join(texts, ", ")
}

// schemaProblem is asProblem for a call that sent a schema.
func (c *Client) schemaProblem(err error, subject, what string) error {
	e, ok := errors.AsType[*refusedError](err)
	switch {
	case !ok:
	case e.reply.status == http.StatusConflict:
		return problem.New(problem.IncompatibleSchema, "the schema is not compatible with earlier versions of subject %s", subject).
			Because(errors.New(c.scrub.String(e.message))).Fix("silt registry check says why; silt registry diff shows what differs")
	case e.reply.status == http.StatusUnprocessableEntity:
		return problem.New(problem.InvalidSchema, "the registry takes the schema for invalid").Because(errors.New(c.scrub.String(e.message)))
	}
	return c.asProblem(err, what+" subject "+subject)
}
