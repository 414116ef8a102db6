// Package kafka reads Kafka: the options of a Kafka source, the connection with its checks at start, and the Source of a query.
//
// franz-go owns what is hard about a Kafka client: connections, TLS, SASL, versions, metadata. What a query reads does not come from its
// consumer, which makes a struct of every record, but from fetches of our own over its connections (docs/adr/0002), whose record
// batches workers walk where they lie.
package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

const (
	// startTimeout bounds the checks at start, all together.
	startTimeout = 30 * time.Second
	// dialTimeout bounds one connection with its TLS handshake.
	dialTimeout = 10 * time.Second
	// maxAnswer is the largest answer of a broker that is read. It is below 0x15030000 and 0x48545450, as which the first bytes of a TLS
	// alert and of HTTP would be read.
	maxAnswer = 256 << 20
)

// A Client is connected to a Kafka cluster. Its methods may be called concurrently.
type Client struct {
	kgo    *kgo.Client
	opts   Options
	log    *slog.Logger
	tls    *tls.Config // nil: plaintext
	dialer net.Dialer
	login  *login          // nil: none
	hidden secret.Scrubber // of the login
}

// Connect connects to the cluster and checks, in this order, that a broker answers, TLS, the login, that the topics exist and that they
// may be read. What fails is a *problem.Problem, within 30 seconds. The log gets warnings of insecure options; nil logs nothing.
func Connect(ctx context.Context, o Options, log *slog.Logger) (*Client, error) {
	c, err := newClient(o, log)
	if err != nil {
		return nil, err
	}
	if err := c.start(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// newClient returns a client that has not talked to a broker yet. Tests add options.
func newClient(o Options, log *slog.Logger, more ...kgo.Opt) (*Client, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Client{opts: o, log: log, dialer: net.Dialer{Timeout: dialTimeout}}
	opts := []kgo.Opt{
		kgo.SeedBrokers(o.Brokers...), kgo.ClientID(o.ClientID), kgo.SoftwareNameAndVersion("silt", "1"), kgo.Dialer(c.dial),
		kgo.BrokerMaxReadBytes(maxAnswer), kgo.DisableClientMetrics(),
		// The loops of Source retry for ever and say so; below them a request shall fail soon.
		kgo.RequestRetries(3), kgo.RetryTimeout(startTimeout),
	}
	if o.TLS {
		c.tls = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs}
		if o.AnyHost {
			log.Warn("the broker's host name is not compared with its certificate", "option", "kafka.ssl.endpoint.identification.algorithm")
			c.tls.InsecureSkipVerify = true // the chain is verified below
			c.tls.VerifyConnection = verifyChain(o.RootCAs)
		}
		c.login = newLogin(o, log)
		opts = append(opts, c.login.options()...)
	}
	c.hidden.Add(o.Username)
	c.hidden.Add(o.Password)
	k, err := kgo.NewClient(append(opts, more...)...)
	if err != nil {
		return nil, problem.New(problem.InvalidValue, "the Kafka client: %w", err)
	}
	c.kgo = k
	return c, nil
}

// ClientOptions are those with which another franz-go client reaches the same cluster as c does, and logs in: a producer, a log's reader.
func (c *Client) ClientOptions() []kgo.Opt {
	opts := []kgo.Opt{kgo.SeedBrokers(c.opts.Brokers...), kgo.SoftwareNameAndVersion("silt", "1"), kgo.Dialer(c.dial), kgo.DisableClientMetrics()}
	if c.login != nil {
		opts = append(opts, c.login.options()...)
	}
	return opts
}

// Close closes the client's connections.
func (c *Client) Close() {
	if c.login != nil {
		c.login.stop()
	}
	c.kgo.Close()
}

// A dialError says that no connection came about.
type dialError struct {
	addr string
	tls  bool // the connection stood, the TLS handshake failed
	err  error
}

func (e *dialError) Error() string {
	if e.tls {
		return e.addr + ": TLS: " + e.err.Error()
	}
	return e.addr + ": " + e.err.Error()
}

func (e *dialError) Unwrap() error { return e.err }

func (c *Client) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := c.dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, &dialError{addr: addr, err: err}
	}
	if c.tls == nil {
		return conn, nil
	}
	config := c.tls.Clone()
	config.ServerName, _, _ = net.SplitHostPort(addr)
	t := tls.Client(conn, config)
	if err := t.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, &dialError{addr: addr, tls: true, err: err}
	}
	return t, nil
}

// verifyChain verifies a certificate as crypto/tls does, but for its host name.
func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("the broker has no certificate")
		}
		o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, cert := range s.PeerCertificates[1:] {
			o.Intermediates.AddCert(cert)
		}
		_, err := s.PeerCertificates[0].Verify(o)
		return err
	}
}

// A topicView is what metadata say of a topic.
type topicView struct {
	id         [16]byte // zero: the broker has no topic ids (before 2.8)
	err        error    // why the topic cannot be read; nil: none
	partitions map[int32]partitionView
}

// A partitionView is what metadata say of a partition; the leader is -1 while there is none.
type partitionView struct{ leader, epoch int32 }

// metadata asks for the topics' partitions and leaders. A topic that does not exist is there, with its error.
func (c *Client) metadata(ctx context.Context, topics []string) (map[string]topicView, error) {
	resp, err := c.kgo.Request(ctx, metadataRequest(topics))
	if err != nil {
		return nil, err
	}
	return viewTopics(resp.(*kmsg.MetadataResponse)), nil
}

func metadataRequest(topics []string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	for _, t := range topics {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = kmsg.StringPtr(t)
		req.Topics = append(req.Topics, rt)
	}
	return req
}

func viewTopics(m *kmsg.MetadataResponse) map[string]topicView {
	views := make(map[string]topicView, len(m.Topics))
	for _, t := range m.Topics {
		if t.Topic == nil {
			continue
		}
		v := topicView{id: t.TopicID, err: kerr.ErrorForCode(t.ErrorCode), partitions: make(map[int32]partitionView, len(t.Partitions))}
		for _, p := range t.Partitions {
			pv := partitionView{leader: p.Leader, epoch: p.LeaderEpoch}
			if p.ErrorCode == kerr.LeaderNotAvailable.Code {
				pv.leader = -1
			}
			v.partitions[p.Partition] = pv
		}
		views[*t.Topic] = v
	}
	return views
}

// allTopics returns the names of the cluster's topics that users made.
func (c *Client) allTopics(ctx context.Context) ([]string, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = nil // all
	req.AllowAutoTopicCreation = false
	resp, err := c.kgo.Request(ctx, req)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, t := range resp.(*kmsg.MetadataResponse).Topics {
		if t.Topic != nil && !t.IsInternal {
			names = append(names, *t.Topic)
		}
	}
	slices.Sort(names)
	return names, nil
}
