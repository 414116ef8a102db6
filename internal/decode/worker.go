package decode

import (
	"context"
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"github.com/siltlake/silt/internal/avro"
	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/registry"
	"github.com/siltlake/silt/internal/stream"
)

// headerBytes is the magic byte, which is 0, and the schema id, big-endian (Confluent's wire format).
const headerBytes = 5

// cacheSize is how many ids a worker tells apart without looking into a map.
const cacheSize = 16

// A worker decodes for one goroutine, batch after batch.
type worker struct {
	d *Decoding
	layout

	// The batch.
	batch  *batch
	counts map[stream.TopicPartition]*counts
	noted  map[int32]column.Schema // of the ids met
	// conflict says that a schema does not merge: no more rows are made, see noteRest. unmade are the records since.
	conflict *problem.Problem
	unmade   int

	// Programs of the layout; those of cache have been noted in this batch.
	programs map[int32]*program
	cache    [cacheSize]*program // by the id's low bits
	cur      *program            // of the last record
	used     []*program          // since the last append

	// The call of Decode.
	ctx context.Context
	r   *stream.Records
	buf []byte // r.Buf and Slack bytes
	out stream.Writer
	at  *counts // of r's partition
	tp  stream.TopicPartition

	// The rows since the last append: the record of each, and how it became one.
	index [column.BlockRows]int32
	marks [column.BlockRows]mark
}

// A mark is what sets a row of PERMISSIVE apart.
type mark uint8

const (
	nulled  mark = 1 << iota // counted as nulled
	noValue                  // too large: nothing of the value lands
	noKey                    // nor of the key
)

// A program reads the records of one id into the worker's rows.
type program struct {
	id   int32
	c    *compiled
	walk *avro.Program // nil if c.deep
	used bool
}

type counts struct {
	rows             int64
	rejected, nulled [reasons]int64
}

func newWorker(d *Decoding) *worker {
	return &worker{d: d, layout: newLayout(d.o), programs: map[int32]*program{}}
}

// begin makes the worker ready for a batch. What it knows of the table is kept if the table is as it was.
func (w *worker) begin(table column.Schema, b *batch) {
	w.batch, w.conflict, w.unmade = b, nil, 0
	w.counts, w.at, w.tp = map[stream.TopicPartition]*counts{}, nil, stream.TopicPartition{}
	w.noted = map[int32]column.Schema{}
	w.cur, w.cache = nil, [cacheSize]*program{}
	w.dropOpen()
	if w.start(table) || len(w.programs) > 4*w.o.MaxSchemasPerBatch {
		w.forget()
		clear(w.programs)
	}
}

// dropOpen forgets the open rows.
func (w *worker) dropOpen() {
	if w.rows != nil {
		w.rows.Reset()
	}
	for _, p := range w.used {
		p.used = false
	}
	w.used = w.used[:0]
}

func (w *worker) decode(ctx context.Context, r *stream.Records, out stream.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(r.Offset) == 0 {
		return nil
	}
	w.ctx, w.r, w.buf, w.out = ctx, r, r.Buf[:len(r.Buf)+column.Slack], out
	if w.at == nil || w.tp != r.TopicPartition {
		if w.tp, w.at = r.TopicPartition, w.counts[r.TopicPartition]; w.at == nil {
			w.at = &counts{}
			w.counts[r.TopicPartition] = w.at
		}
	}
	err := w.records()
	w.ctx, w.r, w.buf, w.out = nil, nil, nil, nil // nothing of the records outlives the call
	return err
}

// records is phase 1: it goes through the records, and appends rows as often as they fill a block.
func (w *worker) records() error {
	r, parses := w.r, w.parses
	checkKeys := w.o.Mode == Drop && w.o.KeyString && !w.o.KeepInvalidUTF8 && w.hasKey
	for i := range r.Offset {
		if w.conflict != nil {
			return w.noteRest(i)
		}
		v, k := r.Value[i], r.Key[i]
		var err error
		switch {
		case size(k, v) > w.o.MaxRecordBytes:
			err = w.bad(i, fault{why: tooLarge, n: size(k, v), limit: w.o.MaxRecordBytes})
		case checkKeys && k.Len > 0 && !utf8.Valid(w.buf[k.Off:k.Off+uint32(k.Len)]):
			err = w.bad(i, fault{why: invalidUTF8, part: Key.String()})
		case !parses || v.Len < 0: // a tombstone is no fault
			err = w.null(i, 0, false)
		case v.Len < headerBytes || w.buf[v.Off] != 0:
			err = w.bad(i, fault{why: badHeader, n: int(v.Len), first: w.buf[v.Off]})
		default:
			err = w.value(i, v)
		}
		if err != nil {
			return err
		}
	}
	return w.append()
}

// size is what limits.maxRecordBytes counts.
func size(key, value stream.Span) int { return int(max(key.Len, 0)) + int(max(value.Len, 0)) }

