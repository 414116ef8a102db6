package cloud

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
)

// An azureError is a request that failed. The SDK's own errors print whole answers; this one has what a person needs.
type azureError struct {
	op string // as in Azure's reference: Put Blob
	// ifAbsent: the request had If-None-Match: *.
	ifAbsent bool
	// login: it is the request for a token that failed; nothing was sent to the store.
	login bool
	wrong bool // as in azureLoginError

	status    int    // 0: there was no answer
	code      string // x-ms-error-code, or AADSTS and a number
	text      string // the answer's, its first sentence or line
	requestID string // x-ms-request-id, for Azure's support
	after     time.Duration
	err       error // the cause, if there was no answer
}

func (e *azureError) Error() string {
	what := e.op
	if e.login {
		what += ", log in"
	}
	if e.status == 0 {
		if e.text != "" {
			return what + ": " + e.text
		}
		return fmt.Sprintf("%s: %v", what, e.err)
	}
	s := fmt.Sprintf("%s: status %d", what, e.status)
	if e.code != "" {
		s += " " + e.code
	}
	if e.text != "" {
		s += ": " + e.text
	}
	if e.requestID != "" {
		s += " (request " + e.requestID + ")"
	}
	return s
}

func (e *azureError) Unwrap() error { return e.err }

// An azureLoginError is the error of a credential, so that it is not taken for one of the store.
type azureLoginError struct {
	err error
	// wrong: nobody was asked, and the next try would be the same.
	wrong bool
}

func (e *azureLoginError) Error() string { return e.err.Error() }
func (e *azureLoginError) Unwrap() error { return e.err }

// azureFailed makes an azureError of an error of the SDK; nil stays nil.
func azureFailed(op string, ifAbsent bool, err error, now time.Time, quote quoter) error {
	if err == nil {
		return nil
	}
	e := &azureError{op: op, ifAbsent: ifAbsent, err: err}
	if l, ok := errors.AsType[*azureLoginError](err); ok {
		e.login, e.wrong = true, l.wrong
		e.readLogin(l.err, now, quote)
		return e
	}
	if a, ok := errors.AsType[*azcore.ResponseError](err); ok {
		e.status, e.code = a.StatusCode, a.ErrorCode
		e.err = nil
		if a.RawResponse != nil {
			e.text = quote.line(storageText(body(a.RawResponse)), a.RawResponse.Request)
			e.requestID = a.RawResponse.Header.Get("X-Ms-Request-Id")
			e.after = azureRetryAfter(a.RawResponse.Header, now)
		}
	}
	return e
}

// body returns what the SDK has read of an answer.
func body(r *http.Response) []byte {
	b, err := runtime.Payload(r)
	if err != nil {
		return nil
	}
	return b
}

// azureRetryAfter reads when to ask again. Azure has a header of its own in milliseconds.
func azureRetryAfter(h http.Header, now time.Time) time.Duration {
	for _, name := range []string{"Retry-After-Ms", "X-Ms-Retry-After-Ms"} {
		if n, err := strconv.ParseUint(strings.TrimSpace(h.Get(name)), 10, 31); err == nil {
			return time.Duration(n) * time.Millisecond
		}
	}
	return retryAfter(h, now)
}

// storageText returns an answer's message. Of the details of a refused login it adds those about time: others quote what
// was signed.
func storageText(answer []byte) string {
	var a struct{ Message, AuthenticationErrorDetail string }
	if xml.Unmarshal(bytes.TrimPrefix(answer, []byte("\ufeff")), &a) != nil {
		return ""
	}
	text := a.Message
	for _, about := range []string{"Signature not valid in the specified time frame", "Request date header too old", "Signature not valid in the specified key time frame"} {
		if strings.HasPrefix(a.AuthenticationErrorDetail, about) {
			text = a.AuthenticationErrorDetail
		}
	}
	return text
}

// readLogin reads the answer of who gives tokens: Microsoft Entra ID, or the machine's metadata service.
func (e *azureError) readLogin(err error, now time.Time, quote quoter) {
	var answer *http.Response
	if a, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok {
		answer = a.RawResponse
	} else if a, ok := errors.AsType[*azcore.ResponseError](err); ok {
		answer = a.RawResponse
	}
	if answer == nil {
		e.text = quote.line(err.Error(), nil)
		return
	}
	e.err = nil
	e.status = answer.StatusCode
	e.after = azureRetryAfter(answer.Header, now)
	var told struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body(answer), &told) != nil {
		return
	}
	e.code, e.text = told.Error, quote.line(told.Description, answer.Request)
	if code, rest, ok := strings.Cut(e.text, ": "); ok && strings.HasPrefix(code, "AADSTS") {
		e.code, e.text = code, rest
	}
}

