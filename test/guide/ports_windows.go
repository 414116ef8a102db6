package guide

import "syscall"

// share does nothing: here the first one has the port alone.
func share(string, string, syscall.RawConn) error { return nil }
