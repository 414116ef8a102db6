package parts

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

const (
	versitygwPart    = "versitygw"
	versitygwProgram = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
)

// An S3 is a server that speaks S3's protocol, on loopback, by plain http, with one bucket.
type S3 struct {
	URL, Bucket   string
	KeyID, Secret string

	part string
	proc *process
}

// StartVersitygw starts a versitygw over the directory dir, which a later start over the same one continues.
func StartVersitygw(dir string) (*S3, error) {
	program, err := goProgram(versitygwPart, versitygwProgram)
	if err != nil {
		return nil, err
	}
	s := &S3{Bucket: "silt", KeyID: "versitygwkey", Secret: "versitygwsecret", part: versitygwPart}
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(filepath.Join(data, s.Bucket), 0o755); err != nil { // its directories are the buckets
		return nil, err
	}
	return s, s.start(filepath.Join(dir, "versitygw.log"), func(address, _ string) *exec.Cmd {
		cmd := exec.Command(program, "--port", address, "--access", s.KeyID, "--secret", s.Secret, "--quiet", "posix", data)
		cmd.Dir = dir
		return cmd
	})
}

// start starts the server's command on a free port, with its log in a file, and returns when the port answers.
func (s *S3) start(logFile string, command func(address, port string) *exec.Cmd) error {
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	log, err := os.Create(logFile)
	if err != nil {
		return err
	}
	defer log.Close()
	port := strconv.Itoa(ports[0])
	address := net.JoinHostPort("127.0.0.1", port)
	s.URL = "http://" + address
	cmd := command(address, port)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = procAttr(false)
	if s.proc, err = startProcess(cmd); err != nil {
		return err
	}
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if !s.proc.running() {
			return fmt.Errorf("%s ended while it started%s", s.part, lastLines(logFile, 8))
		}
		if c, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			return c.Close()
		}
	}
	if err := s.proc.kill(); err != nil {
		return err
	}
	return fmt.Errorf("%s does not listen after %v%s", s.part, startTimeout, lastLines(logFile, 8))
}

// Pid is the server's process.
func (s *S3) Pid() int { return s.proc.pid }

// Stop ends the server.
func (s *S3) Stop() error { return s.proc.stop(stopTimeout) }
