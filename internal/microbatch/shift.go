package microbatch

import "time"

// A shift is how a worker spent its time in a batch: what it did not spend on a chunk, it waited for one.
type shift struct {
	began       time.Time // ready for its first chunk
	first, last time.Time // when it took its first and its last one; zero: none
	free        time.Time // when it was through with the last one
	waited      time.Duration
}

// waits notes that the worker is ready for a chunk, takes that it has one.
func (s *shift) waits(now time.Time) {
	if s.began.IsZero() {
		s.began = now
	}
	s.free = now
}

func (s *shift) takes(now time.Time) {
	if s.first.IsZero() {
		s.first = now
	} else {
		s.waited += now.Sub(s.free)
	}
	s.last = now
}

// waitedIn is how long the worker waited between two moments, of which the first is not after its first chunk and the second is not before
// its last.
func (s *shift) waitedIn(from, to time.Time) time.Duration {
	if s.first.IsZero() {
		return max(to.Sub(later(s.began, from)), 0)
	}
	return max(s.first.Sub(later(s.began, from)), 0) + s.waited + max(to.Sub(s.free), 0)
}

// waiting is how long the workers of a batch waited for chunks while there were some to come: reading is the time from the first chunk that
// any of them took to the last one. It bounds from above what they waited while chunks were there, which is nothing by design, since all
// take from one channel; the rest is the brokers'.
func waiting(shifts []*shift) (reading time.Duration, waited []time.Duration) {
	var from, to time.Time
	for _, s := range shifts {
		if s.first.IsZero() {
			continue
		}
		if from.IsZero() || s.first.Before(from) {
			from = s.first
		}
		to = later(to, s.last)
	}
	for _, s := range shifts {
		waited = append(waited, s.waitedIn(from, to))
	}
	return to.Sub(from), waited
}
