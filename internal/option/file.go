package option

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ReadFile reads a file that an option names; one of more than limit bytes is an error. Errors do not name the file: its name may be a
// secret, and is in the message if it is not.
func ReadFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, Reason(err)
	}
	defer f.Close()
	return readAll(f, limit)
}

func readAll(f *os.File, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, Reason(err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("it is larger than %s", FormatSize(limit))
	}
	return b, nil
}

// ReadFileIn reads a file below a folder, as ReadFile does. Neither .. nor a symbolic link leads out of the folder; those within it, as
// Kubernetes mounts secrets, are followed.
func ReadFileIn(folder, name string, limit int64) ([]byte, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, Reason(err)
	}
	defer root.Close()
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, Reason(err)
	}
	defer f.Close()
	return readAll(f, limit)
}

// Line is the text of a file that holds one value: without the line break at its end, which editors and echo add.
func Line(data []byte) string {
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
}

// Reason is the cause of a file system's error, without the names of files that the operating system puts around it.
func Reason(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	if le, ok := errors.AsType[*os.LinkError](err); ok { // of a rename
		return le.Err
	}
	return err
}
