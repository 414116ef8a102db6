package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siltlake/silt/internal/problem"
)

func codeOf(err error) problem.Code {
	if l := problem.Of(err); len(l) > 0 {
		return l[0].Code
	}
	return ""
}

// What a registry answers and what the caller gets; every call asks for the versions of one subject.
func TestAnAnswerBecomesAProblem(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		code   problem.Code
		says   string
		asked  int // requests, unless it is one
	}{
		{name: "the versions", status: 200, body: `[2,1]`},
		{name: "an unknown subject", status: 404, body: `{"error_code":40401,"message":"Subject 'clicks' not found."}`, code: problem.UnknownSubject,
			says: `unknown subject "clicks"`, asked: 2}, // and the list of subjects
		{name: "a wrong login", status: 401, body: `{"error_code":401,"message":"Unauthorized"}`, code: problem.RegistryLogin, says: "refuses the login"},
		{name: "no right", status: 403, body: ``, code: problem.RegistryLogin, says: "status 403"},
		{name: "a web server", status: 404, body: `<html>`, code: problem.RegistryAnswer, says: "is no schema registry"},
		{name: "an answer that is no list", status: 200, body: `<html>`, code: problem.RegistryAnswer, says: "cannot answer for subject clicks"},
		{name: "a mode that forbids it", status: 422, body: `{"error_code":42205,"message":"Subject clicks is in read-only mode"}`,
			code: problem.RegistryRefused, says: "refuses to answer for subject clicks"},
		{name: "a registry without its store", status: 500, body: `{"error_code":50001,"message":"store"}`, code: problem.RegistryUnreachable,
			says: "answers with an error", asked: callTries},
		{name: "too many requests", status: 429, body: ``, code: problem.RegistryUnreachable, asked: callTries},
	}
	for _, tt := range tests {
		f := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, tt.body)
		})
		got, err := f.client(t).Versions(t.Context(), "clicks", false)
		if codeOf(err) != tt.code || err != nil && (tt.code == "" || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err == nil && !slices.Equal(got, []int{1, 2}) {
			t.Errorf("%s: %v", tt.name, got)
		}
		if want := max(1, tt.asked); len(f.seen()) != want {
			t.Errorf("%s: %d requests, want %d", tt.name, len(f.seen()), want)
		}
	}
}

func TestAnInterruptIsNoProblem(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		w.WriteHeader(500)
	})
	if _, err := f.client(t).Subjects(ctx, false); !errors.Is(err, context.Canceled) || codeOf(err) != "" {
		t.Errorf("got %v", err)
	}
}

func TestARequestIsWhatTheAPISays(t *testing.T) {
	var got []string
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
		if len(body) > 0 && r.Header.Get("Content-Type") != "application/vnd.schemaregistry.v1+json" {
			t.Errorf("a body of type %q", r.Header.Get("Content-Type"))
		}
		answers := map[string]string{"DELETE": `[1]`, "POST": `{"id":7,"version":2,"is_compatible":true}`, "GET": `{"subject":"a/b","version":2,"id":7,"schema":"\"int\""}`}
		_, _ = io.WriteString(w, answers[r.Method])
	})
	c := f.client(t)
	s := NewSchema{Type: "AVRO", Text: `"<int>"`, References: []Reference{{"r", "ref", 1}}}
	id, err := c.Register(t.Context(), "a/b", s)
	_, found, err2 := c.Find(t.Context(), "a/b", NewSchema{Type: "JSON", Text: "{}"})
	_, err3 := c.Check(t.Context(), "a/b", "", s)
	_, err4 := c.Check(t.Context(), "a/b", "3", s)
	v, err5 := c.Version(t.Context(), "a/b", Latest, true)
	_, err6 := c.Delete(t.Context(), "a/b", "2", true)
	if err := errors.Join(err, err2, err3, err4, err5, err6); err != nil || id != 7 || !found || v.ID != 7 || v.Type != "AVRO" {
		t.Fatal(id, found, v, err)
	}
	const body = `{"schema":"\"<int>\"","references":[{"name":"r","subject":"ref","version":1}]}`
	want := []string{
		`POST /subjects/a%2Fb/versions ` + body,
		`POST /subjects/a%2Fb {"schema":"{}","schemaType":"JSON"}`,
		`POST /compatibility/subjects/a%2Fb/versions?verbose=true ` + body,
		`POST /compatibility/subjects/a%2Fb/versions/3?verbose=true ` + body,
		`GET /subjects/a%2Fb/versions/latest?deleted=true`,
		`DELETE /subjects/a%2Fb/versions/2`,
		`DELETE /subjects/a%2Fb/versions/2?permanent=true`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A permanent deletion makes the soft one first, unless it was made before.
func TestDelete(t *testing.T) {
	type answers map[bool]string // by permanent
	tests := []struct {
		name      string
		permanent bool
		answers   answers
		gone      []int
		code      problem.Code
	}{
		{"softly", false, answers{false: `[1,2]`}, []int{1, 2}, ""},
		{"for good", true, answers{false: `[1,2]`, true: `[1,2]`}, []int{1, 2}, ""},
		{"softly, once more", false, answers{false: "40404"}, nil, problem.Usage},
		{"for good, what is softly deleted", true, answers{false: "40404", true: `[1]`}, []int{1}, ""},
		{"a version, likewise", true, answers{false: "40406", true: `1`}, []int{1}, ""},
		{"a registry that says of what is softly deleted that it is not there", true, answers{false: "40401", true: `[1]`}, []int{1}, ""},
		{"what is not there", true, answers{false: "40401", true: "40401"}, nil, problem.UnknownSubject},
		{"what others refer to", false, answers{false: "42206"}, nil, problem.RegistryRefused},
		{"what others refer to, for good", true, answers{false: "40404", true: "42206"}, nil, problem.RegistryRefused},
		{"an answer that is no list", false, answers{false: `{}`}, nil, problem.RegistryAnswer},
	}
	for _, tt := range tests {
		f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
			a := tt.answers[r.URL.Query().Get("permanent") == "true"]
			if r.Method == http.MethodGet {
				a = `[]`
			}
			if len(a) == 5 && a[0] == '4' {
				w.WriteHeader(404)
				a = fmt.Sprintf(`{"error_code":%s,"message":"no"}`, a)
			}
			_, _ = io.WriteString(w, a)
		})
		gone, err := f.client(t).Delete(t.Context(), "clicks", "", tt.permanent)
		if codeOf(err) != tt.code || !slices.Equal(gone, tt.gone) || tt.code == "" && err != nil {
			t.Errorf("%s: %v, %v", tt.name, gone, err)
		}
	}
}

