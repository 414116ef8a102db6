//go:build unix && !linux && !darwin

package store

import (
	"errors"
	"fmt"
)

// renameNoReplace is not to be had here: rename(2) replaces.
func renameNoReplace(_, to string) error {
	return unsafeStore(to, fmt.Errorf("rename without replacing: %w", errors.ErrUnsupported))
}
