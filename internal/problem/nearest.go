package problem

import (
	"maps"
	"slices"
	"strings"
)

var sortedCodes = slices.Sorted(maps.Keys(exits))

// Nearest returns the candidate most like name, for "did you mean", or "" if none is like it. A candidate that differs only in case
// is always the nearest; otherwise at most a third of its characters may differ.
func Nearest(name string, candidates []string) string {
	best, least := "", 1<<30
	low := strings.ToLower(name)
	for _, c := range candidates {
		if c == name {
			continue
		}
		lc := strings.ToLower(c)
		if lc == low {
			return c
		}
		if d := distance(low, lc); d < least && d*3 <= max(len(low), len(lc)) {
			best, least = c, d
		}
	}
	return best
}

// distance is the optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours count 1.
func distance(a, b string) int {
	const longest = 256 // a name that long has no typo to find
	if len(a) > longest || len(b) > longest {
		return 1 << 29
	}
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
