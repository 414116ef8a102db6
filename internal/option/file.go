package option

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ReadFile reads a file that an option names; one of more than limit bytes is an error. Errors do not name the file: its name may be a
// secret, and is in the message if it is not.
func ReadFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nameless(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, nameless(err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("it is larger than %s", FormatSize(limit))
	}
	return b, nil
}

func nameless(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}
