//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	saslplain "github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/siltlake/silt/internal/broker"
	"github.com/siltlake/silt/test/parts"
)

// A cluster is a Kafka that clients log in to over SASL_SSL: the embedded broker, or Apache Kafka.
type cluster struct {
	name           string
	bootstrap, ca  string
	user, password string
}

func embeddedCluster(t *testing.T) cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b, err := broker.Start(ctx, broker.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	key := b.APIKey()
	return cluster{"embedded", b.Addr(), b.CA(), key.User, key.Password.Reveal()}
}

func apacheCluster(t *testing.T) cluster {
	t.Helper()
	k := needKafka(t)
	return cluster{"Apache Kafka", k.TLS, k.CA, k.User, k.Password}
}

func (c cluster) client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	pem, err := os.ReadFile(c.ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(c.bootstrap), kgo.DialTLSConfig(&tls.Config{RootCAs: pool}),
		kgo.SASL(saslplain.Auth{User: c.user, Pass: c.password}.AsMechanism()),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// addSCRAM gives the user of PLAIN credentials for SCRAM, by Kafka's own API.
func (c cluster) addSCRAM(t *testing.T) {
	t.Helper()
	var ups []kadm.UpsertSCRAM
	for _, m := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} {
		ups = append(ups, kadm.UpsertSCRAM{User: c.user, Mechanism: m, Iterations: 4096, Password: c.password})
	}
	for _, up := range ups { // one a request: Apache Kafka takes a user once
		altered, err := kadm.NewClient(c.client(t)).AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{up})
		if err == nil {
			err = altered.Error()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// facts are what a client printed: NAME: RESULT.
func facts(out []byte) map[string]string {
	f := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if name, result, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			f[name] = result
		}
	}
	return f
}

// A clientRun runs one kind of client against a cluster and returns what it found.
type clientRun func(t *testing.T, c cluster) map[string]string

// TestClientsFindTheSameBrokerAsApacheKafka runs each client against the embedded broker and against Apache Kafka. What they find must be
// what the table says; where it differs, the table has both.
func TestClientsFindTheSameBrokerAsApacheKafka(t *testing.T) {
	clients := map[string]clientRun{"python": pythonClient, "kcat": kcatClient, "kafkajs": javascriptClient, "java": javaClient}
	embedded, apache := embeddedCluster(t), apacheCluster(t)
	apache.addSCRAM(t)
	embedded.addSCRAM(t)
	for _, name := range slices.Sorted(maps.Keys(clients)) {
		for _, c := range []cluster{embedded, apache} {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				begun := time.Now()
				got := clients[name](t, c)
				t.Logf("took %v", time.Since(begun).Round(time.Millisecond))
				want := expected[name]
				for _, fact := range slices.Sorted(maps.Keys(got)) {
					if w := want[fact].of(c); got[fact] != w {
						t.Errorf("%s: %s, want %s", fact, got[fact], w)
					}
				}
				for fact := range want {
					if _, ok := got[fact]; !ok {
						t.Errorf("%s was not tried", fact)
					}
				}
			})
		}
	}
}

// A finding is what a client finds with both brokers, or apart where they differ.
type finding struct {
	both             string
	embedded, apache string
}

func (f finding) of(c cluster) string {
	switch {
	case f.both != "":
		return f.both
	case c.name == "embedded":
		return f.embedded
	}
	return f.apache
}

func both(s string) finding { return finding{both: s} }

const (
	plainRefused = "Authentication failed: Invalid username or password"
	scramRefused = "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512"
)

