package stream

import (
	"errors"
	"fmt"
	"strings"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/problem"
)

// RowsOf names, for messages, the rows that a row schema is of: those of a schema id, or, where id is negative, of records without one.
func RowsOf(id int32) string {
	if id < 0 {
		return "the row of a record without a schema id"
	}
	return fmt.Sprintf("schema id %d", id)
}

// Conflict is the problem of a row schema that does not merge into the table's, or with another of the batch; err is column.Merge's.
func Conflict(id int32, err error) *problem.Problem {
	p := problem.New(problem.IncompatibleTypes, "%s does not fit the table: %w", RowsOf(id), err)
	if id >= 0 {
		p.Where = problem.Location{SchemaID: id, HasSchemaID: true}
	}
	const elsewhere = "or land this topic in another table (a new sink.delta.path and checkpointLocation)"
	var me *column.MergeError
	if errors.As(err, &me) {
		p.Where.Field = me.Path
		if !strings.Contains(me.Path, ".") { // no producer chose this column's type
			return p.Fix("set select, decode.key and decode.value to give the columns that the table has, %s", elsewhere)
		}
	}
	return p.Fix("write the field under a new name, %s", elsewhere)
}
