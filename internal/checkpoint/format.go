package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/siltlake/silt/internal/stream"
)

// A file that cannot be parsed is torn, unless the error is one of these: then it is whole, and silt is the wrong reader.
var (
	errOtherSource = errors.New("the offsets are not those of one Kafka source")
	errNewer       = errors.New("the format is newer than this silt")
)

// The lines that begin the files of the two logs.
const (
	version1 = "v1"
	version2 = "v2" // offset log of Spark 4.2: lines carry the source's id
)

// formatMetadata is the file "metadata".
func formatMetadata(queryID string) []byte { return []byte(`{"id":"` + queryID + `"}`) }

// parseMetadata returns the query's id.
func parseMetadata(data []byte) (string, error) {
	ms, err := parseObject(data)
	if err != nil {
		return "", err
	}
	var id string
	if err := json.Unmarshal(lookup(ms, "id"), &id); err != nil {
		return "", errors.New("it holds no id")
	}
	// The id becomes the table's txn appId, alone and before a slash: nothing but a UUID may get there.
	if len(id) != len(uuid.Nil.String()) || uuid.Validate(id) != nil {
		return "", fmt.Errorf("the id %q is not a UUID", id)
	}
	return id, nil
}

// formatInitial is the file "sources/0/0".
func formatInitial(start stream.Offsets, order stream.Order) []byte {
	return append([]byte{0}, version1+"\n"+start.JSON(order)...)
}

// parseInitial reads sources/0/0. Any first byte is accepted, as by Spark, and the form of Spark 2.1.0 that has no version.
func parseInitial(data []byte) (stream.Offsets, string, error) {
	if len(data) < 2 {
		return nil, "", fmt.Errorf("it ends after %d bytes", len(data))
	}
	text := string(data[1:])
	if strings.HasPrefix(text, "v") {
		version, rest, ok := strings.Cut(text, "\n")
		if !ok {
			return nil, "", errors.New("it ends in its first line")
		}
		if err := checkVersion(version, 1); err != nil {
			return nil, "", err
		}
		text = rest
	}
	o, err := parseOffsets(text)
	return o, text, err
}

// An entry is one file of the offset log.
type entry struct {
	version  string
	metadata []member // of the second line, in order; nil if that is empty
	sourceID string   // of version 2
	text     string   // the offsets as they were printed
	offsets  stream.Offsets
}

// parseEntry reads offsets/N. No strict prefix of an entry is one, so a torn write is always noticed.
func parseEntry(data []byte) (entry, error) {
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if err := checkVersion(lines[0], 2); err != nil {
		return entry{}, err
	}
	if len(lines) < 3 {
		return entry{}, fmt.Errorf("it ends after line %d of 3", len(lines))
	}
	e := entry{version: lines[0], text: lines[2]}
	if md := strings.TrimSpace(lines[1]); md != "" {
		var err error
		if e.metadata, err = parseObject([]byte(md)); err != nil {
			return entry{}, fmt.Errorf("line 2: %w", err)
		}
	}
	if err := e.checkMetadata(); err != nil {
		return entry{}, fmt.Errorf("line 2: %w", err)
	}
	if len(lines) > 3 {
		return entry{}, fmt.Errorf("it has the offsets of %d sources: %w", len(lines)-2, errOtherSource)
	}
	if e.version == version2 {
		id, text, ok := strings.Cut(e.text, ":")
		if !ok || strings.HasPrefix(id, "{") {
			return entry{}, errors.New("line 3: no source id before the offsets")
		}
		e.sourceID, e.text = id, text
	}
	var err error
	if e.offsets, err = parseOffsets(e.text); err != nil {
		return entry{}, fmt.Errorf("line 3: %w", err)
	}
	return e, nil
}

// checkMetadata reads what silt needs of the second line, so that its getters cannot fail.
func (e entry) checkMetadata() error {
	if _, err := e.number("batchTimestampMs"); err != nil {
		return err
	}
	conf := lookup(e.metadata, "conf")
	if conf == nil {
		return nil
	}
	ms, err := parseObject(conf)
	if err != nil {
		return fmt.Errorf("conf: %w", err)
	}
	if v := lookup(ms, shufflePartitions); v != nil {
		if n, err := strconv.ParseInt(strings.Trim(string(v), `"`), 10, 32); err != nil || n < 1 {
			return fmt.Errorf("conf: %s is %s", shufflePartitions, v)
		}
	}
	return nil
}

// number is a whole number of the second line; 0 if it is not there.
func (e entry) number(name string) (int64, error) {
	v := lookup(e.metadata, name)
	if v == nil {
		return 0, nil
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is %s", name, v)
	}
	return n, nil
}

// time is when the batch was planned; the epoch if the entry does not say.
func (e entry) time() time.Time {
	ms, _ := e.number("batchTimestampMs") // checkMetadata has seen it
	return time.UnixMilli(ms).UTC()
}

// shufflePartitions returns spark.sql.shuffle.partitions, or Spark's default.
func (e entry) shufflePartitions() int {
	ms, _ := parseObject(lookup(e.metadata, "conf"))
	if n, err := strconv.Atoi(strings.Trim(string(lookup(ms, shufflePartitions)), `"`)); err == nil {
		return n
	}
	return defaultShufflePartitions
}

// following is the entry after e: e's version, source id, conf and order of keys, with the end and the time of the next batch. What e
// says of itself (controlBatchInfo of version 2) is not carried over.
func (e entry) following(end stream.Offsets, at time.Time) entry {
	next := entry{version: e.version, sourceID: e.sourceID, offsets: end}
	if next.version == "" {
		next.version = version1
	}
	next.text = end.JSON(stream.OrderOf(e.text, e.offsets))
	conf := lookup(e.metadata, "conf")
	if conf == nil {
		conf = json.RawMessage(newConf)
	}
	next.metadata = []member{
		{"batchWatermarkMs", json.RawMessage("0")}, // the query has no watermark
		{"batchTimestampMs", strconv.AppendInt(nil, at.UnixMilli(), 10)},
		{"conf", conf},
	}
	for _, m := range e.metadata {
		if lookup(next.metadata, m.name) == nil && m.name != "controlBatchInfo" {
			next.metadata = append(next.metadata, m)
		}
	}
	return next
}

// format prints the entry as Spark does.
func (e entry) format() []byte {
	var b bytes.Buffer
	b.WriteString(e.version)
	b.WriteByte('\n')
	for i, m := range e.metadata {
		b.WriteByte("{,"[min(i, 1)])
		name, _ := json.Marshal(m.name) // a string marshals
		b.Write(name)
		b.WriteByte(':')
		b.Write(m.value)
	}
	if e.metadata != nil {
		b.WriteByte('}')
	}
	b.WriteByte('\n')
	if e.version == version2 {
		b.WriteString(e.sourceID)
		b.WriteByte(':')
	}
	b.WriteString(e.text)
	return b.Bytes()
}

const (
	shufflePartitions        = "spark.sql.shuffle.partitions"
	defaultShufflePartitions = 200
)

// newConf is what Spark 4.1 writes to a new checkpoint: the settings that must not change under a query, at their defaults. silt has
// no state and heeds only shuffle.partitions, but Spark takes over whatever stands here.
const newConf = `{"spark.sql.streaming.stateStore.providerClass":` +
	`"org.apache.spark.sql.execution.streaming.state.HDFSBackedStateStoreProvider",` +
	`"spark.sql.streaming.stateStore.rocksdb.formatVersion":"5",` +
	`"spark.sql.streaming.stateStore.encodingFormat":"unsaferow",` +
	`"spark.sql.streaming.statefulOperator.useStrictDistribution":"true",` +
	`"spark.sql.streaming.flatMapGroupsWithState.stateFormatVersion":"2",` +
	`"spark.sql.streaming.multipleWatermarkPolicy":"min",` +
	`"spark.sql.streaming.aggregation.stateFormatVersion":"2",` +
	`"spark.sql.shuffle.partitions":"200",` +
	`"spark.sql.streaming.join.stateFormatVersion":"2",` +
	`"spark.sql.streaming.stateStore.compression.codec":"lz4",` +
	`"spark.sql.optimizer.pruneFiltersCanPruneStreamingSubplan":"false"}`

// commitEntry is the file commits/N, for every N: a query without watermark has nothing to say.
const commitEntry = version1 + "\n" + `{"nextBatchWatermarkMs":0}`

// checkCommit says why a file of the commit log cannot be read. Its second line is optional, and further keys are tolerated.
func checkCommit(data []byte) error {
	version, rest, _ := strings.Cut(strings.TrimSuffix(string(data), "\n"), "\n")
	if err := checkVersion(version, 2); err != nil {
		return err
	}
	if rest == "" {
		return nil
	}
	if _, err := parseObject([]byte(rest)); err != nil {
		return fmt.Errorf("line 2: %w", err)
	}
	return nil
}

// checkVersion accepts v1 to v<newest>.
func checkVersion(line string, newest int) error {
	n, err := strconv.Atoi(strings.TrimPrefix(line, "v"))
	if err != nil || "v"+strconv.Itoa(n) != line || n < 1 {
		return fmt.Errorf("it begins with %q, not with a version", clip(line))
	}
	if n > newest {
		return fmt.Errorf("it has version %s, not v%d: %w", line, newest, errNewer)
	}
	return nil
}

// parseOffsets tells offsets that are torn from those of another source: the latter are whole JSON.
func parseOffsets(text string) (stream.Offsets, error) {
	o, err := stream.ParseOffsets([]byte(text))
	if err != nil && (json.Valid([]byte(text)) || text == "-") {
		return nil, fmt.Errorf("%w: %w", err, errOtherSource)
	}
	return o, err
}

// clip shortens text for a message.
func clip(s string) string {
	const most = 16
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

// A member is one name and value of a JSON object, the value as it was written.
type member struct {
	name  string
	value json.RawMessage
}

// lookup returns the value of the name, nil if there is none.
func lookup(ms []member, name string) json.RawMessage {
	for _, m := range ms {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// parseObject takes a JSON object apart and keeps the order and the text of its values: what silt does not know it must hand on.
func parseObject(text []byte) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	ms, seen := []member{}, map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, notJSON(err)
		}
		name := t.(string) // More and the decoder's grammar: a name follows
		if seen[name] {
			return nil, fmt.Errorf("%q occurs twice", clip(name))
		}
		seen[name] = true
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, notJSON(err)
		}
		ms = append(ms, member{name, v})
	}
	if _, err := d.Token(); err != nil {
		return nil, notJSON(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("there is data after its JSON object")
	}
	return ms, nil
}

func notJSON(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it ends inside its JSON object")
	}
	return err
}
