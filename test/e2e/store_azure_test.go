//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/siltlake/silt/internal/cloud"
	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/store/storetest"
	"github.com/siltlake/silt/test/parts"
)

// openAzurite opens a folder of the emulator, with more options, written as key=value.
func openAzurite(t *testing.T, a *parts.Azurite, url string, more ...string) *cloud.Store {
	t.Helper()
	return openAzuriteBy(t, nil, a, url, more...)
}

func openAzuriteBy(t *testing.T, transport http.RoundTripper, a *parts.Azurite, url string, more ...string) *cloud.Store {
	t.Helper()
	env := cloud.Env{Transport: transport, Getenv: func(string) (string, bool) { return "", false }}
	p, q := cloud.ParsePlace(url)
	if q != nil {
		t.Fatal(q)
	}
	var values []option.Value
	for _, m := range append([]string{"azure_storage_use_emulator=true", "azure_storage_endpoint=" + a.URL}, more...) {
		key, text, _ := strings.Cut(m, "=")
		values = append(values, option.Value{Key: key, Text: text})
	}
	o, problems := cloud.ParseOptions(option.NewValues("sink.storageOptions", problem.Location{}, values...), env, p)
	if len(problems) > 0 {
		t.Fatal(problem.List(problems))
	}
	s, err := cloud.Open(t.Context(), p, o, env, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestAzurite runs the contract of stores on Azure's emulator, and what is special there.
func TestAzurite(t *testing.T) {
	for _, mode := range []struct{ name, dir string }{{"in memory", ""}, {"on disk", t.TempDir()}} {
		t.Run(mode.name, func(t *testing.T) {
			a, err := parts.StartAzurite(t.TempDir(), mode.dir)
			parts.Need(t, err)
			defer func() {
				if err := a.Stop(); err != nil {
					t.Error(err)
				}
			}()
			if err := a.CreateContainer(t.Context(), "data"); err != nil {
				t.Fatal(err)
			}
			n := 0
			storetest.Run(t, func(t *testing.T) store.Store {
				n++
				return openAzurite(t, a, fmt.Sprintf("az://data/folder %d/é+", n))
			})
			t.Run("100 writers of one key, again and again", func(t *testing.T) { azureRaces(t, openAzurite(t, a, "az://data/races")) })
			t.Run("pages, with a SAS", func(t *testing.T) {
				sas, err := a.SAS()
				if err != nil {
					t.Fatal(err)
				}
				azurePages(t, openAzuriteBy(t, shortPages{}, a, "az://data/pages", "sas_token="+sas), 250)
			})
			if theCounts().soaking { // Azure lists 5,000 objects a page
				t.Run("more objects than a page holds", func(t *testing.T) { azurePages(t, openAzurite(t, a, "az://data/long"), 5_050) })
			}
			t.Run("what is refused", func(t *testing.T) { azureRefusals(t, a) })
		})
	}
}

// azureRaces: in every round one of 100 writers creates the object, the others are told, and its bytes are there.
func azureRaces(t *testing.T, s store.Store) {
	const writers = 100
	for round := range theCounts().storeRaces {
		key := fmt.Sprintf("log/%020d.json", round)
		outcomes := make([]store.Outcome, writers)
		errs := make([]error, writers)
		start := make(chan struct{})
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				<-start
				outcomes[w], errs[w] = s.PutIfAbsent(t.Context(), key, fmt.Appendf(nil, "writer %d", w))
			})
		}
		close(start)
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		winner := -1
		for w, o := range outcomes {
			switch {
			case o == store.Created && winner >= 0:
				t.Fatalf("round %d: writers %d and %d created it", round, winner, w)
			case o == store.Created:
				winner = w
			case o != store.Exists:
				t.Fatalf("round %d: writer %d got %v", round, w, o)
			}
		}
		got, err := s.Get(t.Context(), key, 100)
		if err != nil || string(got) != fmt.Sprintf("writer %d", winner) {
			t.Fatalf("round %d: got %q, %v, want that of writer %d", round, got, err, winner)
		}
	}
}

// shortPages asks for pages of 100 objects. A request that is signed by its SAS may be changed.
type shortPages struct{}

func (shortPages) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Query().Get("comp") == "list" {
		r = r.Clone(r.Context())
		r.URL.RawQuery += "&maxresults=100"
	}
	return http.DefaultTransport.RoundTrip(r)
}

// azurePages: a listing of several pages has every object once and in order, wherever it begins.
func azurePages(t *testing.T, s store.Store, objects int) {
	key := func(i int) string { return fmt.Sprintf("log/%020d.json", i) }
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := w; i < objects; i += 16 {
				if err := s.Put(t.Context(), key(i), nil); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, from := range []int{0, objects - 40} {
		want := from
		after := ""
		if from > 0 {
			after = key(from - 1)
		}
		for i, err := range s.List(t.Context(), "log/", after) {
			if err != nil {
				t.Fatal(err)
			}
			if i.Key != key(want) {
				t.Fatalf("got %s, want %s", i.Key, key(want))
			}
			want++
		}
		if want != objects {
			t.Errorf("listed %d to %d, want all %d", from, want, objects)
		}
	}
}

// azureRefusals: what is wrong is told apart, and no secret is in it.
func azureRefusals(t *testing.T, a *parts.Azurite) {
	const wrongKey = "d3Jvbmcta2V5LXdyb25nLWtleS13cm9uZy1rZXk="
	for _, test := range []struct {
		name, url, option string
		want              problem.Code
	}{
		{"a wrong key", "az://data/t", "account_key=" + wrongKey, problem.StoreLogin},
		{"a wrong SAS", "az://data/t", "sas_token=sv=2024-11-04&ss=b&srt=sco&sp=rwdlc&se=2099-01-01T00:00:00Z&spr=https,http&sig=" + wrongKey, problem.StoreLogin},
		{"no container", "az://missing/t", "allow_http=true", problem.NoBucket},
	} {
		s := openAzurite(t, a, test.url, test.option)
		_, err := s.PutIfAbsent(t.Context(), "log/0.json", []byte("x"))
		found := problem.Of(err)
		if len(found) != 1 || found[0].Code != test.want {
			t.Errorf("%s: put gives %v, want %s", test.name, err, test.want)
			continue
		}
		if text := fmt.Sprint(found[0], found[0].Why, found[0].Hint); strings.Contains(text, wrongKey) || strings.Contains(text, "sig=") {
			t.Errorf("%s: %s holds the secret", test.name, text)
		}
		for _, err := range s.List(t.Context(), "log/", "") {
			if found := problem.Of(err); len(found) != 1 || found[0].Code != test.want {
				t.Errorf("%s: list gives %v, want %s", test.name, err, test.want)
			}
		}
	}
}
