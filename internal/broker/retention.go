package broker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A segment is a file of a partition's log, by what its directory says of it.
type segment struct {
	base     int64 // offset of its first record
	bytes    int64
	batches  int64
	appended time.Time // of the last append
}

// A policy is how much a partition keeps; negative is without bound.
type policy struct {
	bytes, batches int64
	age            time.Duration
}

// keepFrom returns the first offset to keep of a log whose segments are given oldest first, and whether that deletes anything. Only whole
// segments go, so that a log begins at a segment's first record: after a crash the log begins there again. The newest segment stays, which
// also keeps the next offset from starting at 0 again. Time is that of appends, not of records: a producer's wrong clock deletes nothing.
func keepFrom(segments []segment, p policy, now time.Time) (int64, bool) {
	var bytes, batches int64
	for _, s := range segments {
		bytes += s.bytes
		batches += s.batches
	}
	n := 0
	for ; n < len(segments)-1; n++ {
		s := segments[n]
		tooLarge := p.bytes >= 0 && bytes-s.bytes >= p.bytes
		tooMany := p.batches >= 0 && batches-s.batches >= p.batches
		tooOld := p.age >= 0 && now.Sub(s.appended) > p.age
		if !tooLarge && !tooMany && !tooOld {
			break
		}
		bytes -= s.bytes
		batches -= s.batches
	}
	if n == 0 {
		return 0, false
	}
	return segments[n].base, true
}

// startRetention applies the retention now and then, until the broker closes.
func (b *Broker) startRetention() {
	ctx, stop := context.WithCancel(context.Background())
	b.stopRetention = stop
	adm := kadm.NewClient(b.inside)
	b.background.Add(1)
	go func() {
		defer b.background.Done()
		tick := time.NewTicker(b.opts.RetentionEvery)
		defer tick.Stop()
		for {
			if err := b.retain(ctx, adm); err != nil && ctx.Err() == nil {
				b.opts.Log.Warn("apply the retention", "error", err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
}

// retain applies the retention once, to every partition that has a log on disk.
func (b *Broker) retain(ctx context.Context, adm *kadm.Client) error {
	logs, err := partitionLogs(filepath.Join(b.opts.Dir, dataDir))
	if err != nil || len(logs) == 0 {
		return err
	}
	configs, err := adm.DescribeTopicConfigs(ctx, slices.Collect(maps.Keys(logs))...)
	if err != nil {
		return err
	}
	var keep kadm.Offsets
	for _, c := range configs {
		if c.Err != nil {
			continue // deleted meanwhile
		}
		p, ok := b.policyOf(c)
		if !ok {
			continue
		}
		for _, partition := range logs[c.Name] {
			segments, err := readSegments(partitionDir(b.opts.Dir, c.Name, partition))
			if err != nil {
				return err
			}
			if from, ok := keepFrom(segments, p, b.opts.Now()); ok {
				keep.AddOffset(c.Name, partition, from, -1)
			}
		}
	}
	if len(keep) == 0 {
		return nil
	}
	deleted, err := adm.DeleteRecords(ctx, keep)
	if err != nil {
		return err
	}
	return deleted.Error()
}

// partitionLogs lists the partitions that were ever written to, by topic.
func partitionLogs(data string) (map[string][]int32, error) {
	entries, err := os.ReadDir(filepath.Join(data, "partitions"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	logs := map[string][]int32{}
	for _, e := range entries {
		if topic, partition, ok := parsePartitionDir(e.Name()); ok {
			logs[topic] = append(logs[topic], partition)
		}
	}
	return logs, err
}

// policyOf reads a topic's policy off its configurations; false says that it keeps everything.
func (b *Broker) policyOf(c kadm.ResourceConfig) (policy, bool) {
	p := policy{bytes: b.opts.RetentionBytes, batches: b.opts.RetentionBatches, age: b.opts.Retention}
	for _, kv := range c.Configs {
		if kv.Value == nil || kv.Source != kmsg.ConfigSourceDynamicTopicConfig {
			continue // not the topic's own
		}
		n, err := strconv.ParseInt(*kv.Value, 10, 64)
		switch {
		case kv.Key == "cleanup.policy" && !strings.Contains(*kv.Value, "delete"):
			return p, false
		case kv.Key == "retention.bytes" && err == nil:
			p.bytes = n
		case kv.Key == "retention.ms" && err == nil:
			// More milliseconds than a Duration can hold are for ever, too.
			if p.age = -1; n >= 0 && n < int64(1<<63-1)/int64(time.Millisecond) {
				p.age = time.Duration(n) * time.Millisecond
			}
		}
	}
	return p, true
}

// partitionDir is where kfake keeps the log of a partition.
func partitionDir(dir, topic string, partition int32) string {
	return filepath.Join(dir, dataDir, "partitions", fmt.Sprintf("%s-%d", url.PathEscape(topic), partition))
}

const (
	segmentSuffix = ".dat"
	indexSuffix   = ".idx"
	indexEntry    = 15 // bytes that kfake's index of a segment has for each batch
)

// readSegments lists the segments of a partition, oldest first. A partition that was never written to has no directory.
func readSegments(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []segment
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		base, err := strconv.ParseInt(name, 10, 64)
		if !ok || err != nil {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		s := segment{base: base, bytes: info.Size(), appended: info.ModTime()}
		if index, err := os.Stat(filepath.Join(dir, name+indexSuffix)); err == nil {
			s.batches = index.Size() / indexEntry
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b segment) int { return int(min(max(a.base-b.base, -1), 1)) })
	return out, nil
}
