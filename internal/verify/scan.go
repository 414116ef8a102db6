package verify

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/siltlake/silt/internal/delta"
	"github.com/siltlake/silt/internal/parquet"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// scanner holds what the files and the topic say, a set of offsets for each partition of each query.
type scanner struct {
	audit    Audit
	sets     map[key]*set
	findings []Finding
	files    int64
	rows     int64
	other    int64
}

type key struct {
	query string
	stream.TopicPartition
}

// A set is the rows of one partition of one query.
type set struct {
	*Partition
	query   string
	offsets *bitmap
	rows    int64 // read from files, doubles included
	double  int64 // ... more than once
	first   int64 // the first of them
	outside int64 // rows of silt's own files that lie in no range
	outAt   int64
	served  int64 // by the topic, where it was asked, inside the ranges
	absent  int64 // served by the topic and not in the table
	absAt   int64
	asked   int64 // offsets of the ranges that the topic was asked for
}

// recordColumns name a Kafka record.
var recordColumns = []string{"topic", "partition", "offset"}

func newScanner(a Audit) *scanner {
	s := &scanner{audit: a, sets: map[key]*set{}}
	for _, q := range a.Queries {
		for _, p := range q.Partitions {
			s.sets[key{q.ID, stream.TopicPartition{Topic: p.Topic, Partition: p.Partition}}] = &set{Partition: p, query: q.ID, offsets: newBitmap(),
				first: -1, outAt: -1, absAt: -1}
		}
	}
	return s
}

// table reads every live file.
func (s *scanner) table(ctx context.Context, log *delta.Log, snap *delta.Snapshot, progress func(done, of int)) error {
	for _, c := range recordColumns {
		if _, i := snap.Schema().Lookup(c); i < 0 {
			url := log.Store().URL()
			return problem.New(problem.NoTable, "the table has no column %s, so its rows cannot be told apart", c).At(problem.File(url)).
				Because(errNoColumns).
				Fix("verify it without --scan; select topic, partition and offset to have tables that can be scanned")
		}
	}
	var adds []*delta.Add
	for a, err := range snap.Files(ctx) {
		if err != nil {
			return err
		}
		adds = append(adds, a)
	}
	slices.SortFunc(adds, func(a, b *delta.Add) int { return int(a.ModificationTime - b.ModificationTime) })
	for i, a := range adds {
		if err := s.file(ctx, log, a); err != nil {
			return err
		}
		if progress != nil {
			progress(i+1, len(adds))
		}
	}
	return nil
}

// file reads one file.
func (s *scanner) file(ctx context.Context, log *delta.Log, a *delta.Add) error {
	s.files++
	name := a.Name()
	broken := func(err error) error {
		return problem.New(problem.CorruptLog, "file %s of the table cannot be read: %w", name, err).At(problem.File(log.Store().URL())).
			Fix("restore the file from a backup; the table's readers fail on it as well")
	}
	o, err := log.Store().Open(ctx, name)
	if err != nil {
		return broken(err)
	}
	defer o.Close()
	r, err := parquet.Open(o, o.Size())
	if err != nil {
		return broken(err)
	}
	for _, c := range recordColumns {
		if !r.Has(c) { // another writer's file, whose rows say nothing of Kafka
			s.rows += r.Rows()
			s.other += r.Rows()
			return nil
		}
	}
	f := fileScan{s: s, from: s.audit.files[name], last: map[key]int64{}, name: name}
	for v, err := range r.Columns(recordColumns...) {
		if err != nil {
			return broken(err)
		}
		for i := range v[0].N {
			if v[0].Null(i) || v[1].Null(i) || v[2].Null(i) {
				s.other++
				continue
			}
			f.row(v[0].Bytes[i], int32(v[1].Ints[i]), v[2].Ints[i])
		}
		s.rows += int64(v[0].N)
	}
	return nil
}

// fileScan is the state while one file is read.
type fileScan struct {
	s    *scanner
	name string
	from added
	last map[key]int64 // newest offset of each partition
	cur  *set
	key  key
	at   int64 // newest offset of cur

	disorder bool // was found
}

// row counts one row. Consecutive rows are mostly of one partition.
func (f *fileScan) row(topic []byte, partition int32, offset int64) {
	if f.cur == nil || f.key.Partition != partition || f.key.Topic != string(topic) {
		if f.cur != nil {
			f.last[f.key] = f.at
		}
		f.key = key{f.from.query, stream.TopicPartition{Topic: string(topic), Partition: partition}}
		f.cur = f.s.find(f.key)
		f.at = -1
		if l, ok := f.last[f.key]; ok {
			f.at = l
		}
	}
	c := f.cur
	if c == nil || offset < 0 {
		f.s.other++
		return
	}
	own := f.from.query != ""
	if !c.holds(offset) {
		f.s.other++
		if own {
			if c.outside++; c.outAt < 0 {
				c.outAt = offset
			}
		}
		return
	}
	if own && offset < f.at && !f.disorder {
		f.disorder = true // one finding a file
		f.s.findings = append(f.s.findings, Finding{Kind: Disorder, Version: f.from.version, Query: c.query, Topic: c.Topic, Partition: partition,
			Offset: offset,
			Text:   fmt.Sprintf("file %s: offset %d of %s-%d comes after %d", f.name, offset, c.Topic, partition, f.at)})
	}
	f.at = max(f.at, offset)
	c.rows++
	if !c.offsets.add(offset) {
		if c.double++; c.first < 0 || offset < c.first {
			c.first = offset
		}
	}
}

