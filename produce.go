package silt

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/siltlake/silt/internal/avro"
	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/kafka"
	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/registry"
)

// ProduceOptions say what Produce writes. At most one of SchemaID and Schema is set; without both the schema is the latest of Subject.
type ProduceOptions struct {
	Topic     string
	Lines     io.Reader
	ValueOnly bool   // a line is a value, not an object of key, value and so on
	SchemaID  *int32 // nil: none
	Schema    string // the text of an Avro schema to be registered under Subject; "": none
	Subject   string // "": the topic's name and -value
	DryRun    bool   // check every line, register and write nothing
	// Bad gets what is wrong with a line, which is left out.
	Bad func(*problem.Problem)
	Log *slog.Logger
}

// Produced is what Produce did.
type Produced struct {
	Topic    string `json:"topic"`
	SchemaID *int32 `json:"schemaId"` // null without one
	Written  int64  `json:"written"`
	Bad      int64  `json:"bad"` // lines that were left out
	DryRun   bool   `json:"dryRun"`
}

// maxLine is the longest line that is read, as decode.limits.maxRecordBytes is by default.
const maxLine = 16 << 20

// Produce writes a record for each line: JSON, encoded with a schema of the registry, or as it is with decode.value: binary. It returns what
// is written for certain, also with an error.
func Produce(ctx context.Context, p *config.Pipeline, o ProduceOptions) (Produced, error) {
	done := Produced{Topic: o.Topic, DryRun: o.DryRun}
	s, err := parse(p)
	if err != nil {
		return done, err
	}
	e := lineEncoder{valueOnly: o.ValueOnly, keyText: s.decode.KeyString}
	if hasSchemas(p) {
		if e.codec, e.id, err = valueCodec(ctx, p, o); err != nil {
			return done, err
		}
		done.SchemaID = e.id
	} else if o.SchemaID != nil || o.Schema != "" || o.Subject != "" {
		return done, problem.New(problem.Conflict, "a schema is given, and decode.value is binary").
			Fix("leave the schema out, or add -s decode.value=avro")
	}
	client, err := kafka.ConnectAny(ctx, s.kafka, o.Log)
	if err != nil {
		return done, err
	}
	defer client.Close()
	// What was given before an interrupt shall be known to be written or not.
	producer, err := client.NewProducer(context.WithoutCancel(ctx), o.Topic)
	if err != nil {
		return done, err
	}
	defer producer.Close()
	e.partitions = producer.Partitions()
	write := func(r kafka.Record) error {
		if o.DryRun {
			done.Written++
			return nil
		}
		return producer.Produce(r)
	}
	err = eachLine(ctx, o.Lines, func(number int, line []byte, tooLong bool) error {
		r, bad := e.record(line, tooLong)
		if bad != nil {
			done.Bad++
			bad.Where.File, bad.Where.Line = "stdin", number
			o.Bad(bad)
			return nil
		}
		return write(r)
	})
	if o.DryRun {
		return done, err
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	written, ferr := producer.Flush(limited)
	done.Written = written
	return done, cmp.Or(ferr, err)
}

// flushTimeout is how long records on their way are waited for in the end; a broker that is silent is given up before.
const flushTimeout = 60 * time.Second

// valueCodec finds the schema of the values, or registers it, and returns its id; nil if a dry run would have registered it.
func valueCodec(ctx context.Context, p *config.Pipeline, o ProduceOptions) (*avro.Codec, *int32, error) {
	c, err := Registry(p, o.Log)
	if err != nil {
		return nil, nil, err
	}
	defer c.Close()
	subject := o.Subject
	if subject == "" {
		subject = o.Topic + "-value"
	}
	switch {
	case o.Schema != "":
		codec, err := compile(registry.Schema{ID: -1, Type: "AVRO", Text: o.Schema})
		if err != nil || o.DryRun {
			return codec, nil, err
		}
		id, err := c.Register(ctx, subject, registry.NewSchema{Text: o.Schema})
		return codec, &id, err
	case o.SchemaID != nil:
		s, err := c.ByID(ctx, *o.SchemaID)
		if err != nil {
			return nil, nil, err
		}
		codec, err := compile(s)
		return codec, o.SchemaID, err
	}
	v, err := c.Version(ctx, subject, registry.Latest, false)
	if err != nil {
		if list := problem.Of(err); len(list) > 0 && list[0].Code == problem.UnknownSubject {
			list[0].Fix("%s; or name the schema: --schema FILE registers one, --schema-id N takes one that is there", list[0].Hint)
		}
		return nil, nil, err
	}
	texts, err := c.Texts(ctx, v.Type, v.References)
	if err != nil {
		return nil, nil, err
	}
	codec, err := compile(registry.Schema{ID: v.ID, Type: v.Type, Text: v.Text, References: texts})
	return codec, &v.ID, err
}

// compile returns the codec of a schema that values are to be written with; id -1 is one that is not registered yet.
func compile(s registry.Schema) (*avro.Codec, error) {
	where := problem.Location{SchemaID: s.ID, HasSchemaID: s.ID >= 0}
	if s.Type != "AVRO" {
		return nil, problem.New(problem.UnsupportedType, "the schema is %s, which silt does not write yet", s.Type).At(where).
			Fix("use an Avro schema")
	}
	c, err := avro.ParseCodec(s.Text, s.References)
	if err != nil {
		return nil, problem.New(problem.InvalidSchema, "the schema does not compile").At(where).Because(err)
	}
	return c, nil
}

// eachLine calls do for each line that is not blank, without its end; number counts from 1. A line that is too long comes without its text.
// Reading from a terminal cannot be interrupted, so it is left behind when ctx ends.
func eachLine(ctx context.Context, r io.Reader, do func(number int, line []byte, tooLong bool) error) error {
	type line struct {
		text    []byte
		tooLong bool
		err     error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := make(chan line)
	go func() {
		err := problem.Catch("reading lines", func() error {
			in := bufio.NewReaderSize(r, 64<<10)
			for {
				text, tooLong, err := readLine(in)
				select {
				case lines <- line{text, tooLong, err}:
				case <-ctx.Done():
					return nil
				}
				if err != nil {
					return nil
				}
			}
		})
		if err != nil {
			select {
			case lines <- line{err: err}:
			case <-ctx.Done():
			}
		}
	}()
	for number := 1; ; number++ {
		var l line
		select {
		case l = <-lines:
		case <-ctx.Done():
			return ctx.Err()
		}
		if text := bytes.TrimSpace(l.text); len(text) > 0 || l.tooLong {
			if err := do(number, text, l.tooLong); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(l.err, io.EOF):
			return nil
		case problem.Of(l.err) != nil:
			return l.err
		case l.err != nil:
			return problem.New(problem.FileUnreadable, "the input cannot be read: %w", l.err).At(problem.File("stdin"))
		}
	}
}

// readLine reads up to a line feed or the end, which is io.EOF.
func readLine(in *bufio.Reader) (text []byte, tooLong bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if len(text)+len(part) > maxLine {
			text, tooLong = nil, true
		}
		if !tooLong {
			text = append(text, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return text, tooLong, err
		}
	}
}

// A lineEncoder makes records of lines.
type lineEncoder struct {
	valueOnly, keyText bool
	codec              *avro.Codec // nil: values are written as they are
	id                 *int32      // nil only in a dry run, and without codec
	partitions         int
}

// A lineError says which part of a line is wrong.
type lineError struct{ field, why string }

func (e *lineError) Error() string { return e.why }

func wrongPart(field, format string, args ...any) error {
	return &lineError{field, fmt.Sprintf(format, args...)}
}

// record makes a record of a line, or says what is wrong with it.
func (e *lineEncoder) record(line []byte, tooLong bool) (kafka.Record, *problem.Problem) {
	if tooLong {
		return kafka.Record{}, problem.New(problem.BadRecord, "the line is longer than %s", option.FormatSize(maxLine))
	}
	r, err := e.parse(line)
	if err == nil {
		return r, nil
	}
	var part *lineError
	var value *avro.ValueError
	p := problem.New(problem.BadRecord, "%w", err)
	switch {
	case errors.As(err, &part):
		p.Where.Field = part.field
	case errors.As(err, &value):
		p.Message, p.Where.Field = value.Why, value.Path
		if !e.valueOnly {
			p.Where.Field = "value"
			if value.Path != "" {
				p.Where.Field += "." + value.Path
			}
		}
	}
	return r, p
}

// A lineRecord is a line as an object.
type lineRecord struct {
	Key       json.RawMessage `json:"key"`
	Value     json.RawMessage `json:"value"`
	Headers   json.RawMessage `json:"headers"`
	Partition *int64          `json:"partition"`
	Timestamp json.RawMessage `json:"timestamp"`
}

var lineMembers = []string{"key", "value", "headers", "partition", "timestamp"}

func (e *lineEncoder) parse(line []byte) (r kafka.Record, err error) {
	r.Partition = -1
	if e.valueOnly {
		r.Value, err = e.value(line)
		return r, err
	}
	l, err := parseLine(line)
	if err != nil {
		return r, err
	}
	if l.Partition != nil {
		if *l.Partition < 0 || *l.Partition >= int64(e.partitions) {
			return r, wrongPart("partition", "the topic has no partition %d; it has 0 to %d", *l.Partition, e.partitions-1)
		}
		r.Partition = int32(*l.Partition)
	}
	if r.Timestamp, err = parseTimestamp(l.Timestamp); err != nil {
		return r, err
	}
	if r.Headers, err = parseHeaders(l.Headers); err != nil {
		return r, err
	}
	if r.Key, err = e.key(l.Key); err != nil {
		return r, err
	}
	r.Value, err = e.value(l.Value)
	return r, err
}

func parseLine(line []byte) (l lineRecord, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(line, &members); err != nil {
		if !json.Valid(line) {
			return l, wrongPart("", "the line is no JSON: %v", err)
		}
		return l, wrongPart("", "the line is no object of key, value, headers, partition and timestamp; "+
			"lines that are values alone need --value-only")
	}
	for name := range members {
		known := false
		for _, m := range lineMembers {
			known = known || m == name
		}
		if !known {
			why := "a record has key, value, headers, partition and timestamp; lines that are values alone need --value-only"
			if n := problem.Nearest(name, lineMembers); n != "" {
				why = fmt.Sprintf("a record has no such part; did you mean %q?", n)
			}
			return l, wrongPart(name, "%s", why)
		}
	}
	if members["value"] == nil {
		return l, wrongPart("value", "it is missing; null writes a tombstone")
	}
	if err := json.Unmarshal(line, &l); err != nil {
		return l, wrongPart("partition", "it is no whole number") // the only member with a type
	}
	l.Value = members["value"]
	return l, nil
}

func isNull(text json.RawMessage) bool { return len(text) == 0 || string(text) == "null" }

// parseTimestamp reads milliseconds since 1970 or RFC 3339; zero if there is none.
func parseTimestamp(text json.RawMessage) (time.Time, error) {
	if isNull(text) {
		return time.Time{}, nil
	}
	if ms, err := strconv.ParseInt(string(text), 10, 64); err == nil && ms >= 0 {
		return time.UnixMilli(ms), nil
	}
	var s string
	if json.Unmarshal(text, &s) == nil {
		if t, err := time.Parse(time.RFC3339, s); err == nil && t.UnixMilli() >= 0 {
			return t, nil
		}
	}
	return time.Time{}, wrongPart("timestamp", "%s is neither milliseconds since 1970 nor a time such as \"2026-01-31T13:05:00Z\"", text)
}

// parseHeaders reads an object of texts, or the list that peek prints.
func parseHeaders(text json.RawMessage) ([]kafka.Header, error) {
	if isNull(text) {
		return nil, nil
	}
	var list []struct {
		Key    *string `json:"key"`
		Value  *string `json:"value"`
		Base64 []byte  `json:"valueBase64"`
	}
	var headers []kafka.Header
	if json.Unmarshal(text, &list) == nil {
		for i, h := range list {
			if h.Key == nil {
				return nil, wrongPart(fmt.Sprintf("headers[%d].key", i), "it is missing")
			}
			value := h.Base64
			if h.Value != nil {
				value = []byte(*h.Value)
			}
			headers = append(headers, kafka.Header{Key: *h.Key, Value: value})
		}
		return headers, nil
	}
	d := json.NewDecoder(bytes.NewReader(text)) // tokens keep the order
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, wrongPart("headers", "want an object of strings")
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, wrongPart("headers", "want an object of strings")
		}
		key, _ := name.(string) // of an object, always
		var value *string
		if err := d.Decode(&value); err != nil {
			return nil, wrongPart("headers."+key, "it is neither a string nor null")
		}
		h := kafka.Header{Key: key}
		if value != nil {
			h.Value = []byte(*value)
		}
		headers = append(headers, h)
	}
	return headers, nil
}

// key is the key's bytes: those of a text, or with decode.key: binary what base64 stands for.
func (e *lineEncoder) key(text json.RawMessage) ([]byte, error) {
	if isNull(text) {
		return nil, nil
	}
	var s string
	if json.Unmarshal(text, &s) != nil {
		return nil, wrongPart("key", "it is neither a string nor null")
	}
	if e.keyText {
		return []byte(s), nil
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, wrongPart("key", "it is not base64, and decode.key is binary")
	}
	return b, nil
}

// value encodes a value; null is a tombstone whatever the schema says.
func (e *lineEncoder) value(text json.RawMessage) ([]byte, error) {
	switch {
	case isNull(text):
		return nil, nil
	case e.codec != nil:
		header := make([]byte, headerBytes)
		if e.id != nil {
			binary.BigEndian.PutUint32(header[1:], uint32(*e.id))
		}
		return e.codec.AppendBinary(header, text)
	}
	var s string
	if json.Unmarshal(text, &s) == nil {
		return []byte(s), nil
	}
	if !json.Valid(text) || !utf8.Valid(text) {
		return nil, wrongPart("", "the value is no JSON")
	}
	return text, nil
}
