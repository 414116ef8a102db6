package kafka

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/siltlake/silt/internal/kafka/sourcetest"
	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
	"github.com/siltlake/silt/internal/stream"
)

// rotated is the secret of a value that will be another when it is read again.
func rotated(before, after string) secret.Secret {
	return secret.Renewable(before, secret.Origin{Read: func(context.Context) (string, error) { return after, nil }})
}

func TestALoginThatWasRotatedIsReadAnewAtTheStart(t *testing.T) {
	const old = "old-secret"
	jaas := func(password string) string {
		return scramModule + ` required username="key" password="` + password + `";`
	}
	tests := []struct {
		name      string
		mechanism string
		answers   bool // the broker says that the login is wrong; else it closes the connection
		set       func(o *Options)
	}{
		{"PLAIN", plainSASL, true, func(o *Options) { o.Password = rotated(old, canary) }},
		{"PLAIN, and the broker hangs up", plainSASL, false, func(o *Options) { o.Password = rotated(old, canary) }},
		{"key and secret", plainSASL, true, func(o *Options) { o.Username, o.Password = rotated("old-key", "key"), rotated(old, canary) }},
		{"SCRAM-SHA-256", scram256, false, func(o *Options) { o.Password = rotated(old, canary) }},
		{"SCRAM-SHA-512, never rotated", scram512, false, func(o *Options) { o.Password = secret.New(canary) }},
		{"a jaas string", scram512, false, func(o *Options) {
			v := section("kafka.bootstrap.servers: h:1", "subscribe: clickstreams", "kafka.security.protocol: SASL_SSL",
				"kafka.sasl.mechanism: SCRAM-SHA-512", "kafka.sasl.jaas.config: $"+jaas(old)).All()
			v[4].Secret = rotated(jaas(old), jaas(canary))
			parsed, ps := ParseOptions(option.NewValues("source.kafka", problem.Location{}, v...), false)
			if len(ps) > 0 || parsed.Password.Reveal() != old {
				t.Fatal(problems(ps))
			}
			o.Username, o.Password = parsed.Username, parsed.Password
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ca, cert := testCertificates(t)
			c := newCluster(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}), kfake.EnableSASL(),
				kfake.Superuser(tt.mechanism, "key", canary))
			if tt.answers {
				answerLogin(c)
			}
			o := testOptions(c.ListenAddrs(), clicks)
			o.TLS, o.Mechanism, o.Username, o.RootCAs = true, tt.mechanism, secret.New("key"), x509.NewCertPool()
			o.RootCAs.AppendCertsFromPEM(ca)
			tt.set(&o)
			var log logBuffer
			client, err := Connect(t.Context(), o, log.logger())
			if err != nil {
				t.Fatal(err)
			}
			client.Close()
			if wantLog := tt.name != "SCRAM-SHA-512, never rotated"; strings.Contains(log.String(), "read again, it is another") != wantLog {
				t.Errorf("logged %s", log.String())
			}
			if strings.Contains(log.String(), canary) || strings.Contains(log.String(), old) {
				t.Errorf("a password is in %s", log.String())
			}
		})
	}
}

func TestALoginThatCannotBeReadAnewIsRefused(t *testing.T) {
	c, o := secureCluster(t)
	answerLogin(c)
	var reads atomic.Int32
	o.Password = secret.Renewable("wrong-"+canary, secret.Origin{Read: func(context.Context) (string, error) {
		reads.Add(1)
		return "", errors.New("the vault is sealed")
	}})
	var log logBuffer
	_, err := Connect(t.Context(), o, log.logger())
	if p := problem.Of(err); len(p) != 1 || p[0].Code != problem.BrokerLogin {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(log.String(), "the vault is sealed") || reads.Load() != 1 {
		t.Errorf("%d readings, logged %s", reads.Load(), log.String())
	}
}

// TestALoginThatIsRotatedWhileAQueryRunsNeedsNoRestart lets a fetch meet a closed connection and a broker that knows only the new login.
func TestALoginThatIsRotatedWhileAQueryRunsNeedsNoRestart(t *testing.T) {
	const oldSecret = "old-secret"
	ca, cert := testCertificates(t)
	c := newCluster(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}), kfake.EnableSASL(),
		kfake.Superuser(plainSASL, "old-key", oldSecret), kfake.Superuser(plainSASL, "key", canary))
	o := testOptions(c.ListenAddrs(), clicks)
	o.TLS, o.Mechanism, o.RootCAs = true, plainSASL, x509.NewCertPool()
	o.RootCAs.AppendCertsFromPEM(ca)
	o.Username, o.Password = rotated("old-key", "key"), rotated(oldSecret, canary)
	var log logBuffer
	s := openSource(t, o, SourceConfig{}, log.logger())
	producer, err := kgo.NewClient(append(s.c.ClientOptions(), kgo.DefaultProduceTopic(clicks), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	if err := producer.ProduceSync(t.Context(), &kgo.Record{Value: []byte("a")}, &kgo.Record{Value: []byte("b")}).FirstErr(); err != nil {
		t.Fatal(err)
	}

	answer := func(key kmsg.Key, f func(r kmsg.Request) (kmsg.Response, error, bool)) {
		c.ControlKey(int16(key), func(r kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			return f(r)
		})
	}
	var cut, refused atomic.Int32
	answer(kmsg.SASLAuthenticate, func(r kmsg.Request) (kmsg.Response, error, bool) {
		if !bytes.HasSuffix(r.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes, []byte(oldSecret)) {
			return nil, nil, false
		}
		refused.Add(1)
		resp := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return resp, nil, true
	})
	answer(kmsg.Fetch, func(kmsg.Request) (kmsg.Response, error, bool) {
		return nil, errors.New("cut"), cut.Add(1) == 1
	})
	records, gaps := sourcetest.Fetch(t, s, []stream.Range{{TopicPartition: stream.TopicPartition{Topic: clicks}, End: 2}})
	if len(gaps) > 0 || len(records[stream.TopicPartition{Topic: clicks}]) != 2 || refused.Load() == 0 {
		t.Errorf("%d records, gaps %v, %d logins refused\n%s", len(records), gaps, refused.Load(), log.String())
	}
	if !strings.Contains(log.String(), "read again, it is another") {
		t.Errorf("logged %s", log.String())
	}
}
