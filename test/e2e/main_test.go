//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/siltlake/silt/test/parts"
)

// scratch is a directory for what all tests share: the binaries and the broker.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "silt-e2e-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := cleanUp(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func cleanUp() error {
	var errs []error
	for _, e := range running {
		errs = append(errs, e.stop())
	}
	if readersStarted {
		s, err := sharedReaders()
		if err == nil {
			err = s.stop()
		}
		errs = append(errs, err)
	}
	if started {
		k, err := sharedKafka()
		if err == nil {
			err = k.Stop()
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, os.RemoveAll(scratch))...)
}

const scramLogin = "org.apache.kafka.common.security.scram.ScramLoginModule required;"

var (
	// started says that a test asked for the broker; it is true before the broker serves.
	started bool
	// sharedKafka starts one broker for all tests: a start takes seconds. Each test has topics of its own. Tests do not run in parallel, so
	// one of them may kill it, if it starts it again.
	sharedKafka = sync.OnceValues(func() (*parts.Kafka, error) {
		return parts.StartKafka(filepath.Join(scratch, "kafka"), parts.KafkaOptions{Properties: map[string]string{
			"message.max.bytes": "40000000", // for the test of large records
			// for the clients, which log in by SCRAM too
			"sasl.enabled.mechanisms":                          "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
			"listener.name.tls.scram-sha-256.sasl.jaas.config": scramLogin,
			"listener.name.tls.scram-sha-512.sasl.jaas.config": scramLogin,
		}})
	})
	readersStarted bool // says the same of sharedReaders
	// sharedReaders is one process for all tests: its libraries take a second or two to load.
	sharedReaders = sync.OnceValues(func() (*script, error) {
		python, err := parts.Python()
		if err != nil {
			return nil, err
		}
		return startScript(python, "tables.py")
	})
	// release is the binary as users get it; checked is built with the race detector, which ends it with status 66 after a data race.
	// $SILT_BINARY names one to test instead of both.
	release = sync.OnceValues(func() (string, error) { return build("silt", "-trimpath") })
	checked = sync.OnceValues(func() (string, error) { return build("silt-race", "-race") })
)

func needKafka(t *testing.T) *parts.Kafka {
	t.Helper()
	k, err := sharedKafka()
	parts.Need(t, err)
	started = true
	return k
}

func needPython(t *testing.T) string {
	t.Helper()
	python, err := parts.Python()
	parts.Need(t, err)
	return python
}

// needReaders returns the process of others' readers, python/tables.py.
func needReaders(t *testing.T) *script {
	t.Helper()
	s, err := sharedReaders()
	parts.Need(t, err)
	readersStarted = true
	return s
}

func build(name string, flags ...string) (string, error) {
	if given := os.Getenv("SILT_BINARY"); given != "" {
		return filepath.Abs(given)
	}
	path := filepath.Join(scratch, name)
	args := append([]string{"build", "-o", path}, flags...)
	cmd := exec.Command("go", append(args, "github.com/siltlake/silt/cmd/silt")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return path, nil
}

func built(t *testing.T, of func() (string, error)) string {
	t.Helper()
	path, err := of()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
