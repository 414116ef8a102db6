package sourcetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/siltlake/silt/internal/stream"
)

const topic = "clickstreams"

// codecs are those that a producer may choose.
var codecs = []struct {
	name  string
	codec kgo.CompressionCodec
}{
	{"none", kgo.NoCompression()}, {"gzip", kgo.GzipCompression()}, {"snappy", kgo.SnappyCompression()},
	{"lz4", kgo.Lz4Compression()}, {"zstd", kgo.ZstdCompression()},
}

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for _, c := range codecs {
		for _, size := range []int{1, 10, 75, 1500} {
			t.Run(fmt.Sprintf("reads %s batches of %d records", c.name, size), func(t *testing.T) { testCodec(t, open, c.codec, size) })
		}
	}
	t.Run("reads codecs mixed in one partition", func(t *testing.T) { testMixed(t, open) })
	for _, committed := range []bool{true, false} {
		t.Run(fmt.Sprintf("reads transactions, read_committed %v", committed), func(t *testing.T) { testTransactions(t, open, committed) })
	}
	t.Run("does not see an open transaction under read_committed", func(t *testing.T) { testOpenTransaction(t, open) })
	t.Run("passes over what compaction took", func(t *testing.T) { testCompaction(t, open) })
	t.Run("begins where retention left off", func(t *testing.T) { testRetention(t, open) })
	t.Run("sees new partitions", func(t *testing.T) { testGrowth(t, open) })
	t.Run("reads a range twice alike", func(t *testing.T) { testReplay(t, open) })
	t.Run("ends with its context", func(t *testing.T) { testCancel(t, open) })
}

func random() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// checkCut fetches the whole in ranges cut at random offsets, most of them inside batches, and compares each with the log.
func checkCut(t *testing.T, rng *rand.Rand, p *Topic, src stream.Source) {
	t.Helper()
	whole := Whole(t, src)
	records, gaps := Fetch(t, src, whole)
	if len(gaps) > 0 {
		t.Errorf("gaps %v", gaps)
	}
	Check(t, p.Name, p.Log, whole, records)
	at := slices.Clone(whole)
	for range 4 {
		var part []stream.Range
		for i := range at {
			r := at[i]
			if r.Start >= r.End {
				continue
			}
			r.End = r.Start + 1 + rng.Int64N(r.End-r.Start)
			at[i].Start = r.End
			part = append(part, r)
		}
		records, _ := Fetch(t, src, part)
		Check(t, p.Name, p.Log, part, records)
	}
}

func testCodec(t *testing.T, open Open, codec kgo.CompressionCodec, size int) {
	rng := random()
	p := NewTopic(t, topic, 2, nil)
	cl := p.Client(t, kgo.ProducerBatchCompression(codec))
	for sent := 0; sent < max(60, 2*size); sent += size {
		p.Batch(t, cl, true, append(Records(rng, 0, size), Records(rng, 1, size)...)...)
	}
	checkCut(t, rng, p, open(t, Config{Brokers: p.Brokers, Topics: []string{topic}, ReadCommitted: true}))
}

func testMixed(t *testing.T, open Open) {
	rng := random()
	p := NewTopic(t, topic, 1, nil)
	var clients []*kgo.Client
	for _, c := range codecs {
		clients = append(clients, p.Client(t, kgo.ProducerBatchCompression(c.codec)))
	}
	for range 40 {
		p.Batch(t, clients[rng.IntN(len(clients))], true, Records(rng, 0, 1+rng.IntN(60))...)
	}
	checkCut(t, rng, p, open(t, Config{Brokers: p.Brokers, Topics: []string{topic}, ReadCommitted: true}))
}

func testTransactions(t *testing.T, open Open, committed bool) {
	rng := random()
	p := NewTopic(t, topic, 2, nil)
	plain := p.Client(t)
	var tx []*kgo.Client
	for i := range 3 {
		tx = append(tx, p.Client(t, kgo.TransactionalID(fmt.Sprint("tx", i)), kgo.ProducerBatchCompression(kgo.Lz4Compression())))
	}
	var opened []*kgo.Client
	aborts := map[*kgo.Client]bool{}
	end := func(cl *kgo.Client) {
		if err := cl.EndTransaction(t.Context(), kgo.TransactionEndTry(!aborts[cl])); err != nil {
			t.Fatal(err)
		}
	}
	for range 60 {
		switch cl := tx[rng.IntN(len(tx))]; {
		case rng.IntN(4) == 0:
			p.Batch(t, plain, true, Records(rng, rng.Int32N(2), 1+rng.IntN(20))...)
		case !slices.Contains(opened, cl):
			if err := cl.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			aborts[cl] = rng.IntN(2) == 0
			opened = append(opened, cl)
			fallthrough
		case rng.IntN(2) == 0:
			p.Batch(t, cl, !aborts[cl] || !committed, Records(rng, rng.Int32N(2), 1+rng.IntN(20))...)
		default:
			opened = slices.DeleteFunc(opened, func(o *kgo.Client) bool { return o == cl })
			end(cl)
		}
	}
	for _, cl := range opened {
		end(cl)
	}
	checkCut(t, rng, p, open(t, Config{Brokers: p.Brokers, Topics: []string{topic}, ReadCommitted: committed}))
}

