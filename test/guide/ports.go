package guide

import (
	"context"
	"net"
)

// TakePorts listens on the ports that a demo prefers, where they are free, until release: a demo that rests for a moment would lose them to
// another one on the same machine. Tests in other processes may hold the same ports at the same time; each test that starts a demo does.
func TakePorts() (release func()) {
	shared := net.ListenConfig{Control: share}
	var taken []net.Listener
	for _, port := range []string{"9092", "8081", "8083"} {
		if l, err := shared.Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
			taken = append(taken, l)
		}
	}
	return func() {
		for _, l := range taken {
			l.Close()
		}
	}
}
