//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/siltlake/silt/internal/broker"
)

// demoKillRate is how many records a second the demo's connector writes while the demo is killed again and again.
const demoKillRate = "50000/s"

// TestDemoKillsLoseNothing kills the whole demo, broker, registry, connector and query, at random moments, and starts it again. Nothing that
// was acknowledged may be gone: records, topics, schemas, what clients log in with; and the connector's sequence must be whole.
func TestDemoKillsLoseNothing(t *testing.T) {
	needPython(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed of the kills: %d", seed)
	k := &demoKiller{
		t: t, d: newDemo(t), rand: rand.New(rand.NewPCG(seed, 0)), topics: map[string]madeTopic{}, ids: map[string]int{},
	}
	kills := theCounts().demoKills
	for i := 1; i <= kills && !t.Failed(); i++ {
		if i%5 == 0 {
			k.killFirstStart()
			continue
		}
		k.round(i)
		if k.d.iteration() > 0 && i%4 == 0 {
			k.d.run(0, "table", "verify", k.d.clicks(), "--scan")
		}
	}
	if t.Failed() {
		return
	}
	p := k.d.begin("--rate", demoKillRate)
	k.d.ready(p)
	k.check()
	p.stop(t)
	k.d.closes("--rate", "1000/s", "--for", "1s")
	k.checkNoLeftovers()
	k.checkEnd(kills)
}

// A demoKiller starts a demo and kills it.
type demoKiller struct {
	t    *testing.T
	d    *demo
	rand *rand.Rand

	files     map[string][]byte // what clients log in with, since the first start that was ready
	iteration int64             // the greatest that was stored
	// What was acknowledged, and must be there ever after.
	topics map[string]madeTopic
	ids    map[string]int // schema ids by subject

	slowest time.Duration // of the starts
	early   int           // kills before the demo was ready
}

type madeTopic struct {
	id         kadm.TopicID
	partitions int
}

// round is one start and one kill at a random moment: one in four within a second of the start, which is before the demo is ready or soon
// after it.
func (k *demoKiller) round(i int) {
	k.t.Helper()
	p := k.d.begin("--rate", demoKillRate)
	if k.rand.IntN(4) == 0 {
		k.sleep(p, time.Second)
	} else {
		k.d.ready(p)
		k.slowest = max(k.slowest, time.Since(p.began))
		k.check()
		if i == 1 {
			k.d.run(4, "demo", "--dir", k.d.dir)
		}
		use, stop := context.WithCancel(k.t.Context())
		used := make(chan struct{})
		go func() {
			defer close(used)
			k.use(use, i)
		}()
		k.sleep(p, 3*time.Second)
		p.kill()
		stop()
		<-used
	}
	if !p.running() && p.cmd.ProcessState.Exited() {
		k.t.Errorf("kill %d: the demo ended by itself with status %d:\n%s", i, p.cmd.ProcessState.ExitCode(), tail(p.stderr.String(), 40))
	}
	p.kill()
	if !bytes.Contains([]byte(p.stderr.String()), []byte(introduced)) {
		k.early++
	}
	at := k.d.iteration()
	if at < k.iteration {
		k.t.Errorf("kill %d: the connector's position went back from %d to %d", i, k.iteration, at)
	}
	k.iteration = at
}

// killFirstStart kills the first start in a folder of its own, which must not keep the next one from running.
func (k *demoKiller) killFirstStart() {
	k.t.Helper()
	d := k.d.elsewhere()
	p := d.begin("--rate", demoKillRate)
	k.sleep(p, 400*time.Millisecond)
	p.kill()
	d.closes("--rate", "1000/s", "--for", "500ms")
	k.early++
}

// sleep waits a random time of at most longest, or for the end of the process.
func (k *demoKiller) sleep(p *process, longest time.Duration) {
	select {
	case <-time.After(time.Duration(k.rand.Int64N(int64(longest)))):
	case <-p.ended:
	}
}

// use makes topics and registers schemas until ctx ends, as fast as the demo acknowledges them, and notes which it did.
func (k *demoKiller) use(ctx context.Context, round int) {
	cl, err := kgo.NewClient(k.d.clientOpts()...)
	if err != nil {
		k.t.Error(err)
		return
	}
	defer cl.Close()
	admin, schemas := kadm.NewClient(cl), k.d.schemas()
	for n := 0; n < 20 && ctx.Err() == nil; n++ {
		name := fmt.Sprintf("kept-%d-%d", round, n)
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		if topic, err := admin.CreateTopic(limited, 2, 1, nil, name); err == nil {
			k.topics[name] = madeTopic{topic.ID, 2}
		}
		// Each is another schema, and gets an id of its own.
		text := fmt.Sprintf(`{"type":"record","name":"r%d_%d","fields":[{"name":"f","type":"long"}]}`, round, n)
		if s, err := schemas.CreateSchema(limited, name+"-value", sr.Schema{Schema: text}); err == nil {
			k.ids[name+"-value"] = s.ID
		}
		cancel()
	}
}

// check checks that what was acknowledged is there, in the demo that runs.
func (k *demoKiller) check() {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), 30*time.Second)
	defer cancel()
	files := map[string][]byte{}
	for _, name := range []string{"ca.pem", "client.properties", "demo.json", "librdkafka.properties", "pipeline.yaml", "registry.properties"} {
		text, err := os.ReadFile(k.d.path(name))
		if err != nil {
			k.t.Error(err)
		}
		files[name] = text
		if k.files != nil && !bytes.Equal(text, k.files[name]) {
			k.t.Errorf("%s was\n%s\nand is\n%s", name, k.files[name], text)
		}
	}
	schemas := k.d.schemas()
	clicks, err := schemas.SchemaByVersion(ctx, demoTopic+"-value", 1)
	if err != nil {
		k.t.Error(err)
	}
	if k.files == nil {
		k.ids[clicks.Subject] = clicks.ID
	}
	k.files = files
	for _, subject := range slices.Sorted(maps.Keys(k.ids)) {
		if s, err := schemas.SchemaByVersion(ctx, subject, 1); err != nil || s.ID != k.ids[subject] {
			k.t.Errorf("subject %s: id %d, %v; it was registered as %d", subject, s.ID, err, k.ids[subject])
		}
	}
	cl, err := kgo.NewClient(k.d.clientOpts()...)
	if err != nil {
		k.t.Fatal(err)
	}
	defer cl.Close()
	topics, err := kadm.NewClient(cl).ListTopics(ctx)
	if err != nil {
		k.t.Fatal(err)
	}
	found := map[string]madeTopic{}
	for name, topic := range topics {
		if topic.Err != nil {
			k.t.Errorf("topic %s: %v", name, topic.Err)
		}
		found[name] = madeTopic{topic.ID, len(topic.Partitions)}
	}
	if k.topics[demoTopic].partitions == 0 {
		k.topics[demoTopic] = madeTopic{found[demoTopic].id, topicPartitions}
	}
	for _, name := range slices.Sorted(maps.Keys(k.topics)) {
		if found[name] != k.topics[name] {
			k.t.Errorf("topic %s is %v, and was made as %v", name, found[name], k.topics[name])
		}
	}
}

