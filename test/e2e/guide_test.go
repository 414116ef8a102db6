//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/siltlake/silt/test/guide"
	"github.com/siltlake/silt/test/parts"
)

// TestGuidesAsAReaderTypesThem types every command of the guides to the demo, those of other programs too, into a shell.
func TestGuidesAsAReaderTypesThem(t *testing.T) {
	bin := guidePrograms(t)
	defer guide.TakePorts()()
	for _, g := range []struct {
		name  string
		store func(*testing.T) (env []string) // starts what the page's reader has started, and returns what they exported
	}{
		{"demo.md", nil}, {"clients.md", nil}, {"from-databricks.md", nil}, {"doctor.md", nil},
		{"adls.md", readersAzurite}, {"s3.md", readersS3}, {"gcs.md", readersGCS},
	} {
		t.Run(g.name, func(t *testing.T) {
			page, err := guide.Read(filepath.Join("..", "..", "docs", g.name))
			if err != nil {
				t.Fatal(err)
			}
			page.Name = "docs/" + g.name
			sh := &guideShell{t: t, dir: t.TempDir(), bin: bin, files: page.Files}
			if g.store != nil {
				sh.env = g.store(t)
			}
			sh.write()
			defer sh.end()
			for _, err := range page.Play(sh, nil) {
				t.Error(err)
			}
		})
	}
}

// readersAzurite is the emulator that the guide of ADLS Gen2 starts, with its container.
func readersAzurite(t *testing.T) []string {
	a, err := parts.StartAzurite(t.TempDir(), "")
	parts.Need(t, err)
	stopAtEnd(t, a.Stop)
	if err := a.CreateContainer(t.Context(), "data"); err != nil {
		t.Fatal(err)
	}
	return []string{"AZURITE_BLOB_STORAGE_URL=" + a.URL}
}

// readersS3 is the server that the guide of S3 starts, with its bucket.
func readersS3(t *testing.T) []string {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "data", "my-bucket"), 0o755); err != nil {
		t.Fatal(err)
	}
	s3, err := parts.StartVersitygw(dir)
	parts.Need(t, err)
	stopAtEnd(t, s3.Stop)
	return []string{"AWS_ENDPOINT_URL=" + s3.URL, "AWS_ACCESS_KEY_ID=" + s3.KeyID, "AWS_SECRET_ACCESS_KEY=" + s3.Secret}
}

// readersGCS is the emulator that the guide of Google Cloud Storage starts, with its bucket.
func readersGCS(t *testing.T) []string {
	f, err := parts.StartFakeGCS(t.TempDir(), "")
	parts.Need(t, err)
	stopAtEnd(t, f.Stop)
	if err := f.MakeBucket("my-bucket"); err != nil {
		t.Fatal(err)
	}
	return []string{"STORAGE_EMULATOR_HOST=" + strings.TrimPrefix(f.URL, "http://")}
}

// guidePrograms is a folder with the programs that the guides type, by the names that they have there.
func guidePrograms(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	script := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/bash\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	kcat, err := parts.Kcat()
	parts.Need(t, err)
	libraries := ""
	for _, v := range kcat().Env {
		if strings.HasPrefix(v, "LD_LIBRARY_PATH=") {
			libraries = v
		}
	}
	script("kcat", fmt.Sprintf("%s exec %q \"$@\"", libraries, kcat().Path))
	script("python", fmt.Sprintf("exec %q \"$@\"", needPython(t)))
	node, modules, err := parts.KafkaJS()
	parts.Need(t, err)
	script("node", fmt.Sprintf("NODE_PATH=%q KAFKAJS_NO_PARTITIONER_WARNING=1 exec %q \"$@\"", modules, node))
	classes, err := parts.Tools()
	parts.Need(t, err)
	for name, class := range map[string]string{"kafka-topics": "TopicCommand", "kafka-console-consumer": "consumer.ConsoleConsumer"} {
		script(name, fmt.Sprintf("exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -Xmx256m "+
			"-Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp %q org.apache.kafka.tools.%s \"$@\"", classes, class))
	}
	// The reader's program is compiled with the libraries that this module has.
	module, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	script("go", fmt.Sprintf("set -e\n(file=$PWD/$2 && cd %q && %q build -o \"$file.bin\" \"$file\")\nexec \"./$2.bin\"", module, goTool))
	if err := os.Symlink(built(t, release), filepath.Join(dir, "silt")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A guideShell is a person with two terminals in one folder.
type guideShell struct {
	t        *testing.T
	dir, bin string
	files    map[string]string // those that the page shows
	env      []string          // what the reader exported
	demo     *exec.Cmd         // runs in the other terminal
	running  bool
	moved    bool // the files name the ports that the demo got
	printed  output
}

var demoAddress = regexp.MustCompile(`broker (\S+) · registry (\S+) `)

// here is text with the ports that the demo got: those of the guides may be taken on this machine.
func (s *guideShell) here(text string) string {
	if m := demoAddress.FindStringSubmatch(s.printed.String()); m != nil {
		text = strings.ReplaceAll(text, "127.0.0.1:8081", "127.0.0.1"+m[2])
		text = strings.ReplaceAll(text, "127.0.0.1:9092", m[1])
	}
	return text
}

// write writes the page's files.
func (s *guideShell) write() {
	for file, text := range s.files {
		if err := os.WriteFile(filepath.Join(s.dir, file), []byte(s.here(text)), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *guideShell) command(text string) *exec.Cmd {
	cmd := exec.Command("bash", "-c", s.here(text))
	cmd.Dir = s.dir
	cmd.Env = append(append(os.Environ(), s.env...), "PATH="+s.bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	return cmd
}

func (s *guideShell) Run(text string) (string, int) {
	if s.running && !s.moved {
		s.moved = true
		s.write()
	}
	cmd := s.command(text)
	timer := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatalf("%s: %v", text, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (s *guideShell) GoesOn(text string) bool {
	return !s.running && text == "silt demo"
}

func (s *guideShell) Start(text string) {
	s.demo, s.running = s.command("exec "+text), true
	s.printed = output{}
	s.demo.Stdout, s.demo.Stderr = &s.printed, &s.printed
	if err := s.demo.Start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *guideShell) Printed() string { return s.printed.String() }

func (s *guideShell) Interrupt() int {
	s.running = false
	if err := s.demo.Process.Signal(os.Interrupt); err != nil {
		s.t.Fatal(err)
	}
	timer := time.AfterFunc(time.Minute, func() { _ = s.demo.Process.Signal(syscall.SIGKILL) })
	defer timer.Stop()
	_ = s.demo.Wait() // its status says how it ended
	return s.demo.ProcessState.ExitCode()
}

// end stops a demo that the page left running.
func (s *guideShell) end() {
	if s.running {
		s.Interrupt()
	}
}
