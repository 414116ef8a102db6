package kafka

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
	"github.com/siltlake/silt/internal/stream"
)

// section makes the options of lines "key: value"; a value that begins with $ is a secret, and the rest of it its value.
func section(lines ...string) option.Values {
	var values []option.Value
	for i, line := range lines {
		key, text, _ := strings.Cut(line, ": ")
		v := option.Value{Key: key, Text: text, Pos: problem.Location{File: "p.yaml", Line: i + 2, Col: 5}}
		if s, ok := strings.CutPrefix(text, "$"); ok {
			v.Text, v.Secret, v.IsSecret = "", secret.New(s), true
		}
		values = append(values, v)
	}
	return option.NewValues("source.kafka", problem.Location{File: "p.yaml", Line: 1, Col: 1}, values...)
}

func problems(ps []*problem.Problem) string {
	var b strings.Builder
	for _, p := range ps {
		fmt.Fprintln(&b, p)
	}
	return b.String()
}

func TestTheTutorialsOptionsAreAccepted(t *testing.T) {
	o, ps := ParseOptions(section(
		"kafka.bootstrap.servers: $pkc-1.westeurope.azure.confluent.cloud:9092",
		"kafka.security.protocol: SASL_SSL",
		"kafka.sasl.jaas.config: $"+tutorialJaas,
		"kafka.ssl.endpoint.identification.algorithm: https",
		"kafka.sasl.mechanism: PLAIN",
		"subscribe: clickstreams",
		"startingOffsets: earliest",
		"failOnDataLoss: false"), false)
	if len(ps) > 0 {
		t.Fatal(problems(ps))
	}
	want := Options{Brokers: []string{"pkc-1.westeurope.azure.confluent.cloud:9092"}, TLS: true, Mechanism: plainSASL, Username: secret.New("K"),
		Password: secret.New("S"),
		ClientID: "silt", GroupIDPrefix: "spark-kafka-source", Topics: []string{"clickstreams"}, Starting: stream.Starting{All: stream.Earliest},
		ReadCommitted: true, FetchMaxBytes: 8 << 20, PartitionMaxBytes: 1 << 20}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("got  %+v\nwant %+v", o, want)
	}
}

func TestParseOptions(t *testing.T) {
	base := []string{"kafka.bootstrap.servers: localhost:9092", "subscribe: t"}
	tests := []struct {
		lines []string
		check func(o Options) bool
	}{
		// Spark's defaults, but for isolation.level.
		{nil, func(o Options) bool {
			return !o.TLS && o.FailOnDataLoss && o.ReadCommitted && o.Starting.All == stream.Latest && o.MaxOffsetsPerTrigger == 0 &&
				o.RootCAs == nil
		}},
		{[]string{"kafka.isolation.level: read_uncommitted"}, func(o Options) bool { return !o.ReadCommitted }},
		{[]string{"KAFKA.Isolation.Level: READ_COMMITTED"}, func(o Options) bool { return o.ReadCommitted }}, // keys and choices in any case
		{[]string{"kafka.bootstrap.servers: SASL_SSL://a:1, [::1]:2 ,,b:65535"}, func(o Options) bool {
			return slices.Equal(o.Brokers, []string{"a:1", "[::1]:2", "b:65535"})
		}},
		// as Spark: trimmed, empties dropped
		{[]string{"subscribe:  b, a,,b "}, func(o Options) bool { return slices.Equal(o.Topics, []string{"b", "a"}) }},
		{[]string{"startingOffsets: LATEST"}, func(o Options) bool { return o.Starting.All == stream.Latest }},
		{[]string{`startingOffsets: {"t":{"0":23,"1":-1,"2":-2}}`}, func(o Options) bool {
			return o.Starting.Each.Equal(stream.Offsets{"t": {0: 23, 1: stream.Latest, 2: stream.Earliest}})
		}},
		{[]string{"maxOffsetsPerTrigger: 100000"}, func(o Options) bool { return o.MaxOffsetsPerTrigger == 100000 }},
		{[]string{"kafka.fetch.max.bytes: 52428800", "kafka.max.partition.fetch.bytes: 4194304"}, func(o Options) bool {
			return o.FetchMaxBytes == 52428800 && o.PartitionMaxBytes == 4194304
		}},
		{[]string{"kafka.client.id: me", "kafka.client.rack: eu-1", "kafka.group.id: g", "groupIdPrefix: p"}, func(o Options) bool {
			return o.ClientID == "me" && o.Rack == "eu-1" && o.GroupID == "g" && o.GroupIDPrefix == "p"
		}},
		{[]string{"kafka.security.protocol: SASL_SSL", "kafka.sasl.mechanism: PLAIN", "kafka.sasl.username: $u", "kafka.sasl.password: $p"},
			func(o Options) bool {
				return o.TLS && o.Username.Reveal() == "u" && o.Password.Reveal() == "p"
			}},
		{[]string{"kafka.ssl.endpoint.identification.algorithm: "}, func(o Options) bool { return o.AnyHost }}, // allowInsecure is set
	}
	for _, tt := range tests {
		o, ps := ParseOptions(section(append(base, tt.lines...)...), true)
		if len(ps) > 0 || !tt.check(o) {
			t.Errorf("%v: got %+v %s", tt.lines, o, problems(ps))
		}
	}
}