// find returns the set that a row belongs to. A file that another writer made of silt's (OPTIMIZE) says no query: its rows count for the
// one query that has the partition, if there is but one.
func (s *scanner) find(k key) *set {
	if k.query != "" {
		return s.sets[k]
	}
	var found *set
	for q, c := range s.sets {
		if q.TopicPartition == k.TopicPartition {
			if found != nil {
				return nil
			}
			found = c
		}
	}
	return found
}

// topic fetches what the log says was landed, as far as the topic still has it, and marks what is not in the table.
func (s *scanner) topic(ctx context.Context, source stream.Source) error {
	b, err := source.Bounds(ctx, nil)
	if err != nil {
		return err
	}
	var ranges []stream.Range
	for k, c := range s.sets {
		first, ok := b.First.Get(k.Topic, k.Partition)
		next, _ := b.Next.Get(k.Topic, k.Partition)
		if !ok {
			continue
		}
		for _, g := range c.Segments {
			if r := (stream.Range{TopicPartition: k.TopicPartition, Start: max(g.Start, first), End: min(g.End, next),
				TopicID: b.TopicIDs[k.Topic]}); r.Start < r.End {
				ranges = append(ranges, r)
				c.asked += r.End - r.Start
			}
		}
	}
	// A source fetches a range of a partition at a time: segments of one partition go one after the other.
	for len(ranges) > 0 {
		var round, rest []stream.Range
		seen := map[stream.TopicPartition]bool{}
		for _, r := range ranges {
			if seen[r.TopicPartition] {
				rest = append(rest, r)
			} else {
				seen[r.TopicPartition] = true
				round = append(round, r)
			}
		}
		if err := s.fetch(ctx, source, round); err != nil {
			return err
		}
		ranges = rest
	}
	return nil
}

func (s *scanner) fetch(ctx context.Context, source stream.Source, ranges []stream.Range) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	chunks := make(chan stream.Chunk)
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() {
		var recs stream.Records
		for c := range chunks {
			if failed == nil {
				failed = problem.Catch("reading the topic", func() error { return s.chunk(c, &recs) })
			}
			c.Release()
			if failed != nil {
				cancel()
			}
		}
	})
	_, err := source.Fetch(ctx, ranges, chunks)
	close(chunks)
	wg.Wait()
	if failed != nil {
		return failed
	}
	return err
}

func (s *scanner) chunk(c stream.Chunk, recs *stream.Records) error {
	tp := c.Range().TopicPartition
	for {
		ok, err := c.Next(recs)
		if err != nil || !ok {
			return err
		}
		for k, set := range s.sets {
			if k.TopicPartition != tp {
				continue
			}
			for _, o := range recs.Offset {
				if !set.holds(o) {
					continue
				}
				set.served++
				if !set.offsets.has(o) {
					if set.absent++; set.absAt < 0 {
						set.absAt = o
					}
				}
			}
		}
	}
}

// judge makes findings of what was read.
func (s *scanner) judge(compared bool) {
	removed := slices.ContainsFunc(s.audit.Foreign, func(f Foreign) bool { return f.DataChange && f.RowsRemoved > 0 })
	keys := make([]key, 0, len(s.sets))
	for k := range s.sets {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int { return compareTP(a.TopicPartition, b.TopicPartition) })
	for _, k := range keys {
		c := s.sets[k]
		at := func(kind Kind, offset, n int64, format string, args ...any) {
			s.findings = append(s.findings, Finding{Kind: kind, Version: -1, Query: c.query, Topic: c.Topic, Partition: c.Partition.Partition,
				Offset: offset, N: n,
				Text: fmt.Sprintf("%s: ", k.TopicPartition) + fmt.Sprintf(format, args...)})
		}
		if c.double > 0 {
			at(Duplicate, c.first, c.double, "%d rows have an offset that another row has, the first is %d", c.double, c.first)
		}
		if c.outside > 0 {
			at(Count, c.outAt, c.outside, "%d rows of silt's files lie in no range of the log, the first is offset %d", c.outside, c.outAt)
		}
		have := c.offsets.n
		if have > c.Rows {
			at(Count, -1, have-c.Rows, "the log says %d rows, the files have %d", c.Rows, have)
		}
		if have < c.Rows && !removed {
			first := int64(-1)
			for _, g := range c.Segments {
				if first = c.offsets.firstMissing(g.Start, g.End); first >= 0 {
					break
				}
			}
			at(Missing, first, c.Rows-have, "the log says %d rows, the files have %d; the first offset without a row is %d", c.Rows, have, first)
		} else if compared && c.absent > c.Rejected && !removed {
			at(Missing, c.absAt, c.absent-c.Rejected,
				"the topic serves %d records that the table lacks, and %d were rejected; the first is offset %d", c.absent, c.Rejected, c.absAt)
		}
		c.Scanned, c.Holes = have, c.Offsets()-have-gapped(c.Gaps)
		if compared {
			c.Holes = c.asked - c.served
		}
	}
}
