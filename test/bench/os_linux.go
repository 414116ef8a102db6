package main

import (
	"os"
	"syscall"
	"time"
)

// maxRSS is the largest resident set of a process that ended, in bytes.
func maxRSS(p *os.ProcessState) int64 {
	if usage, ok := p.SysUsage().(*syscall.Rusage); ok {
		return usage.Maxrss * 1024
	}
	return 0
}

// visibleAt is when a file got its name: a commit is written and synced under another one first.
func visibleAt(info os.FileInfo) time.Time {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(stat.Ctim.Unix())
	}
	return info.ModTime()
}
