package table

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siltlake/silt/internal/store"
)

// stuck is a store that cleans, and writes log checkpoints, for as long as it may.
type stuck struct {
	store.Store
	checkpoints *int
}

func (s stuck) Clean(ctx context.Context, _ string, _ time.Time) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func (s stuck) Create(ctx context.Context, key string) (store.Upload, error) {
	if strings.HasPrefix(key, "_delta_log/") {
		*s.checkpoints++
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.Store.Create(ctx, key)
}

func TestCloseWaitsForBackgroundWorkOnlyForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var checkpoints int
		k := testSink(stuck{store.NewMemory(testClock), &checkpoints}, plain, 1)
		for id := range int64(25) {
			if err := land(t, k, testBatch(id), withValue(str("a"))); err != nil {
				t.Fatal(err)
			}
		}
		before := time.Now()
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(before); d != closeGrace || checkpoints != 1 {
			t.Errorf("closed after %v, with %d log checkpoints begun", d, checkpoints)
		}
	})
}

func TestCloseWaitsNoLongerThanBackgroundWorkTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory(testClock)
		k := testSink(s, plain, 1)
		for id := range int64(12) { // one log checkpoint: of two, the second waits a second before it is named
			if err := land(t, k, testBatch(id), withValue(str("a"))); err != nil {
				t.Fatal(err)
			}
		}
		before := time.Now()
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(context.Background(), "_delta_log/_last_checkpoint", 1<<10); err != nil || time.Since(before) != 0 {
			t.Errorf("closed after %v; %v", time.Since(before), err)
		}
	})
}
