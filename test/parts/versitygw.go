package parts

import (
	"os"
	"os/exec"
	"path/filepath"
)

const versitygwProgram = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"

// An S3 is a server that speaks S3's protocol, with one bucket.
type S3 struct {
	URL, Bucket   string
	KeyID, Secret string

	emulator
}

// StartVersitygw starts a versitygw over the directory dir, which a later start over the same one continues.
func StartVersitygw(dir string) (*S3, error) {
	const part = "versitygw"
	program, err := goProgram(part, versitygwProgram)
	if err != nil {
		return nil, err
	}
	s := &S3{Bucket: "silt", KeyID: "versitygwkey", Secret: "versitygwsecret"}
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(filepath.Join(data, s.Bucket), 0o755); err != nil { // its directories are the buckets
		return nil, err
	}
	s.emulator, err = startEmulator(part, dir, func(port string) *exec.Cmd {
		return exec.Command(program, "--port", "127.0.0.1:"+port, "--access", s.KeyID, "--secret", s.Secret, "--quiet", "posix", data)
	}, listens)
	s.URL = "http://" + s.address
	return s, err
}
