package cloud

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/store/storetest"
)

var background = context.Background()

func TestS3KeepsTheContractOfAStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		f := newS3Fake(t)
		f.page = 7 // every longer listing has pages
		return newStore(f.backend(t), s3FakePlace, storeOptions{})
	})
}

// TestS3FailureOfAnAnswer puts an object, gets every answer that S3 documents for it, and reads what it means.
func TestS3FailureOfAnAnswer(t *testing.T) {
	f := newS3Fake(t)
	b := f.backend(t)
	calls := 0
	for _, test := range []struct {
		status int
		code   string
		header string // NAME: VALUE
		want   failure
		text   string // in the error
	}{
		{412, "PreconditionFailed", "", failure{kind: exists}, "PutObject: PreconditionFailed"},
		{409, "ConditionalRequestConflict", "", failure{kind: contended}, ""}, // nothing decided: the write goes out again
		{409, "OperationAborted", "", failure{kind: contended}, ""},
		{409, "ExistingObjectIsDirectory", "", failure{kind: contended}, ""},
		{503, "SlowDown", "Retry-After: 7", failure{kind: refused, after: 7 * time.Second}, ""},
		{429, "TooManyRequests", "Retry-After: 3", failure{kind: refused, after: 3 * time.Second}, ""},
		{503, "ServiceUnavailable", "Retry-After: 2", failure{kind: transient, after: 2 * time.Second}, ""}, // a proxy may say so after the store did it
		{500, "InternalError", "", failure{kind: transient}, ""},
		{400, "RequestTimeout", "", failure{kind: transient}, ""},
		{502, "BadGateway", "", failure{kind: transient}, ""},
		{400, "XAmzContentSHA256Mismatch", "", failure{kind: refused}, ""},
		{404, "NoSuchBucket", "", failure{kind: noBucket}, ""},
		{404, "NoSuchKey", "", failure{kind: notFound}, ""},
		{404, "NoSuchUpload", "", failure{kind: uploadGone}, ""},
		{403, "AccessDenied", "", failure{kind: denied}, ""},
		{403, "InvalidAccessKeyId", "", failure{kind: loggedOut}, ""},
		{403, "SignatureDoesNotMatch", "", failure{kind: loggedOut}, ""},
		{400, "ExpiredToken", "", failure{kind: loggedOut}, ""},
		{400, "TokenRefreshRequired", "", failure{kind: loggedOut}, ""},
		{403, "RequestTimeTooSkewed", "", failure{kind: refused}, "this machine's clock differs"},
		{301, "PermanentRedirect", "x-amz-bucket-region: eu-west-1", failure{kind: unworkable}, "bucket bucket is in region eu-west-1, not us-east-1: set fs.s3a.endpoint.region"},
		{501, "NotImplemented", "", failure{kind: unworkable}, "may not know If-None-Match"},
		{400, "KMS.DisabledException", "", failure{kind: unworkable}, ""},
		{400, "InvalidRequest", "", failure{kind: unworkable}, ""},
	} {
		f.refuse = func(_ string, w http.ResponseWriter, _ *http.Request) bool {
			if name, value, ok := strings.Cut(test.header, ": "); ok {
				w.Header().Set(name, value)
			}
			s3Answer(w, test.status, test.code, "Some text.")
			return true
		}
		err := b.put(background, "key", pieces{[]byte("x")}, true)
		if calls++; err == nil {
			t.Fatalf("%s: no error", test.code)
		}
		test.want.code = test.code
		if got := b.failure(err); got != test.want {
			t.Errorf("%d %s: got %+v, want %+v (%v)", test.status, test.code, got, test.want, err)
		}
		for _, part := range []string{test.text, "PutObject: " + test.code, "(request REQ1)"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q lacks %q", test.code, err, part)
			}
		}
		if strings.Contains(err.Error(), "operation error") || strings.Contains(err.Error(), "StatusCode") {
			t.Errorf("%s: %q is the SDK's", test.code, err)
		}
	}
	if n := len(f.seen); n != calls {
		t.Errorf("%d requests for %d calls: the SDK repeats", n, calls)
	}
}

