//go:build !linux

package main

import (
	"os"
	"time"
)

// maxRSS is known on Linux only: elsewhere its unit differs.
func maxRSS(*os.ProcessState) int64 { return 0 }

// visibleAt is when a file was written, which is a little before it got its name.
func visibleAt(info os.FileInfo) time.Time { return info.ModTime() }
