//go:build !unix

package parts

import "errors"

var errNotUnix = errors.New("real parts run on Linux and macOS only")

func lockFile(string) (func(), error) { return nil, errNotUnix }

func alive(int) bool { return false }

func terminate(int) error { return errNotUnix }
