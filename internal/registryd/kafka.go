package registryd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/siltlake/silt/internal/problem"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// DefaultTopic is where Confluent's registry keeps its schemas.
const DefaultTopic = "_schemas"

const (
	maxRecord    = 16 << 20 // bytes; a schema of 2 MiB is at most six times as long in JSON
	startTimeout = 30 * time.Second
)

// KafkaOptions say where a KafkaJournal is.
type KafkaOptions struct {
	Brokers []string
	Topic   string // "": DefaultTopic
	// ReplicationFactor is that of the topic, if it has to be created; 0 is the brokers' default.
	ReplicationFactor int16
	// Opts are more options of the clients: TLS, login, a dialer.
	Opts []kgo.Opt
}

// A KafkaJournal is a compacted topic of one partition.
type KafkaJournal struct {
	topic  string
	opts   []kgo.Opt
	client *kgo.Client
}

var _ Journal = (*KafkaJournal)(nil)

// OpenKafka connects to the topic and creates it if it is not there. It refuses one that has more partitions or that Kafka deletes from by
// age. The error is a *problem.Problem.
func OpenKafka(ctx context.Context, o KafkaOptions) (*KafkaJournal, error) {
	j := &KafkaJournal{topic: o.Topic}
	if j.topic == "" {
		j.topic = DefaultTopic
	}
	j.opts = append([]kgo.Opt{kgo.SeedBrokers(o.Brokers...), kgo.ClientID("silt-registry"), kgo.SoftwareNameAndVersion("silt", "1"),
		kgo.DisableClientMetrics()}, o.Opts...)
	// The producer is idempotent and retries for ever: an append that was sent has one outcome, which is known as soon as brokers answer.
	client, err := kgo.NewClient(append(j.opts[:len(j.opts):len(j.opts)], kgo.DefaultProduceTopic(j.topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(maxRecord))...)
	if err != nil {
		return nil, problem.New(problem.InvalidValue, "the Kafka client: %w", err)
	}
	j.client = client
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := j.prepare(ctx, kadm.NewClient(client), o.ReplicationFactor); err != nil {
		client.Close()
		return nil, err
	}
	return j, nil
}

// Close ends what is under way and closes the connections.
func (j *KafkaJournal) Close() { j.client.Close() }

func (j *KafkaJournal) prepare(ctx context.Context, admin *kadm.Client, replication int16) error {
	topics, err := admin.ListTopics(ctx, j.topic)
	if err != nil {
		return j.unreachable(err)
	}
	detail := topics[j.topic]
	if errors.Is(detail.Err, kerr.UnknownTopicOrPartition) || detail.Err == nil && len(detail.Partitions) == 0 {
		return j.create(ctx, admin, replication)
	}
	if detail.Err != nil {
		return j.refused(detail.Err)
	}
	if n := len(detail.Partitions); n != 1 {
		return problem.New(problem.InvalidValue, "topic %s has %d partitions, a registry's has 1", j.topic, n).At(problem.Location{Topic: j.topic}).
			Fix("name another topic")
	}
	configs, err := admin.DescribeTopicConfigs(ctx, j.topic)
	if err != nil {
		return j.unreachable(err)
	}
	for _, c := range configs {
		for _, k := range c.Configs {
			if k.Key == "cleanup.policy" && (!strings.Contains(k.MaybeValue(), "compact") || strings.Contains(k.MaybeValue(), "delete")) {
				return problem.New(problem.InvalidValue, "topic %s has cleanup.policy=%s: Kafka would delete schemas", j.topic, k.MaybeValue()).
					At(problem.Location{Topic: j.topic}).Fix("set cleanup.policy=compact on it")
			}
		}
	}
	return nil
}

func (j *KafkaJournal) create(ctx context.Context, admin *kadm.Client, replication int16) error {
	if replication == 0 {
		replication = -1
	}
	// Kafka keeps what a compacted topic holds whatever its age. The embedded broker does not, unless it is told so: its schemas would be
	// gone after the default of seven days.
	compact, size, never := "compact", fmt.Sprint(maxRecord), "-1"
	_, err := admin.CreateTopic(ctx, 1, replication, map[string]*string{"cleanup.policy": &compact, "max.message.bytes": &size,
		"retention.ms": &never, "retention.bytes": &never}, j.topic)
	switch {
	case err == nil || errors.Is(err, kerr.TopicAlreadyExists):
		return nil
	case kerr.IsRetriable(err) || ctx.Err() != nil:
		return j.unreachable(err)
	}
	return j.refused(err)
}

func (j *KafkaJournal) unreachable(err error) error {
	p := problem.New(problem.BrokerUnreachable, "the brokers do not say what topic %s is", j.topic).Because(err)
	p.Retryable = true
	return p
}

func (j *KafkaJournal) refused(err error) error {
	code := problem.BrokerError
	if errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed) {
		code = problem.BrokerDenied
	}
	return problem.New(code, "topic %s", j.topic).Because(err).At(problem.Location{Topic: j.topic})
}

