package microbatch

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// A harvest is what the workers of a batch met.
type harvest struct {
	report  stream.Report
	parts   []stream.Range // what was read, and the gaps
	bytes   int64          // of keys and values
	reading time.Duration
	waited  []time.Duration // of reading, a worker: see waiting
}

// A reading is one attempt to read a batch's ranges into a Tx: the source's goroutine sends chunks into one channel, and any worker takes
// any chunk.
//
// The first error ends it. If that is a bad record, chunks of the same partition with lower offsets are read all the same: chunks of a
// partition are sent, and so received, in order, hence another worker has them already, though perhaps it has not begun. So the bad record
// that is reported at the end is the lowest of its partition. No other chunk is begun, and workers that read one are told to stop.
type reading struct {
	source  stream.Source
	decoder func() stream.Decoder
	tx      stream.Tx
	chunks  chan stream.Chunk
	stop    context.CancelFunc // of fetching
	now     func() time.Time

	mu      sync.Mutex
	err     error               // the first
	record  *stream.RecordError // if that is one: the lowest of its partition so far
	workers []*worker
}

// read fetches and decodes the ranges with n workers. Every Writer is closed if it returns nil; otherwise the Tx is to be aborted.
func read(ctx context.Context, source stream.Source, decoding stream.Decoding, tx stream.Tx, ranges []stream.Range,
	n int, now func() time.Time) (harvest, error) {
	fetching, stop := context.WithCancel(ctx)
	defer stop()
	r := &reading{source: source, decoder: decoding.Begin(tx.Schema()), tx: tx, chunks: make(chan stream.Chunk, n), stop: stop, now: now}
	for range n {
		w := &worker{r: r, served: map[stream.TopicPartition]int64{}}
		w.ctx, w.cancel = context.WithCancel(ctx)
		defer w.cancel()
		r.workers = append(r.workers, w)
	}
	var group sync.WaitGroup
	for _, w := range r.workers {
		group.Go(w.run)
	}
	gaps := r.fetch(fetching, ranges)
	close(r.chunks)
	group.Wait()
	switch {
	case r.record != nil:
		return harvest{}, r.record
	case r.err != nil:
		return harvest{}, r.err
	}
	return r.harvest(ranges, gaps), nil
}

// fetch runs in the goroutine of read.
func (r *reading) fetch(ctx context.Context, ranges []stream.Range) []stream.Gap {
	if len(ranges) == 0 {
		return nil
	}
	var gaps []stream.Gap
	err := problem.Catch("fetching", func() (err error) {
		gaps, err = r.source.Fetch(ctx, ranges, r.chunks)
		return err
	})
	if err != nil {
		r.fail(nil, err)
	}
	return gaps
}

// harvest adds up what the workers counted.
func (r *reading) harvest(ranges []stream.Range, gaps []stream.Gap) harvest {
	var h harvest
	var shifts []*shift
	for _, rg := range ranges { // a partition of which no record was served has moved all the same
		h.report.Partition(rg.TopicPartition)
	}
	for _, w := range r.workers {
		h.report.Add(w.report)
		for tp, n := range w.served {
			h.report.Partition(tp).Served += n
		}
		h.parts = append(h.parts, w.parts...)
		h.bytes += w.bytes
		shifts = append(shifts, &w.shift)
	}
	h.reading, h.waited = waiting(shifts)
	for _, g := range gaps {
		p := h.report.Partition(g.TopicPartition)
		p.Gaps = append(p.Gaps, g)
		h.parts = append(h.parts, stream.Range{TopicPartition: g.TopicPartition, Start: g.From, End: g.To})
	}
	return h
}

// fail ends the reading with w's error, or with fetching's if w is nil.
func (r *reading) fail(w *worker, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var record *stream.RecordError
	isRecord := errors.As(err, &record)
	switch {
	case r.err == nil:
		r.err, r.record = err, record
		r.stop()
	case isRecord && r.wants(record.TopicPartition, record.Offset):
		r.record = record
	}
	for _, other := range r.workers {
		if other != w && other.holds && !r.wants(other.held.TopicPartition, other.held.Start) {
			other.cancel()
		}
	}
}

// wants says whether a bad record at the place, or beyond it, would be reported in place of the one that is known.
//
// REQUIRES: r.mu, and r.err is set.
func (r *reading) wants(tp stream.TopicPartition, offset int64) bool {
	return r.record != nil && tp == r.record.TopicPartition && offset < r.record.Offset
}

// take says whether w reads a chunk that it got from the channel.
func (r *reading) take(w *worker, rg stream.Range) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.held, w.holds = rg, r.err == nil || r.wants(rg.TopicPartition, rg.Start)
	return w.holds
}

// done says that w is through with its chunk.
func (r *reading) done(w *worker) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.holds = false
}

// A worker decodes chunks into files of its own.
type worker struct {
	r      *reading
	ctx    context.Context
	cancel context.CancelFunc

	held  stream.Range // the last chunk; under r.mu
	holds bool         // it is being read; under r.mu

	records stream.Records
	decoder stream.Decoder
	writer  stream.Writer
	report  stream.Report
	served  map[stream.TopicPartition]int64
	parts   []stream.Range // read to their end
	bytes   int64
	shift   shift
}

// run reads chunks until the channel is closed; after an error it only releases them, so that the source does not block. A panic is an
// error like any other: no part of a batch stays behind.
func (w *worker) run() {
	if err := problem.Catch("opening a writer", w.open); err != nil {
		w.r.fail(w, err)
	}
	w.shift.waits(w.r.now())
	for c := range w.r.chunks {
		w.shift.takes(w.r.now())
		err := problem.Catch("decoding", func() error {
			defer c.Release()
			if !w.r.take(w, c.Range()) {
				return nil
			}
			defer w.r.done(w)
			return w.read(c)
		})
		if err != nil {
			w.r.fail(w, err)
		}
		w.shift.waits(w.r.now())
	}
	if err := problem.Catch("closing a writer", w.close); err != nil {
		w.r.fail(w, err)
	}
}

func (w *worker) open() error {
	w.decoder = w.r.decoder()
	var err error
	w.writer, err = w.r.tx.Writer()
	return err
}

func (w *worker) read(c stream.Chunk) error {
	for {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		more, err := c.Next(&w.records)
		if err != nil {
			return err
		}
		if !more {
			w.served[c.Range().TopicPartition] += c.Served()
			w.through(c.Range())
			return nil
		}
		if err := w.decoder.Decode(w.ctx, &w.records, w.writer); err != nil {
			return err
		}
		for _, s := range w.records.Key {
			w.bytes += int64(max(s.Len, 0))
		}
		for _, s := range w.records.Value {
			w.bytes += int64(max(s.Len, 0))
		}
	}
}

// through notes that a range was read to its end.
func (w *worker) through(r stream.Range) {
	if n := len(w.parts); n > 0 && w.parts[n-1].TopicPartition == r.TopicPartition && w.parts[n-1].End == r.Start {
		w.parts[n-1].End = r.End
		return
	}
	w.parts = append(w.parts, r)
}

// close closes the writer if all went well: files of a batch that is given up are not worth finishing.
func (w *worker) close() error {
	w.r.mu.Lock()
	failed := w.r.err != nil
	w.r.mu.Unlock()
	if failed || w.writer == nil {
		return nil
	}
	if err := w.writer.Close(); err != nil {
		return err
	}
	w.report = w.decoder.Report()
	return nil
}

// workersFor is how many workers a batch is worth: one for 16 MiB, all if nothing is known of its size.
func workersFor(ranges []stream.Range, bytesPerOffset float64, most int) int {
	const share = 16 << 20
	if bytesPerOffset <= 0 {
		return most
	}
	var offsets int64
	for _, r := range ranges {
		offsets += r.End - r.Start
	}
	return min(max(int(float64(offsets)*bytesPerOffset/share), 1), most)
}
