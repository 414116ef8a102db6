package checkpoint

import (
	"context"
	"sync"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
)

// maxPurge bounds what one removal takes out: a checkpoint that nobody ever purged is cleaned over many batches.
const maxPurge = 1000

// A purger removes entries of old batches in the background, oldest first, so that those left are contiguous. At most one removal runs
// at a time; what it leaves, the next one takes. A failure is tried again after the next batch, and is nobody's problem until then.
type purger struct {
	store  store.Store
	crc    bool
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	low     int64 // no entry below it is left
	running bool
	failed  error // a removal panicked
	wg      sync.WaitGroup
}

func (p *purger) start(s store.Store, crc bool) {
	p.store, p.crc = s, crc
	p.ctx, p.cancel = context.WithCancel(context.Background())
}

// oldest tells the purger where to begin.
func (p *purger) oldest(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.low = n
}

// before removes the entries of the batches below n. The error is that of an earlier removal, and no outage.
func (p *purger) before(n int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil || p.running || n <= p.low {
		return p.failed
	}
	p.running = true
	from, to := p.low, min(n, p.low+maxPurge)
	p.wg.Go(func() {
		at := from
		err := problem.Catch("removing old entries of the checkpoint", func() error {
			at = p.remove(from, to)
			return nil
		})
		p.mu.Lock()
		defer p.mu.Unlock()
		p.low, p.running, p.failed = at, false, err
	})
	return nil
}

// remove returns the first batch whose entries could not all be removed, or to.
func (p *purger) remove(from, to int64) int64 {
	for n := from; n < to; n++ {
		for _, key := range []string{offsetsKey(n), commitsKey(n)} {
			if p.store.Delete(p.ctx, key) != nil {
				return n
			}
			if p.crc && p.store.Delete(p.ctx, sumKey(key)) != nil {
				return n
			}
		}
	}
	return to
}

// close lets a removal end after the file that it is at.
func (p *purger) close() error {
	p.cancel()
	p.wg.Wait()
	return nil
}
