package parts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// Client returns a client of the broker's listener without login.
func (k *Kafka) Client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(k.Plain)}, opts...)...)
}

// SecureOpts are the options of a client that logs in over SASL_SSL.
func (k *Kafka) SecureOpts() ([]kgo.Opt, error) {
	pem, err := os.ReadFile(k.CA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", k.CA)
	}
	return []kgo.Opt{
		kgo.SeedBrokers(k.TLS), kgo.DialTLSConfig(&tls.Config{RootCAs: pool}),
		kgo.SASL(plain.Auth{User: k.User, Pass: k.Password}.AsMechanism()),
	}, nil
}

// CreateTopic creates a topic of one replica; configs are topic configurations such as cleanup.policy.
func (k *Kafka) CreateTopic(ctx context.Context, topic string, partitions int32, configs map[string]string) error {
	return k.admin(func(adm *kadm.Client) error {
		values := map[string]*string{}
		for key, value := range configs {
			values[key] = &value
		}
		answer, err := adm.CreateTopic(ctx, partitions, 1, values, topic)
		if err == nil {
			err = answer.Err
		}
		if err != nil {
			return fmt.Errorf("create topic %s: %w", topic, err)
		}
		return nil
	})
}

// AddPartitions lets a topic grow by n partitions.
func (k *Kafka) AddPartitions(ctx context.Context, topic string, n int) error {
	return k.admin(func(adm *kadm.Client) error {
		answers, err := adm.CreatePartitions(ctx, n, topic)
		if err == nil {
			err = answers.Error()
		}
		if err != nil {
			return fmt.Errorf("add partitions to %s: %w", topic, err)
		}
		return nil
	})
}

// DeleteTopic deletes a topic.
func (k *Kafka) DeleteTopic(ctx context.Context, topic string) error {
	return k.admin(func(adm *kadm.Client) error {
		answer, err := adm.DeleteTopic(ctx, topic)
		if err == nil {
			err = answer.Err
		}
		if err != nil {
			return fmt.Errorf("delete topic %s: %w", topic, err)
		}
		return nil
	})
}

// Offsets returns one past the newest offset of every partition of a topic, by partition.
func (k *Kafka) Offsets(ctx context.Context, topic string) (map[int32]int64, error) {
	ends := map[int32]int64{}
	err := k.admin(func(adm *kadm.Client) error {
		list, err := adm.ListEndOffsets(ctx, topic)
		if err == nil {
			err = list.Error()
		}
		if err != nil {
			return fmt.Errorf("end offsets of %s: %w", topic, err)
		}
		list.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
		return nil
	})
	return ends, err
}

func (k *Kafka) admin(do func(*kadm.Client) error) error {
	cl, err := k.Client()
	if err != nil {
		return err
	}
	defer cl.Close()
	return do(kadm.NewClient(cl))
}
