package delta

// Facts are what decides whether a log checkpoint is due.
type Facts struct {
	Commits  int64 // since the last log checkpoint
	Bytes    int64 // of them
	Last     int64 // bytes of the last log checkpoint, 0 if there is none
	Interval int64 // delta.checkpointInterval, 0 if the table has none
}

// Rules of the policy (docs/adr/0004). With at least every tenth commit an opener never reads many commits; the second keeps the cost of
// rewriting a large table's whole state at a constant share of what is committed.
const (
	leastCommits = 10
	leastShare   = 2 // the commits' bytes are more than a half of the checkpoint's
)

// Due says whether a log checkpoint is due.
func (f Facts) Due() bool {
	if f.Interval > 0 {
		return f.Commits >= f.Interval
	}
	return f.Commits >= leastCommits && f.Bytes*leastShare > f.Last
}

// CheckpointDue says whether it is time to call WriteCheckpoint with s.
func (l *Log) CheckpointDue(s *Snapshot) bool {
	if !s.Exists() {
		return false
	}
	s = l.rebased(s)
	f := Facts{Commits: s.version - s.base.version(), Bytes: s.tailBytes, Interval: s.metaData.checkpointInterval()}
	if c := s.base.checkpoint; c != nil {
		f.Last = c.bytes()
	}
	return f.Due()
}
