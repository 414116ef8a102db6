package cloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// A gcsError is an answer of GCS that is an error (https://cloud.google.com/storage/docs/json_api/v1/status-codes).
type gcsError struct {
	status  int
	reason  string // conditionNotMet; "" if the body is not the API's
	message string // one line
	after   time.Duration
	kind    kind

	bucketOnly bool // the request names no object that could be missing
	anonymous  bool // the request carried no token
}

// Error is short: names, no URL (those of uploads are permissions), no headers.
func (e *gcsError) Error() string {
	text := fmt.Sprintf("%d %s", e.status, e.reason)
	if e.reason == "" {
		text = fmt.Sprintf("%d %s", e.status, http.StatusText(e.status))
	}
	if e.message != "" {
		text += ": " + e.message
	}
	return text
}

// readGCSError reads the body of an error: JSON, or text for downloads.
func readGCSError(resp *http.Response, body []byte, quote quoter) *gcsError {
	e := &gcsError{status: resp.StatusCode}
	var answer struct {
		Error struct {
			Message string
			Errors  []struct{ Reason string }
		}
	}
	if json.Unmarshal(body, &answer) == nil {
		e.message = quote.text(answer.Error.Message, resp.Request)
		if len(answer.Error.Errors) > 0 {
			e.reason = quote.text(answer.Error.Errors[0].Reason, resp.Request)
		}
	} else if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		e.message = quote.text(string(body), resp.Request)
	}
	return e
}

// classify says what the error means for what is done next.
func (e *gcsError) classify() kind {
	switch e.status {
	case http.StatusUnauthorized:
		if e.anonymous {
			return denied // there is nothing to log in with
		}
		return loggedOut
	case http.StatusForbidden:
		return e.forbidden()
	case http.StatusNotFound:
		if e.bucketOnly || strings.Contains(e.message, "bucket does not exist") {
			return noBucket
		}
		return notFound
	case http.StatusPreconditionFailed:
		if e.reason != "" && e.reason != "conditionNotMet" {
			return unworkable // a policy of the organization
		}
		return exists // no other condition is ever sent
	case http.StatusTooManyRequests:
		if strings.Contains(e.message, "object mutation") {
			return contended // of one object GCS takes one write a second (https://cloud.google.com/storage/docs/gcs429)
		}
		return refused
	case http.StatusBadRequest:
		if strings.Contains(strings.ToLower(e.message), "crc32c") {
			return refused // the bytes were damaged on their way, and thrown away
		}
		return unworkable
	case http.StatusRequestTimeout:
		return transient
	}
	if e.status >= 500 && e.status != http.StatusNotImplemented {
		// 503 too: Google says that it may be retried, not that nothing was done.
		return transient
	}
	return unworkable
}

// forbidden tells apart why a request is forbidden.
func (e *gcsError) forbidden() kind {
	switch e.reason {
	case "rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded":
		return refused
	case "accountDisabled", "UserProjectAccountProblem", "userAccountDisabled", "accessNotConfigured", "sslRequired", "countryBlocked",
		"userProjectMissing", "userProjectInconsistent":
		// Billing or the API is off, or a setting is wrong: no permission helps.
		return unworkable
	}
	return denied
}

func (g *gcs) failure(err error) failure {
	if e, ok := errors.AsType[*gcsError](err); ok {
		code := e.reason
		if code == "" {
			code = fmt.Sprint(e.status)
		}
		return failure{kind: e.kind, after: e.after, code: code}
	}
	if e, ok := errors.AsType[*gcsTokenError](err); ok {
		return e.failure
	}
	if _, ok := errors.AsType[uploadGoneError](err); ok {
		return failure{kind: uploadGone}
	}
	return unanswered(err)
}
