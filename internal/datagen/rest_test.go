package datagen

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var recordCount = regexp.MustCompile(`"records":\d+`)

func TestConnectsRESTInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fakeProducer{}
		config := parse(t, `{"name":"clicks","config":{"connector.class":"DatagenSource","kafka.topic":"t","output.data.format":"AVRO",
			"kafka.api.secret":"canary","quickstart":"CLICKSTREAM","max.interval":"100"}}`)
		c := New(config, deps(p, &MemoryOffsets{}))
		start(t, c)
		const info = `{"name":"clicks","config":{"connector.class":"DatagenSource","kafka.api.secret":"****************","kafka.topic":"t",` +
			`"max.interval":"100","output.data.format":"AVRO","quickstart":"CLICKSTREAM"},"tasks":[{"connector":"clicks","task":0}],"type":"source"}`
		status := func(s string) string {
			return `{"name":"clicks","connector":{"state":"` + s + `"},"tasks":[{"id":0,"state":"` + s + `","records":N}],"type":"source"}`
		}
		tests := []struct {
			method, path string
			status       int
			body         string
		}{
			{"GET", "/connectors", 200, `["clicks"]`},
			{"GET", "/connectors/clicks", 200, info},
			{"GET", "/connectors/clicks/status", 200, status("RUNNING")},
			{"GET", "/connectors/clicks/tasks/0/status", 200, `{"id":0,"state":"RUNNING","records":N}`},
			{"GET", "/connectors/clicks/tasks/1/status", 404, `{"error_code":404,"message":"No status found for task clicks-1"}`},
			{"PUT", "/connectors/clicks/pause", 202, ""},
			{"GET", "/connectors/clicks/status", 200, status("PAUSED")},
			{"PUT", "/connectors/clicks/resume", 202, ""},
			{"GET", "/connectors/clicks/status", 200, status("RUNNING")},
			{"PUT", "/connectors/clicks/stop", 204, ""},
			{"GET", "/connectors/clicks/status", 200, status("STOPPED")},
			{"PUT", "/connectors/clicks/resume", 202, ""}, // starts it
			{"GET", "/connectors/clicks/status", 200, status("RUNNING")},
			{"POST", "/connectors/clicks/restart", 204, ""},
			{"GET", "/connectors/Clicks/status", 404, `{"error_code":404,"message":"Connector Clicks not found"}`},
			{"DELETE", "/connectors/clicks", 405, "Method Not Allowed\n"},
		}
		for _, tt := range tests {
			w := httptest.NewRecorder()
			c.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), tt.method, tt.path, nil))
			body := recordCount.ReplaceAllString(w.Body.String(), `"records":N`)
			if w.Code != tt.status || body != tt.body {
				t.Errorf("%s %s: got %d %s\nwant %d %s", tt.method, tt.path, w.Code, body, tt.status, tt.body)
			}
			time.Sleep(200 * time.Millisecond)
		}
		c.Stop()
		// Each start was a generation of its own.
		records := p.made()
		if got := headers(records[len(records)-1]); !strings.HasPrefix(got, "task.generation=2 ") {
			t.Errorf("the last record: %s", got)
		}
		c.d.Registrar = &fakeRegistry{err: errors.New("gone")}
		w := httptest.NewRecorder()
		c.Handler().ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/connectors/clicks/restart", nil))
		if want := `{"error_code":500,"message":"register the schema under t-value: gone"}`; w.Code != 500 || w.Body.String() != want {
			t.Errorf("got %d %s, want %s", w.Code, w.Body, want)
		}
	})
}
