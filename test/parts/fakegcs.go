package parts

import (
	"bytes"
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

// fakeGCSModule is built once; Go's proxy and checksums decide what it consists of.
const fakeGCSModule = "github.com/fsouza/fake-gcs-server@v1.56.1"

// A FakeGCS is fake-gcs-server, an emulator of Google Cloud Storage's JSON API that asks for no login.
type FakeGCS struct {
	URL string // of its root: http://127.0.0.1:PORT
	PID int

	p *process
}

// StartFakeGCS starts an emulator on a free port, which keeps its objects in dir, or in its memory if dir is "". Its log is in the directory
// for logs.
func StartFakeGCS(logs, dir string) (*FakeGCS, error) {
	bin, err := goProgram("fake-gcs-server", fakeGCSModule)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	port := strconv.Itoa(ports[0])
	log, err := os.Create(filepath.Join(logs, "fake-gcs-"+port+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	root := "http://127.0.0.1:" + port
	// The XML API, which delta-rs reads by, is served under the public host alone; without a port it is that of a proxy, too.
	cmd := exec.Command(bin, "-scheme", "http", "-host", "127.0.0.1", "-port", port, "-external-url", root, "-public-host", "127.0.0.1",
		"-log-level", "warn")
	if dir == "" {
		cmd.Args = append(cmd.Args, "-backend", "memory")
	} else {
		cmd.Args = append(cmd.Args, "-backend", "filesystem", "-filesystem-root", dir)
	}
	cmd.Dir = logs
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = procAttr(false)
	p, err := startProcess(cmd)
	if err != nil {
		return nil, err
	}
	f := &FakeGCS{URL: root, PID: p.pid, p: p}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline) && p.running(); time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(root + "/_internal/healthcheck")
		if err != nil {
			continue
		}
		if err := resp.Body.Close(); err != nil {
			return nil, errors.Join(err, p.kill())
		}
		if resp.StatusCode == http.StatusOK {
			return f, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("fake-gcs-server does not start%s", lastLines(log.Name(), 5)), p.kill())
}

// MakeBucket makes a bucket.
func (f *FakeGCS) MakeBucket(name string) error {
	body, err := json.Marshal(map[string]string{"name": name})
	if err != nil {
		return err
	}
	resp, err := http.Post(f.URL+"/storage/v1/b?project=test", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("make the bucket %s: %s", name, resp.Status)
	}
	return nil
}

// Stop ends the emulator.
func (f *FakeGCS) Stop() error { return f.p.stop(stopTimeout) }
