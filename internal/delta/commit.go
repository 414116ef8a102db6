package delta

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
)

// A Transaction is what Commit makes a version of.
type Transaction struct {
	// Read is the snapshot that the caller prepared for.
	Read *Snapshot
	// Info describes the commit. Timestamp, InCommitTimestamp, ReadVersion and TxnID are set by Commit.
	Info CommitInfo
	// Prepare returns the actions of the commit on top of a snapshot: first on Read or a newer one, then again after every conflict. It
	// decides itself whether what it has fits, such as its files to the schema. For a table that does not exist it returns protocol and
	// metaData as well. An error ends the commit; nothing is visible then. Commit itself refuses what was committed before, which is what
	// actions are whose txns are all in the table, at these or later versions.
	Prepare func(ctx context.Context, s *Snapshot) ([]Action, error)
}

// ErrNotCommitted: the commit was not made, and never will be. Every error of Commit matches either it or *UnknownError.
var ErrNotCommitted = errors.New("not committed")

// A ConcurrentTransactionError says that somebody else committed a version of our own application: another instance runs, or ran. It
// matches ErrNotCommitted.
type ConcurrentTransactionError struct {
	Version int64 // of the table: the one that holds it, or a later one
	AppID   string
	Theirs  int64  // the application's version in the table
	TxnID   string // of their commit; "" if it has none or was not looked at
}

func (e *ConcurrentTransactionError) Error() string {
	by := ""
	if e.TxnID != "" {
		by = " (txnId " + e.TxnID + ")"
	}
	return fmt.Sprintf("version %d of the table holds version %d of application %s, by another writer%s", e.Version, e.Theirs, e.AppID, by)
}

// Is says that nothing was committed.
func (e *ConcurrentTransactionError) Is(target error) bool { return target == ErrNotCommitted }

// An UnknownError says that a commit was sent and that neither its answer nor the log could be read: it may be in the log, or get there
// yet. Whoever looks later can tell by the txn or by TxnID.
type UnknownError struct {
	Version int64 // that was sent
	TxnID   string
	Err     error
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("whether version %d was committed is not known: %v", e.Version, e.Err)
}

func (e *UnknownError) Unwrap() error { return e.Err }

func notCommitted(err error) error {
	if errors.Is(err, ErrNotCommitted) {
		return err
	}
	return &refused{err}
}

// refused marks an error as ErrNotCommitted and keeps its text.
type refused struct{ error }

func (r *refused) Unwrap() error        { return r.error }
func (r *refused) Is(target error) bool { return target == ErrNotCommitted }

// Limits of a commit.
const (
	maxConflicts = 1000 // commits of others that come first, one after the other
	maxSends     = 5    // of one version, while the store does not say what happened
	maxReads     = 5    // of the version that was sent, while the store does not answer and does not say what is wrong
	maxBackoff   = time.Second
	// resolveTimeout is how long the outcome of a commit is looked for after the caller's context ended.
	resolveTimeout = 10 * time.Second
)

// Commit makes the next version of the table and returns the snapshot of it. The steps (PROTOCOL.md, "Delta Log Entries"):
//
//  1. Prepare the actions on the newest known snapshot, v.
//  2. Put v+1 if it is absent, with a random txnId that is the same for all attempts.
//  3. If the answer is lost, read v+1: ours, another's, or not there; only in the last case send the same bytes again.
//  4. If it is another's, read all versions up to the newest. One of them may be ours after all (a store's client that retried a lost
//     answer sees its own object as another's). A txn of our own application by somebody else ends it. Otherwise begin again on top.
//
// Since actions are prepared anew on each snapshot, no other action of a winner is a conflict for an append: what a new protocol or schema
// means, CheckAppend and Prepare say.
func (l *Log) Commit(ctx context.Context, t Transaction) (*Snapshot, error) {
	c := &committer{log: l, t: t}
	c.t.Info.TxnID = l.options.NewID()
	if c.t.Info.EngineInfo == "" {
		c.t.Info.EngineInfo = l.options.Engine
	}
	s := t.Read
	if l.stale(s) {
		var err error
		if s, err = l.Update(ctx, s); err != nil {
			return nil, notCommitted(err)
		}
	}
	for conflicts := range maxConflicts {
		next, err := c.attempt(ctx, s)
		if next != nil || err != nil {
			return next, err
		}
		newest, done, err := c.catchUp(ctx, s)
		if done != nil || err != nil {
			return done, err
		}
		s = newest
		if err := l.backOff(ctx, conflicts); err != nil {
			return nil, notCommitted(err)
		}
	}
	return nil, notCommitted(fmt.Errorf("%d commits of others came first", maxConflicts))
}

// backOff waits before attempt n+1: not at all, then a random time that grows to a second.
func (l *Log) backOff(ctx context.Context, n int) error {
	if n == 0 {
		return ctx.Err()
	}
	return l.options.Sleep(ctx, l.options.Jitter(min(maxBackoff, time.Millisecond<<min(n, 10))))
}

type committer struct {
	log *Log
	t   Transaction
	// apps are the applications of the actions that were prepared last.
	apps []string
}

