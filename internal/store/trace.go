package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"time"
)

// Traced returns a store that does what s does and says each operation, after it was done, in one line: "put-if-absent KEY: created". The
// order of effects of a piece of code is then a text that a test can compare. trace may be called concurrently.
func Traced(s Store, trace func(line string)) Store { return &traced{s, trace} }

type traced struct {
	s     Store
	trace func(string)
}

var (
	_ Store   = (*traced)(nil)
	_ Cleaner = (*traced)(nil)
)

func (t *traced) say(op, key, outcome string, err error) {
	line := op
	if key != "" {
		line += " " + key
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		outcome = "not there"
	case err != nil:
		outcome += " (" + err.Error() + ")"
	}
	if outcome != "" {
		line += ": " + outcome
	}
	t.trace(line)
}

func (t *traced) URL() string { return t.s.URL() }

func (t *traced) Put(ctx context.Context, key string, data []byte) error {
	err := t.s.Put(ctx, key, data)
	t.say("put", key, "", err)
	return err
}

func (t *traced) PutIfAbsent(ctx context.Context, key string, data []byte) (Outcome, error) {
	o, err := t.s.PutIfAbsent(ctx, key, data)
	t.say("put-if-absent", key, o.String(), err)
	return o, err
}

func (t *traced) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	data, err := t.s.Get(ctx, key, limit)
	t.say("get", key, "", err)
	return data, err
}

func (t *traced) Open(ctx context.Context, key string) (Object, error) {
	o, err := t.s.Open(ctx, key)
	t.say("open", key, "", err)
	return o, err
}

func (t *traced) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		n := 0
		var failed error
		for i, err := range t.s.List(ctx, prefix, after) {
			if err != nil {
				failed = err
			} else {
				n++
			}
			if !yield(i, err) {
				break
			}
		}
		what := prefix + "*"
		if after != "" {
			what += " after " + after
		}
		t.say("list", what, fmt.Sprint(n), failed)
	}
}

func (t *traced) Delete(ctx context.Context, key string) error {
	err := t.s.Delete(ctx, key)
	t.say("delete", key, "", err)
	return err
}

func (t *traced) Clean(ctx context.Context, folder string, before time.Time) (int, error) {
	n, err := Clean(ctx, t.s, folder, before)
	t.say("clean", folder, fmt.Sprint(n), err)
	return n, err
}

func (t *traced) Create(ctx context.Context, key string) (Upload, error) {
	u, err := t.s.Create(ctx, key)
	t.say("create", key, "", err)
	if err != nil {
		return nil, err
	}
	return &tracedUpload{u, t, key}, nil
}

// tracedUpload says nothing of writes: how a stream is cut into them is no effect.
type tracedUpload struct {
	Upload
	t   *traced
	key string
}

func (u *tracedUpload) Commit(ctx context.Context) error {
	err := u.Upload.Commit(ctx)
	u.t.say("commit", u.key, "", err)
	return err
}

func (u *tracedUpload) Abort(ctx context.Context) error {
	err := u.Upload.Abort(ctx)
	u.t.say("abort", u.key, "", err)
	return err
}
