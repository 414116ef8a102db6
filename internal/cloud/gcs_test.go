package cloud

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/option"
)

// gcsValue is an option as it stands in the file.
func gcsValue(key, value string) option.Value { return option.Value{Key: key, Text: value} }

// gcsGiven are options of names and values in turn.
func gcsGiven(namesAndValues ...string) given {
	g := given{}
	for i := 0; i < len(namesAndValues); i += 2 {
		g[namesAndValues[i]] = gcsValue(namesAndValues[i], namesAndValues[i+1])
	}
	return g
}

func readGCS(t *testing.T, b backend, key string, off, n int64) (string, int64) {
	t.Helper()
	body, size, err := b.get(t.Context(), key, off, n)
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	data, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil {
		t.Fatalf("read %s: %v", key, err)
	}
	return string(data), size
}

func TestGCSKeepsObjectsOfAnyName(t *testing.T) {
	f := startFakeGCS(t)
	for _, folder := range []string{"", "tables/a b"} {
		g := f.open(folder, nil, Env{})
		for _, key := range []string{"o", "a/b", "a b+c", "per%20cent%2F", "x?y=z#f", "é/日本", "dots..", "quote'\"", "a=1/__HIVE__"} {
			if err := g.put(t.Context(), key, pieces{[]byte("data of " + key)}, true); err != nil {
				t.Fatalf("put %s: %v", key, err)
			}
			if _, ok := f.objects[g.config.place.key(key)]; !ok {
				t.Errorf("%s is not there under its name", key)
			}
			if got, size := readGCS(t, g, key, 0, -1); got != "data of "+key || size != int64(len(got)) {
				t.Errorf("%s: got %q of %d", key, got, size)
			}
			if err := g.delete(t.Context(), key); err != nil {
				t.Errorf("delete %s: %v", key, err)
			}
			if _, _, err := g.get(t.Context(), key, 0, -1); err == nil || g.failure(err).kind != notFound {
				t.Errorf("%s: got %v, want notFound", key, err)
			}
			if err := g.delete(t.Context(), key); err == nil || g.failure(err).kind != notFound {
				t.Errorf("delete %s again: got %v, want notFound", key, err)
			}
		}
	}
}

func TestGCSPutIfAbsentWritesOnce(t *testing.T) {
	g := startFakeGCS(t).open("t", nil, Env{})
	if err := g.put(t.Context(), "k", pieces{[]byte("first")}, true); err != nil {
		t.Fatal(err)
	}
	if err := g.put(t.Context(), "k", pieces{[]byte("second")}, true); err == nil || g.failure(err).kind != exists {
		t.Errorf("got %v, want exists", err)
	}
	if got, _ := readGCS(t, g, "k", 0, -1); got != "first" {
		t.Errorf("got %q", got)
	}
	if err := g.put(t.Context(), "k", nil, false); err != nil {
		t.Error(err)
	}
	if got, _ := readGCS(t, g, "k", 0, -1); got != "" {
		t.Errorf("got %q", got)
	}
}

// A boundary that an object knew could end its own part, and begin another.
func TestGCSPutsPiecesBehindABoundaryThatNobodyKnows(t *testing.T) {
	f := startFakeGCS(t)
	g := f.open("", nil, Env{})
	var boundaries []string
	f.fault = func(_ int, r *http.Request) gcsFault {
		if _, boundary, ok := strings.Cut(r.Header.Get("Content-Type"), "boundary="); ok {
			boundaries = append(boundaries, boundary)
		}
		return gcsPass
	}
	for _, key := range []string{"a", "b"} {
		if err := g.put(t.Context(), key, pieces{[]byte("first, "), nil, []byte("second")}, true); err != nil {
			t.Fatal(err)
		}
		if got, size := readGCS(t, g, key, 0, -1); got != "first, second" {
			t.Errorf("%q of %d bytes came back", got, size)
		}
	}
	if len(boundaries) != 2 || boundaries[0] == boundaries[1] || len(boundaries[0]) < 26 {
		t.Errorf("the boundaries were %q", boundaries)
	}
}