// attempt puts the next version of s. It returns neither snapshot nor error if the version is another's.
func (c *committer) attempt(ctx context.Context, s *Snapshot) (*Snapshot, error) {
	if err := s.CheckAppend(); err != nil {
		return nil, notCommitted(err)
	}
	actions, err := c.t.Prepare(ctx, s)
	if err != nil {
		return nil, notCommitted(err)
	}
	data, sum, err := c.encode(ctx, s, actions)
	if err != nil {
		return nil, notCommitted(err)
	}
	next, err := s.next(sum, int64(len(data)))
	if err != nil {
		return nil, notCommitted(problem.New(problem.Internal, "a commit that makes no table: %w", err))
	}
	if err := next.CheckAppend(); err != nil { // what the actions themselves bring in
		return nil, notCommitted(err)
	}
	ours, err := c.put(ctx, next.version, data)
	if err != nil || !ours {
		return nil, err
	}
	return next, nil
}

// put puts a version and finds out whose it is.
func (c *committer) put(ctx context.Context, version int64, data []byte) (ours bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, notCommitted(err)
	}
	unsure := false // what was sent may be there, or get there
	for sends := 1; ; sends++ {
		outcome, err := c.log.store.PutIfAbsent(ctx, commitKey(version), data)
		switch outcome {
		case store.Created:
			return true, nil
		case store.Exists:
			return false, nil // perhaps ours after all: catchUp looks
		}
		if !errors.Is(err, store.ErrNotWritten) {
			unsure = true
			there, ours, rerr := c.readBack(ctx, version)
			if rerr != nil {
				return false, &UnknownError{version, c.t.Info.TxnID, errors.Join(err, rerr)}
			} else if there {
				return ours, nil
			}
		}
		last := sends == maxSends || ctx.Err() != nil
		if !unsure && errors.Is(err, fs.ErrPermission) {
			last = true
			if len(problem.Of(err)) == 0 { // else of a store that knows which right is missing
				err = problem.New(problem.PathNotWritable, "the table's log cannot be written: %w", err).At(c.log.where(logFolder))
			}
		}
		if !last {
			if werr := c.log.backOff(ctx, sends); werr != nil {
				last, err = true, werr
			}
		}
		switch {
		case last && unsure:
			return false, &UnknownError{version, c.t.Info.TxnID, err}
		case last:
			return false, notCommitted(err)
		}
	}
}

// linger returns a context that ends resolveTimeout after ctx does: a stop must not leave open what can be known.
func linger(ctx context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.AfterFunc(resolveTimeout, cancel)
		context.AfterFunc(out, func() { t.Stop() })
	})
	return out, func() { stop(); cancel() }
}

// readBack reads a version that was sent.
func (c *committer) readBack(ctx context.Context, version int64) (there, ours bool, err error) {
	ctx, cancel := linger(ctx)
	defer cancel()
	for reads := 0; ; reads++ {
		sum, _, err := c.log.readSummary(ctx, version)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return false, false, nil
		case err == nil:
			return true, c.isOurs(sum), nil
		case reads+1 == maxReads, isTried(err):
			return false, false, err
		}
		if err := c.log.backOff(ctx, reads+1); err != nil {
			return false, false, err
		}
	}
}

// isTried says whether the store itself has tried again for as long as it is worth, or knows that it is not worth it: then its error is a
// problem. A log that is corrupt may be whole a moment later: not every writer makes its commits in one step.
func isTried(err error) bool { return problem.Of(err) != nil && !isCorrupt(err) }

func (c *committer) isOurs(s *summary) bool { return s.info != nil && s.info.TxnID == c.t.Info.TxnID }

// catchUp reads the versions that came first. It returns the newest snapshot, or done, if one of them is our own commit.
func (c *committer) catchUp(ctx context.Context, s *Snapshot) (newest, done *Snapshot, err error) {
	ctx, cancel := linger(ctx)
	defer cancel()
	sent := s.version + 1
	for failures := 0; ; {
		sum, size, err := c.log.readSummary(ctx, s.version+1)
		switch {
		case errors.Is(err, fs.ErrNotExist) && s.version >= sent:
			return s, nil, nil
		case err != nil:
			// The version that was sent is another's in all likelihood; only reading it makes that sure. One that cannot be read may be
			// whole a moment later: not every writer makes its commits in one step.
			if failures++; failures == maxReads || errors.Is(err, fs.ErrNotExist) || isTried(err) {
				return nil, nil, c.unread(s, sent, err)
			}
			if err := c.log.backOff(ctx, failures); err != nil {
				return nil, nil, c.unread(s, sent, err)
			}
			continue
		}
		failures = 0
		verdict := judge(c.t.Info.TxnID, c.apps, s.version+1, sum)
		if verdict.err != nil {
			return nil, nil, verdict.err
		}
		next, err := c.log.advance(s, sum, size)
		if err != nil {
			if verdict.ours {
				return nil, nil, &UnknownError{sent, c.t.Info.TxnID, err}
			}
			return nil, nil, notCommitted(err)
		}
		if verdict.ours {
			return nil, next, nil
		}
		s = next
	}
}