var expected = map[string]map[string]finding{
	"python": {
		"create": both("ok"), "create again": both("TOPIC_ALREADY_EXISTS"), "create without a legal name": both("TOPIC_EXCEPTION"),
		"create with an unknown configuration": both("INVALID_CONFIG"), "replication factor 3": both("INVALID_REPLICATION_FACTOR"),
		"produce and consume none": both("ok, 2000 records, equal"), "produce and consume gzip": both("ok, 2000 records, equal"),
		"produce and consume snappy": both("ok, 2000 records, equal"), "produce and consume lz4": both("ok, 2000 records, equal"),
		"produce and consume zstd": both("ok, 2000 records, equal"),
		"stored none":              both("none"), "stored gzip": both("gzip"), "stored snappy": both("snappy"), "stored lz4": both("lz4"), "stored zstd": both("zstd"),
		"group classic": both("110 records, 110 distinct"), "group consumer": both("110 records, 110 distinct"),
		"transactions":   both("30 committed of 60 records, 0 aborted ones among them"),
		"cleanup.policy": both("delete"), "unknown topic": both("UNKNOWN_TOPIC_OR_PART"), "delete": both("ok"),
		"wrong password": both("_AUTHENTICATION, says why"), "another authority": both("_SSL"),
		"SCRAM-SHA-256": both("none"), "SCRAM-SHA-512": both("none"), "SCRAM, wrong password": both("_AUTHENTICATION"),
		"OAUTHBEARER": both("_AUTHENTICATION, names what there is"),
		// the embedded broker keeps producers' times only, and says so
		"create with LogAppendTime": {embedded: "INVALID_CONFIG", apache: "ok"},
	},
	"kcat": {
		"topic": both("3 partitions"), "consume": both("1000 records"), "group": both("1000 records"), "stored": both("zstd"),
		"wrong password": both(plainRefused),
	},
	"kafkajs": {
		"create": both("true"), "group": both("200 records, 100 distinct"), "transaction": both("aborted"), "topics left": both("0"),
		// the marker of the abort has an offset of its own
		"records":        both("202"),
		"wrong password": both("SASL PLAIN authentication failed: " + plainRefused),
		"SCRAM-SHA-256":  both("ok"), "SCRAM-SHA-512": both("ok"),
		"SCRAM, wrong password": both("SASL SCRAM SHA512 authentication failed: " + scramRefused),
		"OAUTHBEARER":           both("The broker does not support the requested SASL mechanism"),
		"another authority":     both("Connection error"),
	},
	"java": {
		"create": both("Created topic java."), "describe": both("3"), "consume": both("1000 records"), "wrong password": both(plainRefused),
	},
}

// clientArgs is what the scripts get.
func clientArgs(t *testing.T, c cluster, topic string) string {
	t.Helper()
	wrong := t.TempDir()
	if err := parts.WriteTLS(wrong); err != nil {
		t.Fatal(err)
	}
	args, err := json.Marshal(map[string]string{
		"bootstrap": c.bootstrap, "ca": c.ca, "wrong_ca": filepath.Join(wrong, "ca.pem"), "user": c.user, "password": c.password, "topic": topic,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(args)
}

func pythonClient(t *testing.T, c cluster) map[string]string {
	f := facts(runClient(t, exec.Command(needPython(t), "python/kafka_client.py", clientArgs(t, c, "python")), ""))
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		f["stored "+codec] = c.storedCodec(t, "python-"+codec)
	}
	return f
}

// storedCodec is how records of a topic are compressed: librdkafka does not compress if it takes a broker for an old one. Batches of few
// records may be smaller without.
func (c cluster) storedCodec(t *testing.T, topic string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cl := c.client(t, kgo.ConsumeTopics(topic), kgo.FetchMaxWait(200*time.Millisecond))
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	var left int64
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	var codec uint8
	for left > 0 && codec == 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			left--
			codec = max(codec, r.Attrs.CompressionType())
		})
	}
	return []string{"none", "gzip", "snappy", "lz4", "zstd"}[codec]
}

func javascriptClient(t *testing.T, c cluster) map[string]string {
	node, path, err := parts.KafkaJS()
	parts.Need(t, err)
	cmd := exec.Command(node, "js/kafka_client.js", clientArgs(t, c, "js"))
	cmd.Env = append(cmd.Environ(), "NODE_PATH="+path, "KAFKAJS_NO_PARTITIONER_WARNING=1")
	return facts(runClient(t, cmd, ""))
}

// writeProperties writes a client's configuration file.
func writeProperties(t *testing.T, properties map[string]string) string {
	t.Helper()
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		fmt.Fprintf(&b, "%s=%s\n", key, properties[key])
	}
	file := filepath.Join(t.TempDir(), "client.properties")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// lines are n different records.
func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "record %04d\n", i)
	}
	return b.String()
}

func countDistinct(out []byte) string {
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		seen[line] = true
	}
	return fmt.Sprintf("%d records", len(seen))
}

