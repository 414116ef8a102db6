package registryd

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A memJournal is a journal in memory. Its fault, if there is one, is asked before each append.
type memJournal struct {
	mu      sync.Mutex
	records []Record
	fault   func(ctx context.Context, records []Record) (written bool, err error)
}

func (j *memJournal) Append(ctx context.Context, records []Record) (int64, error) {
	written, err := true, error(nil)
	if j.fault != nil {
		written, err = j.fault(ctx, records)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if written {
		for _, r := range records {
			r.Offset = int64(len(j.records))
			j.records = append(j.records, r)
		}
	}
	return int64(len(j.records)), err
}

func (j *memJournal) Replay(_ context.Context, from int64, apply func(Record) error) (int64, error) {
	j.mu.Lock()
	records := slices.Clone(j.records)
	j.mu.Unlock()
	for _, r := range records[from:] {
		if err := apply(r); err != nil {
			return r.Offset, err
		}
	}
	return int64(len(records)), nil
}

// text is the journal as lines of key and value.
func (j *memJournal) text() string {
	var b strings.Builder
	for _, r := range j.records {
		value := "null"
		if r.Value != nil {
			value = string(r.Value)
		}
		b.WriteString(string(r.Key) + " " + value + "\n")
	}
	return b.String()
}

// now is the time of all records in tests.
func now() time.Time { return time.UnixMilli(1_700_000_000_000) }

func open(t testing.TB, j Journal, o Options) *Registry {
	t.Helper()
	if o.Now == nil {
		o.Now = now
	}
	r, err := Open(context.Background(), j, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// send makes a call and returns the status and the body.
func send(t testing.TB, h http.Handler, method, path, body string, header ...string) (int, string) {
	t.Helper()
	req := httptest.NewRequest(method, "http://127.0.0.1:8081"+path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	text, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Result().StatusCode, string(text)
}

// quoted is a schema's text as the body of a request has it.
func quoted(schema string) string {
	b, _ := json.Marshal(schema)
	return string(b)
}

// body is a request with a schema and other members.
func body(schema string, more ...string) string {
	return `{"schema":` + quoted(schema) + strings.Join(append([]string{""}, more...), ",") + `}`
}

// mustRegister registers and returns the id.
func mustRegister(t testing.TB, h http.Handler, subject, body string) int {
	t.Helper()
	status, text := send(t, h, "POST", "/subjects/"+subject+"/versions", body)
	var got struct{ ID int }
	if err := json.Unmarshal([]byte(text), &got); err != nil || status != 200 {
		t.Fatalf("register under %s: %d %s", subject, status, text)
	}
	return got.ID
}
