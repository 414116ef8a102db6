package verify

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/siltlake/silt/internal/delta"
	"github.com/siltlake/silt/internal/parquet"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// scanner holds what the files and the topic say, a set of offsets for each partition of each topic that a query read.
type scanner struct {
	audit Audit
	sets  map[*Partition]*set
	// groups are the sets of one name: rows of a file that is not silt's say no query and no topic's id, so any of them may be theirs.
	groups   map[stream.TopicPartition]*group
	findings []Finding
	notes    []string
	alone    bool // every row was landed by a commit of silt's that the log still has
	removed  bool // another writer removed rows
	files    int64
	rows     int64
	other    int64
}

// A set is the rows of one partition of one query, as long as the topic is the same.
type set struct {
	*Partition
	query   string
	offsets *bitmap
	double  int64 // rows read from files whose offset another has
	first   int64 // the first of them
	outside int64 // rows of silt's own files that lie in no range
	outAt   int64
	served  int64 // by the topic, where it was asked, inside the ranges
	absent  int64 // served by the topic and not in the table
	absAt   int64
	asked   int64 // offsets of the ranges that the topic was asked for
}

// A group is the sets of one partition's name, those of the topics that are read now before those that were replaced.
type group struct {
	sets  []*set
	mixed int64 // rows that may be of any, where there are several
	early int64 // rows that come from before the log, with offsets that were landed since
}

// recordColumns name a Kafka record.
var recordColumns = []string{"topic", "partition", "offset"}

func newScanner(a Audit) *scanner {
	s := &scanner{audit: a, sets: map[*Partition]*set{}, groups: map[stream.TopicPartition]*group{}, alone: a.From == 0}
	for _, f := range a.Foreign {
		if f.DataChange {
			s.alone = s.alone && f.RowsAdded == 0
			s.removed = s.removed || f.RowsRemoved > 0
		}
	}
	for _, q := range a.Queries {
		for _, p := range slices.Backward(q.Partitions) { // the newest first
			c := &set{Partition: p, query: q.ID, offsets: newBitmap(), first: -1, outAt: -1, absAt: -1}
			s.sets[p] = c
			g := s.groups[c.tp()]
			if g == nil {
				g = &group{}
				s.groups[c.tp()] = g
			}
			g.sets = append(g.sets, c)
		}
	}
	for _, g := range s.groups {
		slices.SortStableFunc(g.sets, func(a, b *set) int { return rank(a) - rank(b) })
	}
	return s
}

func rank(c *set) int {
	if c.replaced {
		return 1
	}
	return 0
}

func (c *set) tp() stream.TopicPartition {
	return stream.TopicPartition{Topic: c.Topic, Partition: c.Partition.Partition}
}

// add counts a row.
func (c *set) add(offset int64) {
	if !c.offsets.add(offset) {
		if c.double++; c.first < 0 || offset < c.first {
			c.first = offset
		}
	}
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
	// Files that say whose rows they have come first: those of others can only be what is left.
	whose := func(a *delta.Add) int {
		if s.audit.files[a.Name()].partitions != nil {
			return 0
		}
		return 1
	}
	slices.SortFunc(adds, func(a, b *delta.Add) int {
		return cmp.Or(cmp.Compare(whose(a), whose(b)), cmp.Compare(a.ModificationTime, b.ModificationTime))
	})
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
	from, known := s.audit.files[name]
	f := fileScan{s: s, from: from, known: known, last: map[stream.TopicPartition]int64{}, name: name}
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
	s     *scanner
	name  string
	from  added
	known bool                            // the log still has the commit that added it
	last  map[stream.TopicPartition]int64 // newest offset of each partition
	group *group                          // of tp; nil if no query has it
	cur   *set                            // of tp, in a file of silt's
	tp    stream.TopicPartition
	at    int64 // newest offset of tp

	disorder bool // was found
}

// row counts one row. Consecutive rows are mostly of one partition.
func (f *fileScan) row(topic []byte, partition int32, offset int64) {
	if f.group == nil || f.tp.Partition != partition || f.tp.Topic != string(topic) {
		f.last[f.tp] = f.at
		f.tp = stream.TopicPartition{Topic: string(topic), Partition: partition}
		f.group, f.cur = f.s.groups[f.tp], f.s.sets[f.from.partitions[f.tp]]
		f.at = -1
		if l, ok := f.last[f.tp]; ok {
			f.at = l
		}
	}
	switch {
	case f.group == nil || offset < 0:
		f.s.other++
	case f.from.partitions == nil:
		f.foreign(offset)
	case f.cur == nil:
		f.s.other++
	default:
		f.own(f.cur, offset)
	}
}

