package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// renameNoReplace gives a file a name that nothing has: fs.ErrExist if something has it.
func renameNoReplace(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if err == nil {
		return nil
	}
	err = &os.LinkError{Op: "renameat2", Old: from, New: to, Err: err}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTSUP) { // the flag is not supported here
		return unsafeStore(to, err)
	}
	return err
}
