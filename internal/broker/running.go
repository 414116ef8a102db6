package broker

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/siltlake/silt/internal/filelock"
	"github.com/siltlake/silt/internal/problem"
)

// Running says whether a broker runs in the directory, in this process or another one.
func Running(dir string) (bool, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		defer f.Close()
		err = untilGone(context.Background(), isLocked, func() error { return filelock.Try(f) })
	}
	switch {
	case isLocked(err):
		return true, nil
	case err != nil:
		return false, problem.New(problem.PathNotWritable, "the broker's directory cannot be looked at").At(problem.File(dir)).Because(err)
	}
	return false, nil
}