// Append implements Journal.
func (j *KafkaJournal) Append(ctx context.Context, records []Record) (int64, error) {
	var (
		done  = make(chan struct{})
		left  = len(records)
		next  int64
		first error
	)
	promise := func(r *kgo.Record, err error) { // the client calls its promises one after the other
		if err != nil && first == nil {
			first = err
		}
		next = r.Offset + 1
		if left--; left == 0 {
			close(done)
		}
	}
	// The client's own context: what was handed over must not be half cancelled.
	for _, r := range records {
		k := &kgo.Record{Key: r.Key, Value: r.Value, Partition: 0}
		if r.Time != 0 {
			k.Timestamp = time.UnixMilli(r.Time)
		}
		j.client.Produce(context.WithoutCancel(ctx), k, promise)
	}
	select {
	case <-done:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	switch {
	case errors.Is(first, kerr.MessageTooLarge) && len(records) == 1:
		return 0, fmt.Errorf("%w: %w", ErrRecordTooLarge, first)
	case first != nil:
		return 0, fmt.Errorf("append to topic %s: %w", j.topic, first)
	}
	return next, nil
}

// Replay implements Journal. The end of the log is where a NOOP record lands that it writes, as Confluent's registry does: what was sent
// before is then in the log before it, or will never be.
func (j *KafkaJournal) Replay(ctx context.Context, from int64, apply func(Record) error) (int64, error) {
	end, err := j.Append(ctx, []Record{encode(recordKey{KeyType: keyNoop}, nil)})
	if err != nil {
		return from, err
	}
	if end <= from {
		return from, fmt.Errorf("topic %s ends at %d, before %d: it was deleted or truncated", j.topic, end, from)
	}
	// Compaction may have moved the log's start beyond from. Control records are kept because positions are counted by what comes.
	start := kgo.NewOffset().AtStart()
	at := start
	if from > 0 {
		at = kgo.NewOffset().At(from)
	}
	client, err := kgo.NewClient(append(j.opts[:len(j.opts):len(j.opts)], kgo.KeepControlRecords(), kgo.ConsumeResetOffset(start),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{j.topic: {0: at}}))...)
	if err != nil {
		return from, err
	}
	defer client.Close()
	for next := from; next < end; {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return from, err
		}
		for _, e := range fetches.Errors() {
			if !kerr.IsRetriable(e.Err) {
				return from, fmt.Errorf("read topic %s: %w", j.topic, e.Err)
			}
		}
		for iter := fetches.RecordIter(); !iter.Done(); {
			r := iter.Next()
			next = r.Offset + 1
			if r.Attrs.IsControl() {
				continue
			}
			if err := apply(Record{Key: r.Key, Value: r.Value, Time: r.Timestamp.UnixMilli(), Offset: r.Offset}); err != nil {
				return r.Offset, err
			}
		}
	}
	return end, nil
}
