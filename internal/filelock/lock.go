// Package filelock lets one process at a time own a file. The lock ends with the process, however that ends.
package filelock

import "errors"

// ErrLocked says that somebody has the lock: another process, or this one through another open file.
var ErrLocked = errors.New("locked")
