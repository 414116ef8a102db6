package microbatch

import (
	"context"
	"encoding/binary"
	"iter"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siltlake/silt/internal/checkpoint"
	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/delta"
	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/stream"
	"github.com/siltlake/silt/internal/table"
)

// A slowStore takes its time for every request. An upload is one: what is written goes out beside the work.
type slowStore struct {
	store.Store
	request time.Duration
}

func (s slowStore) Put(ctx context.Context, key string, data []byte) error {
	if err := sleep(ctx, s.request); err != nil {
		return err
	}
	return s.Store.Put(ctx, key, data)
}

func (s slowStore) PutIfAbsent(ctx context.Context, key string, data []byte) (store.Outcome, error) {
	if err := sleep(ctx, s.request); err != nil {
		return store.Unknown, err
	}
	return s.Store.PutIfAbsent(ctx, key, data)
}

func (s slowStore) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	if err := sleep(ctx, s.request); err != nil {
		return nil, err
	}
	return s.Store.Get(ctx, key, limit)
}

func (s slowStore) Open(ctx context.Context, key string) (store.Object, error) {
	if err := sleep(ctx, s.request); err != nil {
		return nil, err
	}
	return s.Store.Open(ctx, key)
}

func (s slowStore) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		if err := sleep(ctx, s.request); err != nil {
			yield(store.Info{}, err)
			return
		}
		s.Store.List(ctx, prefix, after)(yield)
	}
}

func (s slowStore) Delete(ctx context.Context, key string) error {
	if err := sleep(ctx, s.request); err != nil {
		return err
	}
	return s.Store.Delete(ctx, key)
}

func (s slowStore) Create(ctx context.Context, key string) (store.Upload, error) {
	u, err := s.Store.Create(ctx, key)
	return slowUpload{u, s.request}, err
}

type slowUpload struct {
	store.Upload
	request time.Duration
}

func (u slowUpload) Commit(ctx context.Context) error {
	if err := sleep(ctx, u.request); err != nil {
		return err
	}
	return u.Upload.Commit(ctx)
}

// rowDecoding decodes into a real table's blocks: one column, the offset. It takes so long for each record.
type rowDecoding struct{ record time.Duration }

var offsetColumn = column.Of(column.Nullable("offset", column.Primitive(column.Long)))

func (d rowDecoding) Begin(column.Schema) func() stream.Decoder {
	return func() stream.Decoder { return &rowDecoder{d: d, report: stream.Report{Columns: offsetColumn}} }
}

type rowDecoder struct {
	d      rowDecoding
	report stream.Report
}

func (d *rowDecoder) Report() stream.Report { return d.report }

func (d *rowDecoder) Decode(ctx context.Context, r *stream.Records, w stream.Writer) error {
	if err := sleep(ctx, d.d.record*time.Duration(len(r.Offset))); err != nil {
		return err
	}
	b, err := w.Block(offsetColumn)
	if err != nil {
		return err
	}
	rows := column.NewRows(b.Layout)
	for i := range r.Offset {
		rows.Leaves[0].Ints[rows.Len()] = int64(binary.BigEndian.Uint64(r.Buf[r.Value[i].Off:]))
		rows.AddRow()
	}
	b.Append(make([]byte, column.Slack), rows)
	d.report.Partition(r.TopicPartition).Rows += int64(len(r.Offset))
	return w.Flush()
}

// A backlog in batches of a second's work each, on a store that takes 300 ms a request, with table and checkpoint as they are: what a batch takes
// is its work and the upload of its file. Its other requests, of commit, offset log and commit log, pass while the next one is written.
func TestASlowStoreCostsLatencyNotThroughput(t *testing.T) {
	const (
		batches = 9 // fewer than a log checkpoint waits for
		request = 300 * time.Millisecond
		work    = time.Second // a batch
	)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bounds([2]int64{0, 100 * batches}))
		w.o.MaxOffsetsPerTrigger, w.o.Workers, w.source.chunkSize = 100, 1, 50
		files := store.NewMemory(nil)
		sink := table.New(table.Options{TargetFileSize: 64 << 20}, table.Deps{Store: slowStore{files, request}, Engine: "silt/test",
			CreatedBy: "silt version test", Now: time.Now, NewID: w.newID, Workers: 1, Log: slog.New(slog.DiscardHandler)})
		defer sink.Close()
		log := checkpoint.New(slowStore{w.disk, request}, checkpoint.Options{})
		defer log.Close()
		r, _, end := w.process(w.disk)
		defer end()
		var done []time.Time
		r.Sink, r.Log, r.Decoding, r.Trace = sink, log, rowDecoding{work / 100}, nil
		r.Progress = func(p Progress, x Extra) {
			done = append(done, time.Now())
			if x.Rows != 100 || p.BatchID != int64(len(done)-1) || x.Ahead != (p.BatchID > 0) {
				t.Errorf("batch %d: %+v", p.BatchID, x)
			}
		}
		if err := r.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		s, err := delta.Open(files, delta.Options{}).Snapshot(t.Context())
		if err != nil || s.Version() != batches-1 {
			t.Fatalf("version %d, %v", s.Version(), err)
		}
		// The second batch also asks who made the table.
		if each := done[batches-1].Sub(done[1]) / (batches - 2); each > work+request {
			t.Errorf("a batch took %v, want at most %v", each, work+request)
		}
	})
}
