package cloud

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"mime"
	mimeparts "mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeGCS is Google Cloud Storage as its documentation describes it, as far as silt uses it. It reports to the test what the API forbids.
type fakeGCS struct {
	t      *testing.T
	server *httptest.Server
	// token is what requests must carry; "": none.
	token string
	// fault says what happens to request n, counted from 0; nil: nothing.
	fault func(n int, r *http.Request) gcsFault
	// keep is how much of a part a session keeps at first: all if 0.
	keep int

	mu       sync.Mutex
	objects  map[string]fakeObject
	sessions map[string]*fakeSession
	requests []string
}

type fakeObject struct {
	data     []byte
	encoding string
}

type fakeSession struct {
	name string
	data []byte
	done *fakeObject
}

// A gcsFault is what happens to a request.
type gcsFault uint8

const (
	gcsPass    gcsFault = iota
	gcsDrop             // it is not applied, and the connection ends
	gcsCut              // it is applied, and the connection ends
	gcsBusy             // it is not applied: 503
	gcsApplied          // it is applied, and answered by 503
)

const fakeBucket = "the_bucket"

func startFakeGCS(t *testing.T) *fakeGCS {
	f := &fakeGCS{t: t, objects: map[string]fakeObject{}, sessions: map[string]*fakeSession{}}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

// open returns the backend of a folder, with the tokens of c.
func (f *fakeGCS) open(folder string, g given, env Env) *gcs {
	f.t.Helper()
	if g == nil {
		g = gcsGiven(gcsSkipSignature, "true")
	}
	g[gcsRootURL] = gcsValue(gcsRootURL, f.server.URL)
	if env.Getenv == nil {
		env.Getenv = func(string) (string, bool) { return "", false }
	}
	if env.Transport == nil {
		env.Transport = f.server.Client().Transport
	}
	c, problems := gcsSettings(Place{Cloud: GCS, Text: "gs://" + fakeBucket, Bucket: fakeBucket, Folder: folder}, g, env)
	if len(problems) > 0 {
		f.t.Fatal(problems)
	}
	b, err := newGCS(f.t.Context(), c, env)
	if err != nil {
		f.t.Fatal(err)
	}
	bucket := b.(*gcs)
	bucket.partBytes = testPart
	return bucket
}

// change changes the fake between requests.
func (f *fakeGCS) change(how func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	how()
}

func (f *fakeGCS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.requests)
	f.requests = append(f.requests, r.Method+" "+r.URL.EscapedPath())
	what := gcsPass
	if f.fault != nil {
		what = f.fault(n, r)
	}
	answer := httptest.NewRecorder()
	if what == gcsPass || what == gcsCut || what == gcsApplied {
		f.apply(answer, r, body)
	}
	switch what {
	case gcsDrop, gcsCut:
		panic(http.ErrAbortHandler)
	case gcsBusy, gcsApplied:
		failGCS(w, 503, "backendError", "Backend Error")
		return
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// failGCS answers with an error of the API.
func failGCS(w http.ResponseWriter, status int, reason, message string) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": status, "message": message,
		"errors": []any{map[string]any{"message": message, "domain": "global", "reason": reason}}}})
}

func (f *fakeGCS) apply(w http.ResponseWriter, r *http.Request, body []byte) {
	if got := r.Header.Get("Authorization"); f.token != "" && got != "Bearer "+f.token || f.token == "" && got != "" {
		failGCS(w, 401, "authError", "Invalid Credentials")
		return
	}
	q := r.URL.Query()
	path, upload := strings.CutPrefix(r.URL.EscapedPath(), "/upload")
	rest, ok := strings.CutPrefix(path, "/storage/v1/b/"+fakeBucket+"/o")
	name, err := url.PathUnescape(strings.TrimPrefix(rest, "/"))
	if !ok || err != nil || strings.Contains(strings.TrimPrefix(rest, "/"), "/") {
		failGCS(w, 404, "notFound", "The specified bucket does not exist.")
		return
	}
	switch {
	case upload && q.Has("upload_id"):
		f.session(w, r, body)
	case upload && q.Get("uploadType") == "multipart":
		f.multipart(w, r, body)
	case upload && q.Get("uploadType") == "resumable":
		id := fmt.Sprintf("secret-session-%d", len(f.sessions))
		f.sessions[id] = &fakeSession{name: q.Get("name")}
		// Google's Location may name another of its hosts.
		w.Header().Set("Location", "https://www.googleapis.com"+r.URL.EscapedPath()+"?uploadType=resumable&upload_id="+id)
	case r.Method == http.MethodGet && rest == "":
		f.list(w, q)
	case r.Method == http.MethodGet:
		f.read(w, r, name)
	case r.Method == http.MethodDelete && rest != "":
		if _, ok := f.objects[name]; !ok {
			failGCS(w, 404, "notFound", "No such object: "+fakeBucket+"/"+name)
			return
		}
		delete(f.objects, name)
		w.WriteHeader(http.StatusNoContent)
	default:
		f.t.Errorf("the API knows no %s %s", r.Method, r.URL)
		failGCS(w, 404, "notFound", "Not Found")
	}
}

