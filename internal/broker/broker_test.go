package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"go.uber.org/goleak"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		child(dir)
	}
	goleak.VerifyTestMain(m)
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func start(t testing.TB, opts Options) *Broker {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	b, err := Start(testContext(t), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, b) })
	return b
}

func stop(t testing.TB, b *Broker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
}

func trust(t testing.TB, b *Broker) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(b.CA())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate in " + b.CA())
	}
	return &tls.Config{RootCAs: pool}
}

func apiKey(b *Broker) sasl.Mechanism {
	key := b.APIKey()
	return plain.Auth{User: key.User, Pass: key.Password.Reveal()}.AsMechanism()
}

// client returns a client that logs in with the API key.
func client(t testing.TB, b *Broker, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	return clientAs(t, b, apiKey(b), opts...)
}

// clientAs returns a client that logs in by m.
func clientAs(t testing.TB, b *Broker, m sasl.Mechanism, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	// A fetch that was sent before all offsets are known waits for its partitions alone: not for the default of 5 seconds.
	all := []kgo.Opt{kgo.SeedBrokers(b.Addr()), kgo.FetchMaxWait(50 * time.Millisecond)}
	if b.Protocol().tls() {
		all = append(all, kgo.DialTLSConfig(trust(t, b)))
	}
	if b.Protocol().sasl() {
		all = append(all, kgo.SASL(m))
	}
	cl, err := kgo.NewClient(append(all, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func createTopic(t testing.TB, cl *kgo.Client, topic string, partitions int32, configs map[string]*string) {
	t.Helper()
	if _, err := kadm.NewClient(cl).CreateTopic(testContext(t), partitions, 1, configs, topic); err != nil {
		t.Fatal(err)
	}
}

// consume reads n records of a topic from the start.
func consume(t testing.TB, b *Broker, n int, opts ...kgo.Opt) []string {
	t.Helper()
	cl := client(t, b, opts...)
	defer cl.Close()
	ctx := testContext(t)
	var got []string
	for len(got) < n {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(got), n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	return got
}

func produce(t testing.TB, cl *kgo.Client, topic string, values ...string) {
	t.Helper()
	for _, v := range values {
		if err := cl.ProduceSync(testContext(t), &kgo.Record{Topic: topic, Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClientsProduceAndConsumeByEveryProtocol(t *testing.T) {
	for _, protocol := range []Protocol{Plaintext, SSL, SASLPlaintext, SASLSSL} {
		t.Run(string(protocol), func(t *testing.T) {
			b := start(t, Options{Protocol: protocol})
			cl := client(t, b)
			createTopic(t, cl, "t", 1, nil)
			produce(t, cl, "t", "a", "b", "c")
			if got := consume(t, b, 3, kgo.ConsumeTopics("t")); !slices.Equal(got, []string{"a", "b", "c"}) {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestUsersLogInByEveryMechanism(t *testing.T) {
	b := start(t, Options{})
	if err := b.AddUser("us=er,", secret.New("pass,=word")); err != nil {
		t.Fatal(err)
	}
	for _, m := range []sasl.Mechanism{
		plain.Auth{User: "us=er,", Pass: "pass,=word"}.AsMechanism(),
		scram.Auth{User: "us=er,", Pass: "pass,=word"}.AsSha256Mechanism(),
		scram.Auth{User: "us=er,", Pass: "pass,=word"}.AsSha512Mechanism(),
	} {
		if err := clientAs(t, b, m).Ping(testContext(t)); err != nil {
			t.Errorf("%s: %v", m.Name(), err)
		}
	}
}

func TestWrongLoginsAreRefusedWithAText(t *testing.T) {
	b := start(t, Options{})
	user := b.APIKey().User
	tests := []struct {
		name string
		m    sasl.Mechanism
		want error
		text string
	}{
		{"a wrong password", plain.Auth{User: user, Pass: "x"}.AsMechanism(), kerr.SaslAuthenticationFailed, "Invalid username or password"},
		{"an unknown user", plain.Auth{User: "nobody", Pass: "x"}.AsMechanism(), kerr.SaslAuthenticationFailed, "Invalid username or password"},
		{"SCRAM, wrong password", scram.Auth{User: user, Pass: "x"}.AsSha256Mechanism(), kerr.SaslAuthenticationFailed, "invalid credentials with SASL mechanism SCRAM-SHA-256"},
		{"SCRAM, unknown user", scram.Auth{User: "nobody", Pass: "x"}.AsSha512Mechanism(), kerr.SaslAuthenticationFailed, "SCRAM-SHA-512"},
		// the names of the mechanisms that there are come with the error
		{"OAUTHBEARER", oauth.Auth{Token: "x"}.AsMechanism(), kerr.UnsupportedSaslMechanism, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := clientAs(t, b, tt.m, kgo.RequestRetries(0)).Ping(testContext(t))
			if !errors.Is(err, tt.want) || !strings.Contains(fmt.Sprint(err), tt.text) {
				t.Errorf("got %v, want %v with %q", err, tt.want, tt.text)
			}
		})
	}
}

func TestAClientThatTrustsAnotherAuthorityRefusesTheBroker(t *testing.T) {
	b, other := start(t, Options{}), start(t, Options{})
	err := client(t, b, kgo.DialTLSConfig(trust(t, other)), kgo.RequestRetries(0)).Ping(testContext(t))
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		t.Errorf("got %v, want a refused certificate", err)
	}
}

func TestARestartKeepsTopicsRecordsOffsetsUsersAndThePort(t *testing.T) {
	dir := t.TempDir()
	b := start(t, Options{Dir: dir})
	addr, key := b.Addr(), b.APIKey()
	if err := b.AddUser("u", secret.New("p")); err != nil {
		t.Fatal(err)
	}
	cl := client(t, b)
	createTopic(t, cl, "t", 1, map[string]*string{"retention.ms": kadm.StringPtr("86400000")})
	produce(t, cl, "t", "a", "b")
	commitGroup(t, cl, "g", 1)
	adm := kadm.NewClient(cl)
	before, err := adm.ListTopics(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	cl.Close()
	stop(t, b)

	b = start(t, Options{Dir: dir})
	if got := b.APIKey(); b.Addr() != addr || got.User != key.User || got.Password.Reveal() != key.Password.Reveal() {
		t.Errorf("address %s and user %s, want %s and %s", b.Addr(), got.User, addr, key.User)
	}
	cl = clientAs(t, b, scram.Auth{User: "u", Pass: "p"}.AsSha512Mechanism())
	adm = kadm.NewClient(cl)
	after, err := adm.ListTopics(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if after["t"].ID != before["t"].ID {
		t.Errorf("topic id %v, want %v", after["t"].ID, before["t"].ID)
	}
	if got := consume(t, b, 2, kgo.ConsumeTopics("t")); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got %v", got)
	}
	if got := committedOffset(t, cl, "g"); got != 1 {
		t.Errorf("committed offset %d, want 1", got)
	}
	configs, err := adm.DescribeTopicConfigs(testContext(t), "t")
	if err != nil {
		t.Fatal(err)
	}
	if got := configValue(configs, "retention.ms"); got != "86400000" {
		t.Errorf("retention.ms %q, want 86400000", got)
	}
}

func configValue(configs kadm.ResourceConfigs, key string) string {
	for _, c := range configs[0].Configs {
		if c.Key == key {
			return c.MaybeValue()
		}
	}
	return ""
}

func TestGroupsShareATopicAndGoOnWhereTheyStopped(t *testing.T) {
	b := start(t, Options{})
	cl := client(t, b)
	createTopic(t, cl, "t", 2, nil)
	produce(t, cl, "t", "a", "b")
	group := []kgo.Opt{kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}
	first := client(t, b, group...)
	got := 0
	for got < 2 {
		fetches := first.PollFetches(testContext(t))
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		got += fetches.NumRecords()
	}
	if err := first.CommitUncommittedOffsets(testContext(t)); err != nil {
		t.Fatal(err)
	}
	first.Close()
	produce(t, cl, "t", "c")
	if got := consume(t, b, 1, group...); !slices.Equal(got, []string{"c"}) {
		t.Errorf("the second member got %v, want c", got)
	}
}

func TestReadersOfCommittedDataSeeNoAbortedRecord(t *testing.T) {
	b := start(t, Options{})
	cl := client(t, b)
	createTopic(t, cl, "t", 2, nil)
	tx := client(t, b, kgo.TransactionalID("x"), kgo.DefaultProduceTopic("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	// Aborted and committed batches alternate in both partitions, each about 100 KB, so that small fetches are cut in the middle of either.
	value := strings.Repeat("v", 100_000)
	const rounds = 20
	for i := range rounds {
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		end, name := kgo.TryCommit, "committed"
		if i%2 == 0 {
			end, name = kgo.TryAbort, "aborted"
		}
		for p := range int32(2) {
			r := &kgo.Record{Partition: p, Value: []byte(name + value)}
			if err := tx.ProduceSync(testContext(t), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.EndTransaction(testContext(t), end); err != nil {
			t.Fatal(err)
		}
	}
	for _, limit := range []int32{1, 150_000, 450_000, 50 << 20} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			got := consume(t, b, rounds, kgo.ConsumeTopics("t"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
				kgo.FetchMaxBytes(limit), kgo.FetchMaxPartitionBytes(limit))
			for _, v := range got {
				if strings.HasPrefix(v, "aborted") {
					t.Fatal("an aborted record was served as a committed one")
				}
			}
			if len(got) != rounds {
				t.Errorf("%d records, want %d", len(got), rounds)
			}
		})
	}
}

func TestABatchLargerThanItsShareIsServedInTheEnd(t *testing.T) {
	b := start(t, Options{})
	cl := client(t, b, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	createTopic(t, cl, "t", 8, nil)
	for p := range int32(8) {
		for range 4 {
			r := &kgo.Record{Topic: "t", Partition: p, Value: []byte(strings.Repeat("v", 200_000))}
			if err := cl.ProduceSync(testContext(t), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := consume(t, b, 32, kgo.ConsumeTopics("t"), kgo.FetchMaxBytes(400_000)); len(got) != 32 {
		t.Errorf("%d records, want 32", len(got))
	}
}

func TestWhatWouldNotBeDoneIsRefusedByName(t *testing.T) {
	b := start(t, Options{})
	adm := kadm.NewClient(client(t, b))
	p := kadm.StringPtr
	tests := []struct {
		topic      string
		partitions int32
		configs    map[string]*string
		want       error
		text       string
	}{
		{"a/b", 1, nil, kerr.InvalidTopicException, "ASCII alphanumerics"},
		{"..", 1, nil, kerr.InvalidTopicException, "invalid"},
		{strings.Repeat("x", 250), 1, nil, kerr.InvalidTopicException, "longer than 249"},
		{"t", 100_000, nil, kerr.InvalidPartitions, "at most 1000"},
		{"t", 1, map[string]*string{"retention.mss": p("1")}, kerr.InvalidConfig, "retention.mss"},
		{"t", 1, map[string]*string{"retention.ms": p("1d")}, kerr.InvalidConfig, "1d"},
		{"t", 1, map[string]*string{"segment.bytes": p("14")}, kerr.InvalidConfig, "1048576"},
		{"t", 1, map[string]*string{"cleanup.policy": p("compress")}, kerr.InvalidConfig, "compress"},
		// kfake would take it and go on with the producers' times
		{"t", 1, map[string]*string{"message.timestamp.type": p("LogAppendTime")}, kerr.InvalidConfig, "LogAppendTime"},
	}
	for _, tt := range tests {
		answer, err := adm.CreateTopics(testContext(t), tt.partitions, 1, tt.configs, tt.topic)
		if err != nil {
			t.Fatal(err)
		}
		if got := answer[tt.topic]; !errors.Is(got.Err, tt.want) || !strings.Contains(got.ErrMessage, tt.text) {
			t.Errorf("%s %v: got %v %q, want %v with %q", tt.topic, tt.configs, got.Err, got.ErrMessage, tt.want, tt.text)
		}
	}
	createTopic(t, client(t, b), "t", 1, nil)
	alter := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "message.timestamp.type", Value: p("LogAppendTime")}}
	answers, err := adm.AlterTopicConfigs(testContext(t), alter, "t")
	if err != nil || !errors.Is(answers[0].Err, kerr.InvalidConfig) {
		t.Errorf("alter: got %v %v", err, answers)
	}
	broker, err := adm.AlterBrokerConfigs(testContext(t), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "log.cleaner.backoff.ms", Value: p("1")}})
	if err != nil || !errors.Is(broker[0].Err, kerr.InvalidConfig) {
		t.Errorf("alter the broker: got %v %v", err, broker)
	}
}

func TestCredentialsAreManagedByKafkasOwnAPI(t *testing.T) {
	b := start(t, Options{})
	adm := kadm.NewClient(client(t, b))
	ctx := testContext(t)
	up := kadm.UpsertSCRAM{User: "carol", Mechanism: kadm.ScramSha512, Iterations: 8192, Password: "secret"}
	if _, err := adm.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{up}); err != nil {
		t.Fatal(err)
	}
	carol := scram.Auth{User: "carol", Pass: "secret"}
	if err := clientAs(t, b, carol.AsSha512Mechanism()).Ping(ctx); err != nil {
		t.Error(err)
	}
	if err := clientAs(t, b, carol.AsSha256Mechanism(), kgo.RequestRetries(0)).Ping(ctx); err == nil {
		t.Error("carol logged in by a mechanism that she has no credential for")
	}
	described, err := adm.DescribeUserSCRAMs(ctx, "carol")
	if err != nil {
		t.Fatal(err)
	}
	if got := described["carol"].CredInfos; len(got) != 1 || got[0].Mechanism != kadm.ScramSha512 || got[0].Iterations != 8192 {
		t.Errorf("described %+v", got)
	}
	if _, err := adm.AlterUserSCRAMs(ctx, []kadm.DeleteSCRAM{{User: "carol", Mechanism: kadm.ScramSha512}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := clientAs(t, b, carol.AsSha512Mechanism(), kgo.RequestRetries(0)).Ping(ctx); err == nil {
		t.Error("carol logged in after her credential was deleted")
	}
}

func TestStartRefusesWhatIsNotSafe(t *testing.T) {
	tests := []struct {
		name string
		opts Options
		want problem.Code
	}{
		{"every interface", Options{Host: "0.0.0.0"}, problem.InvalidValue}, // clients could not be told an address
		{"a name", Options{Host: "localhost"}, problem.InvalidValue},
		{"not loopback, without login", Options{Host: "192.0.2.1", Protocol: SSL}, problem.Insecure},
		{"not loopback, passwords in the open", Options{Host: "192.0.2.1", Protocol: SASLPlaintext}, problem.Insecure},
		{"an unknown protocol", Options{Protocol: "KERBEROS"}, problem.InvalidValue},
		{"no such port", Options{Port: 65536}, problem.InvalidValue},
	}
	for _, tt := range tests {
		tt.opts.Dir = t.TempDir()
		if _, err := Start(testContext(t), tt.opts); !hasCode(err, tt.want) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
	if _, err := Start(testContext(t), Options{}); !hasCode(err, problem.MissingOption) {
		t.Errorf("no directory: got %v", err)
	}
}

func hasCode(err error, code problem.Code) bool {
	p, ok := errors.AsType[*problem.Problem](err)
	return ok && p.Code == code
}

func TestADirectoryHasOneBroker(t *testing.T) {
	b := start(t, Options{})
	_, err := Start(testContext(t), Options{Dir: b.opts.Dir})
	if !hasCode(err, problem.FolderInUse) || problem.ExitStatus(err) != problem.ExitFenced {
		t.Errorf("got %v, want %s", err, problem.FolderInUse)
	}
}

func TestATakenPortIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	_, err = Start(testContext(t), Options{Dir: t.TempDir(), Port: port})
	if !hasCode(err, problem.PortTaken) || !strings.Contains(err.Error(), fmt.Sprint(port)) {
		t.Errorf("got %v, want %s that names %d", err, problem.PortTaken, port)
	}
	// A preferred port is only preferred.
	dir := t.TempDir()
	b := start(t, Options{Dir: dir, PreferPort: port})
	addr := b.Addr()
	stop(t, b)
	// But the port that clients know has to be had again.
	again, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := Start(testContext(t), Options{Dir: dir}); !hasCode(err, problem.PortTaken) {
		t.Errorf("got %v, want %s", err, problem.PortTaken)
	}
}

func TestTheDirectoryIsForItsOwnerAlone(t *testing.T) {
	b := start(t, Options{})
	password := b.APIKey().Password.Reveal()
	err := filepath.WalkDir(b.opts.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(b.opts.Dir, path)
		if rel == "." || !strings.HasPrefix(rel, dataDir) {
			if info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %v", rel, info.Mode())
			}
		}
		if d.IsDir() || rel == stateFile {
			return nil
		}
		if data, err := os.ReadFile(path); err != nil || strings.Contains(string(data), password) {
			t.Errorf("%s: the password stands in it, or %v", rel, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func commitGroup(t testing.TB, cl *kgo.Client, group string, offset int64) {
	t.Helper()
	var offsets kadm.Offsets
	offsets.AddOffset("t", 0, offset, -1)
	if err := kadm.NewClient(cl).CommitAllOffsets(testContext(t), group, offsets); err != nil {
		t.Fatal(err)
	}
}

func committedOffset(t testing.TB, cl *kgo.Client, group string) int64 {
	t.Helper()
	fetched, err := kadm.NewClient(cl).FetchOffsets(testContext(t), group)
	if err != nil {
		t.Fatal(err)
	}
	o, ok := fetched.Lookup("t", 0)
	if !ok {
		return -1
	}
	return o.At
}