// TestS3FailureWithoutCode: answers of proxies and of HEAD have no code.
func TestS3FailureWithoutCode(t *testing.T) {
	f := newS3Fake(t)
	b := f.backend(t)
	for status, want := range map[int]kind{
		301: unworkable, 400: unworkable, 401: loggedOut, 403: denied, 404: notFound, 412: exists, 429: refused, 500: transient, 502: transient, 503: transient, 504: transient,
		499: transient, 501: unworkable, 505: unworkable, 507: transient, 520: transient, 524: transient,
	} {
		f.refuse = func(_ string, w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			return true
		}
		err := b.put(background, "key", nil, true)
		if got := b.failure(err); got.kind != want {
			t.Errorf("put, status %d: got %v, want %v (%v)", status, got.kind, want, err)
		}
		if status == 400 {
			want = loggedOut // ExpiredToken without its name
		}
		if _, _, err = b.head(background, "key"); b.failure(err).kind != want {
			t.Errorf("head, status %d: got %v, want %v (%v)", status, b.failure(err).kind, want, err)
		}
	}
	f.refuse = func(_ string, w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "<html><body>"+strings.Repeat("Service Unavailable ", 100))
		return true
	}
	if err := b.put(background, "key", nil, true); b.failure(err).kind != transient || len(err.Error()) > 500 {
		t.Errorf("an HTML page: got %v (%v)", b.failure(err).kind, err)
	}
}

func TestS3FailureWithoutAnswer(t *testing.T) {
	f := newS3Fake(t)
	b := f.backend(t)
	f.cut = func(string) bool { return true }
	if err := b.put(background, "key", pieces{[]byte("x")}, true); b.failure(err).kind != transient {
		t.Errorf("cut after it was applied: got %v (%v)", b.failure(err).kind, err)
	}
	f.between(func() {
		if _, there := f.objects["table/key"]; !there {
			t.Error("the request was not applied")
		}
	})
	ctx, cancel := context.WithCancel(background)
	cancel()
	if err := b.put(ctx, "key", nil, true); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	f.Close()
	if err := b.put(background, "key", nil, true); b.failure(err).kind != refused || strings.Contains(err.Error(), "?x-id") {
		t.Errorf("nothing listens: got %v (%v)", b.failure(err).kind, err)
	}
}

// TestS3WrongRegionOfTheSignature reads the region out of the text, where S3 has no header for it.
func TestS3WrongRegionOfTheSignature(t *testing.T) {
	f := newS3Fake(t)
	b := f.backend(t, s3Region, "eu-west-1")
	f.refuse = func(_ string, w http.ResponseWriter, _ *http.Request) bool {
		s3Answer(w, 400, "AuthorizationHeaderMalformed", "The authorization header is malformed; the region 'eu-west-1' is wrong; expecting 'eu-central-1'")
		return true
	}
	_, _, err := b.list(background, "", "", "")
	if err == nil || !strings.Contains(err.Error(), "is in region eu-central-1, not eu-west-1") {
		t.Errorf("got %v", err)
	}
}

func TestS3HealsAWrongClock(t *testing.T) {
	f := newS3Fake(t)
	b := f.backend(t)
	var signed []string
	f.refuse = func(_ string, w http.ResponseWriter, r *http.Request) bool {
		signed = append(signed, r.Header.Get("X-Amz-Date")[:8])
		w.Header().Set("Date", time.Now().UTC().Add(48*time.Hour).Format(http.TimeFormat))
		s3Answer(w, 403, "RequestTimeTooSkewed")
		return true
	}
	for range 2 {
		if err := b.put(background, "key", nil, true); b.failure(err).kind != refused {
			t.Fatal(err)
		}
	}
	today, later := time.Now().UTC().Format("20060102"), time.Now().UTC().Add(48*time.Hour).Format("20060102")
	if !slices.Equal(signed, []string{today, later}) {
		t.Errorf("signed at %v, want %s and then the store's %s", signed, today, later)
	}
}

// TestS3WritesNothingToStandardError has answers that the SDK would complain of there.
func TestS3WritesNothingToStandardError(t *testing.T) {
	stderr := os.Stderr
	defer func() { os.Stderr = stderr }()
	var err error
	if os.Stderr, err = os.Create(filepath.Join(t.TempDir(), "stderr")); err != nil {
		t.Fatal(err)
	}
	f := newS3Fake(t)
	b := f.backend(t)
	f.refuse = func(_ string, w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Date", "today")
		w.Header().Set("Content-Length", "1000") // of which none comes
		w.WriteHeader(200)
		return true
	}
	_ = b.put(background, "key", nil, true)
	if err := os.Stderr.Close(); err != nil {
		t.Fatal(err)
	}
	if said, err := os.ReadFile(os.Stderr.Name()); err != nil || len(said) > 0 {
		t.Errorf("%s, %v", said, err)
	}
}

