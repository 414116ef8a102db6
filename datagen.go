package silt

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/datagen"
	"github.com/siltlake/silt/internal/httpd"
	"github.com/siltlake/silt/internal/kafka"
	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/registry"
)

// DatagenOptions say what Datagen runs.
type DatagenOptions struct {
	Connector datagen.Config
	Rate      float64         // records a second; 0: as the connector's max.interval says
	Offsets   datagen.Offsets // nil: the tasks begin anew
	Log       *slog.Logger
	// RESTFile, if not "", serves Connect's REST interface on RESTAddr, a loopback address ("": port 8083, or a free one), and writes where,
	// with a login, to this file. It is removed in the end.
	RESTFile, RESTAddr string
	OnREST             func(addr net.Addr) // it answers
	// OnStart is called when the tasks run, OnStatus every second from then on; nil: not at all.
	OnStart  func()
	OnStatus func(datagen.Status)
}

// Datagen runs a connector against the cluster and the registry of a pipeline file until ctx ends, which is a clean stop and no error, or
// until the connector has ended: because its tasks made the records they were asked for, by a call to stop, or with an error. It returns what
// the tasks did in the end.
func Datagen(ctx context.Context, p *config.Pipeline, o DatagenOptions) (datagen.Status, error) {
	s, err := parse(p)
	if err != nil {
		return datagen.Status{}, err
	}
	client, err := kafka.ConnectAny(ctx, s.kafka, o.Log)
	if err != nil {
		return datagen.Status{}, err
	}
	defer client.Close()
	producer, err := client.NewProducer(context.WithoutCancel(ctx), o.Connector.Topic)
	if err != nil {
		return datagen.Status{}, err
	}
	defer producer.Close()
	deps := datagen.Deps{Producer: sender{producer}, Offsets: o.Offsets, Rate: o.Rate}
	if o.Connector.Output == datagen.Avro {
		r, err := registryOf(p, o.Connector.Registry, o.Log)
		if err != nil {
			return datagen.Status{}, err
		}
		defer r.Close()
		deps.Registrar = registrar{r}
	}
	var l net.Listener
	var login httpd.Login
	if o.RESTFile != "" {
		var remove func()
		if l, login, remove, err = openREST(o.RESTAddr, o.RESTFile); err != nil {
			return datagen.Status{}, err
		}
		defer remove()
		defer l.Close()
	}
	c := datagen.New(o.Connector, deps)
	if err := c.Start(ctx); err != nil {
		return c.Status(), err
	}
	if o.OnStart != nil {
		o.OnStart()
	}
	if o.RESTFile != "" {
		stop := serveConnector(ctx, l, c, login, o.Log)
		defer stop() // after the last answer
		o.OnREST(l.Addr())
	}
	err = watch(ctx, c, o.OnStatus)
	c.Close()
	return c.Status(), err
}

// watch waits for the end of the connector's tasks and shows its status now and then.
func watch(ctx context.Context, c *datagen.Connector, show func(datagen.Status)) error {
	for {
		limited, cancel := context.WithTimeout(ctx, time.Second)
		err := c.Wait(limited)
		timedOut := limited.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case !timedOut || err == nil:
			return err
		case show != nil:
			show(c.Status())
		}
	}
}

// registryOf is the pipeline's registry, or the one that the connector's converter names if the pipeline has none.
func registryOf(p *config.Pipeline, own option.Values, log *slog.Logger) (*registry.Client, error) {
	if len(p.Registry.All()) > 0 || len(own.All()) == 0 {
		return Registry(p, log)
	}
	o, problems := registry.ParseOptions(own, p.AllowInsecure)
	if len(problems) > 0 {
		return nil, problem.List(problems)
	}
	return registry.New(o, registry.Env{Log: log}), nil
}

// A sender produces for a connector.
type sender struct{ p *kafka.Producer }

var _ datagen.Producer = sender{}

// Produce implements datagen.Producer.
func (s sender) Produce(ctx context.Context, r *kgo.Record, promise func(*kgo.Record, error)) {
	s.p.Send(ctx, r, promise)
}

// A registrar registers a connector's schema.
type registrar struct{ c *registry.Client }

var _ datagen.Registrar = registrar{}

// Register implements datagen.Registrar.
func (r registrar) Register(ctx context.Context, subject, schema string) (int32, error) {
	return r.c.Register(ctx, subject, registry.NewSchema{Text: schema})
}
