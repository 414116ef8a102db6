package broker

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// batchHeaderBytes is the length of a record batch before its records (KIP-98), crcFrom where what its checksum covers begins.
const (
	batchHeaderBytes = 61
	crcFrom          = 21
)

// The bits of a batch's attributes.
const (
	attrTransactional = 1 << 4
	attrControl       = 1 << 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errBatch says that bytes are no whole, sound record batch.
var errBatch = errors.New("no whole record batch")

// A batchInfo is what recovery needs of a record batch's header.
type batchInfo struct {
	bytes         int
	first, last   int64 // offsets
	leaderEpoch   int32
	attributes    int16
	maxTimestamp  int64
	producer      int64
	producerEpoch int16
	sequence      int32
	records       int32
	abort         bool // a control batch that ends a transaction with an abort
}

// parseBatch parses the record batch at the start of b and checks its checksum.
func parseBatch(b []byte) (batchInfo, error) {
	if len(b) < batchHeaderBytes {
		return batchInfo{}, errBatch
	}
	length := int64(int32(binary.BigEndian.Uint32(b[8:])))
	size := length + 12
	if size < batchHeaderBytes || size > int64(len(b)) || b[16] != 2 {
		return batchInfo{}, errBatch
	}
	b = b[:size]
	if crc32.Checksum(b[crcFrom:], castagnoli) != binary.BigEndian.Uint32(b[17:]) {
		return batchInfo{}, errBatch
	}
	first := int64(binary.BigEndian.Uint64(b))
	info := batchInfo{
		bytes: int(size), first: first, last: first + int64(int32(binary.BigEndian.Uint32(b[23:]))),
		leaderEpoch:   int32(binary.BigEndian.Uint32(b[12:])),
		attributes:    int16(binary.BigEndian.Uint16(b[21:])),
		maxTimestamp:  int64(binary.BigEndian.Uint64(b[35:])),
		producer:      int64(binary.BigEndian.Uint64(b[43:])),
		producerEpoch: int16(binary.BigEndian.Uint16(b[51:])),
		sequence:      int32(binary.BigEndian.Uint32(b[53:])),
		records:       int32(binary.BigEndian.Uint32(b[57:])),
	}
	if info.attributes&attrControl != 0 {
		// The key of a control record is its version and its type; 0 is an abort. One that cannot be read aborts, as in kfake.
		var r kmsg.Record
		err := r.ReadFrom(b[batchHeaderBytes:])
		info.abort = err != nil || len(r.Key) < 4 || binary.BigEndian.Uint16(r.Key[2:]) == 0
	}
	return info, nil
}

// abortMarker is the batch that ends a producer's transaction with an abort, at an offset.
func abortMarker(offset int64, leaderEpoch int32, producer int64, producerEpoch int16, now time.Time) []byte {
	key := kmsg.ControlRecordKey{Type: kmsg.ControlRecordKeyTypeAbort}
	marker := kmsg.EndTxnMarker{}
	r := kmsg.Record{Key: key.AppendTo(nil), Value: marker.AppendTo(nil)}
	r.Length = int32(len(r.AppendTo(nil)) - 1) // less the length itself, which is one byte
	batch := kmsg.RecordBatch{
		FirstOffset: offset, PartitionLeaderEpoch: leaderEpoch, Magic: 2, Attributes: attrTransactional | attrControl,
		FirstTimestamp: now.UnixMilli(), MaxTimestamp: now.UnixMilli(),
		ProducerID: producer, ProducerEpoch: producerEpoch, FirstSequence: -1, NumRecords: 1, Records: r.AppendTo(nil),
	}
	b := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[crcFrom:], castagnoli))
	return b
}
