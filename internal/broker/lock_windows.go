package broker

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// errLocked says that another process, or another broker of this one, has the lock.
var errLocked = errors.New("locked")

// tryLock takes the file's lock without waiting.
func tryLock(f *os.File) error {
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0,
		new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errLocked
	}
	return err
}
