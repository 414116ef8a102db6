package delta

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/siltlake/silt/internal/store"
)

// Names in a table's folder (PROTOCOL.md, "Delta Log Entries" and "Checkpoints"). Versions have 20 digits, so names sort as versions do.
const (
	logFolder   = "_delta_log/"
	hintKey     = logFolder + "_last_checkpoint"
	hintCRCKey  = logFolder + "._last_checkpoint.crc"
	sidecarsKey = logFolder + "_sidecars/"
	// versionsPrefix begins the names of all commits and checkpoints: the largest version has 19 digits.
	versionsPrefix = logFolder + "0"
)

func commitKey(version int64) string { return fmt.Sprintf("%s%020d.json", logFolder, version) }

func checkpointKey(version int64) string {
	return fmt.Sprintf("%s%020d.checkpoint.parquet", logFolder, version)
}

// beforeVersion sorts before all names of the version and after those of the version before it.
func beforeVersion(version int64) string { return fmt.Sprintf("%s%020d", logFolder, version) }

// A logName is what the name of a file in the log says.
type logName struct {
	version int64
	kind    logKind
	// Of checkpoints: the UUID of a UUID-named one; part and parts of a multi-part one, counted from 1.
	uuid        string
	part, parts int
	json        bool
}

type logKind uint8

const (
	otherFile logKind = iota // .crc, .compacted.json, hidden files, files of others
	commitFile
	checkpointFile
)

// parseName reads the name of a file in the log folder. Names that do not parse are of no interest, as the protocol says.
func parseName(key string) logName {
	name, ok := strings.CutPrefix(key, logFolder)
	if !ok || len(name) < 20 {
		return logName{}
	}
	version, ok := parseDigits(name[:20])
	if !ok {
		return logName{}
	}
	n := logName{version: version}
	rest := name[20:]
	if rest == ".json" {
		n.kind = commitFile
		return n
	}
	if rest, ok = strings.CutPrefix(rest, ".checkpoint."); !ok {
		return logName{}
	}
	parts := strings.Split(rest, ".")
	switch len(parts) {
	case 1: // N.checkpoint.parquet
		ok = parts[0] == "parquet"
	case 2: // N.checkpoint.UUID.json or .parquet
		n.uuid, n.json = parts[0], parts[1] == "json"
		ok = n.uuid != "" && (n.json || parts[1] == "parquet")
	case 3: // N.checkpoint.PPPPPPPPPP.TTTTTTTTTT.parquet
		part, ok1 := parseDigits(parts[0])
		total, ok2 := parseDigits(parts[1])
		ok = parts[2] == "parquet" && ok1 && ok2 && len(parts[0]) == 10 && len(parts[1]) == 10 && part >= 1 && part <= total && total <= maxParts
		n.part, n.parts = int(part), int(total)
	default:
		ok = false
	}
	if !ok {
		return logName{}
	}
	n.kind = checkpointFile
	return n
}

// maxParts bounds a multi-part checkpoint; the largest one known had 454 parts.
const maxParts = 1 << 20

func parseDigits(s string) (int64, bool) {
	if strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// A checkpoint is a complete log checkpoint as a listing shows it.
type checkpoint struct {
	version int64
	json    bool         // its only file is JSON
	files   []store.Info // one, or the parts in order
}

// bytes is the size of its files, without sidecars.
func (c *checkpoint) bytes() (n int64) {
	for _, f := range c.files {
		n += f.Size
	}
	return n
}

// A listing is what the log folder holds: the versions of the commits, ascending, and the complete checkpoints, the best one of each
// version, ascending.
type listing struct {
	commits     []int64
	checkpoints []*checkpoint
}

// newListing sorts out a listing of the log folder. Of several checkpoints of one version the classic one is taken, then the UUID-named
// ones by name, then multi-part ones: any is right, the choice has to be the same each time. Empty files are those of a crash.
func newListing(files []store.Info) listing {
	var l listing
	byVersion := map[int64][]store.Info{}
	for _, f := range files {
		switch n := parseName(f.Key); n.kind {
		case commitFile:
			l.commits = append(l.commits, n.version)
		case checkpointFile:
			if f.Size > 0 {
				byVersion[n.version] = append(byVersion[n.version], f)
			}
		}
	}
	slices.Sort(l.commits)
	for version, files := range byVersion {
		if c := choose(version, files); c != nil {
			l.checkpoints = append(l.checkpoints, c)
		}
	}
	slices.SortFunc(l.checkpoints, func(a, b *checkpoint) int { return cmp.Compare(a.version, b.version) })
	return l
}

// drop takes a checkpoint out that cannot be read.
func (l *listing) drop(c *checkpoint) {
	l.checkpoints = slices.DeleteFunc(l.checkpoints, func(o *checkpoint) bool { return o == c })
}

func choose(version int64, files []store.Info) *checkpoint {
	slices.SortFunc(files, func(a, b store.Info) int { return cmp.Compare(a.Key, b.Key) })
	var named *checkpoint
	multi := map[int][]store.Info{} // by number of parts
	for _, f := range files {
		switch n := parseName(f.Key); {
		case n.parts > 0:
			multi[n.parts] = append(multi[n.parts], f)
		case n.uuid == "":
			return &checkpoint{version: version, files: []store.Info{f}}
		case named == nil:
			named = &checkpoint{version: version, json: n.json, files: []store.Info{f}}
		}
	}
	if named != nil {
		return named
	}
	var best *checkpoint
	for total, parts := range multi { // sorted by key, thus by part; a listing has no key twice
		if len(parts) == total && (best == nil || total < len(best.files)) {
			best = &checkpoint{version: version, files: parts}
		}
	}
	return best
}

// at returns what a reader of the version (-1: the newest) needs: the newest checkpoint that is not newer, nil if there is none, and the
// contiguous commits after it. missing is the version of the commit that a gap leaves out, -1 if there is none.
func (l listing) at(version int64) (c *checkpoint, last, missing int64) {
	last = -1
	for _, p := range l.checkpoints {
		if version < 0 || p.version <= version {
			c, last = p, p.version
		}
	}
	for _, v := range l.commits {
		switch {
		case v <= last || version >= 0 && v > version:
		case v == last+1:
			last = v
		default:
			return c, last, last + 1
		}
	}
	if version >= 0 && last < version {
		return c, last, last + 1
	}
	return c, last, -1
}