// unread is the error if the versions that came first cannot be read. Once the one that was sent is known to be another's, ours is not in
// the log.
func (c *committer) unread(s *Snapshot, sent int64, err error) error {
	if s.version >= sent {
		return notCommitted(err)
	}
	return &UnknownError{sent, c.t.Info.TxnID, err}
}

// A verdict is what a version that came first means for a commit.
type verdict struct {
	ours bool  // it is our own commit
	err  error // the commit is over
}

// judge decides by values alone: our txnId and applications, and what the commit that came first says.
func judge(txnID string, apps []string, version int64, w *summary) verdict {
	if w.info != nil && w.info.TxnID == txnID {
		return verdict{ours: true}
	}
	for _, t := range w.txns {
		if slices.Contains(apps, t.AppID) {
			theirs := ""
			if w.info != nil {
				theirs = w.info.TxnID
			}
			return verdict{err: &ConcurrentTransactionError{version, t.AppID, t.Version, theirs}}
		}
	}
	return verdict{}
}

// encode makes the text of a commit and the summary of it.
func (c *committer) encode(ctx context.Context, s *Snapshot, actions []Action) ([]byte, *summary, error) {
	info := c.t.Info
	info.Timestamp, info.ReadVersion = c.log.options.Now().UnixMilli(), s.version
	sum := &summary{info: &info}
	for _, a := range actions {
		sum.add(a)
	}
	if err := checkActions(s, actions, sum); err != nil {
		return nil, nil, problem.New(problem.Internal, "a commit that Delta does not allow: %w", err)
	}
	if s.inCommitTimestamps() {
		previous, err := c.log.commitTime(ctx, s)
		if err != nil {
			return nil, nil, err
		}
		info.InCommitTimestamp = max(info.Timestamp, previous+1)
	}
	c.apps = c.apps[:0]
	for _, t := range sum.txns {
		c.apps = append(c.apps, t.AppID)
	}
	if s.has(sum.txns) {
		first := sum.txns[0].AppID
		return nil, nil, &ConcurrentTransactionError{Version: s.version, AppID: first, Theirs: s.txns[first].Version}
	}
	actions = slices.Clone(actions)
	slices.SortStableFunc(actions, func(a, b Action) int { return rank(a) - rank(b) })
	data := append(info.appendJSON(nil), '\n')
	for _, a := range actions {
		from := len(data)
		if data = append(a.appendJSON(data), '\n'); len(data)-from > maxLine {
			return nil, nil, problem.New(problem.Internal, "an action of %d bytes, more than the %d that silt reads", len(data)-from, maxLine)
		}
	}
	return data, sum, nil
}

// has says whether the table has all the txns, at these or later versions. One alone may go down: the offsets of a topic that was made
// anew.
func (s *Snapshot) has(txns []*Txn) bool {
	return len(txns) > 0 && !slices.ContainsFunc(txns, func(t *Txn) bool {
		has, ok := s.txns[t.AppID]
		return !ok || has.Version < t.Version
	})
}

// rank is the order of Spark's commits (Delta's DeltaOperations.StreamingUpdate).
func rank(a Action) int {
	switch a.(type) {
	case *MetaData:
		return 1
	case *Protocol:
		return 2
	case *Txn:
		return 3
	case *DomainMetadata:
		return 4
	}
	return 5
}

// checkActions refuses what must not be in one commit (PROTOCOL.md, "Delta Log Entries", "Actions").
func checkActions(s *Snapshot, actions []Action, sum *summary) error {
	seen := map[string]bool{}
	for _, a := range actions {
		key := ""
		switch a := a.(type) {
		case *CommitInfo:
			return errors.New("commitInfo among the actions")
		case *Protocol:
			key = "protocol"
		case *MetaData:
			key = "metaData"
		case *Txn:
			key = "txn of " + a.AppID
		case *DomainMetadata:
			key = "domainMetadata of " + a.Domain
		case *Add:
			if a.Path == "" || a.Size < 0 || a.ModificationTime < 0 {
				return fmt.Errorf("an add without path, size or time: %+v", a)
			}
			key = "add of " + a.Name()
		case *Remove:
			if a.DataChange && s.Exists() && s.metaData.Configuration["delta.appendOnly"] == "true" {
				return errors.New("a remove in a table that is append-only")
			}
			key = "remove of " + a.Name()
		}
		if seen[key] {
			return fmt.Errorf("two of %s", key)
		}
		seen[key] = true
	}
	if !s.Exists() && (sum.protocol == nil || sum.metaData == nil) {
		return errors.New("a first version without protocol or metaData")
	}
	return nil
}

// commitTime returns the in-commit timestamp of the snapshot's version, 0 if it has none.
func (l *Log) commitTime(ctx context.Context, s *Snapshot) (int64, error) {
	if s.commitTime != 0 || s.version != s.base.version() {
		return s.commitTime, nil
	}
	// A snapshot at a checkpoint was made without reading a commit.
	sum, _, err := l.readSummary(ctx, s.version)
	if err != nil || sum.info == nil {
		return 0, err
	}
	return sum.info.InCommitTimestamp, nil
}
