package registryd

import (
	"encoding/json"
	"errors"
	"hash"
	"maps"
	"slices"
	"strings"
)

// A metadata is the part of a data contract that describes a schema. The registry keeps it and finds schemas by it.
type metadata struct {
	Tags       map[string][]string `json:"tags,omitempty"`
	Properties map[string]string   `json:"properties,omitempty"`
	Sensitive  []string            `json:"sensitive,omitempty"`
}

// sort gives equal metadata one form.
func (m *metadata) sort() {
	if m == nil {
		return
	}
	for k, tags := range m.Tags {
		m.Tags[k] = slices.Compact(slices.Sorted(slices.Values(tags)))
	}
	m.Sensitive = slices.Compact(slices.Sorted(slices.Values(m.Sensitive)))
}

// hash has the order of Confluent's client (client, rest/entities/Metadata.java updateHash).
func (m *metadata) hash(h hash.Hash) {
	for _, k := range slices.Sorted(maps.Keys(m.Tags)) {
		h.Write([]byte(k))
		for _, t := range m.Tags[k] {
			h.Write([]byte(t))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(m.Properties)) {
		h.Write([]byte(k))
		h.Write([]byte(m.Properties[k]))
	}
	for _, s := range m.Sensitive {
		h.Write([]byte(s))
	}
}

// A ruleSet is the part of a data contract that clients run. The registry only keeps it.
type ruleSet struct {
	MigrationRules []rule `json:"migrationRules,omitempty"`
	DomainRules    []rule `json:"domainRules,omitempty"`
	EncodingRules  []rule `json:"encodingRules,omitempty"`
	EnableAt       string `json:"enableAt,omitempty"`
}

type rule struct {
	Name      string            `json:"name"`
	Doc       string            `json:"doc,omitempty"`
	Kind      string            `json:"kind,omitempty"`
	Mode      string            `json:"mode,omitempty"`
	Type      string            `json:"type,omitempty"`
	Tags      []string          `json:"tags,omitempty"`
	Params    map[string]string `json:"params,omitempty"`
	Expr      string            `json:"expr,omitempty"`
	OnSuccess string            `json:"onSuccess,omitempty"`
	OnFailure string            `json:"onFailure,omitempty"`
	Disabled  bool              `json:"disabled,omitempty"`
}

// check refuses rules that no client can run.
func (r *ruleSet) check() *apiError {
	if r == nil {
		return nil
	}
	modes := map[string][]string{
		"TRANSFORM": {"UPGRADE", "DOWNGRADE", "UPDOWN", "READ", "WRITE", "WRITEREAD"},
		"CONDITION": {"READ", "WRITE", "WRITEREAD"},
	}
	for _, r := range slices.Concat(r.MigrationRules, r.DomainRules, r.EncodingRules) {
		known, ok := modes[r.Kind]
		switch {
		case r.Name == "":
			return failf(codeInvalidRuleSet, "Invalid rule set, details: a rule has no name")
		case r.Kind != "" && !ok:
			return failf(codeInvalidRuleSet, "Invalid rule set, details: rule %q has the kind %q", r.Name, r.Kind)
		case r.Kind != "" && r.Mode != "" && !slices.Contains(known, r.Mode):
			return failf(codeInvalidRuleSet, "Invalid rule set, details: rule %q of kind %s has the mode %q", r.Name, r.Kind, r.Mode)
		}
	}
	return nil
}

// A schemaRequest is the body of a registration, a look-up or a compatibility check.
type schemaRequest struct {
	Schema     *string           `json:"schema"`
	SchemaType string            `json:"schemaType"`
	References []reference       `json:"references"`
	Metadata   *metadata         `json:"metadata"`
	RuleSet    *ruleSet          `json:"ruleSet"`
	Version    *int32            `json:"version"`
	ID         *int32            `json:"id"`
	Add        []json.RawMessage `json:"schemaTagsToAdd"`
	Remove     []json.RawMessage `json:"schemaTagsToRemove"`
	Propagate  *bool             `json:"propagateSchemaTags"`
}

func parseSchemaRequest(body []byte) (*schemaRequest, *apiError) {
	var r schemaRequest
	if err := parseBody(body, &r); err != nil {
		return nil, err
	}
	switch {
	case len(r.Add) > 0 || len(r.Remove) > 0 || r.Propagate != nil && *r.Propagate:
		return nil, failf(422, "tags of schemas cannot be changed here: register the schema with its tags")
	case r.SchemaType != "" && r.SchemaType != avroType:
		if r.SchemaType == "JSON" || r.SchemaType == "PROTOBUF" {
			return nil, failf(codeInvalidSchema, "Invalid schema of type %s, details: this registry holds schemas of type AVRO only", r.SchemaType)
		}
		return nil, failf(codeInvalidSchema, "Invalid schema type %s", r.SchemaType)
	case len(r.References) > maxReferences:
		return nil, failf(codeInvalidSchema, "Invalid schema of type AVRO, details: %d references, more than %d", len(r.References), maxReferences)
	}
	r.Metadata.sort()
	return &r, r.RuleSet.check()
}

// empty says that the request leaves the schema to the registry.
func (r *schemaRequest) empty() bool { return r.Schema == nil || strings.TrimSpace(*r.Schema) == "" }

const avroType = "AVRO"

// A schemaAnswer is a schema as the API shows it. Which fields it has depends on the call, and on whether the client takes unknown ones.
type schemaAnswer struct {
	Subject    string      `json:"subject,omitempty"`
	Version    int32       `json:"version,omitempty"`
	ID         int32       `json:"id,omitempty"`
	MaxID      int32       `json:"maxId,omitempty"`
	GUID       string      `json:"guid,omitempty"`
	SchemaType string      `json:"schemaType,omitempty"`
	References []reference `json:"references,omitempty"`
	Metadata   *metadata   `json:"metadata,omitempty"`
	RuleSet    *ruleSet    `json:"ruleSet,omitempty"`
	Schema     string      `json:"schema,omitempty"`
	Time       int64       `json:"ts,omitempty"`
	Deleted    bool        `json:"deleted,omitempty"`
}

// answer shows a content. Clients from before version 8 are strict about what they do not know, so that the newer fields are only for
// those that say that they take them (header Confluent-Accept-Unknown-Properties).
func (c *content) answer(newer bool) schemaAnswer {
	a := schemaAnswer{References: c.references, Metadata: c.metadata, RuleSet: c.ruleSet, Schema: c.text}
	if newer || c.typ != avroType {
		a.SchemaType = c.typ
	}
	if newer {
		a.GUID = c.guid.String()
	}
	return a
}

func (v *version) answer(newer bool) schemaAnswer {
	a := v.content.answer(newer)
	a.Subject, a.Version, a.ID = v.subject.String(), v.number, v.content.id
	if newer {
		a.Time, a.Deleted = v.time, v.deleted
	}
	return a
}

// parseBody reads a JSON object. Unknown members are ignored, as Confluent's registry does.
func parseBody(body []byte, into any) *apiError {
	if err := checkDepth(body); err != nil {
		return err
	}
	err := json.Unmarshal(body, into)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return failf(400, "the body's %q may not be a %s", wrong.Field, wrong.Value)
	}
	if err != nil {
		return failf(400, "the body is not JSON: %s", err)
	}
	return nil
}

// maxBodyDepth is far beyond that of any body: schemas come as text.
const maxBodyDepth = 64

// checkDepth keeps deeply nested bodies from the parser, which would recurse as deep.
func checkDepth(body []byte) *apiError {
	depth, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxBodyDepth {
				return failf(400, "the body nests deeper than %d", maxBodyDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}
