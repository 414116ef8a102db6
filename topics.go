package silt

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"unicode/utf8"

	"github.com/siltlake/silt/internal/avro"
	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/kafka"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/registry"
)

// Kafka connects to the cluster that a pipeline file names; the topics that it subscribes to need not exist.
func Kafka(ctx context.Context, p *config.Pipeline, log *slog.Logger) (*kafka.Client, error) {
	s, err := parse(p)
	if err != nil {
		return nil, err
	}
	return kafka.ConnectAny(ctx, s.kafka, log)
}

// A Row is a record as silt topic peek shows it: decoded as a query with the same options would decode it, but for types that no table can
// hold, which are decoded too.
type Row struct {
	kafka.Record
	KeyText     bool // the key is to be shown as text (decode.key: string)
	ParsesValue bool // decode.value is not binary; the fields below are set only then

	ValueSchemaID *int32          // of the value's header; nil: it has none
	FixedValue    []byte          // the value without its header; nil: it has none
	ParsedValue   json.RawMessage // avro.Codec's JSON; nil: null
	// Fault says why ParsedValue is nil though the value is not null, or why the key is not text; "" if nothing is wrong.
	Fault string
}

// Peek shows records of a topic. A record that cannot be decoded is shown with the reason; a registry that does not answer, or lets nobody in,
// ends it. With raw the values are not decoded, and no registry is needed.
func Peek(ctx context.Context, p *config.Pipeline, look kafka.Look, raw bool, log *slog.Logger, show func(Row) error) error {
	s, err := parse(p)
	if err != nil {
		return err
	}
	d := rowDecoder{keyText: s.decode.KeyString, codecs: map[int32]codecOf{}}
	if hasSchemas(p) && !raw {
		if d.registry, err = Registry(p, log); err != nil {
			return err
		}
		defer d.registry.Close()
	}
	client, err := kafka.ConnectAny(ctx, s.kafka, log)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Peek(ctx, look, func(r kafka.Record) error {
		row, err := d.row(ctx, r)
		if err != nil {
			return err
		}
		return show(row)
	})
}

// hasSchemas says whether values are written with schemas (decode.value), also where select leaves them out.
func hasSchemas(p *config.Pipeline) bool {
	v, ok := p.Decode.Lookup("value")
	return !ok || !strings.EqualFold(strings.TrimSpace(v.Text), "binary")
}

// A rowDecoder makes rows of records. It belongs to one goroutine.
type rowDecoder struct {
	registry *registry.Client // nil: values are not decoded
	keyText  bool
	codecs   map[int32]codecOf
}

// A codecOf is what is known of a schema id.
type codecOf struct {
	codec *avro.Codec // nil: the value is JSON (JSON Schema), or see fault
	fault string      // why values of the id cannot be decoded
}

// headerBytes is the magic byte, which is 0, and the schema id, big-endian (Confluent's wire format).
const headerBytes = 5

func (d *rowDecoder) row(ctx context.Context, r kafka.Record) (Row, error) {
	row := Row{Record: r, KeyText: d.keyText, ParsesValue: d.registry != nil}
	if d.keyText && !utf8.Valid(r.Key) {
		row.Fault = "the key is not UTF-8 and is shown as base64 (decode.key: binary)"
	}
	switch v := r.Value; {
	case d.registry == nil || v == nil:
		return row, nil
	case len(v) < headerBytes:
		row.Fault = fmt.Sprintf("the value has %d bytes, fewer than the %d of magic byte and schema id", len(v), headerBytes)
		return row, nil
	case v[0] != 0:
		row.FixedValue = v[headerBytes:]
		row.Fault = fmt.Sprintf("the value begins with byte 0x%02x, not with the magic byte 0x00 before a schema id", v[0])
		return row, nil
	}
	id := int32(binary.BigEndian.Uint32(r.Value[1:]))
	row.ValueSchemaID, row.FixedValue = &id, r.Value[headerBytes:]
	c, err := d.codec(ctx, id)
	switch {
	case err != nil:
		return row, err
	case c.fault != "":
		row.Fault = c.fault
	case c.codec == nil:
		if row.ParsedValue = row.FixedValue; !json.Valid(row.ParsedValue) {
			row.ParsedValue, row.Fault = nil, "the value does not fit its schema: it is no JSON"
		}
	default:
		text, err := c.codec.AppendJSON(nil, row.FixedValue)
		if err != nil {
			row.Fault = "the value does not fit its schema: " + err.Error()
			break
		}
		row.ParsedValue = text
	}
	return row, nil
}

// codec returns the codec of an id, or why there is none. The error is one of the registry as a whole.
func (d *rowDecoder) codec(ctx context.Context, id int32) (codecOf, error) {
	if c, ok := d.codecs[id]; ok {
		return c, nil
	}
	var c codecOf
	s, err := d.registry.ByID(ctx, id)
	switch list := problem.Of(err); {
	case len(list) > 0 && list[0].Code == problem.UnknownSchemaID:
		c.fault = fmt.Sprintf("the registry has no schema of id %d", id)
	case len(list) > 0 && list[0].Code == problem.InvalidSchema:
		c.fault = list[0].Message
	case err != nil:
		return c, err
	case s.Type == "AVRO":
		if c.codec, err = avro.ParseCodec(s.Text, s.References); err != nil {
			c.fault = fmt.Sprintf("schema id %d: %v", id, err)
		}
	case s.Type != "JSON":
		c.fault = fmt.Sprintf("schema id %d is %s, which silt does not decode yet", id, s.Type)
	}
	d.codecs[id] = c
	return c, nil
}
