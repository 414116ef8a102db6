package parts

import (
	_ "embed"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"time"
)

const motoPart = "moto"

//go:embed moto.txt
var motoRequirements []byte

// StartMoto starts a moto server, whose objects are in memory, with its log in dir.
func StartMoto(dir string) (*S3, error) {
	venv, err := pythonEnvironment(motoPart, "moto", motoRequirements)
	if err != nil {
		return nil, err
	}
	s := &S3{Bucket: "silt", KeyID: "motokey", Secret: "motosecret", part: motoPart}
	if err := s.start(filepath.Join(dir, "moto.log"), func(_, port string) *exec.Cmd {
		return exec.Command(filepath.Join(venv, "bin", "moto_server"), "-H", "127.0.0.1", "-p", port)
	}); err != nil {
		return nil, err
	}
	if err := s.makeBucket(); err != nil {
		return nil, fmt.Errorf("%w; %w", err, s.Stop())
	}
	return s, nil
}

// makeBucket makes the bucket by a request without a signature, which moto does not check.
func (s *S3) makeBucket() error {
	req, err := http.NewRequest(http.MethodPut, s.URL+"/"+s.Bucket, nil)
	if err != nil {
		return err
	}
	client := http.Client{Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: make bucket %s: status %s", s.part, s.Bucket, res.Status)
	}
	return nil
}
