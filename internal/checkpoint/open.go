package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/stream"
)

// Open implements stream.Log. A checkpoint that cannot be explained is a problem that names the file; a newest offsets/N that a crash
// of the machine tore is State.Unreadable, and a newest commits/N that cannot be read counts as missing.
func (l *Log) Open(ctx context.Context) (stream.State, error) {
	// Spark refuses a checkpoint with files that it does not know in offsets or commits. Nobody but this query writes here. In an object store
	// a put leaves nothing behind; what could be cleaned there are uploads below the checkpoint, which are somebody else's, and the right to
	// list them is one more.
	if l.crc {
		if _, err := store.Clean(ctx, l.store, "", time.Time{}); err != nil {
			return stream.State{}, l.failed(err, "")
		}
	}
	l.queryID, l.started, l.newest, l.last, l.torn = "", false, -1, entry{}, -1
	offsets, commits, err := l.list(ctx)
	if err != nil {
		return stream.State{}, err
	}
	l.purge.oldest(lowest(offsets, commits))
	s := stream.State{Planned: -1, Done: -1}
	if l.queryID, err = l.openMetadata(ctx, len(offsets)+len(commits) > 0); err != nil {
		return stream.State{}, err
	}
	if s.Done, err = l.openCommits(ctx, commits); err != nil {
		return stream.State{}, err
	}
	s.Planned = newest(offsets)
	if err := l.checkIDs(s, offsets); err != nil {
		return stream.State{}, err
	}
	return l.openOffsets(ctx, s)
}

// list lists both logs. If they do not fit together, another run may have moved on between the two listings: they are listed again until
// they fit or stay as they are.
func (l *Log) list(ctx context.Context) (offsets, commits []int64, err error) {
	const tries = 5
	for range tries {
		lastOffsets, lastCommits := offsets, commits
		if commits, err = l.ids(ctx, commitsDir); err != nil {
			return nil, nil, err
		}
		if offsets, err = l.ids(ctx, offsetsDir); err != nil {
			return nil, nil, err
		}
		planned, done := newest(offsets), newest(commits)
		if planned == done || planned == done+1 || slices.Equal(offsets, lastOffsets) && slices.Equal(commits, lastCommits) {
			return offsets, commits, nil
		}
	}
	return nil, nil, l.fenced(offsetsKey(newest(offsets)))
}

