package delta

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// lastCheckpoint is the content of _last_checkpoint (PROTOCOL.md, "Last Checkpoint File"), version, size and parts first. silt writes no
// checksum, which is optional.
type lastCheckpoint struct {
	Version       int64 `json:"version"`
	Size          int64 `json:"size"` // actions
	SizeInBytes   int64 `json:"sizeInBytes,omitempty"`
	NumOfAddFiles int64 `json:"numOfAddFiles,omitempty"`
}

// maxHint bounds _last_checkpoint; Spark's has the checkpoint's whole schema in it.
const maxHint = 16 << 20

// hint returns the version of the log checkpoint that _last_checkpoint names, -1 if that cannot be read: it is a hint.
func (l *Log) hint(ctx context.Context) int64 {
	data, err := l.store.Get(ctx, hintKey, maxHint)
	if err != nil {
		return -1
	}
	var h struct {
		Version *int64 `json:"version"`
	}
	if json.Unmarshal(data, &h) != nil || h.Version == nil {
		return -1
	}
	return *h.Version
}

// hintPause is the time between two writes of _last_checkpoint: Google Cloud Storage takes new bytes for an object once a second
// (cloud.google.com/storage/quotas, "Maximum rate of writes to the same object name").
const hintPause = time.Second

// paceHint waits until _last_checkpoint may be written.
func (l *Log) paceHint(ctx context.Context) error {
	l.mu.Lock()
	now := l.options.Now()
	pause := time.Duration(0)
	if !l.hinted.IsZero() {
		pause = min(l.hinted.Add(hintPause).Sub(now), hintPause) // clocks go back
	}
	l.hinted = now.Add(max(pause, 0))
	l.mu.Unlock()
	if pause <= 0 {
		return nil
	}
	return l.options.Sleep(ctx, pause)
}

// writeHint makes _last_checkpoint name a checkpoint unless it names a newer one. It is written in the background, where there is time.
func (l *Log) writeHint(ctx context.Context, h lastCheckpoint) error {
	if err := l.paceHint(ctx); err != nil {
		return err
	}
	if l.hint(ctx) > h.Version {
		return nil
	}
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	// Hadoop's local file system checks a file against the checksum beside it and would fail on that of the file before (ChecksumFileSystem).
	if err := l.store.Delete(ctx, hintCRCKey); err != nil {
		return fmt.Errorf("remove the checksum of _last_checkpoint: %w", err)
	}
	if err := l.store.Put(ctx, hintKey, data); err != nil {
		return fmt.Errorf("write _last_checkpoint: %w", err)
	}
	return nil
}
