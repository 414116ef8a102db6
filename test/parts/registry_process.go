package parts

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// registryState is how a registry that is a process of its own tells where it listens.
type registryState struct {
	URL, User, Password string
}

// StartRegistryProcess starts a Registry that outlives this process: it runs this program again, with the arguments "registry serve DIR",
// which has to call ServeRegistry.
func StartRegistryProcess(dir string) (*Registry, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if pid := readPID(dir); alive(pid) {
		return nil, fmt.Errorf("a registry runs in %s already, as process %d", dir, pid)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "state.json")
	if err := removeIfThere(file); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "registry.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(self, "registry", "serve", dir)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = procAttr(true)
	p, err := startProcess(cmd)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "pid"), []byte(strconv.Itoa(p.pid)), 0o644); err != nil {
		return nil, errors.Join(err, p.kill())
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline) && p.running(); time.Sleep(20 * time.Millisecond) {
		var s registryState
		if readJSON(file, &s) == nil {
			return &Registry{URL: s.URL, User: s.User, Password: s.Password}, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("the registry does not start%s", lastLines(log.Name(), 5)), p.kill())
}

// StopRegistryProcess stops the registry of dir.
func StopRegistryProcess(dir string) error {
	pid := readPID(dir)
	if !alive(pid) {
		return fmt.Errorf("no registry runs in %s", dir)
	}
	return errors.Join((&process{pid: pid}).stop(stopTimeout), removeIfThere(filepath.Join(dir, "pid")))
}

// ServeRegistry runs a registry until ctx ends and writes its address and login into dir.
func ServeRegistry(ctx context.Context, dir string) error {
	r, err := StartRegistry("SRKEY"+rand.Text()[:8], rand.Text())
	if err != nil {
		return err
	}
	b, err := json.Marshal(registryState{r.URL, r.User, r.Password})
	if err != nil {
		return err
	}
	// Whoever waits for the file sees all of it or nothing.
	file := filepath.Join(dir, "state.json")
	if err := os.WriteFile(file+".tmp", b, 0o600); err != nil {
		return err
	}
	if err := os.Rename(file+".tmp", file); err != nil {
		return err
	}
	<-ctx.Done()
	if err := r.Close(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
