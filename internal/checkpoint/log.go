package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strconv"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/stream"
)

// The files of a checkpoint.
const (
	metadataKey = "metadata"
	initialKey  = "sources/0/0"
	offsetsDir  = "offsets/"
	commitsDir  = "commits/"
)

// maxFileSize bounds what is read of one file: the offsets of 100,000 partitions need 2 MB.
const maxFileSize = 16 << 20

// retained is how many batches before the newest are kept (spark.sql.streaming.minBatchesToRetain): N-100 to N.
const retained = 100

func offsetsKey(n int64) string { return offsetsDir + strconv.FormatInt(n, 10) }
func commitsKey(n int64) string { return commitsDir + strconv.FormatInt(n, 10) }

// Options say how the log is kept.
type Options struct {
	// CRC keeps Hadoop's checksum files beside every file, and removes what a killed run left of files that it was writing. It is for local
	// disk, where Spark looks for the former and refuses the latter, and wrong elsewhere.
	CRC bool
}

// A Log is a checkpoint in a store. Its methods belong to one goroutine; Open comes first.
type Log struct {
	store store.Store
	crc   bool

	queryID string // "" if there is no file metadata
	started bool   // there is a sources/0/0
	newest  int64  // the newest planned batch that can be read, -1 none
	last    entry  // that batch's; before the first, the start (without metadata)
	torn    int64  // the newest commits/N, if it cannot be read, else -1
	purge   purger
}

var _ stream.Log = (*Log)(nil)

// New returns the log at the root of s. Close it after use.
func New(s store.Store, o Options) *Log {
	l := &Log{store: s, crc: o.CRC, newest: -1, torn: -1}
	l.purge.start(s, o.CRC)
	return l
}

// Close waits for the removal of old entries to end.
func (l *Log) Close() error { return l.purge.close() }

// Start implements stream.Log. What Open found is compared by value: Spark may have written it.
func (l *Log) Start(ctx context.Context, queryID string, start stream.Offsets) error {
	if l.newest >= 0 {
		return nil
	}
	switch l.queryID {
	case queryID:
	case "":
		if err := l.create(ctx, metadataKey, formatMetadata(queryID)); err != nil {
			return err
		}
		l.queryID = queryID
	default:
		return l.fenced(metadataKey)
	}
	if !l.started {
		if err := l.create(ctx, initialKey, formatInitial(start, stream.Scala213)); err != nil {
			return err
		}
		l.started, l.last = true, entry{text: start.JSON(stream.Scala213), offsets: start}
	} else if !l.last.offsets.Equal(start) {
		return l.fenced(initialKey)
	}
	return nil
}

// Plan implements stream.Log. After offsets/N it removes entries older than the last 101, in the background.
func (l *Log) Plan(ctx context.Context, b stream.Batch) error {
	if b.ID != l.newest && b.ID != l.newest+1 || b.ID < 0 {
		return problem.New(problem.Internal, "planning batch %d after batch %d", b.ID, l.newest)
	}
	if b.ID == 0 && !l.started { // later the start is what it is; batch 0 may have partitions that are newer than it
		if err := l.Start(ctx, b.QueryID, b.Start); err != nil {
			return err
		}
	}
	next := l.last.following(b.End, b.Time)
	if err := l.create(ctx, offsetsKey(b.ID), next.format()); err != nil {
		return err
	}
	l.newest, l.last = b.ID, next
	return l.purge.before(b.ID - retained)
}

// Done implements stream.Log. A commits/N that cannot be read is written anew.
func (l *Log) Done(ctx context.Context, n int64) error {
	key := commitsKey(n)
	if n != l.torn {
		err := l.create(ctx, key, []byte(commitEntry))
		if !errors.Is(err, stream.ErrFenced) {
			return err
		}
		// Other bytes are there: those of another version of Spark, or torn ones.
		data, err := l.read(ctx, key)
		if err == nil {
			err = asTorn(checkCommit(data))
		}
		if err == nil || !errors.As(err, new(*tornError)) {
			return l.unreadable(err, key, "")
		}
	}
	if err := l.replace(ctx, key, []byte(commitEntry)); err != nil {
		return err
	}
	l.torn = -1
	return nil
}

// replace writes a file anew that cannot be read. It is whole all the time, or as torn as it was.
func (l *Log) replace(ctx context.Context, key string, data []byte) error {
	if err := l.unsum(ctx, key); err != nil { // first, so that no crash leaves a checksum that refuses the new bytes
		return err
	}
	if err := l.store.Put(ctx, key, data); err != nil {
		return l.failed(err, key)
	}
	l.sum(ctx, key, data)
	return nil
}

// Discard implements stream.Log. An offsets/N that can be read was written by another run in the meantime: ErrFenced.
func (l *Log) Discard(ctx context.Context, n int64) error {
	key := offsetsKey(n)
	if _, readable, err := l.reread(ctx, n); err != nil {
		return err
	} else if readable {
		return l.fenced(key)
	}
	if err := l.store.Delete(ctx, key); err != nil {
		return l.failed(err, key)
	}
	return l.unsum(ctx, key)
}

