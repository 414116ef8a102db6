package parts

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os/exec"
)

// fakeGCSModule is built once; Go's proxy and checksums decide what it consists of.
const fakeGCSModule = "github.com/fsouza/fake-gcs-server@v1.56.1"

// A FakeGCS is fake-gcs-server, an emulator of Google Cloud Storage's JSON API that asks for no login.
type FakeGCS struct {
	URL string // of its root: http://127.0.0.1:PORT

	emulator
}

// StartFakeGCS starts an emulator on a free port, which keeps its objects in dir, or in its memory if dir is "". Its log is in the directory
// for logs.
func StartFakeGCS(logs, dir string) (*FakeGCS, error) {
	const part = "fake-gcs-server"
	bin, err := goProgram(part, fakeGCSModule)
	if err != nil {
		return nil, err
	}
	e, err := startEmulator(part, logs, func(port string) *exec.Cmd {
		// The XML API, which delta-rs reads by, is served under the public host alone; without a port it is that of a proxy, too.
		cmd := exec.Command(bin, "-scheme", "http", "-host", "127.0.0.1", "-port", port, "-external-url", "http://127.0.0.1:"+port,
			"-public-host", "127.0.0.1", "-log-level", "warn")
		if dir == "" {
			cmd.Args = append(cmd.Args, "-backend", "memory")
		} else {
			cmd.Args = append(cmd.Args, "-backend", "filesystem", "-filesystem-root", dir)
		}
		return cmd
	}, func(address string) bool {
		resp, err := http.Get("http://" + address + "/_internal/healthcheck")
		return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
	if err != nil {
		return nil, err
	}
	return &FakeGCS{URL: "http://" + e.address, emulator: e}, nil
}

// MakeBucket makes a bucket.
func (f *FakeGCS) MakeBucket(name string) error {
	body, err := json.Marshal(map[string]string{"name": name})
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodPost, f.URL+"/storage/v1/b?project=test", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	return f.request(req)
}
