package faultproxy

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"time"
)

// A Kind is a kind of fault.
type Kind uint8

// The kinds. An answer without a body has no half: with Slow and Stall it comes late or never, with Short the connection is reset.
const (
	Pass   Kind = iota
	Refuse      // answered with Status, and Retry-After if After is not 0; the store is not asked
	Reset       // the connection is reset; the store is not asked
	Cut         // applied; the whole answer is read, and the connection reset in its place
	Late        // the connection is reset at once, and the request applied after After: it was on its way all the time
	Slow        // applied; the answer's body takes about After
	Stall       // applied; half of the answer's body, and then nothing until the client gives up
	Short       // applied; half of the answer's body, and then a reset
)

var kindNames = [...]string{"pass", "refuse", "reset", "cut", "late", "slow", "stall", "short"}

func (k Kind) String() string { return kindNames[k] }

// A Fault is what happens to one request; the zero value lets it pass.
type Fault struct {
	Kind   Kind
	Status int // of Refuse
	After  time.Duration
}

// Nth is the plan in which the n-th request has the fault and all others pass.
func Nth(n int, f Fault) Plan {
	return func(r Request) Fault {
		if r.N == n {
			return f
		}
		return Fault{}
	}
}

// Weather is what a storm is made of: all that a busy store and a bad network do. Stalls are rare, since a client learns of each only when it
// gives up, and a storm of nothing else would be a calm one.
func Weather() []Fault {
	quick := []Fault{
		{Kind: Refuse, Status: http.StatusInternalServerError},
		{Kind: Refuse, Status: http.StatusServiceUnavailable},
		{Kind: Refuse, Status: http.StatusServiceUnavailable, After: time.Second},
		{Kind: Refuse, Status: http.StatusTooManyRequests, After: time.Second},
		{Kind: Reset},
		{Kind: Cut},
		{Kind: Late, After: 300 * time.Millisecond},
		{Kind: Slow, After: time.Second},
		{Kind: Short},
	}
	return slices.Concat(quick, quick, quick, []Fault{{Kind: Stall}})
}

// Storm is the plan in which a share of the requests, 0 to 1, meets one of the faults, by chance. The same seed makes the same storm for the
// same sequence of requests.
func Storm(seed uint64, share float64, faults []Fault) Plan {
	r := rand.New(rand.NewPCG(seed, 0))
	return func(Request) Fault {
		if r.Float64() >= share {
			return Fault{}
		}
		return faults[r.IntN(len(faults))]
	}
}
