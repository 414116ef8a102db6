package datagen

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
)

const (
	classCloud       = "DatagenSource"
	classSelfManaged = "io.confluent.kafka.connect.datagen.DatagenConnector"
)

// connector reads the keys of both forms, then those of the one that connector.class says.
func (r *configReader) connector() {
	r.name()
	r.c.Topic = r.required("kafka.topic", "name the topic: \"kafka.topic\": \"clickstreams\"")
	if e, ok := r.get("kafka.topic"); ok && e.text != "" && !topicName.MatchString(e.text) {
		r.invalid(e, "a topic's name has 1 to 249 of the characters a-z A-Z 0-9 . _ -")
	}
	r.c.Iterations = r.integer("iterations", -1, math.MinInt32, math.MaxInt32, "INT")
	r.c.Tasks = int(r.integer("tasks.max", 1, math.MinInt32, math.MaxInt32, "INT"))
	switch e, _ := r.get("tasks.max"); {
	case r.c.Tasks < 1:
		r.invalid(e, "Value must be at least 1")
	case r.c.Tasks > maxTasks:
		r.invalid(e, "Value must be no more than %d", maxTasks)
	}
	if e, ok := r.get("random.seed"); ok && e.text != "" {
		seed := r.integer("random.seed", 0, math.MinInt64, math.MaxInt64, "LONG")
		r.c.Seed = &seed
	}
	if _, ok := r.get("generate.timeout"); ok {
		e, _ := r.get("generate.timeout")
		r.report(e.at, problem.Unsupported, "generate.timeout is of no release of Datagen").
			Fix("leave it out: a record that grows beyond %s or searches a regex too long fails by itself", option.FormatSize(maxRecordBytes))
	}
	class := r.required("connector.class", "set it to "+classSelfManaged+", or in Confluent Cloud's form to "+classCloud)
	interval := int64(500)
	switch class {
	case classCloud:
		interval = 1000
		r.cloud()
	case classSelfManaged, "DatagenConnector", "Datagen":
		r.selfManaged()
	case "":
		r.known = append(r.known, keysOfForms...)
	default:
		r.known = append(r.known, keysOfForms...)
		e, _ := r.get("connector.class")
		p := r.report(e.at, problem.InvalidValue,
			"Failed to find any class that implements Connector and which name matches %s", class)
		if n := problem.Nearest(class, []string{classCloud, classSelfManaged, "DatagenConnector"}); n != "" {
			p.Fix("did you mean %q?", n)
		} else {
			p.Fix("silt has one connector: %s, or %s", classSelfManaged, classCloud)
		}
	}
	r.c.MaxInterval = time.Duration(max(r.integer("max.interval", interval, math.MinInt64, math.MaxInt64/int64(time.Millisecond), "LONG"), 0)) *
		time.Millisecond
	r.schema()
}

// topicName is Kafka's rule (Topic.LEGAL_CHARS).
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// keysOfForms are known where the form is not, so that they are not reported in addition.
var keysOfForms = []string{"output.data.format", "kafka.auth.mode", "kafka.api.key", "kafka.api.secret",
	"kafka.service.account.id", "kafka.endpoint", "kafka.region", "cloud.provider", "cloud.environment",
	"schema.context.name", "json.output.decimal.format", "key.subject.name.strategy",
	"value.subject.name.strategy", "key.converter", "value.converter", "header.converter", "key.converter.schemas.enable",
	"value.converter.schemas.enable", "value.converter.schema.registry.url", "value.converter.basic.auth.credentials.source",
	"value.converter.basic.auth.user.info", "transforms", "predicates", "errors.tolerance"}

func (r *configReader) name() {
	e, ok := r.get("name")
	r.outer.text = strings.TrimSpace(r.outer.text)
	switch {
	case r.outer.key == "":
		r.c.Name = r.required("name", "name the connector: \"name\": \"DatagenSourceConnector_0\"")
	case ok && e.text != r.outer.text:
		r.invalid(e, "Connector name configuration (%s) doesn't match connector name in the request (%s)", e.text, r.outer.text)
	case r.outer.text == "":
		r.report(r.outer.at, problem.InvalidValue, "Invalid value  for configuration name: String must be non-empty")
	default:
		r.c.Name = r.outer.text
	}
}

