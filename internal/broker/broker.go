package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/siltlake/silt/internal/secret"
)

// A Broker is a running broker. Its methods may be called concurrently.
type Broker struct {
	opts    Options
	state   state
	users   *users
	front   *front
	cluster *kfake.Cluster
	inside  *kgo.Client // to kfake, past the front
	unlock  func() error

	stopRetention context.CancelFunc
	background    sync.WaitGroup
	closing       sync.Once
	closeErr      error
}

// Start starts a broker in opts.Dir, with what an earlier one left there, and returns when it serves. ctx bounds the start only.
//
// Errors that a person has to act on are *problem.Problem: FolderInUse where another process runs a broker in the directory, PortTaken,
// CorruptState, PathNotWritable, and InvalidValue or Insecure for options.
func Start(ctx context.Context, opts Options) (*Broker, error) {
	opts = opts.withDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	unlock, err := openFolder(ctx, opts.Dir)
	if err != nil {
		return nil, err
	}
	b := &Broker{opts: opts, unlock: unlock}
	if err := b.start(ctx); err != nil {
		return nil, errors.Join(err, unlock())
	}
	return b, nil
}

func (b *Broker) start(ctx context.Context) error {
	records, err := newRecordChecker()
	if err != nil {
		return err
	}
	ln, tlsConfig, err := b.prepare(ctx)
	if err != nil {
		return err
	}
	b.front = newFront(b.opts, ln, tlsConfig, b.users, records)
	if err := b.startCluster(ctx); err != nil {
		return errors.Join(err, b.front.Close())
	}
	if err := b.learnAPIs(ctx); err != nil {
		b.stop()
		return errors.Join(err, b.front.shut(ctx))
	}
	b.front.serve()
	b.startRetention()
	b.opts.Log.Info("the broker listens", "address", b.Addr(), "protocol", string(b.opts.Protocol), "dir", b.opts.Dir)
	return nil
}

// prepare does what needs no kfake: settings, users, certificates, the port.
func (b *Broker) prepare(ctx context.Context) (net.Listener, *tls.Config, error) {
	dir := b.opts.Dir
	var err error
	if b.state, _, err = loadState(filepath.Join(dir, stateFile)); err != nil {
		return nil, nil, err
	}
	if b.users, err = openUsers(filepath.Join(dir, usersFile)); err != nil {
		return nil, nil, err
	}
	if !b.users.plain(b.state.User, b.state.Password) {
		if err := b.users.add(b.state.User, secret.New(b.state.Password)); err != nil {
			return nil, nil, err
		}
	}
	var tlsConfig *tls.Config
	if b.opts.Protocol.tls() {
		certs, err := openCertificates(dir, b.opts.Host, b.opts.Now)
		if err != nil {
			return nil, nil, err
		}
		tlsConfig = certs.config()
	}
	ln, err := listen(ctx, b.opts, b.state.Port)
	if err != nil {
		return nil, nil, err
	}
	if port := ln.Addr().(*net.TCPAddr).Port; port != b.state.Port {
		b.state.Port = port
		if err := writeJSON(filepath.Join(dir, stateFile), b.state); err != nil {
			return nil, nil, errors.Join(err, ln.Close())
		}
	}
	return ln, tlsConfig, nil
}

// startCluster recovers what a crash left and starts kfake on it.
func (b *Broker) startCluster(ctx context.Context) error {
	if err := recoverData(ctx, filepath.Join(b.opts.Dir, dataDir), b.opts.Now, b.opts.Log); err != nil {
		return err
	}
	const never = 100 * 365 * 24 * time.Hour
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return b.front, nil }),
		kfake.DataDir(filepath.Join(b.opts.Dir, dataDir)),
		kfake.ClusterID(uuid.New().String()), // of a new directory; an old one keeps its own
		kfake.DefaultNumPartitions(b.opts.Partitions),
		kfake.WithLogger(clusterLog{b.opts.Log}),
		kfake.BrokerConfigs(map[string]string{
			// What clients are shown, and what retention goes by. kfake's own retention runs with its compaction, which never runs.
			"log.retention.ms":       strconv.FormatInt(max(b.opts.Retention.Milliseconds(), -1), 10),
			"log.retention.bytes":    strconv.FormatInt(max(b.opts.RetentionBytes, -1), 10),
			"log.cleaner.backoff.ms": strconv.FormatInt(never.Milliseconds(), 10),
			"log.segment.bytes":      strconv.FormatInt(b.opts.segmentBytes(), 10),
		}),
	}
	if b.opts.Sync {
		opts = append(opts, kfake.SyncWrites())
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return fmt.Errorf("start the broker in %s: %w", b.opts.Dir, err)
	}
	b.cluster = cluster
	return nil
}

// learnAPIs asks kfake what it serves.
func (b *Broker) learnAPIs(ctx context.Context) error {
	inside, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.ClientID("silt-broker"), kgo.DisableClientMetrics(),
		kgo.MetadataMinAge(10*time.Millisecond), // it asks for topics that were made just now
		kgo.Dialer(func(ctx context.Context, _, _ string) (net.Conn, error) { return b.front.dialInside(ctx) }))
	if err != nil {
		return err
	}
	b.inside, b.front.inside = inside, inside
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "silt", "1"
	resp, err := req.RequestWith(ctx, inside)
	if err != nil {
		return fmt.Errorf("ask the broker for its API versions: %w", err)
	}
	b.front.apis = newAPIs(resp)
	return nil
}

// Addr is host:port for clients.
func (b *Broker) Addr() string { return b.front.Addr().String() }

// Protocol is the security.protocol for clients.
func (b *Broker) Protocol() Protocol { return b.opts.Protocol }

// CA is the PEM file of the authority that clients have to trust; "" without TLS.
func (b *Broker) CA() string {
	if !b.opts.Protocol.tls() {
		return ""
	}
	return filepath.Join(b.opts.Dir, caFile)
}

// APIKey is the key pair that the broker made at its first start.
func (b *Broker) APIKey() Credential { return Credential{b.state.User, secret.New(b.state.Password)} }

// AddUser lets a user log in, or gives one another password. Logins that are done stay.
func (b *Broker) AddUser(name string, password secret.Secret) error {
	return b.users.add(name, password)
}

// Close stops the broker: new connections first, then what is being done, then the files. After an error of ctx the directory is still
// whole, as after a crash. Closing again returns what the first call did.
func (b *Broker) Close(ctx context.Context) error {
	b.closing.Do(func() {
		b.stopRetention()
		b.background.Wait()
		b.stop()
		b.closeErr = errors.Join(b.front.shut(ctx), writeFile(filepath.Join(b.opts.Dir, dataDir, cleanFile), nil), b.unlock())
	})
	return b.closeErr
}

// stop closes the listener, our own client and kfake, which writes its state.
func (b *Broker) stop() {
	if err := b.front.Close(); err != nil {
		b.opts.Log.Warn("close the listener", "error", err)
	}
	if b.inside != nil {
		b.inside.Close()
	}
	b.cluster.Close()
}

// clusterLog gives kfake's log to ours.
type clusterLog struct{ log *slog.Logger }

// Logf is kfake's Logger. Its warnings are about files; what it says of requests is for debugging.
func (l clusterLog) Logf(level kfake.LogLevel, format string, args ...any) {
	at := slog.LevelDebug
	switch level {
	case kfake.LogLevelError:
		at = slog.LevelError
	case kfake.LogLevelWarn:
		at = slog.LevelWarn
	}
	if l.log.Enabled(context.Background(), at) {
		l.log.Log(context.Background(), at, fmt.Sprintf(format, args...), "part", "kfake")
	}
}
