package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/siltlake/silt/test/golden"
	"github.com/siltlake/silt/test/guide"
)

var (
	// fileBlock is a file of a page: its name in backquotes and a colon, and a block with its text.
	fileBlock = regexp.MustCompile("(?ms)^`([\\w.-]+)`:\n\n```\\w+\n(.*?)^```$")
	// consoleBlock is what a person types and sees.
	consoleBlock = regexp.MustCompile("(?ms)^```console\n(.*?)^```$")
)

// The commands of the guides do what the guides say, word by word. With -update the guides say what the commands do.
func TestGuidesAreTrue(t *testing.T) {
	for _, page := range []string{"topics.md", "registry.md", "datagen.md", "secrets.md"} {
		t.Run(page, func(t *testing.T) {
			name, err := filepath.Abs(filepath.Join("..", "..", "docs", page))
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			g := newReader(t)
			for _, m := range fileBlock.FindAllSubmatch(text, -1) {
				if err := os.WriteFile(string(m[1]), m[2], 0o600); err != nil {
					t.Fatal(err)
				}
			}
			blocks := 0
			now := consoleBlock.ReplaceAllFunc(text, func(block []byte) []byte {
				blocks++
				if typed := consoleBlock.FindSubmatch(block)[1]; bytes.HasPrefix(typed, []byte("$ silt registry serve")) {
					g.serve(string(typed))
					return block
				}
				return []byte("```console\n" + g.play(consoleBlock.FindSubmatch(block)[1]) + "```")
			})
			if blocks == 0 {
				t.Fatal("the page has no console block")
			}
			if golden.Update() {
				if err := os.WriteFile(name, now, 0o666); err != nil {
					t.Fatal(err)
				}
				return
			}
			check(t, page, string(now), string(text))
		})
	}
}

// A reader is a person who types what a page says, in a folder and with a cluster of their own.
type reader struct {
	t      *testing.T
	env    map[string]string
	status int
}

func newReader(t *testing.T) *reader {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	url := startRegistry(t.Context(), t.Fatal, t.Cleanup)
	t.Chdir(t.TempDir())
	key, err := age.GenerateX25519Identity()
	if err == nil {
		err = os.WriteFile("age.key", []byte(key.String()+"\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &reader{t: t, env: map[string]string{"BOOTSTRAP_SERVERS": strings.Join(c.ListenAddrs(), ","), "SCHEMA_REGISTRY_URL": url,
		"SILT_USER_CONFIG": "silt/config.yaml", "SILT_SECRETS_KEY_FILE": "age.key"}}
}

// play types the commands of a block and returns the block with what they print.
func (g *reader) play(block []byte) string {
	var out strings.Builder
	for line := range strings.Lines(string(block)) {
		command, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "$ ")
		if !ok {
			continue // what an earlier run printed
		}
		out.WriteString("$ " + command + "\n" + g.run(command))
	}
	return out.String()
}

// serve types a command that goes on until the end of the page, and waits until it prints what the block shows.
func (g *reader) serve(block string) {
	command, shown, _ := strings.Cut(strings.TrimPrefix(block, "$ "), "\n")
	f := newFakeProcess(newEngine())
	f.env, f.screen = g.env, true
	ended := make(chan int, 1)
	go func() { ended <- f.main(strings.Fields(command)[1:]...) }()
	g.t.Cleanup(func() { f.signals <- os.Interrupt; <-ended })
	for begin := time.Now(); !guide.Begins(shown, f.stdout.String()); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			g.t.Fatalf("%s printed\n%s", command, f.stdout.String())
		}
	}
}

func (g *reader) run(command string) string {
	if command == "echo $?" {
		return fmt.Sprintln(g.status)
	}
	command, file, _ := strings.Cut(command, " < ")
	words := strings.Fields(command)
	if words[0] != "silt" {
		g.t.Fatalf("%s: a guide types silt only", command)
	}
	f := newFakeProcess(newEngine())
	f.env = g.env
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			g.t.Fatal(err)
		}
		f.stdin = bytes.NewReader(text)
	}
	f.screen = true
	g.status = f.main(words[1:]...)
	return f.stdout.String()
}
