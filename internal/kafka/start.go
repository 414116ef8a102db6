package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/siltlake/silt/internal/problem"
)

// start makes the checks of Connect.
func (c *Client) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, errSlow)
	defer cancel()
	seed, err := c.reach(ctx)
	if err != nil {
		return err
	}
	views, err := c.findTopics(ctx, seed)
	if err != nil {
		return err
	}
	return c.tryRead(ctx, views)
}

var errSlow = fmt.Errorf("no answer within %v", startTimeout)

// reach probes the bootstrap servers, all at once, and returns the index of one that answers: the first of them that came first.
func (c *Client) reach(ctx context.Context) (seed int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		i   int
		err error
	}
	outcomes := make(chan outcome, len(c.opts.Brokers))
	for i, addr := range c.opts.Brokers {
		go func() {
			outcomes <- outcome{i, problem.Catch("probing "+addr, func() error { return c.probe(ctx, addr) })}
		}()
	}
	var worst *problem.Problem
	for range c.opts.Brokers {
		o := <-outcomes
		if o.err == nil {
			return o.i, nil
		}
		c.log.Debug("bootstrap server does not answer", "addr", c.opts.Brokers[o.i], "error", o.err)
		// One that answers wrongly tells more than one that does not answer.
		if p := c.connectProblem(ctx, c.opts.Brokers[o.i], o.err); worst == nil || worst.Code == problem.BrokerUnreachable {
			worst = p
		}
	}
	return 0, worst
}

// findTopics logs in and returns the topics, which must exist.
func (c *Client) findTopics(ctx context.Context, seed int) (map[string]topicView, error) {
	broker := c.kgo.SeedBrokers()[seed]
	var views map[string]topicView
	for try := 0; ; try++ {
		resp, err := broker.Request(ctx, metadataRequest(c.opts.Topics))
		if c.login != nil && loginRefused(err) && c.login.renewed(ctx) {
			resp, err = broker.Request(ctx, metadataRequest(c.opts.Topics))
		}
		if err != nil {
			return nil, c.loginProblem(ctx, c.opts.Brokers[seed], err)
		}
		views = viewTopics(resp.(*kmsg.MetadataResponse))
		missing := slices.ContainsFunc(c.opts.Topics, func(t string) bool { return errors.Is(views[t].err, kerr.UnknownTopicOrPartition) })
		// A topic that was made a moment ago may not be known to every broker yet.
		const tries, pause = 3, 200 * time.Millisecond
		if !missing || try == tries-1 || sleep(ctx, pause) != nil {
			break
		}
	}
	for _, t := range c.opts.Topics {
		v, ok := views[t]
		switch {
		case !ok || errors.Is(v.err, kerr.UnknownTopicOrPartition) || errors.Is(v.err, kerr.InvalidTopicException):
			return nil, c.unknownTopic(ctx, t, "correct subscribe")
		case errors.Is(v.err, kerr.TopicAuthorizationFailed):
			return nil, deniedProblem(t, "describe")
		case v.err != nil && !kerr.IsRetriable(v.err):
			return nil, problem.New(problem.BrokerError, "topic %s cannot be read: %w", t, v.err).At(problem.Location{Topic: t})
		}
	}
	// The client learns the brokers; the answer is the same.
	if _, err := c.metadata(ctx, c.opts.Topics); err != nil {
		return nil, c.loginProblem(ctx, c.opts.Brokers[seed], err)
	}
	return views, nil
}

// unknownTopic says which topics there are; correct is the other way out beside creating the topic.
func (c *Client) unknownTopic(ctx context.Context, topic, correct string) *problem.Problem {
	p := problem.New(problem.UnknownTopic, "unknown topic %q", topic)
	names, err := c.allTopics(ctx)
	if err != nil {
		return p.Fix("create the topic, or %s", correct)
	}
	if n := problem.Nearest(topic, names); n != "" {
		p.Message += fmt.Sprintf("; did you mean %q?", n)
	}
	switch {
	case len(names) == 0:
		return p.Fix("create the topic; the cluster shows this user no topic")
	case len(names) > 10:
		return p.Fix("create the topic, or %s; the cluster has %d topics", correct, len(names))
	}
	return p.Fix("create the topic, or %s; the cluster has: %s", correct, strings.Join(names, ", "))
}

