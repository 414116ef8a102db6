package delta

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/siltlake/silt/test/parts"
)

// sharedFolder returns a folder of tables that others wrote, which is not part of the repository. Without it the test is skipped and counts
// as a part that is missing, which fails under CI=true.
func sharedFolder(t testing.TB, name string) string {
	t.Helper()
	root, given := os.LookupEnv("SILT_SHARED")
	if !given {
		root = filepath.Join("..", "..", "..", "shared")
	}
	dir := filepath.Join(root, name)
	if _, err := os.Stat(dir); err != nil {
		parts.Need(t, &parts.Missing{Part: "Tables of other writers", Why: "$SILT_SHARED, by default ../shared, has no " + name})
	}
	return dir
}
