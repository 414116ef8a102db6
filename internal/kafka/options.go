package kafka

import (
	"crypto/x509"
	"fmt"
	"math"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
	"github.com/siltlake/silt/internal/stream"
)

// Defaults of the options.
const (
	defaultFetchMaxBytes     = 8 << 20
	defaultPartitionMaxBytes = 1 << 20
	// defaultGroupPrefix is Spark's: rights that an administrator gave to a Spark query's groups fit silt's too.
	defaultGroupPrefix = "spark-kafka-source"
	// maxTrustStore is the largest PEM file that is read.
	maxTrustStore = 1 << 20
)

// Options are those of a Kafka source: Spark's, and Kafka's own with the prefix kafka. (Spark's structured-streaming-kafka-integration
// guide). ParseOptions makes them.
type Options struct {
	Brokers []string // host:port each
	TLS     bool     // SASL_SSL, else PLAINTEXT

	Mechanism          string         // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; "" without a login
	Username, Password secret.Secret  // of SASL; only with TLS
	RootCAs            *x509.CertPool // nil: the system's
	AnyHost            bool           // do not compare the certificate's host name

	ClientID string
	Rack     string // client.rack: fetch from a replica in the same rack if the broker says so
	// GroupID names the consumer group that Publish tells; if it is empty the group is GroupIDPrefix, a dash and the query's name.
	// silt never joins a group.
	GroupID, GroupIDPrefix string

	Topics               []string // in the order given, each once
	Starting             stream.Starting
	FailOnDataLoss       bool
	MaxOffsetsPerTrigger int64 // 0: no limit
	ReadCommitted        bool

	FetchMaxBytes, PartitionMaxBytes int32
}

// ParseOptions reads the section source.kafka. It reads the trust store's file, so that all faults of a pipeline file are found at once.
func ParseOptions(vs option.Values, allowInsecure bool) (Options, []*problem.Problem) {
	p := option.NewParser(vs)
	o := Options{
		ClientID:             p.String("kafka.client.id", "silt"),
		Rack:                 p.String("kafka.client.rack", ""),
		GroupID:              p.String("kafka.group.id", ""),
		GroupIDPrefix:        p.String("groupIdPrefix", defaultGroupPrefix),
		FailOnDataLoss:       p.Bool("failOnDataLoss", true),
		MaxOffsetsPerTrigger: p.Int("maxOffsetsPerTrigger", 0, 1, math.MaxInt64),
		FetchMaxBytes:        int32(p.Int("kafka.fetch.max.bytes", defaultFetchMaxBytes, 1, math.MaxInt32)),
		PartitionMaxBytes:    int32(p.Int("kafka.max.partition.fetch.bytes", defaultPartitionMaxBytes, 1, math.MaxInt32)),
	}
	o.ReadCommitted = p.Enum("kafka.isolation.level", readCommitted, readCommitted, "read_uncommitted") == readCommitted
	o.Brokers = parseBrokers(p)
	parseSecurity(p, &o, allowInsecure)
	o.Topics = parseTopics(p)
	o.Starting = parseStarting(p, o.Topics)
	refuseOthers(p)
	return o, p.Finish()
}

const readCommitted = "read_committed"

// schemeRE matches what Kafka's own clients ignore before an address; Confluent Cloud shows SASL_SSL://host:port.
var schemeRE = regexp.MustCompile(`^[A-Za-z_]+://`)

func parseBrokers(p *option.Parser) []string {
	const key = "kafka.bootstrap.servers"
	items, ok := p.List(key)
	if !ok {
		p.Missing(key, "name one broker or more: host:9092, host2:9092")
		return nil
	}
	var brokers []string
	empty := true
	for _, item := range items {
		for s := range strings.SplitSeq(item.Reveal(), ",") {
			s = schemeRE.ReplaceAllString(strings.TrimSpace(s), "")
			if s == "" {
				continue
			}
			empty = false
			host, port, err := net.SplitHostPort(s)
			n, perr := strconv.Atoi(port)
			if err != nil || host == "" || perr != nil || n < 1 || n > 65535 {
				shown := s
				if item.IsSecret {
					shown = secret.Redacted
				}
				p.Report(item, problem.InvalidValue, "%s holds %q; want host:port", key, shown)
				continue
			}
			brokers = append(brokers, s)
		}
	}
	if empty {
		p.Missing(key, "name one broker or more: host:9092, host2:9092")
	}
	return brokers
}

