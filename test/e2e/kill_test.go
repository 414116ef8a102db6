//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
)

// TestKillsLoseAndDoubleNothing kills silt again and again while records arrive: half of the kills come at random moments, half when silt's
// trace of steps shows a chosen line. The table is checked by others' readers and by silt's own proof.
func TestKillsLoseAndDoubleNothing(t *testing.T) {
	n := theCounts()
	f := newFixture(t, release)
	needPython(t)
	f.set(pipeline{"processingTime": "200 milliseconds"}, "trigger")
	k := newKiller(t, f)
	produced := f.produceOn(n.killRate)
	for i := 1; i <= n.kills; i++ {
		k.round(i)
		if i%5 == 0 {
			f.checkSoFar()
			f.verify()
		}
		if t.Failed() {
			break
		}
	}
	report := produced()
	f.runOnce()
	f.checkComplete()
	if matches, err := filepath.Glob(filepath.Join(f.table(), "_delta_log", "*.checkpoint*.parquet")); err != nil || len(matches) == 0 {
		t.Errorf("no log checkpoint was written: %v", err)
	}
	tell(t, fmt.Sprintf("%d kills while %d records arrived at %.0f/s; table version %d\n%s", n.kills, report.Records,
		float64(report.Records)/report.Took.Seconds(), f.version(), k.summary()))
}

// A killer starts silt and kills it.
type killer struct {
	t    *testing.T
	f    *fixture
	pipe *os.File
	path string
	rand *rand.Rand

	// seen counts the kinds of lines of all runs so far: what a line can be chosen from.
	seen map[string]int
	// chosen counts how often a kind was the line to kill at.
	chosen map[string]int
	last   map[string]int // the last lines before kills, by kind
	random int            // kills at random moments
}

func newKiller(t *testing.T, f *fixture) *killer {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed of the killer: %d", seed)
	k := &killer{
		t: t, f: f, path: filepath.Join(f.dir, "trace"), rand: rand.New(rand.NewPCG(seed, 0)),
		seen: map[string]int{}, chosen: map[string]int{}, last: map[string]int{},
	}
	if err := syscall.Mkfifo(k.path, 0o600); err != nil {
		t.Fatal(err)
	}
	// Open for reading and writing: it neither waits for a writer nor ends with one, so that one reader serves all runs.
	pipe, err := os.OpenFile(k.path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	k.pipe = pipe
	t.Cleanup(func() { pipe.Close() })
	return k
}

// round is one start and one kill.
func (k *killer) round(i int) {
	k.t.Helper()
	target := ""
	if i%2 == 0 {
		target = k.choose()
	}
	lines := &traceLines{target: target, skip: k.rand.IntN(4), hit: make(chan struct{}), first: make(chan struct{})}
	p := k.f.start([]string{"SILT_TRACE=" + k.path}, "run", "-c", k.f.file())
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines.read(k.pipe)
	}()
	k.await(p, lines)
	if !p.running() {
		k.t.Errorf("kill %d: silt ended by itself with status %d:\n%s", i, p.cmd.ProcessState.ExitCode(), tail(p.stderr.String(), 40))
	}
	p.kill()
	// What the run wrote is in the pipe already; the end mark comes after it.
	if _, err := k.pipe.WriteString(endMark + "\n"); err != nil {
		k.t.Fatal(err)
	}
	<-read
	k.last[kindOf(lines.last)]++
	for kind, n := range lines.kinds {
		k.seen[kind] += n
	}
}

// await returns when it is time to kill: at the target line, or at a random moment, which is also the end of waiting for a rare line.
func (k *killer) await(p *process, lines *traceLines) {
	if lines.target == "" {
		k.random++
		// One in five comes before the first step or soon after it: a start can be killed too.
		if k.rand.IntN(5) > 0 {
			select {
			case <-lines.first:
			case <-time.After(30 * time.Second):
				k.t.Error("no line of the trace in 30 s")
			case <-p.ended:
			}
		}
		k.sleep(p, 2*time.Second)
		return
	}
	select {
	case <-lines.hit:
		k.chosen[lines.target]++
	case <-time.After(20 * time.Second):
		k.random++
	case <-p.ended:
	}
}

// sleep waits a random time of at most longest, or for the end of the process.
func (k *killer) sleep(p *process, longest time.Duration) {
	select {
	case <-time.After(time.Duration(k.rand.Int64N(int64(longest)))):
	case <-p.ended:
	}
}

// choose takes the kind of line that was chosen least, of those that were seen.
func (k *killer) choose() string {
	var best []string
	for kind := range k.seen {
		switch {
		case len(best) == 0 || k.chosen[kind] < k.chosen[best[0]]:
			best = []string{kind}
		case k.chosen[kind] == k.chosen[best[0]]:
			best = append(best, kind)
		}
	}
	if len(best) == 0 {
		return ""
	}
	slices.Sort(best)
	return best[k.rand.IntN(len(best))]
}

func (k *killer) summary() string {
	lines := []string{"last line of the trace before the kill:"}
	lines = append(lines, table(k.last)...)
	lines = append(lines, fmt.Sprintf("%d kills at random moments, the others at a chosen line:", k.random))
	return strings.Join(append(lines, table(k.chosen)...), "\n")
}

// table prints counts, the largest first.
func table(counts map[string]int) []string {
	var lines []string
	for kind, n := range counts {
		lines = append(lines, fmt.Sprintf("%5d  %s", n, kind))
	}
	slices.Sort(lines)
	slices.Reverse(lines)
	return lines
}

const endMark = "end of the run"

// traceLines reads the trace of one run.
type traceLines struct {
	target string
	skip   int // so many of the target's lines come before the one to kill at
	hit    chan struct{}
	first  chan struct{} // closed at the first line

	last  string
	kinds map[string]int
}

func (l *traceLines) read(pipe *os.File) {
	l.kinds = map[string]int{}
	for r := bufio.NewReader(pipe); ; {
		line, err := r.ReadString('\n')
		line = strings.TrimSuffix(line, "\n")
		// A kill can cut a line off: the mark then follows on the same line.
		before, ended := strings.CutSuffix(line, endMark)
		if before != "" {
			l.last = before
		}
		if err != nil || ended {
			return
		}
		if len(l.kinds) == 0 {
			close(l.first)
		}
		kind := kindOf(line)
		l.kinds[kind]++
		if kind == l.target {
			if l.skip == 0 {
				close(l.hit)
			}
			l.skip--
		}
	}
}

// kindOf is a line without what differs from step to step: "begin commit" of "begin commit 17", "end commits" of "end commits/17".
func kindOf(line string) string {
	if line == "" {
		return "(nothing)"
	}
	notLetter := func(r rune) bool { return !unicode.IsLetter(r) }
	var kind []string
	for _, word := range strings.Fields(line) {
		at := strings.IndexFunc(word, notLetter)
		if at < 0 {
			kind = append(kind, word)
			continue
		}
		if at > 0 {
			kind = append(kind, word[:at])
		}
		break
	}
	return strings.Join(kind, " ")
}
