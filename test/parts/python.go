package parts

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed requirements.txt
var requirements []byte

// Python returns the interpreter of a virtual environment with the packages of requirements.txt; the first call on a machine installs them.
func Python() (string, error) {
	const part = "Python with confluent-kafka, fastavro, deltalake and duckdb"
	dir, err := install{part: part, name: "python", pin: requirements, fill: func(dir string, log *os.File) error {
		python, err := exec.LookPath("python3")
		if err != nil {
			return &Missing{part, "there is no python3 (Debian: apt-get install python3-venv)"}
		}
		if err := runLogged(log, dir, python, "-m", "venv", dir); err != nil {
			return err
		}
		file := filepath.Join(dir, "requirements.txt")
		if err := os.WriteFile(file, requirements, 0o644); err != nil {
			return err
		}
		return runLogged(log, dir, interpreter(dir), "-m", "pip", "install", "--disable-pip-version-check", "-q", "-r", file)
	}}.get()
	if err != nil {
		return "", err
	}
	return interpreter(dir), nil
}

func interpreter(venv string) string { return filepath.Join(venv, "bin", "python") }