// topicRE is Kafka's rule of topic names (Topic.LEGAL_CHARS).
var topicRE = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func parseTopics(p *option.Parser) []string {
	items, ok := p.List("subscribe")
	if !ok {
		if !p.Has("assign") && !p.Has("subscribePattern") { // those are reported themselves
			p.Missing("subscribe", "name the topic: subscribe: clickstreams", "assign", "subscribePattern")
		}
		return nil
	}
	var topics []string
	for _, item := range items {
		for s := range strings.SplitSeq(item.Reveal(), ",") {
			s = strings.TrimSpace(s)
			switch {
			case s == "" || slices.Contains(topics, s):
			case !topicRE.MatchString(s) || s == "." || s == "..":
				shown := s
				if item.IsSecret {
					shown = secret.Redacted
				}
				p.Report(item, problem.InvalidValue, "subscribe holds %q; a topic's name has 1 to 249 of the characters a-z A-Z 0-9 . _ -", shown)
			default:
				topics = append(topics, s)
			}
		}
		if len(topics) == 0 && strings.Trim(item.Reveal(), ", ") == "" {
			p.Report(item, problem.InvalidValue, "subscribe is empty").Fix("name the topic: subscribe: clickstreams")
		}
	}
	return topics
}

// parseStarting reads startingOffsets; that every partition is named can be known only when the topic is.
func parseStarting(p *option.Parser, topics []string) stream.Starting {
	const key = "startingOffsets"
	s := stream.Starting{All: stream.Latest}
	v, ok := p.Value(key)
	if !ok {
		return s
	}
	if v.IsList {
		p.Report(v, problem.InvalidValue, "%s is a list; want earliest, latest or JSON", key)
		return s
	}
	text := strings.TrimSpace(v.Reveal())
	switch strings.ToLower(text) {
	case "earliest":
		s.All = stream.Earliest
		return s
	case "latest":
		return s
	}
	const example = `startingOffsets: '{"clickstreams":{"0":23,"1":-1,"2":-2}}' (-1 latest, -2 earliest; every partition)`
	if !strings.HasPrefix(text, "{") {
		p.Report(v, problem.InvalidValue, "%s is %q; want earliest, latest or JSON", key, v.Shown()).Fix("%s", example)
		return s
	}
	each, err := stream.ParseOffsets([]byte(text))
	if err != nil {
		pr := p.Report(v, problem.InvalidValue, "%s is not offsets as JSON", key).Fix("%s", example)
		if !v.IsSecret {
			pr.Because(err)
		}
		return s
	}
	for t := range each {
		if !slices.Contains(topics, t) {
			pr := p.Report(v, problem.InvalidValue, "%s names topic %q, which subscribe does not", key, t)
			if n := problem.Nearest(t, topics); n != "" {
				pr.Message += fmt.Sprintf("; did you mean %q?", n)
			}
		}
	}
	for _, t := range topics {
		if len(each[t]) == 0 {
			p.Report(v, problem.InvalidValue, "%s does not name topic %q; as JSON it must name every partition of every topic", key, t).
				Fix("%s", example)
		}
	}
	s.Each = each
	return s
}

