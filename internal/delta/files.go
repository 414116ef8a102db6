package delta

import (
	"context"
	"errors"
	"io"
	"iter"
)

// Files yields the files of the table at the snapshot's version, in no particular order. It reads the log: the commits since the last log
// checkpoint from the newest to the oldest, then the checkpoint, leaving out what a newer action was about. Memory grows with the number of
// files in those commits, not in the table.
//
// The error is that of Snapshot; after it nothing more is yielded. fs.ErrNotExist: the log was cleaned up since; take a new snapshot.
func (s *Snapshot) Files(ctx context.Context) iter.Seq2[*Add, error] {
	return func(yield func(*Add, error) bool) {
		err := s.walk(ctx, func(a *Add) bool { return yield(a, nil) }, nil)
		if err != nil {
			yield(nil, err)
		}
	}
}

// walk calls add with the live files and remove, if it is not nil, with the tombstones; false ends the walk, without an error.
func (s *Snapshot) walk(ctx context.Context, add func(*Add) bool, remove func(*Remove) bool) error {
	// PROTOCOL.md, "Action Reconciliation", newest first: the first action that is met of a file is the one that counts.
	seen := map[fileKey]struct{}{}
	isNew := func(k fileKey) bool {
		n := len(seen)
		seen[k] = struct{}{}
		return len(seen) > n
	}
	liveAdd := func(a *Add) error {
		if isNew(a.key()) && !add(a) {
			return errStop
		}
		return nil
	}
	err := s.log.eachCommit(ctx, s.base.version()+1, s.version, -1, func(_ int64, r io.Reader, _ int64) error {
		// Within a version removes come before adds, so here after them: an add of a file that the same commit removes is live.
		var removed []*Remove
		err := readLines(r, &visitor{add: liveAdd, remove: func(r *Remove) error { removed = append(removed, r); return nil }})
		for _, r := range removed {
			if err == nil && isNew(r.key()) && remove != nil && !remove(r) {
				err = errStop
			}
		}
		return err
	})
	if err == nil && s.base.checkpoint != nil {
		// A checkpoint has each file once.
		older := func(k fileKey) bool { _, newer := seen[k]; return !newer }
		v := &visitor{add: func(a *Add) error {
			if older(a.key()) && !add(a) {
				return errStop
			}
			return nil
		}}
		if remove != nil {
			v.remove = func(r *Remove) error {
				if older(r.key()) && !remove(r) {
					return errStop
				}
				return nil
			}
		}
		err = s.log.readCheckpoint(ctx, s.base.checkpoint, v)
	}
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}
