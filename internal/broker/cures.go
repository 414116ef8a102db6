package broker

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxFetchBytes bounds the records of one answer, but for a first record batch that is larger (KIP-74).
const maxFetchBytes = 8 << 20

// examine decides what becomes of a request: given to kfake as it is, given to it changed, or answered by the front. In the last case kfake
// gets an ApiVersions request in its place, so that the answers of a connection keep their order.
func (c *conn) examine(frame []byte) (waiting, []byte, error) {
	h, body, err := parseHeader(frame[4:])
	w := waiting{header: h}
	if err != nil {
		return w, nil, err
	}
	switch kmsg.Key(h.key) {
	case kmsg.ApiVersions:
		w.instead = c.front.apis.answer(h)
		return w, standIn(h), nil
	case kmsg.SASLHandshake, kmsg.SASLAuthenticate:
		w.instead = appendResponse(nil, h.correlation, illegalState(h))
		return w, standIn(h), nil
	}
	if err := c.front.apis.check(h); err != nil {
		return w, nil, err
	}
	req := kmsg.RequestForKey(h.key)
	req.SetVersion(h.version)
	if err := req.ReadFrom(body); err != nil {
		return w, nil, fmt.Errorf("%w: %s version %d", errFrame, kmsg.NameForKey(h.key), h.version)
	}
	var answer kmsg.Response
	changed := false
	switch req := req.(type) {
	case *kmsg.ProduceRequest:
		w.silent = req.Acks == 0
		if refused := c.front.records.takeRefused(req); refused != nil {
			if w.silent {
				return w, nil, fmt.Errorf("%w: records that are refused, with acks=0", errFrame)
			}
			changed, w.amend = true, func(resp kmsg.Response) {
				produced := resp.(*kmsg.ProduceResponse)
				produced.Topics = append(produced.Topics, refused...)
			}
		}
	case *kmsg.FetchRequest:
		if answer = refuseFetch(req); answer == nil {
			divideFetch(req, c.turns)
			c.turns++
			changed = true
		}
	case *kmsg.DeleteRecordsRequest:
		if changed, err = c.front.keepNewest(req); err != nil {
			return w, nil, err
		}
	case *kmsg.CreateTopicsRequest:
		answer, w.amend = refuseCreateTopics(req), amendCreateTopics
	case *kmsg.DescribeTopicPartitionsRequest:
		w.amend = amendTopicPartitions
	case *kmsg.CreatePartitionsRequest:
		answer = refuseCreatePartitions(req)
	case *kmsg.AlterConfigsRequest:
		answer = refuseAlterConfigs(req)
	case *kmsg.IncrementalAlterConfigsRequest:
		answer = refuseIncrementalAlterConfigs(req)
	case *kmsg.DescribeUserSCRAMCredentialsRequest:
		answer = c.front.users.describe(req)
	case *kmsg.AlterUserSCRAMCredentialsRequest:
		answer = c.front.users.alter(req)
	}
	switch {
	case answer != nil:
		w.instead = appendResponse(nil, h.correlation, answer)
		return w, standIn(h), nil
	case changed:
		return w, requestFrame(h.correlation, req), nil
	}
	return w, frame, nil
}

// standIn is the smallest request that kfake answers at once.
func standIn(h header) []byte {
	return requestFrame(h.correlation, &kmsg.ApiVersionsRequest{})
}

// keepNewest lets a DeleteRecords request leave the newest record of each partition. kfake would delete the last file of the log with it, and
// with that, at the next start, the knowledge of which offset comes next: offsets would begin at 0 again.
func (f *front) keepNewest(req *kmsg.DeleteRecordsRequest) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(f.ctx, f.opts.RequestTimeout)
	defer cancel()
	adm := kadm.NewClient(f.inside)
	for i := range req.Topics {
		t := &req.Topics[i]
		starts, err := adm.ListStartOffsets(ctx, t.Topic)
		if err != nil {
			return false, err
		}
		ends, err := adm.ListEndOffsets(ctx, t.Topic)
		if err != nil {
			return false, err
		}
		for j := range t.Partitions {
			p := &t.Partitions[j]
			end, ok := ends.Lookup(t.Topic, p.Partition)
			begin, known := starts.Lookup(t.Topic, p.Partition)
			if !ok || !known || end.Err != nil || begin.Err != nil || p.Offset != -1 && p.Offset != end.Offset {
				continue // kfake has an answer of its own, or the newest record stays anyway
			}
			p.Offset, changed = max(end.Offset-1, begin.Offset), true
		}
	}
	return changed, nil
}

// refuseFetch refuses a fetch within a session: the front gives none (KIP-227 lets a broker do so), because a request of a session names the
// partitions that changed only, and divideFetch needs all.
func refuseFetch(req *kmsg.FetchRequest) kmsg.Response {
	if req.Version < 7 || req.SessionEpoch <= 0 {
		return nil
	}
	resp := kmsg.NewPtrFetchResponse()
	resp.Version, resp.ErrorCode = req.Version, kerr.FetchSessionIDNotFound.Code
	return resp
}

// divideFetch divides the request's limit among its partitions. kfake forgets the aborted transactions of a partition in which it reaches
// the request's own limit; at a partition's limit it does not. A first batch larger than its partition's share would never be sent behind
// others that always have data, so each request begins with another partition.
func divideFetch(req *kmsg.FetchRequest, turn int) {
	n := 0
	for _, t := range req.Topics {
		n += len(t.Partitions)
	}
	if n == 0 {
		return
	}
	share := max(min(req.MaxBytes, maxFetchBytes)/int32(min(n, math.MaxInt32)), 1)
	rotate(req.Topics, turn)
	for i := range req.Topics {
		partitions := req.Topics[i].Partitions
		rotate(partitions, turn/len(req.Topics))
		for j := range partitions {
			partitions[j].PartitionMaxBytes = min(partitions[j].PartitionMaxBytes, share)
		}
	}
	req.MaxBytes = math.MaxInt32
	req.SessionID, req.SessionEpoch = 0, -1
}

// rotate moves the first n elements to the end.
func rotate[T any](s []T, n int) {
	if len(s) < 2 {
		return
	}
	n %= len(s)
	slices.Reverse(s[:n])
	slices.Reverse(s[n:])
	slices.Reverse(s)
}
