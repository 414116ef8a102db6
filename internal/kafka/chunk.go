package kafka

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

const (
	// maxRecords is the most records that a chunk hands over at once.
	maxRecords = 1024
	// enoughRecords and enoughBytes end the gathering of small batches: what is handed over then fills a block, and lies in the
	// processor's cache.
	enoughRecords = column.BlockRows
	enoughBytes   = 256 << 10
)

// A chunk is the batches of one answer to a fetch of one partition that hold offsets of its range, still compressed. Their checksums are
// right.
type chunk struct {
	src     *Source
	rng     stream.Range
	data    []byte
	aborted []abortedTxn // by first offset
	hold    *hold

	d       *decompressor // taken at the first Next
	next    int           // position of the next batch in data
	open    cursor        // the batch being read; none if left is 0
	inPlace bool          // the open batch's records lie in data, not in the arena
	begun   int           // of aborted, those that begin at or before the open batch
	dead    []int64       // producers with an aborted transaction open
	served  int64
}

var _ stream.Chunk = (*chunk)(nil)

// An abortedTxn is a transaction that was aborted: the producer's transactional batches from the offset on, up to its abort marker.
type abortedTxn struct{ producerID, first int64 }

// A hold is the part of the budget that one answer takes; its chunks share it.
type hold struct {
	budget *stream.Budget
	bytes  int64
	refs   atomic.Int32
}

func (h *hold) release() {
	if h != nil && h.refs.Add(-1) == 0 {
		h.budget.Release(h.bytes)
	}
}

func (c *chunk) Range() stream.Range { return c.rng }

func (c *chunk) Served() int64 { return c.served }

// Release gives the chunk's memory back. It may be called once.
func (c *chunk) Release() {
	if c.d != nil {
		c.src.free.put(c.d)
		c.d = nil
	}
	c.data = nil
	c.hold.release()
}

// Next fills dst with up to maxRecords records. Small batches are gathered, so that a topic of ten-record batches is read in blocks too:
// compressed ones one after the other in the decompressor's arena, uncompressed ones where they lie.
func (c *chunk) Next(dst *stream.Records) (bool, error) {
	dst.TopicPartition = c.rng.TopicPartition
	dst.Offset, dst.Timestamp = slices.Grow(dst.Offset[:0], maxRecords), slices.Grow(dst.Timestamp[:0], maxRecords)
	dst.Key, dst.Value = slices.Grow(dst.Key[:0], maxRecords), slices.Grow(dst.Value[:0], maxRecords)
	if c.d == nil {
		c.d = c.src.free.take()
	}
	for {
		if c.open.left > 0 {
			if err := c.read(dst); err != nil {
				return false, c.corrupt(err)
			}
		}
		n := len(dst.Offset)
		if n == maxRecords || n >= enoughRecords && c.open.left == 0 || n > 0 && len(c.d.arena) >= enoughBytes {
			break
		}
		more, err := c.openNext(dst)
		if err != nil {
			return false, c.corrupt(err)
		}
		if !more {
			break
		}
	}
	c.served += int64(len(dst.Offset))
	return len(dst.Offset) > 0, nil
}

// read appends records of the open batch to dst.
func (c *chunk) read(dst *stream.Records) error {
	b := c.d.arena
	if c.inPlace {
		b = c.data
	}
	dst.TimestampType = c.open.h.timestampType()
	through, err := c.open.parse(b, dst, c.rng.Start, c.rng.End, maxRecords-len(dst.Offset))
	if err != nil {
		return err
	}
	dst.Buf = b[:c.open.end]
	if through {
		c.open.left = 0
	}
	return nil
}

// openNext opens the next batch with records, or says that there is none, or none whose records may stand beside those that dst holds.
//
// REQUIRES: no batch is open.
func (c *chunk) openNext(dst *stream.Records) (bool, error) {
	if len(dst.Offset) == 0 {
		c.d.reset()
	}
	for c.next < len(c.data) {
		h, whole, err := readHeader(c.data, c.next)
		if err != nil {
			return false, err
		}
		if !whole { // the scan found it whole
			return false, &corruptError{offset: h.base, why: "it ends before its length"}
		}
		if c.isAborted(&h) || !h.data || h.count == 0 {
			c.next = h.end
			continue
		}
		codec := int(h.attributes & attrCodec)
		inPlace := codec == codecNone && cap(c.data)-h.end >= column.Slack
		if len(dst.Offset) > 0 && (inPlace != c.inPlace || h.timestampType() != dst.TimestampType) {
			return false, nil
		}
		c.next = h.end
		c.inPlace = inPlace
		c.open = cursor{h: h, left: h.count, last: -1, pos: h.payload, end: h.end}
		if !inPlace {
			if c.open.pos, err = c.d.add(codec, c.data[h.payload:h.end]); err != nil {
				c.open.left = 0
				return false, &corruptError{offset: h.base, why: err.Error(), err: err}
			}
			c.open.end = len(c.d.arena)
		}
		if h.count > (c.open.end-c.open.pos)/minRecordLen {
			c.open.left = 0
			return false, &corruptError{offset: h.base, why: "it holds fewer records than it counts"}
		}
		return true, nil
	}
	return false, nil
}

// isAborted says whether the batch belongs to an aborted transaction. It must see every batch, in
// order; a data batch may be seen again before the next.
//
// As in Kafka's own consumer: an aborted transaction begins for its producer with the batch that its first offset lies in, and ends with
// the next control batch of the producer, which must be the marker of the abort. Under read_uncommitted there is no such list.
func (c *chunk) isAborted(h *batchHeader) bool {
	if len(c.aborted) == 0 {
		return false
	}
	for c.begun < len(c.aborted) && c.aborted[c.begun].first <= h.last {
		c.dead = append(c.dead, c.aborted[c.begun].producerID)
		c.begun++
	}
	if !h.transactional {
		return false
	}
	i := slices.Index(c.dead, h.producerID)
	if i < 0 {
		return false
	}
	if !h.data {
		c.dead = slices.Delete(c.dead, i, i+1)
	}
	return true
}

// corrupt makes the problem that ends the query of an error of this chunk.
func (c *chunk) corrupt(err error) error {
	return corruptProblem(c.rng.TopicPartition, err, c.src.maxBatch)
}

func corruptProblem(tp stream.TopicPartition, err error, limit int) error {
	var ce *corruptError
	if !errors.As(err, &ce) {
		return err
	}
	p := problem.New(problem.CorruptBatch, "the record batch cannot be read: %s", ce.why).
		At(problem.Record(tp.Topic, tp.Partition, ce.offset))
	if errors.Is(ce, errTooLarge) {
		p.Message += " of " + option.FormatSize(int64(limit))
	}
	return p.Fix("the query cannot pass this batch: delete the topic's records up to its end (kafka-delete-records), or begin a new query " +
		"after it with startingOffsets")
}

// A freeList holds idle decompressors: as many as workers had at once.
type freeList struct {
	mu    sync.Mutex
	idle  []*decompressor
	limit int
}

func (f *freeList) take() *decompressor {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.idle); n > 0 {
		d := f.idle[n-1]
		f.idle = f.idle[:n-1]
		return d
	}
	return &decompressor{limit: f.limit}
}

func (f *freeList) put(d *decompressor) {
	d.shrink()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.idle = append(f.idle, d)
}