func TestGCSRanges(t *testing.T) {
	f := startFakeGCS(t)
	g := f.open("", nil, Env{})
	f.objects["k"] = fakeObject{data: []byte("0123456789")}
	f.objects["empty"] = fakeObject{}
	for _, tt := range []struct {
		key    string
		off, n int64
		want   string
		size   int64
	}{
		{"k", 0, -1, "0123456789", 10}, // all
		{"k", 3, -1, "3456789", 10},    // to the end
		{"k", 3, 4, "3456", 10},        // the middle
		{"k", 0, 4, "0123", 10},        // the beginning
		{"k", 8, 9, "89", 10},          // beyond the end
		{"k", 10, 1, "", 10},           // at the end: 416
		{"k", 99, -1, "", 10},          // after it
		{"k", 4, 0, "", 10},            // nothing
		{"empty", 0, -1, "", 0},
		{"empty", 0, 5, "", 0}, // 416
		{"empty", 0, 0, "", 0},
	} {
		if got, size := readGCS(t, g, tt.key, tt.off, tt.n); got != tt.want || size != tt.size {
			t.Errorf("%d bytes of %s at %d: got %q of %d, want %q of %d", tt.n, tt.key, tt.off, got, size, tt.want, tt.size)
		}
	}
}

// answeringGCS is a backend whose every request is answered by h.
func answeringGCS(t *testing.T, h http.HandlerFunc) *gcs {
	f := &fakeGCS{t: t, server: httptest.NewServer(h)}
	t.Cleanup(f.server.Close)
	return f.open("t", nil, Env{})
}

func TestGCSAnswersThatAreNotWhatWasAskedForAreErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		off, n int64
		status int
		header map[string]string
		want   string
		kind   kind
	}{
		{"unpacked on the way", 0, -1, 200, map[string]string{"X-Goog-Stored-Content-Encoding": "gzip"}, "Content-Encoding: gzip", unworkable},
		{"the whole for a range", 2, 2, 200, nil, "is the whole object", transient},
		{"another range", 2, 2, 206, map[string]string{"Content-Range": "bytes 0-1/10"}, `is "bytes 0-1/10"`, transient},
		{"a range without a size", 2, 2, 206, map[string]string{"Content-Range": "bytes 2-3/*"}, `is "bytes 2-3/*"`, transient},
		{"a redirect", 0, -1, 307, map[string]string{"Location": "http://127.0.0.1:1/"}, "307", unworkable},
	} {
		g := answeringGCS(t, func(w http.ResponseWriter, _ *http.Request) {
			for k, v := range tt.header {
				w.Header().Set(k, v)
			}
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, "01")
		})
		_, _, err := g.get(t.Context(), "k", tt.off, tt.n)
		if err == nil || !strings.Contains(err.Error(), tt.want) || g.failure(err).kind != tt.kind {
			t.Errorf("%s: got %v, want %q of kind %d", tt.name, err, tt.want, tt.kind)
		}
	}
}

func TestGCSLooksForTheSizeThatARefusedRangeLacks(t *testing.T) {
	g := answeringGCS(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("alt") == "media" {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		_, _ = io.WriteString(w, `{"size": "42"}`)
	})
	if got, size := readGCS(t, g, "k", 50, 1); got != "" || size != 42 {
		t.Errorf("got %q of %d, want nothing of 42", got, size)
	}
}

