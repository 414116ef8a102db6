//go:build unix

package guide

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// share lets other sockets that ask for the same listen on the port too, and no others.
func share(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	if err != nil {
		return err
	}
	return failed
}
