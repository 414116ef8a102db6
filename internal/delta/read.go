package delta

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
)

func (l *Log) readFile(ctx context.Context, key string, isJSON bool, v *visitor) error {
	o, err := l.store.Open(ctx, key)
	if err != nil {
		return fmt.Errorf("read a log checkpoint of %s: %w", l.store.URL(), err)
	}
	defer func() { _ = o.Close() }()
	in := &input{object: o}
	if isJSON {
		err = readLines(in.reader(), v)
	} else {
		err = readParquet(in, o.Size(), v)
	}
	return l.explain(key, in, err)
}

// An input is an object that is read. It keeps the store's error apart from what a parser makes of it.
type input struct {
	object store.Object
	mu     sync.Mutex
	failed error
}

func (i *input) ReadAt(p []byte, off int64) (int, error) {
	n, err := i.object.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		i.mu.Lock()
		i.failed = err
		i.mu.Unlock()
	}
	return n, err
}

// reader reads the object in requests large enough for an object store.
func (i *input) reader() io.Reader {
	return &blocks{in: io.NewSectionReader(i, 0, i.object.Size()), buf: make([]byte, 0, 1<<20)}
}

// blocks is a bufio.Reader that never asks for less than its buffer.
type blocks struct {
	in  io.Reader
	buf []byte
	at  int
}

func (b *blocks) Read(p []byte) (int, error) {
	if b.at == len(b.buf) {
		n, err := io.ReadFull(b.in, b.buf[:cap(b.buf)])
		b.buf, b.at = b.buf[:n], 0
		if n == 0 {
			return 0, err
		}
	}
	n := copy(p, b.buf[b.at:])
	b.at += n
	return n, nil
}

// errStop ends a reading early: the caller of an iterator stopped.
var errStop = errors.New("stop")

// explain turns a parser's error into the problem of a corrupt file, unless the store or the caller is its cause.
func (l *Log) explain(key string, in *input, err error) error {
	if err == nil || errors.Is(err, errStop) {
		return err
	}
	if in != nil && in.failed != nil {
		return fmt.Errorf("read %s of %s: %w", key, l.store.URL(), in.failed)
	}
	return l.corrupt(key, err)
}

// smallCommit is the size up to which a commit is read in one request; larger ones are read piece by piece.
const smallCommit = 1 << 20

// window is how many commits are fetched at a time: opening a table that has 100 commits after its checkpoint must not take 100 round
// trips one after the other.
const window = 8

// A fetched is a commit that was opened.
type fetched struct {
	data []byte
	in   *input // in place of data
}

func (l *Log) fetch(ctx context.Context, version int64) (*fetched, error) {
	key := commitKey(version)
	data, err := l.store.Get(ctx, key, smallCommit)
	if err == nil {
		return &fetched{data: data}, nil
	}
	if errors.Is(err, store.ErrTooLarge) {
		var o store.Object
		if o, err = l.store.Open(ctx, key); err == nil {
			return &fetched{in: &input{object: o}}, nil
		}
	}
	return nil, fmt.Errorf("read the log of %s: %w", l.store.URL(), err)
}

func (f *fetched) size() int64 {
	if f.in != nil {
		return f.in.object.Size()
	}
	return int64(len(f.data))
}

func (f *fetched) reader() io.Reader {
	if f.in != nil {
		return f.in.reader()
	}
	return bytes.NewReader(f.data)
}

func (f *fetched) close() {
	if f != nil && f.in != nil {
		_ = f.in.object.Close()
	}
}

// eachCommit calls do with the commits from low to high in the order that step, +1 or -1, says.
func (l *Log) eachCommit(ctx context.Context, low, high, step int64, do func(version int64, r io.Reader, size int64) error) error {
	first := low
	if step < 0 {
		first = high
	}
	for done, total := int64(0), high-low+1; done < total; {
		n := min(window, total-done)
		if err := l.eachFetched(ctx, first+done*step, step, n, do); err != nil {
			return err
		}
		done += n
	}
	return nil
}

func (l *Log) eachFetched(ctx context.Context, first, step, n int64, do func(version int64, r io.Reader, size int64) error) error {
	commits := make([]*fetched, n)
	defer func() {
		for _, f := range commits {
			f.close()
		}
	}()
	var group errgroup.Group // without a context of its own, which would end with Wait: what is opened is read after it
	for i := range commits {
		group.Go(func() error {
			return problem.Catch("reading the log", func() (err error) {
				commits[i], err = l.fetch(ctx, first+int64(i)*step)
				return err
			})
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, f := range commits {
		version := first + int64(i)*step
		if err := do(version, f.reader(), f.size()); err != nil {
			return l.explain(commitKey(version), f.in, err)
		}
	}
	return nil
}

// readSummary reads one commit; fs.ErrNotExist if there is none.
func (l *Log) readSummary(ctx context.Context, version int64) (*summary, int64, error) {
	f, err := l.fetch(ctx, version)
	if err != nil {
		return nil, 0, err
	}
	defer f.close()
	var sum summary
	err = readLines(f.reader(), sum.visitor())
	return &sum, f.size(), l.explain(commitKey(version), f.in, err)
}