func (f *fakeGCS) multipart(w http.ResponseWriter, r *http.Request, body []byte) {
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		f.t.Errorf("content type: %v", err)
	}
	m := mimeparts.NewReader(strings.NewReader(string(body)), params["boundary"])
	var resource struct{ Name, CRC32C string }
	first, err := m.NextPart()
	if err == nil {
		err = json.NewDecoder(first).Decode(&resource)
	}
	var data []byte
	if second, e := m.NextPart(); err == nil && e == nil {
		data, err = io.ReadAll(second)
	}
	if _, e := m.NextPart(); err != nil || e != io.EOF {
		failGCS(w, 400, "badRequest", "Malformed multipart body.")
		return
	}
	if want := gcsChecksum(crc32.Checksum(data, castagnoli)); resource.CRC32C != want {
		failGCS(w, 400, "invalid", fmt.Sprintf("Provided CRC32C %q doesn't match calculated CRC32C %q.", resource.CRC32C, want))
		return
	}
	if _, there := f.objects[resource.Name]; there && r.URL.Query().Get("ifGenerationMatch") == "0" {
		failGCS(w, 412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
		return
	}
	f.objects[resource.Name] = fakeObject{data: data}
	_, _ = io.WriteString(w, `{"generation": "1"}`)
}

// session is a request to a resumable session: https://cloud.google.com/storage/docs/performing-resumable-uploads.
func (f *fakeGCS) session(w http.ResponseWriter, r *http.Request, body []byte) {
	id := r.URL.Query().Get("upload_id")
	s, ok := f.sessions[id]
	if !ok {
		failGCS(w, 404, "notFound", "Upload session not found.")
		return
	}
	if r.Method == http.MethodDelete {
		delete(f.sessions, id)
		w.WriteHeader(499)
		return
	}
	if s.done != nil {
		writeGCSObject(w, "", *s.done)
		return
	}
	span, total, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Content-Range"), "bytes "), "/")
	size, known := strconv.Atoi(total)
	if from, to, ok := strings.Cut(span, "-"); ok {
		a, _ := strconv.Atoi(from)
		b, _ := strconv.Atoi(to)
		if a != len(s.data) || b-a+1 != len(body) || known != nil && len(body)%(256<<10) != 0 {
			f.t.Errorf("%s of %d bytes to a session that has %d", r.Header.Get("Content-Range"), len(body), len(s.data))
			failGCS(w, 400, "badRequest", "Invalid request.")
			return
		}
		if f.keep > 0 && f.keep < len(body) {
			body, f.keep = body[:f.keep], 0
		}
		s.data = append(s.data, body...)
	}
	if known == nil && size == len(s.data) {
		if _, there := f.objects[s.name]; there {
			delete(f.sessions, id)
			failGCS(w, 412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
			return
		}
		s.done = &fakeObject{data: s.data}
		f.objects[s.name] = *s.done
		writeGCSObject(w, "", *s.done)
		return
	}
	if len(s.data) > 0 {
		w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", len(s.data)-1))
	}
	w.WriteHeader(http.StatusPermanentRedirect)
}

func gcsResource(name string, o fakeObject) map[string]any {
	return map[string]any{"name": name, "size": strconv.Itoa(len(o.data)), "crc32c": gcsChecksum(crc32.Checksum(o.data, castagnoli)),
		"timeCreated": time.Date(2026, 11, 26, 1, 2, 3, 0, time.UTC)}
}

func writeGCSObject(w http.ResponseWriter, name string, o fakeObject) {
	_ = json.NewEncoder(w).Encode(gcsResource(name, o))
}

func (f *fakeGCS) read(w http.ResponseWriter, r *http.Request, name string) {
	o, ok := f.objects[name]
	switch {
	case !ok && r.URL.Query().Get("alt") == "media":
		http.Error(w, "No such object: "+fakeBucket+"/"+name, http.StatusNotFound)
		return
	case !ok:
		failGCS(w, 404, "notFound", "No such object: "+fakeBucket+"/"+name)
		return
	case r.URL.Query().Get("alt") != "media":
		writeGCSObject(w, name, o)
		return
	}
	if r.Header.Get("Accept-Encoding") != "identity" {
		f.t.Errorf("Accept-Encoding: %q", r.Header.Get("Accept-Encoding"))
	}
	w.Header().Set("X-Goog-Stored-Content-Encoding", "identity")
	if o.encoding != "" {
		w.Header().Set("X-Goog-Stored-Content-Encoding", o.encoding)
	}
	w.Header().Set("X-Goog-Stored-Content-Length", strconv.Itoa(len(o.data)))
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(o.data)))
}

// list gives pages whose tokens hold only with the question that they are from.
func (f *fakeGCS) list(w http.ResponseWriter, q url.Values) {
	var names []string
	for name := range f.objects {
		if strings.HasPrefix(name, q.Get("prefix")) && name >= q.Get("startOffset") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	begin := 0
	if token := q.Get("pageToken"); token != "" {
		question, at, _ := strings.Cut(token, "|")
		if begin, _ = strconv.Atoi(at); question != url.QueryEscape(q.Get("prefix")+q.Get("startOffset")) {
			failGCS(w, 400, "invalid", "Invalid page token.")
			return
		}
	}
	most, err := strconv.Atoi(q.Get("maxResults"))
	if err != nil {
		f.t.Errorf("maxResults: %v", err)
	}
	answer := map[string]any{}
	items := []any{}
	for i := begin; i < len(names); i++ {
		if len(items) == most {
			answer["nextPageToken"] = url.QueryEscape(q.Get("prefix")+q.Get("startOffset")) + "|" + strconv.Itoa(i)
			break
		}
		items = append(items, gcsResource(names[i], f.objects[names[i]]))
	}
	if len(items) > 0 {
		answer["items"] = items
	}
	_ = json.NewEncoder(w).Encode(answer)
}
