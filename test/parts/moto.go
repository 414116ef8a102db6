package parts

import (
	_ "embed"
	"errors"
	"net/http"
	"os/exec"
	"path/filepath"
)

//go:embed moto.txt
var motoRequirements []byte

// StartMoto starts a moto server, whose objects are in memory, with its log in dir.
func StartMoto(dir string) (*S3, error) {
	const part = "moto"
	venv, err := pythonEnvironment(part, part, motoRequirements)
	if err != nil {
		return nil, err
	}
	s := &S3{Bucket: "silt", KeyID: "motokey", Secret: "motosecret"}
	s.emulator, err = startEmulator(part, dir, func(port string) *exec.Cmd {
		return exec.Command(filepath.Join(venv, "bin", "moto_server"), "-H", "127.0.0.1", "-p", port)
	}, listens)
	if err != nil {
		return nil, err
	}
	s.URL = "http://" + s.address
	// It checks no signature.
	req, err := http.NewRequest(http.MethodPut, s.URL+"/"+s.Bucket, nil)
	if err == nil {
		err = s.request(req)
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}