// Restore implements stream.Log. An offsets/N that can be read was restored by another run in the meantime, or is ErrFenced.
func (l *Log) Restore(ctx context.Context, b stream.Batch) error {
	key := offsetsKey(b.ID)
	if b.ID != l.newest+1 {
		return problem.New(problem.Internal, "restoring batch %d after batch %d", b.ID, l.newest)
	}
	e, readable, err := l.reread(ctx, b.ID)
	switch {
	case err != nil:
		return err
	case readable && !e.offsets.Equal(b.End):
		return l.fenced(key)
	case !readable:
		e = l.last.following(b.End, b.Time)
		if err := l.replace(ctx, key, e.format()); err != nil {
			return err
		}
	}
	l.newest, l.last = b.ID, e
	return nil
}

// reread reads an entry that could not be read when the log was opened. It may be gone.
func (l *Log) reread(ctx context.Context, n int64) (e entry, readable bool, err error) {
	data, err := l.read(ctx, offsetsKey(n))
	if err == nil {
		if e, err = parseEntry(data); err == nil {
			return e, true, nil
		}
		err = asTorn(err)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, new(*tornError)) {
		return entry{}, false, nil
	}
	return entry{}, false, l.unreadable(err, offsetsKey(n), "")
}

// create writes a file that must be new, or hold the same bytes already. It returns ErrFenced (in a problem) if it holds others.
func (l *Log) create(ctx context.Context, key string, data []byte) error {
	if err := l.unsum(ctx, key); err != nil { // a restored checkpoint may have kept the one of an older file of this name
		return err
	}
	const tries = 3
	unknown := errors.New("it comes and goes")
	for range tries {
		outcome, err := l.store.PutIfAbsent(ctx, key, data)
		if outcome == store.Created {
			l.sum(ctx, key, data)
			return nil
		}
		if err != nil {
			unknown = err
		}
		there, err := l.store.Get(ctx, key, maxFileSize)
		switch {
		case err == nil && bytes.Equal(there, data): // ours, and the answer was lost; or another run's, which makes no difference
			l.sum(ctx, key, data)
			return nil
		case err == nil:
			return l.fenced(key)
		case !errors.Is(err, fs.ErrNotExist):
			return l.failed(err, key)
		}
		// It is not there, or no more: the same bytes may be put again whatever becomes of the first attempt.
	}
	return l.failed(unknown, key)
}

// sum writes the checksum file of a file that is there. Without one the file is read unverified: an error here is none of the batch's.
func (l *Log) sum(ctx context.Context, key string, data []byte) {
	if l.crc {
		_ = l.store.Put(ctx, sumKey(key), sumOf(data))
	}
}

// unsum removes a file's checksum file.
func (l *Log) unsum(ctx context.Context, key string) error {
	if !l.crc {
		return nil
	}
	if err := l.store.Delete(ctx, sumKey(key)); err != nil {
		return l.failed(err, sumKey(key))
	}
	return nil
}

// A tornError says why a file that is there cannot be read.
type tornError struct{ err error }

func (e *tornError) Error() string { return e.err.Error() }
func (e *tornError) Unwrap() error { return e.err }

// asTorn marks a parser's error, unless the file is whole and silt the wrong reader.
func asTorn(err error) error {
	if err == nil || errors.Is(err, errNewer) || errors.Is(err, errOtherSource) {
		return err
	}
	return &tornError{err}
}

// read returns a file's bytes. The error matches fs.ErrNotExist, is a *tornError if the checksum differs, or a problem of the store.
func (l *Log) read(ctx context.Context, key string) ([]byte, error) {
	data, err := l.store.Get(ctx, key, maxFileSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if errors.Is(err, store.ErrTooLarge) {
		return nil, &tornError{err}
	}
	if err != nil {
		return nil, l.failed(err, key)
	}
	if !l.crc {
		return data, nil
	}
	sums, err := l.store.Get(ctx, sumKey(key), maxFileSize)
	if errors.Is(err, fs.ErrNotExist) {
		return data, nil
	}
	if err != nil {
		return nil, l.failed(err, sumKey(key))
	}
	if err := checkSum(data, sums); err != nil {
		return nil, &tornError{err}
	}
	return data, nil
}

// where names a file as the user would type it.
func (l *Log) where(key string) problem.Location { return problem.File(l.store.URL() + "/" + key) }

// failed makes a store's error a problem. The end of a context is none, and a problem stays what it is.
func (l *Log) failed(err error, key string) error {
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, new(*problem.Problem)):
		return err
	case errors.Is(err, fs.ErrPermission):
		return problem.New(problem.PathNotWritable, "the checkpoint cannot be read and written").At(l.where(key)).Because(err).
			Fix("give the user that runs silt read and write access to %s", l.store.URL())
	}
	p := problem.New(problem.StoreFailed, "the checkpoint's store failed").At(l.where(key)).Because(err)
	p.Retryable = true
	return p
}

// fenced says that another run wrote the file.
func (l *Log) fenced(key string) error {
	p := problem.New(problem.Fenced, "another run of the query has written %s", key).At(l.where(key)).
		Fix("stop the other run; two runs of one query cannot share a checkpoint")
	p.Err = stream.ErrFenced
	return p
}