// integer reads a number; typ is how Connect names its type.
func (r *configReader) integer(key string, standard, least, most int64, typ string) int64 {
	e, ok := r.get(key)
	if !ok {
		return standard
	}
	n, err := strconv.ParseInt(e.text, 10, 64)
	if err != nil || n < least || n > most {
		r.invalid(e, "Not a number of type %s", typ)
		return standard
	}
	return n
}

func (r *configReader) boolean(key string, standard bool) bool {
	e, ok := r.get(key)
	switch {
	case !ok:
		return standard
	case strings.EqualFold(e.text, "true"):
		return true
	case strings.EqualFold(e.text, "false"):
		return false
	}
	r.invalid(e, "Expected value to be either true or false")
	return standard
}

func (r *configReader) oneOf(key, standard string, choices ...string) string {
	e, ok := r.get(key)
	if !ok {
		return standard
	}
	if !slices.Contains(choices, e.text) {
		p := r.invalid(e, "String must be one of: %s", strings.Join(choices, ", "))
		if n := problem.Nearest(e.text, choices); n != "" {
			p.Fix("did you mean %q?", n)
		}
		return standard
	}
	return e.text
}

// cloud reads the keys of Confluent Cloud's form. What belongs to the cloud alone is noted.
func (r *configReader) cloud() {
	const login = "the login is that of the Kafka connection"
	r.oneOf("kafka.auth.mode", "KAFKA_API_KEY", "KAFKA_API_KEY", "SERVICE_ACCOUNT")
	for _, key := range []string{"kafka.auth.mode", "kafka.api.key", "kafka.api.secret", "kafka.service.account.id"} {
		r.note(key, login)
	}
	for _, key := range []string{"kafka.endpoint", "kafka.region", "cloud.provider", "cloud.environment"} {
		r.note(key, "the cluster is that of the Kafka connection")
	}
	r.oneOf("key.subject.name.strategy", topicNameStrategy, topicNameStrategy, recordNameStrategy, topicRecordNameStrategy)
	r.note("key.subject.name.strategy", "keys are text and have no schema")
	format, e := r.string("output.data.format", "")
	switch format {
	case string(Avro), string(JSON):
		r.c.Output = Format(format)
	case "JSON_SR", "PROTOBUF":
		r.report(e.at, problem.Unsupported, "output.data.format %s is not supported yet", format).Fix("set AVRO or JSON")
	case "":
		r.report(r.where, problem.MissingOption, "Missing required configuration \"output.data.format\" which has no default value.").
			Fix("set \"output.data.format\": \"AVRO\", or \"JSON\"")
	default:
		p := r.invalid(e, "String must be one of: AVRO, JSON_SR, PROTOBUF, JSON")
		if n := problem.Nearest(format, []string{"AVRO", "JSON"}); n != "" {
			p.Fix("did you mean %q?", n)
		}
	}
	r.c.NumericDecimals = r.oneOf("json.output.decimal.format", "BASE64", "BASE64", "NUMERIC") == "NUMERIC"
	r.strategy = r.oneOf("value.subject.name.strategy", topicNameStrategy, topicNameStrategy, recordNameStrategy, topicRecordNameStrategy)
	r.registryContext, _ = r.string("schema.context.name", "default")
}

const (
	topicNameStrategy       = "TopicNameStrategy"
	recordNameStrategy      = "RecordNameStrategy"
	topicRecordNameStrategy = "TopicRecordNameStrategy"
)

// subject is where the schema is registered, in its context.
func (r *configReader) subject() string {
	prefix := ""
	if r.registryContext != "" && r.registryContext != "default" {
		prefix = ":." + r.registryContext + ":"
	}
	switch r.strategy {
	case recordNameStrategy:
		return prefix + r.c.Schema.name
	case topicRecordNameStrategy:
		return prefix + r.c.Topic + "-" + r.c.Schema.name
	}
	return prefix + r.c.Topic + "-value"
}

