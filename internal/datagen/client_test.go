package datagen

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// testClient is a client of the handler.
func testClient(t *testing.T, h http.Handler) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return &Client{URL: s.URL + "/", Key: secret.New("KEY"), Secret: secret.New("secret")}
}

func TestAClientAsksAndTellsAConnector(t *testing.T) {
	config := clicks(t, "")
	config.MaxInterval, config.Name = 5*time.Millisecond, "a name/with ünusual characters?"
	c := New(config, deps(&fakeProducer{}, &MemoryOffsets{}))
	start(t, c)
	defer c.Close()
	client := testClient(t, c.Handler())
	name, err := client.Name(t.Context())
	if err != nil || name != config.Name {
		t.Fatalf("name %q, %v", name, err)
	}
	for _, step := range []struct {
		do    Action
		state State
	}{{Pause, Paused}, {Resume, Running}, {Stop, Stopped}, {Resume, Running}, {Restart, Running}} {
		if err := client.Do(t.Context(), name, step.do); err != nil {
			t.Errorf("%s: %v", step.do, err)
		}
		s, err := client.Status(t.Context(), name)
		if err != nil || s.Name != name || s.Connector.State != step.state || len(s.Tasks) != 1 || s.Tasks[0].State != step.state {
			t.Errorf("after %s: %+v, %v", step.do, s, err)
		}
	}
	for begin := time.Now(); c.Status().Records() == 0; time.Sleep(time.Millisecond) {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("no record is written")
		}
	}
	if s, err := client.Status(t.Context(), name); err != nil || s.Records() == 0 {
		t.Errorf("the records do not come along: %+v, %v", s, err)
	}
	c.d.Registrar = &fakeRegistry{err: errors.New("gone")}
	if err := client.Do(t.Context(), name, Restart); err == nil || !strings.Contains(err.Error(), "register the schema under clickstreams-value: gone") {
		t.Errorf("a restart that fails: %v", err)
	}
}

func TestAClientSaysWhatIsWrong(t *testing.T) {
	answer := func(status int, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if key, password, _ := req.BasicAuth(); key != "KEY" || password != "secret" {
				t.Errorf("login %q %q", key, password)
			}
			if req.URL.Path != "/connectors" {
				t.Errorf("%s was called", req.URL)
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		})
	}
	tests := []struct {
		name    string
		handler http.Handler
		code    problem.Code
		says    string
	}{
		{"another key pair", answer(401, `{"error_code":401,"message":"Unauthorized"}`), problem.ConnectorRefused, "refuses the login"},
		{"an error of Connect's", answer(409, `{"error_code":409,"message":"rebalancing"}`), problem.ConnectorRefused, "409 Conflict: rebalancing"},
		{"an error of something else", answer(404, "<html>"), problem.ConnectorRefused, "answers 404 Not Found"},
		{"a redirect is not followed with the login", answer(302, ""), problem.ConnectorRefused, "302 Found"},
		{"something else on the port", answer(200, "<html>"), problem.ConnectorRefused, "is no connector"},
		{"a worker of many", answer(200, `["a","b"]`), problem.ConnectorRefused, "has 2 connectors"},
	}
	for _, tt := range tests {
		_, err := testClient(t, tt.handler).Name(t.Context())
		if list := problem.Of(err); len(list) != 1 || list[0].Code != tt.code || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close() // a port that nothing listens on
	_, err := (&Client{URL: s.URL}).Name(t.Context())
	if list := problem.Of(err); len(list) != 1 || list[0].Code != problem.ConnectorUnreachable {
		t.Errorf("nothing there: %v", err)
	}
	_, err = (&Client{URL: "127.0.0.1:8083"}).Name(t.Context())
	if list := problem.Of(err); len(list) != 1 || list[0].Code != problem.InvalidValue {
		t.Errorf("no URL: %v", err)
	}
}
