package stream

import "testing"

func TestAsManyWorkersAsMemoryHasRoomForLeaveRoomForFetching(t *testing.T) {
	for _, tt := range []struct {
		total, upload int64
		most          int
	}{
		{0, 0, 1},        // there is always one
		{32 << 20, 0, 1}, // the least that silt run takes
		{52 << 20, 0, 2}, // exactly two and the least for fetching
		{256 << 20, 0, 10},
		{1 << 30, 0, 42},
		{LeastMemory(16 << 20), 16 << 20, 1}, // each uploads as well, and so does a checkpoint of the log
		{60 << 20, 16 << 20, 1},
		{100 << 20, 16 << 20, 2},
		{256 << 20, 16 << 20, 5},
	} {
		most := MostWorkers(tt.total, tt.upload)
		if most != tt.most {
			t.Errorf("%d bytes have room for %d workers, want %d", tt.total, most, tt.most)
		}
		size := NewBudget(tt.total, tt.upload, most).Size()
		if all := size + int64(most)*(workerShare+tt.upload) + tt.upload; size < minFetchShare || tt.total >= 32<<20 && all != tt.total {
			t.Errorf("%d bytes are split into %d for fetching and %d in all", tt.total, size, all)
		}
	}
}