func TestGCSListsPageByPage(t *testing.T) {
	f := startFakeGCS(t)
	for i := range 25 {
		f.objects[fmt.Sprintf("t/log/%02d", i)] = fakeObject{data: make([]byte, i)}
	}
	f.objects["t/"], f.objects["t/log/"], f.objects["t/log/sub/"] = fakeObject{}, fakeObject{}, fakeObject{} // markers of folders
	f.objects["t-other/log/x"], f.objects["u"] = fakeObject{}, fakeObject{}
	g := f.open("t", nil, Env{})
	g.pageSize = 4
	list := func(prefix, after string) (keys []string) {
		for page := ""; ; {
			objects, next, err := g.list(t.Context(), prefix, after, page)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range objects {
				if keys = append(keys, o.Key); o.Modified.IsZero() || o.Key[:4] == "log/" && fmt.Sprintf("log/%02d", o.Size) != o.Key {
					t.Errorf("got %+v", o)
				}
			}
			if page, after = next, ""; next == "" {
				return keys
			}
		}
	}
	var all []string
	for i := range 25 {
		all = append(all, fmt.Sprintf("log/%02d", i))
	}
	if got := list("", ""); !slices.Equal(got, all) {
		t.Errorf("got %q", got)
	}
	if got := list("log/1", "log/05"); !slices.Equal(got, all[10:20]) {
		t.Errorf("got %q", got)
	}
	if got := list("log/", "log/05"); !slices.Equal(got, all[5:]) { // after may come itself
		t.Errorf("got %q", got)
	}
	if got := list("none", ""); got != nil {
		t.Errorf("got %q", got)
	}
	whole := f.open("", nil, Env{})
	if objects, _, err := whole.list(t.Context(), "u", "", ""); err != nil || len(objects) != 1 || objects[0].Key != "u" {
		t.Errorf("got %v, %v", objects, err)
	}
}

func TestGCSErrorsMeanWhatIsDoneNext(t *testing.T) {
	const apiError = `{"error":{"code":0,"message":%q,"errors":[{"message":"x","domain":"global","reason":%q}]}}`
	media := "text/plain; charset=utf-8"
	for _, tt := range []struct {
		status          int
		reason, message string
		want            kind
		text            string
	}{
		{400, "invalid", "Invalid bucket name", unworkable, "400 invalid: Invalid bucket name"},
		{400, "required", "Bucket is a requester pays bucket but no user project provided.", unworkable, ""},
		{400, "invalid", "Provided CRC32C \"a\" doesn't match calculated CRC32C \"b\".", refused, ""}, // damaged on its way
		{401, "authError", "Invalid Credentials", loggedOut, ""},
		{403, "forbidden", "a@b.iam.gserviceaccount.com does not have storage.objects.create access", denied, ""},
		{403, "insufficientPermissions", "Insufficient Permission", denied, ""},
		{403, "retentionPolicyNotMet", "Object is subject to bucket's retention policy", denied, ""}, // may not be deleted yet
		{403, "rateLimitExceeded", "Rate Limit Exceeded", refused, ""},
		{403, "userRateLimitExceeded", "User Rate Limit Exceeded", refused, ""},
		{403, "quotaExceeded", "Quota exceeded", refused, ""},
		{403, "accountDisabled", "The billing account for the owning project is disabled", unworkable, ""},
		{403, "accessNotConfigured", "Cloud Storage JSON API has not been used in project 1", unworkable, ""},
		{404, "notFound", "No such object: b/k", notFound, ""},
		{404, "notFound", "The specified bucket does not exist.", noBucket, ""},
		{405, "methodNotAllowed", "", unworkable, "405 methodNotAllowed"},
		{408, "", "", transient, "408 Request Timeout"},
		{412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.", exists, ""},
		{429, "rateLimitExceeded", "The object b/k exceeded the rate limit for object mutation operations (create, update, and delete).", contended, ""},
		{429, "rateLimitExceeded", "The rate of requests to the bucket is too high", refused, ""},
		{500, "internalError", "We encountered an internal error. Please try again.", transient, ""},
		{501, "notImplemented", "", unworkable, ""},
		{502, "", "", transient, "502 Bad Gateway"},
		{503, "backendError", "Backend Error", transient, ""}, // may have been applied
		{504, "", "", transient, ""},
	} {
		var message, contentType string
		h := func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, message)
		}
		g := answeringGCS(t, h)
		g.tokens = &gcsTokens{now: time.Now, busy: make(chan struct{}, 1), fetch: func(context.Context) (gcsAccess, error) { return gcsAccess{}, nil }}
		message, contentType = fmt.Sprintf(apiError, tt.message, tt.reason), "application/json"
		if tt.reason == "" {
			message, contentType = "<html>the front end of "+tt.message, "text/html"
		}
		_, err := g.look(t.Context(), "k")
		got := g.failure(err)
		if got.kind != tt.want || got.after != 7*time.Second || tt.reason != "" && got.code != tt.reason || tt.text != "" && err.Error() != tt.text {
			t.Errorf("%d %s: got %+v of %v, want kind %d", tt.status, tt.reason, got, err, tt.want)
		}
		// A download's errors have no JSON.
		message, contentType = tt.message, media
		_, _, err = g.get(t.Context(), "k", 0, -1)
		if got := g.failure(err).kind; got != tt.want && tt.status != 403 {
			t.Errorf("%d as text: got %d, want %d", tt.status, got, tt.want)
		}
	}
}

