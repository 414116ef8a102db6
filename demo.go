package silt

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/siltlake/silt/internal/broker"
	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/datagen"
	"github.com/siltlake/silt/internal/httpd"
	"github.com/siltlake/silt/internal/kafka"
	"github.com/siltlake/silt/internal/microbatch"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/registry"
	"github.com/siltlake/silt/internal/secret"
	"github.com/siltlake/silt/internal/stream"
)

// DemoOptions say what Demo runs. Zero fields but Dir have the defaults of silt demo.
type DemoOptions struct {
	Version   string
	Dir       string
	Connector string        // a connector's JSON; "": the one in Dir, which the first start writes
	Rate      float64       // records a second; 0: as the connector's max.interval says
	For       time.Duration // stop by itself after so long; 0: run until the context ends
	Env       func(name string) (string, bool)
	Secrets   *secret.Scrubber // told every secret of the demo; may be nil
	Log       *slog.Logger
	OnReady   func(DemoReady) // everything runs, the query begins
	// OnConnectorEnd tells that the connector wrote all it was asked for, was stopped, or has failed. It may be started again.
	OnConnectorEnd func(datagen.Status)
	OnProgress     func(microbatch.Progress, microbatch.Extra)
}

// DemoReady says what runs and where.
type DemoReady struct {
	Folder                 string // absolute
	Broker, Registry       string // host:port, URL
	Topic                  string
	Partitions             int
	Connector              datagen.Config
	Pipeline               string // its file
	Table, Checkpoint, Dir string // Dir is the table's folder
	Resumed                bool   // an earlier demo had made the folder
}

const (
	demoPartitions   = 6 // as the tutorial's topic
	demoBrokerPort   = 9092
	demoRegistryPort = 8081
	// demoStop bounds what a stop waits for: the records under way, the running batch, the broker's files.
	demoStop = 10 * time.Second
)

// Demo runs a Kafka broker, a Schema Registry, a Datagen connector and a query over what it writes, all in this process and in one folder,
// until ctx ends, which is a clean stop and no error. The parts talk to each other over the network as they would anywhere, and the query is
// Run's of the folder's pipeline file. Another start in the folder goes on where this one ends.
func Demo(ctx context.Context, o DemoOptions) (err error) {
	o = o.withDefaults()
	d := &demo{o: o}
	// Last to start, first to stop.
	defer func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), demoStop)
		defer cancel()
		err = errors.Join(err, d.close(limited))
	}()
	if err := d.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	return d.run(ctx)
}

func (o DemoOptions) withDefaults() DemoOptions {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Secrets == nil {
		o.Secrets = new(secret.Scrubber)
	}
	return o
}

// A demo holds the parts that run.
type demo struct {
	o          DemoOptions
	folder     *demoFolder
	broker     *broker.Broker
	client     *kafka.Client
	connector  *datagen.Connector
	partitions int // of its topic
	pipeline   *config.Pipeline
	served     chan error // what the registry's server ended with
	closers    []func(context.Context) error

	mu   sync.Mutex
	read stream.Offsets // where the query is
	seen chan struct{}  // gets a value when read changes
}

// onClose keeps what close calls, in reverse order.
func (d *demo) onClose(f func(context.Context) error) { d.closers = append(d.closers, f) }

func (d *demo) close(ctx context.Context) error {
	var errs []error
	for i := len(d.closers) - 1; i >= 0; i-- {
		errs = append(errs, d.closers[i](ctx))
	}
	return errors.Join(errs...)
}

// start starts everything that the query needs.
func (d *demo) start(ctx context.Context) (err error) {
	if d.o.Connector != "" { // before anything is made
		if _, err := readConnector(d.o.Connector); err != nil {
			return err
		}
	}
	if d.folder, err = openDemoFolder(d.o.Dir); err != nil {
		return err
	}
	d.broker, err = broker.Start(ctx, broker.Options{
		Dir: d.folder.path(demoBrokerDir), PreferPort: demoBrokerPort, Partitions: demoPartitions, Log: d.o.Log,
	})
	if err != nil {
		return d.inUse(err)
	}
	d.onClose(d.broker.Close)
	// The folder is this process's alone from here on: the broker has locked its own in it.
	l, err := listenAgain(ctx, "the registry", d.folder.state.RegistryPort, demoRegistryPort)
	if err != nil {
		return err
	}
	rest, err := listenAgain(ctx, "the connector", d.folder.state.ConnectPort, connectPort)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	d.onClose(func(context.Context) error { _ = rest.Close(); return nil }) // its server may have closed it
	cfg, err := d.config(l.Addr(), rest.Addr())
	if err != nil {
		return errors.Join(err, l.Close())
	}
	if err := d.serveRegistry(ctx, l); err != nil {
		return err
	}
	if err := d.startConnector(ctx, cfg); err != nil {
		return err
	}
	login := httpd.Login{Key: secret.New(d.folder.state.ConnectKey), Secret: secret.New(d.folder.state.ConnectSecret)}
	stop := serveConnector(ctx, rest, d.connector, login, d.o.Log)
	d.onClose(func(context.Context) error { stop(); return nil })
	return nil
}

