package parts

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// An emulator is an object store on a port of loopback, by plain http.
type emulator struct {
	part    string // as in Missing
	process *process
	address string // 127.0.0.1:PORT
}

// startEmulator starts the command of an object store on a free port, in the directory for logs, and returns when it is ready. Its log is
// PART-PORT.log.
func startEmulator(part, logs string, command func(port string) *exec.Cmd, ready func(address string) bool) (emulator, error) {
	ports, err := freePorts(1)
	if err != nil {
		return emulator{}, err
	}
	port := strconv.Itoa(ports[0])
	log, err := os.Create(filepath.Join(logs, part+"-"+port+".log"))
	if err != nil {
		return emulator{}, err
	}
	defer log.Close()
	cmd := command(port)
	cmd.Dir = logs
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = procAttr(false)
	e := emulator{part: part, address: net.JoinHostPort("127.0.0.1", port)}
	if e.process, err = startProcess(cmd); err != nil {
		return emulator{}, err
	}
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline) && e.process.running(); time.Sleep(20 * time.Millisecond) {
		if ready(e.address) {
			return e, nil
		}
	}
	return emulator{}, errors.Join(fmt.Errorf("%s does not start%s", part, lastLines(log.Name(), 8)), e.process.kill())
}

// listens says whether something takes connections at an address.
func listens(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	return err == nil && c.Close() == nil
}

// request sends a request that is to succeed, to make what a test needs.
func (e emulator) request(req *http.Request) error {
	client := http.Client{Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s %s: status %s", e.part, req.Method, req.URL.Path, resp.Status)
	}
	return nil
}

// PID is the id of the emulator's process.
func (e emulator) PID() int { return e.process.pid }

// Stop ends the emulator.
func (e emulator) Stop() error { return e.process.stop(stopTimeout) }
