// Command parts runs the real parts that package parts brings: an Apache Kafka and a Schema Registry for a directory, and a producer.
// `make example` and people who try things by hand use it; the tests call the package itself.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/siltlake/silt/test/clickstream"
	"github.com/siltlake/silt/test/load"
	"github.com/siltlake/silt/test/parts"
)

type commands struct {
	Fetch  fetchCmd  `cmd:"" help:"Download Apache Kafka and the Python packages into the cache, once."`
	Python pythonCmd `cmd:"" help:"Print the interpreter that has the Python packages."`
	Kafka  struct {
		Start kafkaStartCmd `cmd:"" help:"Start a broker in a directory; prints shell variables for clients."`
		Stop  kafkaStopCmd  `cmd:"" help:"Stop the broker of a directory; its data stay."`
	} `cmd:"" help:"Run an Apache Kafka broker."`
	Registry struct {
		Start registryStartCmd `cmd:"" help:"Start a Schema Registry in the background; prints shell variables for clients."`
		Stop  registryStopCmd  `cmd:"" help:"Stop the registry of a directory."`
		Serve registryServeCmd `cmd:"" help:"Run a Schema Registry in the foreground."`
	} `cmd:"" help:"Run a small Schema Registry, in memory."`
	Topic topicCmd `cmd:"" help:"Create a topic."`
	Load  loadCmd  `cmd:"" help:"Produce clickstream records fast. The schema ids must be known to the registry."`
}

func main() {
	var c commands
	k := kong.Parse(&c, kong.Name("parts"), kong.Description("Real parts for silt's example and tests."), kong.UsageOnError())
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	k.BindTo(ctx, (*context.Context)(nil))
	k.FatalIfErrorf(k.Run())
}

type fetchCmd struct{}

func (fetchCmd) Run() error {
	jars, err := parts.Jars()
	if err != nil {
		return err
	}
	python, err := parts.Python()
	if err != nil {
		return err
	}
	fmt.Printf("Apache Kafka  %s\nPython        %s\n", jars, python)
	return nil
}

type pythonCmd struct{}

func (pythonCmd) Run() error {
	python, err := parts.Python()
	if err != nil {
		return err
	}
	fmt.Println(python)
	return nil
}

type kafkaStartCmd struct {
	Dir  string `arg:"" help:"Directory of the broker's files."`
	Heap string `default:"512m" help:"Heap of the JVM."`
}

func (c kafkaStartCmd) Run() error {
	k, err := parts.StartKafka(c.Dir, parts.KafkaOptions{Heap: c.Heap, Outlive: true})
	if err != nil {
		return err
	}
	return printExports([][2]string{
		{"BOOTSTRAP_SERVERS", k.TLS}, {"KAFKA_CA", k.CA}, {"KAFKA_API_KEY", k.User}, {"KAFKA_API_SECRET", k.Password},
	})
}

type kafkaStopCmd struct {
	Dir string `arg:"" help:"Directory of the broker's files."`
}

func (c kafkaStopCmd) Run() error {
	k, err := parts.FindKafka(c.Dir)
	if err != nil {
		return err
	}
	return k.Stop()
}

type registryStartCmd struct {
	Dir string `arg:"" help:"Directory for the registry's process id and log."`
}

func (c registryStartCmd) Run() error {
	r, err := parts.StartRegistryProcess(c.Dir)
	if err != nil {
		return err
	}
	return printExports([][2]string{
		{"SCHEMA_REGISTRY_URL", r.URL}, {"SCHEMA_REGISTRY_API_KEY", r.User}, {"SCHEMA_REGISTRY_API_SECRET", r.Password},
	})
}

type registryStopCmd struct {
	Dir string `arg:"" help:"Directory that the registry was started with."`
}

func (c registryStopCmd) Run() error { return parts.StopRegistryProcess(c.Dir) }

type registryServeCmd struct {
	Dir string `arg:"" help:"Directory to write the registry's address to."`
}

func (c registryServeCmd) Run(ctx context.Context) error { return parts.ServeRegistry(ctx, c.Dir) }

// printExports prints variables for `eval` in a shell; the values hold nothing that a single quote does not protect.
func printExports(vars [][2]string) error {
	for _, v := range vars {
		if _, err := fmt.Printf("export %s='%s'\n", v[0], v[1]); err != nil {
			return err
		}
	}
	return nil
}

type topicCmd struct {
	Dir        string `arg:"" help:"Directory of the broker."`
	Topic      string `arg:""`
	Partitions int32  `short:"p" default:"6"`
}

func (c topicCmd) Run(ctx context.Context) error {
	k, err := parts.FindKafka(c.Dir)
	if err != nil {
		return err
	}
	return k.CreateTopic(ctx, c.Topic, c.Partitions, nil)
}

type loadCmd struct {
	Dir         string        `arg:"" help:"Directory of the broker."`
	Topic       string        `arg:""`
	Partitions  int32         `short:"p" default:"6"`
	Records     int64         `short:"n" help:"How many; 0: until stopped."`
	Rate        int           `help:"Records a second; 0: as fast as the broker takes them."`
	For         time.Duration `help:"With --rate: stop after this long."`
	ID          int32         `default:"100001" help:"Schema id of the records."`
	ID2         int32         `name:"id2" help:"Schema id of every second record, which has one more field."`
	Transaction string        `help:"Transactional id; every second transaction of --run records is aborted."`
	Run_        int           `name:"run" default:"500" help:"Records of one partition in a row, or of a transaction."`
	Compression string        `default:"lz4" enum:"lz4,zstd,gzip,snappy,none"`
	BatchBytes  int32         `help:"Largest record batch before compression."`
}

func (c loadCmd) Run(ctx context.Context) error {
	k, err := parts.FindKafka(c.Dir)
	if err != nil {
		return err
	}
	opts, err := k.SecureOpts()
	if err != nil {
		return err
	}
	report, err := load.Run(ctx, load.Options{
		Client: opts, Topic: c.Topic, Partitions: c.Partitions, Make: clickstream.Mixed(1, c.ID, c.ID2), Records: c.Records, Rate: c.Rate,
		For: c.For, Run: c.Run_, BatchBytes: c.BatchBytes, Compression: c.Compression, Transaction: c.Transaction,
	})
	fmt.Fprintf(os.Stderr, "%d records, %d of them aborted, %.1f B/value, %.2f s, %.0f records/s\n", report.Records, report.Aborted,
		float64(report.Bytes)/float64(max(1, report.Records)), report.Took.Seconds(), float64(report.Records)/report.Took.Seconds())
	return err
}
