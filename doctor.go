package silt

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/siltlake/silt/internal/checkpoint"
	"github.com/siltlake/silt/internal/cloud"
	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/delta"
	"github.com/siltlake/silt/internal/doctor"
	"github.com/siltlake/silt/internal/kafka"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/registry"
	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/term"
)

// DoctorOptions are what Doctor needs beside the pipeline file.
type DoctorOptions struct {
	Log   *slog.Logger         // may be nil
	Found func(doctor.Finding) // is told each finding at once; may be nil
}

// Doctor looks at everything that a pipeline needs, one thing after the other, and says what is wrong and what to do: names, connections and
// certificates of broker, registry and stores, the clock, logins, topics and rights, a schema, and the places of table and checkpoint. It
// goes on after a failure with what does not depend on it, and changes nothing but a probe object that it removes.
//
// The error is that ctx ended.
func Doctor(ctx context.Context, p *config.Pipeline, o DoctorOptions) ([]doctor.Finding, error) {
	d := &examination{p: p, o: o, services: map[string]bool{}}
	s, err := parse(p)
	if err != nil {
		for _, q := range problem.Of(err) {
			check := "options"
			if q.Code == problem.SecretUnresolved {
				check = "secrets"
			}
			d.found(doctor.Wrong(check, q.Where.String(), q))
		}
		return d.findings, ctx.Err()
	}
	d.found(doctor.Finding{Check: "options", Subject: p.File, Detail: "every option is known and its value is right"})
	if n := len(p.References); n > 0 {
		d.found(doctor.Finding{Check: "secrets", Subject: p.File, Detail: term.Plural(int64(n), "reference") + ": each gives a value"})
	}
	for _, examine := range []func(context.Context, sections){d.kafka, d.registry, d.places} {
		if examine(ctx, s); ctx.Err() != nil {
			return d.findings, ctx.Err()
		}
	}
	return d.findings, nil
}

// An examination is one run of Doctor.
type examination struct {
	p        *config.Pipeline
	o        DoctorOptions
	findings []doctor.Finding
	services map[string]bool // the stores' services that were looked at, and whether they can be reached
}

func (d *examination) found(f doctor.Finding) {
	d.findings = append(d.findings, f)
	if d.o.Found != nil {
		d.o.Found(f)
	}
}

func (d *examination) skip(why string, check, subject string) {
	d.found(doctor.Finding{Check: check, Status: doctor.Skipped, Subject: subject, Detail: why})
}

// reach looks at a connection and says whether it stands.
func (d *examination) reach(ctx context.Context, e doctor.Endpoint) bool {
	findings := doctor.Reach(ctx, e, doctor.World{})
	for _, f := range findings {
		d.found(f)
	}
	return doctor.Healthy(findings)
}

// kafka looks at the brokers, the login, the topics and what the user may do. One broker that can be reached is enough.
func (d *examination) kafka(ctx context.Context, s sections) {
	reached := false
	for _, addr := range s.kafka.Brokers {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			host, port = addr, ""
		}
		e := doctor.Endpoint{Host: host, Port: port, TLS: s.kafka.TLS, Roots: s.kafka.RootCAs, AnyHost: s.kafka.AnyHost,
			Code: problem.BrokerUnreachable, TLSCode: problem.BrokerTLS, Option: "kafka.bootstrap.servers", Trust: "kafka.ssl.truststore.location"}
		reached = d.reach(ctx, e) || reached
	}
	brokers := strings.Join(s.kafka.Brokers, ", ")
	if !reached {
		const why = "no broker can be reached"
		d.skip(why, "login", brokers)
		d.skipTopics(s, why)
		return
	}
	any, err := kafka.ConnectAny(ctx, s.kafka, d.o.Log)
	if err != nil {
		d.found(doctor.Wrong("login", brokers, err))
		d.skipTopics(s, "the login failed")
		return
	}
	any.Close()
	how := "the broker asks for no login"
	if s.kafka.TLS {
		how = "the broker accepts the login"
	}
	d.found(doctor.Finding{Check: "login", Subject: brokers, Detail: how})
	for _, topic := range s.kafka.Topics {
		d.topic(ctx, s, topic)
	}
	d.group(ctx, s)
}

// skipTopics skips the topics and the consumer group, which take a login.
func (d *examination) skipTopics(s sections, why string) {
	for _, topic := range s.kafka.Topics {
		d.skip(why, "topic", topic)
	}
	if group := s.kafka.Group(d.p.Name); group != "" {
		d.skip(why, "group", group)
	}
}

// topic looks whether the topic is there and may be read, and what is in it.
func (d *examination) topic(ctx context.Context, s sections, topic string) {
	one := s.kafka
	one.Topics = []string{topic}
	client, err := kafka.Connect(ctx, one, d.o.Log)
	if err != nil {
		d.found(doctor.Wrong("topic", topic, err))
		return
	}
	defer client.Close()
	t, err := client.Topic(ctx, topic)
	if err != nil {
		d.found(doctor.Wrong("topic", topic, err))
		return
	}
	detail := term.Plural(int64(len(t.Partitions)), "partition")
	if n, ok := t.Records(); ok {
		detail += ", " + term.Plural(n, "offset")
	}
	d.found(doctor.Finding{Check: "topic", Subject: topic, Detail: detail + "; it may be read"})
}

