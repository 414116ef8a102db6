package broker

import (
	"cmp"
	"log/slog"
	"net"
	"time"

	"github.com/siltlake/silt/internal/problem"
)

// A Protocol is Kafka's security.protocol.
type Protocol string

// The protocols. SASLSSL is the default.
const (
	Plaintext     Protocol = "PLAINTEXT"
	SSL           Protocol = "SSL"
	SASLPlaintext Protocol = "SASL_PLAINTEXT"
	SASLSSL       Protocol = "SASL_SSL"
)

func (p Protocol) tls() bool  { return p == SSL || p == SASLSSL }
func (p Protocol) sasl() bool { return p == SASLPlaintext || p == SASLSSL }

// Options say how a broker runs. The zero value of every field but Dir works.
type Options struct {
	// Dir holds all that the broker keeps, mode 0700. It is made if it is not there.
	Dir string
	// Host is the IP address to listen on and to advertise; 127.0.0.1 if empty. Others than loopback need SASL_SSL.
	Host string
	// Port is the port to listen on; a taken one is an error. If it is 0, the port of the last start in Dir is used again, and at the first
	// start PreferPort if it is free, else any.
	Port, PreferPort int
	Protocol         Protocol // SASL_SSL if empty

	// Partitions is how many a topic gets that is created without a number; 6 if 0, as on Confluent Cloud.
	Partitions int
	// Retention and RetentionBytes bound what a topic keeps that has no retention.ms or retention.bytes of its own, the second one for each
	// partition; 7 days and 512 MiB if 0, unbounded if negative.
	Retention      time.Duration
	RetentionBytes int64
	// RetentionBatches bounds the record batches of a partition, whatever its topic says: memory holds about 100 bytes for each, and a
	// producer that sends records one by one makes a batch of each. 500,000 if 0, unbounded if negative.
	RetentionBatches int64
	// RetentionEvery is how often retention is looked after; 30 seconds if 0.
	RetentionEvery time.Duration
	// Sync makes every record batch durable on disk before it is acknowledged: slow, and safe against a power cut.
	Sync bool

	MaxRequestBytes int           // of one request; 16 MiB if 0
	MaxMemoryBytes  int64         // of all requests in flight; 128 MiB if 0, at least four of the largest requests
	MaxConnections  int           // open at once; 256 if 0
	LoginTimeout    time.Duration // from connecting to the end of the login; 10 seconds if 0
	RequestTimeout  time.Duration // to send one request whole, and to take one answer; 30 seconds if 0
	IdleTimeout     time.Duration // between requests; 10 minutes if 0, as Apache Kafka's connections.max.idle.ms

	Now func() time.Time // time.Now if nil
	Log *slog.Logger     // discards if nil
}

func (o Options) withDefaults() Options {
	const mib = 1 << 20
	o.Host = cmp.Or(o.Host, "127.0.0.1")
	o.Protocol = cmp.Or(o.Protocol, SASLSSL)
	o.Partitions = cmp.Or(o.Partitions, 6)
	o.Retention = cmp.Or(o.Retention, 7*24*time.Hour)
	o.RetentionBytes = cmp.Or(o.RetentionBytes, 512*mib)
	o.RetentionBatches = cmp.Or(o.RetentionBatches, 500_000)
	o.RetentionEvery = cmp.Or(o.RetentionEvery, 30*time.Second)
	o.MaxRequestBytes = cmp.Or(o.MaxRequestBytes, 16*mib)
	// A request is in memory twice: as it came, and as kfake parsed it.
	o.MaxMemoryBytes = max(cmp.Or(o.MaxMemoryBytes, 128*mib), 8*int64(o.MaxRequestBytes))
	o.MaxConnections = cmp.Or(o.MaxConnections, 256)
	o.LoginTimeout = cmp.Or(o.LoginTimeout, 10*time.Second)
	o.RequestTimeout = cmp.Or(o.RequestTimeout, 30*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 10*time.Minute)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// check refuses what would not be safe or not be true.
func (o Options) check() error {
	if o.Dir == "" {
		return problem.New(problem.MissingOption, "the broker has no directory")
	}
	switch o.Protocol {
	case Plaintext, SSL, SASLPlaintext, SASLSSL:
	default:
		return problem.New(problem.InvalidValue, "security.protocol %q: want PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL", o.Protocol)
	}
	ip := net.ParseIP(o.Host)
	switch {
	case ip == nil || ip.IsUnspecified():
		return problem.New(problem.InvalidValue, "listen address %q: want the IP address of one interface", o.Host).
			Fix("use 127.0.0.1, or the address of the interface that clients reach: they are told this address to connect to")
	case !ip.IsLoopback() && o.Protocol != SASLSSL:
		return problem.New(problem.Insecure, "listen address %s is not loopback and the protocol is %s", o.Host, o.Protocol).
			Fix("listen on 127.0.0.1, or use SASL_SSL")
	case o.Port < 0 || o.Port > 65535:
		return problem.New(problem.InvalidValue, "port %d: want 0 to 65535", o.Port)
	}
	return nil
}

// segmentBytes is how large a file of a partition's log becomes: small enough that retention deletes in steps, and that a start, where kfake
// reads a segment of every partition at once, needs little memory; large enough that few files are open.
func (o Options) segmentBytes() int64 {
	const least, most = 1 << 20, 8 << 20
	if o.RetentionBytes < 0 {
		return most
	}
	return min(max(o.RetentionBytes/8, least), most)
}