// parseSecurity reads the options of TLS and of the login. Where the protocol is wrong it asks for nothing else.
func parseSecurity(p *option.Parser, o *Options, allowInsecure bool) {
	const key = "kafka.security.protocol"
	v, ok := p.Value(key)
	switch text := strings.ToUpper(strings.TrimSpace(v.Reveal())); {
	case !ok || text == "PLAINTEXT":
		parseLogin(p, o)
		o.RootCAs = parseTrustStore(p, false)
	case text == "SASL_SSL":
		o.TLS = true
		parseLogin(p, o)
		o.RootCAs = parseTrustStore(p, true)
	case text == "SSL" || text == "SASL_PLAINTEXT":
		p.Report(v, problem.Unsupported, "%s %s is not supported yet", key, text).Fix("use SASL_SSL, or PLAINTEXT")
		skip(p, loginKeys[:]...)
		skip(p, trustKeys[:]...)
	default:
		p.Report(v, problem.InvalidValue, "%s is %q; want PLAINTEXT or SASL_SSL", key, v.Shown())
		skip(p, loginKeys[:]...)
		skip(p, trustKeys[:]...)
	}

	const host = "kafka.ssl.endpoint.identification.algorithm"
	switch v, ok := p.Value(host); {
	case !ok || strings.EqualFold(strings.TrimSpace(v.Reveal()), "https"):
	case strings.TrimSpace(v.Reveal()) != "" || v.IsList:
		p.Report(v, problem.InvalidValue, "%s is %q; want https", host, v.Shown())
	case !allowInsecure:
		p.Report(v, problem.Insecure, "%s is empty: any host with a certificate of the same authority could pose as the broker", host).
			Fix("leave the option out; or, if you must, set allowInsecure: true at the top level of the file")
	default:
		o.AnyHost = true
	}
}

// SASL mechanisms.
const (
	plainSASL = "PLAIN"
	scram256  = "SCRAM-SHA-256"
	scram512  = "SCRAM-SHA-512"
)

var (
	loginKeys = [...]string{"kafka.sasl.mechanism", "kafka.sasl.jaas.config", "kafka.sasl.username", "kafka.sasl.password"}
	trustKeys = [...]string{"kafka.ssl.truststore.type", "kafka.ssl.truststore.location", "kafka.ssl.truststore.certificates",
		"kafka.ssl.truststore.password"}
)

// skip makes the keys known without a look at their values.
func skip(p *option.Parser, keys ...string) {
	for _, k := range keys {
		p.Value(k)
	}
}

func parseLogin(p *option.Parser, o *Options) {
	mechanism, jaas, user, password := loginKeys[0], loginKeys[1], loginKeys[2], loginKeys[3]
	m, hasMechanism := p.Value(mechanism)
	j, hasJaas := p.Value(jaas)
	u, hasUser := p.Value(user)
	_, hasPassword := p.Value(password)
	if !o.TLS {
		for _, key := range loginKeys {
			if v, ok := p.Lookup(key); ok {
				p.Report(v, problem.Conflict, "%s is given, but kafka.security.protocol is PLAINTEXT, which has no login", v.Key).
					Fix("set kafka.security.protocol: SASL_SSL, or leave %s out", v.Key)
			}
		}
		return
	}
	module := plainModule
	switch text := strings.ToUpper(strings.TrimSpace(m.Reveal())); {
	case !hasMechanism:
		p.Missing(mechanism, "set kafka.sasl.mechanism: PLAIN (Kafka's default is GSSAPI, which is not supported)")
	case text == plainSASL:
		o.Mechanism = text
	case text == scram256 || text == scram512:
		o.Mechanism, module = text, scramModule
	case text == "OAUTHBEARER" || text == "GSSAPI":
		p.Report(m, problem.Unsupported, "%s %s is not supported yet", mechanism, text).Fix("use PLAIN or SCRAM, over SASL_SSL")
		return
	default:
		p.Report(m, problem.InvalidValue, "%s is %q; want %s, %s or %s", mechanism, m.Shown(), plainSASL, scram256, scram512)
		return
	}
	switch {
	case hasJaas && (hasUser || hasPassword):
		if !hasUser {
			u, _ = p.Lookup(password)
		}
		p.Report(u, problem.Conflict, "%s and %s are both given", jaas, u.Key).Fix("keep one of the two ways to give the login")
	case hasJaas:
		if _, err := parseLoginJaas(j.Reveal(), module); err != nil {
			p.Report(j, problem.InvalidValue, "%s: %w", jaas, err).
				Fix(`write it as %s required username="${env:KEY}" password="${env:SECRET}"; or use %s and %s`, module, user, password)
			return
		}
		o.Username = j.AsSecret().Map(func(text string) string { l, _ := parseLoginJaas(text, module); return l.username })
		o.Password = j.AsSecret().Map(func(text string) string { l, _ := parseLoginJaas(text, module); return l.password })
	case hasUser && hasPassword:
		o.Username, o.Password = p.Secret(user), p.Secret(password)
		for _, s := range []struct {
			key   string
			value secret.Secret
		}{{user, o.Username}, {password, o.Password}} {
			if v, _ := p.Lookup(s.key); s.value.IsZero() && !v.IsList {
				p.Report(v, problem.InvalidValue, "%s is empty", s.key)
			}
		}
	case hasUser:
		p.Missing(password, "give the API secret, as ${env:...} or ${file:...}")
	case hasPassword:
		p.Missing(user, "give the API key, as ${env:...} or ${file:...}")
	default:
		p.Missing(user, "give kafka.sasl.username and kafka.sasl.password (API key and secret), or kafka.sasl.jaas.config", jaas, password)
	}
}

