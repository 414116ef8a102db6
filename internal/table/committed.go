package table

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/delta"
	"github.com/siltlake/silt/internal/stream"
)

// lookBack bounds how many commits Committed reads to find the query's last one: only its topic ids, a torn checkpoint, and a table that
// forgets txns need it.
const lookBack = 1000

// Committed implements stream.Sink.
func (k *Sink) Committed(ctx context.Context, queryID string) (stream.InTable, error) {
	k.own = nil // whatever an earlier attempt believed
	k.mu.Lock()
	k.snapshot = nil
	k.mu.Unlock()
	s, err := k.update(ctx)
	if err != nil {
		return stream.InTable{}, err
	}
	t := stream.InTable{Exists: s.Exists(), Version: s.Version(), Batch: -1, DataVersion: s.DataVersion(), End: stream.Offsets{}, Others: map[string]stream.Offsets{}}
	if !t.Exists {
		return t, nil
	}
	if v, ok := s.Txn(queryID); ok {
		t.Batch = v.Version
	}
	silts := false
	for _, x := range s.Txns() {
		id, tp, ok := stream.ParsePartitionAppID(x.AppID)
		switch {
		case !ok:
			continue
		case id == queryID:
			t.End.Set(tp.Topic, tp.Partition, x.Version)
		default:
			if t.Others[id] == nil {
				t.Others[id] = stream.Offsets{}
			}
			t.Others[id].Set(tp.Topic, tp.Partition, x.Version)
		}
		silts = true
	}
	if t.BySilt, err = k.createdBySilt(ctx); err != nil {
		return t, err
	}
	retention, forgets := s.MetaData().TxnRetention()
	if forgets {
		k.deps.Log.Warn("the table forgets which batch a query has landed if that stands still for long; remove the property",
			"table", k.deps.Store.URL(), "delta.setTransactionRetentionDuration", retention)
	}
	if t.Batch >= 0 || forgets {
		batch, last, err := k.lastBatch(ctx, s.Version(), queryID)
		if err != nil {
			return t, storeProblem(k.deps.Store, err)
		}
		if t.Batch < 0 { // a log checkpoint without the txn; the commit may still be there
			t.Batch = batch
		}
		if batch == t.Batch {
			t.Last = last
		}
	}
	if t.Batch < 0 && !silts && hasOffsets(s.Schema()) {
		if t.Foreign, err = foreignOffsets(ctx, s); err != nil {
			return t, storeProblem(k.deps.Store, err)
		}
	}
	return t, nil
}

// lastBatch returns the query's newest batch that one of the last commits up to version newest holds, -1 if none does, and what the commit
// says of it; nil if that is not silt's.
func (k *Sink) lastBatch(ctx context.Context, newest int64, queryID string) (int64, *stream.Batch, error) {
	for v := newest; v >= max(newest-lookBack+1, 0); v-- {
		c, err := k.log.ReadHead(ctx, v)
		if errors.Is(err, fs.ErrNotExist) { // cleaned up
			break
		}
		if err != nil {
			return -1, nil, err
		}
		for _, x := range c.Txns {
			if x.AppID != queryID {
				continue
			}
			if c.Info == nil || c.Info.Silt == nil {
				return x.Version, nil, nil
			}
			info, err := stream.ParseBatchInfo(c.Info.Silt)
			if err != nil || info.BatchID != x.Version {
				return x.Version, nil, nil // somebody else's idea of the key
			}
			b := info.Batch(queryID)
			return x.Version, &b, nil
		}
	}
	return -1, nil, nil
}

// createdBySilt says whether the table's first commit is silt's; of a log that no longer has it nobody knows, and it counts as not.
func (k *Sink) createdBySilt(ctx context.Context) (bool, error) {
	if k.own != nil {
		return *k.own, nil
	}
	c, err := k.log.ReadHead(ctx, 0)
	own := false
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return false, storeProblem(k.deps.Store, err)
	default:
		own = c.Info != nil && strings.HasPrefix(c.Info.EngineInfo, "silt/")
	}
	k.own = &own
	return own, nil
}

// hasOffsets says whether the table has the columns that name a Kafka record.
func hasOffsets(s column.Schema) bool {
	for _, name := range []string{"topic", "partition", "offset"} {
		if _, i := s.Lookup(name); i < 0 {
			return false
		}
	}
	return true
}

// foreignOffsets returns the bounds of the columns topic, partition and offset of all files. Files with the same topics and partitions are
// taken together: a table may have millions of files.
func foreignOffsets(ctx context.Context, s *delta.Snapshot) ([]stream.FileOffsets, error) {
	type place struct{ topic, partition [2]string }
	held := map[place]stream.FileOffsets{}
	for a, err := range s.Files(ctx) {
		if err != nil {
			return nil, err
		}
		f := fileOffsets(a.Stats)
		p := place{f.Topic, f.Partition}
		if other, ok := held[p]; ok {
			f.Offset = cover(f.Offset, other.Offset)
		}
		held[p] = f
	}
	return slices.Collect(maps.Values(held)), nil
}

// cover returns bounds of what has either bounds; none if either has none.
func cover(a, b [2]string) [2]string {
	var n [4]int64
	for i, text := range slices.Concat(a[:], b[:]) {
		var err error
		if n[i], err = strconv.ParseInt(text, 10, 64); err != nil {
			return [2]string{}
		}
	}
	return [2]string{strconv.FormatInt(min(n[0], n[2]), 10), strconv.FormatInt(max(n[1], n[3]), 10)}
}

func fileOffsets(stats string) stream.FileOffsets {
	var st struct {
		MinValues, MaxValues struct{ Topic, Partition, Offset json.RawMessage }
	}
	if json.Unmarshal([]byte(stats), &st) != nil {
		return stream.FileOffsets{} // not known: may hold anything
	}
	both := func(least, greatest json.RawMessage) [2]string {
		if least == nil || greatest == nil {
			return [2]string{}
		}
		return [2]string{string(least), string(greatest)}
	}
	return stream.FileOffsets{
		Topic:     both(st.MinValues.Topic, st.MaxValues.Topic),
		Partition: both(st.MinValues.Partition, st.MaxValues.Partition),
		Offset:    both(st.MinValues.Offset, st.MaxValues.Offset),
	}
}
