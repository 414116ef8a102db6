package problem

import "runtime/debug"

// Catch runs f and makes a panic an error of the code Internal. The runtime would print a panic, with the values in it, past the scrubber,
// and end the process with whatever else it does: so every goroutine of a query runs under Catch, and a test says so.
func Catch(doing string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			p := New(Internal, "panic while %s: %v", doing, v)
			p.Why = string(debug.Stack())
			err = p.Fix("report this with the lines above")
		}
	}()
	return f()
}
