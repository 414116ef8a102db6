package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/siltlake/silt/internal/problem"
)

// Probe finds out whether a Store does in one of its folders what silt builds on: it lists, puts an object that is not there, puts another
// with the same key, which has to be refused, and reads the first one back. folder ends with a slash, or is "". id is part of the object's
// name, which is hidden, and has to be random. At the end the object is removed; kept says that it stays, for want of the right to delete.
//
// The error is the Store's, or a *problem.Problem with the code UnsafeStore for a store that lets the second put through, or knows no such
// puts: two writers would overwrite each other's commits.
func Probe(ctx context.Context, s Store, folder, id string) (kept bool, err error) {
	for _, err := range s.List(ctx, folder, "") {
		if err != nil {
			return false, err
		}
		break
	}
	const tries = 3
	for n := range tries {
		var wrote, stays bool
		key := fmt.Sprintf("%s.silt-probe-%s-%d", folder, id, n)
		if wrote, err = probeKey(ctx, s, key); wrote {
			var failed error
			stays, failed = unprobe(ctx, s, key)
			kept = kept || stays
			if err == nil {
				err = failed
			}
		}
		if !errors.Is(err, errLost) || ctx.Err() != nil {
			break
		}
	}
	return kept, err
}

// errLost: what became of a put is not known; another key will tell.
var errLost = errors.New("answers of the store were lost")

// probeKey probes with one key. wrote says that there may be an object now.
func probeKey(ctx context.Context, s Store, key string) (wrote bool, err error) {
	first, second := []byte("a probe of silt\n"), []byte("a second probe of silt\n")
	switch outcome, err := s.PutIfAbsent(ctx, key, first); {
	case outcome == Exists:
		return true, unsafe(s, "it says of a new object that it is there already")
	case outcome == Unknown && refused(err):
		if perr := s.Put(ctx, key, first); perr == nil {
			return true, unsafe(s, why(err))
		}
		return false, err
	case outcome == Unknown:
		return true, lost(err)
	}
	switch outcome, err := s.PutIfAbsent(ctx, key, second); {
	case outcome == Created:
		return true, unsafe(s, "the second of two such puts replaced the object of the first")
	case outcome == Unknown:
		return true, lost(err)
	}
	there, err := s.Get(ctx, key, int64(len(second)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, unsafe(s, "an object that was put is not there")
	case err == nil && !bytes.Equal(there, first):
		return true, unsafe(s, "the second of two such puts replaced the object of the first, and was said not to")
	}
	return true, err
}

// refused says whether a store answered a put with an error that stays and is not about rights, logins or the bucket: it may not know such
// puts.
func refused(err error) bool {
	var p *problem.Problem
	return errors.As(err, &p) && p.Code == problem.StoreFailed && !p.Retryable
}

// lost is the error of a put whose outcome is unknown: the store's, if that says what to do.
func lost(err error) error {
	if errors.As(err, new(*problem.Problem)) || errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w: %w", errLost, err)
}

// unprobeTime is how long the object of a probe is removed at most: whoever gives up in the middle leaves none.
const unprobeTime = 5 * time.Second

// unprobe removes the object of a probe, and says whether it may not.
func unprobe(ctx context.Context, s Store, key string) (stays bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unprobeTime)
	defer cancel()
	err = s.Delete(ctx, key)
	if errors.Is(err, fs.ErrPermission) {
		return true, nil
	}
	return false, err
}

func unsafe(s Store, why string) *problem.Problem {
	return problem.New(problem.UnsafeStore, "the store of %s cannot put an object only if it is absent", s.URL()).At(problem.File(s.URL())).
		Because(errors.New(why)).
		Fix("use a store, or a release of it, that knows conditional writes (If-None-Match: *): without them two writers overwrite each other's commits")
}

// why is what the store said.
func why(err error) string {
	if p, ok := errors.AsType[*problem.Problem](err); ok && p.Why != "" {
		return p.Why
	}
	return err.Error()
}