// A roundTrip is a transport.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestS3SignsBodiesOverTLS: without checksums the signature is all that tells the store that a body was damaged.
func TestS3SignsBodiesOverTLS(t *testing.T) {
	t.Setenv("AWS_CA_BUNDLE", "") // the SDK adds it to its own transport only
	env := noEnv
	var hash, scheme string
	env.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		hash, scheme = r.Header.Get("X-Amz-Content-Sha256"), r.URL.Scheme
		return nil, io.ErrUnexpectedEOF
	})
	c, problems := s3Settings(s3FakePlace, s3Given(s3AccessKey, "id", s3SecretKey, "key", s3Region, "eu-west-1"), env)
	if len(problems) > 0 {
		t.Fatal(problems[0])
	}
	b, err := newS3(background, c, env)
	if err != nil {
		t.Fatal(err)
	}
	body := []byte("body")
	u := &s3Upload{b: b.(*s3Backend), key: "key", id: "id"}
	for what, send := range map[string]func() error{
		"put":  func() error { return b.put(background, "key", pieces{body}, true) },
		"part": func() error { return u.part(background, 0, body) },
	} {
		hash, scheme = "", ""
		if err := send(); err == nil || scheme != "https" || hash != fmt.Sprintf("%x", sha256.Sum256(body)) {
			t.Errorf("%s over %s: hash %q, %v", what, scheme, hash, err)
		}
	}
}

