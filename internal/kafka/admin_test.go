package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/siltlake/silt/internal/problem"
)

// anyClient connects to a cluster without a topic in mind.
func anyClient(t *testing.T, c *kfake.Cluster, change ...func(*Options)) *Client {
	t.Helper()
	o := testOptions(c.ListenAddrs(), "not-there")
	for _, f := range change {
		f(&o)
	}
	client, err := ConnectAny(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// write produces records, each of a partition, a time in seconds and a value.
func write(t *testing.T, c *kfake.Cluster, topic string, records ...*kgo.Record) {
	t.Helper()
	k, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	for _, r := range records {
		r.Topic = topic
		if err := k.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func at(partition int32, second int64, value string) *kgo.Record {
	return &kgo.Record{Partition: partition, Timestamp: time.Unix(second, 0), Value: []byte(value)}
}

// values are what a look shows, in order.
func values(t *testing.T, c *Client, l Look) []string {
	t.Helper()
	got := []string{}
	if err := c.Peek(t.Context(), l, func(r Record) error { got = append(got, string(r.Value)); return nil }); err != nil {
		t.Fatal(err)
	}
	return got
}

func code(err error) problem.Code {
	if l := problem.Of(err); len(l) > 0 {
		return l[0].Code
	}
	return ""
}

func TestTopicsAreListedAndDescribed(t *testing.T) {
	c := newCluster(t)
	client := anyClient(t, c)
	write(t, c, "orders", at(1, 1, "a"), at(1, 2, "b"))
	topics, err := client.Topics(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, topic := range topics {
		n, ok := topic.Records()
		got = append(got, fmt.Sprint(topic.Name, " ", len(topic.Partitions), " ", topic.Replication(), " ", n, " ", ok))
	}
	if diff := cmp.Diff([]string{"clickstreams 2 1 0 true", "orders 2 1 2 true"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	topic, err := client.Topic(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	if p := topic.Partitions[1]; p.First != 0 || p.Next != 2 || p.Leader != 0 || topic.ID == "" || topic.Config == nil {
		t.Errorf("got %+v", topic)
	}
}

// A leader that is down hides the offsets of its partitions, not the topic.
func TestATopicIsDescribedWhileALeaderDoesNotAnswer(t *testing.T) {
	c := newCluster(t)
	client := anyClient(t, c)
	c.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, rt := range req.(*kmsg.ListOffsetsRequest).Topics {
			st := kmsg.NewListOffsetsResponseTopic()
			st.Topic = rt.Topic
			for _, rp := range rt.Partitions {
				sp := kmsg.NewListOffsetsResponseTopicPartition()
				sp.Partition, sp.Offset, sp.ErrorCode = rp.Partition, 7, 0
				if rp.Partition == 1 {
					sp.ErrorCode = kerr.UnknownServerError.Code
				}
				st.Partitions = append(st.Partitions, sp)
			}
			resp.Topics = append(resp.Topics, st)
		}
		return resp, nil, true
	})
	topic, err := client.Topic(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := topic.Records(); ok || topic.Partitions[0].Next != 7 || topic.Partitions[1].Next != -1 {
		t.Errorf("got %+v", topic)
	}
}

func TestCreateTopic(t *testing.T) {
	c := newCluster(t)
	client := anyClient(t, c)
	tests := []struct {
		name string
		n    NewTopic
		code problem.Code
	}{
		{"a name that Kafka does not take", NewTopic{Name: "a b"}, problem.Usage},
		{"a name that differs in case", NewTopic{Name: "Orders"}, problem.Usage},
		{"a name that is taken", NewTopic{Name: "orders"}, problem.BrokerError},
		{"more replicas than brokers", NewTopic{Name: "new", Replication: 9}, problem.InvalidValue},
		{"a dry run", NewTopic{Name: "new", DryRun: true}, ""},
		{"a setting", NewTopic{Name: "new", Partitions: 3, Config: map[string]string{"retention.ms": "1000"}}, ""},
		{"a name that is meant", NewTopic{Name: "NEW", Similar: true}, ""},
	}
	for _, tt := range tests {
		if tt.n.Partitions == 0 {
			tt.n.Partitions = -1
		}
		if tt.n.Replication == 0 {
			tt.n.Replication = -1
		}
		if _, _, err := client.CreateTopic(t.Context(), tt.n); code(err) != tt.code || tt.code == "" && err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	topic, err := client.Topic(t.Context(), "new")
	if err != nil || len(topic.Partitions) != 3 {
		t.Errorf("got %+v, %v", topic, err)
	}
	if diff := cmp.Diff([]Setting{{"retention.ms", "1000", "topic"}}, topic.Config); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestLookalike(t *testing.T) {
	tests := []struct{ name, want string }{
		{"orders", ""},               // itself
		{"ORDERS", "orders"},         // case
		{"web_clicks", "web.clicks"}, // Kafka's metrics have one name for both
		{"order", ""},
	}
	for _, tt := range tests {
		if got := lookalike(tt.name, []string{"orders", "web.clicks"}); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestDeleteTopic(t *testing.T) {
	c := newCluster(t)
	client := anyClient(t, c)
	if err := client.DeleteTopic(t.Context(), "orders"); err != nil {
		t.Fatal(err)
	}
	err := client.DeleteTopic(t.Context(), "orders")
	if code(err) != problem.UnknownTopic {
		t.Errorf("once more: %v", err)
	}
	if _, err := client.Topic(t.Context(), "clickstream"); code(err) != problem.UnknownTopic || !strings.Contains(err.Error(), `did you mean "clickstreams"?`) {
		t.Errorf("got %v", err)
	}
}

func TestAdminProblems(t *testing.T) {
	c := newCluster(t)
	client := anyClient(t, c)
	tests := []struct {
		err  error
		code problem.Code
	}{
		{kerr.TopicAuthorizationFailed, problem.BrokerDenied},
		{kerr.ClusterAuthorizationFailed, problem.BrokerDenied},
		{kerr.PolicyViolation, problem.InvalidValue},
		{kerr.InvalidConfig, problem.InvalidValue},
		{kerr.TopicDeletionDisabled, problem.BrokerError},
		{errors.New("connection reset"), problem.BrokerUnreachable},
	}
	for _, tt := range tests {
		if got := client.adminProblem(t.Context(), "delete", "orders", tt.err, ""); code(got) != tt.code {
			t.Errorf("%v: got %v", tt.err, got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := client.adminProblem(ctx, "delete", "orders", ctx.Err(), ""); !errors.Is(got, context.Canceled) || code(got) != "" {
		t.Errorf("an interrupt: %v", got)
	}
}

func TestPeekBeginsWhereItIsTold(t *testing.T) {
	c := newCluster(t)
	client := anyClient(t, c)
	write(t, c, "orders", at(0, 1, "a1"), at(0, 4, "a4"), at(0, 5, "a5"), at(1, 2, "b2"), at(1, 3, "b3"), at(1, 6, "b6"))
	tests := []struct {
		name string
		look Look
		want string
	}{
		{"all, by time", Look{From: Earliest}, "a1 b2 b3 a4 a5 b6"},
		{"the first", Look{From: Earliest, Count: 2}, "a1 b2"},
		{"the last", Look{From: Newest, Count: 3}, "a4 a5 b6"},
		{"more than there are", Look{From: Newest, Count: 100}, "a1 b2 b3 a4 a5 b6"},
		{"newest without a count is all", Look{From: Newest}, "a1 b2 b3 a4 a5 b6"},
		{"one partition", Look{From: Newest, Count: 2, Partitions: []int32{1}}, "b3 b6"},
		{"an offset", Look{From: FromOffset(2)}, "a5 b6"},
		{"an offset past the end", Look{From: FromOffset(9)}, ""},
		{"a time", Look{From: FromTime(time.UnixMilli(3001))}, "a4 a5 b6"},
		{"a time past the end", Look{From: FromTime(time.Unix(7, 0))}, ""},
		{"nothing but what comes", Look{From: Latest}, ""},
	}
	for _, tt := range tests {
		tt.look.Topic = "orders"
		if got := strings.Join(values(t, client, tt.look), " "); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	err := client.Peek(t.Context(), Look{Topic: "orders", Partitions: []int32{2}}, nil)
	if code(err) != problem.Usage {
		t.Errorf("a partition that is not there: %v", err)
	}
	if err := client.Peek(t.Context(), Look{Topic: "Orders"}, nil); code(err) != problem.UnknownTopic {
		t.Errorf("a topic that is not there: %v", err)
	}
}

// Transactions leave offsets without records: markers and what was aborted. They count for no -n, and do not keep a look waiting.
func TestPeekPassesOverTransactions(t *testing.T) {
	c := newCluster(t)
	k, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	transaction := func(commit kgo.TransactionEndTry, values ...string) {
		if err := k.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			if err := k.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte(v)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := k.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	transaction(kgo.TryCommit, "a", "b")
	transaction(kgo.TryAbort, "x", "x", "x", "x", "x")
	transaction(kgo.TryCommit, "c")
	transaction(kgo.TryAbort, "x")

	client := anyClient(t, c, func(o *Options) { o.ReadCommitted = true })
	if got := values(t, client, Look{Topic: "orders", From: Newest, Count: 2}); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("newest: %v", got)
	}
	if got := values(t, client, Look{Topic: "orders", From: Earliest}); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("all: %v", got)
	}
	open := anyClient(t, c, func(o *Options) { o.ReadCommitted = false })
	if got := values(t, open, Look{Topic: "orders", From: Newest, Count: 3}); !slices.Equal(got, []string{"x", "c", "x"}) {
		t.Errorf("uncommitted: %v", got)
	}
}

func TestPeekFollowsUntilItIsStopped(t *testing.T) {
	c := newCluster(t)
	client := anyClient(t, c)
	write(t, c, "orders", at(0, 1, "a"), at(1, 2, "b"))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var got []string
	err := client.Peek(ctx, Look{Topic: "orders", From: Newest, Count: 1, Follow: true}, func(r Record) error {
		switch got = append(got, string(r.Value)); len(got) {
		case 1:
			write(t, c, "orders", at(0, 3, "c"))
		case 2:
			write(t, c, "orders", at(1, 4, "d"))
		case 3:
			stop()
		}
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"b", "c", "d"}) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestPeekEndsWithTheErrorOfShow(t *testing.T) {
	c := newCluster(t)
	write(t, c, "orders", at(0, 1, "a"), at(0, 2, "b"))
	broken, n := errors.New("broken pipe"), 0
	err := anyClient(t, c).Peek(t.Context(), Look{Topic: "orders", From: Earliest}, func(Record) error { n++; return broken })
	if !errors.Is(err, broken) || n != 1 {
		t.Errorf("%d records, %v", n, err)
	}
}

// A connection that breaks is made again.
func TestPeekTriesAgain(t *testing.T) {
	c := newCluster(t)
	client := anyClient(t, c)
	write(t, c, "orders", at(0, 1, "a"))
	failures := 0
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if failures++; failures > 2 {
			return nil, nil, false
		}
		c.KeepControl()
		return nil, errors.New("the connection breaks"), true
	})
	if got := values(t, client, Look{Topic: "orders", From: Newest, Count: 1}); !slices.Equal(got, []string{"a"}) || failures < 2 {
		t.Errorf("%v after %d failures", got, failures)
	}
}

func TestPeekNamesABatchThatIsDamaged(t *testing.T) {
	client := anyClient(t, newCluster(t))
	k := &peeker{c: client, topic: "orders", decompress: &ownDecompressor{decompressor{limit: 1 << 10}}}
	batch := make([]byte, batchHeaderLen) // a checksum of 0 is wrong
	batch[7], batch[11], batch[16] = 5, batchHeaderLen-12, 2
	rp := kmsg.NewFetchResponseTopicPartition()
	rp.RecordBatches = batch
	err := k.takePart(t.Context(), &peekPart{pos: 5, end: 6, next: 6}, &rp)
	if l := problem.Of(err); code(err) != problem.CorruptBatch || !strings.Contains(l[0].Message, "crc") || l[0].Where.Offset != 5 {
		t.Errorf("got %v", err)
	}
}

// What cannot be had after a few answers without data counts as the end, as after compaction.
func TestPeekEndsWhereNothingIsLeft(t *testing.T) {
	k := &peeker{c: anyClient(t, newCluster(t)), topic: "orders"}
	p := &peekPart{pos: 5, end: 9, next: 9}
	for range peekTries {
		if p.done() {
			t.Fatal("the first answer without data is believed")
		}
		rp := kmsg.NewFetchResponseTopicPartition()
		if err := k.takePart(t.Context(), p, &rp); err != nil {
			t.Fatal(err)
		}
	}
	if !p.done() {
		t.Error("a look would wait for ever")
	}
}

// Retention may take offsets while they are looked at.
func TestPeekGoesOnWhereTheLogBegins(t *testing.T) {
	c := newCluster(t)
	client := anyClient(t, c)
	write(t, c, "orders", at(0, 1, "a"), at(0, 2, "b"), at(0, 3, "c"))
	first := true
	var got []string
	err := client.Peek(t.Context(), Look{Topic: "orders", From: Earliest, Partitions: []int32{0}, Follow: true}, func(r Record) error {
		if first {
			first = false
			var o kadm.Offsets
			o.AddOffset("orders", 0, 3, -1)
			if _, err := kadm.NewClient(client.kgo).DeleteRecords(t.Context(), o); err != nil {
				return err
			}
		}
		if got = append(got, string(r.Value)); len(got) == 3 {
			return io.EOF
		}
		return nil
	})
	if !errors.Is(err, io.EOF) || !slices.Equal(got, []string{"a", "b", "c"}) { // all three came in one answer
		t.Errorf("got %v, %v", got, err)
	}
	k := &peeker{c: client, topic: "orders"}
	p := &peekPart{partition: 0, pos: 1, end: 9}
	rp := kmsg.NewFetchResponseTopicPartition()
	rp.ErrorCode = kerr.OffsetOutOfRange.Code
	if err := k.takePart(t.Context(), p, &rp); err != nil || p.pos != 3 {
		t.Errorf("at offset %d, %v; want 3", p.pos, err)
	}
	if err := k.takePart(t.Context(), p, &rp); !errors.Is(err, kerr.OffsetOutOfRange) {
		t.Errorf("an offset that is there is refused: %v", err)
	}
}

// TestProducerCompressesWhatEveryClientCanRead: kafkajs fails on other codecs than gzip unless it is given more.
func TestProducerCompressesWhatEveryClientCanRead(t *testing.T) {
	c := newCluster(t)
	p, err := anyClient(t, c).NewProducer(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Produce(Record{Value: bytes.Repeat([]byte("again "), 1000)}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	fetches := reader.PollRecords(t.Context(), 1)
	if records := fetches.Records(); len(records) != 1 || records[0].Attrs.CompressionType() != 1 {
		t.Errorf("records %v, %v; want one in a batch compressed by gzip, 1", records, fetches.Err())
	}
}

func TestProducerPutsRecordsWhereTheyBelong(t *testing.T) {
	c := newCluster(t)
	client := anyClient(t, c)
	p, err := client.NewProducer(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	old := time.UnixMilli(1_000) // long before any timeout
	for _, r := range []Record{
		{Partition: 1, Timestamp: old, Value: []byte("named"), Headers: []Header{{"h", []byte("1")}, {"h", nil}}},
		{Partition: -1, Timestamp: old, Key: []byte("key-1"), Value: []byte("k1")},
		{Partition: -1, Timestamp: old, Key: []byte("key-1"), Value: []byte("k1 again")},
		{Partition: 0, Timestamp: old, Value: nil},
	} {
		if err := p.Produce(r); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := p.Flush(t.Context()); n != 4 || err != nil || p.Partitions() != 2 {
		t.Fatalf("wrote %d, %v", n, err)
	}
	var records []Record
	if err := client.Peek(t.Context(), Look{Topic: "orders", From: Earliest}, func(r Record) error { records = append(records, r); return nil }); err != nil {
		t.Fatal(err)
	}
	at := map[string]int32{}
	for _, r := range records {
		at[string(r.Value)] = r.Partition
		if string(r.Value) == "named" && !cmp.Equal(r.Headers, []Header{{"h", []byte("1")}, {"h", nil}}) {
			t.Errorf("headers %v", r.Headers)
		}
	}
	if len(records) != 4 || at["named"] != 1 || at["k1"] != at["k1 again"] || at[""] != 0 {
		t.Errorf("got %v", at)
	}
	if _, err := client.NewProducer(t.Context(), "order"); code(err) != problem.UnknownTopic {
		t.Errorf("a topic that is not there: %v", err)
	}
}

func TestProducerSaysWhyARecordIsNotWritten(t *testing.T) {
	c := newCluster(t)
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		for _, rt := range req.(*kmsg.ProduceRequest).Topics {
			st := kmsg.NewProduceResponseTopic()
			st.Topic, st.TopicID = rt.Topic, rt.TopicID
			for _, rp := range rt.Partitions {
				sp := kmsg.NewProduceResponseTopicPartition()
				sp.Partition, sp.ErrorCode = rp.Partition, kerr.TopicAuthorizationFailed.Code
				st.Partitions = append(st.Partitions, sp)
			}
			resp.Topics = append(resp.Topics, st)
		}
		return resp, nil, true
	})
	p, err := anyClient(t, c).NewProducer(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Produce(Record{Partition: 0, Value: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Flush(t.Context()); n != 0 || code(err) != problem.BrokerDenied {
		t.Errorf("wrote %d, %v", n, err)
	}
	if err := p.Produce(Record{Partition: 0}); code(err) != problem.BrokerDenied {
		t.Errorf("a record after a failure: %v", err)
	}
}
