package stream

import (
	"context"

	"golang.org/x/sync/semaphore"
)

// A Budget bounds the memory of fetched data. Each worker's share is taken off before the first fetch; what is left is the fetches'.
// Workers never wait for it, so nothing deadlocks. Its methods may be called concurrently.
type Budget struct {
	size int64
	sem  *semaphore.Weighted
}

// DefaultMemory is the budget of a query of which nothing else is said, in bytes.
const DefaultMemory = 256 << 20

const (
	// workerShare is what one worker is taken to need beside the chunk it walks: decode buffers, the open pages and the compressed pages of
	// a file. Nothing holds a worker to it: a table of very many columns with large dictionaries takes more.
	workerShare = 24 << 20
	// minFetchShare keeps fetching possible under the smallest budget.
	minFetchShare = 4 << 20
)

// LeastMemory is the smallest budget, in bytes: one worker's. upload is what the table's store holds of a file that is written, in bytes:
// nothing on a disk. One more than there are workers may be written: a checkpoint of the table's log.
func LeastMemory(upload int64) int64 { return minFetchShare + workerShare + 2*upload }

// MostWorkers is how many workers a budget of total bytes has room for; at least one.
func MostWorkers(total, upload int64) int {
	return int(max((total-minFetchShare-upload)/(workerShare+upload), 1))
}

// NewBudget splits total bytes between the workers, of which there are at most MostWorkers, and fetching.
func NewBudget(total, upload int64, workers int) *Budget {
	size := max(total-int64(workers)*(workerShare+upload)-upload, minFetchShare)
	return &Budget{size: size, sem: semaphore.NewWeighted(size)}
}

// Size is the share of fetching in bytes.
func (b *Budget) Size() int64 { return b.size }

// Acquire waits until n bytes are free and returns how many to give back: an item larger than the whole share takes all of it, alone.
func (b *Budget) Acquire(ctx context.Context, n int64) (int64, error) {
	n = min(n, b.size)
	if err := b.sem.Acquire(ctx, n); err != nil {
		return 0, err
	}
	return n, nil
}

// Release gives n bytes back.
func (b *Budget) Release(n int64) { b.sem.Release(n) }
