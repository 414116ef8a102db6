package kafka

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/stream"
)

// The layout of a record batch, magic 2 (kafka.apache.org/documentation/#recordbatch). The length counts what follows it; the checksum is
// CRC-32C of everything from the attributes on.
const (
	batchLength       = 8
	batchMagic        = 16 // in message sets (magic 0 and 1) too
	batchCRC          = 17
	batchAttributes   = 21
	batchLastDelta    = 23
	batchFirstTime    = 27
	batchMaxTime      = 35
	batchProducerID   = 43
	batchCount        = 57
	batchHeaderLen    = 61
	batchLengthPrefix = 12 // base offset and length itself

	// minRecordLen is a record without key, value and headers: length, attributes, two deltas, two lengths and a count, a byte each.
	minRecordLen = 7
)

// Attribute bits of a batch.
const (
	attrCodec         = 0x07
	attrLogAppend     = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A batchHeader is the head of one record batch, and where the batch lies.
type batchHeader struct {
	base, last          int64 // offsets of the first and of the last record that it had when it was produced
	firstTime, maxTime  int64 // milliseconds; records' times are relative to the first
	producerID          int64
	attributes          int16
	count               int
	payload, end        int // positions: the records, compressed or not, and one past the batch
	deltaLimit          int64
	transactional, data bool // data: not a control batch
}

// A corruptError says that a record batch cannot be what a producer wrote.
type corruptError struct {
	offset int64 // the batch's base offset
	why    string
	// passing says that the same bytes may come right when fetched again: a checksum failed, which the broker's disk or the way from it
	// may have caused.
	passing bool
	err     error // the cause, if it is another error
}

func (e *corruptError) Error() string {
	return fmt.Sprintf("record batch at offset %d: %s", e.offset, e.why)
}

func (e *corruptError) Unwrap() error { return e.err }

// readHeader reads the head of the batch at pos. It is false where b ends before the batch does: brokers cut the last batch of an answer
// off when it does not fit. It does not check the checksum.
func readHeader(b []byte, pos int) (h batchHeader, whole bool, err error) {
	b = b[pos:]
	if len(b) < batchMagic+1 {
		return h, false, nil
	}
	h.base = int64(binary.BigEndian.Uint64(b))
	if m := b[batchMagic]; m != 2 {
		return h, false, &corruptError{offset: h.base, passing: m > 2,
			why: fmt.Sprintf("magic %d; silt reads magic 2, which brokers write since 0.11", m)}
	}
	n := int64(int32(binary.BigEndian.Uint32(b[batchLength:]))) + batchLengthPrefix
	if n < batchHeaderLen {
		return h, false, &corruptError{offset: h.base, why: fmt.Sprintf("length %d is less than a header's %d", n, batchHeaderLen), passing: true}
	}
	if int64(len(b)) < n {
		return h, false, nil
	}
	h.attributes = int16(binary.BigEndian.Uint16(b[batchAttributes:]))
	h.deltaLimit = int64(int32(binary.BigEndian.Uint32(b[batchLastDelta:])))
	h.last = h.base + h.deltaLimit
	h.firstTime = int64(binary.BigEndian.Uint64(b[batchFirstTime:]))
	h.maxTime = int64(binary.BigEndian.Uint64(b[batchMaxTime:]))
	h.producerID = int64(binary.BigEndian.Uint64(b[batchProducerID:]))
	h.count = int(int32(binary.BigEndian.Uint32(b[batchCount:])))
	h.payload, h.end = pos+batchHeaderLen, pos+int(n)
	h.transactional = h.attributes&attrTransactional != 0
	h.data = h.attributes&attrControl == 0
	if h.base < 0 || h.deltaLimit < 0 || h.last < h.base || h.count < 0 || int64(h.count) > h.deltaLimit+1 {
		return h, false, &corruptError{offset: h.base, passing: true,
			why: fmt.Sprintf("%d records in offsets %d to %d", h.count, h.base, h.last)}
	}
	return h, true, nil
}

// checkCRC compares the batch's checksum.
func (h *batchHeader) checkCRC(b []byte) error {
	at := h.payload - batchHeaderLen
	got, want := crc32.Checksum(b[at+batchAttributes:h.end], castagnoli), binary.BigEndian.Uint32(b[at+batchCRC:])
	if got != want {
		return &corruptError{offset: h.base, why: fmt.Sprintf("checksum is %08x, want %08x", got, want), passing: true}
	}
	return nil
}

func (h *batchHeader) timestampType() int8 {
	if h.attributes&attrLogAppend != 0 {
		return 1
	}
	return 0
}

// A scan is what the answer to one fetch of one partition holds.
type scan struct {
	from, to int   // the bytes of the batches that hold offsets of the range
	next     int64 // the offset after the last batch, at most the range's end; the range's start if there is none
	first    int   // whole length of the first batch if not even that one is whole, else 0
	density        // of the batches in those bytes; zero if there is none
}

// scanBatches hops over the batch headers of b, fetched at offset start, and checks every batch up to the offset end. An error says where
// the first bad batch is; the scan then covers what is before it.
func scanBatches(b []byte, start, end int64) (scan, error) {
	s := scan{next: start}
	base := int64(-1) // of the first batch that counts
	for pos := 0; ; {
		h, whole, err := readHeader(b, pos)
		if err == nil && whole {
			err = h.checkCRC(b)
		}
		switch {
		case err != nil:
			return s, err
		case !whole:
			if rest := len(b) - pos; s.to == 0 && rest >= batchLengthPrefix {
				s.first = int(binary.BigEndian.Uint32(b[pos+batchLength:])) + batchLengthPrefix
			}
			return s, nil
		case h.base >= end:
			s.next = end // nothing of the range is left before this batch
			return s, nil
		case s.to > 0 && h.base < s.next:
			return s, &corruptError{offset: h.base, why: fmt.Sprintf("it follows a batch that ends at offset %d", s.next-1), passing: true}
		case h.last < start: // a broker answers with the batch that holds the offset; compaction may have moved it
			s.from = h.end
		default:
			if base < 0 {
				base = h.base
			}
			s.to, s.next = h.end, min(h.last+1, end)
			s.bytesPerOffset = float64(s.to-s.from) / float64(h.last+1-base)
			s.batchBytes = max(s.batchBytes, h.end-pos)
		}
		if pos = h.end; s.next >= end {
			return s, nil
		}
	}
}

// longVarint reads a zigzag varint; the position is -1 if it is longer than ten bytes or than b.
func longVarint(b []byte, pos int) (int64, int) {
	var u uint64
	for shift := uint(0); uint(pos) < uint(len(b)) && shift < 70; shift += 7 {
		c := b[pos]
		pos++
		u |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return unzigzag(u), pos
		}
	}
	return 0, -1
}

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// shortVarint reads a varint, still zigzag, at the low end of a word, and says how many bytes it has: 1, 2, or 0 where it has more.
func shortVarint(w uint64) (u uint64, n uint) {
	if w&0x80 == 0 {
		return w & 0x7f, 1
	}
	if w&0x8000 == 0 {
		return w&0x7f | w>>1&0x3f80, 2
	}
	return 0, 0
}

