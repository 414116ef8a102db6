package kafka

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/siltlake/silt/internal/stream"
)

func TestBoundsGiveTopicIDs(t *testing.T) {
	p := filled(t, 1, 1, nil)
	s := openSource(t, testOptions(p.Brokers, clicks), SourceConfig{}, nil)
	b, err := s.Bounds(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := uuid.UUID(p.Cluster.TopicInfo(clicks).TopicID).String(); b.TopicIDs[clicks] != want {
		t.Errorf("topic id is %s, want %s", b.TopicIDs[clicks], want)
	}
}

func TestBoundsWaitForALeader(t *testing.T) {
	p := filled(t, 2, 1, nil)
	var log logBuffer
	s := openSource(t, testOptions(p.Brokers, clicks), SourceConfig{}, log.logger())
	n := 0
	p.Cluster.ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
		p.Cluster.KeepControl()
		if n++; n > 6 {
			return nil, nil, false
		}
		resp := r.ResponseKind().(*kmsg.MetadataResponse)
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic = kmsg.StringPtr(clicks)
		for i := range int32(2) {
			part := kmsg.NewMetadataResponseTopicPartition()
			part.Partition, part.Leader, part.ErrorCode = i, -1, kerr.LeaderNotAvailable.Code
			topic.Partitions = append(topic.Partitions, part)
		}
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	b, err := s.Bounds(t.Context(), nil)
	if err != nil || len(b.Next[clicks]) != 2 {
		t.Errorf("got %v, %v", b, err)
	}
	if !strings.Contains(log.String(), "has no leader") {
		t.Errorf("log is %s", log.String())
	}
}

func TestBoundsLeaveATopicOutThatWasDeleted(t *testing.T) {
	p := filled(t, 1, 1, nil)
	if err := p.Cluster.CreateTopic("orders", 1, nil); err != nil {
		t.Fatal(err)
	}
	var log logBuffer
	s := openSource(t, testOptions(p.Brokers, clicks, "orders"), SourceConfig{}, log.logger())
	if d := s.Description(); d != "KafkaV2[Subscribe[clickstreams, orders]]" {
		t.Errorf("description is %s", d)
	}
	if err := p.Cluster.DeleteTopic("orders"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is no news
		b, err := s.Bounds(t.Context(), nil)
		if err != nil || len(b.Next) != 1 || len(b.TopicIDs) != 1 {
			t.Errorf("got %v, %v", b, err)
		}
	}
	if n := strings.Count(log.String(), "topic does not exist"); n != 1 {
		t.Errorf("%d warnings: %s", n, log.String())
	}
	if err := p.Cluster.CreateTopic("orders", 3, nil); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Bounds(t.Context(), nil); err != nil || len(b.Next["orders"]) != 3 {
		t.Errorf("made again: %v, %v", b, err)
	}
}

func TestAnEndThatMovesBackIsDoubted(t *testing.T) {
	for passing, want := range map[int]int64{2: 10, 100: 7} { // lists that are behind, and the end that is believed
		p := filled(t, 1, 1, nil)
		s := openSource(t, testOptions(p.Brokers, clicks), SourceConfig{}, nil)
		n := 0
		p.Cluster.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
			p.Cluster.KeepControl()
			req := r.(*kmsg.ListOffsetsRequest)
			if req.Topics[0].Partitions[0].Timestamp != stream.Latest {
				return nil, nil, false
			}
			if n++; n > passing {
				return nil, nil, false
			}
			resp := r.ResponseKind().(*kmsg.ListOffsetsResponse)
			topic := kmsg.NewListOffsetsResponseTopic()
			topic.Topic = clicks
			part := kmsg.NewListOffsetsResponseTopicPartition()
			part.Offset = 7
			topic.Partitions = append(topic.Partitions, part)
			resp.Topics = append(resp.Topics, topic)
			return resp, nil, true
		})
		b, err := s.Bounds(t.Context(), stream.Offsets{clicks: {0: 10}})
		if end, _ := b.Next.Get(clicks, 0); err != nil || end != want {
			t.Errorf("behind %d times: end is %d, %v; want %d", passing, end, err, want)
		}
	}
}

func TestBoundsEndWithTheirContext(t *testing.T) {
	p := filled(t, 1, 1, nil)
	s := openSource(t, testOptions(p.Brokers, clicks), SourceConfig{}, nil)
	p.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.NotLeaderForPartition, Count: -1})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Bounds(ctx, nil); err != context.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
}

func TestPublish(t *testing.T) {
	tests := []struct {
		group, prefix, query string
		want                 string
	}{
		{"mine", defaultGroupPrefix, "q", "mine"},
		{"", defaultGroupPrefix, "q", "spark-kafka-source-q"},
		{"", "p", "q", "p-q"},
		{"", defaultGroupPrefix, "", ""}, // a query without name tells nobody
	}
	for _, tt := range tests {
		p := filled(t, 2, 1, nil)
		o := testOptions(p.Brokers, clicks)
		o.GroupID, o.GroupIDPrefix = tt.group, tt.prefix
		s := openSource(t, o, SourceConfig{QueryName: tt.query}, nil)
		s.Publish(t.Context(), stream.Offsets{clicks: {0: 7, 1: 3}})
		if tt.want == "" {
			continue
		}
		info := p.Cluster.GroupInfo(tt.want)
		if info == nil || info.Commits[clicks][0].Offset != 7 || info.Commits[clicks][1].Offset != 3 {
			t.Errorf("group %s: %+v", tt.want, info)
		}
	}
}

func TestPublishLogsAFailureOnce(t *testing.T) {
	p := filled(t, 1, 1, nil)
	var log logBuffer
	s := openSource(t, testOptions(p.Brokers, clicks), SourceConfig{QueryName: "q"}, log.logger())
	h := p.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.GroupAuthorizationFailed, Count: -1})
	publish := func(want int) {
		t.Helper()
		s.Publish(t.Context(), stream.Offsets{clicks: {0: 7}})
		if n := strings.Count(log.String(), "offsets are not published"); n != want {
			t.Errorf("logged %d times, want %d: %s", n, want, log.String())
		}
	}
	publish(1)
	publish(1)
	h.Remove()
	publish(1)
	p.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.GroupAuthorizationFailed, Count: -1})
	publish(2) // it had come right
}
