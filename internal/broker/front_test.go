package broker

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// dial opens a bare connection, under TLS where the broker has it.
func dial(t testing.TB, b *Broker) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if b.Protocol().tls() {
		config := trust(t, b)
		config.ServerName = "localhost"
		conn = tls.Client(conn, config)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// readAnswer reads one answer and returns what follows its length.
func readAnswer(conn net.Conn) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(conn, b)
	return b, err
}

// ask sends a request and returns its answer.
func ask(t testing.TB, conn net.Conn, req kmsg.Request) kmsg.Response {
	t.Helper()
	if _, err := conn.Write(requestFrame(42, req)); err != nil {
		t.Fatal(err)
	}
	b, err := readAnswer(conn)
	if err != nil {
		t.Fatal(err)
	}
	if got := binary.BigEndian.Uint32(b); got != 42 {
		t.Fatalf("the answer is to request %d", got)
	}
	resp := req.ResponseKind()
	body := b[4:]
	if resp.IsFlexible() && resp.Key() != int16(kmsg.ApiVersions) {
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		t.Fatal(err)
	}
	return resp
}

// closes says that the broker closed the connection without an answer.
func closes(t testing.TB, conn net.Conn) {
	t.Helper()
	b, err := readAnswer(conn)
	if ne, ok := errors.AsType[net.Error](err); err == nil || ok && ne.Timeout() {
		t.Errorf("got answer %x and error %v, want a closed connection", b, err)
	}
}

func frameOf(parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

func TestGarbageClosesTheConnectionAndNothingElse(t *testing.T) {
	tests := []struct {
		name string
		send []byte
	}{
		{"text", []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")},
		{"a huge length", []byte{0x7f, 0xff, 0xff, 0xff}},
		{"a negative length", []byte{0xff, 0xff, 0xff, 0xff}},
		{"no header", []byte{0, 0, 0, 2, 0, 18}},
		{"an unknown API", frameOf([]byte{0x7f, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff})},
		{"a version from the future", frameOf([]byte{0, 17, 0x7f, 0, 0, 0, 0, 1, 0xff, 0xff})},
		{"a client id longer than the request", frameOf([]byte{0, 18, 0, 0, 0, 0, 0, 1, 0x7f, 0xff})},
		{"four thousand million tagged fields", frameOf([]byte{0, 18, 0, 3, 0, 0, 0, 1, 0xff, 0xff}, []byte{0xff, 0xff, 0xff, 0xff, 0x0f})},
		{"records before the login", requestFrame(1, &kmsg.ProduceRequest{Version: 9, Acks: -1})},
	}
	b := start(t, Options{Protocol: SASLPlaintext})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn := dial(t, b)
			if _, err := conn.Write(tt.send); err != nil {
				t.Fatal(err)
			}
			closes(t, conn)
		})
	}
	if err := client(t, b).Ping(testContext(t)); err != nil {
		t.Error(err)
	}
}

func TestGarbageAfterTheLoginClosesTheConnectionAndNothingElse(t *testing.T) {
	tests := []struct {
		name string
		send []byte
	}{
		{"an unknown API", frameOf([]byte{0x7f, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff})},
		{"an API that is not served", requestFrame(1, &kmsg.WriteTxnMarkersRequest{Version: 1})},
		{"a version that is advertised only", requestFrame(1, &kmsg.ProduceRequest{Version: 2, Acks: 1})},
		{"half a body", frameOf([]byte{0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 9})},
		{"a large request without records", append(binary.BigEndian.AppendUint32(nil, 2<<20), 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff)},
	}
	b := start(t, Options{Protocol: Plaintext})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn := dial(t, b)
			if _, err := conn.Write(tt.send); err != nil {
				t.Fatal(err)
			}
			closes(t, conn)
		})
	}
	if err := client(t, b).Ping(testContext(t)); err != nil {
		t.Error(err)
	}
}

func TestSlowAndIdleConnectionsAreClosed(t *testing.T) {
	b := start(t, Options{Protocol: SASLPlaintext, LoginTimeout: 100 * time.Millisecond})
	silent, half := dial(t, b), dial(t, b)
	if _, err := half.Write([]byte{0, 0, 0, 20, 0, 18}); err != nil {
		t.Fatal(err)
	}
	closes(t, silent)
	closes(t, half)

	b = start(t, Options{Protocol: Plaintext, IdleTimeout: 100 * time.Millisecond, RequestTimeout: 100 * time.Millisecond})
	idle, half := dial(t, b), dial(t, b)
	if _, err := half.Write([]byte{0, 0, 0, 20, 0, 18}); err != nil {
		t.Fatal(err)
	}
	closes(t, idle)
	closes(t, half)
}

