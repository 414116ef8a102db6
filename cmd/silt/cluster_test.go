package main

import (
	"context"
	"encoding/hex"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/siltlake/silt/internal/registryd"
)

// clusterCommands are the commands of scripts that need a broker or a registry. They stop with the script.
var clusterCommands = map[string]func(*testscript.TestScript, bool, []string){
	// broker: starts a broker, whose address is $BROKER.
	"broker": func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) > 0 {
			ts.Fatalf("usage: broker")
		}
		c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DefaultNumPartitions(2))
		ts.Check(err)
		ts.Defer(c.Close)
		ts.Setenv("BROKER", strings.Join(c.ListenAddrs(), ","))
	},
	// registry: starts a schema registry, whose URL is $REGISTRY.
	"registry": func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) > 0 {
			ts.Fatalf("usage: registry")
		}
		ts.Setenv("REGISTRY", startRegistry(context.Background(), func(args ...any) { ts.Fatalf("%v", args) }, ts.Defer))
	},
	// record TOPIC PARTITION MILLISECONDS KEY HEX: writes a record with a value of any bytes; "null" is null.
	"record": func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != 5 {
			ts.Fatalf("usage: record TOPIC PARTITION MILLISECONDS KEY HEX")
		}
		partition, err := strconv.ParseInt(args[1], 10, 32)
		ts.Check(err)
		ms, err := strconv.ParseInt(args[2], 10, 64)
		ts.Check(err)
		r := &kgo.Record{Topic: args[0], Partition: int32(partition), Timestamp: time.UnixMilli(ms), Key: []byte(args[3])}
		if args[3] == "null" {
			r.Key = nil
		}
		if args[4] != "null" {
			r.Value, err = hex.DecodeString(args[4])
			ts.Check(err)
		}
		ts.Check(produceTo(ts.Getenv("BROKER"), r))
	},
}

func produceTo(broker string, records ...*kgo.Record) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(broker, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return c.ProduceSync(ctx, records...).FirstErr()
}

// startRegistry starts a schema registry and returns its URL.
func startRegistry(ctx context.Context, fatal func(...any), cleanup func(func())) string {
	r, err := registryd.Open(ctx, &memoryJournal{}, registryd.Options{})
	if err != nil {
		fatal(err)
	}
	cleanup(r.Close)
	server := httptest.NewServer(r)
	cleanup(server.Close)
	return server.URL
}

// A memoryJournal keeps a registry's records in memory.
type memoryJournal struct{ records []registryd.Record }

func (j *memoryJournal) Append(_ context.Context, records []registryd.Record) (int64, error) {
	for _, r := range records {
		r.Offset = int64(len(j.records))
		j.records = append(j.records, r)
	}
	return int64(len(j.records)), nil
}

func (j *memoryJournal) Replay(_ context.Context, from int64, apply func(registryd.Record) error) (int64, error) {
	for _, r := range j.records[from:] {
		if err := apply(r); err != nil {
			return r.Offset, err
		}
	}
	return int64(len(j.records)), nil
}
