package cloud

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siltlake/silt/internal/secret"
	"github.com/siltlake/silt/internal/store"
)

// A wire answers requests without a network.
type wire struct {
	mu   sync.Mutex
	sent []string // method, path and query without the SAS, and the headers that matter
	// answer is asked one request at a time.
	answer func(r *http.Request, body string) *http.Response
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		body = string(b)
		if err := r.Body.Close(); err != nil {
			return nil, err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	line := r.Method + " " + r.URL.RequestURI()
	for _, h := range []string{"If-None-Match", "X-Ms-Range", "Authorization"} {
		if v := headerOf(r.Header, h); v != "" {
			v, _, _ = strings.Cut(v, ":") // not the signature
			line += " " + h + "=" + v
		}
	}
	w.sent = append(w.sent, line)
	resp := w.answer(r, body)
	if resp == nil {
		return nil, &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}
	}
	resp.Request = r
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	return resp, nil
}

// headerOf finds a header that was set in any spelling.
func headerOf(h http.Header, name string) string {
	for k, v := range h {
		if strings.EqualFold(k, name) {
			return strings.Join(v, ",")
		}
	}
	return ""
}

func answer(status int, headers ...string) *http.Response {
	r := &http.Response{StatusCode: status, Status: fmt.Sprint(status), Header: http.Header{}}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func withBody(r *http.Response, body string) *http.Response {
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	r.Header.Set("Content-Length", fmt.Sprint(len(body)))
	return r
}

// azureAnswer is an error as Blob Storage writes it.
func azureAnswer(status int, code, message string, headers ...string) *http.Response {
	r := answer(status, append([]string{"X-Ms-Error-Code", code, "X-Ms-Request-Id", "req-1", "Content-Type", "application/xml"}, headers...)...)
	return withBody(r, "\ufeff<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>"+code+"</Code><Message>"+message+
		"\nRequestId:req-1\nTime:2026-11-26T00:00:00Z</Message></Error>")
}

const testKey = "c2lsdC10ZXN0LWtleS1zaWx0LXRlc3Qta2V5"

// newWired is a backend whose requests w answers.
func newWired(t *testing.T, w *wire, l azureLogin) *azure {
	t.Helper()
	c := azureConfig{
		place:   Place{Cloud: Azure, Account: "acct", Bucket: "data", Folder: "tbl"},
		service: "https://acct.blob.core.windows.net", login: l,
	}
	b, err := newAzure(t.Context(), c, Env{Transport: w})
	if err != nil {
		t.Fatal(err)
	}
	return b.(*azure)
}

func sharedKey() azureLogin { return azureLogin{kind: azureSharedKey, secret: secret.New(testKey)} }

func always(r func() *http.Response) func(*http.Request, string) *http.Response {
	return func(*http.Request, string) *http.Response { return r() }
}

func TestAzureAnswersMeanWhatIsDoneNext(t *testing.T) {
	for _, test := range []struct {
		status   int
		code     string
		ifAbsent bool
		want     kind
	}{
		// the key has an object
		{409, "BlobAlreadyExists", true, exists},
		{412, "ConditionNotMet", true, exists},
		{409, "PathAlreadyExists", true, exists},          // accounts with a hierarchical namespace
		{412, "LeaseIdMissing", true, exists},             // and somebody holds a lease on it
		{403, "UnauthorizedBlobOverwrite", true, exists},  // and the SAS may create only
		{409, "BlobImmutableDueToPolicy", true, exists},   // and it is kept
		{409, "InvalidBlobType", true, exists},            // and it is an append blob
		{412, "LeaseIdMissing", false, unworkable},        // a plain put wants to replace it
		{403, "UnauthorizedBlobOverwrite", false, denied}, // likewise
		{409, "BlobImmutableDueToPolicy", false, unworkable},
		// the login
		{403, "AuthenticationFailed", true, loggedOut},
		{401, "InvalidAuthenticationInfo", false, loggedOut},
		{400, "InvalidAuthenticationInfo", false, loggedOut},
		{401, "NoAuthenticationInformation", false, loggedOut},
		{409, "PublicAccessNotPermitted", false, loggedOut},
		{401, "", false, loggedOut},
		{403, "AuthorizationPermissionMismatch", true, denied},
		{403, "AuthorizationFailure", false, denied}, // the account's firewall, too
		{403, "AuthorizationSourceIPMismatch", false, denied},
		{403, "InsufficientAccountPermissions", false, denied},
		{403, "KeyBasedAuthenticationNotPermitted", false, denied}, // another key would be refused as well
		{403, "AccountIsDisabled", false, denied},
		{403, "", false, denied},
		// what is not there
		{404, "BlobNotFound", false, notFound},
		{404, "PathNotFound", false, notFound},
		{404, "ResourceNotFound", false, notFound},
		{404, "", false, notFound},
		{409, "DirectoryIsNotEmpty", false, notFound},
		{404, "ContainerNotFound", true, noBucket},
		{409, "ContainerBeingDeleted", false, noBucket},
		{404, "FilesystemNotFound", false, noBucket},
		// nothing was done
		{429, "TooManyRequests", true, refused},
		{409, "PendingCopyOperation", false, refused},
		// whether it was done is not known
		{500, "InternalError", true, transient},
		{500, "OperationTimedOut", true, transient},
		{503, "ServerBusy", true, transient},
		{502, "", true, transient},
		{504, "", true, transient},
		{408, "", true, transient},
		// the same at the next try
		{400, "InvalidHeaderValue", true, unworkable},
		{400, "InvalidBlockList", true, uploadGone},
		{413, "RequestBodyTooLarge", true, unworkable},
		{409, "SomethingElse", true, unworkable},
		{501, "NotImplemented", false, unworkable},
		{307, "", false, unworkable},
	} {
		w := &wire{answer: always(func() *http.Response { return azureAnswer(test.status, test.code, "text") })}
		a := newWired(t, w, sharedKey())
		err := a.put(t.Context(), "k", pieces{[]byte("x")}, test.ifAbsent)
		if err == nil {
			t.Fatalf("%d %s: no error", test.status, test.code)
		}
		if f := a.failure(err); f.kind != test.want {
			t.Errorf("%d %s, if absent %t: got kind %d, want %d", test.status, test.code, test.ifAbsent, f.kind, test.want)
		}
		if len(w.sent) != 1 {
			t.Errorf("%d %s: %d requests, want one a call: %q", test.status, test.code, len(w.sent), w.sent)
		}
	}
}

func TestAzureSaysWhenToComeBack(t *testing.T) {
	for _, test := range []struct {
		header, value string
		want          time.Duration
	}{
		{"Retry-After", "3", 3 * time.Second},
		{"X-Ms-Retry-After-Ms", "1500", 1500 * time.Millisecond},
		{"Retry-After-Ms", "20", 20 * time.Millisecond},
		{"X-Other", "1", 0},
	} {
		w := &wire{answer: always(func() *http.Response {
			return azureAnswer(503, "ServerBusy", "The server is busy.", test.header, test.value)
		})}
		a := newWired(t, w, sharedKey())
		f := a.failure(a.put(t.Context(), "k", nil, false))
		if diff := cmp.Diff(failure{kind: transient, after: test.want, code: "ServerBusy"}, f, cmp.AllowUnexported(failure{})); diff != "" {
			t.Errorf("%s: %s", test.header, diff)
		}
	}
}

func TestAnAzureErrorIsOneLineWithWhatHelps(t *testing.T) {
	w := &wire{answer: always(func() *http.Response {
		return azureAnswer(404, "ContainerNotFound", "The specified container does not exist.")
	})}
	a := newWired(t, w, sharedKey())
	err := a.put(t.Context(), "k", nil, true)
	const want = "Put Blob: status 404 ContainerNotFound: The specified container does not exist. (request req-1)"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	// A refused signature is explained by what was signed, which is nobody's business; a wrong clock is.
	for _, test := range []struct{ detail, want string }{
		{"The MAC signature found in the HTTP request 'abc=' is not the same as any computed signature.", "Server failed to authenticate."},
		{"Request date header too old: 'Thu, 26 Nov 2026 00:00:00 GMT'", "Request date header too old: 'Thu, 26 Nov 2026 00:00:00 GMT'"},
		{"Signature not valid in the specified time frame: Start [x] - Expiry [y] - Current [z]",
			"Signature not valid in the specified time frame: Start [x] - Expiry [y] - Current [z]"},
	} {
		var b strings.Builder
		if err := xml.EscapeText(&b, []byte(test.detail)); err != nil {
			t.Fatal(err)
		}
		w.answer = always(func() *http.Response {
			return withBody(answer(403, "X-Ms-Error-Code", "AuthenticationFailed"), "<Error><Code>AuthenticationFailed</Code>"+
				"<Message>Server failed to authenticate.\nRequestId:r</Message><AuthenticationErrorDetail>"+b.String()+"</AuthenticationErrorDetail></Error>")
		})
		if err := a.put(t.Context(), "k", nil, true); err == nil || err.Error() != "Put Blob: status 403 AuthenticationFailed: "+test.want {
			t.Errorf("got %v, want it to end with %q", err, test.want)
		}
	}
}

func TestAnAzureRequestWithoutAnAnswerHasNoURL(t *testing.T) {
	w := &wire{answer: always(func() *http.Response { return nil })}
	a := newWired(t, w, azureLogin{kind: azureSAS, secret: secret.New("?sv=1&sig=canary%2Bvalue%3D")})
	err := a.put(t.Context(), "k", nil, true)
	if f := a.failure(err); f.kind != transient {
		t.Errorf("a reset is kind %d, want transient", f.kind)
	}
	if text := fmt.Sprintf("%v %+v %#v", err, err, a.config); strings.Contains(text, "canary") {
		t.Errorf("%s holds the SAS", text)
	}
	if len(w.sent) != 1 || !strings.Contains(w.sent[0], "sig=canary%2Bvalue%3D") {
		t.Errorf("sent %q, want the SAS in it", w.sent)
	}
}

func TestAzureSignsWithTheAccountsKey(t *testing.T) {
	w := &wire{answer: always(func() *http.Response { return answer(201) })}
	a := newWired(t, w, sharedKey())
	if err := a.put(t.Context(), "dir/a b+c%20é", pieces{[]byte("x")}, true); err != nil {
		t.Fatal(err)
	}
	want := []string{"PUT /data/tbl%2Fdir%2Fa%20b+c%2520%C3%A9 If-None-Match=* Authorization=SharedKey acct"}
	if diff := cmp.Diff(want, w.sent); diff != "" {
		t.Error(diff)
	}
}

func TestAzureGets(t *testing.T) {
	const data = "0123456789"
	serve := func(r *http.Request, _ string) *http.Response {
		if r.Method == http.MethodHead {
			return answer(200, "Content-Length", "10")
		}
		var from, to int
		if n, _ := fmt.Sscanf(headerOf(r.Header, "x-ms-range"), "bytes=%d-%d", &from, &to); n == 0 {
			return withBody(answer(200), data)
		} else if n == 1 {
			to = len(data) - 1
		}
		if from >= len(data) {
			return azureAnswer(416, "InvalidRange", "The range specified is invalid.")
		}
		part := data[from:min(to+1, len(data))]
		return withBody(answer(206, "Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, from+len(part)-1, len(data))), part)
	}
	for _, test := range []struct {
		off, n int64
		want   string
		sent   int
	}{
		{0, -1, data, 1},      // all
		{3, -1, "3456789", 1}, // to the end
		{3, 4, "3456", 1},
		{8, 5, "89", 1}, // fewer than asked for
		{0, 0, "", 1},   // only the size
		{10, 1, "", 2},  // behind the end: the size is asked for
		{99, -1, "", 2},
	} {
		w := &wire{answer: serve}
		a := newWired(t, w, sharedKey())
		body, size, err := a.get(t.Context(), "k", test.off, test.n)
		if err != nil {
			t.Errorf("%d bytes at %d: %v", test.n, test.off, err)
			continue
		}
		got, err := io.ReadAll(body)
		if string(got) != test.want || size != 10 || err != nil || len(w.sent) != test.sent {
			t.Errorf("%d bytes at %d: got %q of %d, %v, want %q of 10; %q", test.n, test.off, got, size, err, test.want, w.sent)
		}
	}
}

func TestAzureRefusesAnotherRange(t *testing.T) {
	for what, other := range map[string]*http.Response{
		"the whole blob":       withBody(answer(200), "0123456789"),
		"another range":        withBody(answer(206, "Content-Range", "bytes 0-1/10"), "01"),
		"a range without size": withBody(answer(206, "Content-Range", "bytes 2-3/*"), "23"),
	} {
		a := newWired(t, &wire{answer: always(func() *http.Response { return other })}, sharedKey())
		if _, _, err := a.get(t.Context(), "k", 2, 2); err == nil || !strings.Contains(err.Error(), "not the range") {
			t.Errorf("%s: got %v, want an error", what, err)
		}
	}
}

func TestADirectoryIsNoObject(t *testing.T) {
	folder := func() *http.Response { return answer(200, "X-Ms-Meta-Hdi_isfolder", "true", "Content-Length", "0") }
	for _, n := range []int64{-1, 0, 1} {
		a := newWired(t, &wire{answer: always(folder)}, sharedKey())
		_, _, err := a.get(t.Context(), "k", 0, n)
		if err == nil || a.failure(err).kind != notFound {
			t.Errorf("get of %d bytes: got %v, want kind notFound", n, err)
		}
	}
}

// A blobXML is an entry of a listing; xml of it is written by hand, as Azure writes it.
func listing(next string, entries ...string) string {
	return `<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>` + strings.Join(entries, "") + `</Blobs><NextMarker>` + next + `</NextMarker></EnumerationResults>`
}

func blobXML(name, properties, metadata string) string {
	return `<Blob><Name>` + name + `</Name><Properties><Last-Modified>Thu, 26 Nov 2026 00:00:00 GMT</Last-Modified><Content-Length>7</Content-Length>` +
		properties + `</Properties><Metadata>` + metadata + `</Metadata></Blob>`
}

func TestAzureListsPagesWithoutDirectories(t *testing.T) {
	w := &wire{answer: func(r *http.Request, _ string) *http.Response {
		if r.URL.Query().Get("marker") != "" {
			return withBody(answer(200), listing("", blobXML("tbl/log/f", "", "")))
		}
		return withBody(answer(200), listing("mark/1",
			blobXML("tbl/log", "<ResourceType>directory</ResourceType>", ""), // of a hierarchical namespace
			blobXML("tbl/log/", "", ""),                                      // of a portal
			blobXML("tbl/log/1", "", ""),
			blobXML("tbl/log/d", "", "<hdi_isfolder>true</hdi_isfolder>"), // of Hadoop
			blobXML("tbl/log/e", "<ResourceType>file</ResourceType>", "<owner>me</owner>")))
	}}
	a := newWired(t, w, sharedKey())
	var got []string
	for page := ""; ; {
		objects, next, err := a.list(t.Context(), "log", "log/0", page)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			got = append(got, fmt.Sprintf("%s %d %s", o.Key, o.Size, o.Modified.Format(time.DateOnly)))
		}
		if page = next; page == "" {
			break
		}
	}
	if diff := cmp.Diff([]string{"log/1 7 2026-11-26", "log/e 7 2026-11-26", "log/f 7 2026-11-26"}, got); diff != "" {
		t.Error(diff)
	}
	var asked []string
	for _, line := range w.sent {
		u, err := url.Parse(strings.Fields(line)[1])
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		asked = append(asked, fmt.Sprintf("prefix %s from %s marker %s", q.Get("prefix"), q.Get("startFrom"), q.Get("marker")))
	}
	if diff := cmp.Diff([]string{"prefix tbl/log from tbl/log/0 marker ", "prefix tbl/log from  marker mark/1"}, asked); diff != "" {
		t.Error(diff)
	}
}

// What is behind the prefix, or before it, says nothing of where to begin in it.
func TestAzureListsFromWhereItIsSure(t *testing.T) {
	for _, after := range []string{"", "k", "m/9"} {
		w := &wire{answer: always(func() *http.Response { return withBody(answer(200), listing("")) })}
		a := newWired(t, w, sharedKey())
		if _, _, err := a.list(t.Context(), "log/", after, ""); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(w.sent[0], "startFrom") {
			t.Errorf("after %q: %s", after, w.sent[0])
		}
	}
}

// blocks is a server of block blobs, as far as an upload in parts needs one.
type blocks struct {
	staged    map[string]string // id -> bytes
	committed string
	exists    bool
}

func (b *blocks) serve(r *http.Request, body string) *http.Response {
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodHead && !b.exists:
		return answer(404, "X-Ms-Error-Code", "BlobNotFound")
	case r.Method == http.MethodHead:
		return answer(200, "Content-Length", fmt.Sprint(len(b.committed)))
	case q.Get("comp") == "block":
		b.staged[q.Get("blockid")] = body
		return answer(201)
	case headerOf(r.Header, "If-None-Match") == "*" && b.exists:
		return azureAnswer(409, "BlobAlreadyExists", "The specified blob already exists.")
	case q.Get("comp") == "blocklist":
		var list struct{ Latest []string }
		if err := xml.Unmarshal([]byte(body), &list); err != nil {
			return azureAnswer(400, "InvalidXmlDocument", "")
		}
		for _, id := range list.Latest {
			if _, ok := b.staged[id]; !ok {
				return azureAnswer(400, "InvalidBlockList", "The specified block list is invalid.")
			}
			b.committed += b.staged[id]
		}
		b.exists, b.staged = true, map[string]string{}
		return answer(201)
	}
	b.committed, b.exists, b.staged = body, true, map[string]string{}
	return answer(201)
}

func TestAnAzureUploadIsItsOwnBlocksInOrder(t *testing.T) {
	server := &blocks{staged: map[string]string{}}
	a := newWired(t, &wire{answer: server.serve}, sharedKey())
	var uploads [2]multipart
	for i := range uploads {
		u, err := a.begin(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		uploads[i] = u
		for n, data := range []string{"first", "second"} {
			for range 2 { // an attempt that is repeated is no other block
				if err := u.part(t.Context(), n, fmt.Appendf(nil, "%s of %d,", data, i)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if len(server.staged) != 4 {
		t.Errorf("%d blocks, want 4: two uploads of one key share none", len(server.staged))
	}
	sizes := map[int]bool{}
	for id := range server.staged {
		b, err := base64.StdEncoding.DecodeString(id)
		if err != nil {
			t.Fatal(err)
		}
		sizes[len(b)] = true
	}
	if len(sizes) != 1 {
		t.Errorf("ids of %v bytes, want one length", slices.Collect(maps.Keys(sizes)))
	}
	if err := uploads[1].finish(t.Context(), 2, []byte("rest")); err != nil {
		t.Fatal(err)
	}
	if server.committed != "first of 1,second of 1,rest" {
		t.Errorf("got %q", server.committed)
	}
	err := uploads[0].finish(t.Context(), 2, nil)
	if err == nil || a.failure(err).kind != exists || !strings.HasSuffix(server.committed, "rest") {
		t.Errorf("got %v, want kind exists", err)
	}
	if err := uploads[0].cancel(t.Context()); err != nil || !server.exists {
		t.Errorf("cancel: %v", err)
	}
}

func TestAnAzureUploadWhoseBlocksAreGoneSaysSo(t *testing.T) {
	server := &blocks{staged: map[string]string{}}
	a := newWired(t, &wire{answer: server.serve}, sharedKey())
	u, err := a.begin(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	if err := u.part(t.Context(), 0, []byte("x")); err != nil {
		t.Fatal(err)
	}
	clear(server.staged) // a week later
	if err := u.finish(t.Context(), 1, nil); err == nil || a.failure(err).kind != uploadGone {
		t.Errorf("got %v, want kind uploadGone", err)
	}
}

func TestAnAzureUploadThatSomebodyElseMadeFirstExists(t *testing.T) {
	server := &blocks{staged: map[string]string{}}
	a := newWired(t, &wire{answer: func(r *http.Request, body string) *http.Response {
		if r.URL.Query().Get("comp") == "blocklist" { // looks for the blocks first
			return azureAnswer(400, "InvalidBlockList", "The specified block list is invalid.")
		}
		return server.serve(r, body)
	}}, sharedKey())
	u, err := a.begin(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	if err := u.part(t.Context(), 0, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := a.put(t.Context(), "k", pieces{[]byte("other")}, true); err != nil {
		t.Fatal(err)
	}
	if err := u.finish(t.Context(), 1, nil); err == nil || a.failure(err).kind != exists {
		t.Errorf("got %v, want kind exists", err)
	}
}

func TestAzureIsAStore(t *testing.T) {
	server := &blocks{staged: map[string]string{}}
	a := newWired(t, &wire{answer: server.serve}, sharedKey())
	s := newStore(a, a.config.place, storeOptions{})
	if o, err := s.PutIfAbsent(t.Context(), "k", []byte("a")); o != store.Created || err != nil {
		t.Errorf("got %v, %v", o, err)
	}
	if o, err := s.PutIfAbsent(t.Context(), "k", []byte("b")); o != store.Exists || err != nil {
		t.Errorf("got %v, %v", o, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.put(ctx, "k", nil, false); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// A hierarchical namespace lists a directory with all that is in it, before names that are less than those.
func TestAzureListsInTheOrderOfBytes(t *testing.T) {
	const dir = "<ResourceType>directory</ResourceType>"
	tree := []string{
		blobXML("tbl/Z", "", ""), blobXML("tbl/a", dir, ""), blobXML("tbl/a/b", dir, ""), blobXML("tbl/a/b/1", "", ""), blobXML("tbl/a/b-1", "", ""),
		blobXML("tbl/a/x", "", ""), blobXML("tbl/a-b", dir, ""), blobXML("tbl/a-b/2", "", ""), blobXML("tbl/a.c", "", ""), blobXML("tbl/ab", "", ""),
		blobXML("tbl/b", dir, ""), blobXML("tbl/b/1", "", ""), blobXML("tbl/b!", "", ""), blobXML("tbl/c", "", ""), blobXML("tbl/d", dir, ""),
	}
	want := []string{"Z", "a-b/2", "a.c", "a/b-1", "a/b/1", "a/x", "ab", "b!", "b/1", "c"}
	for size := 1; size <= len(tree); size++ {
		a := newWired(t, &wire{answer: func(r *http.Request, _ string) *http.Response {
			from := 0
			_, _ = fmt.Sscan(r.URL.Query().Get("marker"), &from)
			next := ""
			if from+size < len(tree) {
				next = fmt.Sprint(from + size)
			}
			return withBody(answer(200), listing(next, tree[from:min(from+size, len(tree))]...))
		}}, sharedKey())
		var got []string
		for i, err := range newStore(a, a.config.place, storeOptions{}).List(t.Context(), "", "") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, i.Key)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d a page: %s", size, diff)
		}
	}
}

func TestAzureStartsWhereNothingIsLost(t *testing.T) {
	for _, test := range []struct{ under, after, want string }{
		{"t/log/", "t/log/00000000000000000010.json", "t/log/00000000000000000010"}, // a directory of that name would come before
		{"t/log/", "t/log/0001", "t/log/0001"},
		{"t-1/log/", "t-1/log/0001", "t-1/log/0001"}, // what all names begin with is no matter
		{"t/", "t/a/b-c/d", "t/a/b"},
		{"t/", "t/\U0001f600", ""}, // UTF-16 has it before U+E000
		{"t/", "t/a\ufffd", "t/a"},
		{"t/log/", "t/log/", ""},
		{"t/log/", "t/log/-", ""},
		{"t/log/", "t/", ""},
		{"t/log/", "t/m", ""},
	} {
		if got := azureStart(test.under, test.after); got != test.want {
			t.Errorf("under %q after %q: got %q, want %q", test.under, test.after, got, test.want)
		}
	}
}
