package registryd

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// filled is a registry with a little of everything.
func filled(t testing.TB) (*Registry, *memJournal) {
	t.Helper()
	j := &memJournal{}
	r := open(t, j, Options{})
	mustRegister(t, r, "s", body(recordA))
	mustRegister(t, r, "s", body(recordAB))
	mustRegister(t, r, ":.c:s", body(`"int"`))
	mustRegister(t, r, "ref", body(`{"type":"array","items":"R"}`, `"references":[{"name":"R","subject":"s","version":1}]`))
	send(t, r, "DELETE", "/subjects/s/versions/2", "")
	send(t, r, "PUT", "/config/s", `{"compatibility":"FULL_TRANSITIVE"}`)
	return r, j
}

// FuzzBodies sends bodies to every call that takes one: the answer is JSON, no fault of the registry's, and nothing is written that a
// start would not take.
func FuzzBodies(f *testing.F) {
	for _, s := range []string{
		body(recordA), body(`"int"`, `"id":5`, `"version":3`), `{"compatibility":"NONE","normalize":true}`, `{"mode":"IMPORT"}`,
		body(`"R"`, `"references":[{"name":"R","subject":"s","version":-1}]`, `"metadata":{"properties":{"a":"b"}}`),
		`{"schema":null,"schemaType":"JSON"}`, `{}`, `[]`, ``,
	} {
		f.Add(s)
	}
	calls := [][2]string{
		{"PUT", "/mode/s?force=true"}, {"PUT", "/config/:.c:"},
		{"POST", "/subjects/s/versions"}, {"POST", "/subjects/n/versions?normalize=true"}, {"POST", "/subjects/s?deleted=true"},
		{"POST", "/compatibility/subjects/s/versions?verbose=true"}, {"POST", "/compatibility/subjects/ref/versions/1"},
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, j := filled(t)
		for _, c := range calls {
			status, answer := send(t, r, c[0], c[1], text)
			if status >= 500 || !json.Valid([]byte(answer)) {
				t.Errorf("%s %s: %d %s", c[0], c[1], status, answer)
			}
		}
		_, want := send(t, r, "GET", "/schemas?deleted=true", "")
		if _, got := send(t, open(t, j, Options{}), "GET", "/schemas?deleted=true", ""); got != want {
			t.Errorf("after a start\n%s\nbefore\n%s", got, want)
		}
	})
}

// FuzzPaths calls paths with queries: there is an answer, and it is no fault of the registry's.
func FuzzPaths(f *testing.F) {
	for _, rt := range routes() {
		path := "/" + strings.Join(rt.parts, "/")
		path = strings.NewReplacer("{subject}", "s", "{version}", "1", "{id}", "1", "{context}", "c", "{guid}", "x", "{resource}", "r",
			"{namespace}", "-").Replace(path)
		f.Add(rt.method, path, "deleted=true&offset=1&limit=-1")
		f.Add(rt.method, "/contexts/:.c:"+path, "subject=s&format=resolved")
	}
	f.Fuzz(func(t *testing.T, method, path, query string) {
		u := &url.URL{Scheme: "http", Host: "localhost", RawQuery: query}
		var err error
		if u.Path, err = url.PathUnescape(path); err != nil || !strings.HasPrefix(path, "/") {
			return
		}
		u.RawPath = path
		if strings.ContainsFunc(method, func(r rune) bool { return r <= ' ' || r > '~' }) || method == "" {
			return
		}
		r, _ := filled(t)
		w := httptest.NewRecorder()
		r.ServeHTTP(w, &http.Request{Method: method, URL: u, Host: "localhost", Body: http.NoBody, Header: http.Header{}})
		if w.Code >= 500 {
			t.Errorf("%s %s?%s: %d %s", method, path, query, w.Code, w.Body)
		}
	})
}

// FuzzRecords replays records of anyone: a registry starts or says why not, and what it then holds can be read.
func FuzzRecords(f *testing.F) {
	_, j := filled(f)
	for _, r := range j.records {
		f.Add(string(r.Key), string(r.Value))
	}
	f.Add(`{"keytype":"CLEAR_SUBJECT","subject":"s"}`, `{"subject":"s"}`)
	f.Add(`{"keytype":"SCHEMA","subject":"p","version":1}`, `{"subject":"p","version":1,"id":9,"schemaType":"PROTOBUF","schema":"message A {}"}`)
	f.Fuzz(func(t *testing.T, key, value string) {
		_, j := filled(t)
		j.records = append(j.records, Record{Key: []byte(key), Value: []byte(value), Offset: int64(len(j.records))},
			Record{Key: []byte(key), Offset: int64(len(j.records) + 1)})
		for n := range 2 {
			part := &memJournal{records: j.records[:len(j.records)-n]}
			r, err := Open(t.Context(), part, Options{})
			if err != nil {
				continue
			}
			for _, path := range []string{"/schemas?deleted=true", "/subjects", "/contexts", "/config/s?defaultToGlobal=true",
				"/subjects/s/versions/1/referencedby", "/schemas/ids/1/versions"} {
				if status, text := send(t, r, "GET", path, ""); status >= 500 {
					t.Errorf("%s: %d %s", path, status, text)
				}
			}
			send(t, r, "POST", "/subjects/s/versions", body(recordAB))
			r.Close()
		}
	})
}
