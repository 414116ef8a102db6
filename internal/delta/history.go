package delta

import (
	"context"
	"errors"
	"io/fs"
	"iter"
)

// A Commit is one version of the log, with its actions.
type Commit struct {
	Version  int64
	Info     *CommitInfo // nil if it has none
	Protocol *Protocol   // nil unless it changed
	MetaData *MetaData   // nil unless it changed
	Txns     []*Txn
	Domains  []*DomainMetadata
	Adds     []*Add
	Removes  []*Remove
	Bytes    int64 // of its file
}

// Time is when the commit was made, in milliseconds since 1970, 0 if it does not say.
func (c *Commit) Time() int64 {
	switch {
	case c.Info == nil:
		return 0
	case c.Info.InCommitTimestamp != 0:
		return c.Info.InCommitTimestamp
	}
	return c.Info.Timestamp
}

// Read returns one commit; fs.ErrNotExist if the log does not have it, or no longer.
func (l *Log) Read(ctx context.Context, version int64) (*Commit, error) {
	return l.read(ctx, version, true)
}

// ReadHead is Read without the commit's files, of which there may be very many: Adds and Removes are nil.
func (l *Log) ReadHead(ctx context.Context, version int64) (*Commit, error) {
	return l.read(ctx, version, false)
}

func (l *Log) read(ctx context.Context, version int64, files bool) (*Commit, error) {
	f, err := l.fetch(ctx, version)
	if err != nil {
		return nil, err
	}
	defer f.close()
	c := &Commit{Version: version, Bytes: f.size()}
	var sum summary
	v := sum.visitor()
	if files {
		v.add = func(a *Add) error { c.Adds = append(c.Adds, a); return nil }
		v.remove = func(r *Remove) error { c.Removes = append(c.Removes, r); return nil }
	}
	if err := readLines(f.reader(), v); err != nil {
		return nil, l.explain(commitKey(version), f.in, err)
	}
	c.Info, c.Protocol, c.MetaData, c.Txns, c.Domains = sum.info, sum.protocol, sum.metaData, sum.txns, sum.domains
	return c, nil
}

// History yields the commits from a version down to the first one that the log still has.
func (l *Log) History(ctx context.Context, from int64) iter.Seq2[*Commit, error] {
	return func(yield func(*Commit, error) bool) {
		for v := from; v >= 0; v-- {
			c, err := l.Read(ctx, v)
			if errors.Is(err, fs.ErrNotExist) {
				return
			}
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
}