func deniedProblem(topic, operation string) *problem.Problem {
	return problem.New(problem.BrokerDenied, "the user may not %s topic %s", operation, topic).At(problem.Location{Topic: topic}).
		Fix("grant the user READ and DESCRIBE on topic %s", topic)
}

// tryRead asks every leader for one partition of each topic past its end: the answer says whether the topic may be read, and that the
// leader can be reached under the address that it advertises. Leaders that are down are passed over while one answers.
func (c *Client) tryRead(ctx context.Context, views map[string]topicView) error {
	leaders := map[int32]*kmsg.FetchRequest{}
	for _, t := range c.opts.Topics {
		seen := map[int32]bool{}
		for _, p := range slices.Sorted(maps.Keys(views[t].partitions)) {
			pv := views[t].partitions[p]
			if pv.leader < 0 || seen[pv.leader] {
				continue
			}
			seen[pv.leader] = true
			if leaders[pv.leader] == nil {
				leaders[pv.leader] = newFetchRequest(0, 1, 1, c.opts.ReadCommitted)
			}
			addToFetch(leaders[pv.leader], t, views[t].id, fetchPartition(p, math.MaxInt64, -1, 1))
		}
	}
	type outcome struct {
		leader int32
		resp   kmsg.Response
		err    error
	}
	outcomes := make(chan outcome, len(leaders))
	for id, req := range leaders {
		go func() {
			o := outcome{leader: id}
			o.err = problem.Catch("asking a leader", func() (err error) {
				o.resp, err = c.kgo.Broker(int(id)).Request(ctx, req)
				return err
			})
			outcomes <- o
		}()
	}
	var failed *problem.Problem
	reached := false
	for range leaders {
		o := <-outcomes
		if o.err != nil {
			c.log.Warn("broker does not answer", "broker", o.leader, "error", o.err)
			if failed == nil {
				failed = c.loginProblem(ctx, fmt.Sprintf("broker %d", o.leader), o.err)
				failed.Hint += "; the bootstrap server names this address (advertised.listeners): it must be reachable from here"
			}
			continue
		}
		reached = true
		if t := deniedTopic(o.resp.(*kmsg.FetchResponse), views); t != "" {
			return deniedProblem(t, "read")
		}
	}
	if !reached && failed != nil {
		return failed
	}
	return nil
}

// deniedTopic returns a topic of the answer that the user may not read, or "".
func deniedTopic(resp *kmsg.FetchResponse, views map[string]topicView) string {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode == kerr.TopicAuthorizationFailed.Code {
				return topicName(&t, views)
			}
		}
	}
	return ""
}

// connectProblem says why no connection to a broker came about.
func (c *Client) connectProblem(ctx context.Context, addr string, err error) *problem.Problem {
	if l := problem.Of(err); len(l) > 0 {
		return l[0]
	}
	var d *dialError
	if errors.As(err, &d) {
		addr = d.addr
		if d.tls {
			return c.tlsProblem(d)
		}
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = context.Cause(ctx)
	}
	const plaintext = "set kafka.security.protocol: SASL_SSL if this port speaks TLS"
	switch {
	case errors.Is(err, errSpeaksTLS):
		return problem.New(problem.BrokerTLS, "broker %s wants TLS, but kafka.security.protocol is PLAINTEXT", addr).
			Because(err).Fix("set kafka.security.protocol: SASL_SSL, with kafka.sasl.mechanism: PLAIN and a login")
	case errors.Is(err, errHangsUp) && c.tls == nil:
		return problem.New(problem.BrokerTLS, "broker %s closed the connection at the first request", addr).
			Because(err).Fix("%s; else check that %s is the port of a Kafka broker", plaintext, addr)
	case errors.Is(err, errNotKafka), errors.Is(err, errHangsUp):
		return problem.New(problem.BrokerUnreachable, "%s does not answer as a Kafka broker", addr).
			Because(err).Fix("check the host and port in kafka.bootstrap.servers")
	case errors.Is(err, errTooOld):
		return problem.New(problem.BrokerError, "broker %s is too old", addr).Because(err).Fix("silt needs Kafka 0.11 or later")
	}
	p := problem.New(problem.BrokerUnreachable, "broker %s cannot be reached", addr).Because(shortNetError(err))
	p.Retryable = true
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return p.Fix("check the host name in kafka.bootstrap.servers")
	case errors.Is(err, syscall.ECONNREFUSED):
		return p.Fix("nothing listens there: check the host and port in kafka.bootstrap.servers, and that the broker runs")
	}
	return p.Fix("check the host and port in kafka.bootstrap.servers, and firewalls on the way")
}

