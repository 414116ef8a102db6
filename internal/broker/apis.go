package broker

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// served are the APIs that clients may use. kfake has more: ACLs and quotas, which it would accept and not enforce; telemetry, which it
// would collect for nobody; what brokers say among themselves; and share groups, whose state it keeps at a clean stop only.
var served = []kmsg.Key{
	kmsg.Produce, kmsg.Fetch, kmsg.ListOffsets, kmsg.Metadata, kmsg.OffsetCommit, kmsg.OffsetFetch, kmsg.FindCoordinator, kmsg.JoinGroup,
	kmsg.Heartbeat, kmsg.LeaveGroup, kmsg.SyncGroup, kmsg.DescribeGroups, kmsg.ListGroups, kmsg.SASLHandshake, kmsg.ApiVersions,
	kmsg.CreateTopics, kmsg.DeleteTopics, kmsg.DeleteRecords, kmsg.InitProducerID, kmsg.OffsetForLeaderEpoch, kmsg.AddPartitionsToTxn,
	kmsg.AddOffsetsToTxn, kmsg.EndTxn, kmsg.TxnOffsetCommit, kmsg.DescribeConfigs, kmsg.AlterConfigs, kmsg.DescribeLogDirs,
	kmsg.SASLAuthenticate, kmsg.CreatePartitions, kmsg.DeleteGroups, kmsg.IncrementalAlterConfigs, kmsg.OffsetDelete,
	kmsg.DescribeUserSCRAMCredentials, kmsg.AlterUserSCRAMCredentials, kmsg.DescribeCluster, kmsg.DescribeProducers,
	kmsg.DescribeTransactions, kmsg.ListTransactions, kmsg.ConsumerGroupHeartbeat, kmsg.ConsumerGroupDescribe, kmsg.ListConfigResources,
	kmsg.DescribeTopicPartitions,
}

// apis are the versions of the served APIs.
type apis struct {
	all      kmsg.ApiVersionsResponse // what clients are told, at its newest version
	newest   int16                    // version of ApiVersions itself
	versions map[int16][2]int16       // first and last that are served
}

// newAPIs makes the front's answer to ApiVersions of kfake's.
func newAPIs(theirs *kmsg.ApiVersionsResponse) apis {
	a := apis{all: *theirs, versions: map[int16][2]int16{}}
	a.all.ApiKeys = nil
	for _, k := range theirs.ApiKeys {
		if !slices.Contains(served, kmsg.Key(k.ApiKey)) {
			continue
		}
		switch kmsg.Key(k.ApiKey) {
		case kmsg.Produce:
			a.versions[k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
			// Advertised and not served, as by Apache Kafka 4: librdkafka takes a broker without it for one that cannot take compressed
			// records (KIP-896).
			k.MinVersion = 0
		case kmsg.SASLHandshake:
			k.MinVersion = 0 // librdkafka logs in only where version 0 is there; the front serves it
		case kmsg.ApiVersions:
			a.newest = k.MaxVersion
		default:
			a.versions[k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
		}
		a.all.ApiKeys = append(a.all.ApiKeys, k)
	}
	a.all.SupportedFeatures = slices.DeleteFunc(slices.Clone(a.all.SupportedFeatures), func(f kmsg.ApiVersionsResponseSupportedFeature) bool {
		return f.Name == "share.version"
	})
	a.all.FinalizedFeatures = slices.DeleteFunc(slices.Clone(a.all.FinalizedFeatures), func(f kmsg.ApiVersionsResponseFinalizedFeature) bool {
		return f.Name == "share.version"
	})
	return a
}

// answer is the answer to an ApiVersions request: to one of a version that is too new, version 0 with the error and the versions of
// ApiVersions, from which the client learns which to use (KIP-511).
func (a *apis) answer(h header) []byte {
	resp := a.all
	resp.Version = h.version
	if h.version > a.newest {
		resp = kmsg.NewApiVersionsResponse()
		resp.ErrorCode = kerr.UnsupportedVersion.Code
		resp.ApiKeys = []kmsg.ApiVersionsResponseApiKey{{ApiKey: int16(kmsg.ApiVersions), MaxVersion: a.newest}}
	}
	return appendResponse(nil, h.correlation, &resp)
}

// check refuses a request that is not served.
func (a *apis) check(h header) error {
	v, ok := a.versions[h.key]
	if !ok || h.version < v[0] || h.version > v[1] {
		return fmt.Errorf("%w: %s version %d is not served", errFrame, kmsg.NameForKey(h.key), h.version)
	}
	return nil
}