// azureCodes says what Azure's codes mean whose status does not say it (learn.microsoft.com, "Status and error codes" of the storage
// services and of Blob Storage; Hadoop's AzureServiceErrorCode for those of accounts with a hierarchical namespace).
var azureCodes = map[bloberror.Code]kind{
	"BlobAlreadyExists": exists, "PathAlreadyExists": exists, "ResourceAlreadyExists": exists,

	"ContainerNotFound": noBucket, "ContainerBeingDeleted": noBucket, "ContainerDisabled": noBucket, "FilesystemNotFound": noBucket,
	"FilesystemBeingDeleted": noBucket,

	// 403, and 400 for an Authorization header that makes no sense. What the account forbids, whoever asks, is denied.
	"AuthenticationFailed": loggedOut, "InvalidAuthenticationInfo": loggedOut, "NoAuthenticationInformation": loggedOut,
	"PublicAccessNotPermitted": loggedOut, // the 409 of a request without a login

	// What is there is no object. Only a delete meets it.
	"DirectoryIsNotEmpty": notFound, "DirectoryNotEmpty": notFound,

	// A copy onto the blob goes on, which ends.
	"PendingCopyOperation": refused,
}

// azureThere are answers to a put that say that the key has an object, though one that may not be replaced: put if absent does not want to.
var azureThere = map[bloberror.Code]bool{
	"UnauthorizedBlobOverwrite": true, // the SAS has the right c and not w
	"BlobImmutableDueToPolicy":  true, "InvalidBlobType": true,
	"LeaseIdMissing": true, "LeaseIdMismatchWithBlobOperation": true, "BlobArchived": true, "BlobBeingRehydrated": true,
	"SnapshotsPresent": true,
}

// meaning says what the error means.
func (e *azureError) meaning() failure {
	f := failure{kind: unworkable, after: e.after, code: e.code}
	if f.code == "" && e.status != 0 {
		f.code = strconv.Itoa(e.status)
	}
	known, ok := azureCodes[bloberror.Code(e.code)]
	switch {
	case e.login:
		f.kind, f.noLogin = e.loginMeaning(), errors.Is(e.err, errNoAzureLogin)
	case e.status == 0:
		f = unanswered(e.err)
	case e.ifAbsent && (e.status == http.StatusPreconditionFailed || azureThere[bloberror.Code(e.code)]):
		f.kind = exists
	case ok:
		f.kind = known
	case e.code == "AuthorizationFailure" && strings.HasPrefix(e.text, "Server failed to authenticate"):
		f.kind = loggedOut // Azurite's AuthenticationFailed
	case e.code == "InvalidBlockList":
		f.kind = uploadGone
	case e.status == http.StatusUnauthorized:
		f.kind = loggedOut
	case e.status == http.StatusForbidden:
		f.kind = denied
	case e.status == http.StatusNotFound:
		f.kind = notFound
	case e.status == http.StatusTooManyRequests:
		f.kind = refused
	// 503 ServerBusy mostly means that nothing was done; but it comes also when a partition is moved under a request, and a request that was
	// applied must never be taken for one that was not.
	case e.status >= 500 && e.status != http.StatusNotImplemented && e.status != http.StatusHTTPVersionNotSupported,
		e.status == http.StatusRequestTimeout:
		f.kind = transient
	}
	return f
}

// loginMeaning says what it means that there is no token. The store was asked nothing, so nothing was applied.
func (e *azureError) loginMeaning() kind {
	switch {
	case e.wrong:
	case e.status == 0:
		if k := unanswered(e.err).kind; k == unsafeTLS {
			return k
		}
		return refused
	// The metadata service gives 404 and 410 while it is being updated (learn.microsoft.com, "How to use managed identities": error handling).
	case e.status == http.StatusTooManyRequests, e.status == http.StatusRequestTimeout, e.status >= 500,
		e.status == http.StatusNotFound, e.status == http.StatusGone:
		return refused
	}
	return loggedOut
}
