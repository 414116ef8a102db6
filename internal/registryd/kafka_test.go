package registryd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/problem"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
)

// The fake's goroutines end after its Close, on a busy machine later than goleak waits.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*clientConn).read"),
		goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*clientConn).read.func1"),
		goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*clientConn).write"),
		goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*clientConn).write.func1"))
}

func cluster(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func openKafka(t testing.TB, c *kfake.Cluster, opts ...kgo.Opt) *KafkaJournal {
	t.Helper()
	j, err := OpenKafka(context.Background(), KafkaOptions{Brokers: c.ListenAddrs(), Opts: opts})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	return j
}

func admin(t testing.TB, c *kfake.Cluster) *kadm.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

func TestTheTopicIsMadeCompactedWithOnePartition(t *testing.T) {
	c := cluster(t)
	openKafka(t, c)
	a := admin(t, c)
	topics, err := a.ListTopics(context.Background(), DefaultTopic)
	if err != nil || len(topics[DefaultTopic].Partitions) != 1 {
		t.Fatalf("%v, %v", topics, err)
	}
	configs, err := a.DescribeTopicConfigs(context.Background(), DefaultTopic)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, k := range configs[0].Configs {
		got[k.Key] = k.MaybeValue()
	}
	if got["cleanup.policy"] != "compact" || got["max.message.bytes"] != fmt.Sprint(maxRecord) {
		t.Errorf("got %q, %q", got["cleanup.policy"], got["max.message.bytes"])
	}
}

func TestATopicThatWouldLoseSchemasIsRefused(t *testing.T) {
	c := cluster(t)
	a := admin(t, c)
	deletes := "compact,delete"
	for name, partitions := range map[string]int32{"many": 2, "deleting": 1} {
		if _, err := a.CreateTopic(context.Background(), partitions, 1, map[string]*string{"cleanup.policy": &deletes}, name); err != nil {
			t.Fatal(err)
		}
		_, err := OpenKafka(context.Background(), KafkaOptions{Brokers: c.ListenAddrs(), Topic: name})
		if p, ok := errors.AsType[*problem.Problem](err); !ok || p.Code != problem.InvalidValue {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestBrokersThatAreNotThereAreReported(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	_, err := OpenKafka(ctx, KafkaOptions{Brokers: []string{"127.0.0.1:1"}})
	if p, ok := errors.AsType[*problem.Problem](err); !ok || p.Code != problem.BrokerUnreachable {
		t.Errorf("got %v", err)
	}
}

func TestARegistryFindsEverythingAgainAfterARestart(t *testing.T) {
	c := cluster(t)
	first := open(t, openKafka(t, c), Options{})
	for i := range 20 {
		mustRegister(t, first, fmt.Sprintf("s%d", i%5), body(fmt.Sprintf(`{"type":"fixed","name":"F","size":%d}`, i/5+1),
			fmt.Sprintf(`"metadata":{"properties":{"n":"%d"}}`, i)))
		send(t, first, "PUT", "/config/s"+fmt.Sprint(i%5), `{"compatibility":"NONE"}`)
	}
	for _, call := range []string{"DELETE /subjects/s0/versions/1", "DELETE /subjects/s1", "DELETE /subjects/s1?permanent=true"} {
		method, path, _ := strings.Cut(call, " ")
		if status, text := send(t, first, method, path, ""); status != 200 {
			t.Fatalf("%s: %d %s", call, status, text)
		}
	}
	second := open(t, openKafka(t, c), Options{})
	for _, path := range []string{"/schemas?deleted=true", "/config/s2", "/config/s1", "/subjects/s0/versions?deleted=true", "/schemas/ids/2",
		"/contexts"} {
		wantStatus, want := send(t, first, "GET", path, "", "Confluent-Accept-Unknown-Properties", "true")
		if status, got := send(t, second, "GET", path, "", "Confluent-Accept-Unknown-Properties", "true"); got != want || status != wantStatus {
			t.Errorf("%s: got %d %s, want %d %s", path, status, got, wantStatus, want)
		}
	}
	if id, again := mustRegister(t, second, "new", body(`"int"`)), 21; id != again {
		t.Errorf("the next id is %d, want %d", id, again)
	}
}

func TestWhatAKilledBrokerKeptIsThereAfterTheStart(t *testing.T) {
	dir := t.TempDir()
	c := cluster(t, kfake.DataDir(dir))
	r := open(t, openKafka(t, c), Options{})
	id := mustRegister(t, r, "s", body(`"int"`))
	r.Close()
	c.Close()
	again := open(t, openKafka(t, cluster(t, kfake.DataDir(dir))), Options{})
	if status, text := send(t, again, "GET", fmt.Sprintf("/schemas/ids/%d", id), ""); status != 200 {
		t.Errorf("%d %s", status, text)
	}
}

func TestIdsAreNotGivenOutAgainAfterCompaction(t *testing.T) {
	c := cluster(t)
	j := openKafka(t, c)
	r := open(t, j, Options{})
	mustRegister(t, r, "s", body(`"int"`))
	mustRegister(t, r, "s", body(`"long"`))
	for _, path := range []string{"/subjects/s", "/subjects/s?permanent=true"} {
		if status, text := send(t, r, "DELETE", path, ""); status != 200 {
			t.Fatalf("%d %s", status, text)
		}
	}
	c.Compact()
	again := open(t, openKafka(t, c), Options{})
	if id := mustRegister(t, again, "s", body(`"string"`)); id != 3 {
		t.Errorf("got id %d, want 3", id)
	}
}

func TestSchemasOutliveTheBrokersRetention(t *testing.T) {
	c := cluster(t)
	r := open(t, openKafka(t, c), Options{Now: func() time.Time { return time.Now().AddDate(-1, 0, 0) }})
	mustRegister(t, r, "a", body(`"int"`))
	mustRegister(t, r, "b", body(`"long"`))
	c.Compact() // and applies the retention
	again := open(t, openKafka(t, c), Options{})
	if _, got := send(t, again, "GET", "/subjects", ""); got != `["a","b"]` {
		t.Errorf("got %s", got)
	}
}

func TestASecondRegistryIsFoundOut(t *testing.T) {
	c := cluster(t)
	one, two := open(t, openKafka(t, c), Options{}), open(t, openKafka(t, c), Options{})
	mustRegister(t, one, "a", body(`"int"`))
	// It gives the id 1 to something else, and is told so by its own record.
	if status, text := send(t, two, "POST", "/subjects/b/versions", body(`"long"`)); status != 500 || !strings.Contains(text, "two registries") {
		t.Errorf("%d %s", status, text)
	}
	if status, text := send(t, two, "POST", "/subjects/c/versions", body(`"long"`)); status != 500 {
		t.Errorf("it writes on: %d %s", status, text)
	}
	if status, text := send(t, two, "GET", "/schemas/ids/1", ""); status != 200 || text != `{"schema":"\"int\""}` {
		t.Errorf("%d %s", status, text)
	}
	_, err := Open(context.Background(), openKafka(t, c), Options{})
	if p, ok := errors.AsType[*problem.Problem](err); !ok || p.Code != problem.BrokerError || !strings.Contains(p.Why, "id 1") {
		t.Errorf("a start on such a topic: %v", err)
	}
}

func TestRecordsOfOthersAreLeftOut(t *testing.T) {
	c := cluster(t)
	j := openKafka(t, c)
	for _, key := range []string{"not JSON", `{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}`, `{"keytype":"SOMETHING","magic":9}`, `5`} {
		if _, err := j.Append(context.Background(), []Record{{Key: []byte(key), Value: []byte("nor this")}}); err != nil {
			t.Fatal(err)
		}
	}
	r := open(t, j, Options{})
	if id := mustRegister(t, r, "s", body(`"int"`)); id != 1 {
		t.Errorf("got id %d", id)
	}
}

func TestASchemaThatTheBrokerFindsTooLargeIsRefused(t *testing.T) {
	c := cluster(t)
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		p := req.(*kmsg.ProduceRequest)
		if len(p.Topics[0].Partitions[0].Records) < 100_000 {
			return nil, nil, false
		}
		resp := p.ResponseKind().(*kmsg.ProduceResponse)
		resp.Topics = []kmsg.ProduceResponseTopic{{Topic: p.Topics[0].Topic, TopicID: p.Topics[0].TopicID,
			Partitions: []kmsg.ProduceResponseTopicPartition{{ErrorCode: kerr.MessageTooLarge.Code}}}}
		return resp, nil, true
	})
	r := open(t, openKafka(t, c, kgo.ProducerBatchCompression(kgo.NoCompression())), Options{})
	large := `{"type":"string","p":"` + strings.Repeat("x", 200_000) + `"}`
	if status, text := send(t, r, "POST", "/subjects/s/versions", body(large)); status != 422 || !strings.Contains(text, "42209") {
		t.Errorf("%d %s", status, text)
	}
	mustRegister(t, r, "s", body(`"int"`))
}

func TestAWriteIsAnsweredWhenTheBrokerHasIt(t *testing.T) {
	c := cluster(t)
	r := open(t, openKafka(t, c), Options{Timeout: 50 * time.Millisecond})
	release := make(chan struct{})
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.SleepControl(func() { <-release })
		return nil, nil, false
	})
	if status, text := send(t, r, "POST", "/subjects/s/versions", body(`"int"`)); status != 500 || !strings.Contains(text, "50002") {
		t.Fatalf("%d %s", status, text)
	}
	if status, text := send(t, r, "GET", "/subjects", ""); text != "[]" {
		t.Errorf("seen before it is written: %d %s", status, text)
	}
	close(release)
	r.writing <- struct{}{} // the write goes on without its caller
	<-r.writing
	if id := mustRegister(t, r, "s", body(`"int"`)); id != 1 {
		t.Errorf("got id %d, want that of the first attempt", id)
	}
	if _, text := send(t, r, "GET", "/subjects/s/versions", ""); text != "[1]" {
		t.Errorf("got versions %s", text)
	}
}