const (
	stringConverter = "org.apache.kafka.connect.storage.StringConverter"
	avroConverter   = "io.confluent.connect.avro.AvroConverter"
	jsonConverter   = "org.apache.kafka.connect.json.JsonConverter"
	simpleHeaders   = "org.apache.kafka.connect.storage.SimpleHeaderConverter"
)

// otherKeys begin what Connect knows and silt does not do.
var otherKeys = []string{
	"transforms.", "predicates.", "errors.", "topic.creation.", "producer.override.", "value.converter.", "key.converter.",
}

// selfManaged reads Connect's generic keys.
func (r *configReader) selfManaged() {
	if key, e := r.string("key.converter", stringConverter); key != stringConverter {
		r.report(e.at, problem.Unsupported, "key.converter %s is not supported", key).Fix("set it to %s, or leave it out", stringConverter)
	}
	r.note("key.converter.schemas.enable", "StringConverter writes no schema")
	if headers, e := r.string("header.converter", simpleHeaders); headers != simpleHeaders {
		r.report(e.at, problem.Unsupported, "header.converter %s is not supported", headers).
			Fix("leave it out: %s is Connect's default", simpleHeaders)
	}
	switch value, e := r.string("value.converter", avroConverter); value {
	case avroConverter:
		r.c.Output = Avro
		r.registry()
	case jsonConverter:
		r.c.Output = JSON
		r.c.Envelope = r.boolean("value.converter.schemas.enable", true)
		r.c.NumericDecimals = r.oneOf("value.converter.decimal.format", "BASE64", "BASE64", "NUMERIC") == "NUMERIC"
	default:
		r.report(e.at, problem.Unsupported, "value.converter %s is not supported yet", value).
			Fix("set it to %s or %s", avroConverter, jsonConverter)
		for _, o := range r.order { // its own keys are no faults of theirs
			if strings.HasPrefix(o.key, "value.converter.") {
				r.known = append(r.known, o.key)
			}
		}
	}
	// With these values the keys say what happens anyway; any other would change what is written.
	for key, only := range map[string]string{"errors.tolerance": "none", "transforms": "", "predicates": ""} {
		if text, e := r.string(key, only); text != only {
			r.report(e.at, problem.Unsupported, "%s %s is not supported", key, text).Fix("leave it out")
		}
	}
	for _, e := range r.order {
		for _, prefix := range otherKeys {
			if strings.HasPrefix(e.key, prefix) && !slices.Contains(r.known, e.key) {
				r.known = append(r.known, e.key)
				r.report(e.at, problem.Unsupported, "%s is not supported", e.key).Fix("leave it out")
			}
		}
	}
}

// registry reads what AvroConverter is told of its registry.
func (r *configReader) registry() {
	const prefix = "value.converter."
	var values []option.Value
	for _, key := range []string{"schema.registry.url", "basic.auth.credentials.source", "basic.auth.user.info"} {
		if e, ok := r.get(prefix + key); ok {
			values = append(values, option.Value{Key: key, Text: e.text, Pos: e.at})
		}
	}
	r.c.Registry = option.NewValues("value.converter", r.where, values...)
	if e, ok := r.get(prefix + "schemas.enable"); ok {
		r.c.Notes = append(r.c.Notes, e.key+": AvroConverter always writes a schema id")
	}
	if !r.boolean(prefix+"auto.register.schemas", true) {
		e, _ := r.get(prefix + "auto.register.schemas")
		r.report(e.at, problem.Unsupported, "%s is false, which is not supported", e.key).
			Fix("leave it out: the schema is registered, or found if it is there")
	}
	const strategies = "io.confluent.kafka.serializers.subject."
	text := r.oneOf(prefix+"value.subject.name.strategy", strategies+topicNameStrategy, strategies+topicNameStrategy,
		strategies+recordNameStrategy, strategies+topicRecordNameStrategy)
	r.strategy = strings.TrimPrefix(text, strategies)
}

