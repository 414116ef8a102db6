package main

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"syscall"

	"github.com/siltlake/silt"
	"github.com/siltlake/silt/internal/httpd"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

type registryServeCmd struct {
	clusterFlags
	Brokers       []string `name:"bootstrap-servers" placeholder:"HOST:PORT" help:"Brokers without a login, in place of those of a pipeline file."`
	Listen        string   `placeholder:"HOST:PORT" help:"Where to listen; by default 127.0.0.1:8081, or a free port if that one is taken."`
	Topic         string   `default:"_schemas" placeholder:"TOPIC" help:"The topic that keeps the schemas (${default}); it is made if it is not there."`
	Replication   int16    `name:"replication-factor" placeholder:"N" help:"Replicas of the topic if it is made; by default as the brokers have it."`
	Logins        string   `placeholder:"FILE" help:"Who may call: a KEY:SECRET a line. SILT_REGISTRY_LOGIN has one more. Without any everyone on this machine may."`
	Certificate   string   `name:"tls-certificate" placeholder:"FILE" help:"Serve https with this certificate and its chain (PEM)."`
	Key           string   `name:"tls-key" placeholder:"FILE" help:"The certificate's private key (PEM)."`
	AllowInsecure bool     `help:"Listen beyond this machine without logins or without TLS."`
}

const (
	defaultRegistryAddress = "127.0.0.1:8081"
	registryLoginVariable  = "SILT_REGISTRY_LOGIN"
)

// Validate is called by kong after the flags were read.
func (c *registryServeCmd) Validate() error {
	switch {
	case len(c.Brokers) > 0 && c.Config != "":
		return problem.New(problem.Usage, "--bootstrap-servers and -c exclude each other").Fix("leave one of them out")
	case (c.Certificate == "") != (c.Key == ""):
		return problem.New(problem.Usage, "want both of --tls-certificate and --tls-key, or neither")
	case c.Replication < 0:
		return problem.New(problem.Usage, "--replication-factor is %d; want a number from 1", c.Replication)
	}
	return nil
}

// Run serves until it is interrupted.
func (c *registryServeCmd) Run(a *app) error {
	o := silt.ServeRegistryOptions{Brokers: c.Brokers, Topic: c.Topic, ReplicationFactor: c.Replication, Insecure: c.AllowInsecure, Log: a.log}
	var err error
	if o.Logins, err = c.logins(a); err != nil {
		return err
	}
	scheme := "http"
	if c.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
		if err != nil {
			return problem.New(problem.InvalidValue, "the certificate and its key cannot be used: %w", err).At(problem.File(c.Certificate))
		}
		o.Certificate, scheme = &pair, "https"
	}
	if len(c.Brokers) == 0 {
		if o.Pipeline, err = c.pipeline(a); err != nil {
			return err
		}
	}
	l, err := c.listen()
	if err != nil {
		return err
	}
	o.OnStart = func() {
		a.say("schema registry %s://%s · topic %s · %s", scheme, l.Addr(), c.Topic, loginsText(len(o.Logins)))
	}
	ctx, stop := a.interruptible("stopping")
	defer stop()
	return silt.ServeRegistry(ctx, l, o)
}

func loginsText(n int) string {
	if n == 0 {
		return "no login needed"
	}
	return "basic auth"
}

func (c *registryServeCmd) listen() (net.Listener, error) {
	address := c.Listen
	if address == "" {
		address = defaultRegistryAddress
	}
	l, err := net.Listen("tcp", address)
	if c.Listen == "" && errors.Is(err, syscall.EADDRINUSE) {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, problem.New(problem.InvalidValue, "the registry cannot listen on %s: %w", address, err).Fix("name another address: --listen 127.0.0.1:0")
	}
	return l, nil
}

// logins reads who may call. A secret is never a flag: other users of the machine see those.
func (c *registryServeCmd) logins(a *app) ([]httpd.Login, error) {
	var out []httpd.Login
	add := func(line string) *problem.Problem {
		key, password, ok := strings.Cut(line, ":")
		if !ok || key == "" || password == "" {
			return problem.New(problem.InvalidValue, "a login is no KEY:SECRET")
		}
		l := httpd.Login{Key: secret.New(key), Secret: secret.New(password)}
		a.secrets.Add(l.Secret)
		out = append(out, l)
		return nil
	}
	if text, ok := a.env(registryLoginVariable); ok && text != "" {
		if p := add(text); p != nil {
			return nil, p.At(problem.File(registryLoginVariable))
		}
	}
	if c.Logins == "" {
		return out, nil
	}
	text, err := a.readInput(c.Logins)
	if err != nil {
		return nil, err
	}
	n := 0
	for line := range strings.Lines(text) {
		n++
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if p := add(line); p != nil {
			p.Where.File, p.Where.Line = c.Logins, n
			return nil, p
		}
	}
	return out, nil
}
