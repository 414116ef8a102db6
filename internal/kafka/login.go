package kafka

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/siltlake/silt/internal/secret"
)

// renewTimeout bounds the reading of a login anew.
const renewTimeout = 15 * time.Second

// A login logs in to brokers with what its secrets are at that moment. When a broker refuses it, they are read anew from where they came,
// before the request that wanted the connection fails: whoever repeats it, and a query's loops always do, logs in with a password that was
// rotated.
type login struct {
	o    Options
	log  *slog.Logger
	ctx  context.Context // ends with the client
	stop context.CancelFunc
}

func newLogin(o Options, log *slog.Logger) *login {
	l := &login{o: o, log: log}
	l.ctx, l.stop = context.WithCancel(context.Background())
	return l
}

func (l *login) options() []kgo.Opt { return []kgo.Opt{kgo.SASL(l.mechanism()), kgo.WithHooks(l)} }

func (l *login) mechanism() sasl.Mechanism {
	switch l.o.Mechanism {
	case scram256:
		return scram.Sha256(l.scram)
	case scram512:
		return scram.Sha512(l.scram)
	}
	return plain.Plain(func(context.Context) (plain.Auth, error) {
		return plain.Auth{User: l.o.Username.Reveal(), Pass: l.o.Password.Reveal()}, nil
	})
}

func (l *login) scram(context.Context) (scram.Auth, error) {
	return scram.Auth{User: l.o.Username.Reveal(), Pass: l.o.Password.Reveal()}, nil
}

var _ kgo.HookBrokerConnect = (*login)(nil)

// OnBrokerConnect is called when a connection is ready, or when it could not be made so; the login is part of that.
func (l *login) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if loginRefused(err) {
		l.renewed(l.ctx)
	}
}

// loginRefused says whether an error of a connection with TLS means that the login was wrong. Some brokers close the connection instead of
// saying so.
func loginRefused(err error) bool {
	var d *dialError
	return errors.Is(err, kerr.SaslAuthenticationFailed) ||
		!errors.As(err, &d) && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET))
}

// renewed reads the login anew and says whether it has changed; see secret.Renew for how often.
func (l *login) renewed(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	changed, err := secret.Renew(ctx, l.o.Username, l.o.Password)
	switch {
	case err != nil:
		l.log.Warn("the login of the brokers was refused, and cannot be read again", "error", err)
	case changed:
		l.log.Info("the login of the brokers was refused; read again, it is another")
	}
	return changed
}