// A cursor stands before a record of an open batch.
type cursor struct {
	h    batchHeader
	pos  int   // in the buffer that holds the records
	end  int   // of the records
	left int   // records that follow
	last int64 // offset delta of the record before; -1 at first
}

// A record is what a cursor reads of one.
type record struct {
	time, delta int64 // relative to the batch's
	key, value  stream.Span
	next        int // position of the next record
}

// parse appends up to most records of the range [start, end) that lie in b to dst, whose slices have room for them, and says whether the
// batch is through: its last record was read, or one at or past end. What is not in the range is skipped.
//
// REQUIRES: b has column.Slack bytes of capacity past the cursor's end.
func (c *cursor) parse(b []byte, dst *stream.Records, start, end int64, most int) (through bool, err error) {
	k := len(dst.Offset)
	offsets := dst.Offset[:k+most]
	times, keys, values := dst.Timestamp[:len(offsets)], dst.Key[:len(offsets)], dst.Value[:len(offsets)]
	timeBase, timeMask := c.h.firstTime, int64(-1)
	if c.h.attributes&attrLogAppend != 0 { // the time of append holds for all records
		timeBase, timeMask = c.h.maxTime, 0
	}
	b = b[:c.end+column.Slack]
	pos, last, left := c.pos, c.last, c.left
	var r record
	for ; left > 0 && k < len(offsets); left-- {
		if !r.readShort(b, pos, c.end) {
			if why := r.read(b[:c.end], pos); why != "" {
				return false, c.bad(why)
			}
		}
		if r.delta <= last || r.delta > c.h.deltaLimit {
			return false, c.bad("a record's offset is wrong")
		}
		pos, last = r.next, r.delta
		offset := c.h.base + r.delta
		if offset < start {
			continue
		}
		if offset >= end {
			through = true
			break
		}
		offsets[k], times[k], keys[k], values[k] = offset, timeBase+r.time&timeMask, r.key, r.value
		k++
	}
	dst.Offset, dst.Timestamp, dst.Key, dst.Value = offsets[:k], times[:k], keys[:k], values[:k]
	c.pos, c.last, c.left = pos, last, left
	if left == 0 && pos != c.end {
		return false, c.bad(fmt.Sprintf("%d bytes follow its last record", c.end-pos))
	}
	return through || left == 0, nil
}

