package stream

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// BatchInfo is what a commit says of the batch that it holds, under the key "silt" of its commitInfo: enough to audit the table from its
// log alone, and to rebuild a lost checkpoint. Served = Rows + the sum of Rejected; the sum of Rows is that of the files' numRecords;
// the ranges of a query's batches follow each other without a hole, as long as the topic's id stays the same.
type BatchInfo struct {
	V          int             `json:"v"` // 1
	BatchID    int64           `json:"batchId"`
	Partitions []PartitionInfo `json:"partitions"`
	Landed     []LandedInfo    `json:"landed,omitempty"`
	SchemaIDs  []int32         `json:"schemaIds"`
}

// LandedInfo is a partition that earlier batches read and that is not in this one: its topic is not there, or not in the subscription.
type LandedInfo struct {
	Topic     string `json:"topic"`
	TopicID   string `json:"topicId,omitempty"`
	Partition int32  `json:"partition"`
	End       int64  `json:"end"`
}

// PartitionInfo is the part of one partition in a batch. Partitions whose offset did not move are in it too, with Start = End.
type PartitionInfo struct {
	Topic     string           `json:"topic"`
	TopicID   string           `json:"topicId,omitempty"`
	Partition int32            `json:"partition"`
	Start     int64            `json:"start"`
	End       int64            `json:"end"`
	Served    int64            `json:"served"`
	Rows      int64            `json:"rows"`
	Rejected  map[Reason]int64 `json:"rejected,omitempty"`
	Nulled    map[Reason]int64 `json:"nulled,omitempty"`
	Gaps      [][2]int64       `json:"gaps,omitempty"`
}

// batchInfoVersion is the only version of BatchInfo there is.
const batchInfoVersion = 1

// NewBatchInfo returns what the commit of the batch says, given what its workers met.
func NewBatchInfo(b Batch, r Report) BatchInfo {
	info := BatchInfo{V: batchInfoVersion, BatchID: b.ID, Partitions: []PartitionInfo{}, SchemaIDs: slices.Sorted(maps.Keys(r.Schemas))}
	if info.SchemaIDs == nil {
		info.SchemaIDs = []int32{}
	}
	for tp, end := range b.End.All() {
		start, ok := b.Start.Get(tp.Topic, tp.Partition)
		if !ok {
			start = end
		}
		p := PartitionInfo{Topic: tp.Topic, TopicID: b.TopicIDs[tp.Topic], Partition: tp.Partition, Start: start, End: end}
		if q := r.Partitions[tp]; q != nil {
			p.Served, p.Rows, p.Rejected, p.Nulled = q.Served, q.Rows, q.Rejected, q.Nulled
			for _, g := range q.Gaps {
				p.Gaps = append(p.Gaps, [2]int64{g.From, g.To})
			}
			slices.SortFunc(p.Gaps, func(a, b [2]int64) int { return int(a[0] - b[0]) })
		}
		info.Partitions = append(info.Partitions, p)
	}
	for tp, end := range b.Landed.All() {
		info.Landed = append(info.Landed, LandedInfo{Topic: tp.Topic, TopicID: b.TopicIDs[tp.Topic], Partition: tp.Partition, End: end})
	}
	return info
}

// ParseBatchInfo reads the value of commitInfo's key "silt". A version that is not known is an error.
func ParseBatchInfo(text []byte) (BatchInfo, error) {
	var info BatchInfo
	if err := json.Unmarshal(text, &info); err != nil {
		return BatchInfo{}, fmt.Errorf("commitInfo.silt: %w", err)
	}
	if info.V != batchInfoVersion {
		return BatchInfo{}, fmt.Errorf("commitInfo.silt: version is %d, want %d", info.V, batchInfoVersion)
	}
	return info, nil
}

// Batch returns the batch that the info describes.
func (info BatchInfo) Batch(queryID string) Batch {
	b := Batch{QueryID: queryID, ID: info.BatchID, Start: Offsets{}, End: Offsets{}, Landed: Offsets{}, TopicIDs: map[string]string{}}
	for _, p := range info.Landed {
		b.Landed.Set(p.Topic, p.Partition, p.End)
		if p.TopicID != "" {
			b.TopicIDs[p.Topic] = p.TopicID
		}
	}
	for _, p := range info.Partitions {
		b.Start.Set(p.Topic, p.Partition, p.Start)
		b.End.Set(p.Topic, p.Partition, p.End)
		if p.TopicID != "" {
			b.TopicIDs[p.Topic] = p.TopicID
		}
	}
	return b
}

// PartitionAppID is the txn appId whose version is a partition's end offset: "<query id>/<topic>/<partition>".
func PartitionAppID(queryID string, tp TopicPartition) string {
	return queryID + "/" + tp.Topic + "/" + strconv.Itoa(int(tp.Partition))
}

// ParsePartitionAppID takes such an appId apart; ok is false for any other. Topic names hold no slash.
func ParsePartitionAppID(appID string) (queryID string, tp TopicPartition, ok bool) {
	parts := strings.Split(appID, "/")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" {
		return "", TopicPartition{}, false
	}
	n, err := strconv.ParseInt(parts[2], 10, 32)
	if err != nil || n < 0 {
		return "", TopicPartition{}, false
	}
	return parts[0], TopicPartition{parts[1], int32(n)}, true
}
