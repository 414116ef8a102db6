package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/siltlake/silt/test/clickstream"
	"github.com/siltlake/silt/test/load"
)

// latencyRate is how many records a second arrive in a latency case.
const latencyRate = 2000

// latencyCase measures from a record's timestamp, which its producer gave it, to the commit that shows it, at a steady trickle of records.
func latencyCase(trigger map[string]any) func(context.Context, *bench, string) ([]result, error) {
	return func(ctx context.Context, b *bench, name string) ([]result, error) {
		topicName := fmt.Sprintf("latency-%d", time.Now().UnixNano())
		if err := b.kafka.CreateTopic(ctx, topicName, partitions, nil); err != nil {
			return nil, err
		}
		defer func() { _ = b.kafka.DeleteTopic(context.WithoutCancel(ctx), topicName) }()
		file, dir, err := b.pipeline(siltRun{trigger: trigger}, topicName)
		if err != nil {
			return nil, err
		}
		s, err := b.whileRecordsArrive(ctx, file, topicName)
		if err != nil {
			return nil, err
		}
		latencies, err := latenciesOf(filepath.Join(dir, "table"))
		if err != nil {
			return nil, err
		}
		if len(latencies) == 0 {
			return nil, errors.New("the table has no rows")
		}
		slices.Sort(latencies)
		r := s.result(name, int64(len(latencies)))
		at := func(share float64) time.Duration {
			return latencies[int(share*float64(len(latencies)-1))].Round(time.Millisecond)
		}
		r.Note = fmt.Sprintf("%d records/s: p50 %v, p99 %v, largest %v from record timestamp to commit", latencyRate, at(0.5), at(0.99), at(1))
		return []result{r}, os.RemoveAll(dir)
	}
}

// whileRecordsArrive runs silt for latencyFor and then stops it.
func (b *bench) whileRecordsArrive(ctx context.Context, file, topicName string) (sample, error) {
	line := append(pinned(b.siltCPU), b.silt, "run", "-c", file)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return sample{}, err
	}
	_, err := load.Run(ctx, load.Options{
		// The topic was made a moment ago: a producer that meets a partition without a leader shall look again soon, not after 5 s, which
		// would count as latency.
		Client: []kgo.Opt{kgo.SeedBrokers(b.kafka.Plain), kgo.MetadataMinAge(100 * time.Millisecond)}, Topic: topicName, Partitions: partitions,
		Make: clickstream.Mixed(1, b.ids["clickstream"], 0),
		Rate: latencyRate, For: latencyFor,
	})
	if err != nil {
		return sample{}, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	time.Sleep(2 * time.Second) // for the last batch
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		return sample{}, err
	}
	if err := cmd.Wait(); err != nil {
		return sample{}, fmt.Errorf("silt: %w\n%s", err, lastBytes(stderr.Bytes(), 4000))
	}
	state := cmd.ProcessState
	return sample{
		seconds: time.Since(begin).Seconds(), cpuSeconds: (state.UserTime() + state.SystemTime()).Seconds(), maxRSS: maxRSS(state), mallocs: -1,
	}, nil
}

// latenciesOf reads the rows of every commit and takes the time at which the commit got its name for the end.
func latenciesOf(table string) ([]time.Duration, error) {
	commits, err := filepath.Glob(filepath.Join(table, "_delta_log", "*.json"))
	if err != nil {
		return nil, err
	}
	var all []time.Duration
	for _, commit := range commits {
		info, err := os.Stat(commit)
		if err != nil {
			return nil, err
		}
		files, err := filesOf(commit)
		if err != nil {
			return nil, err
		}
		for _, name := range files {
			times, err := timestampsOf(filepath.Join(table, name))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			for _, micros := range times {
				all = append(all, visibleAt(info).Sub(time.UnixMicro(micros)))
			}
		}
	}
	return all, nil
}

// filesOf lists the files that a commit adds.
func filesOf(commit string) ([]string, error) {
	j, err := os.ReadFile(commit)
	if err != nil {
		return nil, err
	}
	var files []string
	for dec := json.NewDecoder(strings.NewReader(string(j))); dec.More(); {
		var action struct{ Add *struct{ Path string } }
		if err := dec.Decode(&action); err != nil {
			return nil, fmt.Errorf("%s: %w", commit, err)
		}
		if action.Add != nil {
			files = append(files, action.Add.Path)
		}
	}
	return files, nil
}

// timestampsOf reads the column timestamp of a file, in microseconds.
func timestampsOf(file string) ([]int64, error) {
	type timed struct {
		Timestamp int64 `parquet:"timestamp,optional,timestamp(microsecond)"`
	}
	rows, err := parquet.ReadFile[timed](file)
	if err != nil {
		return nil, err
	}
	times := make([]int64, len(rows))
	for i, row := range rows {
		times[i] = row.Timestamp
	}
	return times, nil
}
