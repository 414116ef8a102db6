package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// An s3Error is an answer of S3 that is no success, or that there was none. The SDK's errors repeat whole requests; this one is cut to what
// helps: the operation, S3's code and message, and the id that support asks for.
type s3Error struct {
	op        string // PutObject
	status    int    // 0: no answer
	code      string // NoSuchKey; "" if there was no answer, or one without a code
	message   string // S3's own, cut
	requestID string
	hint      string // what the code means here
	after     time.Duration
	// err is kept only if there was no answer: the context's or the network's.
	err error
}

func (e *s3Error) Error() string {
	var b strings.Builder
	b.WriteString(e.op)
	switch {
	case e.err != nil:
		fmt.Fprintf(&b, ": %v", e.err)
	case e.code == "":
		fmt.Fprintf(&b, ": status %d", e.status)
	default:
		fmt.Fprintf(&b, ": %s", e.code)
		if e.message != "" && e.message != e.code {
			fmt.Fprintf(&b, ": %s", strings.TrimSuffix(e.message, "."))
		}
	}
	if e.hint != "" {
		fmt.Fprintf(&b, "; %s", e.hint)
	}
	if e.requestID != "" {
		fmt.Fprintf(&b, " (request %s)", e.requestID)
	}
	return b.String()
}

func (e *s3Error) Unwrap() error { return e.err }

// fail makes an s3Error of an error of the SDK.
func (b *s3Backend) fail(op string, err error) error {
	e := &s3Error{op: op}
	if login, ok := errors.AsType[*s3LoginError](err); ok {
		e.err = login
		return e
	}
	var header http.Header
	var sent *http.Request
	if answer, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		e.status, e.requestID = answer.HTTPStatusCode(), answer.ServiceRequestID()
		if answer.Response != nil && answer.Response.Response != nil {
			header, sent = answer.Response.Header, answer.Response.Request
		}
		e.after = retryAfter(header, b.now())
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok && e.status != 0 {
		e.code, e.message = api.ErrorCode(), b.quote.text(api.ErrorMessage(), sent)
		if e.code == "UnknownError" { // what the SDK calls an answer without a code
			e.code, e.message = "", ""
		}
	}
	e.hint = b.hint(e, header)
	if e.code == "" && (e.status == 0 || e.status < 300) { // nothing, or half a success
		e.err = innermost(err)
	}
	return e
}

// innermost takes off an error what the SDK wraps around it: the operation, an empty request id, and the URL, which holds the key.
func innermost(err error) error {
	if sent, ok := errors.AsType[*url.Error](err); ok {
		return sent.Err
	}
	if answer, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && answer.Err != nil {
		return answer.Err
	}
	if op, ok := errors.AsType[*smithy.OperationError](err); ok {
		return op.Err
	}
	return err
}

// expectedRegion finds the right region in the text of AuthorizationHeaderMalformed: the region 'us-east-1' is wrong; expecting 'eu-west-1'.
var expectedRegion = regexp.MustCompile(`expecting '([a-z0-9-]+)'`)

// hint says what some codes mean to this program, "" for the others.
func (b *s3Backend) hint(e *s3Error, header http.Header) string {
	region := header.Get("x-amz-bucket-region")
	switch e.code {
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "MovedPermanently":
		if m := expectedRegion.FindStringSubmatch(e.message); region == "" && m != nil {
			region = m[1]
		}
		if region != "" && region != b.client.Options().Region {
			return fmt.Sprintf("bucket %s is in region %s, not %s: set fs.s3a.endpoint.region (or aws_region) to %s",
				b.place.Bucket, region, b.client.Options().Region, region)
		}
	case "RequestTimeTooSkewed":
		return "this machine's clock differs from the store's by more than 15 minutes: set the clock"
	case "AccessDenied":
		if e.op == s3GetObject {
			return "without s3:ListBucket S3 gives this answer for an object that is not there, too"
		}
	case "NotImplemented":
		if e.op == s3PutObject || e.op == s3CompleteUpload {
			return "the store may not know If-None-Match"
		}
	}
	return ""
}

