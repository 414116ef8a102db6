package silt

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/scope"
)

// documents are the pages that people read.
func documents(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	adrs, err := filepath.Glob("docs/adr/*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append(append(pages, adrs...), "README.md")
}

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// Every pipeline file in the documents, and every one among the examples, is one that silt accepts.
func TestPipelinesInDocumentsAreAccepted(t *testing.T) {
	texts := map[string]string{}
	for _, page := range documents(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
			texts[fmt.Sprintf("%s, block %d", page, i+1)] = m[1]
		}
	}
	examples, err := filepath.Glob("examples/*.yaml")
	if err != nil || len(examples) == 0 {
		t.Fatal("no examples: ", err)
	}
	for _, e := range examples {
		text, err := os.ReadFile(e)
		if err != nil {
			t.Fatal(err)
		}
		texts[e] = string(text)
	}
	if len(texts) < 2 {
		t.Fatal("no pipeline in the documents")
	}
	dir := t.TempDir()
	server := httptest.NewTLSServer(nil) // for its certificate
	defer server.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	caFile := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(caFile, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range texts {
		file := filepath.Join(dir, "pipeline.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := Load(file, config.Options{
			Env: func(name string) (string, bool) {
				switch {
				case name == "KAFKA_CA":
					return caFile, true
				case strings.HasSuffix(name, "_URL"):
					return "https://registry.example:8081", true
				case name == "STORAGE_KEY":
					return storageKey, true
				case name == "BOOTSTRAP_SERVERS":
					return "broker.example:9092", true
				case ofClouds.MatchString(name):
					return "", false // what a document says has to be enough
				}
				return "value-of-" + name, true
			},
			ReadFile: func(name string, limit int64) ([]byte, error) {
				switch {
				case name == file:
					return []byte(text), nil
				case strings.HasSuffix(name, ".pem"):
					return ca, nil
				}
				return []byte("user:password"), nil
			},
			ReadFileIn: func(string, string, int64) ([]byte, error) { return []byte("user:password"), nil },
			Scopes: func(file, user option.Values) (config.Scopes, []*problem.Problem) {
				declared, problems := scope.New(file, user, scope.Env{LocalFile: filepath.Join(dir, "secrets.age")})
				return documented{declared}, problems
			},
		}, ScopeOptions{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := parse(p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Documented scopes are those that a document declares, or that the local store is said to have; each secret has a value.
type documented struct{ *scope.Set }

func (documented) Secret(_ context.Context, _, key string) (string, *problem.Problem) {
	if key == "storage-key" {
		return storageKey, nil
	}
	return "user:password", nil
}

// ofClouds are the variables by which the clouds' own tools find stores and credentials.
var ofClouds = regexp.MustCompile(`^(AWS|AZURE|AZURITE|GCE|GOOGLE|STORAGE_EMULATOR)_`)

// storageKey has the form of a key of Azure's.
const storageKey = "dmFsdWUtb2YtU1RPUkFHRV9LRVk="

var link = regexp.MustCompile(`\]\(([^)#]*)(#[^)]*)?\)`)

// Every file that a document links to exists, and so does the heading.
func TestLinksInDocumentsLeadSomewhere(t *testing.T) {
	for _, page := range documents(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if m[1] == "" { // a heading of the page itself
				m[1] = filepath.Base(page)
			}
			target, err := os.ReadFile(filepath.Join(filepath.Dir(page), m[1]))
			if err != nil && !errors.Is(err, syscall.EISDIR) {
				t.Errorf("%s links to %s, which is not there", page, m[1])
				continue
			}
			if m[2] != "" && !slices.Contains(anchors(string(target)), m[2]) {
				t.Errorf("%s links to %s%s, and that page has no such heading", page, m[1], m[2])
			}
		}
	}
}

var (
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	unnamed = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are the names that a page's headings have in links, as GitHub makes them.
func anchors(page string) []string {
	var names []string
	for _, h := range heading.FindAllStringSubmatch(page, -1) {
		names = append(names, "#"+strings.ReplaceAll(unnamed.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-"))
	}
	return names
}
