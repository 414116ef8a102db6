package parts

import (
	"fmt"
	"os"
	"os/exec"
	"time"
)

// A process is a server: one that this process started, or one that is only known by its id.
type process struct {
	pid    int
	exited chan struct{} // closed when a child ended and was waited for; nil for a process that is no child
}

// startProcess starts cmd and waits for its end in the background, so that no zombie stays.
func startProcess(cmd *exec.Cmd) (*process, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{pid: cmd.Process.Pid, exited: make(chan struct{})}
	go func() {
		// The exit status does not matter: a server that ends by itself is noticed by who waits for its answers.
		_ = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

func (p *process) running() bool {
	if p.exited == nil {
		return alive(p.pid)
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// stop asks the process to end and kills it if it has not after limit.
func (p *process) stop(limit time.Duration) error {
	if !p.running() {
		return nil
	}
	if err := terminate(p.pid); err != nil && p.running() {
		return fmt.Errorf("stop process %d: %w", p.pid, err)
	}
	if p.wait(limit) {
		return nil
	}
	return p.kill()
}

func (p *process) kill() error {
	if !p.running() {
		return nil
	}
	found, err := os.FindProcess(p.pid)
	if err != nil {
		return err
	}
	if err := found.Kill(); err != nil && p.running() {
		return fmt.Errorf("kill process %d: %w", p.pid, err)
	}
	if !p.wait(10 * time.Second) {
		return fmt.Errorf("process %d does not end", p.pid)
	}
	return nil
}

// wait says whether the process ended within limit.
func (p *process) wait(limit time.Duration) bool {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if !p.running() {
			return true
		}
	}
	return !p.running()
}