// readShort reads a record all of whose varints have at most two bytes, which is nearly every one, by words of 8 bytes. It is false where
// that does not hold or the record is not right.
func (r *record) readShort(b []byte, pos, end int) bool {
	if pos >= end {
		return false
	}
	u, n := shortVarint(binary.LittleEndian.Uint64(b[pos:]))
	p := pos + int(n)
	r.next = p + int(unzigzag(u))
	if n == 0 || r.next > end || r.next-p < minRecordLen-1 {
		return false
	}
	w := binary.LittleEndian.Uint64(b[p+1:]) // behind the attributes
	time, n1 := shortVarint(w)
	w >>= 8 * n1 & 63
	delta, n2 := shortVarint(w)
	w >>= 8 * n2 & 63
	key, n3 := shortVarint(w)
	if n1 == 0 || n2 == 0 || n3 == 0 {
		return false
	}
	r.time, r.delta = unzigzag(time), unzigzag(delta)
	p += 1 + int(n1+n2+n3)
	keyLen := int(unzigzag(key))
	if keyLen >= r.next-p {
		return false
	}
	r.key = stream.Span{Off: uint32(p), Len: int32(max(keyLen, -1))}
	p += max(keyLen, 0)
	u, n = shortVarint(binary.LittleEndian.Uint64(b[p:]))
	p += int(n)
	valueLen := int(unzigzag(u))
	if n == 0 || p >= r.next || valueLen >= r.next-p { // a count of headers follows
		return false
	}
	r.value = stream.Span{Off: uint32(p), Len: int32(max(valueLen, -1))}
	return true
}

// read reads any record, and says why one is not right.
func (r *record) read(b []byte, pos int) (why string) {
	n, p := longVarint(b, pos)
	if p < 0 || n < minRecordLen-1 || n > int64(len(b)-p) {
		return "a record's length is wrong"
	}
	r.next = p + int(n)
	b = b[:r.next]
	if r.time, p = longVarint(b, p+1); p < 0 {
		return "a record's timestamp is wrong"
	}
	if r.delta, p = longVarint(b, p); p < 0 {
		return "a record's offset is wrong"
	}
	for _, to := range []*stream.Span{&r.key, &r.value} {
		if n, p = longVarint(b, p); p < 0 || n >= int64(len(b)-p) { // a length or a count of headers follows
			return "a record's key or value is longer than the record"
		}
		*to = stream.Span{Off: uint32(p), Len: int32(max(n, -1))}
		p += int(max(n, 0))
	}
	return ""
}

func (c *cursor) bad(why string) error { return &corruptError{offset: c.h.base, why: why} }
