package registryd

import (
	"fmt"
	"net/http"
)

// An apiError is an answer that is no success: the HTTP status, and the body that Confluent's clients take apart.
type apiError struct {
	status  int
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s", e.Code, e.Message) }

// The error codes of the API (Confluent's Schema Registry API, "Errors"). Codes have the status in front, but for those that are one.
const (
	codeSubjectNotFound       = 40401
	codeVersionNotFound       = 40402
	codeSchemaNotFound        = 40403
	codeSubjectSoftDeleted    = 40404
	codeSubjectNotSoftDeleted = 40405
	codeVersionSoftDeleted    = 40406
	codeVersionNotSoftDeleted = 40407
	codeNoSubjectConfig       = 40408
	codeNoSubjectMode         = 40409
	codeNoAssociation         = 40410
	codeIncompatible          = 409
	codeInvalidSchema         = 42201
	codeInvalidVersion        = 42202
	codeInvalidLevel          = 42203
	codeInvalidMode           = 42204
	codeNotPermitted          = 42205
	codeReferenceExists       = 42206
	codeIDMismatch            = 42207
	codeInvalidSubject        = 42208
	codeTooLarge              = 42209
	codeInvalidRuleSet        = 42210
	codeContextNotEmpty       = 42211
	codeStore                 = 50001
	codeTimeout               = 50002
)

func failf(code int, format string, args ...any) *apiError {
	status := code
	for status >= 1000 {
		status /= 100
	}
	return &apiError{status, code, fmt.Sprintf(format, args...)}
}

func errSubjectNotFound(s string) *apiError {
	return failf(codeSubjectNotFound, "Subject '%s' not found.", s)
}

func errVersionNotFound(v int32) *apiError {
	return failf(codeVersionNotFound, "Version %d not found.", v)
}

func errIDNotFound(id int32) *apiError { return failf(codeSchemaNotFound, "Schema %d not found", id) }

func errInvalidVersion(text string) *apiError {
	return failf(codeInvalidVersion, "The specified version '%s' is not a valid version id. Allowed values are between [1, 2^31-1] and "+
		`the string "latest"`, text)
}

func errInvalidSchema(reason string) *apiError {
	return failf(codeInvalidSchema, "Invalid schema of type AVRO, details: %s", reason)
}

func errReadOnly(s subject) *apiError {
	return failf(codeNotPermitted, "Subject %s in context %s is in read-only mode", s, s.prefix())
}

func errStatus(status int) *apiError {
	return &apiError{status, status, fmt.Sprintf("HTTP %d %s", status, http.StatusText(status))}
}
