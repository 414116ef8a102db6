// Command bench measures silt against the same work done by libraries, and against the yardstick that $SILT_YARDSTICK names: records of a
// real Apache Kafka, which runs on a core of its own, into a table on local disk. CPU seconds are those of the measured process alone.
//
// It prints a table and writes build/bench.json, one object a case. Figures of different machines, and of different minutes on a busy one,
// do not compare; ratios do, since what is compared runs in turn on the same topic. The figures are in docs/bench.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"

	"github.com/siltlake/silt/test/parts"
	"github.com/siltlake/silt/test/shapes"
)

type options struct {
	cases     string
	rows      int64
	rounds    int
	siltCPU   string
	brokerCPU string
	out       string
	list      bool
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "fill" {
		exit(fillCommand(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "upload" {
		exit(uploadCommand(os.Args[2:]))
	}
	var o options
	flag.StringVar(&o.cases, "cases", ".", "regular expression: cases to run")
	flag.Int64Var(&o.rows, "n", 5_000_000, "records of a topic")
	flag.IntVar(&o.rounds, "rounds", 3, "runs of each program of a case; the median counts")
	flag.StringVar(&o.siltCPU, "silt-cpu", "0", "core of the measured program (taskset)")
	flag.StringVar(&o.brokerCPU, "broker-cpu", "1", "core of the broker")
	flag.StringVar(&o.out, "out", filepath.Join("build", "bench.json"), "file for the results")
	flag.BoolVar(&o.list, "list", false, "list the cases")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(run(ctx, o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, o options) (err error) {
	wanted, err := regexp.Compile(o.cases)
	if err != nil {
		return err
	}
	var todo []benchCase
	for _, c := range allCases(o.rows) {
		if wanted.MatchString(c.name) {
			todo = append(todo, c)
		}
	}
	if o.list {
		for _, c := range todo {
			fmt.Println(c.name)
		}
		return nil
	}
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	for _, c := range todo {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fmt.Fprintln(os.Stderr, "==", c.name)
		results, err := c.run(ctx, b, c.name)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		b.results = append(b.results, results...)
		// After each case, so that an interrupted run keeps what it measured.
		if err := writeResults(o.out, b.results); err != nil {
			return err
		}
	}
	fmt.Println(machine())
	return printTable(os.Stdout, b.results)
}

func writeResults(file string, results []result) error {
	j, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, append(j, '\n'), 0o644)
}

// A bench holds what all cases share.
type bench struct {
	options
	dir       string // in the cache: the broker with its filled topics
	work      string // tables, checkpoints and other output; removed at the end
	kafka     *parts.Kafka
	registry  *parts.Registry
	ids       map[string]int32 // of the shapes' schemas
	id2       int32            // of the clickstream schema with one more field
	silt      string
	libpath   string
	yardstick string // may be empty
	results   []result
}

func newBench(o options) (*bench, error) {
	cache, err := parts.Dir()
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, dir: filepath.Join(cache, "bench"), ids: map[string]int32{}, yardstick: os.Getenv("SILT_YARDSTICK")}
	for name, pkg := range map[string]string{"silt": "./cmd/silt", "libpath": "./test/bench/libpath"} {
		if err := goBuild(filepath.Join("build", name), pkg); err != nil {
			return nil, err
		}
	}
	b.silt, b.libpath = filepath.Join("build", "silt"), filepath.Join("build", "libpath")
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return nil, err
	}
	// The tables lie on the disk of the cache: a temporary directory may be memory.
	if b.work, err = os.MkdirTemp(b.dir, "work-"); err != nil {
		return nil, err
	}
	if b.registry, err = parts.StartRegistry("BENCHKEY", "BENCHSECRET"); err != nil {
		return nil, errors.Join(err, b.close())
	}
	// The order decides the ids, and the records in the kept topics have them.
	for _, s := range shapes.All() {
		b.ids[s.Name] = b.registry.Add(s.Name, s.Schema)
	}
	b.id2 = b.registry.Add("clickstream", clickstreamV2)
	b.kafka, err = parts.StartKafka(filepath.Join(b.dir, "kafka"), parts.KafkaOptions{Heap: "1g", Wrap: pinned(o.brokerCPU)})
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

func (b *bench) close() error {
	var errs []error
	if b.kafka != nil {
		errs = append(errs, b.kafka.Stop())
	}
	if b.registry != nil {
		errs = append(errs, b.registry.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(b.work))...)
}
