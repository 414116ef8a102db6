//go:build e2e

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	saslplain "github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/siltlake/silt/test/guide"
)

// A demo is a folder in which the test runs silt demo.
type demo struct {
	*fixture // without a cluster and a registry of its own
}

const demoTopic = "clickstreams"

// newDemo gives a folder that is not there yet. Until the end of the test its demo finds the ports that a demo prefers taken, so that no other
// demo of this machine takes one of ours while we are down.
func newDemo(t *testing.T) *demo {
	t.Helper()
	t.Cleanup(guide.TakePorts())
	return (&demo{&fixture{t: t, silt: built(t, release)}}).elsewhere()
}

// elsewhere gives another folder.
func (d *demo) elsewhere() *demo {
	return &demo{&fixture{t: d.t, silt: d.silt, dir: filepath.Join(d.t.TempDir(), "demo")}}
}

func (d *demo) path(name string) string { return filepath.Join(d.dir, name) }
func (d *demo) clicks() string          { return d.path("clicks") }

// begin starts the demo.
func (d *demo) begin(args ...string) *process {
	d.t.Helper()
	return d.start(nil, append([]string{"demo", "--dir", d.dir}, args...)...)
}

// introduced is the last line that a demo prints before its query begins.
const introduced = "registry.properties has the registry's URL and key pair"

// ready waits until all parts of the demo run.
func (d *demo) ready(p *process) {
	d.t.Helper()
	eventually(d.t, time.Minute, "the demo runs", func() bool {
		if !p.running() {
			d.t.Fatalf("the demo ended with status %d:\n%s", p.cmd.ProcessState.ExitCode(), tail(p.stderr.String(), 40))
		}
		return strings.Contains(p.stderr.String(), introduced)
	})
}

// closes starts the demo, lets it catch up and stop by itself, and wants its proof.
func (d *demo) closes(args ...string) {
	d.t.Helper()
	stdout, stderr := d.run(0, append([]string{"demo", "--dir", d.dir}, args...)...)
	if !strings.Contains(stdout, "missing 0 · duplicate 0 · OK") {
		d.t.Errorf("the demo's proof: %s\n%s", stdout, tail(stderr, 20))
	}
	if strings.Contains(stderr, "has not read all") {
		d.t.Errorf("the demo did not catch up:\n%s", tail(stderr, 20))
	}
}

// readProperties reads a file of KEY=VALUE lines.
func readProperties(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	properties := map[string]string{}
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok || key != strings.TrimSpace(key) || value != strings.TrimSpace(value) || properties[key] != "" {
			t.Errorf("%s: %q", file, line)
		}
		properties[key] = value
	}
	return properties
}

// clientOpts are a client's that logs in by what librdkafka.properties says.
func (d *demo) clientOpts() []kgo.Opt {
	d.t.Helper()
	p := readProperties(d.t, d.path("librdkafka.properties"))
	pem, err := os.ReadFile(p["ssl.ca.location"])
	if err != nil {
		d.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return []kgo.Opt{
		kgo.SeedBrokers(p["bootstrap.servers"]), kgo.DialTLSConfig(&tls.Config{RootCAs: pool}),
		kgo.SASL(saslplain.Auth{User: p["sasl.username"], Pass: p["sasl.password"]}.AsMechanism()),
	}
}

// schemas is a client of the registry by what registry.properties says.
func (d *demo) schemas() *sr.Client {
	d.t.Helper()
	p := readProperties(d.t, d.path("registry.properties"))
	user, password, _ := strings.Cut(p["basic.auth.user.info"], ":")
	cl, err := sr.NewClient(sr.URLs(p["schema.registry.url"]), sr.BasicAuth(user, password))
	if err != nil {
		d.t.Fatal(err)
	}
	return cl
}

// iteration is how many records of its sequence the connector's only task knows to be written; 0 before the first were.
func (d *demo) iteration() int64 {
	d.t.Helper()
	text, err := os.ReadFile(d.path("connector-offsets.json"))
	if os.IsNotExist(err) {
		return 0
	}
	var tasks map[string]struct {
		Iteration int64 `json:"current.iteration"`
	}
	if err == nil {
		err = json.Unmarshal(text, &tasks)
	}
	if err != nil || len(tasks) != 1 {
		d.t.Fatalf("connector-offsets.json: %v\n%s", err, text)
	}
	return tasks["0"].Iteration
}
