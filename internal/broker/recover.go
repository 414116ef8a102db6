package broker

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siltlake/silt/internal/problem"
)

// Recovery makes of a data directory that a crash left what a clean stop would have left, from the records themselves. kfake starts on such
// a directory too, but then
//
//   - it holds all records of all partitions in memory while it starts;
//   - it knows no producer's last sequence numbers, so that a producer that sends again what was written and not acknowledged doubles it;
//   - it takes open transactions as aborted and leaves no mark of that, so that after another crash a later commit of the same producer
//     makes those records committed ones;
//   - it appends to state logs behind an entry that was half written, and never reads on behind it.
//
// The formats are those of kfake's persist.go, version 1; go.mod pins kfake, and a test that kills brokers covers them.
const formatVersion = 1

// recoverData removes the mark of a clean stop from a data directory; without one it recovers the directory.
func recoverData(ctx context.Context, dir string, now func() time.Time, log *slog.Logger) error {
	err := os.Remove(filepath.Join(dir, cleanFile))
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "meta.json")); errors.Is(err, fs.ErrNotExist) {
		return nil // a new directory
	}
	begun := now()
	r := recovery{now: now, producers: map[int64]int16{}}
	if err := r.partitions(ctx, dir); err != nil {
		return err
	}
	if err := cutLog(filepath.Join(dir, "groups.log")); err != nil {
		return err
	}
	pids := filepath.Join(dir, "pids.log")
	if err := cutLog(pids); err != nil {
		return err
	}
	if err := fenceProducers(pids, r.producers); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(dir, "seq_windows.json"), windowsFile{formatVersion, r.windows}); err != nil {
		return err
	}
	log.Info("the broker was not stopped cleanly: recovered", "dir", dir, "batches", r.batches, "bytes", r.bytes,
		"openTransactions", len(r.producers), "took", now().Sub(begun))
	return nil
}

// A recovery collects what concerns more than one partition.
type recovery struct {
	now            func() time.Time
	windows        []window
	producers      map[int64]int16 // those with an open transaction, and the epoch that fences them
	batches, bytes int64
}

func (r *recovery) partitions(ctx context.Context, dir string) error {
	root := filepath.Join(dir, "partitions")
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		topic, partition, ok := parsePartitionDir(e.Name())
		if !ok || !e.IsDir() {
			continue
		}
		l := partitionLog{dir: filepath.Join(root, e.Name()), topic: topic, partition: partition, open: map[int64]openTransaction{},
			last: map[int64]*window{}}
		if err := l.recover(r); err != nil {
			return err
		}
	}
	return nil
}

// parsePartitionDir undoes partitionDir.
func parsePartitionDir(name string) (topic string, partition int32, ok bool) {
	i := strings.LastIndexByte(name, '-')
	if i < 0 {
		return "", 0, false
	}
	n, err := strconv.ParseInt(name[i+1:], 10, 32)
	if err != nil {
		return "", 0, false
	}
	topic, err = url.PathUnescape(name[:i])
	return topic, int32(n), err == nil
}

type openTransaction struct {
	first int64
	epoch int16
}

// A partitionLog is one partition's log while it is recovered.
type partitionLog struct {
	dir       string
	topic     string
	partition int32

	segments     []segmentInfo
	first        int64 // offset of the first batch
	next         int64 // one past the last record
	epoch        int32
	maxTimestamp int64
	oldest       time.Time
	open         map[int64]openTransaction // by producer
	aborted      []abortedTransaction
	last         map[int64]*window // by producer
}

// The JSON of kfake's snapshot.json and seq_windows.json.
type (
	snapshot struct {
		Version          int                  `json:"version"`
		HighWatermark    int64                `json:"high_watermark"`
		LastStableOffset int64                `json:"last_stable_offset"`
		LogStartOffset   int64                `json:"log_start_offset"`
		Epoch            int32                `json:"epoch"`
		MaxTimestamp     int64                `json:"max_timestamp"`
		CreatedAt        time.Time            `json:"created_at"`
		AbortedTxns      []abortedTransaction `json:"aborted_txns,omitempty"`
		Segments         []segmentInfo        `json:"segments"`
	}
	abortedTransaction struct {
		ProducerID  int64 `json:"producer_id"`
		FirstOffset int64 `json:"first_offset"`
		LastOffset  int64 `json:"last_offset"`
	}
	segmentInfo struct {
		BaseOffset int64 `json:"base_offset"`
		Size       int64 `json:"size"`
		MinEpoch   int32 `json:"min_epoch,omitempty"`
		MaxEpoch   int32 `json:"max_epoch,omitempty"`
	}
	windowsFile struct {
		Version int      `json:"version"`
		Windows []window `json:"windows"`
	}
	// A window is the last five batches of a producer in a partition, in a ring.
	window struct {
		Producer  int64          `json:"pid"`
		Topic     string         `json:"topic"`
		Partition int32          `json:"partition"`
		Entries   [5]windowEntry `json:"entries"`
		Count     uint8          `json:"count"`
		At        uint8          `json:"at"`
		Epoch     int16          `json:"epoch"`
		Seen      bool           `json:"seen"`
		NextSeq   int32          `json:"next_seq"`
	}
	windowEntry struct {
		FirstSeq int32 `json:"first_seq"`
		NextSeq  int32 `json:"next_seq"`
		Offset   int64 `json:"offset"`
	}
)

