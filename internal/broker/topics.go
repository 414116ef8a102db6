package broker

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	maxPartitions  = 1000    // of a topic: each has files of its own
	minSegment     = 1 << 20 // as Apache Kafka 4's least segment.bytes (KIP-1030)
	maxTopicLength = 249
)

var legalTopic = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

// A refusal is an error code with a text.
type refusal struct {
	code int16
	text string
}

func refuse(err *kerr.Error, format string, args ...any) *refusal {
	return &refusal{err.Code, fmt.Sprintf(format, args...)}
}

// checkTopicName is Apache Kafka's Topic.validate; kfake takes any name.
func checkTopicName(name string) *refusal {
	switch {
	case name == "", name == ".", name == "..":
		return refuse(kerr.InvalidTopicException, "Topic name is invalid: %q", name)
	case len(name) > maxTopicLength:
		return refuse(kerr.InvalidTopicException, "Topic name is invalid: its length is %d, longer than %d", len(name), maxTopicLength)
	case !legalTopic.MatchString(name):
		return refuse(kerr.InvalidTopicException,
			"Topic name is invalid: %q contains characters other than ASCII alphanumerics, '.', '_' and '-'", name)
	}
	return nil
}

func checkPartitions(n int32) *refusal {
	if n > maxPartitions {
		return refuse(kerr.InvalidPartitions, "%d partitions: this broker has at most %d a topic", n, maxPartitions)
	}
	return nil
}

// topicConfigs are Apache Kafka 4's (TopicConfig), with the least value of those that are numbers. Those that a single node without
// compaction has no use for are accepted, because tools set them; see the package's documentation for what has an effect.
var topicConfigs = map[string]int64{
	"cleanup.policy": notNumber, "compression.gzip.level": -1, "compression.lz4.level": 1, "compression.type": notNumber,
	"compression.zstd.level": -131072, "delete.retention.ms": 0, "file.delete.delay.ms": 0, "flush.messages": 1, "flush.ms": 0,
	"follower.replication.throttled.replicas": notNumber, "index.interval.bytes": 0, "leader.replication.throttled.replicas": notNumber,
	"local.retention.bytes": -2, "local.retention.ms": -2, "max.compaction.lag.ms": 1, "max.message.bytes": 0,
	"message.timestamp.after.max.ms": 0, "message.timestamp.before.max.ms": 0, "message.timestamp.type": notNumber,
	"min.cleanable.dirty.ratio": notNumber, "min.compaction.lag.ms": 0, "min.insync.replicas": 1, "preallocate": notNumber,
	"remote.log.copy.disable": notNumber, "remote.log.delete.on.disable": notNumber, "remote.storage.enable": notNumber,
	"retention.bytes": -1, "retention.ms": -1, "segment.bytes": minSegment, "segment.index.bytes": 4, "segment.jitter.ms": 0,
	"segment.ms": 1, "unclean.leader.election.enable": notNumber,
}

const notNumber = -1 << 62

// checkTopicConfig refuses what Apache Kafka refuses, and what would be accepted and not done.
func checkTopicConfig(name string, value *string) *refusal {
	least, known := topicConfigs[name]
	switch {
	case !known:
		return refuse(kerr.InvalidConfig, "Unknown topic config name: %s", name)
	case value == nil:
		return nil // the default
	case name == "cleanup.policy":
		for _, policy := range strings.Split(*value, ",") {
			if p := strings.TrimSpace(policy); p != "delete" && p != "compact" {
				return refuse(kerr.InvalidConfig, "Invalid value %s for configuration cleanup.policy: want delete or compact", *value)
			}
		}
	case name == "message.timestamp.type" && *value != "CreateTime":
		return refuse(kerr.InvalidConfig, "message.timestamp.type=%s: this broker has CreateTime only", *value)
	case name == "remote.storage.enable" && *value != "false":
		return refuse(kerr.InvalidConfig, "remote.storage.enable=%s: this broker has no tiered storage", *value)
	}
	if least == notNumber {
		return nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(*value), 10, 64)
	if err != nil || n < least {
		return refuse(kerr.InvalidConfig, "Invalid value %s for configuration %s: want a number of at least %d", *value, name, least)
	}
	return nil
}

// checkNewTopic checks one topic of a CreateTopics request.
func checkNewTopic(t *kmsg.CreateTopicsRequestTopic) *refusal {
	if r := checkTopicName(t.Topic); r != nil {
		return r
	}
	if r := checkPartitions(max(t.NumPartitions, int32(len(t.ReplicaAssignment)))); r != nil {
		return r
	}
	for _, c := range t.Configs {
		if r := checkTopicConfig(c.Name, c.Value); r != nil {
			return r
		}
	}
	return nil
}

// togetherRefused is the answer to what is right itself, in a request that holds something wrong: nothing of such a request is done.
var togetherRefused = refusal{kerr.InvalidRequest.Code, "nothing was done: another part of the same request was refused"}

// checkAll applies check to every part of a request. It returns nil if nothing is refused, else a refusal for every part.
func checkAll[T any](parts []T, check func(*T) *refusal) []refusal {
	out := make([]refusal, len(parts))
	refused := false
	for i := range parts {
		out[i] = togetherRefused
		if r := check(&parts[i]); r != nil {
			out[i], refused = *r, true
		}
	}
	if !refused {
		return nil
	}
	return out
}

