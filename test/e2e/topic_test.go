//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const clickSchema = `{"type":"record","name":"click","fields":[{"name":"n","type":"long"},{"name":"referrer","type":["null","string"],"default":null}]}`

// TestTopicCommandsAgainstTheRealKafka makes a topic, writes to it, looks at it and deletes it, over TLS with a login.
func TestTopicCommandsAgainstTheRealKafka(t *testing.T) {
	f := newFixture(t, release)
	file, topic := f.file(), f.topic+"-made"
	schema := filepath.Join(f.dir, "click.avsc")
	if err := os.WriteFile(schema, []byte(clickSchema), 0o600); err != nil {
		t.Fatal(err)
	}

	f.run(0, "topic", "create", topic, "-p", "3", "--topic-config", "cleanup.policy=compact", "-c", file)
	for _, refused := range []struct {
		status int
		says   string
		args   []string
	}{
		{1, "E2008", []string{topic}},
		{2, "E1204", []string{topic + "-2", "--replication-factor", "3"}},
		{2, "E1204", []string{topic + "-2", "--topic-config", "cleanup.policy=sometimes"}},
		{2, "E1100", []string{strings.ToUpper(topic)}},
	} {
		_, stderr := f.run(refused.status, append([]string{"topic", "create", "-c", file}, refused.args...)...)
		if !strings.Contains(stderr, refused.says) {
			t.Errorf("create %v: %s", refused.args, stderr)
		}
	}

	const records = 300
	var lines bytes.Buffer
	for i := range records {
		fmt.Fprintf(&lines, `{"key":"k%d","value":{"n":%d},"timestamp":%d}`+"\n", i, 1<<53+i, 1769864700000+i)
	}
	cmd := exec.Command(f.silt, "topic", "produce", topic, "--schema", schema, "-c", file, "-o", "json")
	cmd.Stdin = &lines
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf(`"written":%d,"bad":0`, records)) {
		t.Fatalf("produce: %v\n%s", err, out)
	}

	rows := peek(t, f, topic, "--from", "earliest", "-n", "0")
	seen := map[int64]bool{}
	next := map[int32]int64{}
	for i, r := range rows {
		if r.Value.N != 1<<53+int64(i) || r.Key != fmt.Sprintf("k%d", i) || r.Offset != next[r.Partition] {
			t.Errorf("row %d is %+v; want the order of time and of each partition's offsets", i, r)
		}
		next[r.Partition]++
		seen[r.Value.N] = true
	}
	if len(seen) != records || len(next) != 3 {
		t.Errorf("%d records of %d partitions, want %d of 3", len(seen), len(next), records)
	}
	if rows = peek(t, f, topic, "-n", "4"); len(rows) != 4 || rows[3].Value.N != 1<<53+records-1 || rows[0].Value.N != 1<<53+records-4 {
		t.Errorf("the newest four are %+v", rows)
	}
	if rows = peek(t, f, topic, "--from", "@1769864700290", "-n", "0"); len(rows) != 10 {
		t.Errorf("%d records of the last ten milliseconds", len(rows))
	}

	stdout, _ := f.run(0, "topic", "describe", topic, "-c", file, "-o", "json")
	if !strings.Contains(stdout, fmt.Sprintf(`"records":%d,`, records)) || !strings.Contains(stdout, `{"key":"cleanup.policy","value":"compact","source":"topic"}`) {
		t.Errorf("describe: %s", stdout)
	}
	if _, stderr := f.run(2, "topic", "peek", strings.ToUpper(topic), "-c", file); !strings.Contains(stderr, fmt.Sprintf("did you mean %q?", topic)) {
		t.Errorf("peek at a topic that is not there: %s", stderr)
	}
	noGroup(t, f)
	f.run(0, "topic", "delete", topic, "--yes", topic, "-c", file)
	f.run(2, "topic", "describe", topic, "-c", file)
}

// A peeked is a row of silt topic peek.
type peeked struct {
	Partition int32
	Offset    int64
	Key       string
	Value     struct{ N int64 } `json:"parsedValue"`
}

func peek(t *testing.T, f *fixture, topic string, args ...string) (rows []peeked) {
	t.Helper()
	stdout, _ := f.run(0, append([]string{"topic", "peek", topic, "-c", f.file(), "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(stdout), &rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

// noGroup checks that looks left no consumer group behind.
func noGroup(t *testing.T, f *fixture) {
	t.Helper()
	opts, err := f.kafka.SecureOpts()
	if err != nil {
		t.Fatal(err)
	}
	c, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	groups, err := kadm.NewClient(c).ListGroups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups.Groups() {
		if strings.Contains(g, f.topic) {
			t.Errorf("there is a group %s", g)
		}
	}
}