// inUse says of a broker that runs in the folder what it means there: another demo.
func (d *demo) inUse(err error) error {
	if list := problem.Of(err); len(list) != 1 || list[0].Code != problem.FolderInUse {
		return err
	}
	return problem.New(problem.FolderInUse, "a demo runs in this folder").At(problem.File(d.o.Dir)).
		Fix("stop it with Ctrl-C where it runs, or start this one in another folder: --dir FOLDER")
}

// listenAgain opens a service's port: the one that it had, at the first start the preferred one if it is free, else any.
func listenAgain(ctx context.Context, service string, kept, preferred int) (net.Listener, error) {
	if kept != 0 {
		l, err := broker.ListenAgain(ctx, "127.0.0.1", kept)
		if err != nil {
			return nil, problem.New(problem.PortTaken, "%s cannot listen on port %d: %w", service, kept, err).
				Fix("stop what uses it; the demo's files name it, so it is not changed behind your back")
		}
		return l, nil
	}
	l, err := listenLoopback(preferred)
	if err != nil {
		return nil, problem.New(problem.PortTaken, "%s finds no free port: %w", service, err)
	}
	return l, nil
}

// config reads the connector and the pipeline, and writes what is missing of the folder's files before.
func (d *demo) config(registryAddr, connectAddr net.Addr) (datagen.Config, error) {
	f := d.folder
	if err := f.complete(d.broker, registryAddr.(*net.TCPAddr).Port, connectAddr.(*net.TCPAddr).Port); err != nil {
		return datagen.Config{}, err
	}
	for _, s := range []secret.Secret{d.broker.APIKey().Password, secret.New(f.state.RegistrySecret), secret.New(f.state.ConnectSecret)} {
		d.o.Secrets.Add(s)
	}
	cfg, err := f.connector(d.o.Connector)
	if err != nil {
		return cfg, err
	}
	for _, s := range cfg.Secrets() {
		d.o.Secrets.Add(s)
	}
	if err := f.writePipeline(cfg); err != nil {
		return cfg, err
	}
	if d.pipeline, err = Load(f.path(demoPipeline), config.Options{Env: d.o.Env, Secrets: d.o.Secrets},
		ScopeOptions{Env: d.o.Env, Secrets: d.o.Secrets, Log: d.o.Log}); err != nil {
		return cfg, err
	}
	s, err := parse(d.pipeline)
	if err != nil {
		return cfg, err
	}
	if s.trigger.Kind == microbatch.AvailableNow {
		return cfg, problem.New(problem.Conflict, "a demo's query goes on, and trigger.availableNow ends it").At(problem.File(d.pipeline.File)).
			Fix("leave the trigger out; silt run -c %s --once runs beside the demo, on a table and a checkpoint of its own", d.pipeline.File)
	}
	if len(s.kafka.Topics) != 1 || s.kafka.Topics[0] != cfg.Topic {
		return cfg, problem.New(problem.Conflict, "the connector writes topic %s, and this demo's pipeline reads %v", cfg.Topic, s.kafka.Topics).
			At(problem.File(d.pipeline.File)).Fix("give the connector a demo of its own: --dir FOLDER")
	}
	return cfg, nil
}

