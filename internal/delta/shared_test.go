package delta

import (
	"os"
	"path/filepath"
	"testing"
)

// sharedFolder returns a folder of test data that is not part of the repository. Without it the test is skipped, and says so; where the
// data has to be there (CI=true and SILT_SHARED set) its absence fails.
func sharedFolder(t testing.TB, name string) string {
	t.Helper()
	root, given := os.LookupEnv("SILT_SHARED")
	if !given {
		root = filepath.Join("..", "..", "..", "shared")
	}
	dir := filepath.Join(root, name)
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if given && os.Getenv("CI") == "true" {
		t.Fatalf("%s is not there", dir)
	}
	t.Skipf("needs ../shared: %s is not there", dir)
	return ""
}
