package parts

import "syscall"

// procAttr puts a server into a session of its own, so that Ctrl-C in a terminal does not reach it before whoever started it stops it.
// Unless it is to outlive its starter, the kernel kills it when the starter dies, however that dies.
func procAttr(outlive bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if !outlive {
		attr.Pdeathsig = syscall.SIGKILL
	}
	return attr
}
