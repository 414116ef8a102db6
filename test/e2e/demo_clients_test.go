//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siltlake/silt/test/parts"
)

const clickFields = "ip,userid,remote_user,time,_time,request,status,bytes,referrer,agent"

// TestClientsUseADemoByItsFiles lets other clients log in to a demo with nothing but the files in its folder, and types what it prints.
func TestClientsUseADemoByItsFiles(t *testing.T) {
	d := newDemo(t)
	p := d.begin("--rate", "200/s")
	d.ready(p)
	eventually(t, 10*time.Second-time.Since(p.began), "the first rows are in the table ten seconds after the start", func() bool {
		_, err := os.Stat(filepath.Join(d.clicks(), "_delta_log", "00000000000000000000.json"))
		return err == nil
	})
	wrong := t.TempDir()
	if err := parts.WriteTLS(wrong); err != nil {
		t.Fatal(err)
	}
	wrongCA := filepath.Join(wrong, "ca.pem")
	t.Run("files", func(t *testing.T) { checkDemoFiles(t, d) })
	t.Run("printed", func(t *testing.T) { typePrinted(t, p.stderr.String()) })
	t.Run("python", func(t *testing.T) {
		checkFacts(t, facts(runClient(t, exec.Command(needPython(t), "python/demo_client.py", d.dir, wrongCA), "")), map[string]string{
			"clicks": "10 records of " + clickFields, "orders": "ok, equal", "orders of both schemas, read by the newer": "ok, equal",
			"versions": "[1, 2]", "looked up": "1", "compatible": "True False", "incompatible": "409 409", "no Avro": "422 42201",
			"unknown subject": "404 40401", "incompatible, and nobody minds": "none", "subjects": "python-orders-value,shop.order",
			"deleted for good": "[1, 2, 3]", "registry, wrong password": "401 401",
			"wrong password": "_AUTHENTICATION, says what failed", "another authority": "_SSL, says what failed",
		})
	})
	t.Run("javascript", func(t *testing.T) {
		node, path, err := parts.RegistryJS()
		parts.Need(t, err)
		cmd := exec.Command(node, "js/demo_client.js", d.dir, wrongCA)
		cmd.Env = append(cmd.Environ(), "NODE_PATH="+path, "KAFKAJS_NO_PARTITIONER_WARNING=1")
		checkFacts(t, facts(runClient(t, cmd, "")), map[string]string{
			"clicks": "5 records of " + clickFields, "clicks, both clients": "equal",
			"orders by kafkajs":                     `[{"id":1,"item":"a"},{"id":2,"item":"b","amount":0.5}]`,
			"orders by Confluent's":                 `[{"id":1,"item":"a"},{"id":2,"item":"b","amount":0.5}]`,
			"versions":                              "1,2",
			"compatible":                            "false",
			"incompatible":                          "Schema being registered is incompatible with an earlier sche",
			"wrong password":                        "SASL PLAIN authentication failed: " + plainRefused,
			"another authority":                     "Connection error: self-signed certificate in certificate chain",
			"registry, wrong password, kafkajs":     "Confluent_Schema_Registry - Unauthorized",
			"registry, wrong password, Confluent's": "Unauthorized; Error code: 401",
		})
	})
	p.stop(t)
	d.run(0, "table", "verify", d.clicks(), "--scan")
}

func checkFacts(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s: %q, want %q", name, got[name], w)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("not wanted: %v", got)
	}
}

// checkDemoFiles: what holds a secret is for the owner alone, and no file has a key that its client does not know.
func checkDemoFiles(t *testing.T, d *demo) {
	keys := map[string][]string{
		"client.properties":     {"bootstrap.servers", "sasl.jaas.config", "sasl.mechanism", "security.protocol", "ssl.truststore.location", "ssl.truststore.type"},
		"librdkafka.properties": {"bootstrap.servers", "sasl.mechanisms", "sasl.password", "sasl.username", "security.protocol", "ssl.ca.location"},
		"registry.properties":   {"basic.auth.credentials.source", "basic.auth.user.info", "schema.registry.url"},
	}
	for name, want := range keys {
		var got []string
		for key := range readProperties(t, d.path(name)) {
			got = append(got, key)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s has the keys %v, want %v", name, got, want)
		}
	}
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if name := e.Name(); name == "clicks" || name == "_checkpoints" || os.IsNotExist(err) { // a temporary file is gone soon
			continue
		}
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %v, %v", e.Name(), info.Mode(), err)
		}
	}
}

// typePrinted runs the commands that the demo printed.
func typePrinted(t *testing.T, printed string) {
	command := regexp.MustCompile(`(?m)^ +((?:\S+/silt|kcat|kafka-console-consumer) .*)$`)
	typed := map[string]int{}
	for _, m := range command.FindAllStringSubmatch(printed, -1) {
		args := strings.Fields(m[1])
		name := filepath.Base(args[0])
		typed[name]++
		t.Run(strings.Join(append([]string{name}, args[1:min(3, len(args))]...), " "), func(t *testing.T) {
			var out string
			switch called, args := args[0], args[1:]; name {
			case "silt":
				out = string(runClient(t, exec.Command(called, args...), ""))
			case "kcat":
				kcat, err := parts.Kcat()
				parts.Need(t, err)
				out = string(runClient(t, kcat(args...), ""))
			default:
				classes, err := parts.Tools()
				parts.Need(t, err)
				args = append(args, "--from-beginning", "--max-messages", "3", "--timeout-ms", "30000")
				out = string(runClient(t, javaTool(classes, "consumer.ConsoleConsumer", args...), ""))
			}
			if lines := strings.Count(out, "\n"); lines < 1 || name != "silt" && !strings.Contains(out, "Mozilla/5.0") {
				t.Errorf("it printed %q", out)
			}
		})
	}
	if typed["silt"] != 3 || typed["kcat"] != 1 || typed["kafka-console-consumer"] != 1 {
		t.Errorf("of the printed commands these were found: %v\n%s", typed, printed)
	}
}