// value decodes a value that has a header.
func (w *worker) value(i int, v stream.Span) error {
	id := int32(binary.BigEndian.Uint32(w.buf[v.Off+1:]))
	p := w.cur
	if p == nil || p.id != id {
		var err error
		if p, err = w.program(i, id); p == nil {
			return err
		}
	}
	if p.walk == nil {
		return w.bad(i, fault{why: tooDeep, id: id, hasID: true, n: p.c.deep, limit: w.o.MaxDepth})
	}
	if !p.walk.Walk(w.buf, int(v.Off)+headerBytes, int(v.Off)+int(v.Len)) {
		w.rows.CutBack()
		a := p.walk.Fault()
		f := fault{why: badPayload, id: id, hasID: true, avro: a}
		if a.InvalidUTF8 {
			f.why, f.part = invalidUTF8, parsedField(a.Field)
		}
		return w.bad(i, f)
	}
	return w.add(i, 0)
}

// add counts the row of record i, and appends the block if it is full.
func (w *worker) add(i int, f mark) error {
	n := w.rows.Len()
	w.index[n], w.marks[n] = int32(i), f
	w.rows.AddRow()
	if w.rows.Full() {
		return w.append()
	}
	return nil
}

// null adds a row whose parsedValue is null, or, if asStruct, a struct of nulls where it is a struct.
func (w *worker) null(i int, f mark, asStruct bool) error {
	if w.rows == nil {
		if err := w.grow(i, -1, w.d.columns); err != nil {
			return err
		}
		if w.conflict != nil {
			w.at.rows++
			return nil
		}
	}
	switch slot := w.rows.Len(); {
	case w.parsedNode != nil && asStruct && w.parsedNode.Lens == nil:
		w.parsedNode.NullFields()
	case w.parsedNode != nil:
		w.parsedNode.Null(slot)
	case w.parsedLeaf != nil:
		w.parsedLeaf.Valid[slot] = 0
	}
	return w.add(i, f)
}

// bad does with record i what the mode says. A row of it that was begun must have been cut back.
func (w *worker) bad(i int, f fault) error {
	switch w.o.Mode {
	case Permissive:
		w.at.nulled[f.why]++
		marks := nulled
		if f.why == tooLarge {
			marks |= noValue
			if int(w.r.Key[i].Len) > w.o.MaxRecordBytes {
				marks |= noKey
			}
		}
		// Spark's from_avro makes a struct of nulls of what it cannot read.
		return w.null(i, marks, f.why == badPayload || f.why == invalidUTF8)
	case Drop:
		w.at.rejected[f.why]++
		return nil
	}
	return w.stop(i, f)
}

// stop ends a FAILFAST query.
func (w *worker) stop(i int, f fault) error {
	if err := w.append(); err != nil { // a string of a record before it may be the first fault
		return err
	}
	return f.stop(w.r, i)
}

// program returns the program of an id that is not the last record's. It returns nil, and maybe an error, when record i is dealt with.
func (w *worker) program(i int, id int32) (*program, error) {
	slot := &w.cache[uint32(id)%cacheSize]
	p := *slot
	if p == nil || p.id != id {
		var err error
		if p, err = w.find(i, id); p == nil {
			return nil, err
		}
		*slot = p
	}
	w.cur = p
	if !p.used && p.walk != nil {
		p.used = true
		w.used = append(w.used, p)
	}
	return p, nil
}

// find returns the program of an id, bound to rows that have room for all its fields, and notes the id for the report.
func (w *worker) find(i int, id int32) (*program, error) {
	p := w.programs[id]
	if p == nil {
		c, err := w.d.catalog.get(w.ctx, id)
		switch stop, refused := errors.AsType[*refusal](err); {
		case errors.Is(err, registry.ErrUnknownID):
			return nil, w.bad(i, fault{why: unknownID, id: id, hasID: true})
		case refused:
			return nil, w.refuse(i, id, stop)
		case err != nil:
			return nil, err
		}
		p = &program{id: id, c: c}
	}
	if p.c.deep > 0 { // nothing of the schema reaches the table
		w.programs[id] = p
		return p, nil
	}
	if err := w.note(i, p.c); err != nil {
		return nil, err
	}
	if p.walk != nil {
		return p, nil
	}
	if err := w.grow(i, id, p.c.rows); err != nil {
		return nil, err
	}
	if w.conflict != nil {
		w.at.rows++
		return nil, nil
	}
	var err error
	o := avro.Options{CheckUTF8: w.o.Mode == Drop, KeepInvalidUTF8: w.o.KeepInvalidUTF8}
	if p.walk, err = p.c.schema.Bind(w.rows, w.parsed, o); err != nil {
		return nil, problem.New(problem.Internal, "schema id %d: %w", id, err)
	}
	w.programs[id] = p
	return p, nil
}