// serveRegistry starts the registry over the broker, and returns when it answers.
func (d *demo) serveRegistry(ctx context.Context, l net.Listener) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	answers, done := make(chan struct{}), make(chan struct{})
	d.served = make(chan error, 1)
	go func() {
		defer close(done)
		d.served <- problem.Catch("the registry", func() error {
			return ServeRegistry(serving, l, ServeRegistryOptions{
				Pipeline: d.pipeline, Log: d.o.Log, OnStart: func() { close(answers) },
				Logins: []httpd.Login{{Key: secret.New(d.folder.state.RegistryKey), Secret: secret.New(d.folder.state.RegistrySecret)}},
			})
		})
	}()
	d.onClose(func(context.Context) error { stop(); <-done; return nil })
	select {
	case <-answers:
		return nil
	case err := <-d.served:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// startConnector makes the topic and starts to write into it.
func (d *demo) startConnector(ctx context.Context, cfg datagen.Config) error {
	s, err := parse(d.pipeline)
	if err != nil {
		return err
	}
	if d.client, err = kafka.ConnectAny(ctx, s.kafka, d.o.Log); err != nil {
		return err
	}
	d.onClose(func(context.Context) error { d.client.Close(); return nil })
	topics, err := d.client.Topics(ctx, false)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(topics, func(t kafka.Topic) bool { return t.Name == cfg.Topic }) {
		if _, _, err := d.client.CreateTopic(ctx, kafka.NewTopic{Name: cfg.Topic, Partitions: demoPartitions, Replication: -1}); err != nil {
			return err
		}
	}
	producer, err := d.client.NewProducer(context.WithoutCancel(ctx), cfg.Topic)
	if err != nil {
		return err
	}
	d.onClose(func(context.Context) error { producer.Close(); return nil })
	d.partitions = producer.Partitions()
	offsets, err := d.folder.offsets()
	if err != nil {
		return err
	}
	deps := datagen.Deps{Producer: sender{producer}, Offsets: offsets, Rate: d.o.Rate}
	if cfg.Output == datagen.Avro {
		schemas := registry.New(s.registry, registry.Env{Log: d.o.Log})
		d.onClose(func(context.Context) error { schemas.Close(); return nil })
		deps.Registrar = registrar{schemas}
	}
	d.connector = datagen.New(cfg, deps)
	return d.connector.Start(ctx)
}

// run runs the query until something ends.
func (d *demo) run(ctx context.Context) error {
	if d.o.OnReady != nil {
		d.o.OnReady(d.ready())
	}
	d.seen = make(chan struct{}, 1)
	querying, stopQuery := context.WithCancel(context.WithoutCancel(ctx))
	defer stopQuery()
	var ran error // once queried is closed
	queried := make(chan struct{})
	go func() {
		defer close(queried)
		ran = problem.Catch("the query", func() error {
			return Run(querying, d.pipeline, RunOptions{Version: d.o.Version, Log: d.o.Log, OnProgress: d.progress})
		})
	}()
	watching, stopWatching := context.WithCancel(ctx)
	watched := make(chan error, 1)
	go func() {
		watched <- problem.Catch("watching the connector", func() error { d.watchConnector(watching); return nil })
	}()
	var elapsed <-chan time.Time
	if d.o.For > 0 {
		timer := time.NewTimer(d.o.For)
		defer timer.Stop()
		elapsed = timer.C
	}
	err := d.wait(ctx, queried, elapsed)
	stopWatching()
	err = errors.Join(err, <-watched)
	failed := d.connector.Status().Failure()
	d.connector.Close()
	if err == nil && ctx.Err() == nil {
		d.catchUp(ctx, queried)
	}
	// Whatever ended the demo: the query commits its batch before the broker goes.
	stopQuery()
	<-queried
	switch {
	case ran != nil:
		return errors.Join(err, ran)
	case err == nil && ctx.Err() == nil: // nobody was there to start it again
		return failed
	}
	return err
}

// watchConnector tells of each end of the connector until ctx ends. A call may start it again, so that the demo goes on.
func (d *demo) watchConnector(ctx context.Context) {
	for {
		s, err := d.connector.Await(ctx, datagen.Status.Ended)
		if err != nil {
			return
		}
		if d.o.OnConnectorEnd != nil {
			d.o.OnConnectorEnd(s)
		}
		if _, err := d.connector.Await(ctx, func(s datagen.Status) bool { return !s.Ended() }); err != nil {
			return
		}
	}
}

// wait returns when the demo shall stop, or with the error that ends it; a query that ended has its own.
func (d *demo) wait(ctx context.Context, queried <-chan struct{}, elapsed <-chan time.Time) error {
	select {
	case <-ctx.Done():
		return nil
	case <-elapsed:
		return nil
	case <-queried:
		return nil
	case err := <-d.served:
		return cmp.Or(err, errors.New("the registry has ended"))
	}
}

// progress keeps where the query is.
func (d *demo) progress(p microbatch.Progress, e microbatch.Extra) {
	d.mu.Lock()
	d.read = p.End
	d.mu.Unlock()
	select {
	case d.seen <- struct{}{}:
	default:
	}
	if d.o.OnProgress != nil {
		d.o.OnProgress(p, e)
	}
}

// catchUp waits until the query has read what the connector wrote, but not for ever.
func (d *demo) catchUp(ctx context.Context, queried <-chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, demoStop)
	defer cancel()
	topic, err := d.client.Topic(ctx, d.connector.Config().Topic)
	for err == nil {
		d.mu.Lock()
		behind := false
		for _, p := range topic.Partitions {
			end, _ := d.read.Get(topic.Name, p.Partition)
			behind = behind || end < p.Next
		}
		d.mu.Unlock()
		if !behind {
			return
		}
		select {
		case <-d.seen:
		case <-queried: // with an error, which run returns
			return
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	d.o.Log.Warn("the query has not read all that was written; the next start goes on", "error", err)
}

func (d *demo) ready() DemoReady {
	f := d.folder
	return DemoReady{
		Folder: f.dir, Broker: d.broker.Addr(), Registry: f.registryURL(), Topic: d.connector.Config().Topic, Partitions: d.partitions,
		Connector: d.connector.Config(), Pipeline: d.pipeline.File,
		Table: d.pipeline.Table.String(), Checkpoint: d.pipeline.Checkpoint.String(), Dir: d.pipeline.Table.Dir, Resumed: f.resumed,
	}
}
