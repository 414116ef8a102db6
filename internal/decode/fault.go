package decode

import (
	"fmt"
	"strings"

	"github.com/siltlake/silt/internal/avro"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/stream"
)

// A reason is a stream.Reason as an index of counts.
type reason uint8

const (
	badHeader reason = iota
	unknownID
	badPayload
	invalidUTF8
	tooLarge
	tooDeep
	reasons int = iota
)

var reasonNames = [reasons]stream.Reason{stream.BadHeader, stream.UnknownID, stream.BadPayload, stream.InvalidUTF8,
	stream.RecordTooBig, stream.TooDeep}

// A fault says what is wrong with a record. It is an error whose text is made when somebody reads it: DROP makes many that nobody reads.
type fault struct {
	why   reason
	id    int32
	hasID bool
	n     int        // badHeader: the value's bytes; tooLarge: the record's; tooDeep: the depth
	first byte       // badHeader: of a value that is long enough
	limit int        // tooLarge, tooDeep
	part  string     // invalidUTF8: the field's path in the row, or key
	avro  avro.Fault // badPayload
}

func (f *fault) Error() string {
	switch f.why {
	case badHeader:
		if f.n < headerBytes {
			return fmt.Sprintf("the value has %d bytes, fewer than the %d of magic byte and schema id", f.n, headerBytes)
		}
		return fmt.Sprintf("the value begins with byte 0x%02x, not with the magic byte 0x00 before a schema id", f.first)
	case unknownID:
		return fmt.Sprintf("the registry has no schema of id %d", f.id)
	case badPayload:
		return "the value does not fit its schema: " + f.avro.Reason
	case invalidUTF8:
		if f.part == Key.String() {
			return "the key is not UTF-8"
		}
		return "the string is not UTF-8"
	case tooLarge:
		return fmt.Sprintf("the record has %d bytes of key and value, the limit is %d", f.n, f.limit)
	default:
		return fmt.Sprintf("the schema is nested %d deep, the limit is %d", f.n, f.limit)
	}
}

// field is the path in the row of the field that is at fault, or "".
func (f *fault) field() string {
	if f.why == badPayload {
		return parsedField(f.avro.Field)
	}
	return f.part
}

func (f *fault) hint() string {
	const goOn = "decode.mode: PERMISSIVE to land such records with nulls, or DROP to leave them out"
	switch f.why {
	case badHeader:
		return "set decode.value: binary to land values as they are if the producer uses no schema registry (schema ids in headers are not " +
			"supported yet), or " + goOn
	case unknownID:
		return "check that schema.registry.url is the registry of this topic's producer, or set " + goOn
	case invalidUTF8:
		if f.part == Key.String() {
			return "set decode.key: binary"
		}
		return "set decode.invalidUtf8: keep to land the bytes as they are, or " + goOn
	case tooLarge:
		return "raise decode.limits.maxRecordBytes, or set " + goOn
	case tooDeep:
		return "raise decode.limits.maxDepth, or set " + goOn
	default:
		return "set " + goOn
	}
}

// stop is the error that ends a FAILFAST query.
func (f *fault) stop(r *stream.Records, i int) *stream.RecordError {
	code := problem.BadRecord
	if f.why == unknownID {
		code = problem.UnknownSchemaID
	}
	p := problem.New(code, "%w", f).Fix("%s", f.hint())
	p.Where = problem.Record(r.Topic, r.Partition, r.Offset[i])
	p.Where.SchemaID, p.Where.HasSchemaID, p.Where.Field = f.id, f.hasID, f.field()
	p.Why = "decode.mode is FAILFAST: the first bad record stops the query, and nothing of its batch is in the table"
	return &stream.RecordError{TopicPartition: r.TopicPartition, Offset: r.Offset[i], Reason: reasonNames[f.why], Err: p}
}

// path joins the parts of a field's path.
func path(parts []string) string { return strings.Join(parts, ".") }