// firstMatch is the first match of a pattern's group, or what it was looked for in.
func firstMatch(pattern, in string) string {
	if m := regexp.MustCompile(pattern).FindStringSubmatch(in); m != nil {
		return m[1]
	}
	return "nothing in " + in
}

func kcatClient(t *testing.T, c cluster) map[string]string {
	kcat, err := parts.Kcat()
	parts.Need(t, err)
	file := writeProperties(t, map[string]string{
		"bootstrap.servers": c.bootstrap, "security.protocol": "SASL_SSL", "sasl.mechanisms": "PLAIN",
		"sasl.username": c.user, "sasl.password": c.password, "ssl.ca.location": c.ca,
	})
	run := func(stdin string, args ...string) []byte {
		return runClient(t, kcat(append([]string{"-F", file, "-q"}, args...)...), stdin)
	}
	if _, err := kadm.NewClient(c.client(t)).CreateTopic(t.Context(), 3, 1, nil, "kcat"); err != nil {
		t.Fatal(err)
	}
	f := map[string]string{}
	f["topic"] = firstMatch(`topic "kcat" with (\d+ partitions)`, string(run("", "-L", "-t", "kcat")))
	run(lines(1000), "-P", "-t", "kcat", "-z", "zstd", "-X", "enable.idempotence=true", "-X", "linger.ms=20")
	f["stored"] = c.storedCodec(t, "kcat")
	f["consume"] = countDistinct(run("", "-C", "-t", "kcat", "-e", "-o", "beginning"))
	f["group"] = countDistinct(run("", "-G", "kcat-group", "-X", "auto.offset.reset=earliest", "-e", "kcat"))
	out, _ := kcat("-F", file, "-L", "-m", "5", "-X", "sasl.password=wrong").CombinedOutput()
	f["wrong password"] = firstMatch(`(Authentication failed: [a-zA-Z ]*[a-zA-Z])`, string(out))
	return f
}

func javaClient(t *testing.T, c cluster) map[string]string {
	classes, err := parts.Tools()
	parts.Need(t, err)
	login := func(mechanism, module, password string) string {
		return writeProperties(t, map[string]string{
			"security.protocol": "SASL_SSL", "sasl.mechanism": mechanism, "ssl.truststore.type": "PEM", "ssl.truststore.location": c.ca,
			"sasl.jaas.config": fmt.Sprintf(`org.apache.kafka.common.security.%s required username="%s" password="%s";`, module, c.user, password),
		})
	}
	tool := func(class, config string, args ...string) *exec.Cmd {
		return javaTool(classes, class, append([]string{"--bootstrap-server", c.bootstrap, "--command-config", config}, args...)...)
	}
	good, scram := login("PLAIN", "plain.PlainLoginModule", c.password), login("SCRAM-SHA-512", "scram.ScramLoginModule", c.password)
	f := map[string]string{}
	f["create"] = strings.TrimSpace(string(runClient(t, tool("TopicCommand", good, "--create", "--topic", "java", "--partitions", "3"), "")))
	f["describe"] = firstMatch(`PartitionCount: (\d+)`, string(runClient(t, tool("TopicCommand", good, "--describe", "--topic", "java"), "")))
	runClient(t, tool("ConsoleProducer", good, "--topic", "java", "--compression-codec", "lz4"), lines(1000))
	f["consume"] = countDistinct(runClient(t, tool("consumer.ConsoleConsumer", scram, "--topic", "java", "--from-beginning",
		"--group", "java-group", "--max-messages", "1000", "--timeout-ms", "20000"), ""))
	out, _ := tool("TopicCommand", login("PLAIN", "plain.PlainLoginModule", "wrong"), "--list").CombinedOutput()
	f["wrong password"] = firstMatch(`(Authentication failed: [a-zA-Z ]*[a-zA-Z])`, string(out))
	return f
}

// javaTool is one of Apache Kafka's tools.
func javaTool(classes, class string, args ...string) *exec.Cmd {
	return exec.Command("java", append([]string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx256m",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", classes, "org.apache.kafka.tools." + class}, args...)...)
}

// runClient runs a client and returns its stdout.
func runClient(t *testing.T, cmd *exec.Cmd, stdin string) []byte {
	t.Helper()
	timer := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	var stderr strings.Builder
	cmd.Stdin, cmd.Stderr = strings.NewReader(stdin), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w\n%s%s", cmd, err, out, stderr.String()))
	}
	return out
}
