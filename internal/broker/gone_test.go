package broker

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/filelock"
	"github.com/siltlake/silt/internal/problem"
)

// TestAStartWaitsForAKilledProcessToBeGone holds a broker's lock and port for a moment, as the system does after kill -9.
func TestAStartWaitsForAKilledProcessToBeGone(t *testing.T) {
	dir := t.TempDir()
	first := start(t, Options{Dir: dir})
	addr := first.Addr()
	stop(t, first)
	lock, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := filelock.Try(lock); err != nil {
		t.Fatal(err)
	}
	port, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { lock.Close() })
	time.AfterFunc(150*time.Millisecond, func() { port.Close() })
	if running, err := Running(dir); running || err != nil {
		t.Errorf("a broker runs in the directory of a killed one: %v, %v", running, err)
	}
	if second := start(t, Options{Dir: dir}); second.Addr() != addr {
		t.Errorf("the port was %s and is %s", addr, second.Addr())
	}
	if _, err := Start(testContext(t), Options{Dir: dir}); !hasCode(err, problem.FolderInUse) {
		t.Errorf("beside a broker that lives: %v", err)
	}
}
