package datagen

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// A Format is how values are written.
type Format string

// The formats that have an encoder.
const (
	Avro Format = "AVRO" // Confluent's wire format, the schema in a registry
	JSON Format = "JSON"
)

const (
	maxConfigBytes = 4 << 20 // a schema.string may be long
	maxTasks       = 64
)

// A Config is what a connector does. ParseConfig makes one of a connector's JSON.
type Config struct {
	Name   string
	Topic  string
	Schema *Schema
	// KeyField is the field whose text is the record's key; "": the key is null.
	KeyField string
	// MaxInterval is the longest pause before a record, whose mean is half of it; 0: none.
	MaxInterval time.Duration
	Iterations  int64  // records of a task; below 1: no limit
	Seed        *int64 // nil: another one each time
	Tasks       int
	Output      Format
	// Envelope writes JSON as {"schema":...,"payload":...}, as JsonConverter does with schemas.enable=true.
	Envelope bool
	// NumericDecimals writes decimals in JSON as numbers, not as the base64 of their bytes.
	NumericDecimals bool
	// Subject is where the schema is registered.
	Subject string

	// Registry holds what the connector's converter says of its registry, by the names of Confluent's clients.
	Registry option.Values
	// Notes say which keys have no effect here, and why.
	Notes []string

	keys []entry // as given, for String
}

// An entry is a key of the connector's JSON.
type entry struct {
	key, text string
	null      bool
	at        problem.Location
}

// shown is the text as it may be printed.
func (e entry) shown() string {
	if secretKey.MatchString(e.key) {
		return mask
	}
	return e.text
}

// secretKey matches the keys whose values are never shown.
var secretKey = regexp.MustCompile(`(?i)(api\.key|secret|password|user\.info|jaas\.config|token|credential|\.key)$`)

// mask is how Confluent Cloud shows a value that it does not show.
const mask = "****************"

// MarshalJSON gives the connector's JSON with its secrets masked, in the form {"name":..., "config":{...}}.
func (c Config) MarshalJSON() ([]byte, error) {
	b := column.AppendString([]byte(`{"name":`), c.Name)
	b = append(b, `,"config":{`...)
	for i, e := range c.keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(column.AppendString(b, e.key), ':')
		if e.null {
			b = append(b, "null"...)
			continue
		}
		b = column.AppendString(b, e.shown())
	}
	return append(b, "}}"...), nil
}

