package silt

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"

	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/httpd"
	"github.com/siltlake/silt/internal/kafka"
	"github.com/siltlake/silt/internal/registryd"
)

// ServeRegistryOptions say where a registry keeps its schemas, and who may call it.
type ServeRegistryOptions struct {
	Pipeline          *config.Pipeline // whose brokers and login are taken; nil: Brokers, without TLS
	Brokers           []string
	Topic             string // "": _schemas
	ReplicationFactor int16  // of the topic if it has to be made; 0: the brokers' default
	Logins            []httpd.Login
	Certificate       *tls.Certificate // nil: plain http
	Insecure          bool             // beyond loopback without logins or TLS
	Log               *slog.Logger
	OnStart           func() // it answers; may be nil
}

// ServeRegistry runs a Schema Registry on the listener, which it closes, until ctx is done.
func ServeRegistry(ctx context.Context, l net.Listener, o ServeRegistryOptions) error {
	defer l.Close()
	k := registryd.KafkaOptions{Brokers: o.Brokers, Topic: o.Topic, ReplicationFactor: o.ReplicationFactor}
	if o.Pipeline != nil {
		options, problems := kafka.ParseOptions(o.Pipeline.Kafka, o.Pipeline.AllowInsecure)
		if err := o.Pipeline.Err(problems); err != nil {
			return err
		}
		client, err := kafka.ConnectAny(ctx, options, o.Log)
		if err != nil {
			return err
		}
		defer client.Close()
		k.Brokers, k.Opts = options.Brokers, client.ClientOptions()
	}
	journal, err := registryd.OpenKafka(ctx, k)
	if err != nil {
		return err
	}
	defer journal.Close()
	r, err := registryd.Open(ctx, journal, registryd.Options{Logins: o.Logins, Certificate: o.Certificate, Insecure: o.Insecure, Log: o.Log})
	if err != nil {
		return err
	}
	defer r.Close()
	if o.OnStart != nil {
		o.OnStart()
	}
	return r.Serve(ctx, l)
}
