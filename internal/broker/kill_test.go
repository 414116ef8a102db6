package broker

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// childEnv makes the test binary run a broker in the directory that it names, until it is killed.
const childEnv = "SILT_BROKER_TEST_CHILD"

func child(dir string) {
	b, err := Start(context.Background(), Options{Dir: dir, RetentionBytes: -1})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(b.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin) // ends with the test, should that forget us
	os.Exit(0)
}

// startChild starts a broker in a process of its own and returns when it serves.
func startChild(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if !bufio.NewScanner(out).Scan() {
		t.Fatalf("the child did not start: %v", cmd.Wait())
	}
	return cmd
}

func TestEveryAcknowledgedRecordSurvivesKillsOnce(t *testing.T) {
	dir := t.TempDir()
	b := start(t, Options{Dir: dir})
	createTopic(t, client(t, b), "t", 3, nil)
	stop(t, b)

	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	broker := startChild(t, dir)
	cl := client(t, b, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.RetryBackoffFn(
		func(int) time.Duration { return 5 * time.Millisecond }), kgo.MaxBufferedRecords(64), kgo.MetadataMinAge(20*time.Millisecond))
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	ctx, cancel := context.WithCancel(testContext(t))
	produced := make(chan int)
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ {
			r := &kgo.Record{Topic: "t", Partition: int32(n % 3), Value: []byte(strconv.Itoa(n))}
			cl.Produce(context.Background(), r, func(r *kgo.Record, err error) {
				if err != nil {
					t.Errorf("record %s: %v", r.Value, err)
					return
				}
				mu.Lock()
				acknowledged[string(r.Value)] = true
				mu.Unlock()
			})
		}
		produced <- n
	}()
	for range 3 {
		time.Sleep(time.Duration(20+random.IntN(150)) * time.Millisecond) // a kill at any moment is the test
		if err := broker.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = broker.Wait()
		broker = startChild(t, dir)
	}
	cancel()
	n := <-produced
	if err := cl.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if err := broker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = broker.Wait()

	seen := readNumbers(t, start(t, Options{Dir: dir}), n)
	for v := range acknowledged {
		if seen[v] != 1 {
			t.Errorf("acknowledged record %s is there %d times", v, seen[v])
		}
	}
	t.Logf("%d records, %d acknowledged", n, len(acknowledged))
	if len(acknowledged) != n || len(seen) != n {
		t.Errorf("%d records, %d acknowledged, %d seen", n, len(acknowledged), len(seen))
	}
}

// crash starts a broker on a copy of what another one has on disk now: what its process would leave if it died at this moment.
func crash(t *testing.T, b *Broker) *Broker {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(b.opts.Dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, stateFile)); err != nil { // its port is taken
		t.Fatal(err)
	}
	return start(t, Options{Dir: dir})
}

// readNumbers reads n records of topic t, which are numbers that ascend in each of three partitions, and counts each.
func readNumbers(t *testing.T, b *Broker, n int) map[string]int {
	t.Helper()
	seen := map[string]int{}
	newest := [3]int{-1, -1, -1}
	reader := client(t, b, kgo.ConsumeTopics("t"))
	for got := 0; got < n; {
		fetches := reader.PollFetches(testContext(t))
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d of %d records: %v", got, n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			got++
			seen[string(r.Value)]++
			i, _ := strconv.Atoi(string(r.Value))
			if i <= newest[r.Partition] {
				t.Errorf("record %d after %d in partition %d", i, newest[r.Partition], r.Partition)
			}
			newest[r.Partition] = i
		})
	}
	return seen
}

func TestAProducerThatSendsAgainAfterACrashDoublesNothing(t *testing.T) {
	b := start(t, Options{})
	createTopic(t, client(t, b), "t", 1, nil)
	id, err := kmsg.NewPtrInitProducerIDRequest().RequestWith(testContext(t), client(t, b))
	if err != nil {
		t.Fatal(err)
	}
	producer := id.ProducerID
	for seq := range int32(3) {
		if got := produceBatch(t, b, testBatch(producer, 0, seq, "v")); got != int64(seq) {
			t.Fatalf("sequence %d is at offset %d", seq, got)
		}
	}
	again := crash(t, b)
	// The last two may not have been acknowledged: sent again, they get the offsets that they have.
	for seq := int32(1); seq < 4; seq++ {
		if got := produceBatch(t, again, testBatch(producer, 0, seq, "v")); got != int64(seq) {
			t.Errorf("after the crash sequence %d is at offset %d", seq, got)
		}
	}
}

func TestTransactionsThatACrashCutOffStayAborted(t *testing.T) {
	b := start(t, Options{})
	createTopic(t, client(t, b), "t", 1, nil)
	transactional := func(b *Broker) *kgo.Client {
		return client(t, b, kgo.TransactionalID("x"), kgo.DefaultProduceTopic("t"))
	}
	produceIn := func(tx *kgo.Client, values ...string) {
		t.Helper()
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			if err := tx.ProduceSync(testContext(t), kgo.StringRecord(v)).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	commit := func(tx *kgo.Client) {
		t.Helper()
		if err := tx.EndTransaction(testContext(t), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
	}
	committed := []kgo.Opt{kgo.ConsumeTopics("t"), kgo.FetchIsolationLevel(kgo.ReadCommitted())}
	first := transactional(b)
	produceIn(first, "a1", "a2")
	commit(first)
	produceIn(first, "lost1", "lost2")

	// Twice: the mark of the abort has to outlive the next crash too.
	again := crash(t, b)
	second := transactional(again)
	produceIn(second, "b1")
	commit(second)
	again = crash(t, again)
	if got := strings.Join(consume(t, again, 3, committed...), " "); got != "a1 a2 b1" {
		t.Errorf("got %s, want a1 a2 b1", got)
	}
	all := strings.Join(consume(t, again, 5, kgo.ConsumeTopics("t")), " ")
	if all != "a1 a2 lost1 lost2 b1" {
		t.Errorf("all records are %s", all)
	}
}

func TestAnEntryHalfWrittenDoesNotHideLaterOnes(t *testing.T) {
	b := start(t, Options{})
	cl := client(t, b)
	createTopic(t, cl, "t", 1, nil)
	produce(t, cl, "t", "a")
	commitGroup(t, cl, "g", 1)
	dir := filepath.Join(b.opts.Dir, dataDir)
	for _, file := range []string{"groups.log", "pids.log"} {
		if err := appendFile(filepath.Join(dir, file), []byte{200, 0, 0, 0, 1, 2, 3, 4, 1, 0, '{'}); err != nil {
			t.Fatal(err)
		}
	}
	segments, err := readSegments(partitionDir(b.opts.Dir, "t", 0))
	if err != nil || len(segments) != 1 {
		t.Fatalf("%v %v", segments, err)
	}
	if err := appendFile(filepath.Join(partitionDir(b.opts.Dir, "t", 0), "0.dat"), make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	again := crash(t, b)
	cl = client(t, again)
	produce(t, cl, "t", "b")
	commitGroup(t, cl, "h", 2)
	again = crash(t, again)
	if got := strings.Join(consume(t, again, 2, kgo.ConsumeTopics("t")), " "); got != "a b" {
		t.Errorf("got %s, want a b", got)
	}
	for group, want := range map[string]int64{"g": 1, "h": 2} {
		if got := committedOffset(t, client(t, again), group); got != want {
			t.Errorf("group %s is at %d, want %d", group, got, want)
		}
	}
}
