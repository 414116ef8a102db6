// Package load fills Kafka topics fast: a few million records in seconds, or so many a second, in transactions or without.
package load

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Make appends the key and the value of record i to key and value.
type Make func(i int64, key, value []byte) (k, v []byte)

// Options says what to produce; Topic, Partitions and Make are needed.
type Options struct {
	Client     []kgo.Opt // how to reach the broker
	Topic      string
	Partitions int32
	Make       Make

	Records int64         // how many; 0: until For or ctx ends
	Rate    int           // records a second; 0: as fast as the broker takes them
	For     time.Duration // with Rate: how long; 0: until Records were sent or ctx ends
	// Run is how many records go to one partition before the next one's turn; 500 if 0, and always 1 with Rate.
	Run int
	// BatchBytes bounds a record batch, before compression; 110,000 if 0. 2,500 makes batches of about ten clickstream records.
	BatchBytes int32
	// Compression is lz4, zstd, gzip, snappy or none; lz4 if empty.
	Compression string
	// Transaction is a transactional id: every Run records are a transaction, and every second one is aborted.
	Transaction string
}

// Report is what Run did.
type Report struct {
	Records int64 // sent and acknowledged
	Aborted int64 // of these, in transactions that were aborted
	Bytes   int64 // of values
	Took    time.Duration
}

// Run produces until all records were acknowledged, or ctx ends, which is no error. It returns the first record that the broker refused.
func Run(ctx context.Context, o Options) (Report, error) {
	opts, err := o.clientOpts()
	if err != nil {
		return Report{}, err
	}
	cl, err := kgo.NewClient(append(opts, o.Client...)...)
	if err != nil {
		return Report{}, err
	}
	defer cl.Close()
	p := &producer{Options: o, cl: cl, start: time.Now()}
	if p.Run == 0 {
		p.Run = 500
	}
	switch {
	case o.Transaction != "":
		err = p.transactions(ctx)
	case o.Rate > 0:
		err = p.paced(ctx)
	default:
		err = p.fast(ctx)
	}
	// What was handed over is acknowledged even if ctx ended, so that the report is true.
	if flushErr := cl.Flush(context.WithoutCancel(ctx)); err == nil {
		err = flushErr
	}
	if refused := p.refused.Load(); refused != nil {
		err = errors.Join(err, *refused)
	}
	return Report{Records: p.acked.Load(), Aborted: p.aborted, Bytes: p.bytes, Took: time.Since(p.start)}, err
}

func (o Options) clientOpts() ([]kgo.Opt, error) {
	codecs := map[string]kgo.CompressionCodec{
		"": kgo.Lz4Compression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "none": kgo.NoCompression(),
	}
	codec, ok := codecs[o.Compression]
	if !ok {
		return nil, fmt.Errorf("unknown compression %q", o.Compression)
	}
	linger := 20 * time.Millisecond // full batches
	if o.Rate > 0 || o.Transaction != "" {
		linger = 5 * time.Millisecond
	}
	batch := o.BatchBytes
	if batch == 0 {
		batch = 110_000
	}
	opts := []kgo.Opt{
		kgo.DefaultProduceTopic(o.Topic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codec),
		kgo.ProducerBatchMaxBytes(batch), kgo.ProducerLinger(linger), kgo.MaxBufferedRecords(60_000),
		// A broker that is restarted answers in its own time, and may close connections before.
		kgo.RecordDeliveryTimeout(2 * time.Minute), kgo.RetryTimeout(2 * time.Minute), kgo.AlwaysRetryEOF(),
	}
	if o.Transaction != "" {
		opts = append(opts, kgo.TransactionalID(o.Transaction))
	}
	return opts, nil
}

type producer struct {
	Options
	cl      *kgo.Client
	start   time.Time
	made    int64
	bytes   int64
	aborted int64
	acked   atomic.Int64
	refused atomic.Pointer[error]
}

// send hands the next record over; ctx is deliberately not given to Produce, which would fail records that are on their way.
func (p *producer) send(run int) {
	r := &kgo.Record{Partition: int32(p.made / int64(run) % int64(p.Partitions))}
	r.Key, r.Value = p.Make(p.made, nil, make([]byte, 0, 256))
	p.made++
	p.bytes += int64(len(r.Value))
	p.cl.Produce(context.Background(), r, func(_ *kgo.Record, err error) {
		if err != nil {
			p.refused.CompareAndSwap(nil, &err)
			return
		}
		p.acked.Add(1)
	})
}

func (p *producer) done(ctx context.Context) bool {
	return ctx.Err() != nil || p.refused.Load() != nil || p.Records > 0 && p.made >= p.Records
}

func (p *producer) fast(ctx context.Context) error {
	for !p.done(ctx) {
		p.send(p.Run)
	}
	return nil
}

func (p *producer) paced(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !p.done(ctx) {
		elapsed := time.Since(p.start)
		if p.For > 0 && elapsed >= p.For {
			return nil
		}
		for due := int64(elapsed.Seconds() * float64(p.Rate)); p.made < due && !p.done(ctx); {
			p.send(1)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return nil
}

// transactions cycles through the partitions record by record, so that a transaction's records lie in all of them.
func (p *producer) transactions(ctx context.Context) error {
	through := context.WithoutCancel(ctx) // a transaction is finished
	for n := 0; !p.done(ctx); n++ {
		if err := p.cl.BeginTransaction(); err != nil {
			return fmt.Errorf("begin transaction %d: %w", n, err)
		}
		before := p.made
		for range p.Run {
			p.send(1)
		}
		if err := p.cl.Flush(through); err != nil {
			return fmt.Errorf("flush transaction %d: %w", n, err)
		}
		commit := kgo.TransactionEndTry(n%2 == 0)
		if err := p.cl.EndTransaction(through, commit); err != nil {
			return fmt.Errorf("end transaction %d: %w", n, err)
		}
		if commit == kgo.TryAbort {
			p.aborted += p.made - before
		}
	}
	return nil
}
