package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/siltlake/silt/internal/problem"
)

// adminTimeout bounds one command of an administrator, all its requests together.
const adminTimeout = 30 * time.Second

// ConnectAny connects as Connect does, but needs none of the options' topics: for commands that name topics of their own.
func ConnectAny(ctx context.Context, o Options, log *slog.Logger) (*Client, error) {
	o.Topics = nil
	return Connect(ctx, o, log)
}

// A Topic is what the cluster says of a topic.
type Topic struct {
	Name       string
	ID         string // Kafka's id as UUID text; "" if the brokers have no ids (before 2.8)
	Internal   bool
	Partitions []Partition // in order
	// Config is what differs from Kafka's defaults, in the order of names; only Topic fills it. Nil also where the user may not see it.
	Config []Setting
}

// A Partition is one of a topic's.
type Partition struct {
	Partition     int32
	Leader        int32 // -1: none at the moment
	Replicas, ISR []int32
	First, Next   int64 // the first offset, and one past the last that can be read; -1 where the leader does not say
}

// A Setting is a configuration of a topic that is not Kafka's default.
type Setting struct{ Key, Value, Source string }

// Records is how many offsets the topic's log has: at most so many records, fewer where it was compacted or written to in transactions. It is
// false if a partition does not say.
func (t Topic) Records() (int64, bool) {
	var n int64
	for _, p := range t.Partitions {
		if p.First < 0 || p.Next < 0 {
			return 0, false
		}
		n += p.Next - p.First
	}
	return n, true
}

// Replication is the largest number of replicas that a partition has.
func (t Topic) Replication() int {
	n := 0
	for _, p := range t.Partitions {
		n = max(n, len(p.Replicas))
	}
	return n
}

// Topics returns all topics that the user may see, in the order of names; those that brokers made for themselves only if internal.
func (c *Client) Topics(ctx context.Context, internal bool) ([]Topic, error) {
	ctx, cancel := adminContext(ctx)
	defer cancel()
	details, err := kadm.NewClient(c.kgo).ListTopicsWithInternal(ctx)
	if err != nil {
		return nil, c.adminProblem(ctx, "list the topics", "", err, "")
	}
	var topics []Topic
	for _, d := range details.Sorted() {
		// A topic that was deleted between two answers is left out.
		if d.Err == nil && (internal || !d.IsInternal) {
			topics = append(topics, topicOf(d))
		}
	}
	return topics, c.addOffsets(ctx, topics)
}

// Topic returns one topic with its configuration.
func (c *Client) Topic(ctx context.Context, name string) (Topic, error) {
	ctx, cancel := adminContext(ctx)
	defer cancel()
	t, err := c.findTopic(ctx, name)
	if err != nil {
		return Topic{}, err
	}
	if err := c.addOffsets(ctx, []Topic{t}); err != nil {
		return Topic{}, err
	}
	t.Config, err = c.settings(ctx, name)
	return t, err
}

// findTopic returns the topic without offsets and configuration. It asks again for one that is not there: one made a moment ago may not
// be known to every broker yet.
func (c *Client) findTopic(ctx context.Context, name string) (Topic, error) {
	if err := checkName(name); err != nil {
		return Topic{}, err
	}
	const tries, pause = 3, 200 * time.Millisecond
	for try := 1; ; try++ {
		details, err := kadm.NewClient(c.kgo).ListTopicsWithInternal(ctx, name)
		d := details[name]
		err = cmp.Or(err, d.Err)
		switch {
		case err == nil && len(d.Partitions) > 0:
			return topicOf(d), nil
		case err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition):
			return Topic{}, c.adminProblem(ctx, "describe", name, err, "")
		case try == tries || sleep(ctx, pause) != nil:
			return Topic{}, c.unknownTopic(ctx, name, "correct the name")
		}
	}
}

func checkName(name string) error {
	if !topicRE.MatchString(name) || name == "." || name == ".." {
		return problem.New(problem.Usage, "%q is no name of a topic; want 1 to 249 of the characters a-z A-Z 0-9 . _ -", name)
	}
	return nil
}

