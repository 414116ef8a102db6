package kafka

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

const canary = "canary-secret"

// newCluster starts a fake cluster with a topic clickstreams.
func newCluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(2, "clickstreams", "orders")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// secureCluster starts one with TLS and a login, and returns options that fit it.
func secureCluster(t *testing.T, hosts ...string) (*kfake.Cluster, Options) {
	t.Helper()
	ca, cert := testCertificates(t, hosts...)
	c := newCluster(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}), kfake.EnableSASL(),
		kfake.Superuser("PLAIN", "key", canary))
	o := testOptions(c.ListenAddrs(), "clickstreams")
	o.TLS, o.Mechanism, o.Username, o.Password, o.RootCAs = true, plainSASL, secret.New("key"), secret.New(canary), x509.NewCertPool()
	o.RootCAs.AppendCertsFromPEM(ca)
	return c, o
}

// listen answers every connection with serve.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(conn)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func TestConnect(t *testing.T) {
	_, o := secureCluster(t)
	var log bytes.Buffer
	c, err := Connect(t.Context(), o, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if log.Len() > 0 {
		t.Errorf("logged %s", log.String())
	}
}

func TestConnectPassesOverBootstrapServersThatAreDown(t *testing.T) {
	_, o := secureCluster(t)
	o.Brokers = append([]string{closedPort(t)}, o.Brokers...)
	c, err := Connect(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestConnectWithoutHostNameCheckVerifiesTheAuthority(t *testing.T) {
	_, o := secureCluster(t, "elsewhere")
	o.AnyHost = true
	var log bytes.Buffer
	c, err := Connect(t.Context(), o, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if !strings.Contains(log.String(), "level=WARN") {
		t.Error("no warning")
	}
	o.RootCAs = x509.NewCertPool()
	if _, err := Connect(t.Context(), o, nil); problem.ExitStatus(err) != problem.ExitUnavailable ||
		problem.Of(err)[0].Code != problem.BrokerTLS {
		t.Errorf("another authority: %v", err)
	}
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestConnectSaysWhatIsWrong: each start check's failures, with the code, a part of the message and a hint.
func TestConnectSaysWhatIsWrong(t *testing.T) {
	tests := []struct {
		name    string
		options func(t *testing.T) Options
		code    problem.Code
		message string
	}{
		{"nothing listens", func(t *testing.T) Options { return testOptions([]string{closedPort(t)}, "clickstreams") },
			problem.BrokerUnreachable, "cannot be reached"},
		{"something else answers", func(t *testing.T) Options {
			return testOptions([]string{listen(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n"); c.Close() })},
				"clickstreams")
		}, problem.BrokerUnreachable, "does not answer as a Kafka broker"},
		{"a port that hangs up", func(t *testing.T) Options {
			return testOptions([]string{listen(t, func(c net.Conn) { c.Close() })}, "clickstreams")
		}, problem.BrokerTLS, "closed the connection at the first request"},
		{"plaintext to a TLS port", func(t *testing.T) Options {
			_, o := secureCluster(t)
			o.TLS = false
			return o
		}, problem.BrokerTLS, "closed the connection at the first request"},
		{"plaintext to a TLS port that answers with an alert", func(t *testing.T) Options {
			return testOptions([]string{listen(t, func(c net.Conn) { _, _ = c.Write([]byte{0x15, 3, 3, 0, 2, 2, 70}); c.Close() })}, "clickstreams")
		}, problem.BrokerTLS, "wants TLS, but kafka.security.protocol is PLAINTEXT"},
		{"TLS to a plaintext port", func(t *testing.T) Options {
			_, o := secureCluster(t)
			o.Brokers = []string{listen(t, func(c net.Conn) { c.Close() })} // the handshake looks like a request of 369 MB
			return o
		}, problem.BrokerTLS, "does not speak TLS on this port"},
		{"TLS to a web server", func(t *testing.T) Options {
			_, o := secureCluster(t)
			o.Brokers = []string{listen(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n"); c.Close() })}
			return o
		}, problem.BrokerTLS, "does not speak TLS on this port"},
		{"another authority", func(t *testing.T) Options {
			_, o := secureCluster(t)
			ca, _ := testCertificates(t)
			o.RootCAs = x509.NewCertPool()
			o.RootCAs.AppendCertsFromPEM(ca)
			return o
		}, problem.BrokerTLS, "comes from an unknown authority"},
		{"no trust store", func(t *testing.T) Options {
			_, o := secureCluster(t)
			o.RootCAs = nil
			return o
		}, problem.BrokerTLS, "comes from an unknown authority"},
		{"another host", func(t *testing.T) Options {
			_, o := secureCluster(t, "elsewhere.example")
			return o
		}, problem.BrokerTLS, "is for another host"},
		{"a wrong password", func(t *testing.T) Options {
			c, o := secureCluster(t)
			answerLogin(c)
			o.Password = secret.New("wrong-" + canary)
			return o
		}, problem.BrokerLogin, "refused the login"},
		{"a wrong password, and the broker hangs up", func(t *testing.T) Options {
			_, o := secureCluster(t)
			o.Password = secret.New("wrong-" + canary)
			return o
		}, problem.BrokerLogin, "closed the connection during the login"},
		{"no PLAIN", func(t *testing.T) Options {
			c, o := secureCluster(t)
			c.ControlKey(int16(kmsg.SASLHandshake), func(r kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				resp := r.ResponseKind().(*kmsg.SASLHandshakeResponse)
				resp.ErrorCode, resp.SupportedMechanisms = kerr.UnsupportedSaslMechanism.Code, []string{"GSSAPI"}
				return resp, nil, true
			})
			return o
		}, problem.BrokerLogin, "does not offer SASL PLAIN"},
		{"no login where one is wanted", func(t *testing.T) Options {
			return testOptions(newCluster(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "key", canary)).ListenAddrs(), "clickstreams")
		}, problem.BrokerLogin, "closed the connection at the first request: it wants a login"},
		{"an unknown topic", func(t *testing.T) Options { return testOptions(newCluster(t).ListenAddrs(), "Clickstreams") },
			problem.UnknownTopic, `unknown topic "Clickstreams"; did you mean "clickstreams"?`},
		{"no right to describe", func(t *testing.T) Options { return aclCluster(t) }, problem.BrokerDenied,
			"the user may not describe topic clickstreams"},
		{"no right to read", func(t *testing.T) Options { return aclCluster(t, kmsg.ACLOperationDescribe) }, problem.BrokerDenied,
			"the user may not read topic clickstreams"},
		{"a broker from before transactions", func(t *testing.T) Options {
			c := newCluster(t)
			c.ControlKey(int16(kmsg.ApiVersions), func(r kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				resp := r.ResponseKind().(*kmsg.ApiVersionsResponse)
				resp.ApiKeys = []kmsg.ApiVersionsResponseApiKey{{ApiKey: int16(kmsg.Fetch), MaxVersion: 3}}
				return resp, nil, true
			})
			return testOptions(c.ListenAddrs(), "clickstreams")
		}, problem.BrokerError, "is too old"},
		{"the advertised address cannot be reached", func(t *testing.T) Options {
			c := newCluster(t)
			host, _, _ := net.SplitHostPort(closedPort(t))
			c.ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				resp := r.ResponseKind().(*kmsg.MetadataResponse)
				resp.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 9, Host: host, Port: 1}}
				topic := kmsg.NewMetadataResponseTopic()
				topic.Topic = kmsg.StringPtr("clickstreams")
				p := kmsg.NewMetadataResponseTopicPartition()
				p.Leader = 9
				topic.Partitions = append(topic.Partitions, p)
				resp.Topics = append(resp.Topics, topic)
				return resp, nil, true
			})
			return testOptions(c.ListenAddrs(), "clickstreams")
		}, problem.BrokerUnreachable, "broker 127.0.0.1:1 cannot be reached"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			c, err := Connect(t.Context(), tt.options(t), slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
			if err == nil {
				c.Close()
				t.Fatal("no error")
			}
			var p *problem.Problem
			if !errors.As(err, &p) || p.Code != tt.code || !strings.Contains(p.Message, tt.message) || p.Hint == "" {
				t.Errorf("got %v (hint %q), want %s %s", err, p.Hint, tt.code, tt.message)
			}
			if all := p.Error() + p.Why + p.Hint + log.String(); strings.Contains(all, canary) {
				t.Errorf("the password is told: %s", all)
			}
		})
	}
}

// answerLogin makes the cluster answer a wrong password as brokers do; kfake closes the connection. The password is echoed, as a broker
// should not.
func answerLogin(c *kfake.Cluster) {
	c.ControlKey(int16(kmsg.SASLAuthenticate), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		sent := r.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes
		if bytes.HasSuffix(sent, []byte("\x00"+canary)) {
			return nil, nil, false
		}
		resp := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode, resp.ErrorMessage = kerr.SaslAuthenticationFailed.Code, kmsg.StringPtr("Authentication failed: "+string(sent))
		return resp, nil, true
	})
}

// aclCluster has a user with these rights on the topic.
func aclCluster(t *testing.T, operations ...kmsg.ACLOperation) Options {
	t.Helper()
	ca, cert := testCertificates(t)
	var acls []kfake.ACL
	for _, op := range operations {
		acls = append(acls, kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: "clickstreams", Pattern: kmsg.ACLResourcePatternTypeLiteral,
			Operation: op, Allow: true})
	}
	c := newCluster(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}), kfake.EnableSASL(), kfake.EnableACLs(),
		kfake.Superuser("PLAIN", "admin", "admin"), kfake.User("PLAIN", "key", canary, acls...))
	o := testOptions(c.ListenAddrs(), "clickstreams")
	o.TLS, o.Mechanism, o.Username, o.Password, o.RootCAs = true, plainSASL, secret.New("key"), secret.New(canary), x509.NewCertPool()
	o.RootCAs.AppendCertsFromPEM(ca)
	return o
}

func TestConnectIsBoundedInTime(t *testing.T) {
	over := make(chan struct{})
	silent := listen(t, func(c net.Conn) { // says nothing
		<-over
		c.Close()
	})
	t.Cleanup(func() { close(over) }) // before the listener's own clean-up waits
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := Connect(ctx, testOptions([]string{silent}, "clickstreams"), nil)
	if l := problem.Of(err); len(l) != 1 || l[0].Code != problem.BrokerUnreachable || !l[0].Retryable {
		t.Errorf("got %v", err)
	}
}

func TestATLSHandshakeIsBoundedInTime(t *testing.T) {
	_, o := secureCluster(t)
	o.Brokers = newCluster(t).ListenAddrs() // kfake waits for the rest of what it takes for a large request
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := Connect(ctx, o, nil)
	if l := problem.Of(err); len(l) != 1 || l[0].Code != problem.BrokerTLS ||
		!strings.Contains(l[0].Message, "does not answer the TLS handshake") {
		t.Errorf("got %v", err)
	}
}
