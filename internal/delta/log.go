// Package delta reads and writes the log of Delta Lake tables: snapshots, commits by put-if-absent, log checkpoints, statistics. It follows
// Delta's PROTOCOL.md; where Spark, delta-rs and the kernels differ or the text leaves room, the comments say what was chosen.
//
// It knows nothing of data files but their names and what the log says of them, and nothing of streams: what a commit means to a query is
// package table's. "Log checkpoint" is Delta's; a checkpoint in the rest of the program is that of a stream.
package delta

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
)

// Options are how a log is opened. The zero value works; tests inject time, chance and ids.
type Options struct {
	Now   func() time.Time                                 // default time.Now
	Sleep func(ctx context.Context, d time.Duration) error // default: a timer; it returns ctx's error if that ends first
	// Jitter returns a duration in [0, max); default: at random.
	Jitter func(max time.Duration) time.Duration
	// NewID returns a new UUID, for a commit's txnId; default: at random.
	NewID func() string
	// Engine is the engineInfo of commits that have none.
	Engine string
	// Log receives what went wrong and was dealt with, such as a log checkpoint that cannot be read.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Jitter == nil {
		o.Jitter = func(max time.Duration) time.Duration { return rand.N(max) }
	}
	if o.NewID == nil {
		o.NewID = uuid.NewString
	}
	if o.Engine == "" {
		o.Engine = "silt"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A Log is the log of the table in a store's root. Its methods may be called concurrently.
type Log struct {
	store   store.Store
	options Options

	mu     sync.Mutex
	latest rebase    // the newest log checkpoint that this Log wrote
	hinted time.Time // when this Log wrote _last_checkpoint last
}

// A rebase moves snapshots to a new base.
type rebase struct {
	from, to *base
	// tailBytes is the size of the commits that the checkpoint took in, of those after from.
	tailBytes int64
}

// Open returns the log of the table in s. It reads and writes nothing yet.
func Open(s store.Store, o Options) *Log { return &Log{store: s, options: o.withDefaults()} }

// Store returns the table's store.
func (l *Log) Store() store.Store { return l.store }

// where is the place of a key in the table, for messages.
func (l *Log) where(key string) problem.Location {
	if key == "" {
		return problem.File(l.store.URL())
	}
	return problem.File(l.store.URL() + "/" + key)
}

// corrupt returns the problem of a log that cannot be read.
func (l *Log) corrupt(key string, err error) error {
	return problem.New(problem.CorruptLog, "the table's log cannot be read: %w", err).At(l.where(key))
}

func isCorrupt(err error) bool {
	list := problem.Of(err)
	return len(list) > 0 && list[0].Code == problem.CorruptLog
}

// Snapshot returns the newest version of the table, or a snapshot of version -1 if there is none. A problem of code CorruptLog,
// UnsupportedProtocol, or the store's error.
func (l *Log) Snapshot(ctx context.Context) (*Snapshot, error) { return l.load(ctx, -1) }

// SnapshotAt returns the table at an older version. It is an error if the log no longer has what makes it.
func (l *Log) SnapshotAt(ctx context.Context, version int64) (*Snapshot, error) {
	if version < 0 {
		return nil, fmt.Errorf("version %d is none", version)
	}
	return l.load(ctx, version)
}

// load reads the state of the version, -1 being the newest.
func (l *Log) load(ctx context.Context, version int64) (*Snapshot, error) {
	// _last_checkpoint saves listing a long log from its beginning. It is never trusted: what it names has to be in the listing.
	if hint := l.hint(ctx); hint > 0 && (version < 0 || hint <= version) {
		found, err := l.list(ctx, beforeVersion(hint))
		if err != nil {
			return nil, err
		}
		if c, last, missing := found.at(version); c != nil && missing < 0 {
			s, err := l.readState(ctx, c)
			if err == nil {
				s, err = l.replay(ctx, s, last)
			}
			if err == nil || !isCorrupt(err) && !errors.Is(err, fs.ErrNotExist) {
				return s, err
			}
			l.options.Log.Warn("the newest log checkpoint leads nowhere, listing the whole log", "version", c.version, "error", err)
		}
	}
	s, err := l.loadListed(ctx, version)
	if errors.Is(err, fs.ErrNotExist) { // somebody cleaned the log up between listing and reading
		s, err = l.loadListed(ctx, version)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = l.corrupt(logFolder, err)
	}
	return s, err
}

// loadListed lists the whole log. Where the newest log checkpoint cannot be read it goes back to an older one, or to the commits alone: a
// checkpoint is only a shortcut.
func (l *Log) loadListed(ctx context.Context, version int64) (*Snapshot, error) {
	found, err := l.list(ctx, "")
	if err != nil {
		return nil, err
	}
	var first error
	for {
		c, last, missing := found.at(version)
		if missing >= 0 {
			if first == nil {
				first = l.corrupt(commitKey(missing), gap(version, missing))
			}
			return nil, first
		}
		s, err := l.readState(ctx, c)
		if err == nil {
			return l.replay(ctx, s, last)
		}
		if !isCorrupt(err) {
			return nil, err
		}
		if first == nil {
			first = err
		}
		l.options.Log.Warn("log checkpoint not readable, looking for an older one", "version", c.version, "error", err)
		found.drop(c)
	}
}

// gap says why a version (-1: the newest) cannot be read, given the commit that is missing.
func gap(version, missing int64) error {
	what := fmt.Errorf("version %d is not in it, and versions after it are", missing)
	switch {
	case missing == 0:
		what = errors.New("it begins with neither version 0 nor a log checkpoint")
	case version == missing:
		what = fmt.Errorf("version %d is not in it", missing)
	}
	if version >= 0 && version != missing {
		what = fmt.Errorf("version %d cannot be read: version %d is not in it", version, missing)
	}
	return what
}

// list lists the log after a key.
func (l *Log) list(ctx context.Context, after string) (listing, error) {
	var files []store.Info
	for f, err := range l.store.List(ctx, versionsPrefix, after) {
		if err != nil {
			return listing{}, fmt.Errorf("list the log of %s: %w", l.store.URL(), err)
		}
		files = append(files, f)
	}
	return newListing(files), nil
}

// readState returns the snapshot at a checkpoint, or the one before version 0 if c is nil.
func (l *Log) readState(ctx context.Context, c *checkpoint) (*Snapshot, error) {
	s := &Snapshot{log: l, version: -1, state: newState(), segment: segment{base: &base{c}}, checked: l.options.Now()}
	if c == nil {
		return s, nil
	}
	var sum summary
	if err := l.readCheckpoint(ctx, c, &visitor{other: sum.visitor().other}); err != nil {
		return nil, err
	}
	s.version = c.version
	s.apply(c.version, &sum)
	if err := s.complete(); err != nil {
		return nil, l.corrupt(c.files[0].Key, err)
	}
	return s, nil
}

// replay applies the commits after a snapshot that was just read, up to version last. It changes s.
func (l *Log) replay(ctx context.Context, s *Snapshot, last int64) (*Snapshot, error) {
	err := l.eachCommit(ctx, s.version+1, last, +1, func(version int64, r io.Reader, size int64) error {
		var sum summary
		if err := readLines(r, sum.visitor()); err != nil {
			return err
		}
		s.tailBytes += size
		s.apply(version, &sum)
		return nil
	})
	if s.version = last; err != nil || last < 0 {
		return s, err
	}
	if err := s.complete(); err != nil {
		return nil, l.corrupt(logFolder, fmt.Errorf("version %d: %w", last, err))
	}
	if err := s.protocol.checkRead(l.where("")); err != nil {
		return nil, err
	}
	return s, nil
}

// readCheckpoint hands a checkpoint's actions to v, those in its sidecars as well if v wants files.
func (l *Log) readCheckpoint(ctx context.Context, c *checkpoint, v *visitor) error {
	var sidecars []sidecar
	top := *v
	if v.add != nil || v.remove != nil {
		top.sidecar = func(s sidecar) error { sidecars = append(sidecars, s); return nil }
	}
	for _, f := range c.files {
		if err := l.readFile(ctx, f.Key, c.json, &top); err != nil {
			return err
		}
	}
	for _, s := range sidecars {
		if err := l.readFile(ctx, sidecarKey(s.Path), false, &visitor{add: v.add, remove: v.remove}); err != nil {
			return err
		}
	}
	return nil
}

// sidecarKey returns the key of a sidecar, whose path is a name in the sidecars' folder or, in some tables, one relative to the log's.
func sidecarKey(path string) string {
	name := decodePath(path)
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		name = name[i+1:]
	}
	return sidecarsKey + name
}

