package stream

import (
	"context"

	"golang.org/x/sync/semaphore"
)

// A Budget bounds the memory of fetched data. Each worker's share (decode buffers, one open file) is taken off before the first fetch;
// what is left is the fetches'. Workers never wait for it, so nothing deadlocks. Its methods may be called concurrently.
type Budget struct {
	size int64
	sem  *semaphore.Weighted
}

// WorkerShare is what one worker may need beside the chunk it walks: decode buffers, the open page and the compressed pages of a file.
const WorkerShare = 24 << 20

// minFetchShare keeps fetching possible under the smallest budget.
const minFetchShare = 4 << 20

// NewBudget splits total bytes between the workers and fetching.
func NewBudget(total int64, workers int) *Budget {
	size := max(total-int64(workers)*WorkerShare, minFetchShare)
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