func TestConnectionsAreCounted(t *testing.T) {
	b := start(t, Options{Protocol: Plaintext, MaxConnections: 2})
	first, second := dial(t, b), dial(t, b)
	for _, conn := range []net.Conn{first, second} {
		ask(t, conn, &kmsg.ApiVersionsRequest{})
	}
	closes(t, dial(t, b))
	first.Close()
	deadline := time.Now().Add(10 * time.Second)
	for { // until the broker has noticed
		conn := dial(t, b)
		_, _ = conn.Write(requestFrame(1, &kmsg.ApiVersionsRequest{}))
		if _, err := readAnswer(conn); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("a place that became free is not given again")
		}
	}
}

func TestMemoryOfRequestsIsGivenBack(t *testing.T) {
	// One request at a time fits.
	b := start(t, Options{Protocol: Plaintext, MaxRequestBytes: 1 << 20})
	cl := client(t, b, kgo.ProducerBatchMaxBytes(900_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	createTopic(t, cl, "t", 1, nil)
	for _, acks := range []kgo.Acks{kgo.AllISRAcks(), kgo.NoAck()} {
		p := client(t, b, kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite(), kgo.ProducerBatchCompression(kgo.NoCompression()))
		for range 50 {
			if err := p.ProduceSync(testContext(t), &kgo.Record{Topic: "t", Value: make([]byte, 800_000)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := len(consume(t, b, 100, kgo.ConsumeTopics("t"))); got != 100 {
		t.Errorf("%d records, want 100", got)
	}
}

func TestAnswersKeepTheirOrderWhoeverGivesThem(t *testing.T) {
	b := start(t, Options{Protocol: Plaintext})
	conn := dial(t, b)
	var send []byte
	// kfake answers the odd ones, the front the others.
	for i := range int32(20) {
		var req kmsg.Request = &kmsg.SASLHandshakeRequest{Version: 1, Mechanism: mechPlain}
		if i%2 == 1 {
			req = &kmsg.MetadataRequest{Version: 7, Topics: []kmsg.MetadataRequestTopic{}}
		}
		send = append(send, requestFrame(i, req)...)
	}
	if _, err := conn.Write(send); err != nil {
		t.Fatal(err)
	}
	for i := range uint32(20) {
		got, err := readAnswer(conn)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		if binary.BigEndian.Uint32(got) != i {
			t.Fatalf("answer %d is to request %d", i, binary.BigEndian.Uint32(got))
		}
	}
}

func TestHandshakesAreAnsweredAsApacheKafkaDoes(t *testing.T) {
	b := start(t, Options{})
	conn := dial(t, b)
	unknown := ask(t, conn, &kmsg.SASLHandshakeRequest{Version: 1, Mechanism: "OAUTHBEARER"}).(*kmsg.SASLHandshakeResponse)
	if unknown.ErrorCode != kerr.UnsupportedSaslMechanism.Code || !slices.Equal(unknown.SupportedMechanisms, mechanisms) {
		t.Errorf("OAUTHBEARER: got %+v", unknown)
	}
	// kafkajs looks for its mechanism in the answer to a handshake that succeeds
	known := ask(t, conn, &kmsg.SASLHandshakeRequest{Version: 1, Mechanism: mechPlain}).(*kmsg.SASLHandshakeResponse)
	if known.ErrorCode != 0 || !slices.Contains(known.SupportedMechanisms, mechPlain) {
		t.Errorf("PLAIN: got %+v", known)
	}
	key := b.APIKey()
	token := []byte("\x00" + key.User + "\x00" + key.Password.Reveal())
	done := ask(t, conn, &kmsg.SASLAuthenticateRequest{Version: 2, SASLAuthBytes: token}).(*kmsg.SASLAuthenticateResponse)
	if done.ErrorCode != 0 {
		t.Errorf("authenticate: got %+v", done)
	}
	again := ask(t, conn, &kmsg.SASLAuthenticateRequest{Version: 2, SASLAuthBytes: token}).(*kmsg.SASLAuthenticateResponse)
	if again.ErrorCode != kerr.IllegalSaslState.Code {
		t.Errorf("authenticate again: got %+v", again)
	}
}

func TestOldClientsLogInWithBareTokens(t *testing.T) {
	b := start(t, Options{})
	key := b.APIKey()
	for _, password := range []string{key.Password.Reveal(), "wrong"} {
		conn := dial(t, b)
		if got := ask(t, conn, &kmsg.SASLHandshakeRequest{Version: 0, Mechanism: mechPlain}).(*kmsg.SASLHandshakeResponse); got.ErrorCode != 0 {
			t.Fatalf("handshake: %+v", got)
		}
		if _, err := conn.Write(frameOf([]byte("\x00" + key.User + "\x00" + password))); err != nil {
			t.Fatal(err)
		}
		if password == "wrong" {
			closes(t, conn)
			continue
		}
		if got, err := readAnswer(conn); err != nil || len(got) != 0 {
			t.Fatalf("token: %x %v", got, err)
		}
		if got := ask(t, conn, &kmsg.MetadataRequest{Version: 1}).(*kmsg.MetadataResponse); len(got.Brokers) != 1 {
			t.Errorf("metadata: %+v", got)
		}
	}
}

func TestAPIVersionsShowClientsWhatTheyLookFor(t *testing.T) {
	b := start(t, Options{})
	for _, version := range []int16{0, 2, 3, 4} {
		got := ask(t, dial(t, b), &kmsg.ApiVersionsRequest{Version: version, ClientSoftwareName: "x", ClientSoftwareVersion: "1"}).(*kmsg.ApiVersionsResponse)
		versions := map[int16][2]int16{}
		for _, k := range got.ApiKeys {
			versions[k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
		}
		if v := versions[int16(kmsg.Produce)]; v[0] != 0 || v[1] < 9 {
			t.Errorf("version %d: Produce %v: librdkafka compresses only where it begins at 0", version, v)
		}
		if v := versions[int16(kmsg.SASLHandshake)]; v != [2]int16{0, 1} {
			t.Errorf("version %d: SaslHandshake %v: librdkafka logs in only where it begins at 0", version, v)
		}
		for _, key := range []kmsg.Key{kmsg.CreateACLs, kmsg.ShareFetch, kmsg.WriteTxnMarkers, kmsg.PushTelemetry} {
			if _, ok := versions[int16(key)]; ok {
				t.Errorf("version %d: %s is advertised", version, key.Name())
			}
		}
	}
	// A version that the broker does not know: version 0, with the error and what it knows.
	conn := dial(t, b)
	if _, err := conn.Write(frameOf([]byte{0, 18, 0, 99, 0, 0, 0, 42, 0xff, 0xff, 0})); err != nil {
		t.Fatal(err)
	}
	raw, err := readAnswer(conn)
	if err != nil {
		t.Fatal(err)
	}
	resp := kmsg.NewPtrApiVersionsResponse()
	if err := resp.ReadFrom(raw[4:]); err != nil {
		t.Fatal(err)
	}
	if resp.ErrorCode != kerr.UnsupportedVersion.Code || len(resp.ApiKeys) != 1 || resp.ApiKeys[0].ApiKey != 18 {
		t.Errorf("got %+v", resp)
	}
}

func TestTopicsAreAnsweredWithListsThatAreEmptyAndNotMissing(t *testing.T) {
	b := start(t, Options{Protocol: Plaintext})
	req := &kmsg.CreateTopicsRequest{Version: 7, TimeoutMillis: 1000, Topics: []kmsg.CreateTopicsRequestTopic{
		{Topic: "t", NumPartitions: -1, ReplicationFactor: -1},
	}}
	got := ask(t, dial(t, b), req).(*kmsg.CreateTopicsResponse).Topics[0]
	if got.ErrorCode != 0 || got.Configs == nil || got.NumPartitions != 6 {
		t.Errorf("got %+v, want 6 partitions and a list that is empty, not missing: Java's client fails otherwise", got)
	}
	described := ask(t, dial(t, b), &kmsg.DescribeTopicPartitionsRequest{
		Topics: []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: req.Topics[0].Topic}}, ResponsePartitionLimit: 10,
	}).(*kmsg.DescribeTopicPartitionsResponse).Topics[0].Partitions
	if len(described) != 6 || described[5].EligibleLeaderReplicas == nil || described[5].LastKnownELR == nil {
		t.Errorf("described as %+v, want 6 partitions with empty lists of replicas", described)
	}
}

func TestFetchSessionsAreDeclined(t *testing.T) {
	b := start(t, Options{Protocol: Plaintext})
	createTopic(t, client(t, b), "t", 1, nil)
	fetch := func(id, epoch int32) *kmsg.FetchResponse {
		return ask(t, dial(t, b), &kmsg.FetchRequest{Version: 11, MaxBytes: 1 << 20, SessionID: id, SessionEpoch: epoch, Topics: []kmsg.FetchRequestTopic{
			{Topic: "t", Partitions: []kmsg.FetchRequestTopicPartition{{CurrentLeaderEpoch: -1, PartitionMaxBytes: 1 << 20}}}}}).(*kmsg.FetchResponse)
	}
	if got := fetch(0, 0); got.ErrorCode != 0 || got.SessionID != 0 {
		t.Errorf("a session was given: %+v", got)
	}
	if got := fetch(7, 3); got.ErrorCode != kerr.FetchSessionIDNotFound.Code {
		t.Errorf("got %+v", got)
	}
}

func TestRecordsThatAreNotWhatTheySayAreRefused(t *testing.T) {
	lie := testBatch(-1, -1, -1, "v")
	lie[batchHeaderBytes] = 100 // the record's length, 50, in a varint
	many := testBatch(-1, -1, -1, "v")
	binary.BigEndian.PutUint32(many[57:], 2)
	binary.BigEndian.PutUint32(many[23:], 1)
	brokersTime := testBatch(-1, -1, -1, "v")
	binary.BigEndian.PutUint16(brokersTime[21:], attrLogAppendTime)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 65 {
		if _, err := z.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		batch []byte
		want  error
	}{
		{"a record longer than the batch", reseal(lie), kerr.InvalidRecord},
		{"fewer records than counted", reseal(many), kerr.InvalidRecord},
		{"the broker's time, set by a client", reseal(brokersTime), kerr.InvalidTimestamp},
		{"65 MiB of zeros", sealed(kmsg.RecordBatch{Magic: 2, Attributes: 1, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
			NumRecords: 1, Records: bomb.Bytes()}), kerr.InvalidRecord},
		{"no snappy", sealed(kmsg.RecordBatch{Magic: 2, Attributes: 2, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
			NumRecords: 1, Records: []byte("no")}), kerr.InvalidRecord},
		{"bytes behind the records", append(testBatch(-1, -1, -1, "v"), 0), kerr.InvalidRecord},
		{"a wrong checksum", slices.Replace(testBatch(-1, -1, -1, "v"), 17, 18, 0xff), kerr.CorruptMessage},
	}
	b := start(t, Options{})
	cl := client(t, b)
	createTopic(t, cl, "t", 1, nil)
	for _, tt := range tests {
		if _, err := tryProduceBatch(t, cl, tt.batch); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	if got := produceBatch(t, b, testBatch(-1, -1, -1, "v")); got != 0 {
		t.Errorf("the first good record is at offset %d", got)
	}
	// Where kfake reads records itself.
	after, err := kadm.NewClient(cl).ListOffsetsAfterMilli(testContext(t), 0, "t")
	if o, _ := after.Lookup("t", 0); err != nil || o.Offset != 0 {
		t.Errorf("offset by time: %+v, %v", o, err)
	}
}

func TestRotateLetsEveryPartitionBeFirst(t *testing.T) {
	for _, shape := range [][]int{{1}, {3}, {2, 2}, {2, 3, 1}} {
		first := map[[2]int]bool{}
		n := 0
		for turn := range 50 {
			req := &kmsg.FetchRequest{MaxBytes: 1 << 20}
			n = 0
			for topic, partitions := range shape {
				rt := kmsg.FetchRequestTopic{Topic: string(rune('a' + topic))}
				for p := range partitions {
					rt.Partitions = append(rt.Partitions, kmsg.FetchRequestTopicPartition{Partition: int32(p), PartitionMaxBytes: 1 << 20})
					n++
				}
				req.Topics = append(req.Topics, rt)
			}
			divideFetch(req, turn)
			first[[2]int{int(req.Topics[0].Topic[0]), int(req.Topics[0].Partitions[0].Partition)}] = true
			var sum int32
			for _, rt := range req.Topics {
				for _, p := range rt.Partitions {
					sum += p.PartitionMaxBytes
				}
			}
			if sum > 1<<20 {
				t.Fatalf("%v: the partitions may give %d bytes", shape, sum)
			}
		}
		if len(first) != n {
			t.Errorf("%v: %d of %d partitions were first", shape, len(first), n)
		}
	}
}

func FuzzHeader(f *testing.F) {
	f.Add(requestFrame(1, &kmsg.ApiVersionsRequest{Version: 3, ClientSoftwareName: "a", ClientSoftwareVersion: "b"})[4:])
	f.Add([]byte{0, 18, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte{0, 0, 0, 9, 0, 0, 0, 1, 0, 1, 'x', 0})
	f.Fuzz(func(t *testing.T, frame []byte) {
		h, body, err := parseHeader(frame)
		if err != nil {
			return
		}
		if len(body) > len(frame)-headerBytes || h.key < 0 || h.version < 0 {
			t.Errorf("header %+v with %d of %d bytes", h, len(body), len(frame))
		}
	})
}

// FuzzLogin says bytes to the front before a login: it must neither panic nor let anybody in.
func FuzzLogin(f *testing.F) {
	f.Add([]byte{0, 17, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 5, 'P', 'L', 'A', 'I', 'N'}, []byte("\x00user\x00pass"))
	f.Add([]byte{0, 36, 0, 2, 0, 0, 0, 1, 0xff, 0xff, 0, 3, 'x', 'y', 0}, []byte("n,,n=user,r=nonce"))
	u := &users{byID: map[string]user{}}
	var err error
	if u.nobody, err = newCredential(mechScram256, ""); err != nil {
		f.Fatal(err)
	}
	front := &front{users: u, apis: newAPIs(kmsg.NewPtrApiVersionsResponse()), log: Options{}.withDefaults().Log}
	front.ctx, front.stop = f.Context(), func() {}
	f.Fuzz(func(t *testing.T, frame, token []byte) {
		l := &login{users: u}
		if h, body, err := parseHeader(frame); err == nil && h.key != int16(kmsg.SASLAuthenticate) {
			_, _ = (&conn{front: front}).loginAnswer(l, h, body)
		}
		l.handshake(1, mechScram256)
		_, _ = l.token(token)
		if l.done {
			t.Errorf("%q and %q logged in", frame, token)
		}
	})
}

// FuzzExamine gives requests after the login to the front: whatever comes, it must hand on a whole request or nothing.
func FuzzExamine(f *testing.F) {
	for _, req := range []kmsg.Request{
		&kmsg.FetchRequest{Version: 11, MaxBytes: 100, Topics: []kmsg.FetchRequestTopic{{Topic: "t", Partitions: []kmsg.FetchRequestTopicPartition{{}}}}},
		&kmsg.ProduceRequest{Version: 9, Acks: 0, Topics: []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: testBatch(1, 0, 0, "v")}}}}},
		&kmsg.CreateTopicsRequest{Version: 5, Topics: []kmsg.CreateTopicsRequestTopic{{Topic: "t", Configs: []kmsg.CreateTopicsRequestTopicConfig{{Name: "retention.ms"}}}}},
		&kmsg.IncrementalAlterConfigsRequest{Resources: []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic}}},
	} {
		f.Add(requestFrame(1, req)[4:])
	}
	var versions kmsg.ApiVersionsResponse
	for _, key := range served {
		versions.ApiKeys = append(versions.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: int16(key), MaxVersion: kmsg.RequestForKey(int16(key)).MaxVersion()})
	}
	records, err := newRecordChecker()
	if err != nil {
		f.Fatal(err)
	}
	c := &conn{front: &front{users: &users{byID: map[string]user{}, file: "/dev/null/none"}, apis: newAPIs(&versions), records: records}}
	f.Fuzz(func(t *testing.T, body []byte) {
		if strings.Contains(string(body), "\xff\xff\xff") && len(body) > 20 {
			return // a count of tagged fields over which kmsg's parser loops for minutes
		}
		w, forward, err := c.examine(frameOf(body))
		if err != nil {
			return
		}
		if size, err := readSize(bytes.NewReader(forward), 1<<30); err != nil || size != len(forward)-4 {
			t.Fatalf("forwards %d bytes with size %d: %v", len(forward), size, err)
		}
		r := kbin.Reader{Src: forward[8:]}
		if got := r.Int32(); got != w.correlation {
			t.Errorf("forwards request %d as %d", w.correlation, got)
		}
	})
}