func TestASchemaIsRefused(t *testing.T) {
	tests := []struct {
		status int
		body   string
		code   problem.Code
		why    string
	}{
		{409, `{"error_code":409,"message":"Schema being registered is incompatible"}`, problem.IncompatibleSchema, "Schema being registered is incompatible"},
		{422, `{"error_code":42201,"message":"Input schema is an invalid Avro schema"}`, problem.InvalidSchema, "Input schema is an invalid Avro schema"},
		{200, `{}`, problem.RegistryAnswer, "the answer holds no id"},
	}
	for _, tt := range tests {
		f := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, tt.body)
		})
		_, err := f.client(t).Register(t.Context(), "clicks", NewSchema{Text: "x"})
		if l := problem.Of(err); codeOf(err) != tt.code || l[0].Why != tt.why {
			t.Errorf("%d: %v, why %q", tt.status, err, l[0].Why)
		}
	}
}

func TestLevelOfASubjectWithoutOne(t *testing.T) {
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/config" {
			_, _ = io.WriteString(w, `{"compatibilityLevel":"FULL"}`)
			return
		}
		w.WriteHeader(404)
		_, _ = io.WriteString(w, `{"error_code":40408,"message":"none"}`)
	})
	if got, err := f.client(t).Level(t.Context(), "clicks"); got != "FULL" || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
}

// The texts of references come before those that use them, each once; circles and other types are refused.
func TestTexts(t *testing.T) {
	versions := map[string]answer{
		"a": {Schema: "a", References: []reference{{"", "b", 1}, {"", "c", 1}}}, "b": {Schema: "b", References: []reference{{"", "c", 1}}}, "c": {Schema: "c"},
		"loop": {Schema: "loop", References: []reference{{"", "loop", 1}}}, "json": {Schema: "json", SchemaType: "JSON"},
	}
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/subjects" { // to say what there is instead
			_, _ = io.WriteString(w, `[]`)
			return
		}
		subject := strings.Split(r.URL.Path, "/")[2]
		a, ok := versions[subject]
		if !ok {
			w.WriteHeader(404)
			_, _ = io.WriteString(w, `{"error_code":40401,"message":"no"}`)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"subject": subject, "version": 1, "id": 1, "schema": a.Schema, "schemaType": a.SchemaType, "references": a.References})
	})
	c := f.client(t)
	got, err := c.Texts(t.Context(), "AVRO", []Reference{{"x", "a", 1}, {"y", "c", 1}})
	if err != nil || !slices.Equal(got, []string{"c", "b", "a"}) {
		t.Errorf("got %v, %v", got, err)
	}
	for subject, code := range map[string]problem.Code{"loop": problem.InvalidSchema, "json": problem.InvalidSchema, "gone": problem.UnknownSubject} {
		if _, err := c.Texts(t.Context(), "AVRO", []Reference{{"x", subject, 1}}); codeOf(err) != code {
			t.Errorf("%s: %v", subject, err)
		}
	}
}
