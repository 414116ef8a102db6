package store

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Memory is a Store in memory. The zero value is not usable: see NewMemory.
type Memory struct {
	now func() time.Time

	mu      sync.Mutex
	objects map[string]memoryObject
	writes  int64
}

var _ Store = (*Memory)(nil)

type memoryObject struct {
	data     []byte // never changed
	modified time.Time
}

// NewMemory returns an empty store. now gives the time of modification; if it is nil the n-th write is at n milliseconds after 1970.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{now: now, objects: map[string]memoryObject{}}
}

// URL returns memory:.
func (m *Memory) URL() string { return "memory:" }

// set writes an object. REQUIRES: m.mu.
func (m *Memory) set(key string, data []byte) {
	m.writes++
	at := time.UnixMilli(m.writes)
	if m.now != nil {
		at = m.now()
	}
	m.objects[key] = memoryObject{slices.Clone(data), at}
}

func ready(ctx context.Context, key string) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	return ctx.Err()
}

// Put implements Store.
func (m *Memory) Put(ctx context.Context, key string, data []byte) error {
	if err := ready(ctx, key); err != nil {
		return failed("put", key, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.set(key, data)
	return nil
}

// PutIfAbsent implements Store.
func (m *Memory) PutIfAbsent(ctx context.Context, key string, data []byte) (Outcome, error) {
	if err := ready(ctx, key); err != nil {
		return Unknown, NotWritten(failed("put if absent", key, err))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.objects[key]; ok {
		return Exists, nil
	}
	m.set(key, data)
	return Created, nil
}

// Create implements Store.
func (m *Memory) Create(ctx context.Context, key string) (Upload, error) {
	if err := ready(ctx, key); err != nil {
		return nil, failed("create", key, err)
	}
	return &memoryUpload{m: m, key: key}, nil
}

type memoryUpload struct {
	m    *Memory
	key  string
	data []byte
	done bool
}

func (u *memoryUpload) Write(p []byte) (int, error) {
	if u.done {
		return 0, failed("write", u.key, fs.ErrClosed)
	}
	u.data = append(u.data, p...)
	return len(p), nil
}

func (u *memoryUpload) Commit(ctx context.Context) error {
	if u.done {
		return failed("commit", u.key, fs.ErrClosed)
	}
	u.done = true
	if o, err := u.m.PutIfAbsent(ctx, u.key, u.data); err != nil {
		return err
	} else if o == Exists {
		return failed("commit", u.key, fs.ErrExist)
	}
	return nil
}

func (u *memoryUpload) Abort(context.Context) error {
	u.done, u.data = true, nil
	return nil
}

func (m *Memory) lookup(ctx context.Context, key string) ([]byte, error) {
	if err := ready(ctx, key); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return o.data, nil
}

// Get implements Store.
func (m *Memory) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	data, err := m.lookup(ctx, key)
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%w: %d > %d bytes", ErrTooLarge, len(data), limit)
	}
	if err != nil {
		return nil, failed("get", key, err)
	}
	return slices.Clone(data), nil
}

// Open implements Store.
func (m *Memory) Open(ctx context.Context, key string) (Object, error) {
	data, err := m.lookup(ctx, key)
	if err != nil {
		return nil, failed("open", key, err)
	}
	return openMemory{bytes.NewReader(data)}, nil
}

type openMemory struct{ *bytes.Reader }

func (openMemory) Close() error { return nil }

var _ io.ReaderAt = openMemory{}

// List implements Store.
func (m *Memory) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if _, err := prefixFolder(prefix); err != nil {
			yield(Info{}, failed("list", prefix, err))
			return
		}
		m.mu.Lock()
		objects := maps.Clone(m.objects) // the callers may write while they range
		m.mu.Unlock()
		for _, key := range slices.Sorted(maps.Keys(objects)) {
			if err := ctx.Err(); err != nil {
				yield(Info{}, failed("list", prefix, err))
				return
			}
			if !strings.HasPrefix(key, prefix) || key <= after || Hidden(key) {
				continue
			}
			o := objects[key]
			if !yield(Info{key, int64(len(o.data)), o.modified}, nil) {
				return
			}
		}
	}
}

// Delete implements Store.
func (m *Memory) Delete(ctx context.Context, key string) error {
	if err := ready(ctx, key); err != nil {
		return failed("delete", key, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
	return nil
}
