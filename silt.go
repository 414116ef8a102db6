// Package silt puts the parts together: it is the only one that knows all of them. Whoever reads it, stream/stream.go and
// microbatch/runner.go has seen the whole program.
package silt

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/google/uuid"

	"github.com/siltlake/silt/internal/checkpoint"
	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/decode"
	"github.com/siltlake/silt/internal/kafka"
	"github.com/siltlake/silt/internal/microbatch"
	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/registry"
	"github.com/siltlake/silt/internal/stream"
	"github.com/siltlake/silt/internal/table"
	"github.com/siltlake/silt/internal/term"
)

// RunOptions are what Run needs beside the pipeline file. Zero fields have the defaults of silt run.
type RunOptions struct {
	Version     string        // of silt, for commits and files; "" is devel
	NewQuery    bool          // a new checkpoint on a table that holds the topic's rows already
	StopTimeout time.Duration // see microbatch.Options
	Workers     int           // 0: one a CPU, as far as Memory has room for them
	Memory      int64         // budget of fetched data and open files, in bytes
	Trace       stream.Trace
	Log         *slog.Logger
	OnStart     func() // every option is right, nothing is connected yet
	OnProgress  func(microbatch.Progress, microbatch.Extra)
	// OnReady is told whether the query does its work, and what it waits for if not: the start, a store that does not answer, an outage. It
	// is called at every change, one call after the other, and must return soon.
	OnReady func(ready bool, why string)
}

// Run runs a pipeline until ctx ends, which is a clean stop and no error, until everything is read that availableNow asked for, or until an
// error that does not heal. Errors are *problem.Problem or problem.List where a person can act on them.
//
// The checks at the start, in this order: the file's options, the broker and its login, the topic, the registry, the table's and the
// checkpoint's paths, and then what checkpoint and table say of each other. Nothing is written before all of them passed.
func Run(ctx context.Context, p *config.Pipeline, o RunOptions) error {
	o = o.withDefaults()
	s, err := parse(p)
	if err != nil {
		return err
	}
	ready := newReadiness(o.OnReady)
	s.storage.ready = ready
	upload := s.storage.uploadMemory()
	if o.Workers, err = o.workers(upload); err != nil {
		return err
	}
	if o.OnStart != nil {
		o.OnStart()
	}
	client, err := kafka.Connect(ctx, s.kafka, o.Log)
	if err != nil {
		return unlessStopped(ctx, err)
	}
	defer client.Close()
	var schemas decode.Schemas
	if s.decode.Parses() {
		c := registry.New(s.registry, registry.Env{Log: o.Log})
		defer c.Close()
		if err := c.Probe(ctx); err != nil {
			return unlessStopped(ctx, err)
		}
		schemas = c
	}
	files, logs, err := s.storage.writable(ctx, o.Log)
	if err != nil {
		return unlessStopped(ctx, err)
	}
	budget := stream.NewBudget(o.Memory, upload, o.Workers)
	log := checkpoint.New(logs, checkpoint.Options{CRC: s.storage.checkpoint.place.Cloud == 0})
	defer log.Close()
	sink := table.New(s.table, table.Deps{
		Store: files, Engine: "silt/" + o.Version, CreatedBy: "silt version " + o.Version, Now: time.Now, NewID: uuid.NewString,
		Seed:            rand.Uint64(),
		KeepInvalidUTF8: s.decode.KeepInvalidUTF8, Workers: o.Workers, Trace: o.Trace, Log: o.Log,
	})
	defer sink.Close()
	runner := microbatch.Runner{
		Source:   kafka.NewSource(client, kafka.SourceConfig{Budget: budget, QueryName: p.Name}),
		Decoding: decode.New(s.decode, schemas),
		Sink:     sink,
		Log:      log,
		Options: microbatch.Options{
			Name: p.Name, Starting: s.kafka.Starting, FailOnDataLoss: s.kafka.FailOnDataLoss, MaxOffsetsPerTrigger: s.kafka.MaxOffsetsPerTrigger,
			Trigger: s.trigger, Workers: o.Workers, NewQuery: o.NewQuery, StopTimeout: o.StopTimeout,
			Table: p.Table.String(), Checkpoint: p.Checkpoint.String(), SinkDescription: fmt.Sprintf("DeltaSink[%s]", p.Table),
		},
		Now: time.Now, NewID: uuid.NewString, Trace: o.Trace, Logger: o.Log, Progress: o.OnProgress,
		Ready: func(is bool, why string) { ready.set(theQuery, is, why) },
	}
	return runner.Run(ctx)
}

// unlessStopped is the error of a check, or nil if ctx ended: whatever the check says then, nobody knows what it would have said.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (o RunOptions) withDefaults() RunOptions {
	if o.Version == "" {
		o.Version = "devel"
	}
	if o.Memory == 0 {
		o.Memory = stream.DefaultMemory
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// workers is how many there are, when the table's store holds so many bytes of a file that is written.
func (o RunOptions) workers(upload int64) (int, error) {
	if least := stream.LeastMemory(upload); o.Memory < least && upload > 0 { // else the command has looked
		return 0, problem.New(problem.Usage, "--memory is %s, and a table in an object store takes at least %s", option.FormatSize(o.Memory),
			option.FormatSize(least)).Fix("raise --memory, or leave it out")
	}
	most := stream.MostWorkers(o.Memory, upload)
	if o.Workers > most && upload > 0 { // as above
		return 0, problem.New(problem.Usage, "--memory %s has room for %s of a table in an object store, and --workers is %d",
			option.FormatSize(o.Memory), term.Plural(int64(most), "worker"), o.Workers).Fix("raise --memory, or leave --workers out")
	}
	if o.Workers == 0 {
		return min(runtime.GOMAXPROCS(0), most), nil
	}
	return o.Workers, nil
}

// sections are the options of a pipeline file as their packages read them.
type sections struct {
	kafka    kafka.Options
	registry registry.Options
	decode   decode.Options
	table    table.Options
	storage  storage
	trigger  microbatch.Trigger
}

// parse reads every section, so that all that is wrong with the file is reported at once.
func parse(p *config.Pipeline) (sections, error) { return parseWith(p, config.Path{}) }

// parseWith is parse for a command that works on another table than the pipeline's; see parseStorage.
func parseWith(p *config.Pipeline, other config.Path) (s sections, err error) {
	var found [6][]*problem.Problem
	s.kafka, found[0] = kafka.ParseOptions(p.Kafka, p.AllowInsecure)
	s.decode, found[1] = decode.ParseOptions(p.Decode, p.Select)
	if s.decode.Parses() || len(p.Registry.All()) > 0 {
		s.registry, found[2] = registry.ParseOptions(p.Registry, p.AllowInsecure)
	}
	s.table, found[3] = table.ParseOptions(p.Delta)
	s.trigger, found[4] = microbatch.ParseTrigger(p.Trigger)
	s.storage, found[5] = parseStorage(p, other)
	return s, p.Err(found[:]...)
}