// add notes a batch in a producer's window, as kfake does when it takes one.
func (w *window) add(b batchInfo) {
	if !w.Seen || b.producerEpoch != w.Epoch {
		w.Entries, w.Count, w.At = [5]windowEntry{}, 0, 0
	}
	w.Seen, w.Epoch = true, b.producerEpoch
	w.NextSeq = int32((int64(b.sequence) + int64(b.records)) % math.MaxInt32)
	w.Entries[w.At] = windowEntry{b.sequence, w.NextSeq, b.first}
	w.At = (w.At + 1) % uint8(len(w.Entries))
	w.Count = min(w.Count+1, uint8(len(w.Entries)))
}

func (l *partitionLog) recover(r *recovery) error {
	segments, err := readSegments(l.dir)
	if err != nil {
		return err
	}
	var offset int64 = -1
	for i, s := range segments {
		if err := l.readSegment(r, s, i == len(segments)-1); err != nil {
			return err
		}
		if i == 0 {
			offset, l.oldest = l.first, s.appended
		}
	}
	if len(l.segments) == 0 {
		return nil
	}
	if err := l.abortOpen(r); err != nil {
		return err
	}
	for _, w := range l.last {
		r.windows = append(r.windows, *w)
	}
	return l.writeSnapshot(offset)
}

// readSegment reads one segment, the last one up to a batch that was not written whole, which it cuts off.
func (l *partitionLog) readSegment(r *recovery, s segment, last bool) error {
	file := filepath.Join(l.dir, strconv.FormatInt(s.base, 10)+segmentSuffix)
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	info := segmentInfo{BaseOffset: s.base}
	var index []byte
	at := 0
	for at < len(data) {
		b, err := parseBatch(data[at:])
		if err != nil {
			break
		}
		if at == 0 {
			info.MinEpoch = b.leaderEpoch
		}
		info.MinEpoch, info.MaxEpoch = min(info.MinEpoch, b.leaderEpoch), max(info.MaxEpoch, b.leaderEpoch)
		if len(l.segments) == 0 && at == 0 {
			l.first = b.first
		}
		l.add(b)
		index = appendIndex(index, b)
		at += b.bytes
		r.batches++
	}
	r.bytes += int64(at)
	if at < len(data) {
		if !last {
			return problem.New(problem.CorruptState, "a record batch at byte %d cannot be read", at).At(problem.File(file)).
				Fix("restore the file, or remove it and the .idx beside it: the records in it, from offset %d on, are lost then", s.base)
		}
		if err := os.Truncate(file, int64(at)); err != nil {
			return err
		}
	}
	indexName := filepath.Join(l.dir, strconv.FormatInt(s.base, 10)+indexSuffix)
	if at == 0 {
		return errors.Join(os.Remove(file), removeIfThere(indexName))
	}
	info.Size = int64(at)
	l.segments = append(l.segments, info)
	if s.batches*indexEntry != int64(len(index)) {
		return writeFile(indexName, index)
	}
	return nil
}

// add notes a batch.
func (l *partitionLog) add(b batchInfo) {
	l.next = b.last + 1
	l.epoch = b.leaderEpoch
	l.maxTimestamp = max(l.maxTimestamp, b.maxTimestamp)
	if b.attributes&attrControl != 0 {
		if open, ok := l.open[b.producer]; ok && b.abort {
			l.aborted = append(l.aborted, abortedTransaction{b.producer, open.first, b.first})
		}
		delete(l.open, b.producer)
		return
	}
	if b.attributes&attrTransactional != 0 {
		open, ok := l.open[b.producer]
		if !ok {
			open.first = b.first
		}
		open.epoch = b.producerEpoch
		l.open[b.producer] = open
	}
	if b.producer >= 0 && b.sequence >= 0 {
		if l.last[b.producer] == nil {
			l.last[b.producer] = &window{Producer: b.producer, Topic: l.topic, Partition: l.partition}
		}
		l.last[b.producer].add(b)
	}
}