// String is MarshalJSON, indented.
func (c Config) String() string {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// GoString and Format keep %v and its like from printing the fields.
func (c Config) GoString() string { return c.String() }

// Format prints String for every verb.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// masked are the keys as they may be shown.
func (c Config) masked() map[string]string {
	out := map[string]string{}
	for _, e := range c.keys {
		if !e.null {
			out[e.key] = e.shown()
		}
	}
	return out
}

// Secrets are the values that must not be printed by anyone.
func (c Config) Secrets() []secret.Secret {
	var out []secret.Secret
	for _, e := range c.keys {
		if secretKey.MatchString(e.key) && strings.Trim(e.text, "*") != "" {
			out = append(out, secret.New(e.text))
		}
	}
	return out
}

// ParseConfig reads a connector's JSON, self-managed (kafka-connect-datagen) or Confluent Cloud's (DatagenSource), either with name and
// config or flat. All that is wrong with it is in the error, a problem.List, in Connect's words; file is its name in messages. readFile
// reads schema.filename and files of options; nil: os.ReadFile.
func ParseConfig(file string, text []byte, readFile func(name string) ([]byte, error)) (Config, error) {
	if readFile == nil {
		readFile = os.ReadFile
	}
	r := &configReader{
		file: file, readFile: readFile, where: problem.File(file), entries: map[string]entry{}, strategy: topicNameStrategy,
	}
	r.read(text)
	if r.broken {
		return Config{}, r.problems
	}
	r.connector()
	r.unknown()
	if len(r.problems) > 0 {
		r.problems.Sort()
		return Config{}, r.problems
	}
	r.c.keys = r.order
	return r.c, nil
}

// A configReader takes a connector's JSON apart; each getter marks its key as known.
type configReader struct {
	file     string
	readFile func(string) ([]byte, error)
	where    problem.Location
	entries  map[string]entry
	order    []entry
	known    []string
	problems problem.List
	broken   bool // there is no object to look at
	outer    entry
	// strategy and registryContext make the subject of the schema once its name is known.
	strategy, registryContext string
	c                         Config
}

func (r *configReader) report(at problem.Location, code problem.Code, format string, args ...any) *problem.Problem {
	p := problem.New(code, format, args...).At(at)
	r.problems = append(r.problems, p)
	return p
}

// read fills the entries. A flat object is the config itself; else config is, and name lies beside it.
func (r *configReader) read(text []byte) {
	r.broken = true
	if len(text) > maxConfigBytes {
		r.report(r.where, problem.TooLarge, "the connector's JSON is larger than %s", option.FormatSize(maxConfigBytes))
		return
	}
	t := &tokens{d: json.NewDecoder(bytes.NewReader(text)), text: text, file: r.file}
	t.d.UseNumber()
	outer, err := t.object()
	if err == nil {
		if _, extra := t.d.Token(); !errors.Is(extra, io.EOF) {
			err = errors.New("there is text after the object")
		}
	}
	if err != nil {
		r.report(t.here(), problem.Syntax, "not a connector's JSON: %w", err).
			Fix(`want {"name": "...", "config": {"connector.class": "...", ...}}, or the config alone`)
		return
	}
	r.broken = false
	nested := -1
	for i, m := range outer {
		if m.key == "config" && m.inner != nil {
			nested = i
		}
	}
	members := outer
	if nested >= 0 {
		members = outer[nested].inner
		for i, m := range outer {
			switch {
			case i == nested:
			case m.key == "name" && m.inner == nil && !m.array:
				r.outer = m.entry
			default:
				r.unknownKey(m.entry, []string{"name", "config"}, "beside config")
			}
		}
	}
	for _, m := range members {
		if _, double := r.entries[m.key]; double {
			r.report(m.at, problem.DuplicateOption, "%s is given twice", m.key)
			continue
		}
		if m.inner != nil || m.array {
			r.report(m.at, problem.InvalidValue, "%s is an object or an array; want a string", m.key)
			r.known = append(r.known, m.key)
		}
		r.entries[m.key] = m.entry
		r.order = append(r.order, m.entry)
	}
}

// A member is one of a JSON object's, with its place.
type member struct {
	entry
	inner []member // of an object
	array bool
}

// tokens reads the JSON; encoding/json alone tells no places.
type tokens struct {
	d     *json.Decoder
	text  []byte
	file  string
	depth int
}

func (t *tokens) here() problem.Location {
	before := t.text[:min(int(t.d.InputOffset()), len(t.text))]
	return problem.Location{File: t.file, Line: 1 + bytes.Count(before, []byte("\n")), Col: len(before) - bytes.LastIndexByte(before, '\n')}
}

// object reads an object; objects in it are read, so that a config can be found, and arrays are skipped.
func (t *tokens) object() ([]member, error) {
	token, err := t.d.Token()
	if err != nil {
		return nil, syntaxOf(err)
	}
	if token != json.Delim('{') {
		return nil, errors.New("want an object")
	}
	return t.members()
}

func (t *tokens) members() ([]member, error) {
	if t.depth++; t.depth > 8 {
		return nil, errors.New("it is nested too deeply")
	}
	defer func() { t.depth-- }()
	out := []member{}
	for t.d.More() {
		key, err := t.d.Token()
		if err != nil {
			return nil, syntaxOf(err)
		}
		m := member{entry: entry{key: key.(string)}} // a key of an object is a string, or it is no JSON
		m.at = t.here()
		m.at.Col = max(1, m.at.Col-len(m.key)-2)
		value, err := t.d.Token()
		if err != nil {
			return nil, syntaxOf(err)
		}
		switch v := value.(type) {
		case json.Delim:
			if v == '{' {
				m.inner, err = t.members()
			} else {
				m.array = true
				err = t.skipArray()
			}
			if err != nil {
				return nil, err
			}
		case nil:
			m.null = true
		default:
			m.text = fmt.Sprint(v) // as Connect does, it takes numbers and booleans as their texts
		}
		out = append(out, m)
	}
	_, err := t.d.Token()
	return out, syntaxOf(err)
}

func (t *tokens) skipArray() error {
	for depth := 1; depth > 0; {
		token, err := t.d.Token()
		if err != nil {
			return syntaxOf(err)
		}
		switch token {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
	}
	return nil
}

func syntaxOf(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the JSON has no end")
	}
	return err
}

// get returns the key's value without spaces around, and marks it as known.
func (r *configReader) get(key string) (entry, bool) {
	r.known = append(r.known, key)
	e, ok := r.entries[key]
	e.text = strings.TrimSpace(e.text)
	return e, ok && !e.null
}

func (r *configReader) string(key, standard string) (string, entry) {
	e, ok := r.get(key)
	if !ok {
		return standard, e
	}
	return e.text, e
}

// required returns a string that must be given.
func (r *configReader) required(key, hint string) string {
	e, ok := r.get(key)
	switch {
	case !ok:
		r.report(r.where, problem.MissingOption, "Missing required configuration %q which has no default value.", key).Fix("%s", hint)
	case e.text == "":
		r.invalid(e, "String must be non-empty").Fix("%s", hint)
	}
	return e.text
}

// invalid reports a value as Connect's ConfigException does.
func (r *configReader) invalid(e entry, why string, args ...any) *problem.Problem {
	return r.report(e.at, problem.InvalidValue, "Invalid value %s for configuration %s: %s", e.shown(), e.key, fmt.Sprintf(why, args...))
}

// unknown reports the keys that no getter asked for.
func (r *configReader) unknown() {
	for _, e := range r.order {
		known := false
		for _, k := range r.known {
			known = known || k == e.key
		}
		if !known {
			r.unknownKey(e, r.known, "of a Datagen connector")
		}
	}
}

func (r *configReader) unknownKey(e entry, known []string, of string) {
	p := r.report(e.at, problem.UnknownOption, "unknown key %q %s", e.key, of)
	if n := problem.Nearest(e.key, known); n != "" {
		p.Message += fmt.Sprintf("; did you mean %q?", n)
	}
}

// note says that a key has no effect.
func (r *configReader) note(key, why string) {
	if _, ok := r.get(key); ok {
		r.c.Notes = append(r.c.Notes, key+": "+why)
	}
}

// readSchemaFile reads schema.filename: a file, else a schema of Datagen's jar.
func (r *configReader) readSchemaFile(name string) ([]byte, error) {
	text, err := r.readFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if known, ok := resource(name); ok {
			return known, nil
		}
	}
	return text, err
}