// ids lists the batches of which dir has a file, in order. Names that are not longs are not batches: Databricks leaves folders there.
func (l *Log) ids(ctx context.Context, dir string) ([]int64, error) {
	var ids []int64
	for info, err := range l.store.List(ctx, dir, "") {
		if err != nil {
			return nil, l.failed(err, dir)
		}
		if n, ok := parseID(strings.TrimPrefix(info.Key, dir)); ok {
			ids = append(ids, n)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// parseID reads the name of a batch's file, as Spark prints it.
func parseID(name string) (int64, bool) {
	n, err := strconv.ParseInt(name, 10, 64)
	return n, err == nil && n >= 0 && strconv.FormatInt(n, 10) == name
}

// openMetadata returns the query's id, "" for a log without one.
func (l *Log) openMetadata(ctx context.Context, used bool) (string, error) {
	data, err := l.read(ctx, metadataKey)
	switch {
	case errors.Is(err, fs.ErrNotExist) && used:
		return "", l.corrupt(metadataKey, "the checkpoint has batches but no file metadata").
			Fix("restore the file; it holds the id by which the table knows the query")
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err == nil:
		var id string
		if id, err = parseMetadata(data); err == nil {
			return id, nil
		}
		err = asTorn(err)
	}
	return "", l.unreadable(err, metadataKey, "restore the file; it holds the id by which the table knows the query")
}

// QueryID returns the id of the query whose checkpoint is there, "" if there is none. Unlike Open it removes nothing that a killed run left
// behind: a query may be running there.
func (l *Log) QueryID(ctx context.Context) (string, error) { return l.openMetadata(ctx, false) }

// openCommits returns the newest batch whose file can be read. Only the newest file may be torn.
func (l *Log) openCommits(ctx context.Context, ids []int64) (int64, error) {
	for i := len(ids) - 1; i >= 0; i-- {
		data, err := l.read(ctx, commitsKey(ids[i]))
		if err == nil {
			err = asTorn(checkCommit(data))
		}
		switch {
		case err == nil:
			return ids[i], nil
		case i < len(ids)-1 || !errors.As(err, new(*tornError)):
			return -1, l.unreadable(err, commitsKey(ids[i]), "restore the file, or the whole checkpoint")
		}
		l.torn = ids[i]
	}
	return -1, nil
}

// checkIDs refuses logs that no run of one query leaves behind.
func (l *Log) checkIDs(s stream.State, offsets []int64) error {
	const hint = "restore the whole checkpoint from one moment"
	switch {
	case s.Done > s.Planned:
		return l.corrupt(commitsKey(s.Done), "batch %d is committed, but the newest planned batch is %s", s.Done, shown(s.Planned)).Fix(hint)
	case s.Planned > s.Done+1:
		return l.corrupt(commitsKey(s.Planned-1), "batch %d is planned, but the newest committed batch is %s", s.Planned, shown(s.Done)).Fix(hint)
	case s.Planned > 0 && !slices.Contains(offsets, s.Planned-1):
		return l.corrupt(offsetsKey(s.Planned-1), "batch %d is planned, but the file of the batch before it is missing", s.Planned).Fix(hint)
	}
	return nil
}

// openOffsets reads the newest two entries, or the start.
func (l *Log) openOffsets(ctx context.Context, s stream.State) (stream.State, error) {
	var before entry
	var err error
	if s.Planned > 0 {
		before, err = l.openEntry(ctx, s.Planned-1)
	} else {
		before, err = l.openInitial(ctx, s.Planned == 0)
	}
	if err != nil {
		return stream.State{}, err
	}
	l.last, l.newest = before, max(s.Planned-1, -1)
	s.Batch = stream.Batch{QueryID: l.queryID, ID: s.Planned, Start: before.offsets}
	if s.Planned >= 0 {
		e, err := l.openEntry(ctx, s.Planned)
		torn := new(tornError)
		switch {
		case err == nil:
			l.last, l.newest = e, s.Planned
			s.Batch.End, s.Batch.Time = e.offsets, e.time()
		case errors.As(err, &torn):
			s.Unreadable = err
		default:
			return stream.State{}, err
		}
	}
	s.Batch.ShufflePartitions = l.last.shufflePartitions()
	return s, nil
}

// openEntry reads offsets/n; a torn one is a problem with a *tornError in it.
func (l *Log) openEntry(ctx context.Context, n int64) (entry, error) {
	data, err := l.read(ctx, offsetsKey(n))
	if err == nil {
		var e entry
		if e, err = parseEntry(data); err == nil {
			return e, nil
		}
		err = asTorn(err)
	}
	return entry{}, l.unreadable(err, offsetsKey(n), "restore the file, or the whole checkpoint")
}

// openInitial reads sources/0/0 as an entry without metadata; it must be there if batch 0 was planned.
func (l *Log) openInitial(ctx context.Context, planned bool) (entry, error) {
	data, err := l.read(ctx, initialKey)
	switch {
	case errors.Is(err, fs.ErrNotExist) && planned:
		return entry{}, l.corrupt(initialKey, "batch 0 is planned, but the file of its start is missing").Fix("restore the file")
	case errors.Is(err, fs.ErrNotExist):
		return entry{}, nil
	case err == nil:
		var e entry
		if e.offsets, e.text, err = parseInitial(data); err == nil {
			l.started = true
			return e, nil
		}
		err = asTorn(err)
	}
	return entry{}, l.unreadable(err, initialKey, "restore the file")
}

// corrupt is a checkpoint that cannot be explained.
func (l *Log) corrupt(key, format string, args ...any) *problem.Problem {
	return problem.New(problem.CorruptCheckpoint, format, args...).At(l.where(key))
}

// unreadable makes a problem of why a file cannot be read.
func (l *Log) unreadable(err error, key, hint string) error {
	switch {
	case errors.Is(err, errOtherSource):
		return problem.New(problem.OtherSource, "%s is the checkpoint of another source", l.store.URL()).At(l.where(key)).Because(err).
			Fix("give each query a checkpointLocation of its own")
	case errors.Is(err, errNewer):
		return l.corrupt(key, "%s was written in a format that is newer than this silt", key).Because(err).Fix("use a newer silt")
	case errors.As(err, new(*tornError)):
		return l.corrupt(key, "%s cannot be read", key).Because(err).Fix("%s", hint)
	case errors.Is(err, fs.ErrNotExist):
		return l.corrupt(key, "%s was removed while it was read", key).Because(err).Fix("look for another run of the query")
	}
	return err
}

// lowest is the lowest of ids in order; 0 without any.
func lowest(ids ...[]int64) int64 {
	least := int64(-1)
	for _, l := range ids {
		if len(l) > 0 && (least < 0 || l[0] < least) {
			least = l[0]
		}
	}
	return max(least, 0)
}

// newest is the greatest of ids in order; -1 without any.
func newest(ids []int64) int64 {
	if len(ids) == 0 {
		return -1
	}
	return ids[len(ids)-1]
}

// shown names a batch that may not be.
func shown(n int64) string {
	if n < 0 {
		return "none"
	}
	return fmt.Sprint(n)
}
