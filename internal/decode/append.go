package decode

import (
	"errors"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/registry"
	"github.com/siltlake/silt/internal/stream"
)

// append is phase 2: it hands the open rows to a block.
func (w *worker) append() error {
	if w.rows == nil || w.rows.Len() == 0 {
		return nil
	}
	n := w.rows.Len()
	w.fill(w.r, w.buf, w.index[:n], w.marks[:n])
	block, err := w.out.Block(w.merged)
	if err != nil {
		return err
	}
	invalid := block.Append(w.buf, w.rows)
	w.at.rows += int64(n)
	if len(invalid) > 0 {
		if err := w.invalid(invalid); err != nil {
			return err
		}
	}
	if err := w.out.Flush(); err != nil {
		return err
	}
	w.learn()
	return nil
}

// learn lets the programs that read the rows adapt to the nulls that they had.
func (w *worker) learn() {
	for _, p := range w.used {
		p.walk.Learn()
		p.used = false
	}
	w.used = w.used[:0]
	if w.cur != nil && w.cur.walk != nil {
		w.cur.used = true
		w.used = append(w.used, w.cur)
	}
}

// invalid deals with strings that the block found not to be UTF-8, and took as nulls.
func (w *worker) invalid(found []column.Invalid) error {
	switch w.o.Mode {
	case Permissive:
		for _, v := range found {
			if w.marks[v.Row]&nulled == 0 { // a record counts once
				w.marks[v.Row] |= nulled
				w.at.nulled[invalidUTF8]++
			}
		}
		return nil
	case Drop:
		return problem.New(problem.Internal, "a string that is not UTF-8 passed the check of mode %s", w.o.Mode)
	}
	first := found[0]
	for _, v := range found[1:] {
		if v.Row < first.Row || v.Row == first.Row && v.Leaf < first.Leaf {
			first = v
		}
	}
	i := int(w.index[first.Row])
	f := fault{why: invalidUTF8, part: path(w.rows.Layout.Leaves[first.Leaf].Field)}
	if w.isKey(first.Leaf) {
		f.part = Key.String()
	} else {
		f.id, f.hasID = schemaID(w.buf, w.r.Value[i])
	}
	return f.stop(w.r, i)
}

// isKey says whether the leaf is the record's key.
func (w *worker) isKey(leaf int) bool {
	for _, c := range w.cols {
		if c.column == Key && c.leaf.Index == leaf {
			return true
		}
	}
	return false
}

// grow makes room for rows of the schema of record i. If that changes the layout, the open rows are appended first, and every program is
// bound anew when it is next used. If the schema does not merge, the worker begins to note.
func (w *worker) grow(i int, id int32, s column.Schema) error {
	merged, changes, err := column.Merge(w.merged, s)
	if err != nil {
		if w.rows != nil {
			w.at.rows += int64(w.rows.Len())
		}
		w.dropOpen()
		p := stream.Conflict(id, err)
		at := problem.Record(w.r.Topic, w.r.Partition, w.r.Offset[i])
		at.SchemaID, at.HasSchemaID, at.Field = p.Where.SchemaID, p.Where.HasSchemaID, p.Where.Field
		w.conflict = p.At(at)
		return nil
	}
	if w.rows != nil && len(changes) == 0 {
		return nil
	}
	if err := w.append(); err != nil {
		return err
	}
	clear(w.programs)
	w.cur, w.cache, w.used = nil, [cacheSize]*program{}, w.used[:0]
	return w.build(merged)
}

// note adds an id that record i has to the report, once a batch.
func (w *worker) note(i int, c *compiled) error {
	if _, ok := w.noted[c.id]; ok {
		return nil
	}
	if n := w.batch.add(c.id); n > w.o.MaxSchemasPerBatch {
		return w.refuse(i, c.id, &refusal{code: problem.TooManySchemas,
			text: "this batch has more schema ids than decode.limits.maxSchemasPerBatch allows",
			hint: "raise decode.limits.maxSchemasPerBatch, or look for a producer that registers a schema for every record"})
	}
	w.noted[c.id] = c.rows
	return nil
}

// maxUnmade is how many records a worker reads after a conflict before it reports that itself: a batch may hold all that a topic has.
const maxUnmade = 1 << 20

// noteRest goes through the records from i on without making rows of them: their batch cannot be committed, because a schema does not merge
// with the table's or with another's. Which one is at fault is decided at the commit, in Spark's order of the ids, so all ids are noted,
// of a batch that is not too long for that (docs/ARCHITECTURE.md). The records count as rows, which no file has: a commit that found no
// fault in the schemas would refuse the counts.
func (w *worker) noteRest(i int) error {
	if w.unmade += len(w.r.Value) - i; w.unmade > maxUnmade {
		return w.conflict
	}
	for ; i < len(w.r.Value); i++ {
		w.at.rows++
		id, ok := schemaID(w.buf, w.r.Value[i])
		if !ok || !w.parses {
			continue
		}
		if _, ok := w.noted[id]; ok {
			continue
		}
		c, err := w.d.catalog.get(w.ctx, id)
		switch stop, refused := errors.AsType[*refusal](err); {
		case refused:
			return w.refuse(i, id, stop)
		case errors.Is(err, registry.ErrUnknownID):
			continue
		case err != nil:
			return err
		}
		if c.deep > 0 {
			continue
		}
		if err := w.note(i, c); err != nil {
			return err
		}
	}
	return nil
}

// refuse ends the query in every mode, because of the schema of record i.
func (w *worker) refuse(i int, id int32, why *refusal) error {
	if err := w.append(); err != nil { // under FAILFAST a record before it may be bad
		return err
	}
	p := problem.New(why.code, "%s", why.text).Fix("%s", why.hint)
	p.Where = problem.Record(w.r.Topic, w.r.Partition, w.r.Offset[i])
	p.Where.SchemaID, p.Where.HasSchemaID, p.Where.Field = id, true, why.field
	return p
}

// report returns what the worker met in the batch; it shares nothing with the worker.
func (w *worker) report() stream.Report {
	r := stream.Report{Columns: w.d.columns, Schemas: w.noted}
	if len(w.noted) == 0 {
		r.Schemas = nil
	}
	for tp, c := range w.counts {
		p := r.Partition(tp)
		p.Rows = c.rows
		p.Rejected, p.Nulled = countsOf(&c.rejected), countsOf(&c.nulled)
	}
	w.noted, w.counts, w.at = nil, nil, nil
	return r
}

func countsOf(n *[reasons]int64) map[stream.Reason]int64 {
	var m map[stream.Reason]int64
	for i, v := range n {
		if v > 0 {
			if m == nil {
				m = map[stream.Reason]int64{}
			}
			m[reasonNames[i]] = v
		}
	}
	return m
}
