//go:build !linux

package parts

import "syscall"

func procAttr(bool) *syscall.SysProcAttr { return nil }