// s3Kinds says what the codes of S3 and of the services that give credentials mean
// (docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html). What is not here is told by the status.
var s3Kinds = map[string]kind{
	"PreconditionFailed": exists, // only asked for with If-None-Match: *

	// Nothing is decided yet between two writers of the key: the write is to be sent again (PutObject, "conditional writes").
	"ConditionalRequestConflict": contended,
	"OperationAborted":           contended,
	// versitygw's, of a key that is none: somebody removes the last object of the folder meanwhile, and with it the folder of its file system.
	"ExistingObjectIsDirectory": contended,

	"SlowDown": refused, "TooManyRequests": refused, "Throttling": refused, "ThrottlingException": refused, "RequestLimitExceeded": refused,
	"BandwidthLimitExceeded": refused, "ServerBusy": refused,
	// The bytes were damaged on the way.
	"IncompleteBody": refused, "BadDigest": refused, "XAmzContentSHA256Mismatch": refused,
	// The SDK has learned the difference of the clocks from this answer, and signs the next request by it.
	"RequestTimeTooSkewed": refused, "RequestInTheFuture": refused,

	"NoSuchKey": notFound, "NotFound": notFound, "NoSuchVersion": notFound,
	"NoSuchBucket": noBucket,
	"NoSuchUpload": uploadGone, "InvalidPart": uploadGone,

	"InvalidAccessKeyId": loggedOut, "SignatureDoesNotMatch": loggedOut, "ExpiredToken": loggedOut, "InvalidToken": loggedOut,
	"TokenRefreshRequired": loggedOut, "InvalidSecurity": loggedOut, "ExpiredTokenException": loggedOut,
	"InvalidClientTokenId": loggedOut, "UnrecognizedClientException": loggedOut,

	"AccessDenied": denied, "AllAccessDisabled": denied, "AccountProblem": denied, "NotSignedUp": denied,

	// The server gave up, which says nothing about the effect.
	"InternalError": transient, "RequestTimeout": transient, "ServiceUnavailable": transient,
}

// failure says what an error of this backend, or of a body that it gave, means.
func (b *s3Backend) failure(err error) failure {
	if login, ok := errors.AsType[*s3LoginError](err); ok {
		return login.failure()
	}
	e, ok := errors.AsType[*s3Error](err)
	if !ok {
		return unanswered(err)
	}
	if e.err != nil {
		return unanswered(e.err)
	}
	f := failure{code: e.code, after: e.after}
	if e.op == s3HeadObject && e.status == http.StatusBadRequest {
		// An answer to HEAD has no body, so no code. What S3 refuses so of a request that is right is its login: ExpiredToken, InvalidToken.
		f.kind = loggedOut
		return f
	}
	if k, ok := s3Kinds[e.code]; ok {
		f.kind = k
		return f
	}
	f.kind = s3KindOfStatus(e.status)
	return f
}

func s3KindOfStatus(status int) kind {
	switch status {
	case http.StatusTooManyRequests:
		return refused
	case http.StatusPreconditionFailed:
		return exists
	case http.StatusNotFound:
		return notFound
	case http.StatusUnauthorized:
		return loggedOut
	case http.StatusForbidden:
		return denied
	case http.StatusRequestTimeout:
		return transient
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return unworkable
	}
	// Half a success; a gateway's own numbers (520 to 530), and 499, with which some say that they gave up while the store went on.
	if status < 300 || status == 499 || status >= 500 {
		return transient
	}
	return unworkable
}

// An s3LoginError says that there are no credentials to sign with; no request was sent to S3.
type s3LoginError struct {
	err   error
	quote quoter
}

func (e *s3LoginError) Error() string {
	return "no credentials: " + e.quote.text(innermost(e.err).Error(), nil)
}

func (e *s3LoginError) Unwrap() error { return e.err }

// failure tells a service that does not answer, which may later, from one that says no and from none.
func (e *s3LoginError) failure() failure {
	if errors.Is(e.err, context.Canceled) || errors.Is(e.err, context.DeadlineExceeded) {
		return failure{kind: refused}
	}
	if f := unanswered(e.err); f.kind == unsafeTLS { // the SDK makes a ResponseError of it, too
		return f
	}
	answer, answered := errors.AsType[*awshttp.ResponseError](e.err)
	api, known := errors.AsType[smithy.APIError](e.err)
	switch {
	case known && answered && answer.HTTPStatusCode() < 500 && s3Kinds[api.ErrorCode()] != refused:
		return failure{kind: loggedOut, code: api.ErrorCode()}
	case answered && answer.HTTPStatusCode() >= 400 && answer.HTTPStatusCode() < 500 && answer.HTTPStatusCode() != 429:
		return failure{kind: loggedOut}
	case answered:
		return failure{kind: refused}
	}
	if k := unanswered(e.err).kind; k != transient {
		return failure{kind: k}
	}
	return failure{kind: loggedOut, noLogin: true}
}
