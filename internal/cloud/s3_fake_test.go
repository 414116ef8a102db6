package cloud

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/option"
)

// An s3Fake is as much of S3 as the backend asks for: one bucket, conditional writes, multipart uploads.
type s3Fake struct {
	*httptest.Server

	mu      sync.Mutex
	objects map[string]s3FakeObject
	uploads map[string]*s3FakeUpload // by id
	ids     int
	page    int // keys or uploads a page
	// refuse, if set, may answer in the server's place; an operation has its name in S3's API.
	refuse func(op string, w http.ResponseWriter, r *http.Request) bool
	// cut says that the connection is cut after the request was applied.
	cut  func(op string) bool
	seen []string // the operations, in order
}

type s3FakeObject struct {
	data   []byte
	header http.Header // x-amz-meta-..., x-amz-server-side-encryption-...
}

type s3FakeUpload struct {
	key    string
	begun  time.Time
	header http.Header
	parts  map[int][]byte
}

const s3FakeBucket = "bucket"

// newS3Fake starts a fake whose backend is rooted at the folder "table".
func newS3Fake(t *testing.T) *s3Fake {
	f := &s3Fake{objects: map[string]s3FakeObject{}, uploads: map[string]*s3FakeUpload{}, page: 1000}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

// backend returns a backend for the fake, with more options on top of a key.
func (f *s3Fake) backend(t *testing.T, more ...string) *s3Backend {
	t.Helper()
	b, err := f.open(t, s3Given(append([]string{s3AccessKey, "id", s3SecretKey, "key"}, more...)...), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// open returns a backend for the fake that logs in as g and env say.
func (f *s3Fake) open(t *testing.T, g given, env Env) (*s3Backend, error) {
	t.Helper()
	g[s3Endpoint] = option.Value{Key: s3Endpoint, Text: f.URL}
	c, problems := s3Settings(s3FakePlace, g, env)
	if len(problems) > 0 {
		t.Fatal(problems[0])
	}
	b, err := newS3(background, c, env)
	if err != nil {
		return nil, err
	}
	t.Cleanup(b.(*s3Backend).client.Options().HTTPClient.(*http.Client).CloseIdleConnections)
	return b.(*s3Backend), nil
}

var s3FakePlace = Place{Cloud: S3, Text: "s3://bucket/table", Bucket: s3FakeBucket, Folder: "table"}

// noEnv is an environment without variables, nor files of AWS's.
var noEnv = Env{Getenv: func(name string) (string, bool) {
	if name == "AWS_CONFIG_FILE" || name == "AWS_SHARED_CREDENTIALS_FILE" {
		return "/nonexistent", true
	}
	return "", false
}}

// s3Given are options: names and values in turn.
func s3Given(pairs ...string) given {
	g := given{}
	for pair := range slices.Chunk(pairs, 2) {
		g[pair[0]] = option.Value{Key: pair[0], Text: pair[1]}
	}
	return g
}

// between changes the fake, or looks at it, between two requests. A handler whose connection was cut may still be at work.
func (f *s3Fake) between(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

func (f *s3Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	key, hasKey := strings.CutPrefix(r.URL.Path, "/"+s3FakeBucket+"/")
	hasKey = hasKey && key != ""
	q := r.URL.Query()
	op := ""
	switch {
	case r.Method == http.MethodPut && q.Has("uploadId"):
		op = s3UploadPart
	case r.Method == http.MethodPut:
		op = s3PutObject
	case r.Method == http.MethodPost && q.Has("uploads"):
		op = s3CreateUpload
	case r.Method == http.MethodPost && q.Has("uploadId"):
		op = s3CompleteUpload
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		op = s3AbortUpload
	case r.Method == http.MethodDelete:
		op = s3DeleteObject
	case r.Method == http.MethodHead:
		op = s3HeadObject
	case r.Method == http.MethodGet && hasKey:
		op = s3GetObject
	case r.Method == http.MethodGet && q.Has("uploads"):
		op = s3ListUploads
	case r.Method == http.MethodGet:
		op = s3ListObjects
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, op)
	if f.refuse != nil && f.refuse(op, w, r) {
		return
	}
	sum := sha256.Sum256(body)
	if got := r.Header.Get("x-amz-content-sha256"); got != "" && got != hex.EncodeToString(sum[:]) {
		s3Answer(w, http.StatusBadRequest, "XAmzContentSHA256Mismatch")
		return
	}
	answer := httptest.NewRecorder()
	f.apply(op, key, body, answer, r)
	if f.cut != nil && f.cut(op) {
		panic(http.ErrAbortHandler)
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// s3Answer is an error of S3.
func s3Answer(w http.ResponseWriter, status int, code string, more ...string) {
	w.Header().Set("x-amz-request-id", "REQ1")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, strings.Join(more, " "))
}

func s3FakeHeader(h http.Header) http.Header {
	kept := http.Header{}
	for name, values := range h {
		if strings.HasPrefix(name, "X-Amz-Meta-") || strings.HasPrefix(name, "X-Amz-Server-Side") {
			kept[name] = values
		}
	}
	return kept
}

func (f *s3Fake) apply(op, key string, body []byte, w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	_, there := f.objects[key]
	if r.Header.Get("If-None-Match") == "*" && there {
		s3Answer(w, http.StatusPreconditionFailed, "PreconditionFailed")
		return
	}
	upload := f.uploads[q.Get("uploadId")]
	if q.Has("uploadId") && (upload == nil || upload.key != key) {
		s3Answer(w, http.StatusNotFound, "NoSuchUpload")
		return
	}
	switch op {
	case s3PutObject:
		f.objects[key] = s3FakeObject{body, s3FakeHeader(r.Header)}
		w.Header().Set("ETag", `"e"`)
	case s3GetObject, s3HeadObject:
		if !there {
			s3Answer(w, http.StatusNotFound, "NoSuchKey")
			return
		}
		f.get(f.objects[key], w, r)
	case s3DeleteObject:
		delete(f.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case s3ListObjects:
		f.list(w, q.Get("prefix"), cmp.Or(q.Get("continuation-token"), q.Get("start-after")))
	case s3CreateUpload:
		f.ids++
		id := "upload" + strconv.Itoa(f.ids)
		f.uploads[id] = &s3FakeUpload{key, time.Now(), s3FakeHeader(r.Header), map[int][]byte{}}
		_, _ = fmt.Fprintf(w, `<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>`, id)
	case s3UploadPart:
		n, _ := strconv.Atoi(q.Get("partNumber"))
		upload.parts[n] = body
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(body)))
	case s3CompleteUpload:
		f.complete(w, q.Get("uploadId"), body)
	case s3AbortUpload:
		delete(f.uploads, q.Get("uploadId"))
		w.WriteHeader(http.StatusNoContent)
	case s3ListUploads:
		f.listUploads(w, q.Get("prefix"), q.Get("upload-id-marker"))
	default:
		s3Answer(w, http.StatusNotImplemented, "NotImplemented")
	}
}

func (f *s3Fake) get(o s3FakeObject, w http.ResponseWriter, r *http.Request) {
	for name, values := range o.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", "binary/octet-stream")
	if rang := r.Header.Get("Range"); rang != "" {
		var from, to int
		if n, _ := fmt.Sscanf(rang, "bytes=%d-%d", &from, &to); n == 1 {
			to = len(o.data) - 1
		}
		if from >= len(o.data) {
			s3Answer(w, http.StatusRequestedRangeNotSatisfiable, "InvalidRange")
			return
		}
		to = min(to, len(o.data)-1)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(o.data)))
		w.Header().Set("Content-Length", strconv.Itoa(to-from+1))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(o.data[from : to+1])
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(o.data)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(o.data)
	}
}

func (f *s3Fake) list(w http.ResponseWriter, prefix, after string) {
	type object struct {
		Key          string
		Size         int
		LastModified string
	}
	var page struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
		Contents              []object
	}
	var keys []string
	for key := range f.objects {
		if strings.HasPrefix(key, prefix) && key > after {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys[:min(len(keys), f.page)] {
		page.Contents = append(page.Contents, object{key, len(f.objects[key].data), "2026-11-26T12:00:00Z"})
	}
	if len(keys) > f.page {
		page.IsTruncated, page.NextContinuationToken = true, keys[f.page-1]
	}
	_ = xml.NewEncoder(w).Encode(page)
}

func (f *s3Fake) listUploads(w http.ResponseWriter, prefix, after string) {
	type upload struct{ Key, UploadId, Initiated string }
	var page struct {
		XMLName                           xml.Name `xml:"ListMultipartUploadsResult"`
		IsTruncated                       bool
		NextKeyMarker, NextUploadIdMarker string `xml:",omitempty"`
		Upload                            []upload
	}
	var ids []string
	for id, u := range f.uploads {
		if strings.HasPrefix(u.key, prefix) && id > after {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids[:min(len(ids), f.page)] {
		page.Upload = append(page.Upload, upload{f.uploads[id].key, id, f.uploads[id].begun.UTC().Format(time.RFC3339Nano)})
	}
	if len(ids) > f.page {
		page.IsTruncated, page.NextUploadIdMarker = true, ids[f.page-1]
		page.NextKeyMarker = f.uploads[page.NextUploadIdMarker].key
	}
	_ = xml.NewEncoder(w).Encode(page)
}

func (f *s3Fake) complete(w http.ResponseWriter, id string, body []byte) {
	u := f.uploads[id]
	var want struct {
		Part []struct {
			PartNumber int
			ETag       string
		}
	}
	if err := xml.Unmarshal(body, &want); err != nil || len(want.Part) == 0 {
		s3Answer(w, http.StatusBadRequest, "MalformedXML")
		return
	}
	var data []byte
	for i, p := range want.Part {
		part, ok := u.parts[p.PartNumber]
		if !ok || p.PartNumber != i+1 || p.ETag != fmt.Sprintf(`"%x"`, sha256.Sum256(part)) {
			s3Answer(w, http.StatusBadRequest, "InvalidPart")
			return
		}
		if i < len(want.Part)-1 && len(part) < 5<<20 {
			s3Answer(w, http.StatusBadRequest, "EntityTooSmall")
			return
		}
		data = append(data, part...)
	}
	f.objects[u.key] = s3FakeObject{data, u.header}
	delete(f.uploads, id)
	_, _ = fmt.Fprint(w, `<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>`)
}
