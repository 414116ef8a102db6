// Hundreds of commands and a search of each byte take minutes under the race detector; TestNoSecretLeavesARealQuery runs a query under it.

//go:build !race

package main

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// plantedProcess is set in the process that TestNoPlantedSecretIsFound starts: the standard library reads the proxy and the authorities once
// in a process, and those of the other tests are others.
const plantedProcess = "SILT_TEST_PLANTED"

// TestNoPlantedSecretIsFound plants secrets in every option that holds one, every provider, every variable and every kind of URL, lets
// everything fail that sees them, with servers that tell in their errors all that they were sent and more, and lets a query succeed. Of all
// that was printed and written it searches each byte for each of them.
func TestNoPlantedSecretIsFound(t *testing.T) {
	if _, ok := os.LookupEnv(plantedProcess); ok {
		plantAndSearch(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNoPlantedSecretIsFound$", "-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), plantedProcess+"=1")
	out, err := cmd.CombinedOutput()
	summary := regexp.MustCompile(`(?m)^.*searched \d+ outputs.*$`).Find(out)
	if err != nil || summary == nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", bytes.TrimSpace(summary))
}
