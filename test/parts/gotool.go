package parts

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// goProgram returns the path of a Go program at an exact version: the package of its main function, then @ and the version. The first call
// on a machine builds it, outside of this module.
func goProgram(part, program string) (string, error) {
	pkg, _, _ := strings.Cut(program, "@")
	name := path.Base(pkg)
	dir, err := install{part: part, name: name, pin: []byte(program), fill: func(dir string, log *os.File) error {
		tool, err := exec.LookPath("go")
		if err != nil {
			return &Missing{part, "there is no go on PATH"}
		}
		cmd := niced(tool, "install", program)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=-mod=mod", "GOWORK=off")
		cmd.Stdout, cmd.Stderr = log, log
		return cmd.Run()
	}}.get()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, name), nil
}
