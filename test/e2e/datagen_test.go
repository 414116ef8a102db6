//go:build e2e

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/siltlake/silt/test/parts"
)

// TestJavaDrawsWhatTheGoldenFileSays runs the program whose output the unit tests of package datagen compare with, on this machine's Java.
func TestJavaDrawsWhatTheGoldenFileSays(t *testing.T) {
	java, err := exec.LookPath("java")
	if err != nil {
		parts.Need(t, &parts.Missing{Part: "Java", Why: "there is no java (Debian: apt-get install openjdk-17-jdk-headless)"})
	}
	dir := filepath.Join("..", "..", "internal", "datagen", "testdata")
	var stderr bytes.Buffer
	cmd := exec.Command(java, filepath.Join(dir, "RandomOracle.java"))
	cmd.Stderr = &stderr
	got, err := cmd.Output()
	if err != nil {
		if bytes.Contains(stderr.Bytes(), []byte("jdk.compiler")) {
			parts.Need(t, &parts.Missing{Part: "a JDK", Why: "java is there, and cannot compile (Debian: apt-get install openjdk-17-jdk-headless)"})
		}
		t.Fatalf("%v: %s", err, stderr.Bytes())
	}
	want, err := os.ReadFile(filepath.Join(dir, "random_golden.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("Java draws\n%s\nthe golden file has\n%s", got, want)
	}
}
