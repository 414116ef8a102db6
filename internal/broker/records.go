package broker

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxRecordsBytes bounds the records of one batch once they are decompressed.
const maxRecordsBytes = 64 << 20

const attrLogAppendTime = 1 << 3

// A recordChecker checks batches of records as Apache Kafka does (LogValidator) before kfake takes them: kfake looks at the checksum only,
// and a record whose length is a lie ends the process when kfake reads it later, to find an offset by time. Methods may be called
// concurrently.
type recordChecker struct{ zstd *zstd.Decoder }

func newRecordChecker() (*recordChecker, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxRecordsBytes))
	return &recordChecker{d}, err
}

// check returns why a partition's records are refused, or nil. What kfake checks itself is left to it.
func (c *recordChecker) check(batch []byte) *refusal {
	if len(batch) < batchHeaderBytes || batch[16] != 2 {
		return nil
	}
	attributes := binary.BigEndian.Uint16(batch[21:])
	if attributes&attrLogAppendTime != 0 {
		// kfake would store it with a wrong checksum
		return refuse(kerr.InvalidTimestamp, "Invalid timestamp type: LogAppendTime is not for producers to set")
	}
	records, err := c.decompress(batch[batchHeaderBytes:], attributes&7)
	if err == nil {
		err = walkRecords(records, int32(binary.BigEndian.Uint32(batch[57:])))
	}
	if err != nil {
		return refuse(kerr.InvalidRecord, "One or more records have been rejected: %v", err)
	}
	return nil
}

// walkRecords checks that there are n records, each as long as it says.
func walkRecords(b []byte, n int32) error {
	for i := range n {
		length, used := binary.Varint(b)
		if used <= 0 || length < 0 || length > int64(len(b)-used) {
			return fmt.Errorf("record %d of %d does not end where it says", i, n)
		}
		b = b[used+int(length):]
	}
	if n < 0 || len(b) > 0 {
		return fmt.Errorf("%d bytes behind %d records", len(b), n)
	}
	return nil
}

var errTooLarge = fmt.Errorf("more than %d bytes once decompressed", maxRecordsBytes)

// decompress undoes the codec of a batch's attributes.
func (c *recordChecker) decompress(b []byte, codec uint16) ([]byte, error) {
	switch codec {
	case 0:
		return b, nil
	case 1:
		r, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		return readLimited(r)
	case 2:
		return unsnappy(b)
	case 3:
		return readLimited(lz4.NewReader(bytes.NewReader(b)))
	case 4:
		out, err := c.zstd.DecodeAll(b, nil)
		if errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			err = errTooLarge
		}
		return out, err
	}
	return nil, fmt.Errorf("codec %d", codec)
}

func readLimited(r io.Reader) ([]byte, error) {
	out, err := io.ReadAll(io.LimitReader(r, maxRecordsBytes+1))
	if err == nil && len(out) > maxRecordsBytes {
		err = errTooLarge
	}
	return out, err
}

// xerial is what Java's snappy writes before its blocks, each behind its length; librdkafka and Go write one bare block.
var xerial = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

func unsnappy(b []byte) ([]byte, error) {
	const xerialHeader = 16
	if !bytes.HasPrefix(b, xerial) {
		return unsnappyBlock(nil, b)
	}
	if len(b) < xerialHeader {
		return nil, io.ErrUnexpectedEOF
	}
	var out []byte
	for b = b[xerialHeader:]; len(b) > 0; {
		if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
			return nil, io.ErrUnexpectedEOF
		}
		n := int(binary.BigEndian.Uint32(b))
		var err error
		if out, err = unsnappyBlock(out, b[4:4+n]); err != nil {
			return nil, err
		}
		b = b[4+n:]
	}
	return out, nil
}

func unsnappyBlock(dst, b []byte) ([]byte, error) {
	n, err := s2.DecodedLen(b)
	if err != nil {
		return nil, err
	}
	if len(dst)+n > maxRecordsBytes {
		return nil, errTooLarge
	}
	block, err := s2.Decode(nil, b)
	return append(dst, block...), err
}

// takeRefused takes the partitions out of a request whose records are refused, and returns the answers to them.
func (c *recordChecker) takeRefused(req *kmsg.ProduceRequest) []kmsg.ProduceResponseTopic {
	var refused []kmsg.ProduceResponseTopic
	for i := range req.Topics {
		t := &req.Topics[i]
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		t.Partitions = slices.DeleteFunc(t.Partitions, func(p kmsg.ProduceRequestTopicPartition) bool {
			r := c.check(p.Records)
			if r == nil {
				return false
			}
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.ErrorCode, rp.ErrorMessage, rp.BaseOffset = p.Partition, r.code, &r.text, -1
			rt.Partitions = append(rt.Partitions, rp)
			return true
		})
		if len(rt.Partitions) > 0 {
			refused = append(refused, rt)
		}
	}
	req.Topics = slices.DeleteFunc(req.Topics, func(t kmsg.ProduceRequestTopic) bool { return len(t.Partitions) == 0 })
	return refused
}
