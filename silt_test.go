package silt_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/siltlake/silt"
	"github.com/siltlake/silt/internal/config"
)

// A stop is a clean one at whatever the start waits for.
func TestAStopDuringTheStartIsNoError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mute.Close() }()
	go func() {
		for {
			c, err := mute.Accept()
			if err != nil {
				return
			}
			defer func() { _ = c.Close() }()
			cancel()
		}
	}()
	if err := silt.Run(ctx, pipeline(t, mute.Addr().String(), "http://127.0.0.1:1"), silt.RunOptions{}); err != nil {
		t.Errorf("while the broker is connected: %v", err)
	}

	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "clicks"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	ctx, cancel = context.WithCancel(t.Context())
	registry := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer registry.Close()
	if err := silt.Run(ctx, pipeline(t, cluster.ListenAddrs()[0], registry.URL), silt.RunOptions{}); err != nil {
		t.Errorf("while the registry is probed: %v", err)
	}
	if ctx.Err() == nil {
		t.Error("the registry was not asked")
	}
}

// What a worker uploads is held in memory, part by part.
func TestWorkersThatUploadNeedMoreMemory(t *testing.T) {
	p := pipeline(t, "127.0.0.1:1", "http://127.0.0.1:1")
	p.Table = config.Path{Text: "s3://lake/clicks", URL: "s3://lake/clicks"}
	for _, test := range []struct {
		o    silt.RunOptions
		want string
	}{
		{silt.RunOptions{Memory: 124 << 20, Workers: 3}, "--memory 124MiB has room for 2 workers of a table in an object store, and --workers is 3"},
		{silt.RunOptions{Memory: 124<<20 - 1, Workers: 2}, "has room for 1 worker of a table"},
		{silt.RunOptions{Memory: 75 << 20}, "--memory is 75MiB, and a table in an object store takes at least 76MiB"},
		{silt.RunOptions{Memory: 76 << 20}, "broker 127.0.0.1:1 cannot be reached"},
	} {
		if err := silt.Run(t.Context(), p, test.o); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: got %v, want %q", test.o, err, test.want)
		}
	}
}

// A file has problems in the options of its stores and in others: whoever corrects it is told all of them at once.
func TestVerifyTellsAllThatIsWrongWithTheFile(t *testing.T) {
	p, err := config.Load("pipeline.yaml", config.Options{ReadFile: func(string, int64) ([]byte, error) {
		return []byte("source: {kafka: {kafka.bootstrap.servers: h, subscrib: clicks}}\n" +
			"sink: {delta: {path: s3://lake/clicks}, storageOptions: {aws_regoin: x}}\ncheckpointLocation: /c\n"), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = silt.Verify(t.Context(), p.Table, silt.VerifyOptions{TableOptions: silt.TableOptions{Pipeline: p}})
	if err == nil || !strings.Contains(err.Error(), "aws_regoin") || !strings.Contains(err.Error(), "subscrib") {
		t.Errorf("got %v", err)
	}
}

func pipeline(t *testing.T, broker, registry string) *config.Pipeline {
	t.Helper()
	text := strings.NewReplacer("BROKER", broker, "REGISTRY", registry, "DIR", t.TempDir()).Replace(`
name: stopped
source: {kafka: {kafka.bootstrap.servers: "BROKER", subscribe: clicks}}
registry: {schema.registry.url: "REGISTRY"}
sink: {delta: {path: "DIR/table"}}
checkpointLocation: "DIR/checkpoint"
allowInsecure: true
`)
	p, err := config.Load("pipeline.yaml", config.Options{ReadFile: func(string, int64) ([]byte, error) { return []byte(text), nil }})
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", text, err))
	}
	return p
}
