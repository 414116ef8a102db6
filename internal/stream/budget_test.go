package stream

import "testing"

func TestAsManyWorkersAsMemoryHasRoomForLeaveRoomForFetching(t *testing.T) {
	for _, tt := range []struct {
		total int64
		most  int
	}{
		{0, 1},        // there is always one
		{32 << 20, 1}, // the least that silt run takes
		{52 << 20, 2}, // exactly two and the least for fetching
		{256 << 20, 10},
		{1 << 30, 42},
	} {
		most := MostWorkers(tt.total)
		if most != tt.most {
			t.Errorf("%d bytes have room for %d workers, want %d", tt.total, most, tt.most)
		}
		size := NewBudget(tt.total, most).Size()
		if all := size + int64(most)*workerShare; size < minFetchShare || tt.total >= 32<<20 && all != tt.total {
			t.Errorf("%d bytes are split into %d for fetching and %d in all", tt.total, size, all)
		}
	}
}