// parseTrustStore returns the authorities that the broker's certificate may come from, nil for the system's. As in Kafka, a trust store
// takes the place of the system's authorities.
func parseTrustStore(p *option.Parser, tls bool) *x509.CertPool {
	kind, location, certificates, password := trustKeys[0], trustKeys[1], trustKeys[2], trustKeys[3]
	const convert = "convert it: keytool -importkeystore -srckeystore FILE -destkeystore t.p12 -deststoretype PKCS12, then " +
		"openssl pkcs12 -in t.p12 -nokeys -out ca.pem; set kafka.ssl.truststore.type: PEM and kafka.ssl.truststore.location: ca.pem"
	t, hasType := p.Value(kind)
	file, hasFile := p.Value(location)
	inline, hasInline := p.Value(certificates)
	pass, hasPass := p.Value(password)
	for _, key := range []string{location, certificates} {
		if v, ok := p.Lookup(key); ok && !tls {
			p.Report(v, problem.Conflict, "%s is given, but kafka.security.protocol is PLAINTEXT, which has no TLS", v.Key).
				Fix("set kafka.security.protocol: SASL_SSL, or leave %s out", v.Key)
			return nil
		}
	}
	switch text := strings.ToUpper(strings.TrimSpace(t.Reveal())); {
	case !hasType && !hasFile && !hasInline && !hasPass:
		return nil
	case !hasType && !hasFile && !hasInline:
		p.Report(pass, problem.Conflict, "%s is given without a trust store", password).Fix("leave it out: a PEM trust store has no password")
		return nil
	case !hasType:
		p.Missing(kind, "set "+kind+": PEM (Kafka's default is JKS). If the file is JKS or PKCS12, "+convert)
		return nil
	case text == "JKS" || text == "PKCS12":
		p.Report(t, problem.Unsupported, "%s %s is not supported", kind, text).Fix("%s", convert)
		return nil
	case text != "PEM":
		p.Report(t, problem.InvalidValue, "%s is %q; want PEM", kind, t.Shown())
		return nil
	case hasPass:
		p.Report(pass, problem.Conflict, "%s is given, but a PEM trust store has no password", password).Fix("leave it out")
		return nil
	case hasFile == hasInline:
		p.Report(t, problem.Conflict, "%s PEM wants one of %s and %s", kind, location, certificates)
		return nil
	case hasInline:
		return parsePEM(p, inline, []byte(inline.Reveal()))
	}
	text, err := option.ReadFile(file.Reveal(), maxTrustStore)
	if err != nil {
		p.Report(file, problem.FileUnreadable, "%s %s cannot be read", location, file.Shown()).Because(err)
		return nil
	}
	return parsePEM(p, file, text)
}

func parsePEM(p *option.Parser, v option.Value, text []byte) *x509.CertPool {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		p.Report(v, problem.InvalidValue, "%s holds no certificate in PEM form", v.Key).Fix("want -----BEGIN CERTIFICATE----- and so on")
		return nil
	}
	return pool
}
