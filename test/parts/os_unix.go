//go:build unix

package parts

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFile waits until this process alone holds the file's lock. The lock ends with unlock or with the process.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return func() { f.Close() }, nil
}

// alive says whether a process exists.
func alive(pid int) bool { return pid > 0 && unix.Kill(pid, 0) == nil }

func terminate(pid int) error { return unix.Kill(pid, unix.SIGTERM) }
