package registry

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

func TestALoginThatWasRotatedIsReadAnew(t *testing.T) {
	const old, next = "key:old-" + canary, "key:new-" + canary
	rotated := func(wrap func(login string) string) secret.Secret {
		return secret.Renewable(wrap(old), secret.Origin{Read: func(context.Context) (string, error) { return wrap(next), nil }})
	}
	plain := func(login string) string { return login }
	var asked atomic.Int32
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		user, password, _ := r.BasicAuth()
		switch {
		case user+":"+password != next:
			fail(w, 401, 401, "Unauthorized: "+password)
		case r.URL.Path == "/schemas/types":
			fmt.Fprint(w, `["AVRO"]`)
		default:
			fmt.Fprint(w, `{"schema":"\"long\""}`)
		}
	})
	inURL := func(login string) string {
		return "https://elsewhere, " + strings.Replace(f.URL, "://", "://"+login+"@", 1)
	}
	parsed := func(key string, s secret.Secret) secret.Secret {
		v := option.Value{Key: key, Secret: s, IsSecret: true}
		values := []option.Value{v}
		if key != "schema.registry.url" {
			values = append(values, option.Value{Key: "schema.registry.url", Text: f.URL})
		}
		o, ps := ParseOptions(option.NewValues("registry", problem.Location{}, values...), false)
		if len(ps) > 0 {
			t.Fatal(ps)
		}
		return o.Endpoints[len(o.Endpoints)-1].Login
	}
	u, _ := url.Parse(f.URL)
	tests := []struct {
		name  string
		login secret.Secret
		ok    bool
		asked int32 // requests, for the probe and for a schema
	}{
		{"rotated", rotated(plain), true, 3},
		{"of the option", parsed("basic.auth.user.info", rotated(plain)), true, 3},
		{"within a URL", parsed("schema.registry.url", rotated(inURL)), true, 3},
		{"not rotated", secret.Renewable(old, secret.Origin{Read: func(context.Context) (string, error) { return old, nil }}), false, 1},
		{"a vault that does not answer", secret.Renewable(old, secret.Origin{Read: func(context.Context) (string, error) {
			return "", fmt.Errorf("sealed")
		}}), false, 1},
		{"no reference", secret.New(old), false, 1},
		{"right", secret.New(next), true, 2},
	}
	for _, tt := range tests {
		asked.Store(0)
		f.log.Reset()
		c := f.clientOf(t, Options{Endpoints: []Endpoint{{URL: *u, Name: f.URL, Login: tt.login}}})
		err := c.Probe(t.Context())
		if tt.ok {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
				continue
			}
			if _, err := c.Schema(t.Context(), 1); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
		} else if p := problem.Of(err); len(p) != 1 || p[0].Code != problem.RegistryLogin || strings.Contains(p[0].Why, canary) {
			t.Errorf("%s: got %v", tt.name, p)
		}
		if asked.Load() != tt.asked || strings.Contains(f.log.String(), canary) {
			t.Errorf("%s: %d requests, logged %s", tt.name, asked.Load(), f.log.String())
		}
	}
}

func TestALoginThatIsRotatedBetweenTwoSchemasIsReadAnew(t *testing.T) {
	var current atomic.Pointer[string]
	set := func(s string) { current.Store(&s) }
	set("key:first")
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user+":"+password != *current.Load() {
			fail(w, 401, 401, "Unauthorized")
			return
		}
		fmt.Fprint(w, `{"schema":"\"long\""}`)
	})
	u, _ := url.Parse(f.URL)
	c := f.clientOf(t, Options{Endpoints: []Endpoint{{URL: *u, Name: f.URL, Login: secret.Renewable("key:first",
		secret.Origin{Read: func(context.Context) (string, error) { return *current.Load(), nil }})}}})
	for id := range int32(2) {
		if _, err := c.Schema(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		set("key:second")
	}
	if got := len(f.seen()); got != 3 || len(f.clock.slept) != 0 {
		t.Errorf("%d requests, slept %v", got, f.clock.slept)
	}
}
