package store

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// syncDir does nothing: Windows has no call that syncs a folder, NTFS journals its names.
func syncDir(string) error { return nil }

// linkedTwice is about NFS clients of Unix.
func linkedTwice(string) bool { return false }

// noLinks says whether no hard link could be made for a reason that renameNoReplace may not have: FAT and ReFS answer
// ERROR_INVALID_FUNCTION or ERROR_NOT_SUPPORTED.
func noLinks(err error) bool { return !errors.Is(err, fs.ErrPermission) }

// renameNoReplace gives a file a name that nothing has: fs.ErrExist if something has it. MoveFileEx without MOVEFILE_REPLACE_EXISTING
// works on every file system of Windows; WRITE_THROUGH returns after the name is on the disk.
func renameNoReplace(from, to string) error {
	f, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	t, err := windows.UTF16PtrFromString(to)
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	if err := windows.MoveFileEx(f, t, windows.MOVEFILE_WRITE_THROUGH); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}