// appendIndex appends a batch's entry to the index of its segment.
func appendIndex(index []byte, b batchInfo) []byte {
	e := make([]byte, indexEntry)
	e[0] = formatVersion
	binary.LittleEndian.PutUint32(e[2:], uint32(b.leaderEpoch))
	binary.LittleEndian.PutUint64(e[6:], uint64(b.maxTimestamp)) // not read back
	if b.attributes&attrTransactional != 0 && b.attributes&attrControl == 0 {
		e[14] = 1
	}
	e[1] = byte(crc32.Checksum(e[2:], castagnoli))
	return append(index, e...)
}

// abortOpen ends the transactions that were open when the process died: their producers will not be able to.
func (l *partitionLog) abortOpen(r *recovery) error {
	if len(l.open) == 0 {
		return nil
	}
	s := &l.segments[len(l.segments)-1]
	var data, index []byte
	for producer, open := range l.open {
		marker := abortMarker(l.next, l.epoch, producer, open.epoch, r.now())
		b, err := parseBatch(marker)
		if err != nil {
			return fmt.Errorf("our own abort marker: %w", err)
		}
		data, index = append(data, marker...), appendIndex(index, b)
		l.aborted = append(l.aborted, abortedTransaction{producer, open.first, l.next})
		r.producers[producer] = max(r.producers[producer], open.epoch+1)
		l.next++
	}
	s.Size += int64(len(data))
	name := filepath.Join(l.dir, strconv.FormatInt(s.BaseOffset, 10))
	return errors.Join(appendFile(name+segmentSuffix, data), appendFile(name+indexSuffix, index))
}

// writeSnapshot writes what kfake starts from. A snapshot of the last clean stop may know of records that were deleted, in the middle of a
// segment, before that.
func (l *partitionLog) writeSnapshot(start int64) error {
	file := filepath.Join(l.dir, "snapshot.json")
	var before snapshot
	if b, err := os.ReadFile(file); err == nil && json.Unmarshal(b, &before) == nil && before.LogStartOffset <= l.next {
		start = max(start, before.LogStartOffset)
	}
	slices.SortFunc(l.aborted, func(a, b abortedTransaction) int { return int(min(max(a.LastOffset-b.LastOffset, -1), 1)) })
	return writeJSON(file, snapshot{
		Version: formatVersion, HighWatermark: l.next, LastStableOffset: l.next, LogStartOffset: start, Epoch: l.epoch,
		MaxTimestamp: l.maxTimestamp, CreatedAt: l.oldest, AbortedTxns: l.aborted, Segments: l.segments,
	})
}

// entryHeaderBytes is what stands before an entry of kfake's state logs: length of what follows the checksum, checksum, version.
const entryHeaderBytes = 10

// cutLog cuts an entry that was not written whole off the end of a state log.
func cutLog(file string) error {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if whole := wholeEntries(data); whole < len(data) {
		return os.Truncate(file, int64(whole))
	}
	return nil
}

// wholeEntries returns how many bytes at the start of a state log are whole entries.
func wholeEntries(data []byte) int {
	at := 0
	for at+entryHeaderBytes <= len(data) {
		length := int64(binary.LittleEndian.Uint32(data[at:]))
		end := int64(at) + 8 + length
		if length < 2 || end > int64(len(data)) || crc32.Checksum(data[at+8:end], castagnoli) != binary.LittleEndian.Uint32(data[at+4:]) {
			break
		}
		at = int(end)
	}
	return at
}

// fenceProducers gives the producers of transactions that were aborted a new epoch, so that one that is still alive cannot go on with the
// rest of its transaction.
func fenceProducers(file string, epochs map[int64]int16) error {
	if len(epochs) == 0 {
		return nil
	}
	var out []byte
	for producer, epoch := range epochs {
		entry, err := json.Marshal(struct {
			Type  string `json:"type"`
			PID   int64  `json:"pid"`
			Epoch int16  `json:"epoch"`
		}{"timeout", producer, epoch})
		if err != nil {
			return err
		}
		payload := append(binary.LittleEndian.AppendUint16(nil, formatVersion), entry...)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(payload)))
		out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(payload, castagnoli))
		out = append(out, payload...)
	}
	return appendFile(file, out)
}

func appendFile(file string, b []byte) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

func removeIfThere(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
