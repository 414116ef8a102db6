package datagen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"
)

// A MemoryOffsets keeps offsets while the process lives. The zero value is empty.
type MemoryOffsets struct {
	mu      sync.Mutex
	offsets map[int]Offset
}

var _ Offsets = (*MemoryOffsets)(nil)

// Load implements Offsets.
func (m *MemoryOffsets) Load(_ context.Context, task int) (Offset, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.offsets[task]
	return o, ok, nil
}

// Store implements Offsets.
func (m *MemoryOffsets) Store(_ context.Context, task int, o Offset) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.offsets == nil {
		m.offsets = map[int]Offset{}
	}
	m.offsets[task] = o
	return nil
}

// A FileOffsets keeps offsets in a file of JSON, {"0": {"task.generation": 1, ...}}: a new file takes the old one's place, synced before,
// so that a crash leaves one of the two.
type FileOffsets struct {
	name string

	mu      sync.Mutex
	offsets map[string]Offset
}

var _ Offsets = (*FileOffsets)(nil)

// maxOffsetsBytes bounds the file.
const maxOffsetsBytes = 1 << 20

// OpenOffsets reads the file; one that does not exist is empty, and made by the first Store.
func OpenOffsets(name string) (*FileOffsets, error) {
	f := &FileOffsets{name: name, offsets: map[string]Offset{}}
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > maxOffsetsBytes {
		return nil, fmt.Errorf("it has %d bytes, and no offsets of tasks have more than %d", info.Size(), maxOffsetsBytes)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &f.offsets); err != nil {
		return nil, fmt.Errorf("it holds no offsets of tasks: %w", err)
	}
	if f.offsets == nil {
		f.offsets = map[string]Offset{} // the file says null
	}
	return f, nil
}

// Load implements Offsets.
func (f *FileOffsets) Load(_ context.Context, task int) (Offset, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o, ok := f.offsets[strconv.Itoa(task)]
	if ok && (o.Iteration < 0 || o.Generation < 0) {
		return Offset{}, false, fmt.Errorf("%s: task %d: an iteration or a generation is negative", f.name, task)
	}
	return o, ok, nil
}

// Store implements Offsets.
func (f *FileOffsets) Store(_ context.Context, task int, o Offset) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.offsets[strconv.Itoa(task)] = o
	text, err := json.MarshalIndent(f.offsets, "", "  ")
	if err != nil {
		return err
	}
	return replace(f.name, append(text, '\n'))
}

// replace writes the file under another name, syncs it, and gives it its name. The other name is always the same, so that kills leave no
// more than one.
func replace(name string, text []byte) error {
	temporary := name + ".tmp"
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return os.Rename(temporary, name)
}
