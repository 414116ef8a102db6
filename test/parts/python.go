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
	dir, err := pythonEnvironment("Python with confluent-kafka, fastavro, deltalake and duckdb", "python", requirements)
	if err != nil {
		return "", err
	}
	return interpreter(dir), nil
}

// pythonEnvironment returns a virtual environment with the packages of a requirements file; the first call on a machine installs them.
func pythonEnvironment(part, name string, requirements []byte) (string, error) {
	return install{part: part, name: name, pin: requirements, fill: func(dir string, log *os.File) error {
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
}

func interpreter(venv string) string { return filepath.Join(venv, "bin", "python") }
