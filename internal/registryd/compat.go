package registryd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/siltlake/silt/internal/registryd/avroschema"
)

// maxOldSchema is how much of an old schema a message repeats, as in Confluent's registry.
const maxOldSchema = 10 * 1024

// check compares a new schema with the versions that the level says, the newest first, and returns what is wrong with the first that does
// not fit, in the words of Confluent's registry.
func (st *state) check(c config, parsed *avroschema.Schema, previous []*version) ([]string, error) {
	if c.Level == "NONE" {
		return nil, nil
	}
	direction, transitive := strings.CutSuffix(c.Level, "_TRANSITIVE")
	for _, old := range slices.Backward(previous) {
		messages, err := st.compare(direction, parsed, old)
		if err != nil {
			return nil, err
		}
		if len(messages) > 0 {
			return append(messages, fmt.Sprintf("{validateFields: 'false', compatibility: '%s'}", c.Level)), nil
		}
		if !transitive {
			break
		}
	}
	return nil, nil
}

func (st *state) compare(direction string, parsed *avroschema.Schema, old *version) ([]string, error) {
	if old.content.typ != avroType {
		return appendOld([]string{"Incompatible because of different schema type"}, old), nil
	}
	stored, err := st.stored(old)
	if err != nil {
		return nil, fmt.Errorf("version %d: %w", old.number, err)
	}
	switch direction {
	case "FORWARD":
		return appendOld(differences(stored, parsed, "old", "new"), old), nil
	case "FULL":
		forward := differences(stored, parsed, "old", "new")
		return append(forward, appendOld(differences(parsed, stored, "new", "old"), old)...), nil
	}
	return appendOld(differences(parsed, stored, "new", "old"), old), nil
}

func differences(reader, writer *avroschema.Schema, readerName, writerName string) []string {
	found, err := avroschema.Compare(reader, writer)
	if err != nil {
		return []string{"Unexpected exception during compatibility check: " + err.Error()}
	}
	var messages []string
	for _, d := range found {
		messages = append(messages, d.Describe(readerName, writerName))
	}
	return messages
}

// appendOld adds to messages, if there are any, what they are about.
func appendOld(messages []string, old *version) []string {
	if len(messages) == 0 {
		return nil
	}
	messages = append(messages, fmt.Sprintf("{oldSchemaVersion: %d}", old.number))
	text := old.content.text
	if len(text) > maxOldSchema {
		cut := strings.ToValidUTF8(text[:maxOldSchema], "")
		return append(messages, fmt.Sprintf("{oldSchema: <truncated to %d characters> '%s'}", maxOldSchema, cut))
	}
	return append(messages, fmt.Sprintf("{oldSchema: '%s'}", text))
}

func errIncompatible(s subject, messages []string) *apiError {
	return failf(codeIncompatible, "Schema being registered is incompatible with an earlier schema for subject \"%s\", details: [%s]",
		s, strings.Join(messages, ", "))
}

// A compatibility is the answer of a check. Only a verbose one has messages.
type compatibility struct {
	Compatible bool     `json:"is_compatible"`
	Messages   []string `json:"messages,omitempty"`
}

// checkVersion answers POST /compatibility/subjects/{subject}/versions/{version}.
func checkVersion(st *state, q *request) outcome {
	number, fault := versionNumber(q.path["version"])
	if fault != nil {
		return fail(fault)
	}
	ss := st.subject(q.subject())
	var previous []*version
	if v := ss.pick(number, false); v != nil {
		previous = []*version{v}
	} else if number != latest {
		return fail(errVersionNotFound(number))
	}
	return st.checkAgainst(q, previous)
}

// checkAll answers POST /compatibility/subjects/{subject}/versions.
func checkAll(st *state, q *request) outcome {
	return st.checkAgainst(q, st.subject(q.subject()).live())
}

func (st *state) checkAgainst(q *request, previous []*version) outcome {
	s := q.subject()
	if err := s.check(); err != nil {
		return fail(err)
	}
	body, fault := parseSchemaRequest(q.body)
	verbose := q.flag("verbose")
	if fault == nil && body.empty() {
		fault = errInvalidSchema("Empty schema")
	}
	conf := st.configOf(s)
	var parsed *avroschema.Schema
	if fault == nil {
		_, parsed, fault = st.parse(body, s, q.flag("normalize") || conf.normalizes(), false)
	}
	if fault != nil {
		if verbose && fault.Code == codeInvalidSchema {
			return outcome{body: compatibility{Messages: []string{fault.Message}}}
		}
		return fail(fault)
	}
	messages, err := st.check(conf, parsed, previous)
	if err != nil {
		return fail(errInvalidSchema(err.Error()))
	}
	answer := compatibility{Compatible: len(messages) == 0}
	if verbose {
		answer.Messages = messages
	}
	return outcome{body: answer}
}
