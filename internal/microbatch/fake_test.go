package microbatch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/checkpoint"
	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/stream"
)

// fakeSource is topics in memory. A record's value is its offset, with the generation of its topic above; offsets in holes serve no
// record, as transaction markers do.
type fakeSource struct {
	mu         sync.Mutex
	held       stream.Bounds
	holes      map[stream.TopicPartition]map[int64]bool
	chunkSize  int64
	failOnLoss bool
	published  stream.Offsets
	sent, open int              // chunks: all, and those that were not released
	seen       []stream.Offsets // what Bounds was told

	onBounds  func(ctx context.Context) error
	onFetch   func(ctx context.Context) error
	onPublish func()
}

func newSource(b stream.Bounds) *fakeSource {
	return &fakeSource{held: b, chunkSize: 4, failOnLoss: true, holes: map[stream.TopicPartition]map[int64]bool{}}
}

func (s *fakeSource) grow(p int32, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, _ := s.held.Next.Get("t", p)
	first, _ := s.held.First.Get("t", p)
	s.held.First.Set("t", p, first)
	s.held.Next.Set("t", p, next+n)
}

func (s *fakeSource) retain(p int32, first int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held.First.Set("t", p, first)
}

// remake deletes the topic and makes it again, with partitions of so many records.
func (s *fakeSource) remake(next ...int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := fmt.Sprint("T", generationOf(s.held.TopicIDs["t"])+1)
	s.held = stream.Bounds{First: stream.Offsets{}, Next: stream.Offsets{}, TopicIDs: map[string]string{"t": id}}
	for p, n := range next {
		s.held.First.Set("t", int32(p), 0)
		s.held.Next.Set("t", int32(p), n)
	}
}

// generationOf is how often the topic of an id was made again: T, T1, T2.
func generationOf(id string) int64 {
	n, _ := strconv.ParseInt(strings.TrimPrefix(id, "T"), 10, 64)
	return n
}

// recordOf tells the record of an offset from that of the same offset in a topic made again.
func recordOf(generation, offset int64) int64 { return generation<<32 | offset }