// shortNetError drops what net repeats of the address.
func shortNetError(err error) error {
	var d *dialError
	if errors.As(err, &d) {
		err = d.err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// tlsProblem says why a TLS handshake failed.
func (c *Client) tlsProblem(d *dialError) *problem.Problem {
	p := problem.New(problem.BrokerTLS, "the TLS handshake with broker %s failed", d.addr).Because(d.err)
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(d.err, &authority):
		p.Message = fmt.Sprintf("the certificate of broker %s comes from an unknown authority", d.addr)
		if c.opts.RootCAs != nil {
			return p.Fix("kafka.ssl.truststore.* must hold the certificate of the authority that signed the broker's certificate")
		}
		return p.Fix("set kafka.ssl.truststore.type: PEM and kafka.ssl.truststore.location: to the authority's certificate")
	case errors.As(d.err, &host):
		p.Message = fmt.Sprintf("the certificate of broker %s is for another host", d.addr)
		return p.Fix("use a name that the certificate holds in kafka.bootstrap.servers and in the broker's advertised.listeners")
	case errors.As(d.err, &invalid):
		p.Message = fmt.Sprintf("the certificate of broker %s is not valid", d.addr)
		return p.Fix("check the certificate's dates and uses, and the clock of this machine")
	case errors.As(d.err, &record), errors.Is(d.err, io.EOF), errors.As(d.err, &op) && !op.Timeout():
		p.Message = fmt.Sprintf("broker %s does not speak TLS on this port", d.addr)
		return p.Fix("use the port of the broker's SASL_SSL listener in kafka.bootstrap.servers")
	case errors.Is(d.err, context.DeadlineExceeded):
		p.Message = fmt.Sprintf("broker %s does not answer the TLS handshake", d.addr)
		return p.Fix("use the port of the broker's SASL_SSL listener in kafka.bootstrap.servers; this one may not speak TLS")
	}
	return p.Fix("check that %s is the SASL_SSL listener of a broker", d.addr)
}

// loginProblem says why the first request after the connection failed.
func (c *Client) loginProblem(ctx context.Context, addr string, err error) *problem.Problem {
	var d *dialError
	var eof *kgo.ErrFirstReadEOF
	why := errors.New(c.scrub(err.Error()))
	switch {
	case errors.As(err, &d), len(problem.Of(err)) > 0:
		return c.connectProblem(ctx, addr, err)
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return problem.New(problem.BrokerLogin, "broker %s refused the login", addr).Because(why).
			Fix("check the API key and secret of the cluster (kafka.sasl.username and .password, or kafka.sasl.jaas.config): the registry's are others")
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return problem.New(problem.BrokerLogin, "broker %s does not offer SASL %s on this port", addr, c.opts.Mechanism).Because(why).
			Fix("enable %s in the broker's sasl.enabled.mechanisms, or use the port of a listener that has it", c.opts.Mechanism)
	case c.login != nil && loginRefused(err):
		return problem.New(problem.BrokerLogin, "broker %s closed the connection during the login", addr).Because(why).
			Fix("check the API key and secret of the cluster; some brokers close the connection at a wrong one")
	case errors.As(err, &eof), c.tls == nil && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)):
		return problem.New(problem.BrokerLogin, "broker %s closed the connection at the first request: it wants a login", addr).Because(why).
			Fix("set kafka.security.protocol: SASL_SSL, with kafka.sasl.mechanism: PLAIN and a login")
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		return problem.New(problem.BrokerDenied, "broker %s refuses this user", addr).Because(why).
			Fix("grant the user READ and DESCRIBE on the topic")
	}
	if ctx.Err() != nil {
		why = context.Cause(ctx)
	}
	p := problem.New(problem.BrokerUnreachable, "broker %s does not answer", addr).Because(why).
		Fix("check that the broker is healthy; it accepted the connection")
	p.Retryable = true
	return p
}

// scrub is a second net: no error is known to hold the login, but a broker words its errors as it likes.
func (c *Client) scrub(text string) string {
	return c.hidden.String(text)
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
