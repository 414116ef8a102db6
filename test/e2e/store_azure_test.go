//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/cloud"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/store/storetest"
	"github.com/siltlake/silt/test/parts"
)

// openAzurite opens a folder of the emulator, with more options.
func openAzurite(t *testing.T, a *parts.Azurite, url string, more ...string) *cloud.Store {
	t.Helper()
	return openFolder(t, nil, url, append(azuriteOptions(a), more...)...)
}

func azuriteOptions(a *parts.Azurite) []string {
	return []string{"azure_storage_use_emulator=true", "azure_storage_endpoint=" + a.URL}
}

// TestAzurite runs the contract of stores on Azure's emulator, and what is special there.
func TestAzurite(t *testing.T) {
	for _, mode := range []struct{ name, dir string }{{"in memory", ""}, {"on disk", t.TempDir()}} {
		t.Run(mode.name, func(t *testing.T) {
			a, err := parts.StartAzurite(t.TempDir(), mode.dir)
			parts.Need(t, err)
			stopAtEnd(t, a.Stop)
			if err := a.CreateContainer(t.Context(), "data"); err != nil {
				t.Fatal(err)
			}
			n := 0
			storetest.Run(t, func(t *testing.T) store.Store {
				n++
				return openAzurite(t, a, fmt.Sprintf("az://data/folder %d/é+", n))
			})
			t.Run("100 writers of one key", func(t *testing.T) { racePuts(t, openAzurite(t, a, "az://data/races")) })
			t.Run("pages, with a SAS", func(t *testing.T) {
				sas, err := a.SAS()
				if err != nil {
					t.Fatal(err)
				}
				listPages(t, openFolder(t, shortPages{}, "az://data/pages", append(azuriteOptions(a), "sas_token="+sas)...), 250)
			})
			if n := theCounts().listed; n > 5_000 { // what Azure lists in a page
				t.Run("more objects than a page holds", func(t *testing.T) { listPages(t, openAzurite(t, a, "az://data/long"), n) })
			}
			t.Run("what is refused", func(t *testing.T) { azureRefusals(t, a) })
		})
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