func (s *fakeSource) Bounds(ctx context.Context, seen stream.Offsets) (stream.Bounds, error) {
	s.mu.Lock()
	s.seen = append(s.seen, seen)
	s.mu.Unlock()
	if s.onBounds != nil {
		if err := s.onBounds(ctx); err != nil {
			return stream.Bounds{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return stream.Bounds{First: s.held.First.Clone(), Next: s.held.Next.Clone(), TopicIDs: s.held.TopicIDs}, ctx.Err()
}

func (s *fakeSource) Fetch(ctx context.Context, ranges []stream.Range, out chan<- stream.Chunk) ([]stream.Gap, error) {
	if s.onFetch != nil {
		if err := s.onFetch(ctx); err != nil {
			return nil, err
		}
	}
	var gaps []stream.Gap
	ranges = slices.Clone(ranges)
	for len(ranges) > 0 { // one chunk of each partition in turn
		for i := 0; i < len(ranges); {
			r := &ranges[i]
			if r.Start >= r.End {
				ranges = slices.Delete(ranges, i, i+1)
				continue
			}
			c, lost := s.next(r)
			if lost > r.Start {
				g := stream.Gap{TopicPartition: r.TopicPartition, From: r.Start, To: lost}
				if s.failOnLoss {
					return nil, &stream.DataLossError{Gaps: []stream.Gap{g}, Reason: "retention"}
				}
				gaps, r.Start = append(gaps, g), g.To
				continue
			}
			r.Start = c.rng.End
			s.count(1)
			select {
			case out <- c:
				s.mu.Lock()
				s.sent++
				s.mu.Unlock()
			case <-ctx.Done():
				s.count(-1)
				return nil, ctx.Err()
			}
			i++
		}
	}
	return gaps, nil
}

// next returns the chunk at the begin of the range, or up to where the range is lost.
func (s *fakeSource) next(r *stream.Range) (c *fakeChunk, lost int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first, _ := s.held.First.Get(r.Topic, r.Partition)
	next, _ := s.held.Next.Get(r.Topic, r.Partition)
	id := s.held.TopicIDs[r.Topic]
	switch {
	case r.TopicID != "" && r.TopicID != id || next <= r.Start:
		return nil, r.End
	case r.Start < first:
		return nil, min(first, r.End)
	}
	end := min(r.Start+s.chunkSize, r.End, next)
	return &fakeChunk{s: s, rng: stream.Range{TopicPartition: r.TopicPartition, Start: r.Start, End: end}, at: r.Start,
		generation: generationOf(id)}, 0
}

func (s *fakeSource) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open += n
}

func (s *fakeSource) Publish(_ context.Context, end stream.Offsets) {
	if s.onPublish != nil {
		s.onPublish()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.published = end
}

func (s *fakeSource) Description() string { return "KafkaV2[Subscribe[t]]" }

type fakeChunk struct {
	s          *fakeSource
	rng        stream.Range
	at         int64
	generation int64
	served     int64
}

func (c *fakeChunk) Range() stream.Range { return c.rng }
func (c *fakeChunk) Served() int64       { return c.served }
func (c *fakeChunk) Release()            { c.s.count(-1) }

func (c *fakeChunk) Next(dst *stream.Records) (bool, error) {
	const most = 3
	*dst = stream.Records{TopicPartition: c.rng.TopicPartition, Offset: dst.Offset[:0], Timestamp: dst.Timestamp[:0],
		Key: dst.Key[:0], Value: dst.Value[:0]}
	for ; c.at < c.rng.End && len(dst.Offset) < most; c.at++ {
		if c.s.holes[c.rng.TopicPartition][c.at] {
			continue
		}
		dst.Value = append(dst.Value, stream.Span{Off: uint32(len(dst.Buf)), Len: 8})
		dst.Key = append(dst.Key, stream.Span{Len: -1})
		dst.Buf = binary.BigEndian.AppendUint64(dst.Buf, uint64(recordOf(c.generation, c.at)))
		dst.Offset, dst.Timestamp = append(dst.Offset, c.at), append(dst.Timestamp, c.at)
		c.served++
	}
	return len(dst.Offset) > 0, nil
}

// fakeDecoding appends offsets to a fakeWriter. before is called with each block of records.
type fakeDecoding struct {
	before func(ctx context.Context, r *stream.Records) error
	bad    func(tp stream.TopicPartition, offset int64) stream.Reason
	drop   bool // DROP, else FAILFAST
}

func (d *fakeDecoding) Begin(table column.Schema) func() stream.Decoder {
	return func() stream.Decoder { return &fakeDecoder{d: d, fields: len(table.Fields)} }
}

type fakeDecoder struct {
	d      *fakeDecoding
	fields int
	report stream.Report
}

func (d *fakeDecoder) Report() stream.Report { return d.report }

func (d *fakeDecoder) Decode(ctx context.Context, r *stream.Records, w stream.Writer) error {
	if d.d.before != nil {
		if err := d.d.before(ctx, r); err != nil {
			return err
		}
	}
	p := d.report.Partition(r.TopicPartition)
	for i, offset := range r.Offset {
		record := int64(binary.BigEndian.Uint64(r.Buf[r.Value[i].Off:]))
		if record&(1<<32-1) != offset {
			return fmt.Errorf("offset %d has the value %x", offset, record)
		}
		if d.d.bad != nil {
			if why := d.d.bad(r.TopicPartition, offset); why != "" && d.d.drop {
				if p.Rejected == nil {
					p.Rejected = map[stream.Reason]int64{}
				}
				p.Rejected[why]++
				continue
			} else if why != "" {
				return &stream.RecordError{TopicPartition: r.TopicPartition, Offset: offset, Reason: why,
					Err: problem.New(problem.BadRecord, "%s", why).At(problem.Record(r.Topic, r.Partition, offset))}
			}
		}
		w.(*fakeWriter).rows[r.TopicPartition] = append(w.(*fakeWriter).rows[r.TopicPartition], record)
		p.Rows++
	}
	return nil
}

// rowsOf are records, each as recordOf numbers it.
type rowsOf map[stream.TopicPartition][]int64

// A fakeVersion is one commit of the fake table.
type fakeVersion struct {
	batch  stream.Batch
	report stream.Report
	rows   rowsOf
}

// fakeTable is what outlives a process: the versions.
type fakeTable struct {
	checkpoint store.Store

	mu       sync.Mutex
	versions []fakeVersion
	fields   int // of its schema
	wrong    []string
}

// inOrder notes what the checkpoint must not be at the moment when a batch gets into the table: the batch has to be planned in it, the one
// before to be done, the one after not to be planned.
func (t *fakeTable) inOrder(b stream.Batch) {
	has := func(key string) bool {
		_, err := t.checkpoint.Get(context.Background(), key, 1<<20)
		return err == nil
	}
	for _, want := range []struct {
		key   string
		there bool
	}{{fmt.Sprint("offsets/", b.ID), true}, {fmt.Sprint("commits/", b.ID-1), b.ID > 0}, {fmt.Sprint("offsets/", b.ID+1), false}} {
		if has(want.key) != want.there {
			t.wrong = append(t.wrong, fmt.Sprintf("when batch %d was committed, %s there was %v", b.ID, want.key, !want.there))
		}
	}
}

// fakeSink is one process's view of a fakeTable.
type fakeSink struct {
	*fakeTable
	begun, aborted int
	open           map[*fakeTx]bool // neither committed nor aborted
	workers        []int            // writers of each Tx
	onBegin        func() error
	onCommitted    func() error
	// onCommit may refuse a commit before it is done, or lose its answer after.
	onCommit func(ctx context.Context, b stream.Batch) (before, after error)
	inTable  func(*stream.InTable) // changes what Committed says
	moves    map[int64]bool        // batches that change the table's schema
	// The errors of writers; as any of a store they are problems.
	writerErr, closeErr error
}

func (s *fakeSink) Committed(_ context.Context, id string) (stream.InTable, error) {
	if s.onCommitted != nil {
		if err := s.onCommitted(); err != nil {
			return stream.InTable{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := stream.InTable{Exists: len(s.versions) > 0, BySilt: true, Version: int64(len(s.versions)) - 1, Batch: -1,
		End: stream.Offsets{}, DataVersion: int64(len(s.versions)) - 1}
	for _, v := range s.versions {
		if v.batch.QueryID != id {
			continue
		}
		t.Batch = v.batch.ID
		b := stream.NewBatchInfo(v.batch, v.report).Batch(id)
		t.Last = &b
		for tp, end := range v.batch.End.All() {
			t.End.Set(tp.Topic, tp.Partition, end)
		}
	}
	if s.inTable != nil {
		s.inTable(&t)
	}
	return t, nil
}

func (s *fakeSink) Begin(ctx context.Context, b stream.Batch) (stream.Tx, error) {
	if s.onBegin != nil {
		if err := s.onBegin(); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.versions {
		if v.batch.QueryID == b.QueryID && v.batch.ID >= b.ID {
			return nil, fmt.Errorf("batch %d: %w", b.ID, stream.ErrDiverged)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.begun++
	t := &fakeTx{s: s, b: b, fields: s.fields}
	s.open[t] = true
	if len(s.open) > 2 {
		s.wrong = append(s.wrong, fmt.Sprintf("batch %d is begun while two are open", b.ID))
	}
	return t, nil
}

// land commits a batch of the first generation of its topics, as if from elsewhere.
func (s *fakeSink) land(b stream.Batch) {
	v := fakeVersion{batch: b, rows: rowsOf{}}
	for _, r := range b.Ranges() {
		for offset := r.Start; offset < r.End; offset++ {
			v.rows[r.TopicPartition] = append(v.rows[r.TopicPartition], recordOf(generationOf(b.TopicIDs[r.Topic]), offset))
		}
		p := v.report.Partition(r.TopicPartition)
		p.Served, p.Rows = r.End-r.Start, r.End-r.Start
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.versions = append(s.versions, v)
}

type fakeTx struct {
	s       *fakeSink
	b       stream.Batch
	fields  int
	writers []*fakeWriter // under s.mu
	open    int           // of them, under s.mu
}

func (t *fakeTx) Schema() column.Schema { return column.Schema{Fields: make([]column.Field, t.fields)} }

func (t *fakeTx) Writer() (stream.Writer, error) {
	if t.s.writerErr != nil {
		return nil, problem.New(problem.StoreFailed, "%w", t.s.writerErr)
	}
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	for other := range t.s.open {
		if other != t && other.open > 0 {
			t.s.wrong = append(t.s.wrong, fmt.Sprintf("the workers of batch %d begin while those of batch %d are not through", t.b.ID, other.b.ID))
		}
	}
	w := &fakeWriter{t: t, rows: rowsOf{}}
	t.writers, t.open = append(t.writers, w), t.open+1
	return w, nil
}

func (t *fakeTx) Commit(ctx context.Context, r stream.Report) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	var after error
	if t.s.onCommit != nil {
		var before error
		if before, after = t.s.onCommit(ctx, t.b); before != nil {
			return 0, before
		}
	}
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if t.open != 0 {
		return 0, fmt.Errorf("%d writers are open", t.open)
	}
	if t.fields != t.s.fields {
		return 0, stream.ErrSchemaMoved
	}
	for _, v := range t.s.versions {
		if v.batch.QueryID == t.b.QueryID && v.batch.ID >= t.b.ID {
			return 0, stream.ErrFenced
		}
	}
	v := fakeVersion{batch: t.b, report: r, rows: rowsOf{}}
	for _, w := range t.writers {
		for tp, offsets := range w.rows {
			v.rows[tp] = append(v.rows[tp], offsets...)
		}
	}
	for tp, p := range r.Partitions {
		if int(p.Rows) != len(v.rows[tp]) {
			return 0, fmt.Errorf("%v: %d rows reported, %d written: %w", tp, p.Rows, len(v.rows[tp]), stream.ErrNotCommitted)
		}
	}
	t.s.workers = append(t.s.workers, len(t.writers))
	t.s.versions = append(t.s.versions, v)
	t.s.inOrder(t.b)
	if t.s.moves[t.b.ID] {
		t.s.fields++
	}
	delete(t.s.open, t)
	return int64(len(t.s.versions)) - 1, after
}

func (t *fakeTx) Abort(context.Context) error {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	t.s.aborted++
	t.open = 0
	delete(t.s.open, t)
	return nil
}

type fakeWriter struct {
	t    *fakeTx
	rows rowsOf
}

func (w *fakeWriter) Block(column.Schema) (*column.Block, error) { return nil, errors.ErrUnsupported }
func (w *fakeWriter) Flush() error                               { return nil }
func (w *fakeWriter) Close() error {
	w.t.s.mu.Lock()
	defer w.t.s.mu.Unlock()
	w.t.open--
	if w.t.s.closeErr != nil {
		return problem.New(problem.StoreFailed, "%w", w.t.s.closeErr)
	}
	return nil
}

// rows are all offsets in the table, in order.
func (t *fakeTable) all() rowsOf {
	t.mu.Lock()
	defer t.mu.Unlock()
	sum := rowsOf{}
	for _, v := range t.versions {
		for tp, offsets := range v.rows {
			sum[tp] = append(sum[tp], offsets...)
		}
	}
	for _, offsets := range sum {
		slices.Sort(offsets)
	}
	return sum
}

func (t *fakeTable) isEmpty() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.versions) == 0
}

// check fails unless the table has every record of the source from start on exactly once, but for those in lost gaps, no record of topics
// that are not there any more twice, and batches that follow each other.
func (t *fakeTable) check(s *fakeSource, start stream.Offsets) error {
	if len(t.wrong) > 0 {
		return errors.New(strings.Join(t.wrong, "; "))
	}
	end, ids := start.Clone(), map[stream.TopicPartition]string{} // of each partition's newest batch
	for tp := range start.All() {
		ids[tp] = "T"
	}
	lost := map[stream.TopicPartition]map[int64]bool{}
	for i, v := range t.versions {
		if v.batch.ID != int64(i) {
			return fmt.Errorf("version %d holds batch %d", i, v.batch.ID)
		}
		for tp, to := range v.batch.End.All() {
			from, _ := v.batch.Start.Get(tp.Topic, tp.Partition)
			id := v.batch.TopicIDs[tp.Topic]
			if from == to { // of a topic made again that was gone before it was read, the offset says nothing
				continue
			}
			if was, ok := end.Get(tp.Topic, tp.Partition); ok && was != from && ids[tp] == id {
				return fmt.Errorf("batch %d, %v: begins at %d, and the one before ended at %d", i, tp, from, was)
			}
			end.Set(tp.Topic, tp.Partition, to)
			ids[tp] = id
			for _, record := range v.rows[tp] {
				if record>>32 != generationOf(id) {
					return fmt.Errorf("batch %d, %v of topic id %q: holds record %x", i, tp, id, record)
				}
			}
			if lost[tp] == nil {
				lost[tp] = map[int64]bool{}
			}
			if p := v.report.Partitions[tp]; p != nil {
				for _, g := range p.Gaps {
					for o := g.From; o < g.To; o++ {
						lost[tp][recordOf(generationOf(id), o)] = true
					}
				}
			}
		}
	}
	rows := t.all()
	for tp, records := range rows {
		if once := slices.Compact(slices.Clone(records)); len(once) != len(records) {
			return fmt.Errorf("%v holds records twice: %x", tp, records)
		}
	}
	for tp, next := range s.held.Next.All() {
		generation := generationOf(s.held.TopicIDs[tp.Topic])
		var from int64
		if generation == 0 {
			from, _ = start.Get(tp.Topic, tp.Partition)
		}
		first, _ := s.held.First.Get(tp.Topic, tp.Partition)
		var want []int64
		for o := from; o < next; o++ {
			if record := recordOf(generation, o); !s.holes[tp][o] && !(o < first && lost[tp][record]) {
				want = append(want, record)
			}
		}
		got := slices.DeleteFunc(slices.Clone(rows[tp]), func(record int64) bool { return record>>32 != generation })
		if !slices.Equal(got, want) {
			return fmt.Errorf("%v holds %x, want %x", tp, got, want)
		}
	}
	return nil
}

// A world is what outlives a process, and the options of the query.
type world struct {
	t      *testing.T
	source *fakeSource
	table  *fakeTable
	disk   store.Store
	o      Options

	request  time.Duration // that an effect takes in a process that lives, see live
	ids      atomic.Int64
	progress []Progress
	extra    []Extra
	mu       sync.Mutex
	trace    []string
}

func newWorld(t *testing.T, b stream.Bounds) *world {
	disk := store.NewMemory(nil)
	return &world{t: t, source: newSource(b), table: &fakeTable{checkpoint: disk}, disk: disk,
		o: Options{Name: "q", Starting: stream.Starting{All: stream.Earliest}, FailOnDataLoss: true,
			Trigger: Trigger{Kind: AvailableNow}, Workers: 3,
			Table: "dir/table", Checkpoint: "dir/checkpoint", SinkDescription: "DeltaSink[dir/table]"}}
}

func (w *world) newID() string { return fmt.Sprintf("%08d-0000-4000-8000-000000000000", w.ids.Add(1)) }

// process returns a runner of a new process, with its sink and what ends it, once the runner has ended: no batch may be left in its hands.
func (w *world) process(disk store.Store) (*Runner, *fakeSink, func()) {
	sink := &fakeSink{fakeTable: w.table, open: map[*fakeTx]bool{}}
	log := checkpoint.New(disk, checkpoint.Options{CRC: true})
	r := &Runner{Source: w.source, Decoding: &fakeDecoding{}, Sink: sink, Log: log, Options: w.o, Now: time.Now,
		NewID: w.newID,
		Progress: func(p Progress, x Extra) {
			w.progress, w.extra = append(w.progress, p), append(w.extra, x)
		},
		Trace: func(line string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.trace = append(w.trace, line)
		},
	}
	return r, sink, func() {
		_ = log.Close()
		for tx := range sink.open {
			w.t.Errorf("batch %d was neither committed nor given up", tx.b.ID)
		}
	}
}

// run runs a process to its end.
func (w *world) run(change func(*Runner, *fakeSink)) error { return w.runUnder(w.t.Context(), change) }

func (w *world) runUnder(ctx context.Context, change func(*Runner, *fakeSink)) error {
	r, sink, end := w.process(w.disk)
	defer end()
	if change != nil {
		change(r, sink)
	}
	return r.Run(ctx)
}

// ok runs a process that must end well.
func (w *world) ok(change func(*Runner, *fakeSink)) {
	w.t.Helper()
	w.okUnder(w.t.Context(), change)
}

// okFor runs a process that is stopped after d, and must end well.
func (w *world) okFor(d time.Duration, change func(*Runner, *fakeSink)) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), d)
	defer cancel()
	w.okUnder(ctx, change)
}

func (w *world) okUnder(ctx context.Context, change func(*Runner, *fakeSink)) {
	w.t.Helper()
	if err := w.runUnder(ctx, change); err != nil {
		w.t.Fatal(err)
	}
	if w.source.open != 0 {
		w.t.Errorf("%d chunks were not released", w.source.open)
	}
}

// exactlyOnce checks the table against the topic.
func (w *world) exactlyOnce(start stream.Offsets) {
	w.t.Helper()
	if err := w.table.check(w.source, start); err != nil {
		w.t.Error(err)
	}
}

type schema = column.Schema

func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }
