package delta

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Defaults of table properties (Delta's DeltaConfigs).
const defaultDeletedFileRetention = 7 * 24 * time.Hour

// deletedFileRetention is how long a removed file stays a tombstone in log checkpoints.
func (m *MetaData) deletedFileRetention() time.Duration {
	if d, err := parseInterval(m.Configuration["delta.deletedFileRetentionDuration"]); err == nil {
		return d
	}
	return defaultDeletedFileRetention
}

// checkpointInterval is the number of commits between log checkpoints that the table's owner asks for, 0 if none.
func (m *MetaData) checkpointInterval() int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(m.Configuration["delta.checkpointInterval"]), 10, 64)
	if err != nil || n < 1 {
		return 0
	}
	return n
}

// TxnRetention returns the time after which Spark forgets a txn, ok = false if it never does. A stream that stands still for longer is no
// longer protected by its txn (PROTOCOL.md, "Transaction Identifiers").
func (m *MetaData) TxnRetention() (d time.Duration, ok bool) {
	d, err := parseInterval(m.Configuration["delta.setTransactionRetentionDuration"])
	return d, err == nil
}

// parseInterval reads Spark's interval text: "interval 1 week", "2 days 3 hours". Months and years have no fixed length and are refused,
// as Delta does.
func parseInterval(text string) (time.Duration, error) {
	words := strings.Fields(strings.ToLower(text))
	if len(words) > 0 && words[0] == "interval" {
		words = words[1:]
	}
	if len(words) == 0 || len(words)%2 != 0 {
		return 0, fmt.Errorf("%q is no interval", text)
	}
	var sum time.Duration
	for i := 0; i < len(words); i += 2 {
		n, err := strconv.ParseInt(words[i], 10, 64)
		unit, ok := intervalUnits[strings.TrimSuffix(words[i+1], "s")]
		if err != nil || !ok || n < 0 || unit > 0 && n > int64(maxInterval/unit) {
			return 0, fmt.Errorf("%q is no interval", text)
		}
		sum = min(sum+time.Duration(n)*unit, maxInterval)
	}
	return sum, nil
}

// maxInterval keeps sums of two from overflowing.
const maxInterval = time.Duration(1<<62 - 1)

var intervalUnits = map[string]time.Duration{"microsecond": time.Microsecond, "millisecond": time.Millisecond, "second": time.Second,
	"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour, "week": 7 * 24 * time.Hour}