func TestS3Ranges(t *testing.T) {
	f := newS3Fake(t)
	b := f.backend(t)
	if err := b.put(background, "key", pieces{[]byte("0123456789")}, false); err != nil {
		t.Fatal(err)
	}
	if err := b.put(background, "empty", nil, false); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		key    string
		off, n int64
		want   string
		size   int64
	}{
		{"key", 0, -1, "0123456789", 10}, // all
		{"key", 4, -1, "456789", 10},     // to the end
		{"key", 2, 3, "234", 10},
		{"key", 0, 3, "012", 10},
		{"key", 8, 100, "89", 10}, // beyond the end
		{"key", 10, 1, "", 10},    // at the end: 416
		{"key", 99, -1, "", 10},   // behind it
		{"key", 5, 0, "", 10},     // nothing: only the size
		{"empty", 0, -1, "", 0},
		{"empty", 0, 5, "", 0}, // 416 of an empty object
	} {
		for _, ignored := range []bool{false, true} {
			f.refuse = func(_ string, _ http.ResponseWriter, r *http.Request) bool {
				if ignored {
					r.Header.Del("Range")
				}
				return false
			}
			body, size, err := b.get(background, test.key, test.off, test.n)
			if ignored && test.off > 0 && test.n != 0 {
				if b.failure(err).kind != unworkable {
					t.Errorf("%d bytes at %d, range ignored: got %v", test.n, test.off, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%d bytes at %d: %v", test.n, test.off, err)
				continue
			}
			got, err := io.ReadAll(body)
			if err != nil || string(got) != test.want || size != test.size {
				t.Errorf("%d bytes at %d: got %q of %d, %v, want %q of %d", test.n, test.off, got, size, err, test.want, test.size)
			}
			if err := body.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestS3RefusesAnotherRange(t *testing.T) {
	f := newS3Fake(t)
	b := f.backend(t)
	for _, span := range []string{"bytes 0-1/10", "bytes 2-3/*"} {
		f.refuse = func(_ string, w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Range", span)
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, "01")
			return true
		}
		if _, _, err := b.get(background, "key", 2, 2); err == nil || !strings.Contains(err.Error(), span) {
			t.Errorf("%s: got %v, want an error that names it", span, err)
		}
	}
}

func TestS3ListLeavesOutFolders(t *testing.T) {
	f := newS3Fake(t)
	b := f.backend(t)
	for _, key := range []string{"table", "table/", "table/a/", "table/a/x", "table0/y", "tab"} {
		f.objects[key] = s3FakeObject{}
	}
	objects, next, err := b.list(background, "", "", "")
	if err != nil || next != "" || len(objects) != 1 || objects[0].Key != "a/x" {
		t.Errorf("got %v, %q, %v", objects, next, err)
	}
	root := *b
	root.place.Folder = ""
	objects, _, err = root.list(background, "tab", "table/", "")
	if err != nil || len(objects) != 2 || objects[1].Key != "table0/y" {
		t.Errorf("of the bucket's root: got %v, %v", objects, err)
	}
}

// s3LeastPart is the smallest part that S3 takes, but for the last.
const s3LeastPart = 5 << 20

// s3UploadParts uploads two parts of an object that is to have some more bytes.
func s3UploadParts(t *testing.T, b *s3Backend, key string) (multipart, []byte) {
	t.Helper()
	u, err := b.begin(background, key)
	if err != nil {
		t.Fatal(err)
	}
	var whole []byte
	for n := range 2 {
		data := bytes.Repeat([]byte{byte('a' + n)}, s3LeastPart)
		if err := u.part(background, n, data); err != nil {
			t.Fatal(err)
		}
		whole = append(whole, data...)
	}
	return u, append(whole, "rest"...)
}

func TestS3Upload(t *testing.T) {
	f := newS3Fake(t)
	b := f.backend(t)
	u, whole := s3UploadParts(t, b, "key")
	if err := u.part(background, 1, bytes.Repeat([]byte{'b'}, s3LeastPart)); err != nil { // once more
		t.Fatal(err)
	}
	if err := u.finish(background, 2, []byte("rest")); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(f.objects["table/key"].data, whole) {
		t.Errorf("got %d bytes", len(f.objects["table/key"].data))
	}
	other, _ := s3UploadParts(t, b, "key")
	if err := other.finish(background, 2, nil); b.failure(err).kind != exists {
		t.Errorf("over an object: got %v", err)
	}
	if err := other.cancel(background); err != nil || len(f.uploads) != 0 {
		t.Errorf("cancel: %v, %d left", err, len(f.uploads))
	}
	if err := other.cancel(background); err != nil {
		t.Errorf("cancel again: %v", err)
	}
}

// TestS3UploadWhoseLastAnswerIsLost: the repetition finds the object there (412) or the upload gone (404), depending on what the store looks
// at first, and must tell its own object from another writer's.
func TestS3UploadWhoseLastAnswerIsLost(t *testing.T) {
	for _, test := range []struct {
		name   string
		second func(f *s3Fake) // happens between the lost answer and the repetition
		answer string          // of the repetition in place of the server's
		want   kind
		ok     bool
	}{
		{name: "412", ok: true},
		{name: "404", answer: "NoSuchUpload", ok: true},
		{name: "another's object, 412", second: func(f *s3Fake) { f.objects["table/key"] = s3FakeObject{data: []byte("x")} }, want: exists},
		{name: "another's object, 404", second: func(f *s3Fake) { f.objects["table/key"] = s3FakeObject{data: []byte("x")} }, answer: "NoSuchUpload", want: exists},
		{name: "given up elsewhere", second: func(f *s3Fake) { delete(f.objects, "table/key") }, want: uploadGone},
		{name: "it came and went", second: func(f *s3Fake) { delete(f.objects, "table/key") }, answer: "PreconditionFailed", want: contended},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newS3Fake(t)
			b := f.backend(t)
			u, _ := s3UploadParts(t, b, "key")
			f.cut = func(op string) bool { return op == s3CompleteUpload }
			err := u.finish(background, 2, []byte("rest"))
			if err == nil || b.failure(err).kind != transient {
				t.Fatalf("the answer was lost: got %v", err)
			}
			f.between(func() {
				f.cut = nil
				if test.second != nil {
					test.second(f)
				}
				if test.answer == "" {
					return
				}
				f.refuse = func(op string, w http.ResponseWriter, _ *http.Request) bool {
					if op != s3CompleteUpload {
						return false
					}
					status := http.StatusNotFound
					if test.answer == "PreconditionFailed" {
						status = http.StatusPreconditionFailed
					}
					s3Answer(w, status, test.answer)
					return true
				}
			})
			err = u.finish(background, 2, []byte("rest"))
			if test.ok != (err == nil) || err != nil && b.failure(err).kind != test.want {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestS3UploadAnsweredTooEarly: S3 sends the status 200 before it knows the outcome.
func TestS3UploadAnsweredTooEarly(t *testing.T) {
	for _, test := range []struct {
		name, body string
		want       kind
	}{
		{"an error follows", `<?xml version="1.0"?><Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>`, transient},
		{"slow down follows", `<Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>`, refused},
		{"nothing follows", "", transient},
		{"blanks follow", "   \n  ", transient},
		{"half an answer follows", `<CompleteMultipartUploadResult><Loc`, transient},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newS3Fake(t)
			b := f.backend(t)
			u, whole := s3UploadParts(t, b, "key")
			f.refuse = func(op string, w http.ResponseWriter, _ *http.Request) bool {
				if op == s3CompleteUpload {
					_, _ = io.WriteString(w, test.body)
				}
				return op == s3CompleteUpload
			}
			if err := u.finish(background, 2, []byte("rest")); err == nil || b.failure(err).kind != test.want {
				t.Errorf("got %v, want kind %v", err, test.want)
			}
			f.refuse = nil
			if err := u.finish(background, 2, []byte("rest")); err != nil || !bytes.Equal(f.objects["table/key"].data, whole) {
				t.Errorf("again: %v", err)
			}
		})
	}
}

func TestS3CleanGivesUpOldUploads(t *testing.T) {
	f := newS3Fake(t)
	f.page = 2
	b := f.backend(t)
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for i, key := range []string{"table/a", "table/log/1", "table/log/2", "table/log/3", "table/log/4", "table/log/5", "table/logs/1", "other/log/1"} {
		f.uploads[fmt.Sprintf("u%d", i)] = &s3FakeUpload{key: key, begun: now.Add(-time.Hour)}
	}
	f.uploads["u3"].begun = now // a live one
	n, _, err := b.clean(background, "log", now.Add(-time.Minute))
	if n != 4 || err != nil || len(f.uploads) != 4 {
		t.Errorf("cleaned %d, %v, %d left; want 4 and 4", n, err, len(f.uploads))
	}
	if n, _, err = b.clean(background, "", time.Time{}); n != 3 || err != nil || len(f.uploads) != 1 { // all that are the place's
		t.Errorf("cleaned %d, %v, %d left; want 3 and 1", n, err, len(f.uploads))
	}
	// A row of runs that were killed leaves more than one attempt has time for.
	for i := range 2*cleanedAtOnce + 5 {
		f.uploads[fmt.Sprintf("many%d", i)] = &s3FakeUpload{key: fmt.Sprintf("table/many/%03d", i), begun: now}
	}
	n, more, err := b.clean(background, "many", time.Time{})
	if n != cleanedAtOnce || !more || err != nil {
		t.Errorf("one attempt cleaned %d, more %v, %v", n, more, err)
	}
	if n, err := newStore(b, b.place, storeOptions{}).Clean(background, "many", time.Time{}); n != cleanedAtOnce+5 || err != nil || len(f.uploads) != 1 {
		t.Errorf("cleaned %d, %v, %d left", n, err, len(f.uploads))
	}
}

func TestS3Encryption(t *testing.T) {
	f := newS3Fake(t)
	b := f.backend(t, s3SSE, "SSE-KMS", s3SSEKey, "arn:aws:kms:eu-west-1:1:key/k", s3SSEBucketKey, "true", s3RequesterPays, "true")
	var payer []string
	f.refuse = func(_ string, _ http.ResponseWriter, r *http.Request) bool {
		payer = append(payer, r.Header.Get("x-amz-request-payer"))
		return false
	}
	if err := b.put(background, "put", nil, false); err != nil {
		t.Fatal(err)
	}
	u, _ := s3UploadParts(t, b, "upload")
	if err := u.finish(background, 2, nil); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"table/put", "table/upload"} {
		h := f.objects[key].header
		got := []string{h.Get("x-amz-server-side-encryption"), h.Get("x-amz-server-side-encryption-aws-kms-key-id"),
			h.Get("x-amz-server-side-encryption-bucket-key-enabled")}
		if !slices.Equal(got, []string{"aws:kms", "arn:aws:kms:eu-west-1:1:key/k", "true"}) {
			t.Errorf("%s: got %q", key, got)
		}
	}
	if slices.Contains(payer, "") || len(payer) == 0 {
		t.Errorf("x-amz-request-payer: %q", payer)
	}
}

// A service that gives credentials and whose certificate does not verify is not asked again until the budget ends.
func TestS3LoginWithoutATrustedCertificate(t *testing.T) {
	untrusted := &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
	for _, err := range []error{
		untrusted,
		&awshttp.ResponseError{ResponseError: &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{}}, Err: untrusted}},
	} {
		if got := (&s3LoginError{err: err}).failure(); got.kind != unsafeTLS {
			t.Errorf("%T: got %v", err, got.kind)
		}
	}
}
