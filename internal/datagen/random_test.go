package datagen

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
)

// lines reads a file of testdata whose fields are separated by tabs.
func lines(t *testing.T, name string) [][]string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]string
	for line := range strings.Lines(string(text)) {
		out = append(out, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	if len(out) == 0 {
		t.Fatalf("%s is empty", name)
	}
	return out
}

func parseInt(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The golden file is what a JDK draws; testdata/RandomOracle.java writes it.
func TestRandomDrawsWhatJavaDraws(t *testing.T) {
	for _, line := range lines(t, "random_golden.tsv") {
		r := newRandom(parseInt(t, line[0]))
		for i, draw := range line[1:] {
			call, want, _ := strings.Cut(draw, " ")
			if i == len(line)-2 {
				r.setSeed(r.nextLong())
			}
			var got string
			switch {
			case call == "int":
				got = fmt.Sprint(r.nextInt())
			case strings.HasPrefix(call, "int("):
				got = fmt.Sprint(r.intn(int32(parseInt(t, call[4:len(call)-1]))))
			case call == "long":
				got = fmt.Sprint(r.nextLong())
			case call == "double":
				got = fmt.Sprint(int64(math.Float64bits(r.nextDouble())))
			case call == "float":
				got = fmt.Sprint(int32(math.Float32bits(r.nextFloat())))
			case call == "boolean":
				got = fmt.Sprint(r.nextBool())
			case call == "bytes":
				got = fmt.Sprintf("%x", r.appendBytes(nil, len(want)/2))
			default:
				t.Fatalf("unknown call %q", call)
			}
			if got != want {
				t.Fatalf("seed %s, draw %d, %s: got %s, want %s", line[0], i, call, got, want)
			}
		}
	}
}