func topicOf(d kadm.TopicDetail) Topic {
	t := Topic{Name: d.Topic, Internal: d.IsInternal}
	if d.ID != (kadm.TopicID{}) {
		t.ID = uuid.UUID(d.ID).String()
	}
	for _, p := range d.Partitions.Sorted() {
		leader := p.Leader
		if p.Err != nil {
			leader = -1
		}
		t.Partitions = append(t.Partitions, Partition{Partition: p.Partition, Leader: leader, Replicas: p.Replicas, ISR: p.ISR, First: -1, Next: -1})
	}
	return t
}

// addOffsets asks for the bounds of every partition. What a leader does not answer stays unknown: a topic with a broker down can be looked at.
func (c *Client) addOffsets(ctx context.Context, topics []Topic) error {
	if len(topics) == 0 {
		return nil
	}
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.Name
	}
	first, next, err := c.bounds(ctx, names...)
	if err != nil {
		return err
	}
	for _, t := range topics {
		for i := range t.Partitions {
			p := &t.Partitions[i]
			if o, ok := first.Lookup(t.Name, p.Partition); ok && o.Err == nil {
				p.First = o.Offset
			}
			if o, ok := next.Lookup(t.Name, p.Partition); ok && o.Err == nil {
				p.Next = o.Offset
			}
		}
	}
	return nil
}

// bounds returns what is known of the first offsets and of those past the last readable ones.
func (c *Client) bounds(ctx context.Context, topics ...string) (first, next kadm.ListedOffsets, err error) {
	admin := kadm.NewClient(c.kgo)
	first, err = admin.ListStartOffsets(ctx, topics...)
	if wholly(err) {
		return nil, nil, c.adminProblem(ctx, "list the offsets", "", err, "")
	}
	list := admin.ListEndOffsets
	if c.opts.ReadCommitted {
		list = admin.ListCommittedOffsets
	}
	next, err = list(ctx, topics...)
	if wholly(err) {
		return nil, nil, c.adminProblem(ctx, "list the offsets", "", err, "")
	}
	return first, next, nil
}

// wholly says whether a request that was split over brokers failed at all of them.
func wholly(err error) bool {
	var shards *kadm.ShardErrors
	if errors.As(err, &shards) {
		return shards.AllFailed
	}
	return err != nil
}

// settings returns the configuration that is not the default; nil if the user may not see it.
func (c *Client) settings(ctx context.Context, topic string) ([]Setting, error) {
	all, err := kadm.NewClient(c.kgo).DescribeTopicConfigs(ctx, topic)
	if err == nil && len(all) == 1 {
		err = all[0].Err
	}
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		c.log.Warn("the user may not see the topic's configuration", "topic", topic)
		return nil, nil
	case err != nil:
		return nil, c.adminProblem(ctx, "describe the configuration of", topic, err, "")
	}
	settings := []Setting{}
	for _, r := range all {
		for _, s := range r.Configs {
			if s.Source == kmsg.ConfigSourceDefaultConfig {
				continue
			}
			value := s.MaybeValue()
			if s.Sensitive {
				value = "(sensitive)"
			}
			settings = append(settings, Setting{s.Key, value, sourceName(s.Source)})
		}
	}
	slices.SortFunc(settings, func(a, b Setting) int { return cmp.Compare(a.Key, b.Key) })
	return settings, nil
}

func sourceName(s kmsg.ConfigSource) string {
	switch s {
	case kmsg.ConfigSourceDynamicTopicConfig:
		return "topic"
	case kmsg.ConfigSourceDynamicBrokerConfig, kmsg.ConfigSourceDynamicDefaultBrokerConfig, kmsg.ConfigSourceStaticBrokerConfig:
		return "broker"
	}
	return strings.ToLower(s.String())
}

// A NewTopic is a topic to be created.
type NewTopic struct {
	Name        string
	Partitions  int32 // -1: the broker's default
	Replication int16 // -1: the broker's default
	Config      map[string]string
	// Similar lets the name differ from another topic's only in case, or in . and _, which Kafka's metrics do not tell apart.
	Similar bool
	// DryRun lets the broker check everything and create nothing.
	DryRun bool
}