// schemaSources are the keys of which exactly one must be given.
var schemaSources = []string{"schema.string", "schema.filename", "quickstart"}

// schema reads the schema and its key, and checks that a generator can be made of it.
func (r *configReader) schema() {
	var given []entry
	for _, key := range schemaSources {
		if e, ok := r.get(key); ok && e.text != "" {
			given = append(given, e)
		}
	}
	keyField, keyEntry := r.string("schema.keyfield", "")
	const one = "Must set exactly one of schema.string, schema.filename, quickstart"
	switch {
	case len(given) == 0:
		r.report(r.where, problem.MissingOption, one).Fix("\"quickstart\": \"CLICKSTREAM\" is one")
		return
	case len(given) > 1:
		for _, e := range given {
			r.report(e.at, problem.Conflict, "%s: %s", e.key, one)
		}
		return
	}
	source := given[0]
	if r.c.Schema = r.readSchema(source, &keyField); r.c.Schema == nil {
		return
	}
	r.c.KeyField = r.checkKey(keyField, keyEntry)
	if _, err := NewGenerator(r.c.Schema, GeneratorOptions{KeyField: r.c.KeyField, ReadFile: r.readFile}); err != nil {
		var faults SchemaFaults
		if !errors.As(err, &faults) {
			faults = SchemaFaults{{Message: err.Error()}}
		}
		for _, f := range faults {
			r.report(source.at, problem.InvalidValue, "%s: %s", source.key, f.Error())
		}
	}
	if r.c.Envelope {
		if _, err := r.c.Schema.envelope(); err != nil {
			r.report(source.at, problem.InvalidValue, "%s: %w", source.key, err).Fix("set value.converter.schemas.enable to false")
		}
	}
	r.c.Subject = r.subject()
}

// checkKey returns the key field, "" if there is none or it cannot be one.
func (r *configReader) checkKey(name string, e entry) string {
	if name == "" {
		return ""
	}
	f := r.c.Schema.field(name)
	if f == nil {
		p := r.report(e.at, problem.InvalidValue, "schema.keyfield: The schema does not contain the field provided in 'schema.keyfield'")
		var names []string
		for _, f := range r.c.Schema.fields {
			names = append(names, f.name)
		}
		if n := problem.Nearest(name, names); n != "" {
			p.Fix("did you mean %q?", n)
		} else {
			p.Fix("the fields are: %s", strings.Join(names, ", "))
		}
		return ""
	}
	if err := checkKeyType(f.schema); err != nil {
		r.report(e.at, problem.Unsupported, "schema.keyfield: %w", err).Fix("name a field that is a text, a number or a boolean")
		return ""
	}
	return name
}

// readSchema returns the schema of one of the three keys, nil after a problem. A quickstart has a key field of its own.
func (r *configReader) readSchema(e entry, keyField *string) *Schema {
	text := []byte(e.text)
	switch e.key {
	case "quickstart":
		q, ok := LookupQuickstart(e.text)
		if !ok {
			var names []string
			for _, q := range Quickstarts() {
				names = append(names, strings.ToLower(q.Name))
			}
			p := r.report(e.at, problem.InvalidValue, "quickstart must be one out of %s", strings.Join(names, ","))
			if n := problem.Nearest(e.text, names); n != "" {
				p.Fix("did you mean %q?", n)
			}
			return nil
		}
		if *keyField == "" {
			*keyField = q.KeyField
		}
		return q.Schema()
	case "schema.filename":
		var err error
		if text, err = r.readSchemaFile(e.text); err != nil {
			why := "Unable to read the schema file"
			if errors.Is(err, fs.ErrNotExist) {
				why = "Unable to find the schema file"
			}
			r.report(e.at, problem.FileUnreadable, "schema.filename: %s", why).Because(err)
			return nil
		}
	}
	s, err := ParseSchema(text)
	if err != nil {
		r.report(e.at, problem.InvalidValue, "%s: %s", e.key, fmt.Sprintf("Unable to parse the provided schema: %s", err))
		return nil
	}
	return s
}