// checkNoLeftovers looks for temporary files, which kills leave and later starts have to remove. Those of the table may be another writer's,
// and stay for a day.
func (k *demoKiller) checkNoLeftovers() {
	k.t.Helper()
	err := filepath.WalkDir(k.d.dir, func(path string, e os.DirEntry, err error) error {
		if path == k.d.clicks() {
			return filepath.SkipDir
		}
		if err == nil && !e.IsDir() && strings.HasSuffix(e.Name(), ".tmp") {
			k.t.Errorf("a temporary file is left: %s", path)
		}
		return err
	})
	if err != nil {
		k.t.Error(err)
	}
}

// checkEnd checks the table of a demo that has stopped against the broker's log and against the connector's sequence.
func (k *demoKiller) checkEnd(kills int) {
	k.t.Helper()
	got := countTable(k.t, k.d.clicks(), nil)
	ctx, cancel := context.WithTimeout(k.t.Context(), time.Minute)
	defer cancel()
	b, err := broker.Start(ctx, broker.Options{Dir: k.d.path("broker")})
	if err != nil {
		k.t.Fatal(err)
	}
	defer func() {
		if err := b.Close(ctx); err != nil {
			k.t.Error(err)
		}
	}()
	cl, err := kgo.NewClient(k.d.clientOpts()...)
	if err != nil {
		k.t.Fatal(err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, demoTopic)
	if err != nil {
		k.t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) {
		p := got.Partitions[o.Topic+"/"+strconv.Itoa(int(o.Partition))]
		if o.Err != nil || p.Count != o.Offset || p.Distinct != o.Offset || p.Min != 0 || p.Max != o.Offset-1 {
			k.t.Errorf("partition %d ends at %d, %v; the table has %+v", o.Partition, o.Offset, o.Err, p)
		}
	})
	if len(got.Partitions) != topicPartitions {
		k.t.Errorf("rows of %d partitions", len(got.Partitions))
	}
	k.d.run(0, "table", "verify", k.d.clicks(), "--scan", "-c", k.d.path("pipeline.yaml"))

	sequence := sequenceOf(k.t, k.d.clicks(), "_time", 1, 10)
	// After a kill the connector goes on from the position it stored last, which is behind what it had written.
	stored := k.d.iteration()
	if sequence.Distinct != sequence.Last+1 || sequence.Distinct < stored || sequence.Strange != 0 || sequence.Differing != 0 {
		k.t.Errorf("the connector stored that it wrote %d records of its sequence; in the table: %+v", stored, sequence)
	}
	tell(k.t, fmt.Sprintf("%d kills of a demo at %s, %d before it was ready; %d rows, %d of them written again after a kill; %d schemas, %d topics; slowest start %v",
		kills, demoKillRate, k.early, sequence.Rows, sequence.Rows-sequence.Distinct, len(k.ids), len(k.topics), k.slowest.Round(time.Millisecond)))
}

// A sequence is what check_sequence.py finds of a connector's sequence in a table.
type sequence struct {
	Rows, Distinct, Last, Strange, Differing int64
}

func sequenceOf(t *testing.T, path, field string, first, step int) sequence {
	t.Helper()
	cmd := exec.Command(needPython(t), filepath.Join("python", "check_sequence.py"), path, field, strconv.Itoa(first), strconv.Itoa(step))
	var s sequence
	if err := json.Unmarshal(runClient(t, cmd, ""), &s); err != nil {
		t.Fatal(err)
	}
	return s
}