func TestGCSAsksABucketThatIsNotThere(t *testing.T) {
	g := answeringGCS(t, func(w http.ResponseWriter, _ *http.Request) { failGCS(w, 404, "notFound", "Not Found") })
	_, _, listing := g.list(t.Context(), "", "", "")
	_, begun := g.begin(t.Context(), "k")
	for name, err := range map[string]error{"list": listing, "put": g.put(t.Context(), "k", nil, false), "begin": begun} {
		if g.failure(err).kind != noBucket {
			t.Errorf("%s: got %v, want noBucket", name, err)
		}
	}
	if err := g.delete(t.Context(), "o"); g.failure(err).kind != notFound {
		t.Errorf("an object of the name that ends a bucket's path: got %v, want notFound", err)
	}
}

func TestGCSWithoutCredentialsCannotLogIn(t *testing.T) {
	g := answeringGCS(t, func(w http.ResponseWriter, _ *http.Request) {
		failGCS(w, 401, "required", "Anonymous caller does not have storage.objects.list access to the Google Cloud Storage bucket.")
	})
	_, _, err := g.list(t.Context(), "", "", "")
	if g.failure(err).kind != denied {
		t.Errorf("got %v, want denied", err)
	}
	if changed, err := g.renew(t.Context()); changed || err != nil {
		t.Errorf("renew: got %v, %v", changed, err)
	}
}

func TestGCSErrorsWithoutAnAnswer(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	f := &fakeGCS{t: t, server: closed}
	g := f.open("t", nil, Env{})
	if _, err := g.look(t.Context(), "k"); g.failure(err).kind != refused || strings.Contains(err.Error(), "storage/v1") {
		t.Errorf("nobody listens: got %v, want refused and no URL", err)
	}
	tls := httptest.NewUnstartedServer(http.NotFoundHandler())
	tls.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains about clients that do not trust it
	tls.StartTLS()
	defer tls.Close()
	f = &fakeGCS{t: t, server: tls}
	g = f.open("t", nil, Env{Transport: &http.Transport{DisableKeepAlives: true}})
	_, err := g.look(t.Context(), "k")
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); g.failure(err).kind != unsafeTLS || !unknown {
		t.Errorf("an unknown authority: got %v, want unsafeTLS", err)
	}
	g = answeringGCS(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"size": "1`) })
	if _, err := g.look(t.Context(), "k"); err == nil || g.failure(err).kind != transient {
		t.Errorf("half an answer: got %v, want transient", err)
	}
	g = answeringGCS(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"x": "`+strings.Repeat("x", maxAnswer)+`"}`)
	})
	if _, err := g.look(t.Context(), "k"); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("an endless answer: got %v", err)
	}
}

func TestGCSBillsRequestsToAUsersProject(t *testing.T) {
	f := startFakeGCS(t)
	f.fault = func(_ int, r *http.Request) gcsFault {
		if got := r.URL.Query().Get("userProject"); got != "payer" {
			t.Errorf("%s %s: userProject %q", r.Method, r.URL.Path, got)
		}
		return gcsPass
	}
	g := f.open("", gcsGiven(gcsSkipSignature, "true", gcsPaysMode, "ENABLED", gcsPaysProject, "payer"), Env{})
	if err := g.put(t.Context(), "k", nil, true); err != nil {
		t.Error(err)
	}
	if _, _, err := g.list(t.Context(), "", "", ""); err != nil {
		t.Error(err)
	}
}
