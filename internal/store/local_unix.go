//go:build unix

package store

import (
	"errors"
	"os"
	"syscall"

	"github.com/siltlake/silt/internal/problem"
)

// syncDir makes the names in a folder survive a crash of the machine.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// linkedTwice says whether the file has a second name (see Local, NFS).
func linkedTwice(name string) bool {
	info, err := os.Lstat(name)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Nlink == 2
}

// noLinks says whether link(2) failed because the file system has no hard links. EPERM is what Linux answers for it; a folder that may
// not be written to is EACCES.
func noLinks(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSYS) ||
		errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.EOPNOTSUPP)
}

// unsafeStore is the error for a file system on which no operation creates a file whole and only once.
func unsafeStore(final string, err error) error {
	return problem.New(problem.UnsafeStore, "%s: the file system has neither hard links nor a rename that does not replace: %w", final, err).
		Fix("put the table and the checkpoint on a local file system such as ext4, xfs, APFS or NTFS")
}