func testOpenTransaction(t *testing.T, open Open) {
	rng := random()
	p := NewTopic(t, topic, 1, nil)
	p.Batch(t, p.Client(t), true, Records(rng, 0, 5)...)
	tx := p.Client(t, kgo.TransactionalID("tx"))
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	p.Batch(t, tx, false, Records(rng, 0, 5)...)
	p.Batch(t, p.Client(t), false, Records(rng, 0, 5)...) // after the last stable offset
	src := open(t, Config{Brokers: p.Brokers, Topics: []string{topic}, ReadCommitted: true})
	if whole := Whole(t, src); len(whole) != 1 || whole[0].End != 5 {
		t.Errorf("ranges are %v, want one that ends at the last stable offset 5", whole)
	}
	checkCut(t, rng, p, src)
}

func testCompaction(t *testing.T, open Open) {
	rng := random()
	p := NewTopic(t, topic, 1, map[string]string{"cleanup.policy": "compact", "retention.ms": "-1"})
	cl := p.Client(t, kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	const keys = 5
	for range 30 {
		rs := Records(rng, 0, 20)
		for _, r := range rs {
			r.Key = fmt.Append(nil, "key", rng.IntN(keys))
			r.Value = append(r.Value, 'v')
		}
		p.Batch(t, cl, true, rs...)
	}
	p.Cluster.Compact()
	// Which records are left is the broker's to say: the last of each key at least.
	last := map[string]Record{}
	for _, r := range p.Log[0] {
		last[string(r.Key)] = r
	}
	src := open(t, Config{Brokers: p.Brokers, Topics: []string{topic}, ReadCommitted: true})
	whole := Whole(t, src)
	records, _ := Fetch(t, src, whole)
	left := records[whole[0].TopicPartition]
	if len(left) >= len(p.Log[0]) {
		t.Fatalf("nothing was compacted: %d records", len(left))
	}
	for key, want := range last {
		if !slices.ContainsFunc(left, want.equal) {
			t.Errorf("the last record of %s is missing", key)
		}
	}
	p.Log[0] = left
	checkCut(t, rng, p, src)
}

func testRetention(t *testing.T, open Open) {
	rng := random()
	p := NewTopic(t, topic, 1, nil)
	cl := p.Client(t)
	for range 5 {
		p.Batch(t, cl, true, Records(rng, 0, 10)...)
	}
	if err := p.Cluster.DeleteRecords(topic, 0, 23); err != nil {
		t.Fatal(err)
	}
	src := open(t, Config{Brokers: p.Brokers, Topics: []string{topic}, ReadCommitted: true})
	if whole := Whole(t, src); whole[0].Start != 23 || whole[0].End != 50 {
		t.Errorf("ranges are %v, want 23 to 50", whole)
	}
	checkCut(t, rng, p, src)
}

func testGrowth(t *testing.T, open Open) {
	rng := random()
	p := NewTopic(t, topic, 1, nil)
	p.Batch(t, p.Client(t), true, Records(rng, 0, 10)...)
	src := open(t, Config{Brokers: p.Brokers, Topics: []string{topic}, ReadCommitted: true})
	if whole := Whole(t, src); len(whole) != 1 {
		t.Errorf("ranges are %v, want one", whole)
	}
	growTo(t, p, 3)
	p.Batch(t, p.Client(t), true, Records(rng, 2, 10)...)
	if whole := Whole(t, src); len(whole) != 3 {
		t.Errorf("ranges are %v, want three", whole)
	}
	checkCut(t, rng, p, src)
}

func testReplay(t *testing.T, open Open) {
	rng := random()
	p := NewTopic(t, topic, 3, nil)
	cl := p.Client(t)
	for part := range int32(3) {
		p.Batch(t, cl, true, Records(rng, part, 100)...)
	}
	src := open(t, Config{Brokers: p.Brokers, Topics: []string{topic}, ReadCommitted: true})
	whole := Whole(t, src)
	for range 2 {
		records, _ := Fetch(t, src, whole)
		Check(t, topic, p.Log, whole, records)
	}
	if d := src.Description(); d != "KafkaV2[Subscribe["+topic+"]]" {
		t.Errorf("description is %s", d)
	}
}

func testCancel(t *testing.T, open Open) {
	rng := random()
	p := NewTopic(t, topic, 1, nil)
	p.Batch(t, p.Client(t), true, Records(rng, 0, 100)...)
	src := open(t, Config{Brokers: p.Brokers, Topics: []string{topic}, ReadCommitted: true})
	whole := Whole(t, src)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := src.Fetch(ctx, whole, make(chan stream.Chunk)) // nobody takes a chunk
		failed <- err
	}()
	cancel()
	if err := <-failed; err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("fetch ended with %v", err)
	}
	records, _ := Fetch(t, src, whole) // nothing was lost by it
	Check(t, topic, p.Log, whole, records)
}