func refuseCreateTopics(req *kmsg.CreateTopicsRequest) kmsg.Response {
	refusals := checkAll(req.Topics, checkNewTopic)
	if refusals == nil {
		return nil
	}
	resp := kmsg.NewPtrCreateTopicsResponse()
	resp.Version = req.Version
	for i, t := range req.Topics {
		rt := kmsg.NewCreateTopicsResponseTopic()
		rt.Topic, rt.ErrorCode, rt.ErrorMessage = t.Topic, refusals[i].code, &refusals[i].text
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// amendCreateTopics gives topics without configurations an empty list of them: kfake gives none at all, for which Java's client has an
// exception and no topic.
func amendCreateTopics(resp kmsg.Response) {
	topics := resp.(*kmsg.CreateTopicsResponse).Topics
	for i := range topics {
		if topics[i].ErrorCode == 0 && topics[i].Configs == nil {
			topics[i].Configs = []kmsg.CreateTopicsResponseTopicConfig{}
		}
	}
}

// amendTopicPartitions gives partitions empty lists of the replicas of KIP-966, as Apache Kafka does where it keeps none: kfake gives no
// lists, which Java's client cannot describe a topic without.
func amendTopicPartitions(resp kmsg.Response) {
	for _, t := range resp.(*kmsg.DescribeTopicPartitionsResponse).Topics {
		for i := range t.Partitions {
			p := &t.Partitions[i]
			if p.EligibleLeaderReplicas == nil {
				p.EligibleLeaderReplicas = []int32{}
			}
			if p.LastKnownELR == nil {
				p.LastKnownELR = []int32{}
			}
		}
	}
}

func refuseCreatePartitions(req *kmsg.CreatePartitionsRequest) kmsg.Response {
	refusals := checkAll(req.Topics, func(t *kmsg.CreatePartitionsRequestTopic) *refusal { return checkPartitions(t.Count) })
	if refusals == nil {
		return nil
	}
	resp := kmsg.NewPtrCreatePartitionsResponse()
	resp.Version = req.Version
	for i, t := range req.Topics {
		rt := kmsg.NewCreatePartitionsResponseTopic()
		rt.Topic, rt.ErrorCode, rt.ErrorMessage = t.Topic, refusals[i].code, &refusals[i].text
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// checkBrokerConfig lets no client change how the broker keeps its log: its retention and its segments are Options', and kfake's own
// retention must never run.
func checkBrokerConfig(name string) *refusal {
	if strings.HasPrefix(name, "log.") || name == "message.max.bytes" || name == "state.log.compact.bytes" {
		return refuse(kerr.InvalidConfig, "%s of this broker is fixed", name)
	}
	return nil
}

func refuseAlterConfigs(req *kmsg.AlterConfigsRequest) kmsg.Response {
	refusals := checkAll(req.Resources, func(r *kmsg.AlterConfigsRequestResource) *refusal {
		for _, c := range r.Configs {
			if refused := checkConfig(r.ResourceType, c.Name, c.Value); refused != nil {
				return refused
			}
		}
		return nil
	})
	if refusals == nil {
		return nil
	}
	resp := kmsg.NewPtrAlterConfigsResponse()
	resp.Version = req.Version
	for i, r := range req.Resources {
		rr := kmsg.NewAlterConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = r.ResourceType, r.ResourceName
		rr.ErrorCode, rr.ErrorMessage = refusals[i].code, &refusals[i].text
		resp.Resources = append(resp.Resources, rr)
	}
	return resp
}

func refuseIncrementalAlterConfigs(req *kmsg.IncrementalAlterConfigsRequest) kmsg.Response {
	listOps := []kmsg.IncrementalAlterConfigOp{kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract}
	refusals := checkAll(req.Resources, func(r *kmsg.IncrementalAlterConfigsRequestResource) *refusal {
		for _, c := range r.Configs {
			value := c.Value
			if c.Op == kmsg.IncrementalAlterConfigOpDelete {
				value = nil
			}
			if slices.Contains(listOps, c.Op) && c.Name != "cleanup.policy" {
				return refuse(kerr.InvalidConfig, "%s is no list", c.Name)
			}
			if refused := checkConfig(r.ResourceType, c.Name, value); refused != nil {
				return refused
			}
		}
		return nil
	})
	if refusals == nil {
		return nil
	}
	resp := kmsg.NewPtrIncrementalAlterConfigsResponse()
	resp.Version = req.Version
	for i, r := range req.Resources {
		rr := kmsg.NewIncrementalAlterConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = r.ResourceType, r.ResourceName
		rr.ErrorCode, rr.ErrorMessage = refusals[i].code, &refusals[i].text
		resp.Resources = append(resp.Resources, rr)
	}
	return resp
}

func checkConfig(resource kmsg.ConfigResourceType, name string, value *string) *refusal {
	switch resource {
	case kmsg.ConfigResourceTypeTopic:
		return checkTopicConfig(name, value)
	case kmsg.ConfigResourceTypeBroker:
		return checkBrokerConfig(name)
	}
	return nil
}
