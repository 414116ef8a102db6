package delta

import (
	"fmt"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/store"
)

const v12 = "_delta_log/00000000000000000012"

func TestNamesOfTheLog(t *testing.T) {
	const uuid = "6374b053-df23-479b-b2cf-c9c550132b49"
	tests := []struct {
		key  string
		want logName
	}{
		{v12 + ".json", logName{version: 12, kind: commitFile}},
		{v12 + ".checkpoint.parquet", logName{version: 12, kind: checkpointFile}},
		{v12 + ".checkpoint." + uuid + ".parquet", logName{version: 12, kind: checkpointFile, uuid: uuid}},
		{v12 + ".checkpoint." + uuid + ".json", logName{version: 12, kind: checkpointFile, uuid: uuid, json: true}},
		{v12 + ".checkpoint.0000000002.0000000003.parquet", logName{version: 12, kind: checkpointFile, part: 2, parts: 3}},
		{"_delta_log/09223372036854775807.json", logName{version: 9223372036854775807, kind: commitFile}},
		// What is of no interest.
		{v12 + ".crc", logName{}},
		{v12 + ".checkpoint.json", logName{}},
		{v12 + ".checkpoint.0000000004.0000000003.parquet", logName{}}, // a part after the last
		{v12 + ".checkpoint.0000000000.0000000003.parquet", logName{}},
		{v12 + ".checkpoint.1.3.parquet", logName{}},
		{v12 + ".checkpoint.0000000001.0000000003.json", logName{}},
		{v12 + ".checkpoint..parquet", logName{}},
		{v12 + ".json.tmp", logName{}},
		{v12 + ".00000000000000000020.compacted.json", logName{}},
		{"_delta_log/0000000000000000001.json", logName{}}, // 19 digits
		{"_delta_log/99999999999999999999.json", logName{}},
		{"_delta_log/+0000000000000000012.json", logName{}},
		{"_delta_log/_last_checkpoint", logName{}},
		{"00000000000000000012.json", logName{}},
	}
	for _, tt := range tests {
		if got := parseName(tt.key); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.key, got, tt.want)
		}
	}
	if commitKey(12) != v12+".json" || checkpointKey(12) != v12+".checkpoint.parquet" {
		t.Errorf("got %s and %s", commitKey(12), checkpointKey(12))
	}
	if !(beforeVersion(12) < commitKey(12) && beforeVersion(12) < checkpointKey(12) && beforeVersion(12) > checkpointKey(11)+"~" &&
		beforeVersion(12) > commitKey(11)+"~") {
		t.Error("a listing that begins at a version has more or less than the names from it on")
	}
}

func TestNewestCompleteCheckpointAndContiguousCommits(t *testing.T) {
	// Names without folder and zeros: c is a commit, p a classic checkpoint, u and w UUID-named ones, 1/2 a part, 0p an empty checkpoint.
	tests := []struct {
		what, names   string
		at            int64
		from          string // the file of the checkpoint, "" for none
		last, missing int64
	}{
		{"no table", "", -1, "", -1, -1},
		{"commits only", "0c 1c 2c", -1, "", 2, -1},
		{"commits only, an older version", "0c 1c 2c", 1, "", 1, -1},
		{"a version that is not there yet", "0c 1c", 5, "", 1, 2},
		{"a gap", "0c 2c 3c", -1, "", 0, 1},
		{"a gap after the version asked for", "0c 1c 3c", 1, "", 1, -1},
		{"a log that begins later", "3c 4c", -1, "", -1, 0},
		{"a checkpoint", "0c 1c 2c 2p 3c", -1, "2p", 3, -1},
		{"a checkpoint whose commits were cleaned up", "4p 5c 6c", -1, "4p", 6, -1},
		{"a gap before the checkpoint", "0c 2c 4c 4p 5c", -1, "4p", 5, -1},
		{"a gap after the checkpoint", "4c 4p 6c", -1, "4p", 4, 5},
		{"checkpoints only", "1p 2p", -1, "2p", 2, -1},
		{"the newest checkpoint is newer than the version asked for", "0c 1c 1p 2c 3c 3p", 2, "1p", 2, -1},
		{"all checkpoints are newer, and the commits are gone", "3p 4c", 2, "", -1, 0},
		{"an empty checkpoint is one that a crash tore", "0c 1c 1p 2c 3c 3(0)p", -1, "1p", 3, -1},
		{"all parts", "0c 1c 1.1/2 1.2/2 2c", -1, "1.1/2", 2, -1},
		{"a part is missing", "0c 1c 1.1/3 1.3/3 2c", -1, "", 2, -1},
		{"a part is empty", "0c 1c 1.1/2 1(0).2/2 2c", -1, "", 2, -1},
		{"parts of two checkpoints", "0c 1c 1.1/2 1.1/3 1.2/3 1.3/3", -1, "1.1/3", 1, -1},
		{"the classic one is taken before others", "0c 1c 1w 1.1/1 1p 1u", -1, "1p", 1, -1},
		{"the first UUID is taken before parts", "0c 1c 1w 1.1/1 1u", -1, "1u", 1, -1},
	}
	for _, tt := range tests {
		var files []store.Info
		short := map[string]string{}
		for _, name := range strings.Fields(tt.names) {
			key, size := expand(name)
			files = append(files, store.Info{Key: key, Size: size})
			short[key] = name
		}
		c, last, missing := newListing(files).at(tt.at)
		from := ""
		if c != nil {
			from = short[c.files[0].Key]
		}
		if from != tt.from || last != tt.last || missing != tt.missing {
			t.Errorf("%s: got checkpoint %q, last %d, missing %d; want %q, %d, %d", tt.what, from, last, missing, tt.from, tt.last, tt.missing)
		}
	}
}

// expand returns the key of a short name and the file's size.
func expand(name string) (string, int64) {
	size := int64(1)
	if strings.Contains(name, "(0)") {
		name, size = strings.Replace(name, "(0)", "", 1), 0
	}
	var version, part, parts int
	var kind string
	if n, _ := fmt.Sscanf(name, "%d.%d/%d", &version, &part, &parts); n == 3 {
		return fmt.Sprintf("_delta_log/%020d.checkpoint.%010d.%010d.parquet", version, part, parts), size
	}
	if n, _ := fmt.Sscanf(name, "%d%s", &version, &kind); n != 2 {
		panic(name)
	}
	end := map[string]string{"c": ".json", "p": ".checkpoint.parquet", "u": ".checkpoint.0a.parquet", "w": ".checkpoint.0b.json"}[kind]
	return fmt.Sprintf("_delta_log/%020d%s", version, end), size
}
