package table

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// fold is the decision what a batch does to a table's schema.
type fold struct {
	Schema  column.Schema
	Changes []column.Change // since the table's schema; of a new table, since nothing
}

// A foldInput is what foldSchemas decides on.
type foldInput struct {
	Table  column.Schema // empty before the table exists
	Exists bool
	// Own says that silt created the table: the first schema id then adds parsedValue whatever mergeSchema says.
	Own               bool
	MergeSchema       bool
	Report            stream.Report
	ShufflePartitions int
}

// foldSchemas merges the schemas of the ids that a batch met into the table's, in the order in which Spark would append them,
// and refuses what mergeSchema: false does not allow. It is pure.
func foldSchemas(in foldInput) (fold, error) {
	out := fold{Schema: in.Table}
	ids := sparkOrder(slices.Collect(maps.Keys(in.Report.Schemas)), in.ShufflePartitions)
	if len(ids) == 0 {
		return out.add(in, in.Report.Columns, -1, !in.Exists)
	}
	for i, id := range ids {
		// Of a new table the first id makes the schema that the others are held against.
		var err error
		if out, err = out.add(in, in.Report.Schemas[id], id, i == 0 && !in.Exists); err != nil {
			return fold{}, err
		}
	}
	return out, nil
}

// add merges one schema; id is -1 where no schema id is known. free allows every change.
func (f fold) add(in foldInput, data column.Schema, id int32, free bool) (fold, error) {
	merged, changes, err := column.Merge(f.Schema, data)
	if err != nil {
		return fold{}, stream.Conflict(id, err)
	}
	if len(changes) == 0 {
		return f, nil
	}
	if !in.MergeSchema && !free && !(in.Own && addsOnlyParsedValue(f.Schema, changes)) {
		return fold{}, mismatchProblem(changes, id)
	}
	return fold{Schema: merged, Changes: append(slices.Clip(f.Changes), changes...)}, nil
}

// addsOnlyParsedValue says that the table had no parsedValue, because no batch had met a schema id yet, and now gets it.
func addsOnlyParsedValue(table column.Schema, changes []column.Change) bool {
	_, i := table.Lookup(stream.ParsedValue)
	return i < 0 && len(changes) == 1 && changes[0].Path == stream.ParsedValue
}

func mismatchProblem(changes []column.Change, id int32) error {
	lines := make([]string, len(changes))
	for i, c := range changes {
		lines[i] = c.String()
	}
	p := problem.New(problem.SchemaMismatch, "%s would change the table's schema and mergeSchema is false", stream.RowsOf(id)).
		Fix("set sink.delta.mergeSchema: true to let the table follow, or stop the producer that registered the schema; nothing of the batch has landed")
	p.Why = strings.Join(lines, "\n")
	if id >= 0 {
		p.Where = problem.Location{SchemaID: id, HasSchemaID: true}
	}
	return p
}

// sparkOrder sorts schema ids as the tutorial's distinct().collect() gives them: by shuffle partition, murmur3 of the id modulo the number
// of shuffle partitions; ties by id.
func sparkOrder(ids []int32, shufflePartitions int) []int32 {
	if shufflePartitions <= 0 {
		shufflePartitions = 200 // spark.sql.shuffle.partitions
	}
	part := func(id int32) int32 {
		n := int32(shufflePartitions)
		return (murmur3(id)%n + n) % n
	}
	slices.SortFunc(ids, func(a, b int32) int { return cmp.Or(cmp.Compare(part(a), part(b)), cmp.Compare(a, b)) })
	return ids
}

// murmur3 is Spark's hash of an int: Murmur3_x86_32 with seed 42 (catalyst's Murmur3Hash).
func murmur3(v int32) int32 {
	k := bits.RotateLeft32(uint32(v)*0xcc9e2d51, 15) * 0x1b873593
	h := bits.RotateLeft32(42^k, 13)*5 + 0xe6546b64
	h ^= 4 // length in bytes
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return int32(h ^ h>>16)
}