// group looks whether offsets may be published. That they may not is no failure: the query never needs them.
func (d *examination) group(ctx context.Context, s sections) {
	group := s.kafka.Group(d.p.Name)
	if group == "" {
		return
	}
	client, err := kafka.ConnectAny(ctx, s.kafka, d.o.Log)
	if err != nil {
		d.skip("no broker can be asked any more", "group", group) // the topics' findings tell what is wrong
		return
	}
	defer client.Close()
	may, known, err := client.MayPublish(ctx, group)
	f := doctor.Finding{Check: "group", Subject: group, Detail: "offsets may be published to the consumer group"}
	switch {
	case err != nil:
		f = doctor.Wrong("group", group, err)
		f.Status = doctor.Warning
	case !known:
		f.Detail = "the broker does not say whether offsets may be published to the consumer group"
	case !may:
		f.Status, f.Detail = doctor.Warning, "the user may not publish offsets to the consumer group: lag tools will not see the query"
		f.Fix = "grant the user READ on the group " + group + ", or leave it: the query does not need it"
	}
	d.found(f)
}

// registry looks at the registry, and reads the schema of the newest record.
func (d *examination) registry(ctx context.Context, s sections) {
	if !s.decode.Parses() {
		return
	}
	reached := false
	for _, e := range s.registry.Endpoints {
		at := doctor.Endpoint{Roots: s.registry.Roots, Code: problem.RegistryUnreachable, TLSCode: problem.RegistryUnreachable,
			Option: "schema.registry.url", Trust: "schema.registry.ssl.truststore.location"}
		reached = d.reachURL(ctx, e.URL, e.Name, at) || reached
	}
	names := registryNames(s.registry)
	if !reached {
		d.skip("no registry can be reached", "registry", names)
		d.skip("no registry can be reached", "schema", strings.Join(s.kafka.Topics, ", "))
		return
	}
	c := registry.New(s.registry, registry.Env{Log: d.o.Log})
	defer c.Close()
	if err := c.Probe(ctx); err != nil {
		d.found(doctor.Wrong("registry", names, err))
		d.skip("the registry does not let silt in", "schema", strings.Join(s.kafka.Topics, ", "))
		return
	}
	d.found(doctor.Finding{Check: "registry", Subject: names, Detail: "it answers and accepts the login"})
	for _, topic := range s.kafka.Topics {
		d.schema(ctx, topic)
	}
}