// CreateTopic creates a topic and returns its partitions and replicas, -1 where the broker does not say (before 2.4). It refuses a name that
// is taken, or that is easily taken for another.
func (c *Client) CreateTopic(ctx context.Context, n NewTopic) (partitions int32, replication int16, err error) {
	if err := checkName(n.Name); err != nil {
		return -1, -1, err
	}
	ctx, cancel := adminContext(ctx)
	defer cancel()
	names, err := c.allTopics(ctx)
	if err != nil {
		return -1, -1, c.adminProblem(ctx, "list the topics", "", err, "")
	}
	if other := lookalike(n.Name, names); other != "" && !n.Similar {
		return -1, -1, problem.New(problem.Usage, "topic %q is easily taken for %q, which exists", n.Name, other).
			Fix("use %s, or another name; --yes creates it all the same", other)
	}
	configs := make(map[string]*string, len(n.Config))
	for k, v := range n.Config {
		configs[k] = &v
	}
	admin := kadm.NewClient(c.kgo)
	create := admin.CreateTopics
	if n.DryRun {
		create = admin.ValidateCreateTopics
	}
	answers, err := create(ctx, n.Partitions, n.Replication, configs, n.Name)
	answer := answers[n.Name]
	if err = cmp.Or(err, answer.Err); err != nil {
		return -1, -1, c.adminProblem(ctx, "create", n.Name, err, answer.ErrMessage)
	}
	return answer.NumPartitions, answer.ReplicationFactor, nil
}

// lookalike returns a name that differs from name only in case, or in dots and underscores, or "".
func lookalike(name string, names []string) string {
	fold := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), ".", "_") }
	for _, n := range names {
		if n != name && fold(n) == fold(name) {
			return n
		}
	}
	return ""
}

// DeleteTopic deletes a topic with all its records.
func (c *Client) DeleteTopic(ctx context.Context, name string) error {
	ctx, cancel := adminContext(ctx)
	defer cancel()
	answers, err := kadm.NewClient(c.kgo).DeleteTopics(ctx, name)
	answer := answers[name]
	err = cmp.Or(err, answer.Err)
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return c.unknownTopic(ctx, name, "correct the name")
	case err != nil:
		return c.adminProblem(ctx, "delete", name, err, answer.ErrMessage)
	}
	return nil
}

func adminContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, adminTimeout, fmt.Errorf("no answer within %v", adminTimeout))
}

// adminProblem says why a request failed; message is the broker's own word, "" if it gave none.
func (c *Client) adminProblem(ctx context.Context, what, topic string, err error, message string) error {
	if context.Cause(ctx) == context.Canceled {
		return context.Canceled
	}
	subject := what
	var where problem.Location
	if topic != "" {
		subject, where.Topic = what+" topic "+topic, topic
	}
	why := cmp.Or(c.scrub(message), c.scrub(err.Error()))
	var answer *kerr.Error
	if !errors.As(err, &answer) {
		p := c.loginProblem(ctx, strings.Join(c.opts.Brokers, ", "), err)
		return p.At(where)
	}
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return problem.New(problem.BrokerDenied, "the user may not %s", subject).At(where).Because(errors.New(why)).
			Fix("grant the user the right to: %s", subject)
	case errors.Is(err, kerr.TopicAlreadyExists):
		return problem.New(problem.BrokerError, "topic %s exists already", topic).At(where).Fix("silt topic describe %s shows it", topic)
	case errors.Is(err, kerr.InvalidTopicException), errors.Is(err, kerr.InvalidPartitions), errors.Is(err, kerr.InvalidReplicationFactor),
		errors.Is(err, kerr.InvalidReplicaAssignment), errors.Is(err, kerr.InvalidConfig), errors.Is(err, kerr.PolicyViolation),
		errors.Is(err, kerr.InvalidRequest):
		return problem.New(problem.InvalidValue, "the broker refuses to %s: %s", subject, answer.Message).At(where).Because(errors.New(why)).
			Fix("correct the partitions, the replication factor or --topic-config")
	}
	p := problem.New(problem.BrokerError, "the broker cannot %s: %s", subject, answer.Message).At(where).Because(errors.New(why))
	p.Retryable = kerr.IsRetriable(err)
	return p
}
