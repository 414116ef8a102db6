package decode

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/siltlake/silt/internal/avro"
	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/registry"
)

// Schemas gives the schema of an id, as a *registry.Client does: it waits as long as ctx lives, and fails with registry.ErrUnknownID, a
// *registry.BrokenError or the context's error. It is called concurrently.
type Schemas interface {
	Schema(ctx context.Context, id int32) (registry.Schema, error)
}

var _ Schemas = (*registry.Client)(nil)

// A compiled is the schema of an id, ready to be bound by any worker. It is immutable.
type compiled struct {
	id     int32
	schema *avro.Schema
	rows   column.Schema // of a row whose value has this schema
	deep   int           // the schema's depth, if it is beyond limits.maxDepth: no record of it can be read
}

// A refusal says why the records of a schema id stop the query in every mode (docs/bad-records.md): exit 6.
type refusal struct {
	code  problem.Code
	field string // in the row
	text  string
	hint  string
}

func (r *refusal) Error() string { return r.text }

// A catalog holds the compiled schemas of all workers, for as long as the query runs: a registry that is down stops no id that is known.
type catalog struct {
	o       Options
	schemas Schemas

	mu    sync.Mutex
	known map[int32]*compiled
}

// get returns the compiled schema of an id. The error is registry.ErrUnknownID, a *refusal, or the context's.
func (c *catalog) get(ctx context.Context, id int32) (*compiled, error) {
	c.mu.Lock()
	k := c.known[id]
	c.mu.Unlock()
	if k != nil {
		return k, nil
	}
	s, err := c.schemas.Schema(ctx, id)
	if b, ok := errors.AsType[*registry.BrokenError](err); ok {
		return nil, &refusal{code: problem.InvalidSchema, text: "the schema cannot be used: " + b.Why,
			hint: "register the schema anew, with what it refers to"}
	}
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.known[id]; k != nil { // another worker met the id at the same time
		return k, nil
	}
	if k, err = c.compile(s); err != nil {
		return nil, err
	}
	c.known[id] = k
	return k, nil
}

// compile makes a registry's schema into one that can be bound. This switch is the list of formats.
func (c *catalog) compile(s registry.Schema) (*compiled, error) {
	if !strings.EqualFold(s.Type, "AVRO") {
		return nil, &refusal{code: problem.UnsupportedType, text: fmt.Sprintf("schemas of type %s are not supported yet", s.Type),
			hint: "set decode.value: binary to land the values as they are"}
	}
	a, err := avro.Parse(s.Text, s.References)
	if u, ok := errors.AsType[*avro.UnsupportedError](err); ok {
		return nil, &refusal{problem.UnsupportedType, parsedField(u.Path), fmt.Sprintf("avro type %s: %s", u.Type, u.Why),
			"let the producer use a type that silt reads, or set decode.value: binary to land the values as they are"}
	}
	if err != nil {
		return nil, &refusal{code: problem.InvalidSchema, text: err.Error(), hint: "register the schema anew"}
	}
	t := a.Type()
	k := &compiled{id: s.ID, schema: a, rows: c.o.rowSchema(&t)}
	if d := a.Depth(); d > c.o.MaxDepth {
		k.deep = d
	}
	return k, nil
}

// parsedField is the path in the row of a field of the value.
func parsedField(path string) string {
	if path == "" {
		return ParsedValue.String()
	}
	return ParsedValue.String() + "." + path
}