// schema decodes the newest record of a topic, as the query would.
func (d *examination) schema(ctx context.Context, topic string) {
	for _, f := range d.findings {
		if f.Check == "topic" && f.Subject == topic && f.Status != doctor.OK {
			d.skip("the topic cannot be read", "schema", topic)
			return
		}
	}
	f := doctor.Finding{Check: "schema", Subject: topic, Detail: "no record yet: nothing to decode"}
	err := Peek(ctx, d.p, kafka.Look{Topic: topic, From: kafka.Newest, Count: 1}, false, d.o.Log, func(r Row) error {
		at := fmt.Sprintf("partition %d, offset %d", r.Partition, r.Offset)
		switch {
		case r.Fault != "":
			f.Status, f.Code = doctor.Warning, problem.BadRecord
			f.Detail = fmt.Sprintf("the newest record (%s) cannot be decoded: %s", at, r.Fault)
			f.Fix = "decode.mode says what such records do: FAILFAST stops, PERMISSIVE makes them null, DROP leaves them out"
		case r.ValueSchemaID == nil:
			f.Detail = "the newest record (" + at + ") has a null value: no schema to look at"
		default:
			f.Detail = fmt.Sprintf("schema id %d of the newest record (%s) decodes it", *r.ValueSchemaID, at)
		}
		return nil
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		f = doctor.Wrong("schema", topic, err)
	}
	d.found(f)
}

func registryNames(o registry.Options) string {
	var names []string
	for _, e := range o.Endpoints {
		names = append(names, e.Name)
	}
	return strings.Join(names, ", ")
}

// reachURL looks at the way to an HTTP service, and at its clock. e says the rest of the endpoint.
func (d *examination) reachURL(ctx context.Context, u url.URL, name string, e doctor.Endpoint) bool {
	if proxy, err := http.ProxyFromEnvironment(&http.Request{URL: &u}); err == nil && proxy != nil {
		d.found(doctor.Finding{Check: "proxy", Subject: name, Detail: "requests go by way of " + proxy.Host + " (HTTPS_PROXY, HTTP_PROXY)"})
	} else {
		e.Host, e.Port, e.TLS = u.Hostname(), u.Port(), u.Scheme == "https"
		if e.Port == "" {
			e.Port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		if !d.reach(ctx, e) {
			d.skip("it cannot be reached", "clock", name)
			return false
		}
	}
	client := dateClient(e.Roots)
	defer client.CloseIdleConnections()
	if f, ok := doctor.Clock(ctx, client, u.String(), name, time.Now); ok {
		d.found(f)
	}
	return true
}

// dateClient asks for nothing but the headers of an answer.
func dateClient(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// places looks at the stores of table and checkpoint, and at what is there.
func (d *examination) places(ctx context.Context, s sections) {
	const why = "its store cannot be used"
	if files := d.place(ctx, s.storage, s.storage.table, "_delta_log/", "sink.delta.path"); files != nil {
		d.found(tableFinding(ctx, d.p.Table.String(), delta.Open(files, delta.Options{Log: cmp.Or(d.o.Log, slog.New(slog.DiscardHandler))})))
	} else {
		d.skip(why, "table", d.p.Table.String())
	}
	if ctx.Err() != nil {
		return
	}
	if logs := d.place(ctx, s.storage, s.storage.checkpoint, "", "checkpointLocation"); logs != nil {
		d.found(checkpointFinding(ctx, d.p.Checkpoint.String(), logs))
	} else {
		d.skip(why, "checkpoint", d.p.Checkpoint.String())
	}
}

// place probes the store of a folder and returns it, or nil if that failed: what is in it cannot be told then.
func (d *examination) place(ctx context.Context, s storage, f folder, below, option string) store.Store {
	subject := f.path.String()
	report := func(found doctor.Finding) {
		if mapped := f.path.Mapped(); mapped != "" {
			found.Detail = "paths puts it at " + mapped + "; " + found.Detail
		}
		d.found(found)
	}
	if !d.service(ctx, s, f) {
		report(doctor.Finding{Check: "store", Status: doctor.Skipped, Subject: subject, Detail: "its service cannot be reached"})
		return nil
	}
	opened, err := s.open(ctx, f, d.o.Log)
	if err != nil {
		report(doctor.Wrong("store", subject, err))
		return nil
	}
	finding := doctor.Finding{Check: "store", Subject: subject, Detail: "it can be listed, read and written, a second put of one object is refused, and the probe was removed"}
	if f.place.Cloud == 0 {
		finding.Detail = "it can be written"
		_, err = openLocal(f.path, option)
	} else {
		var kept bool
		if kept, err = probe(ctx, opened, below); kept {
			finding.Status, finding.Detail = doctor.Warning, "it can be listed, read and written; the right to delete is missing, and a hidden probe object stays"
			finding.Fix = "grant the right to delete below it, or remove .silt-probe-* from time to time"
		}
	}
	if err != nil {
		report(doctor.Wrong("store", subject, err))
		return nil
	}
	report(finding)
	return opened
}

// service looks at the way to the service that has a folder, once for each, and says whether it stands.
func (d *examination) service(ctx context.Context, s storage, f folder) bool {
	if f.place.Cloud == 0 {
		return true
	}
	text, roots := cloud.Service(f.place, s.options, s.env)
	if stands, known := d.services[text]; known || text == "" {
		return stands || text == ""
	}
	u, err := url.Parse(text)
	if err != nil {
		return true // the store itself will say
	}
	trust := "SSL_CERT_FILE"
	if f.place.Cloud == cloud.S3 {
		trust = "AWS_CA_BUNDLE"
	}
	stands := d.reachURL(ctx, *u, u.Scheme+"://"+u.Host, doctor.Endpoint{Roots: roots, Code: problem.StoreFailed, TLSCode: problem.StoreTLS,
		Option: "the path or the endpoint of sink.storageOptions", Trust: trust})
	d.services[text] = stands
	return stands
}

// tableFinding says what the table's log says of it.
func tableFinding(ctx context.Context, path string, log *delta.Log) doctor.Finding {
	f := doctor.Finding{Check: "table", Subject: path, Detail: "no table yet: the first batch makes it"}
	snapshot, err := log.Snapshot(ctx)
	if err == nil && snapshot.Exists() {
		f.Detail = fmt.Sprintf("a Delta table at version %d, to which silt may append", snapshot.Version())
		err = snapshot.CheckAppend()
	}
	if err != nil {
		return doctor.Wrong("table", path, err)
	}
	return f
}

// checkpointFinding says whether a query has a checkpoint there.
func checkpointFinding(ctx context.Context, path string, s store.Store) doctor.Finding {
	log := checkpoint.New(s, checkpoint.Options{})
	defer func() { _ = log.Close() }()
	f := doctor.Finding{Check: "checkpoint", Subject: path}
	id, err := log.QueryID(ctx)
	switch {
	case err != nil:
		return doctor.Wrong("checkpoint", path, err)
	case id == "":
		f.Detail = "no checkpoint yet: the query begins at startingOffsets"
	default:
		f.Detail = "the checkpoint of query " + id
	}
	return f
}
