//go:build !race

package main

// racing says that this is a run under the race detector.
const racing = false