// own counts a row of silt's own file: the commit that added it says of which topic it is.
func (f *fileScan) own(c *set, offset int64) {
	if !c.holds(offset) {
		f.s.other++
		if c.outside++; c.outAt < 0 {
			c.outAt = offset
		}
		return
	}
	if offset < f.at && !f.disorder {
		f.disorder = true // one finding a file
		f.s.findings = append(f.s.findings, Finding{Kind: Disorder, Version: f.from.version, Query: c.query, Topic: c.Topic,
			Partition: f.tp.Partition, Offset: offset,
			Text: fmt.Sprintf("file %s: offset %d of %s comes after %d", f.name, offset, f.tp, f.at)})
	}
	f.at = max(f.at, offset)
	c.add(offset)
}

// foreign counts a row of a file that another writer made, of silt's files (OPTIMIZE) or of its own. It is taken for the row that is still
// missing, of the newest topic first. If none is, it is a duplicate, unless another engine can have landed the offset of another topic.
func (f *fileScan) foreign(offset int64) {
	g := f.group
	held := 0
	var c *set
	for _, x := range g.sets {
		if !x.holds(offset) {
			continue
		}
		if held++; c == nil || c.offsets.has(offset) && !x.offsets.has(offset) {
			c = x
		}
	}
	switch {
	case c == nil:
		f.s.other++
		return
	case f.s.audit.From > 0 && (!f.known || c.offsets.has(offset)):
		// What was landed before the log begins may be of yet another topic.
		f.s.other++
		g.early++
		return
	}
	if len(g.sets) > 1 {
		g.mixed++
		if c.offsets.has(offset) && held < len(g.sets) && !f.s.alone {
			f.s.other++ // of a topic whose offset another engine landed
			return
		}
	}
	c.add(offset)
}

// A question is a range of a set that the topic is asked for.
type question struct {
	stream.Range
	set *set
}

// topic fetches what the log says was landed of the topic that is there now, as far as it still has it, and marks what is not in the table.
func (s *scanner) topic(ctx context.Context, source stream.Source) error {
	b, err := source.Bounds(ctx, nil)
	if err != nil {
		return err
	}
	var questions []question
	for c := range s.current(b) {
		first, ok := b.First.Get(c.Topic, c.Partition.Partition)
		next, _ := b.Next.Get(c.Topic, c.Partition.Partition)
		if !ok {
			continue
		}
		for _, g := range c.Segments {
			if r := (stream.Range{TopicPartition: c.tp(), Start: max(g.Start, first), End: min(g.End, next),
				TopicID: b.TopicIDs[c.Topic]}); r.Start < r.End {
				questions = append(questions, question{r, c})
				c.asked += r.End - r.Start
			}
		}
	}
	// A source fetches a range of a partition at a time: segments of one partition go one after the other.
	for len(questions) > 0 {
		var round []stream.Range
		var rest []question
		asking := map[stream.TopicPartition]*set{}
		for _, q := range questions {
			if asking[q.TopicPartition] != nil {
				rest = append(rest, q)
			} else {
				asking[q.TopicPartition] = q.set
				round = append(round, q.Range)
			}
		}
		if err := s.fetch(ctx, source, round, asking); err != nil {
			return err
		}
		questions = rest
	}
	return nil
}

// current yields the sets of the topics that are there now. A topic that a query read and that was replaced must not be there again; one
// that no query has read yet has nothing to compare.
func (s *scanner) current(b stream.Bounds) iter.Seq[*set] {
	return func(yield func(*set) bool) {
		for _, q := range s.audit.Queries {
			told := map[string]bool{}
			for _, p := range q.Partitions {
				is := b.TopicIDs[p.Topic]
				another := is != "" && p.TopicID != "" && is != p.TopicID
				switch {
				case p.replaced && is != "" && is == p.TopicID && !told[p.Topic]:
					told[p.Topic] = true
					s.findings = append(s.findings, Finding{Kind: Disorder, Version: -1, Query: q.ID, Topic: p.Topic, Partition: p.Partition,
						Offset: -1, Text: fmt.Sprintf("the id of topic %s is %s, which the log says was replaced", p.Topic, is)})
				case p.replaced:
				case another && !told[p.Topic]:
					told[p.Topic] = true
					s.notes = append(s.notes, fmt.Sprintf("topic %s was made again since its newest batch: its id is %s and was %s, so there is "+
						"nothing to compare with", p.Topic, is, p.TopicID))
				case another:
				default:
					if !yield(s.sets[p]) {
						return
					}
				}
			}
		}
	}
}

func (s *scanner) fetch(ctx context.Context, source stream.Source, ranges []stream.Range,
	asking map[stream.TopicPartition]*set) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	chunks := make(chan stream.Chunk)
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() {
		var recs stream.Records
		for c := range chunks {
			if failed == nil {
				failed = problem.Catch("reading the topic", func() error { return compare(c, &recs, asking) })
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

// compare holds a chunk against the set that it was asked for.
func compare(c stream.Chunk, recs *stream.Records, asking map[stream.TopicPartition]*set) error {
	set := asking[c.Range().TopicPartition]
	for {
		ok, err := c.Next(recs)
		if err != nil || !ok {
			return err
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
