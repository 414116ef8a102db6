package silt

import (
	"maps"
	"slices"
	"strings"
	"sync"
)

// theQuery is the part of a readiness that is the query itself.
const theQuery = "the query"

// A readiness says whether all parts of a running query do their work. Its methods may be called concurrently.
type readiness struct {
	tell func(ready bool, why string)

	mu    sync.Mutex
	waits map[string]string // the parts that are not ready, and why
}

// newReadiness returns one that waits for the query's start; tell may be nil.
func newReadiness(tell func(ready bool, why string)) *readiness {
	return &readiness{tell: tell, waits: map[string]string{theQuery: "it has not started yet"}}
}

// set says of a part whether it is ready, and why not.
func (r *readiness) set(part string, ready bool, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old, waited := r.waits[part]
	if ready != waited && (ready || old == why) {
		return
	}
	if delete(r.waits, part); !ready {
		r.waits[part] = why
	}
	if r.tell == nil {
		return
	}
	var reasons []string
	for _, part := range slices.Sorted(maps.Keys(r.waits)) {
		reasons = append(reasons, part+": "+r.waits[part])
	}
	r.tell(len(reasons) == 0, strings.Join(reasons, "; "))
}
