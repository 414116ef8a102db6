package main

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// The logins of the test's broker and registry, one from each provider, and one written into the file.
const (
	kafkaKey, kafkaSecret       = "canary-kafka-key", "canary-kafka+secret/ü=" // of the environment and of a file
	registryKey, registrySecret = "canary-registry-key", "canary-registry-secret"
)

// forms are the encodings in which a secret could come out.
func forms(secrets ...string) [][]byte {
	var out [][]byte
	for _, s := range secrets {
		quoted, _ := json.Marshal(s) // a string has JSON
		out = append(out, []byte(s), quoted[1:len(quoted)-1], []byte(url.QueryEscape(s)), []byte(url.PathEscape(s)),
			[]byte(hex.EncodeToString([]byte(s))), []byte(base64.RawStdEncoding.EncodeToString([]byte(s))), []byte(base64.RawURLEncoding.EncodeToString([]byte(s))))
	}
	return out
}

// A secured is a broker over TLS with SASL and a registry over https with basic authentication, and a pipeline that reads them.
type secured struct {
	dir, file string
	broker    *kfake.Cluster
	tls       *tls.Config
}

func newSecured(t *testing.T) *secured {
	t.Helper()
	registry := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case user != registryKey || password != registrySecret:
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/schemas/types":
			fmt.Fprint(w, `["AVRO"]`)
		case r.URL.Path == "/schemas/ids/1":
			fmt.Fprint(w, `{"schema":"{\"type\":\"record\",\"name\":\"click\",\"fields\":[{\"name\":\"n\",\"type\":\"long\"}]}"}`)
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error_code":40403,"message":"Schema not found"}`)
		}
	}))
	registry.StartTLS()
	t.Cleanup(registry.Close)
	s := &secured{dir: t.TempDir()}
	certificate := registry.Certificate()
	var err error
	s.broker, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "clicks"), kfake.EnableSASL(),
		kfake.Superuser("PLAIN", kafkaKey, kafkaSecret), kfake.TLS(&tls.Config{Certificates: registry.TLS.Certificates}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.broker.Close)
	s.tls = registry.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	s.tls.ServerName = "127.0.0.1"
	for name, text := range map[string]string{
		"secret": kafkaSecret + "\n",
		"ca.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})),
		"pipeline.yaml": fmt.Sprintf(`name: clicks
source:
  kafka:
    kafka.bootstrap.servers: "%[1]s"
    kafka.security.protocol: SASL_SSL
    kafka.sasl.mechanism: PLAIN
    kafka.sasl.username: ${env:KAFKA_KEY}
    kafka.sasl.password: ${file:%[2]s/secret}
    kafka.ssl.truststore.type: PEM
    kafka.ssl.truststore.location: "%[2]s/ca.pem"
    subscribe: clicks
    startingOffsets: earliest
registry:
  schema.registry.url: "%[3]s"
  basic.auth.user.info: %[4]s:${env:REGISTRY_SECRET}
  schema.registry.ssl.truststore.location: "%[2]s/ca.pem"
sink: {delta: {path: "%[2]s/out/clicks"}}
checkpointLocation: "%[2]s/out/checkpoint"
`, strings.Join(s.broker.ListenAddrs(), ","), filepath.ToSlash(s.dir), registry.URL, registryKey),
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.file = filepath.Join(s.dir, "pipeline.yaml")
	return s
}

func (s *secured) produce(t *testing.T, values ...string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.broker.ListenAddrs()...), kgo.DefaultProduceTopic("clicks"), kgo.DialTLSConfig(s.tls),
		kgo.SASL(plain.Auth{User: kafkaKey, Pass: kafkaSecret}.AsMechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, v := range values {
		if err := client.ProduceSync(t.Context(), &kgo.Record{Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// run runs silt with everything on that prints, and returns all that it printed and traced.
func (s *secured) run(t *testing.T, want int, env map[string]string, args ...string) string {
	t.Helper()
	trace := filepath.Join(s.dir, "trace")
	f := newFakeProcess(newEngine())
	f.env = map[string]string{"KAFKA_KEY": kafkaKey, "REGISTRY_SECRET": registrySecret, "SILT_TRACE": trace, "SILT_DEBUG": "1"}
	for k, v := range env {
		f.env[k] = v
	}
	if got := f.main(args...); got != want {
		t.Fatalf("silt %v: exit status %d, want %d\n%s%s", args, got, want, f.stdout.String(), f.stderr.String())
	}
	lines, err := os.ReadFile(trace)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return f.stdout.String() + f.stderr.String() + string(lines)
}

// TestNoSecretLeavesARealQuery plants logins in every provider, lets a query succeed and fail at each place that sees one, and searches all
// that was printed and written.
func TestNoSecretLeavesARealQuery(t *testing.T) {
	s := newSecured(t)
	s.produce(t, "\x00\x00\x00\x00\x01\x02", "\x00\x00\x00\x00\x01\x04")
	run := []string{"run", "-c", s.file, "--once", "-vv"}
	table := filepath.Join(s.dir, "out", "clicks")
	wrong := "canary-wrong-secret"
	output := map[string]string{
		"run":              s.run(t, 0, nil, run...),
		"json":             s.run(t, 0, nil, append(run, "-o", "json")...),
		"verify":           s.run(t, 0, nil, "table", "verify", table, "-c", s.file, "-vv"),
		"history":          s.run(t, 0, nil, "table", "history", table, "-o", "json"),
		"broker's login":   s.run(t, 69, map[string]string{"KAFKA_KEY": wrong}, run...),
		"registry's login": s.run(t, 69, map[string]string{"REGISTRY_SECRET": wrong}, run...),
		"a wrong value": s.run(t, 2, nil, append(run, "-s",
			"source.kafka.subscribe=${env:KAFKA_KEY},${file:"+filepath.ToSlash(s.dir)+"/missing}")...),
	}
	s.produce(t, "\x00\x00\x00\x00\x09\x02")
	output["a bad record"] = s.run(t, 5, nil, run...)
	for what, want := range map[string]string{"run": "batch 0   2 rows", "verify": "rows 2 · missing 0 · duplicate 0 · OK",
		"broker's login": "E2003", "registry's login": "E3002", "a wrong value": "E1210", "a bad record": "E4002"} {
		if !strings.Contains(output[what], want) {
			t.Errorf("%s: no %s in\n%s", what, want, output[what])
		}
	}
	canaries := forms(kafkaKey, kafkaSecret, registryKey+":", registrySecret, wrong)
	for what, text := range output {
		for _, form := range canaries {
			if strings.Contains(text, string(form)) {
				t.Errorf("%s: %s is in\n%s", what, form, text)
			}
		}
	}
	files := 0
	err := filepath.WalkDir(filepath.Join(s.dir, "out"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		data, err := os.ReadFile(name)
		for _, form := range canaries {
			if bytes.Contains(data, form) || strings.Contains(name, string(form)) {
				t.Errorf("%s holds %s", name, form)
			}
		}
		return err
	})
	if err != nil || files < 5 {
		t.Errorf("%d files searched, %v", files, err)
	}
}