// Update returns the newest version, given an older one: it asks for the versions after it one by one, a single request if there is none.
func (l *Log) Update(ctx context.Context, s *Snapshot) (*Snapshot, error) {
	if !s.Exists() || l.stale(s) {
		return l.Snapshot(ctx)
	}
	for {
		sum, size, err := l.readSummary(ctx, s.version+1)
		if errors.Is(err, fs.ErrNotExist) {
			now := *s
			now.checked = l.options.Now()
			return l.rebased(&now), nil
		}
		if err != nil {
			return nil, err
		}
		if s, err = l.advance(s, sum, size); err != nil {
			return nil, err
		}
	}
}

// advance applies a foreign commit.
func (l *Log) advance(s *Snapshot, sum *summary, size int64) (*Snapshot, error) {
	n, err := s.next(sum, size)
	if err != nil {
		return nil, l.corrupt(commitKey(s.version+1), err)
	}
	if sum.protocol != nil {
		if err := n.protocol.checkRead(l.where("")); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// fresh is how long a snapshot is taken to be near the newest version without listing the log. Log cleanup removes commits after hours at
// the least: a snapshot that is older than a removed commit would take the version after its own for free, and a commit there would
// succeed and be seen by nobody.
const fresh = 10 * time.Minute

func (l *Log) stale(s *Snapshot) bool {
	age := l.options.Now().Sub(s.checked)
	return age > fresh || age < 0
}

// rebased returns the snapshot on the newest log checkpoint that this Log wrote, if that was made from an older snapshot of its line.
func (l *Log) rebased(s *Snapshot) *Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.latest.to == nil || l.latest.from != s.base || l.latest.to.version() > s.version {
		return s
	}
	n := *s
	n.base, n.tailBytes = l.latest.to, s.tailBytes-l.latest.tailBytes
	return &n
}
