package cloud

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// unanswered says what an error means for which there is no answer of the cloud: a connection that was never made applied nothing, any
// other error leaves it open.
func unanswered(err error) failure {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return failure{kind: unsafeTLS}
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return failure{kind: refused, noHost: dns.IsNotFound}
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return failure{kind: refused}
	}
	return failure{kind: transient}
}

// retryAfter reads the header Retry-After of an answer: seconds, or a date (RFC 9110 section 10.2.3). 0: there is none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
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

// contentRange reads the header Content-Range of an answer: where its bytes begin in the object and the size of that, as in "bytes 0-9/100";
// an answer without bytes has "bytes */100" (RFC 9110 section 14.4).
func contentRange(text string) (from, size int64, ok bool) {
	text, unit := strings.CutPrefix(text, "bytes ")
	span, total, _ := strings.Cut(text, "/")
	whole, err := strconv.ParseUint(total, 10, 63)
	if !unit || err != nil {
		return 0, 0, false
	}
	if span == "*" {
		return 0, int64(whole), true
	}
	first, _, _ := strings.Cut(span, "-")
	begin, err := strconv.ParseUint(first, 10, 63)
	if err != nil {
		return 0, 0, false
	}
	return int64(begin), int64(whole), true
}
