package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/siltlake/silt/test/clickstream"
	"github.com/siltlake/silt/test/load"
	"github.com/siltlake/silt/test/parts"
	"github.com/siltlake/silt/test/shapes"
)

const (
	partitions    = 6
	clickstreamV2 = clickstream.SchemaV2
)

// A topic is what a case reads. It is filled once and kept in the cache.
type topic struct {
	Shape       string
	Records     int64
	Compression string
	BatchBytes  int32 // 0: the producer's default
	TwoIDs      bool  // every second record is of the clickstream schema with one more field
}

func (t topic) name() string {
	name := fmt.Sprintf("%s-%s-%d", t.Shape, t.Compression, t.Records)
	if t.BatchBytes > 0 {
		name += fmt.Sprintf("-b%d", t.BatchBytes)
	}
	if t.TwoIDs {
		name += "-ids"
	}
	return name
}

// fill fills the topic unless that was done before. The producer is a process of its own: the memory of this one must stay small, because
// the kernel counts it as the least that a process it starts ever had.
func (b *bench) fill(ctx context.Context, t topic) error {
	mark := filepath.Join(b.dir, t.name()+".filled")
	if _, err := os.Stat(mark); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	fmt.Fprintf(os.Stderr, "   filling %s (once)\n", t.name())
	order := fillOrder{Topic: t, Name: t.name(), Addr: b.kafka.Dir, ID: b.ids[t.Shape]}
	if t.TwoIDs {
		order.ID2 = b.id2
	}
	j, err := json.Marshal(order)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "fill", string(j))
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("fill %s: %w", t.name(), err)
	}
	return os.WriteFile(mark, nil, 0o644)
}

type fillOrder struct {
	Topic   topic
	Name    string
	Addr    string // the broker's directory
	ID, ID2 int32
}

// fillCommand is what the process of fill does.
func fillCommand(args []string) error {
	if len(args) != 1 {
		return errors.New("fill wants one argument")
	}
	var o fillOrder
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		return err
	}
	k, err := parts.FindKafka(o.Addr)
	if err != nil {
		return err
	}
	ctx := context.Background()
	// What an interrupted run left is not counted on.
	ends, err := k.Offsets(ctx, o.Name)
	if err == nil && len(ends) > 0 {
		if err := k.DeleteTopic(ctx, o.Name); err != nil {
			return err
		}
	}
	if err := k.CreateTopic(ctx, o.Name, partitions, nil); err != nil {
		return err
	}
	opts, err := k.SecureOpts()
	if err != nil {
		return err
	}
	mk, err := maker(o)
	if err != nil {
		return err
	}
	report, err := load.Run(ctx, load.Options{
		Client: opts, Topic: o.Name, Partitions: partitions, Make: mk, Records: o.Topic.Records,
		Compression: o.Topic.Compression, BatchBytes: o.Topic.BatchBytes,
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "   %d records, %.0f B each, in %.0f s\n", report.Records, float64(report.Bytes)/float64(report.Records),
		report.Took.Seconds())
	return nil
}

func maker(o fillOrder) (load.Make, error) {
	if o.ID2 != 0 {
		return clickstream.Mixed(1, o.ID, o.ID2), nil
	}
	for _, s := range shapes.All() {
		if s.Name == o.Topic.Shape {
			return s.Make(1, o.ID), nil
		}
	}
	return nil, fmt.Errorf("unknown shape %q", o.Topic.Shape)
}
