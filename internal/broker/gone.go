package broker

import (
	"context"
	"net"
	"strconv"
	"time"
)

// goneWithin is how long the system may take to give back what a process held that was killed: its lock first, its ports a moment later.
// Whoever types kill -9 and starts again at once must not be told that somebody is there.
const goneWithin = time.Second

// untilGone calls do again while it fails by what a dying process may hold.
func untilGone(ctx context.Context, held func(error) bool, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, goneWithin)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := do()
		if err == nil || !held(err) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// ListenAgain listens on a port that an earlier process had, which may have been killed right before.
func ListenAgain(ctx context.Context, host string, port int) (l net.Listener, err error) {
	err = untilGone(ctx, func(error) bool { return true }, func() error {
		l, err = net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		return err
	})
	return l, err
}