func TestATrustStoreIsRead(t *testing.T) {
	ca, _ := testCertificates(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	login := []string{"kafka.bootstrap.servers: localhost:9092", "subscribe: t", "kafka.security.protocol: SASL_SSL",
		"kafka.sasl.mechanism: PLAIN",
		"kafka.sasl.username: u", "kafka.sasl.password: p", "kafka.ssl.truststore.type: PEM"}
	for _, line := range []string{"kafka.ssl.truststore.location: " + file, "kafka.ssl.truststore.certificates: " + string(ca)} {
		o, ps := ParseOptions(section(append(login, line)...), false)
		if len(ps) > 0 || o.RootCAs == nil {
			t.Errorf("%s: %v %s", line, o.RootCAs, problems(ps))
		}
	}
}

func TestBadOptionsAreReportedAllAtOnce(t *testing.T) {
	const ok, sub = "kafka.bootstrap.servers: a:9092", "subscribe: t"
	secure := []string{ok, sub, "kafka.security.protocol: SASL_SSL"}
	tests := []struct {
		name  string
		lines []string
		want  string // one problem a line, each a beginning
	}{
		{"nothing given", nil, "p.yaml:1:1  E1205 kafka.bootstrap.servers is missing in source.kafka\np.yaml:1:1  E1205 subscribe is missing"},
		{"empty lists", []string{"kafka.bootstrap.servers: , ", "subscribe: ,"},
			"p.yaml:1:1  E1205 kafka.bootstrap.servers is missing\np.yaml:3:5  E1204 subscribe is empty"},
		{"no port", []string{"kafka.bootstrap.servers: a", sub}, `p.yaml:2:5  E1204 kafka.bootstrap.servers holds "a"; want host:port`},
		{"a port that is none", []string{"kafka.bootstrap.servers: a:1,b:70000", sub},
			`p.yaml:2:5  E1204 kafka.bootstrap.servers holds "b:70000"`},
		{"a secret that is wrong is not told", []string{"kafka.bootstrap.servers: $canary", sub},
			`p.yaml:2:5  E1204 kafka.bootstrap.servers holds "[REDACTED]"`},
		{"a topic that Kafka refuses", []string{ok, "subscribe: a b"}, `p.yaml:3:5  E1204 subscribe holds "a b"`},
		{"an unknown option", []string{ok, sub, "failOnDataLos: false"},
			`p.yaml:4:5  E1203 unknown option "failOnDataLos" in source.kafka; did you mean "failOnDataLoss"?`},
		{"an unknown option of Kafka's", []string{ok, sub, "kafka.sasl.jaas.confg: x"},
			`p.yaml:4:5  E1203 unknown option "kafka.sasl.jaas.confg" in source.kafka; did you mean "kafka.sasl.jaas.config"?`},
		{"a misspelt name is not missing too", []string{"kafka.bootstrap.server: a:9092", "subscibe: t"},
			`p.yaml:2:5  E1203 unknown option "kafka.bootstrap.server" in source.kafka; did you mean "kafka.bootstrap.servers"?` + "\n" +
				`p.yaml:3:5  E1203 unknown option "subscibe" in source.kafka; did you mean "subscribe"?`},
		{"a misspelt option in the place of others is not missing too", append(secure, "kafka.sasl.mechanism: PLAIN", "kafka.sasl.jaas.confg: x"),
			`p.yaml:6:5  E1203 unknown option "kafka.sasl.jaas.confg" in source.kafka; did you mean "kafka.sasl.jaas.config"?`},
		{"not a number", []string{ok, sub, "maxOffsetsPerTrigger: 0"}, `p.yaml:4:5  E1204 maxOffsetsPerTrigger is "0"`},
		{"not an isolation level", []string{ok, sub, "kafka.isolation.level: read_comitted"},
			`p.yaml:4:5  E1204 kafka.isolation.level is "read_comitted"`},
		{"starting where there is no such thing", []string{ok, sub, "startingOffsets: erliest"},
			`p.yaml:4:5  E1204 startingOffsets is "erliest"; want earliest, latest or JSON`},
		{"starting offsets that are not JSON", []string{ok, sub, `startingOffsets: {"t":{"0":}}`},
			`p.yaml:4:5  E1204 startingOffsets is not offsets as JSON`},
		{"starting offsets of another topic", []string{ok, "subscribe: clicks", `startingOffsets: {"click":{"0":1}}`},
			`p.yaml:4:5  E1204 startingOffsets names topic "click", which subscribe does not; did you mean "clicks"?` + "\n" +
				`p.yaml:4:5  E1204 startingOffsets does not name topic "clicks"`},
		{"other protocols", []string{ok, sub, "kafka.security.protocol: SSL"},
			"p.yaml:4:5  E1206 kafka.security.protocol SSL is not supported yet"},
		{"a protocol that is none", []string{ok, sub, "kafka.security.protocol: TLS"},
			`p.yaml:4:5  E1204 kafka.security.protocol is "TLS"; want PLAINTEXT or SASL_SSL`},
		{"a login without TLS", []string{ok, sub, "kafka.sasl.username: u", "kafka.sasl.password: p"},
			"p.yaml:4:5  E1207 kafka.sasl.username is given, but kafka.security.protocol is PLAINTEXT\np.yaml:5:5  E1207 kafka.sasl.password is given"},
		{"a mechanism without a login", []string{ok, sub, "kafka.sasl.mechanism: PLAIN"}, "p.yaml:4:5  E1207 kafka.sasl.mechanism is given, but"},
		{"a trust store without TLS", []string{ok, sub, "kafka.ssl.truststore.location: ca.pem"},
			"p.yaml:4:5  E1207 kafka.ssl.truststore.location is given, but"},
		{"no login", append(secure, "kafka.sasl.mechanism: PLAIN"), "p.yaml:1:1  E1205 kafka.sasl.username is missing"},
		{"no mechanism", append(secure, "kafka.sasl.username: u", "kafka.sasl.password: p"), "p.yaml:1:1  E1205 kafka.sasl.mechanism is missing"},
		{"another mechanism", append(secure, "kafka.sasl.mechanism: OAUTHBEARER"),
			"p.yaml:5:5  E1206 kafka.sasl.mechanism OAUTHBEARER is not supported yet"},
		{"no mechanism that is known", append(secure, "kafka.sasl.mechanism: SCRAM"),
			`p.yaml:5:5  E1204 kafka.sasl.mechanism is "SCRAM"; want PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512`},
		{"a jaas string of another mechanism", append(secure, "kafka.sasl.mechanism: SCRAM-SHA-512", "kafka.sasl.jaas.config: "+tutorialJaas),
			"p.yaml:6:5  E1204 kafka.sasl.jaas.config: the login module org.apache.kafka.common.security.plain.PlainLoginModule is not that of"},
		{"half a login", append(secure, "kafka.sasl.mechanism: PLAIN", "kafka.sasl.password: p"),
			"p.yaml:1:1  E1205 kafka.sasl.username is missing"},
		{"an empty secret", append(secure, "kafka.sasl.mechanism: PLAIN", "kafka.sasl.username: u", "kafka.sasl.password: $"),
			"p.yaml:7:5  E1204 kafka.sasl.password is empty"},
		{"two logins", append(secure, "kafka.sasl.mechanism: PLAIN", "kafka.sasl.jaas.config: "+tutorialJaas, "kafka.sasl.username: u"),
			"p.yaml:7:5  E1207 kafka.sasl.jaas.config and kafka.sasl.username are both given"},
		{"a jaas string that is wrong", append(secure, "kafka.sasl.mechanism: PLAIN", "kafka.sasl.jaas.config: $canary"),
			"p.yaml:6:5  E1204 kafka.sasl.jaas.config: the word after"},
		{"a host name that is not compared", []string{ok, sub, "kafka.ssl.endpoint.identification.algorithm: "},
			"p.yaml:4:5  E1209 kafka.ssl.endpoint.identification.algorithm is empty"},
		{"a JKS trust store", append(secure, "kafka.sasl.mechanism: PLAIN", "kafka.sasl.username: u", "kafka.sasl.password: p",
			"kafka.ssl.truststore.type: JKS",
			"kafka.ssl.truststore.location: t.jks", "kafka.ssl.truststore.password: x"),
			"p.yaml:8:5  E1206 kafka.ssl.truststore.type JKS is not supported"},
		{"a trust store without type, which is JKS for Kafka", append(secure, "kafka.sasl.mechanism: PLAIN", "kafka.sasl.username: u",
			"kafka.sasl.password: p",
			"kafka.ssl.truststore.location: t.pem"), "p.yaml:1:1  E1205 kafka.ssl.truststore.type is missing"},
		{"a trust store that is not there", append(secure, "kafka.sasl.mechanism: PLAIN", "kafka.sasl.username: u", "kafka.sasl.password: p",
			"kafka.ssl.truststore.type: PEM", "kafka.ssl.truststore.location: no/such.pem"),
			"p.yaml:9:5  E1101 kafka.ssl.truststore.location no/such.pem cannot be read"},
		{"a trust store that holds no certificate", append(secure, "kafka.sasl.mechanism: PLAIN", "kafka.sasl.username: u",
			"kafka.sasl.password: p",
			"kafka.ssl.truststore.type: PEM", "kafka.ssl.truststore.certificates: x"),
			"p.yaml:9:5  E1204 kafka.ssl.truststore.certificates holds no certificate"},
		{"Spark's way to other topics", []string{ok, "subscribePattern: a.*"}, "p.yaml:3:5  E1206 subscribePattern is not supported yet"},
		{"what Spark refuses", []string{ok, sub, "kafka.auto.offset.reset: earliest", "kafka.enable.auto.commit: true"},
			"p.yaml:4:5  E1206 kafka.auto.offset.reset cannot be set: offsets come from the checkpoint\np.yaml:5:5  E1206 kafka.enable.auto.commit cannot be set"},
	}
	for _, tt := range tests {
		_, ps := ParseOptions(section(tt.lines...), false)
		slices.SortStableFunc(ps, func(a, b *problem.Problem) int { return strings.Compare(a.Error(), b.Error()) })
		got, want := strings.Split(strings.TrimSpace(problems(ps)), "\n"), strings.Split(tt.want, "\n")
		slices.Sort(want)
		if !slices.EqualFunc(got, want, func(g, w string) bool { return strings.HasPrefix(g, w) }) {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		for _, p := range ps {
			if strings.Contains(p.Error()+p.Why+p.Hint, "canary") {
				t.Errorf("%s: the problem tells the secret: %v", tt.name, p)
			}
			if p.Hint == "" && p.Code != problem.UnknownOption && p.Code != problem.InvalidValue && p.Code != problem.FileUnreadable {
				t.Errorf("%s: %v has no hint", tt.name, p)
			}
		}
	}
}

// TestEveryKnownOptionIsAcceptedOrRefusedByName: the options that Spark's guide to its Kafka source lists, and Spark's five.
func TestEveryKnownOptionIsAcceptedOrRefusedByName(t *testing.T) {
	refused := []string{"assign", "subscribePattern", "startingTimestamp", "startingOffsetsByTimestamp", "startingOffsetsByTimestampStrategy",
		"endingOffsets", "endingOffsetsByTimestamp", "endingTimestamp", "minOffsetsPerTrigger", "maxTriggerDelay", "minPartitions",
		"maxRecordsPerPartition", "includeHeaders", "kafkaConsumer.pollTimeoutMs", "fetchOffset.numRetries", "fetchOffset.retryIntervalMs",
		"kafka.auto.offset.reset", "kafka.key.deserializer", "kafka.value.deserializer", "kafka.enable.auto.commit", "kafka.interceptor.classes",
		"kafka.ssl.keystore.location", "kafka.ssl.key.password", "kafka.ssl.ca.location", "kafka.enable.ssl.certificate.verification",
		"kafka.sasl.mechanisms", "kafka.max.poll.records", "kafka.session.timeout.ms", "kafka.ssl.enabled.protocols"}
	for _, key := range refused {
		_, ps := ParseOptions(section("kafka.bootstrap.servers: a:1", "subscribe: t", key+": x"), false)
		if len(ps) != 1 || ps[0].Code != problem.Unsupported || ps[0].Where.Line != 4 || ps[0].Hint == "" {
			t.Errorf("%s: %s", key, problems(ps))
		}
	}
}

func FuzzStartingOffsets(f *testing.F) {
	f.Add(`{"t":{"0":23,"1":-1}}`)
	f.Add("earliest")
	f.Add(`{"t":{"0":-2},"u":{"0":1}}`)
	f.Fuzz(func(t *testing.T, text string) {
		o, ps := ParseOptions(option.NewValues("source.kafka", problem.Location{},
			option.Value{Key: "kafka.bootstrap.servers", Text: "a:1"}, option.Value{Key: "subscribe", Text: "t"},
			option.Value{Key: "startingOffsets", Text: text}), false)
		if len(ps) > 0 {
			return
		}
		if o.Starting.Each == nil && o.Starting.All != stream.Earliest && o.Starting.All != stream.Latest {
			t.Fatalf("%q: %+v", text, o.Starting)
		}
		for tp, offset := range o.Starting.Each.All() {
			if tp.Topic != "t" || tp.Partition < 0 || offset < stream.Earliest {
				t.Fatalf("%q: %v at %d", text, tp, offset)
			}
		}
	})
}
